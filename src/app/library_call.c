/*
 * library_call.c - calls, and the queues that bring what comes of them back to the caller's threads.
 *
 * A call is a note to a loop. What comes of it is put into a queue (of the handle, or of the waiting call) and taken out by the user's
 * thread, so that no user code ever runs on a thread of ours.
 */
#include <errno.h>
#include <unistd.h>

#include "app/library_priv.h"
#include "base/check.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/idem.h"
#include "wire/utf8.h"

#define USER_BYTES_MAX 255

static bool request_valid(const struct guild_request *request);
static void call_destroy(struct library_call *call);
static void call_run(struct loop_note *note, struct loop *loop);
static void call_cancel_run(struct loop_note *note, struct loop *loop);
static void call_end(struct library_call *call, enum guild_error error);
static void call_event(struct library_call *call, struct str type, struct str data);
static void call_put(struct library_call *call, struct library_item *item);
static void handle_wake(struct guild_handle *handle);

static bool request_valid(const struct guild_request *request)
{
	static const char *const methods[] = {"GET", "POST", "PUT", "PATCH", "DELETE"};
	bool known = false;

	if (request == NULL || request->method == NULL || request->target == NULL || request->target[0] != '/') {
		return false;
	}
	for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++) {
		known |= strcmp(request->method, methods[i]) == 0;
	}
	struct str target = str_of(request->target), user = str_of(request->user), key;
	if (request->idempotency_key != NULL && !idem_key_parse(str_of(request->idempotency_key), &key)) {
		return false;
	}
	for (size_t i = 0; i < target.len; i++) {
		if ((unsigned char)target.at[i] <= ' ' || target.at[i] == 0x7f) {
			return false;
		}
	}
	if (user.at != NULL && (user.len == 0 || user.len > USER_BYTES_MAX || !utf8_valid(user))) {
		return false;
	}
	for (size_t i = 0; i < user.len; i++) {
		if ((unsigned char)user.at[i] <= ' ' || user.at[i] == 0x7f) {
			return false;
		}
	}
	/* A body that is too large for a request gets the engine's own answer; here only what could not be kept is refused. */
	return known && target.len <= LIMIT_TARGET_BYTES && str_of(request->body).len <= LIMIT_REQUEST_ARENA_BYTES / 2;
}

enum guild_error library_call_create(struct guild_handle *handle, const struct guild_request *request, struct library_call **out)
{
	if (!request_valid(request)) {
		return GUILD_ERR_INVALID;
	}
	struct library_call *call = mem_alloc(sizeof(*call));
	if (call == NULL) {
		return GUILD_ERR_MEMORY;
	}
	call->library = handle->library;
	call->handle = handle;
	call->on_event = request->on_event;
	call->event_ctx = request->ctx;
	call->run_note.run = call_run;
	call->cancel_note.run = call_cancel_run;
	list_init(&call->link);
	list_init(&call->items);
	check(pthread_cond_init(&call->changed, NULL) == 0);
	arena_init(&call->arena, LIMIT_REQUEST_ARENA_BYTES);
	buf_init(&call->reply, LIMIT_LIBRARY_REPLY_BYTES);
	sse_init(&call->sse, LIMIT_LIBRARY_REPLY_BYTES);
	call->method = arena_copy(&call->arena, str_of(request->method));
	call->target = arena_copy(&call->arena, str_of(request->target));
	call->body = arena_copy(&call->arena, request->body != NULL ? str_of(request->body) : STR(""));
	call->user = arena_copy(&call->arena, request->user != NULL ? str_of(request->user) : STR(""));
	call->idempotency_key = arena_copy(&call->arena, request->idempotency_key != NULL ? str_of(request->idempotency_key) : STR(""));
	call->end = arena_new(&call->arena, struct library_item);
	if (!call->method.at || !call->target.at || !call->body.at || !call->user.at || !call->idempotency_key.at ||
	    !call->end) {
		call_destroy(call);
		return GUILD_ERR_MEMORY;
	}
	call->end->call = call;
	call->end->end = true;
	*out = call;
	return GUILD_OK;
}

