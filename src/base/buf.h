/*
 * buf.h - bytes that grow, up to a cap.
 *
 * For:     building text and bytes of unknown length.
 * Not for: bytes shared between threads (frame.h).
 * Threads: one owner.
 * Memory:  owned by the buf; buf_fini frees. A put that would pass the cap, or finds no memory, changes
 *          nothing, sets `failed` and every later put is refused: check once, at the end.
 */
#ifndef GUILD_BASE_BUF_H
#define GUILD_BASE_BUF_H

#include "base/err.h"
#include "base/str.h"

struct buf {
	char *at;
	size_t len;
	size_t cap;
	size_t bytes_max;
	bool failed;
	bool too_long; /* failed at bytes_max, not for want of memory */
};

void buf_init(struct buf *buf, size_t bytes_max);
void buf_fini(struct buf *buf);
/* Forgets the content and the failure, keeps the memory. */
void buf_clear(struct buf *buf);
void buf_put_i64(struct buf *buf, int64_t value);
void buf_format(struct buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* Removes the first len bytes. */
void buf_drop(struct buf *buf, size_t len);
static inline struct str buf_str(const struct buf *buf) { return (struct str){buf->at, buf->len}; }
/* ERR_OK, or ERR_LIMIT when a put failed. */
enum err buf_err(const struct buf *buf) MUST_USE;

/* What buf_reserve does when there is no room yet. */
char *buf_grow(struct buf *buf, size_t len);

/* Room for at least len more bytes, to be filled by the caller who then adds to buf->len; NULL on failure. Inline, as are the
 * puts: texts are made of many small pieces. */
static inline char *buf_reserve(struct buf *buf, size_t len)
{
	return len < buf->cap - buf->len && !buf->failed ? buf->at + buf->len : buf_grow(buf, len);
}

static inline void buf_put(struct buf *buf, const void *bytes, size_t len)
{
	char *to = len > 0 ? buf_reserve(buf, len) : NULL;
	if (to) {
		memcpy(to, bytes, len);
		buf->len += len;
	}
}

static inline void buf_put_str(struct buf *buf, struct str s)
{
	buf_put(buf, s.at, s.len);
}

static inline void buf_put_byte(struct buf *buf, char c)
{
	char *to = buf_reserve(buf, 1);
	if (to) {
		*to = c;
		buf->len++;
	}
}

#endif
