// SPDX-License-Identifier: Apache-2.0
/*
 * disk create, show, copy, grow, inflate, shrink, rm: virtual disks as files of datastores, which no running
 * virtual machine uses.
 */
#include <string.h>

#include "cli/command.h"
#include "cli/client.h"
#include "cli/files.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/watch.h"

/* A disk that a word of the command line names. */
struct disk {
    struct cli_file file;
    char *text; /* "[datastore] path.vmdk"; owned */
};

static void disk_clear(struct disk *disk)
{
    cli_file_clear(&disk->file);
    g_free(disk->text);
}
#define DISK_AUTO __attribute__((cleanup(disk_clear))) struct disk

static int find_disk(struct cli *cli, const char *word, struct disk *ret)
{
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_file_find(cli, word, &ret->file);
    }
    if (code == CLI_OK && !g_str_has_suffix(ret->file.path, ".vmdk")) {
        return cli_error_set(&cli->error, CLI_USAGE, "\"%s\" is not a disk: its name ends in .vmdk", word);
    }
    if (code == CLI_OK) {
        ret->text = cli_file_text(&ret->file);
    }
    return code;
}

/* --type as the API's diskType; NULL when it was not given and there is no default. */
static int find_type(struct cli *cli, const struct cli_arguments *arguments, const char *otherwise,
                     const char **ret)
{
    static const struct {
        const char *name;
        const char *type;
    } types[] = {{"thin", "thin"},
                 {"thick", "preallocated"},
                 {"eager", "eagerZeroedThick"},
                 {"flat", "flatMonolithic"}};
    const char *given = cli_option(arguments, "type");
    *ret = otherwise;
    for (size_t i = 0; given != NULL && i < G_N_ELEMENTS(types); i++) {
        if (strcmp(given, types[i].name) == 0) {
            *ret = types[i].type;
            return CLI_OK;
        }
    }
    return given == NULL
               ? CLI_OK
               : cli_error_set(&cli->error, CLI_USAGE, "--type %s: it is thin, thick, eager or flat", given);
}

static int find_size(struct cli *cli, const char *text, int64_t *ret_kb)
{
    int64_t bytes = 0;
    if (cli_parse_size(text, 1, &bytes) != 0 || bytes <= 0) {
        return cli_error_set(&cli->error, CLI_USAGE, "\"%s\" is not a size such as 20G", text);
    }
    *ret_kb = (bytes + 1023) / 1024;
    return CLI_OK;
}

/* A task of the disk manager that takes the disk's name; `more` is taken and holds its other arguments. */
static int run_task(struct cli *cli, const struct disk *disk, const char *method, json_object *more,
                    const char *doing)
{
    g_autofree char *label = g_strdup_printf("%s %s", doing, disk->text);
    json_object_object_add(more, "name", json_object_new_string(disk->text));
    json_object_object_add(more, "datacenter", js_share(disk->file.datacenter));
    return cli_call_task(cli, js_at(cli->content, "virtualDiskManager"), method, more, label, NULL);
}

static int report(struct cli *cli, int code, const struct disk *disk, const char *what)
{
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "path:s", disk->text, NULL));
    } else if (code == CLI_OK) {
        g_autofree char *text = g_strdup_printf("%s %s.", disk->text, what);
        g_autofree char *shown = cli_printable(text, false);
        fprintf(cli->out, "%s\n", shown);
    }
    return code;
}

int cli_run_disk_create(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO disk = {0};
    const char *type = NULL;
    int64_t kb = 0;
    int code = find_size(cli, cli_word(arguments, 1), &kb);
    if (code == CLI_OK) {
        code = find_type(cli, arguments, "thin", &type);
    }
    if (code == CLI_OK) {
        code = find_disk(cli, cli_word(arguments, 0), &disk);
    }
    if (code != CLI_OK) {
        return code;
    }
    json_object *spec = js_object("FileBackedVirtualDiskSpec", "diskType:s", type, "adapterType:s",
                                  "lsiLogic", "capacityKb:l", kb, NULL);
    code = run_task(cli, &disk, "CreateVirtualDisk_Task", js_object(NULL, "spec:o", spec, NULL), "making");
    return report(cli, code, &disk, "is made");
}

/* What the datastore's browser tells of the disk. */
static int read_disk(struct cli *cli, const struct disk *disk, json_object **ret)
{
    g_autoptr(json_object) datastore = NULL;
    g_autofree char *name = g_path_get_basename(disk->file.path);
    g_autofree char *folder = g_path_get_dirname(disk->file.path);
    g_autofree char *place = strcmp(folder, ".") == 0
                                 ? g_strdup_printf("[%s]", disk->file.datastore_name)
                                 : g_strdup_printf("[%s] %s", disk->file.datastore_name, folder);
    int code = cli_read_object(cli, disk->file.datastore, (const char *[]){"browser", NULL}, &datastore);
    if (code != CLI_OK) {
        return code;
    }
    json_object *flags =
        js_object("VmDiskFileQueryFlags", "diskType:b", 1, "capacityKb:b", 1, "hardwareVersion:b", 1,
                  "controllerType:b", 1, "diskExtents:b", 1, "thin:b", 1, NULL);
    json_object *query = js_object("VmDiskFileQuery", "details:o", flags, NULL);
    json_object *details = js_object("FileQueryFlags", "fileType:b", 1, "fileSize:b", 1, "modification:b", 1,
                                     "fileOwner:b", 0, NULL);
    json_object *spec =
        js_object("HostDatastoreBrowserSearchSpec", "details:o", details, "query:o", js_array(query, NULL),
                  "matchPattern:o", js_strings((const char *[]){name, NULL}), NULL);
    return cli_call_task(cli, js_at(datastore, "browser"), "SearchDatastore_Task",
                         js_object(NULL, "datastorePath:s", place, "searchSpec:o", spec, NULL), "reading",
                         ret);
}

