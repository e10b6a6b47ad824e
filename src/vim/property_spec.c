// SPDX-License-Identifier: Apache-2.0
/*
 * Makes a PropertyFilterSpec ready. See property_spec.h; the rules are those of the VI API reference for
 * PropertyFilterSpec, TraversalSpec and SelectionSpec.
 */
#include "vim/property_spec.h"

#include "vim/faults.h"
#include "vim/method.h"
#include "vim/value.h"

struct property_set {
    const struct vim_type *type;
    bool all;
    GPtrArray *paths; /* of struct vim_path *, owned */
};

static void select_free(void *data)
{
    struct property_select *select = data;
    vim_path_free(select->path);
    g_ptr_array_unref(select->next);
    g_free(select);
}

static void path_free(void *path)
{
    vim_path_free(path);
}

static void plan_free(void *data)
{
    struct property_plan *plan = data;
    g_ptr_array_unref(plan->paths);
    g_hash_table_unref(plan->has);
    g_free(plan);
}

static void set_clear(void *data)
{
    g_ptr_array_unref(((struct property_set *)data)->paths);
}

static void root_clear(void *data)
{
    struct property_root *root = data;
    vim_ref_clear(&root->ref);
    g_ptr_array_unref(root->next);
}

void property_spec_free(struct property_spec *spec)
{
    if (spec != NULL) {
        g_array_unref(spec->sets);
        g_array_unref(spec->roots);
        g_ptr_array_unref(spec->selects);
        g_ptr_array_unref(spec->all_paths);
        g_ptr_array_unref(spec->plans);
        g_free(spec);
    }
}

static struct vim_fault *managed_type(const char *name, const char *member, const struct vim_type **ret)
{
    const struct vim_type *type = name != NULL ? vim_type_by_name(name) : NULL;
    if (type == NULL || type->kind != VIM_REF) {
        return fault_invalid_argument(member, "\"%s\" is not a managed object type", name);
    }
    *ret = type;
    return NULL;
}

static struct vim_fault *add_set(struct property_spec *spec, const struct PropertySpec *from)
{
    struct property_set set = {0};
    struct vim_fault *fault = managed_type(from->type, "propSet.type", &set.type);
    if (fault != NULL) {
        return fault;
    }
    set.all = from->all.set && from->all.value;
    set.paths = g_ptr_array_new_with_free_func(path_free);
    g_array_append_val(spec->sets, set);
    for (uint32_t i = 0; i < from->pathSet.n && !set.all; i++) {
        struct vim_path *path = vim_path_new(set.type, from->pathSet.items[i]);
        if (path == NULL) {
            return fault_invalid_property(from->pathSet.items[i], "%s has no property \"%s\"", set.type->name,
                                          from->pathSet.items[i]);
        }
        g_ptr_array_add(set.paths, path);
    }
    return NULL;
}

/* Selections by name may point forwards and in circles, so there are two passes: make, then connect. */
struct resolve {
    struct property_spec *spec;
    GHashTable *by_name; /* char * (borrowed) -> struct property_select * */
    GHashTable *made;    /* const struct SelectionSpec * -> struct property_select * */
};

static struct vim_fault *make_selects(struct resolve *r, struct SelectionSpec *const *items, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        if (!vim_is_a(items[i], &TraversalSpec_type)) {
            continue;
        }
        const struct TraversalSpec *from = (const struct TraversalSpec *)items[i];
        const struct vim_type *type = NULL;
        struct vim_fault *fault = managed_type(from->type, "selectSet.type", &type);
        if (fault != NULL) {
            return fault;
        }
        struct vim_path *path = vim_path_new(type, from->path);
        if (path == NULL) {
            return fault_invalid_property(from->path, "%s has no property \"%s\" to follow", type->name,
                                          from->path);
        }
        struct property_select *select = g_new0(struct property_select, 1);
        select->type = type;
        select->path = path;
        select->skip = from->skip.set && from->skip.value;
        select->next = g_ptr_array_new();
        g_ptr_array_add(r->spec->selects, select);
        g_hash_table_insert(r->made, items[i], select);
        if (from->name != NULL) {
            g_hash_table_insert(r->by_name, from->name, select);
        }
        fault = make_selects(r, from->selectSet.items, from->selectSet.n);
        if (fault != NULL) {
            return fault;
        }
    }
    return NULL;
}

static struct vim_fault *connect_selects(struct resolve *r, struct SelectionSpec *const *items, uint32_t n,
                                         GPtrArray *next)
{
    for (uint32_t i = 0; i < n; i++) {
        struct property_select *select = g_hash_table_lookup(r->made, items[i]);
        struct vim_fault *fault = NULL;
        if (select != NULL) {
            const struct TraversalSpec *from = (const struct TraversalSpec *)items[i];
            fault = connect_selects(r, from->selectSet.items, from->selectSet.n, select->next);
        } else {
            select = items[i]->name != NULL ? g_hash_table_lookup(r->by_name, items[i]->name) : NULL;
            if (select == NULL) {
                fault =
                    fault_invalid_argument("selectSet.name", "no selection is named \"%s\"", items[i]->name);
            }
        }
        if (fault != NULL) {
            return fault;
        }
        g_ptr_array_add(next, select);
    }
    return NULL;
}

