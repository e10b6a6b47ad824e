// SPDX-License-Identifier: Apache-2.0
/*
 * The managers that show what the machine does by itself: services, ports, clock, health. They show and do
 * not change: what is not Tenkyu's to change is NotSupported.
 */
#pragma once

#include "host/host_internal.h"

#define HOST_SERVICE_SYSTEM_ID "serviceSystem"
#define HOST_FIREWALL_SYSTEM_ID "firewallSystem"
#define HOST_DATE_TIME_SYSTEM_ID "dateTimeSystem"
#define HOST_HEALTH_SYSTEM_ID "healthStatusSystem"

struct host_facts;

/* When the network is open: shows everything, and begins to look again every minute. */
struct host_facts *host_facts_start(struct host *host);
/* Ends that; NULL is fine. */
void host_facts_free(struct host_facts *facts);

extern const struct HostServiceSystem_methods host_service_system_methods;
extern const struct HostFirewallSystem_methods host_firewall_system_methods;
extern const struct HostDateTimeSystem_methods host_date_time_system_methods;
extern const struct HostHealthStatusSystem_methods host_health_status_system_methods;
