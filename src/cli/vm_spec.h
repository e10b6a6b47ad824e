// SPDX-License-Identifier: Apache-2.0
/*
 * From the options of `tenkyu vm create` to a VirtualMachineConfigSpec. A pure function: it asks no server,
 * so that every mistake in the command line is found before anything is done.
 */
#pragma once

#include <json-c/json.h>

#include "cli/error.h"

struct cli_arguments;

/*
 * Makes the spec for a virtual machine with its files on a datastore. The caller owns *ret. CLI_USAGE with
 * error set when an option has no meaning.
 */
int cli_vm_spec(const struct cli_arguments *arguments, const char *datastore, json_object **ret,
                struct cli_error *error);

/* The word for a bus that the option --disk takes, from the type of its controller in the API; NULL when
 * the type is none of them. */
const char *cli_bus_name(const char *controller_type);
