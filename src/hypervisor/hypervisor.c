// SPDX-License-Identifier: Apache-2.0
/*
 * The hypervisor interface in front of its backends: checks what is common to all of them, keeps
 * ret_message optional for callers, and calls the backend.
 */
#include "hypervisor/hypervisor.h"

#include "hypervisor/hypervisor_ops.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

enum { ID_LENGTH_MAX = 64 };

int hypervisor_fail(char **ret_message, int error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    *ret_message = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    return error;
}

/* Calls a backend function whose last parameter is ret_message, and makes sure that a failure has one. */
#define CALL(hv, function, ...)                                                                 \
    ({                                                                                          \
        g_autofree char *message_ = NULL;                                                       \
        int error_ = (hv)->ops->function((hv), __VA_ARGS__, &message_);                         \
        if (error_ != 0 && ret_message != NULL) {                                               \
            *ret_message = message_ != NULL ? g_steal_pointer(&message_) : message_for(error_); \
        }                                                                                       \
        error_;                                                                                 \
    })

static char *message_for(int error)
{
    return g_strdup(error == -ENOENT ? "no such virtual machine runs here" : g_strerror(-error));
}

/* The id names a folder and goes into a command line, so it must be harmless in both. */
static bool id_is_valid(const char *id)
{
    size_t length = strlen(id);

    if (length == 0 || length > ID_LENGTH_MAX || id[0] == '-') {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isalnum(id[i]) && id[i] != '-') {
            return false;
        }
    }
    return true;
}

void hypervisor_free(struct hypervisor *hv)
{
    if (hv != NULL) {
        hv->ops->free(hv);
    }
}

const struct hypervisor_info *hypervisor_info(const struct hypervisor *hv)
{
    return &hv->info;
}

char **hypervisor_adopt(struct hypervisor *hv)
{
    return hv->ops->adopt(hv);
}

int hypervisor_vm_get_state(struct hypervisor *hv, const char *id, enum hypervisor_vm_state *ret)
{
    return hv->ops->get_state(hv, id, ret);
}

int hypervisor_check_machine(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                             char **ret_message)
{
    return CALL(hv, check_machine, config);
}

int hypervisor_check_device(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                            const struct VirtualDevice *device, char **ret_message)
{
    return CALL(hv, check_device, config, device);
}

int hypervisor_open_nvram_template(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                                   int *ret_fd, char **ret_message)
{
    return CALL(hv, open_nvram_template, config, ret_fd);
}

int hypervisor_vm_start(struct hypervisor *hv, const struct hypervisor_start *start, char **ret_message)
{
    if (!id_is_valid(start->id)) {
        if (ret_message != NULL) {
            *ret_message = g_strdup("the id of the virtual machine has other than letters, digits and '-'");
        }
        return -EINVAL;
    }
    return CALL(hv, start, start);
}

int hypervisor_vm_stop(struct hypervisor *hv, const char *id, char **ret_message)
{
    return CALL(hv, stop, id);
}

int hypervisor_vm_reset(struct hypervisor *hv, const char *id, char **ret_message)
{
    return CALL(hv, reset, id);
}

int hypervisor_vm_pause(struct hypervisor *hv, const char *id, char **ret_message)
{
    return CALL(hv, pause, id);
}

int hypervisor_vm_unpause(struct hypervisor *hv, const char *id, char **ret_message)
{
    return CALL(hv, unpause, id);
}

int hypervisor_vm_press_power(struct hypervisor *hv, const char *id, char **ret_message)
{
    return CALL(hv, press_power, id);
}

int hypervisor_vm_suspend(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress,
                          void *data, char **ret_message)
{
    return CALL(hv, suspend, id, fd, progress, data);
}

int hypervisor_vm_send_keys(struct hypervisor *hv, const char *id, const struct hypervisor_key *keys,
                            size_t n, char **ret_message)
{
    return CALL(hv, send_keys, id, keys, n);
}

int hypervisor_vm_screenshot(struct hypervisor *hv, const char *id, int fd, char **ret_message)
{
    return CALL(hv, screenshot, id, fd);
}

int hypervisor_vm_open_screen(struct hypervisor *hv, const char *id, int *ret_fd, char **ret_message)
{
    return CALL(hv, open_screen, id, ret_fd);
}

int hypervisor_vm_open_serial(struct hypervisor *hv, const char *id, int32_t device_key, int *ret_fd,
                              char **ret_message)
{
    return CALL(hv, open_serial, id, device_key, ret_fd);
}

int hypervisor_vm_plug(struct hypervisor *hv, const char *id, const struct VirtualMachineConfigInfo *config,
                       const struct VirtualDevice *device, const struct hypervisor_file *file,
                       char **ret_message)
{
    return CALL(hv, plug, id, config, device, file);
}

int hypervisor_vm_unplug(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                         char **ret_message)
{
    return CALL(hv, unplug, id, device);
}

int hypervisor_vm_get_devices(struct hypervisor *hv, const char *id, int32_t **ret_keys, size_t *ret_n,
                              char **ret_message)
{
    return CALL(hv, get_devices, id, ret_keys, ret_n);
}

int hypervisor_vm_change_medium(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                                const struct hypervisor_file *file, char **ret_message)
{
    return CALL(hv, change_medium, id, device, file);
}

int hypervisor_vm_change_port(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                              const struct hypervisor_file *file, char **ret_message)
{
    return CALL(hv, change_port, id, device, file);
}

int hypervisor_vm_set_link(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                           bool connected, char **ret_message)
{
    return CALL(hv, set_link, id, device, connected);
}

int hypervisor_vm_resize_disk(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                              int64_t capacity_bytes, char **ret_message)
{
    return CALL(hv, resize_disk, id, device, capacity_bytes);
}

int hypervisor_vm_get_images(struct hypervisor *hv, const char *id, int32_t device_key,
                             struct hypervisor_image **ret_images, size_t *ret_n, char **ret_message)
{
    return CALL(hv, get_images, id, device_key, ret_images, ret_n);
}

int hypervisor_vm_snapshot(struct hypervisor *hv, const char *id, const struct hypervisor_snapshot *snapshot,
                           struct hypervisor_pause *ret, char **ret_message)
{
    return CALL(hv, snapshot, id, snapshot, ret);
}

int hypervisor_vm_commit(struct hypervisor *hv, const char *id, const struct hypervisor_commit *commit,
                         bool *ret_held, char **ret_message)
{
    return CALL(hv, commit, id, commit, ret_held);
}

int hypervisor_vm_release(struct hypervisor *hv, const char *id, char **ret_message)
{
    return CALL(hv, release, id);
}

int hypervisor_vm_get_stats(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret)
{
    return hv->ops->get_stats(hv, id, ret);
}

int hypervisor_vm_get_device_stats(struct hypervisor *hv, const char *id, struct hypervisor_device_stats *ret)
{
    *ret = (struct hypervisor_device_stats){.balloon_bytes = -1};
    return hv->ops->get_device_stats(hv, id, ret);
}

void hypervisor_device_stats_clear(struct hypervisor_device_stats *stats)
{
    g_free(stats->cpus);
    g_free(stats->disks);
    g_free(stats->nics);
    *stats = (struct hypervisor_device_stats){.balloon_bytes = -1};
}
