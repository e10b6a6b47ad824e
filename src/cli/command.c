// SPDX-License-Identifier: Apache-2.0
/*
 * Command lines sorted by the table of commands; see command.h.
 */
#include "cli/command.h"

#include <string.h>

#include "cli/format.h"
#include "cli/js.h"

/* How many of the words the name is made of, or 0 when it does not begin them. */
static unsigned name_matches(const char *name, char *const *words)
{
    g_auto(GStrv) parts = g_strsplit(name, " ", -1);
    unsigned n = 0;
    for (; parts[n] != NULL; n++) {
        if (words[n] == NULL || strcmp(words[n], parts[n]) != 0) {
            return 0;
        }
    }
    return n;
}

const struct cli_command *cli_command_find(char *const *words, unsigned *ret_n)
{
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        unsigned n = name_matches(command->name, words);
        if (n > 0) {
            *ret_n = n;
            return command;
        }
    }
    return NULL;
}

static const struct cli_option *find_option(const struct cli_command *command, const char *name)
{
    const struct cli_option *lists[] = {command->options, cli_common_options};
    for (unsigned i = 0; i < G_N_ELEMENTS(lists); i++) {
        for (const struct cli_option *option = lists[i]; option != NULL && option->name != NULL; option++) {
            if (strcmp(option->name, name) == 0) {
                return option;
            }
        }
    }
    return NULL;
}

static int take_option(const struct cli_command *command, char *const **at, struct cli_arguments *arguments,
                       struct cli_error *error)
{
    const char *text = **at + 2;
    const char *equals = strchr(text, '=');
    g_autofree char *name = equals != NULL ? g_strndup(text, (size_t)(equals - text)) : g_strdup(text);
    const struct cli_option *option = find_option(command, name);
    const char *value = equals != NULL ? equals + 1 : "";
    if (option == NULL) {
        return cli_error_set(error, CLI_USAGE, "there is no option --%s", name);
    }
    if (option->value == NULL && equals != NULL) {
        return cli_error_set(error, CLI_USAGE, "--%s takes no value", name);
    }
    if (option->value != NULL && equals == NULL) {
        value = *++*at;
        if (value == NULL) {
            --*at;
            return cli_error_set(error, CLI_USAGE, "--%s needs a value: --%s %s", name, name, option->value);
        }
    }
    GPtrArray *values = g_hash_table_lookup(arguments->options, option->name);
    if (values == NULL) {
        values = g_ptr_array_new();
        g_hash_table_insert(arguments->options, (char *)option->name, values);
    } else if (!option->repeats && option->value != NULL) {
        return cli_error_set(error, CLI_USAGE, "--%s is given twice", name);
    }
    g_ptr_array_add(values, (char *)value);
    return CLI_OK;
}

static int check_words(const struct cli_command *command, const struct cli_arguments *arguments,
                       struct cli_error *error)
{
    unsigned given = arguments->words->len;
    unsigned allowed = 0;
    for (; allowed < G_N_ELEMENTS(command->words) && command->words[allowed].name != NULL; allowed++) {
        const struct cli_word *word = &command->words[allowed];
        if (allowed >= given && !word->optional) {
            return cli_error_set(error, CLI_USAGE, "%s is missing", word->name);
        }
        if (word->repeats) {
            return CLI_OK;
        }
    }
    if (given > allowed) {
        return cli_error_set(error, CLI_USAGE, "\"%s\" is one word too many",
                             (char *)arguments->words->pdata[allowed]);
    }
    return CLI_OK;
}

int cli_arguments_parse(const struct cli_command *command, char *const *words, struct cli_arguments *ret,
                        struct cli_error *error)
{
    struct cli_arguments arguments = {
        .words = g_ptr_array_new(),
        .options = g_hash_table_new_full(g_str_hash, g_str_equal, NULL, (GDestroyNotify)g_ptr_array_unref),
    };
    int code = CLI_OK;
    bool only_words = false;
    for (char *const *at = words; code == CLI_OK && *at != NULL; at++) {
        if (!only_words && strcmp(*at, "--") == 0) {
            only_words = true;
        } else if (!only_words && strcmp(*at, "-h") == 0) {
            g_hash_table_insert(arguments.options, "help", g_ptr_array_new());
        } else if (!only_words && g_str_has_prefix(*at, "--")) {
            code = take_option(command, &at, &arguments, error);
        } else if (!only_words && (*at)[0] == '-' && (*at)[1] != '\0') {
            code = cli_error_set(error, CLI_USAGE, "there is no option %s", *at);
        } else {
            g_ptr_array_add(arguments.words, *at);
        }
    }
    if (code == CLI_OK && !cli_flag(&arguments, "help")) {
        code = check_words(command, &arguments, error);
    }
    if (code != CLI_OK) {
        cli_arguments_clear(&arguments);
        return code;
    }
    *ret = arguments;
    return CLI_OK;
}

void cli_arguments_clear(struct cli_arguments *arguments)
{
    g_clear_pointer(&arguments->words, g_ptr_array_unref);
    g_clear_pointer(&arguments->options, g_hash_table_unref);
}

const char *cli_word(const struct cli_arguments *arguments, unsigned n)
{
    return n < arguments->words->len ? arguments->words->pdata[n] : NULL;
}

const GPtrArray *cli_option_all(const struct cli_arguments *arguments, const char *name)
{
    return g_hash_table_lookup(arguments->options, name);
}

const char *cli_option(const struct cli_arguments *arguments, const char *name)
{
    const GPtrArray *values = cli_option_all(arguments, name);
    return values != NULL ? values->pdata[values->len - 1] : NULL;
}

bool cli_flag(const struct cli_arguments *arguments, const char *name)
{
    return g_hash_table_contains(arguments->options, name);
}

int cli_option_int(const struct cli_arguments *arguments, const char *name, int64_t min, int64_t max,
                   int64_t fallback, int64_t *ret, struct cli_error *error)
{
    const char *text = cli_option(arguments, name);
    int64_t number = fallback;
    if (text != NULL && cli_parse_int(text, min, max, &number) != 0) {
        return cli_error_set(error, CLI_USAGE,
                             "--%s takes a number from %" G_GINT64_FORMAT " to %" G_GINT64_FORMAT
                             ", not \"%s\"",
                             name, min, max, text);
    }
    *ret = number;
    return CLI_OK;
}

void cli_print_json(struct cli *cli, json_object *document)
{
    fprintf(cli->out, "%s\n",
            json_object_to_json_string_ext(document, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_SPACED |
                                                         JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(document);
}

void cli_show_error(struct cli *cli)
{
    if (cli->error.code != CLI_OK) {
        g_autofree char *text = cli_printable(cli->error.message, true);
        fprintf(cli->err, "tenkyu: %s\n", text);
        cli_error_clear(&cli->error);
    }
}
