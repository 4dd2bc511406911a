/*
 * idem.h - what makes two requests the same one: the key under which something is done once.
 *
 * For:     the doors, which make it of a client's key; commands, which are kept under it; answers, which look whether they were.
 * Not for: the table of them (command/idempotency.h).
 * Threads: plain data: of its request's loop, and of the writer while a command has it.
 * Memory:  plain data.
 */
#ifndef GUILD_BASE_IDEM_H
#define GUILD_BASE_IDEM_H

#include "base/caller.h"
#include "base/err.h"

#define IDEM_HASH_BYTES 16
#define IDEM_KEY_MAX 255

struct idem {
	uint8_t key_hash[IDEM_HASH_BYTES];     /* of who asks, the route and the client's key */
	uint8_t request_hash[IDEM_HASH_BYTES]; /* of what is asked */
	int64_t principal;
	int64_t execution;   /* the run of which the answer can be made again; 0: the answer has to be stored */
	int64_t made_at_us;  /* of the row, once kept */
	bool done_only;      /* a refusal is not kept */
	bool kept;           /* the row is in the store, with what it was for */
	bool again;          /* the key was found in use while this request was being done */
};

/* A client's key is 1 to 255 visible ASCII characters; they may stand in double quotes, which are not part of it. */
bool idem_key_parse(struct str text, struct str *key);
/* What of a caller, a route and a key that was parsed makes the first hash; request is what the second is made of. */
void idem_make(struct idem *out, const struct caller *caller, struct str route, struct str key, struct str request);
/* The same of a request whose parts lie apart. */
void idem_make_of(struct idem *out, const struct caller *caller, struct str route, struct str key, const struct str *parts, unsigned count);

#endif
