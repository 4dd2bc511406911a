/*
 * channel.c - all channels and memberships in memory: published tables, and the writer's own state of an open transaction.
 *
 * A membership is looked at for every event that reaches a listener, so it is one look-up and a binary search: an actor's channels are one
 * sorted array, replaced whole when it joins or leaves.
 */
#include <ctype.h>
#include <stdio.h>

#include "base/check.h"
#include "base/mem.h"
#include "social/channel_priv.h"

enum {
	MARK_BITS = 20, /* changes of one transaction and table stay far below */
	LOAD_COMMIT_ROWS = 256,
};

/* A name changes only when a channel without members is erased, so that an entry is good as long as its channel. */
struct name_entry {
	int64_t workspace, channel;
	size_t len;
	char name[];
};

/* The channels of an actor; none: no entry. */
struct membership {
	int delta; /* against what stood before */
	size_t count;
	int64_t channels[]; /* ascending */
};

struct channel_table {
	struct siphash_key seed;
	struct overlay channels;    /* id -> struct channel */
	struct overlay names;       /* hash of workspace and name -> struct name_entry */
	struct overlay memberships; /* actor -> struct membership */
	int64_t member_count;       /* of the published ones; writer */
};

struct load {
	struct social *social;
	size_t count;
	int64_t actor; /* whose channels are collected; 0: nobody's yet */
	int64_t *channels;
	size_t channel_count, channel_cap;
};

static uint64_t name_key(const struct channel_table *table, int64_t workspace, struct str name);
static enum err name_put(struct channel_table *table, const struct channel *channel);
static struct channel *channel_copy(const struct channel *from);
static enum err membership_put(struct channel_table *table, int64_t actor, struct membership *made);
static size_t overlays_mark(void *ctx);
static void overlays_undo_to(void *ctx, size_t mark);
static void overlays_committed(void *ctx);
static enum err load_channel(const struct channel *channel, void *arg);
static enum err load_pair(int64_t actor, int64_t channel, void *arg);
static enum err load_actor(struct load *load);

enum err channel_table_create(struct guild *guild, struct channel_table **out)
{
	struct channel_table *table = mem_alloc(sizeof(*table));
	*out = table;
	if (table == NULL) {
		return ERR_MEMORY;
	}
	env_random(guild->env, &table->seed, sizeof(table->seed));
	/* An overlay takes every pending change for an addition: with the room of one batch more, tables that are full can still be left. */
	overlay_init(&table->channels, guild->snap, LIMIT_CHANNELS + LIMIT_WRITER_BATCH, mem_free);
	overlay_init(&table->names, guild->snap, LIMIT_CHANNELS, mem_free);
	overlay_init(&table->memberships, guild->snap, LIMIT_MEMBERSHIPS + LIMIT_WRITER_BATCH, mem_free);
	return ERR_OK;
}

void channel_table_destroy(struct channel_table **table)
{
	if (*table == NULL) {
		return;
	}
	overlay_fini(&(*table)->channels);
	overlay_fini(&(*table)->names);
	overlay_fini(&(*table)->memberships);
	mem_free(*table);
	*table = NULL;
}

enum err channel_table_load(struct social *social, struct db *db)
{
	struct load load = {.social = social};
	enum err err = channel_rows(db, load_channel, &load);
	if (err == ERR_OK) {
		err = channel_pairs(db, load_pair, &load);
	}
	if (err == ERR_OK) {
		err = load_actor(&load);
	}
	mem_free(load.channels);
	overlays_committed(social->channels);
	return err;
}

struct command_overlay channel_overlay(struct social *social)
{
	return (struct command_overlay){social->channels, overlays_mark, overlays_undo_to, overlays_committed, NULL};
}

/* ---- reading ---- */

static const struct channel *by_name(const struct channel_table *table, int64_t workspace, struct str name,
				     void *get(const struct overlay *overlay, uint64_t key))
{
	const struct name_entry *entry = get(&table->names, name_key(table, workspace, name));
	if (entry == NULL || entry->workspace != workspace || !str_eq(str_make(entry->name, entry->len), name)) {
		return NULL;
	}
	return get(&table->channels, (uint64_t)entry->channel);
}

