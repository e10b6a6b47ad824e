// SPDX-License-Identifier: Apache-2.0
/*
 * Text for people and from people; see format.h.
 */
#include "cli/format.h"

#include <errno.h>
#include <glib.h>
#include <math.h>
#include <string.h>

char *cli_format_bytes(int64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    unsigned unit = 0;
    double value = (double)bytes;
    /* 1023.95 would print as "1024.0": the next unit is taken from there on. */
    while (value >= 1023.95 && unit + 1 < G_N_ELEMENTS(units)) {
        value /= 1024;
        unit++;
    }
    if (value == floor(value)) {
        return g_strdup_printf("%.0f %s", value, units[unit]);
    }
    char number[G_ASCII_DTOSTR_BUF_SIZE];
    g_ascii_formatd(number, sizeof(number), value < 100 ? "%.1f" : "%.0f", value);
    return g_strdup_printf("%s %s", number, units[unit]);
}

char *cli_format_seconds(int64_t seconds)
{
    int64_t minutes = seconds / 60, hours = minutes / 60;
    if (minutes == 0) {
        return g_strdup_printf("%" G_GINT64_FORMAT " s", seconds);
    }
    if (hours == 0) {
        return g_strdup_printf("%" G_GINT64_FORMAT " min %" G_GINT64_FORMAT " s", minutes, seconds % 60);
    }
    if (hours < 24) {
        return g_strdup_printf("%" G_GINT64_FORMAT " h %" G_GINT64_FORMAT " min", hours, minutes % 60);
    }
    return g_strdup_printf("%" G_GINT64_FORMAT " d %" G_GINT64_FORMAT " h", hours / 24, hours % 24);
}

char *cli_format_time(const char *iso8601)
{
    if (iso8601 == NULL) {
        return g_strdup("-");
    }
    g_autoptr(GTimeZone) utc = g_time_zone_new_utc();
    g_autoptr(GDateTime) time = g_date_time_new_from_iso8601(iso8601, utc);
    g_autoptr(GDateTime) local = time != NULL ? g_date_time_to_local(time) : NULL;
    return local != NULL ? g_date_time_format(local, "%Y-%m-%d %H:%M:%S") : g_strdup(iso8601);
}

/* The factor of "", "M", "MB", "MiB" and so on; 0 when it is no unit. */
static int64_t unit_factor(const char *unit, int64_t default_unit)
{
    static const char letters[] = "KMGTP";
    if (*unit == '\0') {
        return default_unit;
    }
    if (g_ascii_strcasecmp(unit, "B") == 0) {
        return 1;
    }
    const char *letter = strchr(letters, g_ascii_toupper(*unit));
    bool ends =
        unit[1] == '\0' || g_ascii_strcasecmp(unit + 1, "B") == 0 || g_ascii_strcasecmp(unit + 1, "iB") == 0;
    return letter != NULL && ends ? (int64_t)1 << (10 * (letter - letters + 1)) : 0;
}

int cli_parse_size(const char *text, int64_t default_unit, int64_t *ret_bytes)
{
    if (!g_ascii_isdigit(text[0]) || (text[0] == '0' && g_ascii_tolower(text[1]) == 'x')) {
        return -EINVAL;
    }
    char *end = NULL;
    double number = g_ascii_strtod(text, &end);
    while (*end == ' ') {
        end++;
    }
    int64_t factor = unit_factor(end, default_unit);
    double bytes = number * (double)factor;
    if (factor == 0 || !(bytes >= 1) || bytes >= (double)((int64_t)1 << 62)) {
        return -EINVAL;
    }
    *ret_bytes = (int64_t)bytes;
    return 0;
}

int cli_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    return g_ascii_string_to_signed(text, 10, min, max, ret, NULL) ? 0 : -EINVAL;
}

int cli_width(const char *text)
{
    int width = 0;
    for (; *text != '\0'; text = g_utf8_next_char(text)) {
        gunichar c = g_utf8_get_char_validated(text, -1);
        if (c == (gunichar)-1 || c == (gunichar)-2) {
            return width + (int)strlen(text);
        }
        width += g_unichar_iszerowidth(c) ? 0 : g_unichar_iswide(c) ? 2 : 1;
    }
    return width;
}

char *cli_printable(const char *text, bool multi_line)
{
    g_autofree char *valid = g_utf8_make_valid(text, -1);
    GString *out = g_string_sized_new(strlen(valid));
    for (const char *at = valid; *at != '\0'; at = g_utf8_next_char(at)) {
        gunichar c = g_utf8_get_char(at);
        bool space = multi_line && (c == '\n' || c == '\t');
        /* Marks that turn the direction of text could make a name look like another one. */
        bool turns = (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
        g_string_append_unichar(out, (g_unichar_iscntrl(c) && !space) || turns ? 0xfffd : c);
    }
    return g_string_free(out, FALSE);
}

int cli_parse_datastore_path(const char *text, char **ret_datastore, char **ret_path)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
    if (end == NULL || end == text + 1 || (end[1] != '\0' && end[1] != ' ')) {
        return -EINVAL;
    }
    const char *path = end + 1;
    path += strspn(path, " ");
    *ret_datastore = g_strndup(text + 1, (size_t)(end - text - 1));
    *ret_path = g_strdup(path);
    return 0;
}

char *cli_unescape_name(const char *name)
{
    GString *out = g_string_sized_new(strlen(name));
    for (const char *at = name; *at != '\0'; at++) {
        static const struct {
            const char *code;
            char c;
        } escapes[] = {{"%25", '%'}, {"%2f", '/'}, {"%5c", '\\'}};
        char c = *at;
        for (unsigned i = 0; i < G_N_ELEMENTS(escapes); i++) {
            if (g_ascii_strncasecmp(at, escapes[i].code, 3) == 0) {
                c = escapes[i].c;
                at += 2;
                break;
            }
        }
        g_string_append_c(out, c);
    }
    return g_string_free(out, FALSE);
}
