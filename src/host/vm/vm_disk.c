// SPDX-License-Identifier: Apache-2.0
/*
 * Modes and sharing of a machine's disks.
 *
 *   persistent, independent_persistent       what is written stays
 *   nonpersistent, independent_nonpersistent what is written goes into an overlay without a name, and with it when
 *                                            the machine is powered off, or its host crashes
 *   sharingMultiWriter                       several machines write, with a cluster file system in them: the disk is
 *                                            flat and eager zeroed (vmdk.h), as QEMU's own image formats have one writer
 *
 * vm_spec.c checks by these functions what clients ask for; vm_files.c opens disks so.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/vm/vm.h"
#include "vim/value.h"

static const struct VirtualDiskFlatVer2BackingInfo *flat_backing(
    const struct VirtualDeviceBackingInfo *backing)
{
    return vim_is_a(backing, &VirtualDiskFlatVer2BackingInfo_type)
               ? (const struct VirtualDiskFlatVer2BackingInfo *)backing
               : NULL;
}

bool vm_disk_is_temporary(const struct VirtualDeviceBackingInfo *backing)
{
    const struct VirtualDiskFlatVer2BackingInfo *flat = flat_backing(backing);
    return flat != NULL && (g_strcmp0(flat->diskMode, "nonpersistent") == 0 ||
                            g_strcmp0(flat->diskMode, "independent_nonpersistent") == 0);
}

bool vm_disk_is_shared(const struct VirtualDeviceBackingInfo *backing)
{
    const struct VirtualDiskFlatVer2BackingInfo *flat = flat_backing(backing);
    return flat != NULL && g_strcmp0(flat->sharing, "sharingMultiWriter") == 0;
}

static char *property_of(unsigned index, const char *member)
{
    return g_strdup_printf("deviceChange[%u].device.%s", index, member);
}

struct vim_fault *vm_disk_check_mode(const struct VirtualDiskFlatVer2BackingInfo *backing, unsigned index,
                                     bool powered_on)
{
    static const char *const modes[] = {"persistent", "independent_persistent", "nonpersistent",
                                        "independent_nonpersistent", NULL};
    g_autofree char *property = property_of(index, "backing.diskMode");
    if (!g_strv_contains(
            modes, backing->diskMode)) { /* undoable and append, which VMware gave up too, or nonsense */
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: \"%s\" is not supported by this host", property,
                                            backing->diskMode);
    }
    if (powered_on && vm_disk_is_temporary((const struct VirtualDeviceBackingInfo *)backing)) {
        return fault_invalid_power_state(
            VirtualMachinePowerState_poweredOff, VirtualMachinePowerState_poweredOn,
            "%s: a disk becomes %s while the machine is powered off", property, backing->diskMode);
    }
    return NULL;
}

struct vim_fault *vm_disk_check_sharing(const struct VirtualDiskFlatVer2BackingInfo *backing, unsigned index,
                                        bool flat)
{
    const struct VirtualDeviceBackingInfo *base = (const struct VirtualDeviceBackingInfo *)backing;
    g_autofree char *property = property_of(index, "backing.sharing");
    if (backing->sharing != NULL && backing->sharing[0] != '\0' && !vm_disk_is_shared(base) &&
        !g_str_equal(backing->sharing, "sharingNone")) {
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: \"%s\" is not sharingNone or sharingMultiWriter", property,
                                            backing->sharing);
    }
    if (!vm_disk_is_shared(base)) {
        return NULL;
    }
    if (!flat || !backing->eagerlyScrub.set || !backing->eagerlyScrub.value) {
        return fault_invalid_device_backing(
            property, (int32_t)index,
            "%s: a disk that machines share is eager zeroed and flat: make it with "
            "eagerlyScrub and this sharing, or copy it with the disk type "
            "flatMonolithic",
            property);
    }
    if (vm_disk_is_temporary(base)) {
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: what is written to a %s disk is not shared", property,
                                            backing->diskMode);
    }
    return NULL;
}

