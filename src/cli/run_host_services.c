// SPDX-License-Identifier: Apache-2.0
/*
 * host services, host health, host option list and set, license list, add and remove.
 */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/run_host.h"
#include "cli/session.h"
#include "cli/table.h"

/* ---- services and health -------------------------------------------------------------------------- */

/* Reads a property of the manager that a property of the host names. */
static int read_of_manager(struct cli *cli, const char *manager_path, const char *property, json_object **ret)
{
    g_autoptr(json_object) manager = NULL;
    int code = cli_host_property(cli, manager_path, NULL, &manager);
    return code == CLI_OK ? cli_client_get(cli->client, manager, property, ret, &cli->error) : code;
}

/* The ports of a ruleset: "443/tcp in". */
static json_object *ports_of(json_object *firewall, json_object *keys)
{
    json_object *ports = json_object_new_array();
    json_object *rulesets = js_at(firewall, "ruleset");
    for (size_t i = 0; i < js_length(rulesets); i++) {
        json_object *ruleset = json_object_array_get_idx(rulesets, i);
        bool named = false;
        for (size_t j = 0; j < js_length(keys); j++) {
            const char *key = json_object_get_string(json_object_array_get_idx(keys, j));
            named = named || g_strcmp0(key, js_text(ruleset, "key")) == 0;
        }
        json_object *rules = named ? js_at(ruleset, "rule") : NULL;
        for (size_t j = 0; j < js_length(rules); j++) {
            json_object *rule = json_object_array_get_idx(rules, j);
            g_autofree char *text =
                g_strdup_printf("%d/%s %s", (int)js_int(rule, "port", 0), js_text(rule, "protocol"),
                                g_strcmp0(js_text(rule, "direction"), "inbound") == 0 ? "in" : "out");
            json_object_array_add(ports, js_string(text));
        }
    }
    return ports;
}

static void add_service(struct cli_table *table, json_object *service)
{
    g_autoptr(GString) ports = g_string_new(NULL);
    json_object *list = js_at(service, "ports");
    for (size_t i = 0; i < js_length(list); i++) {
        g_string_append_printf(ports, "%s%s", i > 0 ? ", " : "",
                               json_object_get_string(json_object_array_get_idx(list, i)));
    }
    cli_table_add(table, js_text(service, "key"));
    cli_table_add(table, js_bool(service, "running") ? "running" : "stopped");
    cli_table_add(table, js_text(service, "policy"));
    cli_table_add(table, ports->str);
    cli_table_add(table, js_text(service, "label"));
}

