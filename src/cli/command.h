// SPDX-License-Identifier: Apache-2.0
/*
 * What a command is: a row of one table (commands.c), from which the parser, the help, the usage lines and
 * the shell completion are made. To add a command, write its function and add its row.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/error.h"

struct cli_client;
struct cli;

/* What a word of the command line names; tells the shell completion what to offer. */
enum cli_word_kind {
    CLI_WORD_TEXT = 1,  /* nothing can be offered */
    CLI_WORD_FILE,      /* a file of this machine */
    CLI_WORD_VM,        /* a virtual machine by name */
    CLI_WORD_DATASTORE, /* a datastore by name */
    CLI_WORD_COMMAND,   /* a command of the table */
};

struct cli_word {
    const char *name; /* as the help shows it, such as "NAME"; NULL ends a list */
    enum cli_word_kind kind;
    bool optional;
    bool repeats; /* takes all words that follow; the last of its list */
};

struct cli_option {
    const char *name;        /* without the dashes; NULL ends a list */
    const char *value;       /* as the help shows it, such as "N"; NULL: the option takes no value */
    enum cli_word_kind kind; /* of the value */
    bool repeats;            /* may be given several times */
    const char *help;        /* half a sentence */
};

/* The words and options of one command line, checked against its command. */
struct cli_arguments {
    GPtrArray *words;    /* of char *, borrowed from argv */
    GHashTable *options; /* name -> GPtrArray of values (char *, borrowed; "" for an option without) */
};

struct cli_command {
    const char *name;    /* "vm create"; NULL ends the table */
    const char *summary; /* one line, for lists of commands */
    const char *details; /* further text for `tenkyu help NAME`, lines of at most 78 columns; or NULL */
    struct cli_word words[4];
    const struct cli_option *options;
    /* Returns CLI_OK, or an exit code with cli->error set. */
    int (*run)(struct cli *cli, const struct cli_arguments *arguments);
};

/* All commands in the order of the help, ended by a NULL name. */
extern const struct cli_command cli_commands[];
/* Options that every command takes. */
extern const struct cli_option cli_common_options[];

/* What a running command works with. One for the process, on its main thread. */
struct cli {
    FILE *out;
    FILE *err;
    bool json; /* --json */
    struct cli_error error;
    struct cli_client *client; /* owned; NULL until cli_connect() */
    json_object *content;      /* ServiceContent of the server; owned; NULL until cli_connect() */
    bool transient;            /* the session was opened for this command alone, and ends with it */
};

/* Finds the command that the first words name, and how many words that is; NULL when there is none. */
const struct cli_command *cli_command_find(char *const *words, unsigned *ret_n);
/* Sorts the words that follow the command's name into arguments. CLI_USAGE with error set; CLI_OK and
 * *ret is to be freed with cli_arguments_clear(). */
int cli_arguments_parse(const struct cli_command *command, char *const *words, struct cli_arguments *ret,
                        struct cli_error *error);
void cli_arguments_clear(struct cli_arguments *arguments);
/* The n-th word; NULL when there are not as many. */
const char *cli_word(const struct cli_arguments *arguments, unsigned n);
/* The value of an option, the last of several; NULL when it was not given. */
const char *cli_option(const struct cli_arguments *arguments, const char *name);
/* All values of an option that repeats, or NULL. Belongs to the arguments. */
const GPtrArray *cli_option_all(const struct cli_arguments *arguments, const char *name);
bool cli_flag(const struct cli_arguments *arguments, const char *name);
/* An option whose value is a whole number; fallback when it was not given. CLI_USAGE with error set. */
int cli_option_int(const struct cli_arguments *arguments, const char *name, int64_t min, int64_t max,
                   int64_t fallback, int64_t *ret, struct cli_error *error);

/* Writes a document, indented and ended by a newline, and lets go of it. */
void cli_print_json(struct cli *cli, json_object *document);
/* Shows and clears cli->error, for commands that go on after it. */
void cli_show_error(struct cli *cli);
