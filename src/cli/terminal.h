// SPDX-License-Identifier: Apache-2.0
/*
 * Talking to the person at the terminal, also when input or output of the command are redirected. All
 * functions block until there is an answer.
 */
#pragma once

#include <stdbool.h>
#include <termios.h>

/* Whether there is a person to ask: the process has a terminal of its own, and reads from one. */
bool cli_can_ask(void);
/* Asks and returns the answer without its newline, freed with g_free. The secret is not shown while it is
 * typed. NULL: nobody to ask, or end of input. */
char *cli_ask(const char *question, bool secret);
/* Asks until the answer is yes or no; false when there is nobody to ask. */
bool cli_ask_yes(const char *question);

/* Makes a terminal pass every key and every byte. 0 or a negative errno (-ENOTTY: it is no terminal); *ret_saved
 * is for cli_terminal_restore(). */
int cli_terminal_raw(int fd, struct termios *ret_saved);
void cli_terminal_restore(int fd, const struct termios *saved);
