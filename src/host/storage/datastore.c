// SPDX-License-Identifier: Apache-2.0
/*
 * Datastores: folders under a name, of this machine or of a file server that is mounted on STATE/mounts/ID.
 * STATE/datastores.json says which; the first start makes "datastore1" in STATE/datastores/datastore1. Every file of
 * a datastore is opened beneath its folder's descriptor, so no path of a client leads out of it.
 *
 * A datastore whose folder cannot be opened stays in the list: it is shown as not accessible, its descriptor leads
 * nowhere, and datastore_watch.c tries again. What decides that a datastore is there is datastores.json alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/host_internal.h"
#include "host/storage/folder_probe.h"
#include "host/storage/nas_mount.h"
#include "vim/store.h"
#include "vim/value.h"

static void datastore_free(void *data)
{
    struct datastore *datastore = data;
    if (datastore->fd >= 0) {
        close(datastore->fd);
    }
    vim_ref_clear(&datastore->ref);
    vim_ref_clear(&datastore->browser);
    g_free(datastore->name);
    g_free(datastore->path);
    vim_free(datastore->nas);
    g_free(datastore);
}

void host_datastores_free(struct host *host)
{
    g_clear_pointer(&host->datastores, g_ptr_array_unref);
    g_clear_pointer(&host->former_datastores, g_ptr_array_unref);
    g_clear_pointer(&host->former_names, g_ptr_array_unref);
    if (host->nowhere_fd >= 0) {
        close(host->nowhere_fd);
    }
}

GPtrArray *host_datastores_copy(struct host *host)
{
    GPtrArray *all = g_ptr_array_new();
    g_mutex_lock(&host->lock);
    for (guint i = 0; i < host->datastores->len; i++) {
        g_ptr_array_add(all, g_ptr_array_index(host->datastores, i));
    }
    g_mutex_unlock(&host->lock);
    return all;
}

struct datastore *host_datastore(struct host *host, const char *name)
{
    struct datastore *found = NULL;
    g_mutex_lock(&host->lock);
    for (guint i = 0; i < host->datastores->len && found == NULL; i++) {
        struct datastore *datastore = g_ptr_array_index(host->datastores, i);
        found = g_str_equal(datastore->name, name) ? datastore : NULL;
    }
    g_mutex_unlock(&host->lock);
    return found;
}

char *host_datastore_path(struct host *host, const char *text)
{
    static const char nowhere[] = "[] /";
    const char *absolute = g_str_has_prefix(text, nowhere) ? text + strlen(nowhere) - 1 : NULL;
    g_autofree char *name = NULL;
    g_autofree char *inside = NULL;
    const char *rule = NULL;
    size_t longest = 0;
    if (absolute == NULL) {
        return NULL;
    }
    g_mutex_lock(&host->lock);
    for (guint i = 0; i < host->datastores->len; i++) { /* one may lie within another */
        const struct datastore *datastore = g_ptr_array_index(host->datastores, i);
        size_t length = strlen(datastore->path);
        if (length > longest && strncmp(absolute, datastore->path, length) == 0 && absolute[length] == '/') {
            g_free(name);
            name = g_strdup(datastore->name);
            longest = length;
        }
    }
    g_mutex_unlock(&host->lock);
    if (name == NULL || datastore_path_parse_relative(absolute + longest + 1, -1, &inside, &rule) != 0) {
        return NULL;
    }
    return datastore_path_format(name, inside);
}

struct vim_fault *host_resolve(struct host *host, const char *text, const char *property,
                               struct datastore **ret_datastore, char **ret_path)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    g_autofree char *translated = text != NULL ? host_datastore_path(host, text) : NULL;
    text = translated != NULL ? translated : text;
    if (text == NULL || datastore_path_parse(text, -1, &path, &rule) != 0) {
        return fault_invalid_datastore_path((struct vim_ref){0}, NULL, text, "%s: \"%s\": %s", property,
                                            text != NULL ? text : "", rule != NULL ? rule : "is missing");
    }
    struct datastore *datastore = host_datastore(host, path.datastore);
    if (datastore == NULL) {
        return fault_invalid_datastore((struct vim_ref){0}, path.datastore,
                                       "%s: there is no datastore named \"%s\"", property, path.datastore);
    }
    if (!g_atomic_int_get(&datastore->accessible)) {
        return fault_inaccessible_datastore(datastore->ref, path.datastore, "its storage does not answer",
                                            "%s: the datastore \"%s\" is not accessible now", property,
                                            path.datastore);
    }
    *ret_datastore = datastore;
    *ret_path = g_steal_pointer(&path.path);
    return NULL;
}

