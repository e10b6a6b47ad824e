// SPDX-License-Identifier: Apache-2.0
/*
 * Invented virtual machines for tests and benchmarks of the API at scale; only with the sim hypervisor.
 */
#pragma once

struct host;

/* Shows n machines "ha-host_VM0".. that have no files; all run. Ids and contents are the same each time. */
void sim_population_make(struct host *host, unsigned n);
