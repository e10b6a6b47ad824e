// SPDX-License-Identifier: Apache-2.0
/*
 * Aligned tables; see table.h.
 */
#include "cli/table.h"

#include <stdarg.h>

#include "cli/format.h"

struct cli_table {
    GPtrArray *cells; /* owned strings, row by row; the first row holds the heads */
    GArray *right;    /* gboolean for each column: aligned to the right */
    unsigned n_columns;
};

struct cli_table *cli_table_new(const char *const *heads)
{
    struct cli_table *table = g_new0(struct cli_table, 1);
    table->cells = g_ptr_array_new_with_free_func(g_free);
    table->right = g_array_new(FALSE, FALSE, sizeof(gboolean));
    for (; heads[table->n_columns] != NULL; table->n_columns++) {
        const char *head = heads[table->n_columns];
        gboolean right = head[0] == '>';
        g_array_append_val(table->right, right);
        g_ptr_array_add(table->cells, g_strdup(head + (right ? 1 : 0)));
    }
    return table;
}

void cli_table_add(struct cli_table *table, const char *text)
{
    const char *shown = text != NULL && *text != '\0' ? text : "-";
    g_ptr_array_add(table->cells, cli_printable(shown, false));
}

void cli_table_take(struct cli_table *table, char *text)
{
    cli_table_add(table, text);
    g_free(text);
}

void cli_table_printf(struct cli_table *table, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    cli_table_take(table, g_strdup_vprintf(format, args));
    va_end(args);
}

void cli_table_print(const struct cli_table *table, FILE *out)
{
    unsigned n = table->n_columns;
    g_assert(table->cells->len % n == 0);
    g_autofree int *widths = g_new0(int, n);
    for (unsigned i = 0; i < table->cells->len; i++) {
        widths[i % n] = MAX(widths[i % n], cli_width(table->cells->pdata[i]));
    }
    for (unsigned i = 0; i < table->cells->len; i++) {
        unsigned column = i % n;
        const char *text = table->cells->pdata[i];
        int padding = widths[column] - cli_width(text);
        gboolean right = g_array_index(table->right, gboolean, column);
        gboolean last = column + 1 == n;
        fprintf(out, "%*s%s", right ? padding : 0, "", text);
        fprintf(out, "%*s%s", right || last ? 0 : padding, "", last ? "\n" : "  ");
    }
}

void cli_table_free(struct cli_table *table)
{
    if (table != NULL) {
        g_ptr_array_unref(table->cells);
        g_array_unref(table->right);
        g_free(table);
    }
}
