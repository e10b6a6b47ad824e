// SPDX-License-Identifier: Apache-2.0
/*
 * The QEMU backend's inside: what its source files share.
 *
 *   qemu.c      the backend: opens, adopts, watches processes, turns QMP events into ours
 *   start.c     a power on, from files and configuration to a running guest
 *   control.c   stop, reset, pause, screen, serial ports
 *   stats.c     figures
 *   suspend.c   saving the state into a file and loading it
 *   hotplug.c   devices, media, links and sizes of a running guest
 *   tpm.c       the process that is a virtual machine's TPM
 *
 * A virtual machine is in the table from the moment its start begins; others see it when it has started.
 * One thread, the watcher, learns of every death, and is the only one that takes a virtual machine that
 * has started out of the table. Locks, in the order in which they are taken: qemu.lock, qemu_vm.lock.
 * Neither is held across QMP or a file operation.
 */
#pragma once

#include "hypervisor/hypervisor_ops.h"
#include "hypervisor/qemu/capabilities.h"
#include "hypervisor/qemu/process.h"
#include "hypervisor/qemu/record.h"

struct json_object;
struct qmp;

enum {
    QEMU_COMMAND_MS = 20000, /* until a command of QMP counts as lost: a busy disk may hold up QEMU */
    QEMU_QUIT_MS = 3000,     /* until a QEMU that was asked to quit is killed */
    QEMU_DEATH_MS = 20000,   /* until a killed process must be dead */
};

#define QEMU_MONITOR_SOCKET "monitor.sock"
#define QEMU_OUTPUT_FILE "qemu.log"
#define QEMU_SERIAL_SOCKET "serial-%d.sock" /* with the device's key */

struct qemu {
    struct hypervisor base;
    char *program; /* path of the QEMU binary */
    char *version;
    struct qemu_capabilities capabilities;
    bool kvm;
    bool own_users; /* each QEMU gets a user of its own */
    gid_t kvm_gid;  /* the group that may open /dev/kvm, or 0 */
    int run_dir_fd; /* also holds the lock that keeps a second server off the folder */
    struct event_queue *events;
    GMutex lock;
    GHashTable *vms;   /* with lock: id to struct qemu_vm (a reference) */
    GHashTable *slots; /* with lock: set of the user slots in use, GINT_TO_POINTER(slot) */
    int epoll_fd; /* every pidfd, with the struct qemu_vm (borrowed from the table); stop_fd, with NULL */
    int stop_fd;  /* an eventfd that ends the watcher */
    GThread *watcher;
};

struct qemu_vm {
    gatomicrefcount references;
    struct qemu *qemu;
    char *id;
    int folder_fd;
    int output_fd; /* to read QEMU's messages back, or -1 */
    struct process process;
    struct process tpm;   /* of swtpm; its pidfd is -1 when there is none */
    int tpm_folder_fd;    /* with the TPM's state, owned, or -1 */
    struct record record; /* changed only by who runs a changing operation (the caller's job lock) */
    int64_t
        held_fdset;  /* of an image that a held guest does not use any more, or -1; with the job lock too */
    struct qmp *qmp; /* from before the virtual machine can be found until it is freed */

    GMutex lock;
    GCond changed;        /* with lock: any of the following changed */
    bool started;         /* others may find it */
    bool expected;        /* its end was asked for, by us or by the guest */
    unsigned job_changes; /* how often a job of the block layer has changed */
    int64_t resumed_us;   /* when the guest last began to run, by the monotonic clock */
    enum hypervisor_vm_state state;
    GHashTable *deleted;     /* ids of devices that the guest has let go (owned) */
    GHashTable *not_deleted; /* ids of devices that it has refused to let go (owned) */
    char *migration;         /* status of the last MIGRATION event, or NULL */
};

/* qemu.c */

/* A reference to a started virtual machine, or NULL. */
struct qemu_vm *qemu_find(struct hypervisor *hv, const char *id);
struct qemu_vm *qemu_vm_ref(struct qemu_vm *vm);
void qemu_vm_unref(struct qemu_vm *vm);
typedef struct qemu_vm qemu_vm; /* only for g_autoptr(qemu_vm) */
G_DEFINE_AUTOPTR_CLEANUP_FUNC(qemu_vm, qemu_vm_unref)

/* A virtual machine in the making, not in any table. */
struct qemu_vm *qemu_vm_new(struct qemu *qemu, const char *id);
/* Connects to the monitor. */
int qemu_vm_connect(struct qemu_vm *vm, int timeout_ms, char **ret_message);
/* Makes it visible and watches its process. It must be in the table. A state of 0 leaves what the events
 * have said. */
void qemu_vm_publish(struct qemu_vm *vm, enum hypervisor_vm_state state);
/* The last that QEMU had to complain about in this run, for people; NULL when there is nothing. g_free. */
char *qemu_vm_last_words(const struct qemu_vm *vm);
/* Removes the run folder and gives the user slot back. The process must be dead. */
void qemu_vm_tidy(struct qemu_vm *vm);

/* Runs a command that has no interesting result. arguments is consumed. */
int qemu_vm_execute(struct qemu_vm *vm, const char *command, struct json_object *arguments,
                    char **ret_message);
/* The same, with one descriptor. */
int qemu_vm_execute_fd(struct qemu_vm *vm, const char *command, struct json_object *arguments, int fd,
                       char **ret_message);
/* Runs a command without descriptors and gives its result (json_object_put). */
int qemu_vm_query(struct qemu_vm *vm, const char *command, struct json_object *arguments,
                  struct json_object **ret, char **ret_message);
