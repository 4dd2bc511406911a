/* query.c - requests answered by readers, and the pages of lists. */
#include "command/query.h"

#include "base/check.h"
#include "base/limits.h"
#include "wire/base64.h"

enum {
	QUERY_BYTES_MAX = 24 * 1024 * 1024, /* a hundred of the largest posts, where a page may not end early */
	PAGE_BYTES_WANTED = 4 * 1024 * 1024, /* a page of large items ends early */
	PAGE_ITEMS_DEFAULT = 50,
	CURSOR_VERSION = 1,
	CURSOR_KEYS_AT = 1,
	CURSOR_TAG_AT = CURSOR_KEYS_AT + 2 * sizeof(int64_t),
	CURSOR_BYTES = CURSOR_TAG_AT + sizeof(uint64_t),
	TAG_BYTES_MAX = 4 * LIMIT_TARGET_BYTES, /* a path and the filters of a query, decoded */
};

static enum err query_run(struct read_job *job, struct db *db);
static void query_done(struct read_job *job);
static enum err cursor_tag(const struct query *query, uint8_t cursor[CURSOR_BYTES], uint64_t *tag);
static enum err cursor_put(struct query *query);
static enum err cursor_read(struct query *query, struct str text);
static enum err page_end(struct query *query);

void *query_new(struct guild *guild, struct http_request *request, size_t size)
{
	check(size >= sizeof(struct query));
	struct query *query = arena_alloc(&request->arena, size);
	if (query == NULL) {
		http_reply_error(request, ERR_MEMORY, NULL);
		return NULL;
	}
	query->guild = guild;
	query->request = request;
	query->job.run = query_run;
	query->job.done = query_done;
	query->job.home = request->loop;
	buf_init(&query->text, QUERY_BYTES_MAX);
	json_begin(&query->json, &query->text);
	return query;
}

void *query_list_new(struct guild *guild, struct http_request *request, struct str filter, size_t size)
{
	struct query *query = query_new(guild, request, size);
	if (query == NULL) {
		return NULL;
	}
	int64_t limit = PAGE_ITEMS_DEFAULT;
	struct str cursor;
	(void)http_query_int(request, "limit", &limit);
	query->limit = (int)limit;
	query->is_list = true;
	query->filter = filter;
	enum err err = http_query_str(request, "cursor", &cursor) ? cursor_read(query, cursor) : ERR_OK;
	if (err != ERR_OK) {
		http_reply_error(request, err, NULL);
		return NULL;
	}
	return query;
}

void query_submit(struct query *query, query_run_fn *run)
{
	query->run = run;
	enum err err = reader_push(query->guild->readers, &query->job);
	if (err != ERR_OK) {
		buf_fini(&query->text);
		http_reply_error(query->request, err, NULL);
	}
}

void query_reply(struct query *query)
{
	struct buf text = query->text;
	if (query->job.result != ERR_OK) {
		http_reply_error(query->request, query->job.result, NULL);
	} else {
		http_reply_json(query->request, 200, buf_str(&text));
	}
	buf_fini(&text);
}

bool query_room(struct query *query)
{
	if (query->count >= query->limit || query->text.len > PAGE_BYTES_WANTED) {
		query->more = true;
		return false;
	}
	query->count++;
	return true;
}

void query_mark(struct query *query, int64_t key0, int64_t key1)
{
	query->last[0] = key0;
	query->last[1] = key1;
}

static enum err query_run(struct read_job *job, struct db *db)
{
	struct query *query = (struct query *)job;
	if (query->is_list) {
		json_object(&query->json);
		json_name(&query->json, STR("items"));
		json_array(&query->json);
	}
	enum err err = query->run(query, db);
	if (err == ERR_OK && query->is_list) {
		err = page_end(query);
	}
	return err != ERR_OK ? err : buf_err(&query->text);
}

static void query_done(struct read_job *job)
{
	struct query *query = (struct query *)job;
	if (query->finish != NULL) {
		query->finish(query);
	} else {
		query_reply(query);
	}
}

static enum err page_end(struct query *query)
{
	enum err err = ERR_OK;
	json_array_end(&query->json);
	json_name(&query->json, STR("next_cursor"));
	if (query->more) {
		err = cursor_put(query);
		if (err != ERR_OK) {
			return err;
		}
	} else {
		json_null(&query->json);
	}
	json_put_bool(&query->json, STR("has_more"), query->more);
	if (query->members.at != NULL) {
		json_raw(&query->json, query->members);
	}
	json_object_end(&query->json);
	return err;
}

static enum err cursor_put(struct query *query)
{
	uint8_t cursor[CURSOR_BYTES] = {CURSOR_VERSION};
	uint64_t tag;
	struct buf text;
	memcpy(cursor + CURSOR_KEYS_AT, query->last, sizeof(query->last));
	enum err err = cursor_tag(query, cursor, &tag);
	if (err != ERR_OK) {
		return err;
	}
	memcpy(cursor + CURSOR_TAG_AT, &tag, sizeof(tag));
	buf_init(&text, 64);
	base64_url_encode(&text, str_make(cursor, CURSOR_BYTES));
	json_str(&query->json, buf_str(&text));
	err = buf_err(&text);
	buf_fini(&text);
	return err;
}

/* Of the list, what narrows it, who reads it, and what stands before the tag. Path and filter come first and are kept apart by a byte
 * that no path has; the rest has a fixed length. */
static enum err cursor_tag(const struct query *query, uint8_t cursor[CURSOR_BYTES], uint64_t *tag)
{
	const struct caller *caller = &query->request->caller;
	struct buf text;
	buf_init(&text, TAG_BYTES_MAX);
	buf_put_str(&text, query->request->path);
	buf_put_byte(&text, '?');
	buf_put_str(&text, query->filter);
	buf_put(&text, &caller->principal, sizeof(caller->principal));
	buf_put(&text, &caller->agent, sizeof(caller->agent));
	buf_put(&text, cursor, CURSOR_TAG_AT);
	enum err err = buf_err(&text);
	*tag = err == ERR_OK ? map_hash(&query->guild->id_secret, buf_str(&text)) : 0;
	buf_fini(&text);
	return err;
}

static enum err cursor_read(struct query *query, struct str text)
{
	uint8_t cursor[CURSOR_BYTES];
	uint64_t tag;
	struct buf bytes;
	buf_init(&bytes, 128);
	bool whole = base64_url_decode(&bytes, text) == ERR_OK && bytes.len == CURSOR_BYTES && bytes.at[0] == CURSOR_VERSION;
	if (whole) {
		memcpy(cursor, bytes.at, CURSOR_BYTES);
	}
	buf_fini(&bytes);
	if (!whole) {
		return ERR_CURSOR;
	}
	enum err err = cursor_tag(query, cursor, &tag);
	if (err != ERR_OK) {
		return err;
	}
	if (memcmp(cursor + CURSOR_TAG_AT, &tag, sizeof(tag)) != 0) {
		return ERR_CURSOR;
	}
	memcpy(query->after, cursor + CURSOR_KEYS_AT, sizeof(query->after));
	return ERR_OK;
}
