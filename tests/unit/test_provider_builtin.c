/* The builtin responder: every pattern is reachable, nothing is said twice running, and any text in gives good text out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/env.h"
#include "loop/loop.h"
#include "provider/builtin_priv.h"
#include "wire/utf8.h"

#define ARENA_BYTES (8 << 20)
#define DISCLOSURE "not a language model"

/* ---- talking ---- */

struct talk {
	struct arena kept;     /* messages */
	struct arena arena;    /* one answer */
	struct arena book_arena;
	const struct builtin_book *book;
	struct provider_message messages[1024];
	size_t count;
};

static void talk_init(struct talk *t)
{
	memset(t, 0, sizeof(*t));
	arena_init(&t->kept, ARENA_BYTES);
	arena_init(&t->arena, ARENA_BYTES);
	arena_init(&t->book_arena, ARENA_BYTES);
	t->book = builtin_book_make(&t->book_arena);
	assert_non_null(t->book);
}

static void talk_fini(struct talk *t)
{
	arena_fini(&t->kept);
	arena_fini(&t->arena);
	arena_fini(&t->book_arena);
}

static struct str say(struct talk *t, struct str text)
{
	struct str answer;

	assert_true(t->count + 2 <= 1024);
	t->messages[t->count++] = (struct provider_message){PROVIDER_USER, text.len ? arena_copy(&t->kept, text) : STR("")};
	answer = arena_copy(&t->kept, builtin_answer_by(t->book, &t->arena, t->messages, t->count));
	arena_reset(&t->arena, ARENA_BLOCK_MAX);
	assert_true(answer.len > 0 && utf8_valid(answer));
	t->messages[t->count++] = (struct provider_message){PROVIDER_ASSISTANT, answer};
	return answer;
}

static const char *says(struct talk *t, const char *text) { return say(t, str_of(text)).at; }

#define assert_holds(text, part) \
	do { \
		const char *text_ = (text); \
		if (!strstr(text_, part)) { \
			fail_msg("\"%s\" does not hold \"%s\"", text_, part); \
		} \
	} while (0)
#define assert_lacks(text, part) \
	do { \
		const char *text_ = (text); \
		if (strstr(text_, part)) { \
			fail_msg("\"%s\" holds \"%s\"", text_, part); \
		} \
	} while (0)

static bool sentence_cut(struct str *rest, struct str *out)
{
	size_t at = 0;

	*rest = str_trim(*rest);
	if (rest->len == 0) {
		return false;
	}
	while (at < rest->len && !(strchr(".!?", rest->at[at]) && (at + 1 == rest->len || rest->at[at + 1] == ' '))) {
		at++;
	}
	at += at < rest->len;
	*out = str_sub(*rest, 0, at);
	*rest = str_sub(*rest, at, rest->len);
	return true;
}

static void assert_no_sentence_shared(struct str a, struct str b)
{
	struct str one, other;

	while (sentence_cut(&a, &one)) {
		struct str rest = b;

		while (sentence_cut(&rest, &other)) {
			if (str_eq(one, other)) {
				fail_msg("twice running: \"%.*s\"", STR_FMT(one));
			}
		}
	}
}

/* ---- the table ---- */

static const char *group_first(const char *name, char *out)
{
	static const struct {
		const char *name, *words;
	} groups[] = {
#define GROUP(name, words) {#name, words},
#include "provider/builtin_rules.def"
	};

	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
		if (strcmp(groups[i].name, name) == 0) {
			sscanf(groups[i].words, "%63s", out);
			return out;
		}
	}
	fail_msg("no group %s", name);
	return NULL;
}

/* A text that the pattern is meant for: the first of each choice, nothing for *, "blue velvet" for +, 12 for #. */
static void sample(struct str pattern, char *out)
{
	struct str word;
	char name[64], first[64];

	*out = 0;
	pattern = str_trim(pattern);
	while (str_split(&pattern, ' ', &word)) {
		struct str rest = word, choice;

		if (str_eq(word, STR("*"))) {
			continue;
		}
		if (str_eq(word, STR("+"))) {
			strcat(out, "blue velvet ");
		} else if (str_eq(word, STR("#"))) {
			strcat(out, "12 ");
		} else if (word.at[0] == '@') {
			strcat(out, group_first(str_to_z(str_sub(word, 1, word.len), name, sizeof(name)), first));
			strcat(out, " ");
		} else {
			assert_true(str_split(&rest, '/', &choice));
			strncat(out, choice.at, choice.len);
			strcat(out, " ");
		}
	}
}

