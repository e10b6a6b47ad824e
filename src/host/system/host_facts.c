// SPDX-License-Identifier: Apache-2.0
/*
 * HostServiceSystem, HostFirewallSystem, HostDateTimeSystem and HostHealthStatusSystem: views of the machine.
 * A thread reads them every minute, and the Refresh methods at once. machine_facts.h says where from.
 */
#include "host/system/host_facts.h"

#include <string.h>

#include "host/system/machine_facts.h"
#include "vim/http.h"
#include "vim/value.h"

#define ROOT "" /* of the file system */
#define API_RULESET "vSphereClient"
#define NTP_RULESET "ntpClient"

enum { INTERVAL_S = 60, NTP_PORT = 123 };

struct host_facts {
    struct host *host;
    GThread *thread;
    GMutex lock; /* guards what follows */
    GCond wake;
    bool stop;
};

/* ---- services ---------------------------------------------------------------------------------------- */

static void add_service(struct HostServiceInfo *info, const char *key, const char *label, bool required,
                        bool running, bool enabled, const char *ruleset)
{
    struct HostService *service = HostService_new();
    service->key = g_strdup(key);
    service->label = g_strdup(label);
    service->required = required;
    service->running = running;
    service->policy = g_strdup(enabled ? "on" : "off");
    if (ruleset != NULL) {
        vim_array_add_string(&service->ruleset, ruleset);
    }
    vim_array_add_object(&info->service, service);
}

/* What runs here under keys that clients of ESX look for. */
static struct HostServiceInfo *services(void)
{
    struct HostServiceInfo *info = HostServiceInfo_new();
    struct machine_clock clock = machine_clock(ROOT);
    add_service(info, "hostd", "Tenkyu host: the API, consoles, statistics", true, true, true, API_RULESET);
    if (clock.process != NULL) {
        g_autofree char *label = g_strdup_printf("Clock of the machine: %s", clock.unit);
        add_service(info, "ntpd", label, false, clock.running, clock.enabled, NTP_RULESET);
    }
    bool ssh_running = machine_runs(ROOT, "sshd"), ssh_enabled = machine_enables(ROOT, "ssh.service");
    if (ssh_running || ssh_enabled) {
        add_service(info, "TSM-SSH", "SSH server of the machine", false, ssh_running, ssh_enabled, NULL);
    }
    return info;
}

static void refresh_services(struct host *host)
{
    struct HostServiceInfo *info = services();
    vim_write_lock(host->server->inventory);
    vim_set_data(vim_inventory_find(host->server->inventory, HOST_SERVICE_SYSTEM_ID), "serviceInfo", info);
    vim_write_unlock(host->server->inventory);
}

/* ---- ports ------------------------------------------------------------------------------------------- */

static struct HostFirewallRuleset *ruleset_new(const char *key, const char *label, const char *service,
                                               bool required)
{
    struct HostFirewallRuleset *ruleset = HostFirewallRuleset_new();
    ruleset->key = g_strdup(key);
    ruleset->label = g_strdup(label);
    ruleset->service = g_strdup(service);
    ruleset->required = required;
    ruleset->enabled = true;
    ruleset->allowedHosts = HostFirewallRulesetIpList_new();
    ruleset->allowedHosts->allIp = true;
    return ruleset;
}

static void add_rule(struct HostFirewallRuleset *ruleset, int port, enum HostFirewallRuleDirection direction,
                     const char *protocol)
{
    struct HostFirewallRule *rule = HostFirewallRule_new();
    rule->port = port;
    rule->direction = direction;
    rule->portType = HostFirewallRulePortType_dst;
    rule->protocol = g_strdup(protocol);
    vim_array_add_object(&ruleset->rule, rule);
}

/* The ports that the API listens on, and those that the clock's service asks at. Tenkyu has no packet filter:
 * everything else is as the machine's own says, which is not looked at. */
static struct HostFirewallInfo *firewall(const struct host *host)
{
    struct HostFirewallInfo *info = HostFirewallInfo_new();
    info->defaultPolicy = HostFirewallDefaultPolicy_new();
    vim_set_optional(&info->defaultPolicy->incomingBlocked, false);
    vim_set_optional(&info->defaultPolicy->outgoingBlocked, false);
    struct HostFirewallRuleset *api = ruleset_new(API_RULESET, "Tenkyu host: the API", "hostd", true);
    for (unsigned i = 0; http_server_port(host->http, i) != 0; i++) {
        add_rule(api, http_server_port(host->http, i), HostFirewallRuleDirection_inbound, "tcp");
    }
    vim_array_add_object(&info->ruleset, api);
    if (machine_clock(ROOT).running) {
        struct HostFirewallRuleset *ntp = ruleset_new(NTP_RULESET, "Clock of the machine", "ntpd", false);
        add_rule(ntp, NTP_PORT, HostFirewallRuleDirection_outbound, "udp");
        vim_array_add_object(&info->ruleset, ntp);
    }
    return info;
}

static void refresh_firewall(struct host *host)
{
    struct HostFirewallInfo *info = firewall(host);
    vim_write_lock(host->server->inventory);
    vim_set_data(vim_inventory_find(host->server->inventory, HOST_FIREWALL_SYSTEM_ID), "firewallInfo", info);
    vim_write_unlock(host->server->inventory);
}

