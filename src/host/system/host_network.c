// SPDX-License-Identifier: Apache-2.0
/*
 * HostSystem.config.network: the networks that machines can have, and how the host resolves names.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <resolv.h>
#include <string.h>

#include "host/host_internal.h"
#include "vim/value.h"

static struct HostNetworkPolicy *network_policy(void)
{
    struct HostNetworkPolicy *policy = HostNetworkPolicy_new();
    policy->security = HostNetworkSecurityPolicy_new();
    vim_set_optional(&policy->security->allowPromiscuous, false);
    vim_set_optional(&policy->security->macChanges, false);
    vim_set_optional(&policy->security->forgedTransmits, false);
    return policy;
}

/* Names as the machine resolves them; somebody else configures that. */
static struct HostDnsConfig *dns_config(const struct host *host)
{
    struct HostDnsConfig *dns = HostDnsConfig_new();
    const char *dot = strchr(host->name, '.');
    struct __res_state resolver = {0};
    dns->hostName = dot != NULL ? g_strndup(host->name, (gsize)(dot - host->name)) : g_strdup(host->name);
    dns->domainName = g_strdup(dot != NULL ? dot + 1 : "");
    if (res_ninit(&resolver) != 0) {
        return dns;
    }
    for (int i = 0; i < resolver.nscount; i++) {
        char address[INET_ADDRSTRLEN];
        if (resolver.nsaddr_list[i].sin_family == AF_INET &&
            inet_ntop(AF_INET, &resolver.nsaddr_list[i].sin_addr, address, sizeof(address)) != NULL) {
            vim_array_add_string(&dns->address, address);
        }
    }
    for (char **domain = resolver.dnsrch; *domain != NULL; domain++) {
        vim_array_add_string(&dns->searchDomain, *domain);
    }
    res_nclose(&resolver);
    return dns;
}

/* One switch without uplinks: every adapter has address translation of its own behind it. */
struct HostNetworkInfo *host_network_info(const struct host *host)
{
    struct HostNetworkInfo *network = HostNetworkInfo_new();
    network->dnsConfig = dns_config(host);
    struct HostVirtualSwitch *vswitch = HostVirtualSwitch_new();
    vswitch->name = g_strdup("vSwitch0");
    vswitch->key = g_strdup("key-vim.host.VirtualSwitch-vSwitch0");
    vswitch->numPorts = vswitch->numPortsAvailable = 4096;
    vim_set_optional(&vswitch->mtu, 1500);
    vim_array_add_string(&vswitch->portgroup, "key-vim.host.PortGroup-" HOST_NETWORK_NAME);
    vswitch->spec = HostVirtualSwitchSpec_new();
    vswitch->spec->numPorts = vswitch->numPorts;
    vswitch->spec->policy = network_policy();
    vim_array_add_object(&network->vswitch, vswitch);
    struct HostPortGroup *group = HostPortGroup_new();
    group->key = g_strdup("key-vim.host.PortGroup-" HOST_NETWORK_NAME);
    group->vswitch = g_strdup(vswitch->key);
    group->computedPolicy = network_policy();
    group->spec = HostPortGroupSpec_new();
    group->spec->name = g_strdup(HOST_NETWORK_NAME);
    group->spec->vswitchName = g_strdup(vswitch->name);
    group->spec->policy = HostNetworkPolicy_new();
    vim_array_add_object(&network->portgroup, group);
    return network;
}
