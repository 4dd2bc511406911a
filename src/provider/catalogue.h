/*
 * catalogue.h - models, what they cost and what they can.
 *
 * For:     the price of a run; ranking models by price and quality.
 * Not for: money kept or limited (governance/ledger.h); which provider is asked (execution/).
 * Threads: a catalogue is immutable; catalogue_now on registered readers (snapmap.h), valid until the end of their turn.
 * Memory:  texts belong to the catalogue.
 * Errors:  ERR_CONFIG with "FILE:LINE: what is wrong".
 *
 * A file is UTF-8 text of lines of eleven members, separated by commas; lines that begin with # and empty ones are left out; the first other
 * line has the members' names. Prices are micro-units for a million tokens.
 */
#ifndef GUILD_PROVIDER_CATALOGUE_H
#define GUILD_PROVIDER_CATALOGUE_H

#include <stdatomic.h>

#include "base/err.h"

struct snap_domain;
struct writer;

/* Micro-units for a million tokens. */
struct price {
	int64_t in, out, cached;
};

struct catalogue_model {
	struct str provider, model;      /* model "*": all of that provider that have no row */
	struct price price;
	int64_t context, output_max;     /* tokens; output_max 0: not named by the vendor */
	int quality;                     /* 0..100 */
	struct str capabilities;         /* words separated by one space */
	struct str source, date;
};

struct catalogue;

/* name is for messages; detail has 512 bytes. */
enum err catalogue_parse(struct str text, const char *name, struct catalogue **out, char *detail) MUST_USE;
/* path NULL or "": the one that comes with the program. ERR_IO besides. */
enum err catalogue_load(const char *path, struct catalogue **out, char *detail) MUST_USE;
void catalogue_destroy(struct catalogue **catalogue);
size_t catalogue_count(const struct catalogue *catalogue);
const struct catalogue_model *catalogue_at(const struct catalogue *catalogue, size_t index); /* in the file's order */
/* The row of a model as its provider names it: exactly; without a date at its end ("-2024-08-06", "-20241022") or "-latest"; the provider's
 * row *; or, for a provider that speaks for others, the dearest row of that name. NULL: there is none. */
const struct catalogue_model *catalogue_find(const struct catalogue *catalogue, struct str provider, struct str model);

/* ---- the one in force ---- */
struct catalogue_place {
	_Atomic(const struct catalogue *) now;
};
static inline const struct catalogue *catalogue_now(const struct catalogue_place *place) { return atomic_load(&place->now); }
/* Takes it over. The old one is freed by the writer when no reader holds it. ERR_MEMORY, ERR_GOING_AWAY: catalogue stays the caller's. */
enum err catalogue_replace(struct catalogue_place *place, struct writer *writer, struct snap_domain *snap, struct catalogue *catalogue) MUST_USE;

/* catalogue.csv, written by tools/embed at build time. */
extern const char catalogue_text[];

#endif
