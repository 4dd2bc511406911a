/* erase_api.c - POST and GET /v1/users/{id}/erase: a person is taken out of the store, by themselves or an admin. */
#include "base/timefmt.h"
#include "command/change.h"
#include "command/query.h"
#include "identity/identity.h"
#include "ops/erase_priv.h"

enum { OBJECT_BYTES_MAX = 4096 };

struct erase_change {
	struct change change; /* first */
	struct erasure erasure;
	bool is_new;
	struct revocation *revocation;
};

static enum err begin_apply(struct command *command, struct db *db);
static void begin_finish(struct command *command);

static const struct command_row begin_row = {"erase_begin", "erase", begin_apply, NULL, begin_finish};

static void put_time(struct json_out *json, struct str name, int64_t at_us)
{
	struct time_text text = time_format(at_us);
	json_put_str_or_null(json, name, at_us != 0 ? time_str(&text) : STR_NONE);
}

static void erasure_json(struct guild *guild, const struct erasure *erasure, struct json_out *json)
{
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, erasure->principal);
	bool over = erasure->ended_at_us != 0;
	json_object(json);
	json_put_str(json, STR("user_id"), id_str(&id));
	json_put_str(json, STR("state"), over ? STR("done") : STR("running"));
	json_put_str_or_null(json, STR("now"), over ? STR_NONE : str_of(erase_part(erasure->part)));
	json_put_int(json, STR("done"), over ? erase_parts() : erasure->part);
	json_put_int(json, STR("total"), erase_parts());
	json_put_int(json, STR("pass"), erasure->pass);
	json_put_int(json, STR("rows"), erasure->rows);
	put_time(json, STR("requested_at"), erasure->requested_at_us);
	put_time(json, STR("ended_at"), erasure->ended_at_us);
	json_object_end(json);
}

const struct principal *erase_target(struct guild *guild, struct http_request *request)
{
	const struct caller *caller = &request->caller;
	bool self = str_eq(request->params[0], STR("me"));
	const struct principal *person = self ? identity_principal(guild->identity, caller->principal) :
						identity_find(guild->identity, guild, caller->workspace, request->params[0]);
	self = person != NULL && person->id == caller->principal;
	if (person == NULL || (!self && !caller_is_admin(caller))) {
		http_reply_error(request, ERR_NOT_FOUND, NULL);
		return NULL;
	}
	if (person->kind != PRINCIPAL_HUMAN) {
		http_reply_error(request, ERR_CONFLICT, "This is for people; an agent is archived.");
		return NULL;
	}
	if (!self && !identity_may_rule(caller, person)) {
		http_reply_error(request, ERR_PERMISSION, "You cannot do this to somebody of a higher role.");
		return NULL;
	}
	return person;
}

/* ---- begin ---- */

void erase_post_handle(struct http_request *request, void *ctx)
{
	struct guild *guild = ctx;
	const struct principal *person = erase_target(guild, request);
	if (person == NULL) {
		return;
	}
	if (person->role == ROLE_OPERATOR) {
		http_reply_error(request, ERR_CONFLICT, "An operator is not erased; another operator has to change the role first.");
		return;
	}
	struct erase_change *erase = change_new(guild, request, &begin_row, sizeof(*erase));
	if (erase == NULL) {
		return;
	}
	struct id_text id = id_format(&guild->id_secret, ID_PRINCIPAL, person->id);
	struct change_what what = {.change = arena_format(&request->arena, "{\"principal_id\":\"%s\"}", id.text), .outcome = OUTCOME_STARTED};
	erase->erasure = (struct erasure){
		.principal = person->id, .workspace = person->workspace, .requested_by = request->caller.principal, .pass = 1};
	enum err err = what.change.at != NULL ? change_audit(&erase->change, &what) : ERR_LIMIT;
	erase->revocation = err == ERR_OK ? identity_revocation_make(guild) : NULL;
	err = err == ERR_OK && erase->revocation == NULL ? ERR_MEMORY : err;
	err = err == ERR_OK ? command_submit(&erase->change.command, false) : err;
	if (err != ERR_OK) {
		identity_revocation_free(&erase->revocation);
		http_reply_error(request, err, NULL);
	}
}

/* From here on nobody adds anything as that person. Asked for again, it is the one under way. */
static enum err begin_apply(struct command *base, struct db *db)
{
	struct erase_change *erase = (struct erase_change *)base;
	struct erasure there;
	enum err err = erase_row_get(db, erase->erasure.principal, &there);
	erase->is_new = err == ERR_NOT_FOUND || (err == ERR_OK && there.ended_at_us != 0);
	if (err == ERR_OK && !erase->is_new) {
		erase->erasure = there;
		return ERR_OK;
	}
	if (err != ERR_OK && err != ERR_NOT_FOUND) {
		return err;
	}
	erase->erasure.requested_at_us = command_now_us(base);
	err = identity_erase_access(erase->change.guild->identity, db, erase->erasure.principal, erase->erasure.requested_at_us);
	err = err == ERR_OK ? erase_row_put(db, &erase->erasure) : err;
	return err == ERR_OK ? change_log(&erase->change, db) : err;
}

static void begin_finish(struct command *base)
{
	struct erase_change *erase = (struct erase_change *)base;
	struct guild *guild = erase->change.guild;
	struct revocation *revocation = erase->revocation;
	int64_t person = erase->erasure.principal;
	struct buf text;
	struct json_out json;
	if (change_refused(&erase->change)) {
		identity_revocation_free(&revocation);
		return;
	}
	buf_init(&text, OBJECT_BYTES_MAX);
	json_begin(&json, &text);
	erasure_json(guild, &erase->erasure, &json);
	change_reply(erase->change.request, 202, &text);
	identity_revoke_everywhere(&revocation, 0, person);
	erase_wake(ops_eraser(guild->ops));
}

/* ---- how far it is ---- */

struct erase_query {
	struct query query; /* first */
	int64_t principal;
};

static enum err get_run(struct query *query, struct db *db)
{
	struct erasure erasure;
	enum err err = erase_row_get(db, ((struct erase_query *)query)->principal, &erasure);
	if (err == ERR_OK) {
		erasure_json(query->guild, &erasure, &query->json);
	}
	return err;
}

void erase_get_handle(struct http_request *request, void *ctx)
{
	const struct principal *person = erase_target(ctx, request);
	struct erase_query *query = person != NULL ? query_new(ctx, request, sizeof(*query)) : NULL;
	if (query != NULL) {
		query->principal = person->id;
		query_submit(&query->query, get_run);
	}
}
