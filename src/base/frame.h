/*
 * frame.h - immutable bytes, shared by reference.
 *
 * For:     what many connections send: rendered once, queued by pointer, freed after the last.
 * Not for: bytes that still change.
 * Threads: any; the count is atomic. The bytes never change after frame_make returned to a second holder.
 * Memory:  one allocation for header and bytes. frame_drop by the last holder frees.
 */
#ifndef GUILD_BASE_FRAME_H
#define GUILD_BASE_FRAME_H

#include <stdatomic.h>

#include "base/err.h"
#include "base/str.h"

struct frame {
	atomic_uint refs;
	uint32_t len;
	char bytes[];
};

/* A frame with room for len bytes, one reference held by the caller, who fills bytes. NULL without memory. */
struct frame *frame_make(size_t len);
/* The same, copying s. */
struct frame *frame_copy(struct str s);
struct frame *frame_hold(struct frame *frame);
/* Several holds at once. */
void frame_hold_n(struct frame *frame, unsigned n);
/* Drops one reference and sets *frame to NULL. Takes NULL inside. */
void frame_drop(struct frame **frame);
static inline struct str frame_str(const struct frame *f) { return (struct str){f->bytes, f->len}; }

#endif