struct vim_fault *host_file_fault(const char *path, int error, const char *what)
{
    switch (-error) {
    case ENOENT:
        return fault_file_not_found(path, "%s: %s", path, what);
    case EEXIST:
        return fault_file_already_exists(path, "%s: %s", path, what);
    case ENOSPC:
    case EDQUOT:
        return fault_no_disk_space(path, "", "%s: %s: the datastore is full", path, what);
    case EBUSY:
    case EAGAIN:
        return fault_file_locked(path, "%s: %s", path, what);
    case EACCES:
    case EPERM:
    case EROFS:
        return fault_file_not_writable(path, "%s: %s: %s", path, what, g_strerror(-error));
    case ENAMETOOLONG:
        return fault_file_name_too_long(path, "%s: %s", path, what);
    default:
        return fault_cannot_access_file(path, "%s: %s: %s", path, what, g_strerror(-error));
    }
}

struct vim_fault *host_state_fault(int error, const char *what)
{
    if (error == -ENOSPC || error == -EDQUOT) {
        return fault_no_disk_space("", "", "%s cannot be written: the disk of the host's state is full",
                                   what);
    }
    return fault_system_error(g_strerror(-error), "%s cannot be written: %s", what, g_strerror(-error));
}

/* ---- showing ---------------------------------------------------------------------------------------- */

static struct DatastoreInfo *info_of(const struct datastore *datastore, const char *url)
{
    struct DatastoreInfo *info = NULL;
    if (datastore->nas != NULL) {
        struct NasDatastoreInfo *nas = NasDatastoreInfo_new();
        nas->nas = vim_copy(datastore->nas);
        info = (struct DatastoreInfo *)nas;
    } else {
        struct LocalDatastoreInfo *local = LocalDatastoreInfo_new();
        local->path = g_strdup(datastore->path);
        info = (struct DatastoreInfo *)local;
    }
    info->name = g_strdup(datastore->name);
    info->url = g_strdup(url);
    info->maxFileSize = INT64_C(1) << 43;
    return info;
}

static struct DatastoreSummary *summary_of(const struct datastore *datastore, const char *url)
{
    struct DatastoreSummary *summary = DatastoreSummary_new();
    summary->datastore = vim_ref_copy(&datastore->ref);
    summary->name = g_strdup(datastore->name);
    summary->url = g_strdup(url);
    summary->accessible = g_atomic_int_get(&datastore->accessible) != 0;
    vim_set_optional(&summary->multipleHostAccess, datastore->nas != NULL);
    /* "OTHER" is the VI API's name for a local folder. */
    summary->type = g_strdup(datastore->nas != NULL ? datastore->nas->type : "OTHER");
    summary->maintenanceMode = g_strdup("normal");
    return summary;
}

static struct Datastore *properties(struct host *host, const struct datastore *datastore)
{
    g_autofree char *url = g_strdup_printf("ds://%s/", datastore->path);
    struct Datastore *shown = Datastore_new();
    shown->name = g_strdup(datastore->name);
    shown->parent = vim_ref_make(&Folder_type, HOST_DATASTORE_FOLDER_ID);
    shown->overallStatus = ManagedEntityStatus_green;
    shown->configStatus = ManagedEntityStatus_green;
    shown->browser = vim_ref_copy(&datastore->browser);
    shown->capability = DatastoreCapability_new();
    shown->capability->directoryHierarchySupported = true;
    shown->capability->perFileThinProvisioningSupported = true;
    vim_set_optional(&shown->capability->topLevelDirectoryCreateSupported, true);
    shown->summary = summary_of(datastore, url);
    shown->info = info_of(datastore, url);
    struct DatastoreHostMount *mount = DatastoreHostMount_new();
    mount->key = vim_ref_copy(&host->about_host);
    mount->mountInfo = HostMountInfo_new();
    mount->mountInfo->path = g_strdup(datastore->path);
    mount->mountInfo->accessMode = g_strdup(datastore->read_only ? "readOnly" : "readWrite");
    vim_set_optional(&mount->mountInfo->mounted, true);
    vim_set_optional(&mount->mountInfo->accessible, shown->summary->accessible);
    vim_array_add_object(&shown->host, mount);
    return shown;
}

