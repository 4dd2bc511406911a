/*
 * config.h - settings: flags over environment over file over defaults.
 *
 * For:     reading config.def's settings from where a user put them; saying where each came from.
 * Not for: caps that are not settings (base/limits.def).
 * Threads: read-only after config_load; SIGHUP makes a new one.
 * Memory:  texts live in the config's own arena.
 */
#ifndef GUILD_APP_CONFIG_H
#define GUILD_APP_CONFIG_H

#include "base/arena.h"
#include "base/buf.h"

enum config_id {
#define SETTING(section, key, kind, def, min, max, reload, doc) CONFIG_##section##_##key,
#include "app/config.def"
#undef SETTING
	CONFIG_COUNT
};

enum config_origin { CONFIG_DEFAULT, CONFIG_FILE, CONFIG_ENVIRONMENT, CONFIG_FLAG };

struct config_value {
	struct str text;     /* as written */
	int64_t number;      /* INT, SIZE in bytes, TIME_S in microseconds, SWITCH 0 or 1 */
	enum config_origin origin;
	int line;            /* of the file */
};

struct config {
	struct arena arena;
	struct str file;     /* at NULL: none */
	struct config_value values[CONFIG_COUNT];
};

/* A flag: "server.listen" and its value. */
struct config_flag {
	const char *name;
	const char *value;
};

/* Loads file (NULL: none), environ-like environment ("NAME=value", NULL at the end; unknown GUILD_* names of a known section are
 * refused), and flags. detail (512 bytes) gets "FILE:LINE: unknown key 'x' in [server]; did you mean 'y'?". ERR_CONFIG. */
enum err config_load(struct config *config, const char *file, char *const *environment, const struct config_flag *flags, size_t flag_count,
		     char *detail) MUST_USE;
void config_fini(struct config *config);
static inline struct str config_text(const struct config *c, enum config_id id) { return c->values[id].text; }
static inline int64_t config_number(const struct config *c, enum config_id id) { return c->values[id].number; }
static inline bool config_is(const struct config *c, enum config_id id, struct str word) { return str_eq(c->values[id].text, word); }
/* The file's form of all settings, with origin comments when asked. */
void config_show(const struct config *config, bool origin, struct buf *out);
/* The table as a Markdown page (docs). */
void config_docs(struct buf *out);

#endif