static void test_every_rule_is_reachable(void **state)
{
	struct talk *t = malloc(sizeof(*t));
	size_t reachable = 0;

	talk_init(t);
	for (int id = 0; id < BUILTIN_RULE_COUNT; id++) {
		const struct builtin_rule *rule = builtin_rule(id);
		struct str rest = str_of(rule->patterns), pattern;
		bool reached = rest.len == 0;

		while (rest.len > 0 && str_split(&rest, '|', &pattern)) {
			struct builtin_text *text = calloc(1, sizeof(*text));
			struct builtin_match match;
			char input[512];

			sample(pattern, input);
			assert_true(builtin_read(&t->arena, str_of(input), 4096, text));
			if (!builtin_match_rule(t->book, text, id, &match)) {
				fail_msg("%s: \"%.*s\" does not match \"%s\"", rule->name, STR_FMT(pattern), input);
			}
			match = builtin_match(t->book, text, rule->flags & BUILTIN_MEMORY);
			reached |= match.rule == rule;
			free(text);
			arena_reset(&t->arena, ARENA_BLOCK_MAX);
		}
		if (!reached) {
			fail_msg("rule %s is never the best", rule->name);
		}
		reachable += rule->patterns[0] && !(rule->flags & BUILTIN_MEMORY);
	}
	assert_true(reachable >= 60);
	assert_true(builtin_book_patterns(t->book) >= 60);
	talk_fini(t);
	free(t);
}

static void test_replies_are_well_formed(void **state)
{
	for (int id = 0; id < BUILTIN_RULE_COUNT; id++) {
		const struct builtin_rule *rule = builtin_rule(id);
		size_t count = 0;

		for (; rule->replies[count]; count++) {
			struct str rest = str_of(rule->replies[count]), sentence;

			assert_true(utf8_valid(rest));
			if (rule->flags & BUILTIN_SELF) {
				assert_holds(rule->replies[count], "language model");
			}
			while (sentence_cut(&rest, &sentence)) {
				for (int other = 0; other < BUILTIN_RULE_COUNT; other++) {
					for (size_t k = 0; builtin_rule(other)->replies[k]; k++) {
						struct str theirs = str_of(builtin_rule(other)->replies[k]), one;
						bool same = other == id && k == count;

						while (!same && sentence_cut(&theirs, &one)) {
							if (str_eq(one, sentence)) {
								fail_msg("%s and %s share \"%.*s\"", rule->name, builtin_rule(other)->name,
									 STR_FMT(one));
							}
						}
					}
				}
			}
		}
		assert_true(count >= 3);
		assert_true(id == BUILTIN_RULE_disclose || count <= BUILTIN_REPLIES_MAX);
	}
	for (size_t i = 0; builtin_rule(BUILTIN_RULE_disclose)->replies[i]; i++) {
		assert_holds(builtin_rule(BUILTIN_RULE_disclose)->replies[i], DISCLOSURE);
	}
}

/* ---- what it says ---- */

static void test_says_plainly_what_it_is(void **state)
{
	const char *first[] = {"hello", "I feel sad", "what is 2 + 2", "xyzzy", "", "日本語", "who are you?", "Are you ChatGPT?"};
	const char *later[] = {"hello", "hello", "hi there", "what are you?", "are you human", "are you a language model",
			       "Hey!", "who am I talking to?", "what's your name", "who made you?"};
	struct talk *t = malloc(sizeof(*t));

	for (size_t i = 0; i < sizeof(first) / sizeof(first[0]); i++) {
		talk_init(t);
		assert_holds(says(t, first[i]), "language model");
		talk_fini(t);
	}
	talk_init(t);
	says(t, "the sky");
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		assert_holds(says(t, later[i]), "language model");
	}
	assert_lacks(says(t, "the sky is blue"), "language model");
	talk_fini(t);
	free(t);
}

static void test_deterministic(void **state)
{
	const char *lines[] = {"hello", "my name is Ada", "I feel sad because my dog ran away", "12 * 12", "hmm", "hmm", "what is my name"};
	struct talk *a = malloc(sizeof(*a)), *b = malloc(sizeof(*b));

	talk_init(a);
	talk_init(b);
	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct str mine = say(a, str_of(lines[i]));
		struct str theirs = say(b, str_of(lines[i]));
		struct str again = builtin_answer(&a->arena, a->messages, a->count - 1);

		assert_string_equal(mine.at, theirs.at);
		assert_string_equal(mine.at, again.at);
	}
	talk_fini(a);
	talk_fini(b);
	free(a);
	free(b);
}

