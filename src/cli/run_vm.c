// SPDX-License-Identifier: Apache-2.0
/*
 * vm list, show, register, screenshot.
 */
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/vm_view.h"
#include "cli/watch.h"

/* A size of a document for a table; NULL where it is missing. */
static char *bytes_of(json_object *document, const char *name)
{
    int64_t bytes = js_int(document, name, -1);
    return bytes >= 0 ? cli_format_bytes(bytes) : NULL;
}

static void add_line(struct cli_table *table, json_object *vm)
{
    int64_t cpus = js_int(vm, "cpus", -1);
    int64_t mhz = js_int(vm, "cpu_usage_mhz", -1);
    int64_t uptime = js_int(vm, "uptime_seconds", -1);
    cli_table_add(table, js_text(vm, "name"));
    cli_table_add(table, js_text(vm, "id"));
    cli_table_add(table, js_text(vm, "power"));
    cli_table_take(table, cpus >= 0 ? g_strdup_printf("%d", (int)cpus) : NULL);
    cli_table_take(table, bytes_of(vm, "memory_bytes"));
    cli_table_take(table, mhz >= 0 ? g_strdup_printf("%d MHz", (int)mhz) : NULL);
    cli_table_take(table, uptime >= 0 ? cli_format_seconds(uptime) : NULL);
    cli_table_add(table, js_text(vm, "ip_address"));
    cli_table_add(table,
                  js_text(vm, "guest_name") != NULL ? js_text(vm, "guest_name") : js_text(vm, "guest"));
}

int cli_run_vm_list(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) objects = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_list_objects(cli, "VirtualMachine", cli_vm_summary_paths, &objects);
    }
    if (code != CLI_OK) {
        return code;
    }
    cli_sort(objects, "name");
    g_autoptr(json_object) documents = json_object_new_array();
    for (size_t i = 0; i < js_length(objects); i++) {
        json_object_array_add(documents, cli_vm_summary(json_object_array_get_idx(objects, i)));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"NAME", "ID", "POWER", ">CPUS", ">MEMORY", ">USES",
                                                          ">UP", "ADDRESS", "GUEST", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        add_line(table, json_object_array_get_idx(documents, i));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

/* ---- show ----------------------------------------------------------------------------------------- */

static void print_fact(struct cli *cli, const char *name, const char *text)
{
    if (text != NULL && *text != '\0') {
        g_autofree char *shown = cli_printable(text, false);
        fprintf(cli->out, "%-14s %s\n", name, shown);
    }
}

static void print_facts(struct cli *cli, json_object *vm)
{
    g_autofree char *memory = bytes_of(vm, "memory_bytes");
    g_autofree char *used = bytes_of(vm, "memory_usage_bytes");
    g_autofree char *cpus = g_strdup_printf("%d", (int)js_int(vm, "cpus", 0));
    int64_t uptime = js_int(vm, "uptime_seconds", -1);
    g_autofree char *up = uptime >= 0 ? cli_format_seconds(uptime) : NULL;
    print_fact(cli, "name", js_text(vm, "name"));
    print_fact(cli, "id", js_text(vm, "id"));
    print_fact(cli, "power", js_text(vm, "power"));
    print_fact(cli, "up for", up);
    print_fact(cli, "guest",
               js_text(vm, "guest_name") != NULL ? js_text(vm, "guest_name") : js_text(vm, "guest"));
    print_fact(cli, "address", js_text(vm, "ip_address"));
    print_fact(cli, "cpus", cpus);
    print_fact(cli, "memory", memory);
    print_fact(cli, "memory in use", used);
    print_fact(cli, "firmware", js_text(vm, "firmware"));
    print_fact(cli, "hardware", js_text(vm, "hardware_version"));
    print_fact(cli, "uuid", js_text(vm, "uuid"));
    print_fact(cli, "file", js_text(vm, "path"));
    print_fact(cli, "notes", js_text(vm, "annotation"));
}

static void print_disks(struct cli *cli, json_object *disks)
{
    CLI_TABLE_AUTO table =
        cli_table_new((const char *[]){"DISK", ">SIZE", "FORM", "CONTROLLER", "FILE", NULL});
    for (size_t i = 0; i < js_length(disks); i++) {
        json_object *disk = json_object_array_get_idx(disks, i);
        cli_table_add(table, js_text(disk, "label"));
        cli_table_take(table, bytes_of(disk, "capacity_bytes"));
        cli_table_add(table, js_bool(disk, "thin") ? "thin" : "thick");
        cli_table_printf(table, "%s:%d",
                         js_text(disk, "controller") != NULL ? js_text(disk, "controller") : "?",
                         (int)js_int(disk, "unit", 0));
        cli_table_add(table, js_text(disk, "path"));
    }
    if (js_length(disks) > 0) {
        fputc('\n', cli->out);
        cli_table_print(table, cli->out);
    }
}

static void print_cards(struct cli *cli, json_object *cards)
{
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){"NIC", "MODEL", "MAC", "NETWORK", "CABLE", NULL});
    for (size_t i = 0; i < js_length(cards); i++) {
        json_object *card = json_object_array_get_idx(cards, i);
        cli_table_add(table, js_text(card, "label"));
        cli_table_add(table, js_text(card, "model"));
        cli_table_add(table, js_text(card, "mac"));
        cli_table_add(table, js_text(card, "network"));
        cli_table_add(table, js_bool(card, "connected") ? "connected" : "disconnected");
    }
    if (js_length(cards) > 0) {
        fputc('\n', cli->out);
        cli_table_print(table, cli->out);
    }
}

