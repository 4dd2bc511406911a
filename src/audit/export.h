/*
 * export.h - the log as lines of JSON, whole enough to be checked without the store.
 *
 * For:     writing the lines.
 * Not for: sending them (ops/), checking them (audit.h: audit_verify_export).
 * Threads: any.
 * Memory:  none.
 *
 *   {"guild_audit":1,"epoch":E,"public_key":hex}                                                             first
 *   {"seq":N,"time_us":T,"workspace":"W","entry_hash":hex,"hash":hex,"withheld":false,"entry":"..."}         each row
 *   {"checkpoint":{...}}                                                                                     behind the row of its size
 *   {"end":{"seq":N,"hash":hex}}                                                                             last
 *
 * entry is the canonical text, null where it was erased, is withheld (of another workspace), or where there never was one: then entry_hash
 * is that of nothing.
 */
#ifndef GUILD_AUDIT_EXPORT_H
#define GUILD_AUDIT_EXPORT_H

#include "audit/checkpoint.h"
#include "db/log.h"

void audit_export_first(struct buf *out, int64_t epoch, const uint8_t public_key[AUDIT_PUBLIC_BYTES]);
void audit_export_row(struct buf *out, const struct log_row *row, bool withheld);
void audit_export_checkpoint(struct buf *out, const struct audit_checkpoint *checkpoint);
void audit_export_end(struct buf *out, const struct log_head *head);

#endif
