/* overlay.c - pending changes of one transaction over a published map. */
#include "command/overlay.h"

#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"

static enum err pending_add(struct overlay *overlay, uint64_t key, void *value);

void overlay_init(struct overlay *overlay, struct snap_domain *snap, size_t entries_max, void (*value_free)(void *value))
{
	memset(overlay, 0, sizeof(*overlay));
	overlay->value_free = value_free;
	snapmap_init(&overlay->published, snap, entries_max, value_free);
}

void overlay_fini(struct overlay *overlay)
{
	overlay_undo_to(overlay, 0);
	mem_free(overlay->pending);
	overlay->pending = NULL;
	snapmap_fini(&overlay->published);
}

void *overlay_get_published(const struct overlay *overlay, uint64_t key)
{
	return snapmap_get(&overlay->published, key);
}

void *overlay_get(const struct overlay *overlay, uint64_t key)
{
	for (size_t i = overlay->pending_count; i > 0; i--) {
		if (overlay->pending[i - 1].key == key) {
			return overlay->pending[i - 1].value;
		}
	}
	return snapmap_get(&overlay->published, key);
}

enum err overlay_put(struct overlay *overlay, uint64_t key, void *value)
{
	check(value != NULL);
	return pending_add(overlay, key, value);
}

enum err overlay_remove(struct overlay *overlay, uint64_t key)
{
	return pending_add(overlay, key, NULL);
}

size_t overlay_mark(const struct overlay *overlay)
{
	return overlay->pending_count;
}

void overlay_undo_to(struct overlay *overlay, size_t mark)
{
	while (overlay->pending_count > mark) {
		const struct overlay_change *change = &overlay->pending[--overlay->pending_count];
		void *value = change->value;
		mem_free(change->room);
		if (value != NULL && overlay->value_free != NULL) {
			overlay->value_free(value);
		}
	}
}

/* A published table that could not follow a committed transaction would let a demoted agent go on. What this needs was therefore had when the
 * change was made, and refused then if there was no memory. */
void overlay_commit(struct overlay *overlay)
{
	for (size_t i = 0; i < overlay->pending_count; i++) {
		const struct overlay_change *change = &overlay->pending[i];
		snapmap_change(&overlay->published, change->key, change->value, change->room);
	}
	overlay->pending_count = 0;
}

static struct snap_shard *room_make(const struct overlay *overlay, uint64_t key)
{
	size_t before = 0;

	for (size_t i = 0; i < overlay->pending_count; i++) {
		before += snapmap_same_shard(overlay->pending[i].key, key);
	}
	return snapmap_room(&overlay->published, key, before);
}

static enum err pending_add(struct overlay *overlay, uint64_t key, void *value)
{
	if (value != NULL && overlay->published.count + overlay->pending_count >= overlay->published.entries_max) {
		return ERR_LIMIT;
	}
	if (overlay->pending_count == overlay->pending_cap) {
		size_t cap = overlay->pending_cap != 0 ? overlay->pending_cap * 2 : 16;
		struct overlay_change *pending = mem_grow(overlay->pending, cap * sizeof(*pending));
		if (pending == NULL) {
			return ERR_MEMORY;
		}
		overlay->pending = pending;
		overlay->pending_cap = cap;
	}
	struct snap_shard *room = room_make(overlay, key);
	if (room == NULL) {
		return ERR_MEMORY;
	}
	overlay->pending[overlay->pending_count++] = (struct overlay_change){key, value, room};
	return ERR_OK;
}
