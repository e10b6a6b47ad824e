// SPDX-License-Identifier: Apache-2.0
/*
 * Maintenance mode and the power of the machine itself; machines that start and stop with it.
 */
#pragma once

#include "host/host_internal.h"

/* ---- host_power.c ------------------------------------------------------------------------------------- */

/* What a host can be in, as far as maintenance goes. */
enum host_maintenance {
    HOST_IN_USE,
    HOST_ENTERING_MAINTENANCE, /* waits for machines to be off; none is powered on any more */
    HOST_IN_MAINTENANCE,       /* outlives the host program: the file STATE/maintenance is there */
};

/* At start: shows maintenance mode when the host is in it. */
void host_maintenance_load(struct host *host);
/* Around each power-on, so that none comes between the check and maintenance mode: InvalidState while the host
 * is in maintenance mode or enters it. NULL must be followed by host_power_on_end(). Any thread. */
struct vim_fault *host_power_on_begin(struct host *host);
void host_power_on_end(struct host *host);
extern const struct HostSystem_methods host_system_methods;

/* ---- host_autostart.c --------------------------------------------------------------------------------- */

extern const struct HostAutoStartManager_methods host_autostart_methods;
/* At start, when requests are answered: reads the configuration, and when the machine has been started since
 * the last time, starts what starts with it, as a task. */
int host_autostart_load(struct host *host, char **ret_message);
void host_autostart_begin(struct host *host);
/* Stops what stops with the machine, and returns when that is done. Blocks for as long as guests take. */
void host_autostart_stop(struct host *host);

struct autostart_step {
    struct vim_ref vm;  /* borrowed from the configuration */
    int delay_s;        /* before the next step */
    bool for_heartbeat; /* not that long once the guest is heard of */
    const char *action; /* of a stop: powerOff, suspend or guestShutdown; borrowed */
};
/* What is to be done, in order: pure. *ret is an array of struct autostart_step. */
GArray *autostart_plan(const struct HostAutoStartManagerConfig *config, bool stop);
