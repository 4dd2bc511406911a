/* catalogue.c - reads the catalogue of models, finds a model's row. */
#include "provider/catalogue.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/mem.h"
#include "base/snapmap.h"
#include "db/writer.h"

#define DETAIL_BYTES 512
#define MEMBERS 11
#define HEADER "provider,model,in,out,cached,context,max_output,quality,capabilities,source,date"

struct catalogue {
	struct arena arena;
	struct catalogue_model *models;
	size_t count;
};

/* Where in the text, for messages. */
struct place {
	const char *name;
	int line;
	char *detail;
};

struct replace_job {
	struct write_job job; /* first */
	struct catalogue_place *place;
	struct snap_domain *snap;
	struct catalogue *catalogue;
};

static enum err line_read(struct catalogue *catalogue, struct str line, struct place *place);

/* ---- reading ---- */

static enum err bad(struct place *place, const char *member, const char *what)
{
	snprintf(place->detail, DETAIL_BYTES, "%.300s:%d: %s %s", place->name, place->line, member, what);
	return ERR_CONFIG;
}

static bool plain(struct str text)
{
	for (size_t i = 0; i < text.len; i++) {
		if ((unsigned char)text.at[i] < ' ' || (unsigned char)text.at[i] >= 0x7f || text.at[i] == '"') {
			return false;
		}
	}
	return true;
}

static enum err text_read(struct catalogue *catalogue, struct str in, const char *member, struct str *out, struct place *place)
{
	in = str_trim(in);
	if (in.len == 0 || in.len > LIMIT_CATALOGUE_TEXT || !plain(in)) {
		return bad(place, member, "has to be 1 to 200 printable ASCII characters without quotes");
	}
	*out = arena_copy(&catalogue->arena, in);
	return out->at != NULL ? ERR_OK : ERR_MEMORY;
}

static enum err number_read(struct str in, const char *member, int64_t max, int64_t *out, struct place *place)
{
	char what[96];
	if (str_to_i64(str_trim(in), out) && *out >= 0 && *out <= max) {
		return ERR_OK;
	}
	snprintf(what, sizeof(what), "has to be a whole number from 0 to %lld", (long long)max);
	return bad(place, member, what);
}

