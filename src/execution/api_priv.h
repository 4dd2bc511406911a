/*
 * api_priv.h - handlers and renderings that the api files of execution/ share.
 *
 * For:     chat_api.c (chat), execution_api.c (rows, runs, events).
 * Not for: other folders.
 * Threads: handlers on loops; turn_json any.
 * Memory:  as http.h says.
 */
#ifndef GUILD_EXECUTION_API_PRIV_H
#define GUILD_EXECUTION_API_PRIV_H

#include "execution/execution_priv.h"

bool chat_wants_stream(const struct http_request *request);
/* Answers with the result, good or bad. */
void chat_reply(struct http_request *request, const struct chat_result *result);
/* The last event of a stream; NULL without memory. */
struct frame *chat_result_frame(const struct chat_result *result);
void chat_handle(struct http_request *request, void *ctx);
/* The wire object of an execution. */
void turn_json(struct guild *guild, const struct turn *turn, struct json_out *json);
/* A refusal as an object of the same shape: id null, status failed, audit_id. */
void turn_refusal_json(struct guild *guild, const struct log_row *row, struct json_out *json);

#endif
