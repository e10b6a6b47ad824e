// SPDX-License-Identifier: Apache-2.0
/*
 * The samples of one object, as many as an hour has, in little memory.
 *
 * statistics.c writes one row every 20 seconds and performance_manager.c reads them. A row has one number for
 * each column of its layout; layouts are shared by all objects that look alike. Rows are packed: which
 * columns have changed since the row before, and by how much. An idle machine costs some bytes a row, a busy
 * one two dozen. Nothing here locks.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stdint.h>

enum { PERF_TICK_S = 20 }; /* from one row to the next */

/* What a column counts. The comment says of what, and the unit. "grown": by how much a total has grown in the
 * interval; the others are amounts at its end. */
enum perf_measure {
    PERF_INTERVAL_MS = 1, /* how long the row's interval was */
    PERF_UPTIME_S,        /* since the start of the machine */
    PERF_CPU_COUNT,       /* processors */
    PERF_CPU_TOTAL_MS,    /* grown: all of the object, also beside its processors */
    PERF_CPU_RUN_MS,      /* grown: by processor */
    PERF_CPU_READY_MS,    /* grown: by processor; ready but not running */
    PERF_CPU_IDLE_MS,     /* grown: by processor */
    PERF_MEM_SIZE_KB,     /* memory of the object */
    PERF_MEM_USED_KB,     /* of the host's memory */
    PERF_MEM_BALLOON_KB,  /* given back by the guest */
    PERF_MEM_SWAP_KB,     /* on the host's swap devices */
    PERF_MEM_SWAP_IN_KB,  /* grown */
    PERF_MEM_SWAP_OUT_KB, /* grown */
    PERF_MEM_SHARED_KB,   /* saved because equal pages are kept once */
    PERF_DISK_READS,      /* grown; by drive, as the next five */
    PERF_DISK_WRITES,
    PERF_DISK_READ_KB,
    PERF_DISK_WRITTEN_KB,
    PERF_DISK_READ_US, /* time of all requests together */
    PERF_DISK_WRITE_US,
    PERF_STORE_READS, /* grown; by datastore, as the next five */
    PERF_STORE_WRITES,
    PERF_STORE_READ_KB,
    PERF_STORE_WRITTEN_KB,
    PERF_STORE_READ_US,
    PERF_STORE_WRITE_US,
    PERF_NET_RECEIVED_KB, /* grown; by adapter, as the next seven */
    PERF_NET_SENT_KB,
    PERF_NET_RECEIVED_PACKETS,
    PERF_NET_SENT_PACKETS,
    PERF_NET_RECEIVED_DROPPED,
    PERF_NET_SENT_DROPPED,
    PERF_NET_RECEIVED_ERRORS,
    PERF_NET_SENT_ERRORS,
};

/* Whether a measure tells by how much a total has grown. */
bool perf_measure_grows(enum perf_measure measure);

/* instance: which processor, drive, adapter, datastore; 0 for what there is one of. */
struct perf_column {
    int32_t measure; /* enum perf_measure */
    int32_t instance;
};

/* The columns of rows. */
struct perf_layout {
    guint n;
    struct perf_column columns[];
};

/* Every layout there is, once. Thread-safe only as far as its owner makes it. */
struct perf_layouts;
struct perf_layouts *perf_layouts_new(void);
void perf_layouts_free(struct perf_layouts *layouts);
/* The layout with these columns; lives as long as `layouts`. */
const struct perf_layout *perf_layouts_get(struct perf_layouts *layouts, const struct perf_column *columns,
                                           guint n);

/* What is read of an object at one time: numbers by column, totals as totals. */
struct perf_reading {
    GArray *columns; /* of struct perf_column */
    GArray *values;  /* of int64_t */
};
void perf_reading_init(struct perf_reading *reading);
void perf_reading_clear(struct perf_reading *reading);
/* Forgets the numbers, keeps the memory. */
void perf_reading_reset(struct perf_reading *reading);
void perf_reading_add(struct perf_reading *reading, enum perf_measure measure, int32_t instance,
                      int64_t value);

struct perf_ring;
/* Keeps the rows of the last `ticks` ticks, and some older ones. */
struct perf_ring *perf_ring_new(unsigned ticks);
void perf_ring_free(struct perf_ring *ring);
/* Adds a row. A tick that is not newer than the last removes the rows from it on: the clock was set back. */
void perf_ring_append(struct perf_ring *ring, const struct perf_layout *layout, int64_t tick,
                      const int64_t *values);
/* Calls back with each row of after < tick <= until, oldest first. */
typedef void (*perf_row_fn)(void *data, int64_t tick, const struct perf_layout *layout,
                            const int64_t *values);
void perf_ring_each(const struct perf_ring *ring, int64_t after, int64_t until, perf_row_fn row, void *data);
/* The tick of the newest row; INT64_MIN without rows. */
int64_t perf_ring_last(const struct perf_ring *ring);
/* Memory in use. */
size_t perf_ring_bytes(const struct perf_ring *ring);
