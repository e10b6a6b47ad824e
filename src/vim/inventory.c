// SPDX-License-Identifier: Apache-2.0
/*
 * Managed objects and their changes. See inventory.h.
 */
#include "vim/inventory.h"

#include <string.h>

#include "vim/method.h"
#include "vim/value.h"

enum {
    MAX_DIFFERENCES = 64, /* more than these in one object are told as a change of the whole */
};

struct vim_inventory {
    GRWLock lock;
    GHashTable *by_id;  /* id (owned by the object) -> struct vim_object * */
    GPtrArray *objects; /* all of them, owned */
};

static void object_free(void *data)
{
    struct vim_object *object = data;
    if (object->code_free != NULL) {
        object->code_free(object->code);
    }
    vim_free(object->properties);
    if (object->watches != NULL) {
        g_ptr_array_unref(object->watches);
    }
    vim_ref_clear(&object->ref);
    g_free(object);
}

struct vim_inventory *vim_inventory_new(void)
{
    struct vim_inventory *inventory = g_new0(struct vim_inventory, 1);
    g_rw_lock_init(&inventory->lock);
    inventory->by_id = g_hash_table_new(g_str_hash, g_str_equal);
    inventory->objects = g_ptr_array_new_with_free_func(object_free);
    return inventory;
}

void vim_inventory_free(struct vim_inventory *inventory)
{
    if (inventory != NULL) {
        g_hash_table_unref(inventory->by_id);
        g_ptr_array_unref(inventory->objects);
        g_rw_lock_clear(&inventory->lock);
        g_free(inventory);
    }
}

void vim_read_lock(struct vim_inventory *inventory)
{
    g_rw_lock_reader_lock(&inventory->lock);
}

void vim_read_unlock(struct vim_inventory *inventory)
{
    g_rw_lock_reader_unlock(&inventory->lock);
}

void vim_write_lock(struct vim_inventory *inventory)
{
    g_rw_lock_writer_lock(&inventory->lock);
}

void vim_write_unlock(struct vim_inventory *inventory)
{
    g_rw_lock_writer_unlock(&inventory->lock);
}

struct vim_object *vim_inventory_add(struct vim_inventory *inventory, const struct vim_type *type,
                                     const char *id, void *properties)
{
    g_assert(g_hash_table_lookup(inventory->by_id, id) == NULL);
    struct vim_object *object = g_new0(struct vim_object, 1);
    object->ref = vim_ref_make(type, id);
    object->class = vim_class_of(type);
    object->properties = properties != NULL ? properties : vim_new(type);
    object->index = inventory->objects->len;
    g_ptr_array_add(inventory->objects, object);
    g_hash_table_insert(inventory->by_id, object->ref.id, object);
    return object;
}

/* A watch that is told may take itself or others off, so several are told from a copy of the list. */
static void tell(struct vim_object *object, const struct vim_change *change)
{
    if (object->watches == NULL || object->watches->len == 0) {
        return;
    }
    if (object->watches->len == 1) {
        struct vim_watch *only = g_ptr_array_index(object->watches, 0);
        only->changed(only, object, change);
        return;
    }
    g_autoptr(GPtrArray) watches = g_ptr_array_copy(object->watches, NULL, NULL);
    for (guint i = 0; i < watches->len; i++) {
        struct vim_watch *watch = g_ptr_array_index(watches, i);
        if (g_ptr_array_find(object->watches, watch, NULL)) {
            watch->changed(watch, object, change);
        }
    }
}

void vim_inventory_remove(struct vim_inventory *inventory, struct vim_object *object)
{
    struct vim_change destroyed = {0};
    tell(object, &destroyed);
    g_hash_table_remove(inventory->by_id, object->ref.id);
    guint index = object->index;
    g_ptr_array_remove_index_fast(inventory->objects, index);
    if (index < inventory->objects->len) {
        ((struct vim_object *)g_ptr_array_index(inventory->objects, index))->index = index;
    }
}

struct vim_object *vim_inventory_find(struct vim_inventory *inventory, const char *id)
{
    return g_hash_table_lookup(inventory->by_id, id);
}

struct vim_object *vim_inventory_find_ref(struct vim_inventory *inventory, const struct vim_ref *ref)
{
    struct vim_object *object = ref->id != NULL ? g_hash_table_lookup(inventory->by_id, ref->id) : NULL;
    return object != NULL && vim_type_is(object->ref.type, ref->type) ? object : NULL;
}

