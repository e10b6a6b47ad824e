// SPDX-License-Identifier: Apache-2.0
/*
 * What vm_spec.c (devices, the whole) and vm_spec_machine.c (the machine's own members) share; nobody else
 * includes this.
 */
#pragma once

#include "host/vm/vm.h"

/* Takes over the members of `from` that are set, into *into, which is made when it is NULL. */
void vm_spec_merge(void *into, const void *from);
#define VM_SPEC_MERGE(config_member, spec_member)               \
    do {                                                        \
        if ((spec_member) != NULL && (config_member) != NULL) { \
            vm_spec_merge((config_member), (spec_member));      \
        } else if ((spec_member) != NULL) {                     \
            (config_member) = vim_copy(spec_member);            \
        }                                                       \
    } while (0)

/* Everything but devices. `config` is half changed after a fault. */
struct vim_fault *vm_spec_apply_machine(struct host *host, struct VirtualMachineConfigInfo *config,
                                        const struct VirtualMachineConfigSpec *spec, bool on);
/* When all is applied: whether the hypervisor takes such a board. */
struct vim_fault *vm_spec_check_board(struct host *host, const struct VirtualMachineConfigInfo *config,
                                      const struct VirtualMachineConfigSpec *spec);
