/* identity.c - guild token, user and key: who may ask, and with which providers' keys. */
#include <unistd.h>

#include "base/limits.h"
#include "cli/store_priv.h"

#define BODY_BYTES 65536

/* The id of the user called *user, or whose id it is. */
static int find_user(struct cli *cli, const char **user)
{
	struct cli_reply reply;
	struct str cursor = STR("");
	struct str found = STR("");
	bool more = true;

	while (more && !found.len) {
		struct json_iter iter;
		struct json item;
		struct buf path;
		int code;

		buf_init(&path, LIMIT_TARGET_BYTES * 4);
		buf_put_str(&path, STR("/v1/users?limit=100"));
		cli_path_query(&path, "cursor", cursor.len ? arena_copy(&cli->arena, cursor).at : NULL);
		code = cli_request(cli, "GET", buf_str(&path), STR_NONE, &reply);
		buf_fini(&path);
		if (code) {
			return code;
		}
		iter = json_iter(json_member(reply.root, STR("items")));
		while (!found.len && json_next(&iter, NULL, &item)) {
			struct str id = cli_text(cli, json_member(item, STR("id")));

			if (str_eq(id, str_of(*user)) || str_eq(cli_text(cli, json_member(item, STR("name"))), str_of(*user))) {
				found = id;
			}
		}
		more = json_get_bool(json_member(reply.root, STR("has_more")), &more) && more &&
		       json_get_str(json_member(reply.root, STR("next_cursor")), &cursor) && cursor.len > 0;
	}
	if (!found.len) {
		return cli_fail(CLI_NOT_FOUND, "there is no user '%s'; `guild user list` shows all", *user);
	}
	*user = arena_copy(&cli->arena, found).at;
	return CLI_OK;
}

static int list(struct cli *cli, const char *base, const char *user, const struct cli_column *columns, const char *nothing)
{
	struct buf path;
	int code = cli_connect(cli);

	code = code || !user ? code : find_user(cli, &user);
	if (code) {
		return code;
	}
	buf_init(&path, LIMIT_TARGET_BYTES * 4);
	buf_put_str(&path, str_of(base));
	cli_path_query(&path, "user", user);
	return cli_list(cli, &path, columns, nothing);
}

static int delete_one(struct cli *cli, const char *base, const char *said)
{
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : cli_request(cli, "DELETE", cli_path(cli, base, cli->operands[0], NULL), STR_NONE, &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return reply.text.len ? cli_print_json(cli, reply.text) : CLI_OK;
	}
	puts(said);
	return cli_out_flush();
}

/* ---- tokens ---- */

