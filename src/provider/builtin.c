/*
 * The builtin responder's answer: the best rule's replies, of which one is taken that says nothing the last answer said; on the
 * first turn and with greetings followed by a plain word on what answers here. All state is in the conversation itself.
 */
#include "base/buf.h"
#include "base/check.h"
#include "provider/builtin_priv.h"

#define RECENT_ANSWERS 24         /* looked through for replies used before */
#define RECENT_BYTES 4096         /* of each */
#define MEMORY_MESSAGES 40        /* looked through for things to come back to */
#define MEMORY_BYTES 2048         /* of each */
#define MEMORY_MATCHES 8
#define NAME_WORDS_MAX 3
#define REPLY_BYTES_MAX 1024
#define LONG_TEXT_BYTES 2000

struct answering {
	struct arena *arena;
	const struct builtin_book *book;
	const struct provider_message *messages;
	size_t count;
	size_t last;          /* index of the message to answer; count when there is none */
	size_t turns;         /* user messages so far */
	bool first;           /* nothing was answered yet */
	struct str previous;  /* the last answer */
	struct builtin_match match;
	bool name_sought;
	struct str name;
	bool in_memory;       /* a memory is being made: its replies hold no {memory} */
};

static struct str reply_choose(struct answering *a, const struct builtin_match *match);

/* ---- sentences ---- */

/* Cuts the first sentence off *rest: up to . ! or ? before a space or the end. */
static struct str sentence_next(struct str *rest)
{
	struct str s = *rest, sentence;
	size_t at = 0;

	while (at < s.len && !((s.at[at] == '.' || s.at[at] == '!' || s.at[at] == '?') && (at + 1 == s.len || s.at[at + 1] == ' '))) {
		at++;
	}
	at += at < s.len;
	sentence = str_trim(str_sub(s, 0, at));
	*rest = str_sub(s, at, s.len);
	return sentence;
}

static bool repeats(struct str reply, struct str previous)
{
	while (reply.len > 0) {
		struct str sentence = sentence_next(&reply);

		if (sentence.len > 0 && str_find(previous, sentence) >= 0) {
			return true;
		}
	}
	return false;
}

/* How many answers ago reply was given last; RECENT_ANSWERS + 1 when not in the recent ones. */
static size_t answers_ago(const struct answering *a, struct str reply)
{
	size_t ago = 0;

	for (size_t i = a->count; i > 0 && ago < RECENT_ANSWERS; i--) {
		if (a->messages[i - 1].role != PROVIDER_ASSISTANT) {
			continue;
		}
		ago++;
		if (str_find(str_sub(a->messages[i - 1].content, 0, RECENT_BYTES), reply) >= 0) {
			return ago;
		}
	}
	return RECENT_ANSWERS + 1;
}

/* ---- facts ---- */

static struct str name_seek(struct answering *a)
{
	size_t left = MEMORY_MESSAGES;

	for (size_t i = a->count; i > 0 && left > 0; i--) {
		const struct provider_message *message = &a->messages[i - 1];
		struct builtin_text *text;
		struct builtin_match match;

		if (message->role != PROVIDER_USER || (left--, str_find(message->content, STR("me")) < 0)) {
			continue;
		}
		text = arena_new(a->arena, struct builtin_text);
		if (!text || !builtin_read(a->arena, message->content, MEMORY_BYTES, text)) {
			return STR_NONE;
		}
		if (builtin_match_rule(a->book, text, BUILTIN_RULE_my_name, &match)) {
			const struct builtin_capture *name = &match.captures[1];

			return builtin_say(a->arena, name->words, name->count < NAME_WORDS_MAX ? name->count : NAME_WORDS_MAX, false);
		}
	}
	return STR_NONE;
}

static bool capture_number(const struct builtin_match *match, size_t index, int64_t *out)
{
	return index < match->count && match->captures[index].count == 1 && str_to_i64(match->captures[index].words[0].low, out);
}

static struct str fact_result(struct answering *a, const struct builtin_match *match)
{
	int64_t left, right, result;
	bool good;