/* The lists that have all datastores. */
static const struct {
    const char *id;
    const char *property;
} lists[] = {
    {HOST_DATASTORE_FOLDER_ID, "childEntity"},
    {HOST_DATACENTER_ID, "datastore"},
    {HOST_COMPUTE_ID, "datastore"},
    {HOST_ID, "datastore"},
};

/* Puts the datastore into the inventory. (write lock) */
static void show(struct host *host, struct datastore *datastore)
{
    struct vim_inventory *inventory = host->server->inventory;
    vim_inventory_add(inventory, &Datastore_type, datastore->ref.id, properties(host, datastore));
    struct vim_object *browser =
        vim_inventory_add(inventory, &HostDatastoreBrowser_type, datastore->browser.id, NULL);
    vim_array_add_ref(&VIM_PROPERTIES(browser, HostDatastoreBrowser)->datastore, &datastore->ref);
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        vim_ref_list_add(vim_inventory_find(inventory, lists[i].id), lists[i].property, &datastore->ref);
    }
}

/* Takes it out again. (write lock) */
static void hide(struct host *host, struct datastore *datastore)
{
    struct vim_inventory *inventory = host->server->inventory;
    for (size_t i = 0; i < G_N_ELEMENTS(lists); i++) {
        vim_ref_list_remove(vim_inventory_find(inventory, lists[i].id), lists[i].property, &datastore->ref);
    }
    vim_inventory_remove(inventory, vim_inventory_find_ref(inventory, &datastore->browser));
    vim_inventory_remove(inventory, vim_inventory_find_ref(inventory, &datastore->ref));
}

/* ---- its folder -------------------------------------------------------------------------------------- */

/* A folder that is gone but open: what a descriptor of it leads to is never there. */
static int make_nowhere(struct host *host)
{
    int error = file_mkdir(host->state_fd, "mounts/nowhere", 0700);
    if (error == 0) {
        error = file_open(host->state_fd, "mounts/nowhere", O_RDONLY | O_DIRECTORY, 0, &host->nowhere_fd);
    }
    if (error == 0 && unlinkat(host->state_fd, "mounts/nowhere", AT_REMOVEDIR) != 0) {
        error = -errno;
    }
    return error;
}

int host_datastore_mount(struct host *host, struct datastore *datastore, char **ret_message)
{
    if (datastore->nas == NULL || nas_is_mounted(datastore->path)) {
        return 0;
    }
    g_autofree char *folder = g_strdup_printf("mounts/%s", datastore->ref.id);
    int error = file_mkdir(host->state_fd, folder, 0700);
    if (error != 0) {
        *ret_message = g_strdup_printf("%s: %s", datastore->path, g_strerror(-error));
        return error;
    }
    return nas_mount(datastore->nas, datastore->read_only, datastore->path, ret_message);
}

int host_datastore_take_folder(struct datastore *datastore, int fd)
{
    int error =
        dup3(fd, datastore->fd, O_CLOEXEC) < 0 ? -errno : 0; /* in one step, whoever uses it meanwhile */
    close(fd);
    return error;
}

/* Mounts and opens its folder, if it answers. 0 or a negative errno with *ret_message. */
static int open_datastore(struct host *host, struct datastore *datastore, char **ret_message)
{
    int64_t capacity = 0;
    int64_t free_space = 0;
    int fd = -1;
    int error = host_datastore_mount(host, datastore, ret_message);
    if (error != 0) {
        return error;
    }
    struct folder_probe *probe = folder_probe_start(datastore->path);
    error = folder_probe_wait(probe, HOST_DATASTORE_ANSWER_US, &fd, &capacity, &free_space);
    folder_probe_free(probe);
    if (error == 0) {
        error = host_datastore_take_folder(datastore, fd);
    }
    if (error != 0) {
        *ret_message = g_strdup_printf("%s: %s", datastore->path,
                                       error == -ETIMEDOUT ? "it does not answer" : g_strerror(-error));
    }
    return error;
}

void host_datastore_close(struct host *host, struct datastore *datastore)
{
    g_atomic_int_set(&datastore->accessible, 0);
    (void)dup3(host->nowhere_fd, datastore->fd, O_CLOEXEC);
}

/* ---- the list --------------------------------------------------------------------------------------- */

