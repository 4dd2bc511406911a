/*
 * HTTP/1.1 request heads and bodies, read strictly from left to right.
 *
 * Every check belongs to the byte that decides it, so a head gives the same answer however it was cut into pieces. What
 * depends on several fields (framing, Host) is judged at the empty line only.
 */
#include "wire/http1.h"

#include "base/check.h"

enum { METHOD_BYTES_MAX = 32, PORT_MAX = 65535, CHUNK_DIGITS_MAX = 15, CHUNK_EXTRA_BYTES_MAX = 4096 };

enum { IS_TOKEN = 1, IS_TARGET = 2, IS_VALUE = 4, IS_HOST = 8 };

enum body_state {
	BODY_LENGTH,
	BODY_SIZE,
	BODY_EXTENSION,
	BODY_SIZE_LF,
	BODY_DATA,
	BODY_DATA_CR,
	BODY_DATA_LF,
	BODY_TRAILER,
	BODY_TRAILER_NAME,
	BODY_TRAILER_VALUE,
	BODY_TRAILER_LF,
	BODY_END_LF,
	BODY_REFUSED
};

/* Targets leave out what RFC 3986 leaves out, except the brackets browsers send as they are.
 * Values take tab and obs-text. */
#define T IS_TOKEN
#define G IS_TARGET
#define V IS_VALUE
#define H IS_HOST
#define ALL (T | G | V | H)
static const uint8_t byte_class[256] = {
	['\t'] = V, [' '] = V,
	['!'] = T | G | V, ['"'] = V, ['#'] = T | V, ['$'] = T | G | V, ['%'] = T | G | V, ['&'] = T | G | V,
	['\''] = T | G | V, ['('] = G | V, [')'] = G | V, ['*'] = T | G | V, ['+'] = T | G | V, [','] = G | V,
	['-'] = ALL, ['.'] = ALL, ['/'] = G | V, ['0' ... '9'] = ALL, [':'] = G | V, [';'] = G | V, ['<'] = V,
	['='] = G | V, ['>'] = V, ['?'] = G | V, ['@'] = G | V, ['A' ... 'Z'] = ALL, ['['] = G | V, ['\\'] = V,
	[']'] = G | V, ['^'] = T | V, ['_'] = ALL, ['`'] = T | V, ['a' ... 'z'] = ALL, ['{'] = V, ['|'] = T | V,
	['}'] = V, ['~'] = T | G | V, [0x80 ... 0xff] = V,
};
#undef T
#undef G
#undef V
#undef H
#undef ALL

static const struct str method_names[] = {
	[HTTP1_GET] = STR("GET"), [HTTP1_HEAD] = STR("HEAD"), [HTTP1_POST] = STR("POST"), [HTTP1_PUT] = STR("PUT"),
	[HTTP1_PATCH] = STR("PATCH"), [HTTP1_DELETE] = STR("DELETE"), [HTTP1_OPTIONS] = STR("OPTIONS"),
	[HTTP1_OTHER] = STR("OTHER"),
};

/* A head being read: at moves towards end. */
struct reader {
	const char *at;
	const char *end;
	const char *reason;
};

static enum err empty_lines(struct reader *reader);
static enum err request_line(struct reader *reader, struct http1_head *out);
static enum err field_lines(struct reader *reader, struct http1_head *out);
static enum err judge(struct reader *reader, struct http1_head *out);

static bool is_class(char c, unsigned class)
{
	return (byte_class[(uint8_t)c] & class) != 0;
}

static enum err refuse(struct reader *reader, const char *reason)
{
	reader->reason = reason;
	return ERR_MALFORMED;
}

/* Moves over the bytes of that class. */
static struct str span(struct reader *reader, unsigned class)
{
	const char *from = reader->at;
	const char *at = from;

	while (at < reader->end && is_class(*at, class))
		at++;
	reader->at = at;
	return str_make(from, (size_t)(at - from));
}

/* Moves over exactly these bytes. */
static enum err literal(struct reader *reader, struct str bytes, const char *reason)
{
	for (size_t i = 0; i < bytes.len; i++, reader->at++) {
		if (reader->at == reader->end)
			return ERR_AGAIN;
		if (*reader->at != bytes.at[i])
			return refuse(reader, reason);
	}
	return ERR_OK;
}

