/* post_make.c - from what somebody asks to post to the texts that are kept: content, mentions, the object, audit entry and event. */
#include "base/timefmt.h"
#include "social/post_priv.h"
#include "wire/utf8.h"

enum { OBJECT_BYTES_MAX = 1048576 };

static enum err make_content(struct post_change *post, struct text_marks **marks, struct post_fault *fault);
static enum err make_mentions(struct post_change *post, const struct text_marks *marks, struct post_fault *fault);
static enum err make_audience(
	struct post_change *post, const struct mention *mentions, size_t count, struct post_fault *fault);
static enum err make_debts(struct post_change *post, const struct place *place, const struct mention *mentions, size_t count);
static enum err make_object(struct post_change *post);
static enum err make_audit(struct post_change *post);
static enum err make_event(struct post_change *post);

/* Milestones are posted by the server as itself. */
static struct actor author_of(struct guild *guild, const struct caller *caller)
{
	struct actor author = actor_of(caller);
	const struct principal *principal =
		author.kind == ACTOR_HUMAN ? identity_principal(guild->identity, author.key) : NULL;
	if (principal != NULL && principal->kind == PRINCIPAL_SYSTEM) {
		author.kind = ACTOR_SYSTEM;
	}
	return author;
}

enum err post_make(struct post_change *post, struct post_fault *fault)
{
	struct guild *guild = post->change.guild;
	const struct caller *caller = &post->change.command.caller;
	const struct post_input *input = &post->input;
	struct text_marks *marks = NULL;
	struct actor author = author_of(guild, caller);
	post->post = (struct post){.workspace = caller->workspace,
		.author = author,
		.maturity = author.kind == ACTOR_AGENT ? actor_face_of(guild, author).maturity : 0,
		.kind = post_kind_of(input->requested),
		.requested = input->requested,
		.reply_to = input->reply_to,
		.hops = input->hops,
		.auto_generated = input->auto_generated};
	enum err err = make_content(post, &marks, fault);
	err = err == ERR_OK ? make_mentions(post, marks, fault) : err;
	err = err == ERR_OK ? make_object(post) : err;
	err = err == ERR_OK ? make_audit(post) : err;
	err = err == ERR_OK ? make_event(post) : err;
	fault->err = err;
	return err;
}

static enum err make_content(struct post_change *post, struct text_marks **marks, struct post_fault *fault)
{
	const struct post_input *input = &post->input;
	struct content content;
	fault->pointer = STR("/content");
	enum err err = content_make(post->change.guild, post->change.command.arena, input->content, input->skip_redaction,
		&content, &fault->detail);
	if (err != ERR_OK) {
		return err;
	}
	bool is_short = input->auto_generated && input->reply_to == 0;
	if (is_short && utf8_length(content.text) > LIMIT_AUTO_POST_CHARS) {
		fault->detail = "An automatic post has at most 280 characters.";
		return ERR_INVALID;
	}
	*marks = content.marks;
	post->post.content = content.text;
	post->post.redacted = content.redacted;
	return ERR_OK;
}

static enum err join_tags(struct post_change *post, const struct text_marks *marks)
{
	size_t len = 0;
	for (size_t i = 0; i < marks->hashtag_count; i++) {
		len += marks->hashtags[i].len + 1;
	}
	char *text = arena_alloc(post->change.command.arena, len + 1), *at = text;
	if (text == NULL) {
		return ERR_LIMIT;
	}
	for (size_t i = 0; i < marks->hashtag_count; i++) {
		at = mempcpy(at, marks->hashtags[i].at, marks->hashtags[i].len);
		*at++ = ' ';
	}
	post->post.tags = str_make(text, len > 0 ? len - 1 : 0);
	return ERR_OK;
}

