// SPDX-License-Identifier: Apache-2.0
/*
 * The board of a virtual machine; see board.h. The slots, which the keys and bus numbers of the VI API just
 * fill:
 *
 *            440BX                              Q35
 *    0       host bridge                        host bridge
 *    1       PIIX3: ISA, IDE, ACPI              free
 *    2       video card                         same
 *    3       balloon                            same
 *    4       channels                           same
 *    5       random numbers                     same
 *    6 ..  9 SCSI controllers, by bus number    root ports with the same behind them
 *   10 .. 13 SATA controllers                   same
 *   14 .. 17 NVMe controllers                   root ports with the same behind them
 *        18  USB 1 and 2                        same
 *        19  USB 3                              same
 *   20 .. 29 network adapters, by key           root ports with the same behind them
 *        30  sound                              functions: root ports for pass-through devices
 *        31  one pass-through device            ICH9: ISA, ACPI, SATA for IDE drives; function 5: sound
 *
 * A root port stands at the slot's own number and is there whether something is plugged into it or not, so
 * that hot plug works and no bus is numbered anew. Those for pass-through come last for the same reason: they
 * are made only for a machine that has such devices.
 */
#include "hypervisor/qemu/board.h"

#include "vim/types.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum {
    PASSTHROUGH_SLOT_440BX = 31,
    PASSTHROUGH_PORTS_SLOT = 30,
    PASSTHROUGH_PORTS_CHASSIS = 32, /* number of the first such port, beyond all slots */
    ICH9_SLOT = 31,
    ICH9_SOUND_FUNCTION = 5,
};

const char *qemu_extra(const struct VirtualMachineConfigInfo *config, const char *key)
{
    for (uint32_t i = 0; i < config->extraConfig.n; i++) {
        const struct OptionValue *option = config->extraConfig.items[i];
        if (option->key != NULL && g_ascii_strcasecmp(option->key, key) == 0) {
            const char *value = vim_any_get_string(option->value);
            return value != NULL && value[0] != '\0' ? value : NULL;
        }
    }
    return NULL;
}

bool qemu_board_is_efi(const struct VirtualMachineConfigInfo *config)
{
    return config->firmware != NULL && g_ascii_strcasecmp(config->firmware, "efi") == 0;
}

bool qemu_board_is_secure(const struct VirtualMachineConfigInfo *config)
{
    return qemu_board_is_efi(config) && config->bootOptions != NULL &&
           config->bootOptions->efiSecureBootEnabled.value;
}

int qemu_board_chipset(const struct VirtualMachineConfigInfo *config, enum qemu_chipset *ret)
{
    const char *word = qemu_extra(config, "tenkyu.chipset");

    if (word == NULL) {
        *ret = qemu_board_is_secure(config) ? QEMU_CHIPSET_Q35 : QEMU_CHIPSET_440BX;
    } else if (g_ascii_strcasecmp(word, "440bx") == 0) {
        *ret = QEMU_CHIPSET_440BX;
    } else if (g_ascii_strcasecmp(word, "q35") == 0) {
        *ret = QEMU_CHIPSET_Q35;
    } else {
        return -EINVAL;
    }
    return 0;
}

int qemu_board_passthrough_max(enum qemu_chipset chipset)
{
    return chipset == QEMU_CHIPSET_Q35 ? 8 : 1;
}

/* Whether the slot is a root port of a Q35. */
static bool is_port(int slot)
{
    return (slot >= QEMU_SLOT_SCSI && slot < QEMU_SLOT_SATA) ||
           (slot >= QEMU_SLOT_NVME && slot < QEMU_SLOT_USB) ||
           (slot >= QEMU_SLOT_NETWORK && slot < QEMU_SLOT_SOUND);
}

static void put(struct json_object *device, const char *bus, int slot, int function)
{
    char address[16];

    snprintf(address, sizeof(address), "%x.%x", (unsigned int)slot, (unsigned int)function);
    json_object_object_add(device, "bus", json_object_new_string(bus));
    json_object_object_add(device, "addr", json_object_new_string(address));
}

void qemu_board_place(enum qemu_chipset chipset, struct json_object *device, int slot, int function)
{
    char port[24];

    if (chipset == QEMU_CHIPSET_440BX) {
        put(device, "pci.0", slot == QEMU_SLOT_PASSTHROUGH ? PASSTHROUGH_SLOT_440BX : slot, function);
    } else if (slot == QEMU_SLOT_PASSTHROUGH) {
        snprintf(port, sizeof(port), "port-%d", PASSTHROUGH_PORTS_CHASSIS + function);
        put(device, port, 0, 0);
    } else if (is_port(slot)) {
        snprintf(port, sizeof(port), "port-%d", slot);
        put(device, port, 0, function);
    } else if (slot == QEMU_SLOT_SOUND) {
        put(device, "pcie.0", ICH9_SLOT, ICH9_SOUND_FUNCTION);
    } else {
        put(device, "pcie.0", slot, function);
    }
}

/* Whether the device in the slot is one of conventional PCI, which may need I/O ports. Windows of them are
 * scarce (4 KiB of 64 each): the other ports do without, else the firmware runs out of them. */
static bool has_io(const struct VirtualMachineConfigInfo *config, int slot)
{
    for (uint32_t i = 0; config->hardware != NULL && i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        bool card = vim_is_a(device, &VirtualPCNet32_type) || vim_is_a(device, &VirtualE1000_type);
        bool scsi = vim_is_a(device, &VirtualLsiLogicController_type) ||
                    vim_is_a(device, &VirtualLsiLogicSASController_type);
        if ((card && device->key - 4000 == slot - QEMU_SLOT_NETWORK) ||
            (scsi && ((const struct VirtualController *)device)->busNumber == slot - QEMU_SLOT_SCSI)) {
            return true;
        }
    }
    return false;
}

static void add_port(GPtrArray *devices, int number, int slot, int function, bool io)
{
    struct json_object *port = json_object_new_object();
    char name[24];

    snprintf(name, sizeof(name), "port-%d", number);
    json_object_object_add(port, "driver", json_object_new_string("pcie-root-port"));
    json_object_object_add(port, "id", json_object_new_string(name));
    json_object_object_add(port, "port", json_object_new_int(number));
    json_object_object_add(port, "chassis", json_object_new_int(number));
    if (!io) {
        json_object_object_add(port, "io-reserve", json_object_new_int(0));
    }
    put(port, "pcie.0", slot, function);
    if (slot == PASSTHROUGH_PORTS_SLOT) {
        json_object_object_add(port, "multifunction", json_object_new_boolean(true));
    }
    g_ptr_array_add(devices, port);
}

void qemu_board_add_ports(enum qemu_chipset chipset, const struct VirtualMachineConfigInfo *config,
                          GPtrArray *ret_devices)
{
    bool passthrough = false;

    if (chipset != QEMU_CHIPSET_Q35) {
        return;
    }
    for (int slot = QEMU_SLOT_SCSI; slot < QEMU_SLOT_SOUND; slot++) {
        if (is_port(slot)) {
            add_port(ret_devices, slot, slot, 0, has_io(config, slot));
        }
    }
    for (uint32_t i = 0; config->hardware != NULL && i < config->hardware->device.n; i++) {
        passthrough |= vim_is_a(config->hardware->device.items[i], &VirtualPCIPassthrough_type);
    }
    for (int i = 0; passthrough && i < qemu_board_passthrough_max(chipset); i++) {
        add_port(ret_devices, PASSTHROUGH_PORTS_CHASSIS + i, PASSTHROUGH_PORTS_SLOT, i, true);
    }
}
