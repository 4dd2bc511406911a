/* policy.c - a workspace's action table and how an action's level is found: exactly, else by its words. */
#include <stdlib.h>

#include "base/check.h"
#include "base/mem.h"
#include "governance/policy_priv.h"

enum {
	WORDS_MAX = LIMIT_ACTION_BYTES,
	HASHED_BYTES_MAX = 65536,
	MINUTE_US = 60000000,
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

enum { DEFAULTS = sizeof(default_entries) / sizeof(default_entries[0]) };

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
static size_t slot_of(const struct policy *policy, const char *at, size_t len);
static void entry_put(struct policy *policy, struct str name, int complexity);
static enum err table_hash(struct policy *policy);
static void level_set(struct action_level *out, const struct policy_slot *entry, enum rule_kind kind);
static void words_split(struct str action, struct words *out);
static void level_by_words(const struct policy *policy, const struct words *words, struct action_level *out);

/* ---- making one ---- */

static void text_move(char **at, struct str *text)
{
	if (text->at != NULL) {
		memcpy(*at, text->at, text->len);
		text->at = *at;
		*at += text->len;
	}
}

enum err policy_make(const struct policy_draft *draft, struct policy **out)
{
	size_t overrides_bytes = draft->override_count * sizeof(struct policy_override);
	size_t texts_bytes = draft->exceptions.emergency_reason.len + draft->exceptions.stopped_reason.len;
	struct policy *policy = mem_alloc(sizeof(*policy) + overrides_bytes + texts_bytes);
	if (policy == NULL) {
		return ERR_MEMORY;
	}
	check(draft->unknown_level >= 1 && draft->unknown_level <= 4);
	policy->env = draft->env;
	policy->workspace = draft->workspace;
	policy->version = draft->version;
	policy->revision = draft->revision;
	policy->unknown_level = draft->unknown_level;
	policy->off = draft->off;
	policy->emergency_until_mono_us = draft->emergency_until_mono_us;
	policy->exceptions = draft->exceptions;
	struct policy_override *overrides = (struct policy_override *)(policy + 1);
	char *texts = (char *)overrides + overrides_bytes;
	text_move(&texts, &policy->exceptions.emergency_reason);
	text_move(&texts, &policy->exceptions.stopped_reason);
	policy->overrides = overrides;
	policy->override_count = draft->override_count;
	for (size_t i = 0; i < DEFAULTS; i++) {
		entry_put(policy, str_of(default_entries[i].name), default_entries[i].complexity);
	}
	for (size_t i = 0; i < draft->override_count; i++) {
		overrides[i] = draft->overrides[i];
		entry_put(policy, overrides[i].action, (int)overrides[i].level);
	}
	enum err err = table_hash(policy);
	if (err != ERR_OK) {
		mem_free(policy);
		return err;
	}
	*out = policy;
	return ERR_OK;
}

void policy_draft_of(const struct policy *policy, struct policy_draft *out)
{
	out->env = policy->env;
	out->workspace = policy->workspace;
	out->version = policy->version;
	out->revision = policy->revision;
	out->unknown_level = policy->unknown_level;
	out->off = policy->off;
	out->emergency_until_mono_us = policy->emergency_until_mono_us;
	out->exceptions = policy->exceptions;
	out->override_count = policy->override_count;
	for (size_t i = 0; i < policy->override_count; i++) {
		out->overrides[i] = policy->overrides[i];
	}
}

bool policy_draft_put(struct policy_draft *draft, struct str action, int level)
{
	size_t i = 0;
	while (i < draft->override_count && !str_eq(draft->overrides[i].action, action)) {
		i++;
	}
	if (i < draft->override_count) {
		draft->override_count--;
		memmove(&draft->overrides[i], &draft->overrides[i + 1], (draft->override_count - i) * sizeof(draft->overrides[0]));
	}
	/* What the default says needs no entry. */
	if (level == 0 || level == policy_default_level(action)) {
		return true;
	}
	if (draft->override_count == LIMIT_POLICY_OVERRIDES) {
		return false;
	}
	draft->overrides[draft->override_count++] = (struct policy_override){action, level, draft->version};
	return true;
}

int64_t policy_version(const struct policy *policy)
{
	return policy->version;
}

int64_t policy_revision(const struct policy *policy)
{
	return policy->revision;
}

bool policy_holds(const struct policy *policy, int64_t revision)
{
	return policy->revision == revision && policy->emergency_until_mono_us == 0;
}

const struct policy_override *policy_override_of(const struct policy *policy, struct str action)
{
	for (size_t i = 0; i < policy->override_count; i++) {
		if (str_eq(policy->overrides[i].action, action)) {
			return &policy->overrides[i];
		}
	}
	return NULL;
}

bool policy_default(size_t i, struct str *action, int *level)
{
	if (i >= DEFAULTS) {
		return false;
	}
	*action = str_of(default_entries[i].name);
	*level = default_entries[i].complexity;
	return true;
}

int policy_default_level(struct str action)
{
	for (size_t i = 0; i < DEFAULTS; i++) {
		if (str_eq(str_of(default_entries[i].name), action)) {
			return default_entries[i].complexity;
		}
	}
	return 0;
}

bool policy_action_form(struct str action, char out[LIMIT_POLICY_ACTION_BYTES], struct str *form)
{
	struct words words;
	if (action.len < 1 || action.len > LIMIT_ACTION_BYTES) {
		return false;
	}
	words_split(action, &words);
	if (words.len < 1 || words.len > LIMIT_POLICY_ACTION_BYTES) {
		return false;
	}
	for (size_t i = 0; i < words.len; i++) {
		char c = words.text[i];
		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_')) {
			return false;
		}
	}
	memcpy(out, words.text, words.len);
	*form = str_make(out, words.len);
	return true;
}

