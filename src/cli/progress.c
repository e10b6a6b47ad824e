// SPDX-License-Identifier: Apache-2.0
/*
 * A progress line; see progress.h.
 */
#include "cli/progress.h"

#include <glib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/format.h"

enum { BAR_WIDTH = 20, REDRAW_US = 100000 };

void cli_progress_begin(struct cli_progress *progress, FILE *out)
{
    const char *term = g_getenv("TERM");
    *progress = (struct cli_progress){
        .out = out,
        .shown = isatty(fileno(out)) && g_strcmp0(term, "dumb") != 0,
        .started_us = g_get_monotonic_time(),
    };
}

static bool is_due(struct cli_progress *progress)
{
    int64_t now = g_get_monotonic_time();
    if (!progress->shown || (progress->drawn && now - progress->drawn_us < REDRAW_US)) {
        return false;
    }
    progress->drawn_us = now;
    return true;
}

/* Draws the line, cut to the terminal: a line that wraps could not be taken away. */
static void draw(struct cli_progress *progress, const char *line)
{
    struct winsize size = {0};
    int columns = ioctl(fileno(progress->out), TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
    g_autofree char *text = cli_printable(line, false);
    char *end = text + strlen(text);
    while (cli_width(text) >= columns && end > text) {
        end = g_utf8_find_prev_char(text, end);
        *end = '\0';
    }
    fprintf(progress->out, "\r%s\033[K", text);
    fflush(progress->out);
    progress->drawn = true;
}

static char *bar(double part)
{
    int filled = (int)(CLAMP(part, 0, 1) * BAR_WIDTH);
    g_autofree char *done = g_strnfill((gsize)filled, '#');
    return g_strdup_printf("[%-*s]", BAR_WIDTH, done);
}

void cli_progress_percent(struct cli_progress *progress, const char *label, int percent)
{
    if (!is_due(progress)) {
        return;
    }
    g_autofree char *shape = bar(percent / 100.0);
    g_autofree char *line = percent >= 0 ? g_strdup_printf("%s %s %d %%", label, shape, percent)
                                         : g_strdup_printf("%s ...", label);
    draw(progress, line);
}

void cli_progress_bytes(struct cli_progress *progress, const char *label, int64_t done, int64_t total)
{
    if (!is_due(progress)) {
        return;
    }
    double seconds = (double)(g_get_monotonic_time() - progress->started_us) / 1e6;
    double rate = seconds > 0 ? (double)done / seconds : 0;
    g_autofree char *done_text = cli_format_bytes(done);
    g_autofree char *rate_text = cli_format_bytes((int64_t)rate);
    GString *line = g_string_new(label);
    if (total > 0) {
        g_autofree char *shape = bar((double)done / (double)total);
        g_autofree char *total_text = cli_format_bytes(total);
        g_string_append_printf(line, " %s %s of %s", shape, done_text, total_text);
    } else {
        g_string_append_printf(line, " %s", done_text);
    }
    g_string_append_printf(line, ", %s/s", rate_text);
    if (total > done && rate >= 1) {
        g_autofree char *left = cli_format_seconds((int64_t)((double)(total - done) / rate) + 1);
        g_string_append_printf(line, ", %s left", left);
    }
    draw(progress, line->str);
    g_string_free(line, TRUE);
}

void cli_progress_end(struct cli_progress *progress)
{
    if (progress->drawn) {
        fputs("\r\033[K", progress->out);
        fflush(progress->out);
        progress->drawn = false;
    }
}
