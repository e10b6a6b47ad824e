// SPDX-License-Identifier: Apache-2.0
/*
 * Text for people and from people: sizes, durations, column widths, and strings of a server made safe for a
 * terminal. Pure functions without locale: columns are counted by Unicode, output is always UTF-8.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

/* "512 MiB", "1.5 GiB", "0 B": at most four digits and a binary unit. Freed with g_free. */
char *cli_format_bytes(int64_t bytes);
/* "12 s", "3 min 5 s", "2 h 7 min", "5 d 3 h". Freed with g_free. */
char *cli_format_seconds(int64_t seconds);
/* An ISO 8601 time of the API as local time "2025-03-01 14:05:09"; the text itself where it is none, "-"
 * for NULL. Freed with g_free. */
char *cli_format_time(const char *iso8601);
/*
 * Reads "512", "512M", "2G", "1.5T", "4GiB" (binary units, letters in either case). default_unit is what a
 * bare number counts, in bytes. -EINVAL: not a size, not above 0, or not below 2^62.
 */
int cli_parse_size(const char *text, int64_t default_unit, int64_t *ret_bytes);
/* Reads a whole number from min to max. -EINVAL. */
int cli_parse_int(const char *text, int64_t min, int64_t max, int64_t *ret);

/* Terminal columns that the UTF-8 text takes. */
int cli_width(const char *text);
/* The text without what could drive a terminal: control characters and invalid bytes become U+FFFD.
 * multi_line keeps newlines and tabs. Freed with g_free. */
char *cli_printable(const char *text, bool multi_line);

/*
 * Splits "[datastore] folder/file" into its name and its path (without spaces before it, may be empty).
 * -EINVAL: not of this form. Both results are freed with g_free.
 */
int cli_parse_datastore_path(const char *text, char **ret_datastore, char **ret_path);

/* Names of inventory objects as the API shows them have '%', '/' and '\' escaped; this undoes it. Freed
 * with g_free. */
char *cli_unescape_name(const char *name);
