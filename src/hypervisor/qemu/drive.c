// SPDX-License-Identifier: Apache-2.0
/*
 * Plans disks, CD drives and floppy drives: block nodes from the files, and the device on its controller. See
 * device.h for the contract, planning.h for what is shared.
 */
#include "hypervisor/qemu/planning.h"

#include "hypervisor/hypervisor_ops.h"
#include "vim/types.h"

#include <json-c/json.h>
#include <stdio.h>

enum {
    FLOPPY_FIRST_KEY = 8000,
    FLOPPY_MAX = 2,
    IDE_CONTROLLERS_MAX = 2,
    SERIAL_NUMBER_MAX = 20, /* what IDE and NVMe carry */
    VIRTIO_BLK_UNITS = 7,   /* functions of one slot; unit 7 is the controller's by the VI API's numbers */
};

/* Whether other machines may write to the disk too. */
static bool is_shared(const struct VirtualDevice *device)
{
    const struct VirtualDiskFlatVer2BackingInfo *backing = (const void *)device->backing;
    return vim_is_a(backing, &VirtualDiskFlatVer2BackingInfo_type) &&
           g_strcmp0(backing->sharing, "sharingMultiWriter") == 0;
}

/* Another host's writes are not in this one's page cache. */
static void add_direct(struct json_object *node)
{
    struct json_object *cache = json_object_new_object();
    qemu_json_add_bool(cache, "direct", true);
    json_object_object_add(node, "cache", cache);
}

/* The chain of block nodes of a drive: one JSON object in which each image holds its parent. The last has
 * "backing": null, so that QEMU never opens the file that an image's header names. */
static int plan_nodes(const struct planning *planning, bool discard)
{
    struct json_object *chain = NULL;

    for (size_t i = planning->n_files; i-- > 0;) {
        const struct qemu_file *file = &planning->files[i];
        bool qcow2 = g_strcmp0(file->format, "qcow2") == 0;
        bool host_drive = g_strcmp0(file->format, "host_cdrom") == 0;
        bool known = host_drive || g_strcmp0(file->format, "raw") == 0;
        if (!qcow2 && (!known || i + 1 < planning->n_files)) {
            json_object_put(chain);
            return planning_invalid(planning, "has a disk file of an unknown format");
        }
        bool read_only = file->read_only || i > 0;
        g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, file->fdset);
        g_autofree char *suffix = i > 0 ? g_strdup_printf("-%zu", i) : g_strdup("");
        g_autofree char *node = g_strdup_printf("disk-%d%s", planning->device->key, suffix);
        g_autofree char *protocol_node = g_strdup_printf("file-%d%s", planning->device->key, suffix);

        struct json_object *protocol = json_object_new_object();
        qemu_json_add_string(protocol, "driver", host_drive ? "host_cdrom" : "file");
        qemu_json_add_string(protocol, "node-name", protocol_node);
        qemu_json_add_string(protocol, "filename", path);
        qemu_json_add_bool(protocol, "read-only", read_only);
        struct json_object *image = json_object_new_object();
        qemu_json_add_string(image, "driver", qcow2 ? "qcow2" : "raw");
        qemu_json_add_string(image, "node-name", node);
        qemu_json_add_bool(image, "read-only", read_only);
        if (i == 0 && is_shared(planning->device)) {
            add_direct(protocol);
            add_direct(image);
        }
        if (discard && !read_only) {
            qemu_json_add_string(protocol, "discard", "unmap");
            qemu_json_add_string(image, "discard", "unmap");
        }
        json_object_object_add(image, "file", protocol);
        if (qcow2) {
            json_object_object_add(image, "backing", chain);
        }
        chain = image;
    }
    if (chain != NULL) {
        g_ptr_array_add(planning->plan->blockdevs, chain);
    }
    return 0;
}

static const struct VirtualDiskFlatVer2BackingInfo *flat_backing(const struct VirtualDevice *device)
{
    return vim_is_a(device->backing, &VirtualDiskFlatVer2BackingInfo_type)
               ? (const struct VirtualDiskFlatVer2BackingInfo *)device->backing
               : NULL;
}

/* What the guest discards is given back; a thick disk keeps the space that was set aside for it. */
static bool is_thin(const struct VirtualDevice *device)
{
    const struct VirtualDiskFlatVer2BackingInfo *backing = flat_backing(device);
    return backing != NULL && backing->thinProvisioned.set && backing->thinProvisioned.value;
}

