/* checkpoint.c - the text of a checkpoint and the bytes that are signed. */
#include "audit/checkpoint.h"

#include "audit/audit_priv.h"

#define DOMAIN "guild audit checkpoint 1"
#define PARSE_ARENA_BYTES 16384

static void put_hex(struct json_out *json, struct str name, const uint8_t *bytes, size_t len)
{
	char text[2 * AUDIT_SIGNATURE_BYTES + 1];
	hash_hex(bytes, len, text);
	json_put_str(json, name, str_make(text, 2 * len));
}

void audit_checkpoint_put(struct json_out *json, const struct audit_checkpoint *checkpoint)
{
	json_object(json);
	json_put_int(json, STR("epoch"), checkpoint->epoch);
	json_put_int(json, STR("size"), checkpoint->size);
	json_put_int(json, STR("time_us"), checkpoint->time_us);
	put_hex(json, STR("head"), checkpoint->head, sizeof(checkpoint->head));
	put_hex(json, STR("root"), checkpoint->root, sizeof(checkpoint->root));
	put_hex(json, STR("signature"), checkpoint->signature, sizeof(checkpoint->signature));
	json_object_end(json);
}

static bool get_hex(struct json of, struct str name, uint8_t *out, size_t len)
{
	struct str text;
	return json_get_str(json_member(of, name), &text) && hash_unhex(text, out, len) == ERR_OK;
}

static bool is_rendered(const struct audit_checkpoint *checkpoint, struct str text)
{
	struct buf again;
	struct json_out json;
	buf_init(&again, AUDIT_CHECKPOINT_TEXT_MAX);
	json_begin(&json, &again);
	audit_checkpoint_put(&json, checkpoint);
	bool same = buf_err(&again) == ERR_OK && str_eq(buf_str(&again), text);
	buf_fini(&again);
	return same;
}

enum err audit_checkpoint_parse(struct str text, struct audit_checkpoint *out)
{
	struct arena arena;
	struct json_doc doc;
	*out = (struct audit_checkpoint){0};
	arena_init(&arena, PARSE_ARENA_BYTES);
	enum err err = text.len > AUDIT_CHECKPOINT_TEXT_MAX ? ERR_MALFORMED : json_parse(&arena, text, &doc, NULL);
	if (err == ERR_OK) {
		struct json root = json_root(&doc);
		bool good = json_get_int(json_member(root, STR("epoch")), &out->epoch) &&
			    json_get_int(json_member(root, STR("size")), &out->size) &&
			    json_get_int(json_member(root, STR("time_us")), &out->time_us) &&
			    get_hex(root, STR("head"), out->head, sizeof(out->head)) &&
			    get_hex(root, STR("root"), out->root, sizeof(out->root)) &&
			    get_hex(root, STR("signature"), out->signature, sizeof(out->signature)) && is_rendered(out, text);
		err = good ? ERR_OK : ERR_MALFORMED;
	}
	arena_fini(&arena);
	return err;
}

void audit_checkpoint_bytes(const struct audit_checkpoint *checkpoint, uint8_t out[AUDIT_SIGNED_BYTES])
{
	uint8_t *at = mempcpy(out, DOMAIN, sizeof(DOMAIN));
	audit_put_be64(at, checkpoint->epoch);
	audit_put_be64(at + 8, checkpoint->size);
	audit_put_be64(at + 16, checkpoint->time_us);
	at = mempcpy(at + 24, checkpoint->head, HASH_SHA256_BYTES);
	memcpy(at, checkpoint->root, HASH_SHA256_BYTES);
}
