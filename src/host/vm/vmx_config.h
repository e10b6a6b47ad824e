// SPDX-License-Identifier: Apache-2.0
/*
 * A .vmx file as the VI API's VirtualMachineConfigInfo, and back.
 *
 * The configuration that clients see is read from the file, and every change is written into it. Keys that
 * are understood become properties and devices; all others are config->extraConfig, except those that are
 * nobody's business (the file's version and encoding, VMware's PCI bridges, the saved state). Devices have
 * the keys and unit numbers that VMware's products give them. Pure functions over the given structs.
 */
#pragma once

#include "host/vm/vmx.h"

struct VirtualMachineConfigInfo;
struct disk_image_info;

/* Looks up a disk by "[datastore] path.vmdk"; *ret is cleared by the caller. 0 or a negative errno. */
typedef int (*vmx_disk_fn)(void *data, const char *file_name, struct disk_image_info *ret);

/*
 * Makes the configuration of a virtual machine. datastore and path say where the .vmx lies ("ds",
 * "folder/name.vmx"): file names in it are relative to that. Disks get their capacity, provisioning and
 * UUIDs from disk_fn; one that it cannot find stays with capacity 0, so that the machine can be seen and
 * mended. disk_fn may be NULL. A file on no datastore has the name "[] text".
 *
 * Left to the caller: labels, device lists of controllers, `modified`, references to datastores and
 * networks, a UUID or MAC address that the file does not have.
 *
 * 0 or -EINVAL: *ret_message names the line and key (g_free). *ret is freed with vim_free.
 */
int vmx_to_config(const struct vmx *vmx, const char *datastore, const char *path, vmx_disk_fn disk_fn,
                  void *disk_data, struct VirtualMachineConfigInfo **ret, char **ret_message);

/*
 * Writes a configuration into a dictionary, which may be new (vmx_new). Where the .vmx lies is in
 * config->files->vmPathName. Keys that already mean what config says keep their bytes; devices that are
 * gone go with all their keys; extraConfig is the whole truth about keys that are not understood: those it
 * does not have, or has with an empty value, are removed. Keys that are understood are not taken from it.
 *
 * 0, -EINVAL (a value that the file cannot hold), -E2BIG, -ENOTSUP (a device that it has no words for);
 * then *ret_message says which (g_free) and the dictionary is half changed and to be freed.
 */
int vmx_update(struct vmx *vmx, const struct VirtualMachineConfigInfo *config, char **ret_message);