static const char *disk_uuid(const struct VirtualDevice *device)
{
    if (vim_is_a(device->backing, &VirtualDiskFlatVer2BackingInfo_type)) {
        return ((const struct VirtualDiskFlatVer2BackingInfo *)device->backing)->uuid;
    }
    if (vim_is_a(device->backing, &VirtualDiskSparseVer2BackingInfo_type)) {
        return ((const struct VirtualDiskSparseVer2BackingInfo *)device->backing)->uuid;
    }
    if (vim_is_a(device->backing, &VirtualDiskSeSparseBackingInfo_type)) {
        return ((const struct VirtualDiskSeSparseBackingInfo *)device->backing)->uuid;
    }
    return NULL;
}

/* The serial number that the guest sees. Always given: QEMU's own would count the drives in order. */
static void add_serial_number(const struct planning *planning, struct json_object *drive)
{
    const struct VirtualMachineFlagInfo *flags = planning->config->flags;
    const char *uuid = disk_uuid(planning->device);
    char serial[SERIAL_NUMBER_MAX + 1];
    size_t length = 0;

    if (flags != NULL && flags->diskUuidEnabled.value && uuid != NULL) {
        for (; *uuid != '\0' && length < SERIAL_NUMBER_MAX; uuid++) {
            if (g_ascii_isxdigit(*uuid)) {
                serial[length++] = g_ascii_tolower(*uuid);
            }
        }
        serial[length] = '\0';
    }
    if (length == 0) {
        snprintf(serial, sizeof(serial), "%08d", planning->device->key);
    }
    qemu_json_add_string(drive, "serial", serial);
}

/* SAS addresses a disk by its name (NAA type 5), without which Linux sees none. FNV-1a of what is unique
 * to the disk and stays. */
static void add_world_wide_name(const struct planning *planning, struct json_object *drive)
{
    const char *uuid = disk_uuid(planning->device);
    g_autofree char *text =
        g_strdup_printf("%s/%d", uuid != NULL ? uuid : planning->config->uuid, planning->device->key);
    uint64_t hash = 0xcbf29ce484222325u;

    for (const char *at = text; *at != '\0'; at++) {
        hash = (hash ^ (uint8_t)*at) * 0x100000001b3u;
    }
    qemu_json_add_int(drive, "wwn", (int64_t)(0x5000000000000000u | hash >> 4));
}

bool plan_is_virtio_blk(const struct planning *planning, const struct VirtualController *controller)
{
    const char *model = vim_is_a(controller, &VirtualSCSIController_type)
                            ? planning_model(planning, "scsi", controller->busNumber)
                            : NULL;
    return model != NULL && g_ascii_strcasecmp(model, "virtio-blk") == 0;
}

/* A disk that is a PCI device of its own: a function of the slot that its controller would have. */
static int plan_virtio_blk(const struct planning *planning, const struct VirtualController *controller,
                           bool cd, struct json_object **ret)
{
    int32_t unit = planning->device->unitNumber.value;

    if (cd || unit < 0 || unit >= VIRTIO_BLK_UNITS) {
        return planning_invalid(planning, "cannot sit there: virtio-blk takes disks, with units 0 to 6");
    }
    struct json_object *drive = qemu_json_device("virtio-blk-pci", planning->name, NULL);
    qemu_board_place(planning->chipset, drive, QEMU_SLOT_SCSI + controller->busNumber, unit);
    qemu_json_add_bool(drive, "multifunction", true);
    *ret = drive;
    return 0;
}

static int plan_scsi_drive(const struct planning *planning, const struct VirtualController *controller,
                           bool cd, struct json_object **ret)
{
    bool paravirtual = vim_is_a(controller, &ParaVirtualSCSIController_type);
    bool sas = vim_is_a(controller, &VirtualLsiLogicSASController_type);
    int32_t unit = planning->device->unitNumber.value;
    int32_t last = paravirtual ? 15 : sas ? 7 : 6; /* unit 7 of parallel SCSI is the controller itself */

    if (unit < 0 || unit > last) {
        return planning_invalid(planning, "has a unit number that its SCSI controller does not reach");
    }
    g_autofree char *bus = g_strdup_printf("dev-%d.0", controller->key);
    struct json_object *drive =
        qemu_json_device(cd ? "scsi-cd" : "scsi-hd", planning->name, "bus", bus, NULL);
    qemu_json_add_int(drive, "channel", 0);
    qemu_json_add_int(drive, "scsi-id", unit);
    qemu_json_add_int(drive, "lun", 0);
    if (sas) {
        add_world_wide_name(planning, drive);
    }
    *ret = drive;
    return 0;
}

