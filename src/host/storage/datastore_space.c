// SPDX-License-Identifier: Apache-2.0
/*
 * How full datastores are: capacity, free space, what is promised beyond what is taken, and warnings before machines
 * have to stop.
 *
 * Read after each operation that takes or gives space, on request, and in each round of statistics.c; those of file
 * servers by datastore_watch.c, as their answer may take long. Clients and people are told of changes only. Any
 * thread; no lock held.
 */
#include <sys/statvfs.h>

#include "host/host_internal.h"
#include "vim/event.h"
#include "vim/value.h"

/* From these shares in use on, a datastore is yellow and red: those of the VI API's default alarm. */
enum {
    USED_YELLOW_PERCENT = 75,
    USED_RED_PERCENT = 85,
};

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

/* What of a datastore's space is worth telling when it changes. */
struct condition {
    enum ManagedEntityStatus fullness;
    bool overcommitted; /* its thin disks could grow by more than is free */
};

static struct EventEx *space_event(const struct datastore *datastore, const char *kind, const char *severity,
                                   const char *text)
{
    struct EventEx *event = EventEx_new();
    event->eventTypeId = g_strdup(kind);
    event->severity = g_strdup(severity);
    event->message = g_strdup(text);
    event->objectId = g_strdup(datastore->ref.id);
    event->objectType = g_strdup(datastore->ref.type->name);
    event->objectName = g_strdup(datastore->name);
    return event;
}

static void post(struct host *host, const struct datastore *datastore, const char *kind, const char *severity,
                 const char *text)
{
    struct EventEx *event = space_event(datastore, kind, severity, text);
    vim_event_post_for(host->server, (struct Event *)event, &datastore->ref, NULL, "%s", text);
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
    bool enough = status == ManagedEntityStatus_green;
    g_autofree char *text = g_strdup_printf(
        "datastore %s: %s: %" G_GINT64_FORMAT " MB of %" G_GINT64_FORMAT " MB are free", datastore->name,
        enough ? "there is enough space again" : "space is running low", free_space >> 20, capacity >> 20);
    post(host, datastore, enough ? "tenkyu.datastore.space.enough" : "tenkyu.datastore.space.low",
         severities[status], text);
}

/* Tells that more is promised than there is. That is allowed; it is what thin disks are for. */
static void tell_overcommitment(struct host *host, const struct datastore *datastore, bool overcommitted,
                                int64_t promised, int64_t free_space)
{
    g_autofree char *text = g_strdup_printf("datastore %s: its thin disks could grow by %" G_GINT64_FORMAT
                                            " MB, %s the %" G_GINT64_FORMAT " MB that are free",
                                            datastore->name, promised >> 20,
                                            overcommitted ? "more than" : "no more than", free_space >> 20);
    post(host, datastore,
         overcommitted ? "tenkyu.datastore.space.overcommitted" : "tenkyu.datastore.space.covered",
         overcommitted ? "warning" : "info", text);
}

/* What is wrong now, for who looks later than the events go. (write lock) */
static void show_issue(struct host *host, struct vim_object *object, const struct datastore *datastore,
                       enum ManagedEntityStatus status)
{
    struct vim_array issues = {0};
    if (status != ManagedEntityStatus_green) {
        g_autofree char *text =
            g_strdup_printf("datastore %s: more than %d %% of its space is used", datastore->name,
                            status == ManagedEntityStatus_red ? USED_RED_PERCENT : USED_YELLOW_PERCENT);
        struct EventEx *event = space_event(datastore, "tenkyu.datastore.space.low",
                                            status == ManagedEntityStatus_red ? "error" : "warning", text);
        struct Event *base = (struct Event *)event;
        base->createdTime = vim_now_us(host->server);
        base->userName = g_strdup("");
        base->fullFormattedMessage = g_strdup(text);
        vim_array_add_object(&issues, event);
    }
    vim_set(object, "configIssue", &issues);
}

void host_datastore_show_space(struct host *host, struct datastore *datastore, int64_t capacity,
                               int64_t free_space)
{
    struct condition before = {0};
    struct condition now = {.fullness = fullness(capacity, free_space)};
    int64_t promised_bytes = 0;
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
    if (object != NULL) {
        const struct Datastore *shown = VIM_PROPERTIES(object, Datastore);
        before.fullness = shown->overallStatus;
        before.overcommitted =
            shown->summary->uncommitted.set && shown->summary->uncommitted.value > shown->summary->freeSpace;
        promised_bytes = uncommitted(host, object);
        now.overcommitted = promised_bytes > free_space;
        int64_t copy = capacity;
        vim_set(object, "summary.capacity", &copy);
        copy = free_space;
        vim_set(object, "summary.freeSpace", &copy);
        copy = free_space;
        vim_set(object, "info.freeSpace", &copy);
        struct {
            bool set;
            int64_t value;
        } promised = {true, promised_bytes};
        vim_set(object, "summary.uncommitted", &promised);
        vim_set_enum(object, "overallStatus", (int)now.fullness);
        if (before.fullness != now.fullness) {
            show_issue(host, object, datastore, now.fullness);
        }
    }
    vim_write_unlock(host->server->inventory);
    if (object != NULL && before.fullness != now.fullness) {
        tell_fullness(host, datastore, now.fullness, capacity, free_space);
    }
    if (object != NULL && before.overcommitted != now.overcommitted) {
        tell_overcommitment(host, datastore, now.overcommitted, promised_bytes, free_space);
    }
}

void host_datastore_refresh(struct host *host, struct datastore *datastore)
{
    int64_t capacity = 0;
    int64_t free_space = 0;
    if (g_atomic_int_get(&datastore->accessible)) {
        space(datastore, &capacity, &free_space);
        host_datastore_show_space(host, datastore, capacity, free_space);
    }
}

void host_datastores_refresh(struct host *host)
{
    g_autoptr(GPtrArray) all = host_datastores_copy(host);
    for (guint i = 0; i < all->len; i++) {
        struct datastore *datastore = g_ptr_array_index(all, i);
        if (datastore->nas == NULL) {
            host_datastore_refresh(host, datastore);
        }
    }
}
