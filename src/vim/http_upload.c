// SPDX-License-Identifier: Apache-2.0
/*
 * The sink that writes an upload into a file, so that a slow disk never holds a server thread: it fills
 * one buffer while a worker writes the other. When both are full the client waits.
 *
 * If the pool takes no job, the server thread writes itself: slow, but nothing is lost.
 */
#include "vim/http_internal.h"

#include "base/worker_pool.h"

#include <errno.h>
#include <unistd.h>

#define FILE_SINK_BYTES (256 * 1024)

struct file_sink {
    struct http_file_sink options;
    struct http_request *request; /* valid until file_sink_free returns */
    uint64_t total_bytes;         /* taken from the client */
    char *filling;                /* the server thread's */
    size_t filled;

    GMutex lock;   /* guards all below */
    GCond written; /* working became false */
    bool working;  /* a worker has `writing` */
    bool waiting;  /* the request is to be told when the worker is done */
    bool syncing;  /* the worker syncs, after what it writes */
    bool synced;
    bool finished; /* the server was told that all is there */
    char *writing;
    size_t write_length;
    uint64_t write_offset;
    int error; /* of the first write that failed, negative */
};

static int write_at(int fd, const char *data, size_t length, uint64_t offset)
{
    while (length > 0) {
        ssize_t n = pwrite(fd, data, length, (off_t)offset);
        if (n < 0 && errno != EINTR) {
            return -errno;
        }
        if (n > 0) {
            data += n;
            length -= (size_t)n;
            offset += (uint64_t)n;
        }
    }
    return 0;
}

/* The worker's job. */
static void write_buffer(void *data)
{
    struct file_sink *sink = data;

    int r = write_at(sink->options.fd, sink->writing, sink->write_length, sink->write_offset);
    if (r == 0 && sink->syncing && fdatasync(sink->options.fd) < 0 && errno != EINVAL && errno != EROFS) {
        r = -errno; /* EINVAL, EROFS: something that cannot be synced, like a pipe */
    }
    /* All under the lock: file_sink_free waits for it, and the sink is gone right after. */
    g_mutex_lock(&sink->lock);
    sink->working = false;
    sink->synced = sink->syncing;
    if (sink->error == 0) {
        sink->error = r;
    }
    if (sink->waiting) {
        sink->waiting = false;
        http_request_sink_ready(sink->request);
    }
    g_cond_signal(&sink->written);
    g_mutex_unlock(&sink->lock);
}

/* Gives the full buffer to a worker. Called locked, with no worker at work. */
static void start_writing(struct file_sink *sink, bool sync)
{
    char *empty = sink->writing;

    sink->writing = sink->filling;
    sink->filling = empty;
    sink->write_length = sink->filled;
    sink->write_offset = sink->options.offset + sink->total_bytes - sink->filled;
    sink->filled = 0;
    sink->syncing = sync;
    sink->working = true;
    g_mutex_unlock(&sink->lock);
    if (worker_pool_push(sink->options.pool, write_buffer, sink) < 0) {
        write_buffer(sink);
    }
    g_mutex_lock(&sink->lock);
}

static ssize_t file_sink_write(void *data, const char *bytes, size_t length)
{
    struct file_sink *sink = data;
    size_t taken = 0;

    g_mutex_lock(&sink->lock);
    if (length > sink->options.max_bytes - sink->total_bytes && sink->error == 0) {
        sink->error = -EFBIG;
    }
    while (taken < length && sink->error == 0) {
        if (sink->filled == FILE_SINK_BYTES) {
            if (sink->working) {
                sink->waiting = true;
                break;
            }
            start_writing(sink, false);
            continue;
        }
        if (sink->filling == NULL) {
            sink->filling = g_malloc(FILE_SINK_BYTES);
        }
        size_t n = MIN(length - taken, FILE_SINK_BYTES - sink->filled);
        memcpy(sink->filling + sink->filled, bytes + taken, n);
        sink->filled += n;
        sink->total_bytes += n;
        taken += n;
    }
    int error = sink->error;
    g_mutex_unlock(&sink->lock);
    return error < 0 ? error : (ssize_t)taken;
}

static int file_sink_finish(void *data)
{
    struct file_sink *sink = data;
    int r;

    g_mutex_lock(&sink->lock);
    if (!sink->working && !sink->synced && sink->error == 0) {
        start_writing(sink, true);
    }
    if (sink->working) {
        sink->waiting = true;
        r = -EAGAIN;
    } else {
        r = sink->error;
        sink->finished = r == 0;
    }
    g_mutex_unlock(&sink->lock);
    return r;
}

static void file_sink_free(void *data)
{
    struct file_sink *sink = data;

    g_mutex_lock(&sink->lock);
    sink->waiting = false; /* nobody would come */
    while (sink->working) {
        g_cond_wait(&sink->written, &sink->lock);
    }
    int error = sink->finished ? 0 : sink->error ?: -ECONNABORTED;
    g_mutex_unlock(&sink->lock);

    close(sink->options.fd);
    if (sink->options.closed != NULL) {
        sink->options.closed(sink->options.data, error);
    }
    g_cond_clear(&sink->written);
    g_mutex_clear(&sink->lock);
    g_free(sink->filling);
    g_free(sink->writing);
    g_free(sink);
}

void http_request_set_file_sink(struct http_request *request, const struct http_file_sink *options)
{
    struct file_sink *sink = g_new0(struct file_sink, 1);

    sink->options = *options;
    sink->request = request;
    g_mutex_init(&sink->lock);
    g_cond_init(&sink->written);
    http_request_set_sink(request, &(struct http_sink){.write = file_sink_write,
                                                       .finish = file_sink_finish,
                                                       .free = file_sink_free,
                                                       .data = sink});
    request->sink_data = options->data;
}
