// SPDX-License-Identifier: Apache-2.0
/*
 * The command line client: every `tenkyu` command but `host`. It speaks VI/JSON to a host (or a center) as
 * any other client would, and shares no code with the server side but src/base.
 */
#pragma once

/* How a command ends. The numbers are documented in tenkyu(1): scripts depend on them. */
enum cli_exit {
    CLI_OK = 0,
    CLI_FAILED = 1,        /* the server or this machine refused, or something broke */
    CLI_USAGE = 2,         /* the command line is wrong; nothing was done */
    CLI_NOT_FOUND = 3,     /* what the command names is not there */
    CLI_NOT_LOGGED_IN = 4, /* no session, or it has ended */
};

/* Runs the command in argv (argv[0] is the program) and returns the exit code of the process. Reads the
 * environment, writes to stdout and stderr, may block on the network and on the terminal. */
int cli_main(int argc, char **argv);
