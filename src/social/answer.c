/*
 * answer.c - agents that answer by themselves.
 *
 * What an agent owes is a row, written with the post or message that asks it. All of them are worked off on the first loop:
 *
 *   WAITING   known to be owed
 *   ADMIT     the writer: still owed, and is the pair below its limit? It takes one, or forgives the debt
 *   READ      a reader: the cause and what was said before
 *   ASK       a governed run, like any chat
 *   POST      the reply or message, as the agent; its transaction removes the debt
 *
 * A refusal or a failure forgives the debt; what a stopping server leaves is taken up at the next start.
 */
#include "base/check.h"
#include "base/log.h"
#include "base/mem.h"
#include "social/social_priv.h"

enum { DEBTS_READ = 256, ARENA_BYTES = 1 << 20 };

struct answer {
	struct list link;
	struct answer_table *table;
	struct answer_debt debt;
	struct arena arena;
	struct read_job read;
	struct answer_cause cause;
	struct caller agent;      /* as whom it is posted */
};

struct answer_table {
	struct guild *guild;
	struct loop *loop;        /* the first one; everything here is its */
	struct list waiting;
	struct list running;
	size_t waiting_count, running_count;
	bool behind;              /* the store may know more than `waiting` */
	bool reading;
	struct read_job read;
	int64_t read_after;
	struct answer_debt found[DEBTS_READ];
	size_t found_count;
};

/* Debts on their way to the first loop. */
struct ask_note {
	struct loop_note note;
	struct answer_table *table;
	size_t count;
	struct answer_debt debts[];
};

struct admit_command {
	struct change change; /* first */
	struct answer *answer;
	bool forgive, admitted;
};

static void ask_run(struct loop_note *note, struct loop *loop);
static void start_run(struct loop_note *note, struct loop *loop);
static void debts_found(struct read_job *job);
static enum err debts_find(struct read_job *job, struct db *db);
static void work(struct answer_table *table);
static void answer_submit(struct answer *answer, bool forgive);
static enum err admit_apply(struct command *command, struct db *db);
static void admit_finish(struct command *command);
static enum err cause_run(struct read_job *job, struct db *db);
static void cause_done(struct read_job *job);
static void answered(void *ctx, enum err err, struct str text);
static void posted(void *ctx, const struct post_done *done);
static void sent(void *ctx, enum err err);

static const struct command_row admit_row = {"answer_admit", "reply", admit_apply, NULL, admit_finish};

/* ---- life ---- */

enum err answer_table_create(struct guild *guild, struct answer_table **out)
{
	struct answer_table *table = mem_alloc(sizeof(*table));
	*out = table;
	if (table == NULL) {
		return ERR_MEMORY;
	}
	table->guild = guild;
	list_init(&table->waiting);
	list_init(&table->running);
	return ERR_OK;
}

static void answer_free(struct answer *answer)
{
	list_remove(&answer->link);
	arena_fini(&answer->arena);
	mem_free(answer);
}

void answer_table_destroy(struct answer_table **table)
{
	struct list *link;
	if (*table == NULL) {
		return;
	}
	while ((link = list_pop(&(*table)->waiting)) != NULL || (link = list_pop(&(*table)->running)) != NULL) {
		answer_free(container_of(link, struct answer, link));
	}
	mem_free(*table);
	*table = NULL;
}

void social_answerer_set(struct social *social, const struct social_answerer *answerer)
{
	social->answerer = *answerer;
}

/* ---- what is owed ---- */

size_t answer_debts(struct guild *guild, struct actor author, int hops, int64_t cause, bool is_message, const int64_t *agents, size_t count,
		    struct answer_debt *out, size_t max)
{
	size_t n = 0;
	for (size_t i = 0; i < count && n < max && hops < LIMIT_ANSWER_HOPS; i++) {
		const struct agent *agent = registry_get(guild->registry, agents[i]);
		bool answers = agent != NULL && agent->kind == AGENT_HOSTED && agent->auto_reply && agent->lifecycle == LIFECYCLE_ACTIVE &&
			       agents[i] != author.key;
		if (answers) {
			out[n++] = (struct answer_debt){
				.agent = agents[i], .cause = cause, .is_message = is_message, .asker = author, .hops = hops + 1};
		}
	}
	return n;
}

void answer_ask(struct social *social, const struct answer_debt *debts, size_t count)
{
	struct answer_table *table = social->answers;
	struct ask_note *note = count > 0 && social->answerer.ask != NULL ? mem_alloc(sizeof(*note) + count * sizeof(debts[0])) : NULL;
	if (note == NULL) {
		return;
	}
	note->note.run = ask_run;
	note->table = table;
	note->count = count;
	memcpy(note->debts, debts, count * sizeof(debts[0]));
	loop_note_post(table->guild->loops[0], &note->note);
}

static bool is_known(const struct list *answers, const struct answer_debt *debt)
{
	for (const struct list *at = answers->next; at != answers; at = at->next) {
		const struct answer *answer = container_of((struct list *)at, struct answer, link);
		if (answer->debt.agent == debt->agent && answer->debt.cause == debt->cause) {
			return true;
		}
	}
	return false;
}

