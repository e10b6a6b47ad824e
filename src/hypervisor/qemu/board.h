// SPDX-License-Identifier: Apache-2.0
/*
 * The board of a virtual machine: its chipset, where devices sit on its PCI bus, its firmware. Pure functions
 * of a configuration, used by the planners of devices and of the command line.
 *
 * The table of slots is in board.c, the reasons are in docs/design/devices.md. What a guest sees of the
 * board and of a device's place on it follows from the configuration's own words about the board and from
 * the device's own key, never from what else there is.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>

struct VirtualMachineConfigInfo;
struct json_object;

enum qemu_chipset {
    QEMU_CHIPSET_440BX = 1, /* one PCI bus */
    QEMU_CHIPSET_Q35,       /* PCI Express: a root port for every slot that devices are plugged into */
};

enum {
    QEMU_SLOT_VIDEO = 2,
    QEMU_SLOT_BALLOON = 3,
    QEMU_SLOT_CHANNEL = 4,
    QEMU_SLOT_RANDOM = 5,
    QEMU_SLOT_SCSI = 6,     /* to 9, by bus number */
    QEMU_SLOT_SATA = 10,    /* to 13 */
    QEMU_SLOT_NVME = 14,    /* to 17 */
    QEMU_SLOT_USB = 18,     /* USB 1 and 2 */
    QEMU_SLOT_XHCI = 19,    /* USB 3 */
    QEMU_SLOT_NETWORK = 20, /* to 29 */
    QEMU_SLOT_SOUND = 30,
    QEMU_SLOT_PASSTHROUGH = 32, /* no number of the bus: wherever the board has room for them */
};

/* The value of a key of extraConfig; NULL when it is not there or empty. Borrowed. */
const char *qemu_extra(const struct VirtualMachineConfigInfo *config, const char *key);

/* By "tenkyu.chipset": "440bx" or "q35". Without the key, the 440BX, which a machine of another product has,
 * but Q35 for secure boot, which needs it. -EINVAL: another word. */
int qemu_board_chipset(const struct VirtualMachineConfigInfo *config, enum qemu_chipset *ret);
/* Whether the firmware is EFI, and whether it checks signatures. */
bool qemu_board_is_efi(const struct VirtualMachineConfigInfo *config);
bool qemu_board_is_secure(const struct VirtualMachineConfigInfo *config);

/* How many pass-through devices have a place. */
int qemu_board_passthrough_max(enum qemu_chipset chipset);

/* Adds "bus" and "addr" to a device_add argument: function `function` of `slot`. For a pass-through device
 * the function tells which of them it is. */
void qemu_board_place(enum qemu_chipset chipset, struct json_object *device, int slot, int function);
/* The root ports of a Q35, as device_add arguments (struct json_object, owned); none for a 440BX. */
void qemu_board_add_ports(enum qemu_chipset chipset, const struct VirtualMachineConfigInfo *config,
                          GPtrArray *ret_devices);
