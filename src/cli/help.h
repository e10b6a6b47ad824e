// SPDX-License-Identifier: Apache-2.0
/*
 * Help, usage lines and shell completion, all made from the table of commands.
 */
#pragma once

#include <stdio.h>

struct cli;
struct cli_command;

/* "usage: tenkyu vm show NAME" and a newline. */
void cli_print_usage(const struct cli_command *command, FILE *out);
/* What `tenkyu help COMMAND` shows. */
void cli_print_command_help(const struct cli_command *command, FILE *out);
/* The commands whose names begin with prefix ("" for all, "vm " for a group), a line for each. */
void cli_print_commands(const char *prefix, FILE *out);

/*
 * Completes the last of the words (which may be ""), NULL-terminated: writes the candidates, a line for
 * each, or ":file" where the shell offers files. Names of virtual machines and datastores are asked from
 * the server, if a session is there. Never fails.
 */
void cli_complete(struct cli *cli, char *const *words);