/* An object of strings: name, value pairs, ended by NULL. */
struct json_object *qemu_json(const char *name, ...) G_GNUC_NULL_TERMINATED;
/* The string member of an object; "" when it is not there. */
const char *qemu_json_string(struct json_object *object, const char *name);

/* start.c */

int qemu_start(struct hypervisor *hv, const struct hypervisor_start *start, char **ret_message);
/* A descriptor of the same file with an open file description of its own, so that locks and offsets are
 * not shared with the caller's. access is O_RDONLY, O_RDWR or O_WRONLY | O_APPEND. */
int qemu_reopen(int fd, int access, int *ret_fd);
/* The same for a file of a drive or port, as its use demands. */
/* A listening socket in the run folder, for QEMU; one of that name that was there before is removed. */
int qemu_vm_listen(struct qemu_vm *vm, const char *name, int *ret_fd, char **ret_message);
int qemu_reopen_file(const struct hypervisor_file *file, bool parent, int *ret_fd, char **ret_message);

/* tpm.c */

/* Makes the TPM's process, which waits for process_go(). vm->tpm_folder_fd is its state; control_fd, its end
 * of a pair of sockets, is borrowed, and QEMU must have the only descriptor of the other end. */
int qemu_tpm_fork(struct qemu_vm *vm, int control_fd, int output_fd, uid_t uid, char **ret_message);
/* Finds the process that the record names. */
void qemu_tpm_adopt(struct qemu_vm *vm);
/* Waits for its end, and hastens it. QEMU must be dead. */
void qemu_tpm_end(struct qemu_vm *vm);

/* control.c */

/* Ends the process of a started virtual machine and waits until the watcher has buried it. */
int qemu_vm_end(struct qemu_vm *vm, char **ret_message);
int qemu_stop(struct hypervisor *hv, const char *id, char **ret_message);
int qemu_reset(struct hypervisor *hv, const char *id, char **ret_message);
int qemu_pause(struct hypervisor *hv, const char *id, char **ret_message);
int qemu_unpause(struct hypervisor *hv, const char *id, char **ret_message);
int qemu_press_power(struct hypervisor *hv, const char *id, char **ret_message);
int qemu_send_keys(struct hypervisor *hv, const char *id, const struct hypervisor_key *keys, size_t n,
                   char **ret_message);
int qemu_screenshot(struct hypervisor *hv, const char *id, int fd, char **ret_message);
int qemu_open_screen(struct hypervisor *hv, const char *id, int *ret_fd, char **ret_message);
int qemu_open_serial(struct hypervisor *hv, const char *id, int32_t device_key, int *ret_fd,
                     char **ret_message);
/* Passes a duplicate of fd to QEMU as a new fdset whose descriptor is called `opaque`. */
int qemu_vm_add_fd(struct qemu_vm *vm, int fd, const char *opaque, int64_t *ret_fdset, char **ret_message);
/* Removes every fdset whose descriptor is called `opaque`. */
void qemu_vm_remove_fds(struct qemu_vm *vm, const char *opaque);

/* stats.c */

int qemu_get_stats(struct hypervisor *hv, const char *id, struct hypervisor_stats *ret);
int qemu_get_device_stats(struct hypervisor *hv, const char *id, struct hypervisor_device_stats *ret);

/* suspend.c */

int qemu_suspend(struct hypervisor *hv, const char *id, int fd, hypervisor_progress_fn progress, void *data,
                 char **ret_message);
/* Loads saved state into a QEMU that was started to wait for it; the guest is stopped afterwards. */
int qemu_vm_load_state(struct qemu_vm *vm, int fd, char **ret_message);
/* Saving in two steps, so that the guest stands still only for the second: what can be done before, and the saving.
 * With a background snapshot the guest is let go as soon as its devices are saved. -ECANCELED by progress. */
int qemu_vm_prepare_state(struct qemu_vm *vm, int fd, char **ret_message);
int qemu_vm_save_state(struct qemu_vm *vm, hypervisor_progress_fn progress, void *data, char **ret_message);
/* Whether memory is saved while the guest runs on. Fails when the kernel does not let QEMU see its writes. */
int qemu_vm_set_background(struct qemu_vm *vm, bool on, char **ret_message);
/* Writes down what is going on. */
int qemu_vm_set_phase(struct qemu_vm *vm, enum record_phase phase, char **ret_message);
/* Undoes a suspend that died with the server: the guest runs on. */
int qemu_vm_abandon_suspend(struct qemu_vm *vm, char **ret_message);

/* hotplug.c */

int qemu_plug(struct hypervisor *hv, const char *id, const struct VirtualMachineConfigInfo *config,
              const struct VirtualDevice *device, const struct hypervisor_file *file, char **ret_message);
int qemu_unplug(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                char **ret_message);
int qemu_get_devices(struct hypervisor *hv, const char *id, int32_t **ret_keys, size_t *ret_n,
                     char **ret_message);
int qemu_change_medium(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                       const struct hypervisor_file *file, char **ret_message);
int qemu_change_port(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                     const struct hypervisor_file *file, char **ret_message);
int qemu_set_link(struct hypervisor *hv, const char *id, const struct VirtualDevice *device, bool connected,
                  char **ret_message);
int qemu_resize_disk(struct hypervisor *hv, const char *id, const struct VirtualDevice *device,
                     int64_t capacity_bytes, char **ret_message);
int qemu_vm_set_link(struct qemu_vm *vm, int32_t key, bool connected, char **ret_message);
