/*
 * verify.c - walks a store and names the first thing in it that does not hold.
 *
 * One check after the other, in short reads with nothing held between them: a running server goes on. Where it is running, two reads may see
 * two states, so a check never compares what different reads gave; the walk of the whole file is left to copies and stores at rest.
 */
#include <stdio.h>

#include "audit/audit.h"
#include "base/mem.h"
#include "db/backup.h"
#include "ops/ops.h"
#include "ops/verify_priv.h"
#include "social/social.h"

enum { ROWS_LOG = 1000, ROWS_COMPARED = 200, CHECKS_MAX = 32 };

struct verify {
	struct db *db;
	bool at_rest;
	bool is_old; /* of an earlier schema, which the statements do not fit */
	bool (*go_on)(void *arg);
	void *go_on_arg;
	struct siphash_key secret; /* of ids, so that a finding names them as people know them */
	struct audit_walk *walk;
	struct verify_ledger *ledger;
	struct verify_step step;
	struct social_trend_check trends;
	unsigned count, now;
	struct verify_result results[CHECKS_MAX];
};

static enum err secret_read(struct verify *verify)
{
	struct arena arena;
	struct str value;
	arena_init(&arena, 4096);
	enum err err = db_meta_get(verify->db, STR("id_secret"), &arena, &value);
	if (err == ERR_OK && value.len == sizeof(verify->secret)) {
		memcpy(&verify->secret, value.at, sizeof(verify->secret));
	}
	arena_fini(&arena);
	return err == ERR_NOT_FOUND || err == ERR_CORRUPT ? ERR_OK : err;
}

static void add(struct verify *verify, const char *name, const char *text)
{
	verify->results[verify->count++] = (struct verify_result){.name = name, .text = text};
}

enum err verify_create(struct db *db, bool at_rest, struct verify **out)
{
	struct verify *verify = mem_alloc(sizeof(*verify));
	*out = NULL;
	if (verify == NULL) {
		return ERR_MEMORY;
	}
	verify->db = db;
	verify->at_rest = at_rest;
	add(verify, "file", "structure, indexes and references of the file");
	add(verify, "audit", "chain and numbers of the log");
	add(verify, "ledger", "balances and spending are what the ledger adds up to");
	for (const struct verify_compare *check = verify_compares; check->name != NULL; check++) {
		add(verify, check->name, check->text);
	}
	add(verify, "trends", "hours of trends against posts");
	char detail[256];
	int64_t version;
	enum err err = db_version(db, "store", &version, detail);
	err = err == ERR_OK ? audit_walk_create(NULL, &verify->walk) : err;
	err = err == ERR_OK ? verify_ledger_create(&verify->ledger) : err;
	verify->is_old = err == ERR_OK && version < db_version_newest();
	if (err != ERR_OK) {
		verify_destroy(&verify);
		return err;
	}
	*out = verify;
	return ERR_OK;
}

void verify_destroy(struct verify **verify)
{
	if (*verify != NULL) {
		audit_walk_destroy(&(*verify)->walk);
		verify_ledger_destroy(&(*verify)->ledger);
		mem_free(*verify);
		*verify = NULL;
	}
}

void verify_go_on_set(struct verify *verify, bool (*go_on)(void *arg), void *arg)
{
	verify->go_on = go_on;
	verify->go_on_arg = arg;
}

const struct verify_result *verify_results(const struct verify *verify, unsigned *count)
{
	*count = verify->count;
	return verify->results;
}

unsigned verify_now(const struct verify *verify)
{
	return verify->now;
}

const struct verify_result *verify_first_bad(const struct verify *verify)
{
	for (unsigned i = 0; i < verify->count; i++) {
		if (verify->results[i].state == VERIFY_BAD) {
			return &verify->results[i];
		}
	}
	return NULL;
}

void verify_results_put(const struct verify_result *results, unsigned count, struct json_out *json)
{
	static const char *const words[] = {
		[VERIFY_WAITING] = "waiting", [VERIFY_GOOD] = "good", [VERIFY_BAD] = "bad", [VERIFY_LEFT_OUT] = "left_out"};
	bool ok = count > 0;
	json_name(json, STR("checks"));
	json_array(json);
	for (unsigned i = 0; i < count; i++) {
		const struct verify_result *result = &results[i];
		json_object(json);
		json_put_str(json, STR("name"), str_of(result->name));
		json_put_str(json, STR("text"), str_of(result->text));
		json_put_str(json, STR("state"), str_of(words[result->state]));
		json_put_int(json, STR("rows"), result->rows);
		json_put_str_or_null(json, STR("bad"), result->state == VERIFY_BAD ? str_of(result->bad) : STR_NONE);
		json_object_end(json);
		ok = ok && (result->state == VERIFY_GOOD || result->state == VERIFY_LEFT_OUT);
	}
	json_array_end(json);
	json_put_bool(json, STR("ok"), ok);
}

