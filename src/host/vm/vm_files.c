// SPDX-License-Identifier: Apache-2.0
/*
 * The .vmx file as configuration, and the files that a running virtual machine has open. See vm.h.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/storage/disk_lock.h"
#include "host/vm/guest_os.h"
#include "host/vm/port_address.h"
#include "host/vm/vm.h"
#include "host/vm/vm_host_device.h"
#include "host/vm/vmx.h"
#include "host/vm/vmx_config.h"
#include "vim/value.h"

/* ---- the .vmx file ---------------------------------------------------------------------------------- */

struct vim_fault *vm_read_dictionary(struct host *host, const char *vmx_path, bool create,
                                     struct datastore **ret_datastore, char **ret_path, struct vmx **ret_vmx)
{
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    size_t length = 0;
    struct vim_fault *fault = host_resolve(host, vmx_path, "vmPathName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = file_read(datastore->fd, path, VMX_MAX_BYTES, &text, &length);
    if (error == -ENOENT && create) {
        *ret_vmx = vmx_new();
    } else if (error != 0) {
        return host_file_fault(vmx_path, error, "cannot be read");
    } else if (vmx_parse(text, length, ret_vmx, &message) != 0) {
        return fault_invalid_vm_config(vmx_path, "%s: %s", vmx_path, message);
    }
    *ret_datastore = datastore;
    *ret_path = g_steal_pointer(&path);
    return NULL;
}

struct vim_fault *vm_write_dictionary(const struct datastore *datastore, const char *path,
                                      const char *vmx_path, const struct vmx *dictionary)
{
    size_t length = 0;
    g_autofree char *text = vmx_format(dictionary, &length);
    int error = file_replace(datastore->fd, path, text, length, 0600);
    return error == 0 ? NULL : host_file_fault(vmx_path, error, "cannot be written");
}

/* Looks a disk up for vmx_to_config. */
static int find_disk(void *data, const char *file_name, struct disk_image_info *ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    VIM_FAULT_AUTO fault = host_resolve(data, file_name, "fileName", &datastore, &path);
    return fault == NULL ? disk_image_get_info(datastore->fd, path, ret, &message) : -ENOENT;
}

/* Shows what a disk builds on. */
static void add_parents(struct host *host, struct VirtualDevice *device)
{
    struct VirtualDiskFlatVer2BackingInfo *backing = (void *)device->backing;
    if (!vim_is_a(device, &VirtualDisk_type) || !vim_is_a(backing, &VirtualDiskFlatVer2BackingInfo_type)) {
        return;
    }
    for (unsigned depth = 0; depth < VM_DISK_CHAIN_MAX; depth++) {
        struct datastore *datastore = NULL;
        struct disk_image_info info;
        g_autofree char *path = NULL;
        g_autofree char *message = NULL;
        VIM_FAULT_AUTO fault = host_resolve(host, backing->fileName, "fileName", &datastore, &path);
        if (fault != NULL || disk_image_get_info(datastore->fd, path, &info, &message) != 0) {
            return;
        }
        vim_set_string(&backing->contentId, info.content_id);
        if (depth > 0) {
            vim_set_optional(&backing->thinProvisioned, info.provisioning == DISK_IMAGE_THIN);
            vim_set_string(&backing->uuid, info.uuid);
            vim_ref_set(&backing->datastore, &datastore->ref);
        }
        if (info.parent_path != NULL) {
            struct VirtualDiskFlatVer2BackingInfo *parent = VirtualDiskFlatVer2BackingInfo_new();
            parent->fileName = datastore_path_format(datastore->name, info.parent_path);
            parent->diskMode = g_strdup(backing->diskMode);
            backing->parent = parent;
        }
        disk_image_info_clear(&info);
        if (backing->parent == NULL) {
            return;
        }
        backing = backing->parent;
    }
}

/* References and labels, and identities that the file lacks: what a .vmx does not hold. */
static void complete(struct host *host, struct VirtualMachineConfigInfo *config)
{
    const char *full_name = guest_os_full_name(config->guestId != NULL ? config->guestId : "");
    vim_set_string(&config->guestFullName, full_name != NULL ? full_name : config->guestId);
    config->modified = vim_now_us(host->server);
    if (config->uuid == NULL) {
        config->uuid = g_uuid_string_random();
    }
    if (config->instanceUuid == NULL) {
        config->instanceUuid = g_uuid_string_random();
    }
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        struct VirtualDevice *device = config->hardware->device.items[i];
        if (vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
            struct VirtualDeviceFileBackingInfo *backing = (void *)device->backing;
            struct datastore *datastore = NULL;
            g_autofree char *path = NULL;
            VIM_FAULT_AUTO fault = host_resolve(host, backing->fileName, "fileName", &datastore, &path);
            if (fault == NULL) {
                g_free(backing->fileName); /* it may have been given as a path of this machine */
                backing->fileName = datastore_path_format(datastore->name, path);
                vim_ref_set(&backing->datastore, &datastore->ref);
            }
        } else if (vim_is_a(device->backing, &VirtualEthernetCardNetworkBackingInfo_type)) {
            struct VirtualEthernetCardNetworkBackingInfo *backing = (void *)device->backing;
            if (g_strcmp0(backing->deviceName, HOST_NETWORK_NAME) == 0) {
                struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
                vim_ref_set(&backing->network, &network);
            }
        }
        add_parents(host, device);
        vm_device_describe(device);
        if (device->connectable != NULL) { /* what it is while it runs is in no file */
            device->connectable->connected = device->connectable->startConnected;
        }
    }
    vm_device_link(config);
}