static struct vim_fault *add_roots(struct property_spec *spec, const struct PropertyFilterSpec *from)
{
    g_autoptr(GHashTable) by_name = g_hash_table_new(g_str_hash, g_str_equal);
    g_autoptr(GHashTable) made = g_hash_table_new(NULL, NULL);
    struct resolve r = {spec, by_name, made};
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < from->objectSet.n && fault == NULL; i++) {
        fault = make_selects(&r, from->objectSet.items[i]->selectSet.items,
                             from->objectSet.items[i]->selectSet.n);
    }
    for (uint32_t i = 0; i < from->objectSet.n && fault == NULL; i++) {
        const struct ObjectSpec *object = from->objectSet.items[i];
        struct property_root root = {
            .ref = vim_ref_copy(&object->obj),
            .skip = object->skip.set && object->skip.value,
            .next = g_ptr_array_new(),
        };
        g_array_append_val(spec->roots, root);
        fault = connect_selects(&r, object->selectSet.items, object->selectSet.n, root.next);
    }
    return fault;
}

struct vim_fault *property_spec_new(const struct PropertyFilterSpec *from, vim_version version,
                                    struct property_spec **ret)
{
    struct property_spec *spec = g_new0(struct property_spec, 1);
    spec->version = version;
    spec->sets = g_array_new(FALSE, FALSE, sizeof(struct property_set));
    g_array_set_clear_func(spec->sets, set_clear);
    spec->roots = g_array_new(FALSE, FALSE, sizeof(struct property_root));
    g_array_set_clear_func(spec->roots, root_clear);
    spec->selects = g_ptr_array_new_with_free_func(select_free);
    spec->all_paths = g_ptr_array_new_with_free_func(path_free);
    spec->plans = g_ptr_array_new_with_free_func(plan_free);
    spec->report_missing =
        from->reportMissingObjectsInResults.set && from->reportMissingObjectsInResults.value;
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < from->propSet.n && fault == NULL; i++) {
        fault = add_set(spec, from->propSet.items[i]);
    }
    if (fault == NULL) {
        fault = add_roots(spec, from);
    }
    if (fault != NULL) {
        property_spec_free(spec);
        return fault;
    }
    *ret = spec;
    return NULL;
}

static void plan_add(struct property_plan *plan, struct vim_path *path)
{
    if (g_hash_table_add(plan->has, (gpointer)vim_path_text(path))) {
        g_ptr_array_add(plan->paths, path);
    }
}

bool property_plan_tells(const struct property_spec *spec, const struct property_plan *plan,
                         const struct vim_path *path)
{
    return vim_path_since(path) <= spec->version || g_hash_table_contains(plan->has, vim_path_text(path));
}

static void plan_add_all(struct property_spec *spec, struct property_plan *plan)
{
    for (unsigned i = 0; i < plan->type->n_fields; i++) {
        const struct vim_field *field = &plan->type->fields[i];
        if (field->since <= spec->version && !g_hash_table_contains(plan->has, field->name)) {
            struct vim_path *path = vim_path_new(plan->type, field->name);
            g_ptr_array_add(spec->all_paths, path);
            plan_add(plan, path);
        }
    }
}

const struct property_plan *property_spec_plan(struct property_spec *spec, const struct vim_type *type)
{
    for (guint i = 0; i < spec->plans->len; i++) {
        struct property_plan *plan = g_ptr_array_index(spec->plans, i);
        if (plan->type == type) {
            return plan;
        }
    }
    struct property_plan *plan = g_new0(struct property_plan, 1);
    plan->type = type;
    plan->paths = g_ptr_array_new();
    plan->has = g_hash_table_new(g_str_hash, g_str_equal);
    for (guint i = 0; i < spec->sets->len; i++) {
        const struct property_set *set = &g_array_index(spec->sets, struct property_set, i);
        if (!vim_type_is(type, set->type)) {
            continue;
        }
        plan->selected = true;
        for (guint k = 0; k < set->paths->len; k++) {
            plan_add(plan, g_ptr_array_index(set->paths, k));
        }
        if (set->all) {
            plan_add_all(spec, plan);
        }
    }
    g_ptr_array_add(spec->plans, plan);
    return plan;
}

void property_select_follow(const struct property_select *select, const struct vim_object *object,
                            GPtrArray *out)
{
    struct vim_value value;
    if (!vim_type_is(object->ref.type, select->type) ||
        !vim_path_get(select->path, object->properties, &value) || value.type->kind != VIM_REF) {
        return;
    }
    const struct vim_ref *refs = value.array ? ((const struct vim_array *)value.at)->items : value.at;
    uint32_t n = value.array ? ((const struct vim_array *)value.at)->n : 1;
    for (uint32_t i = 0; i < n; i++) {
        g_ptr_array_add(out, (void *)&refs[i]);
    }
}
