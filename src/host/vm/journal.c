// SPDX-License-Identifier: Apache-2.0
/*
 * What to undo, or to finish, after a crash.
 *
 * Before an operation makes or removes files it writes STATE/journal/<id>.json, which names them; when it is
 * over, one way or the other, that file goes. What counts is decided by one atomic replacement in between:
 *
 *   create    [journal] make files ... [vms.json: COMMIT] [journal gone]   not registered: files go
 *   disks     [journal] make disks ... [.vmx: COMMIT] remove disks [journal gone]   not in the .vmx: files go
 *   destroy   [journal] [vms.json: COMMIT] remove files   [journal gone]   not registered: files go
 *   files     [journal] make name.new~ ... rename it [journal gone]   those of this name go
 *   snapshot  snapshot_journal.c reads it, when the machines that run have been adopted
 *
 * If we die in between, the next start finds the journal and the state of the commit, and removes what
 * belongs to neither. A journal about a datastore that cannot be reached then waits until it can, as late-<id>.json.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/vm/vm.h"
#include "vim/store.h"
#include "vim/value.h"

#define JOURNAL_DIR "journal"
/* of the names of journals whose files could not be reached at the start */
#define LATE_PREFIX "late-"

static const char *const kind_names[] = {
    [JOURNAL_CREATE] = "create", [JOURNAL_DISKS] = "disks",       [JOURNAL_DESTROY] = "destroy",
    [JOURNAL_FILES] = "files",   [JOURNAL_SNAPSHOT] = "snapshot", [JOURNAL_REVERT] = "revert",
};

static char *journal_name(const char *vm_id)
{
    return g_strdup_printf(JOURNAL_DIR "/%s.json", vm_id);
}

static void add_pair(GPtrArray *pairs, const char *key, const char *value)
{
    struct KeyValue *pair = KeyValue_new();
    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(pairs, pair);
}

int journal_begin(struct host *host, const char *vm_id, enum journal_kind kind, const char *vmx_path,
                  GPtrArray *paths)
{
    g_autofree char *name = journal_name(vm_id);
    g_autofree char *path = g_build_filename(host->state_dir, name, NULL);
    g_autoptr(GPtrArray) pairs = g_ptr_array_new_with_free_func(vim_free);
    add_pair(pairs, kind_names[kind], vmx_path);
    for (guint i = 0; i < paths->len; i++) {
        add_pair(pairs, "file", g_ptr_array_index(paths, i));
    }
    int error = file_mkdir(host->state_fd, JOURNAL_DIR, 0700);
    return error != 0 ? error : vim_store_save(path, pairs);
}

int journal_end(struct host *host, const char *vm_id)
{
    g_autofree char *name = journal_name(vm_id);
    int error = file_remove(host->state_fd, name);
    return error == -ENOENT ? 0 : error;
}

/* Whether a journal's "[ds] path" cannot be looked at for now. */
static bool is_out_of_reach(struct host *host, const char *text)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    const struct datastore *datastore =
        datastore_path_parse(text, -1, &path, &rule) == 0 ? host_datastore(host, path.datastore) : NULL;
    return datastore != NULL && !g_atomic_int_get(&datastore->accessible);
}

/* Removes a folder when it is empty, or a file and what a crash in the middle of writing it has left. */
static void remove_one(struct host *host, const char *text)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    bool folder = g_str_has_suffix(text, "/");
    if (datastore_path_parse(text, -1, &path, &rule) != 0) {
        return;
    }
    struct datastore *datastore = host_datastore(host, path.datastore);
    if (datastore == NULL) {
        return;
    }
    if (!folder) {
        g_autofree char *unfinished = g_strconcat(path.path, FILE_NEW_SUFFIX, NULL);
        (void)file_remove(datastore->fd, unfinished);
        (void)file_remove(datastore->fd, path.path);
        return;
    }
    int parent = -1;
    const char *name = NULL;
    if (file_open_parent(datastore->fd, path.path, &parent, &name) == 0) {
        (void)unlinkat(parent, name, AT_REMOVEDIR); /* stays when something else is in it */
        close(parent);
    }
}

/* A file or folder in the making: what has its name is whole, and stays. */
static void remove_unfinished(struct host *host, const char *text)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    struct datastore *datastore =
        datastore_path_parse(text, -1, &path, &rule) == 0 ? host_datastore(host, path.datastore) : NULL;
    if (datastore != NULL) {
        g_autofree char *unfinished = g_strconcat(path.path, FILE_NEW_SUFFIX, NULL);
        (void)file_remove_tree(datastore->fd, unfinished);
    }
}

void journal_remove_files(struct host *host, GPtrArray *paths)
{
    for (guint i = 0; i < paths->len; i++) {
        remove_one(host, g_ptr_array_index(paths, i));
    }
}

static bool config_names(const struct VirtualMachineConfigInfo *config, const char *descriptor)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type) &&
            g_strcmp0(((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName, descriptor) ==
                0) {
            return true;
        }
    }
    return false;
}

/* A disk is a descriptor and its data: both go unless the .vmx names the descriptor. What cannot be read
 * decides nothing: then all stays. */
