/*
 * json_number.c - doubles to shortest decimals and back, whatever the locale's decimal point is.
 */
#include "wire/json_priv.h"

#include <errno.h>
#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

#define EXACT_INTEGER_MAX 9007199254740992.0 /* 2^53 */
#define EXACT_TEN_POWER_MAX 22               /* 10^22 is the last power of ten a double holds exactly */
#define DIGITS_KEPT_MAX 800                  /* halfway between two doubles there are at most 767 digits */
#define EXPONENT_MAX INT64_C(1000000000)
#define PLAIN_POINT_MAX 21                   /* ECMAScript: below 10^21 without exponent */
#define PLAIN_POINT_MIN (-5)                 /* and from 10^-6 on */

static const double ten_powers[EXACT_TEN_POWER_MAX + 1] = {
	1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
	1e21, 1e22};

/* value rounded to count digits; returns the exponent of the first one. */
static int round_digits(double value, int count, char *digits)
{
	char text[48];
	snprintf(text, sizeof(text), "%.*e", count - 1, value);
	int have = 0;
	const char *p = text;
	for (; *p && *p != 'e'; p++)
		if (*p >= '0' && *p <= '9' && have < count)
			digits[have++] = *p;
	return *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
}

static bool reads_back(const char *digits, int count, int exponent, double value)
{
	char text[48];
	snprintf(text, sizeof(text), "%.*se%d", count, digits, exponent - (count - 1));
	return strtod(text, NULL) == value;
}

/* One more in the last digit. */
static void step_up(char *digits, int count, int *exponent)
{
	int i = count - 1;
	while (i >= 0 && digits[i] == '9')
		digits[i--] = '0';
	if (i >= 0) {
		digits[i]++;
	} else {
		digits[0] = '1';
		(*exponent)++;
	}
}

size_t json_shortest(double value, char digits[JSON_DIGITS_MAX], int *point)
{
	int binary_exponent;
	/* Below a power of two doubles are twice as dense: the nearest decimal may miss while the next one above hits. */
	bool power_of_two = frexp(value, &binary_exponent) == 0.5;
	int exponent = 0;
	int count = value < DBL_MIN ? 1 : DBL_DIG;
	for (; count <= JSON_DIGITS_MAX; count++) {
		exponent = round_digits(value, count, digits);
		if (count == JSON_DIGITS_MAX || reads_back(digits, count, exponent, value))
			break;
		if (!power_of_two)
			continue;
		step_up(digits, count, &exponent);
		if (reads_back(digits, count, exponent, value))
			break;
	}
	while (count > 1 && digits[count - 1] == '0')
		count--;
	*point = exponent + 1;
	return (size_t)count;
}

static size_t put_zeros(char *to, int count)
{
	for (int i = 0; i < count; i++)
		to[i] = '0';
	return count > 0 ? (size_t)count : 0;
}

/* d.ddde+x */
static size_t format_exponent(char *to, const char *digits, size_t count, int point)
{
	size_t len = 0;
	to[len++] = digits[0];
	if (count > 1) {
		to[len++] = '.';
		memcpy(to + len, digits + 1, count - 1);
		len += count - 1;
	}
	return len + (size_t)sprintf(to + len, "e%+d", point - 1);
}

static size_t format_plain(char *to, const char *digits, size_t count, int point)
{
	size_t len = 0;
	if (point <= 0) {
		to[len++] = '0';
		to[len++] = '.';
		len += put_zeros(to + len, -point);
		memcpy(to + len, digits, count);
		return len + count;
	}
	size_t whole = (size_t)point < count ? (size_t)point : count;
	memcpy(to, digits, whole);
	len = whole + put_zeros(to + whole, point - (int)count);
	if (whole < count) {
		to[len++] = '.';
		memcpy(to + len, digits + whole, count - whole);
		len += count - whole;
	}
	return len;
}

void json_put_number(struct buf *buf, double value, bool exact_integers)
{
	check(isfinite(value));
	double size = fabs(value);
	if (size < EXACT_INTEGER_MAX && size == (double)(int64_t)size) {
		buf_put_i64(buf, (int64_t)value);
		return;
	}
	char digits[JSON_DIGITS_MAX];
	char text[64];
	int point;
	size_t len = 0;
	if (value < 0)
		text[len++] = '-';
	size_t count = json_shortest(size, digits, &point);
	bool plain = point >= PLAIN_POINT_MIN && point <= PLAIN_POINT_MAX && !(exact_integers && size >= EXACT_INTEGER_MAX);
	len += plain ? format_plain(text + len, digits, count, point) : format_exponent(text + len, digits, count, point);
	buf_put(buf, text, len);
}

struct decimal {
	char digits[DIGITS_KEPT_MAX + 1]; /* without leading zeros; one more stands for all that were cut */
	size_t count;
	int64_t exponent; /* of the last digit kept */
};

static void add_digits(struct decimal *decimal, struct str digits, bool is_fraction)
{
	for (size_t i = 0; i < digits.len; i++) {
		char c = digits.at[i];
		bool kept = decimal->count < DIGITS_KEPT_MAX;
		if (kept && (decimal->count > 0 || c != '0'))
			decimal->digits[decimal->count++] = c;
		else if (!kept && c != '0')
			decimal->digits[DIGITS_KEPT_MAX] = '1';
		if (kept == is_fraction)
			decimal->exponent += is_fraction ? -1 : 1;
	}
}

/* Few digits and a small exponent: one rounding only (Clinger 1990). False when that does not apply. */
static bool to_double_fast(struct str whole, struct str fraction, int64_t exponent, double *out)
{
	if (FLT_EVAL_METHOD != 0 || whole.len + fraction.len > DBL_DIG)
		return false;
	uint64_t mantissa = 0;
	for (size_t i = 0; i < whole.len; i++)
		mantissa = mantissa * 10 + (uint64_t)(whole.at[i] - '0');
	for (size_t i = 0; i < fraction.len; i++)
		mantissa = mantissa * 10 + (uint64_t)(fraction.at[i] - '0');
	exponent -= (int64_t)fraction.len;
	if (exponent < -EXACT_TEN_POWER_MAX || exponent > EXACT_TEN_POWER_MAX)
		return false;
	*out = exponent < 0 ? (double)mantissa / ten_powers[-exponent] : (double)mantissa * ten_powers[exponent];
	return true;
}

bool json_to_double(struct str whole, struct str fraction, int64_t exponent, double *out)
{
	if (exponent > EXPONENT_MAX)
		exponent = EXPONENT_MAX;
	if (exponent < -EXPONENT_MAX)
		exponent = -EXPONENT_MAX;
	if (to_double_fast(whole, fraction, exponent, out))
		return true;
	struct decimal decimal;
	decimal.count = 0;
	decimal.exponent = exponent;
	decimal.digits[DIGITS_KEPT_MAX] = '0';
	add_digits(&decimal, whole, false);
	add_digits(&decimal, fraction, true);
	if (decimal.count == DIGITS_KEPT_MAX) {
		decimal.count++;
		decimal.exponent--;
	}
	char text[DIGITS_KEPT_MAX + 40];
	snprintf(text, sizeof(text), "%.*se%" PRId64, (int)decimal.count, decimal.digits, decimal.exponent);
	if (decimal.count == 0) {
		*out = 0.0;
		return true;
	}
	*out = strtod(text, NULL);
	return isfinite(*out);
}
