// SPDX-License-Identifier: Apache-2.0
/*
 * LicenseManager, for clients that want to see one: nothing is locked, so no license unlocks anything.
 */
#pragma once

#include "host/host_internal.h"

#define HOST_LICENSE_ID "ha-license-manager"

extern const struct LicenseManager_methods host_license_manager_methods;

/* At start, when the inventory is there: reads STATE/licenses.json and shows the licenses. 0 or a negative
 * errno with a sentence for people. */
int host_license_load(struct host *host, char **ret_message);
