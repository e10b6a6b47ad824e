// SPDX-License-Identifier: Apache-2.0
/*
 * Looks up what this machine can give virtual machines; see capabilities.h. Where the files lie is Debian's
 * choice (packages ovmf and swtpm).
 */
#include "hypervisor/qemu/capabilities.h"

#include "hypervisor/hypervisor_ops.h"
#include "hypervisor/qemu/board.h"
#include "hypervisor/qemu/device.h"
#include "vim/types.h"

#include <errno.h>
#include <json-c/json.h>
#include <string.h>
#include <unistd.h>

#define OVMF "/usr/share/OVMF/"

static char *file_if_there(const char *path)
{
    return access(path, R_OK) == 0 ? g_strdup(path) : NULL;
}

/* Lines such as: name "vmxnet3", bus PCI, desc "VMWare Paravirtualized Ethernet v3" */
static void add_drivers(GHashTable *drivers, const char *text)
{
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

    for (size_t i = 0; lines[i] != NULL; i++) {
        const char *name = g_str_has_prefix(lines[i], "name \"") ? lines[i] + strlen("name \"") : NULL;
        const char *end = name != NULL ? strchr(name, '"') : NULL;
        if (end != NULL) {
            g_hash_table_add(drivers, g_strndup(name, (size_t)(end - name)));
        }
    }
}

int qemu_capabilities_load(const char *program, struct qemu_capabilities *ret, char **ret_message)
{
    g_autofree char *output = NULL;
    char *argv[] = {(char *)program, (char *)"-nodefaults", (char *)"-device", (char *)"help", NULL};

    if (!g_spawn_sync(NULL, argv, NULL, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &output, NULL, NULL, NULL)) {
        return hypervisor_fail(ret_message, -EIO, "%s does not say what devices it has", program);
    }
    *ret = (struct qemu_capabilities){
        .drivers = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL),
        .firmware = file_if_there(OVMF "OVMF_CODE_4M.fd"),
        .firmware_secure = file_if_there(OVMF "OVMF_CODE_4M.secboot.fd"),
        .variables = file_if_there(OVMF "OVMF_VARS_4M.ms.fd"),
        .swtpm = g_find_program_in_path("swtpm"),
    };
    add_drivers(ret->drivers, output);
    return 0;
}

void qemu_capabilities_clear(struct qemu_capabilities *capabilities)
{
    g_clear_pointer(&capabilities->drivers, g_hash_table_unref);
    g_clear_pointer(&capabilities->firmware, g_free);
    g_clear_pointer(&capabilities->firmware_secure, g_free);
    g_clear_pointer(&capabilities->variables, g_free);
    g_clear_pointer(&capabilities->swtpm, g_free);
}

int qemu_capabilities_check_machine(const struct qemu_capabilities *capabilities,
                                    const struct VirtualMachineConfigInfo *config, char **ret_message)
{
    enum qemu_chipset chipset;
    bool efi = qemu_board_is_efi(config), secure = qemu_board_is_secure(config);
    const char *video = qemu_extra(config, "tenkyu.video");
    static const char *const videos[] = {"vga", "svga", "virtio", NULL};

    if (qemu_board_chipset(config, &chipset) != 0) {
        return hypervisor_fail(ret_message, -EINVAL, "tenkyu.chipset is neither 440bx nor q35");
    }
    if (secure && chipset != QEMU_CHIPSET_Q35) {
        return hypervisor_fail(ret_message, -EINVAL, "secure boot needs tenkyu.chipset to be q35");
    }
    if (efi && (capabilities->variables == NULL ||
                (secure ? capabilities->firmware_secure : capabilities->firmware) == NULL)) {
        return hypervisor_fail(ret_message, -ENOTSUP,
                               "there is no EFI firmware here; Debian has it in the package ovmf");
    }
    if (video != NULL) {
        g_autofree char *lower = g_ascii_strdown(video, -1);
        if (!g_strv_contains(videos, lower)) {
            return hypervisor_fail(ret_message, -EINVAL, "tenkyu.video is none of vga, svga and virtio");
        }
    }
    return 0;
}

int qemu_capabilities_check_device(const struct qemu_capabilities *capabilities,
                                   const struct VirtualMachineConfigInfo *config,
                                   const struct VirtualDevice *device, char **ret_message)
{
    struct qemu_device_plan plan;

    if (vim_is_a(device, &VirtualTPM_type) && capabilities->swtpm == NULL) {
        return hypervisor_fail(ret_message, -ENOTSUP,
                               "there is no emulator of TPMs here; Debian has it in the package swtpm");
    }
    int error = qemu_device_check(config, device, &plan, ret_message);
    if (error != 0) {
        return error;
    }
    for (guint i = 0; i < plan.devices->len && error == 0; i++) {
        struct json_object *driver = NULL;
        json_object_object_get_ex(g_ptr_array_index(plan.devices, i), "driver", &driver);
        const char *name = json_object_get_string(driver);
        if (!g_hash_table_contains(capabilities->drivers, name)) {
            error = hypervisor_fail(ret_message, -ENOTSUP, "the QEMU that is installed here has no %s", name);
        }
    }
    qemu_device_plan_clear(&plan);
    return error;
}
