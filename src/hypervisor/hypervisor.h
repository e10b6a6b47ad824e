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
    HYPERVISOR_KEY_NVRAM = -4,       /* a writable file: the variables of EFI firmware */
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
    const char *format; /* "qcow2" or "raw"; "tap" of a network adapter; "host_cdrom" of a drive of the host;
                           "folder" with the state of a TPM, whose owner the hypervisor may change; "socket" of a
                           serial port that is called: it listens */
};

/* What a guest operating system wants of its board and the API has no property for. All false suits Linux. */
struct hypervisor_guest {
    bool local_time; /* the clock of the board shows local time */
    bool no_hpet;    /* it keeps better time without an HPET */
};

/* What starts a virtual machine. All members are borrowed for the call. */
struct hypervisor_start {
    const char *id; /* the managed object id; names the run folder: letters, digits, '-' */
    const struct VirtualMachineConfigInfo *config;
    const struct hypervisor_file *files;
    size_t n_files;
    struct hypervisor_guest guest;
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
    bool simulated;          /* its virtual machines use nothing of this machine */
};

struct hypervisor_stats {
    int64_t cpu_time_ns;       /* processor time used by the virtual machine since its start */
    int64_t host_memory_bytes; /* resident memory on the host */
    int64_t uptime_ms;
};

/* Totals of one virtual processor since it began. */
struct hypervisor_cpu_stats {
    int64_t run_ns;
    int64_t ready_ns; /* it could have run, but no processor of the host was free for it */
};

/* Totals of one drive since it began. Times are the sums over all requests. */
struct hypervisor_disk_stats {
    int32_t device_key;
    int64_t reads;
    int64_t writes;
    int64_t read_bytes;
    int64_t written_bytes;
    int64_t read_ns;
    int64_t write_ns;
};

/* Totals of one network adapter, from the guest's side. */
struct hypervisor_nic_stats {
    int32_t device_key;
    int64_t received_bytes;
    int64_t sent_bytes;
    int64_t received_packets;
    int64_t sent_packets;
    int64_t received_dropped;
    int64_t sent_dropped;
};

/* What is known of the parts of a virtual machine. What is not known is not there: an adapter with address
 * translation in user space, say, has no entry. Arrays are owned. */
