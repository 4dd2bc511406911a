/*
 * feed.c - guild feed: the newest posts, and with --follow those that come.
 *
 * Following asks first where the events are now (after=now), then shows the newest posts, then goes on from there: what is posted in between
 * comes as an event, and is not shown twice. A lost connection is made again from the last offset.
 */
#include <poll.h>
#include <stdlib.h>

#include "base/limits.h"
#include "cli/cli_social.h"
#include "http/client.h"
#include "social/unicode.h"
#include "wire/sse.h"

#define POSTS_MAX      10000
#define PAGE_POSTS     100
#define FOLLOW_POSTS   10
#define CHANNELS_MAX   60 /* as many as a request's target holds */
#define PLAIN_BYTES    (4 << 20)
#define EVENT_ARENA    (16 << 20)
#define WAIT_FIRST_MS  250
#define WAIT_MOST_MS   5000
#define CURSOR_BYTES   64
#define ID_BYTES       40

struct follow {
	struct cli *cli;
	int signals;
	struct str topics;
	struct str type, channel, author, hashtag; /* what a post has to have; at NULL: anything */
	struct json page;             /* what was shown before the events */
	char cursor[CURSOR_BYTES];
	struct arena arena;           /* of an event */
	struct sse sse;
	struct buf plain;             /* a reply that is no stream */
	bool is_stream, is_plain;
	bool begins;                  /* only asks where the events are */
	bool alive;                   /* something came over this connection */
	bool interrupted;
	bool broken;
	bool lost;                    /* it was said that the connection is gone */
};

static struct str path_of(struct cli *cli, size_t limit, struct str cursor);
static int print_pages(struct cli *cli, size_t limit);
static void print_post(struct cli *cli, struct json post);
static int follow(struct cli *cli, size_t limit);
static int filters_read(struct follow *follow);
static int topics_read(struct follow *follow);
static int listen(struct follow *follow);
static bool wait_before_next(struct follow *follow, int *wait_ms);
static bool on_bytes(void *ctx, struct str bytes);
static bool on_tick(void *ctx);
static void on_event(struct follow *follow, const struct sse_event *event);
static bool wanted(struct follow *follow, struct json post);

int cli_run_feed(struct cli *cli)
{
	bool follows = cli_switch(cli, "follow");
	int64_t limit;
	int code = cli_number(cli, "limit", follows ? FOLLOW_POSTS : 50, follows ? PAGE_POSTS : POSTS_MAX, &limit);

	code = code ? code : cli_connect(cli);
	if (code) {
		return code;
	}
	return follows ? follow(cli, (size_t)limit) : print_pages(cli, (size_t)limit);
}

/* ---- what is there ---- */

static struct str path_of(struct cli *cli, size_t limit, struct str cursor)
{
	static const char *const filters[] = {"type", "channel", "author", "hashtag"};
	struct buf path;
	char number[24];

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/feed"));
	snprintf(number, sizeof(number), "%zu", limit);
	cli_path_query(&path, "limit", number);
	for (size_t i = 0; i < sizeof(filters) / sizeof(filters[0]); i++) {
		cli_path_query(&path, filters[i], cli_option(cli, filters[i]));
	}
	if (cursor.len) {
		cli_path_query(&path, "cursor", arena_copy(&cli->arena, cursor).at);
	}
	struct str copy = arena_copy(&cli->arena, buf_str(&path));
	buf_fini(&path);
	return copy;
}

