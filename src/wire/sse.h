/*
 * sse.h - event streams (WHATWG HTML, section 9.2), both ways.
 *
 * For:     reading providers' streams in any pieces; writing our own.
 * Not for: meaning of the data.
 * Threads: one owner; pure.
 * Memory:  a partial line and the event's data are kept in bufs capped at line_bytes_max.
 * Line ends CR, LF and CRLF, comments, several data lines, a BOM at the start and a missing last newline are all taken.
 */
#ifndef GUILD_WIRE_SSE_H
#define GUILD_WIRE_SSE_H

#include "base/buf.h"

struct sse_event {
	struct str event; /* "" = "message" */
	struct str data;  /* lines joined with LF */
	struct str id;    /* last id seen, "" when none */
	int64_t retry_ms; /* -1 when not given */
};

struct sse {
	struct buf line;
	struct buf data;
	struct buf event;
	struct buf id;
	int64_t retry_ms;
	bool has_data;
	bool skip_lf;
	bool started;
	bool pending_clear;
};

void sse_init(struct sse *sse, size_t line_bytes_max);
void sse_fini(struct sse *sse);
/* Takes bytes from *rest (moved on); *got is true when *out is an event (valid until the next call). Call until *rest is empty
 * and not *got. ERR_LIMIT when a line or an event is over the cap. */
enum err sse_feed(struct sse *sse, struct str *rest, struct sse_event *out, bool *got) MUST_USE;
/* At the end of the input: an event whose last newline is missing. By the standard it is dropped; providers' last event is
 * wanted, so it is given when it has data. */
bool sse_finish(struct sse *sse, struct sse_event *out);

/* Appends one event; id or event may be empty. data must not contain CR or LF. */
void sse_put(struct buf *out, struct str id, struct str event, struct str data);
void sse_put_comment(struct buf *out, struct str text);

#endif
