// SPDX-License-Identifier: Apache-2.0
/*
 * The terminal; see terminal.h.
 */
#include "cli/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/format.h"

static FILE *open_terminal(void)
{
    int fd = open("/dev/tty", O_RDWR | O_NOCTTY | O_CLOEXEC);
    return fd >= 0 ? fdopen(fd, "r+") : NULL;
}

bool cli_can_ask(void)
{
    FILE *terminal = isatty(STDIN_FILENO) ? open_terminal() : NULL;
    if (terminal != NULL) {
        fclose(terminal);
    }
    return terminal != NULL;
}

char *cli_ask(const char *question, bool secret)
{
    FILE *terminal = cli_can_ask() ? open_terminal() : NULL;
    if (terminal == NULL) {
        return NULL;
    }
    struct termios saved;
    bool hides = secret && tcgetattr(fileno(terminal), &saved) == 0;
    if (hides) {
        struct termios silent = saved;
        silent.c_lflag &= ~(tcflag_t)ECHO;
        silent.c_lflag |= ECHONL;
        tcsetattr(fileno(terminal), TCSAFLUSH, &silent);
    }
    g_autofree char *text = cli_printable(question, true);
    fprintf(terminal, "%s ", text);
    fflush(terminal);
    char *line = NULL;
    size_t size = 0;
    ssize_t length = getline(&line, &size, terminal);
    if (hides) {
        tcsetattr(fileno(terminal), TCSAFLUSH, &saved);
    }
    fclose(terminal);
    char *answer = length >= 0 ? g_strndup(line, strcspn(line, "\r\n")) : NULL;
    if (line != NULL) {
        explicit_bzero(line, size);
    }
    free(line);
    return answer;
}

bool cli_ask_yes(const char *question)
{
    g_autofree char *full = g_strdup_printf("%s [yes/no]", question);
    for (;;) {
        g_autofree char *answer = cli_ask(full, false);
        if (answer == NULL || g_ascii_strcasecmp(answer, "no") == 0 || g_ascii_strcasecmp(answer, "n") == 0) {
            return false;
        }
        if (g_ascii_strcasecmp(answer, "yes") == 0 || g_ascii_strcasecmp(answer, "y") == 0) {
            return true;
        }
    }
}

int cli_terminal_raw(int fd, struct termios *ret_saved)
{
    struct termios saved;
    if (tcgetattr(fd, &saved) != 0) {
        return -errno;
    }
    struct termios raw = saved;
    cfmakeraw(&raw);
    if (tcsetattr(fd, TCSAFLUSH, &raw) != 0) {
        return -errno;
    }
    *ret_saved = saved;
    return 0;
}

void cli_terminal_restore(int fd, const struct termios *saved)
{
    tcsetattr(fd, TCSAFLUSH, saved);
}
