/* config.c - where a setting comes from, what it may be, and a sentence that says where it is wrong. */
#include "app/config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/nearest.h"
#include "wire/utf8.h"

#define DETAIL_BYTES 512
#define US_PER_S     1000000
/* A name is shown up to here. */
#define NAME_BYTES 64

enum kind { TEXT, INT, SIZE, TIME_S, SWITCH, WORD };

enum { RELOAD_no, RELOAD_yes };

struct row {
	struct str section;
	struct str key;
	enum kind kind;
	struct str initial;
	int64_t min;
	int64_t max;
	bool reload;
	struct str doc;
};

static const struct row rows[CONFIG_COUNT] = {
#define SETTING(section, key, kind, def, min, max, reload, doc) \
	{STR(#section), STR(#key), kind, STR(def), min, max, RELOAD_##reload, STR(doc)},
#include "app/config.def"
#undef SETTING
};

static const struct {
	struct str name;
	enum config_id id;
} short_names[] = {
	{STR("GUILD_LISTEN"), CONFIG_server_listen},
	{STR("GUILD_DATA"), CONFIG_server_data},
};

/* Where a value was found: the front of every sentence about it. */
struct place {
	enum config_origin origin;
	const char *file;
	int line;
	struct str name; /* of the environment or the flag */
};

/* ---- sentences ---- */

__attribute__((format(printf, 3, 4))) static enum err refuse(char *detail, const struct place *place, const char *format, ...)
{
	int used = 0;
	va_list args;

	if (place->origin == CONFIG_FILE && place->line) {
		used = snprintf(detail, DETAIL_BYTES, "%.255s:%d: ", place->file, place->line);
	} else if (place->origin == CONFIG_FILE) {
		used = snprintf(detail, DETAIL_BYTES, "%.255s: ", place->file);
	} else if (place->origin == CONFIG_ENVIRONMENT) {
		used = snprintf(detail, DETAIL_BYTES, "environment %.*s: ", STR_FMT(str_sub(place->name, 0, NAME_BYTES)));
	} else {
		used = snprintf(detail, DETAIL_BYTES, "flag %.*s: ", STR_FMT(str_sub(place->name, 0, NAME_BYTES)));
	}
	va_start(args, format);
	vsnprintf(detail + used, DETAIL_BYTES - (size_t)used, format, args);
	va_end(args);
	/* What was mistyped may hold anything; the sentence goes to a terminal. */
	for (char *c = detail; *c; c++) {
		if ((unsigned char)*c < 0x20 || *c == 0x7f) {
			*c = '?';
		}
	}
	detail[utf8_whole(str_of(detail))] = 0;
	return ERR_CONFIG;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static enum err refuse_section(char *detail, const struct place *place, struct str section)
{
	struct nearest nearest = {.wanted = section};

	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		nearest_try(&nearest, rows[i].section);
	}
	section = str_sub(section, 0, NAME_BYTES);
	if (nearest.found.at) {
		return refuse(detail, place, "unknown section [%.*s]; did you mean [%.*s]?", STR_FMT(section),
			      STR_FMT(nearest.found));
	}
	return refuse(detail, place, "unknown section [%.*s]; `guild config show` lists all", STR_FMT(section));
}

static enum err refuse_key(char *detail, const struct place *place, struct str section, struct str key)
{
	struct nearest nearest = {.wanted = key};
	struct str shown = str_sub(key, 0, NAME_BYTES);

	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (str_eq(rows[i].section, section)) {
			nearest_try(&nearest, rows[i].key);
		}
	}
	if (nearest.found.at) {
		return refuse(detail, place, "unknown key '%.*s' in [%.*s]; did you mean '%.*s'?", STR_FMT(shown),
			      STR_FMT(section), STR_FMT(nearest.found));
	}
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (str_eq(rows[i].key, key)) {
			return refuse(detail, place, "unknown key '%.*s' in [%.*s]; it belongs to [%.*s]", STR_FMT(shown),
				      STR_FMT(section), STR_FMT(rows[i].section));
		}
	}
	return refuse(detail, place, "unknown key '%.*s' in [%.*s]; `guild config show` lists all", STR_FMT(shown),
		      STR_FMT(section));
}

/* ---- values ---- */

/* The words in the brackets at the end of a row's doc. */
static struct str row_words(const struct row *row)
{
	ptrdiff_t open = str_find_byte(row->doc, '[');

