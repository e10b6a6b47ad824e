// SPDX-License-Identifier: Apache-2.0
/*
 * What the files that plan devices share: device.c (controllers, cards, the way in), drive.c (disks, discs,
 * floppies) and port.c (network, serial and parallel ports, TPM). See device.h; nobody else includes this.
 */
#pragma once

#include "hypervisor/qemu/board.h"
#include "hypervisor/qemu/device.h"

/* What the planning of one device needs, to keep parameter lists short. Everything is borrowed. */
struct planning {
    const struct VirtualMachineConfigInfo *config;
    const struct VirtualDevice *device;
    enum qemu_chipset chipset;
    const struct qemu_file *files;
    size_t n_files;
    int boot_index;
    struct qemu_device_plan *plan;
    char **ret_message;
    char name[QEMU_NAME_SIZE]; /* of the device */
};

/* Set the message and return -EINVAL or -ENOTSUP. */
int planning_invalid(const struct planning *planning, const char *why);
int planning_unsupported(const struct planning *planning);
/* Puts a device_add argument into the plan, which owns it from now on. */
void planning_add_device(const struct planning *planning, struct json_object *device);
/* Puts an option of the command line into the plan; value is moved in. */
void planning_add_option(const struct planning *planning, const char *option, char *value);
/* The controller that the device sits on, or NULL. */
const struct VirtualController *planning_controller(const struct planning *planning);
/* What a machine's own key says of the model of a device: "scsi0.tenkyu.virtualDev" of the SCSI controller
 * with bus number 0. NULL when it is not there. */
const char *planning_model(const struct planning *planning, const char *slot, int number);

void qemu_json_add_string(struct json_object *object, const char *name, const char *value);
void qemu_json_add_int(struct json_object *object, const char *name, int64_t value);
void qemu_json_add_bool(struct json_object *object, const char *name, bool value);

/* drive.c */
int plan_drive(const struct planning *planning, bool cd);
int plan_floppy(const struct planning *planning);
/* Whether the SCSI controller shows each disk as a PCI device of its own: virtio-blk. */
bool plan_is_virtio_blk(const struct planning *planning, const struct VirtualController *controller);

/* port.c */
int plan_network(const struct planning *planning);
int plan_serial(const struct planning *planning);
int plan_parallel(const struct planning *planning);
int plan_tpm(const struct planning *planning);
