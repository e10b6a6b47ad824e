// SPDX-License-Identifier: Apache-2.0
/*
 * The methods of Datastore and HostDatastoreSystem: make, rename, refresh and remove datastores. What they do is in
 * datastore.c.
 */
#include "base/file.h"
#include "host/host_internal.h"
#include "host/storage/datastore_watch.h"
#include "host/storage/nas_mount.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/session.h"
#include "vim/value.h"

static struct datastore *datastore_of(struct host *host, const struct vim_ref *ref)
{
    struct datastore *found = NULL;
    g_mutex_lock(&host->lock);
    for (guint i = 0; i < host->datastores->len && found == NULL; i++) {
        struct datastore *datastore = g_ptr_array_index(host->datastores, i);
        found = vim_ref_equal(&datastore->ref, ref) ? datastore : NULL;
    }
    g_mutex_unlock(&host->lock);
    return found;
}

/* ---- Datastore --------------------------------------------------------------------------------------- */

/* Those of a file server are asked by the thread that can wait. */
static void refresh_space(struct host *host, struct datastore *datastore)
{
    if (datastore->nas != NULL || !g_atomic_int_get(&datastore->accessible)) {
        datastore_watch_hurry(host->datastore_watch);
    } else {
        host_datastore_refresh(host, datastore);
    }
}

static struct vim_fault *refresh(struct vim_call *call, const struct RefreshDatastore_args *args)
{
    (void)args;
    struct host *host = call->server->hooks_data;
    struct datastore *datastore = datastore_of(host, &call->request.target);
    if (datastore == NULL) {
        return vim_call_gone(&call->request.target);
    }
    refresh_space(host, datastore);
    return NULL;
}

/* What the machines on it take is read before, as it is part of what is promised. */
static struct vim_fault *refresh_storage(struct vim_call *call,
                                         const struct RefreshDatastoreStorageInfo_args *args)
{
    (void)args;
    struct host *host = call->server->hooks_data;
    struct datastore *datastore = datastore_of(host, &call->request.target);
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    if (datastore == NULL) {
        return vim_call_gone(&call->request.target);
    }
    vim_read_lock(host->server->inventory);
    const struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
    const struct Datastore *shown = object != NULL ? VIM_PROPERTIES(object, Datastore) : NULL;
    for (uint32_t i = 0; shown != NULL && i < shown->vm.n; i++) {
        g_ptr_array_add(ids, g_strdup(shown->vm.items[i].id));
    }
    vim_read_unlock(host->server->inventory);
    for (guint i = 0; i < ids->len; i++) {
        VM_AUTO vm = vm_find(host, g_ptr_array_index(ids, i));
        if (vm != NULL) {
            vm_storage_refresh(vm);
        }
    }
    refresh_space(host, datastore);
    return NULL;
}

static bool is_name(const char *name)
{
    DATASTORE_PATH_AUTO(parsed);
    const char *rule = NULL;
    g_autofree char *root = g_strdup_printf("[%s]", name);
    return datastore_path_parse(root, -1, &parsed, &rule) == 0 && g_str_equal(parsed.datastore, name);
}

static struct vim_fault *check_name(const char *name, const char *property)
{
    if (is_name(name)) {
        return NULL;
    }
    return fault_invalid_name(name, (struct vim_ref){0}, "%s: \"%s\" cannot be a datastore's name", property,
                              name);
}

static struct vim_fault *rename_method(struct vim_call *call, const struct RenameDatastore_args *args)
{
    struct host *host = call->server->hooks_data;
    struct datastore *datastore = datastore_of(host, &call->request.target);
    struct vim_fault *fault = check_name(args->newName, "newName");
    if (fault != NULL) {
        return fault;
    }
    if (datastore == NULL) {
        return vim_call_gone(&call->request.target);
    }
    struct DatastoreRenamedEvent *event = DatastoreRenamedEvent_new();
    event->oldName = g_strdup(datastore->name);
    event->newName = g_strdup(args->newName);
    fault = host_datastore_rename(host, datastore, args->newName);
    if (fault != NULL) {
        vim_free(event);
        return fault;
    }
    g_autofree char *text =
        g_strdup_printf("the datastore %s is named %s now", event->oldName, event->newName);
    vim_event_post_for(host->server, (struct Event *)event, &datastore->ref, call->session->user_name, "%s",
                       text);
    return NULL;
}

/* ---- made and removed -------------------------------------------------------------------------------- */

static struct DatastoreEventArgument *event_argument(const struct datastore *datastore)
{
    struct DatastoreEventArgument *argument = DatastoreEventArgument_new();
    ((struct EntityEventArgument *)argument)->name = g_strdup(datastore->name);
    argument->datastore = vim_ref_copy(&datastore->ref);
    return argument;
}

/* The datastore is there; tells people and the caller. */
static void made(struct vim_call *call, struct datastore *datastore, struct vim_ref *ret)
{
    struct host *host = call->server->hooks_data;
    g_autofree char *url = g_strdup_printf("ds://%s/", datastore->path);
    struct Event *event = NULL;
    if (datastore->nas != NULL) {
        struct NASDatastoreCreatedEvent *nas = NASDatastoreCreatedEvent_new();
        nas->datastore = event_argument(datastore);
        nas->datastoreUrl = g_steal_pointer(&url);
        event = (struct Event *)nas;
    } else {
        struct LocalDatastoreCreatedEvent *local = LocalDatastoreCreatedEvent_new();
        local->datastore = event_argument(datastore);
        local->datastoreUrl = g_steal_pointer(&url);
        event = (struct Event *)local;
    }
    vim_event_post_for(host->server, event, &datastore->ref, call->session->user_name,
                       "the datastore %s is there", datastore->name);
    *ret = vim_ref_copy(&datastore->ref);
    host_datastore_refresh(host, datastore);
}

