// SPDX-License-Identifier: Apache-2.0
/*
 * datastore list, add, rename, remove, ls, put, get, mkdir, rm.
 */
#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/run.h"
#include "cli/run_host.h"
#include "cli/session.h"
#include "cli/table.h"
#include "cli/terminal.h"
#include "cli/watch.h"

/* ---- list ----------------------------------------------------------------------------------------- */

/* What is taken, and what thin disks could still take: more than the size when too much is promised. */
static int64_t provisioned(json_object *summary)
{
    return js_int(summary, "capacity", 0) - js_int(summary, "freeSpace", 0) +
           js_int(summary, "uncommitted", 0);
}

static json_object *datastore_document(json_object *datastore)
{
    json_object *summary = js_at(datastore, "summary");
    return js_object(NULL, "id:s", js_text(datastore, "ref.value"), "name:s", js_text(datastore, "name"),
                     "type:s", js_text(summary, "type"), "url:s", js_text(summary, "url"), "capacity_bytes:l",
                     js_int(summary, "capacity", 0), "free_bytes:l", js_int(summary, "freeSpace", 0),
                     "provisioned_bytes:l", provisioned(summary), "accessible:b",
                     js_bool(summary, "accessible"), NULL);
}

static void add_datastore(struct cli_table *table, json_object *datastore)
{
    int64_t capacity = js_int(datastore, "capacity_bytes", 0);
    int64_t free_bytes = js_int(datastore, "free_bytes", 0);
    cli_table_add(table, js_text(datastore, "name"));
    cli_table_add(table, js_text(datastore, "type"));
    cli_table_take(table, cli_format_bytes(capacity));
    cli_table_take(table, cli_format_bytes(free_bytes));
    cli_table_printf(table, "%d %%",
                     capacity > 0 ? (int)(100.0 * (double)(capacity - free_bytes) / (double)capacity) : 0);
    cli_table_take(table, cli_format_bytes(js_int(datastore, "provisioned_bytes", 0)));
    cli_table_add(table, js_bool(datastore, "accessible") ? "ready" : "not accessible");
    cli_table_add(table, js_text(datastore, "url"));
}

int cli_run_datastore_list(struct cli *cli, const struct cli_arguments *arguments)
{
    (void)arguments;
    g_autoptr(json_object) datastores = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_list_objects(cli, "Datastore", (const char *[]){"name", "summary", NULL}, &datastores);
    }
    if (code != CLI_OK) {
        return code;
    }
    cli_sort(datastores, "name");
    g_autoptr(json_object) documents = json_object_new_array();
    for (size_t i = 0; i < js_length(datastores); i++) {
        json_object_array_add(documents, datastore_document(json_object_array_get_idx(datastores, i)));
    }
    if (cli->json) {
        cli_print_json(cli, g_steal_pointer(&documents));
        return CLI_OK;
    }
    CLI_TABLE_AUTO table = cli_table_new(
        (const char *[]){"NAME", "TYPE", ">SIZE", ">FREE", ">USED", ">PROVISIONED", "STATE", "PLACE", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        add_datastore(table, json_object_array_get_idx(documents, i));
    }
    cli_table_print(table, cli->out);
    return CLI_OK;
}

/* ---- add, rename, remove -------------------------------------------------------------------------- */

static int add_folder(struct cli *cli, json_object *system, const char *name, const char *path)
{
    return cli_client_call(cli->client, system, "CreateLocalDatastore",
                           js_object(NULL, "name:s", name, "path:s", path, NULL), NULL, &cli->error);
}

/* source: "server:/folder"; an address with colons is in brackets. */
static int add_volume(struct cli *cli, json_object *system, const struct cli_arguments *arguments,
                      const char *type, const char *source)
{
    const char *split = strstr(source, ":/");
    if (split == NULL || split == source) {
        return cli_error_set(&cli->error, CLI_USAGE, "\"%s\" is not SERVER:/PATH", source);
    }
    bool brackets = source[0] == '[' && split[-1] == ']';
    g_autofree char *server = brackets ? g_strndup(source + 1, (size_t)(split - source - 2))
                                       : g_strndup(source, (size_t)(split - source));
    json_object *spec =
        js_object("HostNasVolumeSpec", "remoteHost:s", server, "remotePath:s", split + 1, "localPath:s",
                  cli_word(arguments, 0), "accessMode:s",
                  cli_flag(arguments, "read-only") ? "readOnly" : "readWrite", "type:s", type, NULL);
    return cli_client_call(cli->client, system, "CreateNasDatastore", js_object(NULL, "spec:o", spec, NULL),
                           NULL, &cli->error);
}

/* What all three tell programs. */
static int tell_name(struct cli *cli, int code, const char *name)
{
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "name:s", name, NULL));
    }
    return code;
}

