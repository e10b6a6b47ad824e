// SPDX-License-Identifier: Apache-2.0
/*
 * Datastores: folders of this machine under a name. STATE/datastores.json says which; the first start makes
 * "datastore1" in STATE/datastores/datastore1. Every file of a datastore is opened beneath its folder's
 * descriptor, so no path of a client leads out of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "host/host_internal.h"
#include "vim/event.h"
#include "vim/store.h"
#include "vim/value.h"

/* From these shares in use on, a datastore is yellow and red: those of the VI API's default alarm. */
enum {
    USED_YELLOW_PERCENT = 75,
    USED_RED_PERCENT = 85,
};

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
    g_free(datastore);
}

void host_datastores_free(struct host *host)
{
    if (host->datastores != NULL) {
        g_ptr_array_unref(host->datastores);
    }
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

struct vim_fault *host_resolve(struct host *host, const char *text, const char *property,
                               struct datastore **ret_datastore, char **ret_path)
{
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;
    if (text == NULL || datastore_path_parse(text, -1, &path, &rule) != 0) {
        return fault_invalid_datastore_path((struct vim_ref){0}, NULL, text, "%s: \"%s\": %s", property,
                                            text != NULL ? text : "", rule != NULL ? rule : "is missing");
    }
    struct datastore *datastore = host_datastore(host, path.datastore);
    if (datastore == NULL) {
        return fault_invalid_datastore((struct vim_ref){0}, path.datastore,
                                       "%s: there is no datastore named \"%s\"", property, path.datastore);
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

static void space(const struct datastore *datastore, int64_t *ret_capacity, int64_t *ret_free)
{
    struct statvfs fs;
    *ret_capacity = 0;
    *ret_free = 0;
    if (fstatvfs(datastore->fd, &fs) == 0) {
        *ret_capacity = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
        *ret_free = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    }
}

static struct Datastore *properties(struct host *host, const struct datastore *datastore)
{
    int64_t capacity = 0;
    int64_t free_space = 0;
    g_autofree char *url = g_strdup_printf("ds://%s/", datastore->path);
    struct Datastore *shown = Datastore_new();
    space(datastore, &capacity, &free_space);
    shown->name = g_strdup(datastore->name);
    shown->parent = vim_ref_make(&Folder_type, HOST_DATASTORE_FOLDER_ID);
    shown->overallStatus = ManagedEntityStatus_green;
    shown->configStatus = ManagedEntityStatus_green;
    shown->browser = vim_ref_copy(&datastore->browser);
    shown->capability = DatastoreCapability_new();
    shown->capability->directoryHierarchySupported = true;
    shown->capability->perFileThinProvisioningSupported = true;
    vim_set_optional(&shown->capability->topLevelDirectoryCreateSupported, true);
    shown->summary = DatastoreSummary_new();
    shown->summary->datastore = vim_ref_copy(&datastore->ref);
    shown->summary->name = g_strdup(datastore->name);
    shown->summary->url = g_strdup(url);
    shown->summary->capacity = capacity;
    shown->summary->freeSpace = free_space;
    shown->summary->accessible = true;
    vim_set_optional(&shown->summary->multipleHostAccess, false);
    shown->summary->type = g_strdup("OTHER"); /* the VI API's name for a local folder */
    shown->summary->maintenanceMode = g_strdup("normal");
    struct LocalDatastoreInfo *info = LocalDatastoreInfo_new();
    info->name = g_strdup(datastore->name);
    info->url = g_strdup(url);
    info->freeSpace = free_space;
    info->maxFileSize = INT64_C(1) << 43;
    info->path = g_strdup(datastore->path);
    shown->info = (struct DatastoreInfo *)info;
    struct DatastoreHostMount *mount = DatastoreHostMount_new();
    mount->key = vim_ref_copy(&host->about_host);
    mount->mountInfo = HostMountInfo_new();
    mount->mountInfo->path = g_strdup(datastore->path);
    mount->mountInfo->accessMode = g_strdup("readWrite");
    vim_set_optional(&mount->mountInfo->mounted, true);
    vim_set_optional(&mount->mountInfo->accessible, true);
    vim_array_add_object(&shown->host, mount);
    return shown;
}

/* Puts the datastore into the inventory. (write lock) */
static void show(struct host *host, struct datastore *datastore)
{
    struct vim_inventory *inventory = host->server->inventory;
    vim_inventory_add(inventory, &Datastore_type, datastore->ref.id, properties(host, datastore));
    struct vim_object *browser =
        vim_inventory_add(inventory, &HostDatastoreBrowser_type, datastore->browser.id, NULL);
    vim_array_add_ref(&VIM_PROPERTIES(browser, HostDatastoreBrowser)->datastore, &datastore->ref);
    vim_ref_list_add(vim_inventory_find(inventory, HOST_DATASTORE_FOLDER_ID), "childEntity", &datastore->ref);
    vim_ref_list_add(vim_inventory_find(inventory, HOST_DATACENTER_ID), "datastore", &datastore->ref);
    vim_ref_list_add(vim_inventory_find(inventory, HOST_COMPUTE_ID), "datastore", &datastore->ref);
    vim_ref_list_add(vim_inventory_find(inventory, HOST_ID), "datastore", &datastore->ref);
}

/* What the thin disks of the machines on it could still grow by. (read lock) */
static int64_t uncommitted(const struct host *host, const struct vim_object *object)
{
    const struct Datastore *shown = object->properties;
    int64_t sum = 0;
    for (uint32_t i = 0; i < shown->vm.n; i++) {
        const struct vim_object *vm = vim_inventory_find(host->server->inventory, shown->vm.items[i].id);
        const struct VirtualMachineStorageInfo *storage =
            vm != NULL ? VIM_PROPERTIES(vm, VirtualMachine)->storage : NULL;
        for (uint32_t k = 0; storage != NULL && k < storage->perDatastoreUsage.n; k++) {
            const struct VirtualMachineUsageOnDatastore *usage = storage->perDatastoreUsage.items[k];
            if (vim_ref_equal(&usage->datastore, &object->ref) && sum <= INT64_MAX - usage->uncommitted) {
                sum += usage->uncommitted;
            }
        }
    }
    return sum;
}

/* How full it is, as the VI API's colours. */
static enum ManagedEntityStatus fullness(int64_t capacity, int64_t free_space)
{
    int64_t hundredth = capacity / 100;
    if (hundredth == 0 || free_space > (100 - USED_YELLOW_PERCENT) * hundredth) {
        return ManagedEntityStatus_green;
    }
    return free_space > (100 - USED_RED_PERCENT) * hundredth ? ManagedEntityStatus_yellow
                                                             : ManagedEntityStatus_red;
}

/* Tells that a datastore gets full, before machines have to stop, and that it is no longer. */
static void tell_fullness(struct host *host, const struct datastore *datastore,
                          enum ManagedEntityStatus status, int64_t capacity, int64_t free_space)
{
    static const char *const severities[] = {
        [ManagedEntityStatus_green] = "info",
        [ManagedEntityStatus_yellow] = "warning",
        [ManagedEntityStatus_red] = "error",
    };
    struct EventEx *event = EventEx_new();
    bool enough = status == ManagedEntityStatus_green;
    g_autofree char *text = g_strdup_printf(
        "datastore %s: %s: %" G_GINT64_FORMAT " MB of %" G_GINT64_FORMAT " MB are free", datastore->name,
        enough ? "there is enough space again" : "space is running low", free_space >> 20, capacity >> 20);
    event->eventTypeId = g_strdup(enough ? "tenkyu.datastore.space.enough" : "tenkyu.datastore.space.low");
    event->severity = g_strdup(severities[status]);
    event->message = g_strdup(text);
    event->objectId = g_strdup(datastore->ref.id);
    event->objectType = g_strdup(datastore->ref.type->name);
    event->objectName = g_strdup(datastore->name);
    vim_event_post_for(host->server, (struct Event *)event, &datastore->ref, NULL, "%s", text);
}

void host_datastore_refresh(struct host *host, struct datastore *datastore)
{
    int64_t capacity = 0;
    int64_t free_space = 0;
    enum ManagedEntityStatus before = ManagedEntityStatus_unset;
    space(datastore, &capacity, &free_space);
    enum ManagedEntityStatus status = fullness(capacity, free_space);
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
    if (object != NULL) {
        int64_t copy = capacity;
        vim_set(object, "summary.capacity", &copy);
        copy = free_space;
        vim_set(object, "summary.freeSpace", &copy);
        copy = free_space;
        vim_set(object, "info.freeSpace", &copy);
        struct {
            bool set;
            int64_t value;
        } promised = {true, uncommitted(host, object)};
        vim_set(object, "summary.uncommitted", &promised);
        before = VIM_PROPERTIES(object, Datastore)->overallStatus;
        vim_set_enum(object, "overallStatus", (int)status);
    }
    vim_write_unlock(host->server->inventory);
    if (object != NULL && before != status) {
        tell_fullness(host, datastore, status, capacity, free_space);
    }
}

void host_datastores_refresh(struct host *host)
{
    g_mutex_lock(&host->lock);
    g_autoptr(GPtrArray) all = g_ptr_array_copy(host->datastores, NULL, NULL);
    g_mutex_unlock(&host->lock);
    g_ptr_array_set_free_func(all, NULL); /* datastores live as long as the host */
    for (guint i = 0; i < all->len; i++) {
        host_datastore_refresh(host, g_ptr_array_index(all, i));
    }
}

/* ---- the list --------------------------------------------------------------------------------------- */

static int save(struct host *host)
{
    g_autofree char *path = g_build_filename(host->state_dir, "datastores.json", NULL);
    g_autoptr(GPtrArray) infos = g_ptr_array_new_with_free_func(vim_free);
    for (guint i = 0; i < host->datastores->len; i++) {
        const struct datastore *datastore = g_ptr_array_index(host->datastores, i);
        struct LocalDatastoreInfo *info = LocalDatastoreInfo_new();
        info->name = g_strdup(datastore->name);
        info->path = g_strdup(datastore->path);
        info->url = g_strdup(datastore->ref.id);
        g_ptr_array_add(infos, info);
    }
    return vim_store_save(path, infos);
}

static int open_folder(struct host *host, const char *id, const char *name, const char *path,
                       struct datastore **ret)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -errno;
    }
    struct datastore *datastore = g_new0(struct datastore, 1);
    g_autofree char *browser = g_strdup_printf("%s-browser", id);
    datastore->fd = fd;
    datastore->name = g_strdup(name);
    datastore->path = g_strdup(path);
    datastore->ref = vim_ref_make(&Datastore_type, id);
    datastore->browser = vim_ref_make(&HostDatastoreBrowser_type, browser);
    g_mutex_lock(&host->lock);
    g_ptr_array_add(host->datastores, datastore);
    g_mutex_unlock(&host->lock);
    *ret = datastore;
    return 0;
}

static int make_first(struct host *host, char **ret_message)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = g_build_filename(host->state_dir, "datastores", "datastore1", NULL);
    int error = file_mkdir(host->state_fd, "datastores/datastore1", 0755);
    if (error == 0) {
        error = open_folder(host, "datastore-1", "datastore1", path, &datastore);
    }
    if (error == 0) {
        error = save(host);
    }
    if (error != 0) {
        *ret_message = g_strdup_printf("%s: %s", path, g_strerror(-error));
        return error;
    }
    show(host, datastore);
    return 0;
}