/* ---- the kinds of check ---- */

static enum err file_step(struct verify *verify, struct verify_result *result, bool *more)
{
	char detail[256];
	bool whole = true;
	*more = false;
	if (!verify->at_rest) {
		result->state = VERIFY_LEFT_OUT;
		return ERR_OK;
	}
	enum err err = db_backup_integrity(verify->db, verify->go_on, verify->go_on_arg, &whole, detail);
	if (err == ERR_OK && !whole) {
		result->state = VERIFY_BAD;
		snprintf(result->bad, sizeof(result->bad), "%.*s", (int)sizeof(result->bad) - 1, detail);
	}
	return err;
}

static enum err audit_step(struct verify *verify, struct verify_result *result, bool *more)
{
	enum err err = audit_walk_step(verify->walk, verify->db, ROWS_LOG, more);
	const struct audit_report *report = audit_walk_report(verify->walk);
	result->rows = report->entries;
	if (err == ERR_OK && report->first_bad != 0) {
		result->state = VERIFY_BAD;
		snprintf(result->bad, sizeof(result->bad), "entry %lld: %s", (long long)report->first_bad, report->reason);
	}
	return err;
}

static enum err compare_step(struct verify *verify, const struct verify_compare *check, struct verify_result *result, bool *more)
{
	enum err err = verify_compare_step(verify->db, check, ROWS_COMPARED, &verify->step);
	result->rows = verify->step.rows;
	*more = verify->step.more;
	if (err == ERR_OK && verify->step.bad) {
		struct id_text id = {""};
		if (check->kind != 0) {
			id = id_format(&verify->secret, check->kind, verify->step.after);
		} else {
			snprintf(id.text, sizeof(id.text), "%lld", (long long)verify->step.after);
		}
		result->state = VERIFY_BAD;
		snprintf(result->bad, sizeof(result->bad), "%s: %s %lld, %s %lld", id.text, check->says, (long long)verify->step.said,
			 check->rows_say, (long long)verify->step.counted);
	}
	return err;
}

static enum err trends_step(struct verify *verify, struct verify_result *result, bool *more)
{
	struct social_trend_check *check = &verify->trends;
	enum err err = social_trends_verify_step(verify->db, check);
	result->rows = check->rows;
	*more = check->more && !check->bad;
	if (err == ERR_OK && check->bad) {
		result->state = VERIFY_BAD;
		snprintf(result->bad, sizeof(result->bad), "hour %lld, %.100s: its row says %lld, its posts are %lld", (long long)check->hour,
			 check->topic, (long long)check->said, (long long)check->counted);
	}
	return err;
}

static enum err run(struct verify *verify, struct verify_result *result, bool *more)
{
	if (verify->is_old && verify->now > 0) {
		result->state = VERIFY_LEFT_OUT;
		return ERR_OK;
	}
	if (verify->now == verify->count - 1) {
		return trends_step(verify, result, more);
	}
	switch (verify->now) {
	case 0: return file_step(verify, result, more);
	case 1: return audit_step(verify, result, more);
	case 2: return verify_ledger_step(verify->ledger, verify->db, ROWS_LOG, &verify->secret, result, more);
	default: return compare_step(verify, &verify_compares[verify->now - 3], result, more);
	}
}

enum err verify_step(struct verify *verify, bool *more)
{
	struct verify_result *result = &verify->results[verify->now];
	bool again = false;
	enum err err = db_begin(verify->db);
	err = err == ERR_OK && verify->now == 0 ? secret_read(verify) : err;
	err = err == ERR_OK ? run(verify, result, &again) : err;
	db_rollback(verify->db);
	if (err == ERR_CORRUPT) {
		/* A file so broken that this cannot be read is the finding. */
		result->state = VERIFY_BAD;
		snprintf(result->bad, sizeof(result->bad), "the stored data is damaged and cannot be read");
		err = ERR_OK;
		again = false;
	}
	if (err == ERR_OK && !again) {
		result->state = result->state == VERIFY_WAITING ? VERIFY_GOOD : result->state;
		verify->step = (struct verify_step){.after = INT64_MIN};
		verify->now++;
	}
	*more = err == ERR_OK && verify->now < verify->count;
	return err;
}
