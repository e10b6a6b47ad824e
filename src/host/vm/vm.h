// SPDX-License-Identifier: Apache-2.0
/*
 * Virtual machines of a host, grouped by the file that implements what is declared.
 *
 * A VirtualMachine object's properties are what clients see; its .vmx file is what survives. A change is
 * written to the .vmx first and shown afterwards. An operation runs on a task's thread, takes the machine's
 * job (only one at a time: a second one gets TaskInProgress), copies the configuration, does its I/O, and
 * then shows the outcome under the inventory's lock.
 */
#pragma once

#include "host/host_internal.h"

struct snapshot_list;
struct vmx;

/* ---- vm.c: the object and what it shows ------------------------------------------------------------ */

struct vm {
    gatomicrefcount references;
    struct host *host;
    char *id;                     /* "vm-12" */
    char *vmx_path;               /* "[ds] folder/name.vmx" */
    GMutex job;                   /* see above; only tried, never waited for */
    int lock_fd;                  /* with job: see vm_lock.c; -1 while the lock is not held here */
    struct vim_fault *lock_fault; /* with job: why vm_begin could not lock it, owned, or NULL */
    GMutex storage;               /* see vm_storage.c; after job and before the inventory */
    int storage_moves; /* atomic: it ran when its files were looked at last, so they may have grown since */
    bool invented;     /* by sim_population.c: it has no files, so nothing of it outlives the process */
    struct snapshot_list
        *snapshots;      /* under the inventory's lock: as shown, owned, or NULL; see snapshot_show.c */
    int guest_shut_down; /* atomic: the guest has powered itself off, its process is about to go */
};

struct vm *vm_ref(struct vm *vm);
void vm_unref(struct vm *vm);
#define VM_AUTO __attribute__((cleanup(vm_cleanup))) struct vm *
static inline void vm_cleanup(struct vm **vm)
{
    vm_unref(*vm);
}

/* The machine that a call is for, with a reference: ManagedObjectNotFound. */
struct vim_fault *vm_of_call(struct vim_call *call, struct vm **ret);
/* By id, with a reference, or NULL. */
struct vm *vm_find(struct host *host, const char *id);
struct vim_ref vm_reference(const struct vm *vm); /* borrows vm->id */

/* Shows a machine (powered off) with this configuration, which is moved in. (no lock held) */
struct vm *vm_show(struct host *host, const char *id, const char *vmx_path,
                   struct VirtualMachineConfigInfo *config);
/* Takes it off the inventory. (no lock held) */
void vm_hide(struct vm *vm);

/* What any machine of this host can do. */
struct VirtualMachineCapability *vm_capability(const struct host *host);
/* A copy of the configuration, and the power state, as shown now. NULL when it is gone. */
struct VirtualMachineConfigInfo *vm_config(struct vm *vm);
enum VirtualMachinePowerState vm_power_state(struct vm *vm);
/* Shows another configuration, which is moved in. (no lock held) */
void vm_set_config(struct vm *vm, struct VirtualMachineConfigInfo *config);
void vm_set_power_state(struct vm *vm, enum VirtualMachinePowerState state);
/* Shows that the guest begins anew without its machine having stopped: a reset. */
void vm_guest_restarted(struct vm *vm);
/* Fills the disks' capacities, labels and summaries that a configuration read from a file lacks. */
void vm_config_complete(struct vm *vm, struct VirtualMachineConfigInfo *config);

/* Begins and ends an operation on the task's thread: TaskInProgress, ManagedObjectNotFound, FileLocked. The
 * machine's files are locked meanwhile: by its process if it runs when the operation begins, else by us. */
struct vim_fault *vm_begin(struct vm *vm, struct vim_task *task);
void vm_end(struct vm *vm);
/* InvalidVmConfig when the machine's .vmx could not be read: what is shown of it is not what it is. */
struct vim_fault *vm_require_accessible(struct vm *vm);
/* InvalidPowerState unless the machine is in this state. */
struct vim_fault *vm_require_power(struct vm *vm, enum VirtualMachinePowerState required);

