// SPDX-License-Identifier: Apache-2.0
/*
 * The objects that every standalone host has, under the names that ESX gives them: clients know these ids.
 */
#include "base/version.h"
#include "host/system/host_facts.h"
#include "host/system/host_license.h"
#include "host/system/host_options.h"
#include "host/system/host_power.h"
#include "host/snapshot/snapshot.h"
#include "vim/authorization.h"
#include "vim/event.h"
#include "vim/history_collector.h"
#include "vim/property_collector.h"
#include "vim/session.h"
#include "vim/value.h"
#include "vim/view.h"

struct AboutInfo *host_about(const struct host *host)
{
    struct AboutInfo *about = AboutInfo_new();
    const char *newest = vim_versions[vim_newest_version].name;
    about->name = g_strdup("Tenkyu host");
    about->fullName = g_strdup("Tenkyu host " TENKYU_VERSION);
    about->vendor = g_strdup("Tenkyu");
    about->version = g_strdup_printf("%s.0", newest);
    about->build = g_strdup(TENKYU_VERSION);
    about->osType = g_strdup("linux-x64");
    /* What clients decide by: the kind of server and the API, not the maker. */
    about->productLineId = g_strdup("embeddedEsx");
    about->apiType = g_strdup("HostAgent");
    about->apiVersion = g_strdup(newest);
    about->licenseProductName = g_strdup("Tenkyu");
    about->licenseProductVersion = g_strdup(TENKYU_VERSION);
    (void)host;
    return about;
}

static struct vim_ref ref(const struct vim_type *type, const char *id)
{
    return vim_ref_make(type, id);
}

static struct vim_object *add(struct host *host, const struct vim_type *type, const char *id)
{
    return vim_inventory_add(host->server->inventory, type, id, NULL);
}

/* What every managed entity has. */
static struct vim_object *add_entity(struct host *host, const struct vim_type *type, const char *id,
                                     const char *name, const struct vim_type *parent_type,
                                     const char *parent_id)
{
    struct vim_object *object = add(host, type, id);
    struct ManagedEntity *entity = object->properties;
    entity->name = g_strdup(name);
    entity->overallStatus = ManagedEntityStatus_green;
    entity->configStatus = ManagedEntityStatus_green;
    if (parent_id != NULL) {
        entity->parent = ref(parent_type, parent_id);
    }
    return object;
}

static void add_folder(struct host *host, const char *id, const char *name,
                       const struct vim_type *parent_type, const char *parent_id,
                       const char *const *child_types)
{
    struct vim_object *object = add_entity(host, &Folder_type, id, name, parent_type, parent_id);
    for (; *child_types != NULL; child_types++) {
        vim_array_add_string(&VIM_PROPERTIES(object, Folder)->childType, *child_types);
    }
}

static void add_child(struct host *host, const char *folder, const struct vim_type *type, const char *id)
{
    struct vim_ref child = {type, (char *)id};
    vim_ref_list_add(vim_inventory_find(host->server->inventory, folder), "childEntity", &child);
}

static void add_folders(struct host *host)
{
    static const char *const datacenters[] = {"Datacenter", NULL};
    static const char *const vms[] = {"VirtualMachine", NULL};
    static const char *const hosts[] = {"ComputeResource", NULL};
    static const char *const datastores[] = {"Datastore", NULL};
    static const char *const networks[] = {"Network", NULL};
    add_folder(host, HOST_ROOT_FOLDER_ID, HOST_ROOT_FOLDER_ID, NULL, NULL, datacenters);
    struct vim_object *object = add_entity(host, &Datacenter_type, HOST_DATACENTER_ID, HOST_DATACENTER_ID,
                                           &Folder_type, HOST_ROOT_FOLDER_ID);
    struct Datacenter *datacenter = object->properties;
    datacenter->vmFolder = ref(&Folder_type, HOST_VM_FOLDER_ID);
    datacenter->hostFolder = ref(&Folder_type, HOST_HOST_FOLDER_ID);
    datacenter->datastoreFolder = ref(&Folder_type, HOST_DATASTORE_FOLDER_ID);
    datacenter->networkFolder = ref(&Folder_type, HOST_NETWORK_FOLDER_ID);
    datacenter->configuration = DatacenterConfigInfo_new();
    struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
    vim_array_add_ref(&datacenter->network, &network);
    add_folder(host, HOST_VM_FOLDER_ID, "vm", &Datacenter_type, HOST_DATACENTER_ID, vms);
    add_folder(host, HOST_HOST_FOLDER_ID, "host", &Datacenter_type, HOST_DATACENTER_ID, hosts);
    add_folder(host, HOST_DATASTORE_FOLDER_ID, "datastore", &Datacenter_type, HOST_DATACENTER_ID, datastores);
    add_folder(host, HOST_NETWORK_FOLDER_ID, "network", &Datacenter_type, HOST_DATACENTER_ID, networks);
    add_child(host, HOST_ROOT_FOLDER_ID, &Datacenter_type, HOST_DATACENTER_ID);
}