/* Whether the disk's data are plain bytes. */
static struct vim_fault *read_flat(struct host *host, const char *name, bool *ret)
{
    struct datastore *datastore = NULL;
    struct disk_image_info info;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = host_resolve(host, name, "backing.fileName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_get_info(datastore->fd, path, &info, &message);
    if (error != 0) {
        return host_file_fault(name, error, message);
    }
    *ret = g_str_equal(info.format, "raw");
    disk_image_info_clear(&info);
    return NULL;
}

struct vim_fault *vm_disk_edit_backing(struct host *host, struct VirtualDeviceBackingInfo *base,
                                       const struct VirtualDeviceBackingInfo *wanted_base, unsigned index,
                                       bool powered_on)
{
    struct VirtualDiskFlatVer2BackingInfo *backing = (void *)flat_backing(base);
    const struct VirtualDiskFlatVer2BackingInfo *wanted = flat_backing(wanted_base);
    bool flat = false;
    if (backing == NULL || wanted == NULL) {
        return NULL;
    }
    bool mode = wanted->diskMode != NULL && wanted->diskMode[0] != '\0' &&
                g_strcmp0(wanted->diskMode, backing->diskMode) != 0;
    bool sharing =
        wanted->sharing != NULL && wanted->sharing[0] != '\0' &&
        g_strcmp0(wanted->sharing, backing->sharing != NULL ? backing->sharing : "sharingNone") != 0;
    if (!mode && !sharing) {
        return NULL;
    }
    if (powered_on) {
        return fault_invalid_power_state(
            VirtualMachinePowerState_poweredOff, VirtualMachinePowerState_poweredOn,
            "deviceChange[%u]: a disk's mode and sharing are changed while the machine "
            "is powered off",
            index);
    }
    if (backing->parent != NULL) {
        g_autofree char *property = property_of(index, "backing");
        return fault_invalid_device_backing(property, (int32_t)index,
                                            "%s: a disk with snapshots keeps its mode and sharing", property);
    }
    if (mode) {
        vim_set_string(&backing->diskMode, wanted->diskMode);
    }
    if (sharing) {
        vim_set_string(&backing->sharing, wanted->sharing);
    }
    struct vim_fault *fault = vm_disk_check_mode(backing, index, powered_on);
    if (fault == NULL && vm_disk_is_shared(base)) {
        fault = read_flat(host, ((const struct VirtualDeviceFileBackingInfo *)base)->fileName, &flat);
    }
    return fault != NULL ? fault : vm_disk_check_sharing(backing, index, flat);
}

struct vim_fault *vm_disk_check_bus(const struct VirtualDevice *device, unsigned index)
{
    const struct VirtualSCSIController *controller = (const struct VirtualSCSIController *)device;
    g_autofree char *property = property_of(index, "sharedBus");
    if (controller->sharedBus == VirtualSCSISharing_unset ||
        controller->sharedBus == VirtualSCSISharing_noSharing) {
        return NULL;
    }
    return fault_invalid_device_spec(
        property, (int32_t)index,
        "%s: SCSI buses are not shared here; single disks are, as sharingMultiWriter", property);
}

void vm_disk_flat_path(const char *vmdk, GPtrArray *paths)
{
    g_ptr_array_add(paths, datastore_path_with_suffix(vmdk, DISK_IMAGE_FLAT_SUFFIX));
}

void vm_disk_own_flat_path(struct host *host, const char *vmdk, GPtrArray *paths)
{
    struct datastore *datastore = NULL;
    struct disk_image_info info;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    VIM_FAULT_AUTO fault = host_resolve(host, vmdk, "fileName", &datastore, &path);
    if (fault != NULL || disk_image_get_info(datastore->fd, path, &info, &message) != 0) {
        return;
    }
    g_autofree char *usual = datastore_path_with_suffix(path, DISK_IMAGE_FLAT_SUFFIX);
    if (g_str_equal(info.data_path, usual)) {
        vm_disk_flat_path(vmdk, paths);
    }
    disk_image_info_clear(&info);
}

/* ---- temporary overlays ------------------------------------------------------------------------------- */

/* A file without a name in the folder of `path`. */
static int open_nameless(const struct datastore *datastore, const char *path, int *ret_fd)
{
    const char *name = NULL;
    int parent_fd = -1;
    int error = file_open_parent(datastore->fd, path, &parent_fd, &name);
    if (error != 0) {
        return error;
    }
    int fd = openat(parent_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd < 0 &&
        (errno == EOPNOTSUPP || errno == EISDIR)) { /* NFS: a name for a moment, the next try's to reuse */
        g_autofree char *new_name = g_strdup_printf("%s-redo" FILE_NEW_SUFFIX, name);
        (void)unlinkat(parent_fd, new_name, 0);
        fd = openat(parent_fd, new_name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (fd >= 0) {
            (void)unlinkat(parent_fd, new_name, 0);
        }
    }
    error = fd < 0 ? -errno : 0;
    close(parent_fd);
    *ret_fd = fd;
    return error;
}

struct vim_fault *vm_disk_open_temporary(struct host *host, const struct VirtualDevice *device,
                                         struct hypervisor_file *ret)
{
    const char *name = ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
    struct datastore *datastore = NULL;
    struct disk_image_info info;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    int fd = -1;
    struct vim_fault *fault = host_resolve(host, name, "backing.fileName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = disk_image_get_info(datastore->fd, path, &info, &message);
    if (error == 0) {
        const struct disk_image_options options = {
            .capacity_bytes = info.capacity_bytes,
            .provisioning = DISK_IMAGE_THIN,
        };
        error = open_nameless(datastore, path, &fd);
        error = error == 0 ? disk_image_make_data(fd, &options, &message) : error;
        disk_image_info_clear(&info);
    }
    if (error != 0) {
        if (fd >= 0) {
            close(fd);
        }
        return host_file_fault(name, error, message != NULL ? message : "no temporary overlay can be made");
    }
    *ret = (struct hypervisor_file){.device_key = device->key, .fd = fd, .format = "qcow2"};
    return NULL;
}

char *vm_disk_find_temporary(const struct VirtualMachineConfigInfo *config)
{
    for (uint32_t i = 0; config != NULL && i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device, &VirtualDisk_type) && vm_disk_is_temporary(device->backing)) {
            return g_strdup(device->deviceInfo != NULL ? device->deviceInfo->label : "a disk");
        }
    }
    return NULL;
}
