// SPDX-License-Identifier: Apache-2.0
/*
 * host show, task list, event list.
 */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/table.h"

#define MIB ((int64_t)1024 * 1024)

/* ---- host ----------------------------------------------------------------------------------------- */

static json_object *host_document(struct cli *cli, json_object *host)
{
    json_object *hardware = js_at(host, "summary.hardware");
    json_object *runtime = js_at(host, "summary.runtime");
    json_object *stats = js_at(host, "summary.quickStats");
    return js_object(
        NULL, "id:s", js_text(host, "ref.value"), "name:s", js_text(host, "name"), "url:s",
        cli_client_url(cli->client), "product:s", js_text(cli->content, "about.fullName"), "vendor:s",
        js_text(hardware, "vendor"), "model:s", js_text(hardware, "model"), "cpu:s",
        js_text(hardware, "cpuModel"), "cpu_mhz:l", js_int(hardware, "cpuMhz", 0), "cpu_cores:l",
        js_int(hardware, "numCpuCores", 0), "cpu_threads:l", js_int(hardware, "numCpuThreads", 0),
        "memory_bytes:l", js_int(hardware, "memorySize", 0), "cpu_usage_mhz:l",
        js_int(stats, "overallCpuUsage", 0), "memory_usage_bytes:l",
        js_int(stats, "overallMemoryUsage", 0) * MIB, "connection:s", js_text(runtime, "connectionState"),
        "maintenance:b", js_bool(runtime, "inMaintenanceMode"), "boot_time:s", js_text(runtime, "bootTime"),
        "vms:l", (int64_t)js_length(js_at(host, "vm")), "datastores:l",
        (int64_t)js_length(js_at(host, "datastore")), NULL);
}

static void print_host(struct cli *cli, json_object *host)
{
    g_autofree char *memory = cli_format_bytes(js_int(host, "memory_bytes", 0));
    g_autofree char *used = cli_format_bytes(js_int(host, "memory_usage_bytes", 0));
    g_autofree char *boot = cli_format_time(js_text(host, "boot_time"));
    g_autofree char *cpu =
        g_strdup_printf("%s, %d cores, %d threads", js_text(host, "cpu") != NULL ? js_text(host, "cpu") : "?",
                        (int)js_int(host, "cpu_cores", 0), (int)js_int(host, "cpu_threads", 0));
    int64_t mhz = js_int(host, "cpu_mhz", 0) * js_int(host, "cpu_cores", 0);
    const struct {
        const char *name;
        char *text; /* owned */
    } facts[] = {
        {"name", g_strdup(js_text(host, "name"))},
        {"id", g_strdup(js_text(host, "id"))},
        {"address", g_strdup(js_text(host, "url"))},
        {"product", g_strdup(js_text(host, "product"))},
        {"machine", g_strjoin(" ", js_text(host, "vendor") != NULL ? js_text(host, "vendor") : "?",
                              js_text(host, "model"), NULL)},
        {"cpu", g_steal_pointer(&cpu)},
        {"cpu in use", g_strdup_printf("%d of %d MHz", (int)js_int(host, "cpu_usage_mhz", 0), (int)mhz)},
        {"memory in use", g_strdup_printf("%s of %s", used, memory)},
        {"state",
         g_strdup_printf("%s%s", js_text(host, "connection") != NULL ? js_text(host, "connection") : "?",
                         js_bool(host, "maintenance") ? ", in maintenance mode" : "")},
        {"up since", g_steal_pointer(&boot)},
        {"machines", g_strdup_printf("%d virtual machines, %d datastores", (int)js_int(host, "vms", 0),
                                     (int)js_int(host, "datastores", 0))},
    };
    for (unsigned i = 0; i < G_N_ELEMENTS(facts); i++) {
        g_autofree char *shown = cli_printable(facts[i].text != NULL ? facts[i].text : "-", false);
        fprintf(cli->out, "%-14s %s\n", facts[i].name, shown);
        g_free(facts[i].text);
    }
}

int cli_run_host_show(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    static const char *const paths[] = {"name", "summary", "vm", "datastore", NULL};
    g_autoptr(json_object) hosts = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_list_objects(cli, "HostSystem", paths, &hosts);
    }
    if (code != CLI_OK) {
        return code;
    }
    cli_sort(hosts, "name");
    g_autoptr(json_object) documents = json_object_new_array();
    for (size_t i = 0; i < js_length(hosts); i++) {
        json_object_array_add(documents, host_document(cli, json_object_array_get_idx(hosts, i)));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    for (size_t i = 0; i < js_length(documents); i++) {
        fputs(i > 0 ? "\n" : "", cli->out);
        print_host(cli, json_object_array_get_idx(documents, i));
    }
    return CLI_OK;
}

