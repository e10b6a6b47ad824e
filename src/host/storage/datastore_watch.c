// SPDX-License-Identifier: Apache-2.0
/*
 * Datastores that may come and go; see datastore_watch.h.
 *
 *   accessible ──── no answer, or an error ────► not accessible
 *        ▲                                            │ each round: mount if nothing is mounted, open,
 *        └──────── it answers; first time: ───────────┘ ask for its space
 *                  tidy, show its machines
 *
 * Asking may block for ever (a file server that is away): it is done by a folder_probe, one for each datastore.
 *
 * What machines that run take on datastores is read here too, every 20 seconds, by a second thread: it may have to
 * wait for a server, and neither the first one nor the statistics do.
 */
#include "host/storage/datastore_watch.h"

#include <errno.h>
#include <unistd.h>

#include "host/host_internal.h"
#include "host/storage/folder_probe.h"
#include "host/storage/nas_mount.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/value.h"

enum {
    ROUND_US = 10 * 1000 * 1000,
    SPACE_ROUND_US = 20 * 1000 * 1000,
};

struct datastore_watch {
    struct host *host;
    GThread *thread;
    GThread *space_thread; /* reads what machines take: where it waits, nobody else does */
    GMutex lock;
    GCond wake;
    bool stopping; /* under lock */
    bool hurry;    /* under lock: do not wait for the round */
    GHashTable
        *asking; /* struct datastore * to struct question *, which has not been answered; the thread's own */
};

/* ---- showing ----------------------------------------------------------------------------------------- */

static void tell(struct host *host, const struct datastore *datastore, bool accessible, const char *reason)
{
    g_autofree char *text = g_strdup_printf("datastore %s: %s%s%s", datastore->name,
                                            accessible ? "it is accessible again" : "it is not accessible",
                                            accessible ? "" : ": ", accessible ? "" : reason);
    struct EventEx *event = EventEx_new();
    event->eventTypeId =
        g_strdup(accessible ? "tenkyu.datastore.accessible" : "tenkyu.datastore.inaccessible");
    event->severity = g_strdup(accessible ? "info" : "error");
    event->message = g_strdup(text);
    event->objectId = g_strdup(datastore->ref.id);
    event->objectType = g_strdup(datastore->ref.type->name);
    event->objectName = g_strdup(datastore->name);
    vim_event_post_for(host->server, (struct Event *)event, &datastore->ref, NULL, "%s", text);
}

static void show(struct host *host, const struct datastore *datastore, bool accessible)
{
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find_ref(host->server->inventory, &datastore->ref);
    if (object != NULL) {
        const struct Datastore *shown = VIM_PROPERTIES(object, Datastore);
        struct DatastoreHostMount *mount = vim_copy(shown->host.items[0]);
        struct vim_array mounts = {0};
        vim_set_optional(&mount->mountInfo->accessible, accessible);
        vim_set_string(&mount->mountInfo->inaccessibleReason, accessible ? NULL : "AllPathsDown_Start");
        vim_array_add_object(&mounts, mount);
        vim_set(object, "host", &mounts);
        vim_set_bool(object, "summary.accessible", accessible);
        if (!accessible) {
            vim_set_enum(object, "overallStatus", ManagedEntityStatus_red);
        }
    }
    vim_write_unlock(host->server->inventory);
}

static void lost(struct host *host, struct datastore *datastore, const char *reason)
{
    if (g_atomic_int_compare_and_exchange(&datastore->accessible, 1, 0)) {
        g_warning("datastore %s: it is not accessible: %s", datastore->name, reason);
        show(host, datastore, false);
        tell(host, datastore, false, reason);
    }
}

static void found(struct host *host, struct datastore *datastore)
{
    if (g_atomic_int_compare_and_exchange(&datastore->accessible, 0, 1)) {
        if (g_atomic_int_compare_and_exchange(&datastore->recovered, 0, 1)) {
            journal_recover_late(host);
            registry_show_late(host, datastore);
        }
        show(host, datastore, true);
        tell(host, datastore, true, NULL);
    }
}

/* ---- rounds ------------------------------------------------------------------------------------------ */

/* Mounts what is not mounted, when nobody waits for an answer of it by then. */
static int mount_again(struct host *host, struct datastore *datastore, char **ret_message)
{
    int error = -ENOENT;
    g_mutex_lock(&host->datastore_list); /* nobody removes it meanwhile */
    if (g_ptr_array_find(host->datastores, datastore, NULL)) {
        error = host_datastore_mount(host, datastore, ret_message);
    }
    g_mutex_unlock(&host->datastore_list);
    return error;
}

/* The folder has answered. Takes the descriptor. */
static int take_folder(struct host *host, struct datastore *datastore, int fd)
{
    int error = -ENOENT;
    g_mutex_lock(&host->datastore_list);
    if (g_ptr_array_find(host->datastores, datastore, NULL)) {
        error = host_datastore_take_folder(datastore, fd);
    } else {
        close(fd);
    }
    g_mutex_unlock(&host->datastore_list);
    return error;
}

/* The process behind the mount has ended, or somebody has unmounted it: what is left of it goes, so that it can be
 * mounted anew. */
