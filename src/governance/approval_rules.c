/* approval_rules.c - words of approvals, what one is for, who sees it, and what using it ends in. */
#include "base/check.h"
#include "base/timefmt.h"
#include "governance/approval_priv.h"

enum { EVENT_BYTES_MAX = 16384 };

static const struct str status_words[] = {
	{"", 0}, {"pending", 7}, {"approved", 8}, {"consumed", 8}, {"rejected", 8}, {"expired", 7}, {"cancelled", 9}};
static const struct str priority_words[] = {{"", 0}, {"low", 3}, {"medium", 6}, {"high", 4}, {"urgent", 6}};

static int word_number(const struct str *words, int count, struct str word)
{
	for (int i = 1; i < count; i++) {
		if (str_eq_case(words[i], word)) {
			return i;
		}
	}
	return 0;
}

struct str approval_status_word(enum approval_status status)
{
	return status_words[status];
}

bool approval_status_parse(struct str word, enum approval_status *out)
{
	*out = (enum approval_status)word_number(status_words, APPROVAL_CANCELLED + 1, word);
	return *out != 0;
}

struct str approval_priority_word(enum approval_priority priority)
{
	return priority_words[priority];
}

bool approval_priority_parse(struct str word, enum approval_priority *out)
{
	*out = (enum approval_priority)word_number(priority_words, APPROVAL_URGENT + 1, word);
	return *out != 0;
}

enum approval_status approval_status_at(const struct approval *approval, int64_t now_us)
{
	bool open = approval->status == APPROVAL_PENDING || approval->status == APPROVAL_APPROVED;
	return open && now_us >= approval->expires_at_us ? APPROVAL_EXPIRED : approval->status;
}

static void be64_put(uint8_t **at, int64_t value)
{
	for (int shift = 56; shift >= 0; shift -= 8) {
		*(*at)++ = (uint8_t)((uint64_t)value >> shift);
	}
}

void approval_hash(const struct approval *approval, uint8_t out[HASH_SHA256_BYTES])
{
	uint8_t bytes[4 * sizeof(int64_t) + LIMIT_ACTION_BYTES + HASH_SHA256_BYTES], *at = bytes;
	check(approval->action.len <= LIMIT_ACTION_BYTES && approval->arguments_hash.len == HASH_SHA256_BYTES);
	be64_put(&at, approval->workspace);
	be64_put(&at, approval->agent);
	be64_put(&at, approval->policy_version);
	be64_put(&at, (int64_t)approval->action.len);
	memcpy(at, approval->action.at, approval->action.len);
	at += approval->action.len;
	memcpy(at, approval->arguments_hash.at, HASH_SHA256_BYTES);
	at += HASH_SHA256_BYTES;
	hash_sha256(str_make((const char *)bytes, (size_t)(at - bytes)), out);
}

bool approval_visible(const struct caller *caller, const struct approval *approval, const struct agent *agent)
{
	if (caller->workspace != approval->workspace) {
		return false;
	}
	if (caller->role == ROLE_AGENT) {
		return caller->agent == approval->agent;
	}
	return caller_is_admin(caller) || scope_fits(SCOPE_APPROVALS_DECIDE, caller) || caller->principal == approval->requester ||
	       (agent != NULL && agent->owner == caller->principal);
}

enum err approval_use_err(enum approval_status status)
{
	switch (status) {
	case APPROVAL_PENDING:
		return ERR_AGAIN;
	case APPROVAL_APPROVED:
		return ERR_OK;
	case APPROVAL_CONSUMED:
		return ERR_APPROVAL_CONSUMED;
	case APPROVAL_REJECTED:
		return ERR_APPROVAL_REJECTED;
	case APPROVAL_EXPIRED:
	case APPROVAL_CANCELLED:
		break;
	}
	return ERR_APPROVAL_EXPIRED;
}

/* ---- on the wire ---- */

static void id_put(struct guild *guild, struct json_out *out, struct str name, enum id_kind kind, int64_t key)
{
	struct id_text id = id_format(&guild->id_secret, kind, key);
	json_put_str_or_null(out, name, key != 0 ? id_str(&id) : STR_NONE);
}

