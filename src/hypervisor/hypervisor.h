// SPDX-License-Identifier: Apache-2.0
/*
 * The hypervisor: what a host needs of the thing that runs its virtual machines, and nothing of how.
 *
 * Two implementations: qemu (a QEMU process per virtual machine) and sim (in memory). The host calls
 * these functions on task threads; each may block. The hypervisor knows no datastore, no inventory and
 * no client: the host opens every file and passes descriptors, so a backend needs no access to storage.
 * Nothing calls back synchronously: events come on the hypervisor's own thread, never under a lock and
 * never from inside one of these calls.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct VirtualDevice;
struct VirtualMachineConfigInfo;
struct hypervisor;
struct hypervisor_ops;

/* What a key may name other than a device of the configuration. */
enum {
    HYPERVISOR_KEY_KERNEL = -1,      /* a file: the Linux kernel to boot instead of the firmware's choice */
    HYPERVISOR_KEY_INITRD = -2,      /* a file: its initial RAM disk */
    HYPERVISOR_KEY_GUEST_AGENT = -3, /* hypervisor_vm_open_serial: the channel to the agent in the guest */
};

/*
 * A file of a virtual machine that the host has opened for it. Several with one key are a disk and its
 * parents, the writable top first, each the parent of the one before. A network adapter may have a tap
 * device; one without gets address translation in user space. A kernel is booted with what extraConfig
 * says under "tenkyu.append" as its command line; where "tenkyu.kernel" or "tenkyu.initrd" is set there,
 * the file must be here.
 */
struct hypervisor_file {
    int32_t device_key; /* the VirtualDevice.key that it backs, or HYPERVISOR_KEY_KERNEL or _INITRD */
    int fd;             /* borrowed for the call; the hypervisor duplicates what it keeps */
    bool read_only;     /* a writable disk's fd must be open for reading and writing */
    const char *format; /* "qcow2" or "raw"; "tap" of a network adapter */
};

/* What starts a virtual machine. All members are borrowed for the call. */
struct hypervisor_start {
    const char *id; /* the managed object id; names the run folder: letters, digits, '-' */
    const struct VirtualMachineConfigInfo *config;
    const struct hypervisor_file *files;
    size_t n_files;
    int state_fd; /* saved state to resume from, read from the start of the file, or -1 to boot */
    int log_fd;   /* where the backend's own messages go (appended), or -1 */
    int lock_fd;  /* kept open, as the same open file, as long as the virtual machine runs: or -1 */
};

enum hypervisor_vm_state {
    HYPERVISOR_VM_RUNNING = 1,
    HYPERVISOR_VM_PAUSED, /* stopped by an I/O error or before it was told to run */
    HYPERVISOR_VM_GONE,   /* no process any more */
};

enum hypervisor_event_kind {
    HYPERVISOR_EVENT_STATE = 1,      /* state changed; see state */
    HYPERVISOR_EVENT_RESET,          /* the guest was reset, by itself or by request */
    HYPERVISOR_EVENT_GUEST_SHUTDOWN, /* the guest powered itself off; GONE follows */
    HYPERVISOR_EVENT_IO_ERROR,       /* a disk failed; see device_key and no_space */
    HYPERVISOR_EVENT_GONE,           /* the process is no more; see reason */
};

struct hypervisor_event {
    enum hypervisor_event_kind kind;
    enum hypervisor_vm_state state;
    int32_t device_key;
    bool no_space;
    const char *reason; /* for people; NULL when the end was asked for */
};

/* Called on the hypervisor's event thread, in order for each id. It must not call the hypervisor back. */
typedef void (*hypervisor_event_fn)(void *data, const char *id, const struct hypervisor_event *event);

/* What the hypervisor can do on this machine; constant for its lifetime. */
struct hypervisor_info {
    const char *name;        /* "qemu" or "sim" */
    const char *version;     /* "7.2.22" */
    const char *accelerator; /* "kvm", "tcg" or "sim" */
    int32_t max_cpus;        /* in one virtual machine */
};

struct hypervisor_stats {
    int64_t cpu_time_ns;       /* processor time used by the virtual machine since its start */
    int64_t host_memory_bytes; /* resident memory on the host */
    int64_t uptime_ms;
};

struct hypervisor_options {
    const char *run_dir;       /* for sockets and process records; made when missing, 0700 */
    const char *accelerator;   /* "kvm", "tcg", or NULL to probe */
    hypervisor_event_fn event; /* may be NULL */
    void *event_data;
    int64_t (*clock_ms)(void *clock_data); /* sim: its time, never going back; NULL for the machine's own */
    void *clock_data;
};