int cli_run_host_services(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) info = NULL;
    g_autoptr(json_object) firewall = NULL;
    int code = read_of_manager(cli, "configManager.serviceSystem", "serviceInfo", &info);
    if (code == CLI_OK) {
        code = read_of_manager(cli, "configManager.firewallSystem", "firewallInfo", &firewall);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) documents = json_object_new_array();
    json_object *services = js_at(info, "service");
    for (size_t i = 0; i < js_length(services); i++) {
        json_object *service = json_object_array_get_idx(services, i);
        json_object_array_add(documents,
                              js_object(NULL, "key:s", js_text(service, "key"), "label:s",
                                        js_text(service, "label"), "running:b", js_bool(service, "running"),
                                        "policy:s", js_text(service, "policy"), "ports:o",
                                        ports_of(firewall, js_at(service, "ruleset")), NULL));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"KEY", "STATE", "POLICY", "PORTS", "WHAT", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        add_service(table, json_object_array_get_idx(documents, i));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

static double scaled(json_object *sensor)
{
    double value = (double)js_int(sensor, "currentReading", 0);
    for (int64_t power = js_int(sensor, "unitModifier", 0); power < 0; power++) {
        value /= 10;
    }
    return value;
}

int cli_run_host_health(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) runtime = NULL;
    int code = read_of_manager(cli, "configManager.healthStatusSystem", "runtime", &runtime);
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) documents = json_object_new_array();
    json_object *sensors = js_at(runtime, "systemHealthInfo.numericSensorInfo");
    for (size_t i = 0; i < js_length(sensors); i++) {
        json_object *sensor = json_object_array_get_idx(sensors, i);
        g_autofree char *reading = g_strdup_printf("%.10g", scaled(sensor));
        json_object_array_add(documents, js_object(NULL, "name:s", js_text(sensor, "name"), "state:s",
                                                   js_text(sensor, "healthState.key"), "reading:s", reading,
                                                   "unit:s", js_text(sensor, "baseUnits"), NULL));
    }
    json_object *parts = js_at(runtime, "hardwareStatusInfo.memoryStatusInfo");
    for (size_t i = 0; i < js_length(parts); i++) {
        json_object *part = json_object_array_get_idx(parts, i);
        const char *state = js_text(part, "status.key");
        g_autofree char *lower = g_ascii_strdown(state != NULL ? state : "unknown", -1);
        json_object_array_add(documents,
                              js_object(NULL, "name:s", js_text(part, "name"), "state:s", lower, NULL));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"NAME", "STATE", ">READING", "UNIT", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        json_object *sensor = json_object_array_get_idx(documents, i);
        cli_table_add(table, js_text(sensor, "name"));
        cli_table_add(table, js_text(sensor, "state"));
        cli_table_add(table, js_text(sensor, "reading"));
        cli_table_add(table, js_text(sensor, "unit"));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

/* ---- options -------------------------------------------------------------------------------------- */

static char *value_text(json_object *value)
{
    json_object *bare = js_unbox(value);
    return g_strdup(bare != NULL ? json_object_get_string(bare) : "");
}

int cli_run_host_option_list(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *prefix = cli_word(arguments, 0);
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) values = NULL;
    g_autoptr(json_object) definitions = NULL;
    int code = cli_host_property(cli, "configManager.advancedOption", NULL, &manager);
    if (code == CLI_OK) {
        code = cli_client_get(cli->client, manager, "supportedOption", &definitions, &cli->error);
    }
    if (code == CLI_OK) {
        code = cli_client_get(cli->client, manager, "setting", &values, &cli->error);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) documents = json_object_new_array();
    for (size_t i = 0; i < js_length(values); i++) {
        json_object *value = json_object_array_get_idx(values, i);
        const char *summary = NULL;
        for (size_t j = 0; j < js_length(definitions); j++) {
            json_object *definition = json_object_array_get_idx(definitions, j);
            if (g_strcmp0(js_text(definition, "key"), js_text(value, "key")) == 0) {
                summary = js_text(definition, "summary");
            }
        }
        if (prefix == NULL || g_str_has_prefix(js_text(value, "key"), prefix)) {
            json_object_array_add(documents, js_object(NULL, "key:s", js_text(value, "key"), "value:o",
                                                       js_share(js_unbox(js_at(value, "value"))), "summary:s",
                                                       summary, NULL));
        }
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"KEY", "VALUE", "WHAT", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        json_object *option = json_object_array_get_idx(documents, i);
        cli_table_add(table, js_text(option, "key"));
        cli_table_take(table, value_text(js_at(option, "value")));
        cli_table_add(table, js_text(option, "summary"));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

/* The text as a value of the type that the option has now. */
static int make_value(struct cli *cli, json_object *old, const char *key, const char *text, json_object **ret)
{
    const char *type = js_type(old);
    if (g_strcmp0(type, "int") != 0 && g_strcmp0(type, "long") != 0) {
        *ret = js_object("string", "_value:s", text, NULL);
        return CLI_OK;
    }
    int64_t number = 0;
    if (cli_parse_int(text, G_MININT64, G_MAXINT64, &number) != 0) {
        return cli_error_set(&cli->error, CLI_USAGE, "%s: \"%s\" is not a whole number", key, text);
    }
    *ret = js_object("long", "_value:l", number, NULL);
    return CLI_OK;
}

int cli_run_host_option_set(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *key = cli_word(arguments, 0);
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) found = NULL;
    json_object *value = NULL;
    int code = cli_host_property(cli, "configManager.advancedOption", NULL, &manager);
    if (code == CLI_OK) {
        code = cli_client_call(cli->client, manager, "QueryOptions", js_object(NULL, "name:s", key, NULL),
                               &found, &cli->error);
    }
    if (code == CLI_OK) {
        code = make_value(cli, js_at(json_object_array_get_idx(found, 0), "value"), key,
                          cli_word(arguments, 1), &value);
    }
    if (code != CLI_OK) {
        return code;
    }
    json_object *option = js_object("OptionValue", "key:s", key, "value:o", value, NULL);
    return cli_client_call(cli->client, manager, "UpdateOptions",
                           js_object(NULL, "changedValue:o", js_array(option, NULL), NULL), NULL,
                           &cli->error);
}

/* ---- licenses ------------------------------------------------------------------------------------- */

static int license_manager(struct cli *cli, json_object **ret)
{
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        *ret = js_share(js_at(cli->content, "licenseManager"));
        if (*ret == NULL) {
            code = cli_error_set(&cli->error, CLI_FAILED, "the server has no license manager");
        }
    }
    return code;
}

