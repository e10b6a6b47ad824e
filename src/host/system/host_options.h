// SPDX-License-Identifier: Apache-2.0
/*
 * Advanced options of the host, under the names that ESX gives them: only those that have an effect here.
 */
#pragma once

#include "host/host_internal.h"

#define HOST_ADVANCED_OPTIONS_ID "ha-adv-options" /* HostSystem.configManager.advancedOption */
#define HOST_SETTING_ID "HostAgentSettings"       /* ServiceContent.setting */

extern const struct OptionManager_methods host_option_manager_methods;

/* At start, when the inventory is there: reads STATE/options.json, shows all options and puts them into
 * effect. 0 or a negative errno with a sentence for people. */
int host_options_load(struct host *host, char **ret_message);
