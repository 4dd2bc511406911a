/* quota.c - counts of what principals have, kept beside the transactions that change them. */
#include "command/quota.h"

#include "base/limits.h"
#include "base/map.h"
#include "base/mem.h"

struct quota {
	int64_t most[QUOTA_KINDS];
	struct map counts[QUOTA_KINDS]; /* by principal: the count, plus 1 since a value is never NULL */
	size_t changes;                 /* not committed yet */
};

static const enum err refusals[QUOTA_KINDS] = {ERR_AGENT_QUOTA, ERR_SESSION_QUOTA, ERR_TOKEN_QUOTA};

enum err quota_create(const int64_t most[QUOTA_KINDS], struct quota **out)
{
	struct quota *quota = mem_alloc(sizeof(*quota));
	*out = quota;
	if (quota == NULL) {
		return ERR_MEMORY;
	}
	for (int kind = 0; kind < QUOTA_KINDS; kind++) {
		quota->most[kind] = most[kind];
		map_init(&quota->counts[kind], LIMIT_QUOTA_COUNTS);
	}
	return ERR_OK;
}

void quota_destroy(struct quota **quota)
{
	for (int kind = 0; *quota != NULL && kind < QUOTA_KINDS; kind++) {
		map_fini(&(*quota)->counts[kind]);
	}
	mem_free(*quota);
	*quota = NULL;
}

static void forget(struct quota *quota, enum quota_kind kind)
{
	map_fini(&quota->counts[kind]);
	map_init(&quota->counts[kind], LIMIT_QUOTA_COUNTS);
}

/* ---- following transactions ---- */

static size_t overlay_changes(void *ctx)
{
	return ((struct quota *)ctx)->changes;
}

static void overlay_undo(void *ctx, size_t mark)
{
	struct quota *quota = ctx;
	for (int kind = 0; quota->changes > mark && kind < QUOTA_KINDS; kind++) {
		forget(quota, (enum quota_kind)kind);
	}
	quota->changes = mark;
}

static void overlay_done(void *ctx)
{
	((struct quota *)ctx)->changes = 0;
}

struct command_overlay quota_overlay(struct quota *quota)
{
	return (struct command_overlay){quota, overlay_changes, overlay_undo, overlay_done, NULL};
}

/* ---- counting ---- */

/* A count that finds no room is not kept: the rows are still there to be counted. */
static void keep(struct quota *quota, enum quota_kind kind, int64_t principal, int64_t count)
{
	if (map_put(&quota->counts[kind], (uint64_t)principal, (void *)(uintptr_t)(count + 1)) != ERR_OK) {
		forget(quota, kind);
	}
	quota->changes++;
}

enum err quota_take(struct quota *quota, struct db *db, enum quota_kind kind, int64_t principal, quota_count_fn *count)
{
	if (quota == NULL || quota->most[kind] == 0) {
		return ERR_OK;
	}
	uintptr_t kept = (uintptr_t)map_get(&quota->counts[kind], (uint64_t)principal);
	int64_t has = (int64_t)kept - 1;
	if (kept == 0) {
		enum err err = count(db, principal, quota->most[kind], &has);
		if (err != ERR_OK) {
			return err;
		}
	}
	if (has >= quota->most[kind]) {
		return refusals[kind];
	}
	keep(quota, kind, principal, has + 1);
	return ERR_OK;
}

/* One that is full is counted again: a limit that was lowered stopped the count before its end. */
void quota_give(struct quota *quota, enum quota_kind kind, int64_t principal)
{
	if (quota == NULL) {
		return;
	}
	uintptr_t kept = (uintptr_t)map_get(&quota->counts[kind], (uint64_t)principal);
	int64_t has = (int64_t)kept - 1;
	if (kept != 0 && has > 0 && has < quota->most[kind]) {
		keep(quota, kind, principal, has - 1);
	} else if (kept != 0) {
		map_remove(&quota->counts[kind], (uint64_t)principal);
		quota->changes++;
	}
}
