/* test_money.c - the catalogue, the arithmetic of money, and the calendar of time zones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/limits.h"
#include "base/zone.h"
#include "governance/ledger_rules.h"
#include "provider/catalogue.h"

#define HEAD "provider,model,in,out,cached,context,max_output,quality,capabilities,source,date\n"
#define LINE "openai,gpt-4o,2500000,10000000,1250000,128000,16384,80,chat tools,https://example.com,2025-05-15\n"

/* ---- the catalogue ---- */

static void own_catalogue(void **state)
{
	struct catalogue *catalogue;
	char detail[512] = "";
	const char *seen[32];
	size_t providers = 0;
	(void)state;
	assert_int_equal(catalogue_load(NULL, &catalogue, detail), ERR_OK);
	assert_string_equal(detail, "");
	assert_in_range(catalogue_count(catalogue), 60, 4096);
	for (size_t i = 0; i < catalogue_count(catalogue); i++) {
		const struct catalogue_model *model = catalogue_at(catalogue, i);
		size_t known = 0;
		while (known < providers && strcmp(seen[known], model->provider.at) != 0) {
			known++;
		}
		if (known == providers) {
			assert_in_range(providers, 0, 31);
			seen[providers++] = model->provider.at;
		}
		assert_true(str_starts(model->source, STR("https://")));
		assert_true(model->price.out > 0 && model->price.out >= model->price.in && model->context > 0);
		assert_ptr_equal(catalogue_find(catalogue, model->provider, model->model), model);
	}
	assert_in_range(providers, 8, 32);
	catalogue_destroy(&catalogue);
	assert_null(catalogue);
}

static void refused(const char *text, const char *want)
{
	struct catalogue *catalogue;
	char detail[512] = "";
	assert_int_equal(catalogue_parse(str_of(text), "models.csv", &catalogue, detail), ERR_CONFIG);
	assert_null(catalogue);
	assert_string_equal(detail, want);
}

static void bad_catalogues(void **state)
{
	(void)state;
	refused("", "models.csv:2: the file has no models");
	refused("# only this\n" HEAD, "models.csv:4: the file has no models");
	refused("model,price\n",
		"models.csv:1: the first line has to be provider,model,in,out,cached,context,max_output,quality,capabilities,source,date");
	refused(HEAD "openai,gpt\n", "models.csv:2: a line has eleven members, this one has fewer");
	refused(HEAD LINE "a,b,1,2,1,3,4,5,c,d,2025-05-15,more\n", "models.csv:3: a line has eleven members, this one has more");
	refused(HEAD "a,b,cheap,2,1,3,4,5,c,d,2025-05-15\n", "models.csv:2: in has to be a whole number from 0 to 2000000000");
	refused(HEAD "a,b,-1,2,1,3,4,5,c,d,2025-05-15\n", "models.csv:2: in has to be a whole number from 0 to 2000000000");
	refused(HEAD "a,b,1,2000000001,1,3,4,5,c,d,2025-05-15\n", "models.csv:2: out has to be a whole number from 0 to 2000000000");
	refused(HEAD "a,b,1,2,2,3,4,5,c,d,2025-05-15\n", "models.csv:2: cached is dearer than in");
	refused(HEAD "a,b,1,2,1,3,4,101,c,d,2025-05-15\n", "models.csv:2: quality has to be a whole number from 0 to 100");
	refused(HEAD "a,b,1,2,1,3,4,5,c,d,15.5.2025\n", "models.csv:2: date has to be a day as 2025-05-15");
	refused(HEAD "a,b,1,2,1,3,4,5,c,d,2025-13-15\n", "models.csv:2: date has to be a day as 2025-05-15");
	refused(HEAD ",b,1,2,1,3,4,5,c,d,2025-05-15\n", "models.csv:2: provider has to be 1 to 200 printable ASCII characters without quotes");
	refused(HEAD LINE "\n" LINE, "models.csv:4: model has a row of this provider already");
	struct catalogue *catalogue;
	char detail[512] = "";
	assert_int_equal(catalogue_load("/nonexistent/models.csv", &catalogue, detail), ERR_CONFIG);
	assert_non_null(strstr(detail, "/nonexistent/models.csv cannot be read"));
}