/* ---- tasks ---------------------------------------------------------------------------------------- */

static json_object *task_document(json_object *task)
{
    json_object *info = js_at(task, "info");
    json_object *progress = js_at(info, "progress");
    const char *name = js_text(info, "name");
    return js_object(NULL, "id:s", js_text(task, "ref.value"), "operation:s",
                     name != NULL ? name : js_text(info, "descriptionId"), "target:s",
                     js_text(info, "entityName"), "state:s", js_text(info, "state"), "progress:o",
                     js_share(progress), "user:s", js_text(info, "reason.userName"), "queued:s",
                     js_text(info, "queueTime"), "started:s", js_text(info, "startTime"), "completed:s",
                     js_text(info, "completeTime"), "error:s", js_text(info, "error.localizedMessage"), NULL);
}

static void add_task(struct cli_table *table, json_object *task)
{
    int64_t progress = js_int(task, "progress", -1);
    g_autofree char *state = progress >= 0 && progress < 100
                                 ? g_strdup_printf("%s %d %%", js_text(task, "state"), (int)progress)
                                 : g_strdup(js_text(task, "state"));
    cli_table_take(table, cli_format_time(js_text(task, "queued")));
    cli_table_add(table, js_text(task, "id"));
    cli_table_add(table, js_text(task, "operation"));
    cli_table_add(table, js_text(task, "target"));
    cli_table_add(table, js_text(task, "user"));
    cli_table_add(table, state);
    cli_table_add(table, js_text(task, "error"));
}

int cli_run_task_list(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) refs = NULL;
    g_autoptr(json_object) tasks = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code =
            cli_client_get(cli->client, js_at(cli->content, "taskManager"), "recentTask", &refs, &cli->error);
    }
    if (code == CLI_OK) {
        code = cli_read_objects(cli, "Task", refs, (const char *[]){"info", NULL}, &tasks);
    }
    if (code != CLI_OK) {
        return code;
    }
    cli_sort(tasks, "info.queueTime");
    g_autoptr(json_object) documents = json_object_new_array();
    for (size_t i = 0; i < js_length(tasks); i++) {
        json_object_array_add(documents, task_document(json_object_array_get_idx(tasks, i)));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table =
        cli_table_new((const char *[]){"TIME", "ID", "OPERATION", "TARGET", "USER", "STATE", "ERROR", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        add_task(table, json_object_array_get_idx(documents, i));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

/* ---- events --------------------------------------------------------------------------------------- */

static json_object *event_document(json_object *event)
{
    const char *target = js_text(event, "vm.name");
    target = target != NULL ? target : js_text(event, "ds.name");
    target = target != NULL ? target : js_text(event, "host.name");
    return js_object(NULL, "key:l", js_int(event, "key", 0), "time:s", js_text(event, "createdTime"),
                     "type:s", js_type(event), "user:s", js_text(event, "userName"), "target:s", target,
                     "message:s", js_text(event, "fullFormattedMessage"), NULL);
}

static int compare_keys(const void *a, const void *b)
{
    int64_t left = js_int(*(json_object *const *)a, "key", 0);
    int64_t right = js_int(*(json_object *const *)b, "key", 0);
    return (left > right) - (left < right);
}

int cli_run_event_list(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) events = NULL;
    int64_t count = 0;
    int code = cli_option_int(arguments, "count", 1, 100000, 20, &count, &cli->error);
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK) {
        json_object *filter = js_object("EventFilterSpec", "maxCount:i", (int)count, NULL);
        code = cli_client_call(cli->client, js_at(cli->content, "eventManager"), "QueryEvents",
                               js_object(NULL, "filter:o", filter, NULL), &events, &cli->error);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) documents = json_object_new_array();
    size_t n = js_length(events);
    if (n > 0) {
        json_object_array_sort(events, compare_keys); /* the order of an answer is the server's choice */
    }
    for (size_t i = n > (size_t)count ? n - (size_t)count : 0; i < n; i++) {
        json_object_array_add(documents, event_document(json_object_array_get_idx(events, i)));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"TIME", "USER", "TARGET", "WHAT", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        json_object *event = json_object_array_get_idx(documents, i);
        const char *message = js_text(event, "message");
        cli_table_take(table, cli_format_time(js_text(event, "time")));
        cli_table_add(table, js_text(event, "user"));
        cli_table_add(table, js_text(event, "target"));
        cli_table_add(table, message != NULL ? message : js_text(event, "type"));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}
