/* registry.c - all agents in memory: published snapshots, and the writer's own state of an open transaction. */
#include <stdio.h>

#include "agent/agent_priv.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/log.h"
#include "base/mem.h"
#include "command/overlay.h"

enum {
	WORKSPACES_MAX = 1024,
	MARK_BITS = 20, /* changes of one transaction and table stay far below */
	LOAD_COMMIT_ROWS = 256,
};

/* A handle changes only when its agent is erased, so that an entry is good as long as its agent. */
struct handle_entry {
	int64_t workspace, agent;
	struct str handle;
};

struct workspace_entry {
	int64_t default_agent, system_agent; /* 0: none */
};

struct registry {
	struct siphash_key seed;
	struct overlay agents;     /* id -> struct agent */
	struct overlay handles;    /* hash of workspace and handle -> struct handle_entry */
	struct overlay workspaces; /* id -> struct workspace_entry */
	_Atomic int64_t archived;
};

struct load {
	struct registry *registry;
	enum err err;
	size_t count;
};

static uint64_t handle_key(const struct registry *registry, int64_t workspace, struct str handle);
static enum err handle_put(struct registry *registry, const struct agent *agent);
static enum err workspace_put(
	struct registry *registry, int64_t workspace, int64_t default_agent, int64_t system_agent);
static size_t overlays_mark(void *ctx);
static void overlays_undo_to(void *ctx, size_t mark);
static void overlays_committed(void *ctx);
static bool load_row(const struct agent *agent, void *arg);
static enum err load_default(int64_t workspace, int64_t agent, void *arg);

enum err registry_create(const struct env *env, struct snap_domain *snap, struct registry **out)
{
	struct registry *registry = mem_alloc(sizeof(*registry));
	if (registry == NULL) {
		return ERR_MEMORY;
	}
	env_random(env, &registry->seed, sizeof(registry->seed));
	overlay_init(&registry->agents, snap, LIMIT_AGENTS, mem_free);
	overlay_init(&registry->handles, snap, LIMIT_AGENTS, mem_free);
	overlay_init(&registry->workspaces, snap, WORKSPACES_MAX, mem_free);
	*out = registry;
	return ERR_OK;
}

void registry_destroy(struct registry **registry)
{
	if (*registry == NULL) {
		return;
	}
	overlay_fini(&(*registry)->agents);
	overlay_fini(&(*registry)->handles);
	overlay_fini(&(*registry)->workspaces);
	mem_free(*registry);
	*registry = NULL;
}

enum err registry_load(struct registry *registry, struct db *db)
{
	struct load load = {.registry = registry};
	enum err err = agent_workspace_defaults(db, load_default, registry);
	if (err == ERR_OK) {
		err = agent_rows(db, 0, INT64_MAX, load_row, &load);
	}
	if (err == ERR_OK) {
		err = load.err;
	}
	overlays_committed(registry);
	return err;
}

struct command_overlay registry_overlay(struct registry *registry)
{
	return (struct command_overlay){registry, overlays_mark, overlays_undo_to, overlays_committed, NULL};
}

const struct agent *registry_get(struct registry *registry, int64_t id)
{
	return overlay_get_published(&registry->agents, (uint64_t)id);
}

const struct agent *registry_by_handle(struct registry *registry, int64_t workspace, struct str handle)
{
	const struct handle_entry *entry =
		overlay_get_published(&registry->handles, handle_key(registry, workspace, handle));
	if (entry == NULL || entry->workspace != workspace || !str_eq(entry->handle, handle)) {
		return NULL;
	}
	return registry_get(registry, entry->agent);
}

const struct agent *registry_find(
	struct registry *registry, struct guild *guild, int64_t workspace, struct str id_or_handle)
{
	int64_t id;
	if (id_parse(&guild->id_secret, ID_AGENT, id_or_handle, &id) == ERR_OK) {
		const struct agent *agent = registry_get(registry, id);
		return agent != NULL && agent->workspace == workspace ? agent : NULL;
	}
	if (id_or_handle.len == 0 || id_or_handle.len > LIMIT_HANDLE_BYTES) {
		return NULL;
	}
	return registry_by_handle(registry, workspace, id_or_handle);
}

