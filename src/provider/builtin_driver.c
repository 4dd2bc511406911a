/* The builtin responder as a provider: the answer is made at start and streamed word by word from a task, a few words a turn. */
#include "base/limits.h"
#include "base/list.h"
#include "base/mem.h"
#include "provider/builtin_priv.h"
#include "wire/utf8.h"

#define WORDS_A_TURN 16

struct builtin {
	struct arena arena;
	const struct builtin_book *book;
};

struct provider_call {
	struct loop *loop;
	struct loop_task task;
	struct provider_sink sink;
	struct arena arena;
	struct str rest;     /* of the answer, not given yet */
	int64_t tokens_left; /* by the estimate used where a provider counts nothing: a token is four characters */
	bool cancelled, cancel_seen;
};

/* One word with the space behind it. */
static struct str word_next(struct str *rest)
{
	size_t len = 0;
	struct str word;

	while (len < rest->len && rest->at[len] != ' ') {
		len++;
	}
	while (len < rest->len && rest->at[len] == ' ') {
		len++;
	}
	word = str_sub(*rest, 0, len);
	*rest = str_sub(*rest, len, rest->len);
	return word;
}

static void finish(struct provider_call *call, enum err err, struct str finish_reason)
{
	const struct provider_result result = {
		.err = err,
		.finish_reason = finish_reason,
		.log_reason = err == ERR_OK ? "ok" : "cancelled",
		.model = STR("builtin"),
	};

	call->sink.done(call->sink.ctx, &result);
	loop_task_cancel(&call->task);
	arena_fini(&call->arena);
	mem_free(call);
}

static void words_give(struct provider_call *call)
{
	for (int i = 0; i < WORDS_A_TURN && call->rest.len > 0 && call->tokens_left > 0 && !call->cancelled; i++) {
		struct str word = word_next(&call->rest);

		call->tokens_left -= (int64_t)(utf8_length(word) + 3) / 4;
		call->sink.delta(call->sink.ctx, word);
	}
}

static void task_run(struct loop_task *task, struct loop *loop)
{
	struct provider_call *call = container_of(task, struct provider_call, task);

	if (call->cancelled) {
		if (call->cancel_seen) {
			finish(call, ERR_CANCELLED, STR(""));
			return;
		}
		/* Cancelled earlier in this turn: done belongs to a later one. */
		call->cancel_seen = true;
		loop_task_add(loop, task);
		return;
	}
	words_give(call);
	if (call->cancelled) {
		call->cancel_seen = true;
	} else if (call->rest.len == 0 || call->tokens_left <= 0) {
		finish(call, ERR_OK, call->rest.len == 0 ? STR("stop") : STR("length"));
		return;
	}
	loop_task_add(loop, task);
}

static enum err builtin_start(void *self, struct loop *loop, const struct provider_request *request,
			      const struct provider_sink *sink, struct provider_call **out)
{
	struct builtin *builtin = self;
	struct provider_call *call = mem_alloc(sizeof(*call));

	if (!call) {
		return ERR_MEMORY;
	}
	call->loop = loop;
	call->sink = *sink;
	call->task.run = task_run;
	list_init(&call->task.link);
	arena_init(&call->arena, LIMIT_REQUEST_ARENA_BYTES);
	call->rest = builtin_answer_by(builtin->book, &call->arena, request->messages, request->message_count);
	call->tokens_left = request->output_tokens_max > 0 ? request->output_tokens_max : INT64_MAX;
	loop_task_add(loop, &call->task);
	*out = call;
	return ERR_OK;
}

static void builtin_cancel(struct provider_call *call)
{
	call->cancelled = true;
	loop_task_add(call->loop, &call->task);
}

static struct str builtin_default_model(void *self, char *out, size_t cap)
{
	return str_of(str_to_z(STR("builtin"), out, cap));
}

static const struct provider_driver builtin_driver = {
	.name = "builtin",
	.start = builtin_start,
	.cancel = builtin_cancel,
	.default_model = builtin_default_model,
};

enum err provider_builtin_create(struct provider *out)
{
	struct builtin *builtin = mem_alloc(sizeof(*builtin));

	if (!builtin) {
		return ERR_MEMORY;
	}
	arena_init(&builtin->arena, LIMIT_REQUEST_ARENA_BYTES);
	builtin->book = builtin_book_make(&builtin->arena);
	if (!builtin->book) {
		mem_free(builtin);
		return ERR_MEMORY;
	}
	*out = (struct provider){&builtin_driver, builtin, STR("builtin")};
	return ERR_OK;
}

void provider_builtin_destroy(struct provider *provider)
{
	struct builtin *builtin = provider->self;

	arena_fini(&builtin->arena);
	mem_free(builtin);
	*provider = (struct provider){0};
}
