// SPDX-License-Identifier: Apache-2.0
/*
 * The VI/JSON binding's reader: json-c makes a tree within limits, and descriptors turn it into structs.
 */
#include <json-c/json.h>
#include <string.h>

#include "base/json_count.h"
#include "vim/faults.h"
#include "vim/json.h"
#include "vim/parse.h"

struct reader {
    vim_version version;
    unsigned values;
};

static struct vim_fault *read_value(struct reader *r, const struct vim_type *declared, const char *name,
                                    json_object *from, void *at);

/* A string with a NUL in it (\u0000) would be cut there. */
static bool has_nul(json_object *string)
{
    return strlen(json_object_get_string(string)) != (size_t)json_object_get_string_len(string);
}

/* The text of a member, or NULL when there is none or it is none. */
static const char *member_string(json_object *object, const char *name)
{
    json_object *member = NULL;
    if (!json_object_is_type(object, json_type_object) || !json_object_object_get_ex(object, name, &member) ||
        !json_object_is_type(member, json_type_string) || has_nul(member)) {
        return NULL;
    }
    return json_object_get_string(member);
}

static struct vim_fault *wrong(const char *name, const struct vim_type *type, json_object *from)
{
    g_autofree char *start = g_strndup(json_object_to_json_string(from), 100);
    g_autofree char *shown = g_utf8_make_valid(start, -1); /* the cut may go through a character */
    return fault_invalid_argument(name, "%s is not a valid %s for \"%s\"", shown, type->name, name);
}

static struct vim_fault *read_scalar(const struct vim_type *type, const char *name, json_object *from,
                                     void *at)
{
    enum json_type found = json_object_get_type(from);
    bool textual = type->kind == VIM_STRING || type->kind == VIM_DATE_TIME || type->kind == VIM_BINARY ||
                   type->kind == VIM_ENUM;
    bool fits = textual                     ? found == json_type_string
                : type->kind == VIM_BOOLEAN ? found == json_type_boolean
                : type->kind >= VIM_FLOAT   ? found == json_type_int || found == json_type_double
                                            : found == json_type_int;
    if (!fits || (textual && has_nul(from)) || !vim_parse_text(type, json_object_get_string(from), at)) {
        return wrong(name, type, from);
    }
    return NULL;
}

static struct vim_fault *too_many_values(void)
{
    return fault_invalid_request("the request has more than %d values", VIM_MAX_VALUES);
}

static struct vim_fault *read_array(struct reader *r, const struct vim_type *type, const char *name,
                                    json_object *from, struct vim_array *array)
{
    if (!json_object_is_type(from, json_type_array)) {
        return fault_invalid_argument(name, "\"%s\" is an array", name);
    }
    size_t n = json_object_array_length(from);
    for (size_t i = 0; i < n; i++) {
        static const struct vim_ref nothing; /* as large as the largest item */
        if (++r->values > VIM_MAX_VALUES) {
            return too_many_values();
        }
        vim_array_add(array, type, &nothing); /* in its owner at once, so that a fault leaks nothing */
        char *at = (char *)array->items + (array->n - 1) * vim_value_size(type);
        struct vim_fault *fault = read_value(r, type, name, json_object_array_get_idx(from, i), at);
        if (fault != NULL) {
            return fault;
        }
    }
    return NULL;
}

static struct vim_fault *read_member(struct reader *r, const struct vim_field *field, json_object *from,
                                     void *object)
{
    void *at = vim_field_at(field, object);
    if (from == NULL) {
        return NULL; /* null: unset */
    }
    if (field->flags & VIM_ARRAY) {
        return read_array(r, field->type, field->name, from, at);
    }
    void *value = vim_field_value(field, at);
    struct vim_fault *fault = read_value(r, field->type, field->name, from, value);
    if (fault == NULL && value != at) {
        *(bool *)at = true;
    }
    return fault;
}

static struct vim_fault *read_members(struct reader *r, const struct vim_type *type, json_object *from,
                                      void *object)
{
    struct vim_seen seen = {0};
    unsigned hint = 0;
    json_object_object_foreach (from, name, member) {
        if (strcmp(name, "_typeName") == 0) {
            continue;
        }
        const struct vim_field *field = vim_field_by_name(type, name, &hint);
        if (field == NULL) {
            return fault_invalid_request("%s has no member \"%s\" that this server knows", type->name, name);
        }
        if (++r->values > VIM_MAX_VALUES) {
            return too_many_values();
        }
        if (member != NULL) {
            vim_seen_add(&seen, type, field);
        }
        struct vim_fault *fault = read_member(r, field, member, object);
        if (fault != NULL) {
            return fault;
        }
    }
    return vim_check_required(type, &seen, r->version);
}

static struct vim_fault *read_object(struct reader *r, const struct vim_type *declared, const char *name,
                                     json_object *from, void **at)
{
    const struct vim_type *type = NULL;
    if (!json_object_is_type(from, json_type_object)) {
        return wrong(name, declared, from);
    }
    struct vim_fault *fault = vim_parse_type(declared, member_string(from, "_typeName"), name, &type);
    if (fault != NULL) {
        return fault;
    }
    *at = vim_new(type); /* reachable from its owner at once, so that a fault leaks nothing */
    return read_members(r, type, from, *at);
}