static int64_t price_of(const struct catalogue *catalogue, const char *provider, const char *model)
{
	const struct catalogue_model *found = catalogue_find(catalogue, str_of(provider), str_of(model));
	return found != NULL ? found->price.out : -1;
}

static void finding(void **state)
{
	struct catalogue *catalogue;
	char detail[512] = "";
	static const char text[] = HEAD LINE
		"openai,gpt-4o-mini,1,60,1,3,4,5,c,d,2025-05-15\n"
		"one,shared,1,10,1,3,4,5,c,d,2025-05-15\n"
		"two,shared,1,20,1,3,4,5,c,d,2025-05-15\n"
		"home,*,0,0,0,3,0,5,c,d,2025-05-15\n"
		"home,dear,1,30,1,3,0,5,c,d,2025-05-15\n";
	(void)state;
	assert_int_equal(catalogue_parse(str_of(text), "t", &catalogue, detail), ERR_OK);
	assert_int_equal(price_of(catalogue, "openai", "gpt-4o"), 10000000);
	assert_int_equal(price_of(catalogue, "openai", "gpt-4o-2024-08-06"), 10000000);
	assert_int_equal(price_of(catalogue, "openai", "gpt-4o-20240806"), 10000000);
	assert_int_equal(price_of(catalogue, "openai", "gpt-4o-latest"), 10000000);
	assert_int_equal(price_of(catalogue, "openai", "gpt-4o-mini"), 60);
	assert_int_equal(price_of(catalogue, "openai", "gpt-4o-nano"), -1);
	assert_int_equal(price_of(catalogue, "openai", ""), -1);
	assert_int_equal(price_of(catalogue, "openai", "*"), -1);
	/* A server that speaks for another vendor: the dearest of that name. */
	assert_int_equal(price_of(catalogue, "openai", "shared"), 20);
	assert_int_equal(price_of(catalogue, "one", "shared"), 10);
	assert_int_equal(price_of(catalogue, "home", "anything"), 0);
	assert_int_equal(price_of(catalogue, "home", "shared"), 0);
	assert_int_equal(price_of(catalogue, "home", "dear"), 30);
	assert_null(catalogue_find(NULL, STR("openai"), STR("gpt-4o")));
	catalogue_destroy(&catalogue);
}

/* ---- arithmetic ---- */

static void costs(void **state)
{
	const struct price price = {.in = 2500000, .out = 10000000, .cached = 1250000};
	const struct price greatest = {LIMIT_PRICE, LIMIT_PRICE, LIMIT_PRICE};
	(void)state;
	assert_int_equal(ledger_cost(&price, &(struct usage){1000000, 0, 0}), 2500000);
	assert_int_equal(ledger_cost(&price, &(struct usage){100, 0, 10}), 350);
	assert_int_equal(ledger_cost(&price, &(struct usage){100, 100, 10}), 225);
	assert_int_equal(ledger_cost(&price, &(struct usage){100, 1000, 0}), 125); /* no more than all of it is cached */
	assert_int_equal(ledger_cost(&price, &(struct usage){0, 0, 0}), 0);
	assert_int_equal(ledger_cost(&(struct price){1, 1, 1}, &(struct usage){1, 0, 0}), 1); /* rounded up */
	assert_int_equal(ledger_cost(&price, &(struct usage){-5, -5, -5}), 0);
	assert_int_equal(ledger_cost(&greatest, &(struct usage){INT64_MAX, INT64_MAX, INT64_MAX}), INT64_C(4000000000000));
}

static void tokens(void **state)
{
	(void)state;
	assert_int_equal(ledger_tokens(STR("")), 4);
	assert_int_equal(ledger_tokens(STR("abcd")), 5);
	assert_int_equal(ledger_tokens(STR("abcde")), 6);
	assert_int_equal(ledger_tokens(STR("\xe4\xbd\xa0\xe5\xa5\xbd")), 6);
}

