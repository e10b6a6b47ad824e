// SPDX-License-Identifier: Apache-2.0
/*
 * What the files of the host share, grouped by the file that implements it.
 *
 * Locks, in the order in which they are taken:
 *   1. struct vm.job       one changing operation of a virtual machine at a time; held across I/O
 *   2. host.registry       the list of registered virtual machines and its file; held while that is written
 *      host.datastore_list the same for datastores; held while one is mounted. Never both
 *   3. the inventory       memory work only
 *   4. host.lock           small maps; memory work only
 */
#pragma once

#include "host/storage/datastore_path.h"
#include "host/host.h"
#include "hypervisor/hypervisor.h"
#include "vim/faults.h"
#include "vim/server.h"
#include "vim/task.h"
#include "vim/types.h"

struct host {
    struct vim_server *server;
    struct hypervisor *hypervisor;
    struct http_server *http;
    struct users *users;
    char *state_dir;
    int state_fd;  /* of that folder */
    char *name;    /* of the machine */
    char **listen; /* as given */
    bool plain_http;
    char *first_password;
    char *thumbprint;           /* SHA-1 of the certificate, as the VI API shows it, or NULL */
    char *fingerprint;          /* SHA-256 of it, for people to compare, or NULL */
    GMutex registry;            /* see above */
    GMutex datastore_list;      /* see above */
    GHashTable *registered;     /* id -> "[ds] path.vmx", under registry */
    uint64_t next_vm;           /* under registry */
    GMutex lock;                /* see above */
    GPtrArray *datastores;      /* of struct datastore *, owned; changed under datastore_list and lock */
    GHashTable *reserved_names; /* of machines that are being made */
    GHashTable *tickets;        /* console tickets; see console.c */
    struct guest_agents *guest_agents; /* see guest_agent.h */
    struct port_links *port_links;     /* see port_link.h */
    struct statistics *statistics;     /* see statistics.h */
    struct host_facts *facts;          /* see host_facts.h */
    GMutex autostart;    /* changes of what starts and stops with the host; held while its file is written */
    GMutex options;      /* changes of options and licenses; held while their files are written */
    int going_down;      /* atomic: how many stop what stops with the host, as the machine goes down */
    int maintenance;     /* atomic: enum host_maintenance */
    int powering_on;     /* atomic: how many machines are being powered on */
    char *power_program; /* reboots and powers off the machine, or NULL */
    int stopping;        /* atomic */
    int64_t boot_time_us;
    struct vim_ref about_host; /* ha-host */

    /* Datastores, and their names, that are no longer in the list: somebody may have one. */
    GPtrArray *former_datastores;
    GPtrArray *former_names;
    /* Of a folder that is gone: what is opened beneath it is not there, nor can it be made. */
    int nowhere_fd;
    struct datastore_watch *datastore_watch; /* see datastore_watch.h */
};

/* ---- inventory.c: the objects that every standalone host has --------------------------------------- */

#define HOST_ID "ha-host"
#define HOST_ROOT_FOLDER_ID "ha-folder-root"
#define HOST_DATACENTER_ID "ha-datacenter"
#define HOST_VM_FOLDER_ID "ha-folder-vm"
#define HOST_HOST_FOLDER_ID "ha-folder-host"
#define HOST_DATASTORE_FOLDER_ID "ha-folder-datastore"
#define HOST_NETWORK_FOLDER_ID "ha-folder-network"
#define HOST_COMPUTE_ID "ha-compute-res"
#define HOST_POOL_ID "ha-root-pool"
#define HOST_NETWORK_ID "HaNetwork-VM Network"
#define HOST_NETWORK_NAME "VM Network"
#define HOST_BROWSER_ID "ha-env-browser"
#define HOST_AUTOSTART_ID "ha-autostart-mgr"

/* Builds the inventory without virtual machines and datastores. */
void host_inventory_build(struct host *host);
/* When all objects are there: hands the managers to those who keep their properties. */
int host_inventory_attach(struct host *host, char **ret_message);
struct AboutInfo *host_about(const struct host *host);
extern const struct ServiceInstance_methods host_service_instance_methods;

/* ---- host_system.c: the machine itself ------------------------------------------------------------ */

struct HostSystem *host_system_properties(struct host *host);
/* HostSystem.config.network: owned by the caller. */
struct HostNetworkInfo *host_network_info(const struct host *host);
int64_t host_memory_bytes(void);
int host_cpu_mhz(void);

/* ---- datastore.c, datastore_space.c, datastore_system.c -------------------------------------------- */