static int plan_ata_drive(const struct planning *planning, const struct VirtualController *controller,
                          bool cd, struct json_object **ret)
{
    bool sata = vim_is_a(controller, &VirtualSATAController_type);
    int32_t unit = planning->device->unitNumber.value;

    if (unit < 0 || unit > (sata ? 5 : 1)) {
        return planning_invalid(planning,
                                sata ? "has a unit number beyond 5, the last port of a SATA controller"
                                     : "has a unit number beyond 1, the second drive of an IDE controller");
    }
    if (!sata && (controller->busNumber < 0 || controller->busNumber >= IDE_CONTROLLERS_MAX)) {
        return planning_invalid(planning, "sits on an IDE controller beyond the second");
    }
    /* A Q35 has no IDE: its own SATA, whose ports QEMU calls ide.0 to ide.5, takes the four drives. */
    bool port = sata || planning->chipset == QEMU_CHIPSET_Q35;
    g_autofree char *bus = sata   ? g_strdup_printf("dev-%d.%d", controller->key, unit)
                           : port ? g_strdup_printf("ide.%d", 2 * controller->busNumber + unit)
                                  : g_strdup_printf("ide.%d", controller->busNumber);
    struct json_object *drive = qemu_json_device(cd ? "ide-cd" : "ide-hd", planning->name, "bus", bus, NULL);
    qemu_json_add_int(drive, "unit", port ? 0 : unit);
    *ret = drive;
    return 0;
}

static int plan_nvme_drive(const struct planning *planning, const struct VirtualController *controller,
                           bool cd, struct json_object **ret)
{
    int32_t unit = planning->device->unitNumber.value;

    if (cd || unit < 0 || unit > 63) {
        return planning_invalid(planning, "cannot sit there on an NVMe controller");
    }
    g_autofree char *bus = g_strdup_printf("dev-%d", controller->key);
    struct json_object *drive = qemu_json_device("nvme-ns", planning->name, "bus", bus, NULL);
    qemu_json_add_int(drive, "nsid", unit + 1);
    *ret = drive;
    return 0;
}

/* A disk or a CD drive on its controller. */
int plan_drive(const struct planning *planning, bool cd)
{
    const struct VirtualController *controller = planning_controller(planning);
    struct json_object *drive = NULL;
    char node[QEMU_NAME_SIZE];
    bool nvme = vim_is_a(controller, &VirtualNVMEController_type);
    int error;

    if (!cd && planning->n_files == 0) {
        return planning_invalid(planning, "has no file");
    }
    if (plan_is_virtio_blk(planning, controller)) {
        error = plan_virtio_blk(planning, controller, cd, &drive);
    } else if (vim_is_a(controller, &VirtualSCSIController_type)) {
        error = plan_scsi_drive(planning, controller, cd, &drive);
    } else if (vim_is_a(controller, &VirtualIDEController_type) ||
               vim_is_a(controller, &VirtualSATAController_type)) {
        error = plan_ata_drive(planning, controller, cd, &drive);
    } else if (nvme) {
        error = plan_nvme_drive(planning, controller, cd, &drive);
    } else {
        error = planning_invalid(planning, "has no controller");
    }
    if (error != 0) {
        return error;
    }
    if (!nvme) { /* an NVMe controller carries the serial number, and leaves errors to the guest */
        add_serial_number(planning, drive);
        qemu_json_add_string(drive, "werror", "stop");
        qemu_json_add_string(drive, "rerror", cd ? "report" : "stop");
    }
    if (is_shared(planning->device)) {
        qemu_json_add_bool(drive, "share-rw", true);
    }
    if (planning->n_files > 0) {
        qemu_node_name(planning->device->key, node);
        qemu_json_add_string(drive, "drive", node);
    }
    planning_add_device(planning, drive);
    return plan_nodes(planning, is_thin(planning->device));
}

int plan_floppy(const struct planning *planning)
{
    int32_t unit = planning->device->key - FLOPPY_FIRST_KEY;
    char node[QEMU_NAME_SIZE];

    if (unit < 0 || unit >= FLOPPY_MAX) {
        return planning_invalid(planning, "is a third floppy drive");
    }
    struct json_object *drive = qemu_json_device("floppy", planning->name, "drive-type", "144", NULL);
    qemu_json_add_int(drive, "unit", unit);
    if (planning->n_files > 0) {
        qemu_node_name(planning->device->key, node);
        qemu_json_add_string(drive, "drive", node);
    }
    planning_add_device(planning, drive);
    return plan_nodes(planning, false);
}
