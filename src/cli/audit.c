/* audit.c - guild audit list, verify, export and key; verify also on a stopped store or an export. */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "audit/audit.h"
#include "audit/checkpoint.h"
#include "base/limits.h"
#include "cli/cli_priv.h"
#include "db/db.h"
#include "http/client.h"

#define PROBLEM_BYTES 65536

int cli_run_audit_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"SEQ", "seq", CLI_CELL_NUMBER},       {"TIME", "time", CLI_CELL_TIME},
		{"WHO", "principal.name|principal_name|principal", CLI_CELL_TEXT}, {"AGENT", "agent_name", CLI_CELL_TEXT},
		{"ACTION", "action", CLI_CELL_TEXT},   {"OUTCOME", "outcome", CLI_CELL_STATE},
		{"WHY", "code|error_message", CLI_CELL_TEXT}, {NULL, NULL, CLI_CELL_TEXT},
	};
	struct buf path;
	int code = cli_connect(cli);

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/audit"));
	cli_path_query(&path, "agent", cli_option(cli, "agent"));
	cli_path_query(&path, "action", cli_option(cli, "action"));
	cli_path_query(&path, "outcome", cli_option(cli, "outcome"));
	if (code) {
		buf_fini(&path);
	}
	return code ? code : cli_list(cli, &path, columns, "The audit log is empty.");
}

/* ---- verify ---- */

struct verdict {
	bool good;
	int64_t entries, first_bad, last_bad, erased, withheld, checkpoints, signed_size;
	struct str reason, head;
};

static int print_verdict(struct cli *cli, const struct verdict *v)
{
	if (!v->good && v->last_bad > 0) {
		return cli_fail(CLI_FAILED, "the audit log is not whole: an entry between %lld and %lld: %.*s", (long long)v->first_bad,
				(long long)v->last_bad, STR_FMT(v->reason));
	}
	if (!v->good) {
		return cli_fail(CLI_FAILED, "the audit log is not whole: entry %lld: %.*s", (long long)v->first_bad, STR_FMT(v->reason));
	}
	printf("%sThe audit log is whole:%s %lld entries, head %.*s\n", cli_style(&cli->term, CLI_GREEN), cli_style(&cli->term, CLI_PLAIN),
	       (long long)v->entries, STR_FMT(v->head));
	if (v->checkpoints > 0) {
		printf("%lld signed checkpoints hold, the last of them over %lld entries.\n", (long long)v->checkpoints,
		       (long long)v->signed_size);
	} else {
		printf("No checkpoint is there: what was hashed anew would not show.\n");
	}
	if (v->erased > 0) {
		printf("%lld entries were erased: their hashes hold.\n", (long long)v->erased);
	}
	if (v->withheld > 0) {
		printf("%lld entries of other workspaces are withheld: their hashes hold.\n", (long long)v->withheld);
	}
	return cli_out_flush();
}

static struct str hex_text(struct cli *cli, const uint8_t *bytes, size_t len)
{
	char text[2 * HASH_SHA256_BYTES + 1];

	hash_hex(bytes, len, text);
	return arena_copy(&cli->arena, str_make(text, 2 * len));
}

static int print_json(struct cli *cli, const struct audit_report *report)
{
	struct json_out out;
	struct buf text;

	buf_init(&text, 4096);
	json_begin(&out, &text);
	json_object(&out);
	json_put_int(&out, STR("entries"), report->entries);
	json_put_bool(&out, STR("ok"), !report->reason);
	if (report->reason) {
		json_put_int(&out, STR("first_bad"), report->first_bad);
		json_put_str(&out, STR("reason"), str_of(report->reason));
	}
	if (report->last_bad) {
		json_put_int(&out, STR("last_bad"), report->last_bad);
	}
	json_put_int(&out, STR("erased"), report->erased);
	json_put_int(&out, STR("withheld"), report->withheld);
	json_put_int(&out, STR("checkpoints"), report->checkpoints);
	json_put_int(&out, STR("signed_size"), report->signed_size);
	json_name(&out, STR("head"));
	json_object(&out);
	json_put_int(&out, STR("seq"), report->head.seq);
	json_put_str(&out, STR("hash"), hex_text(cli, report->head.hash, HASH_SHA256_BYTES));
	json_object_end(&out);
	json_object_end(&out);
	cli_print_json(cli, buf_str(&text));
	buf_fini(&text);
	return report->reason ? CLI_FAILED : CLI_OK;
}

