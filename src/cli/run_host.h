// SPDX-License-Identifier: Apache-2.0
/*
 * What the commands about a host itself share.
 */
#pragma once

#include <json-c/json.h>

struct cli;

/*
 * Connects, and reads a property of the one host that the server has, such as
 * "configManager.autoStartManager". *ret_host (may be NULL) is the host's reference. CLI_FAILED when the
 * property is unset or the server has several hosts.
 */
int cli_host_property(struct cli *cli, const char *path, json_object **ret_host, json_object **ret_value);
