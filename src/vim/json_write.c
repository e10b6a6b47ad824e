// SPDX-License-Identifier: Apache-2.0
/*
 * The VI/JSON binding's writer: every object carries "_typeName"; a value in a place declared as any is
 * boxed as {"_typeName": ..., "_value": ...} unless it is an object or a reference, which name themselves.
 */
#include <string.h>

#include "vim/json.h"
#include "vim/value.h"
#include "vim/writer.h"

void json_write_string(struct buffer *out, const char *text)
{
    buffer_append_char(out, '"');
    const char *start = text;
    for (const char *at = text;; at++) {
        unsigned char c = (unsigned char)*at;
        if (c >= 0x20 && c != '"' && c != '\\') {
            continue;
        }
        buffer_append(out, start, (size_t)(at - start));
        if (c == '\0') {
            break;
        }
        if (c == '"' || c == '\\') {
            buffer_append_char(out, '\\');
            buffer_append_char(out, (char)c);
        } else {
            buffer_printf(out, "\\u%04x", c);
        }
        start = at + 1;
    }
    buffer_append_char(out, '"');
}

/* A comma, unless this is the first thing in its object or array. */
static void separate(struct buffer *out)
{
    char last = out->length > 0 ? out->data[out->length - 1] : '{';
    if (last != '{' && last != '[' && last != ':') {
        buffer_append_char(out, ',');
    }
}

/* `"name":` of a member. A method's result has no name: it is the whole body. */
static void name_member(struct vim_writer *w, const struct vim_field *field)
{
    if (w->out->length == 0) {
        return;
    }
    separate(w->out);
    buffer_append_char(w->out, '"');
    buffer_append_string(w->out, field->name);
    buffer_append_literal(w->out, "\":");
}

static void type_name(struct buffer *out, const char *name)
{
    buffer_append_literal(out, "\"_typeName\":\"");
    buffer_append_string(out, name);
    buffer_append_char(out, '"');
}

static void write_value(struct vim_writer *w, const struct vim_type *type, const void *at);

static void write_array(struct vim_writer *w, const struct vim_type *type, const struct vim_array *array)
{
    size_t size = vim_value_size(type);
    bool first = true;
    buffer_append_char(w->out, '[');
    for (uint32_t i = 0; i < array->n; i++) {
        const void *at = (const char *)array->items + i * size;
        if (!vim_writable(w, type, at)) {
            continue;
        }
        if (!first) {
            buffer_append_char(w->out, ',');
        }
        first = false;
        write_value(w, type, at);
    }
    buffer_append_char(w->out, ']');
}

static void write_boxed(struct vim_writer *w, const struct vim_type *type, bool array, const void *value)
{
    if (!array && (type->kind == VIM_DATA || type->kind == VIM_REF)) {
        write_value(w, type, value);
        return;
    }
    buffer_append_literal(w->out, "{\"_typeName\":\"");
    if (array) {
        vim_write_array_type_name(w->out, vim_writer_type(w, type));
    } else {
        buffer_append_string(w->out, type->name);
    }
    buffer_append_literal(w->out, "\",\"_value\":");
    if (array) {
        write_array(w, type, value);
    } else {
        write_value(w, type, value);
    }
    buffer_append_char(w->out, '}');
}

static void write_member(struct vim_writer *w, const struct vim_field *field, const void *at);

static void write_object(struct vim_writer *w, const void *object)
{
    const struct vim_type *type = vim_writer_type(w, *(const struct vim_type *const *)object);
    buffer_append_char(w->out, '{');
    type_name(w->out, type->name);
    for (unsigned i = 0; i < type->n_fields; i++) {
        write_member(w, &type->fields[i], (const char *)object + type->fields[i].offset);
    }
    buffer_append_char(w->out, '}');
}

static void write_ref(struct vim_writer *w, const struct vim_ref *ref)
{
    struct buffer *out = w->out;
    buffer_append_char(out, '{');
    type_name(out, "ManagedObjectReference");
    buffer_append_literal(out, ",\"type\":\"");
    buffer_append_string(out, vim_writer_type(w, ref->type)->name);
    buffer_append_literal(out, "\",\"value\":");
    json_write_string(out, ref->id);
    buffer_append_char(out, '}');
}