/* Starts a task on the machine that the call is for. `data` is moved in; run gets it in vm_task.data. */
struct vm_task {
    struct vm *vm;
    void *data;
    void (*data_free)(void *data);
    struct vim_fault *(*run)(struct vim_task *task, struct vm *vm, void *data);
};
struct vim_fault *vm_task_start(struct vim_call *call, const char *description_id,
                                struct vim_fault *(*run)(struct vim_task *task, struct vm *vm, void *data),
                                void *data, void (*data_free)(void *data), bool cancelable,
                                struct vim_ref *ret_task);
/* Posts an event about the machine for the task's user. */
#define vm_event(vm, task, type, ...)                                                 \
    do {                                                                              \
        struct vim_ref about_ = vm_reference(vm);                                     \
        vim_event_post_for((vm)->host->server, (struct Event *)type##_new(), &about_, \
                           (task) != NULL ? vim_task_user(task) : NULL, __VA_ARGS__); \
    } while (0)

/* ---- vm_disk.c: modes, sharing, and temporary overlays of disks ---------------------------------------- */

/* Whether what is written to the disk is thrown away at power-off. */
bool vm_disk_is_temporary(const struct VirtualDeviceBackingInfo *backing);
/* Whether other machines may write to it too. */
bool vm_disk_is_shared(const struct VirtualDeviceBackingInfo *backing);
/* InvalidDeviceBacking for modes that there are not; `index` is the device's in deviceChange. */
struct vim_fault *vm_disk_check_mode(const struct VirtualDiskFlatVer2BackingInfo *backing, unsigned index,
                                     bool powered_on);
/* InvalidDeviceBacking for a disk that is to be shared and cannot be: it is not flat (see vmdk.h). */
struct vim_fault *vm_disk_check_sharing(const struct VirtualDiskFlatVer2BackingInfo *backing, unsigned index,
                                        bool flat);
/* Takes over mode and sharing of a disk that is edited, which are changed while the machine is off. */
struct vim_fault *vm_disk_edit_backing(struct host *host, struct VirtualDeviceBackingInfo *backing,
                                       const struct VirtualDeviceBackingInfo *wanted, unsigned index,
                                       bool powered_on);
/* InvalidDeviceSpec for a SCSI controller whose bus is to be shared. */
struct vim_fault *vm_disk_check_bus(const struct VirtualDevice *device, unsigned index);
/* Adds "[ds] name-flat.vmdk" for "[ds] name.vmdk". */
void vm_disk_flat_path(const char *vmdk, GPtrArray *paths);
/* The same if the disk is flat and has its data there. */
void vm_disk_own_flat_path(struct host *host, const char *vmdk, GPtrArray *paths);
/* An empty overlay for a disk, in a file without a name, which goes when nobody has it open any more. */
struct vim_fault *vm_disk_open_temporary(struct host *host, const struct VirtualDevice *device,
                                         struct hypervisor_file *ret);
/* The label of a disk of the machine whose writes are thrown away at power-off (g_free), or NULL. */
char *vm_disk_find_temporary(const struct VirtualMachineConfigInfo *config);

/* ---- vm_question.c: what a stopped guest waits for ----------------------------------------------------- */

enum vm_trouble_kind {
    VM_TROUBLE_NO_SPACE = 1,  /* the datastore is full */
    VM_TROUBLE_IO_ERROR,      /* a disk cannot be read or written */
    VM_TROUBLE_FOUND_STOPPED, /* an agent that has just started does not know why */
};

struct vm_trouble {
    enum vm_trouble_kind kind;
    int32_t device_key; /* of the disk, or 0 */
};
/* Shows a question, unless there is one, and posts an event. Memory work only. */
void vm_question_ask(struct vm *vm, const struct vm_trouble *trouble);
/* The guest goes on without an answer. */
void vm_question_withdraw(struct vm *vm);
struct vim_fault *vm_answer_call(struct vim_call *call, const struct AnswerVM_args *args);

/* ---- vm_storage.c: files and the space that they take ------------------------------------------------- */

