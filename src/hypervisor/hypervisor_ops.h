// SPDX-License-Identifier: Apache-2.0
/*
 * What a hypervisor backend provides, for hypervisor.c and the backends only.
 *
 * A backend's own struct begins with struct hypervisor. The functions have the contracts of hypervisor.h;
 * hypervisor.c has checked the id of a start, and ret_message is never NULL when a backend is called.
 */
#pragma once

#include "hypervisor/hypervisor.h"

#include <glib.h>

struct hypervisor_ops {
    void (*free)(struct hypervisor *hv);
    char **(*adopt)(struct hypervisor *hv);
    int (*get_state)(struct hypervisor *hv, const char *id, enum hypervisor_vm_state *ret);
    int (*check_machine)(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                         char **ret_message);
    int (*check_device)(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                        const struct VirtualDevice *device, char **ret_message);
    int (*open_nvram_template)(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                               int *ret_fd, char **ret_message);
    int (*start)(struct hypervisor *hv, const struct hypervisor_start *start, char **ret_message);
    int (*stop)(struct hypervisor *hv, const char *id, char **ret_message);
    int (*reset)(struct hypervisor *hv, const char *id, char **ret_message);
    int (*pause)(struct hypervisor *hv, const char *id, char **ret_message);
    int (*unpause)(struct hypervisor *hv, const char *id, char **ret_message);
    int (*press_power)(struct hypervisor *hv, const char *id, char **ret_message);
    int (*suspend)(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress, void *data,
                   char **ret_message);
    int (*send_keys)(struct hypervisor *hv, const char *id, const struct hypervisor_key *keys, size_t n,
                     char **ret_message);
    int (*screenshot)(struct hypervisor *hv, const char *id, int fd, char **ret_message);
    int (*open_screen)(struct hypervisor *hv, const char *id, int *ret_fd, char **ret_message);
    int (*open_serial)(struct hypervisor *hv, const char *id, int32_t device_key, int *ret_fd,
                       char **ret_message);
    int (*plug)(struct hypervisor *hv, const char *id, const struct VirtualMachineConfigInfo *config,
                const struct VirtualDevice *device, const struct hypervisor_file *file, char **ret_message);
    int (*unplug)(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                  char **ret_message);
    int (*get_devices)(struct hypervisor *hv, const char *id, int32_t **ret_keys, size_t *ret_n,
                       char **ret_message);
    int (*change_medium)(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                         const struct hypervisor_file *file, char **ret_message);
    int (*change_port)(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                       const struct hypervisor_file *file, char **ret_message);
    int (*set_link)(struct hypervisor *hv, const char *id, const struct VirtualDevice *device, bool connected,
                    char **ret_message);
    int (*resize_disk)(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                       int64_t capacity_bytes, char **ret_message);
    int (*get_images)(struct hypervisor *hv, const char *id, int32_t device_key,
                      struct hypervisor_image **ret_images, size_t *ret_n, char **ret_message);
    int (*snapshot)(struct hypervisor *hv, const char *id, const struct hypervisor_snapshot *snapshot,
                    struct hypervisor_pause *ret, char **ret_message);
    int (*commit)(struct hypervisor *hv, const char *id, const struct hypervisor_commit *commit,
                  bool *ret_held, char **ret_message);
    int (*release)(struct hypervisor *hv, const char *id, char **ret_message);
    int (*get_stats)(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret);
    /* *ret is empty when called. */
    int (*get_device_stats)(struct hypervisor *hv, const char *id, struct hypervisor_device_stats *ret);
};

struct hypervisor {
    const struct hypervisor_ops *ops;
    struct hypervisor_info info; /* strings owned by the backend */
};

/* Sets *ret_message to the formatted sentence and returns `error`, a negative errno. */
int hypervisor_fail(char **ret_message, int error, const char *format, ...) G_GNUC_PRINTF(3, 4);

/* Events on their way to the host: any thread may push, one thread of the queue's own hands them on. */
struct event_queue;
struct event_queue *event_queue_new(hypervisor_event_fn event, void *data);
/* Copies the event. */
void event_queue_push(struct event_queue *queue, const char *id, const struct hypervisor_event *event);
/* Hands on what is queued, and frees. No push may follow or be under way. */
void event_queue_free(struct event_queue *queue);