/* Makes a folder that exists a datastore. */
static struct vim_fault *create_local(struct vim_call *call, const struct CreateLocalDatastore_args *args,
                                      struct CreateLocalDatastore_result *ret)
{
    struct datastore *datastore = NULL;
    struct vim_fault *fault = check_name(args->name, "name");
    if (fault == NULL && !g_path_is_absolute(args->path)) {
        fault = fault_invalid_argument("path", "path: \"%s\" is not an absolute path", args->path);
    }
    if (fault == NULL) {
        fault = host_datastore_add(call->server->hooks_data, args->name, args->path, NULL, false, &datastore);
    }
    if (fault == NULL) {
        made(call, datastore, &ret->returnval);
    }
    return fault;
}

static struct vim_fault *create_nas(struct vim_call *call, const struct CreateNasDatastore_args *args,
                                    struct CreateNasDatastore_result *ret)
{
    struct host *host = call->server->hooks_data;
    const struct HostNasVolumeSpec *spec = args->spec;
    const char *property = NULL;
    const char *rule = NULL;
    struct datastore *datastore = NULL;
    if (!is_name(spec->localPath)) {
        return fault_invalid_argument("spec.localPath", "spec.localPath: \"%s\" cannot be a datastore's name",
                                      spec->localPath);
    }
    struct HostNasVolume *volume = nas_volume_new(spec, &property, &rule);
    if (volume == NULL) {
        return fault_invalid_argument(property, "%s: it %s", property, rule);
    }
    struct vim_fault *fault = host_datastore_add(host, spec->localPath, NULL, volume,
                                                 g_str_equal(spec->accessMode, "readOnly"), &datastore);
    if (fault == NULL) {
        made(call, datastore, &ret->returnval);
    }
    return fault;
}

static struct vim_fault *remove_one(struct host *host, const struct vim_ref *ref, const char *user)
{
    struct datastore *datastore = datastore_of(host, ref);
    if (datastore == NULL) {
        return vim_call_gone(ref);
    }
    struct vim_fault *fault = host_datastore_remove(host, datastore);
    if (fault == NULL) {
        struct DatastoreRemovedOnHostEvent *event = DatastoreRemovedOnHostEvent_new();
        event->datastore = event_argument(datastore);
        vim_event_post_for(host->server, (struct Event *)event, &host->about_host, user,
                           "the datastore %s is no longer one of this host; its files stay", datastore->name);
    }
    return fault;
}

static struct vim_fault *remove_method(struct vim_call *call, const struct RemoveDatastore_args *args)
{
    return remove_one(call->server->hooks_data, &args->datastore, call->session->user_name);
}

static struct vim_fault *destroy_method(struct vim_call *call, const struct DestroyDatastore_args *args)
{
    (void)args;
    return remove_one(call->server->hooks_data, &call->request.target, call->session->user_name);
}

/* Several, one after the other. */
struct removal {
    struct host *host;
    GArray *refs; /* of struct vim_ref, each owned */
};

static void removal_free(void *data)
{
    struct removal *removal = data;
    for (guint i = 0; i < removal->refs->len; i++) {
        vim_ref_clear(&g_array_index(removal->refs, struct vim_ref, i));
    }
    g_array_unref(removal->refs);
    g_free(removal);
}

static struct vim_fault *removal_run(struct vim_task *task, void *data)
{
    const struct removal *removal = data;
    struct vim_array results = {0};
    for (guint i = 0; i < removal->refs->len; i++) {
        const struct vim_ref *ref = &g_array_index(removal->refs, struct vim_ref, i);
        VIM_FAULT_AUTO fault = remove_one(removal->host, ref, vim_task_user(task));
        struct HostDatastoreSystemDatastoreResult *result = HostDatastoreSystemDatastoreResult_new();
        result->key = vim_ref_copy(ref);
        result->fault = fault != NULL ? vim_fault_localized(fault) : NULL;
        vim_array_add_object(&results, result);
    }
    vim_task_set_result(task, vim_any_new(&HostDatastoreSystemDatastoreResult_type, true, &results));
    for (uint32_t i = 0; i < results.n; i++) {
        vim_free(((void **)results.items)[i]);
    }
    g_free(results.items);
    return NULL;
}

static struct vim_fault *remove_several(struct vim_call *call, const struct RemoveDatastoreEx_Task_args *args,
                                        struct RemoveDatastoreEx_Task_result *ret)
{
    struct host *host = call->server->hooks_data;
    struct removal *removal = g_new0(struct removal, 1);
    removal->host = host;
    removal->refs = g_array_new(FALSE, FALSE, sizeof(struct vim_ref));
    for (uint32_t i = 0; i < args->datastore.n; i++) {
        struct vim_ref ref = vim_ref_copy(&args->datastore.items[i]);
        g_array_append_val(removal->refs, ref);
    }
    const struct vim_task_spec task = {
        .description_id = "DatastoreSystem.removeDatastoreEx",
        .entity = host->about_host,
        .run = removal_run,
        .data = removal,
        .data_free = removal_free,
    };
    return vim_task_start(call->server, call, &task, &ret->returnval);
}

const struct Datastore_methods host_datastore_methods = {
    .RefreshDatastore = refresh,
    .RefreshDatastoreStorageInfo = refresh_storage,
    .RenameDatastore = rename_method,
    .DestroyDatastore = destroy_method,
};

const struct HostDatastoreSystem_methods host_datastore_system_methods = {
    .CreateLocalDatastore = create_local,
    .CreateNasDatastore = create_nas,
    .RemoveDatastore = remove_method,
    .RemoveDatastoreEx_Task = remove_several,
};