/* Where channel is, or where it would be. */
static size_t membership_find(const struct membership *membership, int64_t channel)
{
	size_t from = 0, to = membership->count;
	while (from < to) {
		size_t middle = from + (to - from) / 2;
		if (membership->channels[middle] < channel) {
			from = middle + 1;
		} else {
			to = middle;
		}
	}
	return from;
}

static bool membership_has(const struct membership *membership, int64_t channel)
{
	if (membership == NULL) {
		return false;
	}
	size_t at = membership_find(membership, channel);
	return at < membership->count && membership->channels[at] == channel;
}

const struct channel *channel_get(struct social *social, int64_t id)
{
	return overlay_get_published(&social->channels->channels, (uint64_t)id);
}

const struct channel *channel_by_name(struct social *social, int64_t workspace, struct str name)
{
	return by_name(social->channels, workspace, name, overlay_get_published);
}

bool channel_has(struct social *social, int64_t channel, int64_t actor)
{
	return membership_has(overlay_get_published(&social->channels->memberships, (uint64_t)actor), channel);
}

const int64_t *channel_of_actor(struct social *social, int64_t actor, size_t *count)
{
	const struct membership *membership = overlay_get_published(&social->channels->memberships, (uint64_t)actor);
	*count = membership != NULL ? membership->count : 0;
	return membership != NULL ? membership->channels : NULL;
}

const struct channel *channel_writer_get(struct social *social, int64_t id)
{
	return overlay_get(&social->channels->channels, (uint64_t)id);
}

const struct channel *channel_writer_by_name(struct social *social, int64_t workspace, struct str name)
{
	return by_name(social->channels, workspace, name, overlay_get);
}

bool channel_writer_has(struct social *social, int64_t channel, int64_t actor)
{
	return membership_has(overlay_get(&social->channels->memberships, (uint64_t)actor), channel);
}

/* Counts all changes of the open transaction as additions: near the limit a few too many. */
static bool memberships_full(const struct channel_table *table)
{
	return table->member_count + (int64_t)overlay_mark(&table->memberships) >= LIMIT_MEMBERSHIPS;
}

const char *channel_writer_full(struct social *social, int64_t actor, bool is_new)
{
	const struct channel_table *table = social->channels;
	const struct membership *membership = overlay_get(&table->memberships, (uint64_t)actor);
	if (membership != NULL && membership->count >= LIMIT_VIEWER_CHANNELS) {
		return "This member belongs to as many channels as one may; leaving some makes room.";
	}
	if (memberships_full(table)) {
		return "The server holds as many memberships of channels as it can.";
	}
	if (is_new && table->names.published.count + overlay_mark(&table->names) >= LIMIT_CHANNELS) {
		return "The server holds as many channels as it can.";
	}
	return NULL;
}

bool social_may_see(struct social *social, const struct caller *caller, struct audience audience)
{
	if (audience.a == 0) {
		return true;
	}
	int64_t viewer = actor_of(caller).key;
	if (viewer == 0) {
		return false;
	}
	if (audience.b == 0) {
		return channel_has(social, audience.a, viewer);
	}
	return viewer == audience.a || viewer == audience.b;
}

enum err social_channel_find(struct social *social, const struct caller *caller, struct str id_or_name, int64_t *channel, bool *member)
{
	int64_t id;
	const struct channel *found;
	if (id_parse(&social->guild->id_secret, ID_CHANNEL, id_or_name, &id) == ERR_OK) {
		found = channel_get(social, id);
	} else {
		char lower[CHANNEL_NAME_BYTES_MAX];
		struct str name = str_starts(id_or_name, STR("#")) ? str_sub(id_or_name, 1, id_or_name.len) : id_or_name;
		if (name.len == 0 || name.len > sizeof(lower)) {
			return ERR_NOT_FOUND;
		}
		for (size_t i = 0; i < name.len; i++) {
			lower[i] = (char)tolower((unsigned char)name.at[i]);
		}
		found = channel_by_name(social, caller->workspace, str_make(lower, name.len));
	}
	if (found == NULL || found->workspace != caller->workspace) {
		return ERR_NOT_FOUND;
	}
	*member = channel_has(social, found->id, actor_of(caller).key);
	*channel = found->id;
	return found->is_private && !*member ? ERR_NOT_FOUND : ERR_OK;
}