/* Looks at the machine's files and shows what has changed. Done when an operation on it ends (vm_end). Blocks. */
void vm_storage_refresh(struct vm *vm);
/* The same for all machines whose files may have grown by themselves, and for all datastores. Every 20 seconds. */
void vm_storage_round(struct host *host);
struct vim_fault *vm_refresh_storage_call(struct vim_call *call, const struct RefreshStorageInfo_args *args);

/* ---- vm_lock.c: the lock on a machine's files -------------------------------------------------------- */

#define VM_LOCK_SUFFIX ".vmx.lck"
/*
 * Locks the machine's files for the operation that has the job, and is done by vm_begin for one that does not
 * run. An operation that ends the machine's process and changes files after that calls it in between, because the
 * lock was the process's. FileLocked: another host has it; FileFault: it cannot be locked. Success when we have it.
 */
struct vim_fault *vm_lock_take(struct vm *vm);
/* Ends the lock of an operation, or leaves it to the process of a machine that runs. */
void vm_lock_release(struct vm *vm, bool runs);

/* ---- vm_files.c: the .vmx file and the files that a start needs ------------------------------------ */

/* Reads and maps a .vmx: FileNotFound, InvalidVmConfig... */
struct vim_fault *vm_load(struct host *host, const char *vmx_path, struct VirtualMachineConfigInfo **ret);
/* Writes the configuration into the .vmx, keeping what it does not know: the old file or the new. */
struct vim_fault *vm_save(struct host *host, const char *vmx_path,
                          const struct VirtualMachineConfigInfo *config);
/* The file's dictionary alone; *ret_vmx is a new one when the file does not exist and `create` is set. The
 * path is the file's within its datastore (g_free). Then that as a configuration; vmx_path is the machine's. */
struct vim_fault *vm_read_dictionary(struct host *host, const char *vmx_path, bool create,
                                     struct datastore **ret_datastore, char **ret_path, struct vmx **ret_vmx);
struct vim_fault *vm_write_dictionary(const struct datastore *datastore, const char *path,
                                      const char *vmx_path, const struct vmx *dictionary);
struct vim_fault *vm_config_of(struct host *host, const struct vmx *dictionary,
                               const struct datastore *datastore, const char *path, const char *vmx_path,
                               struct VirtualMachineConfigInfo **ret);
/* Single keys beside the configuration: NULL removes. */
struct vim_fault *vm_save_key(struct host *host, const char *vmx_path, const char *key, const char *value);
/* The value of a single key, freed with g_free, or NULL. */
char *vm_load_key(struct host *host, const char *vmx_path, const char *key);

enum {
    VM_DISK_CHAIN_MAX = 66
}; /* disks that build on each other, beside the top: twice what snapshots allow */

/* Of the file with a suspended machine's memory, and of that file while it is written. */
#define VM_MEMORY_SUFFIX ".vmss"
#define VM_MEMORY_PART_SUFFIX ".vmss.part"

/* The opened files of a start. */
struct vm_files {
    GArray *files; /* of struct hypervisor_file; the fds are owned */
};
struct vim_fault *vm_files_open(struct host *host, const struct VirtualMachineConfigInfo *config,
                                struct vm_files *ret);
/* Opens the file behind one device; *ret_fd is -1 for a device that has none. */
struct vim_fault *vm_files_open_device(struct host *host, const struct VirtualDevice *device,
                                       struct hypervisor_file *ret);
void vm_files_close(struct vm_files *files);

/* ---- vm_board_files.c: what the board of a machine keeps -------------------------------------------- */

#define VM_TPM_SUFFIX ".tpm" /* of the folder with the state of its TPM */
/* "[ds] folder/name.nvram": where the variables of its EFI firmware are, whether they are there or not. */
char *vm_nvram_path(struct host *host, const char *vmx_path);
/* Opens, at the first power-on makes, the variables and the TPM's state, as far as the machine has them, and adds
 * them (struct hypervisor_file) to `files`. */
struct vim_fault *vm_board_files_open(struct host *host, const struct VirtualMachineConfigInfo *config,
                                      GArray *files);
/* The names of all of them, for a destroy: a folder comes after what is in it. */
void vm_board_files_list(struct host *host, const char *vmx_path, GPtrArray *paths);