GPtrArray *vim_inventory_objects(struct vim_inventory *inventory)
{
    return inventory->objects;
}

/* ---- finding out what differs -------------------------------------------------------------------- */

struct differences {
    GString *path;    /* where the comparison stands */
    GPtrArray *found; /* of char *: '-' or '=' and then the path */
};

static void difference(struct differences *d, bool removed)
{
    g_ptr_array_add(d->found, g_strconcat(removed ? "-" : "=", d->path->str, NULL));
}

static void compare_members(struct differences *d, const void *old, const void *new);

static void compare_objects(struct differences *d, const void *old, const void *new)
{
    if (vim_equal(old, new)) {
        return;
    }
    const struct vim_type *const *old_type = old;
    const struct vim_type *const *new_type = new;
    if (old == NULL || new == NULL || *old_type != *new_type || d->found->len > MAX_DIFFERENCES) {
        difference(d, false);
    } else {
        compare_members(d, old, new);
    }
}

/* Items are told by key; without keys, or when keys repeat, the array is told as a whole. */
static bool compare_items(struct differences *d, const struct vim_type *type, const struct vim_array *old,
                          const struct vim_array *new)
{
    const struct vim_field *key = vim_key_field(type);
    if (key == NULL) {
        return false;
    }
    g_autoptr(GHashTable) before = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (uint32_t i = 0; i < old->n; i++) {
        GString *spelled = g_string_new(NULL);
        void *item = ((void **)old->items)[i];
        vim_key_append(spelled, key, item);
        if (!g_hash_table_insert(before, g_string_free(spelled, FALSE), item)) {
            return false;
        }
    }
    size_t base = d->path->len;
    g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    for (uint32_t i = 0; i < new->n; i++) {
        void *item = ((void **)new->items)[i];
        vim_key_append(d->path, key, item);
        const char *spelled = d->path->str + base;
        bool first = g_hash_table_add(seen, g_strdup(spelled));
        if (first) {
            compare_objects(d, g_hash_table_lookup(before, spelled), item);
        }
        g_hash_table_remove(before, spelled);
        g_string_truncate(d->path, base);
    }
    GHashTableIter iter;
    gpointer spelled;
    g_hash_table_iter_init(&iter, before);
    while (g_hash_table_iter_next(&iter, &spelled, NULL)) {
        g_string_append(d->path, spelled);
        difference(d, true);
        g_string_truncate(d->path, base);
    }
    return true;
}

static void compare_field(struct differences *d, const struct vim_field *field, const void *old,
                          const void *new)
{
    if (vim_field_equal(field, old, new)) {
        return;
    }
    if (field->flags & VIM_ARRAY) {
        const struct vim_array *before = old;
        const struct vim_array *after = new;
        if (before->n == 0 || after->n == 0 || !compare_items(d, field->type, before, after)) {
            difference(d, false);
        }
    } else if (field->type->kind == VIM_DATA) {
        compare_objects(d, *(void *const *)old, *(void *const *)new);
    } else {
        difference(d, false);
    }
}

static void compare_members(struct differences *d, const void *old, const void *new)
{
    const struct vim_type *type = *(const struct vim_type *const *)old;
    size_t base = d->path->len;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        g_string_append_c(d->path, '.');
        g_string_append(d->path, field->name);
        compare_field(d, field, vim_field_at(field, old), vim_field_at(field, new));
        g_string_truncate(d->path, base);
    }
}

/* ---- changing ------------------------------------------------------------------------------------- */

static const struct vim_field *find_member(struct vim_object *object, const char *path, void **ret_at)
{
    const struct vim_field *field = NULL;
    if (strchr(path, '.') == NULL) { /* by far the most common */
        field = vim_field_by_name(object->ref.type, path, NULL);
        *ret_at = field != NULL ? vim_field_at(field, object->properties) : NULL;
    } else {
        struct vim_path *parsed = vim_path_new(object->ref.type, path);
        field = parsed != NULL ? vim_path_member(parsed, object->properties, ret_at) : NULL;
        vim_path_free(parsed);
    }
    if (field == NULL) {
        g_error("%s has no property \"%s\", or something on its way is unset", object->ref.type->name, path);
    }
    return field;
}

