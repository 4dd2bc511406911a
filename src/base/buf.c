/* buf.c - growing bytes. One byte more than cap is allocated, so that printf's NUL always has room. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"

#define FIRST_BYTES 256

void buf_init(struct buf *buf, size_t bytes_max)
{
	*buf = (struct buf){.bytes_max = bytes_max < SIZE_MAX ? bytes_max : SIZE_MAX - 1};
}

void buf_fini(struct buf *buf)
{
	mem_free(buf->at);
	*buf = (struct buf){.bytes_max = buf->bytes_max};
}

void buf_clear(struct buf *buf)
{
	buf->len = 0;
	buf->failed = buf->too_long = false;
}

static bool make_room(struct buf *buf, size_t len)
{
	size_t cap = buf->cap < FIRST_BYTES ? FIRST_BYTES : buf->cap;
	size_t need;
	char *grown;

	if (buf->failed) {
		return false;
	}
	if (len > buf->bytes_max - buf->len) {
		buf->failed = buf->too_long = true;
		return false;
	}
	need = buf->len + len;
	if (buf->at && need <= buf->cap) {
		return true;
	}
	while (cap < need) {
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	}
	if (cap > buf->bytes_max) {
		cap = buf->bytes_max;
	}
	grown = mem_grow(buf->at, cap + 1);
	if (!grown) {
		buf->failed = true;
		return false;
	}
	buf->at = grown;
	buf->cap = cap;
	return true;
}

void buf_put_i64(struct buf *buf, int64_t value)
{
	char digits[24];
	size_t at = sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		digits[--at] = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0) {
		digits[--at] = '-';
	}
	buf_put(buf, digits + at, sizeof(digits) - at);
}

void buf_format(struct buf *buf, const char *format, ...)
{
	size_t room = buf->at ? buf->cap - buf->len + 1 : 0;
	va_list args;
	int len;

	if (buf->failed) {
		return;
	}
	va_start(args, format);
	len = vsnprintf(room ? buf->at + buf->len : NULL, room, format, args);
	va_end(args);
	check(len >= 0);
	if ((size_t)len >= room) {
		if (!make_room(buf, (size_t)len)) {
			return;
		}
		va_start(args, format);
		check(vsnprintf(buf->at + buf->len, (size_t)len + 1, format, args) == len);
		va_end(args);
	}
	buf->len += (size_t)len;
}

char *buf_grow(struct buf *buf, size_t len)
{
	return make_room(buf, len) ? buf->at + buf->len : NULL;
}

void buf_drop(struct buf *buf, size_t len)
{
	check(len <= buf->len);
	if (len == 0) {
		return;
	}
	memmove(buf->at, buf->at + len, buf->len - len);
	buf->len -= len;
}

enum err buf_err(const struct buf *buf)
{
	return buf->failed ? ERR_LIMIT : ERR_OK;
}
