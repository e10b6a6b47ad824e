// SPDX-License-Identifier: Apache-2.0
/*
 * Reads and writes .vmsd files; see snapshot_list.h.
 */
#include "host/snapshot/snapshot_list.h"

#include <errno.h>
#include <string.h>

#include "host/vm/vmx_mapping.h"

/* Our own keys of a snapshot. */
#define SUSPENDED_KEY "tenkyu.suspended"
#define QUIESCED_KEY "tenkyu.quiesced"
/* And of the list. */
#define DESTROYED_PREFIX "tenkyu.destroyed"

static void disk_free(void *data)
{
    struct snapshot_disk *disk = data;
    g_free(disk->node);
    g_free(disk->file_name);
    g_free(disk);
}

static void extra_free(void *data)
{
    struct snapshot_extra *extra = data;
    g_free(extra->key);
    g_free(extra->value);
    g_free(extra);
}

static void snapshot_free(void *data)
{
    struct snapshot *snapshot = data;
    g_free(snapshot->file);
    g_free(snapshot->name);
    g_free(snapshot->description);
    g_ptr_array_unref(snapshot->disks);
    g_ptr_array_unref(snapshot->extra);
    g_free(snapshot);
}

static struct snapshot *snapshot_new(void)
{
    struct snapshot *snapshot = g_new0(struct snapshot, 1);
    snapshot->disks = g_ptr_array_new_with_free_func(disk_free);
    snapshot->extra = g_ptr_array_new_with_free_func(extra_free);
    return snapshot;
}

void snapshot_add_disk(struct snapshot *snapshot, const char *node, const char *file_name)
{
    struct snapshot_disk *disk = g_new0(struct snapshot_disk, 1);
    disk->node = g_strdup(node);
    disk->file_name = g_strdup(file_name);
    g_ptr_array_add(snapshot->disks, disk);
}

struct snapshot_list *snapshot_list_new(void)
{
    struct snapshot_list *list = g_new0(struct snapshot_list, 1);
    list->dictionary = vmx_new();
    list->snapshots = g_ptr_array_new_with_free_func(snapshot_free);
    list->destroyed = g_ptr_array_new_with_free_func(g_free);
    return list;
}

void snapshot_list_free(struct snapshot_list *list)
{
    if (list != NULL) {
        vmx_free(list->dictionary);
        g_ptr_array_unref(list->snapshots);
        g_ptr_array_unref(list->destroyed);
        g_free(list);
    }
}

/* ---- reading --------------------------------------------------------------------------------------- */

/* What one snapshot's keys are read with. */
struct reading {
    struct vmx *dictionary;
    const struct vmx_mapper *mapper; /* where file names are relative to */
    unsigned n;
    char **ret_message;
};

static int wrong(const struct reading *reading, const char *key, const char *what)
{
    *reading->ret_message = g_strdup_printf("snapshot%u.%s: %s", reading->n, key, what);
    return -EINVAL;
}

static const char *get(const struct reading *reading, const char *key)
{
    g_autofree char *whole = g_strdup_printf("snapshot%u.%s", reading->n, key);
    return vmx_get(reading->dictionary, whole);
}

/* A number that may be absent, then `otherwise`. */
static int get_number(const struct reading *reading, const char *key, int64_t min, int64_t max,
                      int64_t otherwise, int64_t *ret)
{
    g_autofree char *whole = g_strdup_printf("snapshot%u.%s", reading->n, key);
    int error = vmx_get_int(reading->dictionary, whole, min, max, ret);
    if (error == -ENOENT) {
        *ret = otherwise;
        return 0;
    }
    return error == 0 ? 0 : wrong(reading, key, "not a number that it can have");
}

static int load_disks(const struct reading *reading, struct snapshot *snapshot)
{
    int64_t n = 0;
    int error = get_number(reading, "numDisks", 0, 1024, 0, &n);
    for (int64_t i = 0; error == 0 && i < n; i++) {
        g_autofree char *file_key = g_strdup_printf("disk%d.fileName", (int)i);
        g_autofree char *node_key = g_strdup_printf("disk%d.node", (int)i);
        const char *file = get(reading, file_key);
        const char *node = get(reading, node_key);
        if (file == NULL || node == NULL) {
            return wrong(reading, file == NULL ? file_key : node_key, "is missing");
        }
        g_autofree char *name = vmx_file_to_api(reading->mapper, file);
        snapshot_add_disk(snapshot, node, name);
    }
    return error;
}

static bool get_flag(const struct reading *reading, const char *key)
{
    bool flag = false;
    const char *text = get(reading, key);
    return text != NULL && vmx_parse_bool(text, &flag) == 0 && flag;
}

