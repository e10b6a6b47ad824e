// SPDX-License-Identifier: Apache-2.0
/*
 * Waiting for changes and tasks; see watch.h.
 */
#include "cli/watch.h"

#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/js.h"
#include "cli/progress.h"

/* Longest single wait: proxies cut connections that are silent for longer than some minutes. */
enum { WAIT_S = 50 };

/* ---- watching ------------------------------------------------------------------------------------- */

static json_object *watch_filter(const struct cli_watch *watch)
{
    json_object *object_set = json_object_new_array();
    for (size_t i = 0; i < js_length(watch->refs); i++) {
        json_object *ref = json_object_array_get_idx(watch->refs, i);
        json_object_array_add(object_set, js_object("ObjectSpec", "obj:o", js_share(ref), "skip:b", 0, NULL));
    }
    json_object *properties = js_object("PropertySpec", "type:s", watch->type, "all:b", 0, "pathSet:o",
                                        js_strings(watch->paths), NULL);
    return js_object("PropertyFilterSpec", "propSet:o", js_array(properties, NULL), "objectSet:o", object_set,
                     "reportMissingObjectsInResults:b", 1, NULL);
}

static void report_object(const struct cli_watch *watch, json_object *update)
{
    const char *id = js_ref_id(js_at(update, "obj"));
    json_object *changes = js_at(update, "changeSet");
    if (id == NULL) {
        return;
    }
    if (g_strcmp0(js_text(update, "kind"), "leave") == 0) {
        watch->change(watch->data, id, NULL, NULL);
        return;
    }
    for (size_t i = 0; i < js_length(changes); i++) {
        json_object *change = json_object_array_get_idx(changes, i);
        const char *name = js_text(change, "name");
        if (name != NULL) {
            watch->change(watch->data, id, name, js_unbox(js_at(change, "val")));
        }
    }
}

static void report(const struct cli_watch *watch, json_object *update_set)
{
    json_object *filters = js_at(update_set, "filterSet");
    for (size_t i = 0; i < js_length(filters); i++) {
        json_object *objects = js_at(json_object_array_get_idx(filters, i), "objectSet");
        for (size_t j = 0; j < js_length(objects); j++) {
            report_object(watch, json_object_array_get_idx(objects, j));
        }
    }
}

static int wait_for_updates(struct cli *cli, json_object *collector, const struct cli_watch *watch)
{
    g_autofree char *version = g_strdup("");
    int64_t end_us = g_get_monotonic_time() + (int64_t)watch->timeout_s * G_USEC_PER_SEC;
    for (;;) {
        g_autoptr(json_object) updates = NULL;
        int64_t left_s = WAIT_S;
        if (watch->timeout_s > 0) {
            left_s = (end_us - g_get_monotonic_time() + G_USEC_PER_SEC - 1) / G_USEC_PER_SEC;
        }
        if (left_s <= 0) {
            return cli_error_set_fault(&cli->error, "Timedout", "it takes too long");
        }
        json_object *options = js_object("WaitOptions", "maxWaitSeconds:i", (int)MIN(left_s, WAIT_S), NULL);
        int code = cli_client_call(cli->client, collector, "WaitForUpdatesEx",
                                   js_object(NULL, "version:s", version, "options:o", options, NULL),
                                   &updates, &cli->error);
        if (code != CLI_OK) {
            return code;
        }
        report(watch, updates);
        bool more = js_bool(updates, "truncated"); /* the first state may come in several answers */
        if (!more && watch->done(watch->data)) {
            return CLI_OK;
        }
        if (js_text(updates, "version") != NULL) {
            g_free(version);
            version = g_strdup(js_text(updates, "version"));
        }
    }
}

int cli_watch(struct cli *cli, const struct cli_watch *watch)
{
    g_autoptr(json_object) collector = NULL;
    int code = cli_client_call(cli->client, js_at(cli->content, "propertyCollector"),
                               "CreatePropertyCollector", NULL, &collector, &cli->error);
    if (code != CLI_OK) {
        return code;
    }
    code = cli_client_call(cli->client, collector, "CreateFilter",
                           js_object(NULL, "spec:o", watch_filter(watch), "partialUpdates:b", 0, NULL), NULL,
                           &cli->error);
    if (code == CLI_OK) {
        code = wait_for_updates(cli, collector, watch);
    }
    struct cli_error ignored = {0}; /* the collector ends with the session at the latest */
    cli_client_call(cli->client, collector, "DestroyPropertyCollector", NULL, NULL, &ignored);
    cli_error_clear(&ignored);
    return code;
}

/* ---- tasks ---------------------------------------------------------------------------------------- */