static struct vim_fault *read_ref(const struct vim_type *declared, const char *name, json_object *from,
                                  struct vim_ref *at)
{
    const char *id = member_string(from, "value");
    if (id == NULL) {
        return wrong(name, declared, from);
    }
    return vim_parse_ref(declared, member_string(from, "type"), id, at);
}

/* A boxed value: {"_typeName": T, "_value": V}, or an object or reference that names its type. */
static struct vim_fault *read_any(struct reader *r, const char *name, json_object *from, struct vim_any **at)
{
    const char *type_name = member_string(from, "_typeName");
    const struct vim_type *items = type_name != NULL ? vim_parse_array_type(type_name) : NULL;
    const struct vim_type *type = items;
    json_object *value = from;
    struct vim_fault *fault = NULL;
    if (items == NULL && type_name != NULL && strcmp(type_name, "ManagedObjectReference") == 0) {
        const char *target = member_string(from, "type");
        type = target != NULL ? vim_type_by_name(target) : NULL;
        if (type == NULL || type->kind != VIM_REF) {
            return wrong(name, &vim_type_any, from);
        }
    } else if (items == NULL) {
        fault = vim_parse_type(&vim_type_any, type_name, name, &type);
    }
    if (fault != NULL) {
        return fault;
    }
    if ((items != NULL || (type->kind != VIM_DATA && type->kind != VIM_REF)) &&
        (!json_object_object_get_ex(from, "_value", &value) || value == NULL)) {
        return fault_invalid_argument(name, "\"%s\" has no _value", name);
    }
    struct vim_any *any = g_new0(struct vim_any, 1);
    *at = any;
    any->type = type;
    any->array = items != NULL;
    any->value = g_malloc0(any->array ? sizeof(struct vim_array) : vim_value_size(type));
    return any->array ? read_array(r, type, name, value, any->value)
                      : read_value(r, type, name, value, any->value);
}

static struct vim_fault *read_value(struct reader *r, const struct vim_type *declared, const char *name,
                                    json_object *from, void *at)
{
    if (from == NULL) {
        return fault_invalid_argument(name, "\"%s\" holds a null", name);
    }
    switch ((enum vim_kind)declared->kind) {
    case VIM_DATA:
        return read_object(r, declared, name, from, at);
    case VIM_REF:
        return read_ref(declared, name, from, at);
    case VIM_ANY:
        return read_any(r, name, from, at);
    case VIM_BOOLEAN:
    case VIM_BYTE:
    case VIM_SHORT:
    case VIM_INT:
    case VIM_LONG:
    case VIM_FLOAT:
    case VIM_DOUBLE:
    case VIM_STRING:
    case VIM_DATE_TIME:
    case VIM_BINARY:
    case VIM_ENUM:
        return read_scalar(declared, name, from, at);
    }
    g_assert_not_reached();
}

static struct vim_fault *parse_tree(const char *text, size_t length, json_object **ret)
{
    if (!g_utf8_validate_len(text, length, NULL)) { /* nor a NUL, at which json-c would stop */
        return fault_invalid_request("the body is not UTF-8 text");
    }
    if (json_count_values(text, length) > VIM_MAX_VALUES) {
        return too_many_values();
    }
    json_tokener *tokener = json_tokener_new_ex(VIM_MAX_DEPTH);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
    struct vim_fault *fault = NULL;
    json_object *tree = length <= INT32_MAX ? json_tokener_parse_ex(tokener, text, (int)length) : NULL;
    if (json_tokener_get_error(tokener) != json_tokener_success || tree == NULL ||
        !json_object_is_type(tree, json_type_object)) {
        fault = fault_invalid_request("the body is not a JSON object: %s",
                                      json_tokener_error_desc(json_tokener_get_error(tokener)));
        json_object_put(tree);
    } else {
        *ret = tree;
    }
    json_tokener_free(tokener);
    return fault;
}

struct vim_fault *json_parse_request(const char *body, size_t length, const char *release, const char *type,
                                     const char *id, const char *method_name, struct vim_request *ret)
{
    struct vim_request request = {.version = vim_version_from_string(release)};
    struct reader reader = {.version = request.version};
    json_object *tree = NULL;
    struct vim_fault *fault = vim_parse_ref(vim_type_by_name("ManagedObject"), type, id, &request.target);
    if (fault == NULL) {
        request.method = vim_method_by_name(method_name);
        if (request.method == NULL) {
            fault = fault_method_not_found(request.target, method_name, "this server knows no method \"%s\"",
                                           method_name);
        }
    }
    if (fault == NULL && length > 0) {
        fault = parse_tree(body, length, &tree);
    } else if (fault == NULL) {
        tree = json_object_new_object();
    }
    if (fault == NULL) {
        request.args = vim_new(request.method->args);
        fault = read_members(&reader, request.method->args, tree, request.args);
    }
    json_object_put(tree);
    if (fault != NULL) {
        vim_request_clear(&request);
    } else {
        *ret = request;
    }
    return fault;
}

struct vim_fault *json_read_object(const char *text, size_t length, const struct vim_type *type, void **ret)
{
    struct reader reader = {.version = vim_newest_version};
    json_object *tree = NULL;
    void *object = NULL;
    struct vim_fault *fault = parse_tree(text, length, &tree);
    if (fault == NULL) {
        fault = read_object(&reader, type, type->name, tree, &object);
    }
    json_object_put(tree);
    if (fault != NULL) {
        vim_free(object);
    } else {
        *ret = object;
    }
    return fault;
}
