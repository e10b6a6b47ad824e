// SPDX-License-Identifier: Apache-2.0
/*
 * What files of the machine say of its services, clock and health, as objects of the API. Every function takes
 * the folder that is the root of the file system ("" for the real one), so that tests can show them another
 * machine. They never fail: what a machine does not tell is left out. Any thread; they read files. Objects
 * are the caller's.
 */
#pragma once

#include "vim/types.h"

/* ---- machine_facts.c ---------------------------------------------------------------------------------- */

/* Whether a process of this name (as in /proc/PID/comm) runs. */
bool machine_runs(const char *root, const char *name);
/* Whether systemd starts this unit with the machine, by the links that `systemctl enable` makes. */
bool machine_enables(const char *root, const char *unit);

/* What keeps the machine's clock right. */
struct machine_clock {
    const char *process; /* its name, or NULL when none is installed that we know */
    const char *unit;    /* of systemd, or NULL */
    bool running;
    bool enabled;
};
struct machine_clock machine_clock(const char *root);
/* Time zone, and the time servers that the configuration of machine_clock() names. now_s: for its offset. */
struct HostDateTimeInfo *machine_date_time(const char *root, int64_t now_s);
/* Adds all time zones (struct HostDateTimeSystemTimeZone) to an array member. */
void machine_time_zones(const char *root, int64_t now_s, void *array);

/* ---- machine_health.c --------------------------------------------------------------------------------- */

/* Sensors in /sys/class/hwmon and /sys/class/thermal, errors of memory in EDAC. */
struct HealthSystemRuntime *machine_health(const char *root);
/* The worst of all states: red, yellow or green; gray where nothing is known. */
enum ManagedEntityStatus machine_health_status(const struct HealthSystemRuntime *health);