static int print_report(struct cli *cli, const struct audit_report *report)
{
	struct verdict verdict = {.good = !report->reason,
				  .entries = report->entries,
				  .first_bad = report->first_bad,
				  .last_bad = report->last_bad,
				  .erased = report->erased,
				  .withheld = report->withheld,
				  .checkpoints = report->checkpoints,
				  .signed_size = report->signed_size,
				  .reason = str_of(report->reason),
				  .head = hex_text(cli, report->head.hash, HASH_SHA256_BYTES)};

	return cli->json ? print_json(cli, report) : print_verdict(cli, &verdict);
}

static int key_read(const char *path, uint8_t out[AUDIT_PUBLIC_BYTES])
{
	char text[2 * AUDIT_PUBLIC_BYTES + 16];
	FILE *file = fopen(path, "re");
	size_t n = file ? fread(text, 1, sizeof(text), file) : 0;

	if (!file) {
		return cli_fail(CLI_FAILED, "%s cannot be read: %s", path, strerror(errno));
	}
	fclose(file);
	if (hash_unhex(str_trim(str_make(text, n)), out, AUDIT_PUBLIC_BYTES) != ERR_OK) {
		return cli_fail(CLI_USAGE, "%s holds no public key: 64 hexadecimal digits, as `guild audit key` prints them", path);
	}
	return CLI_OK;
}

static int verify_store(struct cli *cli, const char *dir, struct audit_proofs *proofs)
{
	char detail[256] = "";
	struct str path = arena_format(&cli->arena, "%s/guild.db", dir);
	struct str checkpoints = arena_format(&cli->arena, "%s/audit.checkpoints", dir);
	struct audit_report report;
	struct db *db;
	enum err err = path.at && checkpoints.at ? db_open(path.at, DB_READER, &db, detail) : ERR_MEMORY;

	if (err) {
		return cli_fail(CLI_FAILED, "%s", detail[0] ? detail : err_row(err)->text.at);
	}
	if (access(checkpoints.at, F_OK) == 0) {
		proofs->more = checkpoints.at;
	}
	err = audit_verify(db, proofs, &report);
	db_close(&db);
	if (err) {
		return cli_fail(CLI_FAILED, "%.*s cannot be read: %.*s", STR_FMT(path), STR_FMT(err_row(err)->text));
	}
	return print_report(cli, &report);
}

static int verify_export(struct cli *cli, const char *path, const struct audit_proofs *proofs)
{
	struct audit_report report;
	enum err err = audit_verify_export(path, proofs, &report);

	if (err) {
		return cli_fail(CLI_FAILED, "%s cannot be read: %.*s", path, STR_FMT(err_row(err)->text));
	}
	return print_report(cli, &report);
}

/* Without a server; *offline says whether that was asked for. */
static int verify_offline(struct cli *cli, bool *offline)
{
	const char *data = cli_option(cli, "data");
	const char *key = cli_option(cli, "key");
	const char *place = cli->operand_count > 0 ? cli->operands[0] : data;
	uint8_t public_key[AUDIT_PUBLIC_BYTES];
	struct audit_proofs proofs = {.checkpoints = cli_option(cli, "checkpoints")};
	struct stat st;

	*offline = place != NULL;
	if (!place) {
		return key || proofs.checkpoints ? cli_fail(CLI_USAGE, "--key and --checkpoints need a FILE or DIR to check") : CLI_OK;
	}
	if (key) {
		int code = key_read(key, public_key);
		if (code) {
			return code;
		}
		proofs.public_key = public_key;
	}
	if (proofs.checkpoints && access(proofs.checkpoints, R_OK) != 0) {
		return cli_fail(CLI_FAILED, "%s cannot be read: %s", proofs.checkpoints, strerror(errno));
	}
	bool is_file = place != data && stat(place, &st) == 0 && S_ISREG(st.st_mode);
	return is_file ? verify_export(cli, place, &proofs) : verify_store(cli, place, &proofs);
}

