// SPDX-License-Identifier: Apache-2.0
/*
 * Datastore paths of the VI API: "[datastore1] folder/file.vmdk".
 *
 * Clients send these as plain text, so parsing is where an escape from the datastore is refused for the
 * first time (file_open() refuses it again). What has been parsed is a datastore's name and a path within
 * it: UTF-8, components joined by single slashes, none of them "." or "..", no slash at either end. The
 * empty path is the datastore's root folder. Pure functions; any thread.
 */
#pragma once

#include <glib.h>

enum {
    DATASTORE_NAME_MAX = 255,      /* bytes of a datastore's name */
    DATASTORE_COMPONENT_MAX = 255, /* bytes of one component: what Linux file systems allow */
    DATASTORE_PATH_MAX = 2047,     /* bytes of the whole path within the datastore */
};

struct datastore_path {
    char *datastore; /* owned: the datastore's name, not empty */
    char *path;      /* owned: the path within it; "" is its root folder */
};

/*
 * Parses "[name] path", "[name]path" or "[name]". Repeated and trailing slashes are dropped: clients make
 * them by joining a folder's path with a file's name. length is in bytes, -1 for a C string.
 * Returns 0, -EINVAL or -ENAMETOOLONG; then *ret_rule is a static sentence that says what is wrong.
 * *ret is cleared with datastore_path_clear.
 */
int datastore_path_parse(const char *text, gssize length, struct datastore_path *ret, const char **ret_rule);

/* The same for a path alone, without the "[name]". *ret_path is freed with g_free. */
int datastore_path_parse_relative(const char *text, gssize length, char **ret_path, const char **ret_rule);

/* "[datastore] path", or "[datastore]" for its root. To be freed with g_free, like all below. */
char *datastore_path_format(const char *datastore, const char *path);

/* These take and give paths within a datastore, as parsed. */

/* The path of `name` (which may itself have slashes) in `folder`, which may be "". */
char *datastore_path_join(const char *folder, const char *name);
/* The folder that holds it: "" for something in the root, and for the root itself. */
char *datastore_path_dirname(const char *path);
/* The last component, as a pointer into path; "" for the root. */
const char *datastore_path_basename(const char *path);
/* The path with the last component's suffix (from its last '.', unless it begins with it) replaced. */
char *datastore_path_with_suffix(const char *path, const char *suffix);

void datastore_path_clear(struct datastore_path *path);

/* Declares a local path that clears itself. */
#define DATASTORE_PATH_AUTO(name) \
    __attribute__((cleanup(datastore_path_clear))) struct datastore_path name = {NULL, NULL}
