// SPDX-License-Identifier: Apache-2.0
/*
 * Runs qemu-img on a file that the caller has opened. disk_image.c makes and resizes disks with it.
 *
 * No shell, no paths: the program gets the file as descriptor 3 and finds it under QEMU_IMG_FILE, so
 * nothing it is told can name another file. It costs 10 to 20 ms a call.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The file's name among the arguments. */
#define QEMU_IMG_FILE "/proc/self/fd/3"

/*
 * Runs `qemu-img args...` (args without the program's name, NULL-terminated) and waits, at most
 * timeout_ms; then it is killed. Blocks; any thread. Returns 0, or with *ret_message set (g_free):
 * -ENOSPC the disk is full, -EBUSY somebody has the image open, -ETIMEDOUT, -ENOENT no such program,
 * -EIO anything else that it says.
 */
int qemu_img_run(const char *const *args, int fd, int64_t timeout_ms, char **ret_message);

/* How far it is, in percent; false ends it. */
typedef bool (*qemu_img_progress_fn)(void *data, int percent);

/* A run with several files and progress. All members are borrowed. */
struct qemu_img_job {
    const char *const *args; /* as for qemu_img_run */
    const int *fds;          /* they become 3, 4, ... in the program: QEMU_IMG_FILE, /proc/self/fd/4, ... */
    size_t n_fds;
    int64_t timeout_ms;
    qemu_img_progress_fn progress; /* with the option -p; or NULL */
    void *progress_data;
    GString *output; /* what it says on its standard output, at most 64 KiB; NULL throws that away */
};

/* The same as qemu_img_run, and -ECANCELED when progress did not want to go on. */
int qemu_img_run_job(const struct qemu_img_job *job, char **ret_message);

/*
 * Writes what an overlay has into the disk that it builds on ("qcow2" or "raw"; both open for reading and writing), which
 * then has the contents of both; the overlay stays as it is. Nobody else may have them open. A disk that the
 * parent builds on is not looked at. Returns as above, or -ECANCELED: then the parent has some of it.
 */
int qemu_img_commit(int overlay_fd, int parent_fd, const char *parent_format, int64_t timeout_ms,
                    qemu_img_progress_fn progress, void *data, char **ret_message);