enum err http1_head(struct str bytes, struct http1_head *out, const char **reason)
{
	bool full = bytes.len >= LIMIT_HEAD_BYTES;
	struct reader reader = {.at = bytes.at, .end = bytes.at + (full ? (size_t)LIMIT_HEAD_BYTES : bytes.len)};

	*reason = NULL;
	if (bytes.len == 0)
		return ERR_AGAIN;
	out->field_count = 0;
	enum err err = empty_lines(&reader);

	if (err == ERR_OK)
		err = request_line(&reader, out);
	if (err == ERR_OK)
		err = field_lines(&reader, out);
	if (err == ERR_OK) {
		out->head_bytes = (size_t)(reader.at - bytes.at);
		err = judge(&reader, out);
	}
	if (err == ERR_AGAIN && full) {
		reader.reason = "The request head is too large.";
		err = ERR_HEAD_TOO_LARGE;
	}
	*reason = reader.reason;
	return err;
}

/* RFC 9112, section 2.2: old clients end a body with a CRLF too many. */
static enum err empty_lines(struct reader *reader)
{
	enum err err = ERR_OK;

	for (int i = 0; i < 2 && err == ERR_OK && reader->at < reader->end && *reader->at == '\r'; i++)
		err = literal(reader, STR("\r\n"), "A CR without LF stands before the request line.");
	return err;
}

static enum http1_method method_of(struct str text)
{
	for (unsigned i = 0; i < HTTP1_OTHER; i++)
		if (text.len == method_names[i].len && memcmp(text.at, method_names[i].at, text.len) == 0)
			return (enum http1_method)i;
	return HTTP1_OTHER;
}

static enum err request_line(struct reader *reader, struct http1_head *out)
{
	out->method_text = span(reader, IS_TOKEN);
	if (out->method_text.len > METHOD_BYTES_MAX)
		return refuse(reader, "The method is too long.");
	if (reader->at == reader->end)
		return ERR_AGAIN;
	if (out->method_text.len == 0 || *reader->at != ' ')
		return refuse(reader, "The request line does not begin with a method and one space.");
	reader->at++;
	out->method = method_of(out->method_text);

	if (reader->at == reader->end)
		return ERR_AGAIN;
	if (*reader->at != '/')
		return refuse(reader, "The request target does not begin with a slash.");
	out->target = span(reader, IS_TARGET);
	if (out->target.len > LIMIT_TARGET_BYTES) {
		reader->reason = "The request target is too long.";
		return ERR_HEAD_TOO_LARGE;
	}
	if (reader->at == reader->end)
		return ERR_AGAIN;
	if (*reader->at != ' ')
		return refuse(reader, "The request target has a byte that may not stand there.");
	reader->at++;

	enum err err = literal(reader, STR("HTTP/1."), "The HTTP version is not 1.0 or 1.1.");

	if (err != ERR_OK)
		return err;
	if (reader->at == reader->end)
		return ERR_AGAIN;
	if (*reader->at != '0' && *reader->at != '1')
		return refuse(reader, "The HTTP version is not 1.0 or 1.1.");
	out->minor = *reader->at++ - '0';
	return literal(reader, STR("\r\n"), "The request line does not end with CRLF after the version.");
}

/* Cuts space and tab, and nothing else. */
static struct str trim_blank(struct str s)
{
	while (s.len > 0 && (s.at[0] == ' ' || s.at[0] == '\t')) {
		s.at++;
		s.len--;
	}
	while (s.len > 0 && (s.at[s.len - 1] == ' ' || s.at[s.len - 1] == '\t'))
		s.len--;
	return s;
}

static bool is_framing(struct str name)
{
	return str_eq_case(name, STR("content-length")) || str_eq_case(name, STR("transfer-encoding")) ||
	       str_eq_case(name, STR("host"));
}