/*
 * Every function that can fail returns 0 or a negative errno and, on failure, sets *ret_message to a
 * sentence for people (to be freed with g_free). -ENOENT: no such virtual machine runs here.
 */

/* Opens a backend. The probe for usable KVM has a deadline and runs in a child process. */
int hypervisor_qemu_new(const struct hypervisor_options *options, struct hypervisor **ret,
                        char **ret_message);
int hypervisor_sim_new(const struct hypervisor_options *options, struct hypervisor **ret, char **ret_message);
/* Closes the backend. Virtual machines run on; a later hypervisor on the same run_dir finds them. */
void hypervisor_free(struct hypervisor *hv);

const struct hypervisor_info *hypervisor_info(const struct hypervisor *hv);

/* The ids that an earlier hypervisor on this run_dir left running (NULL-terminated, g_strfreev). Each is
 * connected to again before this returns; what is dead is tidied away and not listed. */
char **hypervisor_adopt(struct hypervisor *hv);
int hypervisor_vm_get_state(struct hypervisor *hv, const char *id, enum hypervisor_vm_state *ret);

/* Starts, and returns when the guest's processors run (or the state is loaded and they run). */
int hypervisor_vm_start(struct hypervisor *hv, const struct hypervisor_start *start, char **ret_message);
/* Ends the process at once, as by pulling the plug; returns when it is gone. */
int hypervisor_vm_stop(struct hypervisor *hv, const char *id, char **ret_message);
int hypervisor_vm_reset(struct hypervisor *hv, const char *id, char **ret_message);
int hypervisor_vm_pause(struct hypervisor *hv, const char *id, char **ret_message);
int hypervisor_vm_unpause(struct hypervisor *hv, const char *id, char **ret_message);
/* Presses the ACPI power button; does not wait for the guest. */
int hypervisor_vm_press_power(struct hypervisor *hv, const char *id, char **ret_message);

/* Progress of long calls, in percent; returning false cancels. Called on the caller's thread. */
typedef bool (*hypervisor_progress_fn)(void *data, int percent);

/* Saves memory and device state into fd (synced) and ends the process. On failure or cancel the virtual
 * machine runs on and what is in fd is worthless. */
int hypervisor_vm_suspend(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress,
                          void *data, char **ret_message);

/* Writes the screen as PNG into fd. */
int hypervisor_vm_screenshot(struct hypervisor *hv, const char *id, int fd, char **ret_message);
/* A connected socket that speaks RFB (RFC 6143) to the screen, authentication "None"; the caller closes it. */
int hypervisor_vm_open_screen(struct hypervisor *hv, const char *id, int *ret_fd, char **ret_message);
/* A connected socket to the serial port with this device key, or to HYPERVISOR_KEY_GUEST_AGENT; one client
 * at a time (-EBUSY). -ENODEV: no such port, or one that writes to a file. */
int hypervisor_vm_open_serial(struct hypervisor *hv, const char *id, int32_t device_key, int *ret_fd,
                              char **ret_message);

/* Hot plug; file is NULL for a device without one. config is the configuration that the device will be
 * part of: its controllers tell where it goes. Unplug returns when the guest has let go (-ETIMEDOUT). */
int hypervisor_vm_plug(struct hypervisor *hv, const char *id, const struct VirtualMachineConfigInfo *config,
                       const struct VirtualDevice *device, const struct hypervisor_file *file,
                       char **ret_message);
int hypervisor_vm_unplug(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                         char **ret_message);
/* The keys of the devices that the running machine really has, as far as they were not soldered to its board;
 * *ret_keys is freed with g_free. -ENOTSUP: the backend has no devices. */
int hypervisor_vm_get_devices(struct hypervisor *hv, const char *id, int32_t **ret_keys, size_t *ret_n,
                              char **ret_message);
/* Changes the medium of a CD or floppy drive; file NULL ejects. */
int hypervisor_vm_change_medium(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                                const struct hypervisor_file *file, char **ret_message);
/* Plugs or pulls the virtual cable of a network adapter. */
int hypervisor_vm_set_link(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                           bool connected, char **ret_message);
/* Grows a disk to capacity_bytes while it runs. */
int hypervisor_vm_resize_disk(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                              int64_t capacity_bytes, char **ret_message);

int hypervisor_vm_get_stats(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret);