static void call_destroy(struct library_call *call)
{
	for (struct list *link; (link = list_pop(&call->items)) != NULL;) {
		struct library_item *item = container_of(link, struct library_item, link);
		if (!item->end) {
			mem_free(item);
		}
	}
	buf_fini(&call->reply);
	sse_fini(&call->sse);
	arena_fini(&call->arena);
	check(pthread_cond_destroy(&call->changed) == 0);
	mem_free(call);
}

enum guild_error library_call_begin(struct library_call *call, uint64_t *id)
{
	struct library *library = call->library;
	enum guild_error error = GUILD_OK;

	library_lock(library);
	if (call->handle->closing) {
		error = GUILD_ERR_CLOSED;
	} else if (library->call_count >= LIMIT_LIBRARY_CALLS) {
		error = GUILD_ERR_LIMIT;
	} else {
		call->id = ++library->last_id;
		if (id != NULL) {
			*id = call->id;
		}
		call->loop = library->door->loop_of(library);
		list_push(&library->calls, &call->link);
		library->call_count++;
		/* Posted under the lock, so that a cancel's note always comes behind it. */
		loop_note_post(call->loop, &call->run_note);
	}
	library_unlock(library);
	if (error != GUILD_OK) {
		call_destroy(call);
	}
	return error;
}

static void call_run(struct loop_note *note, struct loop *loop)
{
	struct library_call *call = container_of(note, struct library_call, run_note);
	call->library->door->run(call->library, call, loop);
}

static void call_cancel_run(struct loop_note *note, struct loop *loop)
{
	struct library_call *call = container_of(note, struct library_call, cancel_note);
	struct library *library = call->library;

	(void)loop;
	if (!call->door_done) {
		library->door->cancel(call);
	}
	library_lock(library);
	call->cancel_posted = false;
	library_call_free_if_over(call);
	library_unlock(library);
}

void library_call_let_go(struct library_call *call, enum guild_error error)
{
	struct guild_handle *handle = call->handle;

	for (struct list *at = handle->ready.next, *next; at != &handle->ready; at = next) {
		next = at->next;
		struct library_item *item = container_of(at, struct library_item, link);
		if (item->call == call && !item->end) {
			list_remove(at);
			handle->queued_bytes -= item->type_len + item->data_len;
			mem_free(item);
		}
	}
	if (call->ended) {
		return;
	}
	call_end(call, error);
	if (!call->door_done && call->library->door->cancel != NULL) {
		call->cancel_posted = true;
		loop_note_post(call->loop, &call->cancel_note);
	}
}

/* Under the lock. */
static void call_end(struct library_call *call, enum guild_error error)
{
	call->ended = true;
	call->error = error;
	call_put(call, call->end);
}

bool library_call_free_if_over(struct library_call *call)
{
	bool over = call->taken && call->door_done && !call->cancel_posted;
	if (over) {
		call_destroy(call);
	}
	return over;
}

static void call_event(struct library_call *call, struct str type, struct str data)
{
	struct library *library = call->library;
	struct library_item *item = mem_alloc(sizeof(*item) + type.len + data.len + 2);
	if (item == NULL) {
		call->broken = ERR_MEMORY;
		return;
	}
	item->call = call;
	item->type_len = type.len;
	item->data_len = data.len;
	memcpy(item->text, type.len ? type.at : "", type.len);
	memcpy(item->text + type.len + 1, data.len ? data.at : "", data.len);
	library_lock(library);
	/* After the end the handle may be gone. */
	if (call->ended) {
		mem_free(item);
	} else if (call->handle->queued_bytes + type.len + data.len > LIMIT_LIBRARY_QUEUE_BYTES) {
		call->broken = ERR_LIMIT;
		mem_free(item);
	} else {
		call->handle->queued_bytes += type.len + data.len;
		call_put(call, item);
	}
	library_unlock(library);
}

