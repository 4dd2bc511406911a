/* export.c - the lines of an exported log. */
#include "audit/export.h"

#include <stdio.h>

static void put_hex(struct json_out *json, struct str name, const uint8_t bytes[HASH_SHA256_BYTES])
{
	char text[2 * HASH_SHA256_BYTES + 1];
	hash_hex(bytes, HASH_SHA256_BYTES, text);
	json_put_str(json, name, str_make(text, 2 * HASH_SHA256_BYTES));
}

static void line_end(struct json_out *json)
{
	json_object_end(json);
	buf_put_byte(json->buf, '\n');
}

void audit_export_first(struct buf *out, int64_t epoch, const uint8_t public_key[AUDIT_PUBLIC_BYTES])
{
	struct json_out json;
	json_begin(&json, out);
	json_object(&json);
	json_put_int(&json, STR("guild_audit"), 1);
	json_put_int(&json, STR("epoch"), epoch);
	put_hex(&json, STR("public_key"), public_key);
	line_end(&json);
}

void audit_export_row(struct buf *out, const struct log_row *row, bool withheld)
{
	struct json_out json;
	char workspace[24];
	snprintf(workspace, sizeof(workspace), "%lld", (long long)row->workspace);
	json_begin(&json, out);
	json_object(&json);
	json_put_int(&json, STR("seq"), row->seq);
	json_put_int(&json, STR("time_us"), row->time_us);
	json_put_str(&json, STR("workspace"), str_of(workspace));
	put_hex(&json, STR("entry_hash"), row->entry_hash);
	put_hex(&json, STR("hash"), row->hash);
	json_put_bool(&json, STR("withheld"), withheld);
	json_put_str_or_null(&json, STR("entry"), withheld ? STR_NONE : row->entry);
	line_end(&json);
}

void audit_export_checkpoint(struct buf *out, const struct audit_checkpoint *checkpoint)
{
	struct json_out json;
	json_begin(&json, out);
	json_object(&json);
	json_name(&json, STR("checkpoint"));
	audit_checkpoint_put(&json, checkpoint);
	line_end(&json);
}

void audit_export_end(struct buf *out, const struct log_head *head)
{
	struct json_out json;
	json_begin(&json, out);
	json_object(&json);
	json_name(&json, STR("end"));
	json_object(&json);
	json_put_int(&json, STR("seq"), head->seq);
	put_hex(&json, STR("hash"), head->hash);
	json_object_end(&json);
	line_end(&json);
}
