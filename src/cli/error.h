// SPDX-License-Identifier: Apache-2.0
/*
 * How the client's operations fail: they return CLI_OK or another exit code, and in the second case have
 * put a sentence for people, which says what to do next, into a struct cli_error. Who stops an error shows
 * it, once; that is cli_main(), or a command that goes on with its next name.
 */
#pragma once

#include <glib.h>

#include "cli/cli.h"

struct cli_error {
    enum cli_exit code; /* CLI_OK: no error */
    char *fault;        /* VI API name of the server's fault, such as "InvalidPowerState"; or NULL. Owned */
    char *message;      /* without a full stop or newline at its end; owned */
};

/* Sets the error, in place of one already there, and returns code. */
int cli_error_set(struct cli_error *error, enum cli_exit code, const char *format, ...) G_GNUC_PRINTF(3, 4);
/* The same for a fault of the server; the exit code follows from the fault's name. */
int cli_error_set_fault(struct cli_error *error, const char *fault, const char *message);
/* Whether the error is this fault of the server. */
gboolean cli_error_is(const struct cli_error *error, const char *fault);
/* Frees what it holds; it is no error then. */
void cli_error_clear(struct cli_error *error);
