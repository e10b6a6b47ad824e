// SPDX-License-Identifier: Apache-2.0
/*
 * The machine itself, as HostSystem shows it: what the kernel says in /proc and /sys, and nothing invented.
 */
#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <stdlib.h>
#include <string.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/file.h"
#include "host/system/host_facts.h"
#include "host/system/host_license.h"
#include "host/system/host_options.h"
#include "vim/value.h"

/* The rest of the first line in a /proc file that begins with `name`, without ": "; freed with g_free. */
static char *proc_value(const char *path, const char *name)
{
    g_autofree char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return NULL;
    }
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    for (char **line = lines; *line != NULL; line++) {
        const char *colon = strchr(*line, ':');
        if (g_str_has_prefix(*line, name) && colon != NULL) {
            return g_strstrip(g_strdup(colon + 1));
        }
    }
    return NULL;
}

/* A file of /sys in one line, or `fallback`. */
static char *sys_value(const char *path, const char *fallback)
{
    char *text = NULL;
    if (g_file_get_contents(path, &text, NULL, NULL) && g_strstrip(text)[0] != '\0') {
        return text;
    }
    g_free(text);
    return g_strdup(fallback);
}

int64_t host_memory_bytes(void)
{
    struct sysinfo info;
    return sysinfo(&info) == 0 ? (int64_t)info.totalram * info.mem_unit : 0;
}

int host_cpu_mhz(void)
{
    g_autofree char *text = proc_value("/proc/cpuinfo", "cpu MHz");
    return text != NULL ? (int)g_ascii_strtod(text, NULL) : 1000;
}

/* The machine's UUID; a made-up one for a machine that does not tell is kept in the state folder. */
static char *machine_uuid(const struct host *host)
{
    char *uuid = sys_value("/sys/class/dmi/id/product_uuid", "");
    if (g_uuid_string_is_valid(uuid)) {
        return uuid;
    }
    g_free(uuid);
    g_autofree char *path = g_build_filename(host->state_dir, "machine-uuid", NULL);
    uuid = sys_value(path, "");
    if (!g_uuid_string_is_valid(uuid)) {
        g_free(uuid);
        uuid = g_uuid_string_random();
        (void)file_replace(host->state_fd, "machine-uuid", uuid, strlen(uuid), 0600);
    }
    return uuid;
}

static struct HostHardwareSummary *hardware_summary(const struct host *host)
{
    struct HostHardwareSummary *hardware = HostHardwareSummary_new();
    g_autofree char *cores = proc_value("/proc/cpuinfo", "cpu cores");
    g_autofree char *siblings = proc_value("/proc/cpuinfo", "siblings");
    int threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    int per_package = siblings != NULL ? MAX(atoi(siblings), 1) : threads;
    hardware->vendor = sys_value("/sys/class/dmi/id/sys_vendor", "unknown");
    hardware->model = sys_value("/sys/class/dmi/id/product_name", "unknown");
    hardware->uuid = machine_uuid(host);
    hardware->memorySize = host_memory_bytes();
    hardware->cpuModel = proc_value("/proc/cpuinfo", "model name");
    hardware->cpuMhz = host_cpu_mhz();
    hardware->numCpuThreads = (int16_t)threads;
    hardware->numCpuPkgs = (int16_t)MAX(threads / per_package, 1);
    hardware->numCpuCores =
        (int16_t)MIN(threads, hardware->numCpuPkgs * (cores != NULL ? MAX(atoi(cores), 1) : per_package));
    return hardware;
}

/* A register as the VI API spells it: 32 binary digits, the highest first, in groups of four. */
static char *register_bits(unsigned value)
{
    GString *text = g_string_sized_new(40);
    for (int bit = 31; bit >= 0; bit--) {
        g_string_append_c(text, value >> bit & 1 ? '1' : '0');
        if (bit % 4 == 0 && bit > 0) {
            g_string_append_c(text, ':');
        }
    }
    return g_string_free(text, FALSE);
}

/* What the processor says of itself; clients read from it whether 64-bit guests can run. */
static void add_cpu_features(struct HostHardwareInfo *hardware)
{
#if defined(__x86_64__)
    static const unsigned levels[] = {0, 1, 0x80000000U, 0x80000001U, 0x80000008U};
    for (size_t i = 0; i < G_N_ELEMENTS(levels); i++) {
        unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
        if (__get_cpuid(levels[i], &eax, &ebx, &ecx, &edx) == 0) {
            continue;
        }
        struct HostCpuIdInfo *info = HostCpuIdInfo_new();
        info->level = (int32_t)levels[i];
        info->eax = register_bits(eax);
        info->ebx = register_bits(ebx);
        info->ecx = register_bits(ecx);
        info->edx = register_bits(edx);
        vim_array_add_object(&hardware->cpuFeature, info);
    }
#else
    (void)hardware; /* another processor has no CPUID to show */
#endif
}