static void test_never_the_same_twice_running(void **state)
{
	const char *same[] = {"hello", "hm", "yes", "no", "why", "who are you", "", "thanks", "I am sad", "my mother", "12", "日本", "5 / 0",
			      "I want a dog. I want a dog. I want a dog!", "say hello. hello. hello", "what is 3 + 4?", "help", "```"};
	const char *many[] = {"hello", "I need a rest", "my mother hates me", "perhaps", "why not?", "what is 2 + 2", "nothing", "yes",
			      "you are nice", "I dreamt of 7 cats", "hm"};
	struct talk *t = malloc(sizeof(*t));

	for (size_t i = 0; i <= sizeof(same) / sizeof(same[0]); i++) {
		struct str before = STR("");

		talk_init(t);
		for (size_t turn = 0; turn < 200; turn++) {
			const char *line = i < sizeof(same) / sizeof(same[0]) ? same[i] : many[turn * 7 % (sizeof(many) / sizeof(many[0]))];
			struct str answer = say(t, str_of(line));

			assert_false(str_eq(before, answer));
			assert_no_sentence_shared(before, answer);
			before = answer;
		}
		talk_fini(t);
	}
	free(t);
}

static void test_pronouns(void **state)
{
	const struct {
		const char *in, *out;
	} rows[] = {
		{"I hate my brother", "your brother"},
		{"you hate me", "I hate you"},
		{"you are my friend", "I am your friend"},
		{"I am yours", "you are mine"},
		{"what are you doing", "what am I doing"},
		{"I like you", "you like me"},
		{"I was with you", "you were with me"},
		{"your dog bit me", "my dog bit you"},
		{"I hurt myself", "you hurt yourself"},
		{"you were late", "I was late"},
		{"I'm tired of your rules", "you are tired of my rules"},
		{"Peter told me", "Peter told you"},
		{"Müller liebt me", "Müller liebt you"},
	};
	struct arena arena;
	struct builtin_text *text = calloc(1, sizeof(*text));

	arena_init(&arena, ARENA_BYTES);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct str out;

		assert_true(builtin_read(&arena, str_of(rows[i].in), 4096, text));
		assert_int_equal(text->count, 1);
		out = builtin_say(&arena, text->clauses[0].words, text->clauses[0].count, true);
		assert_holds(arena_copy(&arena, out).at, rows[i].out);
	}
	arena_fini(&arena);
	free(text);
}

static void test_talk(void **state)
{
	struct talk *t = malloc(sizeof(*t));
	char all[4096] = "";

	talk_init(t);
	assert_holds(says(t, "Hello!"), "Guild");
	says(t, "My name is Grace Hopper");
	assert_holds(says(t, "What's my name?"), "Grace Hopper");
	assert_holds(says(t, "what is my name"), "Grace Hopper");
	assert_holds(says(t, "what is 12 * 12?"), "144");
	assert_holds(says(t, "and 7+35"), "42");
	assert_holds(says(t, "10 - 3"), "7");
	assert_holds(says(t, "100 / 8"), "12 and 4 over 8");
	assert_lacks(says(t, "100 / 8"), "{");
	assert_holds(says(t, "5 divided by 0"), "ivi");
	says(t, "I like sailing at night");
	for (int i = 0; i < 12; i++) {
		strncat(all, says(t, "hmm"), 200);
	}
	assert_holds(all, "sailing at night");
	assert_holds(says(t, "how do I connect a real model?"), "language model");
	assert_holds(says(t, "what is maturity?"), "intern");
	assert_holds(says(t, "show me the audit log"), "audit");
	all[0] = 0;
	for (int i = 0; i < 4; i++) {
		strncat(all, says(t, "I feel gloomy"), 200);
	}
	assert_holds(all, "gloomy");
	assert_holds(says(t, "say good morning"), "good morning");
	talk_fini(t);
	talk_init(t);
	says(t, "the sky");
	assert_lacks(says(t, "what is my name"), "{");
	assert_holds(says(t, "what is my name"), "name");
	assert_lacks(says(t, "8 / 2"), "ividing");
	assert_lacks(says(t, "8 / 2"), "no answer");
	assert_lacks(says(t, "do you remember"), "{");
	talk_fini(t);
	free(t);
}

