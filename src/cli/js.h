// SPDX-License-Identifier: Apache-2.0
/*
 * Making and reading the JSON of the VI/JSON binding in few words. A thin layer over json-c for the client.
 * Readers are tolerant: what is missing or of another type reads as NULL or as the fallback, because a
 * server may leave out any optional property. Strings and values returned belong to the tree they are in.
 */
#pragma once

#include <glib.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdint.h>

G_DEFINE_AUTOPTR_CLEANUP_FUNC(json_object, json_object_put)

/*
 * An object: `type` becomes its "_typeName" (NULL: none), then come pairs of "name:kind" and value, ended by
 * NULL. Kinds: s (const char *, copied), i (int), l (int64_t), b (int as boolean), o (json_object *, taken).
 * A NULL for s or o leaves the member out, which is how optional members stay unset.
 */
json_object *js_object(const char *type, ...) G_GNUC_NULL_TERMINATED;
/* An array of objects, which are taken; ended by NULL. */
json_object *js_array(json_object *first, ...) G_GNUC_NULL_TERMINATED;
/* An array of strings, which are copied; strings ends with NULL. */
json_object *js_strings(const char *const *strings);
json_object *js_ref(const char *type, const char *id);
/* A string that is NULL when text is NULL. */
json_object *js_string(const char *text);

/*
 * Follows a dotted path, also where member names have dots themselves, as in the results of
 * cli_read_objects(): "summary.config.name" finds {"summary.config": {"name": ...}}. NULL: nothing there.
 */
json_object *js_at(json_object *object, const char *path);
const char *js_text(json_object *object, const char *path);
int64_t js_int(json_object *object, const char *path, int64_t fallback);
bool js_bool(json_object *object, const char *path);
/* "_typeName" of an object. */
const char *js_type(json_object *object);
/* Number of items of an array; 0 for anything else. */
size_t js_length(json_object *array);
/* The value in a box such as {"_typeName": "string", "_value": "x"}; anything else is returned as it is. */
json_object *js_unbox(json_object *value);
/* "type" and "value" of a reference; NULL when it is none. */
const char *js_ref_type(json_object *ref);
const char *js_ref_id(json_object *ref);
/* Another reference to the same value, for js_object() and others that take one. NULL gives NULL. */
json_object *js_share(json_object *value);