	check(open >= 0 && str_ends(row->doc, STR("]")));
	return str_sub(row->doc, (size_t)open + 1, row->doc.len - (size_t)open - 2);
}

static bool read_size(struct str text, int64_t *out)
{
	int64_t unit = 1;
	uint64_t number;

	if (text.len) {
		char last = lower(text.at[text.len - 1]);

		unit = last == 'k' ? 1 << 10 : last == 'm' ? 1 << 20 : last == 'g' ? 1 << 30 : 1;
		text.len -= unit > 1;
	}
	if (!str_to_u64(text, &number) || number > (uint64_t)(INT64_MAX / unit)) {
		return false;
	}
	*out = (int64_t)number * unit;
	return true;
}

static bool read_time(struct str text, int64_t *out)
{
	struct str rest = text;
	struct str whole;
	uint64_t seconds;
	int64_t fraction = 0;
	int64_t scale = US_PER_S;

	if (!str_split(&rest, '.', &whole) || !str_to_u64(whole, &seconds) || seconds > INT64_MAX / US_PER_S - 1) {
		return false;
	}
	if (rest.at && (rest.len == 0 || rest.len > 6)) {
		return false;
	}
	for (size_t i = 0; rest.at && i < rest.len; i++) {
		if (rest.at[i] < '0' || rest.at[i] > '9') {
			return false;
		}
		scale /= 10;
		fraction += (rest.at[i] - '0') * scale;
	}
	*out = (int64_t)seconds * US_PER_S + fraction;
	return true;
}

static enum err check_word(const struct row *row, const struct place *place, struct str text, char *detail)
{
	struct str words = row_words(row);
	struct str rest = words;
	struct nearest nearest = {.wanted = text};
	struct str word;

	while (str_split(&rest, ' ', &word)) {
		if (str_eq(word, text)) {
			return ERR_OK;
		}
		nearest_try(&nearest, word);
	}
	text = str_sub(text, 0, NAME_BYTES);
	if (nearest.found.at) {
		return refuse(detail, place, "%.*s.%.*s = '%.*s' has to be one of: %.*s; did you mean '%.*s'?",
			      STR_FMT(row->section), STR_FMT(row->key), STR_FMT(text), STR_FMT(words),
			      STR_FMT(nearest.found));
	}
	return refuse(detail, place, "%.*s.%.*s = '%.*s' has to be one of: %.*s", STR_FMT(row->section),
		      STR_FMT(row->key), STR_FMT(text), STR_FMT(words));
}

static enum err check_text(const struct row *row, const struct place *place, struct str text, char *detail)
{
	if (!utf8_valid(text)) {
		return refuse(detail, place, "%.*s.%.*s is not valid UTF-8", STR_FMT(row->section), STR_FMT(row->key));
	}
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.at[i] < 0x20 || text.at[i] == 0x7f) {
			return refuse(detail, place, "%.*s.%.*s holds a control byte", STR_FMT(row->section),
				      STR_FMT(row->key));
		}
	}
	if (text.len == 0 && row->min > 0) {
		return refuse(detail, place, "%.*s.%.*s is empty; leave the line out for the default '%.*s'",
			      STR_FMT(row->section), STR_FMT(row->key), STR_FMT(row->initial));
	}
	if ((int64_t)text.len < row->min || (int64_t)text.len > row->max) {
		return refuse(detail, place, "%.*s.%.*s has %zu bytes; allowed are %lld to %lld", STR_FMT(row->section),
			      STR_FMT(row->key), text.len, (long long)row->min, (long long)row->max);
	}
	return ERR_OK;
}

static const char *kind_sentence(enum kind kind)
{
	static const char *const sentences[] = {
		[INT] = "a whole number",
		[SIZE] = "a number of bytes (with k, m or g behind it for 1024, 1024^2, 1024^3)",
		[TIME_S] = "a number of seconds (like 5 or 0.25)",
	};

	return sentences[kind];
}

static enum err check_number(const struct row *row, const struct place *place, struct str text, int64_t *number,
			     char *detail)
{
	int64_t unit = row->kind == TIME_S ? US_PER_S : 1;
	bool is_one = false;

	if (row->kind == INT) {
		is_one = str_to_i64(text, number);
	} else if (row->kind == SIZE) {
		is_one = read_size(text, number);
	} else {
		is_one = read_time(text, number);
	}
	if (!is_one || *number < row->min * unit || *number > row->max * unit) {
		return refuse(detail, place, "%.*s.%.*s = '%.*s' has to be %s from %lld to %lld", STR_FMT(row->section),
			      STR_FMT(row->key), STR_FMT(str_sub(text, 0, NAME_BYTES)), kind_sentence(row->kind),
			      (long long)row->min, (long long)row->max);
	}
	return ERR_OK;
}

