// SPDX-License-Identifier: Apache-2.0
/*
 * What is installed beside QEMU and what this QEMU has: looked up once when the backend opens, so that a
 * machine that cannot run is refused when it is configured, and not first when it is to start.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct VirtualDevice;
struct VirtualMachineConfigInfo;

/* All members are owned. A file or program that is not there is NULL. */
struct qemu_capabilities {
    GHashTable *drivers;   /* set of the names of QEMU's devices */
    char *firmware;        /* code of the EFI firmware */
    char *firmware_secure; /* the same, with checks of signatures */
    char *variables;       /* what the variables of a new machine are; the keys for secure boot are in it */
    char *swtpm;           /* the program that is a TPM */
};

/* 0, or -EIO: QEMU does not say what devices it has. */
int qemu_capabilities_load(const char *program, struct qemu_capabilities *ret, char **ret_message);
void qemu_capabilities_clear(struct qemu_capabilities *capabilities);

/* The contracts of hypervisor_check_machine() and hypervisor_check_device(). */
int qemu_capabilities_check_machine(const struct qemu_capabilities *capabilities,
                                    const struct VirtualMachineConfigInfo *config, char **ret_message);
int qemu_capabilities_check_device(const struct qemu_capabilities *capabilities,
                                   const struct VirtualMachineConfigInfo *config,
                                   const struct VirtualDevice *device, char **ret_message);
