// SPDX-License-Identifier: Apache-2.0
/*
 * The events of a hypervisor on their way to the host; see hypervisor_ops.h.
 *
 * Backends push from wherever they notice something, often under their locks; the queue's one thread
 * calls the host. So an event never arrives under a lock, nor inside a call, nor out of order.
 */
#include "hypervisor/hypervisor_ops.h"

#include <string.h>

struct queued_event {
    struct hypervisor_event event; /* reason is owned */
    bool last;                     /* no event: the thread ends */
    char id[];
};

struct event_queue {
    GAsyncQueue *events; /* struct queued_event */
    GThread *thread;
    hypervisor_event_fn event;
    void *data;
};

static gpointer queue_main(gpointer data)
{
    struct event_queue *queue = data;

    for (;;) {
        struct queued_event *queued = g_async_queue_pop(queue->events);
        bool last = queued->last;
        if (!last && queue->event != NULL) {
            queue->event(queue->data, queued->id, &queued->event);
        }
        g_free((char *)queued->event.reason);
        g_free(queued);
        if (last) {
            return NULL;
        }
    }
}

struct event_queue *event_queue_new(hypervisor_event_fn event, void *data)
{
    struct event_queue *queue = g_new0(struct event_queue, 1);

    queue->events = g_async_queue_new();
    queue->event = event;
    queue->data = data;
    queue->thread = g_thread_new("hv-events", queue_main, queue);
    return queue;
}

void event_queue_push(struct event_queue *queue, const char *id, const struct hypervisor_event *event)
{
    size_t id_bytes = strlen(id) + 1;
    struct queued_event *queued = g_malloc0(sizeof(*queued) + id_bytes);

    queued->event = *event;
    queued->event.reason = g_strdup(event->reason);
    memcpy(queued->id, id, id_bytes);
    g_async_queue_push(queue->events, queued);
}

void event_queue_free(struct event_queue *queue)
{
    struct queued_event *last = g_malloc0(sizeof(*last) + 1);

    last->last = true;
    g_async_queue_push(queue->events, last);
    g_thread_join(queue->thread);
    g_async_queue_unref(queue->events);
    g_free(queue);
}
