// SPDX-License-Identifier: Apache-2.0
/*
 * vm start, stop, shutdown, reset, suspend, resume, destroy, unregister: one operation on virtual machines
 * by name. All names are looked up before anything is done, so that a mistyped one does no harm; then all
 * operations are under way at the same time, and one that fails does not hold up the others.
 */
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/progress.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "cli/vm_view.h"
#include "cli/watch.h"

struct operation {
    const char *method;
    const char *doing; /* "starting" */
    const char *done;  /* "started" */
    const char *needs; /* power state that it makes sense in, or NULL to leave that to the server */
    const char *hint;  /* what to run first after the fault InvalidPowerState; takes the name. Or NULL */
};

/* One virtual machine of the command line. */
struct job {
    json_object *object; /* with "name" and "runtime.powerState"; borrowed */
    struct cli_task task;
    bool is_off; /* shutdown: has been seen powered off, or gone */
};

static const char *job_name(const struct job *job)
{
    const char *name = js_text(job->object, "name");
    return name != NULL ? name : js_text(job->object, "ref.value");
}

/* ---- which ---------------------------------------------------------------------------------------- */

/* Finds the objects of all names; *ret_objects keeps them alive. A name that is given twice counts once. */
static int find_jobs(struct cli *cli, const struct cli_arguments *arguments, json_object **ret_objects,
                     GArray *jobs)
{
    static const char *const paths[] = {"name", "runtime.powerState", NULL};
    g_autoptr(json_object) objects = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_list_objects(cli, "VirtualMachine", paths, &objects);
    }
    for (unsigned i = 0; code == CLI_OK && i < arguments->words->len; i++) {
        size_t index = 0;
        code = cli_choose(objects, "virtual machine", cli_word(arguments, i), &index, &cli->error);
        struct job job = {.object = json_object_array_get_idx(objects, index)};
        bool known = code != CLI_OK;
        for (unsigned j = 0; j < jobs->len && !known; j++) {
            known = g_array_index(jobs, struct job, j).object == job.object;
        }
        if (!known) {
            g_array_append_val(jobs, job);
        }
    }
    *ret_objects = g_steal_pointer(&objects);
    return code;
}

static void clear_job(void *data)
{
    cli_task_clear(&((struct job *)data)->task);
}

/* ---- outcome -------------------------------------------------------------------------------------- */

static json_object *outcome_document(const struct job *job)
{
    const struct cli_error *error = &job->task.error;
    bool ok = error->code == CLI_OK;
    json_object *failure =
        ok ? NULL : js_object(NULL, "fault:s", error->fault, "message:s", error->message, NULL);
    return js_object(NULL, "id:s", js_text(job->object, "ref.value"), "name:s", job_name(job), "ok:b", ok,
                     "error:o", failure, NULL);
}

/* Shows how each ended; the exit code is that of the first failure. */
static int show_outcomes(struct cli *cli, GArray *jobs, const char *done)
{
    int code = CLI_OK;
    json_object *documents = json_object_new_array();
    for (unsigned i = 0; i < jobs->len; i++) {
        struct job *job = &g_array_index(jobs, struct job, i);
        json_object_array_add(documents, outcome_document(job));
        g_autofree char *name = cli_printable(job_name(job), false);
        if (job->task.error.code != CLI_OK) {
            code = code == CLI_OK ? (int)job->task.error.code : code;
            cli_error_set(&cli->error, job->task.error.code, "%s: %s", job_name(job),
                          job->task.error.message);
            cli_show_error(cli);
        } else if (!cli->json) {
            fprintf(cli->out, "%s is %s.\n", name, done);
        }
    }
    if (cli->json) {
        cli_print_json(cli, documents);
    } else {
        json_object_put(documents);
    }
    return code;
}

/* ---- doing ---------------------------------------------------------------------------------------- */

static void start_job(struct cli *cli, const struct operation *operation, struct job *job)
{
    const char *state = js_text(job->object, "runtime.powerState");
    job->task.label = g_strdup_printf("%s %s", operation->doing, job_name(job));
    if (operation->needs != NULL && g_strcmp0(state, operation->needs) != 0) {
        cli_error_set(&job->task.error, CLI_FAILED, "it is not %s but %s", cli_power_word(operation->needs),
                      cli_power_word(state));
        return;
    }
    cli_client_call(cli->client, js_at(job->object, "ref"), operation->method, NULL, &job->task.ref,
                    &job->task.error);
}

