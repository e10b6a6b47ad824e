// SPDX-License-Identifier: Apache-2.0
/*
 * Makes, copies, compares and frees values by their descriptors. See value.h.
 */
#include "vim/value.h"

#include <string.h>

static void value_clear(const struct vim_type *type, void *at)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_STRING:
        g_free(*(char **)at);
        break;
    case VIM_BINARY:
        g_clear_pointer((GBytes **)at, g_bytes_unref);
        break;
    case VIM_DATA:
        vim_free(*(void **)at);
        break;
    case VIM_ANY:
        vim_any_free(*(struct vim_any **)at);
        break;
    case VIM_REF:
        vim_ref_clear(at);
        break;
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
    case VIM_DATE_TIME:
    case VIM_ENUM:
        break;
    }
    memset(at, 0, vim_value_size(type));
}

static void value_copy(const struct vim_type *type, const void *from, void *to)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_STRING:
        *(char **)to = g_strdup(*(char *const *)from);
        break;
    case VIM_BINARY: {
        GBytes *bytes = *(GBytes *const *)from;
        *(GBytes **)to = bytes != NULL ? g_bytes_ref(bytes) : NULL;
        break;
    }
    case VIM_DATA:
        *(void **)to = vim_copy(*(void *const *)from);
        break;
    case VIM_ANY: {
        const struct vim_any *any = *(struct vim_any *const *)from;
        *(struct vim_any **)to = any != NULL ? vim_any_new(any->type, any->array, any->value) : NULL;
        break;
    }
    case VIM_REF:
        *(struct vim_ref *)to = vim_ref_copy(from);
        break;
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
    case VIM_DATE_TIME:
    case VIM_ENUM:
        memcpy(to, from, type->size);
        break;
    }
}

static bool array_equal(const struct vim_type *type, const struct vim_array *a, const struct vim_array *b);

static bool value_equal(const struct vim_type *type, const void *a, const void *b)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_STRING:
        return g_strcmp0(*(char *const *)a, *(char *const *)b) == 0;
    case VIM_BINARY: {
        GBytes *x = *(GBytes *const *)a;
        GBytes *y = *(GBytes *const *)b;
        return x == y || (x != NULL && y != NULL && g_bytes_equal(x, y));
    }
    case VIM_DATA:
        return vim_equal(*(void *const *)a, *(void *const *)b);
    case VIM_ANY: {
        const struct vim_any *x = *(struct vim_any *const *)a;
        const struct vim_any *y = *(struct vim_any *const *)b;
        if (x == NULL || y == NULL) {
            return x == y;
        }
        return x->type == y->type && x->array == y->array &&
               (x->array ? array_equal(x->type, x->value, y->value)
                         : value_equal(x->type, x->value, y->value));
    }
    case VIM_REF:
        return vim_ref_equal(a, b);
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
    case VIM_DATE_TIME:
    case VIM_ENUM:
        return memcmp(a, b, type->size) == 0;
    }
    g_assert_not_reached();
}

static void *array_item(const struct vim_array *array, size_t size, uint32_t i)
{
    return (char *)array->items + (size_t)i * size;
}

static void array_clear(const struct vim_type *type, struct vim_array *array)
{
    size_t size = vim_value_size(type);
    for (uint32_t i = 0; i < array->n; i++) {
        value_clear(type, array_item(array, size, i));
    }
    g_free(array->items);
    *array = (struct vim_array){0};
}

/* Room doubles at powers of two, so that n additions cost O(n) without a capacity member: every array of
 * n items has room for the next power of two. */
static size_t array_room(uint32_t n)
{
    size_t room = 1;
    while (room < n) {
        room *= 2;
    }
    return room;
}

static void array_copy(const struct vim_type *type, const struct vim_array *from, struct vim_array *to)
{
    size_t size = vim_value_size(type);
    to->n = from->n;
    to->items = from->n > 0 ? g_malloc0_n(array_room(from->n), size) : NULL;
    for (uint32_t i = 0; i < from->n; i++) {
        value_copy(type, array_item(from, size, i), array_item(to, size, i));
    }
}

static bool array_equal(const struct vim_type *type, const struct vim_array *a, const struct vim_array *b)
{
    size_t size = vim_value_size(type);
    if (a->n != b->n) {
        return false;
    }
    for (uint32_t i = 0; i < a->n; i++) {
        if (!value_equal(type, array_item(a, size, i), array_item(b, size, i))) {
            return false;
        }
    }
    return true;
}

void vim_field_clear(const struct vim_field *field, void *at)
{
    if (field->flags & VIM_ARRAY) {
        array_clear(field->type, at);
    } else if (vim_field_has_flag(field)) {
        memset(at, 0, 2 * (size_t)field->type->size);
    } else {
        value_clear(field->type, at);
    }
}

void vim_field_copy(const struct vim_field *field, const void *from, void *to)
{
    if (field->flags & VIM_ARRAY) {
        array_copy(field->type, from, to);
    } else if (vim_field_has_flag(field)) {
        memcpy(to, from, 2 * (size_t)field->type->size);
    } else {
        value_copy(field->type, from, to);
    }
}

