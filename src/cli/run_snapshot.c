// SPDX-License-Identifier: Apache-2.0
/*
 * snapshot create, list, revert, remove, rename, consolidate.
 *
 * A snapshot is named by its name, or by "#" and its number in the list when several have one name.
 */
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/watch.h"

/* ---- which ---------------------------------------------------------------------------------------- */

/* The virtual machine of the first word, with its snapshots. */
static int read_vm(struct cli *cli, const struct cli_arguments *arguments, json_object **ret)
{
    static const char *const paths[] = {"name", "snapshot", "runtime.consolidationNeeded", NULL};
    g_autoptr(json_object) ref = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_find_vm(cli, cli_word(arguments, 0), &ref);
    }
    return code == CLI_OK ? cli_read_object(cli, ref, paths, ret) : code;
}

/* Adds the snapshots of the trees that are called so, or have that number. */
static void find_in(json_object *trees, const char *name, GPtrArray *found)
{
    for (size_t i = 0; i < js_length(trees); i++) {
        json_object *tree = json_object_array_get_idx(trees, i);
        g_autofree char *number = g_strdup_printf("#%d", (int)js_int(tree, "id", 0));
        if (g_strcmp0(js_text(tree, "name"), name) == 0 || strcmp(number, name) == 0) {
            g_ptr_array_add(found, tree);
        }
        find_in(js_at(tree, "childSnapshotList"), name, found);
    }
}

/* The snapshot of a name; borrowed from vm. */
static int find_snapshot(struct cli *cli, json_object *vm, const char *name, json_object **ret)
{
    g_autoptr(GPtrArray) found = g_ptr_array_new();
    find_in(js_at(vm, "snapshot.rootSnapshotList"), name, found);
    if (found->len == 1) {
        *ret = g_ptr_array_index(found, 0);
        return CLI_OK;
    }
    if (found->len == 0) {
        return cli_error_set(&cli->error, CLI_NOT_FOUND,
                             "%s has no snapshot \"%s\"; see `tenkyu snapshot list`", js_text(vm, "name"),
                             name);
    }
    g_autoptr(GString) numbers = g_string_new(NULL);
    for (guint i = 0; i < found->len; i++) {
        g_string_append_printf(numbers, "%s#%d", i > 0 ? ", " : "",
                               (int)js_int(g_ptr_array_index(found, i), "id", 0));
    }
    return cli_error_set(&cli->error, CLI_USAGE, "several snapshots are called \"%s\"; name one of %s", name,
                         numbers->str);
}

/* ---- list ----------------------------------------------------------------------------------------- */

static bool is_current(json_object *vm, json_object *tree)
{
    return g_strcmp0(js_ref_id(js_at(vm, "snapshot.currentSnapshot")), js_ref_id(js_at(tree, "snapshot"))) ==
           0;
}

static json_object *tree_document(json_object *vm, json_object *tree)
{
    json_object *children = json_object_new_array();
    json_object *trees = js_at(tree, "childSnapshotList");
    for (size_t i = 0; i < js_length(trees); i++) {
        json_object_array_add(children, tree_document(vm, json_object_array_get_idx(trees, i)));
    }
    return js_object(NULL, "id:l", js_int(tree, "id", 0), "name:s", js_text(tree, "name"), "description:s",
                     js_text(tree, "description"), "created:s", js_text(tree, "createTime"), "state:s",
                     js_text(tree, "state"), "quiesced:b", js_bool(tree, "quiesced"), "current:b",
                     is_current(vm, tree), "children:o", children, NULL);
}

/* What a snapshot holds besides disks. */
static const char *content_word(json_object *tree)
{
    const char *state = js_text(tree, "state");
    if (g_strcmp0(state, "poweredOn") == 0) {
        return "disks, memory";
    }
    if (g_strcmp0(state, "suspended") == 0) {
        return "disks, suspended memory";
    }
    return js_bool(tree, "quiesced") ? "disks, quiesced" : "disks";
}

/* One line for each; `prefix` draws the branches above. */
static void add_rows(struct cli_table *table, json_object *vm, json_object *trees, const char *prefix,
                     bool root)
{
    for (size_t i = 0; i < js_length(trees); i++) {
        json_object *tree = json_object_array_get_idx(trees, i);
        bool last = i + 1 == js_length(trees);
        g_autofree char *name = cli_printable(js_text(tree, "name"), false);
        g_autofree char *description = cli_printable(js_text(tree, "description"), false);
        g_autofree char *below = g_strconcat(prefix, root ? "" : last ? "   " : "│  ", NULL);
        cli_table_printf(table, "%s%s%s", prefix, root ? "" : last ? "└─ " : "├─ ", name);
        cli_table_printf(table, "#%d", (int)js_int(tree, "id", 0));
        cli_table_add(table, is_current(vm, tree) ? "here" : "");
        cli_table_take(table, cli_format_time(js_text(tree, "createTime")));
        cli_table_add(table, content_word(tree));
        cli_table_add(table, description);
        add_rows(table, vm, js_at(tree, "childSnapshotList"), below, false);
    }
}

