// SPDX-License-Identifier: Apache-2.0
/*
 * The tree of managed entities: which property of which type leads down, and the way up. Views, the search
 * index, and the filters of tasks and events use it.
 *
 * Down: Folder.childEntity; Datacenter's four folders; ComputeResource.{host,resourcePool};
 * ResourcePool.{resourcePool,vm}; HostSystem.vm. A virtual machine so has up to three parents.
 * Everything here needs the inventory's lock (read or write), except what takes types only.
 */
#pragma once

#include "vim/inventory.h"

/* Whether objects of this type can have entities below them. */
bool vim_entity_is_container(const struct vim_type *type);
/* Whether the property (a plain name) of this type leads down. */
bool vim_entity_is_child_property(const struct vim_type *type, const char *path);
/* Calls each(data, child) for the direct children, in the order of the properties. The references are
 * borrowed; each must not change the object. */
void vim_entity_children(const struct vim_object *object,
                         void (*each)(void *data, const struct vim_ref *child), void *data);
/* The ids of what is above the object, nearest first and each once: along `parent`, and for a virtual
 * machine also its resource pool and host with what is above those. The caller owns the array, which owns
 * the ids. */
GPtrArray *vim_entity_ancestors(struct vim_inventory *inventory, const struct vim_object *object);
/* The object itself or the nearest one along `parent` that is of this type, or NULL. */
struct vim_object *vim_entity_enclosing(struct vim_inventory *inventory, struct vim_object *object,
                                        const struct vim_type *type);
/* The name of an entity; its id when it has no name, and for objects that are no entities. Borrowed. */
const char *vim_entity_name(const struct vim_object *object);
