// SPDX-License-Identifier: Apache-2.0
/*
 * Any text as a property path: refused, or followed in objects that have every member. What it finds can be
 * written as a member of any type, and is the same again when it is asked for again.
 *
 * An input is the name of a type, a line end and a path.
 */
#include "vim/json.h"
#include "vim/path.h"
#include "vim_values.h"

static void follow(const struct vim_path *path, const struct vim_type *type, guint32 seed)
{
    static const struct vim_field member = {.name = "val", .type = &vim_type_any};
    struct samples s = samples_new(seed);
    struct vim_value found = {0};
    struct vim_value again = {0};
    void *object = sample_object_of(&s, type, 3);

    if (vim_path_get(path, object, &found)) {
        BUFFER_AUTO(out);
        struct vim_writer w = {.ops = &vim_json_writer, .out = &out, .version = vim_newest_version};
        vim_write_any(&w, &member, found.type, found.array, found.at);
        g_assert_true(vim_path_get(path, object, &again));
        g_assert_true(again.type == found.type && again.array == found.array && again.at == found.at);
    } else {
        g_assert_null(found.type);
    }
    vim_free(object);
    samples_free(&s);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    g_autofree char *text = g_strndup((const char *)data, size);
    char *line = strchr(text, '\n');
    const char *asked = line != NULL ? line + 1 : "";

    if (line != NULL) {
        *line = '\0';
    }
    const struct vim_type *type = vim_type_by_name(text);
    if (type == NULL || (type->kind != VIM_DATA && type->kind != VIM_REF)) {
        return 0;
    }
    struct vim_path *path = vim_path_new(type, asked);
    if (path == NULL) {
        return 0;
    }
    g_assert_cmpstr(vim_path_text(path), ==, asked);
    g_assert_cmpuint(vim_path_since(path), <=, vim_newest_version);
    g_assert_false(vim_path_is_inside(asked, asked));
    for (guint32 seed = 0; seed < 2; seed++) {
        follow(path, type, seed);
    }
    vim_path_free(path);
    return 0;
}