static void room(void **state)
{
	(void)state;
	assert_true(budget_allows(&(struct budget_state){-1, 5, 5}, 1000));
	assert_true(budget_allows(&(struct budget_state){100, 40, 50}, 10));
	assert_false(budget_allows(&(struct budget_state){100, 40, 50}, 11));
	assert_true(budget_allows(&(struct budget_state){100, 0, 99}, 0));
	assert_false(budget_allows(&(struct budget_state){100, 0, 100}, 0));
	assert_false(budget_allows(&(struct budget_state){100, 0, 200}, 0));
	assert_false(budget_allows(&(struct budget_state){0, 0, 0}, 0));
	assert_false(budget_allows(&(struct budget_state){100, 0, 1}, INT64_MAX));
}

static void thresholds(void **state)
{
	(void)state;
	assert_int_equal(budget_passed(&(struct budget_state){100, 50, 79}), 0);
	assert_int_equal(budget_passed(&(struct budget_state){100, 0, 80}), 1);
	assert_int_equal(budget_passed(&(struct budget_state){100, 0, 90}), 3);
	assert_int_equal(budget_passed(&(struct budget_state){100, 0, 100}), 7);
	assert_int_equal(budget_passed(&(struct budget_state){-1, 0, 100}), 0);
	assert_int_equal(budget_passed(&(struct budget_state){0, 0, 0}), 0);
	assert_int_equal(budget_passed(&(struct budget_state){0, 0, 1}), 7);
	/* 80 % of 99 is 79.2: 79 is not there yet. */
	assert_int_equal(budget_passed(&(struct budget_state){99, 0, 79}), 0);
	assert_int_equal(budget_passed(&(struct budget_state){99, 0, 80}), 1);
	assert_int_equal(budget_passed(&(struct budget_state){INT64_C(1000000000000000), 0, INT64_C(800000000000000)}), 1);
	for (int64_t limit = 1; limit < 300; limit++) {
		for (int64_t settled = 0; settled < 320; settled++) {
			unsigned want = 0;
			for (unsigned i = 0; i < BUDGET_THRESHOLDS; i++) {
				want |= settled > 0 && settled * 100 >= limit * budget_thresholds[i] ? 1u << i : 0;
			}
			assert_int_equal(budget_passed(&(struct budget_state){limit, 0, settled}), want);
		}
	}
}

/* ---- the calendar ---- */

#define S INT64_C(1000000)

static int64_t month_of(const char *text)
{
	int64_t month;
	assert_int_equal(zone_month_parse(str_of(text), &month), ERR_OK);
	return month;
}

static void calendar(void **state)
{
	int64_t month;
	(void)state;
	assert_int_equal(zone_month(NULL, 0), 1970 * 12);
	assert_int_equal(zone_month(NULL, -1), 1969 * 12 + 11);
	assert_int_equal(zone_month_start_us(NULL, month_of("2026-11")), 1793491200 * S);
	assert_string_equal(zone_month_text(month_of("2026-11")).text, "2026-11");
	assert_string_equal(zone_day_text(zone_day(NULL, 1793491200 * S + 21 * 86400 * S)).text, "2026-11-22");
	assert_string_equal(zone_day_text(zone_day(NULL, 951782400 * S)).text, "2000-02-29");
	/* Every day of four centuries follows the one before it, and is in the month that says so. */
	for (int64_t m = 1900 * 12; m < 2301 * 12; m++) {
		int64_t start = zone_month_start_us(NULL, m);
		assert_int_equal(zone_month(NULL, start), m);
		assert_int_equal(zone_month(NULL, start - 1), m - 1);
		assert_in_range((zone_month_start_us(NULL, m + 1) - start) / (86400 * S), 28, 31);
	}
	const char *const bad[] = {"", "2026", "2026-13", "2026-00", "2026-1", "1969-12", "-026-01", "2026--1", "2026-011"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(zone_month_parse(str_of(bad[i]), &month), ERR_INVALID);
	}
}

