/*
 * query.h - a request answered by a reader: one object, or a page of a list.
 *
 * For:     GET rows of features.
 * Not for: what the loop can answer from a snapshot; changes (change.h).
 * Threads: query_new, query_submit on the request's loop; the run function and query_room, query_mark on a reader.
 * Memory:  a query lives in the request's arena, which the run function may use; its text is freed with the reply.
 *
 * A page's cursor is opaque: a version, keys of the last item, and a keyed tag over path, filter, caller and these, so that it fits no
 * other list and no other reader.
 */
#ifndef GUILD_COMMAND_QUERY_H
#define GUILD_COMMAND_QUERY_H

#include "command/guild.h"
#include "db/reader.h"
#include "http/http.h"
#include "wire/json.h"

struct query;
typedef enum err query_run_fn(struct query *query, struct db *db);
typedef void query_finish_fn(struct query *query);

struct query {
	struct read_job job; /* first */
	struct guild *guild;
	struct http_request *request;
	query_run_fn *run;
	query_finish_fn *finish; /* NULL: query_reply; set before query_submit */
	struct buf text;
	struct json_out json; /* where run writes the object, or the items */
	bool is_list;
	struct str filter; /* what narrows the list; part of the cursor's tag */
	int64_t after[2];  /* keys of the cursor; 0, 0: from the start */
	int limit, count;
	bool more;       /* set by run when it stopped before the end */
	int64_t last[2]; /* set by query_mark */
	struct str members; /* set by run: further members of a list's reply, JSON text without braces; at NULL: none */
};

/* For one object: run writes it, its error answers instead. NULL: the request has been answered. */
void *query_new(struct guild *guild, struct http_request *request, size_t size);
/* For a page: reads ?limit= and ?cursor=. A cursor that is broken, or of another list, reader or version, is answered with 400
 * invalid_cursor. filter is borrowed until the reply. */
void *query_list_new(struct guild *guild, struct http_request *request, struct str filter, size_t size);
/* Hands it to the readers; run's result answers the request. */
void query_submit(struct query *query, query_run_fn *run);

/* In finish, on the loop: answers with what run wrote, or its error. */
void query_reply(struct query *query);

/* In run, before an item is written: is there room for one more? False sets more. */
bool query_room(struct query *query);
/* In run, after an item: its keys, for the cursor. Also for the last row seen when a scan has to stop. */
void query_mark(struct query *query, int64_t key0, int64_t key1);

/* The two parameters of every list, for route tables: QUERY_LIST_MEMBERS, further ones, {NULL}. */
#define QUERY_LIST_MEMBERS                                                                                             \
	{"limit", HTTP_INT, false, 1, 100, NULL, "items of a page, 50 when absent"},                                       \
	{                                                                                                                  \
		"cursor", HTTP_STRING, false, 1, 128, NULL, "next_cursor of the page before"                                   \
	}

#endif