static void time_put(struct json_out *out, struct str name, int64_t time_us)
{
	struct time_text time = time_format(time_us);
	json_put_str_or_null(out, name, time_us != 0 ? time_str(&time) : STR_NONE);
}

static void hash_put_hex(struct json_out *out, struct str name, struct str hash)
{
	char hex[2 * HASH_SHA256_BYTES + 1];
	hash_hex((const uint8_t *)hash.at, HASH_SHA256_BYTES, hex);
	json_put_str(out, name, str_of(hex));
}

void approval_json(struct guild *guild, const struct approval *approval, struct json_out *out)
{
	json_object(out);
	id_put(guild, out, STR("id"), ID_APPROVAL, approval->id);
	id_put(guild, out, STR("agent_id"), ID_AGENT, approval->agent);
	json_put_str(out, STR("action"), approval->action);
	json_put_raw(out, STR("arguments"), approval->arguments);
	hash_put_hex(out, STR("arguments_sha256"), approval->arguments_hash);
	json_put_int(out, STR("policy_version"), approval->policy_version);
	json_put_str(out, STR("reason"), approval->reason);
	json_put_str(out, STR("priority"), approval_priority_word(approval->priority));
	json_put_str(out, STR("status"), approval_status_word(approval_status_at(approval, env_wall_us(guild->env))));
	id_put(guild, out, STR("requested_by"), ID_PRINCIPAL, approval->requester);
	time_put(out, STR("requested_at"), approval->requested_at_us);
	time_put(out, STR("expires_at"), approval->expires_at_us);
	id_put(guild, out, STR("decided_by"), ID_PRINCIPAL, approval->decided_by);
	time_put(out, STR("decided_at"), approval->decided_at_us);
	time_put(out, STR("consumed_at"), approval->consumed_at_us);
	json_put_str_or_null(out, STR("note"), approval->note);
	json_object_end(out);
}

struct str approval_topic(struct guild *guild, struct arena *arena, int64_t id)
{
	struct id_text text = id_format(&guild->id_secret, ID_APPROVAL, id);
	return arena_format(arena, "approval:%s", text.text);
}

/* Without the arguments: whoever may see them asks for the approval. */
enum err approval_event(struct guild *guild, struct arena *arena, const struct approval *approval, struct str type, struct log_row *row)
{
	struct id_text id = id_format(&guild->id_secret, ID_APPROVAL, approval->id);
	struct id_text agent = id_format(&guild->id_secret, ID_AGENT, approval->agent);
	struct id_text workspace = id_format(&guild->id_secret, ID_WORKSPACE, approval->workspace);
	struct buf text;
	struct json_out json;
	buf_init(&text, EVENT_BYTES_MAX);
	json_begin(&json, &text);
	json_object(&json);
	json_put_str(&json, STR("id"), id_str(&id));
	json_put_str(&json, STR("agent_id"), id_str(&agent));
	json_put_str(&json, STR("action"), approval->action);
	hash_put_hex(&json, STR("arguments_sha256"), approval->arguments_hash);
	json_put_str(&json, STR("priority"), approval_priority_word(approval->priority));
	json_put_str(&json, STR("status"), approval_status_word(approval->status));
	time_put(&json, STR("expires_at"), approval->expires_at_us);
	id_put(guild, &json, STR("decided_by"), ID_PRINCIPAL, approval->decided_by);
	json_object_end(&json);
	enum err err = buf_err(&text);
	row->event_data = err == ERR_OK ? arena_copy(arena, buf_str(&text)) : STR_NONE;
	buf_fini(&text);
	row->kinds |= LOG_EVENT;
	row->event_type = type;
	row->topics = arena_format(arena, "workspace:%s agent:%s approval:%s", workspace.text, agent.text, id.text);
	row->audience_a = approval->agent;
	row->audience_b = approval->requester;
	return row->event_data.at != NULL && row->topics.at != NULL ? ERR_OK : ERR_LIMIT;
}