/* "90s", "45m", "12h", "30d" or seconds. */
static int read_span(const char *text, int64_t *seconds)
{
	static const struct {
		char letter;
		int64_t seconds;
	} units[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
	struct str rest = str_of(text);
	int64_t unit = 1;

	for (size_t i = 0; rest.len && i < sizeof(units) / sizeof(units[0]); i++) {
		if (rest.at[rest.len - 1] == units[i].letter) {
			unit = units[i].seconds;
			rest.len--;
			break;
		}
	}
	if (!str_to_i64(rest, seconds) || *seconds < 1 || *seconds > INT64_C(315360000) / unit) {
		return cli_fail(CLI_USAGE, "--expires-in '%s' has to be a time like 90s, 45m, 12h or 30d, at most 3650d", text);
	}
	*seconds *= unit;
	return CLI_OK;
}

/* Asks for a token and shows its text. */
static int token_ask(struct cli *cli, struct str path, struct str body)
{
	struct cli_reply reply;
	int code = cli_request(cli, "POST", path, body, &reply);

	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("%.*s\n", STR_FMT(cli_text(cli, json_member(reply.root, STR("token")))));
	code = cli_out_flush();
	if (cli->term.err && str_starts(path, STR("/v1/tokens"))) {
		fprintf(stderr, "(shown this once; revoke it with `guild token revoke ");
		cli_put_clean(stderr, cli_text(cli, json_member(reply.root, STR("id"))));
		fprintf(stderr, "`)\n");
	}
	return code;
}

/* "chat,agents:read" */
static void put_scopes(struct json_out *out, struct str rest)
{
	struct str word;

	json_name(out, STR("scopes"));
	json_array(out);
	while (str_split(&rest, ',', &word)) {
		json_str(out, str_trim(word));
	}
	json_array_end(out);
}

int cli_run_token_add(struct cli *cli)
{
	const char *label = cli_option(cli, "label");
	const char *user = cli_option(cli, "user");
	const char *expires = cli_option(cli, "expires-in");
	const char *scopes = cli_option(cli, "scope");
	int64_t seconds = 0;
	struct json_out out;
	struct buf body;
	int code = expires ? read_span(expires, &seconds) : CLI_OK;

	code = code ? code : cli_connect(cli);
	code = code || !user ? code : find_user(cli, &user);
	if (code) {
		return code;
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	if (label) {
		json_put_str(&out, STR("label"), str_of(label));
	}
	if (user) {
		json_put_str(&out, STR("user_id"), str_of(user));
	}
	if (seconds) {
		json_put_int(&out, STR("expires_in_s"), seconds);
	}
	if (scopes) {
		put_scopes(&out, str_of(scopes));
	}
	json_object_end(&out);
	code = token_ask(cli, STR("/v1/tokens"), buf_str(&body));
	buf_fini(&body);
	return code;
}

int cli_run_token_rotate(struct cli *cli)
{
	const char *expires = cli_option(cli, "expires-in");
	struct str body = STR_NONE;
	int64_t seconds = 0;
	int code = expires ? read_span(expires, &seconds) : CLI_OK;

	code = code ? code : cli_connect(cli);
	if (!code && seconds) {
		body = arena_format(&cli->arena, "{\"expires_in_s\":%lld}", (long long)seconds);
	}
	return code ? code : token_ask(cli, cli_path(cli, "/v1/tokens", cli->operands[0], "/rotate"), body);
}

int cli_run_token_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"ID", "id", CLI_CELL_ID},
		{"LABEL", "label", CLI_CELL_TEXT},
		{"USER", "principal_id", CLI_CELL_ID},
		{"CREATED", "created_at", CLI_CELL_TIME},
		{"EXPIRES", "expires_at", CLI_CELL_TIME},
		{NULL, NULL, CLI_CELL_TEXT},
	};

	return list(cli, "/v1/tokens", cli_option(cli, "user"), columns, "There are no tokens.");
}

int cli_run_token_revoke(struct cli *cli)
{
	return delete_one(cli, "/v1/tokens", "Revoked.");
}

/* ---- workspaces ---- */

/* One object of texts, those that were given. */
static struct str texts_body(struct cli *cli, const struct str *names, const char *const *values, size_t count)
{
	struct json_out out;
	struct buf body;
	struct str text;

	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	for (size_t i = 0; i < count; i++) {
		if (values[i]) {
			json_put_str(&out, names[i], str_of(values[i]));
		}
	}
	json_object_end(&out);
	text = arena_copy(&cli->arena, buf_str(&body));
	buf_fini(&body);
	return text;
}

int cli_run_workspace_add(struct cli *cli)
{
	static const struct str names[] = {STR("name"), STR("admin")};
	const char *values[] = {cli->operands[0], cli_option(cli, "admin")};
	int code = cli_connect(cli);

	return code ? code : token_ask(cli, STR("/v1/workspaces"), texts_body(cli, names, values, 2));
}

int cli_run_workspace_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"ID", "id", CLI_CELL_ID},
		{"NAME", "name", CLI_CELL_TEXT},
		{"DEFAULT AGENT", "default_agent_id", CLI_CELL_ID},
		{"CREATED", "created_at", CLI_CELL_TIME},
		{NULL, NULL, CLI_CELL_TEXT},
	};

	return list(cli, "/v1/workspaces", NULL, columns, "There are no workspaces.");
}

int cli_run_workspace_set(struct cli *cli)
{
	static const struct str names[] = {STR("name"), STR("default_agent")};
	const char *values[] = {cli_option(cli, "name"), cli_option(cli, "default-agent")};
	struct cli_reply reply;
	int code = values[0] || values[1] ? cli_connect(cli) : cli_fail(CLI_USAGE, "say --name or --default-agent");

	code = code ? code
		    : cli_request(cli, "PATCH", cli_path(cli, "/v1/workspaces", cli->operands[0], NULL), texts_body(cli, names, values, 2), &reply);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("Changed %.*s.\n", STR_FMT(cli_text(cli, json_member(reply.root, STR("name")))));
	return cli_out_flush();
}