struct vim_fault *vm_config_of(struct host *host, const struct vmx *dictionary,
                               const struct datastore *datastore, const char *path, const char *vmx_path,
                               struct VirtualMachineConfigInfo **ret)
{
    g_autofree char *message = NULL;
    struct VirtualMachineConfigInfo *config = NULL;
    if (vmx_to_config(dictionary, datastore->name, path, find_disk, host, &config, &message) != 0) {
        return fault_invalid_vm_config(vmx_path, "%s: %s", vmx_path, message);
    }
    vim_set_string(&config->files->vmPathName, vmx_path);
    complete(host, config);
    *ret = config;
    return NULL;
}

struct vim_fault *vm_load(struct host *host, const char *vmx_path, struct VirtualMachineConfigInfo **ret)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    struct vim_fault *fault = vm_read_dictionary(host, vmx_path, false, &datastore, &path, &dictionary);
    return fault != NULL ? fault : vm_config_of(host, dictionary, datastore, path, vmx_path, ret);
}

struct vim_fault *vm_save(struct host *host, const char *vmx_path,
                          const struct VirtualMachineConfigInfo *config)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct datastore *datastore = NULL;
    struct vim_fault *fault = vm_read_dictionary(host, vmx_path, true, &datastore, &path, &dictionary);
    if (fault != NULL) {
        return fault;
    }
    if (vmx_update(dictionary, config, &message) != 0) {
        return fault_invalid_vm_config(vmx_path, "%s: %s", vmx_path, message);
    }
    return vm_write_dictionary(datastore, path, vmx_path, dictionary);
}

struct vim_fault *vm_save_key(struct host *host, const char *vmx_path, const char *key, const char *value)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    struct vim_fault *fault = vm_read_dictionary(host, vmx_path, false, &datastore, &path, &dictionary);
    if (fault != NULL) {
        return fault;
    }
    if (g_strcmp0(vmx_get(dictionary, key), value) == 0) {
        return NULL;
    }
    if (value == NULL) {
        vmx_remove(dictionary, key);
    } else if (vmx_set(dictionary, key, value) != 0) {
        return fault_invalid_vm_config(key, "%s: \"%s\" cannot be a value", key, value);
    }
    return vm_write_dictionary(datastore, path, vmx_path, dictionary);
}

char *vm_load_key(struct host *host, const char *vmx_path, const char *key)
{
    g_autoptr(vmx) dictionary = NULL;
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    VIM_FAULT_AUTO fault = vm_read_dictionary(host, vmx_path, false, &datastore, &path, &dictionary);
    return fault == NULL ? g_strdup(vmx_get(dictionary, key)) : NULL;
}

