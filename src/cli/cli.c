// SPDX-License-Identifier: Apache-2.0
/*
 * The client's entry: finds the command in the table, runs it, shows its error.
 */
#include "cli/cli.h"

#include <string.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/help.h"
#include "cli/run.h"
#include "cli/session.h"

/* `tenkyu __complete WORD...`, called by the shell's completion: no command of the table, as it is nothing
 * that a person types. */
#define COMPLETE "__complete"

enum { COMPLETE_TIMEOUT_S = 3 };

/* "tenkyu vm" or a word that is nothing at all. */
static int no_command(const char *word, FILE *err)
{
    g_autofree char *prefix = g_strdup_printf("%s ", word);
    g_autofree char *shown = cli_printable(word, false);
    for (const struct cli_command *command = cli_commands; command->name != NULL; command++) {
        if (g_str_has_prefix(command->name, prefix)) {
            fprintf(err, "usage: tenkyu %s COMMAND ...\n\n", word);
            cli_print_commands(prefix, err);
            return CLI_USAGE;
        }
    }
    fprintf(err, "tenkyu: there is no command \"%s\"; `tenkyu help` shows them all\n", shown);
    return CLI_USAGE;
}

static int run_command(struct cli *cli, const struct cli_command *command, char *const *words)
{
    struct cli_arguments arguments = {0};
    int code = cli_arguments_parse(command, words, &arguments, &cli->error);
    if (code == CLI_OK && cli_flag(&arguments, "help")) {
        cli_print_command_help(command, cli->out);
    } else if (code == CLI_OK) {
        cli->json = cli_flag(&arguments, "json");
        code = command->run(cli, &arguments);
    }
    cli_show_error(cli);
    if (code == CLI_USAGE) {
        cli_print_usage(command, cli->err);
    }
    if (arguments.words != NULL) {
        cli_arguments_clear(&arguments);
    }
    return code;
}

/* Output that did not get out (a full disk) is a failure, also when all else went well. */
static int flush(struct cli *cli, int code)
{
    if (fflush(cli->out) != 0 && code == CLI_OK) {
        fprintf(cli->err, "tenkyu: the output cannot be written\n");
        return CLI_FAILED;
    }
    return code;
}

int cli_main(int argc, char **argv)
{
    struct cli cli = {.out = stdout, .err = stderr};
    char *help[] = {"help", NULL};
    char **words = argc > 1 ? argv + 1 : help;
    unsigned n_name = 0;
    if (strcmp(words[0], COMPLETE) == 0) {
        alarm(COMPLETE_TIMEOUT_S); /* a host that does not answer must not hold up the prompt */
        cli_complete(&cli, words + 1);
        cli_disconnect(&cli);
        return CLI_OK;
    }
    if (strcmp(words[0], "--help") == 0 || strcmp(words[0], "-h") == 0) {
        words = help;
    }
    if (strcmp(words[0], "--version") == 0) {
        words[0] = "version";
    }
    const struct cli_command *command = cli_command_find(words, &n_name);
    if (command == NULL) {
        return no_command(words[0], cli.err);
    }
    int code = run_command(&cli, command, words + n_name);
    cli_disconnect(&cli);
    return flush(&cli, code);
}
