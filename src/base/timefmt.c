/* timefmt.c - proleptic Gregorian calendar by counting days from 1 March, leap days thus at a year's end. */
#include "base/timefmt.h"

#define DAY_S 86400
/* 0000-01-01T00:00:00 and the last microsecond of 9999. */
#define UNIX_US_MIN (INT64_C(-62167219200) * 1000000)
#define UNIX_US_MAX (INT64_C(253402300800) * 1000000 - 1)

struct civil {
	int64_t year;
	unsigned month, day;
};

static int64_t days_from_civil(struct civil date)
{
	int64_t year = date.year - (date.month <= 2);
	int64_t era = (year >= 0 ? year : year - 399) / 400;
	int64_t year_of_era = year - era * 400;
	int64_t day_of_year = (153 * ((int64_t)date.month + (date.month > 2 ? -3 : 9)) + 2) / 5 + date.day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

static struct civil civil_from_days(int64_t days)
{
	int64_t shifted = days + 719468;
	int64_t era = (shifted >= 0 ? shifted : shifted - 146096) / 146097;
	int64_t day_of_era = shifted - era * 146097;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month = (5 * day_of_year + 2) / 153;
	struct civil date;

	date.day = (unsigned)(day_of_year - (153 * month + 2) / 5 + 1);
	date.month = (unsigned)(month < 10 ? month + 3 : month - 9);
	date.year = year_of_era + era * 400 + (date.month <= 2);
	return date;
}

static void put_digits(char *out, int64_t value, unsigned digits)
{
	for (unsigned i = digits; i > 0; i--) {
		out[i - 1] = (char)('0' + value % 10);
		value /= 10;
	}
}

struct time_text time_format(int64_t unix_us)
{
	struct time_text out = {"0000-00-00T00:00:00.000000Z"};
	int64_t second, day_second, days;
	struct civil date;

	if (unix_us < UNIX_US_MIN) {
		unix_us = UNIX_US_MIN;
	}
	if (unix_us > UNIX_US_MAX) {
		unix_us = UNIX_US_MAX;
	}
	unix_us -= UNIX_US_MIN;
	second = unix_us / 1000000;
	days = second / DAY_S;
	day_second = second % DAY_S;
	date = civil_from_days(days + UNIX_US_MIN / 1000000 / DAY_S);
	put_digits(out.text, date.year, 4);
	put_digits(out.text + 5, date.month, 2);
	put_digits(out.text + 8, date.day, 2);
	put_digits(out.text + 11, day_second / 3600, 2);
	put_digits(out.text + 14, day_second / 60 % 60, 2);
	put_digits(out.text + 17, day_second % 60, 2);
	put_digits(out.text + 20, unix_us % 1000000, 6);
	return out;
}

/* Takes exactly that many digits off the front of *rest. */
static bool take_number(struct str *rest, unsigned digits, unsigned max, unsigned *out)
{
	uint64_t value;

	if (rest->len < digits || !str_to_u64(str_sub(*rest, 0, digits), &value) || value > max) {
		return false;
	}
	*out = (unsigned)value;
	*rest = str_sub(*rest, digits, rest->len);
	return true;
}

static bool take_byte(struct str *rest, char upper, char other)
{
	if (rest->len == 0 || (rest->at[0] != upper && rest->at[0] != other)) {
		return false;
	}
	*rest = str_sub(*rest, 1, rest->len);
	return true;
}

static unsigned month_days(int64_t year, unsigned month)
{
	static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap ? 1 : 0);
}

static bool take_date(struct str *rest, int64_t *days)
{
	struct civil date;
	unsigned year;

	if (!take_number(rest, 4, 9999, &year) || !take_byte(rest, '-', '-') ||
	    !take_number(rest, 2, 12, &date.month) || !take_byte(rest, '-', '-') ||
	    !take_number(rest, 2, 31, &date.day) || date.month == 0 || date.day == 0) {
		return false;
	}
	date.year = year;
	if (date.day > month_days(date.year, date.month)) {
		return false;
	}
	*days = days_from_civil(date);
	return true;
}

/* "." and 1 to 9 digits, or nothing. */
static bool take_fraction(struct str *rest, int64_t *micros)
{
	unsigned digits = 0, digit;

	*micros = 0;
	if (!take_byte(rest, '.', '.')) {
		return true;
	}
	while (take_number(rest, 1, 9, &digit)) {
		if (digits < 6) {
			*micros = *micros * 10 + digit;
		}
		digits++;
	}
	for (unsigned i = digits; i < 6; i++) {
		*micros *= 10;
	}
	return digits >= 1 && digits <= 9;
}

static bool take_offset(struct str *rest, int64_t *offset_s)
{
	unsigned hours, minutes;
	bool west;

	*offset_s = 0;
	if (take_byte(rest, 'Z', 'z')) {
		return true;
	}
	west = rest->len > 0 && rest->at[0] == '-';
	if (!take_byte(rest, '+', '-') || !take_number(rest, 2, 23, &hours) || !take_byte(rest, ':', ':') ||
	    !take_number(rest, 2, 59, &minutes)) {
		return false;
	}
	*offset_s = (int64_t)hours * 3600 + (int64_t)minutes * 60;
	if (west) {
		*offset_s = -*offset_s;
	}
	return true;
}

enum err time_parse(struct str text, int64_t *unix_us)
{
	int64_t days, micros, offset_s, seconds, found;
	unsigned hour, minute, second;

	if (!take_date(&text, &days) || !take_byte(&text, 'T', 't') || !take_number(&text, 2, 23, &hour) ||
	    !take_byte(&text, ':', ':') || !take_number(&text, 2, 59, &minute) || !take_byte(&text, ':', ':') ||
	    !take_number(&text, 2, 60, &second) || !take_fraction(&text, &micros) || !take_offset(&text, &offset_s) ||
	    text.len != 0) {
		return ERR_INVALID;
	}
	seconds = days * DAY_S + hour * 3600 + minute * 60 + second - offset_s;
	/* A leap second ends a UTC day; it is counted as the first second of the next. */
	if (second == 60 && seconds % DAY_S != 0) {
		return ERR_INVALID;
	}
	found = seconds * 1000000 + micros;
	if (found < UNIX_US_MIN || found > UNIX_US_MAX) {
		return ERR_INVALID;
	}
	*unix_us = found;
	return ERR_OK;
}