/* ---- opened files ------------------------------------------------------------------------------------ */

static struct vim_fault *open_disk(struct host *host, const struct VirtualDevice *device,
                                   struct hypervisor_file *ret)
{
    const char *name = ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    g_autofree char *message = NULL;
    struct vim_fault *fault = host_resolve(host, name, "backing.fileName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    ret->read_only = vm_disk_is_temporary(device->backing);
    int error = disk_image_open(datastore->fd, path, ret->read_only, &ret->fd, &ret->format, &message);
    if (error == 0 && !vm_disk_is_shared(device->backing)) {
        /* What comes in between until the hypervisor locks it, that finds out by itself. */
        error = disk_lock_probe(ret->fd, ret->read_only ? DISK_LOCK_READ : DISK_LOCK_WRITE);
        message =
            error != 0 ? g_strdup("the disk is in use, by another virtual machine or another host") : NULL;
    }
    if (error != 0 && ret->fd >= 0) {
        close(ret->fd);
        ret->fd = -1;
    }
    if (error == -EMEDIUMTYPE) {
        return fault_invalid_disk_format("%s; CopyVirtualDisk_Task makes a copy of it that can be used",
                                         message);
    }
    return error == 0 ? NULL : host_file_fault(name, error, message);
}

static struct vim_fault *open_plain(struct host *host, const char *name, int flags,
                                    struct hypervisor_file *ret)
{
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    struct vim_fault *fault = host_resolve(host, name, "backing.fileName", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = file_open(datastore->fd, path, flags, 0644, &ret->fd);
    ret->format = "raw";
    ret->read_only = (flags & O_ACCMODE) == O_RDONLY;
    return error == 0 ? NULL : host_file_fault(name, error, "cannot be opened");
}

/* The listening socket of a serial port that is called without encryption, which is all that it needs. */
static struct vim_fault *open_port(struct host *host, const struct VirtualDevice *device,
                                   struct hypervisor_file *ret)
{
    PORT_ADDRESS_AUTO address = {0};
    struct vim_fault *fault = port_address_of(device, 0, &address);
    if (fault != NULL || !port_address_is_plain_server(&address) ||
        hypervisor_info(host->hypervisor)->simulated) {
        return fault;
    }
    int error = port_address_listen(&address, host->state_fd, &ret->fd);
    const char *name = address.kind == PORT_PIPE ? address.pipe : address.port;
    ret->format = "socket";
    if (error == -EADDRINUSE) {
        return fault_resource_in_use("VirtualSerialPort", name,
                                     "serial port %d: somebody listens on %s already", device->key, name);
    }
    return error == 0
               ? NULL
               : fault_invalid_device_backing(
                     address.kind == PORT_PIPE ? "backing.pipeName" : "backing.serviceURI", device->key,
                     "serial port %d cannot listen on %s: %s", device->key, name, g_strerror(-error));
}

struct vim_fault *vm_files_open_device(struct host *host, const struct VirtualDevice *device,
                                       struct hypervisor_file *ret)
{
    *ret = (struct hypervisor_file){.device_key = device->key, .fd = -1};
    if (vm_host_device_is(device)) {
        return vm_host_device_open(device, ret);
    }
    if (!vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type)) {
        return open_port(host, device, ret);
    }
    const char *name = ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
    if (vim_is_a(device, &VirtualDisk_type)) {
        return open_disk(host, device, ret);
    }
    if (vim_is_a(device, &VirtualSerialPort_type) || vim_is_a(device, &VirtualParallelPort_type)) {
        return open_plain(host, name, O_WRONLY | O_CREAT | O_APPEND, ret);
    }
    return open_plain(host, name, vim_is_a(device, &VirtualFloppy_type) ? O_RDWR : O_RDONLY, ret);
}

/* A kernel that is booted directly, and its initial RAM disk: files of a datastore, named in extraConfig. */
static struct vim_fault *open_boot_files(struct host *host, const struct VirtualMachineConfigInfo *config,
                                         GArray *files)
{
    static const struct {
        const char *key;
        int32_t device_key;
    } boot[] = {{"tenkyu.kernel", HYPERVISOR_KEY_KERNEL}, {"tenkyu.initrd", HYPERVISOR_KEY_INITRD}};
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < config->extraConfig.n && fault == NULL; i++) {
        const struct OptionValue *option = config->extraConfig.items[i];
        for (size_t k = 0; k < G_N_ELEMENTS(boot) && fault == NULL; k++) {
            if (g_str_equal(option->key, boot[k].key)) {
                struct hypervisor_file file = {.device_key = boot[k].device_key, .fd = -1};
                fault = open_plain(host, vim_any_get_string(option->value), O_RDONLY, &file);
                if (fault == NULL) {
                    g_array_append_val(files, file);
                }
            }
        }
    }
    return fault;
}