static void add_hint(const struct operation *operation, struct job *job)
{
    struct cli_error *error = &job->task.error;
    if (operation->hint == NULL || !cli_error_is(error, "InvalidPowerState")) {
        return;
    }
    g_autofree char *before = g_steal_pointer(&error->message);
    error->message = g_strdup_printf("%s; run `tenkyu %s %s` first", before, operation->hint, job_name(job));
}

static int do_jobs(struct cli *cli, const struct operation *operation, GArray *jobs)
{
    g_autofree struct cli_task *tasks = g_new0(struct cli_task, jobs->len);
    for (unsigned i = 0; i < jobs->len; i++) {
        struct job *job = &g_array_index(jobs, struct job, i);
        start_job(cli, operation, job);
        tasks[i] = job->task;
    }
    int code = cli_wait_tasks(cli, tasks, jobs->len);
    for (unsigned i = 0; i < jobs->len; i++) {
        struct job *job = &g_array_index(jobs, struct job, i);
        job->task = tasks[i];
        add_hint(operation, job);
    }
    return code != CLI_OK ? code : show_outcomes(cli, jobs, operation->done);
}

static int run_operation(struct cli *cli, const struct cli_arguments *arguments,
                         const struct operation *operation)
{
    g_autoptr(json_object) objects = NULL;
    g_autoptr(GArray) jobs = g_array_new(FALSE, TRUE, sizeof(struct job));
    g_array_set_clear_func(jobs, clear_job);
    int code = find_jobs(cli, arguments, &objects, jobs);
    return code == CLI_OK ? do_jobs(cli, operation, jobs) : code;
}

int cli_run_vm_start(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"PowerOnVM_Task", "starting", "on", NULL, NULL};
    return run_operation(cli, arguments, &operation);
}

int cli_run_vm_stop(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"PowerOffVM_Task", "stopping", "off", NULL, NULL};
    return run_operation(cli, arguments, &operation);
}

int cli_run_vm_reset(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"ResetVM_Task", "resetting", "reset", NULL, "vm start"};
    return run_operation(cli, arguments, &operation);
}

int cli_run_vm_suspend(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"SuspendVM_Task", "suspending", "suspended", NULL, "vm start"};
    return run_operation(cli, arguments, &operation);
}

int cli_run_vm_resume(struct cli *cli, const struct cli_arguments *arguments)
{
    /* The API has one method for both; started from nothing by "resume" would be a surprise. */
    static const struct operation operation = {"PowerOnVM_Task", "resuming", "on", "suspended", NULL};
    return run_operation(cli, arguments, &operation);
}

/* ---- destroy, unregister -------------------------------------------------------------------------- */

static int confirm_destroy(struct cli *cli, const struct cli_arguments *arguments, GArray *jobs)
{
    if (cli_flag(arguments, "yes")) {
        return CLI_OK;
    }
    if (!cli_can_ask()) {
        return cli_error_set(&cli->error, CLI_USAGE,
                             "this deletes all files of the virtual machine; add --yes");
    }
    g_autoptr(GString) question = g_string_new("Delete with all files: ");
    for (unsigned i = 0; i < jobs->len; i++) {
        g_string_append_printf(question, "%s%s", i > 0 ? ", " : "",
                               job_name(&g_array_index(jobs, struct job, i)));
    }
    g_string_append_c(question, '?');
    return cli_ask_yes(question->str) ? CLI_OK
                                      : cli_error_set(&cli->error, CLI_FAILED, "nothing was deleted");
}

int cli_run_vm_destroy(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"Destroy_Task", "deleting", "deleted", NULL, "vm stop"};
    g_autoptr(json_object) objects = NULL;
    g_autoptr(GArray) jobs = g_array_new(FALSE, TRUE, sizeof(struct job));
    g_array_set_clear_func(jobs, clear_job);
    int code = find_jobs(cli, arguments, &objects, jobs);
    if (code == CLI_OK) {
        code = confirm_destroy(cli, arguments, jobs);
    }
    return code == CLI_OK ? do_jobs(cli, &operation, jobs) : code;
}

