/* policy_set.c - the policies of all workspaces: published snapshots, the writer's own state of an open transaction, and the start. */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/metric.h"
#include "governance/policy_priv.h"
#include "identity/identity.h"

static const struct str mode_name = {"governance_mode", 15};

/* The name of an action that is none of the defaults. */
struct policy_name {
	struct policy_name *next;
	size_t len;
	char text[];
};

struct load {
	struct policy_set *set;
	struct guild *guild;
	struct policy_draft draft;
	/* Workspaces without a state, and those whose table is another one than at the last start. */
	struct load_due {
		int64_t workspace;
		bool changed;
	} *due;
	size_t due_count, due_cap;
};

static size_t set_mark(void *ctx);
static void set_undo_to(void *ctx, size_t mark);
static void set_committed(void *ctx);
static enum err load_one(const struct policy_state *state, void *arg);
static enum err mode_note(struct policy_set *set, struct guild *guild);

enum err policy_set_create(const struct env *env, struct snap_domain *snap, const struct policy_options *options, struct policy_set **out)
{
	struct policy_set *set = mem_alloc(sizeof(*set));
	struct policy_draft *draft = mem_alloc(sizeof(*draft));
	enum err err = set != NULL && draft != NULL ? ERR_OK : ERR_MEMORY;
	if (err == ERR_OK) {
		set->env = env;
		set->revision = 1;
		atomic_init(&set->next_end_mono_us, INT64_MAX);
		overlay_init(&set->policies, snap, LIMIT_POLICIES, mem_free);
		*draft = (struct policy_draft){.env = env, .version = 1, .revision = 1, .unknown_level = options->unknown_level, .off = options->off};
		err = policy_make(draft, &set->base);
	}
	mem_free(draft);
	if (err != ERR_OK) {
		mem_free(set);
		return err;
	}
	*out = set;
	return ERR_OK;
}

void policy_set_destroy(struct policy_set **set)
{
	if (*set == NULL) {
		return;
	}
	overlay_fini(&(*set)->policies);
	while ((*set)->names != NULL) {
		struct policy_name *name = (*set)->names;
		(*set)->names = name->next;
		mem_free(name);
	}
	mem_free((*set)->base);
	mem_free(*set);
	*set = NULL;
}

const struct policy *policy_get(const struct policy_set *set, int64_t workspace)
{
	const struct policy *policy = overlay_get_published(&set->policies, (uint64_t)workspace);
	return policy != NULL ? policy : set->base;
}

const struct policy *policy_writer_get(const struct policy_set *set, int64_t workspace)
{
	const struct policy *policy = overlay_get(&set->policies, (uint64_t)workspace);
	return policy != NULL ? policy : set->base;
}

/* ---- following transactions ---- */

struct command_overlay policy_set_overlay(struct policy_set *set)
{
	return (struct command_overlay){set, set_mark, set_undo_to, set_committed, NULL};
}

static size_t set_mark(void *ctx)
{
	return overlay_mark(&((struct policy_set *)ctx)->policies);
}

static void set_undo_to(void *ctx, size_t mark)
{
	overlay_undo_to(&((struct policy_set *)ctx)->policies, mark);
}

/* What everybody sees of exceptions at a glance. */
static void gauges_move(const struct policy *old, const struct policy *new)
{
	metric_add(METRIC_KILL_SWITCHES, (new->exceptions.stopped_since_us != 0) - (old->exceptions.stopped_since_us != 0));
	metric_add(METRIC_EMERGENCIES, (new->emergency_until_mono_us != 0) - (old->emergency_until_mono_us != 0));
}

static void set_committed(void *ctx)
{
	struct policy_set *set = ctx;
	for (size_t i = 0; i < set->policies.pending_count; i++) {
		const struct policy *new = set->policies.pending[i].value;
		const struct policy *old = NULL;
		for (size_t before = i; before > 0 && old == NULL; before--) {
			const struct policy *earlier = set->policies.pending[before - 1].value;
			old = earlier->workspace == new->workspace ? earlier : NULL;
		}
		gauges_move(old != NULL ? old : policy_get(set, new->workspace), new);
	}
	overlay_commit(&set->policies);
}

enum err policy_put(struct policy_set *set, struct policy *policy)
{
	enum err err = overlay_put(&set->policies, (uint64_t)policy->workspace, policy);
	int64_t end_us = policy->emergency_until_mono_us;
	int64_t seen = atomic_load(&set->next_end_mono_us);
	while (err == ERR_OK && end_us != 0 && end_us < seen && !atomic_compare_exchange_weak(&set->next_end_mono_us, &seen, end_us)) {
	}
	return err;
}

int64_t policy_revision_next(struct policy_set *set)
{
	return ++set->revision;
}

