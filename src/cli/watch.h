// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting for the server: for properties to change, and for tasks to end. The server tells; nothing is
 * polled. Each wait has a property collector of its own, because commands that run at the same time share
 * a session, and with it the session's default collector.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "cli/error.h"

struct cli;

/*
 * Called for each value that a watched property has at first and takes later. id is that of the object.
 * path is NULL when the object is gone; value (out of its box) is NULL when the property is unset.
 */
typedef void (*cli_change_fn)(void *data, const char *id, const char *path, json_object *value);
/* Asked after the changes of each answer: whether the wait is over. */
typedef bool (*cli_done_fn)(void *data);

struct cli_watch {
    const char *type;         /* of all the objects */
    json_object *refs;        /* array of references, borrowed */
    const char *const *paths; /* of the properties */
    cli_change_fn change;
    cli_done_fn done;
    void *data;    /* for both */
    int timeout_s; /* 0: none */
};

/* Watches until done() says so. CLI_FAILED with a fault "Timedout" in cli->error after timeout_s. */
int cli_watch(struct cli *cli, const struct cli_watch *watch);

/* A task that is waited for. */
struct cli_task {
    char *label;      /* for progress, such as "starting web1"; owned */
    json_object *ref; /* of the Task; owned; NULL: not started, is not waited for */
    bool finished;
    int percent;            /* last progress, or -1 */
    json_object *info;      /* TaskInfo when finished; owned; NULL when the task is gone */
    struct cli_error error; /* why it could not be started, or failed */
};

/*
 * Waits until all tasks are finished, with progress on the terminal; then each has its info, and its error
 * where it failed. CLI_OK also when tasks failed; an exit code when the wait itself did.
 */
int cli_wait_tasks(struct cli *cli, struct cli_task *tasks, size_t n);
void cli_task_clear(struct cli_task *task);

/*
 * Calls a method that gives a task, and waits for it. arguments are taken. *ret_result (may be NULL) is the
 * task's result out of its box, or NULL. A failed task is a failure with its fault as error.
 */
int cli_call_task(struct cli *cli, json_object *ref, const char *method, json_object *arguments,
                  const char *label, json_object **ret_result);