const struct agent *registry_system_default(struct registry *registry, int64_t workspace)
{
	const struct workspace_entry *entry = overlay_get_published(&registry->workspaces, (uint64_t)workspace);
	return entry != NULL && entry->system_agent != 0 ? registry_get(registry, entry->system_agent) : NULL;
}

const struct agent *registry_workspace_default(struct registry *registry, int64_t workspace)
{
	const struct workspace_entry *entry = overlay_get_published(&registry->workspaces, (uint64_t)workspace);
	return entry != NULL && entry->default_agent != 0 ? registry_get(registry, entry->default_agent) : NULL;
}

const struct agent *registry_writer_get(struct registry *registry, int64_t id)
{
	return overlay_get(&registry->agents, (uint64_t)id);
}

bool registry_writer_handle_taken(struct registry *registry, int64_t workspace, struct str handle)
{
	/* Another handle with the same hash counts as taken too: one in 2^64 is refused rather than stored unfindable. */
	return overlay_get(&registry->handles, handle_key(registry, workspace, handle)) != NULL;
}

enum err registry_put(struct registry *registry, const struct agent *agent)
{
	if (overlay_get(&registry->agents, (uint64_t)agent->id) == NULL) {
		if (registry_writer_handle_taken(registry, agent->workspace, agent->handle)) {
			return ERR_CONFLICT;
		}
		enum err err = handle_put(registry, agent);
		if (err == ERR_OK && agent->is_system) {
			const struct workspace_entry *old = overlay_get(&registry->workspaces, (uint64_t)agent->workspace);
			err = workspace_put(registry, agent->workspace, old != NULL ? old->default_agent : 0, agent->id);
		}
		if (err != ERR_OK) {
			return err;
		}
	}
	struct agent *copy = agent_copy(agent);
	if (copy == NULL) {
		return ERR_MEMORY;
	}
	enum err err = overlay_put(&registry->agents, (uint64_t)agent->id, copy);
	if (err != ERR_OK) {
		mem_free(copy);
	}
	return err;
}

int64_t registry_archived(const struct registry *registry)
{
	return atomic_load(&registry->archived);
}

enum err registry_default_put(struct registry *registry, int64_t workspace, int64_t agent)
{
	const struct workspace_entry *old = overlay_get(&registry->workspaces, (uint64_t)workspace);
	return workspace_put(registry, workspace, agent, old != NULL ? old->system_agent : 0);
}

enum err registry_rename(struct registry *registry, const struct agent *from, const struct agent *to)
{
	enum err err = overlay_remove(&registry->handles, handle_key(registry, from->workspace, from->handle));
	err = err == ERR_OK ? handle_put(registry, to) : err;
	return err == ERR_OK ? registry_put(registry, to) : err;
}

enum err agent_confidence_move(
	struct registry *registry, struct db *db, int64_t agent, int delta_e4, int64_t now_us, bool *demoted)
{
	const struct agent *old = registry_writer_get(registry, agent);
	*demoted = false;
	if (old == NULL) {
		return ERR_AGENT_NOT_FOUND;
	}
	struct agent moved = *old;
	moved.confidence_e4 = confidence_moved(old->confidence_e4, delta_e4);
	if (moved.confidence_e4 == old->confidence_e4) {
		return ERR_OK;
	}
	enum maturity after = maturity_after(old->maturity, moved.confidence_e4);
	if (after != old->maturity && old->is_system) {
		log_at(LOG_WARN, "system_agent_confidence_low", log_s("agent", old->handle),
			log_i("confidence_e4", moved.confidence_e4));
	} else if (after != old->maturity) {
		moved.maturity = after;
		moved.revision++;
		moved.updated_at_us = now_us;
		*demoted = true;
	}
	enum err err = agent_row_confidence(db, &moved);
	return err != ERR_OK ? err : registry_put(registry, &moved);
}

/* ---- records ---- */

static void text_move(char **at, struct str *text)
{
	if (text->at == NULL) {
		return;
	}
	memcpy(*at, text->at, text->len);
	text->at = *at;
	*at += text->len;
}