static void test_useful_for_each_topic(void **state)
{
	const struct {
		const char *in;
		enum builtin_rule_id rule;
	} rows[] = {
		{"How are you today?", BUILTIN_RULE_how_are_you}, {"hello, how are you?", BUILTIN_RULE_how_are_you},
		{"thank you so much!", BUILTIN_RULE_thanks},       {"ok bye", BUILTIN_RULE_bye},
		{"What is Guild?", BUILTIN_RULE_guild},            {"What can you do?", BUILTIN_RULE_you_can},
		{"help", BUILTIN_RULE_you_can},                    {"tell me a joke", BUILTIN_RULE_joke},
		{"I don't know", BUILTIN_RULE_i_do_not_know},      {"Yes", BUILTIN_RULE_yes},
		{"No!", BUILTIN_RULE_no},                          {"why?", BUILTIN_RULE_why},
		{"How do I bake bread", BUILTIN_RULE_how_do_i},    {"my program has a bug", BUILTIN_RULE_bug},
		{"I can\xe2\x80\x99t sleep", BUILTIN_RULE_i_cannot}, {"I can not sleep", BUILTIN_RULE_i_cannot},
		{"I'm worried about tests", BUILTIN_RULE_feel_afraid}, {"write me a function", BUILTIN_RULE_write_code},
		{"I use C++ daily", BUILTIN_RULE_language},        {"I want to die", BUILTIN_RULE_suicide},
		{"what time is it", BUILTIN_RULE_clock},           {"why was I blocked", BUILTIN_RULE_governance},
	};
	struct talk *t = malloc(sizeof(*t));
	struct builtin_text *text = calloc(1, sizeof(*text));

	talk_init(t);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct builtin_match match;

		assert_true(builtin_read(&t->arena, str_of(rows[i].in), 4096, text));
		match = builtin_match(t->book, text, false);
		if (match.rule != builtin_rule(rows[i].rule)) {
			fail_msg("\"%s\" is taken by %s", rows[i].in, match.rule ? match.rule->name : "none");
		}
	}
	talk_fini(t);
	free(t);
	free(text);
}

/* ---- any text ---- */

static void test_naughty_text(void **state)
{
	const char *texts[] = {
		"", " ", "\n\n\n", "\t", "....", "???", "!", "'", "''''", "-", "--", "—", "…", "“”", "’", "’’’", "a’", "’a",
		"null", "undefined", "NaN", "%s%n%d", "{name}", "{no_name}", "(2)", "[1]", "{{{{{{{{", ")))", "say {memory}", "say (1) [2] {x}",
		"my name is {name}", "call me (2)", "../../etc/passwd", "<script>alert(1)</script>", "'; DROP TABLE users; --", "\x01\x02\x7f",
		"Ω≈ç√∫˜µ≤≥÷", "田中さんにあげて下さい", "مرحبا", "שלום", "Ṱ̺̺̕o͞ ̷i̲̬͇̪͙n̝̗͕v̟̜̘̦͟o̶̙̰̠kè͚̮̺̪̹̱̤", "👩‍👩‍👧‍👦", "🏳️‍🌈 hi 🏳️‍🌈", "﷽",
		"\xef\xbb\xbfhi", "\xe2\x80\xaexyz",
		"99999999999999999999 + 1", "999999999999999 * 999999999999999", "1/0", "0/0", "-5 - -5", "1.5 + 2.5", "1e309 + 2",
		"I I I I you you you me me me", "you", "are", "you are", "my", "I am", "i'm", "don't", "can't can not cannot", "c++ c# c+ #",
		"\xff\xfe", "\xed\xa0\x80", "\xc3", "abc\x80", "but but but", "a,b,c,d,e,f,g,h,i,j,k,l,m,n,o,p,q,r,s,t,u,v,w,x,y,z",
	};
	struct talk *t = malloc(sizeof(*t));

	talk_init(t);
	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
			say(t, str_of(texts[i]));
		}
	}
	say(t, str_make("a\0b", 3));
	say(t, str_make("\0", 1));
	talk_fini(t);
	talk_init(t);
	assert_true(builtin_answer(&t->arena, NULL, 0).len > 0);
	t->messages[0] = (struct provider_message){PROVIDER_SYSTEM, STR("be nice")};
	assert_true(builtin_answer(&t->arena, t->messages, 1).len > 0);
	t->messages[1] = (struct provider_message){PROVIDER_ASSISTANT, STR_NONE};
	t->messages[2] = (struct provider_message){PROVIDER_USER, STR_NONE};
	assert_true(builtin_answer(&t->arena, t->messages, 3).len > 0);
	talk_fini(t);
	free(t);
}

