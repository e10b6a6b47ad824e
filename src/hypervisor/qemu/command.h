// SPDX-License-Identifier: Apache-2.0
/*
 * From a configuration to QEMU's command line: a pure function, so that tests/golden/qemu can show every
 * device as text. qemu.c calls it on a power on.
 */
#pragma once

#include "hypervisor/hypervisor.h"
#include "hypervisor/qemu/device.h"

/* All members are borrowed. */
struct qemu_command {
    const char *program; /* argv[0] */
    const struct VirtualMachineConfigInfo *config;
    const struct qemu_file *files; /* with the descriptors' numbers in the new process; a disk's chain in
                                      order; sockets of serial ports and of the guest agent too, with
                                      format "socket" */
    size_t n_files;
    int qmp_fd;    /* a listening socket */
    bool kvm;      /* else TCG */
    bool incoming; /* wait for saved state instead of booting */
    struct hypervisor_guest guest;
};

/*
 * Makes the arguments, ended by NULL (g_strfreev). The machine stays stopped until it is told to run.
 * -EINVAL and -ENOTSUP as qemu_device_plan(), and for a machine that has no processor or no memory, or
 * wants a firmware whose files are not there.
 */
int qemu_command_build(const struct qemu_command *command, char ***ret_argv, char **ret_message);
