/* post_delete.c - the end of a post: a tombstone is left, what it counted for is taken back. */
#include "social/post_priv.h"

struct delete_change {
	struct change change; /* first */
	struct govern_refusal refusal;
	struct post_look look;
	struct str *trends;
	size_t trend_count;
	bool left; /* reactions, for another transaction */
};

static enum err delete_apply(struct command *base, struct db *db);
static enum err sweep_apply(struct command *base, struct db *db);
static void delete_finish(struct command *base);

static const struct command_row delete_row = {"post_delete", "delete", delete_apply, govern_deny, delete_finish};
/* Nothing that anybody sees: the post is gone already. */
static const struct command_row sweep_row = {"post_delete_rest", "delete", sweep_apply, NULL, delete_finish};

/* ---- prepare ---- */

static struct str event_data(struct delete_change *deletion)
{
	struct guild *guild = deletion->change.guild;
	const struct post *post = &deletion->look.post;
	struct id_text id = id_format(&guild->id_secret, ID_POST, post->id);
	struct id_text parent = id_format(&guild->id_secret, ID_POST, post->reply_to);
	struct id_text channel = id_format(&guild->id_secret, ID_CHANNEL, post->audience);
	struct buf text;
	struct json_out json;
	buf_init(&text, 1024);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("id"), id_str(&id));
	json_put_str_or_null(&json, STR("reply_to"), post->reply_to != 0 ? id_str(&parent) : STR_NONE);
	json_put_str_or_null(
		&json, STR("channel_id"), post->visibility == VISIBILITY_CHANNEL ? id_str(&channel) : STR_NONE);
	json_object_end(&json);
	struct str data = buf_err(&text) == ERR_OK ? arena_copy(deletion->change.command.arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return data;
}

static enum err make_texts(struct delete_change *deletion)
{
	struct change *change = &deletion->change;
	struct guild *guild = change->guild;
	struct arena *arena = change->command.arena;
	const struct post *post = &deletion->look.post;
	struct place place = post_place(guild->social, post);
	struct audience audience = visibility_audience(&place);
	struct str data = event_data(deletion), topics;
	struct id_text id = id_format(&guild->id_secret, ID_POST, post->id), author = actor_id(guild, post->author);
	struct change_what what = {.agent = change->command.caller.agent,
		.agent_name = caller_name(&change->command.caller),
		.change = arena_format(arena, "{\"post_id\":\"%s\",\"author_id\":\"%s\"}", id.text, author.text)};
	if (data.at == NULL || what.change.at == NULL) {
		return ERR_LIMIT;
	}
	enum err err = post_topics(guild, arena, post->reply_to != 0 ? &deletion->look.parent : post, true, &topics);
	if (err == ERR_OK && visibility_public(&place)) {
		err = post_trend_topics(arena, post, &deletion->trends, &deletion->trend_count);
	}
	err = err == ERR_OK ? change_audit(change, &what) : err;
	if (err == ERR_OK) {
		change_event(change, STR("post_deleted"), data, topics);
		change->row.audience_a = audience.a;
		change->row.audience_b = audience.b;
	}
	return err;
}

static void delete_seen(struct post_look *look, enum err err)
{
	struct delete_change *deletion = container_of(look, struct delete_change, look);
	struct change *change = &deletion->change;
	const struct caller *caller = &change->command.caller;
	if (err == ERR_OK && look->post.author.key != actor_of(caller).key && !caller_is_admin(caller)) {
		http_reply_error(change->request, ERR_PERMISSION, "Only its author or an admin may delete a post.");
		return;
	}
	if (err == ERR_OK) {
		govern_change(change, &deletion->refusal);
		err = deletion->refusal.err == ERR_OK ? make_texts(deletion) : ERR_OK;
	}
	change_submit(change, err);
}

void post_delete_start(struct guild *guild, struct http_request *request, int64_t id)
{
	struct delete_change *deletion = change_new(guild, request, &delete_row, sizeof(*deletion));
	if (deletion == NULL) {
		return;
	}
	deletion->look.guild = guild;
	deletion->look.caller = &request->caller;
	deletion->look.arena = &request->arena;
	deletion->look.id = id;
	deletion->look.then = delete_seen;
	enum err err = post_look_start(&deletion->look, request->loop);
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
	}
}

/* ---- on the writer ---- */

enum err post_counts_take_back(struct social *social, struct db *db, const struct post *post, const struct str *trends, size_t trend_count)
{
	struct str tags[LIMIT_POST_TAGS];
	size_t tag_count = post_index_tags(post, tags);
	enum err err = post->reply_to != 0 ? post_count_add(db, post->reply_to, -1, 0) : ERR_OK;
	if (err == ERR_OK && tag_count > 0) {
		err = post_tags_delete(db, post->workspace, post->id, tags, tag_count);
	}
	for (size_t i = 0; err == ERR_OK && i < trend_count; i++) {
		err = trend_add(social, post->workspace, post->created_at_us, trends[i], -1);
	}
	return err;
}

static enum err delete_apply(struct command *base, struct db *db)
{
	struct delete_change *deletion = (struct delete_change *)base;
	const struct post *post = &deletion->look.post;
	enum err err;
	if (govern_refused(&deletion->change, &deletion->refusal, db, &err)) {
		return err;
	}
	err = post_alive(db, post->id);
	if (err != ERR_OK) {
		return err;
	}
	err = standing_take_back(deletion->change.guild, db, post, command_now_us(base));
	err = err == ERR_OK ? post_bury(db, post->id, command_now_us(base)) : err;
	err = err == ERR_OK ? post_counts_take_back(deletion->change.guild->social, db, post, deletion->trends, deletion->trend_count) : err;
	err = err == ERR_OK ? post_reactions_delete(db, post->id, &deletion->left) : err;
	return err == ERR_OK ? change_log(&deletion->change, db) : err;
}

static enum err sweep_apply(struct command *base, struct db *db)
{
	struct delete_change *deletion = (struct delete_change *)base;
	return post_reactions_delete(db, deletion->look.post.id, &deletion->left);
}

/* ---- back on the loop ---- */

static bool sweep_go_on(const struct delete_change *deletion)
{
	struct change *change = change_make(deletion->change.guild, &sweep_row, deletion->change.command.arena,
		deletion->change.command.loop, &deletion->change.command.caller, sizeof(*deletion));
	if (change == NULL) {
		return false;
	}
	struct delete_change *next = (struct delete_change *)change;
	next->change.request = deletion->change.request;
	next->look.post.id = deletion->look.post.id;
	next->change.command.job.sweep = true;
	return command_submit(&next->change.command, false) == ERR_OK;
}

static void delete_finish(struct command *base)
{
	struct delete_change *deletion = (struct delete_change *)base;
	bool is_rest = base->row == &sweep_row;
	if (!is_rest && change_refused(&deletion->change)) {
		return;
	}
	/* A rest that cannot be removed now hurts nobody: reactions of a tombstone are not shown. */
	if (base->result == ERR_OK && deletion->left && sweep_go_on(deletion)) {
		return;
	}
	http_reply_empty(deletion->change.request, 204);
}