struct hypervisor_device_stats {
    struct hypervisor_cpu_stats *cpus; /* by number of the virtual processor */
    size_t n_cpus;
    struct hypervisor_disk_stats *disks;
    size_t n_disks;
    struct hypervisor_nic_stats *nics;
    size_t n_nics;
    int64_t balloon_bytes; /* what the guest has given back of its memory, or -1 */
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

/* Whether a start would take such a machine, or such a device of it, as far as that can be told without its
 * files. -EINVAL: it contradicts itself; -ENOTSUP: there is no such thing here. Nothing is changed. */
int hypervisor_check_machine(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                             char **ret_message);
int hypervisor_check_device(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                            const struct VirtualDevice *device, char **ret_message);
/* Opens what the file of HYPERVISOR_KEY_NVRAM of a new machine begins with; -1 when this backend needs none.
 * A file of another size is none of ours. */
int hypervisor_open_nvram_template(struct hypervisor *hv, const struct VirtualMachineConfigInfo *config,
                                   int *ret_fd, char **ret_message);

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

/* A key of the keyboard as USB numbers it (HID Usage Tables, page 7), with the modifiers held down: bits 0 to 7 are
 * left Ctrl, Shift, Alt, Windows, then the right ones, as in a keyboard's report. */
struct hypervisor_key {
    uint8_t usage;
    uint8_t modifiers;
};
/* Whether keyboards have such a key. */
bool hypervisor_key_is_known(uint8_t usage);
/* Presses and releases the keys one after the other; returns when they are queued. At most
 * HYPERVISOR_KEYS_MAX, all known. -ENOTSUP: there is no keyboard. */
enum { HYPERVISOR_KEYS_MAX = 200 };
int hypervisor_vm_send_keys(struct hypervisor *hv, const char *id, const struct hypervisor_key *keys,
                            size_t n, char **ret_message);

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
/* Connects a serial port as its backing and connectable.connected now say. One that is connected is cut first, by a
 * call that says so: the new connection may need its place. file is what it writes to, or listens with; NULL for a
 * port that hypervisor_vm_open_serial is for. -ENOTSUP: another device. */
int hypervisor_vm_change_port(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                              const struct hypervisor_file *file, char **ret_message);
/* Plugs or pulls the virtual cable of a network adapter. */
int hypervisor_vm_set_link(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                           bool connected, char **ret_message);
/* Grows a disk to capacity_bytes while it runs. */
int hypervisor_vm_resize_disk(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                              int64_t capacity_bytes, char **ret_message);

/*
 * Disks whose images build on each other. The host names images by open descriptors, the hypervisor by what
 * file that is. The bottom of a chain is never changed but by a commit.
 */

/* An image, as fstat(2) tells it. */
struct hypervisor_image {
    uint64_t device;
    uint64_t inode;
};

/* The images of a disk as they are in use now, the one that the guest writes into first; *ret_images is freed
 * with g_free. */
int hypervisor_vm_get_images(struct hypervisor *hv, const char *id, int32_t device_key,
                             struct hypervisor_image **ret_images, size_t *ret_n, char **ret_message);

/* What a snapshot needs. All members are borrowed for the call. */
struct hypervisor_snapshot {
    const struct hypervisor_file *overlays; /* one empty image for each disk, writable: its new top */
    size_t n_overlays;
    int memory_fd; /* an empty file for memory and devices, open for reading and writing: or -1 */
    hypervisor_progress_fn progress; /* of saving memory; may be NULL */
    void *data;
};
/* How long the guest stood still for it, and whether it ran on while memory was saved. */
struct hypervisor_pause {
    int64_t pause_us;
    bool background;
};

/*
 * Puts the overlays over the disks, all at one moment: what the guest writes from then on goes into them. With
 * memory_fd, memory and devices of that same moment are in the file (synced) when this returns. On failure the
 * guest runs on; whether in the overlays, hypervisor_vm_get_images() tells (all or none). -ECANCELED.
 */
int hypervisor_vm_snapshot(struct hypervisor *hv, const char *id, const struct hypervisor_snapshot *snapshot,
                           struct hypervisor_pause *ret, char **ret_message);

/* A merge of two images of a disk. All members are borrowed for the call. */
struct hypervisor_commit {
    int32_t device_key;
    int top_fd;   /* what is merged, */
    int base_fd;  /* into what lies directly under it, open for reading and writing */
    int above_fd; /* what lies directly on top, open for reading and writing; -1 when nothing does */
    hypervisor_progress_fn progress;
    void *data;
};

/*
 * Writes what top has into base and takes top out of the disk, while the guest runs. When the guest writes
 * into top itself it is held still in the end, with both images alike, and *ret_held is set: until
 * hypervisor_vm_release(), whatever happens to this server. Done already is success. On failure, and
 * -ECANCELED, the disk is as before, and base has some of top.
 */
int hypervisor_vm_commit(struct hypervisor *hv, const char *id, const struct hypervisor_commit *commit,
                         bool *ret_held, char **ret_message);
/* Lets a guest go on that a commit holds, also one of an earlier server; ends what that left under way. */
int hypervisor_vm_release(struct hypervisor *hv, const char *id, char **ret_message);

int hypervisor_vm_get_stats(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret);
/* Asks the process itself, within two seconds; whatever it does not answer is left out of *ret. */
int hypervisor_vm_get_device_stats(struct hypervisor *hv, const char *id,
                                   struct hypervisor_device_stats *ret);
/* Frees the arrays. */
void hypervisor_device_stats_clear(struct hypervisor_device_stats *stats);
