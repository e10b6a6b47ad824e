// SPDX-License-Identifier: Apache-2.0
/*
 * Property paths: parsed once, followed often. See path.h.
 */
#include "vim/path.h"

#include <string.h>

#include "vim/value.h"

enum {
    MAX_STEPS = 128, /* of a path; resolving one costs a search of all types */
};

struct step {
    const struct vim_field *field; /* in the one declared type; NULL when it depends on the object */
    char *name;                    /* owned */
    char *key;                     /* in brackets, without quotes; owned, or NULL */
};

struct vim_path {
    char *text;         /* owned */
    vim_version since;  /* of its newest name */
    uint16_t privilege; /* of its first name, a property */
    size_t n;
    struct step *steps; /* owned */
};

/* Splits "name[key]" into the step; false when malformed. */
static bool parse_step(const char *text, struct step *step)
{
    const char *bracket = strchr(text, '[');
    if (bracket == NULL) {
        step->name = g_strdup(text);
        return text[0] != '\0';
    }
    size_t length = strlen(bracket);
    if (bracket == text || length < 3 || bracket[length - 1] != ']') {
        return false;
    }
    step->name = g_strndup(text, (size_t)(bracket - text));
    bool quoted = bracket[1] == '"' && length >= 4 && bracket[length - 2] == '"';
    step->key = g_strndup(bracket + 1 + quoted, length - 2 - 2 * (size_t)quoted);
    return true;
}

/* Where a key that begins here ends: behind its bracket, at the end of the text when there is none. A key
 * in quotes may hold brackets. */
static const char *skip_key(const char *at)
{
    bool quoted = at[1] == '"';
    for (at++; *at != '\0'; at++) {
        if (quoted ? at[0] == '"' && at[1] == ']' && (at[2] == '.' || at[2] == '\0') : *at == ']') {
            return at + (quoted ? 2 : 1);
        }
    }
    return at;
}

/* The pieces between dots, except dots inside brackets; NULL-terminated. */
static char **split(const char *text)
{
    GPtrArray *pieces = g_ptr_array_new();
    const char *start = text;
    const char *at = text;
    for (;;) {
        if (*at == '[') {
            at = skip_key(at);
        } else if (*at == '.' || *at == '\0') {
            g_ptr_array_add(pieces, g_strndup(start, (size_t)(at - start)));
            start = at + 1;
            if (*at == '\0') {
                break;
            }
            at++;
        } else {
            at++;
        }
    }
    g_ptr_array_add(pieces, NULL);
    return (char **)g_ptr_array_free(pieces, FALSE);
}

/* Fields with the step's name in a type or, when it has none, in its subtypes. */
static void find_fields(const struct vim_type *type, const char *name, bool in_subtypes, GPtrArray *out)
{
    const struct vim_field *field = vim_field_by_name(type, name, NULL);
    if (field != NULL) {
        g_ptr_array_add(out, (void *)field);
        return;
    }
    for (size_t i = 0; in_subtypes && i < vim_n_types; i++) {
        if (vim_types[i] != type && vim_type_is(vim_types[i], type)) {
            field = vim_field_by_name(vim_types[i], name, NULL);
            if (field != NULL) {
                g_ptr_array_add(out, (void *)field);
            }
        }
    }
}

/* Resolves a step from the types that the way to it can lead to, and replaces these by those that the step
 * leads to: subtypes may mean different things by one name. False when none of them has such a member. */
static bool resolve_step(struct vim_path *path, size_t i, GPtrArray *types)
{
    struct step *step = &path->steps[i];
    bool last = i + 1 == path->n;
    g_autoptr(GPtrArray) fields = g_ptr_array_new();
    for (guint k = 0; k < types->len; k++) {
        find_fields(g_ptr_array_index(types, k), step->name, i > 0, fields);
    }
    if (types->len == 1 && vim_field_by_name(g_ptr_array_index(types, 0), step->name, NULL) != NULL) {
        step->field = g_ptr_array_index(fields, 0);
    }
    g_ptr_array_set_size(types, 0);
    bool known = false;
    vim_version since = vim_newest_version;
    for (guint k = 0; k < fields->len; k++) {
        const struct vim_field *field = g_ptr_array_index(fields, k);
        bool array = field->flags & VIM_ARRAY;
        bool through_array = array && step->key == NULL && !last;
        if (through_array || (step->key != NULL && !array)) {
            continue;
        }
        known = true;
        since = MIN(since, field->since);
        if (field->type->kind == VIM_DATA && !g_ptr_array_find(types, field->type, NULL)) {
            g_ptr_array_add(types, (void *)field->type);
        }
    }
    path->since = MAX(path->since, since);
    return known;
}

struct vim_path *vim_path_new(const struct vim_type *type, const char *text)
{
    g_auto(GStrv) pieces = split(text);
    g_autoptr(GPtrArray) types = g_ptr_array_new();
    struct vim_path *path = g_new0(struct vim_path, 1);
    path->text = g_strdup(text);
    path->n = g_strv_length(pieces);
    path->steps = g_new0(struct step, path->n);
    g_ptr_array_add(types, (void *)type);
    bool known = path->n <= MAX_STEPS;
    for (size_t i = 0; known && i < path->n; i++) {
        known = parse_step(pieces[i], &path->steps[i]) && resolve_step(path, i, types);
    }
    if (!known) {
        vim_path_free(path);
        return NULL;
    }
    path->privilege = path->steps[0].field->privilege; /* the first name is found in the type itself */
    return path;
}

