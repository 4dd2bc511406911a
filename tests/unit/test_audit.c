/* The audit chain: canonical entries, sealing, and every kind of tampering found at the right row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "audit/audit.h"
#include "base/log.h"
#include "wire/jcs.h"

enum { ROWS = 1205 }; /* more than a chunk of the walk */

static char dir[64];
static char path[96];
static char detail[256];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/guild-test-audit-XXXXXX");
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/guild.db", dir);
	log_set(LOG_OFF, false);
	return 0;
}

static int teardown(void **state)
{
	char command[128];
	snprintf(command, sizeof(command), "rm -rf '%s'", dir);
	return system(command);
}

/* ---- entries ---- */

static void assert_is_canonical(struct arena *arena, struct str entry)
{
	struct json_doc doc;
	struct buf canonical;
	buf_init(&canonical, 1 << 20);
	assert_int_equal(json_parse(arena, entry, &doc, NULL), ERR_OK);
	assert_int_equal(jcs_put(&canonical, arena, json_root(&doc)), ERR_OK);
	assert_true(str_eq(buf_str(&canonical), entry));
	buf_fini(&canonical);
}

static void an_entry_is_canonical_json(void **state)
{
	struct arena arena;
	struct str text;
	struct audit_entry entry = {
		.workspace = 1,
		.principal_id = STR("p-1"),
		.principal_name = STR("Zo\xc3\xab \"\\\x01\x1f\x7f\t\n/"),
		.agent_id = STR("a-1"),
		.agent_name = STR("\xf0\x9f\xa6\x8a\xee\x80\x80\xe2\x80\xa8"),
		.action = STR("chat"),
		.decision = STR("{ \"z\" : 1.50, \"a\":[true , null, {\"b\":-0, \"B\":1e3}], \"\xf0\x9f\x98\x80\":1, \"\xef\xbf\xbd\":2 }"),
		.rule_id = STR("chat@1"),
		.session_id = STR("s-1"),
		.execution_id = STR("e-1"),
		.start_us = INT64_C(1767323045678901),
		.end_us = INT64_C(1767323046678901),
		.duration_ms = 1000,
		.outcome = OUTCOME_FAILED,
		.code = STR("provider_failed"),
		.error_message = STR("it did not answer"),
		.change = STR("{\"old\":{\"name\":\"x\"},\"new\":{\"name\":\"y\"}}"),
	};
	arena_init(&arena, 1 << 20);
	assert_int_equal(audit_entry_put(&arena, &entry, &text), ERR_OK);
	assert_is_canonical(&arena, text);
	struct json_doc doc;
	assert_int_equal(json_parse(&arena, text, &doc, NULL), ERR_OK);
	struct json root = json_root(&doc);
	struct str value;
	assert_int_equal(json_size(root), 15);
	assert_true(json_get_str(json_member(root, STR("start")), &value));
	assert_true(str_eq(value, STR("2026-01-02T03:04:05.678901Z")));
	assert_true(json_get_str(json_member(json_member(root, STR("principal")), STR("name")), &value));
	assert_true(str_eq(value, entry.principal_name));
	assert_true(json_get_str(json_member(json_member(json_member(root, STR("change")), STR("new")), STR("name")), &value));
	assert_true(str_eq(value, STR("y")));
	arena_fini(&arena);
}

static void what_is_not_known_is_null(void **state)
{
	struct arena arena;
	struct str text;
	struct audit_entry entry = {.action = STR("agent.create"), .outcome = OUTCOME_CHANGED};
	arena_init(&arena, 1 << 16);
	assert_int_equal(audit_entry_put(&arena, &entry, &text), ERR_OK);
	assert_is_canonical(&arena, text);
	assert_true(str_eq(text,
			   STR("{\"action\":\"agent.create\",\"agent_id\":null,\"agent_name\":null,\"change\":null,\"code\":null,"
			       "\"decision\":null,\"duration_ms\":null,\"end\":null,\"error_message\":null,\"execution_id\":null,"
			       "\"outcome\":\"changed\",\"principal\":null,\"rule_id\":null,\"session_id\":null,\"start\":null}")));
	entry.change = STR("{\"a\":");
	assert_int_equal(audit_entry_put(&arena, &entry, &text), ERR_MALFORMED);
	assert_null(text.at);
	arena_fini(&arena);
	arena_init(&arena, 100);
	entry.change = STR_NONE;
	assert_int_equal(audit_entry_put(&arena, &entry, &text), ERR_LIMIT);
	arena_fini(&arena);
}

