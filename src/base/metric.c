/* metric.c - the figures and their rendering for Prometheus. */
#include "base/metric.h"

#include <inttypes.h>
#include <stdatomic.h>

#include "base/check.h"
#include "base/mem.h"

#define BUCKETS 10 /* 50 us to 13.1 s; one more counts what is longer */
#define BUCKET_FIRST_US 50

enum kind { COUNTER, GAUGE, HISTOGRAM };

static const struct {
	enum kind kind;
	const char *text;
	const char *help;
} rows[METRIC_COUNT] = {
#define METRIC(name, kind, text, help) [METRIC_##name] = {kind, text, help},
#include "base/metric.def"
#undef METRIC
};

/* A counter's or gauge's value; the sum of a histogram in microseconds. */
static _Atomic int64_t values[METRIC_COUNT];
static _Atomic int64_t buckets[METRIC_COUNT][BUCKETS + 1];

void metric_add(enum metric metric, int64_t amount)
{
	check((unsigned)metric < METRIC_COUNT && rows[metric].kind != HISTOGRAM);
	check(rows[metric].kind == GAUGE || amount >= 0);
	atomic_fetch_add_explicit(&values[metric], amount, memory_order_relaxed);
}

void metric_set(enum metric metric, int64_t value)
{
	check((unsigned)metric < METRIC_COUNT && rows[metric].kind == GAUGE);
	atomic_store_explicit(&values[metric], value, memory_order_relaxed);
}

int64_t metric_get(enum metric metric)
{
	int64_t count = 0;

	check((unsigned)metric < METRIC_COUNT);
	if (rows[metric].kind != HISTOGRAM) {
		return atomic_load_explicit(&values[metric], memory_order_relaxed);
	}
	for (unsigned i = 0; i <= BUCKETS; i++) {
		count += atomic_load_explicit(&buckets[metric][i], memory_order_relaxed);
	}
	return count;
}

void metric_observe_us(enum metric metric, int64_t value_us)
{
	int64_t bound_us = BUCKET_FIRST_US;
	unsigned i = 0;

	check((unsigned)metric < METRIC_COUNT && rows[metric].kind == HISTOGRAM);
	if (value_us < 0) {
		value_us = 0;
	}
	while (i < BUCKETS && value_us > bound_us) {
		bound_us *= 4;
		i++;
	}
	atomic_fetch_add_explicit(&buckets[metric][i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&values[metric], value_us, memory_order_relaxed);
}

static void render_histogram(struct buf *out, enum metric metric)
{
	const char *text = rows[metric].text;
	int64_t sum_us = atomic_load_explicit(&values[metric], memory_order_relaxed);
	int64_t bound_us = BUCKET_FIRST_US;
	int64_t count = 0;

	for (unsigned i = 0; i < BUCKETS; i++, bound_us *= 4) {
		count += atomic_load_explicit(&buckets[metric][i], memory_order_relaxed);
		buf_format(out, "%s_bucket{le=\"%" PRId64 ".%06" PRId64 "\"} %" PRId64 "\n", text, bound_us / 1000000,
			   bound_us % 1000000, count);
	}
	count += atomic_load_explicit(&buckets[metric][BUCKETS], memory_order_relaxed);
	buf_format(out, "%s_bucket{le=\"+Inf\"} %" PRId64 "\n", text, count);
	buf_format(out, "%s_sum %" PRId64 ".%06" PRId64 "\n", text, sum_us / 1000000, sum_us % 1000000);
	buf_format(out, "%s_count %" PRId64 "\n", text, count);
}

void metric_render(struct buf *out)
{
	static const char *const types[] = {"counter", "gauge", "histogram"};

	metric_set(METRIC_ALLOCATIONS, (int64_t)mem_count());
	for (unsigned i = 0; i < METRIC_COUNT; i++) {
		buf_format(out, "# HELP %s %s\n# TYPE %s %s\n", rows[i].text, rows[i].help, rows[i].text,
			   types[rows[i].kind]);
		if (rows[i].kind == HISTOGRAM) {
			render_histogram(out, (enum metric)i);
		} else {
			buf_format(out, "%s %" PRId64 "\n", rows[i].text, metric_get((enum metric)i));
		}
	}
}
