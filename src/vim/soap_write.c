// SPDX-License-Identifier: Apache-2.0
/*
 * The SOAP binding's writer: XML as the VI API's WSDL describes it (document/literal, namespace urn:vim25).
 *
 * xsi:type is written where a client cannot know the type: members of type any, members whose declared
 * type has subtypes (libvirt insists even when the object is of the declared type), items of an ArrayOf.
 */
#include "vim/soap.h"

#include <string.h>

#include "vim/value.h"
#include "vim/writer.h"

/* 1: needs care in XML text and attributes. */
static const unsigned char special[256] = {
    [0] = 1,  [1] = 1,  [2] = 1,  [3] = 1,   [4] = 1,   [5] = 1,   [6] = 1,   [7] = 1,    [8] = 1,
    [11] = 1, [12] = 1, [13] = 1, [14] = 1,  [15] = 1,  [16] = 1,  [17] = 1,  [18] = 1,   [19] = 1,
    [20] = 1, [21] = 1, [22] = 1, [23] = 1,  [24] = 1,  [25] = 1,  [26] = 1,  [27] = 1,   [28] = 1,
    [29] = 1, [30] = 1, [31] = 1, ['&'] = 1, ['<'] = 1, ['>'] = 1, ['"'] = 1, [0xef] = 1,
};

/* Copies and returns where the copy ends. Nearly all that XML is made of is short: shorter than the call of a
 * memcpy whose length the compiler does not know. */
static inline char *put(char *to, const char *from, size_t length)
{
    if (length > 32) {
        memcpy(to, from, length);
    } else if (length >= 16) { /* two copies, which overlap */
        memcpy(to, from, 16);
        memcpy(to + length - 16, from + length - 16, 16);
    } else if (length >= 8) {
        memcpy(to, from, 8);
        memcpy(to + length - 8, from + length - 8, 8);
    } else if (length >= 4) {
        memcpy(to, from, 4);
        memcpy(to + length - 4, from + length - 4, 4);
    } else {
        for (size_t i = 0; i < length; i++) {
            to[i] = from[i];
        }
    }
    return to + length;
}

static inline void append(struct buffer *out, const char *text, size_t length)
{
    put(buffer_reserve(out, length), text, length);
    buffer_commit(out, length);
}

void soap_escape(struct buffer *out, const char *text)
{
    const char *start = text;
    const char *at = text;
    for (;;) {
        while (!special[(unsigned char)*at]) {
            at++;
        }
        append(out, start, (size_t)(at - start));
        switch (*at) {
        case '\0':
            return;
        case '&':
            buffer_append_literal(out, "&amp;");
            break;
        case '<':
            buffer_append_literal(out, "&lt;");
            break;
        case '>':
            buffer_append_literal(out, "&gt;");
            break;
        case '"':
            buffer_append_literal(out, "&quot;");
            break;
        case '\r':
            buffer_append_literal(out, "&#13;");
            break;
        case '\xef': /* U+FFFE and U+FFFF are no characters of XML 1.0, others that begin so are */
            if (at[1] == '\xbf' && (at[2] == '\xbe' || at[2] == '\xbf')) {
                buffer_append_literal(out, "\xef\xbf\xbd");
                at += 2;
            } else {
                buffer_append_char(out, *at);
            }
            break;
        default: /* XML 1.0 has no spelling for other control characters */
            buffer_append_literal(out, "\xef\xbf\xbd");
            break;
        }
        start = ++at;
    }
}

static void open_element(struct buffer *out, const struct vim_field *field, bool attributes_follow)
{
    append(out, field->open_tag, (size_t)field->open_tag_length - attributes_follow);
}

static inline char *put_close(char *to, const struct vim_field *field)
{
    to[0] = '<';
    to[1] = '/';
    return put(to + 2, field->open_tag + 1, (size_t)field->open_tag_length - 1);
}

static void close_element(struct buffer *out, const struct vim_field *field)
{
    char *to = buffer_reserve(out, (size_t)field->open_tag_length + 1);
    buffer_commit(out, (size_t)(put_close(to, field) - to));
}