/* What a disk builds on, nearest first, for reading. A file that is in the list by then is the caller's to close. */
static struct vim_fault *open_parents(struct host *host, const struct VirtualDevice *device, GArray *files)
{
    const char *name = ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
    struct datastore *datastore = NULL;
    g_autofree char *path = NULL;
    struct vim_fault *fault = host_resolve(host, name, "backing.fileName", &datastore, &path);
    for (unsigned depth = 0; fault == NULL; depth++) {
        struct disk_image_info info;
        struct hypervisor_file file = {.device_key = device->key, .fd = -1, .read_only = true};
        g_autofree char *message = NULL;
        int error = disk_image_get_info(datastore->fd, path, &info, &message);
        if (error != 0) {
            return host_file_fault(name, error, message);
        }
        g_free(path);
        path = g_steal_pointer(&info.parent_path);
        disk_image_info_clear(&info);
        if (path == NULL) {
            return NULL;
        }
        if (depth == VM_DISK_CHAIN_MAX) {
            return host_file_fault(name, -ELOOP, "too many disks build on each other");
        }
        error = disk_image_open(datastore->fd, path, true, &file.fd, &file.format, &message);
        if (error != 0) {
            return host_file_fault(name, error, message);
        }
        g_array_append_val(files, file);
    }
    return fault;
}

static bool wants_file(const struct VirtualDevice *device)
{
    /* A CD drive that is not connected at power-on has no medium; a disk always has its file. */
    return vim_is_a(device, &VirtualDisk_type) || device->connectable == NULL ||
           device->connectable->startConnected;
}

struct vim_fault *vm_files_open(struct host *host, const struct VirtualMachineConfigInfo *config,
                                struct vm_files *ret)
{
    struct vim_fault *fault = NULL;
    ret->files = g_array_new(FALSE, FALSE, sizeof(struct hypervisor_file));
    for (uint32_t i = 0; i < config->hardware->device.n && fault == NULL; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        struct hypervisor_file file = {.fd = -1};
        if (wants_file(device)) {
            fault = vm_files_open_device(host, device, &file);
        }
        if (fault == NULL && file.fd >= 0 && vm_disk_is_temporary(device->backing)) {
            struct hypervisor_file overlay = {.fd = -1};
            fault = vm_disk_open_temporary(host, device, &overlay);
            if (fault == NULL) {
                g_array_append_val(ret->files, overlay);
            }
        }
        if (file.fd >= 0) {
            g_array_append_val(ret->files, file);
        }
        if (fault == NULL && file.fd >= 0 && vim_is_a(device, &VirtualDisk_type)) {
            fault = open_parents(host, device, ret->files);
        }
    }
    if (fault == NULL) {
        fault = vm_board_files_open(host, config, ret->files);
    }
    return fault != NULL ? fault : open_boot_files(host, config, ret->files);
}

void vm_files_close(struct vm_files *files)
{
    for (guint i = 0; files->files != NULL && i < files->files->len; i++) {
        close(g_array_index(files->files, struct hypervisor_file, i).fd);
    }
    g_clear_pointer(&files->files, g_array_unref);
}