unsigned vim_path_privilege(const struct vim_path *path)
{
    return path->privilege;
}

void vim_path_free(struct vim_path *path)
{
    if (path != NULL) {
        for (size_t i = 0; i < path->n; i++) {
            g_free(path->steps[i].name);
            g_free(path->steps[i].key);
        }
        g_free(path->steps);
        g_free(path->text);
        g_free(path);
    }
}

const char *vim_path_text(const struct vim_path *path)
{
    return path->text;
}

vim_version vim_path_since(const struct vim_path *path)
{
    return path->since;
}

const struct vim_field *vim_key_field(const struct vim_type *type)
{
    return type->kind == VIM_DATA ? vim_field_by_name(type, "key", NULL) : NULL;
}

void vim_key_append(GString *out, const struct vim_field *key, const void *item)
{
    const void *at = vim_field_value(key, vim_field_at(key, item));
    switch ((enum vim_kind)key->type->kind) {
    case VIM_INT:
        g_string_append_printf(out, "[%d]", *(const int32_t *)at);
        break;
    case VIM_STRING:
        g_string_append_printf(out, "[\"%s\"]", *(char *const *)at);
        break;
    case VIM_REF:
        g_string_append_printf(out, "[\"%s\"]", ((const struct vim_ref *)at)->id);
        break;
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
    case VIM_DATE_TIME:
    case VIM_BINARY:
    case VIM_ENUM:
    case VIM_DATA:
    case VIM_ANY:
        g_string_append(out, "[]"); /* no type of the schema has such a key */
        break;
    }
}

void *vim_item_by_key(const struct vim_type *type, const struct vim_array *array, const char *key)
{
    const struct vim_field *field = vim_key_field(type);
    g_autoptr(GString) spelled = g_string_new(NULL);
    for (uint32_t i = 0; field != NULL && i < array->n; i++) {
        void *item = ((void **)array->items)[i];
        if (!vim_field_is_set(field, vim_field_at(field, item))) {
            continue;
        }
        g_string_truncate(spelled, 0);
        vim_key_append(spelled, field, item);
        size_t quotes = spelled->len > 2 && spelled->str[1] == '"' ? 1 : 0;
        size_t length = spelled->len - 2 - 2 * quotes;
        if (strlen(key) == length && memcmp(spelled->str + 1 + quotes, key, length) == 0) {
            return item;
        }
    }
    return NULL;
}

static const struct vim_field *step_field(const struct step *step, const void *object)
{
    return step->field != NULL ? step->field
                               : vim_field_by_name(*(const struct vim_type *const *)object, step->name, NULL);
}

bool vim_path_get(const struct vim_path *path, const void *object, struct vim_value *ret)
{
    for (size_t i = 0; i < path->n; i++) {
        const struct step *step = &path->steps[i];
        const struct vim_field *field = step_field(step, object);
        const void *at = field != NULL ? vim_field_at(field, object) : NULL;
        bool last = i + 1 == path->n;
        /* A list of the object itself is told also when it is empty: clients loop over it unasked. */
        bool own_list = field != NULL && path->n == 1 && (field->flags & VIM_ARRAY) && step->key == NULL;
        if (field == NULL || !(own_list || vim_field_is_set(field, at))) {
            return false;
        }
        /* The name may be something else in this object than what the rest of the path needs. */
        bool array = field->flags & VIM_ARRAY;
        if ((step->key != NULL && !array) ||
            (!last && (field->type->kind != VIM_DATA || (array && step->key == NULL)))) {
            return false;
        }
        const void *value = vim_field_value(field, at);
        void *item = NULL;
        if (step->key != NULL) {
            item = vim_item_by_key(field->type, at, step->key);
            if (item == NULL) {
                return false;
            }
        }
        if (last && step->key == NULL) {
            *ret = (struct vim_value){field->type, field->flags & VIM_ARRAY, value};
            return true;
        }
        if (last) {
            /* the item's place in the array, so that `at` is a pointer to a pointer as for a member */
            void **items = ((const struct vim_array *)at)->items;
            while (*items != item) {
                items++;
            }
            *ret = (struct vim_value){field->type, false, items};
            return true;
        }
        object = item != NULL ? item : *(void *const *)value;
    }
    return false;
}

const struct vim_field *vim_path_member(const struct vim_path *path, void *object, void **ret_at)
{
    for (size_t i = 0; i < path->n; i++) {
        const struct vim_field *field = step_field(&path->steps[i], object);
        if (field == NULL) {
            return NULL;
        }
        void *at = vim_field_at(field, object);
        if (i + 1 == path->n) {
            *ret_at = at;
            return field;
        }
        object = *(void **)at;
        if (object == NULL) {
            return NULL;
        }
    }
    return NULL;
}

bool vim_path_is_inside(const char *inner, const char *outer)
{
    size_t length = strlen(outer);
    return strncmp(inner, outer, length) == 0 && (inner[length] == '.' || inner[length] == '[');
}