/* All of an element that is a number, with room made once: there are many of them. */
static void write_number_element(struct buffer *out, const struct vim_field *field,
                                 const struct vim_type *type, const void *at)
{
    size_t tags = 2 * (size_t)field->open_tag_length + 1;
    char *start = buffer_reserve(out, tags + VIM_NUMBER_BYTES);
    char *to = put(start, field->open_tag, field->open_tag_length);
    buffer_commit(out, (size_t)(put_close(vim_put_number(to, type, at), field) - start));
}

/* ` xsi:type="..."` for a value of this type. */
static void type_attribute(struct buffer *out, const struct vim_type *type)
{
    buffer_append_literal(out, " xsi:type=\"");
    switch ((enum vim_kind)type->kind) {
    case VIM_REF:
        buffer_append_literal(out, "ManagedObjectReference");
        break;
    case VIM_BINARY:
        buffer_append_literal(out, "xsd:base64Binary");
        break;
    case VIM_ANY:
        buffer_append_literal(out, "xsd:anyType");
        break;
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
    case VIM_STRING:
    case VIM_DATE_TIME:
        buffer_append_literal(out, "xsd:");
        buffer_append_string(out, type->name);
        break;
    case VIM_ENUM:
    case VIM_DATA:
        buffer_append_string(out, type->name);
        break;
    }
    buffer_append_char(out, '"');
}

static void write_binary(struct buffer *out, GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    g_autofree char *text = g_base64_encode(data, length);
    buffer_append_string(out, text);
}

/* The text content of a scalar, enum or reference. */
static void write_text(struct buffer *out, const struct vim_type *type, const void *at)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
        vim_write_number(out, type, at);
        break;
    case VIM_STRING:
        soap_escape(out, *(char *const *)at != NULL ? *(char *const *)at : "");
        break;
    case VIM_DATE_TIME:
        vim_write_date_time(out, *(const int64_t *)at);
        break;
    case VIM_BINARY:
        write_binary(out, *(GBytes *const *)at);
        break;
    case VIM_ENUM:
        buffer_append_string(out, type->values[*(const int *)at]);
        break;
    case VIM_REF:
        soap_escape(out, ((const struct vim_ref *)at)->id);
        break;
    case VIM_DATA:
    case VIM_ANY:
        g_assert_not_reached();
    }
}

static void write_member(struct vim_writer *w, const struct vim_field *field, const void *at);

/* Texts and parts lie anywhere in memory: waiting for all of them at once beats waiting for one after the other. */
static void fetch_members(const struct vim_type *type, const void *object)
{
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        if (!(field->flags & VIM_ARRAY) &&
            (field->type->kind == VIM_STRING || field->type->kind == VIM_DATA)) {
            __builtin_prefetch(*(const void *const *)((const char *)object + field->offset));
        }
    }
}

static void fetch_items(const struct vim_type *type, const struct vim_array *array)
{
    for (uint32_t i = 0; i < array->n && type->kind == VIM_DATA; i++) {
        __builtin_prefetch(((const void *const *)array->items)[i]);
    }
}

static void write_members(struct vim_writer *w, const struct vim_type *type, const void *object)
{
    fetch_members(type, object);
    for (unsigned i = 0; i < type->n_fields; i++) {
        write_member(w, &type->fields[i], (const char *)object + type->fields[i].offset);
    }
}

static void write_any(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type,
                      bool array, const void *value);

