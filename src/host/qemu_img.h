// SPDX-License-Identifier: Apache-2.0
/*
 * Runs qemu-img on a file that the caller has opened. disk_image.c makes and resizes disks with it.
 *
 * No shell, no paths: the program gets the file as descriptor 3 and finds it under QEMU_IMG_FILE, so
 * nothing it is told can name another file. It costs 10 to 20 ms a call.
 */
#pragma once

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