int cli_run_datastore_add(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *folder = cli_option(arguments, "folder");
    const char *nfs = cli_option(arguments, "nfs");
    const char *glusterfs = cli_option(arguments, "glusterfs");
    g_autoptr(json_object) system = NULL;
    if ((folder != NULL) + (nfs != NULL) + (glusterfs != NULL) != 1) {
        return cli_error_set(&cli->error, CLI_USAGE, "give one of --folder, --nfs and --glusterfs");
    }
    if (folder != NULL && cli_flag(arguments, "read-only")) {
        return cli_error_set(&cli->error, CLI_USAGE, "--read-only is for file servers");
    }
    int code = cli_host_property(cli, "configManager.datastoreSystem", NULL, &system);
    if (code != CLI_OK) {
        return code;
    }
    if (folder != NULL) {
        code = add_folder(cli, system, cli_word(arguments, 0), folder);
    } else {
        code = add_volume(cli, system, arguments, nfs != NULL ? "NFS" : "GLUSTERFS",
                          nfs != NULL ? nfs : glusterfs);
    }
    return tell_name(cli, code, cli_word(arguments, 0));
}

int cli_run_datastore_rename(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) datastore = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_find_datastore(cli, cli_word(arguments, 0), &datastore);
    }
    if (code == CLI_OK) {
        code = cli_client_call(cli->client, datastore, "RenameDatastore",
                               js_object(NULL, "newName:s", cli_word(arguments, 1), NULL), NULL, &cli->error);
    }
    return tell_name(cli, code, cli_word(arguments, 1));
}

int cli_run_datastore_remove(struct cli *cli, const struct cli_arguments *arguments)
{
    g_autoptr(json_object) datastore = NULL;
    g_autoptr(json_object) system = NULL;
    int code = cli_host_property(cli, "configManager.datastoreSystem", NULL, &system);
    if (code == CLI_OK) {
        code = cli_find_datastore(cli, cli_word(arguments, 0), &datastore);
    }
    if (code == CLI_OK) {
        code = cli_client_call(cli->client, system, "RemoveDatastore",
                               js_object(NULL, "datastore:o", js_share(datastore), NULL), NULL, &cli->error);
    }
    return tell_name(cli, code, cli_word(arguments, 0));
}

/* ---- ls ------------------------------------------------------------------------------------------- */

/* "FolderFileInfo" -> "folder", "VmDiskFileInfo" -> "vmdisk", "FileInfo" -> "file". Freed with g_free. */
static char *file_kind(const char *type)
{
    if (type == NULL || strcmp(type, "FileInfo") == 0 || !g_str_has_suffix(type, "FileInfo")) {
        return g_strdup("file");
    }
    return g_ascii_strdown(type, (gssize)(strlen(type) - strlen("FileInfo")));
}

static json_object *file_document(json_object *file)
{
    g_autofree char *kind = file_kind(js_type(file));
    json_object *size = js_at(file, "fileSize");
    return js_object(NULL, "name:s", js_text(file, "path"), "kind:s", kind, "size_bytes:o", js_share(size),
                     "modified:s", js_text(file, "modification"), NULL);
}

static int search(struct cli *cli, const struct cli_file *folder, json_object **ret)
{
    static const char *const paths[] = {"browser", NULL};
    g_autofree char *text = cli_file_text(folder);
    g_autofree char *label = g_strdup_printf("reading %s", text);
    g_autoptr(json_object) datastore = NULL;
    int code = cli_read_object(cli, folder->datastore, paths, &datastore);
    if (code != CLI_OK) {
        return code;
    }
    json_object *details = js_object("FileQueryFlags", "fileType:b", 1, "fileSize:b", 1, "modification:b", 1,
                                     "fileOwner:b", 0, NULL);
    json_object *spec =
        js_object("HostDatastoreBrowserSearchSpec", "details:o", details, "sortFoldersFirst:b", 1, NULL);
    return cli_call_task(cli, js_at(datastore, "browser"), "SearchDatastore_Task",
                         js_object(NULL, "datastorePath:s", text, "searchSpec:o", spec, NULL), label, ret);
}

static void print_files(struct cli *cli, json_object *documents)
{
    CLI_TABLE_AUTO table = cli_table_new((const char *[]){">SIZE", "MODIFIED", "KIND", "NAME", NULL});
    for (size_t i = 0; i < js_length(documents); i++) {
        json_object *file = json_object_array_get_idx(documents, i);
        bool folder = g_strcmp0(js_text(file, "kind"), "folder") == 0;
        int64_t size = js_int(file, "size_bytes", -1);
        cli_table_take(table, size >= 0 && !folder ? cli_format_bytes(size) : NULL);
        cli_table_take(table, cli_format_time(js_text(file, "modified")));
        cli_table_add(table, js_text(file, "kind"));
        cli_table_printf(table, "%s%s", js_text(file, "name"), folder ? "/" : "");
    }
    cli_table_print(table, cli->out);
}