static void tell_differences(struct vim_object *object, const struct differences *d, const char *path)
{
    if (d->found->len > MAX_DIFFERENCES) {
        struct vim_change whole = {.path = path};
        tell(object, &whole);
        return;
    }
    for (guint i = 0; i < d->found->len; i++) {
        const char *found = g_ptr_array_index(d->found, i);
        struct vim_change change = {.path = found + 1, .removed = found[0] == '-'};
        tell(object, &change);
    }
}

void vim_set(struct vim_object *object, const char *path, void *value)
{
    void *at = NULL;
    const struct vim_field *field = find_member(object, path, &at);
    if (vim_field_equal(field, at, value)) {
        vim_field_clear(field, value);
        return;
    }
    bool watched = object->watches != NULL && object->watches->len > 0;
    struct differences d = {NULL, NULL};
    if (watched) {
        d.path = g_string_new(path);
        d.found = g_ptr_array_new_with_free_func(g_free);
        compare_field(&d, field, at, value);
    }
    /* The new value's bytes take the old one's place; clearing `value` then frees the old. */
    size_t size = field->flags & VIM_ARRAY           ? sizeof(struct vim_array)
                  : vim_field_value(field, at) != at ? 2 * (size_t)field->type->size
                                                     : vim_value_size(field->type);
    g_autofree void *old = g_memdup2(at, size);
    memcpy(at, value, size);
    if (watched) {
        tell_differences(object, &d, path);
        g_string_free(d.path, TRUE);
        g_ptr_array_unref(d.found);
    }
    vim_field_clear(field, old);
}

void vim_set_text(struct vim_object *object, const char *path, const char *value)
{
    char *copy = g_strdup(value);
    vim_set(object, path, &copy);
}

void vim_set_enum(struct vim_object *object, const char *path, int value)
{
    vim_set(object, path, &value);
}

void vim_set_data(struct vim_object *object, const char *path, void *value)
{
    vim_set(object, path, &value);
}

void vim_set_reference(struct vim_object *object, const char *path, const struct vim_ref *value)
{
    struct vim_ref copy = vim_ref_copy(value);
    vim_set(object, path, &copy);
}

void vim_set_time(struct vim_object *object, const char *path, int64_t time_us)
{
    vim_set(object, path, &time_us);
}

void vim_set_bool(struct vim_object *object, const char *path, bool value)
{
    /* A required member is the value; an optional one is its flag and then the value. */
    bool both[2] = {value, value};
    void *at = NULL;
    const struct vim_field *field = find_member(object, path, &at);
    if (vim_field_value(field, at) != at) {
        both[0] = true;
    }
    vim_set(object, path, both);
}

void vim_unset(struct vim_object *object, const char *path)
{
    union {
        char bytes[sizeof(struct vim_ref)];
        int64_t aligned;
    } nothing = {{0}};
    vim_set(object, path, &nothing);
}

void vim_ref_list_add(struct vim_object *object, const char *path, const struct vim_ref *ref)
{
    void *at = NULL;
    const struct vim_field *field = find_member(object, path, &at);
    g_assert(field->type->kind == VIM_REF && (field->flags & VIM_ARRAY));
    vim_array_add_ref(at, ref);
    struct vim_change change = {.path = path, .ref_added = ref};
    tell(object, &change);
}

void vim_ref_list_remove(struct vim_object *object, const char *path, const struct vim_ref *ref)
{
    void *at = NULL;
    const struct vim_field *field = find_member(object, path, &at);
    struct vim_array *list = at;
    struct vim_ref gone = vim_ref_copy(ref); /* `ref` may be the very item that goes */
    for (uint32_t i = 0; i < list->n; i++) {
        if (vim_ref_equal(&((struct vim_ref *)list->items)[i], &gone)) {
            vim_array_remove(list, field->type, i);
            struct vim_change change = {.path = path, .ref_removed = &gone};
            tell(object, &change);
            break;
        }
    }
    vim_ref_clear(&gone);
}

void vim_watch_add(struct vim_object *object, struct vim_watch *watch)
{
    if (object->watches == NULL) {
        object->watches = g_ptr_array_sized_new(1);
    }
    g_ptr_array_add(object->watches, watch);
}

void vim_watch_remove(struct vim_object *object, struct vim_watch *watch)
{
    if (object->watches != NULL) {
        g_ptr_array_remove_fast(object->watches, watch);
    }
}
