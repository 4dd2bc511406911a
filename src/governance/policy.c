/* policy.c - the action table and how an action's level is found: exactly, else by its words. */
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "governance/governance.h"

enum {
	POLICY_SLOTS = 1024, /* several times the entries: a look-up seldom probes twice */
	ENTRY_BYTES_MAX = 32,
	ENTRY_WORDS_MAX = 4,
	WORDS_MAX = LIMIT_ACTION_BYTES,
};

struct policy_slot {
	const char *name; /* NULL: free */
	uint32_t len;
	uint32_t complexity;
};

struct policy {
	int64_t version;
	int unknown_level;
	struct policy_slot slots[POLICY_SLOTS];
};

struct default_entry {
	int complexity;
	const char *name;
};

static const struct default_entry default_entries[] = {
#define ACTION(level, name) {(level), (name)},
#include "governance/action_table.def"
#undef ACTION
};

/* An action in its normal form, with the borders of its words. */
struct words {
	char text[LIMIT_ACTION_BYTES * 2]; /* a '_' may come before every letter */
	size_t len;
	unsigned count;
	uint16_t start[WORDS_MAX + 1];
	uint16_t end[WORDS_MAX + 1];
};

static uint64_t name_hash(const char *at, size_t len);
static const struct policy_slot *entry_get(const struct policy *policy, const char *at, size_t len);
static void policy_put(struct policy *policy, int complexity, const char *name);
static void level_set(struct action_level *out, const struct policy_slot *entry, enum rule_kind kind);
static void words_split(struct str action, struct words *out);
static void level_by_words(const struct policy *policy, const struct words *words, struct action_level *out);

enum err policy_create(int unknown_level, struct policy **out)
{
	struct policy *policy = mem_alloc(sizeof(*policy));
	if (policy == NULL) {
		return ERR_MEMORY;
	}
	check(unknown_level >= 1 && unknown_level <= 4);
	policy->version = 1;
	policy->unknown_level = unknown_level;
	for (size_t i = 0; i < sizeof(default_entries) / sizeof(default_entries[0]); i++) {
		policy_put(policy, default_entries[i].complexity, default_entries[i].name);
	}
	*out = policy;
	return ERR_OK;
}

void policy_destroy(struct policy **policy)
{
	mem_free(*policy);
	*policy = NULL;
}

int64_t policy_version(const struct policy *policy)
{
	return policy->version;
}

bool policy_next(const struct policy *policy, size_t *cursor, struct str *action, int *complexity)
{
	(void)policy;
	if (*cursor >= sizeof(default_entries) / sizeof(default_entries[0])) {
		return false;
	}
	*action = str_of(default_entries[*cursor].name);
	*complexity = default_entries[*cursor].complexity;
	(*cursor)++;
	return true;
}

enum err policy_level(const struct policy *policy, struct str action, struct action_level *out)
{
	if (action.len < 1 || action.len > LIMIT_ACTION_BYTES) {
		return ERR_INVALID;
	}
	const struct policy_slot *entry = entry_get(policy, action.at, action.len);
	if (entry != NULL) {
		level_set(out, entry, RULE_EXACT);
		return ERR_OK;
	}
	struct words words;
	words_split(action, &words);
	entry = entry_get(policy, words.text, words.len);
	if (entry != NULL) {
		level_set(out, entry, RULE_EXACT);
		return ERR_OK;
	}
	level_by_words(policy, &words, out);
	return ERR_OK;
}

/* ---- the table ---- */

/* Eight bytes a step: names are short, and a byte-wise hash would cost more than all the rest of a decision. */
static uint64_t name_hash(const char *at, size_t len)
{
	const uint64_t factor = UINT64_C(0x9E3779B97F4A7C15);
	uint64_t hash = len * factor, word;
	for (; len >= 8; at += 8, len -= 8) {
		memcpy(&word, at, 8);
		hash = (hash ^ word) * factor;
		hash ^= hash >> 32;
	}
	word = 0;
	if ((len & 4) != 0) {
		uint32_t four;
		memcpy(&four, at, 4);
		word = four;
		at += 4;
	}
	for (size_t i = 0; i < (len & 3); i++) {
		word = word << 8 | (uint8_t)at[i];
	}
	hash = (hash ^ word) * factor;
	return hash ^ hash >> 32;
}

static const struct policy_slot *entry_get(const struct policy *policy, const char *at, size_t len)
{
	if (len == 0 || len > ENTRY_BYTES_MAX) {
		return NULL;
	}
	for (uint64_t i = name_hash(at, len);; i++) {
		const struct policy_slot *slot = &policy->slots[i & (POLICY_SLOTS - 1)];
		if (slot->name == NULL) {
			return NULL;
		}
		if (slot->len == len && memcmp(slot->name, at, len) == 0) {
			return slot;
		}
	}
}

static void policy_put(struct policy *policy, int complexity, const char *name)
{
	size_t len = strlen(name);
	check(len > 0 && len <= ENTRY_BYTES_MAX && complexity >= 1 && complexity <= 4);
	check(entry_get(policy, name, len) == NULL);
	uint64_t i = name_hash(name, len);
	while (policy->slots[i & (POLICY_SLOTS - 1)].name != NULL) {
		i++;
	}
	policy->slots[i & (POLICY_SLOTS - 1)] = (struct policy_slot){name, (uint32_t)len, (uint32_t)complexity};
}

static void level_set(struct action_level *out, const struct policy_slot *entry, enum rule_kind kind)
{
	out->complexity = (int)entry->complexity;
	out->kind = kind;
	out->rule = str_make(entry->name, entry->len);
}

/* ---- words ---- */

static bool is_separator(char c)
{
	return c == '_' || c == '.' || c == '-' || c == ':' || c == '/' || c == ' ';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static void words_split(struct str action, struct words *out)
{
	bool open = false;
	out->len = 0;
	out->count = 0;
	for (size_t i = 0; i < action.len; i++) {
		char c = action.at[i];
		bool after_lower = i > 0 && action.at[i - 1] >= 'a' && action.at[i - 1] <= 'z';
		if (is_separator(c)) {
			open = false;
			continue;
		}
		if (!open || (is_upper(c) && after_lower)) {
			if (out->count > 0) {
				out->text[out->len++] = '_';
			}
			out->start[out->count++] = (uint16_t)out->len;
			open = true;
		}
		out->text[out->len++] = is_upper(c) ? (char)(c - 'A' + 'a') : c;
		out->end[out->count - 1] = (uint16_t)out->len;
	}
}

static void level_by_words(const struct policy *policy, const struct words *words, struct action_level *out)
{
	const struct policy_slot *best = NULL;
	for (unsigned first = 0; first < words->count; first++) {
		for (unsigned last = first; last < words->count && last < first + ENTRY_WORDS_MAX; last++) {
			size_t start = words->start[first];
			const struct policy_slot *entry = entry_get(policy, words->text + start, words->end[last] - start);
			/* Reading words inside a name say nothing about what the rest of it does. */
			if (entry == NULL || (entry->complexity == 1 && first > 0)) {
				continue;
			}
			if (best == NULL || entry->complexity > best->complexity ||
				(entry->complexity == best->complexity && entry->len > best->len)) {
				best = entry;
			}
		}
	}
	if (best != NULL) {
		level_set(out, best, RULE_WORDS);
		return;
	}
	*out = (struct action_level){policy->unknown_level, RULE_UNKNOWN, STR("unknown")};
}
