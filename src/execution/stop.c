/*
 * stop.c - ending the runs of an agent, or of all agents of a workspace, on every loop.
 *
 * Who orders it has changed in the store what makes such runs refused, so that none begins behind the order: what a loop has recorded by the
 * time it gets the order is ended, what it records later was decided on what stands now.
 */
#include "base/check.h"
#include "base/mem.h"
#include "execution/admit_priv.h"

struct run_stop_note {
	struct loop_note note; /* first */
	struct run_stop *stop;
};

struct run_stop {
	struct guild *guild;
	int64_t workspace, agent;
	const char *reason;
	_Atomic unsigned left;
	struct run_stop_note notes[];
};

static struct run_stop *stop_make(struct guild *guild);
static void stop_send(struct run_stop **stop, int64_t workspace, int64_t agent, const char *reason);
static void stop_free(struct run_stop **stop);

const struct guild_runs execution_runs = {stop_make, stop_send, stop_free, admit_places_changed};

static void shard_stop(struct engine_shard *shard, const struct run_stop *stop)
{
	struct list *next;
	for (struct list *at = shard->running.next; at != &shard->running; at = next) {
		struct execution *execution = container_of(at, struct execution, link);
		next = at->next;
		bool meant = execution->caller.workspace == stop->workspace && (stop->agent == 0 || execution->agent_id == stop->agent);
		/* What is not with the writer yet has still to be decided, or is refused there. */
		if (meant && execution->state >= STATE_RECORD) {
			flow_stop(execution, ERR_CANCELLED, stop->reason, false);
		}
	}
}

static void note_run(struct loop_note *loop_note, struct loop *loop)
{
	struct run_stop *stop = ((struct run_stop_note *)loop_note)->stop;
	shard_stop(&stop->guild->engine->shards[loop_number(loop)], stop);
	if (atomic_fetch_sub(&stop->left, 1) == 1) {
		mem_free(stop);
	}
}

static struct run_stop *stop_make(struct guild *guild)
{
	struct run_stop *stop = mem_alloc(sizeof(*stop) + guild->loop_count * sizeof(struct run_stop_note));
	if (stop == NULL) {
		return NULL;
	}
	stop->guild = guild;
	atomic_init(&stop->left, guild->loop_count);
	for (unsigned i = 0; i < guild->loop_count; i++) {
		stop->notes[i].note.run = note_run;
		stop->notes[i].stop = stop;
	}
	return stop;
}

static void stop_send(struct run_stop **stop, int64_t workspace, int64_t agent, const char *reason)
{
	struct run_stop *sent = *stop;
	struct guild *guild = sent->guild;
	unsigned count = guild->loop_count;
	*stop = NULL;
	sent->workspace = workspace;
	sent->agent = agent;
	sent->reason = reason;
	check(count > 0);
	/* After the last post it may be gone. */
	for (unsigned i = 0; i < count; i++) {
		loop_note_post(guild->loops[i], &sent->notes[i].note);
	}
}

static void stop_free(struct run_stop **stop)
{
	mem_free(*stop);
	*stop = NULL;
}