static enum err set_value(struct config *config, size_t id, const struct place *place, struct str text, char *detail)
{
	const struct row *row = &rows[id];
	struct config_value value = {.origin = place->origin, .line = place->line};
	enum err err = ERR_OK;

	text = str_trim(text);
	if (row->kind == TEXT) {
		err = check_text(row, place, text, detail);
	} else if (row->kind == WORD) {
		err = check_word(row, place, text, detail);
	} else if (row->kind == SWITCH) {
		value.number = str_eq(text, STR("on"));
		if (!value.number && !str_eq(text, STR("off"))) {
			err = refuse(detail, place, "%.*s.%.*s = '%.*s' has to be on or off", STR_FMT(row->section),
				     STR_FMT(row->key), STR_FMT(str_sub(text, 0, NAME_BYTES)));
		}
	} else {
		err = check_number(row, place, text, &value.number, detail);
	}
	if (err) {
		return err;
	}
	value.text = arena_copy(&config->arena, text);
	if (!value.text.at) {
		return refuse(detail, place, "the settings do not fit in memory");
	}
	config->values[id] = value;
	return ERR_OK;
}

/* The setting's number, or -1. */
static int find_row(struct str section, struct str key)
{
	for (int i = 0; i < CONFIG_COUNT; i++) {
		if (str_eq(rows[i].section, section) && str_eq(rows[i].key, key)) {
			return i;
		}
	}
	return -1;
}

/* The table's own text of a section's name, at NULL when there is no such section. */
static struct str find_section(struct str name)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		if (str_eq(rows[i].section, name)) {
			return rows[i].section;
		}
	}
	return STR_NONE;
}

/* ---- file ---- */

static enum err read_file(const char *path, struct buf *out, char *detail)
{
	struct place place = {.origin = CONFIG_FILE, .file = path};
	enum err err = ERR_OK;
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t got = 1;
	struct stat status;

	if (fd < 0) {
		return refuse(detail, &place, "cannot be opened: %s", strerror(errno));
	}
	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
		err = refuse(detail, &place, "is not a file");
	}
	while (!err && got > 0) {
		char *room = buf_reserve(out, 4096);

		if (!room) {
			err = refuse(detail, &place, "is greater than %d bytes, which no configuration is",
				     LIMIT_CONFIG_BYTES);
			break;
		}
		got = read(fd, room, 4096);
		if (got < 0) {
			err = refuse(detail, &place, "cannot be read: %s", strerror(errno));
		} else {
			out->len += (size_t)got;
		}
	}
	close(fd);
	return err;
}

static enum err read_line(struct config *config, const struct place *place, struct str line, struct str *section,
			  char *detail)
{
	ptrdiff_t equals = str_find_byte(line, '=');
	struct str key;
	int id;

	if (line.at[0] == '[') {
		struct str name = str_trim(str_sub(line, 1, line.len - 2));

		if (line.len < 3 || line.at[line.len - 1] != ']') {
			return refuse(detail, place, "a section is written as [name]");
		}
		*section = find_section(name);
		return section->at ? ERR_OK : refuse_section(detail, place, name);
	}
	if (equals < 0) {
		return refuse(detail, place, "a line is `key = value`, `[section]` or `# comment`");
	}
	key = str_trim(str_sub(line, 0, (size_t)equals));
	if (!section->at) {
		return refuse(detail, place, "key '%.*s' stands before the first [section]",
			      STR_FMT(str_sub(key, 0, NAME_BYTES)));
	}
	id = find_row(*section, key);
	if (id < 0) {
		return refuse_key(detail, place, *section, key);
	}
	if (config->values[id].origin == CONFIG_FILE) {
		return refuse(detail, place, "%.*s.%.*s is set twice; first on line %d", STR_FMT(*section), STR_FMT(key),
			      config->values[id].line);
	}
	return set_value(config, (size_t)id, place, str_sub(line, (size_t)equals + 1, line.len), detail);
}

static enum err load_file(struct config *config, const char *file, char *detail)
{
	struct place place = {.origin = CONFIG_FILE, .file = file};
	struct str section = STR_NONE;
	struct str line;
	struct str rest;
	struct buf content;
	enum err err;

