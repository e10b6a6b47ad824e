// SPDX-License-Identifier: Apache-2.0
/*
 * Tables for people: columns as wide as their widest cell by Unicode width, two spaces between them, no
 * spaces at the end of a line. All cells pass through cli_printable(), so a name cannot drive a terminal.
 */
#pragma once

#include <glib.h>
#include <stdio.h>

struct cli_table;

/* heads end with NULL. A head that begins with '>' makes a column of numbers, aligned to the right. */
struct cli_table *cli_table_new(const char *const *heads);
/* Adds a cell, row by row; NULL or "" shows as "-". cli_table_take() frees text. */
void cli_table_add(struct cli_table *table, const char *text);
void cli_table_take(struct cli_table *table, char *text);
/* Adds a cell that is made by printf. */
void cli_table_printf(struct cli_table *table, const char *format, ...) G_GNUC_PRINTF(2, 3);
/* Writes heads and rows; the last row is complete. Nothing but the heads when there are no rows. */
void cli_table_print(const struct cli_table *table, FILE *out);
void cli_table_free(struct cli_table *table);

static inline void cli_table_clear(struct cli_table **table)
{
    cli_table_free(*table);
}

/* Declares a local table that frees itself: CLI_TABLE_AUTO table = cli_table_new(...); */
#define CLI_TABLE_AUTO __attribute__((cleanup(cli_table_clear))) struct cli_table *