/* "2025-05-15" */
static bool is_date(struct str text)
{
	static const char form[] = "dddd-dd-dd";
	bool ok = text.len == sizeof(form) - 1;
	for (size_t i = 0; ok && i < text.len; i++) {
		ok = form[i] == '-' ? text.at[i] == '-' : text.at[i] >= '0' && text.at[i] <= '9';
	}
	int month = ok ? (text.at[5] - '0') * 10 + text.at[6] - '0' : 0;
	int day = ok ? (text.at[8] - '0') * 10 + text.at[9] - '0' : 0;
	return month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

static const struct catalogue_model *row_of(const struct catalogue *catalogue, struct str provider, struct str model)
{
	for (size_t i = 0; i < catalogue->count; i++) {
		if (str_eq(catalogue->models[i].provider, provider) && str_eq(catalogue->models[i].model, model)) {
			return &catalogue->models[i];
		}
	}
	return NULL;
}

static enum err model_read(struct catalogue *catalogue, const struct str *parts, struct place *place)
{
	struct catalogue_model *model = &catalogue->models[catalogue->count];
	int64_t quality = 0;
	enum err err = text_read(catalogue, parts[0], "provider", &model->provider, place);
	err = err == ERR_OK ? text_read(catalogue, parts[1], "model", &model->model, place) : err;
	err = err == ERR_OK ? number_read(parts[2], "in", LIMIT_PRICE, &model->price.in, place) : err;
	err = err == ERR_OK ? number_read(parts[3], "out", LIMIT_PRICE, &model->price.out, place) : err;
	err = err == ERR_OK ? number_read(parts[4], "cached", LIMIT_PRICE, &model->price.cached, place) : err;
	err = err == ERR_OK ? number_read(parts[5], "context", LIMIT_TOKENS_COUNTED, &model->context, place) : err;
	err = err == ERR_OK ? number_read(parts[6], "max_output", LIMIT_TOKENS_COUNTED, &model->output_max, place) : err;
	err = err == ERR_OK ? number_read(parts[7], "quality", 100, &quality, place) : err;
	err = err == ERR_OK ? text_read(catalogue, parts[8], "capabilities", &model->capabilities, place) : err;
	err = err == ERR_OK ? text_read(catalogue, parts[9], "source", &model->source, place) : err;
	err = err == ERR_OK ? text_read(catalogue, parts[10], "date", &model->date, place) : err;
	model->quality = (int)quality;
	if (err != ERR_OK) {
		return err;
	}
	if (model->price.cached > model->price.in) {
		return bad(place, "cached", "is dearer than in");
	}
	if (!is_date(model->date)) {
		return bad(place, "date", "has to be a day as 2025-05-15");
	}
	if (row_of(catalogue, model->provider, model->model) != NULL) {
		return bad(place, "model", "has a row of this provider already");
	}
	catalogue->count++;
	return ERR_OK;
}

static enum err line_read(struct catalogue *catalogue, struct str line, struct place *place)
{
	struct str parts[MEMBERS], part;
	size_t count = 0;
	while (str_split(&line, ',', &part)) {
		if (count == MEMBERS) {
			return bad(place, "a line", "has eleven members, this one has more");
		}
		parts[count++] = part;
	}
	if (count < MEMBERS) {
		return bad(place, "a line", "has eleven members, this one has fewer");
	}
	if (catalogue->count == LIMIT_CATALOGUE_MODELS) {
		return bad(place, "the file", "has too many models");
	}
	return model_read(catalogue, parts, place);
}

enum err catalogue_parse(struct str text, const char *name, struct catalogue **out, char *detail)
{
	struct place place = {name, 0, detail};
	struct catalogue *catalogue = mem_alloc(sizeof(*catalogue));
	struct str line;
	bool headed = false;
	*out = NULL;
	if (catalogue == NULL) {
		snprintf(detail, DETAIL_BYTES, "out of memory");
		return ERR_MEMORY;
	}
	arena_init(&catalogue->arena, LIMIT_CATALOGUE_BYTES * 2);
	catalogue->models = mem_alloc(LIMIT_CATALOGUE_MODELS * sizeof(*catalogue->models));
	enum err err = catalogue->models != NULL ? ERR_OK : ERR_MEMORY;
	while (err == ERR_OK && str_split(&text, '\n', &line)) {
		place.line++;
		line = str_trim(line);
		if (line.len == 0 || line.at[0] == '#') {
			continue;
		}
		if (headed) {
			err = line_read(catalogue, line, &place);
		} else if (!str_eq(line, STR(HEADER))) {
			err = bad(&place, "the first line", "has to be " HEADER);
		}
		headed = true;
	}
	if (err == ERR_OK && catalogue->count == 0) {
		place.line++;
		err = bad(&place, "the file", "has no models");
	}
	if (err == ERR_MEMORY) {
		snprintf(detail, DETAIL_BYTES, "out of memory");
	}
	if (err != ERR_OK) {
		catalogue_destroy(&catalogue);
		return err;
	}
	*out = catalogue;
	return ERR_OK;
}

enum err catalogue_load(const char *path, struct catalogue **out, char *detail)
{
	*out = NULL;
	if (path == NULL || path[0] == '\0') {
		return catalogue_parse(str_of(catalogue_text), "catalogue", out, detail);
	}
	FILE *file = fopen(path, "re");
	char *text = file != NULL ? mem_alloc(LIMIT_CATALOGUE_BYTES + 1) : NULL;
	size_t len = text != NULL ? fread(text, 1, LIMIT_CATALOGUE_BYTES + 1, file) : 0;
	enum err err = ERR_OK;
	if (file == NULL || text == NULL || ferror(file)) {
		snprintf(detail, DETAIL_BYTES, "%.300s cannot be read: %s", path, file != NULL && text == NULL ? "out of memory" : strerror(errno));
		err = ERR_CONFIG;
	} else if (len > LIMIT_CATALOGUE_BYTES) {
		snprintf(detail, DETAIL_BYTES, "%.300s is greater than %d bytes", path, LIMIT_CATALOGUE_BYTES);
		err = ERR_CONFIG;
	} else {
		err = catalogue_parse(str_make(text, len), path, out, detail);
	}
	if (file != NULL) {
		fclose(file);
	}
	mem_free(text);
	return err;
}

void catalogue_destroy(struct catalogue **catalogue)
{
	if (*catalogue != NULL) {
		arena_fini(&(*catalogue)->arena);
		mem_free((*catalogue)->models);
		mem_free(*catalogue);
		*catalogue = NULL;
	}
}

/* ---- finding ---- */

size_t catalogue_count(const struct catalogue *catalogue)
{
	return catalogue->count;
}

const struct catalogue_model *catalogue_at(const struct catalogue *catalogue, size_t index)
{
	return &catalogue->models[index];
}

static bool ends_in(struct str model, const char *form)
{
	size_t len = strlen(form);
	bool ok = model.len > len;
	for (size_t i = 0; ok && i < len; i++) {
		char c = model.at[model.len - len + i];
		ok = form[i] == 'd' ? c >= '0' && c <= '9' : c == form[i];
	}
	return ok;
}

static struct str without_version(struct str model)
{
	static const char *const forms[] = {"-dddd-dd-dd", "-dddddddd"};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (ends_in(model, forms[i])) {
			return str_sub(model, 0, model.len - strlen(forms[i]));
		}
	}
	return str_ends(model, STR("-latest")) ? str_sub(model, 0, model.len - 7) : model;
}