static int save(struct host *host)
{
    g_autofree char *path = g_build_filename(host->state_dir, "datastores.json", NULL);
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(vim_free);
    for (guint i = 0; i < host->datastores->len; i++) {
        const struct datastore *datastore = g_ptr_array_index(host->datastores, i);
        struct DatastoreInfo *info = info_of(datastore, datastore->ref.id);
        g_ptr_array_add(entries, info);
        if (datastore->nas != NULL) { /* how a volume is mounted follows it */
            struct HostMountInfo *mount = HostMountInfo_new();
            mount->path = g_strdup(datastore->path);
            mount->accessMode = g_strdup(datastore->read_only ? "readOnly" : "readWrite");
            g_ptr_array_add(entries, mount);
        }
    }
    return vim_store_save(path, entries);
}

/* Not in any list yet. The volume is moved in. */
static struct datastore *datastore_new(struct host *host, const char *id, const char *name, const char *path,
                                       struct HostNasVolume *nas)
{
    struct datastore *datastore = g_new0(struct datastore, 1);
    g_autofree char *browser = g_strdup_printf("%s-browser", id);
    datastore->fd = fcntl(host->nowhere_fd, F_DUPFD_CLOEXEC, 0);
    datastore->name = g_strdup(name);
    datastore->path = nas != NULL ? g_build_filename(host->state_dir, "mounts", id, NULL) : g_strdup(path);
    datastore->ref = vim_ref_make(&Datastore_type, id);
    datastore->browser = vim_ref_make(&HostDatastoreBrowser_type, browser);
    datastore->nas = nas;
    return datastore;
}

static void list_add(struct host *host, struct datastore *datastore)
{
    g_mutex_lock(&host->lock);
    g_ptr_array_add(host->datastores, datastore);
    g_mutex_unlock(&host->lock);
}

/* Nobody finds it any more; who has it keeps it. */
static void list_remove(struct host *host, struct datastore *datastore)
{
    guint index = 0;
    g_mutex_lock(&host->lock);
    if (g_ptr_array_find(host->datastores, datastore, &index)) {
        g_ptr_array_add(host->former_datastores, g_ptr_array_steal_index(host->datastores, index));
    }
    g_mutex_unlock(&host->lock);
}

/* An id that no datastore has had since the start: "datastore-N". */
static char *new_id(struct host *host)
{
    gint64 last = 0;
    GPtrArray *const all[] = {host->datastores, host->former_datastores};
    for (size_t k = 0; k < G_N_ELEMENTS(all); k++) {
        for (guint i = 0; i < all[k]->len; i++) {
            const struct datastore *datastore = g_ptr_array_index(all[k], i);
            const char *dash = strrchr(datastore->ref.id, '-');
            last = MAX(last, dash != NULL ? g_ascii_strtoll(dash + 1, NULL, 10) : 0);
        }
    }
    return g_strdup_printf("datastore-%" G_GINT64_FORMAT, last + 1);
}

/* DuplicateName; AlreadyExists when the same volume is a datastore already: two mounts of it would be two hosts to each
 * other. */
static struct vim_fault *check_new(struct host *host, const char *name, const struct HostNasVolume *nas)
{
    const struct datastore *other = host_datastore(host, name);
    if (other != NULL) {
        return fault_duplicate_name(name, other->ref, "there is a datastore named \"%s\"", name);
    }
    for (guint i = 0; nas != NULL && i < host->datastores->len; i++) {
        other = g_ptr_array_index(host->datastores, i);
        if (other->nas != NULL && g_str_equal(other->nas->remoteHost, nas->remoteHost) &&
            g_str_equal(other->nas->remotePath, nas->remotePath)) {
            return fault_already_exists(other->name, "%s:%s is the datastore %s already", nas->remoteHost,
                                        nas->remotePath, other->name);
        }
    }
    return NULL;
}