static int load_one(const struct reading *reading, struct snapshot *snapshot)
{
    int64_t uid = 0, parent = 0, high = 0, low = 0, type = 0;
    int error = get_number(reading, "uid", 1, UINT32_MAX, 0, &uid);
    if (error == 0) {
        error = get_number(reading, "parent", 0, UINT32_MAX, 0, &parent);
    }
    if (error ==
        0) { /* two halves of the time, each a signed number of 32 bits; others write the low one unsigned */
        error = get_number(reading, "createTimeHigh", INT32_MIN, INT32_MAX, 0, &high);
    }
    if (error == 0) {
        error = get_number(reading, "createTimeLow", INT32_MIN, UINT32_MAX, 0, &low);
    }
    if (error == 0) {
        error = get_number(reading, "type", 0, INT32_MAX, 0, &type);
    }
    if (error == 0 && uid == 0) {
        error = wrong(reading, "uid", "is missing");
    }
    const char *file = get(reading, "filename");
    if (error == 0 && (file == NULL || file[0] == '\0' || strchr(file, '/') != NULL)) {
        error = wrong(reading, "filename", "is not the name of a file in the machine's folder");
    }
    if (error != 0) {
        return error;
    }
    const char *name = get(reading, "displayName");
    const char *description = get(reading, "description");
    snapshot->uid = (uint32_t)uid;
    snapshot->parent = (uint32_t)parent;
    snapshot->file = g_strdup(file);
    snapshot->name = g_strdup(name != NULL ? name : "");
    snapshot->description = g_strdup(description != NULL ? description : "");
    snapshot->create_time_us = (int64_t)((uint64_t)high << 32 | (uint32_t)low);
    snapshot->memory = type == 1;
    snapshot->suspended = get_flag(reading, SUSPENDED_KEY);
    snapshot->quiesced = get_flag(reading, QUIESCED_KEY);
    return load_disks(reading, snapshot);
}

/* Whether a key, without "snapshotN.", is one that load_one or load_disks knows. */
static bool is_known(const char *key)
{
    static const char *const known[] = {"uid",         "parent",         "filename",      "displayName",
                                        "description", "createTimeHigh", "createTimeLow", "type",
                                        "numDisks",    SUSPENDED_KEY,    QUIESCED_KEY};
    for (size_t i = 0; i < G_N_ELEMENTS(known); i++) {
        if (g_ascii_strcasecmp(key, known[i]) == 0) {
            return true;
        }
    }
    if (g_ascii_strncasecmp(key, "disk", 4) != 0 || !g_ascii_isdigit(key[4])) {
        return false;
    }
    const char *end = key + 4;
    while (g_ascii_isdigit(*end)) {
        end++;
    }
    return g_ascii_strcasecmp(end, ".fileName") == 0 || g_ascii_strcasecmp(end, ".node") == 0;
}

/* Moves the keys of snapshots that are not understood from the dictionary to their snapshots. */
static void load_extra(struct snapshot_list *list)
{
    for (unsigned n = 0; n < list->snapshots->len; n++) {
        struct snapshot *snapshot = g_ptr_array_index(list->snapshots, n);
        g_autofree char *prefix = g_strdup_printf("snapshot%u.", n);
        const char *key;
        const char *value;
        for (size_t i = 0; vmx_next(list->dictionary, &i, &key, &value);) {
            if (g_ascii_strncasecmp(key, prefix, strlen(prefix)) == 0 && !is_known(key + strlen(prefix))) {
                struct snapshot_extra *extra = g_new0(struct snapshot_extra, 1);
                extra->key = g_strdup(key + strlen(prefix));
                extra->value = g_strdup(value);
                g_ptr_array_add(snapshot->extra, extra);
            }
        }
    }
    for (unsigned n = 0; n < list->snapshots->len; n++) {
        g_autofree char *prefix = g_strdup_printf("snapshot%u.", n);
        vmx_remove_prefix(list->dictionary, prefix);
    }
}

static void load_destroyed(struct snapshot_list *list, const struct vmx_mapper *mapper)
{
    const char *key;
    const char *value;
    for (size_t i = 0; vmx_next(list->dictionary, &i, &key, &value);) {
        if (g_ascii_strncasecmp(key, DESTROYED_PREFIX, strlen(DESTROYED_PREFIX)) == 0) {
            g_ptr_array_add(list->destroyed, vmx_file_to_api(mapper, value));
        }
    }
    vmx_remove_prefix(list->dictionary, DESTROYED_PREFIX);
}

