/* ask.c - a run on behalf of an agent that answers by itself: governed, streamed to nobody, recorded like any other. */
#include "base/mem.h"
#include "execution/execution_priv.h"

struct ask {
	social_answered_fn *answered;
	void *ctx;
};

static void recorded(void *ctx, int64_t execution, int64_t session, bool queued)
{
	(void)ctx;
	(void)execution;
	(void)session;
	(void)queued;
}

static void ended(void *ctx, const struct chat_result *result)
{
	struct ask *ask = ctx;
	ask->answered(ask->ctx, result->success ? ERR_OK : result->err, result->success ? result->response : STR_NONE);
	mem_free(ask);
}

static enum err ask_start(void *self, struct loop *loop, const struct social_question *question, social_answered_fn *answered, void *ctx)
{
	struct engine *engine = self;
	struct id_text agent = id_format(&engine->guild->id_secret, ID_AGENT, question->agent);
	struct chat_request request = {.caller = question->caller,
				       .agent = id_str(&agent),
				       .message = question->message,
				       .session_id = STR_NONE,
				       .history = question->history,
				       .history_count = question->history_count,
				       .strict = true,
				       .trigger = TRIGGER_MENTION};
	struct ask *ask = mem_alloc(sizeof(*ask));
	if (ask == NULL) {
		return ERR_MEMORY;
	}
	ask->answered = answered;
	ask->ctx = ctx;
	struct chat_listener listener = {recorded, ended, ask};
	enum err err = execution_start(engine, loop, &request, &listener);
	if (err != ERR_OK) {
		mem_free(ask);
	}
	return err;
}

struct social_answerer execution_answerer(struct engine *engine)
{
	return (struct social_answerer){ask_start, engine};
}
