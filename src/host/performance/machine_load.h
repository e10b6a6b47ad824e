// SPDX-License-Identifier: Apache-2.0
/*
 * What this machine itself has done: totals from /proc and /sys, for statistics.c. Only the kernel's own
 * figures: processors, memory, disks and network adapters that are hardware (what is made of software would
 * count twice).
 */
#pragma once

#include "host/performance/perf_ring.h"

struct machine_load;

/* root is put before /proc and /sys: "" but in tests. */
struct machine_load *machine_load_new(const char *root);
void machine_load_free(struct machine_load *load);
/* Adds what can be read now. Reads files; one thread at a time. */
void machine_load_read(struct machine_load *load, struct perf_reading *reading);
/* The name of a disk or adapter by the instance of its columns: "sda"; NULL when there never was one. Any
 * thread; lives as long as `load`. */
const char *machine_load_name(struct machine_load *load, int32_t instance);
