/*
 * base64.c - three bytes to four letters and back, one table per alphabet.
 */
#include "wire/base64.h"

#include <stdint.h>

static const char standard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void encode(struct buf *out, struct str bytes, const char *alphabet, bool padded)
{
	size_t rest = bytes.len % 3;
	size_t letters = bytes.len / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1);
	char *to = letters > 0 ? buf_reserve(out, letters) : NULL;
	if (!to)
		return;
	const uint8_t *p = (const uint8_t *)bytes.at;
	const uint8_t *whole = p + bytes.len - rest;
	for (; p < whole; p += 3) {
		uint32_t bits = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
		*to++ = alphabet[bits >> 18];
		*to++ = alphabet[bits >> 12 & 63];
		*to++ = alphabet[bits >> 6 & 63];
		*to++ = alphabet[bits & 63];
	}
	if (rest > 0) {
		uint32_t bits = (uint32_t)p[0] << 16 | (rest == 2 ? (uint32_t)p[1] << 8 : 0);
		*to++ = alphabet[bits >> 18];
		*to++ = alphabet[bits >> 12 & 63];
		if (rest == 2)
			*to++ = alphabet[bits >> 6 & 63];
		for (size_t i = rest; padded && i < 3; i++)
			*to++ = '=';
	}
	out->len += letters;
}

/* Value of a letter, 64 for a foreign byte. */
static uint32_t letter_value(char c, const char *alphabet)
{
	if (c >= 'A' && c <= 'Z')
		return (uint32_t)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (uint32_t)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (uint32_t)(c - '0') + 52;
	return c == alphabet[62] ? 62 : c == alphabet[63] ? 63 : 64;
}

/* text is without padding here. */
static enum err decode(struct buf *out, struct str text, const char *alphabet)
{
	size_t rest = text.len % 4;
	if (rest == 1)
		return ERR_MALFORMED;
	size_t len = text.len / 4 * 3 + (rest == 0 ? 0 : rest - 1);
	if (len == 0)
		return ERR_OK;
	uint8_t *to = (uint8_t *)buf_reserve(out, len);
	if (!to)
		return buf_err(out);
	uint32_t bits = 0;
	for (size_t i = 0; i < text.len; i++) {
		uint32_t value = letter_value(text.at[i], alphabet);
		if (value == 64)
			return ERR_MALFORMED;
		bits = bits << 6 | value;
		if (i % 4 == 3) {
			*to++ = (uint8_t)(bits >> 16);
			*to++ = (uint8_t)(bits >> 8);
			*to++ = (uint8_t)bits;
			bits = 0;
		}
	}
	uint32_t spare = rest == 2 ? bits & 15 : rest == 3 ? bits & 3 : 0;
	if (spare != 0)
		return ERR_MALFORMED;
	if (rest == 2)
		*to = (uint8_t)(bits >> 4);
	if (rest == 3) {
		to[0] = (uint8_t)(bits >> 10);
		to[1] = (uint8_t)(bits >> 2);
	}
	out->len += len;
	return ERR_OK;
}

void base64_encode(struct buf *out, struct str bytes)
{
	encode(out, bytes, standard, true);
}

void base64_url_encode(struct buf *out, struct str bytes)
{
	encode(out, bytes, url_safe, false);
}

enum err base64_decode(struct buf *out, struct str text)
{
	if (text.len % 4 != 0)
		return ERR_MALFORMED;
	if (str_ends(text, STR("==")))
		text.len -= 2;
	else if (str_ends(text, STR("=")))
		text.len -= 1;
	return decode(out, text, standard);
}

enum err base64_url_decode(struct buf *out, struct str text)
{
	return decode(out, text, url_safe);
}
