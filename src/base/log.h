/*
 * log.h - structured lines about what the server does.
 *
 * For:     one line per fact: level, event word, key=value fields; JSON or human form on standard error.
 * Not for: audit (audit/), message texts, keys, tokens, provider bodies.
 * Threads: any; one write(2) per line, at most 2 KiB, cut with "...".
 * Memory:  none; formats on the stack. Control bytes in values are escaped (T33).
 */
#ifndef GUILD_BASE_LOG_H
#define GUILD_BASE_LOG_H

#include "base/err.h"
#include "base/str.h"

enum log_level { LOG_DEBUG, LOG_INFO, LOG_WARN, LOG_ERROR, LOG_OFF };

enum log_field_kind { LOG_FIELD_STR, LOG_FIELD_I64 };

struct log_field {
	const char *name;
	enum log_field_kind kind;
	struct str text;
	int64_t number;
};

static inline struct log_field log_s(const char *name, struct str v) { return (struct log_field){name, LOG_FIELD_STR, v, 0}; }
static inline struct log_field log_i(const char *name, int64_t v) { return (struct log_field){name, LOG_FIELD_I64, STR_NONE, v}; }

/* Level and form are set at start and may change at run time (atomics). */
void log_set(enum log_level level, bool json);
enum log_level log_level_now(void);
/* "debug", "info", "warn", "error", "off". */
bool log_level_parse(struct str word, enum log_level *out);
void log_write(enum log_level level, const char *event, const struct log_field *fields, size_t count);

#define log_at(level, event, ...) \
	log_write((level), (event), (const struct log_field[]){__VA_ARGS__}, \
		  sizeof((const struct log_field[]){__VA_ARGS__}) / sizeof(struct log_field))

#endif