int host_datastores_load(struct host *host, char **ret_message)
{
    g_autofree char *path = g_build_filename(host->state_dir, "datastores.json", NULL);
    g_autoptr(GPtrArray) infos = NULL;
    int error = vim_store_load(path, &infos, ret_message);
    host->datastores = g_ptr_array_new_with_free_func(datastore_free);
    if (error != 0) {
        return error;
    }
    vim_write_lock(host->server->inventory);
    for (guint i = 0; i < infos->len; i++) {
        const struct LocalDatastoreInfo *info = g_ptr_array_index(infos, i);
        struct datastore *datastore = NULL;
        int missing = open_folder(host, info->url, info->name, info->path, &datastore);
        if (missing == 0) {
            show(host, datastore);
        } else {
            g_warning("datastore %s: %s: %s", info->name, info->path, g_strerror(-missing));
        }
    }
    if (infos->len == 0) {
        error = make_first(host, ret_message);
    }
    vim_write_unlock(host->server->inventory);
    return error;
}

/* ---- methods ---------------------------------------------------------------------------------------- */

static struct datastore *datastore_of_call(struct vim_call *call)
{
    struct host *host = call->server->hooks_data;
    struct datastore *found = NULL;
    g_mutex_lock(&host->lock);
    for (guint i = 0; i < host->datastores->len && found == NULL; i++) {
        struct datastore *datastore = g_ptr_array_index(host->datastores, i);
        found = vim_ref_equal(&datastore->ref, &call->request.target) ? datastore : NULL;
    }
    g_mutex_unlock(&host->lock);
    return found;
}