static enum err field_lines(struct reader *reader, struct http1_head *out)
{
	for (;;) {
		if (reader->at == reader->end)
			return ERR_AGAIN;
		if (*reader->at == '\r')
			return literal(reader, STR("\r\n"), "A line has a CR without LF.");
		if (*reader->at == ' ' || *reader->at == '\t')
			return refuse(reader, "A field line begins with white space.");
		if (out->field_count == LIMIT_HEAD_FIELDS) {
			reader->reason = "The request head has too many fields.";
			return ERR_HEAD_TOO_LARGE;
		}

		struct http1_field *field = &out->fields[out->field_count];

		field->name = span(reader, IS_TOKEN);
		if (reader->at == reader->end)
			return ERR_AGAIN;
		if (field->name.len == 0 || *reader->at != ':')
			return refuse(reader, "A field name has a byte that may not stand there.");
		reader->at++;

		struct str raw = span(reader, IS_VALUE);

		if (reader->at == reader->end)
			return ERR_AGAIN;

		enum err err = literal(reader, STR("\r\n"), "A field value has a control byte or a line ends without CRLF.");

		if (err != ERR_OK)
			return err;
		/* Legal, but parsers are known to differ on it where it decides the framing. */
		if (memchr(raw.at, '\t', raw.len) != NULL && is_framing(field->name))
			return refuse(reader, "A tab stands in Host, Content-Length or Transfer-Encoding.");
		field->value = trim_blank(raw);
		out->field_count++;
	}
}

/* Digits only, no sign, no leading zero (some read it as octal), at most INT64_MAX. */
static bool length_parse(struct str value, int64_t *out)
{
	int64_t total = 0;

	if (value.len == 0 || value.len > 19 || (value.len > 1 && value.at[0] == '0'))
		return false;
	for (size_t i = 0; i < value.len; i++) {
		if (value.at[i] < '0' || value.at[i] > '9')
			return false;
		if (__builtin_mul_overflow(total, 10, &total) || __builtin_add_overflow(total, value.at[i] - '0', &total))
			return false;
	}
	*out = total;
	return true;
}

static bool port_valid(struct str text)
{
	unsigned port = 0;

	if (text.len == 0 || text.len > 5)
		return false;
	for (size_t i = 0; i < text.len; i++) {
		if (text.at[i] < '0' || text.at[i] > '9')
			return false;
		port = port * 10 + (unsigned)(text.at[i] - '0');
	}
	return port <= PORT_MAX;
}

