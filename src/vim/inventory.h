// SPDX-License-Identifier: Apache-2.0
/*
 * Managed objects as data, and the one stream of their changes.
 *
 * Each managed object has its properties in one struct that descriptors describe. Code changes a property
 * only through the functions below, which find out what really differs and tell whoever watches the object.
 * PropertyCollector, and everything else that wants to know, feeds from that.
 *
 * One reader-writer lock guards all of it; it is held for memory work only, never across I/O or a wait.
 * Pointers to objects are valid under the lock alone: keep references (struct vim_ref) across waits.
 * Lock order: inventory, then a collector, then a call.
 */
#pragma once

#include "vim/path.h"
#include "vim/type.h"

struct vim_inventory;
struct vim_object;
struct vim_session;

/* What happened to an object. */
struct vim_change {
    const char *path; /* "runtime.powerState", "config.hardware.device[4000]"; NULL: destroyed */
    bool removed;     /* the array item that path names is gone */
    const struct vim_ref *ref_added;   /* a list of references gained this one, or NULL */
    const struct vim_ref *ref_removed; /* a list of references lost this one, or NULL */
};

/* Someone who wants to know of an object's changes. Called under the write lock; must be quick, must not
 * change the inventory, and must not wait. */
struct vim_watch {
    void (*changed)(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change);
};

struct vim_object {
    struct vim_ref ref;
    const struct vim_class *class;
    void *properties;   /* the struct named like the type; changed only through vim_set and friends */
    GPtrArray *watches; /* of struct vim_watch *, not owned; NULL when none */
    void *code;         /* what the implementing code keeps with the object, or NULL */
    void (*code_free)(void *code);
    const struct vim_session *owner; /* the one session that may see it (its views, filters), or NULL */
    unsigned index;                  /* in the inventory's list of objects */
};

struct vim_inventory *vim_inventory_new(void);
void vim_inventory_free(struct vim_inventory *inventory);

void vim_read_lock(struct vim_inventory *inventory);
void vim_read_unlock(struct vim_inventory *inventory);
void vim_write_lock(struct vim_inventory *inventory);
void vim_write_unlock(struct vim_inventory *inventory);

/* Adds an object (write lock). The id must be new. `properties` is moved in, or NULL for an empty set. */
struct vim_object *vim_inventory_add(struct vim_inventory *inventory, const struct vim_type *type,
                                     const char *id, void *properties);
/* Destroys an object (write lock): watchers are told, then it is freed. */
void vim_inventory_remove(struct vim_inventory *inventory, struct vim_object *object);
/* The object (any lock), or NULL. */
struct vim_object *vim_inventory_find(struct vim_inventory *inventory, const char *id);
/* The same for a reference whose type must fit. */
struct vim_object *vim_inventory_find_ref(struct vim_inventory *inventory, const struct vim_ref *ref);
/* All objects in no particular order (any lock). */
GPtrArray *vim_inventory_objects(struct vim_inventory *inventory);

/*
 * Sets the property at `path` (plain names; must exist in the type) to *value, which is moved in and lies
 * as the member would; an array as struct vim_array. Nothing is told when nothing differs. (write lock)
 * The program aborts on a path that the type does not have: that is a mistake in the program.
 */
void vim_set(struct vim_object *object, const char *path, void *value);
/* Short forms for common kinds; strings and references are copied, objects are moved in. */
void vim_set_text(struct vim_object *object, const char *path, const char *value);
void vim_set_enum(struct vim_object *object, const char *path, int value);
void vim_set_data(struct vim_object *object, const char *path, void *value);
void vim_set_reference(struct vim_object *object, const char *path, const struct vim_ref *value);
void vim_set_time(struct vim_object *object, const char *path, int64_t time_us);
void vim_set_bool(struct vim_object *object, const char *path, bool value);
/* Unsets a member. */
void vim_unset(struct vim_object *object, const char *path);

/* Adds to and removes from a list of references such as childEntity, telling just the difference. */
void vim_ref_list_add(struct vim_object *object, const char *path, const struct vim_ref *ref);
void vim_ref_list_remove(struct vim_object *object, const char *path, const struct vim_ref *ref);

/* Watches an object until unwatched or destroyed (write lock). */
void vim_watch_add(struct vim_object *object, struct vim_watch *watch);
void vim_watch_remove(struct vim_object *object, struct vim_watch *watch);

/* The properties as their type: VIM_PROPERTIES(object, VirtualMachine)->runtime. */
#define VIM_PROPERTIES(object, type) ((struct type *)(object)->properties)
