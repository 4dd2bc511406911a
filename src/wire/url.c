/*
 * url.c - strict readings of targets and URLs: what two readers could understand differently is refused.
 */
#include "wire/url.h"

#include <arpa/inet.h>

#include "wire/utf8.h"

#define HOST_BYTES_MAX 253
#define LABEL_BYTES_MAX 63

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_alnum(char c)
{
	return is_digit(c) || ((c | 0x20) >= 'a' && (c | 0x20) <= 'z');
}

static bool is_unreserved(char c)
{
	return is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

/* Value of a hexadecimal digit, -1 for another byte. */
static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	char lower = (char)(c | 0x20);
	return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The byte escaped at index i ("%2f"), -1 when it is no escape. */
static int escaped_byte(struct str s, size_t i)
{
	if (s.len - i < 3)
		return -1;
	int high = hex_value(s.at[i + 1]);
	int low = hex_value(s.at[i + 2]);
	return high < 0 || low < 0 ? -1 : high << 4 | low;
}

/* Visible ASCII without '#', every '%' a whole escape. */
static bool is_encoded(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		char c = s.at[i];
		if (c <= 0x20 || c >= 0x7f || c == '#')
			return false;
		if (c == '%' && escaped_byte(s, i) < 0)
			return false;
	}
	return true;
}

enum err url_split_target(struct str target, struct url_target *out)
{
	*out = (struct url_target){STR_NONE, STR_NONE};
	if (target.len == 0 || target.at[0] != '/' || !is_encoded(target))
		return ERR_MALFORMED;
	ptrdiff_t mark = str_find_byte(target, '?');
	size_t path_len = mark < 0 ? target.len : (size_t)mark;
	out->path = str_make(target.at, path_len);
	out->query = mark < 0 ? str_make(target.at + target.len, 0) : str_sub(target, path_len + 1, target.len);
	return ERR_OK;
}

enum err url_decode(struct arena *arena, struct str text, bool plus_is_space, struct str *out)
{
	*out = STR_NONE;
	char *to = arena_alloc(arena, text.len + 1);
	if (!to)
		return ERR_LIMIT;
	size_t len = 0;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.at[i];
		if (c == '%') {
			int byte = escaped_byte(text, i);
			if (byte < 0)
				return ERR_MALFORMED;
			c = (char)byte;
			i += 2;
		} else if (c == '+' && plus_is_space) {
			c = ' ';
		}
		if (c == 0)
			return ERR_MALFORMED;
		to[len++] = c;
	}
	if (!utf8_valid(str_make(to, len)))
		return ERR_MALFORMED;
	*out = str_make(to, len);
	return ERR_OK;
}

bool url_query_next(struct str *rest, struct str *name, struct str *value)
{
	struct str part;
	do {
		if (!str_split(rest, '&', &part))
			return false;
	} while (part.len == 0);
	ptrdiff_t equals = str_find_byte(part, '=');
	size_t name_len = equals < 0 ? part.len : (size_t)equals;
	*name = str_make(part.at, name_len);
	*value = equals < 0 ? str_make(part.at + part.len, 0) : str_make(part.at + name_len + 1, part.len - name_len - 1);
	return true;
}

void url_encode(struct buf *out, struct str text)
{
	static const char digits[] = "0123456789ABCDEF";
	for (size_t i = 0; i < text.len; i++) {
		uint8_t c = (uint8_t)text.at[i];
		if (is_unreserved(text.at[i])) {
			buf_put_byte(out, text.at[i]);
		} else {
			char escape[3] = {'%', digits[c >> 4], digits[c & 15]};
			buf_put(out, escape, sizeof(escape));
		}
	}
}

static bool is_address(int family, struct str s)
{
	char text[INET6_ADDRSTRLEN];
	uint8_t address[16];
	if (s.len == 0 || s.len >= sizeof(text) || memchr(s.at, 0, s.len))
		return false;
	return inet_pton(family, str_to_z(s, text, sizeof(text)), address) == 1;
}

/* A resolver may read "0x7f.1" or "2130706433" as an address: such a last label has to belong to a dotted quad. */
static bool looks_numeric(struct str label)
{
	if (label.len >= 2 && label.at[0] == '0' && (label.at[1] | 0x20) == 'x')
		return true;
	for (size_t i = 0; i < label.len; i++)
		if (!is_digit(label.at[i]))
			return false;
	return true;
}

static bool is_host(struct str host)
{
	if (host.len == 0 || host.len > HOST_BYTES_MAX)
		return false;
	struct str rest = host;
	struct str label = STR_NONE;
	while (str_split(&rest, '.', &label)) {
		if (label.len == 0 || label.len > LABEL_BYTES_MAX)
			return false;
		for (size_t i = 0; i < label.len; i++)
			if (!is_alnum(label.at[i]) && label.at[i] != '-' && label.at[i] != '_')
				return false;
	}
	return !looks_numeric(label) || is_address(AF_INET, host);
}

/* authority = [userinfo "@"] host [":" port] */
static enum err parse_authority(struct str authority, struct url *out)
{
	ptrdiff_t mark = str_find_byte(authority, '@');
	if (mark >= 0) {
		out->has_userinfo = true;
		authority = str_sub(authority, (size_t)mark + 1, authority.len);
	}
	struct str port;
	if (authority.len > 0 && authority.at[0] == '[') {
		ptrdiff_t close = str_find_byte(authority, ']');
		if (close < 0)
			return ERR_INVALID;
		out->host = str_sub(authority, 1, (size_t)close - 1);
		port = str_sub(authority, (size_t)close + 1, authority.len);
		if (!is_address(AF_INET6, out->host))
			return ERR_INVALID;
	} else {
		ptrdiff_t colon = str_find_byte(authority, ':');
		size_t host_len = colon < 0 ? authority.len : (size_t)colon;
		out->host = str_make(authority.at, host_len);
		port = str_sub(authority, host_len, authority.len);
		if (!is_host(out->host))
			return ERR_INVALID;
	}
	if (port.len == 0)
		return ERR_OK;
	uint64_t number;
	if (port.at[0] != ':' || port.len > 6 || !str_to_u64(str_sub(port, 1, port.len), &number))
		return ERR_INVALID;
	if (number == 0 || number > UINT16_MAX)
		return ERR_INVALID;
	out->port = (uint16_t)number;
	return ERR_OK;
}

enum err url_parse(struct str text, struct url *out)
{
	*out = (struct url){0};
	if (str_eq_case(str_sub(text, 0, 7), STR("http://"))) {
		out->scheme = STR("http");
		out->port = 80;
	} else if (str_eq_case(str_sub(text, 0, 8), STR("https://"))) {
		out->scheme = STR("https");
		out->port = 443;
	} else {
		return ERR_INVALID;
	}
	/* A backslash is a slash to browsers and not to others. */
	if (!is_encoded(text) || str_find_byte(text, '\\') >= 0)
		return ERR_INVALID;
	struct str rest = str_sub(text, out->scheme.len + 3, text.len);
	size_t end = 0;
	while (end < rest.len && rest.at[end] != '/' && rest.at[end] != '?')
		end++;
	struct str behind = str_make(rest.at + end, rest.len - end);
	ptrdiff_t mark = str_find_byte(behind, '?');
	out->path = str_make(behind.at, mark < 0 ? behind.len : (size_t)mark);
	return parse_authority(str_make(rest.at, end), out);
}
