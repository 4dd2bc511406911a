/* post.c - the commands that make posts and replies, by whichever door. */
#include "base/check.h"
#include "base/timefmt.h"
#include "social/post_priv.h"

static enum err post_apply(struct command *base, struct db *db);
static void post_finish(struct command *base);

const struct command_row post_row = {"post_create", "post", post_apply, govern_deny, post_finish};
const struct command_row post_reply_row = {"post_reply", "reply", post_apply, govern_deny, post_finish};

/* ---- looking at a post first ---- */

static enum err look_run(struct read_job *job, struct db *db)
{
	struct post_look *look = (struct post_look *)job;
	struct social *social = look->guild->social;
	enum err err = post_get(db, look->arena, look->id, &look->post);
	if (err != ERR_OK) {
		return err;
	}
	bool is_own = look->post.author.key == actor_of(look->caller).key && look->post.deleted_at_us == 0;
	if (!is_own && !post_visible(social, look->caller, &look->post)) {
		return ERR_NOT_FOUND;
	}
	return look->post.reply_to != 0 ? post_get(db, look->arena, look->post.reply_to, &look->parent) : ERR_OK;
}

static void look_done(struct read_job *job)
{
	struct post_look *look = (struct post_look *)job;
	look->then(look, job->result);
}

enum err post_look_start(struct post_look *look, struct loop *loop)
{
	look->job.run = look_run;
	look->job.done = look_done;
	look->job.home = loop;
	return reader_push(look->guild->readers, &look->job);
}

/* ---- handing over ---- */

void post_fail(struct post_change *post, const struct post_fault *fault)
{
	struct http_problem problem = {.err = fault->err, .detail = str_of(fault->detail)};
	if (post->change.request != NULL) {
		problem.pointer = fault->err == ERR_INVALID ? fault->pointer : STR_NONE;
		http_reply_problem(post->change.request, &problem);
		return;
	}
	struct arena own = post->own;
	post->done(post->ctx, &(struct post_done){.err = fault->err});
	arena_fini(&own);
}

enum err post_go(struct post_change *post, struct post_fault *fault)
{
	*fault = (struct post_fault){.err = ERR_OK};
	post->rule.limit = -1; /* until apply has looked */
	govern_change(&post->change, &post->refusal);
	enum err err = post->refusal.err == ERR_OK ? post_make(post, fault) : ERR_OK;
	if (err == ERR_OK) {
		err = command_submit(&post->change.command, false);
	}
	fault->err = err;
	return err;
}

/* ---- on the writer ---- */

struct post_limits {
	struct rate_rule auto_rule;
	struct rate_state auto_state;
};

/* What the texts were made from may have changed since. */
static enum err recheck(struct post_change *post, struct db *db)
{
	const struct post *made = &post->post;
	enum err err = made->reply_to != 0 ? post_alive(db, made->reply_to) : ERR_OK;
	if (err == ERR_OK && post->in_private_channel &&
		!channel_writer_has(post->change.guild->social, made->audience, made->author.key)) {
		err = ERR_NOT_FOUND;
	}
	return err;
}

/* Who gets a directed post may have blocked its author. */
static enum err blocked_read(struct post_change *post, struct db *db, bool *blocked)
{
	const struct post *made = &post->post;
	*blocked = false;
	if (made->visibility != VISIBILITY_DIRECTED || made->audience == made->author.key) {
		return ERR_OK;
	}
	return block_there(db, made->audience, made->author.key, blocked);
}

static bool is_spaced(const struct post *post)
{
	return post->auto_generated && post->reply_to == 0 && post->kind != POST_ALERT;
}

static enum err limits_read(struct post_change *post, struct db *db, int64_t now_us, struct post_limits *limits)
{
	struct guild *guild = post->change.guild;
	struct actor author = post->post.author;
	const struct agent *agent = author.kind == ACTOR_AGENT ? registry_writer_get(guild->registry, author.key) : NULL;
	enum maturity maturity = agent != NULL ? agent->maturity : 0;
	post->rule = rate_rule_of(guild, author, maturity, RATE_POST);
	post->rate = (struct rate_state){.remaining = -1};
	limits->auto_rule = is_spaced(&post->post) ? rate_rule_of(guild, author, maturity, RATE_AUTO_POST)
						   : (struct rate_rule){.limit = -1};
	limits->auto_state = (struct rate_state){.remaining = -1};
	enum err err = ERR_OK;
	if (post->rule.limit >= 0) {
		err = rate_read(db, author, RATE_POST, 0, post->rule, now_us, &post->rate);
	}
	if (err == ERR_OK && limits->auto_rule.limit >= 0) {
		err = rate_read(db, author, RATE_AUTO_POST, 0, limits->auto_rule, now_us, &limits->auto_state);
	}
	return err;
}

static enum err limits_take(struct post_change *post, struct db *db, int64_t now_us, const struct post_limits *limits)
{
	struct actor author = post->post.author;
	enum err err = ERR_OK;
	if (post->rule.limit >= 0) {
		err = rate_take(db, author, RATE_POST, 0, post->rule, now_us);
	}
	if (err == ERR_OK && limits->auto_rule.limit >= 0) {
		err = rate_take(db, author, RATE_AUTO_POST, 0, limits->auto_rule, now_us);
	}
	post->rate = rate_after(post->rate, post->rule);
	return err;
}

