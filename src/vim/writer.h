// SPDX-License-Identifier: Apache-2.0
/*
 * Writes values as SOAP or as VI/JSON by their descriptors. One interface, two bindings: whoever answers
 * a call does not know which one the client speaks.
 *
 * A writer appends to a buffer and cannot fail. It never writes a name that is newer than the client's
 * version: a newer member is left out, a newer type is written as its nearest older base.
 */
#pragma once

#include "base/buffer.h"
#include "vim/value.h"

struct vim_writer;

struct vim_writer_ops {
    void (*member)(struct vim_writer *w, const struct vim_field *field, const void *at);
    void (*any)(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type, bool array,
                const void *value);
    void (*begin_array)(struct vim_writer *w, const struct vim_field *field);
    void (*end_array)(struct vim_writer *w, const struct vim_field *field);
    void (*begin_object)(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type);
    void (*end_object)(struct vim_writer *w, const struct vim_field *field);
    void (*items)(struct vim_writer *w, const struct buffer *items);
};

struct vim_writer {
    const struct vim_writer_ops *ops;
    struct buffer *out;
    vim_version version;
};

extern const struct vim_writer_ops vim_soap_writer, vim_json_writer;

/* Writes one member of an object if it is set and known to the client. */
static inline void vim_write_member(struct vim_writer *w, const struct vim_field *field, const void *at)
{
    w->ops->member(w, field, at);
}

/* Writes a value as the `any` member `field`: with the name of its type. `value` lies as a required
 * member would. */
static inline void vim_write_any(struct vim_writer *w, const struct vim_field *field,
                                 const struct vim_type *type, bool array, const void *value)
{
    w->ops->any(w, field, type, array, value);
}

/* An object member, or one item between begin_array and end_array, written piece by piece. */
static inline void vim_write_begin(struct vim_writer *w, const struct vim_field *field,
                                   const struct vim_type *type)
{
    w->ops->begin_object(w, field, type);
}

static inline void vim_write_end(struct vim_writer *w, const struct vim_field *field)
{
    w->ops->end_object(w, field);
}

static inline void vim_write_begin_array(struct vim_writer *w, const struct vim_field *field)
{
    w->ops->begin_array(w, field);
}

static inline void vim_write_end_array(struct vim_writer *w, const struct vim_field *field)
{
    w->ops->end_array(w, field);
}

/* Items of an array that another writer of the same kind wrote into a buffer of its own: here they go, between
 * begin_array and end_array. */
static inline void vim_write_items(struct vim_writer *w, const struct buffer *items)
{
    w->ops->items(w, items);
}

/* The type to show a client of this version for an object of `type` in a place declared as `declared`. */
const struct vim_type *vim_writer_type(const struct vim_writer *w, const struct vim_type *type);

/* Appends a dateTime (RFC 3339, UTC, microseconds). */
void vim_write_date_time(struct buffer *out, int64_t time_us);
/* Spells a boolean or a number of any kind, as both bindings do, and returns where it ends. Needs room for
 * VIM_NUMBER_BYTES. */
enum { VIM_NUMBER_BYTES = G_ASCII_DTOSTR_BUF_SIZE };
char *vim_put_number(char *to, const struct vim_type *type, const void *at);
static inline void vim_write_number(struct buffer *out, const struct vim_type *type, const void *at)
{
    char *to = buffer_reserve(out, VIM_NUMBER_BYTES);
    buffer_commit(out, (size_t)(vim_put_number(to, type, at) - to));
}

/* Whether what a member of type any holds is set, and no enum value that is newer than the client. */
bool vim_writable_any(const struct vim_writer *w, const struct vim_type *type, bool array, const void *value);
/* The same for any value. */
static inline bool vim_writable(const struct vim_writer *w, const struct vim_type *type, const void *at)
{
    if (type->kind == VIM_ENUM) {
        int value = *(const int *)at;
        return value != 0 && type->values_since[value] <= w->version;
    }
    if (type->kind == VIM_ANY) {
        const struct vim_any *any = *(struct vim_any *const *)at;
        return any != NULL && vim_writable_any(w, any->type, any->array, any->value);
    }
    return vim_value_is_set(type, at);
}

/* "ArrayOfInt", "ArrayOfManagedObjectReference", "ArrayOfVirtualDevice". */
void vim_write_array_type_name(struct buffer *out, const struct vim_type *type);
