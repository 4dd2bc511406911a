/* zone.c - reads zoneinfo files; days and months of the proleptic Gregorian calendar. */
#include "base/zone.h"

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "base/mem.h"

#define FOLDER "/usr/share/zoneinfo/"
#define DAY_S 86400

enum { HEAD_BYTES = 44, TYPE_BYTES = 6, OFFSET_MAX_S = 14 * 3600, TYPES_MAX = 256 };

struct change {
	int64_t at_s;
	int32_t offset_s; /* from then on */
};

struct zone {
	int32_t offset_s; /* before the first change */
	size_t count;
	struct change changes[];
};

/* Of one of the two blocks of a file. */
struct counts {
	size_t is_ut, is_std, leap, time, type, chars;
};

/* ---- numbers of a file ---- */

static int64_t be(const unsigned char *at, size_t bytes)
{
	uint64_t value = at[0] >= 0x80 ? UINT64_MAX : 0;
	for (size_t i = 0; i < bytes; i++) {
		value = value << 8 | at[i];
	}
	return (int64_t)value;
}

static bool head_read(struct str bytes, struct counts *out)
{
	const unsigned char *at = (const unsigned char *)bytes.at;
	if (bytes.len < HEAD_BYTES || memcmp(at, "TZif", 4) != 0) {
		return false;
	}
	size_t *const places[] = {&out->is_ut, &out->is_std, &out->leap, &out->time, &out->type, &out->chars};
	for (size_t i = 0; i < 6; i++) {
		int64_t value = be(at + 20 + 4 * i, 4);
		if (value < 0 || value > LIMIT_ZONE_BYTES) {
			return false;
		}
		*places[i] = (size_t)value;
	}
	return out->type >= 1 && out->type <= TYPES_MAX;
}

static size_t block_bytes(const struct counts *counts, size_t time_bytes)
{
	return counts->time * (time_bytes + 1) + counts->type * TYPE_BYTES + counts->chars + counts->leap * (time_bytes + 4) + counts->is_std +
	       counts->is_ut;
}

static enum err zone_make(size_t count, struct zone **out)
{
	struct zone *zone = mem_alloc(sizeof(*zone) + count * sizeof(struct change));
	if (zone != NULL) {
		zone->count = count;
	}
	*out = zone;
	return zone != NULL ? ERR_OK : ERR_MEMORY;
}

/* False: the block is none. */
static bool block_read(const unsigned char *at, const struct counts *counts, size_t time_bytes, struct zone *zone)
{
	const unsigned char *types = at + counts->time * time_bytes, *offsets = types + counts->time;
	int64_t before = INT64_MIN;
	int64_t first = be(offsets, 4);
	bool ok = first >= -2 * DAY_S && first <= 2 * DAY_S;
	zone->offset_s = (int32_t)first;
	for (size_t i = 0; ok && i < counts->time; i++) {
		int64_t offset = types[i] < counts->type ? be(offsets + types[i] * TYPE_BYTES, 4) : INT64_MAX;
		zone->changes[i] = (struct change){be(at + i * time_bytes, time_bytes), (int32_t)offset};
		ok = offset >= -2 * DAY_S && offset <= 2 * DAY_S && (i == 0 || zone->changes[i].at_s > before);
		before = zone->changes[i].at_s;
	}
	return ok;
}

enum err zone_parse(struct str bytes, struct zone **out)
{
	struct counts counts;
	size_t time_bytes = 4;
	*out = NULL;
	if (!head_read(bytes, &counts)) {
		return ERR_INVALID;
	}
	if (bytes.at[4] >= '2') { /* the same again, in 64 bits */
		bytes = str_sub(bytes, HEAD_BYTES + block_bytes(&counts, 4), bytes.len);
		time_bytes = 8;
		if (!head_read(bytes, &counts)) {
			return ERR_INVALID;
		}
	}
	if (bytes.len < HEAD_BYTES + block_bytes(&counts, time_bytes)) {
		return ERR_INVALID;
	}
	struct zone *zone;
	enum err err = zone_make(counts.time, &zone);
	if (err == ERR_OK && !block_read((const unsigned char *)bytes.at + HEAD_BYTES, &counts, time_bytes, zone)) {
		mem_free(zone);
		zone = NULL;
		err = ERR_INVALID;
	}
	*out = zone;
	return err;
}

/* ---- names ---- */

/* "+02:00" */
static bool fixed_read(struct str name, int32_t *offset_s)
{
	static const char form[] = "sdd:dd";
	if (name.len != sizeof(form) - 1 || (name.at[0] != '+' && name.at[0] != '-') || name.at[3] != ':') {
		return false;
	}
	int digits[4];
	for (size_t i = 0, n = 0; i < name.len; i++) {
		if (form[i] == 'd') {
			digits[n] = name.at[i] - '0';
			if (digits[n] < 0 || digits[n] > 9) {
				return false;
			}
			n++;
		}
	}
	int minutes = digits[2] * 10 + digits[3];
	int32_t seconds = ((digits[0] * 10 + digits[1]) * 60 + minutes) * 60;
	*offset_s = name.at[0] == '-' ? -seconds : seconds;
	return minutes < 60 && seconds <= OFFSET_MAX_S;
}