struct audience social_channel_audience(struct social *social, int64_t channel)
{
	const struct channel *found = channel_get(social, channel);
	bool is_public = found != NULL && !found->is_private;
	return (struct audience){is_public ? 0 : channel, 0};
}

/* ---- the writer's changes ---- */

enum err channel_put(struct social *social, const struct channel *channel)
{
	struct channel_table *table = social->channels;
	enum err err = ERR_OK;
	if (overlay_get(&table->channels, (uint64_t)channel->id) == NULL) {
		err = name_put(table, channel);
	}
	struct channel *copy = err == ERR_OK ? channel_copy(channel) : NULL;
	if (copy == NULL) {
		return err != ERR_OK ? err : ERR_MEMORY;
	}
	err = overlay_put(&table->channels, (uint64_t)channel->id, copy);
	if (err != ERR_OK) {
		mem_free(copy);
	}
	return err;
}

enum err channel_rename(struct social *social, const struct channel *from, const struct channel *to)
{
	struct channel_table *table = social->channels;
	enum err err = ERR_OK;
	if (!str_eq(from->name, to->name)) {
		err = overlay_remove(&table->names, name_key(table, from->workspace, from->name));
		err = err == ERR_OK ? name_put(table, to) : err;
	}
	return err == ERR_OK ? channel_put(social, to) : err;
}

enum err channel_member_put(struct social *social, int64_t channel, int64_t actor)
{
	struct channel_table *table = social->channels;
	const struct membership *old = overlay_get(&table->memberships, (uint64_t)actor);
	size_t count = old != NULL ? old->count : 0;
	if (membership_has(old, channel)) {
		return ERR_OK;
	}
	if (count >= LIMIT_VIEWER_CHANNELS || memberships_full(table)) {
		return ERR_LIMIT;
	}
	struct membership *made = mem_alloc(sizeof(*made) + (count + 1) * sizeof(made->channels[0]));
	if (made == NULL) {
		return ERR_MEMORY;
	}
	size_t at = old != NULL ? membership_find(old, channel) : 0;
	*made = (struct membership){.delta = 1, .count = count + 1};
	for (size_t i = 0; i < count; i++) {
		made->channels[i < at ? i : i + 1] = old->channels[i];
	}
	made->channels[at] = channel;
	return membership_put(table, actor, made);
}

enum err channel_member_remove(struct social *social, int64_t channel, int64_t actor)
{
	struct channel_table *table = social->channels;
	const struct membership *old = overlay_get(&table->memberships, (uint64_t)actor);
	if (!membership_has(old, channel)) {
		return ERR_OK;
	}
	if (old->count == 1) {
		return overlay_remove(&table->memberships, (uint64_t)actor);
	}
	struct membership *made = mem_alloc(sizeof(*made) + (old->count - 1) * sizeof(made->channels[0]));
	if (made == NULL) {
		return ERR_MEMORY;
	}
	*made = (struct membership){.delta = -1};
	for (size_t i = 0; i < old->count; i++) {
		if (old->channels[i] != channel) {
			made->channels[made->count++] = old->channels[i];
		}
	}
	return membership_put(table, actor, made);
}

static enum err membership_put(struct channel_table *table, int64_t actor, struct membership *made)
{
	enum err err = overlay_put(&table->memberships, (uint64_t)actor, made);
	if (err != ERR_OK) {
		mem_free(made);
	}
	return err;
}

/* ---- records ---- */

/* In one block with its texts, for mem_free. NULL without memory. */
static struct channel *channel_copy(const struct channel *from)
{
	size_t bytes = from->name.len + from->display_name.len + from->description.len;
	struct channel *copy = mem_alloc(sizeof(*copy) + bytes + 1);
	if (copy == NULL) {
		return NULL;
	}
	*copy = *from;
	char *at = (char *)(copy + 1);
	struct str *texts[] = {&copy->name, &copy->display_name, &copy->description};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		if (texts[i]->len > 0) {
			memcpy(at, texts[i]->at, texts[i]->len);
		}
		texts[i]->at = at;
		at += texts[i]->len;
	}
	return copy;
}

