// SPDX-License-Identifier: Apache-2.0
/*
 * Data objects in files: one JSON object a line, each naming its own type. See store.h.
 */
#include "vim/store.h"

#include <errno.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <string.h>

#include "base/buffer.h"
#include "base/file.h"
#include "vim/json.h"
#include "vim/parse.h"
#include "vim/value.h"

enum {
    MAX_BYTES = 256 * 1024 * 1024, /* of one file; everything kept this way is far below */
};

int vim_store_save(const char *path, GPtrArray *objects)
{
    BUFFER_AUTO(out);
    BUFFER_AUTO(line);
    for (guint i = 0; i < objects->len; i++) {
        /* Each into a buffer of its own: the JSON writer looks back at what stands before. */
        buffer_truncate(&line, 0);
        json_write_object(&line, g_ptr_array_index(objects, i));
        buffer_append(&out, line.data, line.length);
        buffer_append_char(&out, '\n');
    }
    return file_replace(AT_FDCWD, path, out.data, out.length, 0600);
}

/* The type that the line names; NULL when the line is no object or names no type of data objects. */
static const struct vim_type *line_type(const char *line, size_t length)
{
    const struct vim_type *type = NULL;
    json_object *name = NULL;
    json_tokener *tokener = json_tokener_new_ex(VIM_MAX_DEPTH);
    json_object *tree = length <= INT32_MAX ? json_tokener_parse_ex(tokener, line, (int)length) : NULL;
    if (json_object_is_type(tree, json_type_object) && json_object_object_get_ex(tree, "_typeName", &name) &&
        json_object_is_type(name, json_type_string)) {
        type = vim_type_by_name(json_object_get_string(name));
    }
    json_object_put(tree);
    json_tokener_free(tokener);
    return type != NULL && type->kind == VIM_DATA ? type : NULL;
}

/* Reads one line; what is wrong with it as a sentence to free, or NULL. */
static char *read_line(const char *line, size_t length, void **ret)
{
    const struct vim_type *type = line_type(line, length);
    if (type == NULL) {
        return g_strdup("no JSON object with a _typeName that this program knows");
    }
    VIM_FAULT_AUTO fault = json_read_object(line, length, type, ret);
    return fault != NULL ? g_strdup(fault->message) : NULL;
}

int vim_store_load(const char *path, GPtrArray **ret, char **ret_message)
{
    g_autoptr(GPtrArray) objects = g_ptr_array_new_with_free_func(vim_free);
    g_autofree char *text = NULL;
    size_t length = 0;
    int error = file_read(AT_FDCWD, path, MAX_BYTES, &text, &length);
    if (error != 0 && error != -ENOENT) {
        *ret_message = g_strdup_printf("%s cannot be read: %s", path, g_strerror(-error));
        return error;
    }
    const char *end = text != NULL ? text + length : NULL;
    unsigned number = 1;
    for (const char *line = text; line < end; number++) {
        const char *newline = memchr(line, '\n', (size_t)(end - line));
        const char *line_end = newline != NULL ? newline : end;
        if (line_end > line) {
            void *object = NULL;
            g_autofree char *wrong = read_line(line, (size_t)(line_end - line), &object);
            if (wrong != NULL) {
                *ret_message = g_strdup_printf("%s, line %u: %s", path, number, wrong);
                return -EBADMSG;
            }
            g_ptr_array_add(objects, object);
        }
        line = newline != NULL ? newline + 1 : end;
    }
    *ret = g_steal_pointer(&objects);
    return 0;
}
