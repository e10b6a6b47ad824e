// SPDX-License-Identifier: Apache-2.0
/*
 * Locks on the data of virtual disks, the same that QEMU and qemu-img take: so that this host, other hosts on
 * the same datastore and their virtual machines keep off each other's disks.
 *
 * They are open file description locks (fcntl(2), F_OFD_SETLK) and so end with the last descriptor: nothing
 * is left of them after a crash or a power cut. Over NFS they reach every host. Any thread; nothing waits.
 */
#pragma once

enum disk_lock_use {
    DISK_LOCK_READ = 1, /* others may read too, none may write */
    DISK_LOCK_WRITE,    /* nobody else has it open */
};

/*
 * Locks an opened disk's data for as long as a descriptor of this open(2) lives. The file is open for reading
 * at least. 0, -EBUSY: somebody uses it otherwise; -ENOLCK: the file system has no locks.
 */
int disk_lock_take(int fd, enum disk_lock_use use);
/* Whether it could be locked, without doing it: the same answers. */
int disk_lock_probe(int fd, enum disk_lock_use use);