bool vim_field_equal(const struct vim_field *field, const void *a, const void *b)
{
    if (field->flags & VIM_ARRAY) {
        return array_equal(field->type, a, b);
    }
    if (vim_field_has_flag(field)) {
        return *(const bool *)a == *(const bool *)b &&
               (!*(const bool *)a ||
                value_equal(field->type, vim_field_value(field, a), vim_field_value(field, b)));
    }
    return value_equal(field->type, a, b);
}

static const struct vim_type *type_of(const void *object)
{
    return *(const struct vim_type *const *)object;
}

void *vim_new(const struct vim_type *type)
{
    void *object = g_malloc0(type->size);
    *(const struct vim_type **)object = type;
    return object;
}

void vim_clear_members(const struct vim_type *type, void *object)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        vim_field_clear(&type->fields[i], vim_field_at(&type->fields[i], object));
    }
}

void vim_free(void *object)
{
    if (object != NULL) {
        vim_clear_members(type_of(object), object);
        g_free(object);
    }
}

void *vim_copy(const void *object)
{
    if (object == NULL) {
        return NULL;
    }
    const struct vim_type *type = type_of(object);
    void *copy = vim_new(type);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        vim_field_copy(field, vim_field_at(field, object), vim_field_at(field, copy));
    }
    return copy;
}

bool vim_equal(const void *a, const void *b)
{
    if (a == b || a == NULL || b == NULL) {
        return a == b;
    }
    const struct vim_type *type = type_of(a);
    if (type != type_of(b)) {
        return false;
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        if (!vim_field_equal(field, vim_field_at(field, a), vim_field_at(field, b))) {
            return false;
        }
    }
    return true;
}

struct vim_ref vim_ref_make(const struct vim_type *type, const char *id)
{
    return (struct vim_ref){type, g_strdup(id)};
}

struct vim_ref vim_ref_copy(const struct vim_ref *ref)
{
    return (struct vim_ref){ref->type, g_strdup(ref->id)};
}

void vim_ref_clear(struct vim_ref *ref)
{
    g_free(ref->id);
    *ref = (struct vim_ref){0};
}

bool vim_ref_equal(const struct vim_ref *a, const struct vim_ref *b)
{
    return g_strcmp0(a->id, b->id) == 0 && (a->id == NULL || a->type == b->type);
}

void vim_ref_set(struct vim_ref *to, const struct vim_ref *from)
{
    struct vim_ref copy = vim_ref_copy(from);
    vim_ref_clear(to);
    *to = copy;
}

struct vim_any *vim_any_new(const struct vim_type *type, bool array, const void *value)
{
    struct vim_any *any = g_new0(struct vim_any, 1);
    any->type = type;
    any->array = array;
    if (array) {
        any->value = g_new0(struct vim_array, 1);
        array_copy(type, value, any->value);
    } else {
        any->value = g_malloc0(vim_value_size(type));
        value_copy(type, value, any->value);
    }
    return any;
}

void vim_any_free(struct vim_any *any)
{
    if (any == NULL) {
        return;
    }
    if (any->array) {
        array_clear(any->type, any->value);
    } else {
        value_clear(any->type, any->value);
    }
    g_free(any->value);
    g_free(any);
}

struct vim_any *vim_any_string(const char *value)
{
    return vim_any_new(&vim_type_string, false, &value);
}

struct vim_any *vim_any_int(int32_t value)
{
    return vim_any_new(&vim_type_int, false, &value);
}

struct vim_any *vim_any_long(int64_t value)
{
    return vim_any_new(&vim_type_long, false, &value);
}

struct vim_any *vim_any_boolean(bool value)
{
    return vim_any_new(&vim_type_boolean, false, &value);
}

struct vim_any *vim_any_object(void *object)
{
    struct vim_any *any = g_new0(struct vim_any, 1);
    any->type = type_of(object);
    any->value = g_memdup2(&object, sizeof(object));
    return any;
}

struct vim_any *vim_any_ref(const struct vim_ref *ref)
{
    return vim_any_new(ref->type, false, ref);
}

const char *vim_any_get_string(const struct vim_any *any)
{
    return any != NULL && !any->array && any->type == &vim_type_string ? *(char **)any->value : NULL;
}

void vim_set_string(char **at, const char *value)
{
    char *copy = g_strdup(value);
    g_free(*at);
    *at = copy;
}

void vim_array_add(void *array, const struct vim_type *type, const void *item)
{
    struct vim_array *a = array;
    size_t size = vim_value_size(type);
    if ((a->n & (a->n - 1)) == 0) {
        a->items = g_realloc_n(a->items, a->n == 0 ? 1 : 2 * (size_t)a->n, size);
    }
    memcpy(array_item(a, size, a->n), item, size);
    a->n++;
}

void vim_array_add_string(void *array, const char *value)
{
    char *copy = g_strdup(value);
    vim_array_add(array, &vim_type_string, &copy);
}

void vim_array_add_ref(void *array, const struct vim_ref *ref)
{
    struct vim_ref copy = vim_ref_copy(ref);
    vim_array_add(array, copy.type, &copy);
}

void vim_array_remove(void *array, const struct vim_type *type, uint32_t i)
{
    struct vim_array *a = array;
    size_t size = vim_value_size(type);
    g_assert(i < a->n);
    value_clear(type, array_item(a, size, i));
    memmove(array_item(a, size, i), array_item(a, size, i + 1), (size_t)(a->n - i - 1) * size);
    a->n--;
}