static struct ResourceAllocationInfo *allocation(int64_t reservation, int64_t limit)
{
    struct ResourceAllocationInfo *info = ResourceAllocationInfo_new();
    vim_set_optional(&info->reservation, reservation);
    vim_set_optional(&info->expandableReservation, false);
    vim_set_optional(&info->limit, limit);
    info->shares = SharesInfo_new();
    info->shares->level = SharesLevel_custom;
    info->shares->shares = 1000;
    return info;
}

static struct ResourcePoolResourceUsage *usage(int64_t capacity)
{
    struct ResourcePoolResourceUsage *use = ResourcePoolResourceUsage_new();
    use->unreservedForPool = capacity;
    use->unreservedForVm = capacity;
    use->maxUsage = capacity;
    return use;
}

static void add_pool(struct host *host, int64_t cpu_mhz, int64_t memory_bytes)
{
    struct vim_object *object = add_entity(host, &ResourcePool_type, HOST_POOL_ID, "Resources",
                                           &ComputeResource_type, HOST_COMPUTE_ID);
    struct ResourcePool *pool = object->properties;
    pool->owner = ref(&ComputeResource_type, HOST_COMPUTE_ID);
    pool->config = ResourceConfigSpec_new();
    pool->config->entity = ref(&ResourcePool_type, HOST_POOL_ID);
    pool->config->cpuAllocation = allocation(cpu_mhz, cpu_mhz);
    pool->config->memoryAllocation = allocation(memory_bytes >> 20, memory_bytes >> 20);
    pool->runtime = ResourcePoolRuntimeInfo_new();
    pool->runtime->cpu = usage(cpu_mhz);
    pool->runtime->memory = usage(memory_bytes);
    pool->runtime->overallStatus = ManagedEntityStatus_green;
    pool->summary = ResourcePoolSummary_new();
    pool->summary->name = g_strdup("Resources");
    pool->summary->config = vim_copy(pool->config);
    pool->summary->runtime = vim_copy(pool->runtime);
}

static void add_compute_resource(struct host *host)
{
    struct vim_object *object =
        vim_inventory_add(host->server->inventory, &HostSystem_type, HOST_ID, host_system_properties(host));
    struct HostSystem *system = object->properties;
    system->parent = ref(&ComputeResource_type, HOST_COMPUTE_ID);
    const struct HostHardwareSummary *hardware = system->summary->hardware;
    int64_t cpu_mhz = (int64_t)hardware->cpuMhz * hardware->numCpuCores;
    object = add_entity(host, &ComputeResource_type, HOST_COMPUTE_ID, host->name, &Folder_type,
                        HOST_HOST_FOLDER_ID);
    struct ComputeResource *compute = object->properties;
    compute->resourcePool = ref(&ResourcePool_type, HOST_POOL_ID);
    compute->environmentBrowser = ref(&EnvironmentBrowser_type, HOST_BROWSER_ID);
    vim_array_add_ref(&compute->host, &host->about_host);
    struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
    vim_array_add_ref(&compute->network, &network);
    compute->configurationEx = ComputeResourceConfigInfo_new();
    compute->configurationEx->vmSwapPlacement = g_strdup("vmDirectory");
    compute->summary = ComputeResourceSummary_new();
    compute->summary->totalCpu = compute->summary->effectiveCpu = (int32_t)cpu_mhz;
    compute->summary->totalMemory = hardware->memorySize;
    compute->summary->effectiveMemory = hardware->memorySize >> 20;
    compute->summary->numCpuCores = hardware->numCpuCores;
    compute->summary->numCpuThreads = hardware->numCpuThreads;
    compute->summary->numHosts = compute->summary->numEffectiveHosts = 1;
    compute->summary->overallStatus = ManagedEntityStatus_green;
    add_pool(host, cpu_mhz, hardware->memorySize);
    add(host, &HostDatastoreSystem_type, "ha-datastoresystem");
    add(host, &HostAutoStartManager_type, HOST_AUTOSTART_ID);
    add(host, &OptionManager_type, HOST_ADVANCED_OPTIONS_ID);
    add(host, &HostServiceSystem_type, HOST_SERVICE_SYSTEM_ID);
    add(host, &HostFirewallSystem_type, HOST_FIREWALL_SYSTEM_ID);
    add(host, &HostDateTimeSystem_type, HOST_DATE_TIME_SYSTEM_ID);
    add(host, &HostHealthStatusSystem_type, HOST_HEALTH_SYSTEM_ID);
    add(host, &HostDatastoreBrowser_type, "ha-host-datastorebrowser");
    add_child(host, HOST_HOST_FOLDER_ID, &ComputeResource_type, HOST_COMPUTE_ID);
    add(host, &EnvironmentBrowser_type, HOST_BROWSER_ID);
}