static void fixed_zones(void **state)
{
	struct zone *zone;
	(void)state;
	assert_int_equal(zone_load(STR("+05:30"), &zone), ERR_OK);
	assert_int_equal(zone_offset_s(zone, 0), 19800);
	int64_t start = zone_month_start_us(zone, month_of("2026-11"));
	assert_int_equal(start, 1793491200 * S - 19800 * S);
	assert_int_equal(zone_month(zone, start), month_of("2026-11"));
	assert_int_equal(zone_month(zone, start - 1), month_of("2026-10"));
	zone_destroy(&zone);
	assert_int_equal(zone_load(STR("-14:00"), &zone), ERR_OK);
	assert_int_equal(zone_offset_s(zone, 0), -50400);
	zone_destroy(&zone);
	const char *const bad[] = {"", "+14:01", "+15:00", "+1:00", "+01:60", "01:00", "+0a:00", "../etc/passwd", "/etc/passwd",
				   "Europe/Nowhere", "Europe", "zone.tab", "Etc/../UTC"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(zone_load(str_of(bad[i]), &zone), ERR_INVALID);
		assert_null(zone);
	}
}

/* A file made here: +1 h until 1000 s, then +2 h, in both blocks. */
static struct str zone_file(unsigned char *at, bool broken)
{
	static const unsigned char head[44] = {'T', 'Z', 'i', 'f', '2', [35] = 1, [39] = 2, [43] = 4};
	unsigned char *to = at;
	memcpy(to, head, 44);
	to += 44;
	memcpy(to, (unsigned char[]){0, 0, 3, 0xe8, 1}, 5);
	to += 5;
	static const unsigned char types[] = {0, 0, 0x0e, 0x10, 0, 0, 0, 0, 0x1c, 0x20, 1, 0, 'A', 'B', 'C', 0};
	memcpy(to, types, sizeof(types));
	to += sizeof(types);
	memcpy(to, head, 44);
	to += 44;
	memcpy(to, (unsigned char[]){0, 0, 0, 0, 0, 0, 3, 0xe8, broken ? 7 : 1}, 9);
	to += 9;
	memcpy(to, types, sizeof(types));
	to += sizeof(types);
	return str_make(at, (size_t)(to - at));
}

static void zone_files(void **state)
{
	unsigned char bytes[256];
	struct zone *zone;
	(void)state;
	struct str file = zone_file(bytes, false);
	assert_int_equal(zone_parse(file, &zone), ERR_OK);
	assert_int_equal(zone_offset_s(zone, 999), 3600);
	assert_int_equal(zone_offset_s(zone, 1000), 7200);
	assert_int_equal(zone_offset_s(zone, INT64_MAX / 2), 7200);
	zone_destroy(&zone);
	for (size_t len = 0; len < file.len; len++) {
		assert_int_equal(zone_parse(str_sub(file, 0, len), &zone), ERR_INVALID);
	}
	assert_int_equal(zone_parse(zone_file(bytes, true), &zone), ERR_INVALID);
}

/* Where the system has zoneinfo: months begin at local midnight, in summer and winter. */
static void named_zone(void **state)
{
	struct zone *zone;
	(void)state;
	if (zone_load(STR("Europe/Berlin"), &zone) != ERR_OK) {
		skip();
	}
	assert_int_equal(zone_month_start_us(zone, month_of("2026-01")), 1767225600 * S - 3600 * S);
	assert_int_equal(zone_month_start_us(zone, month_of("2026-07")), 1782864000 * S - 7200 * S);
	zone_destroy(&zone);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(own_catalogue), cmocka_unit_test(bad_catalogues), cmocka_unit_test(finding),
		cmocka_unit_test(costs), cmocka_unit_test(tokens), cmocka_unit_test(room), cmocka_unit_test(thresholds),
		cmocka_unit_test(calendar), cmocka_unit_test(fixed_zones), cmocka_unit_test(zone_files), cmocka_unit_test(named_zone),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