static int print_pages(struct cli *cli, size_t limit)
{
	const char *given = cli_option(cli, "cursor");
	struct str cursor = given ? str_of(given) : STR("");
	size_t shown = 0;
	bool more = true;

	while (more && shown < limit) {
		struct cli_reply reply;
		size_t left = limit - shown;
		int code = cli_request(cli, "GET", path_of(cli, left < PAGE_POSTS ? left : PAGE_POSTS, cursor), STR_NONE, &reply);
		if (code) {
			return code;
		}
		if (cli->json) {
			return cli_print_json(cli, reply.text);
		}
		struct json_iter iter = json_iter(json_member(reply.root, STR("items")));
		struct json post;
		while (json_next(&iter, NULL, &post)) {
			cli_social_print(cli, post);
			shown++;
		}
		more = json_get_bool(json_member(reply.root, STR("has_more")), &more) && more &&
		       json_get_str(json_member(reply.root, STR("next_cursor")), &cursor) && cursor.len > 0;
	}
	if (shown == 0) {
		puts("There are no posts.");
	}
	if (more && cli->term.err) {
		fprintf(stderr, "(there are more; --limit N shows up to N)\n");
	}
	return cli_out_flush();
}

/* While following: with --json a line each. */
static void print_post(struct cli *cli, struct json post)
{
	struct json_out out;
	struct buf line;

	if (!cli->json) {
		cli_social_print(cli, post);
		return;
	}
	buf_init(&line, PLAIN_BYTES);
	json_begin(&out, &line);
	json_put_value(&out, post);
	cli_print_json(cli, buf_str(&line));
	buf_fini(&line);
}

/* ---- following ---- */

static int follow(struct cli *cli, size_t limit)
{
	struct follow follow = {.cli = cli, .signals = -1, .begins = true};
	struct cli_reply reply;
	int wait_ms = 0;

	int code = filters_read(&follow);
	code = code ? code : topics_read(&follow);
	if (code) {
		return code;
	}
	arena_init(&follow.arena, EVENT_ARENA);
	follow.signals = cli_signals_open();
	code = listen(&follow);
	follow.begins = false;
	code = code || follow.interrupted ? code : cli_request(cli, "GET", path_of(cli, limit, STR("")), STR_NONE, &reply);
	if (!code && !follow.interrupted) {
		follow.page = json_member(reply.root, STR("items"));
		for (size_t i = json_size(follow.page); i-- > 0;) {
			print_post(cli, json_element(follow.page, i));
		}
		code = cli_out_flush();
	}
	while (!code && !follow.interrupted) {
		code = listen(&follow);
		if (!code && !follow.interrupted && !wait_before_next(&follow, &wait_ms)) {
			break;
		}
	}
	cli_signals_close(&follow.signals);
	arena_fini(&follow.arena);
	return code ? code : CLI_INTERRUPTED;
}

/* The id of the channel and the author that the filters name, the kind and the tag as posts have them. */
static int filters_read(struct follow *follow)
{
	static const struct str aliases[][2] = {
		{STR("command"), STR("task")}, {STR("response"), STR("status")}, {STR("announcement"), STR("alert")}};
	struct cli *cli = follow->cli;
	const char *type = cli_option(cli, "type"), *channel = cli_option(cli, "channel"), *author = cli_option(cli, "author");
	const char *hashtag = cli_option(cli, "hashtag");
	struct cli_reply reply;
	int code = CLI_OK;

	follow->type = type ? str_of(type) : STR_NONE;
	for (size_t i = 0; i < sizeof(aliases) / sizeof(aliases[0]); i++) {
		follow->type = str_eq_case(follow->type, aliases[i][0]) ? aliases[i][1] : follow->type;
	}
	if (channel) {
		code = cli_request(cli, "GET", cli_path(cli, "/v1/channels", channel, NULL), STR_NONE, &reply);
		follow->channel = code ? STR_NONE : cli_text(cli, json_member(reply.root, STR("id")));
	}
	if (!code && author) {
		const char *bare = author[0] == '@' ? author + 1 : author;
		bool me = strcmp(author, "me") == 0, agent = !me && cli_social_agent(cli, bare);
		follow->author = str_of(bare);
		if (me || agent) {
			code = cli_request(cli, "GET", me ? STR("/v1/me") : cli_path(cli, "/v1/agents", bare, NULL), STR_NONE, &reply);
			follow->author = code ? STR_NONE : cli_text(cli, json_member(reply.root, STR("id")));
		}
	}
	if (!code && hashtag) {
		struct str tag = arena_format(&cli->arena, "#%s", hashtag[0] == '#' ? hashtag + 1 : hashtag);
		if (tag.at == NULL || unicode_fold(tag, &cli->arena, &follow->hashtag) != ERR_OK) {
			code = cli_fail(CLI_USAGE, "--hashtag '%s' is no hashtag", hashtag);
		}
	}
	return code;
}

