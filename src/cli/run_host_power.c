// SPDX-License-Identifier: Apache-2.0
/*
 * host maintenance enter and exit, host reboot, host shutdown, host autostart list, set, remove, defaults.
 */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/run_host.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/watch.h"

enum { DELAY_MAX_S = 24 * 3600 };

int cli_host_property(struct cli *cli, const char *path, json_object **ret_host, json_object **ret_value)
{
    g_autoptr(json_object) hosts = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_list_objects(cli, "HostSystem", (const char *[]){"name", path, NULL}, &hosts);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (js_length(hosts) != 1) {
        return cli_error_set(&cli->error, CLI_FAILED, "the server has %zu hosts, and this is about one",
                             js_length(hosts));
    }
    json_object *host = json_object_array_get_idx(hosts, 0);
    json_object *value = js_at(host, path);
    if (value == NULL) {
        return cli_error_set(&cli->error, CLI_FAILED, "this host has no %s", path);
    }
    if (ret_host != NULL) {
        *ret_host = js_share(js_at(host, "ref"));
    }
    *ret_value = js_share(value);
    return CLI_OK;
}

/* ---- maintenance and power ------------------------------------------------------------------------ */

static int run_task(struct cli *cli, const char *method, json_object *arguments, const char *label,
                    const char *done)
{
    g_autoptr(json_object) host = NULL;
    g_autoptr(json_object) name = NULL;
    int code = cli_host_property(cli, "name", &host, &name);
    if (code != CLI_OK) {
        json_object_put(arguments);
        return code;
    }
    code = cli_call_task(cli, host, method, arguments, label, NULL);
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "name:o", js_share(name), NULL));
    } else if (code == CLI_OK) {
        fprintf(cli->out, "%s\n", done);
    }
    return code;
}

int cli_run_host_maintenance_enter(struct cli *cli, const struct cli_arguments *arguments)
{
    int64_t timeout_s = 0;
    int code = cli_option_int(arguments, "timeout", 0, G_MAXINT32, 0, &timeout_s, &cli->error);
    return code != CLI_OK ? code
                          : run_task(cli, "EnterMaintenanceMode_Task",
                                     js_object(NULL, "timeout:i", (int)timeout_s, NULL),
                                     "waiting for virtual machines to be off", "In maintenance mode.");
}

int cli_run_host_maintenance_exit(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    return run_task(cli, "ExitMaintenanceMode_Task", js_object(NULL, "timeout:i", 0, NULL),
                    "leaving maintenance mode", "In use again.");
}

static int run_power(struct cli *cli, const struct cli_arguments *arguments, const char *method,
                     const char *question, const char *done)
{
    if (!cli_flag(arguments, "yes") && !cli_can_ask()) {
        return cli_error_set(&cli->error, CLI_USAGE, "there is nobody to ask; add --yes");
    }
    if (!cli_flag(arguments, "yes") && !cli_ask_yes(question)) {
        return cli_error_set(&cli->error, CLI_FAILED, "nothing was done");
    }
    return run_task(cli, method, js_object(NULL, "force:b", cli_flag(arguments, "force"), NULL),
                    "stopping what stops with the host", done);
}

int cli_run_host_reboot(struct cli *cli, const struct cli_arguments *arguments)
{
    return run_power(cli, arguments, "RebootHost_Task", "Reboot the machine that this host runs on?",
                     "The machine reboots.");
}

int cli_run_host_shutdown(struct cli *cli, const struct cli_arguments *arguments)
{
    return run_power(cli, arguments, "ShutdownHost_Task", "Power off the machine that this host runs on?",
                     "The machine goes down.");
}

/* ---- autostart ------------------------------------------------------------------------------------ */

static int read_autostart(struct cli *cli, json_object **ret_manager, json_object **ret_config)
{
    int code = cli_host_property(cli, "configManager.autoStartManager", NULL, ret_manager);
    return code == CLI_OK ? cli_client_get(cli->client, *ret_manager, "config", ret_config, &cli->error)
                          : code;
}