/* Under the lock. */
static void call_put(struct library_call *call, struct library_item *item)
{
	if (call->on_done == NULL) {
		list_push(&call->items, &item->link);
		check(pthread_cond_signal(&call->changed) == 0);
		return;
	}
	bool wake = list_empty(&call->handle->ready);
	list_push(&call->handle->ready, &item->link);
	if (wake) {
		handle_wake(call->handle);
	}
}

void library_call_reply(struct library_call *call, struct guild_reply *reply)
{
	*reply = (struct guild_reply){.status = call->status, .body = call->reply.at, .body_len = call->reply.len - 1};
	memcpy(reply->content_type, call->content_type, sizeof(reply->content_type));
}

void library_queue_run(struct guild_handle *handle, size_t max, size_t *handled)
{
	struct library *library = handle->library;
	uint64_t value;
	size_t count = 0;
	struct list *link;

	library_lock(library);
	if (handle->dispatching) {
		library_unlock(library);
		return;
	}
	handle->dispatching = true;
	if (read(handle->fd, &value, sizeof(value)) < 0) {
		check(errno == EAGAIN || errno == EINTR);
	}
	while (count < max && (link = list_pop(&handle->ready)) != NULL) {
		struct library_item *item = container_of(link, struct library_item, link);
		struct library_call *call = item->call;
		count++;
		if (!item->end) {
			handle->queued_bytes -= item->type_len + item->data_len;
			library_unlock(library);
			call->on_event(call->event_ctx, item->text, item->text + item->type_len + 1, item->data_len);
			mem_free(item);
			library_lock(library);
			continue;
		}
		struct guild_reply reply = {0};
		if (call->error == GUILD_OK) {
			library_call_reply(call, &reply);
		}
		library_unlock(library);
		call->on_done(call->done_ctx, call->error, &reply);
		library_lock(library);
		call->taken = true;
		call->handle = NULL;
		library_call_free_if_over(call);
	}
	handle->dispatching = false;
	if (!list_empty(&handle->ready)) {
		handle_wake(handle);
	}
	library_unlock(library);
	if (handled != NULL) {
		*handled = count;
	}
}

/* ---- what doors say ---- */

void library_call_head(struct library_call *call, int status, struct str content_type, bool streaming)
{
	call->status = status;
	call->streaming = streaming && call->on_event != NULL;
	str_to_z(content_type, call->content_type, sizeof(call->content_type));
}

void library_call_bytes(struct library_call *call, struct str bytes)
{
	if (!call->streaming) {
		buf_put_str(&call->reply, bytes);
		return;
	}
	while (call->broken == ERR_OK) {
		struct sse_event event;
		bool got = false;
		call->broken = sse_feed(&call->sse, &bytes, &event, &got);
		if (call->broken != ERR_OK || !got) {
			return;
		}
		if (str_eq(event.event, STR("result"))) {
			buf_clear(&call->reply);
			buf_put_str(&call->reply, event.data);
			str_to_z(STR("application/json"), call->content_type, sizeof(call->content_type));
		} else {
			call_event(call, event.event, event.data);
		}
	}
}

void library_call_done(struct library_call *call, enum err err)
{
	struct library *library = call->library;

	if (err == ERR_OK) {
		err = call->broken;
	}
	buf_put_byte(&call->reply, '\0');
	if (err == ERR_OK) {
		err = buf_err(&call->reply);
	}
	library_lock(library);
	list_remove(&call->link);
	library->call_count--;
	call->door_done = true;
	if (!call->ended) {
		call_end(call, library_error(err));
	}
	library_call_free_if_over(call);
	library_unlock(library);
}

/* ---- the descriptor ---- */

static void handle_wake(struct guild_handle *handle)
{
	uint64_t one = 1;
	/* The counter cannot overflow: it is written only when the queue was empty and read before it is emptied. */
	check(write(handle->fd, &one, sizeof(one)) == sizeof(one));
}
