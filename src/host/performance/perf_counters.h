// SPDX-License-Identifier: Apache-2.0
/*
 * The performance counters of the VI API: which there are, and how each follows from the rows of perf_ring.h.
 *
 * Pure functions. A counter is named by its key; keys, names, units and levels are those that vCenter has, so
 * that what clients and dashboards know of them holds here. A counter that cannot be told truthfully is not in
 * the table.
 */
#pragma once

#include "host/performance/perf_ring.h"
#include "vim/types.h"

/* Of what a counter can be asked. */
enum perf_kind { PERF_OF_VM, PERF_OF_HOST, PERF_KINDS };

/* How a value follows from a row. a is the measure asked for, b the rule's other one. */
enum perf_formula {
    PERF_NONE,        /* there is no such counter of this kind of object */
    PERF_SUM,         /* a + b */
    PERF_SUM_MB,      /* a KiB, in MiB */
    PERF_RATE,        /* a + b per second */
    PERF_MHZ,         /* a ms of a processor, in MHz */
    PERF_CLOCK,       /* a processors, in MHz */
    PERF_TIME_SHARE,  /* a ms, in hundredths of a percent of the interval on as many processors */
    PERF_SHARE,       /* a, in hundredths of a percent of b */
    PERF_REST,        /* the interval on as many processors, without a and b, in ms */
    PERF_LATENCY_MS,  /* a us of b requests, in ms for one */
    PERF_LATENCY_US,  /* the same in us */
    PERF_LATENCY_MAX, /* the longest of all mean latencies; a: the first of the six measures of drives */
};

struct perf_rule {
    enum perf_formula formula;
    enum perf_measure whole; /* a of the whole object, over all its instances; 0: not told of the whole */
    enum perf_measure part;  /* a of single instances; 0: not told of them */
    enum perf_measure b;     /* or 0 */
};

struct perf_counter {
    int32_t key;
    const char *group; /* key of the group: "cpu" */
    const char *name;  /* key in the group: "usage" */
    enum PerfSummaryType rollup;
    enum PerfStatsType stats;
    enum PerformanceManagerUnit unit;
    int8_t level;
    int8_t device_level;
    const char *label;   /* for people */
    const char *summary; /* for people */
    struct perf_rule rules[PERF_KINDS];
};

/* All counters, by rising key. */
extern const struct perf_counter perf_counters[];
extern const size_t perf_n_counters;
/* The counter with this key, or NULL. */
const struct perf_counter *perf_counter_by_key(int32_t key);
/* As the API shows it. */
struct PerfCounterInfo *perf_counter_info(const struct perf_counter *counter);
struct PerformanceDescription *perf_description(void);

struct perf_row {
    int64_t tick;
    const struct perf_layout *layout;
    const int64_t *values;
};

/* Whose rows they are. */
struct perf_object {
    enum perf_kind kind;
    int mhz; /* of a processor */
    /* The name of a column's instance in a group, freed with g_free; NULL: it has none there. Columns with
     * one name are one instance. */
    char *(*name)(const void *data, const char *group, const struct perf_column *column);
    const void *name_data;
};

/* The instances of a counter in the rows ("" for the whole), in their order, each once. */
GPtrArray *perf_instances(const struct perf_counter *counter, const struct perf_object *object,
                          const struct perf_row *rows, size_t n_rows);
/* One value for each row; -1 where there is none. Any instance may be asked for. */
void perf_values(const struct perf_counter *counter, const struct perf_object *object, const char *instance,
                 const struct perf_row *rows, size_t n_rows, int64_t *ret);