static void debt_take(struct answer_table *table, const struct answer_debt *debt)
{
	struct answer *answer = table->waiting_count < LIMIT_ANSWERS_WAITING ? mem_alloc(sizeof(*answer)) : NULL;
	if (answer == NULL) {
		table->behind = true;
		return;
	}
	answer->table = table;
	answer->debt = *debt;
	arena_init(&answer->arena, ARENA_BYTES);
	list_push(&table->waiting, &answer->link);
	table->waiting_count++;
}

static void ask_run(struct loop_note *loop_note, struct loop *loop)
{
	struct ask_note *note = container_of(loop_note, struct ask_note, note);
	struct answer_table *table = note->table;
	table->loop = loop;
	for (size_t i = 0; i < note->count; i++) {
		debt_take(table, &note->debts[i]);
	}
	mem_free(note);
	work(table);
}

/* ---- what the store knows ---- */

void social_start(struct social *social)
{
	struct answer_table *table = social->answers;
	struct ask_note *note = social->answerer.ask != NULL ? mem_alloc(sizeof(*note)) : NULL;
	if (note != NULL) {
		note->note.run = start_run;
		note->table = table;
		loop_note_post(table->guild->loops[0], &note->note);
	}
}

static void start_run(struct loop_note *loop_note, struct loop *loop)
{
	struct ask_note *note = container_of(loop_note, struct ask_note, note);
	note->table->loop = loop;
	note->table->behind = true;
	work(note->table);
	mem_free(note);
}

static void debts_push(struct answer_table *table)
{
	table->read = (struct read_job){.run = debts_find, .done = debts_found, .home = table->loop};
	table->reading = reader_push(table->guild->readers, &table->read) == ERR_OK;
}

static enum err debts_find(struct read_job *job, struct db *db)
{
	struct answer_table *table = container_of(job, struct answer_table, read);
	return answer_debts_read(db, table->read_after, table->found, DEBTS_READ, &table->found_count);
}

static void debts_found(struct read_job *job)
{
	struct answer_table *table = container_of(job, struct answer_table, read);
	table->reading = false;
	if (job->result != ERR_OK) {
		return;
	}
	for (size_t i = 0; i < table->found_count; i++) {
		if (!is_known(&table->waiting, &table->found[i]) && !is_known(&table->running, &table->found[i])) {
			debt_take(table, &table->found[i]);
		}
		table->read_after = table->found[i].cause - 1;
	}
	if (table->found_count < DEBTS_READ) {
		table->behind = false;
		table->read_after = 0;
	}
	work(table);
}

/* ---- one after the other, a bounded number at a time ---- */

static void work(struct answer_table *table)
{
	while (table->running_count < LIMIT_ANSWERS && table->waiting_count > 0 && !atomic_load(&table->guild->stopping)) {
		struct answer *answer = container_of(list_pop(&table->waiting), struct answer, link);
		table->waiting_count--;
		table->running_count++;
		list_push(&table->running, &answer->link);
		answer_submit(answer, false);
	}
	if (table->behind && table->waiting_count == 0 && !table->reading && !atomic_load(&table->guild->stopping)) {
		debts_push(table);
	}
}

static void answer_over(struct answer *answer)
{
	struct answer_table *table = answer->table;
	table->running_count--;
	answer_free(answer);
	work(table);
}

/* Faults of the server leave the debt for the next start; anything else would fail again. */
static void answer_failed(struct answer *answer, enum err err)
{
	bool later = err == ERR_GOING_AWAY || err == ERR_INTERRUPTED || err == ERR_STORE_UNAVAILABLE || err == ERR_OVERLOADED || err == ERR_MEMORY ||
		     atomic_load(&answer->table->guild->stopping);
	log_at(LOG_INFO, "no_answer", log_s("code", err_row(err_public(err))->code), log_i("later", later));
	if (later) {
		answer_over(answer);
	} else {
		answer_submit(answer, true);
	}
}

/* ---- ADMIT ---- */

static void answer_submit(struct answer *answer, bool forgive)
{
	struct guild *guild = answer->table->guild;
	struct caller server = {.workspace = identity_workspace(guild->identity)};
	struct admit_command *command = change_make(guild, &admit_row, &answer->arena, answer->table->loop, &server, sizeof(*command));
	if (command == NULL) {
		answer_over(answer);
		return;
	}
	command->answer = answer;
	command->forgive = forgive;
	if (command_submit(&command->change.command, false) != ERR_OK) {
		answer_over(answer);
	}
}