static void let_go(struct host *host, struct datastore *datastore)
{
    g_autofree char *message = NULL;
    g_mutex_lock(&host->datastore_list);
    host_datastore_close(host, datastore);
    if (datastore->nas != NULL) {
        (void)nas_unmount(datastore->path, true, &message);
    }
    g_mutex_unlock(&host->datastore_list);
}

/* Asks for its space, or goes on asking. 0 or a negative errno. */
static int ask(struct datastore_watch *watch, struct datastore *datastore, int64_t *ret_capacity,
               int64_t *ret_free)
{
    struct folder_probe *probe = g_hash_table_lookup(watch->asking, datastore);
    int fd = -1;
    if (probe == NULL) {
        probe = folder_probe_start(datastore->path);
        g_hash_table_insert(watch->asking, datastore, probe);
    }
    int error = folder_probe_wait(probe, HOST_DATASTORE_ANSWER_US, &fd, ret_capacity, ret_free);
    if (error != -ETIMEDOUT) {
        g_hash_table_remove(watch->asking, datastore);
    }
    if (error == 0 && g_atomic_int_get(&datastore->accessible)) {
        close(fd);
    } else if (error == 0) {
        error = take_folder(watch->host, datastore, fd);
    }
    return error;
}

static void look(struct datastore_watch *watch, struct datastore *datastore)
{
    struct host *host = watch->host;
    int64_t capacity = 0;
    int64_t free_bytes = 0;
    g_autofree char *message = NULL;
    int error = 0;
    if (datastore->nas != NULL && !nas_is_mounted(datastore->path)) {
        lost(host, datastore, "it is not mounted any more");
        let_go(host, datastore);
        g_hash_table_remove(watch->asking, datastore);
        error = mount_again(host, datastore, &message);
    }
    if (error == 0) {
        error = ask(watch, datastore, &capacity, &free_bytes);
    }
    if (error == 0) {
        found(host, datastore);
        host_datastore_show_space(host, datastore, capacity, free_bytes);
        return;
    }
    lost(host, datastore, error == -ETIMEDOUT ? "it does not answer" : g_strerror(-error));
    if (error == -ENOTCONN || error == -ESTALE || error == -ESHUTDOWN) {
        let_go(host, datastore);
    }
}

static bool is_stopping(struct datastore_watch *watch)
{
    g_mutex_lock(&watch->lock);
    bool stopping = watch->stopping;
    g_mutex_unlock(&watch->lock);
    return stopping;
}

static void run_round(struct datastore_watch *watch)
{
    g_autoptr(GPtrArray) all = host_datastores_copy(watch->host);
    for (guint i = 0; i < all->len && !is_stopping(watch); i++) {
        struct datastore *datastore = g_ptr_array_index(all, i);
        if (datastore->nas != NULL || !g_atomic_int_get(&datastore->accessible)) {
            look(watch, datastore);
        }
    }
}

static void *watch_thread(void *data)
{
    struct datastore_watch *watch = data;
    while (!is_stopping(watch)) {
        run_round(watch);
        int64_t until = g_get_monotonic_time() + ROUND_US;
        g_mutex_lock(&watch->lock);
        while (!watch->stopping && !watch->hurry && g_cond_wait_until(&watch->wake, &watch->lock, until)) {
        }
        watch->hurry = false;
        g_mutex_unlock(&watch->lock);
    }
    return NULL;
}

static void *space_thread(void *data)
{
    struct datastore_watch *watch = data;
    while (!is_stopping(watch)) {
        vm_storage_round(watch->host);
        int64_t until = g_get_monotonic_time() + SPACE_ROUND_US;
        g_mutex_lock(&watch->lock);
        while (!watch->stopping && g_cond_wait_until(&watch->wake, &watch->lock, until)) {
        }
        g_mutex_unlock(&watch->lock);
    }
    return NULL;
}

static void probe_free(void *data)
{
    folder_probe_free(data);
}

struct datastore_watch *datastore_watch_start(struct host *host)
{
    struct datastore_watch *watch = g_new0(struct datastore_watch, 1);
    watch->host = host;
    g_mutex_init(&watch->lock);
    g_cond_init(&watch->wake);
    watch->asking = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, probe_free);
    watch->thread = g_thread_new("datastore-watch", watch_thread, watch);
    watch->space_thread = g_thread_new("datastore-space", space_thread, watch);
    return watch;
}

void datastore_watch_stop(struct datastore_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    g_mutex_lock(&watch->lock);
    watch->stopping = true;
    g_cond_broadcast(&watch->wake);
    g_mutex_unlock(&watch->lock);
    g_thread_join(watch->thread);
    g_thread_join(watch->space_thread);
    g_hash_table_unref(watch->asking);
    g_mutex_clear(&watch->lock);
    g_cond_clear(&watch->wake);
    g_free(watch);
}

void datastore_watch_hurry(struct datastore_watch *watch)
{
    g_mutex_lock(&watch->lock);
    watch->hurry = true;
    g_cond_broadcast(&watch->wake);
    g_mutex_unlock(&watch->lock);
}
