// SPDX-License-Identifier: Apache-2.0
/*
 * The timer queue: a binary heap ordered by time, where each entry knows its place so that it can be
 * taken out of the middle, and a table from handle to entry. Adding and cancelling are O(log n); the
 * thread is woken only when the earliest deadline becomes earlier.
 */
#include "base/timer.h"

#include <glib.h>

struct timer_entry {
    uint64_t handle;
    int64_t at_ms;
    guint place; /* index in the heap */
    timer_fn fn;
    void *data; /* the adder's */
};

struct timer_queue {
    GMutex lock;         /* guards all below */
    GCond wake;          /* the earliest deadline changed, or stopping */
    GCond done;          /* a function has returned */
    GPtrArray *heap;     /* of struct timer_entry, owned */
    GHashTable *entries; /* &entry->handle -> entry */
    uint64_t last_handle;
    uint64_t running; /* handle of the timer whose function runs now, or 0 */
    bool stopping;
    GThread *thread;
};

int64_t timer_now_ms(void)
{
    return g_get_monotonic_time() / 1000;
}

/* Handles grow, so they order timers of the same time by their adding. */
static bool is_before(const struct timer_entry *a, const struct timer_entry *b)
{
    return a->at_ms < b->at_ms || (a->at_ms == b->at_ms && a->handle < b->handle);
}

static void heap_put(struct timer_queue *queue, guint place, struct timer_entry *entry)
{
    g_ptr_array_index(queue->heap, place) = entry;
    entry->place = place;
}

/* Moves the entry, whose place is free to be overwritten, to where the order of the heap wants it. */
static void heap_settle(struct timer_queue *queue, guint place, struct timer_entry *entry)
{
    while (place > 0) {
        guint parent = (place - 1) / 2;
        if (!is_before(entry, g_ptr_array_index(queue->heap, parent))) {
            break;
        }
        heap_put(queue, place, g_ptr_array_index(queue->heap, parent));
        place = parent;
    }
    for (;;) {
        guint child = 2 * place + 1;
        if (child >= queue->heap->len) {
            break;
        }
        if (child + 1 < queue->heap->len &&
            is_before(g_ptr_array_index(queue->heap, child + 1), g_ptr_array_index(queue->heap, child))) {
            child++;
        }
        if (!is_before(g_ptr_array_index(queue->heap, child), entry)) {
            break;
        }
        heap_put(queue, place, g_ptr_array_index(queue->heap, child));
        place = child;
    }
    heap_put(queue, place, entry);
}

/* Takes the entry out of the heap and the table; the caller frees it. */
static void remove_entry(struct timer_queue *queue, struct timer_entry *entry)
{
    g_hash_table_remove(queue->entries, &entry->handle);
    guint place = entry->place;
    struct timer_entry *last = g_ptr_array_index(queue->heap, queue->heap->len - 1);
    g_ptr_array_set_size(queue->heap, (gint)queue->heap->len - 1);
    if (last != entry) {
        heap_settle(queue, place, last);
    }
}

/* Runs the earliest timer if its time has come. Called locked; unlocks while the function runs. */
static bool run_first(struct timer_queue *queue)
{
    struct timer_entry *first = g_ptr_array_index(queue->heap, 0);
    if (first->at_ms > timer_now_ms()) {
        return false;
    }
    remove_entry(queue, first);
    queue->running = first->handle;
    g_mutex_unlock(&queue->lock);
    first->fn(first->data);
    g_free(first);
    g_mutex_lock(&queue->lock);
    queue->running = 0;
    g_cond_broadcast(&queue->done);
    return true;
}

static gpointer timer_thread(gpointer data)
{
    struct timer_queue *queue = data;

    g_mutex_lock(&queue->lock);
    while (!queue->stopping) {
        if (queue->heap->len == 0) {
            g_cond_wait(&queue->wake, &queue->lock);
        } else if (!run_first(queue)) {
            const struct timer_entry *first = g_ptr_array_index(queue->heap, 0);
            g_cond_wait_until(&queue->wake, &queue->lock, first->at_ms * 1000);
        }
    }
    g_mutex_unlock(&queue->lock);
    return NULL;
}

struct timer_queue *timer_queue_new(const char *name)
{
    struct timer_queue *queue = g_new0(struct timer_queue, 1);
    g_mutex_init(&queue->lock);
    g_cond_init(&queue->wake);
    g_cond_init(&queue->done);
    queue->heap = g_ptr_array_new();
    queue->entries = g_hash_table_new(g_int64_hash, g_int64_equal);
    queue->thread = g_thread_new(name, timer_thread, queue);
    return queue;
}

uint64_t timer_add(struct timer_queue *queue, int64_t at_ms, timer_fn fn, void *data)
{
    struct timer_entry *entry = g_new(struct timer_entry, 1);
    entry->at_ms = CLAMP(at_ms, 0, INT64_MAX / 1000); /* the wait is in microseconds */
    entry->fn = fn;
    entry->data = data;

    g_mutex_lock(&queue->lock);
    uint64_t handle = ++queue->last_handle;
    entry->handle = handle;
    g_hash_table_add(queue->entries, &entry->handle);
    g_ptr_array_add(queue->heap, entry);
    heap_settle(queue, queue->heap->len - 1, entry);
    if (entry->place == 0) {
        g_cond_signal(&queue->wake);
    }
    g_mutex_unlock(&queue->lock);
    return handle;
}

bool timer_cancel(struct timer_queue *queue, uint64_t handle)
{
    g_mutex_lock(&queue->lock);
    struct timer_entry *entry = g_hash_table_lookup(queue->entries, &handle);
    if (entry != NULL) {
        remove_entry(queue, entry);
    } else if (handle != 0 && g_thread_self() != queue->thread) {
        while (queue->running == handle) {
            g_cond_wait(&queue->done, &queue->lock);
        }
    }
    g_mutex_unlock(&queue->lock);
    g_free(entry);
    return entry != NULL;
}

void timer_queue_free(struct timer_queue *queue)
{
    if (queue == NULL) {
        return;
    }
    g_mutex_lock(&queue->lock);
    queue->stopping = true;
    g_cond_signal(&queue->wake);
    g_mutex_unlock(&queue->lock);
    g_thread_join(queue->thread);

    g_ptr_array_set_free_func(queue->heap, g_free);
    g_ptr_array_unref(queue->heap);
    g_hash_table_unref(queue->entries);
    g_cond_clear(&queue->done);
    g_cond_clear(&queue->wake);
    g_mutex_clear(&queue->lock);
    g_free(queue);
}
