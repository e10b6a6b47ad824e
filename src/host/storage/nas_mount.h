// SPDX-License-Identifier: Apache-2.0
/*
 * Folders of file servers, mounted by the programs that go with their file systems. datastore_watch.c mounts with it
 * what is a datastore; docs/design/remote-datastores.md says which kinds there are, and why no others.
 *
 * Mounting needs root. Functions block, those that start programs for at most a minute; any thread. They return 0 or
 * a negative errno with *ret_message set, a sentence for people (g_free).
 */
#pragma once

#include <stdbool.h>

struct HostNasVolume;
struct HostNasVolumeSpec;

/* The volume that a client describes, checked; NULL and *ret_property, *ret_rule (static): what is wrong with which
 * member. The volume is freed with vim_free. */
struct HostNasVolume *nas_volume_new(const struct HostNasVolumeSpec *spec, const char **ret_property,
                                     const char **ret_rule);

/* Mounts a volume on an empty folder, an absolute path. -EBUSY: something is mounted there. -EPERM: the file system
 * does not keep its locks as a datastore needs it. */
int nas_mount(const struct HostNasVolume *volume, bool read_only, const char *folder, char **ret_message);
/* -EBUSY: somebody has files of it open. With force, it goes when the last of them does. What is not mounted is no
 * error. */
int nas_unmount(const char *folder, bool force, char **ret_message);
/* Whether a file system is mounted on the folder; asks no server. */
bool nas_is_mounted(const char *folder);