	if (!capture_number(match, 1, &left) || !capture_number(match, 2, &right)) {
		return STR_NONE;
	}
	if (match->rule == builtin_rule(BUILTIN_RULE_divide)) {
		if (right == 0) {
			return STR_NONE;
		}
		return left % right == 0 ? arena_format(a->arena, "%lld", (long long)(left / right))
					 : arena_format(a->arena, "%lld and %lld over %lld", (long long)(left / right),
							(long long)(left % right), (long long)right);
	}
	if (match->rule == builtin_rule(BUILTIN_RULE_multiply)) {
		good = !__builtin_mul_overflow(left, right, &result);
	} else {
		result = match->rule == builtin_rule(BUILTIN_RULE_add) ? left + right : left - right;
		good = true;
	}
	return good ? arena_format(a->arena, "%lld", (long long)result) : STR_NONE;
}

/* Something said in an earlier turn, taken up again. */
static struct str fact_memory(struct answering *a)
{
	struct builtin_match *found = arena_array(a->arena, struct builtin_match, MEMORY_MATCHES);
	size_t count = 0, left = MEMORY_MESSAGES;
	struct str reply = STR_NONE;

	if (a->in_memory || !found) {
		return STR_NONE;
	}
	for (size_t i = a->last; i > 0 && left > 0 && count < MEMORY_MATCHES; i--) {
		struct builtin_match named;
		struct builtin_text *text;

		if (a->messages[i - 1].role != PROVIDER_USER) {
			continue;
		}
		left--;
		text = arena_new(a->arena, struct builtin_text);
		if (!text || !builtin_read(a->arena, a->messages[i - 1].content, MEMORY_BYTES, text)) {
			return STR_NONE;
		}
		if (builtin_match_rule(a->book, text, BUILTIN_RULE_my_name, &named)) {
			continue;
		}
		found[count] = builtin_match(a->book, text, true);
		count += found[count].rule ? 1 : 0;
	}
	a->in_memory = true;
	for (size_t i = 0; i < count && !reply.at; i++) {
		reply = reply_choose(a, &found[(a->turns + i) % count]);
	}
	a->in_memory = false;
	return reply;
}

static struct str fact(struct answering *a, const struct builtin_match *match, struct str name)
{
	if (str_eq(name, STR("name"))) {
		a->name = a->name_sought ? a->name : name_seek(a);
		a->name_sought = true;
		return a->name;
	}
	if (str_eq(name, STR("turns"))) {
		return arena_format(a->arena, "%zu", a->turns);
	}
	if (str_eq(name, STR("result"))) {
		return fact_result(a, match);
	}
	check(str_eq(name, STR("memory")));
	return fact_memory(a);
}

/* ---- replies ---- */

/* The value of one slot: "(2)", "[2]", "{name}" or "{no_name}". False when there is none. */
static bool slot_value(struct answering *a, const struct builtin_match *match, struct str slot, struct str *out)
{
	struct str inside = str_sub(slot, 1, slot.len - 2);
	const struct builtin_capture *capture;

	if (slot.at[0] == '{') {
		bool absent = str_starts(inside, STR("no_"));

		*out = fact(a, match, absent ? str_sub(inside, 3, inside.len) : inside);
		if (absent) {
			bool known = out->len > 0;

			*out = STR("");
			return !known;
		}
		return out->len > 0;
	}
	check(inside.len == 1 && inside.at[0] >= '1' && (size_t)(inside.at[0] - '1') < BUILTIN_CAPTURES_MAX);
	if ((size_t)(inside.at[0] - '1') >= match->count) {
		return false;
	}
	capture = &match->captures[inside.at[0] - '1'];
	*out = builtin_say(a->arena, capture->words, capture->count, slot.at[0] == '(');
	return out->len > 0;
}

/* The reply with its slots filled; at NULL when one cannot be. */
static struct str fill(struct answering *a, const struct builtin_match *match, const char *reply)
{
	struct buf out;
	struct str filled;

	buf_init(&out, REPLY_BYTES_MAX);
	while (*reply) {
		size_t plain = strcspn(reply, "([{"), slot;
		struct str value;

		buf_put(&out, reply, plain);
		reply += plain;
		if (!*reply) {
			break;
		}
		slot = strcspn(reply, ")]}") + 1;
		if (!slot_value(a, match, str_make(reply, slot), &value)) {
			buf_fini(&out);
			return STR_NONE;
		}
		buf_put_str(&out, value);
		reply += slot;
	}
	filled = buf_err(&out) == ERR_OK ? arena_copy(a->arena, buf_str(&out)) : STR_NONE;
	buf_fini(&out);
	return filled;
}

/* The reply of the rule that was given longest ago and shares no sentence with the last answer; at NULL when there is none. */
static struct str reply_choose(struct answering *a, const struct builtin_match *match)
{
	struct str best = STR_NONE;
	size_t count = 0, best_ago = 0;