int cli_run_audit_verify(struct cli *cli)
{
	struct cli_reply reply;
	struct verdict verdict = {0};
	bool offline;
	int code = verify_offline(cli, &offline);

	if (code || offline) {
		return code;
	}
	code = cli_connect(cli);
	code = code ? code : cli_request(cli, "GET", STR("/v1/audit/verify"), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (!json_get_bool(json_member(reply.root, STR("ok")), &verdict.good) ||
	    !json_get_int(json_member(reply.root, STR("entries")), &verdict.entries)) {
		return cli_fail(CLI_FAILED, "%s does not say whether its audit log is whole", cli->url);
	}
	json_get_int(json_member(reply.root, STR("first_bad")), &verdict.first_bad);
	json_get_int(json_member(reply.root, STR("last_bad")), &verdict.last_bad);
	json_get_int(json_member(reply.root, STR("erased")), &verdict.erased);
	json_get_int(json_member(reply.root, STR("checkpoints")), &verdict.checkpoints);
	json_get_int(json_member(reply.root, STR("signed_size")), &verdict.signed_size);
	if (cli->json) {
		cli_print_json(cli, reply.text);
		return verdict.good ? CLI_OK : CLI_FAILED;
	}
	verdict.reason = cli_text(cli, json_member(reply.root, STR("reason")));
	verdict.head = cli_text(cli, cli_member(reply.root, "head.hash"));
	return print_verdict(cli, &verdict);
}

/* ---- key ---- */

int cli_run_audit_key(struct cli *cli)
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "GET", STR("/v1/audit/checkpoint"), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	struct str key = cli_text(cli, json_member(reply.root, STR("public_key")));
	printf("%.*s\n", STR_FMT(key));
	return cli_out_flush();
}

/* ---- export ---- */

struct export {
	FILE *to;
	struct buf problem; /* the beginning: what a refusal says */
	bool failed;
};

static bool export_bytes(void *ctx, struct str bytes)
{
	struct export *export = ctx;

	if (export->problem.len < PROBLEM_BYTES) {
		buf_put_str(&export->problem, str_sub(bytes, 0, PROBLEM_BYTES));
	}
	export->failed = fwrite(bytes.at, 1, bytes.len, export->to) != bytes.len;
	return !export->failed;
}

static int export_to(struct cli *cli, const char *path, FILE *to, const char *name)
{
	struct export export = {.to = to};
	struct http_fetch fetch = {.method = "GET", .body_bytes = export_bytes, .ctx = &export};
	char content_type[64] = "";
	char detail[128] = "";
	int status = 0;
	int code = CLI_OK;

	fetch.url = arena_format(&cli->arena, "%s%s", cli->url, path).at;
	fetch.headers = cli_headers(cli, "application/jsonl", false);
	if (!fetch.url || !fetch.headers) {
		return cli_fail(CLI_FAILED, "not enough memory");
	}
	buf_init(&export.problem, 3 * PROBLEM_BYTES);
	enum err err = http_fetch(&fetch, &status, content_type, NULL, detail);
	if (export.failed || fflush(to) != 0) {
		code = cli_fail(CLI_FAILED, "%s cannot be written: %s", name, strerror(errno));
	} else if (err) {
		code = cli_fail(CLI_NO_CONNECTION, "the export from %s broke off: %s", cli->url, detail);
	} else if (status != 200) {
		code = cli_problem(cli, status, arena_copy(&cli->arena, buf_str(&export.problem)), false);
	}
	buf_fini(&export.problem);
	return code;
}

int cli_export(struct cli *cli, const char *path, const char *name)
{
	bool is_out = strcmp(name, "-") == 0;
	FILE *to = is_out ? stdout : fopen(name, "wxe");
	int code;

	if (!to) {
		return cli_fail(CLI_FAILED, "%s cannot be made: %s", name, strerror(errno));
	}
	code = export_to(cli, path, to, name);
	if (!is_out && fclose(to) != 0 && !code) {
		code = cli_fail(CLI_FAILED, "%s cannot be written: %s", name, strerror(errno));
	}
	if (!is_out && code) {
		(void)unlink(name);
	}
	return code;
}

int cli_run_audit_export(struct cli *cli)
{
	int code = cli_connect(cli);

	return code ? code : cli_export(cli, "/v1/audit/export?format=jsonl", cli->operands[0]);
}