int cli_run_datastore_ls(struct cli *cli, const struct cli_arguments *arguments)
{
    struct cli_file folder = {0};
    g_autoptr(json_object) found = NULL;
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_file_find(cli, cli_word(arguments, 0), &folder);
    }
    if (code == CLI_OK) {
        code = search(cli, &folder, &found);
    }
    cli_file_clear(&folder);
    if (code != CLI_OK) {
        return code;
    }
    json_object *documents = json_object_new_array();
    json_object *files = js_at(found, "file");
    for (size_t i = 0; i < js_length(files); i++) {
        json_object_array_add(documents, file_document(json_object_array_get_idx(files, i)));
    }
    if (cli->json) {
        cli_print_json(cli, documents);
        return CLI_OK;
    }
    print_files(cli, documents);
    json_object_put(documents);
    return CLI_OK;
}

/* ---- put, get ------------------------------------------------------------------------------------- */

static int report_copy(struct cli *cli, const char *from, const char *to)
{
    if (cli->json) {
        cli_print_json(cli, js_object(NULL, "from:s", from, "to:s", to, NULL));
    } else {
        g_autofree char *text = g_strdup_printf("%s is copied to %s.", from, to);
        g_autofree char *shown = cli_printable(text, false);
        fprintf(cli->out, "%s\n", shown);
    }
    return CLI_OK;
}

int cli_run_datastore_put(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *source = cli_word(arguments, 0);
    struct cli_file target = {0};
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_file_find(cli, cli_word(arguments, 1), &target);
    }
    if (code != CLI_OK) {
        return code;
    }
    if (*target.path == '\0' || g_str_has_suffix(target.path, "/")) {
        g_autofree char *folder = g_steal_pointer(&target.path);
        g_autofree char *name = g_path_get_basename(source);
        target.path = g_strconcat(folder, name, NULL);
    }
    g_autofree char *shown = cli_file_text(&target);
    code = cli_file_upload(cli, &target, source);
    cli_file_clear(&target);
    return code == CLI_OK ? report_copy(cli, source, shown) : code;
}

int cli_run_datastore_get(struct cli *cli, const struct cli_arguments *arguments)
{
    const char *target = cli_word(arguments, 1);
    struct cli_file source = {0};
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_file_find(cli, cli_word(arguments, 0), &source);
    }
    if (code == CLI_OK) {
        code = cli_file_download(cli, &source, target);
    }
    g_autofree char *shown = code == CLI_OK ? cli_file_text(&source) : NULL;
    cli_file_clear(&source);
    /* The standard output has the file in it, and nothing else. */
    return code == CLI_OK && strcmp(target, "-") != 0 ? report_copy(cli, shown, target) : code;
}

/* ---- mkdir, rm ------------------------------------------------------------------------------------ */

int cli_run_datastore_mkdir(struct cli *cli, const struct cli_arguments *arguments)
{
    struct cli_file folder = {0};
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_file_find(cli, cli_word(arguments, 0), &folder);
    }
    if (code != CLI_OK) {
        return code;
    }
    g_autofree char *text = cli_file_text(&folder);
    code = cli_client_call(cli->client, js_at(cli->content, "fileManager"), "MakeDirectory",
                           js_object(NULL, "name:s", text, "datacenter:o", js_share(folder.datacenter),
                                     "createParentDirectories:b", 1, NULL),
                           NULL, &cli->error);
    cli_file_clear(&folder);
    if (code == CLI_OK && cli->json) {
        cli_print_json(cli, js_object(NULL, "path:s", text, NULL));
    }
    return code;
}

static int confirm_delete(struct cli *cli, const struct cli_arguments *arguments)
{
    if (cli_flag(arguments, "yes")) {
        return CLI_OK;
    }
    if (!cli_can_ask()) {
        return cli_error_set(&cli->error, CLI_USAGE, "this deletes files; add --yes");
    }
    g_autofree char *question = g_strdup_printf("Delete %s?", cli_word(arguments, 0));
    return cli_ask_yes(question) ? CLI_OK : cli_error_set(&cli->error, CLI_FAILED, "nothing was deleted");
}

int cli_run_datastore_rm(struct cli *cli, const struct cli_arguments *arguments)
{
    struct cli_file file = {0};
    int code = cli_connect(cli);
    if (code == CLI_OK) {
        code = cli_file_find(cli, cli_word(arguments, 0), &file);
    }
    if (code == CLI_OK && *file.path == '\0') {
        code = cli_error_set(&cli->error, CLI_USAGE, "give a file or folder on the datastore to delete");
    }
    if (code == CLI_OK) {
        code = confirm_delete(cli, arguments);
    }
    if (code == CLI_OK) {
        code = cli_file_delete(cli, &file);
    }
    if (code == CLI_OK && cli->json) {
        g_autofree char *text = cli_file_text(&file);
        cli_print_json(cli, js_object(NULL, "path:s", text, NULL));
    }
    cli_file_clear(&file);
    return code;
}
