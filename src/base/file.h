// SPDX-License-Identifier: Apache-2.0
/*
 * Files, opened beneath a folder and written so that a power cut leaves the old contents or the new,
 * never a half. Used for virtual machine configurations, disk descriptors and server settings.
 *
 * Every function takes a folder descriptor and a path. With a real descriptor the path is untrusted: it
 * is resolved beneath that folder, without symbolic links (openat2), so that it can name nothing outside.
 * With AT_FDCWD the path is trusted and means what it means to open(2).
 *
 * All functions return 0 or a negative errno, may block on storage and may be called from any thread.
 * Common errors: -EXDEV the path leaves the folder, -ELOOP it contains a symbolic link, -ENAMETOOLONG.
 * Two writers of one file must be kept apart by the caller (a virtual machine's job lock does that).
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* Added to the name of a file while its new contents are written; one left by a crash is worthless. */
#define FILE_NEW_SUFFIX ".new~"

/*
 * Opens a regular file or a folder; anything else is -EINVAL (a FIFO put in a shared folder must not
 * block a server). flags are those of open(2), O_CLOEXEC is added. *ret_fd is closed by the caller.
 */
int file_open(int dir_fd, const char *path, int flags, mode_t mode, int *ret_fd);

/*
 * Opens the folder that holds path (as O_PATH is not enough for fsync: O_RDONLY) and gives the last
 * component as a pointer into path. -EINVAL when path is empty or ends in "/", "." or "..".
 */
int file_open_parent(int dir_fd, const char *path, int *ret_fd, const char **ret_name);

/* Makes the folder and those above it that are missing, and syncs them. Existing ones are success. */
int file_mkdir(int dir_fd, const char *path, mode_t mode);

/*
 * Reads a whole regular file. -EFBIG when it is longer than max_bytes (nothing is read then), -EAGAIN when
 * somebody appends to it meanwhile. *ret is ended by a NUL that is not counted in *ret_length (which may
 * be NULL), and freed with g_free.
 */
int file_read(int dir_fd, const char *path, size_t max_bytes, char **ret, size_t *ret_length);

/*
 * Replaces (or makes) a file: writes path + FILE_NEW_SUFFIX in the same folder, syncs it, renames it over
 * path and syncs the folder. On failure the old file is as it was and the new one is removed; there is
 * one exception, a failing sync of the folder after the rename: the new file stands, and only whether it
 * survives a power cut is unknown. Other links to the old file keep the old contents.
 */
int file_replace(int dir_fd, const char *path, const void *data, size_t length, mode_t mode);

/* Writes all of data at the descriptor's position, going on after short writes and signals. */
int file_write_all(int fd, const void *data, size_t length);

/* Removes one file (not a folder) and syncs its folder. */
int file_remove(int dir_fd, const char *path);

/*
 * Removes a file or a folder with all in it. Symbolic links are removed, not followed. Another file
 * system mounted beneath is not entered: -EXDEV, and the rest may be gone. -EINVAL for the folder of
 * dir_fd itself. -ELOOP beyond 128 levels.
 */
int file_remove_tree(int dir_fd, const char *path);