/* ---- sealing ---- */

static struct log_row row_of(int i, char *entry, size_t cap)
{
	struct log_row row = {.workspace = 7, .principal = 100 + i, .action = STR("chat"), .outcome = OUTCOME_COMPLETED};
	if (i % 5 == 0) {
		row.kinds = LOG_EVENT;
		row.event_type = STR("tick");
		row.event_data = STR("{}");
		row.topics = STR("global");
		return row;
	}
	row.kinds = LOG_AUDIT | LOG_LEDGER;
	snprintf(entry, cap, "{\"action\":\"chat\",\"number\":%d,\"outcome\":\"completed\"}", i);
	row.entry = str_of(entry);
	return row;
}

static void the_clock_never_goes_back(void **state)
{
	struct log_head head = {0};
	struct audit_chain *chain;
	char text[96];
	assert_int_equal(audit_chain_create(&head, &chain), ERR_OK);
	static const int64_t wall[] = {1000, 1000, 900, 1001, 2000};
	static const int64_t wanted[] = {1000, 1000, 1001, 1001, 2000};
	for (int i = 0; i < 5; i++) {
		struct log_row row = row_of(i, text, sizeof(text));
		audit_seal(chain, &row, wall[i]);
		assert_int_equal(row.seq, i + 1);
		assert_int_equal(row.time_us, wanted[i]);
		assert_memory_equal(row.hash, audit_head(chain)->hash, HASH_SHA256_BYTES);
	}
	audit_chain_destroy(&chain);
	assert_null(chain);
}

static void a_rewound_chain_gives_the_same_again(void **state)
{
	struct log_head head = {0};
	struct audit_chain *chain;
	char text[96];
	assert_int_equal(audit_chain_create(&head, &chain), ERR_OK);
	struct log_row first = row_of(1, text, sizeof(text));
	audit_seal(chain, &first, 10);
	struct log_head kept = *audit_head(chain);
	struct log_row second = row_of(2, text, sizeof(text));
	struct log_row again = second;
	audit_seal(chain, &second, 20);
	audit_chain_rewind(chain, &kept);
	audit_seal(chain, &again, 20);
	assert_int_equal(again.seq, 2);
	assert_memory_equal(again.hash, second.hash, HASH_SHA256_BYTES);
	/* Another workspace, another hash: what the entry does not say, the chain does. */
	audit_chain_rewind(chain, &kept);
	again.workspace = 8;
	audit_seal(chain, &again, 20);
	assert_memory_equal(again.entry_hash, second.entry_hash, HASH_SHA256_BYTES);
	assert_memory_not_equal(again.hash, second.hash, HASH_SHA256_BYTES);
	audit_chain_destroy(&chain);
}

/* The formula of the header, with its own hands. */
static void the_hash_is_what_the_header_says(void **state)
{
	struct log_head head = {.seq = 4, .time_us = 50};
	struct audit_chain *chain;
	uint8_t bytes[32 + 24 + 32] = {0};
	uint8_t wanted[32];
	memset(head.hash, 0xab, sizeof(head.hash));
	assert_int_equal(audit_chain_create(&head, &chain), ERR_OK);
	struct log_row row = {.kinds = LOG_AUDIT, .workspace = 258, .action = STR("x"), .outcome = OUTCOME_STARTED, .entry = STR("{}")};
	audit_seal(chain, &row, 0x0102030405);
	memset(bytes, 0xab, 32);
	bytes[39] = 5;
	memcpy(bytes + 43, "\1\2\3\4\5", 5);
	memcpy(bytes + 54, "\1\2", 2);
	hash_sha256(STR("{}"), wanted);
	assert_memory_equal(row.entry_hash, wanted, 32);
	memcpy(bytes + 56, wanted, 32);
	hash_sha256(str_make(bytes, sizeof(bytes)), wanted);
	assert_memory_equal(row.hash, wanted, 32);
	audit_chain_destroy(&chain);
}

