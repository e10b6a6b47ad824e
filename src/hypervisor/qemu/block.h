// SPDX-License-Identifier: Apache-2.0
/*
 * The images of disks in a running QEMU: what they are, overlays, merging. Grouped by file; for the QEMU
 * backend only. All of it asks QEMU and blocks; who changes something has the caller's job lock.
 */
#pragma once

#include "hypervisor/qemu/device.h"
#include "hypervisor/qemu/qemu.h"

enum { BLOCK_CHAIN_MAX = 128 /* nodes of one disk that are looked at */ };

/* ---- block_graph.c --------------------------------------------------------------------------------- */

/* An image of a disk: a format node over a protocol node over a descriptor. */
struct block_image {
    char *node;      /* owned: of the format */
    char *file_node; /* owned: of the protocol */
    bool raw;        /* plain bytes, else qcow2 */
    int64_t fdset;   /* that the protocol node opens */
    int64_t fd;      /* QEMU's number of the first descriptor in it */
    bool read_only;  /* the format node; the protocol node: */
    bool file_read_only;
    bool known; /* whether `file` is */
    struct hypervisor_image file;
};

/* The images of a disk, the one that the guest writes into first: of struct block_image, owned. -ENODEV. */
int qemu_vm_get_chain(struct qemu_vm *vm, int32_t key, GPtrArray **ret, char **ret_message);
/* The name of the first one's node. */
int qemu_vm_top_node(struct qemu_vm *vm, int32_t key, char out[static QEMU_NAME_SIZE], char **ret_message);
/* A name for a further node of a disk. */
void qemu_vm_free_node_name(struct qemu_vm *vm, int32_t key, char out[static QEMU_NAME_SIZE]);
/* Removes all nodes of a disk that nothing uses. */
void qemu_vm_remove_nodes(struct qemu_vm *vm, int32_t key);
void qemu_vm_remove_fdset(struct qemu_vm *vm, int64_t fdset);
int qemu_get_images(struct hypervisor *hv, const char *id, int32_t device_key,
                    struct hypervisor_image **ret_images, size_t *ret_n, char **ret_message);

/* ---- snapshot.c, block_job.c ------------------------------------------------------------------------- */

int qemu_snapshot(struct hypervisor *hv, const char *id, const struct hypervisor_snapshot *snapshot,
                  struct hypervisor_pause *ret, char **ret_message);
int qemu_commit(struct hypervisor *hv, const char *id, const struct hypervisor_commit *commit, bool *ret_held,
                char **ret_message);
int qemu_release(struct hypervisor *hv, const char *id, char **ret_message);
