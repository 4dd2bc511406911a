/* table.c - lists as tables that fit the screen, objects as lines. */
#include <stdlib.h>

#include "base/limits.h"
#include "cli/cli_priv.h"

#define COLUMNS_MAX 12
#define ROWS_MAX    10000
#define PAGE_ROWS   100
#define SHRUNK_MIN  6
#define GAP         2

struct table {
	const struct cli_column *columns;
	size_t column_count;
	struct str (*rows)[COLUMNS_MAX];
	size_t row_count;
	size_t row_max;
	size_t widths[COLUMNS_MAX];
};

struct json cli_member(struct json object, const char *path)
{
	struct str choices = str_of(path);
	struct str choice;
	struct json value = {0};

	while (str_split(&choices, '|', &choice)) {
		struct str name;

		value = object;
		while (str_split(&choice, '.', &name)) {
			value = json_member(value, name);
		}
		if (json_there(value) && json_kind(value) != JSON_NULL) {
			return value;
		}
	}
	return value;
}

struct str cli_text(struct cli *cli, struct json value)
{
	struct str text = STR("");
	struct json_out out;
	struct buf made;

	if (!json_there(value) || json_kind(value) == JSON_NULL) {
		return text;
	}
	if (!json_get_str(value, &text)) {
		buf_init(&made, LIMIT_BODY_BYTES);
		json_begin(&out, &made);
		json_put_value(&out, value);
		text = cli_clean_line(&cli->arena, buf_str(&made));
		buf_fini(&made);
		return text;
	}
	return cli_clean_line(&cli->arena, text);
}

/* 2026-01-02T03:04:05.678901Z, in UTC, as people read it. */
static struct str time_text(struct cli *cli, struct str text)
{
	if (text.len < 20 || text.at[10] != 'T') {
		return text;
	}
	return arena_format(&cli->arena, "%.10s %.8s", text.at, text.at + 11);
}

static struct str cell_text(struct cli *cli, const struct cli_column *column, struct json item)
{
	struct str text = cli_text(cli, cli_member(item, column->member));

	if (column->cell == CLI_CELL_TIME) {
		text = time_text(cli, text);
	} else if (column->cell == CLI_CELL_MONEY) {
		text = cli_money(cli, text);
	}
	return text.len ? text : STR("-");
}

/* Words whose colour says how it went. */
static enum cli_style state_style(struct str word)
{
	static const struct {
		struct str word;
		enum cli_style style;
	} rows[] = {
		{STR("completed"), CLI_GREEN},   {STR("active"), CLI_GREEN},     {STR("ok"), CLI_GREEN},
		{STR("changed"), CLI_GREEN},     {STR("failed"), CLI_RED},       {STR("timed_out"), CLI_RED},
		{STR("interrupted"), CLI_RED},   {STR("stopped"), CLI_RED},      {STR("archived"), CLI_RED},
		{STR("cancelled"), CLI_YELLOW},  {STR("paused"), CLI_YELLOW},    {STR("queued"), CLI_YELLOW},
		{STR("running"), CLI_YELLOW},    {STR("started"), CLI_YELLOW},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (str_eq(rows[i].word, word)) {
			return rows[i].style;
		}
	}
	return CLI_PLAIN;
}

/* Takes width from the widest column that may give, until all fit. Ids, times and numbers are of no use when cut. */
static void fit(struct table *table, size_t screen)
{
	for (;;) {
		size_t total = 0;
		size_t widest = COLUMNS_MAX;

		for (size_t i = 0; i < table->column_count; i++) {
			enum cli_cell cell = table->columns[i].cell;

			total += table->widths[i] + (i ? GAP : 0);
			if (cell == CLI_CELL_TEXT && table->widths[i] > SHRUNK_MIN &&
			    (widest == COLUMNS_MAX || table->widths[i] > table->widths[widest])) {
				widest = i;
			}
		}
		if (total <= screen || widest == COLUMNS_MAX) {
			return;
		}
		table->widths[widest]--;
	}
}

static void put_spaces(size_t count)
{
	printf("%*s", (int)count, "");
}

static void put_cell(const struct cli_term *term, const struct table *table, size_t column, struct str text,
		     enum cli_style style)
{
	size_t width = cli_text_width(text);
	size_t room = table->widths[column];
	bool last = column + 1 == table->column_count;
	bool right = table->columns[column].cell == CLI_CELL_NUMBER || table->columns[column].cell == CLI_CELL_MONEY;
	bool cut = width > room;

	if (cut) {
		text = cli_text_cut(text, room - 1);
		width = cli_text_width(text) + 1;
	}
	if (right) {
		put_spaces(room - width);
	}
	printf("%s%.*s%s%s", style ? cli_style(term, style) : "", STR_FMT(text), cut ? "…" : "",
	       style ? cli_style(term, CLI_PLAIN) : "");
	if (!right && !last) {
		put_spaces(room - width);
	}
	if (!last) {
		put_spaces(GAP);
	}
}

static void table_print(const struct cli_term *term, struct table *table)
{
	for (size_t i = 0; i < table->column_count; i++) {
		table->widths[i] = cli_text_width(str_of(table->columns[i].title));
		for (size_t row = 0; row < table->row_count; row++) {
			size_t width = cli_text_width(table->rows[row][i]);

			table->widths[i] = width > table->widths[i] ? width : table->widths[i];
		}
	}
	if (term->width) {
		fit(table, (size_t)term->width);
	}
	for (size_t i = 0; i < table->column_count; i++) {
		put_cell(term, table, i, str_of(table->columns[i].title), CLI_BOLD);
	}
	putchar('\n');
	for (size_t row = 0; row < table->row_count; row++) {
		for (size_t i = 0; i < table->column_count; i++) {
			struct str text = table->rows[row][i];
			bool state = table->columns[i].cell == CLI_CELL_STATE;

			put_cell(term, table, i, text, state ? state_style(text) : CLI_PLAIN);
		}
		putchar('\n');
	}
}

