// SPDX-License-Identifier: Apache-2.0
/*
 * The walker's memory side: make, copy, compare and free values by their descriptors.
 * Nothing here fails (GLib aborts when memory runs out) and nothing is shared between threads.
 */
#pragma once

#include "vim/type.h"

/* A zeroed object of a data or managed type with vim_type set; to be freed with vim_free. */
void *vim_new(const struct vim_type *type) G_GNUC_WARN_UNUSED_RESULT;
/* Frees an object and all it owns; NULL is fine. */
void vim_free(void *object);
/* A deep copy of an object by its dynamic type; NULL gives NULL. */
void *vim_copy(const void *object) G_GNUC_WARN_UNUSED_RESULT;
/* Whether two objects (or NULLs) hold the same. */
bool vim_equal(const void *a, const void *b);

/* The same for a member: `at` is where it lies. Clearing leaves it unset. */
void vim_field_clear(const struct vim_field *field, void *at);
void vim_field_copy(const struct vim_field *field, const void *from, void *to);
bool vim_field_equal(const struct vim_field *field, const void *a, const void *b);

/* What follows is asked of every member in every walk, so it is inline. */

/* Optional numbers carry a flag before the value. */
static inline bool vim_field_has_flag(const struct vim_field *field)
{
    return field->flags == VIM_OPTIONAL && field->type->kind <= VIM_DOUBLE;
}

/* Whether a value in an array or a required member is set. Numbers always are. */
static inline bool vim_value_is_set(const struct vim_type *type, const void *at)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_STRING:
    case VIM_BINARY:
    case VIM_DATA:
    case VIM_ANY:
        return *(void *const *)at != NULL;
    case VIM_REF:
        return ((const struct vim_ref *)at)->id != NULL;
    case VIM_ENUM:
        return *(const int *)at != 0;
    case VIM_DATE_TIME:
        return *(const int64_t *)at != 0;
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
        return true;
    }
    g_assert_not_reached();
}

/* The same for a member. */
static inline bool vim_field_is_set(const struct vim_field *field, const void *at)
{
    if (field->flags & VIM_ARRAY) {
        return ((const struct vim_array *)at)->n > 0;
    }
    return vim_field_has_flag(field) ? *(const bool *)at : vim_value_is_set(field->type, at);
}

/* Where a member of an object lies. */
static inline void *vim_field_at(const struct vim_field *field, const void *object)
{
    return (char *)object + field->offset;
}
/* Where the value itself lies: behind the `set` flag of an optional number, else the member. */
static inline void *vim_field_value(const struct vim_field *field, const void *at)
{
    /* struct { bool set; T value; } puts T at its own alignment, which is its size. */
    return vim_field_has_flag(field) ? (char *)at + field->type->size : (char *)at;
}

/* Bytes of one value of this type in an array or as a required member. */
static inline size_t vim_value_size(const struct vim_type *type)
{
    return type->kind == VIM_DATA  ? sizeof(void *)
           : type->kind == VIM_REF ? sizeof(struct vim_ref)
                                   : type->size; /* of objects it is the size of their struct */
}

/* Clears the members of a struct that is not itself on the heap, such as a result. */
void vim_clear_members(const struct vim_type *type, void *object);

struct vim_ref vim_ref_make(const struct vim_type *type, const char *id);
struct vim_ref vim_ref_copy(const struct vim_ref *ref);
void vim_ref_clear(struct vim_ref *ref);
bool vim_ref_equal(const struct vim_ref *a, const struct vim_ref *b);
/* Replaces *to, which may be unset, by a copy of *from. */
void vim_ref_set(struct vim_ref *to, const struct vim_ref *from);

struct vim_any *vim_any_string(const char *value);
struct vim_any *vim_any_int(int32_t value);
struct vim_any *vim_any_long(int64_t value);
struct vim_any *vim_any_boolean(bool value);
/* Takes ownership of the object. */
struct vim_any *vim_any_object(void *object);
struct vim_any *vim_any_ref(const struct vim_ref *ref);
/* A value of `type` copied from `value`, which lies as a required member would. */
struct vim_any *vim_any_new(const struct vim_type *type, bool array, const void *value);
void vim_any_free(struct vim_any *any);
/* The string in it, or NULL when it holds something else. */
const char *vim_any_get_string(const struct vim_any *any);

/* Replaces a string member by a copy. */
void vim_set_string(char **at, const char *value);

/* Adds one value to an array member: `item` is moved in (its bytes are copied, ownership passes). */
void vim_array_add(void *array, const struct vim_type *type, const void *item);
/* Adds an object to an array of objects, a copied string to one of strings, a copied reference. */
#define vim_array_add_object(array, object)                                       \
    do {                                                                          \
        void *added_ = (object);                                                  \
        vim_array_add((array), *(const struct vim_type *const *)added_, &added_); \
    } while (0)
void vim_array_add_string(void *array, const char *value);
void vim_array_add_ref(void *array, const struct vim_ref *ref);
/* Removes item i, which must exist, and frees it; keeps the order of the others. */
void vim_array_remove(void *array, const struct vim_type *type, uint32_t i);

/* Sets an optional number. */
#define vim_set_optional(member, number) \
    do {                                 \
        (member)->set = true;            \
        (member)->value = (number);      \
    } while (0)