struct vim_fault *host_datastore_add(struct host *host, const char *name, const char *path,
                                     struct HostNasVolume *nas, bool read_only, struct datastore **ret)
{
    g_autofree char *message = NULL;
    g_mutex_lock(&host->datastore_list);
    struct vim_fault *fault = check_new(host, name, nas);
    if (fault != NULL) {
        g_mutex_unlock(&host->datastore_list);
        vim_free(nas);
        return fault;
    }
    g_autofree char *id = new_id(host);
    struct datastore *datastore = datastore_new(host, id, name, path, nas);
    datastore->read_only = read_only;
    if (nas !=
        NULL) { /* a helper of a program that took too long may have mounted another volume there since */
        g_autofree char *ignored = NULL;
        (void)nas_unmount(datastore->path, true, &ignored);
    }
    int error = open_datastore(host, datastore, &message);
    if (error != 0 && nas != NULL) {
        fault = fault_nas_volume_not_mounted(name, nas->remoteHost, nas->remotePath, "%s:%s: %s",
                                             nas->remoteHost, nas->remotePath, message);
    } else if (error != 0) {
        fault = host_file_fault(path, error, "the folder cannot be used");
    } else {
        datastore->accessible = 1;
        datastore->recovered = 1;
        list_add(host, datastore);
        error = save(host);
        fault = error == 0 ? NULL : host_state_fault(error, "the list of datastores");
        if (error != 0) {
            list_remove(host, datastore);
            host_datastore_close(host, datastore);
        }
    }
    if (fault != NULL && nas != NULL) {
        g_autofree char *ignored = NULL;
        (void)nas_unmount(datastore->path, true, &ignored);
    }
    if (fault == NULL) {
        vim_write_lock(host->server->inventory);
        show(host, datastore);
        vim_write_unlock(host->server->inventory);
        *ret = datastore;
    } else if (error != 0 && !g_ptr_array_find(host->former_datastores, datastore, NULL)) {
        datastore_free(datastore);
    }
    g_mutex_unlock(&host->datastore_list);
    return fault;
}

/* The machines that have files on it, by name; NULL for none. */
static char *users_of(struct host *host, const struct datastore *datastore)
{
    GString *names = NULL;
    vim_read_lock(host->server->inventory);
    const struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
    const struct Datastore *shown = object != NULL ? VIM_PROPERTIES(object, Datastore) : NULL;
    for (uint32_t i = 0; shown != NULL && i < shown->vm.n; i++) {
        const struct vim_object *vm = vim_inventory_find(host->server->inventory, shown->vm.items[i].id);
        if (vm != NULL) {
            names = names != NULL ? g_string_append(names, ", ") : g_string_new(NULL);
            g_string_append(names, VIM_PROPERTIES(vm, VirtualMachine)->name);
        }
    }
    vim_read_unlock(host->server->inventory);
    return names != NULL ? g_string_free(names, FALSE) : NULL;
}

static struct vim_fault *check_no_users(struct host *host, const struct datastore *datastore)
{
    g_autofree char *users = users_of(host, datastore);
    return users == NULL ? NULL
                         : fault_resource_in_use("Datastore", datastore->name,
                                                 "the datastore \"%s\" has virtual machines: %s",
                                                 datastore->name, users);
}

/* Unmounts it, if it is mounted; nothing has changed when that does not go. */
static struct vim_fault *let_go(struct host *host, struct datastore *datastore)
{
    g_autofree char *message = NULL;
    bool was_accessible = g_atomic_int_get(&datastore->accessible) != 0;
    host_datastore_close(host, datastore);
    int error = datastore->nas != NULL ? nas_unmount(datastore->path, !was_accessible, &message) : 0;
    if (error == 0) {
        return NULL;
    }
    g_autofree char *ignored = NULL;
    if (open_datastore(host, datastore, &ignored) == 0) {
        g_atomic_int_set(&datastore->accessible, was_accessible);
    }
    return fault_resource_in_use("Datastore", datastore->name, "%s", message);
}

struct vim_fault *host_datastore_remove(struct host *host, struct datastore *datastore)
{
    g_mutex_lock(&host->datastore_list);
    struct vim_fault *fault = g_ptr_array_find(host->datastores, datastore, NULL)
                                  ? check_no_users(host, datastore)
                                  : vim_call_gone(&datastore->ref);
    if (fault == NULL) {
        fault = let_go(host, datastore);
    }
    if (fault == NULL) {
        list_remove(host, datastore);
        int error = save(host);
        if (error != 0) { /* the next start has it again, and so do we */
            g_mutex_lock(&host->lock);
            guint last = host->former_datastores->len - 1;
            g_ptr_array_add(host->datastores, g_ptr_array_steal_index(host->former_datastores, last));
            g_mutex_unlock(&host->lock);
            fault = host_state_fault(error, "the list of datastores");
        }
    }
    if (fault == NULL) {
        vim_write_lock(host->server->inventory);
        hide(host, datastore);
        vim_write_unlock(host->server->inventory);
        if (datastore->nas != NULL) {
            g_autofree char *folder = g_strdup_printf("mounts/%s", datastore->ref.id);
            (void)unlinkat(host->state_fd, folder, AT_REMOVEDIR);
        }
    }
    g_mutex_unlock(&host->datastore_list);
    return fault;
}