	buf_init(&content, LIMIT_CONFIG_BYTES);
	err = read_file(file, &content, detail);
	rest = buf_str(&content);
	if (str_starts(rest, STR("\xef\xbb\xbf"))) {
		rest = str_sub(rest, 3, rest.len);
	}
	while (!err && str_split(&rest, '\n', &line)) {
		place.line++;
		line = str_trim(line);
		if (line.len && line.at[0] != '#' && line.at[0] != ';') {
			err = read_line(config, &place, line, &section, detail);
		}
	}
	buf_fini(&content);
	return err;
}

/* ---- environment and flags ---- */

/* True when upper is lower's text in capitals. */
static bool is_upper_of(struct str upper, struct str lowercase)
{
	if (upper.len != lowercase.len) {
		return false;
	}
	for (size_t i = 0; i < upper.len; i++) {
		if ((upper.at[i] >= 'a' && upper.at[i] <= 'z') || lower(upper.at[i]) != lowercase.at[i]) {
			return false;
		}
	}
	return true;
}

/* Splits SECTION_KEY; section at NULL when no section starts like that: the name is somebody else's. */
static void split_variable(struct str name, struct str *section, struct str *key)
{
	*section = STR_NONE;
	for (size_t i = 0; i < CONFIG_COUNT && !section->at; i++) {
		size_t len = rows[i].section.len;

		if (name.len > len && name.at[len] == '_' && is_upper_of(str_sub(name, 0, len), rows[i].section)) {
			*section = rows[i].section;
			*key = str_sub(name, len + 1, name.len);
		}
	}
}

static enum err load_variable(struct config *config, struct str name, struct str value, char *detail)
{
	struct place place = {.origin = CONFIG_ENVIRONMENT, .name = name};
	struct str section;
	struct str key;
	char lowered[NAME_BYTES];
	int id;

	split_variable(str_sub(name, sizeof("GUILD_") - 1, name.len), &section, &key);
	if (!section.at) {
		return ERR_OK;
	}
	key = str_sub(key, 0, sizeof(lowered));
	for (size_t i = 0; i < key.len; i++) {
		lowered[i] = lower(key.at[i]);
	}
	key.at = lowered;
	id = find_row(section, key);
	return id < 0 ? refuse_key(detail, &place, section, key) : set_value(config, (size_t)id, &place, value, detail);
}

static enum err load_short_name(struct config *config, struct str name, struct str value, char *detail)
{
	struct place place = {.origin = CONFIG_ENVIRONMENT, .name = name};

	for (size_t i = 0; i < sizeof(short_names) / sizeof(short_names[0]); i++) {
		if (str_eq(name, short_names[i].name)) {
			return set_value(config, short_names[i].id, &place, value, detail);
		}
	}
	return ERR_OK;
}

static enum err load_environment(struct config *config, char *const *environment, char *detail)
{
	enum err err = ERR_OK;

	/* Short names first: the long ones say more and win. */
	for (int pass = 0; pass < 2; pass++) {
		for (char *const *entry = environment; *entry && !err; entry++) {
			struct str value = str_of(*entry);
			struct str name;

			if (str_starts(value, STR("GUILD_")) && str_split(&value, '=', &name) && value.at) {
				err = pass ? load_variable(config, name, value, detail)
					   : load_short_name(config, name, value, detail);
			}
		}
	}
	return err;
}

static enum err load_flag(struct config *config, const struct config_flag *flag, char *detail)
{
	struct place place = {.origin = CONFIG_FLAG, .name = str_of(flag->name)};
	struct str key = str_of(flag->name);
	struct str section;
	struct str known;
	int id;

	if (!str_split(&key, '.', &section) || !key.at || key.len == 0) {
		return refuse(detail, &place, "a setting is named section.key, like server.listen");
	}
	known = find_section(section);
	if (!known.at) {
		return refuse_section(detail, &place, section);
	}
	id = find_row(known, key);
	if (id < 0) {
		return refuse_key(detail, &place, known, key);
	}
	return set_value(config, (size_t)id, &place, str_of(flag->value), detail);
}

/* ---- public ---- */

