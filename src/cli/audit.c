/* audit.c - guild audit list and verify, the latter also on a stopped store. */
#include "audit/audit.h"
#include "base/limits.h"
#include "cli/cli_priv.h"
#include "db/db.h"

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

static int print_verdict(struct cli *cli, bool good, int64_t entries, int64_t first_bad, struct str reason, struct str head)
{
	if (good) {
		printf("%sThe audit log is whole:%s %lld entries, head %.*s\n", cli_style(&cli->term, CLI_GREEN),
		       cli_style(&cli->term, CLI_PLAIN), (long long)entries, STR_FMT(head));
		return cli_out_flush();
	}
	return cli_fail(CLI_FAILED, "the audit log is not whole: entry %lld: %.*s", (long long)first_bad, STR_FMT(reason));
}

static struct str hash_text(struct cli *cli, const uint8_t hash[HASH_SHA256_BYTES])
{
	static const char digits[] = "0123456789abcdef";
	char text[2 * HASH_SHA256_BYTES];

	for (size_t i = 0; i < HASH_SHA256_BYTES; i++) {
		text[2 * i] = digits[hash[i] >> 4];
		text[2 * i + 1] = digits[hash[i] & 15];
	}
	return arena_copy(&cli->arena, str_make(text, sizeof(text)));
}

static int print_report(struct cli *cli, const struct audit_report *report)
{
	struct str head = hash_text(cli, report->head.hash);
	struct str reason = str_of(report->reason);
	struct json_out out;
	struct buf text;

	if (!cli->json) {
		return print_verdict(cli, !report->first_bad, report->entries, report->first_bad, reason, head);
	}
	buf_init(&text, 4096);
	json_begin(&out, &text);
	json_object(&out);
	json_put_int(&out, STR("entries"), report->entries);
	json_put_bool(&out, STR("ok"), !report->first_bad);
	if (report->first_bad) {
		json_put_int(&out, STR("first_bad"), report->first_bad);
		json_put_str(&out, STR("reason"), reason);
	}
	json_name(&out, STR("head"));
	json_object(&out);
	json_put_int(&out, STR("seq"), report->head.seq);
	json_put_str(&out, STR("hash"), head);
	json_object_end(&out);
	json_object_end(&out);
	cli_print_json(cli, buf_str(&text));
	buf_fini(&text);
	return report->first_bad ? CLI_FAILED : CLI_OK;
}

static int verify_store(struct cli *cli, const char *dir)
{
	char detail[256] = "";
	struct str path = arena_format(&cli->arena, "%s/guild.db", dir);
	struct audit_report report;
	struct db *db;
	enum err err = path.at ? db_open(path.at, DB_READER, &db, detail) : ERR_MEMORY;

	if (err) {
		return cli_fail(CLI_FAILED, "%s", detail[0] ? detail : err_row(err)->text.at);
	}
	err = audit_verify(db, &report);
	db_close(&db);
	if (err) {
		return cli_fail(CLI_FAILED, "%.*s cannot be read: %.*s", STR_FMT(path), STR_FMT(err_row(err)->text));
	}
	return print_report(cli, &report);
}

int cli_run_audit_verify(struct cli *cli)
{
	const char *data = cli_option(cli, "data");
	struct cli_reply reply;
	int64_t entries = 0;
	int64_t first_bad = 0;
	bool good = false;
	int code = data ? CLI_OK : cli_connect(cli);

	if (data) {
		return verify_store(cli, data);
	}
	code = code ? code : cli_request(cli, "GET", STR("/v1/audit/verify"), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (!json_get_bool(json_member(reply.root, STR("ok")), &good) ||
	    !json_get_int(json_member(reply.root, STR("entries")), &entries)) {
		return cli_fail(CLI_FAILED, "%s does not say whether its audit log is whole", cli->url);
	}
	json_get_int(json_member(reply.root, STR("first_bad")), &first_bad);
	if (cli->json) {
		cli_print_json(cli, reply.text);
		return good ? CLI_OK : CLI_FAILED;
	}
	return print_verdict(cli, good, entries, first_bad, cli_text(cli, json_member(reply.root, STR("reason"))),
			     cli_text(cli, cli_member(reply.root, "head.hash")));
}
