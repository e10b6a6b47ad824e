// SPDX-License-Identifier: Apache-2.0
/*
 * Datastore paths; see datastore_path.h.
 */
#include "host/storage/datastore_path.h"

#include <errno.h>
#include <string.h>

/* Refuses what no name may contain. */
static int check_text(const char *text, size_t length, const char **ret_rule)
{
    if (memchr(text, '\0', length) != NULL) {
        *ret_rule = "a datastore path must not contain a NUL";
        return -EINVAL;
    }
    if (!g_utf8_validate_len(text, length, NULL)) {
        *ret_rule = "a datastore path must be valid UTF-8";
        return -EINVAL;
    }
    for (const char *p = text; p < text + length; p = g_utf8_next_char(p)) {
        if (g_unichar_iscntrl(g_utf8_get_char(p))) {
            *ret_rule = "a datastore path must not contain control characters";
            return -EINVAL;
        }
    }
    return 0;
}

static int check_component(const char *name, size_t length, const char **ret_rule)
{
    if (length > DATASTORE_COMPONENT_MAX) {
        *ret_rule = "a file or folder name is longer than 255 bytes";
        return -ENAMETOOLONG;
    }
    if ((length == 1 && name[0] == '.') || (length == 2 && name[0] == '.' && name[1] == '.')) {
        *ret_rule = "a datastore path must not contain '.' or '..'";
        return -EINVAL;
    }
    return 0;
}

/* The path in text that has passed check_text. */
static int parse_path(const char *text, size_t length, char **ret_path, const char **ret_rule)
{
    g_autoptr(GString) path = g_string_sized_new(length);
    const char *end = text + length;

    if (length > 0 && text[0] == '/') {
        *ret_rule = "a datastore path must not be absolute";
        return -EINVAL;
    }
    if (length > 0 && text[0] == ' ') {
        *ret_rule = "a path in a datastore must not begin with a space";
        return -EINVAL;
    }
    while (text < end) {
        const char *slash = memchr(text, '/', (size_t)(end - text));
        size_t n = (size_t)((slash != NULL ? slash : end) - text);
        int r = check_component(text, n, ret_rule);

        if (r < 0) {
            return r;
        }
        if (n > 0) {
            if (path->len > 0) {
                g_string_append_c(path, '/');
            }
            g_string_append_len(path, text, (gssize)n);
        }
        text += slash != NULL ? n + 1 : n;
    }
    if (path->len > DATASTORE_PATH_MAX) {
        *ret_rule = "a path in a datastore is longer than 2047 bytes";
        return -ENAMETOOLONG;
    }
    *ret_path = g_string_free(g_steal_pointer(&path), FALSE);
    return 0;
}

/* Checks the name between the brackets. */
static int check_datastore(const char *name, size_t length, const char **ret_rule)
{
    if (length == 0) {
        *ret_rule = "the datastore's name is empty";
        return -EINVAL;
    }
    if (length > DATASTORE_NAME_MAX) {
        *ret_rule = "the datastore's name is longer than 255 bytes";
        return -ENAMETOOLONG;
    }
    if (memchr(name, '/', length) != NULL || memchr(name, '[', length) != NULL) {
        *ret_rule = "a datastore's name must not contain '/' or '['";
        return -EINVAL;
    }
    return 0;
}

int datastore_path_parse(const char *text, gssize length, struct datastore_path *ret, const char **ret_rule)
{
    size_t n = length < 0 ? strlen(text) : (size_t)length;
    const char *close;
    const char *rest;
    char *path;
    int r = check_text(text, n, ret_rule);

    if (r < 0) {
        return r;
    }
    close = n > 0 && text[0] == '[' ? memchr(text, ']', n) : NULL;
    if (close == NULL) {
        *ret_rule = "a datastore path must begin with the datastore's name in brackets";
        return -EINVAL;
    }
    r = check_datastore(text + 1, (size_t)(close - text - 1), ret_rule);
    if (r < 0) {
        return r;
    }
    rest = close + 1;
    if (rest < text + n && *rest == ' ') {
        rest++;
    }
    r = parse_path(rest, (size_t)(text + n - rest), &path, ret_rule);
    if (r < 0) {
        return r;
    }
    ret->datastore = g_strndup(text + 1, (size_t)(close - text - 1));
    ret->path = path;
    return 0;
}

int datastore_path_parse_relative(const char *text, gssize length, char **ret_path, const char **ret_rule)
{
    size_t n = length < 0 ? strlen(text) : (size_t)length;
    int r = check_text(text, n, ret_rule);

    return r < 0 ? r : parse_path(text, n, ret_path, ret_rule);
}

char *datastore_path_format(const char *datastore, const char *path)
{
    return path[0] == '\0' ? g_strdup_printf("[%s]", datastore) : g_strdup_printf("[%s] %s", datastore, path);
}

char *datastore_path_join(const char *folder, const char *name)
{
    return folder[0] == '\0' ? g_strdup(name) : g_strconcat(folder, "/", name, NULL);
}

char *datastore_path_dirname(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? g_strdup("") : g_strndup(path, (size_t)(slash - path));
}

const char *datastore_path_basename(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

char *datastore_path_with_suffix(const char *path, const char *suffix)
{
    const char *name = datastore_path_basename(path);
    const char *dot = strrchr(name, '.');
    size_t length = dot == NULL || dot == name ? strlen(path) : (size_t)(dot - path);

    return g_strdup_printf("%.*s%s", (int)length, path, suffix);
}

void datastore_path_clear(struct datastore_path *path)
{
    g_clear_pointer(&path->datastore, g_free);
    g_clear_pointer(&path->path, g_free);
}