int cli_run_snapshot_list(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) vm = NULL;
    int code = read_vm(cli, arguments, &vm);
    if (code != CLI_OK) {
        return code;
    }
    json_object *trees = js_at(vm, "snapshot.rootSnapshotList");
    if (cli->json) {
        json_object *documents = json_object_new_array();
        for (size_t i = 0; i < js_length(trees); i++) {
            json_object_array_add(documents, tree_document(vm, json_object_array_get_idx(trees, i)));
        }
        cli_print_json(cli, documents);
        return CLI_OK;
    }
    CLI_TABLE_AUTO table =
        cli_table_new((const char *[]){"NAME", ">ID", "NOW", "TAKEN", "HOLDS", "DESCRIPTION", NULL});
    add_rows(table, vm, trees, "", true);
    cli_table_print(table, cli->out);
    if (js_bool(vm, "runtime.consolidationNeeded")) {
        fprintf(cli->out, "Its disks are to be merged: `tenkyu snapshot consolidate %s`.\n",
                js_text(vm, "name"));
    }
    return CLI_OK;
}

/* ---- doing ---------------------------------------------------------------------------------------- */

/* Runs a task and says what is done; `arguments` is consumed. */
static int run_task(struct cli *cli, json_object *ref, const char *method, json_object *arguments,
                    const char *label, const char *done)
{
    g_autoptr(json_object) result = NULL;
    int code = cli_call_task(cli, ref, method, arguments, label, &result);
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "ok:b", 1, NULL));
    } else if (code == CLI_OK) {
        fprintf(cli->out, "%s\n", done);
    }
    return code;
}

int cli_run_snapshot_create(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) vm = NULL;
    const char *description = cli_option(arguments, "description");
    int code = read_vm(cli, arguments, &vm);
    if (code != CLI_OK) {
        return code;
    }
    g_autofree char *name = cli_printable(cli_word(arguments, 1), false);
    g_autofree char *label = g_strdup_printf("taking %s", name);
    g_autofree char *done = g_strdup_printf("%s is taken.", name);
    return run_task(cli, js_at(vm, "ref"), "CreateSnapshot_Task",
                    js_object(NULL, "name:s", cli_word(arguments, 1), "description:s",
                              description != NULL ? description : "", "memory:b",
                              cli_flag(arguments, "memory"), "quiesce:b", cli_flag(arguments, "quiesce"),
                              NULL),
                    label, done);
}

int cli_run_snapshot_revert(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) vm = NULL;
    json_object *tree = NULL;
    const char *name = cli_word(arguments, 1);
    int code = read_vm(cli, arguments, &vm);
    if (code == CLI_OK && name != NULL) {
        code = find_snapshot(cli, vm, name, &tree);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autofree char *done = g_strdup_printf("%s is back at %s.", js_text(vm, "name"),
                                            name != NULL ? js_text(tree, "name") : "its last snapshot");
    return run_task(cli, name != NULL ? js_at(tree, "snapshot") : js_at(vm, "ref"),
                    name != NULL ? "RevertToSnapshot_Task" : "RevertToCurrentSnapshot_Task",
                    js_object(NULL, "suppressPowerOn:b", cli_flag(arguments, "no-start"), NULL), "reverting",
                    done);
}

int cli_run_snapshot_remove(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) vm = NULL;
    json_object *tree = NULL;
    bool all = cli_flag(arguments, "all");
    const char *name = cli_word(arguments, 1);
    if (all == (name != NULL)) {
        return cli_error_set(&cli->error, CLI_USAGE, "give the name of a snapshot, or --all");
    }
    int code = read_vm(cli, arguments, &vm);
    if (code == CLI_OK && !all) {
        code = find_snapshot(cli, vm, name, &tree);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (all) {
        return run_task(cli, js_at(vm, "ref"), "RemoveAllSnapshots_Task", NULL, "removing all snapshots",
                        "All snapshots are removed.");
    }
    g_autofree char *label = g_strdup_printf("removing %s", js_text(tree, "name"));
    g_autofree char *done = g_strdup_printf("%s is removed.", js_text(tree, "name"));
    return run_task(cli, js_at(tree, "snapshot"), "RemoveSnapshot_Task",
                    js_object(NULL, "removeChildren:b", cli_flag(arguments, "children"), NULL), label, done);
}

int cli_run_snapshot_rename(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) vm = NULL;
    json_object *tree = NULL;
    const char *description = cli_option(arguments, "description");
    int code = read_vm(cli, arguments, &vm);
    if (code == CLI_OK) {
        code = find_snapshot(cli, vm, cli_word(arguments, 1), &tree);
    }
    if (code != CLI_OK) {
        return code;
    }
    json_object *changes = js_object(NULL, "name:s", cli_word(arguments, 2), NULL);
    if (description != NULL) {
        json_object_object_add(changes, "description", js_string(description));
    }
    code =
        cli_client_call(cli->client, js_at(tree, "snapshot"), "RenameSnapshot", changes, NULL, &cli->error);
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "ok:b", 1, NULL));
    } else if (code == CLI_OK) {
        g_autofree char *name = cli_printable(cli_word(arguments, 2), false);
        fprintf(cli->out, "It is called %s now.\n", name);
    }
    return code;
}

int cli_run_snapshot_consolidate(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) vm = NULL;
    int code = read_vm(cli, arguments, &vm);
    return code == CLI_OK ? run_task(cli, js_at(vm, "ref"), "ConsolidateVMDisks_Task", NULL, "merging disks",
                                     "The disks are merged.")
                          : code;
}
