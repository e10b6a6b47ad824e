// SPDX-License-Identifier: Apache-2.0
/*
 * What the host and its machines have used in the last hour.
 *
 * One thread reads all figures when the clock's seconds are 0, 20 and 40, as ESX does. It shows them in
 * summary.quickStats, and keeps them for performance_manager.c. They are in memory alone: a host that is
 * started again begins anew.
 */
#pragma once

#include "host/performance/perf_counters.h"

struct host;
struct statistics;

enum {
    STATISTICS_INTERVAL_S = PERF_TICK_S,
    STATISTICS_TICKS = 3600 / STATISTICS_INTERVAL_S, /* that are kept */
};

struct statistics *statistics_start(struct host *host);
/* Ends the thread; what is kept can still be asked for. NULL is fine, here and below. */
void statistics_stop(struct statistics *statistics);
void statistics_free(struct statistics *statistics);

/* Rows of an object with after < tick <= until, oldest first; a tick is a time in seconds since 1970 divided
 * by the interval. The rows and their numbers are the caller's. Any thread; memory work only. */
GArray *statistics_rows(struct statistics *statistics, const char *id, int64_t after, int64_t until);
void statistics_rows_free(GArray *rows);
/* MHz of one processor of the host; constant. */
int statistics_mhz(const struct statistics *statistics);
/* N of "datastore-N": the instance of columns about a datastore. */
int32_t statistics_store_number(const char *datastore_id);
/* The name of a disk or adapter of the host by its instance; NULL when there never was one. */
const char *statistics_device_name(struct statistics *statistics, int32_t instance);
