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
#include "vim/type.h"

struct vim_writer;

struct vim_writer_ops {
    void (*member)(struct vim_writer *w, const struct vim_field *field, const void *at);
    void (*any)(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type, bool array,
                const void *value);
    void (*begin_array)(struct vim_writer *w, const struct vim_field *field);
    void (*end_array)(struct vim_writer *w, const struct vim_field *field);
    void (*begin_object)(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type);
    void (*end_object)(struct vim_writer *w, const struct vim_field *field);
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

/* The type to show a client of this version for an object of `type` in a place declared as `declared`. */
const struct vim_type *vim_writer_type(const struct vim_writer *w, const struct vim_type *type);

/* Appends a dateTime (RFC 3339, UTC, microseconds), an integer, a floating-point number. */
void vim_write_date_time(struct buffer *out, int64_t time_us);
void vim_write_integer(struct buffer *out, int64_t number);
void vim_write_double(struct buffer *out, double number, bool single);
/* A boolean or number of any kind; both bindings spell these alike. */
void vim_write_number(struct buffer *out, const struct vim_type *type, const void *at);
/* Whether a value is set, and no enum value that is newer than the client. */
bool vim_writable(const struct vim_writer *w, const struct vim_type *type, const void *at);
/* The same for what a member of type any holds. */
bool vim_writable_any(const struct vim_writer *w, const struct vim_type *type, bool array, const void *value);
/* "ArrayOfInt", "ArrayOfManagedObjectReference", "ArrayOfVirtualDevice". */
void vim_write_array_type_name(struct buffer *out, const struct vim_type *type);
