// SPDX-License-Identifier: Apache-2.0
/*
 * What a simulated guest does: pure functions of who it is and how long it has run.
 *
 * sim.c asks. The load of a virtual machine rises and falls evenly between two levels, with levels, period
 * and phase drawn from its seed; memory fills up and stays; drives and adapters are busy for minutes and
 * quiet for longer.
 */
#pragma once

#include "hypervisor/hypervisor.h"

#include <glib.h>
#include <stdint.h>

/* Processor time used in ran_ms of running, over all processors. Never falls as ran_ms grows. */
int64_t sim_model_cpu_time_ns(uint32_t seed, int32_t cpus, int64_t ran_ms);
/* Resident memory after ran_ms of running; at most memory_mb. */
int64_t sim_model_memory_bytes(uint32_t seed, int32_t memory_mb, int64_t ran_ms);
/* How much of cpu_time_ns's span one processor was ready without running: the n-th of `cpus`, alike. */
int64_t sim_model_ready_ns(uint32_t seed, int32_t cpus, int64_t ran_ms);
/* What a drive, or an adapter, has done in ran_ms of running; the members besides the key are set. */
void sim_model_disk(uint32_t seed, int32_t key, int64_t ran_ms, struct hypervisor_disk_stats *ret);
void sim_model_nic(uint32_t seed, int32_t key, int64_t ran_ms, struct hypervisor_nic_stats *ret);
/* The screen as a PNG, a night sky of 128 by 96; g_byte_array_unref. */
GByteArray *sim_model_screen(uint32_t seed);
