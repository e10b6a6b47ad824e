// SPDX-License-Identifier: Apache-2.0
/*
 * Help and completion from the table of commands; see help.h.
 */
#include "cli/help.h"

#include <string.h>

#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"

enum { USAGE_WIDTH = 78, USAGE_INDENT = 8 };

/* Adds a piece to a usage line, on a new line where it would become too long. */
static void add_piece(GString *usage, unsigned *column, const char *piece)
{
    unsigned width = (unsigned)cli_width(piece) + 1;
    if (*column + width > USAGE_WIDTH) {
        g_string_append_printf(usage, "\n%*s", USAGE_INDENT - 1, "");
        *column = USAGE_INDENT - 1;
    }
    g_string_append_printf(usage, " %s", piece);
    *column += width;
}

void cli_print_usage(const struct cli_command *command, FILE *out)
{
    g_autoptr(GString) usage = g_string_new("usage: tenkyu");
    unsigned column = (unsigned)usage->len;
    add_piece(usage, &column, command->name);
    for (const struct cli_option *option = command->options; option != NULL && option->name != NULL;
         option++) {
        g_autofree char *value = option->value != NULL ? g_strconcat(" ", option->value, NULL) : NULL;
        g_autofree char *piece = g_strdup_printf("[--%s%s]%s", option->name, value != NULL ? value : "",
                                                 option->repeats ? "..." : "");
        add_piece(usage, &column, piece);
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(command->words) && command->words[i].name != NULL; i++) {
        const struct cli_word *word = &command->words[i];
        g_autofree char *piece =
            g_strdup_printf(word->optional ? "[%s]%s" : "%s%s", word->name, word->repeats ? "..." : "");
        add_piece(usage, &column, piece);
    }
    fprintf(out, "%s\n", usage->str);
}

static void print_options(const struct cli_option *options, FILE *out)
{
    for (const struct cli_option *option = options; option != NULL && option->name != NULL; option++) {
        g_autofree char *left = g_strdup_printf("--%s%s%s", option->name, option->value != NULL ? " " : "",
                                                option->value != NULL ? option->value : "");
        fprintf(out, "  %-22s %s\n", left, option->help);
    }
}

void cli_print_command_help(const struct cli_command *command, FILE *out)
{
    fprintf(out, "tenkyu %s: %s\n\n", command->name, command->summary);
    cli_print_usage(command, out);
    if (command->details != NULL) {
        fprintf(out, "\n%s\n", command->details);
    }
    fputs("\noptions:\n", out);
    print_options(command->options, out);
    print_options(cli_common_options, out);
}

void cli_print_commands(const char *prefix, FILE *out)
{
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (g_str_has_prefix(command->name, prefix)) {
            fprintf(out, "  %-23s %s\n", command->name, command->summary);
        }
    }
}

int cli_run_help(struct cli *cli, const struct cli_arguments *arguments)
{
    if (arguments->words->len == 0) {
        fputs("tenkyu: virtual machines on this host and on others\n\nusage: tenkyu COMMAND ...\n\n",
              cli->out);
        cli_print_commands("", cli->out);
        fputs("  host                    run a host; see tenkyu-host(8)\n\n"
              "Start with `tenkyu login https://HOST`. `tenkyu help COMMAND` tells more.\n",
              cli->out);
        return CLI_OK;
    }
    g_autoptr(GPtrArray) words = g_ptr_array_copy(arguments->words, NULL, NULL);
    g_ptr_array_add(words, NULL);
    unsigned n = 0;
    const struct cli_command *command = cli_command_find((char *const *)words->pdata, &n);
    if (command != NULL) {
        cli_print_command_help(command, cli->out);
        return CLI_OK;
    }
    g_autofree char *prefix = g_strdup_printf("%s ", cli_word(arguments, 0));
    for (const struct cli_command *each = cli_commands; each->name != NULL; each++) {
        if (g_str_has_prefix(each->name, prefix) && arguments->words->len == 1) {
            cli_print_commands(prefix, cli->out);
            return CLI_OK;
        }
    }
    return cli_error_set(&cli->error, CLI_USAGE, "there is no command \"%s\"; `tenkyu help` shows them all",
                         cli_word(arguments, 0));
}

