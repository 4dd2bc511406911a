/* turn_log.c - the numbered log of a run made again from its turn row. */
#include "execution/execution_priv.h"

enum err turn_log(struct guild *guild, struct arena *arena, const struct turn *turn, struct stream_log *out)
{
	struct id_text ids[4] = {id_format(&guild->id_secret, ID_EXECUTION, turn->id), id_format(&guild->id_secret, ID_ASSISTANT_MESSAGE, turn->id),
				 id_format(&guild->id_secret, ID_SESSION, turn->session), id_format(&guild->id_secret, ID_AGENT, turn->agent)};
	struct str texts[4];
	for (int i = 0; i < 4; i++) {
		texts[i] = arena_copy(arena, id_str(&ids[i]));
		if (texts[i].at == NULL) {
			return ERR_LIMIT;
		}
	}
	stream_log_init(out, LIMIT_ANSWER_BYTES);
	out->ids = (struct stream_ids){texts[0], texts[1], texts[2], texts[3], turn->agent_name, turn->provider, turn->model};
	out->epoch = turn->epoch;
	out->started = turn->status > EXECUTION_RUNNING && turn->seq_last > 1;
	enum err err = turn->answer.at != NULL && turn->delta_lens.at != NULL ? stream_log_restore(out, turn->answer, turn->delta_lens) : ERR_OK;
	if (err != ERR_OK || turn->status <= EXECUTION_RUNNING) {
		return err;
	}
	struct stream_end *end = &out->end;
	*end = (struct stream_end){.completed = turn->status == EXECUTION_COMPLETED,
				   .error = turn->error_message,
				   .finish_reason = turn->finish_reason.at != NULL ? turn->finish_reason : STR("stop"),
				   .truncated = turn->truncated,
				   .tokens_in = turn->tokens_in,
				   .tokens_out = turn->tokens_out,
				   .cost_micro = turn->cost_micro,
				   .estimated = turn->estimated,
				   .cost_unknown = turn->cost_unknown};
	if (!end->completed && !(turn->error_code.at != NULL && err_by_code(turn->error_code, &end->err))) {
		end->err = ERR_INTERNAL;
	}
	if (turn->status == EXECUTION_INTERRUPTED) {
		end->last_durable_seq = stream_log_seq_kept(out);
	}
	uint8_t digest[HASH_SHA256_BYTES];
	hash_sha256(stream_log_text(out, 0), digest);
	hash_hex(digest, sizeof(digest), end->text_sha256);
	out->ended = true;
	return ERR_OK;
}