/* ---- journal.c: what to undo, or to finish, after a crash ------------------------------------------- */

/* Written before files are made or removed, gone when the operation is over. */
enum journal_kind {
    JOURNAL_CREATE = 1, /* a new machine: unless it was registered, its files go */
    JOURNAL_DISKS,      /* new disks of a machine: those that its .vmx does not name go */
    JOURNAL_FILES,      /* files in the making: what has no final name yet goes; the id is a task's */
    JOURNAL_DESTROY,    /* a machine is destroyed: once it is not registered, its files go */
    JOURNAL_SNAPSHOT,   /* snapshots: files that neither .vmx nor .vmsd names go; see snapshot_journal.c */
    JOURNAL_REVERT,     /* the same; first the .vmsn, and a file that the .vmx names once it is done */
};
/* `paths`: "[ds] file" and "[ds] folder/" (a folder goes only when it is empty). 0 or a negative errno. */
int journal_begin(struct host *host, const char *vm_id, enum journal_kind kind, const char *vmx_path,
                  GPtrArray *paths);
/* Reads a machine's: -ENOENT when there is none. */
int journal_read(struct host *host, const char *vm_id, enum journal_kind *ret_kind, GPtrArray **ret_paths);
/* 0, also when there is none, or a negative errno. One that is left over does no harm while its machine stays
 * registered; the next start removes it. */
int journal_end(struct host *host, const char *vm_id);
/* Removes the files that a journal names, as far as they exist. */
void journal_remove_files(struct host *host, GPtrArray *paths);
/* At start, when the list of registered machines is known and before any is shown. */
void journal_recover(struct host *host);
/* When another datastore can be reached than at the start: does what had to wait for it. */
void journal_recover_late(struct host *host);

/* ---- registry.c: which machines there are ----------------------------------------------------------- */

int registry_load(struct host *host, char **ret_message);
/* A new id, which no registered machine has or had. */
char *registry_new_id(struct host *host);
/* Adds and removes; the file is written before this returns. */
struct vim_fault *registry_add(struct host *host, const char *id, const char *vmx_path);
struct vim_fault *registry_remove(struct host *host, const char *id);
/* Shows all registered machines, and finds those that run. */
void registry_show(struct host *host);
/* Reads those whose .vmx is on a datastore that can be reached only now. */
void registry_show_late(struct host *host, const struct datastore *datastore);
/* The machine whose .vmx this is, with a reference, or NULL. */
struct vm *registry_find_path(struct host *host, const char *vmx_path);

/* ---- vm_create.c ------------------------------------------------------------------------------------ */

extern const struct Folder_methods host_folder_methods;
extern const struct ResourcePool_methods host_resource_pool_methods;
struct vim_fault *vm_unregister_call(struct vim_call *call, const struct UnregisterVM_args *args);
struct vim_fault *vm_destroy_call(struct vim_call *call, const struct Destroy_Task_args *args,
                                  struct Destroy_Task_result *ret);
struct vim_fault *vm_rename_call(struct vim_call *call, const struct Rename_Task_args *args,
                                 struct Rename_Task_result *ret);
/* DuplicateName or InvalidName when a machine may not be called so. */
struct vim_fault *vm_check_name(struct host *host, const char *name, const struct vm *except);

/* ---- vm_spec.c: what a VirtualMachineConfigSpec changes --------------------------------------------- */

/* A change that has been checked, and what has to be done for it besides writing the .vmx. */
struct vm_change {
    struct VirtualMachineConfigInfo *config; /* as it will be; owned */
    GPtrArray *new_disks;                    /* of struct VirtualDisk * in config: files to be made */
    GPtrArray *removed_files;                /* of char *: "[ds] path.vmdk" to be deleted afterwards */
    GPtrArray *added;                        /* of struct VirtualDevice * in config */
    GPtrArray *removed;                      /* of struct VirtualDevice *, owned copies */
    GPtrArray *edited;                       /* of struct VirtualDevice * in config */
};
/* A configuration with the devices that every machine has. */
struct VirtualMachineConfigInfo *vm_spec_new_config(void);
/* Works out what `spec` makes of `config` (copied): a typed fault naming the property, or *ret. Nothing
 * outside memory changes. `folder` is "[ds] folder" of the machine. */