static void print_drives(struct cli *cli, json_object *vm)
{
    json_object *drives = js_at(vm, "cdroms");
    json_object *ports = js_at(vm, "serial_ports");
    if (js_length(drives) + js_length(ports) > 0) {
        fputc('\n', cli->out);
    }
    for (size_t i = 0; i < js_length(drives); i++) {
        const char *path = js_text(json_object_array_get_idx(drives, i), "path");
        print_fact(cli, "cdrom", path != NULL ? path : "(empty)");
    }
    for (size_t i = 0; i < js_length(ports); i++) {
        print_fact(cli, "serial", js_text(json_object_array_get_idx(ports, i), "label"));
    }
}

int cli_run_vm_show(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) ref = NULL;
    g_autoptr(json_object) object = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_find_vm(cli, cli_word(arguments, 0), &ref);
    }
    if (code == CLI_OK) {
        code = cli_read_object(cli, ref, cli_vm_detail_paths, &object);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autoptr(json_object) vm = cli_vm_detail(object);
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&vm));
        return CLI_OK;
    }
    print_facts(cli, vm);
    print_disks(cli, js_at(vm, "disks"));
    print_cards(cli, js_at(vm, "nics"));
    print_drives(cli, vm);
    json_object *options = js_at(vm, "options");
    if (json_object_object_length(options) > 0) {
        fputs("\noptions\n", cli->out);
        json_object_object_foreach (options, key, value) {
            g_autofree char *text = g_strdup_printf("%s = %s", key, json_object_get_string(value));
            g_autofree char *shown = cli_printable(text, false);
            fprintf(cli->out, "  %s\n", shown);
        }
    }
    return CLI_OK;
}

/* ---- register, screenshot ------------------------------------------------------------------------- */

int cli_run_vm_register(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *path = cli_word(arguments, 0);
    g_autoptr(json_object) place = NULL;
    g_autoptr(json_object) vm = NULL;
    g_autoptr(json_object) object = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_find_place(cli, path, &place);
    }
    if (code == CLI_OK) {
        g_autofree char *label = g_strdup_printf("registering %s", path);
        code = cli_call_task(cli, js_at(place, "vmFolder"), "RegisterVM_Task",
                             js_object(NULL, "path:s", path, "name:s", cli_option(arguments, "name"),
                                       "asTemplate:b", 0, "pool:o", js_share(js_at(place, "resourcePool")),
                                       NULL),
                             label, &vm);
    }
    if (code == CLI_OK) {
        code = cli_read_object(cli, vm, cli_vm_summary_paths, &object);
    }
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, cli_vm_summary(object));
    } else if (code == CLI_OK) {
        g_autofree char *name = cli_printable(js_text(object, "name"), false);
        fprintf(cli->out, "%s is registered.\n", name);
    }
    return code;
}

int cli_run_vm_screenshot(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *name = cli_word(arguments, 0);
    const char *target = cli_word(arguments, 1);
    g_autoptr(json_object) ref = NULL;
    g_autoptr(json_object) picture = NULL;
    struct cli_file file = {0};
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_find_vm(cli, name, &ref);
    }
    if (code == CLI_OK) {
        g_autofree char *label = g_strdup_printf("taking a picture of %s", name);
        code = cli_call_task(cli, ref, "CreateScreenshot_Task", NULL, label, &picture);
    }
    if (code != CLI_OK) {
        return code;
    }
    const char *path = json_object_is_type(picture, json_type_string) ? json_object_get_string(picture) : "";
    code = cli_file_find(cli, path, &file);
    if (code == CLI_OK) {
        code = cli_file_download(cli, &file, target);
        struct cli_error ignored = {0}; /* the picture in the datastore was only a way here */
        struct cli_error kept = cli->error;
        cli->error = ignored;
        cli_file_delete(cli, &file);
        cli_error_clear(&cli->error);
        cli->error = kept;
    }
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "name:s", name, "file:s", target, NULL));
    }
    cli_file_clear(&file);
    return code;
}