static int reconfigure(struct cli *cli, json_object *manager, json_object *defaults, json_object *info)
{
    json_object *infos = info != NULL ? js_array(info, NULL) : NULL;
    json_object *spec =
        js_object("HostAutoStartManagerConfig", "defaults:o", defaults, "powerInfo:o", infos, NULL);
    return cli_client_call(cli->client, manager, "ReconfigureAutostart",
                           js_object(NULL, "spec:o", spec, NULL), NULL, &cli->error);
}

/* Seconds, or "default" for -1. */
static void add_delay(struct cli_table *table, json_object *info, const char *path)
{
    if (js_int(info, path, -1) < 0) {
        cli_table_add(table, "default");
    } else {
        cli_table_printf(table, "%d s", (int)js_int(info, path, 0));
    }
}

static void add_info(struct cli_table *table, json_object *info)
{
    if (js_int(info, "order", -1) < 0) {
        cli_table_add(table, "any");
    } else {
        cli_table_printf(table, "%d", (int)js_int(info, "order", 0));
    }
    cli_table_add(table, js_text(info, "name"));
    cli_table_add(table, js_text(info, "start"));
    add_delay(table, info, "start_delay_s");
    cli_table_add(table, js_text(info, "wait"));
    cli_table_add(table, js_text(info, "stop"));
    add_delay(table, info, "stop_delay_s");
}

static json_object *info_document(json_object *info, json_object *names)
{
    const char *id = js_ref_id(js_at(info, "key"));
    const char *name = NULL;
    for (size_t i = 0; i < js_length(names); i++) {
        json_object *vm = json_object_array_get_idx(names, i);
        name = g_strcmp0(js_text(vm, "ref.value"), id) == 0 ? js_text(vm, "name") : name;
    }
    return js_object(NULL, "id:s", id, "name:s", name, "order:l", js_int(info, "startOrder", -1), "start:s",
                     js_text(info, "startAction"), "start_delay_s:l", js_int(info, "startDelay", -1),
                     "wait:s", js_text(info, "waitForHeartbeat"), "stop:s", js_text(info, "stopAction"),
                     "stop_delay_s:l", js_int(info, "stopDelay", -1), NULL);
}

static int compare_orders(const void *a, const void *b)
{
    uint64_t left = (uint64_t)js_int(*(json_object *const *)a, "order", -1);
    uint64_t right = (uint64_t)js_int(*(json_object *const *)b, "order", -1);
    return (left > right) - (left < right);
}

static json_object *defaults_document(json_object *config)
{
    return js_object(NULL, "enabled:b", js_bool(config, "defaults.enabled"), "start_delay_s:l",
                     js_int(config, "defaults.startDelay", 0), "wait:b",
                     js_bool(config, "defaults.waitForHeartbeat"), "stop:s",
                     js_text(config, "defaults.stopAction"), "stop_delay_s:l",
                     js_int(config, "defaults.stopDelay", 0), NULL);
}

