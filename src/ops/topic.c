/* topic.c - names of topics as clients write them, and who may see or use them. */
#include <stdio.h>

#include "agent/agent.h"
#include "identity/identity.h"
#include "ops/ops_priv.h"
#include "social/social.h"

enum topic_kind { TOPIC_PLAIN, TOPIC_GLOBAL, TOPIC_ALERTS, TOPIC_CATEGORY, TOPIC_AGENT, TOPIC_USER, TOPIC_EXECUTION, TOPIC_WORKSPACE,
		  TOPIC_CHANNEL, TOPIC_POST };

static const struct {
	struct str prefix;
	enum topic_kind kind;
	enum id_kind id; /* 0: what follows need not be an id */
} prefixes[] = {
	{{"category:", 9}, TOPIC_CATEGORY, 0},
	{{"agent:", 6}, TOPIC_AGENT, ID_AGENT},
	{{"user:", 5}, TOPIC_USER, ID_PRINCIPAL},
	{{"execution:", 10}, TOPIC_EXECUTION, ID_EXECUTION},
	{{"workspace:", 10}, TOPIC_WORKSPACE, ID_WORKSPACE},
	{{"channel:", 8}, TOPIC_CHANNEL, 0}, /* or a name */
	{{"post:", 5}, TOPIC_POST, ID_POST},
};

struct topic_read {
	enum topic_kind kind;
	int64_t id;
};

static enum err topic_read(struct guild *guild, struct str name, struct topic_read *read, struct topic_name *out);
static void topic_internal(const struct caller *caller, struct str name, struct topic_name *out);
static enum err channel_find(struct guild *guild, const struct caller *caller, struct topic_name *name, bool *member);

enum err topic_subscribe_check(struct guild *guild, const struct caller *caller, struct str name, struct topic_name *out)
{
	struct topic_read read;
	enum err err = topic_read(guild, name, &read, out);
	if (err != ERR_OK) {
		return err;
	}
	bool may = false, member;
	switch (read.kind) {
	case TOPIC_PLAIN:
		topic_internal(caller, name, out);
		may = true;
		break;
	case TOPIC_GLOBAL:
	case TOPIC_ALERTS:
	case TOPIC_CATEGORY:
		may = true;
		break;
	case TOPIC_AGENT: {
		const struct agent *agent = registry_get(guild->registry, read.id);
		may = agent != NULL && agent->workspace == caller->workspace;
		break;
	}
	case TOPIC_USER:
		may = caller->role != ROLE_AGENT && read.id == caller->principal;
		break;
	case TOPIC_EXECUTION:
		out->execution = read.id;
		may = true;
		break;
	case TOPIC_WORKSPACE:
		may = read.id == caller->workspace;
		break;
	case TOPIC_CHANNEL:
		may = channel_find(guild, caller, out, &member) == ERR_OK;
		break;
	case TOPIC_POST:
		out->post = read.id;
		may = true;
		break;
	}
	return may ? ERR_OK : ERR_NOT_FOUND;
}

enum err topic_publish_check(struct guild *guild, const struct caller *caller, struct str name, struct topic_name *out)
{
	struct topic_read read;
	enum err err = topic_read(guild, name, &read, out);
	if (err != ERR_OK) {
		return err;
	}
	bool may = false, member;
	switch (read.kind) {
	case TOPIC_PLAIN:
		topic_internal(caller, name, out);
		may = true;
		break;
	case TOPIC_GLOBAL:
	case TOPIC_ALERTS:
	case TOPIC_CATEGORY:
		may = caller->role >= ROLE_MEMBER;
		break;
	case TOPIC_AGENT:
		may = caller->role == ROLE_AGENT && read.id == caller->agent;
		break;
	case TOPIC_USER:
		may = caller->role != ROLE_AGENT && read.id == caller->principal;
		break;
	case TOPIC_CHANNEL:
		may = channel_find(guild, caller, out, &member) == ERR_OK;
		if (may && !member) {
			return ERR_PERMISSION;
		}
		break;
	case TOPIC_EXECUTION:
	case TOPIC_WORKSPACE:
	case TOPIC_POST:
		break;
	}
	return may ? ERR_OK : ERR_NOT_FOUND;
}

