/* frame.c - counted bytes in one allocation. */
#include "base/frame.h"

#include "base/check.h"
#include "base/mem.h"

struct frame *frame_make(size_t len)
{
	struct frame *frame = len <= UINT32_MAX ? mem_alloc(sizeof(*frame) + len) : NULL;

	if (!frame) {
		return NULL;
	}
	atomic_init(&frame->refs, 1);
	frame->len = (uint32_t)len;
	return frame;
}

struct frame *frame_copy(struct str s)
{
	struct frame *frame = frame_make(s.len);

	if (frame && s.len) {
		memcpy(frame->bytes, s.at, s.len);
	}
	return frame;
}

struct frame *frame_hold(struct frame *frame)
{
	frame_hold_n(frame, 1);
	return frame;
}

void frame_hold_n(struct frame *frame, unsigned n)
{
	/* The caller holds a reference already, so nothing has to be ordered here. */
	unsigned before = atomic_fetch_add_explicit(&frame->refs, n, memory_order_relaxed);

	check(before > 0 && before + n >= before);
}

void frame_drop(struct frame **frame)
{
	struct frame *dropped = *frame;
	unsigned before;

	*frame = NULL;
	if (!dropped) {
		return;
	}
	before = atomic_fetch_sub_explicit(&dropped->refs, 1, memory_order_acq_rel);
	check(before > 0);
	if (before == 1) {
		mem_free(dropped);
	}
}
