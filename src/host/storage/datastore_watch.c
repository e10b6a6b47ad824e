// SPDX-License-Identifier: Apache-2.0
/*
 * Datastores that may come and go; see datastore_watch.h.
 *
 *   accessible ──── no answer, or an error ────► not accessible
 *        ▲                                            │ each round: mount if nothing is mounted, open,
 *        └──────── it answers; first time: ───────────┘ ask for its space
 *                  tidy, show its machines
 *
 * Asking may block for ever (a file server that is away). So each question has a thread of its own, at most one for
 * each datastore; one that is stuck is left behind, with a descriptor of its own, until the kernel lets it go.
 */
#include "host/storage/datastore_watch.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "host/host_internal.h"
#include "host/storage/nas_mount.h"
#include "host/vm/vm.h"
#include "vim/event.h"
#include "vim/value.h"

enum {
    ROUND_US = 10 * 1000 * 1000,
    ANSWER_US = 3 * 1000 * 1000,
};

/* A question for the space of a datastore; whoever lets it go last frees it. */
struct question {
    int refs; /* atomic */
    int fd;   /* owned: of the datastore's folder */
    GMutex lock;
    GCond answered;
    bool done;              /* under lock, as the answer */
    int error;              /* 0 or a negative errno */
    int64_t capacity_bytes; /* of the file system */
    int64_t free_bytes;
};

struct datastore_watch {
    struct host *host;
    GThread *thread;
    GMutex lock;
    GCond wake;
    bool stopping; /* under lock */
    bool hurry;    /* under lock: do not wait for the round */
    GHashTable
        *asking; /* struct datastore * to struct question *, which has not been answered; the thread's own */
};

/* ---- asking ------------------------------------------------------------------------------------------ */

static void question_unref(void *data)
{
    struct question *question = data;
    if (g_atomic_int_dec_and_test(&question->refs)) {
        close(question->fd);
        g_mutex_clear(&question->lock);
        g_cond_clear(&question->answered);
        g_free(question);
    }
}

static void *answer(void *data)
{
    struct question *question = data;
    struct statvfs fs = {0};
    int error = fstatvfs(question->fd, &fs) == 0 ? 0 : -errno;
    g_mutex_lock(&question->lock);
    question->done = true;
    question->error = error;
    question->capacity_bytes = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    question->free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    g_cond_signal(&question->answered);
    g_mutex_unlock(&question->lock);
    question_unref(question);
    return NULL;
}

static struct question *ask(int fd)
{
    struct question *question = g_new0(struct question, 1);
    question->refs = 2; /* ours, and the thread's */
    question->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    g_mutex_init(&question->lock);
    g_cond_init(&question->answered);
    g_thread_unref(g_thread_new("datastore", answer, question));
    return question;
}

/* 0 with both figures, -ETIMEDOUT, or what the storage says. A question that stays open is asked no second time. */
static int read_space(struct datastore_watch *watch, struct datastore *datastore, int64_t *ret_capacity,
                      int64_t *ret_free)
{
    struct question *question = g_hash_table_lookup(watch->asking, datastore);
    if (question == NULL) {
        question = ask(datastore->fd);
        g_hash_table_insert(watch->asking, datastore, question);
    }
    int64_t until = g_get_monotonic_time() + ANSWER_US;
    g_mutex_lock(&question->lock);
    while (!question->done && g_cond_wait_until(&question->answered, &question->lock, until)) {
    }
    int error = question->done ? question->error : -ETIMEDOUT;
    *ret_capacity = question->capacity_bytes;
    *ret_free = question->free_bytes;
    g_mutex_unlock(&question->lock);
    if (error != -ETIMEDOUT) {
        g_hash_table_remove(watch->asking, datastore);
    }
    return error;
}

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

/* One that is not accessible. A volume that still is mounted has only to answer; else it is mounted anew. */
static int reopen(struct host *host, struct datastore *datastore, char **ret_message)
{
    int error = 0;
    g_mutex_lock(&host->datastore_list); /* nobody removes it meanwhile */
    if (!g_ptr_array_find(host->datastores, datastore, NULL)) {
        error = -ENOENT;
        *ret_message = g_strdup("it was removed");
    } else {
        error = host_datastore_open(host, datastore, ret_message);
    }
    g_mutex_unlock(&host->datastore_list);
    return error;
}

/* A process behind the mount has ended: what is left of it goes, so that it can be mounted anew. */
static void unmount_dead(struct host *host, struct datastore *datastore)
{
    g_autofree char *message = NULL;
    g_mutex_lock(&host->datastore_list);
    host_datastore_close(host, datastore);
    if (datastore->nas != NULL) {
        (void)nas_unmount(datastore->path, true, &message);
    }
    g_mutex_unlock(&host->datastore_list);
}

static void look(struct datastore_watch *watch, struct datastore *datastore)
{
    struct host *host = watch->host;
    int64_t capacity = 0;
    int64_t free_bytes = 0;
    g_autofree char *message = NULL;
    bool unanswered = g_hash_table_contains(watch->asking, datastore);
    int error =
        g_atomic_int_get(&datastore->accessible) || unanswered ? 0 : reopen(host, datastore, &message);
    if (error == 0) {
        error = read_space(watch, datastore, &capacity, &free_bytes);
    }
    if (error != 0) {
        lost(host, datastore,
             error == -ETIMEDOUT ? "it does not answer"
             : message != NULL   ? message
                                 : g_strerror(-error));
    }
    if (error == -ENOTCONN || error == -ESTALE || error == -ESHUTDOWN) {
        unmount_dead(host, datastore);
    } else if (error == 0) {
        found(host, datastore);
        host_datastore_show_space(host, datastore, capacity, free_bytes);
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

struct datastore_watch *datastore_watch_start(struct host *host)
{
    struct datastore_watch *watch = g_new0(struct datastore_watch, 1);
    watch->host = host;
    g_mutex_init(&watch->lock);
    g_cond_init(&watch->wake);
    watch->asking = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, question_unref);
    watch->thread = g_thread_new("datastore-watch", watch_thread, watch);
    return watch;
}

void datastore_watch_stop(struct datastore_watch *watch)
{
    if (watch == NULL) {
        return;
    }
    g_mutex_lock(&watch->lock);
    watch->stopping = true;
    g_cond_signal(&watch->wake);
    g_mutex_unlock(&watch->lock);
    g_thread_join(watch->thread);
    g_hash_table_unref(watch->asking);
    g_mutex_clear(&watch->lock);
    g_cond_clear(&watch->wake);
    g_free(watch);
}

void datastore_watch_hurry(struct datastore_watch *watch)
{
    g_mutex_lock(&watch->lock);
    watch->hurry = true;
    g_cond_signal(&watch->wake);
    g_mutex_unlock(&watch->lock);
}