struct datastore {
    char *name;
    char *path; /* absolute folder on this machine */
    int fd; /* of that folder, or of nowhere; every file is opened beneath it. The number stays the same */
    struct vim_ref ref;
    struct vim_ref browser;
    struct HostNasVolume
        *nas;       /* owned: what is mounted on the folder, or NULL for a folder of this machine */
    bool read_only; /* mounted so */
    int accessible; /* atomic: the folder is open and its storage answers */
    int recovered;  /* atomic: it has been accessible since the host's start */
};

int host_datastores_load(struct host *host, char **ret_message);
void host_datastores_free(struct host *host);
/* By name, or NULL. Datastores live as long as the host. */
struct datastore *host_datastore(struct host *host, const char *name);
/* All of now: an array that is unref'd, of datastores that are borrowed. */
GPtrArray *host_datastores_copy(struct host *host);
enum { HOST_DATASTORE_ANSWER_US = 3 * 1000 * 1000 }; /* what a folder gets for an answer */
/* Mounts what is to be mounted and is not. 0 or a negative errno with *ret_message. (datastore_list) */
int host_datastore_mount(struct host *host, struct datastore *datastore, char **ret_message);
/* Makes an open folder, which is moved in, the one that its files are opened beneath. 0 or a negative errno. */
int host_datastore_take_folder(struct datastore *datastore, int fd);
/* Lets its folder go; files that are open stay so. */
void host_datastore_close(struct host *host, struct datastore *datastore);
/* Makes a datastore of a folder or volume, which is moved in, and shows it. read_only is of volumes. DuplicateName,
 * AlreadyExists, NasVolumeNotMounted, FileFault. */
struct vim_fault *host_datastore_add(struct host *host, const char *name, const char *path,
                                     struct HostNasVolume *nas, bool read_only, struct datastore **ret);
/* ResourceInUse when it is used; else nobody finds it any more. */
struct vim_fault *host_datastore_remove(struct host *host, struct datastore *datastore);
/* ResourceInUse while machines are on it, whose files name it; DuplicateName. */
struct vim_fault *host_datastore_rename(struct host *host, struct datastore *datastore, const char *name);
/* "[ds] path" for "[] /path/of/ds/path", which is how the VI API tells of a file by its path on the machine: libvirt
 * writes such into a .vmx. NULL: text is none such, or within no datastore. g_free. */
char *host_datastore_path(struct host *host, const char *text);
/* Parses "[ds] path", or what host_datastore_path knows, and finds the datastore: InvalidDatastorePath,
 * InvalidDatastore, InaccessibleDatastore. */
struct vim_fault *host_resolve(struct host *host, const char *text, const char *property,
                               struct datastore **ret_datastore, char **ret_path);
/* A file fault for an errno of an operation on "[ds] path". */
struct vim_fault *host_file_fault(const char *datastore_path, int error, const char *what);
/* A fault for an errno of writing something in the state folder; `what` names it: "the journal". */
struct vim_fault *host_state_fault(int error, const char *what);
/* Reads free space again, of one or of all that are folders of this machine; see also datastore_watch.h. */
void host_datastore_refresh(struct host *host, struct datastore *datastore);
void host_datastores_refresh(struct host *host);
/* The same with figures, in bytes, that somebody has read already. */
void host_datastore_show_space(struct host *host, struct datastore *datastore, int64_t capacity,
                               int64_t free_space);
extern const struct Datastore_methods host_datastore_methods;
extern const struct EnvironmentBrowser_methods host_environment_browser_methods; /* environment.c */
extern const struct HostDatastoreSystem_methods host_datastore_system_methods;
extern const struct HostDatastoreBrowser_methods host_datastore_browser_methods;
extern const struct FileManager_methods host_file_manager_methods;
extern const struct VirtualDiskManager_methods host_virtual_disk_manager_methods;

/* ---- folder_files.c: /folder over HTTP ------------------------------------------------------------- */

struct http_request;
void host_folder_begin(struct host *host, struct http_request *request);
bool host_folder_handle(struct host *host, struct http_request *request, const char *path);

/* ---- console.c: tickets, /ticket over WebSocket ---------------------------------------------------- */

bool host_ticket_handle(struct host *host, struct http_request *request, const char *path);
/* Answers /screen; see screen.c. */
bool host_screen_handle(struct host *host, struct http_request *request, const char *path);
void host_tickets_free(struct host *host);

/* ---- performance_manager.c ------------------------------------------------------------------------ */

extern const struct PerformanceManager_methods host_performance_manager_methods;
/* Sets the counters and their descriptions. */
void host_performance_manager_fill(struct PerformanceManager *manager);
