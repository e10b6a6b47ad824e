// SPDX-License-Identifier: Apache-2.0
/*
 * Reading answers of guest agents: each function takes what may be of any type, or missing, because a guest
 * decides it.
 */
#pragma once

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* The member, or NULL; so also when `object` is none. */
static inline struct json_object *guest_json_member(struct json_object *object, const char *name)
{
    struct json_object *member = NULL;
    if (json_object_is_type(object, json_type_object)) {
        (void)json_object_object_get_ex(object, name, &member);
    }
    return member;
}

/* Its text, at most max_bytes long and without a NUL in it; or NULL. Borrowed from the object. */
static inline const char *guest_json_text(struct json_object *object, const char *name, size_t max_bytes)
{
    struct json_object *member = guest_json_member(object, name);
    if (!json_object_is_type(member, json_type_string)) {
        return NULL;
    }
    const char *text = json_object_get_string(member);
    size_t length = (size_t)json_object_get_string_len(member);
    return length <= max_bytes && strlen(text) == length ? text : NULL;
}

/* Its number, or `otherwise`. */
static inline int64_t guest_json_int(struct json_object *object, const char *name, int64_t otherwise)
{
    struct json_object *member = guest_json_member(object, name);
    return json_object_is_type(member, json_type_int) ? json_object_get_int64(member) : otherwise;
}

static inline bool guest_json_bool(struct json_object *object, const char *name)
{
    struct json_object *member = guest_json_member(object, name);
    return json_object_is_type(member, json_type_boolean) && json_object_get_boolean(member);
}

/* The number of items of an array, at most max; 0 for what is none. */
static inline size_t guest_json_length(struct json_object *array, size_t max)
{
    size_t n = json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
    return n < max ? n : max;
}
