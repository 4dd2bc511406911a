/* topic.c - names of topics as clients write them, and who may see or use them. */
#include <stdio.h>

#include "agent/agent.h"
#include "base/metric.h"
#include "governance/governance.h"
#include "identity/identity.h"
#include "ops/ops_priv.h"

enum topic_kind { TOPIC_PLAIN, TOPIC_GLOBAL, TOPIC_ALERTS, TOPIC_CATEGORY, TOPIC_AGENT, TOPIC_USER, TOPIC_EXECUTION, TOPIC_WORKSPACE,
		  TOPIC_CHANNEL, TOPIC_POST };

static const struct {
	struct str prefix;
	enum topic_kind kind;
	enum id_kind id; /* 0: what follows is no id */
} prefixes[] = {
	{{"category:", 9}, TOPIC_CATEGORY, 0},
	{{"agent:", 6}, TOPIC_AGENT, ID_AGENT},
	{{"user:", 5}, TOPIC_USER, ID_PRINCIPAL},
	{{"execution:", 10}, TOPIC_EXECUTION, ID_EXECUTION},
	{{"workspace:", 10}, TOPIC_WORKSPACE, ID_WORKSPACE},
	{{"channel:", 8}, TOPIC_CHANNEL, ID_CHANNEL},
	{{"post:", 5}, TOPIC_POST, ID_POST},
};

struct topic_read {
	enum topic_kind kind;
	int64_t id;
};

static enum err topic_read(struct guild *guild, struct str name, struct topic_read *read, struct topic_name *out);
static void topic_internal(const struct caller *caller, struct str name, struct topic_name *out);

enum err topic_subscribe_check(struct guild *guild, const struct caller *caller, struct str name, struct topic_name *out)
{
	struct topic_read read;
	enum err err = topic_read(guild, name, &read, out);
	if (err != ERR_OK) {
		return err;
	}
	bool may = false;
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
		may = read.id == caller->principal;
		break;
	case TOPIC_EXECUTION:
		out->execution = read.id;
		may = true;
		break;
	case TOPIC_WORKSPACE:
		may = read.id == caller->workspace;
		break;
	case TOPIC_CHANNEL:
	case TOPIC_POST:
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
	if (read.kind == TOPIC_PLAIN) {
		topic_internal(caller, name, out);
		return ERR_OK;
	}
	bool own_user = read.kind == TOPIC_USER && read.id == caller->principal;
	bool own_agent = read.kind == TOPIC_AGENT && caller->agent != 0 && read.id == caller->agent;
	return own_user || own_agent ? ERR_OK : ERR_NOT_FOUND;
}

enum err ops_govern(struct guild *guild, const struct caller *caller, struct str action)
{
	if (caller->role != ROLE_AGENT) {
		return ERR_OK;
	}
	struct decide_input input = {.agent = agent_standing_of(registry_get(guild->registry, caller->agent))};
	struct decision decision;
	enum err err = policy_level(guild->policy, action, &input.level);
	if (err != ERR_OK) {
		return err;
	}
	decide(&input, &decision);
	metric_add(decision.proceed ? METRIC_DECISIONS_ALLOWED : METRIC_DECISIONS_DENIED, 1);
	return decision_err(&decision);
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
	out->execution = 0;
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

/* Plain topics belong to their workspace. While there is one, the name is enough; this is the place where a workspace's own names get
 * their prefix. */
static void topic_internal(const struct caller *caller, struct str name, struct topic_name *out)
{
	(void)caller;
	topic_put(out, STR(""), name);
}