/* ---- users ---- */

int cli_run_user_add(struct cli *cli)
{
	const char *role = cli_option(cli, "role");
	struct json_out out;
	struct buf body;
	struct cli_reply reply;
	int code = role ? cli_connect(cli) : cli_fail(CLI_USAGE, "--role is missing: viewer, member or admin");

	if (code) {
		return code;
	}
	buf_init(&body, BODY_BYTES);
	json_begin(&out, &body);
	json_object(&out);
	json_put_str(&out, STR("name"), str_of(cli->operands[0]));
	json_put_str(&out, STR("role"), str_of(role));
	if (cli_option(cli, "workspace")) {
		json_put_str(&out, STR("workspace_id"), str_of(cli_option(cli, "workspace")));
	}
	json_object_end(&out);
	code = cli_request(cli, "POST", STR("/v1/users"), buf_str(&body), &reply);
	buf_fini(&body);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("Made %s%.*s%s, %.*s  %s%.*s%s\n", cli_style(&cli->term, CLI_BOLD),
	       STR_FMT(cli_text(cli, json_member(reply.root, STR("name")))), cli_style(&cli->term, CLI_PLAIN),
	       STR_FMT(cli_text(cli, json_member(reply.root, STR("role")))), cli_style(&cli->term, CLI_DIM),
	       STR_FMT(cli_text(cli, json_member(reply.root, STR("id")))), cli_style(&cli->term, CLI_PLAIN));
	return cli_out_flush();
}

int cli_run_user_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"ID", "id", CLI_CELL_ID},
		{"NAME", "name", CLI_CELL_TEXT},
		{"ROLE", "role", CLI_CELL_TEXT},
		{"KIND", "kind", CLI_CELL_TEXT},
		{"CREATED", "created_at", CLI_CELL_TIME},
		{"DISABLED", "disabled_at", CLI_CELL_TIME},
		{NULL, NULL, CLI_CELL_TEXT},
	};

	return list(cli, "/v1/users", NULL, columns, "There are no users.");
}

/* Whoever has the token of the person alone says "me". */
static int find_target(struct cli *cli, const char **user)
{
	return strcmp(*user, "me") == 0 ? CLI_OK : find_user(cli, user);
}

static int erase_confirm(struct cli *cli, const char *user)
{
	struct buf line;
	int signals;
	enum err err;

	if (cli_switch(cli, "yes")) {
		return CLI_OK;
	}
	if (!cli->term.in) {
		return cli_fail(CLI_USAGE, "this cannot be undone; say --yes");
	}
	fprintf(stderr, "Everything of ");
	cli_put_clean(stderr, str_of(user));
	fprintf(stderr, " will be erased. This cannot be undone. Type yes: ");
	buf_init(&line, 64);
	signals = cli_signals_open();
	err = cli_read_line(signals, STR_NONE, &line);
	cli_signals_close(&signals);
	bool yes = err == ERR_OK && str_eq(str_trim(buf_str(&line)), STR("yes"));
	buf_fini(&line);
	return yes ? CLI_OK : cli_fail(CLI_FAILED, "nothing was erased");
}

/* Whose own token it was cannot ask any more. */
static int erase_wait(struct cli *cli, const char *user, struct cli_reply *reply)
{
	if (strcmp(user, "me") == 0) {
		puts("It has begun; the server goes on by itself, and this token is worth nothing any more.");
		return cli_out_flush();
	}
	int code = cli_task_wait(cli, cli_path(cli, "/v1/users", user, "/erase"), reply);

	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply->text);
	}
	printf("Erased: %.*s rows. Copies made before, in backups/ or beside the store, still have them.\n",
	       STR_FMT(cli_text(cli, json_member(reply->root, STR("rows")))));
	return cli_out_flush();
}

int cli_run_user_export(struct cli *cli)
{
	const char *user = cli->operands[0];
	int code = cli_connect(cli);

	code = code ? code : find_target(cli, &user);
	return code ? code : cli_export(cli, cli_path(cli, "/v1/users", user, "/export").at, cli->operands[1]);
}