/* The channel alone; or what is public, what is for us, and our channels. */
static int topics_read(struct follow *follow)
{
	struct cli *cli = follow->cli;
	struct cli_reply me, channels;
	struct buf topics;

	if (follow->channel.at != NULL) {
		follow->topics = arena_format(&cli->arena, "channel:%.*s", STR_FMT(follow->channel));
		return CLI_OK;
	}
	int code = cli_request(cli, "GET", STR("/v1/me"), STR_NONE, &me);
	code = code ? code : cli_request(cli, "GET", STR("/v1/channels?mine=true&limit=100"), STR_NONE, &channels);
	if (code) {
		return code;
	}
	buf_init(&topics, LIMIT_TARGET_BYTES);
	buf_put_str(&topics, STR("global"));
	if (str_eq(cli_text(cli, json_member(me.root, STR("kind"))), STR("human"))) {
		buf_format(&topics, ",user:%.*s", STR_FMT(cli_text(cli, json_member(me.root, STR("id")))));
	}
	struct json items = json_member(channels.root, STR("items"));
	for (size_t i = 0; i < json_size(items) && i < CHANNELS_MAX; i++) {
		buf_format(&topics, ",channel:%.*s", STR_FMT(cli_text(cli, json_member(json_element(items, i), STR("id")))));
	}
	if (json_size(items) > CHANNELS_MAX) {
		cli_fail(CLI_OK, "you belong to more than %d channels; only the first are followed, others with --channel", CHANNELS_MAX);
	}
	follow->topics = arena_copy(&cli->arena, buf_str(&topics));
	buf_fini(&topics);
	return CLI_OK;
}

/* One connection, to its end. CLI_OK: another one may go on. */
static int listen(struct follow *follow)
{
	struct cli *cli = follow->cli;
	struct http_fetch fetch = {.method = "GET", .body_bytes = on_bytes, .tick = on_tick, .ctx = follow};
	struct buf path;
	char content_type[64], detail[128] = "";
	int status = 0;

	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, STR("/v1/events"));
	cli_path_query(&path, "topics", follow->topics.at);
	cli_path_query(&path, "after", follow->begins ? "now" : follow->cursor);
	fetch.url = arena_format(&cli->arena, "%s%.*s", cli->url, STR_FMT(buf_str(&path))).at;
	fetch.headers = cli_headers(cli, "text/event-stream, application/json", false);
	buf_fini(&path);
	if (!fetch.url || !fetch.headers) {
		return cli_fail(CLI_FAILED, "not enough memory");
	}
	follow->is_stream = follow->is_plain = follow->broken = follow->alive = false;
	sse_init(&follow->sse, LIMIT_SSE_LINE_BYTES * 4);
	buf_init(&follow->plain, PLAIN_BYTES);
	enum err err = http_fetch(&fetch, &status, content_type, NULL, detail);
	int code = CLI_OK;
	if (follow->interrupted) {
		code = CLI_INTERRUPTED;
	} else if (ferror(stdout)) {
		code = cli_out_flush();
	} else if (follow->is_plain && status >= 400 && status < 500) {
		code = cli_problem(cli, status, buf_str(&follow->plain), false);
	} else if (follow->begins && follow->cursor[0] == '\0') {
		code = err && status == 0 ? cli_fail(CLI_NO_CONNECTION, "cannot talk to %s: %s; start it with `guild serve`, or name it with --url",
						     cli->url, detail)
					  : cli_problem(cli, status, buf_str(&follow->plain), false);
	}
	buf_fini(&follow->plain);
	sse_fini(&follow->sse);
	return code;
}