static enum err keep_mentions(struct post_change *post, const struct mention *mentions, size_t count)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	mentions_json(mentions, count, &json);
	post->post.mentions = buf_err(&text) == ERR_OK ? arena_copy(post->change.command.arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return post->post.mentions.at != NULL ? ERR_OK : ERR_LIMIT;
}

static enum err make_mentions(struct post_change *post, const struct text_marks *marks, struct post_fault *fault)
{
	struct command *command = &post->change.command;
	struct mention *mentions = NULL;
	size_t count = 0;
	enum err err = join_tags(post, marks);
	if (err != ERR_OK) {
		return err;
	}
	if (json_there(post->input.mentions) || marks->mention_count > 0) {
		err = mentions_make(post->change.guild, &command->caller, command->arena, post->input.mentions, marks->mentions,
			marks->mention_count, &mentions, &count, &fault->pointer, &fault->detail);
	}
	post->post.mentions = STR("[]");
	if (err == ERR_OK && count > 0) {
		err = keep_mentions(post, mentions, count);
	}
	return err == ERR_OK ? make_audience(post, mentions, count, fault) : err;
}

/* Whom a directed post is for. A reply goes to the other of the two. */
static enum err directed_audience(
	struct post_change *post, const struct mention *mentions, size_t count, struct post_fault *fault)
{
	const struct post *parent = &post->look.post;
	int64_t author = post->post.author.key;
	post->post.audience = author;
	if (post->post.reply_to != 0) {
		post->post.audience = parent->author.key == author ? parent->audience : parent->author.key;
		return ERR_OK;
	}
	for (size_t i = 0; i < count; i++) {
		if (mentions[i].kind != MENTION_AGENT && mentions[i].kind != MENTION_USER) {
			continue;
		}
		if (post->addressee.key != 0 && mentions[i].key != post->addressee.key) {
			fault->pointer = STR("/mentions");
			fault->detail = "A directed post is for one agent or user; it mentions more than one.";
			return ERR_INVALID;
		}
		post->addressee = (struct actor){mentions[i].key, mentions[i].kind == MENTION_AGENT ? ACTOR_AGENT : ACTOR_HUMAN};
		post->post.audience = mentions[i].key;
	}
	return ERR_OK;
}

static enum err make_audience(
	struct post_change *post, const struct mention *mentions, size_t count, struct post_fault *fault)
{
	const struct post_input *input = &post->input;
	struct post *made = &post->post;
	bool is_reply = made->reply_to != 0;
	made->visibility = is_reply ? post->look.post.visibility : input->visibility;
	if (made->visibility == VISIBILITY_PUBLIC) {
		made->audience = made->workspace;
	} else if (made->visibility == VISIBILITY_CHANNEL) {
		made->audience = is_reply ? post->look.post.audience : input->channel;
	} else {
		enum err err = directed_audience(post, mentions, count, fault);
		if (err != ERR_OK) {
			return err;
		}
	}
	struct place place = post_place(post->change.guild->social, made);
	struct audience audience = visibility_audience(&place);
	post->in_private_channel = place.channel_private;
	post->change.row.audience_a = audience.a;
	post->change.row.audience_b = audience.b;
	enum err err = make_debts(post, &place, mentions, count);
	if (err == ERR_OK && visibility_public(&place)) {
		err = post_trend_topics(post->change.command.arena, made, &post->trends, &post->trend_count);
	}
	return err;
}

