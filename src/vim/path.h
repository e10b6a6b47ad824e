// SPDX-License-Identifier: Apache-2.0
/*
 * Property paths of the VI API: "config.hardware.device[4000].backing.fileName". A path is checked against
 * a type once and then followed in any object of that type. Any thread.
 */
#pragma once

#include "vim/type.h"

struct vim_path;

/* Parses a path; NULL when it names nothing that an object of `type` (or of a subtype, behind the first
 * step) could have. A key in brackets selects the item of an array whose `key` member equals it. */
struct vim_path *vim_path_new(const struct vim_type *type, const char *text);
void vim_path_free(struct vim_path *path);
const char *vim_path_text(const struct vim_path *path);
/* The version in which the newest name of the path appeared. */
vim_version vim_path_since(const struct vim_path *path);

/* The privilege that reading the property that the path begins with needs; of managed types only. */
unsigned vim_path_privilege(const struct vim_path *path);

/* A value inside an object: borrowed, valid as long as the object is unchanged. */
struct vim_value {
    const struct vim_type *type;
    bool array;
    const void *at; /* as a required member would lie */
};

/* Follows the path; false when something on the way, or the value itself, is unset. A path of one name that
 * is a list has a value also when that is empty. */
bool vim_path_get(const struct vim_path *path, const void *object, struct vim_value *ret);
/* Follows a path of plain names to the member that it ends in; NULL when something on the way is unset. */
const struct vim_field *vim_path_member(const struct vim_path *path, void *object, void **ret_at);
/* Whether `inner` lies inside `outer`: "config.name" in "config", but not in "con". Equal paths do not. */
bool vim_path_is_inside(const char *inner, const char *outer);
/* The item of an array of data objects whose key member reads as `key`, or NULL. */
void *vim_item_by_key(const struct vim_type *type, const struct vim_array *array, const char *key);
/* The member that is an item's key, or NULL when items of this type have none. */
const struct vim_field *vim_key_field(const struct vim_type *type);
/* The key of an item, which must be set, as a path spells it: [4000], ["ha-host"]; appended to `out`. */
void vim_key_append(GString *out, const struct vim_field *key, const void *item);
