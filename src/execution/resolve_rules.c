/* resolve_rules.c - which agent answers, and by what path it was found. */
#include "execution/execution_priv.h"
#include "wire/json.h"

static void path_add(struct resolve_output *out, const char *word)
{
	out->path[out->path_count++] = word;
}

static bool take(struct resolve_output *out, const struct agent *agent, const char *word)
{
	if (agent != NULL) {
		out->agent = agent;
		path_add(out, word);
	}
	return agent != NULL;
}

void resolve(const struct resolve_input *input, struct resolve_output *out)
{
	memset(out, 0, sizeof(*out));
	if (input->explicit_given) {
		if (take(out, input->by_explicit, "explicit_agent_id")) {
			return;
		}
		path_add(out, "explicit_agent_id_not_found");
		if (input->strict) {
			path_add(out, "resolution_failed");
			return;
		}
	}
	if (input->session_given) {
		if (take(out, input->by_session, "session_agent")) {
			return;
		}
		path_add(out, "no_session_agent");
	}
	if (take(out, input->by_workspace, "workspace_default") || take(out, input->by_system, "system_default")) {
		return;
	}
	path_add(out, "resolution_failed");
}

struct str resolve_path_json(struct arena *arena, const struct resolve_output *out)
{
	struct buf text;
	struct json_out json;
	buf_init(&text, 512);
	json_begin(&json, &text);
	json_array(&json);
	for (unsigned i = 0; i < out->path_count; i++) {
		json_str(&json, str_of(out->path[i]));
	}
	json_array_end(&json);
	struct str copy = buf_err(&text) == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	return copy;
}

void resolve_lookup(struct guild *guild, int64_t workspace, struct str explicit_agent, const struct session *session, bool strict,
		    struct resolve_output *out)
{
	struct resolve_input input = {.explicit_given = explicit_agent.at != NULL, .session_given = session != NULL, .strict = strict};
	if (input.explicit_given) {
		input.by_explicit = registry_find(guild->registry, guild, workspace, explicit_agent);
	}
	if (session != NULL && session->agent != 0) {
		input.by_session = registry_get(guild->registry, session->agent);
	}
	input.by_workspace = registry_workspace_default(guild->registry, workspace);
	input.by_system = registry_system_default(guild->registry, workspace);
	resolve(&input, out);
}