/* ---- tampering ---- */

static struct db *make_log(int rows)
{
	struct db *db;
	struct log_head head;
	struct audit_chain *chain;
	assert_int_equal(db_open(path, DB_WRITER, &db, detail), ERR_OK);
	assert_int_equal(db_migrate(db, path, detail), ERR_OK);
	assert_int_equal(log_head_read(db, &head), ERR_OK);
	assert_int_equal(audit_chain_create(&head, &chain), ERR_OK);
	assert_int_equal(db_begin(db), ERR_OK);
	for (int i = 1; i <= rows; i++) {
		char text[96];
		struct log_row row = row_of(i, text, sizeof(text));
		audit_seal(chain, &row, 1000 + i * 10);
		assert_int_equal(log_insert(db, &row), ERR_OK);
	}
	assert_int_equal(db_commit(db), ERR_OK);
	audit_chain_destroy(&chain);
	return db;
}

static void an_untouched_log_is_good(void **state)
{
	struct audit_report report;
	struct log_head head;
	struct db *db = make_log(0);
	assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
	assert_int_equal(report.entries, 0);
	assert_int_equal(report.first_bad, 0);
	db_close(&db);
	db = make_log(ROWS);
	assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
	assert_null(report.reason);
	assert_int_equal(report.first_bad, 0);
	assert_int_equal(report.entries, ROWS);
	assert_int_equal(log_head_read(db, &head), ERR_OK);
	assert_int_equal(report.head.seq, ROWS);
	assert_memory_equal(report.head.hash, head.hash, HASH_SHA256_BYTES);
	db_close(&db);
}

struct tampering {
	struct db_sql sql[4]; /* ends with a text of NULL */
	int64_t first_bad;
	const char *reason;
};

static void each_tampering_is_found_at_its_row(void **state)
{
	static const struct tampering list[] = {
		{{{"UPDATE log SET entry = replace(entry, '1101', '1100') WHERE seq = 1101"}}, 1101,
		 "content does not match its hash"},
		{{{"UPDATE log SET entry = entry || ' ' WHERE seq = 1"}}, 1, "content does not match its hash"},
		{{{"UPDATE log SET entry = NULL, kinds = 4 WHERE seq = 3"}}, 3, "content does not match its hash"},
		{{{"UPDATE log SET kinds = kinds - 1 WHERE seq = 3"}}, 3, "columns do not match the content"},
		{{{"UPDATE log SET entry = '{}' WHERE seq = 5"}}, 5, "content does not match its hash"},
		{{{"UPDATE log SET action = 'chap' WHERE seq = 77"}}, 77, "columns do not match the content"},
		{{{"UPDATE log SET outcome = outcome + 1 WHERE seq = 78"}}, 78, "columns do not match the content"},
		{{{"UPDATE log SET time_at = time_at + 1 WHERE seq = 79"}}, 79, "chain is broken"},
		{{{"UPDATE log SET time_at = 1 WHERE seq = 79"}}, 79, "time goes back"},
		{{{"UPDATE log SET workspace = 8 WHERE seq = 81"}}, 81, "chain is broken"},
		{{{"UPDATE log SET entry_hash = zeroblob(32) WHERE seq = 82"}}, 82, "content does not match its hash"},
		{{{"UPDATE log SET entry_hash = zeroblob(31) WHERE seq = 82"}}, 82, "content does not match its hash"},
		{{{"UPDATE log SET hash = zeroblob(32) WHERE seq = 83"}}, 83, "chain is broken"},
		{{{"UPDATE log SET hash = (SELECT hash FROM log WHERE seq = 84) WHERE seq = 83"}}, 83, "chain is broken"},
		{{{"DELETE FROM log WHERE seq = 90"}}, 90, "sequence has a gap"},
		{{{"DELETE FROM log WHERE seq = 1"}}, 1, "sequence has a gap"},
		{{{"DELETE FROM log WHERE seq = 90"}, {"UPDATE log SET seq = seq - 1 WHERE seq > 90"}}, 90, "chain is broken"},
		{{{"UPDATE log SET seq = -seq WHERE seq = 1000"}}, -1000, "sequence has a gap"},
		/* Two rows change places. */
		{{{"UPDATE log SET seq = -1 WHERE seq = 100"},
		  {"UPDATE log SET seq = 100 WHERE seq = 101"},
		  {"UPDATE log SET seq = 101 WHERE seq = -1"}},
		 100,
		 "chain is broken"},
	};
	struct db *db = make_log(ROWS);
	struct audit_report report;
	for (size_t i = 0; i < sizeof(list) / sizeof(list[0]); i++) {
		assert_int_equal(db_begin(db), ERR_OK);
		for (const struct db_sql *sql = list[i].sql; sql->text != NULL; sql++) {
			assert_int_equal(db_run(db_use(db, sql)), ERR_OK);
			assert_true(db_changes(db) >= 1);
		}
		assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
		assert_int_equal(report.first_bad, list[i].first_bad);
		assert_string_equal(report.reason, list[i].reason);
		db_rollback(db);
	}
	assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
	db_close(&db);
}

