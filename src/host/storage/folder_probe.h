// SPDX-License-Identifier: Apache-2.0
/*
 * Opens a folder and reads the space of its file system without waiting for ever: a file server that is away blocks
 * whoever asks it. Each probe has a thread of its own; one that is stuck is left behind until the kernel lets it go,
 * and touches nothing but the probe.
 */
#pragma once

#include <stdint.h>

struct folder_probe;

struct folder_probe *folder_probe_start(const char *path);
/* 0, -ETIMEDOUT (it goes on: wait again later), or why the folder cannot be opened or read. *ret_fd, the folder, is
 * the caller's. One thread, until it has answered. */
int folder_probe_wait(struct folder_probe *probe, int64_t timeout_us, int *ret_fd,
                      int64_t *ret_capacity_bytes, int64_t *ret_free_bytes);
/* The thread may go on. */
void folder_probe_free(struct folder_probe *probe);