static struct HostHardwareInfo *hardware_info(const struct HostHardwareSummary *summary)
{
    struct HostHardwareInfo *hardware = HostHardwareInfo_new();
    hardware->systemInfo = HostSystemInfo_new();
    hardware->systemInfo->vendor = g_strdup(summary->vendor);
    hardware->systemInfo->model = g_strdup(summary->model);
    hardware->systemInfo->uuid = g_strdup(summary->uuid);
    hardware->cpuInfo = HostCpuInfo_new();
    hardware->cpuInfo->numCpuPackages = summary->numCpuPkgs;
    hardware->cpuInfo->numCpuCores = summary->numCpuCores;
    hardware->cpuInfo->numCpuThreads = summary->numCpuThreads;
    hardware->cpuInfo->hz = (int64_t)summary->cpuMhz * 1000000;
    hardware->memorySize = summary->memorySize;
    add_cpu_features(hardware);
    return hardware;
}

static struct HostConfigInfo *config_info(const struct host *host)
{
    struct HostConfigInfo *config = HostConfigInfo_new();
    config->host = vim_ref_copy(&host->about_host);
    config->product = host_about(host);
    config->storageDevice = HostStorageDeviceInfo_new();
    config->network = host_network_info(host);
    return config;
}

static struct HostCapability *capability(const struct host *host)
{
    /* A capability that is not set here is not there: all members are false to begin with. */
    struct HostCapability *can = HostCapability_new();
    /* There is no limit of the host's own. Who asks (libvirt) takes it for that of one machine. */
    vim_set_optional(&can->maxSupportedVcpus, hypervisor_info(host->hypervisor)->max_cpus);
    can->screenshotSupported = true;
    can->preAssignedPCIUnitNumbersSupported = true;
    can->accel3dSupported = false;
    can->maintenanceModeSupported = true;
    can->rebootSupported = can->shutdownSupported = host->power_program != NULL;
    return can;
}

static struct HostListSummary *summary(struct host *host)
{
    struct HostListSummary *summary = HostListSummary_new();
    summary->host = vim_ref_copy(&host->about_host);
    summary->hardware = hardware_summary(host);
    summary->config = HostConfigSummary_new();
    summary->config->name = g_strdup(host->name);
    summary->config->port = 443;
    summary->config->sslThumbprint = g_strdup(host->thumbprint);
    summary->config->product = host_about(host);
    summary->quickStats = HostListSummaryQuickStats_new();
    summary->overallStatus = ManagedEntityStatus_green;
    return summary;
}

struct HostSystem *host_system_properties(struct host *host)
{
    struct HostSystem *system = HostSystem_new();
    system->name = g_strdup(host->name);
    system->overallStatus = ManagedEntityStatus_green;
    system->configStatus = ManagedEntityStatus_green;
    system->summary = summary(host);
    system->hardware = hardware_info(system->summary->hardware);
    system->runtime = HostRuntimeInfo_new();
    system->runtime->connectionState = HostSystemConnectionState_connected;
    system->runtime->powerState = HostSystemPowerState_poweredOn;
    system->runtime->bootTime = host->boot_time_us;
    system->summary->runtime = vim_copy(system->runtime);
    system->capability = capability(host);
    system->licensableResource = HostLicensableResourceInfo_new();
    system->config = config_info(host);
    system->configManager = HostConfigManager_new();
    system->configManager->datastoreSystem = vim_ref_make(&HostDatastoreSystem_type, "ha-datastoresystem");
    system->configManager->autoStartManager = vim_ref_make(&HostAutoStartManager_type, HOST_AUTOSTART_ID);
    system->configManager->userDirectory = vim_ref_make(&UserDirectory_type, "ha-user-directory");
    system->configManager->accountManager = vim_ref_make(&HostLocalAccountManager_type, "ha-localacctmgr");
    system->configManager->advancedOption = vim_ref_make(&OptionManager_type, HOST_ADVANCED_OPTIONS_ID);
    system->configManager->serviceSystem = vim_ref_make(&HostServiceSystem_type, HOST_SERVICE_SYSTEM_ID);
    system->configManager->firewallSystem = vim_ref_make(&HostFirewallSystem_type, HOST_FIREWALL_SYSTEM_ID);
    system->configManager->dateTimeSystem = vim_ref_make(&HostDateTimeSystem_type, HOST_DATE_TIME_SYSTEM_ID);
    system->configManager->healthStatusSystem =
        vim_ref_make(&HostHealthStatusSystem_type, HOST_HEALTH_SYSTEM_ID);
    system->configManager->licenseManager = vim_ref_make(&LicenseManager_type, HOST_LICENSE_ID);
    system->datastoreBrowser = vim_ref_make(&HostDatastoreBrowser_type, "ha-host-datastorebrowser");
    struct vim_ref network = {&Network_type, (char *)HOST_NETWORK_ID};
    vim_array_add_ref(&system->network, &network);
    return system;
}