/* Such a name leads to nowhere but below the folder. */
static bool name_plain(struct str name)
{
	bool ok = name.len >= 1 && name.len <= LIMIT_ZONE_NAME && name.at[0] != '/';
	for (size_t i = 0; ok && i < name.len; i++) {
		char c = name.at[i];
		ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '/' || c == '_' || c == '-' || c == '+';
	}
	return ok;
}

static enum err file_load(struct str name, struct zone **out)
{
	char path[sizeof(FOLDER) + LIMIT_ZONE_NAME + 1] = FOLDER;
	str_to_z(name, path + sizeof(FOLDER) - 1, LIMIT_ZONE_NAME + 1);
	FILE *file = fopen(path, "re");
	char *text = file != NULL ? mem_alloc(LIMIT_ZONE_BYTES) : NULL;
	enum err err = file != NULL && text == NULL ? ERR_MEMORY : ERR_INVALID;
	if (text != NULL) {
		err = zone_parse(str_make(text, fread(text, 1, LIMIT_ZONE_BYTES, file)), out);
	}
	if (file != NULL) {
		fclose(file);
	}
	mem_free(text);
	return err;
}

enum err zone_load(struct str name, struct zone **out)
{
	int32_t offset_s = 0;
	*out = NULL;
	if (str_eq(name, STR("UTC")) || fixed_read(name, &offset_s)) {
		enum err err = zone_make(0, out);
		if (err == ERR_OK) {
			(*out)->offset_s = offset_s;
		}
		return err;
	}
	return name_plain(name) ? file_load(name, out) : ERR_INVALID;
}

void zone_destroy(struct zone **zone)
{
	mem_free(*zone);
	*zone = NULL;
}

/* ---- the calendar ---- */

int64_t zone_offset_s(const struct zone *zone, int64_t unix_s)
{
	if (zone == NULL) {
		return 0;
	}
	size_t low = 0, high = zone->count;
	while (low < high) {
		size_t middle = (low + high) / 2;
		if (zone->changes[middle].at_s <= unix_s) {
			low = middle + 1;
		} else {
			high = middle;
		}
	}
	return low > 0 ? zone->changes[low - 1].offset_s : zone->offset_s;
}

static int64_t floor_div(int64_t value, int64_t by)
{
	return value / by - (value % by < 0);
}

/* Days since 1970-01-01 of the first of a month. Years are counted from March, so that the leap day is a year's last. */
static int64_t month_day(int64_t month)
{
	int64_t march = month - 2;
	int64_t year = floor_div(march, 12), of_year = march - year * 12;
	int64_t era = floor_div(year, 400), of_era = year - era * 400;
	return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * of_year + 2) / 5 - 719468;
}

static int64_t day_month(int64_t day)
{
	int64_t month = 1970 * 12 + floor_div(day * 400 * 12, 146097); /* at most one off */
	while (month_day(month) > day) {
		month--;
	}
	while (month_day(month + 1) <= day) {
		month++;
	}
	return month;
}

int64_t zone_day(const struct zone *zone, int64_t unix_us)
{
	int64_t unix_s = floor_div(unix_us, 1000000);
	return floor_div(unix_s + zone_offset_s(zone, unix_s), DAY_S);
}

int64_t zone_month(const struct zone *zone, int64_t unix_us)
{
	return day_month(zone_day(zone, unix_us));
}

int64_t zone_month_start_us(const struct zone *zone, int64_t month)
{
	int64_t local_s = month_day(month) * DAY_S;
	int64_t unix_s = local_s - zone_offset_s(zone, local_s);
	unix_s = local_s - zone_offset_s(zone, unix_s);
	return unix_s * 1000000;
}

/* Four digits of year and two of month, and of day where that is not 0. */
static struct zone_text text_of(int64_t month, int64_t day)
{
	struct zone_text out;
	unsigned year = (unsigned)(month / 12) % 10000u, number = (unsigned)(month % 12) % 12u + 1;
	if (day == 0) {
		snprintf(out.text, sizeof(out.text), "%04u-%02u", year, number);
	} else {
		snprintf(out.text, sizeof(out.text), "%04u-%02u-%02u", year, number, (unsigned)day % 32u);
	}
	return out;
}

struct zone_text zone_month_text(int64_t month)
{
	return text_of(month, 0);
}

struct zone_text zone_day_text(int64_t day)
{
	int64_t month = day_month(day);
	return text_of(month, day - month_day(month) + 1);
}

enum err zone_month_parse(struct str text, int64_t *month)
{
	int64_t year, number;
	if (text.len != 7 || text.at[4] != '-' || text.at[0] == '-' || text.at[5] == '-' || !str_to_i64(str_sub(text, 0, 4), &year) ||
	    !str_to_i64(str_sub(text, 5, 2), &number) || year < 1970 || number < 1 || number > 12) {
		return ERR_INVALID;
	}
	*month = year * 12 + number - 1;
	return ERR_OK;
}