int cli_run_disk_show(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO disk = {0};
    g_autoptr(json_object) found = NULL;
    int code = find_disk(cli, cli_word(arguments, 0), &disk);
    if (code == CLI_OK) {
        code = read_disk(cli, &disk, &found);
    }
    if (code != CLI_OK) {
        return code;
    }
    json_object *file = json_object_array_get_idx(js_at(found, "file"), 0);
    if (js_length(js_at(found, "file")) == 0 || js_at(file, "capacityKb") == NULL) {
        return cli_error_set(&cli->error, CLI_NOT_FOUND, "there is no disk %s", disk.text);
    }
    int64_t capacity = js_int(file, "capacityKb", 0) * 1024;
    int64_t taken = js_int(file, "fileSize", 0);
    bool thin = js_bool(file, "thin");
    if (cli->json) {
        cli_print_json(cli, js_object(NULL, "path:s", disk.text, "capacity_bytes:l", capacity,
                                      "taken_bytes:l", taken, "thin:b", thin, "files:o",
                                      js_share(js_at(file, "diskExtents")), NULL));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){">SIZE", ">TAKEN", "TYPE", "DISK", NULL});
    cli_table_take(table, cli_format_bytes(capacity));
    cli_table_take(table, cli_format_bytes(taken));
    cli_table_add(table, thin ? "thin" : "thick");
    cli_table_add(table, disk.text);
    cli_table_print(table, cli->out);
    return CLI_OK;
}

int cli_run_disk_copy(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO from = {0};
    DISK_AUTO to = {0};
    const char *type = NULL;
    int code = find_type(cli, arguments, NULL, &type);
    if (code == CLI_OK) {
        code = find_disk(cli, cli_word(arguments, 0), &from);
    }
    if (code == CLI_OK) {
        code = find_disk(cli, cli_word(arguments, 1), &to);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autofree char *label = g_strdup_printf("copying %s", from.text);
    json_object *spec =
        type != NULL ? js_object("VirtualDiskSpec", "diskType:s", type, "adapterType:s", "lsiLogic", NULL)
                     : NULL;
    code = cli_call_task(cli, js_at(cli->content, "virtualDiskManager"), "CopyVirtualDisk_Task",
                         js_object(NULL, "sourceName:s", from.text, "sourceDatacenter:o",
                                   js_share(from.file.datacenter), "destName:s", to.text, "destDatacenter:o",
                                   js_share(to.file.datacenter), "destSpec:o", spec, NULL),
                         label, NULL);
    return report(cli, code, &to, "is made");
}

int cli_run_disk_grow(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO disk = {0};
    int64_t kb = 0;
    int code = find_size(cli, cli_word(arguments, 1), &kb);
    if (code == CLI_OK) {
        code = find_disk(cli, cli_word(arguments, 0), &disk);
    }
    if (code == CLI_OK) {
        code = run_task(cli, &disk, "ExtendVirtualDisk_Task", js_object(NULL, "newCapacityKb:l", kb, NULL),
                        "growing");
    }
    return report(cli, code, &disk, "has grown");
}

int cli_run_disk_inflate(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO disk = {0};
    int code = find_disk(cli, cli_word(arguments, 0), &disk);
    if (code == CLI_OK) {
        code = run_task(cli, &disk, "InflateVirtualDisk_Task", js_object(NULL, NULL), "inflating");
    }
    return report(cli, code, &disk, "has all its space");
}

int cli_run_disk_shrink(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO disk = {0};
    int code = find_disk(cli, cli_word(arguments, 0), &disk);
    if (code == CLI_OK) {
        code = run_task(cli, &disk, "ShrinkVirtualDisk_Task", js_object(NULL, NULL), "shrinking");
    }
    return report(cli, code, &disk, "takes no more than it needs");
}

int cli_run_disk_rm(struct cli *cli, const struct cli_arguments *arguments)
{
    DISK_AUTO disk = {0};
    int code = find_disk(cli, cli_word(arguments, 0), &disk);
    if (code == CLI_OK && !cli_flag(arguments, "yes")) {
        g_autofree char *question = g_strdup_printf("Delete %s with all its data?", disk.text);
        if (!cli_can_ask()) {
            code = cli_error_set(&cli->error, CLI_USAGE, "this deletes a disk; add --yes");
        } else if (!cli_ask_yes(question)) {
            code = cli_error_set(&cli->error, CLI_FAILED, "nothing was deleted");
        }
    }
    if (code == CLI_OK) {
        code = run_task(cli, &disk, "DeleteVirtualDisk_Task", js_object(NULL, NULL), "deleting");
    }
    return report(cli, code, &disk, "is deleted");
}
