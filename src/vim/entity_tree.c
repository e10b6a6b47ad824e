// SPDX-License-Identifier: Apache-2.0
/*
 * Steps down and up in the tree of managed entities. See entity_tree.h.
 */
#include "vim/entity_tree.h"

#include <string.h>

#include "vim/types.h"

struct child_property {
    const struct vim_type *type;
    const char *path;
};

static const struct child_property child_properties[] = {
    {&Folder_type, "childEntity"},
    {&Datacenter_type, "vmFolder"},
    {&Datacenter_type, "hostFolder"},
    {&Datacenter_type, "datastoreFolder"},
    {&Datacenter_type, "networkFolder"},
    {&ComputeResource_type, "host"},
    {&ComputeResource_type, "resourcePool"},
    {&ResourcePool_type, "resourcePool"},
    {&ResourcePool_type, "vm"},
    {&HostSystem_type, "vm"},
};

bool vim_entity_is_container(const struct vim_type *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(child_properties); i++) {
        if (vim_type_is(type, child_properties[i].type)) {
            return true;
        }
    }
    return false;
}

bool vim_entity_is_child_property(const struct vim_type *type, const char *path)
{
    for (size_t i = 0; i < G_N_ELEMENTS(child_properties); i++) {
        if (strcmp(child_properties[i].path, path) == 0 && vim_type_is(type, child_properties[i].type)) {
            return true;
        }
    }
    return false;
}

void vim_entity_children(const struct vim_object *object,
                         void (*each)(void *data, const struct vim_ref *child), void *data)
{
    const struct vim_type *type = object->ref.type;
    for (size_t i = 0; i < G_N_ELEMENTS(child_properties); i++) {
        if (!vim_type_is(type, child_properties[i].type)) {
            continue;
        }
        const struct vim_field *field = vim_field_by_name(type, child_properties[i].path, NULL);
        const void *at = vim_field_at(field, object->properties);
        if (field->flags & VIM_ARRAY) {
            const struct vim_array *list = at;
            for (uint32_t n = 0; n < list->n; n++) {
                each(data, &((const struct vim_ref *)list->items)[n]);
            }
        } else if (vim_field_is_set(field, at)) {
            each(data, at);
        }
    }
}

static struct vim_object *find(struct vim_inventory *inventory, const struct vim_ref *ref)
{
    return ref->id != NULL ? vim_inventory_find_ref(inventory, ref) : NULL;
}

static struct vim_object *parent_of(struct vim_inventory *inventory, const struct vim_object *object)
{
    return vim_type_is(object->ref.type, &ManagedEntity_type)
               ? find(inventory, &VIM_PROPERTIES(object, ManagedEntity)->parent)
               : NULL;
}

static void add_upwards(struct vim_inventory *inventory, const struct vim_object *object, GPtrArray *ids)
{
    while (object != NULL && !g_ptr_array_find_with_equal_func(ids, object->ref.id, g_str_equal, NULL)) {
        g_ptr_array_add(ids, g_strdup(object->ref.id));
        object = parent_of(inventory, object);
    }
}

GPtrArray *vim_entity_ancestors(struct vim_inventory *inventory, const struct vim_object *object)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    add_upwards(inventory, parent_of(inventory, object), ids);
    if (vim_type_is(object->ref.type, &VirtualMachine_type)) {
        const struct VirtualMachine *vm = object->properties;
        add_upwards(inventory, find(inventory, &vm->resourcePool), ids);
        add_upwards(inventory, vm->runtime != NULL ? find(inventory, &vm->runtime->host) : NULL, ids);
    }
    return ids;
}

struct vim_object *vim_entity_enclosing(struct vim_inventory *inventory, struct vim_object *object,
                                        const struct vim_type *type)
{
    while (object != NULL && !vim_type_is(object->ref.type, type)) {
        object = parent_of(inventory, object);
    }
    return object;
}

const char *vim_entity_name(const struct vim_object *object)
{
    const char *name = vim_type_is(object->ref.type, &ManagedEntity_type)
                           ? VIM_PROPERTIES(object, ManagedEntity)->name
                           : NULL;
    return name != NULL ? name : object->ref.id;
}