/* ---- its hash ---- */

static int line_compare(const void *a, const void *b)
{
	const struct policy_slot *one = a, *other = b;
	return str_cmp(str_make(one->name, one->len), str_make(other->name, other->len));
}

/* Over "unknown <level>\n", then "<action> <level>\n" of each entry in the order of bytes: what the table says, not how it came about. */
static enum err table_hash(struct policy *policy)
{
	struct policy_slot lines[DEFAULTS + LIMIT_POLICY_OVERRIDES];
	struct buf text;
	size_t count = 0;
	for (size_t i = 0; i < POLICY_SLOTS; i++) {
		if (policy->slots[i].name != NULL) {
			lines[count++] = policy->slots[i];
		}
	}
	qsort(lines, count, sizeof(lines[0]), line_compare);
	buf_init(&text, HASHED_BYTES_MAX);
	buf_format(&text, "unknown %d\n", policy->unknown_level);
	for (size_t i = 0; i < count; i++) {
		buf_put_str(&text, str_make(lines[i].name, lines[i].len));
		buf_format(&text, " %u\n", (unsigned)lines[i].complexity);
	}
	enum err err = buf_err(&text);
	if (err == ERR_OK) {
		hash_sha256(buf_str(&text), policy->hash);
	}
	buf_fini(&text);
	return err;
}

void policy_hash_hex(const struct policy *policy, char *out)
{
	hash_hex(policy->hash, sizeof(policy->hash), out);
}

/* ---- exceptions ---- */

int64_t policy_emergency_end(const struct env *env, const struct policy_exceptions *exceptions)
{
	if (exceptions->emergency_until_us == 0) {
		return 0;
	}
	/* A wall clock that was set does not make it longer than it was declared for. */
	int64_t whole_us = exceptions->emergency_until_us - exceptions->emergency_since_us;
	int64_t left_us = exceptions->emergency_until_us - env_wall_us(env);
	int64_t most_us = (int64_t)LIMIT_EMERGENCY_MINUTES * MINUTE_US;
	whole_us = whole_us < 0 ? 0 : whole_us > most_us ? most_us : whole_us;
	left_us = left_us < 0 ? 0 : left_us > whole_us ? whole_us : left_us;
	int64_t end_us = env_mono_us(env) + left_us;
	return end_us > 0 ? end_us : 1;
}

bool policy_emergency_now(const struct policy *policy)
{
	return policy->emergency_until_mono_us != 0 && env_mono_us(policy->env) < policy->emergency_until_mono_us;
}

enum err policy_decide_input(const struct policy *policy, const struct agent *agent, struct str action, struct decide_input *out)
{
	*out = (struct decide_input){.agent = agent_standing_of(agent), .stopped = policy->exceptions.stopped_since_us != 0,
		.policy_version = policy->version};
	if (policy->off) {
		out->exception = EXCEPTION_OFF;
	} else if (policy->emergency_until_mono_us != 0 && policy_emergency_now(policy)) {
		out->exception = EXCEPTION_EMERGENCY;
	}
	return policy_level(policy, action, &out->level);
}

/* ---- levels ---- */

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

/* Where that name is, or would be put. */
static size_t slot_of(const struct policy *policy, const char *at, size_t len)
{
	for (uint64_t i = name_hash(at, len);; i++) {
		const struct policy_slot *slot = &policy->slots[i & (POLICY_SLOTS - 1)];
		if (slot->name == NULL || (slot->len == len && memcmp(slot->name, at, len) == 0)) {
			return i & (POLICY_SLOTS - 1);
		}
	}
}

static const struct policy_slot *entry_get(const struct policy *policy, const char *at, size_t len)
{
	if (len == 0 || len > LIMIT_POLICY_ACTION_BYTES) {
		return NULL;
	}
	const struct policy_slot *slot = &policy->slots[slot_of(policy, at, len)];
	return slot->name != NULL ? slot : NULL;
}

static void entry_put(struct policy *policy, struct str name, int complexity)
{
	unsigned words = 1;
	check(name.len > 0 && name.len <= LIMIT_POLICY_ACTION_BYTES && complexity >= 1 && complexity <= 4);
	policy->slots[slot_of(policy, name.at, name.len)] = (struct policy_slot){name.at, (uint32_t)name.len, (uint32_t)complexity};
	for (size_t i = 0; i < name.len; i++) {
		words += name.at[i] == '_';
	}
	policy->words_max = words > policy->words_max ? words : policy->words_max;
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
		for (unsigned last = first; last < words->count && last < first + policy->words_max; last++) {
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
