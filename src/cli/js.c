// SPDX-License-Identifier: Apache-2.0
/*
 * JSON made and read for the client; see js.h.
 */
#include "cli/js.h"

#include <stdarg.h>
#include <string.h>

static json_object *value_of_kind(char kind, va_list *args)
{
    switch (kind) {
    case 's':
        return js_string(va_arg(*args, const char *));
    case 'i':
        return json_object_new_int(va_arg(*args, int));
    case 'l':
        return json_object_new_int64(va_arg(*args, int64_t));
    case 'b':
        return json_object_new_boolean(va_arg(*args, int));
    case 'o':
        return va_arg(*args, json_object *);
    }
    g_assert_not_reached();
}

json_object *js_object(const char *type, ...)
{
    json_object *object = json_object_new_object();
    if (type != NULL) {
        json_object_object_add(object, "_typeName", json_object_new_string(type));
    }
    va_list args;
    va_start(args, type);
    for (const char *spec; (spec = va_arg(args, const char *)) != NULL;) {
        const char *colon = strrchr(spec, ':');
        g_assert(colon != NULL);
        g_autofree char *name = g_strndup(spec, (size_t)(colon - spec));
        json_object *value = value_of_kind(colon[1], &args);
        if (value != NULL) {
            json_object_object_add(object, name, value);
        }
    }
    va_end(args);
    return object;
}

json_object *js_array(json_object *first, ...)
{
    json_object *array = json_object_new_array();
    va_list args;
    va_start(args, first);
    for (json_object *item = first; item != NULL; item = va_arg(args, json_object *)) {
        json_object_array_add(array, item);
    }
    va_end(args);
    return array;
}

json_object *js_strings(const char *const *strings)
{
    json_object *array = json_object_new_array();
    for (; *strings != NULL; strings++) {
        json_object_array_add(array, json_object_new_string(*strings));
    }
    return array;
}

json_object *js_ref(const char *type, const char *id)
{
    return js_object("ManagedObjectReference", "type:s", type, "value:s", id, NULL);
}

json_object *js_string(const char *text)
{
    return text != NULL ? json_object_new_string(text) : NULL;
}

json_object *js_at(json_object *object, const char *path)
{
    if (!json_object_is_type(object, json_type_object)) {
        return NULL;
    }
    json_object *member = NULL;
    if (json_object_object_get_ex(object, path, &member)) {
        return member;
    }
    /* The longest name first, so that "a.b" is preferred to "a" when both are there. */
    for (const char *dot = strrchr(path, '.'); dot != NULL; dot = memrchr(path, '.', (size_t)(dot - path))) {
        g_autofree char *name = g_strndup(path, (size_t)(dot - path));
        if (json_object_object_get_ex(object, name, &member)) {
            member = js_at(member, dot + 1);
            if (member != NULL) {
                return member;
            }
        }
    }
    return NULL;
}

const char *js_text(json_object *object, const char *path)
{
    json_object *member = js_at(object, path);
    return json_object_is_type(member, json_type_string) ? json_object_get_string(member) : NULL;
}

int64_t js_int(json_object *object, const char *path, int64_t fallback)
{
    json_object *member = js_at(object, path);
    return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : fallback;
}

bool js_bool(json_object *object, const char *path)
{
    json_object *member = js_at(object, path);
    return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

const char *js_type(json_object *object)
{
    return js_text(object, "_typeName");
}

size_t js_length(json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

json_object *js_unbox(json_object *value)
{
    json_object *inner = js_at(value, "_value");
    return inner != NULL ? inner : value;
}

const char *js_ref_type(json_object *ref)
{
    return js_text(ref, "type");
}

const char *js_ref_id(json_object *ref)
{
    return js_text(ref, "value");
}

json_object *js_share(json_object *value)
{
    return value != NULL ? json_object_get(value) : NULL;
}
