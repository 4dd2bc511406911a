/*
 * metric.h - counters, gauges and histograms, as rows of one table.
 *
 * For:     figures that an operator watches; every name, kind and help text is a row of metric.def.
 * Not for: audit; labels with unbounded values (labels come from fixed enums only).
 * Threads: any; relaxed atomics, one cache line per thread slot for hot counters is left to measurement.
 * Memory:  static.
 */
#ifndef GUILD_BASE_METRIC_H
#define GUILD_BASE_METRIC_H

#include "base/buf.h"

enum metric {
#define METRIC(name, kind, text, help) METRIC_##name,
#include "base/metric.def"
#undef METRIC
	METRIC_COUNT
};

void metric_add(enum metric metric, int64_t amount);
void metric_set(enum metric metric, int64_t value);
int64_t metric_get(enum metric metric);
/* Adds an observation, in microseconds, to a histogram row (buckets 50 us * 4^i, exported in seconds). */
void metric_observe_us(enum metric metric, int64_t value_us);
/* Prometheus text format 0.0.4 of all rows. */
void metric_render(struct buf *out);

#endif