struct str policy_name_keep(struct policy_set *set, struct str action)
{
	struct str name;
	int level;
	for (size_t i = 0; policy_default(i, &name, &level); i++) {
		if (str_eq(name, action)) {
			return name;
		}
	}
	for (const struct policy_name *kept = set->names; kept != NULL; kept = kept->next) {
		if (str_eq(str_make(kept->text, kept->len), action)) {
			return str_make(kept->text, kept->len);
		}
	}
	struct policy_name *new = set->name_count < LIMIT_POLICY_NAMES ? mem_alloc(sizeof(*new) + action.len) : NULL;
	if (new == NULL) {
		return STR_NONE;
	}
	memcpy(new->text, action.at, action.len);
	new->len = action.len;
	new->next = set->names;
	set->names = new;
	set->name_count++;
	return str_make(new->text, new->len);
}

/* ---- the start ---- */

enum err policy_set_load(struct policy_set *set, struct guild *guild)
{
	struct load *load = mem_alloc(sizeof(*load));
	if (load == NULL) {
		return ERR_MEMORY;
	}
	load->set = set;
	load->guild = guild;
	struct db *db = writer_db(guild->writer);
	enum err err = policy_states(db, load_one, load);
	set_committed(set);
	struct policy_edit edit = {.kind = POLICY_EDIT_DEFAULTS,
		.reason = STR("The defaults, or the setting governance.unknown_level, are not those of the last start.")};
	for (size_t i = 0; i < load->due_count && err == ERR_OK; i++) {
		int64_t workspace = load->due[i].workspace;
		err = load->due[i].changed ? policy_edit_now(guild, workspace, &edit) : policy_state_put(db, policy_writer_get(set, workspace));
	}
	mem_free(load->due);
	mem_free(load);
	metric_set(METRIC_GOVERNANCE_OFF, set->base->off);
	return err == ERR_OK ? mode_note(set, guild) : err;
}

static enum err due_add(struct load *load, int64_t workspace, bool changed)
{
	if (load->due_count == load->due_cap) {
		size_t cap = load->due_cap != 0 ? load->due_cap * 2 : 16;
		struct load_due *due = mem_grow(load->due, cap * sizeof(*due));
		if (due == NULL) {
			return ERR_MEMORY;
		}
		load->due = due;
		load->due_cap = cap;
	}
	load->due[load->due_count++] = (struct load_due){workspace, changed};
	return ERR_OK;
}

static enum err load_one(const struct policy_state *state, void *arg)
{
	struct load *load = arg;
	struct policy_set *set = load->set;
	struct db *db = writer_db(load->guild->writer);
	struct policy_draft *draft = &load->draft;
	struct policy *policy = NULL;
	policy_draft_of(set->base, draft);
	draft->workspace = state->workspace;
	draft->revision = policy_revision_next(set);
	draft->version = state->version != 0 ? state->version : 1;
	draft->exceptions = state->exceptions;
	draft->emergency_until_mono_us = policy_emergency_end(set->env, &draft->exceptions);
	enum err err = policy_overrides_read(db, set, draft);
	err = err == ERR_OK ? policy_make(draft, &policy) : err;
	bool same = err == ERR_OK && state->hash.len == HASH_SHA256_BYTES && hash_equal(state->hash.at, policy->hash, HASH_SHA256_BYTES);
	if (err == ERR_OK && !same) {
		err = due_add(load, state->workspace, state->version != 0);
	}
	err = err == ERR_OK ? policy_put(set, policy) : err;
	if (err != ERR_OK) {
		mem_free(policy);
	}
	return err;
}

/* A server without governance is known by its audit log, as is the end of that. */
static enum err mode_note(struct policy_set *set, struct guild *guild)
{
	struct db *db = writer_db(guild->writer);
	struct str now = set->base->off ? STR("off") : STR("enforce"), kept;
	struct arena arena;
	arena_init(&arena, 4096);
	enum err err = db_meta_get(db, mode_name, &arena, &kept);
	if (err == ERR_NOT_FOUND) {
		kept = STR("enforce");
		err = ERR_OK;
	}
	if (err == ERR_OK && set->base->off) {
		log_at(LOG_WARN, "governance_off", log_s("setting", STR("governance.mode")));
	}
	if (err == ERR_OK && (set->base->off || !str_eq(kept, now))) {
		struct policy_edit edit = {.kind = POLICY_EDIT_MODE, .mode = now, .old_mode = kept};
		err = policy_edit_now(guild, identity_workspace(guild->identity), &edit);
		err = err == ERR_OK ? db_meta_put(db, mode_name, now) : err;
	}
	arena_fini(&arena);
	return err;
}