/* Every event that anybody is given passes here. Topics have the same names in all workspaces; events stay in theirs. Of approvals and
 * budgets admins hear too, beside those concerned. */
bool ops_event_visible(struct guild *guild, const struct caller *caller, const struct bus_event *event)
{
	if (event->workspace != caller->workspace) {
		return false;
	}
	if (caller_is_admin(caller) && (str_starts(event->type, STR("approval_")) || str_eq(event->type, STR("budget_alert")))) {
		return true;
	}
	return event->audience.a == 0 || social_may_see(guild->social, caller, event->audience);
}

void ops_event_delivered(struct guild *guild, struct loop *loop, const struct caller *caller, const struct bus_event *event)
{
	if (event->audience.b != 0 && event->audience.b == actor_of(caller).key && str_eq(event->type, STR("direct_message"))) {
		social_delivered(guild->social, loop, event);
	}
}

bool ops_cursor_parse(struct str text, int64_t *epoch, int64_t *offset)
{
	ptrdiff_t colon = str_find_byte(text, ':');
	*epoch = 0;
	if (colon >= 0 && (!str_to_i64(str_sub(text, 0, (size_t)colon), epoch) || *epoch < 1)) {
		return false;
	}
	return str_to_i64(colon >= 0 ? str_sub(text, (size_t)colon + 1, text.len) : text, offset) && *offset >= 0;
}

/* ---- helpers ---- */

static void topic_put(struct topic_name *out, struct str prefix, struct str rest)
{
	memcpy(out->text, prefix.at, prefix.len);
	memcpy(out->text + prefix.len, rest.at, rest.len);
	out->len = prefix.len + rest.len;
	out->text[out->len] = '\0';
}

/* Ids are written again in the one form the publishers use. */
static enum err topic_read(struct guild *guild, struct str name, struct topic_read *read, struct topic_name *out)
{
	if (!bus_topic_valid(name)) {
		return ERR_INVALID;
	}
	*read = (struct topic_read){TOPIC_PLAIN, 0};
	out->execution = out->post = 0;
	out->audience = (struct audience){0, 0};
	topic_put(out, STR(""), name);
	if (!bus_topic_reserved(name)) {
		return ERR_OK;
	}
	if (str_eq(name, STR("global")) || str_eq(name, STR("alerts"))) {
		read->kind = name.at[0] == 'g' ? TOPIC_GLOBAL : TOPIC_ALERTS;
		return ERR_OK;
	}
	for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++) {
		if (!str_starts(name, prefixes[i].prefix)) {
			continue;
		}
		struct str rest = str_sub(name, prefixes[i].prefix.len, name.len);
		read->kind = prefixes[i].kind;
		if (prefixes[i].id == 0) {
			return rest.len > 0 ? ERR_OK : ERR_NOT_FOUND;
		}
		if (id_parse(&guild->id_secret, prefixes[i].id, rest, &read->id) != ERR_OK) {
			return ERR_NOT_FOUND;
		}
		struct id_text id = id_format(&guild->id_secret, prefixes[i].id, read->id);
		topic_put(out, prefixes[i].prefix, id_str(&id));
		return ERR_OK;
	}
	return ERR_NOT_FOUND;
}

/* Writes the channel's id in the place of its name. */
static enum err channel_find(struct guild *guild, const struct caller *caller, struct topic_name *name, bool *member)
{
	static const struct str prefix = {"channel:", 8};
	int64_t channel;
	enum err err = social_channel_find(guild->social, caller, str_sub(topic_str(name), prefix.len, name->len), &channel, member);
	if (err == ERR_OK) {
		struct id_text id = id_format(&guild->id_secret, ID_CHANNEL, channel);
		topic_put(name, prefix, id_str(&id));
		name->audience = social_channel_audience(guild->social, channel);
	}
	return err;
}

/* Plain topics belong to their workspace: the name is enough, since ops_event_visible keeps events in theirs. */
static void topic_internal(const struct caller *caller, struct str name, struct topic_name *out)
{
	(void)caller;
	topic_put(out, STR(""), name);
}
