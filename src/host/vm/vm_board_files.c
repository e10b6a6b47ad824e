// SPDX-License-Identifier: Apache-2.0
/*
 * Files of a machine's board that a start needs beside its disks: the variables of its EFI firmware
 * (name.nvram) and the state of its TPM (folder name.tpm). Both are made at the first power-on and belong to the
 * machine from then on. See vm.h; vm_files.c calls this.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/vm/vm.h"
#include "vim/value.h"

enum {
    NVRAM_MAX_BYTES = 16 << 20,
};

char *vm_nvram_path(struct host *host, const char *vmx_path)
{
    g_autofree char *named = vm_load_key(host, vmx_path, "nvram");
    DATASTORE_PATH_AUTO(path);
    const char *rule = NULL;

    /* Another name than the usual, as when the machine was renamed; a file elsewhere is not the machine's. */
    if (named != NULL && g_str_has_suffix(named, ".nvram") && strchr(named, '/') == NULL &&
        datastore_path_parse(vmx_path, -1, &path, &rule) == 0) {
        g_autofree char *folder = datastore_path_dirname(path.path);
        g_autofree char *file = datastore_path_join(folder, named);
        return datastore_path_format(path.datastore, file);
    }
    return datastore_path_with_suffix(vmx_path, ".nvram");
}

/* Makes the variables of a new machine: there, complete, or not there. */
static int make_nvram(int dir_fd, const char *path, int template_fd)
{
    g_autofree char *data = g_malloc(NVRAM_MAX_BYTES);
    ssize_t n = pread(template_fd, data, NVRAM_MAX_BYTES, 0);

    if (n <= 0) {
        return n < 0 ? -errno : -EIO;
    }
    return file_replace(dir_fd, path, data, (size_t)n, 0600);
}

/* Whether the file is one of firmware volumes, as ours are, and of the size that the firmware expects. */
static bool is_ours(int fd, int template_fd)
{
    enum { SIGNATURE_OFFSET = 40, SIGNATURE_BYTES = 4 };
    char signature[SIGNATURE_BYTES];
    struct stat st, expected;

    return fstat(fd, &st) == 0 && fstat(template_fd, &expected) == 0 && st.st_size == expected.st_size &&
           pread(fd, signature, SIGNATURE_BYTES, SIGNATURE_OFFSET) == SIGNATURE_BYTES &&
           memcmp(signature, "_FVH", SIGNATURE_BYTES) == 0;
}

static struct vim_fault *open_nvram(struct host *host, const struct VirtualMachineConfigInfo *config,
                                    int template_fd, GArray *files)
{
    g_autofree char *name = vm_nvram_path(host, config->files->vmPathName);
    g_autofree char *path = NULL;
    struct hypervisor_file file = {.device_key = HYPERVISOR_KEY_NVRAM, .fd = -1, .format = "raw"};
    struct datastore *datastore = NULL;
    struct vim_fault *fault = host_resolve(host, name, "nvram", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = file_open(datastore->fd, path, O_RDWR, 0, &file.fd);
    if (error == -ENOENT) {
        error = make_nvram(datastore->fd, path, template_fd);
        error = error == 0 ? file_open(datastore->fd, path, O_RDWR, 0, &file.fd) : error;
    }
    if (error != 0) {
        return host_file_fault(name, error, "the variables of the EFI firmware cannot be opened");
    }
    if (!is_ours(file.fd, template_fd)) {
        close(file.fd);
        return fault_invalid_vm_config(
            "nvram",
            "%s holds the variables of another product's firmware: move it away, and new ones are made",
            name);
    }
    g_array_append_val(files, file);
    return NULL;
}

static struct vim_fault *open_tpm(struct host *host, const struct VirtualMachineConfigInfo *config,
                                  const struct VirtualDevice *device, GArray *files)
{
    g_autofree char *name = datastore_path_with_suffix(config->files->vmPathName, VM_TPM_SUFFIX);
    g_autofree char *path = NULL;
    struct hypervisor_file file = {.device_key = device->key, .fd = -1, .format = "folder"};
    struct datastore *datastore = NULL;
    struct vim_fault *fault = host_resolve(host, name, "vtpm", &datastore, &path);
    if (fault != NULL) {
        return fault;
    }
    int error = file_mkdir(datastore->fd, path, 0700);
    if (error == 0 || error == -EEXIST) {
        error = file_open(datastore->fd, path, O_RDONLY | O_DIRECTORY, 0, &file.fd);
    }
    if (error != 0) {
        return host_file_fault(name, error, "the state of the TPM cannot be opened");
    }
    g_array_append_val(files, file);
    return NULL;
}

struct vim_fault *vm_board_files_open(struct host *host, const struct VirtualMachineConfigInfo *config,
                                      GArray *files)
{
    struct vim_fault *fault = NULL;
    if (g_strcmp0(config->firmware, "efi") == 0) {
        int template_fd = -1;
        g_autofree char *message = NULL;
        int error = hypervisor_open_nvram_template(host->hypervisor, config, &template_fd, &message);
        if (error != 0) {
            return fault_invalid_vm_config("firmware", "%s", message);
        }
        if (template_fd >= 0) {
            fault = open_nvram(host, config, template_fd, files);
            close(template_fd);
        }
    }
    for (uint32_t i = 0; i < config->hardware->device.n && fault == NULL; i++) {
        if (vim_is_a(config->hardware->device.items[i], &VirtualTPM_type)) {
            fault = open_tpm(host, config, config->hardware->device.items[i], files);
        }
    }
    return fault;
}

void vm_board_files_list(struct host *host, const char *vmx_path, GPtrArray *paths)
{
    g_autofree char *folder = datastore_path_with_suffix(vmx_path, VM_TPM_SUFFIX);
    g_autofree char *path = NULL;
    struct datastore *datastore = NULL;
    int fd = -1;

    g_ptr_array_add(paths, vm_nvram_path(host, vmx_path));
    VIM_FAULT_AUTO fault = host_resolve(host, folder, "", &datastore, &path);
    if (fault != NULL || file_open(datastore->fd, path, O_RDONLY | O_DIRECTORY, 0, &fd) != 0) {
        return;
    }
    g_autofree char *by_fd = g_strdup_printf("/proc/self/fd/%d", fd);
    g_autoptr(GDir) dir = g_dir_open(by_fd, 0, NULL);
    for (const char *name = dir != NULL ? g_dir_read_name(dir) : NULL; name != NULL;
         name = g_dir_read_name(dir)) {
        g_ptr_array_add(paths, g_strconcat(folder, "/", name, NULL));
    }
    g_ptr_array_add(paths, g_strconcat(folder, "/", NULL));
    close(fd);
}
