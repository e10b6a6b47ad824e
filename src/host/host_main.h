// SPDX-License-Identifier: Apache-2.0
/*
 * `tenkyu host`: the server in the foreground until SIGINT or SIGTERM.
 */
#pragma once

/* Returns the exit status: 0, 1 when it cannot start, 2 for wrong usage. */
int host_main(int argc, char **argv);