struct agent *agent_copy(const struct agent *from)
{
	size_t bytes = from->name.len + from->handle.len + from->description.len + from->category.len + from->provider.len +
				   from->model.len + from->system_prompt.len + from->capabilities.len + from->configuration.len;
	struct agent *copy = mem_alloc(sizeof(*copy) + bytes + 1);
	if (copy == NULL) {
		return NULL;
	}
	*copy = *from;
	char *at = (char *)(copy + 1);
	struct str *texts[] = {&copy->name, &copy->handle, &copy->description, &copy->category, &copy->provider,
		&copy->model, &copy->system_prompt, &copy->capabilities, &copy->configuration};
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		text_move(&at, texts[i]);
	}
	return copy;
}

/* ---- the tables ---- */

static uint64_t handle_key(const struct registry *registry, int64_t workspace, struct str handle)
{
	char text[LIMIT_HANDLE_BYTES + 32];
	if (handle.len > LIMIT_HANDLE_BYTES) {
		return 0;
	}
	int len = snprintf(text, sizeof(text), "%lld:%.*s", (long long)workspace, STR_FMT(handle));
	return map_hash(&registry->seed, str_make(text, (size_t)len));
}

static enum err handle_put(struct registry *registry, const struct agent *agent)
{
	struct handle_entry *entry = mem_alloc(sizeof(*entry) + agent->handle.len + 1);
	if (entry == NULL) {
		return ERR_MEMORY;
	}
	*entry = (struct handle_entry){agent->workspace, agent->id, agent->handle};
	char *at = (char *)(entry + 1);
	text_move(&at, &entry->handle);
	enum err err = overlay_put(&registry->handles, handle_key(registry, agent->workspace, agent->handle), entry);
	if (err != ERR_OK) {
		mem_free(entry);
	}
	return err;
}

static enum err workspace_put(struct registry *registry, int64_t workspace, int64_t default_agent, int64_t system_agent)
{
	struct workspace_entry *entry = mem_alloc(sizeof(*entry));
	if (entry == NULL) {
		return ERR_MEMORY;
	}
	*entry = (struct workspace_entry){default_agent, system_agent};
	enum err err = overlay_put(&registry->workspaces, (uint64_t)workspace, entry);
	if (err != ERR_OK) {
		mem_free(entry);
	}
	return err;
}

/* Three counts in one number. */
static size_t overlays_mark(void *ctx)
{
	struct registry *registry = ctx;
	size_t agents = overlay_mark(&registry->agents);
	size_t handles = overlay_mark(&registry->handles);
	size_t workspaces = overlay_mark(&registry->workspaces);
	check((agents | handles | workspaces) >> MARK_BITS == 0);
	return agents | handles << MARK_BITS | workspaces << 2 * MARK_BITS;
}

static void overlays_undo_to(void *ctx, size_t mark)
{
	struct registry *registry = ctx;
	size_t mask = ((size_t)1 << MARK_BITS) - 1;
	overlay_undo_to(&registry->agents, mark & mask);
	overlay_undo_to(&registry->handles, mark >> MARK_BITS & mask);
	overlay_undo_to(&registry->workspaces, mark >> 2 * MARK_BITS & mask);
}

/* Handles last: whoever finds one finds its agent. */
static void overlays_committed(void *ctx)
{
	struct registry *registry = ctx;
	for (size_t i = 0; i < registry->agents.pending_count; i++) {
		const struct agent *agent = registry->agents.pending[i].value;
		atomic_fetch_add(&registry->archived, agent != NULL && agent->lifecycle == LIFECYCLE_ARCHIVED);
	}
	overlay_commit(&registry->agents);
	overlay_commit(&registry->handles);
	overlay_commit(&registry->workspaces);
}

static bool load_row(const struct agent *agent, void *arg)
{
	struct load *load = arg;
	load->err = registry_put(load->registry, agent);
	if (++load->count % LOAD_COMMIT_ROWS == 0) {
		overlays_committed(load->registry);
	}
	return load->err == ERR_OK;
}

static enum err load_default(int64_t workspace, int64_t agent, void *arg)
{
	return workspace_put(arg, workspace, agent, 0);
}