static void add_network(struct host *host)
{
    struct vim_object *object = add_entity(host, &Network_type, HOST_NETWORK_ID, HOST_NETWORK_NAME,
                                           &Folder_type, HOST_NETWORK_FOLDER_ID);
    struct Network *network = object->properties;
    network->summary = NetworkSummary_new();
    network->summary->network = ref(&Network_type, HOST_NETWORK_ID);
    network->summary->name = g_strdup(HOST_NETWORK_NAME);
    network->summary->accessible = true;
    vim_array_add_ref(&network->host, &host->about_host);
    add_child(host, HOST_NETWORK_FOLDER_ID, &Network_type, HOST_NETWORK_ID);
}

/* The managers of the service content, and who implements them. */
static const struct {
    size_t offset; /* of the reference in ServiceContent */
    const struct vim_type *type;
    const char *id;
    const void *methods;
} managers[] = {
    {offsetof(struct ServiceContent, propertyCollector), &PropertyCollector_type, "ha-property-collector",
     &vim_property_collector_methods},
    {offsetof(struct ServiceContent, viewManager), &ViewManager_type, "ViewManager",
     &vim_view_manager_methods},
    {offsetof(struct ServiceContent, sessionManager), &SessionManager_type, "ha-sessionmgr",
     &vim_session_manager_methods},
    {offsetof(struct ServiceContent, authorizationManager), &AuthorizationManager_type, "ha-authmgr",
     &vim_authorization_manager_methods},
    {offsetof(struct ServiceContent, setting), &OptionManager_type, HOST_SETTING_ID,
     &host_option_manager_methods},
    {offsetof(struct ServiceContent, userDirectory), &UserDirectory_type, "ha-user-directory",
     &vim_user_directory_methods},
    {offsetof(struct ServiceContent, accountManager), &HostLocalAccountManager_type, "ha-localacctmgr",
     &vim_local_account_manager_methods},
    {offsetof(struct ServiceContent, taskManager), &TaskManager_type, "ha-taskmgr",
     &vim_task_manager_methods},
    {offsetof(struct ServiceContent, eventManager), &EventManager_type, "ha-eventmgr",
     &vim_event_manager_methods},
    {offsetof(struct ServiceContent, licenseManager), &LicenseManager_type, HOST_LICENSE_ID,
     &host_license_manager_methods},
    {offsetof(struct ServiceContent, searchIndex), &SearchIndex_type, "ha-searchindex",
     &vim_search_index_methods},
    {offsetof(struct ServiceContent, perfManager), &PerformanceManager_type, "ha-perfmgr",
     &host_performance_manager_methods},
    {offsetof(struct ServiceContent, fileManager), &FileManager_type, "ha-nfc-file-manager",
     &host_file_manager_methods},
    {offsetof(struct ServiceContent, virtualDiskManager), &VirtualDiskManager_type, "ha-vdiskmanager",
     &host_virtual_disk_manager_methods},
};