/* One value as an element; `typed` forces xsi:type. */
static void write_element(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type,
                          bool typed, const void *at)
{
    struct buffer *out = w->out;
    if (type->kind == VIM_DATA) {
        const void *object = *(void *const *)at;
        const struct vim_type *actual = vim_writer_type(w, *(const struct vim_type *const *)object);
        if (typed || actual != type || type->has_subtypes) {
            open_element(out, field, true);
            type_attribute(out, actual);
            buffer_append_char(out, '>');
        } else {
            open_element(out, field, false);
        }
        write_members(w, actual, object);
    } else if (type->kind == VIM_ANY) {
        const struct vim_any *any = *(struct vim_any *const *)at;
        write_any(w, field, any->type, any->array, any->value);
        return;
    } else if (typed || type->kind == VIM_REF) {
        open_element(out, field, true);
        if (type->kind == VIM_REF) {
            buffer_append_literal(out, " type=\"");
            buffer_append_string(out, vim_writer_type(w, ((const struct vim_ref *)at)->type)->name);
            buffer_append_char(out, '"');
        }
        if (typed) {
            type_attribute(out, type);
        }
        buffer_append_char(out, '>');
        write_text(out, type, at);
    } else if (type->kind <= VIM_DOUBLE) {
        write_number_element(out, field, type, at);
        return;
    } else {
        open_element(out, field, false);
        write_text(out, type, at);
    }
    close_element(out, field);
}

static void write_member(struct vim_writer *w, const struct vim_field *field, const void *at)
{
    if (field->since > w->version) {
        return;
    }
    if (field->flags & VIM_ARRAY) {
        const struct vim_array *array = at;
        size_t size = vim_value_size(field->type);
        fetch_items(field->type, array);
        for (uint32_t i = 0; i < array->n; i++) {
            const void *item = (const char *)array->items + i * size;
            if (vim_writable(w, field->type, item)) {
                write_element(w, field, field->type, false, item);
            }
        }
    } else if (vim_field_is_set(field, at)) {
        const void *value = vim_field_value(field, at);
        if (vim_writable(w, field->type, value)) {
            write_element(w, field, field->type, false, value);
        }
    } else if (!(field->flags & VIM_OPTIONAL) && field->type->kind == VIM_STRING) {
        open_element(w->out, field, false); /* a required string that is empty */
        close_element(w->out, field);
    }
}

/* Items of an ArrayOf are elements named after their type. */
static struct vim_field item_field(const struct vim_type *type, char *tag, size_t size)
{
    const char *name = type->kind == VIM_REF      ? "ManagedObjectReference"
                       : type->kind == VIM_ANY    ? "anyType"
                       : type->kind == VIM_BINARY ? "base64Binary"
                                                  : type->name;
    int length = g_snprintf(tag, size, "<%s>", name);
    return (struct vim_field){.name = name, .open_tag = tag, .open_tag_length = (uint8_t)length};
}

static void write_any(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type,
                      bool array, const void *value)
{
    if (!vim_writable_any(w, type, array, value)) {
        return;
    }
    if (!array) {
        write_element(w, field, type, true, value);
        return;
    }
    type = vim_writer_type(w, type);
    const struct vim_array *items = value;
    char tag[128];
    struct vim_field item = item_field(type, tag, sizeof(tag));
    size_t size = vim_value_size(type);
    open_element(w->out, field, true);
    buffer_append_literal(w->out, " xsi:type=\"");
    vim_write_array_type_name(w->out, type);
    buffer_append_literal(w->out, "\">");
    for (uint32_t i = 0; i < items->n; i++) {
        const void *at = (const char *)items->items + i * size;
        if (vim_writable(w, type, at)) {
            write_element(w, &item, type, true, at);
        }
    }
    close_element(w->out, field);
}

static void begin_array(struct vim_writer *w, const struct vim_field *field)
{
    (void)w; /* in XML an array member is its items, one after the other */
    (void)field;
}

static void begin_object(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type)
{
    const struct vim_type *actual = vim_writer_type(w, type);
    bool typed = field->type != actual || actual->has_subtypes;
    open_element(w->out, field, typed);
    if (typed) {
        type_attribute(w->out, actual);
        buffer_append_char(w->out, '>');
    }
}

static void end_object(struct vim_writer *w, const struct vim_field *field)
{
    close_element(w->out, field);
}

static void write_items(struct vim_writer *w, const struct buffer *items)
{
    buffer_append(w->out, items->data, items->length);
}

const struct vim_writer_ops vim_soap_writer = {
    .member = write_member,
    .any = write_any,
    .begin_array = begin_array,
    .end_array = begin_array,
    .begin_object = begin_object,
    .end_object = end_object,
    .items = write_items,
};
