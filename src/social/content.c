/* content.c - a text on its way into the store: checked, redacted, then read for tags and handles. */
#include "base/failpoint.h"
#include "social/redact.h"
#include "social/social_priv.h"

enum { CLASSES_MAX = 64, CLASSES_BYTES_MAX = 4096 };

/* The setting's addresses and domains, in arena. */
static enum err allowed_emails(struct str list, struct arena *arena, struct redact_options *out)
{
	size_t count = 1;
	for (size_t i = 0; i < list.len; i++) {
		count += list.at[i] == ',';
	}
	struct str *allowed = arena_array(arena, struct str, count), part;
	if (allowed == NULL) {
		return ERR_LIMIT;
	}
	while (str_split(&list, ',', &part)) {
		part = str_trim(part);
		if (part.len > 0) {
			allowed[out->allowed_count++] = part;
		}
	}
	out->allowed_emails = allowed;
	return ERR_OK;
}

enum err content_redact(struct guild *guild, struct arena *arena, struct str text, struct redact_result *out)
{
	struct redact_options options = {NULL, 0};
	struct str list = guild->settings.allowed_emails;
	if (failpoint("redact") != ERR_OK) {
		return ERR_INVALID;
	}
	if (list.len > 0 && str_find_byte(text, '@') >= 0) {
		enum err err = allowed_emails(list, arena, &options);
		if (err != ERR_OK) {
			return err;
		}
	}
	return redact_text(text, &options, arena, out);
}

/* ["EMAIL","PHONE"] */
static enum err classes_json(uint64_t classes, struct arena *arena, struct str *out)
{
	struct buf buf;
	struct json_out json;
	if (classes == 0) {
		*out = STR("[]");
		return ERR_OK;
	}
	buf_init(&buf, CLASSES_BYTES_MAX);
	json_begin(&json, &buf);
	json_array(&json);
	for (unsigned i = 0; i < CLASSES_MAX; i++) {
		const char *name = classes >> i & 1 ? redact_class_name(i) : NULL;
		if (name != NULL) {
			json_str(&json, str_of(name));
		}
	}
	json_array_end(&json);
	*out = buf_err(&buf) == ERR_OK ? arena_copy(arena, buf_str(&buf)) : STR_NONE;
	buf_fini(&buf);
	return out->at != NULL ? ERR_OK : ERR_LIMIT;
}

enum err content_make(struct guild *guild, struct arena *arena, struct str text, bool skip_redaction, struct content *out,
	const char **detail)
{
	struct redact_result redacted = {.text = text};
	*detail = NULL;
	enum err err = text_check_content(text, LIMIT_POST_CHARS, detail);
	if (err == ERR_OK && !skip_redaction) {
		err = content_redact(guild, arena, text, &redacted);
		if (err == ERR_INVALID) {
			*detail = "It could not be looked through for personal data and secrets, so it is not kept.";
		}
	}
	err = err == ERR_OK ? classes_json(redacted.classes, arena, &out->redacted) : err;
	if (err != ERR_OK) {
		return err;
	}
	out->text = redacted.text;
	out->marks = arena_new(arena, struct text_marks);
	return out->marks != NULL ? text_scan(out->text, arena, out->marks) : ERR_LIMIT;
}