int cli_run_user_erase(struct cli *cli)
{
	const char *user = cli->operands[0];
	struct cli_reply reply;
	int code = cli_connect(cli);

	code = code ? code : find_target(cli, &user);
	code = code ? code : erase_confirm(cli, cli->operands[0]);
	code = code ? code : cli_request(cli, "POST", cli_path(cli, "/v1/users", user, "/erase"), STR_NONE, &reply);
	return code ? code : erase_wait(cli, user, &reply);
}

int cli_run_user_remove(struct cli *cli)
{
	const char *user = cli->operands[0];
	int code = cli_connect(cli);

	code = code ? code : find_user(cli, &user);
	if (code) {
		return code;
	}
	cli->operands[0] = user;
	return delete_one(cli, "/v1/users", "Disabled; its tokens have ended.");
}

/* ---- keys ---- */

static int read_key(struct cli *cli, struct buf *key)
{
	struct str prompt = arena_format(&cli->arena, "Key for %s (not shown): ", cli->operands[0]);
	int signals = cli_signals_open();
	struct str trimmed;
	enum err err = cli_read_line(signals, prompt, key);

	cli_signals_close(&signals);
	if (err == ERR_CANCELLED) {
		return CLI_INTERRUPTED;
	}
	if (err && err != ERR_END) {
		return cli_fail(CLI_USAGE, err == ERR_LIMIT ? "the key is longer than %d bytes" : "the key cannot be read (%d)",
				err == ERR_LIMIT ? LIMIT_PROVIDER_KEY_BYTES : (int)err);
	}
	trimmed = str_trim(buf_str(key));
	if (trimmed.len == 0) {
		return cli_fail(CLI_USAGE, "no key came; type it at the prompt, or give it on standard input: guild key add %s < FILE",
				cli->operands[0]);
	}
	memmove(key->at, trimmed.at, trimmed.len);
	key->len = trimmed.len;
	return CLI_OK;
}

static void wipe(struct buf *buf)
{
	if (buf->at) {
		explicit_bzero(buf->at, buf->cap);
	}
	buf_fini(buf);
}

int cli_run_key_add(struct cli *cli)
{
	const char *base_url = cli_option(cli, "base-url");
	struct json_out out;
	struct buf key;
	struct buf body;
	struct cli_reply reply;
	int code = cli_connect(cli);

	buf_init(&key, LIMIT_PROVIDER_KEY_BYTES);
	buf_init(&body, BODY_BYTES);
	/* All room at once: a buf that grows leaves copies behind. */
	if (!buf_reserve(&key, LIMIT_PROVIDER_KEY_BYTES) || !buf_reserve(&body, BODY_BYTES / 2)) {
		code = code ? code : cli_fail(CLI_FAILED, "not enough memory");
	}
	code = code ? code : read_key(cli, &key);
	if (!code) {
		json_begin(&out, &body);
		json_object(&out);
		json_put_str(&out, STR("provider"), str_of(cli->operands[0]));
		json_put_str(&out, STR("key"), buf_str(&key));
		if (base_url) {
			json_put_str(&out, STR("base_url"), str_of(base_url));
		}
		json_object_end(&out);
		code = cli_request(cli, "POST", STR("/v1/keys"), buf_str(&body), &reply);
	}
	wipe(&key);
	wipe(&body);
	if (code) {
		return code;
	}
	if (cli->json) {
		return cli_print_json(cli, reply.text);
	}
	printf("Kept, sealed: %.*s  %s%.*s%s\n", STR_FMT(cli_text(cli, json_member(reply.root, STR("provider")))),
	       cli_style(&cli->term, CLI_DIM), STR_FMT(cli_text(cli, json_member(reply.root, STR("id")))),
	       cli_style(&cli->term, CLI_PLAIN));
	return cli_out_flush();
}

int cli_run_key_list(struct cli *cli)
{
	static const struct cli_column columns[] = {
		{"ID", "id", CLI_CELL_ID},
		{"PROVIDER", "provider", CLI_CELL_TEXT},
		{"KEY", "shown", CLI_CELL_TEXT},
		{"SCOPE", "scope", CLI_CELL_TEXT},
		{"BASE URL", "base_url", CLI_CELL_TEXT},
		{"CREATED", "created_at", CLI_CELL_TIME},
		{NULL, NULL, CLI_CELL_TEXT},
	};

	return list(cli, "/v1/keys", NULL, columns, "No keys are kept.");
}

int cli_run_key_remove(struct cli *cli)
{
	return delete_one(cli, "/v1/keys", "Removed.");
}