/* Puts parents before their children. -EINVAL: a parent that is not there, a circle, a uid twice. */
static int sort(struct snapshot_list *list, char **ret_message)
{
    g_autoptr(GHashTable) placed = g_hash_table_new(NULL, NULL);
    GPtrArray *sorted = g_ptr_array_new_with_free_func(snapshot_free);
    GPtrArray *rest = list->snapshots;
    bool progress = true;
    while (progress && rest->len > 0) {
        progress = false;
        for (guint i = 0; i < rest->len; i++) {
            struct snapshot *snapshot = g_ptr_array_index(rest, i);
            if ((snapshot->parent == 0 ||
                 g_hash_table_contains(placed, GUINT_TO_POINTER(snapshot->parent))) &&
                g_hash_table_add(placed, GUINT_TO_POINTER(snapshot->uid))) {
                g_ptr_array_add(sorted, g_ptr_array_steal_index(rest, i--));
                progress = true;
            }
        }
    }
    int error = 0;
    if (rest->len > 0) {
        const struct snapshot *first = g_ptr_array_index(rest, 0);
        *ret_message = g_strdup_printf("the snapshot with uid %u has no parent %u, or its uid is not its own",
                                       first->uid, first->parent);
        error = -EINVAL;
    }
    g_ptr_array_unref(rest);
    list->snapshots = sorted;
    return error;
}

static int load_header(struct snapshot_list *list, int64_t *ret_n, char **ret_message)
{
    int64_t current = 0, last = 0;
    *ret_n = 0;
    int error = vmx_get_int(list->dictionary, "snapshot.numSnapshots", 0, SNAPSHOTS_MAX, ret_n);
    if (error == 0 || error == -ENOENT) {
        error = vmx_get_int(list->dictionary, "snapshot.current", 0, UINT32_MAX, &current);
    }
    if (error == 0 || error == -ENOENT) {
        error = vmx_get_int(list->dictionary, "snapshot.lastUID", 0, UINT32_MAX, &last);
    }
    if (error != 0 && error != -ENOENT) {
        *ret_message = g_strdup("snapshot.numSnapshots, current or lastUID is not a number that it can have");
        return -EINVAL;
    }
    list->current = (uint32_t)current;
    list->last_uid = (uint32_t)last;
    return 0;
}

static int load_all(struct snapshot_list *list, const struct vmx_mapper *mapper, char **ret_message)
{
    int64_t n = 0;
    int error = load_header(list, &n, ret_message);
    for (int64_t i = 0; error == 0 && i < n; i++) {
        struct reading reading = {list->dictionary, mapper, (unsigned)i, ret_message};
        struct snapshot *snapshot = snapshot_new();
        g_ptr_array_add(list->snapshots, snapshot);
        error = load_one(&reading, snapshot);
        list->last_uid = MAX(list->last_uid, snapshot->uid);
    }
    if (error == 0) {
        load_extra(list);
        load_destroyed(list, mapper);
        error = sort(list, ret_message);
    }
    if (error == 0 && list->current != 0 && snapshot_list_find(list, list->current) == NULL) {
        *ret_message = g_strdup_printf("snapshot.current: there is no snapshot with uid %u", list->current);
        error = -EINVAL;
    }
    return error;
}

int snapshot_list_parse(const char *text, size_t length, const char *datastore, const char *folder,
                        struct snapshot_list **ret, char **ret_message)
{
    struct vmx *dictionary = NULL;
    struct vmx_mapper mapper = {.datastore = datastore, .folder = folder};
    int error = vmx_parse(text, length, &dictionary, ret_message);
    if (error != 0) {
        return error;
    }
    g_autoptr(snapshot_list) list = snapshot_list_new();
    vmx_free(list->dictionary);
    list->dictionary = dictionary;
    error = load_all(list, &mapper, ret_message);
    if (error == 0) {
        *ret = g_steal_pointer(&list);
    }
    return error;
}

/* ---- writing --------------------------------------------------------------------------------------- */

/* Sets "snapshotN.key" unless an error came before. */
static void set(struct vmx *out, unsigned n, const char *key, const char *value, int *error)
{
    g_autofree char *whole = g_strdup_printf("snapshot%u.%s", n, key);
    if (*error == 0) {
        *error = vmx_set(out, whole, value);
    }
}

static void set_number(struct vmx *out, unsigned n, const char *key, int64_t value, int *error)
{
    g_autofree char *text = g_strdup_printf("%" G_GINT64_FORMAT, value);
    set(out, n, key, text, error);
}