	while (match->rule->replies[count]) {
		count++;
	}
	for (size_t i = 0; i < count && best_ago <= RECENT_ANSWERS; i++) {
		struct str reply = fill(a, match, match->rule->replies[(a->turns + count - 1 + i) % count]);
		size_t ago;

		if (!reply.at || repeats(reply, a->previous)) {
			continue;
		}
		ago = answers_ago(a, reply);
		if (ago > best_ago) {
			best = reply;
			best_ago = ago;
		}
	}
	return best;
}

static struct str reply_of(struct answering *a, enum builtin_rule_id id)
{
	const struct builtin_match match = {.rule = builtin_rule(id)};

	return reply_choose(a, &match);
}

/* The last resort: a sentence that no earlier one can equal, because of its number. */
static struct str reply_numbered(struct answering *a)
{
	for (size_t number = a->turns;; number++) {
		struct str reply = arena_format(a->arena, "I have no better answer to your message number %zu.", number);

		if (!reply.at || str_find(a->previous, reply) < 0) {
			return reply;
		}
	}
}

static enum builtin_rule_id unmatched_rule(const struct answering *a, const struct builtin_text *text)
{
	if (text->count == 0) {
		return BUILTIN_RULE_empty;
	}
	if (text->other && !text->latin) {
		return BUILTIN_RULE_other_script;
	}
	if (text->fence) {
		return BUILTIN_RULE_fence;
	}
	return a->messages[a->last].content.len > LONG_TEXT_BYTES ? BUILTIN_RULE_long_text : BUILTIN_RULE_none;
}

static struct str reply_make(struct answering *a, const struct builtin_text *text)
{
	enum builtin_rule_id other = unmatched_rule(a, text);
	struct str reply = STR_NONE;

	/* What cannot be understood at all goes before chance hits of a word in it, but never before a strong rule. */
	if (a->match.rule && (a->match.rule->rank >= 50 || other == BUILTIN_RULE_none)) {
		reply = reply_choose(a, &a->match);
	} else {
		a->match.rule = NULL;
	}
	if (!reply.at && other == BUILTIN_RULE_none && a->turns % 2 == 0) {
		reply = fact_memory(a);
	}
	if (!reply.at) {
		reply = reply_of(a, other);
	}
	if (!reply.at) {
		reply = reply_of(a, BUILTIN_RULE_none);
	}
	return reply.at ? reply : reply_numbered(a);
}

static void look_back(struct answering *a)
{
	a->last = a->count;
	a->first = true;
	a->previous = STR("");
	for (size_t i = 0; i < a->count; i++) {
		if (a->messages[i].role == PROVIDER_USER) {
			a->last = i;
			a->turns++;
		} else if (a->messages[i].role == PROVIDER_ASSISTANT) {
			a->previous = a->messages[i].content;
			a->first = false;
		}
	}
}

struct str builtin_answer_by(const struct builtin_book *book, struct arena *arena, const struct provider_message *messages,
			     size_t message_count)
{
	const struct str no_memory = STR("I am Guild's builtin responder, not a language model, and I am out of memory just now.");
	struct answering a = {.arena = arena, .book = book, .messages = messages, .count = message_count};
	struct builtin_text *text = arena_new(arena, struct builtin_text);
	struct str reply, disclosure = STR_NONE, answer;
	unsigned flags;

	look_back(&a);
	if (!book || !text ||
	    !builtin_read(arena, a.last < a.count ? messages[a.last].content : STR(""), BUILTIN_READ_BYTES_MAX, text)) {
		return no_memory;
	}
	a.match = builtin_match(book, text, false);
	reply = reply_make(&a, text);
	flags = a.match.rule ? a.match.rule->flags : 0;
	if (reply.at && ((flags & BUILTIN_DISCLOSE) || (a.first && !(flags & BUILTIN_SELF)))) {
		disclosure = reply_of(&a, BUILTIN_RULE_disclose);
	}
	answer = disclosure.at ? arena_format(arena, "%.*s %.*s", STR_FMT(reply), STR_FMT(disclosure)) : reply;
	return answer.at ? answer : no_memory;
}

struct str builtin_answer(struct arena *arena, const struct provider_message *messages, size_t message_count)
{
	return builtin_answer_by(builtin_book_make(arena), arena, messages, message_count);
}
