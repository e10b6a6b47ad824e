// SPDX-License-Identifier: Apache-2.0
/*
 * Files on datastores; see files.h.
 */
#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"
#include "cli/objects.h"
#include "cli/progress.h"
#include "cli/watch.h"

int cli_file_find(struct cli *cli, const char *text, struct cli_file *ret)
{
    struct cli_file file = {0};
    if (cli_parse_datastore_path(text, &file.datastore_name, &file.path) != 0) {
        return cli_error_set(&cli->error, CLI_USAGE,
                             "\"%s\" is not a path on a datastore, such as '[datastore1] iso/debian.iso'",
                             text);
    }
    int code = cli_find_datastore(cli, file.datastore_name, &file.datastore);
    if (code == CLI_OK) {
        code = cli_datacenter_of(cli, file.datastore, &file.datacenter, &file.datacenter_name);
    }
    if (code != CLI_OK) {
        cli_file_clear(&file);
        return code;
    }
    *ret = file;
    return CLI_OK;
}

void cli_file_clear(struct cli_file *file)
{
    json_object_put(file->datastore);
    json_object_put(file->datacenter);
    g_free(file->datastore_name);
    g_free(file->datacenter_name);
    g_free(file->path);
    *file = (struct cli_file){0};
}

char *cli_file_text(const struct cli_file *file)
{
    return g_strdup_printf("[%s]%s%s", file->datastore_name, *file->path != '\0' ? " " : "", file->path);
}

static char *folder_url(const struct cli_file *file)
{
    g_autofree char *path = g_uri_escape_string(file->path, "/", FALSE);
    g_autofree char *datacenter = g_uri_escape_string(file->datacenter_name, NULL, FALSE);
    g_autofree char *datastore = g_uri_escape_string(file->datastore_name, NULL, FALSE);
    return g_strdup_printf("/folder/%s?dcPath=%s&dsName=%s", path, datacenter, datastore);
}

struct transfer_line {
    struct cli_progress progress;
    const char *label;
};

static void on_transfer(void *data, int64_t done_bytes, int64_t total_bytes)
{
    struct transfer_line *line = data;
    cli_progress_bytes(&line->progress, line->label, done_bytes, total_bytes);
}

static int local_error(struct cli *cli, const char *path, int error)
{
    return cli_error_set(&cli->error, error == -ENOENT ? CLI_NOT_FOUND : CLI_FAILED, "%s: %s", path,
                         g_strerror(-error));
}

static int download(struct cli *cli, const struct cli_file *file, int fd)
{
    g_autofree char *url = folder_url(file);
    g_autofree char *label = cli_file_text(file);
    struct transfer_line line = {.label = label};
    cli_progress_begin(&line.progress, cli->err);
    int code = cli_client_download(cli->client, url, fd, on_transfer, &line, &cli->error);
    cli_progress_end(&line.progress);
    return code;
}

int cli_file_download(struct cli *cli, const struct cli_file *file, const char *target)
{
    if (strcmp(target, "-") == 0) {
        fflush(cli->out);
        return download(cli, file, fileno(cli->out));
    }
    struct stat there;
    if (stat(target, &there) == 0 && !S_ISREG(there.st_mode)) { /* such as /dev/null: must not be replaced */
        int fd = open(target, O_WRONLY | O_CLOEXEC);
        int code = fd >= 0 ? download(cli, file, fd) : local_error(cli, target, -errno);
        if (fd >= 0) {
            close(fd);
        }
        return code;
    }
    g_autofree char *part = g_strconcat(target, ".part", NULL);
    int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0) {
        return local_error(cli, part, -errno);
    }
    int code = download(cli, file, fd);
    if (close(fd) != 0 && code == CLI_OK) {
        code = local_error(cli, part, -errno);
    }
    if (code == CLI_OK && rename(part, target) != 0) {
        code = local_error(cli, target, -errno);
    }
    if (code != CLI_OK) {
        unlink(part);
    }
    return code;
}

int cli_file_upload(struct cli *cli, const struct cli_file *file, const char *source)
{
    g_autofree char *url = folder_url(file);
    struct stat status;
    int fd = open(source, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) {
        return local_error(cli, source, -errno);
    }
    int code = CLI_OK;
    if (fstat(fd, &status) != 0) {
        code = local_error(cli, source, -errno);
    } else if (!S_ISREG(status.st_mode)) {
        code = cli_error_set(&cli->error, CLI_FAILED, "%s is not a regular file", source);
    } else {
        struct transfer_line line = {.label = source};
        cli_progress_begin(&line.progress, cli->err);
        code = cli_client_upload(cli->client, url, fd, status.st_size, on_transfer, &line, &cli->error);
        cli_progress_end(&line.progress);
    }
    close(fd);
    return code;
}

int cli_file_delete(struct cli *cli, const struct cli_file *file)
{
    g_autofree char *text = cli_file_text(file);
    g_autofree char *label = g_strdup_printf("deleting %s", text);
    return cli_call_task(cli, js_at(cli->content, "fileManager"), "DeleteDatastoreFile_Task",
                         js_object(NULL, "name:s", text, "datacenter:o", js_share(file->datacenter), NULL),
                         label, NULL);
}

/* The root pool of a compute resource that reaches the datastore. */
static int find_pool(struct cli *cli, json_object *datastore, json_object **ret)
{
    g_autoptr(json_object) resources = NULL;
    int code = cli_list_objects(cli, "ComputeResource", (const char *[]){"resourcePool", "datastore", NULL},
                                &resources);
    for (size_t i = 0; code == CLI_OK && i < js_length(resources); i++) {
        json_object *resource = json_object_array_get_idx(resources, i);
        json_object *reached = js_at(resource, "datastore");
        for (size_t j = 0; j < js_length(reached); j++) {
            json_object *each = json_object_array_get_idx(reached, j);
            if (g_strcmp0(js_ref_id(each), js_ref_id(datastore)) == 0 &&
                js_at(resource, "resourcePool") != NULL) {
                *ret = js_share(js_at(resource, "resourcePool"));
                return CLI_OK;
            }
        }
    }
    return code != CLI_OK ? code
                          : cli_error_set(&cli->error, CLI_NOT_FOUND,
                                          "no host with a resource pool reaches the datastore");
}

int cli_find_place(struct cli *cli, const char *path, json_object **ret)
{
    struct cli_file file = {0};
    g_autoptr(json_object) datacenter = NULL;
    json_object *pool = NULL;
    int code = cli_file_find(cli, path, &file);
    if (code == CLI_OK) {
        code = cli_read_object(cli, file.datacenter, (const char *[]){"vmFolder", NULL}, &datacenter);
    }
    if (code == CLI_OK) {
        code = find_pool(cli, file.datastore, &pool);
    }
    if (code == CLI_OK) {
        *ret = js_object(NULL, "vmFolder:o", js_share(js_at(datacenter, "vmFolder")), "resourcePool:o", pool,
                         NULL);
    }
    cli_file_clear(&file);
    return code;
}
