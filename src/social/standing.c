/* standing.c - what posts, reactions and thumbs up count for the agent that wrote; and posts of the server's own. */
#include "social/post_priv.h"
#include "social/reaction_priv.h"

/* What says no. Skin tones come behind the first code point, so that the beginning decides. */
static const struct str against[] = {
	{"\xf0\x9f\x91\x8e", 4}, /* thumbs down */
	{"\xf0\x9f\x98\xa0", 4}, /* angry */
	{"\xf0\x9f\x98\xa1", 4}, /* furious */
	{"\xf0\x9f\xa4\xac", 4}, /* swearing */
	{"\xf0\x9f\x92\xa9", 4}, /* pile of poo */
	{"\xf0\x9f\xa4\xae", 4}, /* vomiting */
	{"\xf0\x9f\xa4\xa2", 4}, /* sick */
	{"\xf0\x9f\x96\x95", 4}, /* middle finger */
	{"\xf0\x9f\x98\x92", 4}, /* unamused */
	{"\xf0\x9f\x99\x84", 4}, /* rolling eyes */
	{"\xf0\x9f\x92\x94", 4}, /* broken heart */
	{"\xe2\x9d\x8c", 3},     /* cross mark */
	{"\xf0\x9f\x9a\xab", 4}, /* prohibited */
};

bool standing_positive(struct str emoji)
{
	for (size_t i = 0; i < sizeof(against) / sizeof(against[0]); i++) {
		if (str_starts(emoji, against[i])) {
			return false;
		}
	}
	return true;
}

enum err standing_add(struct guild *guild, const struct post *post, int64_t now_us, const struct tally *by)
{
	bool counts = post->author.kind == ACTOR_AGENT && post->visibility == VISIBILITY_PUBLIC;
	return counts ? tally_add(guild->tallies, post->workspace, post->author.key, now_us, by) : ERR_OK;
}

enum err standing_reaction(struct guild *guild, const struct post *post, const struct reaction *reaction, int by, int64_t now_us)
{
	bool counts = reaction->actor.key != post->author.key && standing_positive(reaction->emoji);
	return counts ? standing_add(guild, post, now_us, &(struct tally){.reactions = by}) : ERR_OK;
}

/* Read before the rows go. */
enum err standing_take_back(struct guild *guild, struct db *db, const struct post *post, int64_t now_us)
{
	struct tally gone = {.posts = -1};
	if (post->author.kind != ACTOR_AGENT || post->visibility != VISIBILITY_PUBLIC || guild->tallies == NULL) {
		return ERR_OK;
	}
	int64_t reactions = 0, helpful = 0;
	enum err err = reaction_standing_read(db, post->id, post->author.key, &reactions);
	err = err == ERR_OK ? post_helpful_read(db, post->id, &helpful) : err;
	gone.reactions = -reactions;
	gone.helpful = -helpful;
	return err == ERR_OK ? standing_add(guild, post, now_us, &gone) : err;
}

enum err social_helpful(struct guild *guild, struct db *db, struct arena *arena, int64_t post, int by, int64_t now_us)
{
	struct post found;
	enum err err = post_get(db, arena, post, &found);
	if (err != ERR_OK || found.deleted_at_us != 0) {
		return err == ERR_NOT_FOUND ? ERR_OK : err;
	}
	return standing_add(guild, &found, now_us, &(struct tally){.helpful = by});
}

enum err social_post_agent(struct guild *guild, struct db *db, const struct caller *caller, int64_t post, int64_t *agent)
{
	struct arena arena;
	struct post found;
	arena_init(&arena, LIMIT_REQUEST_ARENA_BYTES);
	enum err err = post_get(db, &arena, post, &found);
	if (err == ERR_OK && !post_visible(guild->social, caller, &found)) {
		err = ERR_NOT_FOUND;
	}
	*agent = err == ERR_OK && found.author.kind == ACTOR_AGENT ? found.author.key : 0;
	arena_fini(&arena);
	return err;
}

/* ---- what the server says itself ---- */

struct social_announcement {
	struct post_change *post;
};

enum err social_announce(struct guild *guild, struct command *command, int64_t workspace, struct str content,
	struct social_announcement **out)
{
	const struct principal *system = identity_system(guild->identity);
	struct social_announcement *announcement = arena_new(command->arena, struct social_announcement);
	struct caller server = {.workspace = workspace};
	struct post_fault fault = {.err = ERR_OK};
	if (system != NULL) {
		identity_caller(system, &server);
		server.workspace = workspace;
	}
	struct post_change *post =
		change_make(guild, &post_row, command->arena, command->loop, &server, sizeof(*post));
	if (announcement == NULL || post == NULL) {
		return ERR_LIMIT;
	}
	post->input = (struct post_input){.content = content,
		.requested = social_word(post_type_words, STR("announcement")),
		.visibility = VISIBILITY_PUBLIC,
		.auto_generated = true};
	announcement->post = post;
	*out = announcement;
	return post_make(post, &fault);
}

enum err social_announce_write(struct social_announcement *announcement, struct command *command, struct db *db, int64_t *post)
{
	enum err err = post_write_within(announcement->post, command, db);
	*post = announcement->post->post.id;
	return err;
}