struct vim_fault *host_datastore_rename(struct host *host, struct datastore *datastore, const char *name)
{
    g_mutex_lock(&host->datastore_list);
    const struct datastore *other = host_datastore(host, name);
    char *before = datastore->name;
    struct vim_fault *fault = check_no_users(host, datastore);
    if (fault == NULL && other != NULL && other != datastore) {
        fault = fault_duplicate_name(name, other->ref, "there is a datastore named \"%s\"", name);
    }
    if (fault == NULL) {
        char *after = g_strdup(name);
        g_atomic_pointer_set(&datastore->name, after);
        int error = save(host);
        if (error != 0) {
            g_atomic_pointer_set(&datastore->name, before);
            before = after;
            fault = host_state_fault(error, "the list of datastores");
        }
        g_ptr_array_add(host->former_names, before); /* somebody may be reading it */
    }
    if (fault == NULL) {
        vim_write_lock(host->server->inventory);
        struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
        vim_set_text(object, "name", name);
        vim_set_text(object, "summary.name", name);
        vim_set_text(object, "info.name", name);
        vim_write_unlock(host->server->inventory);
    }
    g_mutex_unlock(&host->datastore_list);
    return fault;
}

/* ---- at the start ------------------------------------------------------------------------------------ */

static int make_first(struct host *host, char **ret_message)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = g_build_filename(host->state_dir, "datastores", "datastore1", NULL);
    int error = file_mkdir(host->state_fd, "datastores/datastore1", 0755);
    if (error != 0) {
        *ret_message = g_strdup_printf("%s: %s", path, g_strerror(-error));
        return error;
    }
    VIM_FAULT_AUTO fault = host_datastore_add(host, "datastore1", path, NULL, false, &datastore);
    if (fault != NULL) {
        *ret_message = g_strdup(fault->message);
        return -EIO;
    }
    return 0;
}

/* One of datastores.json; `mount` follows a volume. */
static void load_one(struct host *host, const struct DatastoreInfo *info, const struct HostMountInfo *mount)
{
    g_autofree char *message = NULL;
    struct HostNasVolume *nas = NULL;
    const char *path = NULL;
    if (vim_is_a(info, &NasDatastoreInfo_type)) {
        nas = vim_copy(((const struct NasDatastoreInfo *)info)->nas);
    } else {
        path = ((const struct LocalDatastoreInfo *)info)->path;
    }
    struct datastore *datastore = datastore_new(host, info->url, info->name, path, nas);
    datastore->read_only = mount != NULL && g_strcmp0(mount->accessMode, "readOnly") == 0;
    if (open_datastore(host, datastore, &message) == 0) {
        datastore->accessible = 1;
        datastore->recovered = 1;
    } else {
        g_warning("datastore %s: %s", info->name, message);
    }
    list_add(host, datastore);
    vim_write_lock(host->server->inventory);
    show(host, datastore);
    vim_write_unlock(host->server->inventory);
}

int host_datastores_load(struct host *host, char **ret_message)
{
    g_autofree char *path = g_build_filename(host->state_dir, "datastores.json", NULL);
    g_autoptr(GPtrArray) entries = NULL;
    bool first = !g_file_test(path, G_FILE_TEST_EXISTS);
    host->datastores = g_ptr_array_new_with_free_func(datastore_free);
    host->former_datastores = g_ptr_array_new_with_free_func(datastore_free);
    host->former_names = g_ptr_array_new_with_free_func(g_free);
    int error = make_nowhere(host);
    if (error != 0) {
        *ret_message = g_strdup_printf("%s/mounts: %s", host->state_dir, g_strerror(-error));
        return error;
    }
    error = vim_store_load(path, &entries, ret_message);
    for (guint i = 0; error == 0 && i < entries->len; i++) {
        const void *entry = g_ptr_array_index(entries, i);
        const void *next = i + 1 < entries->len ? g_ptr_array_index(entries, i + 1) : NULL;
        if (vim_is_a(entry, &DatastoreInfo_type)) {
            load_one(host, entry, vim_is_a(next, &HostMountInfo_type) ? next : NULL);
        }
    }
    return error == 0 && first ? make_first(host, ret_message) : error;
}