static void an_erased_entry_is_no_fault(void **state)
{
	static const struct db_sql erase = {"UPDATE log SET entry = NULL WHERE seq IN (3, 4, 5)"}; /* the fifth never had one */
	static const struct db_sql forge = {"UPDATE log SET entry_hash = zeroblob(32) WHERE seq = 4"};
	struct db *db = make_log(ROWS);
	struct audit_report report;
	assert_int_equal(db_run(db_use(db, &erase)), ERR_OK);
	assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 0);
	assert_int_equal(report.erased, 2);
	assert_int_equal(report.entries, ROWS);
	assert_int_equal(db_run(db_use(db, &forge)), ERR_OK);
	assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
	assert_int_equal(report.first_bad, 4);
	assert_string_equal(report.reason, "chain is broken");
	db_close(&db);
}

static long find_in_file(const char *needle)
{
	FILE *file = fopen(path, "r");
	static char bytes[1 << 20];
	size_t len = fread(bytes, 1, sizeof(bytes), file);
	fclose(file);
	ptrdiff_t at = str_find(str_make(bytes, len), str_of(needle));
	assert_true(at >= 0);
	return (long)at;
}

static void flip_bit(long at, int bit)
{
	FILE *file = fopen(path, "r+");
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	int byte = fgetc(file);
	assert_int_equal(fseek(file, at, SEEK_SET), 0);
	assert_true(fputc(byte ^ 1 << bit, file) != EOF);
	fclose(file);
}

/* Past SQL: each bit of an entry's bytes in the file itself. */
static void each_flipped_bit_in_the_file_is_found(void **state)
{
	static const char needle[] = "\"number\":1201,\"outcome\"";
	struct db *db = make_log(ROWS);
	db_close(&db);
	long at = find_in_file(needle);
	for (int bit = 0; bit < 8 * (int)(sizeof(needle) - 1); bit += 3) {
		struct audit_report report;
		flip_bit(at + bit / 8, bit % 8);
		assert_int_equal(db_open(path, DB_WRITER, &db, detail), ERR_OK);
		assert_int_equal(audit_verify(db, NULL, &report), ERR_OK);
		assert_int_equal(report.first_bad, 1201);
		assert_string_equal(report.reason, "content does not match its hash");
		assert_int_equal(report.entries, 1200);
		db_close(&db);
		flip_bit(at + bit / 8, bit % 8);
	}
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CASE(an_entry_is_canonical_json),
		CASE(what_is_not_known_is_null),
		CASE(the_clock_never_goes_back),
		CASE(a_rewound_chain_gives_the_same_again),
		CASE(the_hash_is_what_the_header_says),
		CASE(an_untouched_log_is_good),
		CASE(each_tampering_is_found_at_its_row),
		CASE(an_erased_entry_is_no_fault),
		CASE(each_flipped_bit_in_the_file_is_found),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