struct vim_fault *vm_spec_apply(struct host *host, const struct VirtualMachineConfigInfo *config,
                                const char *folder, const struct VirtualMachineConfigSpec *spec,
                                bool powered_on, struct vm_change **ret);
void vm_change_free(struct vm_change *change);
/* Makes the new disks' files; on a fault those made are removed again. */
struct vim_fault *vm_change_make_disks(struct host *host, struct vm_change *change);
/* The files that making the disks may leave: for the journal. */
GPtrArray *vm_change_paths(struct vm_change *change);
void vm_disk_paths(const char *vmdk, GPtrArray *paths);

/* ---- vm_access.c: privileges --------------------------------------------------------------------------- */

/* NoPermission unless the caller may make these changes to the machine that the call is for. */
struct vim_fault *vm_check_privileges(struct vim_call *call, const struct VirtualMachineConfigSpec *spec);
/* The same for what the spec uses: space on datastores, networks to connect to. */
struct vim_fault *vm_check_access(struct vim_call *call, const struct VirtualMachineConfigSpec *spec);

/* The same for what a .vmx names that is about to be registered: whoever wrote it need not have been allowed
 * to use that. */
struct vim_fault *vm_check_file_access(struct vim_call *call, const char *vmx_path);

/* ---- vm_devices.c: device keys, unit numbers, labels ------------------------------------------------- */

struct VirtualDevice *vm_device_by_key(const struct VirtualMachineConfigInfo *config, int32_t key);
/* Gives a new device its key, unit and label, and checks that its controller takes it. */
struct vim_fault *vm_device_place(struct VirtualMachineConfigInfo *config, struct VirtualDevice *device,
                                  unsigned index);
/* Fills deviceInfo of a device from what it is. */
void vm_device_describe(struct VirtualDevice *device);
/* Rebuilds VirtualController.device of all controllers. */
void vm_device_link(struct VirtualMachineConfigInfo *config);

/* ---- vm_methods.c, and the methods of vm_power.c, vm_reconfigure.c, console.c ------------------------------------------------ */

extern const struct VirtualMachine_methods host_virtual_machine_methods;
#define VM_METHOD(function, Name)                                                     \
    struct vim_fault *function(struct vim_call *call, const struct Name##_args *args, \
                               struct Name##_result *ret)
VM_METHOD(vm_power_on_call, PowerOnVM_Task);
VM_METHOD(vm_power_off_call, PowerOffVM_Task);
VM_METHOD(vm_reset_call, ResetVM_Task);
VM_METHOD(vm_suspend_call, SuspendVM_Task);
struct vim_fault *vm_shutdown_guest_call(struct vim_call *call, const struct ShutdownGuest_args *args);
/* Asks the guest of a machine that is on; user may be NULL: the system. Returns when it has been asked. */
struct vim_fault *vm_shutdown_guest(struct vm *vm, const char *user);
struct vim_fault *vm_reboot_guest_call(struct vim_call *call, const struct RebootGuest_args *args);
VM_METHOD(vm_reconfigure_call, ReconfigVM_Task);
/* Brings the devices of a machine that was found running to what its .vmx says: a change was cut off. */
void vm_reconcile_devices(struct vm *vm);
VM_METHOD(vm_put_usb_scan_codes_call, PutUsbScanCodes);
VM_METHOD(vm_screenshot_call, CreateScreenshot_Task);
VM_METHOD(vm_acquire_ticket_call, AcquireTicket);
/* Powers on, or resumes, within an operation. */
struct vim_fault *vm_power_on(struct vim_task *task, struct vm *vm);
struct vim_fault *vm_power_off(struct vim_task *task, struct vm *vm);
struct vim_fault *vm_suspend(struct vim_task *task, struct vm *vm);
/* Powers off for good: the process is gone or about to go. Used before a destroy and by events. */
void vm_on_event(void *host, const char *id, const struct hypervisor_event *event);
/* Shows that a machine was found running at start. */
void vm_adopted(struct vm *vm);
