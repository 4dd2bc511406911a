/*
 * bus_priv.h - what the files of bus/ share.
 *
 * For:     rendering through the bus's own renderer.
 * Not for: other folders.
 * Threads: any.
 * Memory:  the frame has one reference, the caller's.
 */
#ifndef GUILD_BUS_BUS_PRIV_H
#define GUILD_BUS_BUS_PRIV_H

#include "bus/bus.h"

/* NULL when it cannot be rendered. */
struct frame *bus_render(const struct bus *bus, const struct bus_event *event, enum bus_form form);

#endif