/* ---- completion ----------------------------------------------------------------------------------- */

static void offer(FILE *out, const char *candidate, const char *begun)
{
    if (g_str_has_prefix(candidate, begun)) {
        fprintf(out, "%s\n", candidate);
    }
}

static void offer_names(struct cli *cli, const char *type, const char *begun)
{
    g_autoptr(json_object) objects = NULL;
    if (cli_connect(cli) != CLI_OK ||
        cli_list_objects(cli, type, (const char *[]){"name", NULL}, &objects) != CLI_OK) {
        cli_error_clear(&cli->error);
        return;
    }
    for (size_t i = 0; i < js_length(objects); i++) {
        const char *name = js_text(json_object_array_get_idx(objects, i), "name");
        if (name != NULL) {
            offer(cli->out, name, begun);
        }
    }
}

static void offer_kind(struct cli *cli, enum cli_word_kind kind, const char *begun)
{
    switch (kind) {
    case CLI_WORD_TEXT:
        break;
    case CLI_WORD_FILE:
        fputs(":file\n", cli->out);
        break;
    case CLI_WORD_VM:
        offer_names(cli, "VirtualMachine", begun);
        break;
    case CLI_WORD_DATASTORE:
        offer_names(cli, "Datastore", begun);
        break;
    case CLI_WORD_COMMAND:
        for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
            offer(cli->out, command->name, begun);
        }
        break;
    }
}

/* The word of a command's name that comes next: "vm", then "create". The words before it are complete. */
static void offer_command_words(FILE *out, char *const *words, unsigned n_complete)
{
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        g_auto(GStrv) parts = g_strsplit(command->name, " ", -1);
        bool fits = g_strv_length(parts) > n_complete;
        for (unsigned i = 0; fits && i < n_complete; i++) {
            fits = strcmp(parts[i], words[i]) == 0;
        }
        if (fits && g_hash_table_add(seen, g_strdup(parts[n_complete]))) {
            offer(out, parts[n_complete], words[n_complete]);
        }
    }
}

static const struct cli_option *option_with_value(const struct cli_command *command, const char *word)
{
    const struct cli_option *option = g_str_has_prefix(word, "--") ? command->options : NULL;
    for (; option != NULL && option->name != NULL; option++) {
        if (option->value != NULL && strcmp(option->name, word + 2) == 0) {
            return option;
        }
    }
    return NULL;
}

static void offer_options(const struct cli_command *command, const char *begun, FILE *out)
{
    const struct cli_option *lists[] = {command->options, cli_common_options};
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        for (const struct cli_option *option = lists[i]; option != NULL && option->name != NULL; option++) {
            g_autofree char *text = g_strdup_printf("--%s", option->name);
            offer(out, text, begun);
        }
    }
}

static void complete_command(struct cli *cli, const struct cli_command *command, char *const *words,
                             unsigned n)
{
    const char *begun = words[n - 1];
    const struct cli_option *option = n >= 2 ? option_with_value(command, words[n - 2]) : NULL;
    if (option != NULL) {
        offer_kind(cli, option->kind, begun);
        return;
    }
    if (begun[0] == '-') {
        offer_options(command, begun, cli->out);
        return;
    }
    unsigned position = 0; /* which of the command's words this is */
    for (unsigned i = 0; i + 1 < n; i++) {
        if (option_with_value(command, words[i]) != NULL) {
            i++;
        } else if (words[i][0] != '-') {
            position++;
        }
    }
    for (unsigned i = 0; i < G_N_ELEMENTS(command->words) && command->words[i].name != NULL; i++) {
        if (i == position || (i < position && command->words[i].repeats)) {
            offer_kind(cli, command->words[i].kind, begun);
            return;
        }
    }
}

void cli_complete(struct cli *cli, char *const *words)
{
    unsigned n = g_strv_length((char **)words);
    unsigned n_name = 0;
    if (n == 0) {
        return;
    }
    const struct cli_command *command = cli_command_find(words, &n_name);
    if (command != NULL && n > n_name) {
        complete_command(cli, command, words + n_name, n - n_name);
    } else {
        offer_command_words(cli->out, words, n - 1);
    }
}