static const struct catalogue_model *dearest(const struct catalogue *catalogue, struct str model)
{
	const struct catalogue_model *found = NULL;
	for (size_t i = 0; i < catalogue->count; i++) {
		const struct catalogue_model *row = &catalogue->models[i];
		if (str_eq(row->model, model) && (found == NULL || row->price.out > found->price.out)) {
			found = row;
		}
	}
	return found;
}

const struct catalogue_model *catalogue_find(const struct catalogue *catalogue, struct str provider, struct str model)
{
	if (catalogue == NULL) {
		return NULL;
	}
	struct str bare = without_version(model);
	const struct catalogue_model *found = model.len > 0 ? row_of(catalogue, provider, model) : NULL;
	found = found == NULL && bare.len < model.len ? row_of(catalogue, provider, bare) : found;
	found = found == NULL ? row_of(catalogue, provider, STR("*")) : found;
	found = found == NULL && model.len > 0 && !str_eq(model, STR("*")) ? dearest(catalogue, model) : found;
	return found == NULL && bare.len < model.len ? dearest(catalogue, bare) : found;
}

/* ---- the one in force ---- */

static void free_one(void *pointer)
{
	struct catalogue *catalogue = pointer;
	catalogue_destroy(&catalogue);
}

static enum err replace_apply(struct write_job *job, struct db *db)
{
	(void)job;
	(void)db;
	return ERR_OK;
}

/* On the writer, which alone may retire what readers may still hold. It goes through the queue only to be there: with or without a commit the new
 * one stands. */
static void replace_done(struct write_job *job)
{
	struct replace_job *replace = (struct replace_job *)job;
	const struct catalogue *old = atomic_exchange(&replace->place->now, replace->catalogue);
	if (old != NULL) {
		snap_retire(replace->snap, (void *)(uintptr_t)old, free_one);
	}
	mem_free(replace);
}

enum err catalogue_replace(struct catalogue_place *place, struct writer *writer, struct snap_domain *snap, struct catalogue *catalogue)
{
	struct replace_job *replace = mem_alloc(sizeof(*replace));
	if (replace == NULL) {
		return ERR_MEMORY;
	}
	*replace = (struct replace_job){.job = {.apply = replace_apply, .done = replace_done}, .place = place, .snap = snap, .catalogue = catalogue};
	enum err err = writer_push(writer, &replace->job);
	if (err != ERR_OK) {
		mem_free(replace);
	}
	return err;
}
