// SPDX-License-Identifier: Apache-2.0
/*
 * A line on the terminal that shows how far something is. Silent when stderr is not a terminal, so that
 * commands call it always. It redraws at most ten times a second and takes the line away at the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

struct cli_progress {
    FILE *out;          /* borrowed */
    bool shown;         /* out is a terminal */
    bool drawn;         /* there is a line to take away */
    int64_t started_us; /* monotonic time of cli_progress_begin() */
    int64_t drawn_us;   /* and of the last drawing */
};

void cli_progress_begin(struct cli_progress *progress, FILE *out);
/* "label [#####     ] 45 %"; percent below 0 when it is not known. */
void cli_progress_percent(struct cli_progress *progress, const char *label, int percent);
/* "label [##   ] 12 MiB of 60 MiB, 5 MiB/s, 10 s left"; total below 0 when it is not known. */
void cli_progress_bytes(struct cli_progress *progress, const char *label, int64_t done, int64_t total);
/* Takes the line away. Anything that is written to the terminal comes after this. */
void cli_progress_end(struct cli_progress *progress);