static void test_random_text(void **state)
{
	const char *words[] = {"i", "you", "my", "am", "are", "mother", "hello", "12", "+", "/", ".", ",", "why", "é", "😀", "'", "’", "not",
			       "can", "because", "if", "name", "is", "me", "{", "(", "want", "what", "\n", "``", "remember", "like"};
	struct talk *t = malloc(sizeof(*t));
	uint64_t seed = 42;

	for (int round = 0; round < 20; round++) {
		struct str before = STR("");

		talk_init(t);
		for (int turn = 0; turn < 100; turn++) {
			char text[1024] = "";

			for (int i = 0; i < 1 + turn % 30; i++) {
				seed = seed * 6364136223846793005u + 1442695040888963407u;
				strcat(text, words[(seed >> 33) % (sizeof(words) / sizeof(words[0]))]);
				strcat(text, (seed >> 60) ? " " : "");
			}
			struct str answer = say(t, str_of(text));
			assert_no_sentence_shared(before, answer);
			before = answer;
		}
		talk_fini(t);
	}
	free(t);
}

/* An earlier answer that holds every sentence of the table: still nothing is repeated. */
static void test_hostile_history(void **state)
{
	struct talk *t = malloc(sizeof(*t));
	struct buf all;

	buf_init(&all, 1 << 20);
	for (int id = 0; id < BUILTIN_RULE_COUNT; id++) {
		for (size_t i = 0; builtin_rule(id)->replies[i]; i++) {
			buf_format(&all, "%s ", builtin_rule(id)->replies[i]);
		}
	}
	talk_init(t);
	t->messages[t->count++] = (struct provider_message){PROVIDER_ASSISTANT, buf_str(&all)};
	assert_no_sentence_shared(buf_str(&all), say(t, STR("yes")));
	talk_fini(t);
	buf_fini(&all);
	free(t);
}

static void test_long_text_is_fast(void **state)
{
	const size_t len = 100000;
	const char *fill[] = {"a", "a ", "i am you ", "you are my mother because ", ". ", "é", "1+", "* ", "i, ", "\n", "my name is "};
	char *text = malloc(len + 64);
	struct talk *t = malloc(sizeof(*t));

	talk_init(t);
	for (size_t i = 0; i < sizeof(fill) / sizeof(fill[0]); i++) {
		size_t at = 0;
		int64_t start_us;

		while (at + strlen(fill[i]) <= len) {
			memcpy(text + at, fill[i], strlen(fill[i]));
			at += strlen(fill[i]);
		}
		start_us = env_mono_us(env_real());
		for (int turn = 0; turn < 10; turn++) {
			say(t, str_make(text, at));
		}
		/* Some 5 ms each with sanitizers; a quadratic reader would need minutes. */
		assert_true(env_mono_us(env_real()) - start_us < 2000000);
		arena_reset(&t->kept, ARENA_BLOCK_MAX);
		t->count = 0;
	}
	talk_fini(t);
	free(t);
	free(text);
}

static void test_little_memory(void **state)
{
	const struct provider_message message = {PROVIDER_USER, STR("hello, my mother is sad")};

	for (size_t bytes = 0; bytes < 300000; bytes += 4999) {
		struct arena arena;

		arena_init(&arena, bytes);
		assert_true(builtin_answer(&arena, &message, 1).len > 0);
		arena_fini(&arena);
	}
}

/* ---- the driver ---- */

struct heard {
	struct buf text;
	size_t deltas, deltas_max, turn_deltas, turn_deltas_max, dones, turns;
	struct provider_result result;
	const struct provider *provider;
	struct provider_call *call;
	size_t cancel_after;
	bool cancel_same_turn;
};

static void hear_delta(void *ctx, struct str text)
{
	struct heard *h = ctx;
	ptrdiff_t space = str_find_byte(text, ' ');

	assert_int_equal(h->dones, 0);
	assert_true(text.len > 0 && utf8_valid(text));
	assert_true(space < 0 || (size_t)space == text.len - 1);
	buf_put_str(&h->text, text);
	h->turn_deltas++;
	if (++h->deltas == h->cancel_after) {
		h->provider->driver->cancel(h->call);
		assert_int_equal(h->dones, 0);
	}
}