int cli_run_host_autostart_list(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) config = NULL;
    g_autoptr(json_object) names = NULL;
    int code = read_autostart(cli, &manager, &config);
    if (code == CLI_OK) {
        code = cli_list_objects(cli, "VirtualMachine", (const char *[]){"name", NULL}, &names);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) machines = json_object_new_array();
    g_autoptr(json_object) defaults = defaults_document(config);
    json_object *infos = js_at(config, "powerInfo");
    for (size_t i = 0; i < js_length(infos); i++) {
        json_object_array_add(machines, info_document(json_object_array_get_idx(infos, i), names));
    }
    json_object_array_sort(machines, compare_orders);
    if (cli->json) {
        cli_print_json(cli, js_object(NULL, "defaults:o", g_steal_pointer(&defaults), "machines:o",
                                      g_steal_pointer(&machines), NULL));
        return CLI_OK;
    }
    fprintf(cli->out, "%s; defaults: start delay %d s, %s for the guest, %s, stop delay %d s\n",
            js_bool(defaults, "enabled") ? "enabled" : "disabled", (int)js_int(defaults, "start_delay_s", 0),
            js_bool(defaults, "wait") ? "wait" : "no wait", js_text(defaults, "stop"),
            (int)js_int(defaults, "stop_delay_s", 0));
    CLI_TABLE_AUTO table = cli_table_new(
        (const char *[]){">ORDER", "NAME", "START", "DELAY", "WAIT", "STOP", "STOP DELAY", NULL});
    for (size_t i = 0; i < js_length(machines); i++) {
        add_info(table, json_object_array_get_idx(machines, i));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

/* The values of the options that set and defaults share; -2 where a number is not given. */
struct autostart_options {
    int64_t order, delay_s, stop_delay_s;
    const char *wait, *stop;
};

static int read_options(struct cli *cli, const struct cli_arguments *arguments, struct autostart_options *ret)
{
    *ret = (struct autostart_options){
        .order = -1, .wait = cli_option(arguments, "wait"), .stop = cli_option(arguments, "stop")};
    int code = cli_option_int(arguments, "delay", 0, DELAY_MAX_S, -2, &ret->delay_s, &cli->error);
    if (code == CLI_OK) {
        code = cli_option_int(arguments, "stop-delay", 0, DELAY_MAX_S, -2, &ret->stop_delay_s, &cli->error);
    }
    return code;
}

static int set_machine(struct cli *cli, const struct cli_arguments *arguments,
                       const struct autostart_options *options, const char *start)
{
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) config = NULL;
    g_autoptr(json_object) vm = NULL;
    int code = read_autostart(cli, &manager, &config);
    if (code == CLI_OK) {
        code = cli_find_vm(cli, cli_word(arguments, 0), &vm);
    }
    if (code != CLI_OK) {
        return code;
    }
    json_object *info =
        js_object("AutoStartPowerInfo", "key:o", js_share(vm), "startOrder:i", (int)options->order,
                  "startDelay:i", (int)MAX(options->delay_s, -1), "waitForHeartbeat:s",
                  options->wait != NULL ? options->wait : "systemDefault", "startAction:s", start,
                  "stopDelay:i", (int)MAX(options->stop_delay_s, -1), "stopAction:s",
                  options->stop != NULL ? options->stop : "systemDefault", NULL);
    return reconfigure(cli, manager, NULL, info);
}

int cli_run_host_autostart_set(struct cli *cli, const struct cli_arguments *arguments)
{
    struct autostart_options options;
    int code = read_options(cli, arguments, &options);
    if (code == CLI_OK) {
        code = cli_option_int(arguments, "order", 1, G_MAXINT32, -1, &options.order, &cli->error);
    }
    return code == CLI_OK ? set_machine(cli, arguments, &options, "powerOn") : code;
}

int cli_run_host_autostart_remove(struct cli *cli, const struct cli_arguments *arguments)
{
    const struct autostart_options options = {.order = -1, .delay_s = -1, .stop_delay_s = -1, .stop = "none"};
    return set_machine(cli, arguments, &options, "none");
}

int cli_run_host_autostart_defaults(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) config = NULL;
    struct autostart_options options;
    int code = read_options(cli, arguments, &options);
    bool enable = cli_flag(arguments, "enable"), disable = cli_flag(arguments, "disable");
    if (code == CLI_OK && enable && disable) {
        return cli_error_set(&cli->error, CLI_USAGE, "--enable and --disable cannot both be");
    }
    if (code == CLI_OK && options.wait != NULL && g_strcmp0(options.wait, "yes") != 0 &&
        g_strcmp0(options.wait, "no") != 0) {
        return cli_error_set(&cli->error, CLI_USAGE, "--wait: \"%s\" is not yes or no", options.wait);
    }
    if (code == CLI_OK) {
        code = read_autostart(cli, &manager, &config);
    }
    if (code != CLI_OK) {
        return code;
    }
    json_object *defaults = js_object("AutoStartDefaults", "stopAction:s", options.stop, NULL);
    if (enable || disable) {
        json_object_object_add(defaults, "enabled", json_object_new_boolean(enable));
    }
    if (options.delay_s >= 0) {
        json_object_object_add(defaults, "startDelay", json_object_new_int64(options.delay_s));
    }
    if (options.stop_delay_s >= 0) {
        json_object_object_add(defaults, "stopDelay", json_object_new_int64(options.stop_delay_s));
    }
    if (options.wait != NULL) {
        json_object_object_add(defaults, "waitForHeartbeat",
                               json_object_new_boolean(g_strcmp0(options.wait, "yes") == 0));
    }
    return reconfigure(cli, manager, defaults, NULL);
}