static void add_service_instance(struct host *host)
{
    struct vim_object *object = add(host, &ServiceInstance_type, "ServiceInstance");
    struct ServiceInstance *instance = object->properties;
    instance->capability = Capability_new();
    struct ServiceContent *content = instance->content = ServiceContent_new();
    content->rootFolder = ref(&Folder_type, HOST_ROOT_FOLDER_ID);
    content->about = host_about(host);
    for (size_t i = 0; i < G_N_ELEMENTS(managers); i++) {
        struct vim_ref *at = (struct vim_ref *)(void *)((char *)content + managers[i].offset);
        *at = ref(managers[i].type, managers[i].id);
        add(host, managers[i].type, managers[i].id);
        vim_server_implement(host->server, managers[i].type, managers[i].methods);
    }
    host_performance_manager_fill(
        vim_inventory_find(host->server->inventory, content->perfManager.id)->properties);
    host->server->service_instance = vim_ref_copy(&object->ref);
    host->server->root_folder = vim_ref_copy(&content->rootFolder);
    host->server->property_collector = vim_ref_copy(&content->propertyCollector);
}

int host_inventory_attach(struct host *host, char **ret_message)
{
    struct vim_server *server = host->server;
    struct vim_ref instance = server->service_instance;
    vim_read_lock(server->inventory);
    const struct vim_object *object = vim_inventory_find(server->inventory, instance.id);
    struct ServiceContent *content = vim_copy(VIM_PROPERTIES(object, ServiceInstance)->content);
    vim_read_unlock(server->inventory);
    vim_sessions_attach(server->sessions, &content->sessionManager);
    vim_tasks_attach(server->tasks, &content->taskManager);
    vim_events_attach(server->events, &content->eventManager);
    int error = vim_authorization_attach(server->authorization, &content->authorizationManager, ret_message);
    vim_free(content);
    return error;
}

void host_inventory_build(struct host *host)
{
    struct vim_server *server = host->server;
    vim_write_lock(server->inventory);
    add_folders(host);
    add_compute_resource(host);
    add_network(host);
    vim_write_unlock(server->inventory);
    vim_write_lock(server->inventory);
    add_service_instance(host);
    vim_write_unlock(server->inventory);
    vim_server_implement(server, &ServiceInstance_type, &host_service_instance_methods);
    vim_server_implement(server, &PropertyFilter_type, &vim_property_filter_methods);
    vim_server_implement(server, &ContainerView_type, &vim_container_view_methods);
    vim_server_implement(server, &ListView_type, &vim_list_view_methods);
    vim_server_implement(server, &InventoryView_type, &vim_inventory_view_methods);
    vim_server_implement(server, &Task_type, &vim_task_methods);
    vim_server_implement(server, &TaskHistoryCollector_type, &vim_task_history_collector_methods);
    vim_server_implement(server, &EventHistoryCollector_type, &vim_event_history_collector_methods);
    vim_server_implement(server, &Folder_type, &host_folder_methods);
    vim_server_implement(server, &ResourcePool_type, &host_resource_pool_methods);
    vim_server_implement(server, &VirtualMachine_type, &host_virtual_machine_methods);
    vim_server_implement(server, &VirtualMachineSnapshot_type, &host_snapshot_methods);
    vim_server_implement(server, &Datastore_type, &host_datastore_methods);
    vim_server_implement(server, &EnvironmentBrowser_type, &host_environment_browser_methods);
    vim_server_implement(server, &HostSystem_type, &host_system_methods);
    vim_server_implement(server, &HostAutoStartManager_type, &host_autostart_methods);
    vim_server_implement(server, &HostServiceSystem_type, &host_service_system_methods);
    vim_server_implement(server, &HostFirewallSystem_type, &host_firewall_system_methods);
    vim_server_implement(server, &HostDateTimeSystem_type, &host_date_time_system_methods);
    vim_server_implement(server, &HostHealthStatusSystem_type, &host_health_status_system_methods);
    vim_server_implement(server, &HostDatastoreSystem_type, &host_datastore_system_methods);
    vim_server_implement(server, &HostDatastoreBrowser_type, &host_datastore_browser_methods);
}

static struct vim_fault *retrieve_service_content(struct vim_call *call,
                                                  const struct RetrieveServiceContent_args *args,
                                                  struct RetrieveServiceContent_result *ret)
{
    (void)args;
    vim_read_lock(call->server->inventory);
    ret->returnval = vim_copy(VIM_PROPERTIES(vim_call_object(call), ServiceInstance)->content);
    vim_read_unlock(call->server->inventory);
    return NULL;
}

static struct vim_fault *current_time(struct vim_call *call, const struct CurrentTime_args *args,
                                      struct CurrentTime_result *ret)
{
    (void)args;
    ret->returnval = vim_now_us(call->server);
    return NULL;
}

const struct ServiceInstance_methods host_service_instance_methods = {
    .RetrieveServiceContent = retrieve_service_content,
    .CurrentTime = current_time,
};