static int store_one(struct vmx *out, unsigned n, const struct snapshot *snapshot,
                     const struct vmx_mapper *mapper)
{
    int error = 0;
    set_number(out, n, "uid", snapshot->uid, &error);
    set(out, n, "filename", snapshot->file, &error);
    if (snapshot->parent != 0) {
        set_number(out, n, "parent", snapshot->parent, &error);
    }
    set(out, n, "displayName", snapshot->name, &error);
    set(out, n, "description", snapshot->description, &error);
    if (snapshot->memory) {
        set(out, n, "type", "1", &error);
    }
    if (snapshot->suspended) {
        set(out, n, SUSPENDED_KEY, "TRUE", &error);
    }
    if (snapshot->quiesced) {
        set(out, n, QUIESCED_KEY, "TRUE", &error);
    }
    set_number(out, n, "createTimeHigh", (int32_t)((uint64_t)snapshot->create_time_us >> 32), &error);
    set_number(out, n, "createTimeLow", (int32_t)(uint32_t)snapshot->create_time_us, &error);
    set_number(out, n, "numDisks", snapshot->disks->len, &error);
    for (guint i = 0; i < snapshot->disks->len; i++) {
        const struct snapshot_disk *disk = g_ptr_array_index(snapshot->disks, i);
        g_autofree char *file = vmx_file_from_api(mapper, disk->file_name);
        g_autofree char *file_key = g_strdup_printf("disk%u.fileName", i);
        g_autofree char *node_key = g_strdup_printf("disk%u.node", i);
        set(out, n, file_key, file, &error);
        set(out, n, node_key, disk->node, &error);
    }
    for (guint i = 0; i < snapshot->extra->len; i++) {
        const struct snapshot_extra *extra = g_ptr_array_index(snapshot->extra, i);
        set(out, n, extra->key, extra->value, &error);
    }
    return error;
}

int snapshot_list_format(struct snapshot_list *list, const char *datastore, const char *folder, char **ret,
                         size_t *ret_length)
{
    struct vmx_mapper mapper = {.datastore = datastore, .folder = folder};
    struct vmx *out = list->dictionary;
    int error = vmx_get(out, ".encoding") == NULL ? vmx_set(out, ".encoding", "UTF-8") : 0;
    if (error == 0) {
        error = vmx_set_int(out, "snapshot.lastUID", list->last_uid);
    }
    if (error == 0 && list->current != 0) {
        error = vmx_set_int(out, "snapshot.current", list->current);
    } else if (error == 0) {
        vmx_remove(out, "snapshot.current");
    }
    if (error == 0) {
        error = vmx_set_int(out, "snapshot.numSnapshots", list->snapshots->len);
    }
    for (guint n = 0; error == 0 && n < list->snapshots->len; n++) {
        error = store_one(out, n, g_ptr_array_index(list->snapshots, n), &mapper);
    }
    for (guint n = 0; error == 0 && n < list->destroyed->len; n++) {
        g_autofree char *key = g_strdup_printf(DESTROYED_PREFIX "%u", n);
        g_autofree char *file = vmx_file_from_api(&mapper, g_ptr_array_index(list->destroyed, n));
        error = vmx_set(out, key, file);
    }
    if (error == 0) {
        *ret = vmx_format(out, ret_length);
    }
    vmx_remove_prefix(out, DESTROYED_PREFIX);
    for (guint n = 0; n < list->snapshots->len; n++) { /* the dictionary keeps only what is nobody's */
        g_autofree char *prefix = g_strdup_printf("snapshot%u.", n);
        vmx_remove_prefix(out, prefix);
    }
    return error;
}

/* ---- the tree -------------------------------------------------------------------------------------- */

struct snapshot *snapshot_list_find(const struct snapshot_list *list, uint32_t uid)
{
    for (guint i = 0; i < list->snapshots->len; i++) {
        struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        if (snapshot->uid == uid) {
            return snapshot;
        }
    }
    return NULL;
}

struct snapshot *snapshot_list_add(struct snapshot_list *list)
{
    struct snapshot *snapshot = snapshot_new();
    snapshot->uid = ++list->last_uid;
    snapshot->parent = list->current;
    g_ptr_array_add(list->snapshots, snapshot);
    list->current = snapshot->uid;
    return snapshot;
}

void snapshot_list_remove(struct snapshot_list *list, uint32_t uid)
{
    struct snapshot *gone = snapshot_list_find(list, uid);
    if (gone == NULL) {
        return;
    }
    for (guint i = 0; i < list->snapshots->len; i++) {
        struct snapshot *snapshot = g_ptr_array_index(list->snapshots, i);
        if (snapshot->parent == uid) {
            snapshot->parent = gone->parent;
        }
    }
    if (list->current == uid) {
        list->current = gone->parent;
    }
    g_ptr_array_remove(list->snapshots, gone);
}

bool snapshot_list_is_below(const struct snapshot_list *list, uint32_t uid, uint32_t top)
{
    while (uid != 0 && uid != top) {
        const struct snapshot *snapshot = snapshot_list_find(list, uid);
        uid = snapshot != NULL ? snapshot->parent : 0;
    }
    return uid == top;
}

unsigned snapshot_list_depth(const struct snapshot_list *list, uint32_t uid)
{
    unsigned depth = 0;
    for (const struct snapshot *at = snapshot_list_find(list, uid); at != NULL;
         at = snapshot_list_find(list, at->parent)) {
        depth++;
    }
    return depth;
}