static json_object *license_document(json_object *license)
{
    json_object *labels = json_object_new_object();
    json_object *list = js_at(license, "labels");
    for (size_t i = 0; i < js_length(list); i++) {
        json_object *label = json_object_array_get_idx(list, i);
        json_object_object_add(labels, js_text(label, "key"), js_string(js_text(label, "value")));
    }
    return js_object(NULL, "key:s", js_text(license, "licenseKey"), "name:s", js_text(license, "name"),
                     "total:l", js_int(license, "total", 0), "labels:o", labels, NULL);
}

int cli_run_license_list(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) licenses = NULL;
    int code = license_manager(cli, &manager);
    if (code == CLI_OK) {
        code = cli_client_get(cli->client, manager, "licenses", &licenses, &cli->error);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) documents = json_object_new_array();
    for (size_t i = 0; i < js_length(licenses); i++) {
        json_object_array_add(documents, license_document(json_object_array_get_idx(licenses, i)));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"KEY", "NAME", "LABELS", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        json_object *license = json_object_array_get_idx(documents, i);
        g_autoptr(GString) labels = g_string_new(NULL);
        json_object_object_foreach (js_at(license, "labels"), key, value) {
            g_string_append_printf(labels, "%s%s=%s", labels->len > 0 ? ", " : "", key,
                                   json_object_get_string(value));
        }
        cli_table_add(table, js_text(license, "key"));
        cli_table_add(table, js_text(license, "name"));
        cli_table_add(table, labels->str);
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

int cli_run_license_add(struct cli *cli, const struct cli_arguments *arguments)
{
    const GPtrArray *given = cli_option_all(arguments, "label");
    json_object *labels = json_object_new_array();
    for (guint i = 0; given != NULL && i < given->len; i++) {
        g_auto(GStrv) parts = g_strsplit(g_ptr_array_index(given, i), "=", 2);
        if (g_strv_length(parts) != 2) {
            json_object_put(labels);
            return cli_error_set(&cli->error, CLI_USAGE, "--label: \"%s\" is not KEY=VALUE",
                                 (char *)g_ptr_array_index(given, i));
        }
        json_object_array_add(labels, js_object("KeyValue", "key:s", parts[0], "value:s", parts[1], NULL));
    }
    g_autoptr(json_object) manager = NULL;
    g_autoptr(json_object) call =
        js_object(NULL, "licenseKey:s", cli_word(arguments, 0), "labels:o", labels, NULL);
    int code = license_manager(cli, &manager);
    return code == CLI_OK
               ? cli_client_call(cli->client, manager, "AddLicense", js_share(call), NULL, &cli->error)
               : code;
}

int cli_run_license_remove(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) manager = NULL;
    int code = license_manager(cli, &manager);
    return code == CLI_OK ? cli_client_call(cli->client, manager, "RemoveLicense",
                                            js_object(NULL, "licenseKey:s", cli_word(arguments, 0), NULL),
                                            NULL, &cli->error)
                          : code;
}
