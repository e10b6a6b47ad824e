// SPDX-License-Identifier: Apache-2.0
/*
 * vm create: the options become a specification (vm_spec.c), the server makes the machine.
 */
#include "cli/client.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/vm_spec.h"
#include "cli/vm_view.h"
#include "cli/watch.h"

/* The accessible datastore with most free space. *ret is freed with g_free. */
static int choose_datastore(struct cli *cli, char **ret)
{
    g_autoptr(json_object) datastores = NULL;
    int code = cli_list_objects(cli, "Datastore", (const char *[]){"name", "summary", NULL}, &datastores);
    json_object *best = NULL;
    for (size_t i = 0; i < js_length(datastores); i++) {
        json_object *datastore = json_object_array_get_idx(datastores, i);
        if (js_bool(datastore, "summary.accessible") &&
            (best == NULL ||
             js_int(datastore, "summary.freeSpace", 0) > js_int(best, "summary.freeSpace", 0))) {
            best = datastore;
        }
    }
    if (code == CLI_OK && best == NULL) {
        return cli_error_set(&cli->error, CLI_NOT_FOUND, "the host has no datastore that can be reached");
    }
    if (code == CLI_OK) {
        *ret = g_strdup(js_text(best, "name"));
    }
    return code;
}

/* Makes the machine; *ret is its reference. */
static int create(struct cli *cli, const struct cli_arguments *arguments, const char *datastore,
                  json_object **ret)
{
    g_autofree char *root = g_strdup_printf("[%s]", datastore);
    g_autofree char *label = g_strdup_printf("creating %s", cli_word(arguments, 0));
    g_autoptr(json_object) place = NULL;
    json_object *spec = NULL;
    int code = cli_find_place(cli, root, &place);
    if (code == CLI_OK) {
        code = cli_vm_spec(arguments, datastore, &spec, &cli->error);
    }
    if (code != CLI_OK) {
        return code;
    }
    return cli_call_task(
        cli, js_at(place, "vmFolder"), "CreateVM_Task",
        js_object(NULL, "config:o", spec, "pool:o", js_share(js_at(place, "resourcePool")), NULL), label,
        ret);
}

int cli_run_vm_create(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *name = cli_word(arguments, 0);
    g_autofree char *datastore = g_strdup(cli_option(arguments, "datastore"));
    g_autoptr(json_object) trial = NULL;
    g_autoptr(json_object) vm = NULL;
    g_autoptr(json_object) object = NULL;
    bool starts = cli_flag(arguments, "start");

    int code = cli_vm_spec(arguments, "-", &trial, &cli->error); /* mistakes come before the connection */
    if (code == CLI_OK) {
        code = cli_connect(cli);
    }
    if (code == CLI_OK && datastore == NULL) {
        code = choose_datastore(cli, &datastore);
    }
    if (code == CLI_OK) {
        code = create(cli, arguments, datastore, &vm);
    }
    if (code == CLI_OK && starts) {
        g_autofree char *label = g_strdup_printf("starting %s", name);
        code = cli_call_task(cli, vm, "PowerOnVM_Task", NULL, label, NULL);
        if (code != CLI_OK) {
            g_autofree char *why = g_strdup(cli->error.message);
            return cli_error_set(&cli->error, code, "%s was made, but cannot be started: %s", name, why);
        }
    }
    if (code == CLI_OK) {
        code = cli_read_object(cli, vm, cli_vm_detail_paths, &object);
    }
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, cli_vm_detail(object));
    } else if (code == CLI_OK) {
        g_autofree char *shown = cli_printable(name, false);
        fprintf(cli->out, starts ? "%s is made, and on.\n" : "%s is made.\n", shown);
    }
    return code;
}