static void texts_complete(struct post_change *post, int64_t now_us)
{
	struct guild *guild = post->change.guild;
	post->post.id = guild_writer_key(guild, now_us);
	post->post.created_at_us = now_us;
	struct id_text id = id_format(&guild->id_secret, ID_POST, post->post.id);
	struct time_text time = time_format(now_us);
	memcpy(post->id_at, id.text, ID_TEXT_LEN);
	memcpy(post->entry_id_at, id.text, ID_TEXT_LEN);
	memcpy(post->time_at, time.text, TIME_TEXT_LEN);
}

static enum err rows_write(struct post_change *post, struct db *db)
{
	struct post *made = &post->post;
	struct social *social = post->change.guild->social;
	struct str tags[LIMIT_POST_TAGS];
	size_t tag_count = post_index_tags(made, tags);
	enum err err = post_insert(db, made);
	if (err == ERR_OK && made->reply_to != 0) {
		err = post_count_add(db, made->reply_to, 1, 0);
	}
	if (err == ERR_OK && tag_count > 0) {
		err = post_tags_insert(db, made->workspace, made->id, tags, tag_count);
	}
	for (size_t i = 0; err == ERR_OK && i < post->debt_count; i++) {
		post->debts[i].cause = made->id;
		err = answer_owe(db, &post->debts[i]);
	}
	for (size_t i = 0; err == ERR_OK && i < post->trend_count; i++) {
		err = trend_add(social, made->workspace, made->created_at_us, post->trends[i], 1);
	}
	return err == ERR_OK ? standing_add(post->change.guild, made, made->created_at_us, &(struct tally){.posts = 1}) : err;
}

enum err post_write_within(struct post_change *post, struct command *command, struct db *db)
{
	post->debt_count = 0;
	texts_complete(post, command_now_us(command));
	enum err err = rows_write(post, db);
	return err == ERR_OK ? command_log(command, db, &post->change.row) : err;
}

static enum err post_apply(struct command *base, struct db *db)
{
	struct post_change *post = (struct post_change *)base;
	struct post_limits limits;
	enum err err;
	if (govern_refused(&post->change, &post->refusal, db, &err)) {
		return err;
	}
	int64_t now_us = command_now_us(base);
	bool blocked = false;
	err = recheck(post, db);
	err = err == ERR_OK ? blocked_read(post, db, &blocked) : err;
	if (err != ERR_OK) {
		return err;
	}
	if (blocked) {
		return change_refuse(&post->change, db, ERR_PERMISSION, STR("The recipient does not accept what you send."));
	}
	err = limits_read(post, db, now_us, &limits);
	if (err != ERR_OK) {
		return err;
	}
	if (post->rate.remaining == 0) {
		return rate_refuse(&post->change, db, "posts and replies", post->rule, &post->rate);
	}
	if (limits.auto_state.remaining == 0) {
		return rate_refuse(&post->change, db, "automatic posts", limits.auto_rule, &limits.auto_state);
	}
	texts_complete(post, now_us);
	if (post->input.cause != 0) {
		err = answer_given(db, post->post.author.key, post->input.cause);
		if (err != ERR_OK) {
			return err;
		}
	}
	err = limits_take(post, db, now_us, &limits);
	err = err == ERR_OK ? rows_write(post, db) : err;
	return err == ERR_OK ? change_log(&post->change, db) : err;
}

/* ---- back on the loop ---- */

static void post_finish(struct command *base)
{
	struct post_change *post = (struct post_change *)base;
	if (base->result == ERR_OK) {
		answer_ask(post->change.guild->social, post->debts, post->debt_count);
	}
	if (post->change.request == NULL) {
		struct arena own = post->own;
		post->done(post->ctx, &(struct post_done){base->result, &post->post, post->rate});
		arena_fini(&own);
		return;
	}
	rate_headers(&post->change, post->rule, &post->rate);
	if (!change_refused(&post->change)) {
		http_reply_json(post->change.request, 201, post->object);
	}
}

/* ---- the server's own ---- */

static void submit_seen(struct post_look *look, enum err err)
{
	struct post_change *post = container_of(look, struct post_change, look);
	struct post_fault fault = {.err = err};
	if (err != ERR_OK || post_go(post, &fault) != ERR_OK) {
		post_fail(post, &fault);
	}
}

enum err post_submit(struct guild *guild, struct loop *loop, const struct caller *caller, const struct post_input *input,
	post_done_fn *done, void *ctx)
{
	struct arena own;
	struct post_fault fault;
	check(!json_there(input->mentions));
	arena_init(&own, LIMIT_REQUEST_ARENA_BYTES);
	struct post_change *post = change_make(
		guild, input->reply_to != 0 ? &post_reply_row : &post_row, &own, loop, caller, sizeof(*post));
	struct str content = arena_copy(&own, input->content);
	if (post == NULL || content.at == NULL) {
		arena_fini(&own);
		return ERR_MEMORY;
	}
	post->own = own;
	post->change.command.arena = &post->own;
	post->input = *input;
	post->input.content = content;
	post->done = done;
	post->ctx = ctx;
	enum err err;
	if (input->reply_to != 0) {
		post->look.guild = guild;
		post->look.caller = &post->change.command.caller;
		post->look.arena = &post->own;
		post->look.id = input->reply_to;
		post->look.then = submit_seen;
		err = post_look_start(&post->look, loop);
	} else {
		err = post_go(post, &fault);
	}
	if (err != ERR_OK) {
		own = post->own;
		arena_fini(&own);
	}
	return err;
}