static void recover_disks(struct host *host, const char *vmx_path, GPtrArray *paths)
{
    struct VirtualMachineConfigInfo *config = NULL;
    VIM_FAULT_AUTO fault = vm_load(host, vmx_path, &config);
    for (guint i = 0; fault == NULL && i < paths->len; i++) {
        const char *path = g_ptr_array_index(paths, i);
        g_autofree char *stem = g_str_has_suffix(path, DISK_IMAGE_FLAT_SUFFIX)
                                    ? g_strndup(path, strlen(path) - strlen(DISK_IMAGE_FLAT_SUFFIX))
                                    : datastore_path_with_suffix(path, "");
        g_autofree char *descriptor = g_strconcat(stem, ".vmdk", NULL);
        if (!config_names(config, descriptor) && !config_names(config, path)) {
            remove_one(host, path);
        }
    }
    vim_free(config);
}

int journal_read(struct host *host, const char *vm_id, enum journal_kind *ret_kind, GPtrArray **ret_paths)
{
    g_autofree char *name = journal_name(vm_id);
    g_autofree char *path = g_build_filename(host->state_dir, name, NULL);
    g_autofree char *message = NULL;
    g_autoptr(GPtrArray) pairs = NULL;
    if (!g_file_test(path, G_FILE_TEST_EXISTS)) {
        return -ENOENT;
    }
    if (vim_store_load(path, &pairs, &message) != 0 || pairs->len == 0) {
        return -EINVAL;
    }
    const struct KeyValue *head = g_ptr_array_index(pairs, 0);
    for (size_t kind = JOURNAL_CREATE; kind < G_N_ELEMENTS(kind_names); kind++) {
        if (g_str_equal(kind_names[kind], head->key)) {
            *ret_kind = (enum journal_kind)kind;
            *ret_paths = g_ptr_array_new_with_free_func(g_free);
            for (guint i = 1; i < pairs->len; i++) {
                g_ptr_array_add(*ret_paths,
                                g_strdup(((struct KeyValue *)g_ptr_array_index(pairs, i))->value));
            }
            return 0;
        }
    }
    return -EINVAL;
}

/* Keeps a journal for journal_recover_late, under a name that no operation of this run has. */
static void put_off(struct host *host, const char *name)
{
    g_autofree char *from = g_build_filename(JOURNAL_DIR, name, NULL);
    g_autofree char *to = g_strdup_printf(JOURNAL_DIR "/" LATE_PREFIX "%s", name);
    if (!g_str_has_prefix(name, LATE_PREFIX) && renameat(host->state_fd, from, host->state_fd, to) != 0) {
        g_warning("%s: %s", from, g_strerror(errno));
    }
}

static void recover_one(struct host *host, const char *name)
{
    g_autofree char *journal = g_strndup(name, strlen(name) - strlen(".json"));
    const char *id = g_str_has_prefix(name, LATE_PREFIX) ? journal + strlen(LATE_PREFIX) : journal;
    g_autofree char *path = g_build_filename(host->state_dir, JOURNAL_DIR, name, NULL);
    g_autofree char *message = NULL;
    g_autoptr(GPtrArray) pairs = NULL;
    if (vim_store_load(path, &pairs, &message) != 0 || pairs->len == 0) {
        g_warning("%s: %s: left as it is", path, message != NULL ? message : "empty");
        return;
    }
    const struct KeyValue *head = g_ptr_array_index(pairs, 0);
    g_autoptr(GPtrArray) paths = g_ptr_array_new();
    for (guint i = 1; i < pairs->len; i++) {
        g_ptr_array_add(paths, ((struct KeyValue *)g_ptr_array_index(pairs, i))->value);
    }
    bool registered = g_hash_table_contains(host->registered, id);
    bool snapshot = g_str_equal(head->key, kind_names[JOURNAL_SNAPSHOT]) ||
                    g_str_equal(head->key, kind_names[JOURNAL_REVERT]);
    if (snapshot && registered) {
        return;
    }
    bool reachable = !is_out_of_reach(host, head->value);
    for (guint i = 0; i < paths->len && reachable; i++) {
        reachable = !is_out_of_reach(host, g_ptr_array_index(paths, i));
    }
    if (!reachable) {
        put_off(host, name);
        return;
    }
    if (g_str_equal(head->key, kind_names[JOURNAL_FILES])) {
        for (guint i = 0; i < paths->len; i++) {
            remove_unfinished(host, g_ptr_array_index(paths, i));
        }
    } else if (g_str_equal(head->key, kind_names[JOURNAL_DISKS])) {
        recover_disks(host, head->value, paths);
    } else if (!registered && !snapshot) {
        journal_remove_files(host, paths);
    }
    (void)journal_end(host, journal); /* tried again at the next start */
}

static void recover(struct host *host, bool late)
{
    g_autofree char *folder = g_build_filename(host->state_dir, JOURNAL_DIR, NULL);
    g_autoptr(GDir) dir = g_dir_open(folder, 0, NULL);
    const char *name = NULL;
    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        if (g_str_has_suffix(name, ".json") && (!late || g_str_has_prefix(name, LATE_PREFIX))) {
            recover_one(host, name);
        } else if (!late && g_str_has_suffix(name, FILE_NEW_SUFFIX)) {
            g_autofree char *path = g_build_filename(JOURNAL_DIR, name, NULL);
            (void)file_remove(host->state_fd, path); /* its operation had not begun */
        }
    }
}

void journal_recover(struct host *host)
{
    recover(host, false);
}

void journal_recover_late(struct host *host)
{
    recover(host, true);
}