static bool is_address6_byte(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

/* A name, an IPv4 address or a bracketed IPv6 address, and perhaps a port. */
static bool host_valid(struct str host)
{
	size_t at = 0;

	if (host.len > 0 && host.at[0] == '[') {
		for (at = 1; at < host.len && is_address6_byte(host.at[at]); at++)
			;
		if (at < 3 || at == host.len || host.at[at] != ']')
			return false;
		at++;
	} else {
		while (at < host.len && is_class(host.at[at], IS_HOST))
			at++;
		if (at == 0)
			return false;
	}
	if (at == host.len)
		return true;
	return host.at[at] == ':' && port_valid(str_make(host.at + at + 1, host.len - at - 1));
}

/* What judge found while going over the fields once. */
struct framing {
	unsigned hosts;
	unsigned lengths;
	unsigned codings;
	struct str host;
	struct str length;
	struct str coding;
	bool close;
	bool keep_alive;
	bool upgrade;
	bool websocket;
	bool expect;
};

static void field_note(struct framing *found, const struct http1_field *field)
{
	struct str name = field->name;
	struct str value = field->value;

	switch (name.len) {
	case 4:
		if (str_eq_case(name, STR("host"))) {
			found->hosts++;
			found->host = value;
		}
		break;
	case 6:
		if (str_eq_case(name, STR("expect")))
			found->expect |= str_eq_case(value, STR("100-continue"));
		break;
	case 7:
		if (str_eq_case(name, STR("upgrade")))
			found->websocket |= http1_has_token(value, STR("websocket"));
		break;
	case 10:
		if (str_eq_case(name, STR("connection"))) {
			found->close |= http1_has_token(value, STR("close"));
			found->keep_alive |= http1_has_token(value, STR("keep-alive"));
			found->upgrade |= http1_has_token(value, STR("upgrade"));
		}
		break;
	case 14:
		if (str_eq_case(name, STR("content-length"))) {
			found->lengths++;
			found->length = value;
		}
		break;
	case 17:
		if (str_eq_case(name, STR("transfer-encoding"))) {
			found->codings++;
			found->coding = value;
		}
		break;
	default:
		break;
	}
}

static enum err judge(struct reader *reader, struct http1_head *out)
{
	struct framing found = {0};

	for (unsigned i = 0; i < out->field_count; i++)
		field_note(&found, &out->fields[i]);

	if (found.hosts > 1)
		return refuse(reader, "The request has more than one Host.");
	if (found.hosts == 0 && out->minor == 1)
		return refuse(reader, "The request has no Host.");
	if (found.hosts == 1 && !host_valid(found.host))
		return refuse(reader, "The Host is not valid.");
	if (found.lengths > 1)
		return refuse(reader, "The request has more than one Content-Length.");
	if (found.codings > 1)
		return refuse(reader, "The request has more than one Transfer-Encoding.");
	if (found.lengths + found.codings > 1)
		return refuse(reader, "The request has both Content-Length and Transfer-Encoding.");
	if (found.codings == 1 && out->minor == 0)
		return refuse(reader, "Transfer-Encoding does not exist in HTTP/1.0.");

	out->content_length = -1;
	if (found.lengths == 1 && !length_parse(found.length, &out->content_length))
		return refuse(reader, "The Content-Length is not a number.");
	/* Lower case only: the spelling is a known probe, and no client has another. */
	if (found.codings == 1 && !str_eq(found.coding, STR("chunked"))) {
		reader->reason = "The only transfer coding is chunked.";
		return ERR_NOT_IMPLEMENTED;
	}
	out->chunked = found.codings == 1;
	out->keep_alive = !found.close && (out->minor == 1 || found.keep_alive);
	out->expect_continue = found.expect && out->minor == 1;
	out->upgrade_websocket = found.upgrade && found.websocket && out->minor == 1;
	return ERR_OK;
}

struct str http1_field(const struct http1_head *head, struct str name)
{
	for (unsigned i = 0; i < head->field_count; i++)
		if (str_eq_case(head->fields[i].name, name))
			return head->fields[i].value;
	return STR_NONE;
}

unsigned http1_field_count(const struct http1_head *head, struct str name)
{
	unsigned count = 0;

	for (unsigned i = 0; i < head->field_count; i++)
		count += str_eq_case(head->fields[i].name, name);
	return count;
}

const char *http1_method_name(enum http1_method method)
{
	check((unsigned)method <= HTTP1_OTHER);
	return method_names[method].at;
}

bool http1_has_token(struct str list, struct str token)
{
	struct str part;

	while (str_split(&list, ',', &part))
		if (str_eq_case(trim_blank(part), token))
			return true;
	return false;
}

enum err http1_body_begin(struct http1_body *body, const struct http1_head *head, int64_t bytes_max)
{
	check(bytes_max >= 0);
	*body = (struct http1_body){.chunked = head->chunked, .bytes_max = bytes_max};
	if (head->chunked) {
		body->state = BODY_SIZE;
		return ERR_OK;
	}
	if (head->content_length > bytes_max) {
		body->state = BODY_REFUSED;
		return ERR_TOO_LARGE;
	}
	body->state = BODY_LENGTH;
	body->left = head->content_length > 0 ? head->content_length : 0;
	body->done = body->left == 0;
	return ERR_OK;
}

static enum err body_refuse(struct http1_body *body, enum err err, const char *text, const char **reason)
{
	body->state = BODY_REFUSED;
	*reason = text;
	return err;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

static enum err size_byte(struct http1_body *body, char c, const char **reason)
{
	int digit = hex_value(c);

	if (digit >= 0) {
		if (++body->digits > CHUNK_DIGITS_MAX)
			return body_refuse(body, ERR_MALFORMED, "A chunk size has too many digits.", reason);
		body->left = body->left * 16 + digit;
		if (body->left > body->bytes_max - body->total)
			return body_refuse(body, ERR_TOO_LARGE, "The request body is too large.", reason);
		return ERR_OK;
	}
	if (body->digits == 0 || (c != '\r' && c != ';'))
		return body_refuse(body, ERR_MALFORMED, "A chunk size is not a hexadecimal number.", reason);
	body->state = c == '\r' ? BODY_SIZE_LF : BODY_EXTENSION;
	return ERR_OK;
}

/* Counts over the whole body: small chunks with long extensions must not carry unbounded bytes. */
static bool extra_counts(struct http1_body *body)
{
	return ++body->line_bytes <= CHUNK_EXTRA_BYTES_MAX;
}

static void size_line_end(struct http1_body *body)
{
	body->state = body->left > 0 ? BODY_DATA : BODY_TRAILER;
	if (body->left == 0)
		body->line_bytes = 0;
	body->digits = 0;
}

static enum err expect_byte(struct http1_body *body, char c, char wanted, enum body_state next, const char **reason)
{
	if (c != wanted)
		return body_refuse(body, ERR_MALFORMED, "A chunk or its line does not end with CRLF.", reason);
	body->state = next;
	return ERR_OK;
}

static enum err trailer_byte(struct http1_body *body, char c, const char **reason)
{
	bool taken = false;

	if (!extra_counts(body))
		return body_refuse(body, ERR_TOO_LARGE, "The trailer is too large.", reason);
	switch (body->state) {
	case BODY_TRAILER:
		taken = c == '\r' || is_class(c, IS_TOKEN);
		body->state = c == '\r' ? BODY_END_LF : BODY_TRAILER_NAME;
		break;
	case BODY_TRAILER_NAME:
		taken = c == ':' || is_class(c, IS_TOKEN);
		if (c == ':')
			body->state = BODY_TRAILER_VALUE;
		break;
	default:
		taken = c == '\r' || is_class(c, IS_VALUE);
		if (c == '\r')
			body->state = BODY_TRAILER_LF;
		break;
	}
	if (!taken)
		return body_refuse(body, ERR_MALFORMED, "The trailer is malformed.", reason);
	return ERR_OK;
}

static enum err line_byte(struct http1_body *body, char c, const char **reason)
{
	enum err err;

	switch (body->state) {
	case BODY_SIZE:
		return size_byte(body, c, reason);
	case BODY_EXTENSION:
		if (!extra_counts(body))
			return body_refuse(body, ERR_TOO_LARGE, "The chunk extensions are too large.", reason);
		if (c == '\r')
			body->state = BODY_SIZE_LF;
		else if (!is_class(c, IS_VALUE) || c == '\t')
			return body_refuse(body, ERR_MALFORMED, "A chunk extension has a control byte.", reason);
		return ERR_OK;
	case BODY_SIZE_LF:
		err = expect_byte(body, c, '\n', BODY_DATA, reason);
		if (err == ERR_OK)
			size_line_end(body);
		return err;
	case BODY_DATA_CR:
		return expect_byte(body, c, '\r', BODY_DATA_LF, reason);
	case BODY_DATA_LF:
		return expect_byte(body, c, '\n', BODY_SIZE, reason);
	case BODY_TRAILER_LF:
		return expect_byte(body, c, '\n', BODY_TRAILER, reason);
	case BODY_END_LF:
		err = expect_byte(body, c, '\n', BODY_END_LF, reason);
		body->done = err == ERR_OK;
		return err;
	case BODY_TRAILER:
	case BODY_TRAILER_NAME:
	case BODY_TRAILER_VALUE:
		return trailer_byte(body, c, reason);
	default:
		return body_refuse(body, ERR_MALFORMED, "The request body was refused before.", reason);
	}
}

static struct str data_take(struct http1_body *body, struct str *rest)
{
	size_t len = (uint64_t)body->left < rest->len ? (size_t)body->left : rest->len;
	struct str data = str_make(rest->at, len);

	rest->at += len;
	rest->len -= len;
	body->left -= (int64_t)len;
	body->total += (int64_t)len;
	if (body->left == 0 && body->state == BODY_DATA)
		body->state = BODY_DATA_CR;
	else if (body->left == 0)
		body->done = true;
	return data;
}

enum err http1_body_feed(struct http1_body *body, struct str *rest, struct str *data, const char **reason)
{
	*data = STR_NONE;
	*reason = NULL;
	while (rest->len > 0 && !body->done) {
		if (body->state == BODY_DATA || body->state == BODY_LENGTH) {
			*data = data_take(body, rest);
			return ERR_OK;
		}

		enum err err = line_byte(body, *rest->at, reason);

		if (err != ERR_OK)
			return err;
		rest->at++;
		rest->len--;
	}
	return ERR_OK;
}