static struct vim_fault *refresh(struct vim_call *call, const struct RefreshDatastore_args *args)
{
    (void)args;
    struct datastore *datastore = datastore_of_call(call);
    if (datastore == NULL) {
        return vim_call_gone(&call->request.target);
    }
    host_datastore_refresh(call->server->hooks_data, datastore);
    return NULL;
}

const struct Datastore_methods host_datastore_methods = {
    .RefreshDatastore = refresh,
};

/* Makes a folder that exists a datastore. */
static struct vim_fault *create_local(struct vim_call *call, const struct CreateLocalDatastore_args *args,
                                      struct CreateLocalDatastore_result *ret)
{
    struct host *host = call->server->hooks_data;
    struct datastore *datastore = NULL;
    DATASTORE_PATH_AUTO(parsed);
    const char *rule = NULL;
    g_autofree char *root = g_strdup_printf("[%s]", args->name);
    if (datastore_path_parse(root, -1, &parsed, &rule) != 0 || !g_str_equal(parsed.datastore, args->name)) {
        return fault_invalid_name(args->name, (struct vim_ref){0},
                                  "name: \"%s\" cannot be a datastore's name", args->name);
    }
    if (!g_path_is_absolute(args->path)) {
        return fault_invalid_argument("path", "path: \"%s\" is not an absolute path", args->path);
    }
    if (host_datastore(host, args->name) != NULL) {
        return fault_duplicate_name(args->name, host_datastore(host, args->name)->ref,
                                    "there is a datastore named \"%s\"", args->name);
    }
    g_mutex_lock(&host->registry);
    g_autofree char *id = g_strdup_printf("datastore-%u", host->datastores->len + 1);
    int error = open_folder(host, id, args->name, args->path, &datastore);
    if (error == 0) {
        error = save(host);
        if (error != 0) {
            g_mutex_lock(&host->lock);
            g_ptr_array_remove(host->datastores, datastore);
            g_mutex_unlock(&host->lock);
        }
    }
    g_mutex_unlock(&host->registry);
    if (error != 0) {
        return host_file_fault(args->path, error, "the folder cannot be used");
    }
    vim_write_lock(host->server->inventory);
    show(host, datastore);
    vim_write_unlock(host->server->inventory);
    ret->returnval = vim_ref_copy(&datastore->ref);
    return NULL;
}

const struct HostDatastoreSystem_methods host_datastore_system_methods = {
    .CreateLocalDatastore = create_local,
};
