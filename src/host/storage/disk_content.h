// SPDX-License-Identifier: Apache-2.0
/*
 * The contents of a disk as a guest would see them: read and written by us, for import, export and the like.
 *
 * A qemu-nbd process of its own serves the image, which it gets as descriptors, so that no name inside an image
 * leads anywhere. It ends when we do. A struct is used by one thread at a time; all functions block.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct disk_content;

/* A file of the disk's chain. */
struct disk_content_file {
    int fd;             /* borrowed for the call; for writing: of the first, open for both */
    const char *format; /* "qcow2" or "raw" */
};

/* Opens a disk: the top of the chain first, each file the parent of the one before. run_fd: a folder of ours with
 * mode 0700. -EBUSY: somebody has it open for writing; else -EIO, -ENOENT (no qemu-nbd), ...; *ret_message is a
 * sentence for people (g_free), here and below. */
int disk_content_open(int run_fd, const struct disk_content_file *files, size_t n_files, bool writable,
                      struct disk_content **ret, char **ret_message);
/* Ends the process, which has by then written everything if disk_content_flush succeeded. NULL is allowed. */
void disk_content_close(struct disk_content *content);

/* Capacity in bytes. */
int64_t disk_content_size(const struct disk_content *content);
/* Where data, which may be zeros, next begins at or after `from`, and ends; *ret_start is the size when no more
 * is there. */
int disk_content_next(struct disk_content *content, int64_t from, int64_t *ret_start, int64_t *ret_end,
                      char **ret_message);
/* length: at most 32 MiB; within the disk. */
int disk_content_read(struct disk_content *content, void *ret, size_t length, int64_t offset,
                      char **ret_message);
/* Zeros that are written take no space. -ENOSPC: the datastore is full. */
int disk_content_write(struct disk_content *content, const void *data, size_t length, int64_t offset,
                       char **ret_message);
/* What is written is on the disk. */
int disk_content_flush(struct disk_content *content, char **ret_message);