static void write_binary(struct buffer *out, GBytes *bytes)
{
    gsize length;
    const void *data = g_bytes_get_data(bytes, &length);
    g_autofree char *text = g_base64_encode(data, length);
    json_write_string(out, text);
}

static void write_value(struct vim_writer *w, const struct vim_type *type, const void *at)
{
    struct buffer *out = w->out;
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
        json_write_string(out, *(char *const *)at != NULL ? *(char *const *)at : "");
        break;
    case VIM_DATE_TIME:
        buffer_append_char(out, '"');
        vim_write_date_time(out, *(const int64_t *)at);
        buffer_append_char(out, '"');
        break;
    case VIM_BINARY:
        write_binary(out, *(GBytes *const *)at);
        break;
    case VIM_ENUM:
        json_write_string(out, type->values[*(const int *)at]);
        break;
    case VIM_REF:
        write_ref(w, at);
        break;
    case VIM_DATA:
        write_object(w, *(void *const *)at);
        break;
    case VIM_ANY: {
        const struct vim_any *any = *(struct vim_any *const *)at;
        write_boxed(w, any->type, any->array, any->value);
        break;
    }
    }
}

static void write_member(struct vim_writer *w, const struct vim_field *field, const void *at)
{
    if (field->since > w->version) {
        return;
    }
    bool required = !(field->flags & VIM_OPTIONAL);
    if (field->flags & VIM_ARRAY) {
        if (((const struct vim_array *)at)->n > 0 || required) {
            name_member(w, field);
            write_array(w, field->type, at);
        }
    } else if (vim_field_is_set(field, at)) {
        const void *value = vim_field_value(field, at);
        if (vim_writable(w, field->type, value)) {
            name_member(w, field);
            write_value(w, field->type, value);
        }
    } else if (required && field->type->kind == VIM_STRING) {
        name_member(w, field);
        buffer_append_literal(w->out, "\"\"");
    }
}

static void write_any(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type,
                      bool array, const void *value)
{
    if (vim_writable_any(w, type, array, value)) {
        name_member(w, field);
        write_boxed(w, type, array, value);
    }
}

static void begin_array(struct vim_writer *w, const struct vim_field *field)
{
    name_member(w, field);
    buffer_append_char(w->out, '[');
}

static void end_array(struct vim_writer *w, const struct vim_field *field)
{
    (void)field;
    buffer_append_char(w->out, ']');
}

static void begin_object(struct vim_writer *w, const struct vim_field *field, const struct vim_type *type)
{
    if (field->flags & VIM_ARRAY) {
        separate(w->out); /* an item of the array that begin_array opened */
    } else {
        name_member(w, field);
    }
    buffer_append_char(w->out, '{');
    type_name(w->out, vim_writer_type(w, type)->name);
}

static void end_object(struct vim_writer *w, const struct vim_field *field)
{
    (void)field;
    buffer_append_char(w->out, '}');
}

void json_write_result(struct vim_writer *w, const struct vim_method *method, const void *result)
{
    if (method->result->n_fields > 0) {
        const struct vim_field *field = &method->result->fields[0];
        write_member(w, field, vim_field_at(field, result));
    }
}

void json_write_object(struct buffer *out, const void *object)
{
    struct vim_writer w = {.ops = &vim_json_writer, .out = out, .version = vim_newest_version};
    write_object(&w, object);
}

void json_write_fault(struct buffer *out, const struct vim_fault *fault, vim_version version)
{
    struct vim_writer w = {.ops = &vim_json_writer, .out = out, .version = version};
    const struct vim_type *type = vim_writer_type(&w, vim_fault_type(fault));
    buffer_append_char(out, '{');
    type_name(out, type->name);
    for (unsigned i = 0; i < type->n_fields; i++) {
        write_member(&w, &type->fields[i], (const char *)fault->fault + type->fields[i].offset);
    }
    buffer_append_literal(out, ",\"message\":");
    json_write_string(out, fault->message);
    buffer_append_char(out, '}');
}

static void write_items(struct vim_writer *w, const struct buffer *items)
{
    if (items->length > 0) {
        separate(w->out);
        buffer_append(w->out, items->data, items->length);
    }
}

const struct vim_writer_ops vim_json_writer = {
    .member = write_member,
    .any = write_any,
    .begin_array = begin_array,
    .end_array = end_array,
    .begin_object = begin_object,
    .end_object = end_object,
    .items = write_items,
};