static void take_items(struct cli *cli, struct table *table, struct json items)
{
	struct json_iter iter = json_iter(items);
	struct json item;

	while (table->row_count < table->row_max && json_next(&iter, NULL, &item)) {
		for (size_t i = 0; i < table->column_count; i++) {
			table->rows[table->row_count][i] = cell_text(cli, &table->columns[i], item);
		}
		table->row_count++;
	}
}

/* The path of a page: limit, and the cursor of the page before. */
static struct str page_path(struct cli *cli, const struct buf *path, size_t limit, struct str cursor)
{
	struct buf made;
	struct str copy;
	char number[24];

	buf_init(&made, LIMIT_TARGET_BYTES * 2);
	buf_put_str(&made, buf_str(path));
	snprintf(number, sizeof(number), "%zu", limit);
	cli_path_query(&made, "limit", number);
	if (cursor.len) {
		cli_path_query(&made, "cursor", arena_copy(&cli->arena, cursor).at);
	}
	copy = arena_copy(&cli->arena, buf_str(&made));
	buf_fini(&made);
	return copy;
}

int cli_list(struct cli *cli, struct buf *path, const struct cli_column *columns, const char *nothing)
{
	struct table table = {.columns = columns};
	const char *given = cli_option(cli, "cursor");
	struct str cursor = given ? str_of(given) : STR("");
	bool more = true;
	struct cli_reply reply;
	int64_t limit;
	int code = cli_number(cli, "limit", 50, ROWS_MAX, &limit);

	while (columns[table.column_count].title) {
		table.column_count++;
	}
	table.row_max = (size_t)limit;
	table.rows = code ? NULL : arena_alloc(&cli->arena, table.row_max * sizeof(*table.rows));
	if (!code && !table.rows) {
		code = cli_fail(CLI_FAILED, "not enough memory for %lld rows", (long long)limit);
	}
	while (!code && more && table.row_count < table.row_max) {
		size_t left = table.row_max - table.row_count;
		struct str target = page_path(cli, path, left < PAGE_ROWS ? left : PAGE_ROWS, cursor);

		code = cli_request(cli, "GET", target, STR_NONE, &reply);
		if (!code && cli->json) {
			code = cli_print_json(cli, reply.text);
			break;
		}
		if (!code) {
			take_items(cli, &table, json_member(reply.root, STR("items")));
			more = json_get_bool(json_member(reply.root, STR("has_more")), &more) && more &&
			       json_get_str(json_member(reply.root, STR("next_cursor")), &cursor) && cursor.len > 0;
		}
	}
	buf_fini(path);
	if (code || cli->json) {
		return code;
	}
	if (table.row_count == 0) {
		printf("%s\n", nothing);
	} else {
		table_print(&cli->term, &table);
	}
	fflush(stdout);
	if (more && cli->term.err) {
		fprintf(stderr, "(there are more; --limit N shows up to N)\n");
	}
	return CLI_OK;
}

/* ---- objects ---- */

static void put_text_lines(struct str text, int indent)
{
	struct str line;
	bool first = true;

	while (str_split(&text, '\n', &line)) {
		printf("%*s", first ? 0 : indent, "");
		cli_put_clean(stdout, line);
		putchar('\n');
		first = false;
	}
}

static int name_width(struct json object, int before)
{
	struct json_iter iter = json_iter(object);
	struct json value;
	struct str name;
	int widest = 0;

	while (json_next(&iter, &name, &value)) {
		bool nested = json_kind(value) == JSON_OBJECT && json_size(value) > 0;
		int width = nested ? name_width(value, before + (int)name.len + 1) : before + (int)name.len;

		widest = width > widest ? width : widest;
	}
	return widest;
}

static void put_members(struct cli *cli, struct json object, struct str prefix, int width)
{
	struct json_iter iter = json_iter(object);
	struct json value;
	struct str name;

	while (json_next(&iter, &name, &value)) {
		struct str clean = cli_clean_line(&cli->arena, name);
		struct str label = arena_format(&cli->arena, "%.*s%.*s", STR_FMT(prefix), STR_FMT(clean));
		struct str text;

		if (json_kind(value) == JSON_OBJECT && json_size(value) > 0) {
			label = arena_format(&cli->arena, "%.*s.", STR_FMT(label));
			put_members(cli, value, label, width);
			continue;
		}
		printf("%s%-*.*s%s  ", cli_style(&cli->term, CLI_DIM), width, STR_FMT(label), cli_style(&cli->term, CLI_PLAIN));
		if (!json_get_str(value, &text)) {
			text = cli_text(cli, value);
		}
		put_text_lines(text.len ? text : STR("-"), width + 2);
	}
}

void cli_record(struct cli *cli, struct json object)
{
	put_members(cli, object, STR(""), name_width(object, 0));
	fflush(stdout);
}

int cli_show(struct cli *cli, const char *collection)
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "GET", cli_path(cli, collection, cli->operands[0], NULL), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	cli_record(cli, reply.root);
	return cli_out_flush();
}
