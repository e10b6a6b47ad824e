// SPDX-License-Identifier: Apache-2.0
/*
 * Looks at a folder that may not answer; see folder_probe.h.
 */
#include "host/storage/folder_probe.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <stdbool.h>
#include <sys/statvfs.h>
#include <unistd.h>

struct folder_probe {
    int refs; /* atomic: the thread's and the owner's; who lets go last frees it */
    char *path;
    GMutex lock;
    GCond answered;
    bool done;              /* under lock, as all below */
    int error;              /* 0 or a negative errno */
    int fd;                 /* of the folder, until somebody takes it */
    int64_t capacity_bytes; /* of the file system */
    int64_t free_bytes;
};

void folder_probe_free(struct folder_probe *probe)
{
    if (probe == NULL || !g_atomic_int_dec_and_test(&probe->refs)) {
        return;
    }
    if (probe->fd >= 0) {
        close(probe->fd);
    }
    g_mutex_clear(&probe->lock);
    g_cond_clear(&probe->answered);
    g_free(probe->path);
    g_free(probe);
}

static void *look(void *data)
{
    struct folder_probe *probe = data;
    struct statvfs fs = {0};
    int fd = open(probe->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int error = fd >= 0 && fstatvfs(fd, &fs) == 0 ? 0 : -errno;
    g_mutex_lock(&probe->lock);
    probe->done = true;
    probe->error = error;
    probe->fd = fd;
    probe->capacity_bytes = (int64_t)fs.f_blocks * (int64_t)fs.f_frsize;
    probe->free_bytes = (int64_t)fs.f_bavail * (int64_t)fs.f_frsize;
    g_cond_signal(&probe->answered);
    g_mutex_unlock(&probe->lock);
    folder_probe_free(probe);
    return NULL;
}

struct folder_probe *folder_probe_start(const char *path)
{
    struct folder_probe *probe = g_new0(struct folder_probe, 1);
    probe->refs = 2;
    probe->fd = -1;
    probe->path = g_strdup(path);
    g_mutex_init(&probe->lock);
    g_cond_init(&probe->answered);
    g_thread_unref(g_thread_new("folder-probe", look, probe));
    return probe;
}

int folder_probe_wait(struct folder_probe *probe, int64_t timeout_us, int *ret_fd,
                      int64_t *ret_capacity_bytes, int64_t *ret_free_bytes)
{
    int64_t until = g_get_monotonic_time() + timeout_us;
    g_mutex_lock(&probe->lock);
    while (!probe->done && g_cond_wait_until(&probe->answered, &probe->lock, until)) {
    }
    int error = probe->done ? probe->error : -ETIMEDOUT;
    if (error == 0) {
        *ret_fd = probe->fd;
        probe->fd = -1;
        *ret_capacity_bytes = probe->capacity_bytes;
        *ret_free_bytes = probe->free_bytes;
    }
    g_mutex_unlock(&probe->lock);
    return error;
}