int cli_run_vm_unregister(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"UnregisterVM", "unregistering", "unregistered", NULL,
                                               "vm stop"};
    g_autoptr(json_object) objects = NULL;
    g_autoptr(GArray) jobs = g_array_new(FALSE, TRUE, sizeof(struct job));
    g_array_set_clear_func(jobs, clear_job);
    int code = find_jobs(cli, arguments, &objects, jobs);
    for (unsigned i = 0; code == CLI_OK && i < jobs->len; i++) {
        struct job *job = &g_array_index(jobs, struct job, i);
        start_job(cli, &operation, job); /* not a task: done when it returns */
        add_hint(&operation, job);
    }
    return code != CLI_OK ? code : show_outcomes(cli, jobs, operation.done);
}

/* ---- shutdown ------------------------------------------------------------------------------------- */

struct shutdown_wait {
    GArray *jobs; /* of struct job, borrowed */
    struct cli_progress progress;
};

static void on_power_change(void *data, const char *id, const char *path, json_object *value)
{
    struct shutdown_wait *wait = data;
    const char *state = json_object_get_string(value);
    for (unsigned i = 0; i < wait->jobs->len; i++) {
        struct job *job = &g_array_index(wait->jobs, struct job, i);
        if (g_strcmp0(js_text(job->object, "ref.value"), id) == 0) {
            job->is_off = path == NULL || g_strcmp0(state, "poweredOff") == 0;
        }
    }
}

static bool all_off(void *data)
{
    struct shutdown_wait *wait = data;
    for (unsigned i = 0; i < wait->jobs->len; i++) {
        const struct job *job = &g_array_index(wait->jobs, struct job, i);
        if (job->task.error.code == CLI_OK && !job->is_off) {
            g_autofree char *label = g_strdup_printf("waiting for %s to shut down", job_name(job));
            cli_progress_percent(&wait->progress, label, -1);
            return false;
        }
    }
    return true;
}

static int wait_until_off(struct cli *cli, GArray *jobs, int timeout_s)
{
    struct shutdown_wait wait = {.jobs = jobs};
    g_autoptr(json_object) refs = json_object_new_array();
    for (unsigned i = 0; i < jobs->len; i++) {
        const struct job *job = &g_array_index(jobs, struct job, i);
        if (job->task.error.code == CLI_OK) {
            json_object_array_add(refs, js_share(js_at(job->object, "ref")));
        }
    }
    if (js_length(refs) == 0) {
        return CLI_OK;
    }
    cli_progress_begin(&wait.progress, cli->err);
    int code = cli_watch(cli, &(struct cli_watch){
                                  .type = "VirtualMachine",
                                  .refs = refs,
                                  .paths = (const char *[]){"runtime.powerState", NULL},
                                  .change = on_power_change,
                                  .done = all_off,
                                  .data = &wait,
                                  .timeout_s = timeout_s,
                              });
    cli_progress_end(&wait.progress);
    if (code == CLI_OK || !cli_error_is(&cli->error, "Timedout")) {
        return code;
    }
    cli_error_clear(&cli->error);
    for (unsigned i = 0; i < jobs->len; i++) {
        struct job *job = &g_array_index(jobs, struct job, i);
        if (job->task.error.code == CLI_OK && !job->is_off) {
            cli_error_set(&job->task.error, CLI_FAILED,
                          "the guest has not shut down in %d s; `tenkyu vm stop %s` powers it off", timeout_s,
                          job_name(job));
        }
    }
    return CLI_OK;
}

int cli_run_vm_shutdown(struct cli *cli, const struct cli_arguments *arguments)
{
    static const struct operation operation = {"ShutdownGuest", "shutting down", "off", NULL, NULL};
    g_autoptr(json_object) objects = NULL;
    g_autoptr(GArray) jobs = g_array_new(FALSE, TRUE, sizeof(struct job));
    int64_t timeout_s = 0;
    g_array_set_clear_func(jobs, clear_job);
    int code = cli_option_int(arguments, "timeout", 1, 86400, 120, &timeout_s, &cli->error);
    if (code == CLI_OK) {
        code = find_jobs(cli, arguments, &objects, jobs);
    }
    for (unsigned i = 0; code == CLI_OK && i < jobs->len; i++) {
        start_job(cli, &operation, &g_array_index(jobs, struct job, i));
    }
    if (code == CLI_OK) {
        code = wait_until_off(cli, jobs, (int)timeout_s);
    }
    return code != CLI_OK ? code : show_outcomes(cli, jobs, operation.done);
}