/* False when a signal came meanwhile. */
static bool wait_before_next(struct follow *follow, int *wait_ms)
{
	struct pollfd signal = {.fd = follow->signals, .events = POLLIN};

	*wait_ms = follow->alive || *wait_ms == 0 ? WAIT_FIRST_MS : *wait_ms * 2 > WAIT_MOST_MS ? WAIT_MOST_MS : *wait_ms * 2;
	if (!follow->lost && follow->cli->term.lively) {
		fputs("(the connection is gone; trying again)\n", stderr);
	}
	follow->lost = true;
	if (poll(&signal, 1, *wait_ms) > 0 && cli_signals_take(follow->signals)) {
		follow->interrupted = true;
	}
	return !follow->interrupted;
}

static bool on_tick(void *ctx)
{
	struct follow *follow = ctx;

	follow->interrupted = follow->interrupted || cli_signals_take(follow->signals);
	return !follow->interrupted;
}

static bool on_bytes(void *ctx, struct str bytes)
{
	struct follow *follow = ctx;
	struct sse_event event;
	bool got = true;

	if (!follow->is_stream && !follow->is_plain && bytes.len > 0) {
		follow->is_plain = bytes.at[0] == '{';
		follow->is_stream = !follow->is_plain;
	}
	if (follow->is_plain) {
		buf_put_str(&follow->plain, bytes);
		return buf_err(&follow->plain) == ERR_OK;
	}
	while (!follow->broken && (bytes.len > 0 || got)) {
		if (sse_feed(&follow->sse, &bytes, &event, &got) != ERR_OK) {
			follow->broken = true;
		} else if (got) {
			on_event(follow, &event);
		}
	}
	return !follow->broken && !(follow->begins && follow->cursor[0] != '\0');
}

static void on_event(struct follow *follow, const struct sse_event *event)
{
	struct cli *cli = follow->cli;
	struct json_doc doc;

	follow->alive = true;
	follow->lost = false;
	if (event->id.len > 0 && event->id.len < CURSOR_BYTES) {
		str_to_z(event->id, follow->cursor, CURSOR_BYTES);
	}
	if (str_eq(event->event, STR("gap"))) {
		cli_fail(CLI_OK, "some of what came meanwhile is no longer kept as events; `guild feed` shows it");
	}
	arena_reset(&follow->arena, ARENA_BLOCK_MAX);
	if (!str_eq(event->event, STR("event")) || json_parse(&follow->arena, event->data, &doc, NULL) != ERR_OK) {
		return;
	}
	struct json post = cli_member(json_root(&doc), "event.data");
	if (!str_eq(cli_text(cli, cli_member(json_root(&doc), "event.type")), STR("agent_post")) || !wanted(follow, post)) {
		return;
	}
	print_post(cli, post);
	/* Who closed the pipe wants no more. */
	follow->broken = fflush(stdout) != 0;
}

static bool has(struct json object, const char *member, struct str value)
{
	struct str text;
	return value.at == NULL || (json_get_str(cli_member(object, member), &text) && str_eq_case(text, value));
}

static bool wanted(struct follow *follow, struct json post)
{
	struct str id, tag;
	struct json item;
	bool tagged = follow->hashtag.at == NULL;

	if (!has(post, "type", follow->type) || !has(post, "channel_id", follow->channel) || !has(post, "author.id", follow->author)) {
		return false;
	}
	struct json_iter tags = json_iter(json_member(post, STR("hashtags")));
	while (!tagged && json_next(&tags, NULL, &item)) {
		tagged = json_get_str(item, &tag) && str_eq(tag, follow->hashtag);
	}
	struct json_iter shown = json_iter(follow->page);
	while (tagged && json_there(follow->page) && json_next(&shown, NULL, &item)) {
		tagged = !(json_get_str(json_member(post, STR("id")), &id) && has(item, "id", id));
	}
	return tagged;
}