static uint64_t name_key(const struct channel_table *table, int64_t workspace, struct str name)
{
	char text[CHANNEL_NAME_BYTES_MAX + 32];
	if (name.len > CHANNEL_NAME_BYTES_MAX) {
		return 0;
	}
	int len = snprintf(text, sizeof(text), "%lld:%.*s", (long long)workspace, STR_FMT(name));
	return map_hash(&table->seed, str_make(text, (size_t)len));
}

static enum err name_put(struct channel_table *table, const struct channel *channel)
{
	struct name_entry *entry = mem_alloc(sizeof(*entry) + channel->name.len);
	if (entry == NULL) {
		return ERR_MEMORY;
	}
	*entry = (struct name_entry){channel->workspace, channel->id, channel->name.len};
	memcpy(entry->name, channel->name.at, channel->name.len);
	enum err err = overlay_put(&table->names, name_key(table, channel->workspace, channel->name), entry);
	if (err != ERR_OK) {
		mem_free(entry);
	}
	return err;
}

/* ---- following transactions ---- */

/* Three counts in one number. */
static size_t overlays_mark(void *ctx)
{
	struct channel_table *table = ctx;
	size_t channels = overlay_mark(&table->channels);
	size_t names = overlay_mark(&table->names);
	size_t memberships = overlay_mark(&table->memberships);
	check((channels | names | memberships) >> MARK_BITS == 0);
	return channels | names << MARK_BITS | memberships << 2 * MARK_BITS;
}

static void overlays_undo_to(void *ctx, size_t mark)
{
	struct channel_table *table = ctx;
	size_t mask = ((size_t)1 << MARK_BITS) - 1;
	overlay_undo_to(&table->channels, mark & mask);
	overlay_undo_to(&table->names, mark >> MARK_BITS & mask);
	overlay_undo_to(&table->memberships, mark >> 2 * MARK_BITS & mask);
}

/* Names after channels: whoever finds one finds its channel. */
static void overlays_committed(void *ctx)
{
	struct channel_table *table = ctx;
	for (size_t i = 0; i < table->memberships.pending_count; i++) {
		const struct membership *membership = table->memberships.pending[i].value;
		table->member_count += membership != NULL ? membership->delta : -1;
	}
	overlay_commit(&table->channels);
	overlay_commit(&table->names);
	overlay_commit(&table->memberships);
}

/* ---- start-up ---- */

static void load_commit(struct load *load)
{
	if (++load->count % LOAD_COMMIT_ROWS == 0) {
		overlays_committed(load->social->channels);
	}
}

static enum err load_channel(const struct channel *channel, void *arg)
{
	struct load *load = arg;
	load_commit(load);
	return channel_put(load->social, channel);
}

static enum err load_actor(struct load *load)
{
	if (load->channel_count == 0) {
		return ERR_OK;
	}
	struct membership *made = mem_alloc(sizeof(*made) + load->channel_count * sizeof(made->channels[0]));
	if (made == NULL) {
		return ERR_MEMORY;
	}
	*made = (struct membership){.delta = (int)load->channel_count, .count = load->channel_count};
	memcpy(made->channels, load->channels, load->channel_count * sizeof(made->channels[0]));
	load->channel_count = 0;
	load_commit(load);
	return membership_put(load->social->channels, load->actor, made);
}

static enum err load_pair(int64_t actor, int64_t channel, void *arg)
{
	struct load *load = arg;
	if (actor != load->actor) {
		enum err err = load_actor(load);
		if (err != ERR_OK) {
			return err;
		}
		load->actor = actor;
	}
	if (load->channel_count == load->channel_cap) {
		size_t cap = load->channel_cap != 0 ? load->channel_cap * 2 : 64;
		int64_t *channels = mem_grow(load->channels, cap * sizeof(channels[0]));
		if (channels == NULL) {
			return ERR_MEMORY;
		}
		load->channels = channels;
		load->channel_cap = cap;
	}
	load->channels[load->channel_count++] = channel;
	return ERR_OK;
}
