// SPDX-License-Identifier: Apache-2.0
/*
 * Files on datastores: where they are on the server, and their way to and from this machine. All functions
 * need a connection and return an exit code, with cli->error set on failure.
 */
#pragma once

#include <json-c/json.h>

struct cli;

/* A file or folder of a datastore, by what the API needs to name it. */
struct cli_file {
    json_object *datastore;  /* reference; owned */
    json_object *datacenter; /* reference; owned */
    char *datastore_name;    /* owned */
    char *datacenter_name;   /* owned */
    char *path;              /* within the datastore, "" for its top; owned */
};

/* Reads "[datastore] path" and finds its datastore. On success *ret is freed with cli_file_clear(). */
int cli_file_find(struct cli *cli, const char *text, struct cli_file *ret);
void cli_file_clear(struct cli_file *file);
/* "[datastore] path", freed with g_free. */
char *cli_file_text(const struct cli_file *file);

/* Writes the file to `target` of this machine, with progress: to a new file beside it that is renamed over
 * it at the end, or to the standard output when target is "-". */
int cli_file_download(struct cli *cli, const struct cli_file *file, const char *target);
/* Sends a file of this machine, with progress. */
int cli_file_upload(struct cli *cli, const struct cli_file *file, const char *source);
int cli_file_delete(struct cli *cli, const struct cli_file *file);

/*
 * The datacenter's folder and the resource pool that a virtual machine with files on this datastore belongs
 * in: {"vmFolder": ref, "resourcePool": ref}. path is "[datastore] ...".
 */
int cli_find_place(struct cli *cli, const char *path, json_object **ret);