/* Agents that are mentioned, or replied to, and may see the post. */
static enum err make_debts(struct post_change *post, const struct place *place, const struct mention *mentions, size_t count)
{
	struct guild *guild = post->change.guild;
	const struct post *made = &post->post, *parent = &post->look.post;
	int64_t agents[LIMIT_POST_MENTIONS + 1];
	size_t agent_count = 0;
	if (made->reply_to != 0 && parent->author.kind == ACTOR_AGENT) {
		agents[agent_count++] = parent->author.key;
	}
	for (size_t i = 0; i < count; i++) {
		bool is_new = mentions[i].kind == MENTION_AGENT && (agent_count == 0 || agents[0] != mentions[i].key);
		bool is_member = channel_has(guild->social, made->audience, mentions[i].key);
		if (is_new && visibility_allows(place, made->workspace, mentions[i].key, is_member)) {
			agents[agent_count++] = mentions[i].key;
		}
	}
	if (agent_count == 0) {
		return ERR_OK;
	}
	post->debts = arena_array(post->change.command.arena, struct answer_debt, LIMIT_POST_ANSWERS);
	if (post->debts == NULL) {
		return ERR_LIMIT;
	}
	post->debt_count = answer_debts(guild, made->author, made->hops, 0, false, agents, agent_count, post->debts, LIMIT_POST_ANSWERS);
	return ERR_OK;
}

/* Id and time have a fixed length: they are rendered as if they were known, and written over by apply. */
static enum err make_object(struct post_change *post)
{
	struct buf text;
	struct json_out json;
	struct time_text no_time = time_format(0);
	buf_init(&text, OBJECT_BYTES_MAX);
	(void)buf_reserve(&text, post->post.content.len + 1024);
	json_begin(&json, &text);
	enum err err = post_head_json(post->change.guild, NULL, &post->post, post->post.author, &json);
	json_put_str(&json, STR("created_at"), time_str(&no_time));
	json_object_end(&json);
	err = err == ERR_OK ? buf_err(&text) : err;
	post->object = err == ERR_OK ? arena_copy(post->change.command.arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	if (post->object.at == NULL) {
		return err != ERR_OK ? err : ERR_LIMIT;
	}
	post->id_at = (char *)post->object.at + strlen("{\"id\":\"");
	post->time_at = (char *)post->object.at + post->object.len - strlen("\"}") - TIME_TEXT_LEN;
	return ERR_OK;
}

/* All words of the server itself, and ids: there is nothing to escape. */
static struct str change_text(struct post_change *post)
{
	struct guild *guild = post->change.guild;
	const struct post *made = &post->post;
	struct id_text id = id_format(&guild->id_secret, ID_POST, 0), parent = id_format(&guild->id_secret, ID_POST, made->reply_to);
	bool is_reply = made->reply_to != 0;
	return arena_format(post->change.command.arena,
		"{\"post_id\":\"%s\",%s%s%s\"type\":\"%s\",\"visibility\":\"%s\",%s\"redacted\":%.*s}", id.text,
		is_reply ? "\"reply_to\":\"" : "", is_reply ? parent.text : "", is_reply ? "\"," : "",
		post_type_words[made->kind - 1], visibility_words[made->visibility - 1],
		post->input.skip_redaction ? "\"skip_redaction\":true," : "", STR_FMT(made->redacted));
}

static enum err make_audit(struct post_change *post)
{
	struct command *command = &post->change.command;
	struct change_what what = {.agent = command->caller.agent,
		.agent_name = caller_name(&command->caller),
		.change = change_text(post)};
	enum err err = what.change.at != NULL ? change_audit(&post->change, &what) : ERR_LIMIT;
	if (err != ERR_OK) {
		return err;
	}
	/* No text of a client holds these bytes: a quote inside a string is escaped. */
	static const struct str mark = STR("\"post_id\":\"");
	ptrdiff_t at = str_find(post->change.row.entry, mark);
	post->entry_id_at = (char *)post->change.row.entry.at + at + mark.len;
	return at >= 0 ? ERR_OK : ERR_INTERNAL;
}

static enum err make_event(struct post_change *post)
{
	bool is_reply = post->post.reply_to != 0;
	struct str topics;
	enum err err = post_topics(post->change.guild, post->change.command.arena,
		is_reply ? &post->look.post : &post->post, is_reply, &topics);
	if (err == ERR_OK) {
		change_event(&post->change, is_reply ? STR("reply_added") : STR("agent_post"), post->object, topics);
	}
	return err;
}