static enum err admit_apply(struct command *base, struct db *db)
{
	struct admit_command *command = (struct admit_command *)base;
	const struct answer_debt *debt = &command->answer->debt;
	struct actor agent = {debt->agent, ACTOR_AGENT};
	struct rate_rule rule = rate_rule_of(command->change.guild, agent, MATURITY_STUDENT, RATE_PAIR);
	struct rate_state state;
	int64_t now_us = command_now_us(base);
	bool owed;
	command->admitted = false;
	enum err err = answer_owed(db, debt->agent, debt->cause, &owed);
	if (err != ERR_OK || !owed) {
		return err;
	}
	err = command->forgive ? ERR_OK : rate_read(db, agent, RATE_PAIR, debt->asker.key, rule, now_us, &state);
	if (err != ERR_OK) {
		return err;
	}
	if (command->forgive || state.remaining == 0) {
		return answer_forgive(db, debt->agent, debt->cause);
	}
	command->admitted = true;
	return rate_take(db, agent, RATE_PAIR, debt->asker.key, rule, now_us);
}

static void admit_finish(struct command *base)
{
	struct admit_command *command = (struct admit_command *)base;
	struct answer *answer = command->answer;
	struct answer_table *table = answer->table;
	if (base->result != ERR_OK || !command->admitted) {
		answer_over(answer);
		return;
	}
	answer->read = (struct read_job){.run = cause_run, .done = cause_done, .home = table->loop};
	enum err err = reader_push(table->guild->readers, &answer->read);
	if (err != ERR_OK) {
		answer_failed(answer, err);
	}
}

/* ---- READ, ASK ---- */

static enum err cause_run(struct read_job *job, struct db *db)
{
	struct answer *answer = container_of(job, struct answer, read);
	return answer_cause_read(db, &answer->arena, &answer->debt, &answer->cause);
}

/* Who is answered: a person as themselves; for an agent, whoever the answering agent belongs to pays and owns the session. */
static const struct principal *asker_of(struct guild *guild, const struct answer_debt *debt, const struct agent *agent)
{
	const struct principal *principal = NULL;
	if (debt->asker.kind != ACTOR_AGENT) {
		principal = identity_principal(guild->identity, debt->asker.key);
	} else if (agent->owner != 0) {
		principal = identity_principal(guild->identity, agent->owner);
	}
	return principal != NULL ? principal : identity_operator(guild->identity);
}

static void cause_done(struct read_job *job)
{
	struct answer *answer = container_of(job, struct answer, read);
	struct answer_table *table = answer->table;
	struct guild *guild = table->guild;
	struct social *social = guild->social;
	const struct agent *agent = registry_get(guild->registry, answer->debt.agent);
	const struct principal *asker = job->result == ERR_OK && agent != NULL ? asker_of(guild, &answer->debt, agent) : NULL;
	if (asker == NULL) {
		answer_failed(answer, job->result != ERR_OK ? job->result : ERR_AGENT_NOT_FOUND);
		return;
	}
	answer->agent = (struct caller){.workspace = agent->workspace, .agent = agent->id, .role = ROLE_AGENT, .scopes = scope_set_of(ROLE_AGENT)};
	str_to_z(agent->name, answer->agent.name, sizeof(answer->agent.name));
	answer->agent.name_len = (uint8_t)str_of(answer->agent.name).len;
	struct social_question question = {.agent = agent->id,
					   .message = answer->cause.text,
					   .history = answer->cause.history,
					   .history_count = answer->cause.history_count};
	identity_caller(asker, &question.caller);
	enum err err = social->answerer.ask(social->answerer.self, table->loop, &question, answered, answer);
	if (err != ERR_OK) {
		answer_failed(answer, err);
	}
}

/* ---- POST ---- */

static void answered(void *ctx, enum err err, struct str text)
{
	struct answer *answer = ctx;
	struct answer_table *table = answer->table;
	struct str kept = err == ERR_OK ? arena_copy(&answer->arena, str_trim(text)) : STR_NONE;
	if (err == ERR_OK && kept.len == 0) {
		err = kept.at == NULL ? ERR_LIMIT : ERR_INVALID;
	}
	if (err == ERR_OK && answer->debt.is_message) {
		struct message_input input = {.to = answer->debt.asker,
					      .content = kept,
					      .kind = social_word(message_type_words, STR("response")),
					      .cause = answer->debt.cause,
					      .hops = answer->debt.hops};
		err = message_submit(table->guild, table->loop, &answer->agent, &input, sent, answer);
	} else if (err == ERR_OK) {
		struct post_input input = {.content = kept,
					   .requested = social_word(post_type_words, STR("response")),
					   .reply_to = answer->cause.reply_to,
					   .cause = answer->debt.cause,
					   .hops = answer->debt.hops,
					   .auto_generated = true};
		err = post_submit(table->guild, table->loop, &answer->agent, &input, posted, answer);
	}
	if (err != ERR_OK) {
		answer_failed(answer, err);
	}
}

static void answer_kept(struct answer *answer, enum err err)
{
	if (err == ERR_OK || err == ERR_CONFLICT) {
		answer_over(answer);
	} else {
		answer_failed(answer, err);
	}
}

static void posted(void *ctx, const struct post_done *done)
{
	answer_kept(ctx, done->err);
}

static void sent(void *ctx, enum err err)
{
	answer_kept(ctx, err);
}