/* ---- clock and health -------------------------------------------------------------------------------- */

static void refresh_date_time(struct host *host)
{
    struct HostDateTimeInfo *info = machine_date_time(ROOT, vim_now_us(host->server) / G_USEC_PER_SEC);
    vim_write_lock(host->server->inventory);
    vim_set_data(vim_inventory_find(host->server->inventory, HOST_DATE_TIME_SYSTEM_ID), "dateTimeInfo", info);
    vim_write_unlock(host->server->inventory);
}

/* A machine without sensors is as well as one can tell: green, which clients take for "no complaint". */
static void refresh_health(struct host *host)
{
    struct HealthSystemRuntime *health = machine_health(ROOT);
    enum ManagedEntityStatus status = machine_health_status(health);
    status = status == ManagedEntityStatus_gray ? ManagedEntityStatus_green : status;
    vim_write_lock(host->server->inventory);
    struct vim_object *system = vim_inventory_find(host->server->inventory, HOST_ID);
    vim_set_data(system, "runtime.healthSystemRuntime", vim_copy(health));
    vim_set_data(system, "summary.runtime.healthSystemRuntime", vim_copy(health));
    vim_set_enum(system, "overallStatus", (int)status);
    vim_set_enum(system, "summary.overallStatus", (int)status);
    vim_set_data(vim_inventory_find(host->server->inventory, HOST_HEALTH_SYSTEM_ID), "runtime", health);
    vim_write_unlock(host->server->inventory);
}

/* ---- every minute ------------------------------------------------------------------------------------ */

static void refresh_all(struct host *host)
{
    refresh_services(host);
    refresh_firewall(host);
    refresh_date_time(host);
    refresh_health(host);
}

static void *watch(void *data)
{
    struct host_facts *facts = data;
    g_mutex_lock(&facts->lock);
    while (!facts->stop) {
        int64_t until_us = g_get_monotonic_time() + INTERVAL_S * G_TIME_SPAN_SECOND;
        if (!g_cond_wait_until(&facts->wake, &facts->lock, until_us)) {
            g_mutex_unlock(&facts->lock);
            refresh_all(facts->host);
            g_mutex_lock(&facts->lock);
        }
    }
    g_mutex_unlock(&facts->lock);
    return NULL;
}

struct host_facts *host_facts_start(struct host *host)
{
    struct host_facts *facts = g_new0(struct host_facts, 1);
    facts->host = host;
    g_mutex_init(&facts->lock);
    g_cond_init(&facts->wake);
    refresh_all(host);
    facts->thread = g_thread_new("facts", watch, facts);
    return facts;
}

void host_facts_free(struct host_facts *facts)
{
    if (facts == NULL) {
        return;
    }
    g_mutex_lock(&facts->lock);
    facts->stop = true;
    g_cond_signal(&facts->wake);
    g_mutex_unlock(&facts->lock);
    g_thread_join(facts->thread);
    g_mutex_clear(&facts->lock);
    g_cond_clear(&facts->wake);
    g_free(facts);
}

/* ---- the methods ------------------------------------------------------------------------------------- */

static struct vim_fault *services_again(struct vim_call *call, const struct RefreshServices_args *args)
{
    (void)args;
    refresh_services(call->server->hooks_data);
    return NULL;
}

static struct vim_fault *firewall_again(struct vim_call *call, const struct RefreshFirewall_args *args)
{
    (void)args;
    refresh_firewall(call->server->hooks_data);
    return NULL;
}

static struct vim_fault *date_time_again(struct vim_call *call, const struct RefreshDateTimeSystem_args *args)
{
    (void)args;
    refresh_date_time(call->server->hooks_data);
    return NULL;
}

static struct vim_fault *health_again(struct vim_call *call,
                                      const struct RefreshHealthStatusSystem_args *args)
{
    (void)args;
    refresh_health(call->server->hooks_data);
    return NULL;
}

static struct vim_fault *query_zones(struct vim_call *call, const struct QueryAvailableTimeZones_args *args,
                                     struct QueryAvailableTimeZones_result *ret)
{
    (void)args;
    machine_time_zones(ROOT, vim_now_us(call->server) / G_USEC_PER_SEC, &ret->returnval);
    return NULL;
}

static struct vim_fault *query_time(struct vim_call *call, const struct QueryDateTime_args *args,
                                    struct QueryDateTime_result *ret)
{
    (void)args;
    ret->returnval = vim_now_us(call->server);
    return NULL;
}

const struct HostServiceSystem_methods host_service_system_methods = {
    .RefreshServices = services_again,
};

const struct HostFirewallSystem_methods host_firewall_system_methods = {
    .RefreshFirewall = firewall_again,
};

const struct HostDateTimeSystem_methods host_date_time_system_methods = {
    .QueryAvailableTimeZones = query_zones,
    .QueryDateTime = query_time,
    .RefreshDateTimeSystem = date_time_again,
};

const struct HostHealthStatusSystem_methods host_health_status_system_methods = {
    .RefreshHealthStatusSystem = health_again,
};