static void hear_done(void *ctx, const struct provider_result *result)
{
	struct heard *h = ctx;

	h->dones++;
	h->result = *result;
}

static void listen_to(struct loop *loop, struct provider *provider, const char *text, int64_t tokens_max, struct heard *h)
{
	const struct provider_message message = {PROVIDER_USER, str_of(text)};
	const struct provider_request request = {.messages = &message, .message_count = 1, .output_tokens_max = tokens_max};
	const struct provider_sink sink = {hear_delta, hear_done, h};

	buf_init(&h->text, 65536);
	h->provider = provider;
	assert_int_equal(provider->driver->start(provider->self, loop, &request, &sink, &h->call), ERR_OK);
	assert_int_equal(h->deltas + h->dones, 0);
	if (h->cancel_same_turn) {
		provider->driver->cancel(h->call);
		assert_int_equal(h->dones, 0);
	}
	while (!h->dones) {
		assert_true(h->turns++ < 1000);
		h->turn_deltas = 0;
		loop_turn(loop, 0);
		h->turn_deltas_max = h->turn_deltas > h->turn_deltas_max ? h->turn_deltas : h->turn_deltas_max;
	}
	loop_turn(loop, 0);
	assert_int_equal(h->dones, 1);
}

static void test_driver(void **state)
{
	const struct loop_options options = {.env = env_real()};
	const struct provider_message message = {PROVIDER_USER, STR("hello")};
	struct provider provider;
	struct loop *loop;
	struct arena arena;
	char name[16];

	arena_init(&arena, ARENA_BYTES);
	assert_int_equal(loop_create(&options, &loop), ERR_OK);
	assert_int_equal(provider_builtin_create(&provider), ERR_OK);
	assert_true(str_eq(provider.driver->default_model(provider.self, name, sizeof(name)), STR("builtin")));

	struct heard whole = {.cancel_after = 0};
	listen_to(loop, &provider, "hello", 0, &whole);
	assert_int_equal(whole.result.err, ERR_OK);
	assert_true(str_eq(whole.result.finish_reason, STR("stop")));
	assert_true(str_eq(whole.result.model, STR("builtin")));
	assert_true(str_eq(buf_str(&whole.text), builtin_answer(&arena, &message, 1)));
	assert_true(whole.deltas > 8 && whole.turn_deltas_max <= 16);
	buf_fini(&whole.text);

	struct heard cancelled = {.cancel_after = 3};
	listen_to(loop, &provider, "hello", 0, &cancelled);
	assert_int_equal(cancelled.result.err, ERR_CANCELLED);
	assert_int_equal(cancelled.deltas, 3);
	buf_fini(&cancelled.text);

	struct heard at_once = {.cancel_same_turn = true};
	listen_to(loop, &provider, "hello", 0, &at_once);
	assert_int_equal(at_once.result.err, ERR_CANCELLED);
	assert_int_equal(at_once.deltas, 0);
	assert_true(at_once.turns >= 2);
	buf_fini(&at_once.text);

	struct heard cut = {.cancel_after = 0};
	listen_to(loop, &provider, "hello", 3, &cut);
	assert_int_equal(cut.result.err, ERR_OK);
	assert_true(str_eq(cut.result.finish_reason, STR("length")));
	assert_true(cut.deltas <= 3);
	buf_fini(&cut.text);

	provider_builtin_destroy(&provider);
	loop_destroy(&loop);
	arena_fini(&arena);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_rule_is_reachable),
		cmocka_unit_test(test_replies_are_well_formed),
		cmocka_unit_test(test_says_plainly_what_it_is),
		cmocka_unit_test(test_deterministic),
		cmocka_unit_test(test_never_the_same_twice_running),
		cmocka_unit_test(test_pronouns),
		cmocka_unit_test(test_talk),
		cmocka_unit_test(test_useful_for_each_topic),
		cmocka_unit_test(test_naughty_text),
		cmocka_unit_test(test_random_text),
		cmocka_unit_test(test_hostile_history),
		cmocka_unit_test(test_long_text_is_fast),
		cmocka_unit_test(test_little_memory),
		cmocka_unit_test(test_driver),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