struct task_wait {
    struct cli_task *tasks;
    size_t n;
    struct cli_progress progress;
};

static void on_task_change(void *data, const char *id, const char *path, json_object *value)
{
    struct task_wait *wait = data;
    for (size_t i = 0; i < wait->n; i++) {
        struct cli_task *task = &wait->tasks[i];
        if (task->ref == NULL || strcmp(js_ref_id(task->ref), id) != 0) {
            continue;
        }
        if (path == NULL) {
            task->finished = true;
        } else if (strcmp(path, "info.state") == 0) {
            const char *state = json_object_get_string(value);
            task->finished = g_strcmp0(state, "success") == 0 || g_strcmp0(state, "error") == 0;
        } else if (strcmp(path, "info.progress") == 0) {
            task->percent = value != NULL ? json_object_get_int(value) : -1;
        }
    }
}

static bool tasks_done(void *data)
{
    struct task_wait *wait = data;
    size_t n_started = 0, n_finished = 0;
    const struct cli_task *current = NULL;
    for (size_t i = 0; i < wait->n; i++) {
        const struct cli_task *task = &wait->tasks[i];
        n_started += task->ref != NULL;
        n_finished += task->ref != NULL && task->finished;
        if (task->ref != NULL && !task->finished && current == NULL) {
            current = task;
        }
    }
    if (current != NULL) {
        g_autofree char *label =
            n_started > 1 ? g_strdup_printf("%s (%zu of %zu done)", current->label, n_finished, n_started)
                          : g_strdup(current->label);
        cli_progress_percent(&wait->progress, label, current->percent);
    }
    return current == NULL;
}

/* Reads how a finished task ended. It is asked as a whole, because result and error may be told after the
 * state. */
static int read_outcome(struct cli *cli, struct cli_task *task)
{
    struct cli_error error = {0};
    int code = cli_client_get(cli->client, task->ref, "info", &task->info, &error);
    if (code == CLI_NOT_FOUND) {
        cli_error_clear(&error);
        cli_error_set(&task->error, CLI_FAILED, "%s: the server has forgotten how this ended", task->label);
        return CLI_OK;
    }
    if (code != CLI_OK) {
        cli_error_clear(&cli->error);
        cli->error = error;
        return code;
    }
    if (g_strcmp0(js_text(task->info, "state"), "error") == 0) {
        json_object *fault = js_at(task->info, "error");
        const char *message = js_text(fault, "localizedMessage");
        cli_error_set_fault(&task->error, js_type(js_at(fault, "fault")), message);
    }
    return CLI_OK;
}

int cli_wait_tasks(struct cli *cli, struct cli_task *tasks, size_t n)
{
    struct task_wait wait = {.tasks = tasks, .n = n};
    g_autoptr(json_object) refs = json_object_new_array();
    for (size_t i = 0; i < n; i++) {
        tasks[i].percent = -1;
        if (tasks[i].ref != NULL) {
            json_object_array_add(refs, js_share(tasks[i].ref));
        }
    }
    if (js_length(refs) == 0) {
        return CLI_OK;
    }
    cli_progress_begin(&wait.progress, cli->err);
    int code = cli_watch(cli, &(struct cli_watch){
                                  .type = "Task",
                                  .refs = refs,
                                  .paths = (const char *[]){"info.state", "info.progress", NULL},
                                  .change = on_task_change,
                                  .done = tasks_done,
                                  .data = &wait,
                              });
    cli_progress_end(&wait.progress);
    for (size_t i = 0; i < n && code == CLI_OK; i++) {
        code = tasks[i].ref != NULL ? read_outcome(cli, &tasks[i]) : CLI_OK;
    }
    return code;
}

void cli_task_clear(struct cli_task *task)
{
    g_free(task->label);
    json_object_put(task->ref);
    json_object_put(task->info);
    cli_error_clear(&task->error);
    *task = (struct cli_task){0};
}

int cli_call_task(struct cli *cli, json_object *ref, const char *method, json_object *arguments,
                  const char *label, json_object **ret_result)
{
    struct cli_task task = {.label = g_strdup(label)};
    int code = cli_client_call(cli->client, ref, method, arguments, &task.ref, &cli->error);
    if (code == CLI_OK) {
        code = cli_wait_tasks(cli, &task, 1);
    }
    if (code == CLI_OK && task.error.code != CLI_OK) {
        cli_error_clear(&cli->error);
        cli->error = task.error;
        task.error = (struct cli_error){0};
        code = cli->error.code;
    }
    if (code == CLI_OK && ret_result != NULL) {
        *ret_result = js_share(js_unbox(js_at(task.info, "result")));
    }
    cli_task_clear(&task);
    return code;
}
