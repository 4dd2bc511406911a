/* err.c - the table of errors and what a client sees of it. */
#include "base/err.h"

#include "base/check.h"
#include "base/log.h"

static const struct err_row rows[ERR_COUNT] = {
#define ERR(name, code, text, http, ws_close, retryable, level) \
	[ERR_##name] = {#name, {code, sizeof(code) - 1}, {text, sizeof(text) - 1}, http, ws_close, retryable, LOG_##level},
#include "base/err.def"
#undef ERR
};

const struct err_row *err_row(enum err err)
{
	check((unsigned)err < ERR_COUNT);
	return &rows[err];
}

enum err err_public(enum err err)
{
	check((unsigned)err < ERR_COUNT);
	if (err < ERR_MEMORY) {
		return err;
	}
	switch (err) {
	case ERR_MEMORY:
	case ERR_LIMIT:
		return ERR_OVERLOADED;
	case ERR_IO:
	case ERR_IN_USE:
	case ERR_CORRUPT:
		return ERR_STORE_UNAVAILABLE;
	default:
		return ERR_INTERNAL;
	}
}

bool err_by_code(struct str code, enum err *out)
{
	for (unsigned i = 0; i < ERR_COUNT; i++) {
		if (str_eq(rows[i].code, code)) {
			*out = (enum err)i;
			return true;
		}
	}
	return false;
}