enum err config_load(struct config *config, const char *file, char *const *environment, const struct config_flag *flags,
		     size_t flag_count, char *detail)
{
	struct place builtin = {.origin = CONFIG_DEFAULT};
	enum err err = ERR_OK;

	*config = (struct config){.file = STR_NONE};
	arena_init(&config->arena, 4 * (size_t)LIMIT_CONFIG_BYTES);
	detail[0] = 0;
	for (size_t i = 0; i < CONFIG_COUNT && !err; i++) {
		err = set_value(config, i, &builtin, rows[i].initial, detail);
	}
	if (!err && file) {
		config->file = arena_copy(&config->arena, str_of(file));
		err = load_file(config, file, detail);
	}
	if (!err && environment) {
		err = load_environment(config, environment, detail);
	}
	for (size_t i = 0; i < flag_count && !err; i++) {
		err = load_flag(config, &flags[i], detail);
	}
	if (err) {
		config_fini(config);
	}
	return err;
}

void config_fini(struct config *config)
{
	arena_fini(&config->arena);
	*config = (struct config){.file = STR_NONE};
}

void config_show(const struct config *config, bool origin, struct buf *out)
{
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct config_value *value = &config->values[i];

		if (i == 0 || !str_eq(rows[i].section, rows[i - 1].section)) {
			buf_format(out, "%s[%.*s]\n", i ? "\n" : "", STR_FMT(rows[i].section));
		}
		if (origin && value->origin == CONFIG_FILE) {
			buf_format(out, "# from %.*s:%d\n", STR_FMT(config->file), value->line);
		} else if (origin) {
			static const char *const words[] = {[CONFIG_DEFAULT] = "the default", [CONFIG_FILE] = "the file",
							    [CONFIG_ENVIRONMENT] = "the environment", [CONFIG_FLAG] = "a flag"};

			buf_format(out, "# from %s\n", words[value->origin]);
		}
		buf_format(out, "%.*s =%s%.*s\n", STR_FMT(rows[i].key), value->text.len ? " " : "", STR_FMT(value->text));
	}
}

/* What a value may be, in the table's last but one column. */
static void put_allowed(struct buf *out, const struct row *row)
{
	if (row->kind == SWITCH) {
		buf_format(out, "`on` `off`");
	} else if (row->kind == WORD) {
		struct str rest = row_words(row);
		const char *space = "";
		struct str word;

		while (str_split(&rest, ' ', &word)) {
			buf_format(out, "%s`%.*s`", space, STR_FMT(word));
			space = " ";
		}
	} else {
		static const char *const units[] = {[TEXT] = "bytes of text", [INT] = "", [SIZE] = "bytes", [TIME_S] = "s"};

		buf_format(out, "%lld to %lld %s", (long long)row->min, (long long)row->max, units[row->kind]);
	}
}

void config_docs(struct buf *out)
{
	buf_format(out, "# Settings\n\nFlags win over the environment, the environment over the file, the file over the "
			"defaults.\nSizes take `k`, `m` or `g` behind the number; times are seconds, with a fraction when "
			"wanted.\n`GUILD_LISTEN` and `GUILD_DATA` are short for `GUILD_SERVER_LISTEN` and "
			"`GUILD_SERVER_DATA`.\n");
	for (size_t i = 0; i < CONFIG_COUNT; i++) {
		const struct row *row = &rows[i];
		struct str doc = row->doc;

		if (i == 0 || !str_eq(row->section, rows[i - 1].section)) {
			buf_format(out, "\n## [%.*s]\n\n| key | environment | default | allowed | what | SIGHUP |\n"
					"|---|---|---|---|---|---|\n", STR_FMT(row->section));
		}
		if (row->kind == WORD) {
			doc = str_trim(str_sub(doc, 0, (size_t)str_find_byte(doc, '[')));
		}
		buf_format(out, "| `%.*s` | `GUILD_", STR_FMT(row->key));
		for (size_t part = 0; part < 2; part++) {
			struct str name = part ? row->key : row->section;

			for (size_t j = 0; j < name.len; j++) {
				buf_put_byte(out, name.at[j] >= 'a' && name.at[j] <= 'z' ? (char)(name.at[j] - 'a' + 'A')
											  : name.at[j]);
			}
			buf_put_str(out, part ? STR("` | ") : STR("_"));
		}
		if (row->initial.len) {
			buf_format(out, "`%.*s`", STR_FMT(row->initial));
		}
		buf_put_str(out, STR(" | "));
		put_allowed(out, row);
		buf_format(out, " | %.*s | %s |\n", STR_FMT(doc), row->reload ? "yes" : "no");
	}
}
