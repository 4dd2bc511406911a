/*
 * overlay.h - a published table that follows the writer's transactions.
 *
 * For:     agents, principals, tokens: what a transaction changed is seen by the writer at once, by everyone else after its commit.
 * Not for: tables with rows that nobody reads between transactions.
 * Threads: overlay_get_published on registered readers; all else on the writer (or at start-up).
 * Memory:  values put belong to the table; a value undone, replaced or removed is freed with value_free when no reader holds it.
 *
 *   get (writer):   pending, newest first -> published
 *   get (readers):  published
 *   commit:         pending -> published       undo_to(mark): pending is cut
 */
#ifndef GUILD_COMMAND_OVERLAY_H
#define GUILD_COMMAND_OVERLAY_H

#include "base/snapmap.h"

struct overlay_change {
	uint64_t key;
	void *value; /* NULL: removed */
	struct snap_shard *room; /* for publishing it: that may not fail */
};

struct overlay {
	struct snapmap published;
	void (*value_free)(void *value);
	struct overlay_change *pending;
	size_t pending_count;
	size_t pending_cap;
};

void overlay_init(struct overlay *overlay, struct snap_domain *snap, size_t entries_max, void (*value_free)(void *value));
void overlay_fini(struct overlay *overlay);
/* On any registered reader. */
void *overlay_get_published(const struct overlay *overlay, uint64_t key);
/* On the writer: with what the open transaction changed. */
void *overlay_get(const struct overlay *overlay, uint64_t key);
/* Takes value over on success. ERR_MEMORY, ERR_LIMIT. */
enum err overlay_put(struct overlay *overlay, uint64_t key, void *value) MUST_USE;
enum err overlay_remove(struct overlay *overlay, uint64_t key) MUST_USE;
size_t overlay_mark(const struct overlay *overlay);
void overlay_undo_to(struct overlay *overlay, size_t mark);
void overlay_commit(struct overlay *overlay);

#endif
