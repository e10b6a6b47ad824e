// SPDX-License-Identifier: Apache-2.0
/*
 * One program: `tenkyu host` is the server, everything else is the command line client.
 */
#include <string.h>

#include "cli/cli.h"
#include "host/host_main.h"

int main(int argc, char **argv)
{
    if (argc > 1 && strcmp(argv[1], "host") == 0 && (argc == 2 || argv[2][0] == '-')) {
        return host_main(argc - 1, argv + 1);
    }
    return cli_main(argc, argv);
}
