// SPDX-License-Identifier: Apache-2.0
/*
 * The table of all commands. Help, usage, completion and parsing follow from it; the manual page
 * (docs/man/tenkyu.1) is checked against it by a test.
 */
#include "cli/command.h"
#include "cli/run.h"

#define VM_NAME                           \
    {                                     \
        "NAME", CLI_WORD_VM, false, false \
    }
#define VM_NAMES                         \
    {                                    \
        "NAME", CLI_WORD_VM, false, true \
    }

const struct cli_option cli_common_options[] = {
    {"json", NULL, 0, false, "write one JSON document for programs"},
    {"help", NULL, 0, false, "show the help of the command"},
    {0},
};

static const struct cli_option login_options[] = {
    {"user", "NAME", CLI_WORD_TEXT, false, "log in as this user (default: root)"},
    {"password-file", "FILE", CLI_WORD_FILE, false, "read the password from a file's first line"},
    {"thumbprint", "SHA256", CLI_WORD_TEXT, false, "trust the certificate with this thumbprint"},
    {"ca-file", "FILE", CLI_WORD_FILE, false, "trust what this authority has signed (PEM)"},
    {"insecure", NULL, 0, false, "trust any certificate; for tests only"},
    {0},
};

static const struct cli_option create_options[] = {
    {"cpus", "N", CLI_WORD_TEXT, false, "virtual processors (default: 1)"},
    {"memory", "SIZE", CLI_WORD_TEXT, false, "such as 512M or 2G (default: 1G)"},
    {"disk", "DISK", CLI_WORD_TEXT, true, "SIZE[,thin|thick][,BUS] or \"[ds] x.vmdk\"[,BUS]"},
    {"cdrom", "PATH", CLI_WORD_TEXT, true, "a disc image: \"[ds] path.iso\""},
    {"nic", "NIC", CLI_WORD_TEXT, true, "NETWORK[,MODEL]; MODEL: vmxnet3, e1000, virtio..."},
    {"serial", NULL, 0, false, "add a serial port, for `tenkyu vm console`"},
    {"guest", "ID", CLI_WORD_TEXT, false, "operating system (default: otherLinux64Guest)"},
    {"datastore", "NAME", CLI_WORD_DATASTORE, false, "where its files go (default: where is most room)"},
    {"firmware", "KIND", CLI_WORD_TEXT, false, "bios (default) or efi"},
    {"secure-boot", NULL, 0, false, "start only what is signed; with EFI"},
    {"tpm", NULL, 0, false, "add a TPM 2.0; with EFI"},
    {"option", "KEY=VALUE", CLI_WORD_TEXT, true, "an extra key of the .vmx file"},
    {"start", NULL, 0, false, "start it when it is made"},
    {0},
};

static const struct cli_option yes_options[] = {
    {"yes", NULL, 0, false, "do not ask"},
    {0},
};

static const struct cli_option datastore_add_options[] = {
    {"folder", "PATH", CLI_WORD_TEXT, false, "a folder that is there, on the host"},
    {"nfs", "SERVER:/PATH", CLI_WORD_TEXT, false, "a folder of an NFS server"},
    {"glusterfs", "SERVER:/VOLUME", CLI_WORD_TEXT, false, "a GlusterFS volume"},
    {"read-only", NULL, 0, false, "mount it for reading only"},
    {0},
};

static const struct cli_option disk_create_options[] = {
    {"type", "TYPE", CLI_WORD_TEXT, false, "thin, thick, eager or flat (default: thin)"},
    {0},
};

static const struct cli_option disk_copy_options[] = {
    {"type", "TYPE", CLI_WORD_TEXT, false, "thin, thick, eager or flat (default: like the source)"},
    {0},
};

static const struct cli_option shutdown_options[] = {
    {"timeout", "SECONDS", CLI_WORD_TEXT, false, "wait this long for the guest (default: 120)"},
    {0},
};

static const struct cli_option register_options[] = {
    {"name", "NAME", CLI_WORD_TEXT, false, "name to give it (default: as its file says)"},
    {0},
};

static const struct cli_option console_options[] = {
    {"url", NULL, 0, false, "print the address for a WebMKS viewer instead"},
    {0},
};

static const struct cli_option event_options[] = {
    {"count", "N", CLI_WORD_TEXT, false, "show the newest N (default: 20)"},
    {0},
};

static const struct cli_option snapshot_create_options[] = {
    {"description", "TEXT", CLI_WORD_TEXT, false, "what it is for"},
    {"memory", NULL, 0, false, "with the memory of a machine that runs"},
    {"quiesce", NULL, 0, false, "let the guest's agent bring its file systems in order"},
    {0},
};

static const struct cli_option snapshot_revert_options[] = {
    {"no-start", NULL, 0, false, "leave it suspended at a snapshot that has memory"},
    {0},
};

static const struct cli_option snapshot_remove_options[] = {
    {"children", NULL, 0, false, "with all snapshots below it"},
    {"all", NULL, 0, false, "all snapshots of the virtual machine"},
    {0},
};

static const struct cli_option snapshot_rename_options[] = {
    {"description", "TEXT", CLI_WORD_TEXT, false, "what it is for"},
    {0},
};

static const struct cli_option maintenance_options[] = {
    {"timeout", "SECONDS", CLI_WORD_TEXT, false, "give up after this long (default: never)"},
    {0},
};

static const struct cli_option host_power_options[] = {
    {"force", NULL, 0, false, "also outside maintenance mode"},
    {"yes", NULL, 0, false, "do not ask"},
    {0},
};

static const struct cli_option autostart_options[] = {
    {"order", "N", CLI_WORD_TEXT, false, "its place among those that start, from 1"},
    {"delay", "SECONDS", CLI_WORD_TEXT, false, "before the next one starts"},
    {"wait", "WORD", CLI_WORD_TEXT, false, "for its guest's agent, within the delay: yes or no"},
    {"stop", "ACTION", CLI_WORD_TEXT, false, "none, powerOff, suspend or guestShutdown"},
    {"stop-delay", "SECONDS", CLI_WORD_TEXT, false, "for a guest to shut down"},
    {0},
};

static const struct cli_option autostart_default_options[] = {
    {"enable", NULL, 0, false, "start and stop machines with the host"},
    {"disable", NULL, 0, false, "do not"},
    {"delay", "SECONDS", CLI_WORD_TEXT, false, "between starts"},
    {"wait", "WORD", CLI_WORD_TEXT, false, "for a guest's agent, within the delay: yes or no"},
    {"stop", "ACTION", CLI_WORD_TEXT, false, "none, powerOff, suspend or guestShutdown"},
    {"stop-delay", "SECONDS", CLI_WORD_TEXT, false, "for a guest to shut down"},
    {0},
};

static const struct cli_option license_options[] = {
    {"label", "KEY=VALUE", CLI_WORD_TEXT, true, "a note that is kept with it"},
    {0},
};

const struct cli_command cli_commands[] = {
    {"login",
     "log in to a host and remember the session",
     "Asks for what is not given. Without --thumbprint, --ca-file or --insecure, an unknown\n"
     "certificate is shown and asked about, and only this one is accepted from then on.",
     {{"URL", CLI_WORD_TEXT, false, false}},
     login_options,
     cli_run_login},
    {"logout", "end the session", NULL, {{0}}, NULL, cli_run_logout},

    {"vm create",
     "make a virtual machine",
     "BUS is pvscsi, lsilogic, lsisas, sata, nvme, ide, virtio or virtio-blk; the default is\n"
     "pvscsi, or sata with --firmware efi. MODEL is vmxnet3 (where it is not given), e1000,\n"
     "e1000e, pcnet32 or virtio. Options that may be given several times add one device each.",
     {{"NAME", CLI_WORD_TEXT, false, false}},
     create_options,
     cli_run_vm_create},
    {"vm list", "show all virtual machines", NULL, {{0}}, NULL, cli_run_vm_list},
    {"vm show", "show one virtual machine with its devices", NULL, {VM_NAME}, NULL, cli_run_vm_show},
    {"vm start", "power on, or go on from suspend", NULL, {VM_NAMES}, NULL, cli_run_vm_start},
    {"vm stop", "power off at once, as by pulling the plug", NULL, {VM_NAMES}, NULL, cli_run_vm_stop},
    {"vm shutdown",
     "ask the guest to shut down, and wait until it has",
     NULL,
     {VM_NAMES},
     shutdown_options,
     cli_run_vm_shutdown},
    {"vm reset", "restart at once, as by the reset button", NULL, {VM_NAMES}, NULL, cli_run_vm_reset},
    {"vm suspend", "save memory to disk and stop", NULL, {VM_NAMES}, NULL, cli_run_vm_suspend},
    {"vm resume", "go on from suspend", NULL, {VM_NAMES}, NULL, cli_run_vm_resume},
    {"vm destroy", "delete with all files", NULL, {VM_NAMES}, yes_options, cli_run_vm_destroy},
    {"vm unregister", "take out of the inventory; files stay", NULL, {VM_NAMES}, NULL, cli_run_vm_unregister},
    {"vm register",
     "take into the inventory from its .vmx file",
     NULL,
     {{"'[DATASTORE] PATH.vmx'", CLI_WORD_TEXT, false, false}},
     register_options,
     cli_run_vm_register},
    {"vm screenshot",
     "save a picture of the screen",
     NULL,
     {VM_NAME, {"FILE.png", CLI_WORD_FILE, false, false}},
     NULL,
     cli_run_vm_screenshot},
    {"vm console",
     "use the serial console; Ctrl-] leaves it",
     NULL,
     {VM_NAME},
     console_options,
     cli_run_vm_console},

    {"snapshot create",
     "keep the state of a virtual machine",
     NULL,
     {VM_NAME, {"SNAPSHOT", CLI_WORD_TEXT, false, false}},
     snapshot_create_options,
     cli_run_snapshot_create},
    {"snapshot list", "show the tree of snapshots", NULL, {VM_NAME}, NULL, cli_run_snapshot_list},
    {"snapshot revert",
     "go back to a snapshot; the present state is lost",
     "Without SNAPSHOT it is the one that the present state goes back to. A snapshot is\n"
     "named by its name, or by its number in the list, such as \"#3\".",
     {VM_NAME, {"SNAPSHOT", CLI_WORD_TEXT, true, false}},
     snapshot_revert_options,
     cli_run_snapshot_revert},
    {"snapshot remove",
     "give up a snapshot; the present state stays",
     NULL,
     {VM_NAME, {"SNAPSHOT", CLI_WORD_TEXT, true, false}},
     snapshot_remove_options,
     cli_run_snapshot_remove},
    {"snapshot rename",
     "give a snapshot another name",
     NULL,
     {VM_NAME, {"SNAPSHOT", CLI_WORD_TEXT, false, false}, {"NAME", CLI_WORD_TEXT, false, false}},
     snapshot_rename_options,
     cli_run_snapshot_rename},
    {"snapshot consolidate",
     "merge disks that no snapshot needs any more",
     NULL,
     {VM_NAME},
     NULL,
     cli_run_snapshot_consolidate},

    {"host show", "show the host", NULL, {{0}}, NULL, cli_run_host_show},
    {"host maintenance enter",
     "wait until no virtual machine runs, and let none start",
     NULL,
     {{0}},
     maintenance_options,
     cli_run_host_maintenance_enter},
    {"host maintenance exit", "let them start again", NULL, {{0}}, NULL, cli_run_host_maintenance_exit},
    {"host reboot",
     "reboot the machine that the host runs on",
     "What stops with the host is stopped first. The host must have been started with\n"
     "--power-program; see tenkyu-host(8).",
     {{0}},
     host_power_options,
     cli_run_host_reboot},
    {"host shutdown",
     "power off the machine that the host runs on",
     "What stops with the host is stopped first. The host must have been started with\n"
     "--power-program; see tenkyu-host(8).",
     {{0}},
     host_power_options,
     cli_run_host_shutdown},
    {"host autostart list",
     "show what starts and stops with the host",
     NULL,
     {{0}},
     NULL,
     cli_run_host_autostart_list},
    {"host autostart set",
     "let a virtual machine start and stop with the host",
     "What is not given is as the defaults say.",
     {VM_NAME},
     autostart_options,
     cli_run_host_autostart_set},
    {"host autostart remove", "let it not", NULL, {VM_NAME}, NULL, cli_run_host_autostart_remove},
    {"host autostart defaults",
     "change what holds for all",
     NULL,
     {{0}},
     autostart_default_options,
     cli_run_host_autostart_defaults},
    {"host services",
     "show services of the machine that matter to the host",
     NULL,
     {{0}},
     NULL,
     cli_run_host_services},
    {"host health", "show sensors and memory errors", NULL, {{0}}, NULL, cli_run_host_health},
    {"host option list",
     "show the advanced options",
     NULL,
     {{"PREFIX", CLI_WORD_TEXT, true, false}},
     NULL,
     cli_run_host_option_list},
    {"host option set",
     "change an advanced option",
     NULL,
     {{"KEY", CLI_WORD_TEXT, false, false}, {"VALUE", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_host_option_set},
    {"license list", "show the licenses", NULL, {{0}}, NULL, cli_run_license_list},
    {"license add",
     "keep a license key with its labels",
     "It unlocks nothing, because nothing is locked.",
     {{"KEY", CLI_WORD_TEXT, false, false}},
     license_options,
     cli_run_license_add},
    {"license remove",
     "forget a license key",
     NULL,
     {{"KEY", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_license_remove},

    {"datastore list", "show all datastores", NULL, {{0}}, NULL, cli_run_datastore_list},
    {"datastore add",
     "make a folder of the host, or a file server's, a datastore",
     "One of --folder, --nfs and --glusterfs says where it is.",
     {{"NAME", CLI_WORD_TEXT, false, false}},
     datastore_add_options,
     cli_run_datastore_add},
    {"datastore rename",
     "give a datastore without virtual machines another name",
     NULL,
     {{"DATASTORE", CLI_WORD_DATASTORE, false, false}, {"NAME", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_datastore_rename},
    {"datastore remove",
     "forget a datastore that no machine is on; its files stay",
     NULL,
     {{"DATASTORE", CLI_WORD_DATASTORE, false, false}},
     NULL,
     cli_run_datastore_remove},
    {"datastore ls",
     "show the files in a folder",
     NULL,
     {{"'[DATASTORE] FOLDER'", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_datastore_ls},
    {"datastore put",
     "copy a file to a datastore",
     "A target that ends in \"/\" is a folder, and the file keeps its name.",
     {{"FILE", CLI_WORD_FILE, false, false}, {"'[DATASTORE] PATH'", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_datastore_put},
    {"datastore get",
     "copy a file from a datastore",
     "FILE \"-\" writes to the standard output.",
     {{"'[DATASTORE] PATH'", CLI_WORD_TEXT, false, false}, {"FILE", CLI_WORD_FILE, false, false}},
     NULL,
     cli_run_datastore_get},
    {"datastore mkdir",
     "make a folder, and those above it",
     NULL,
     {{"'[DATASTORE] FOLDER'", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_datastore_mkdir},
    {"datastore rm",
     "delete a file, or a folder with all in it",
     NULL,
     {{"'[DATASTORE] PATH'", CLI_WORD_TEXT, false, false}},
     yes_options,
     cli_run_datastore_rm},

    {"disk create",
     "make a virtual disk",
     "A thin disk takes space as it is written; a thick one has it set aside; an\n"
     "eager one has it written with zeros. A flat one is eager, in plain bytes,\n"
     "and so can be shared by several virtual machines.",
     {{"'[DATASTORE] PATH.vmdk'", CLI_WORD_TEXT, false, false}, {"SIZE", CLI_WORD_TEXT, false, false}},
     disk_create_options,
     cli_run_disk_create},
    {"disk show",
     "show a virtual disk",
     NULL,
     {{"'[DATASTORE] PATH.vmdk'", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_disk_show},
    {"disk copy",
     "copy, convert or import a virtual disk",
     "The source may be a disk of VMware's products; the copy is one of ours.",
     {{"'[DATASTORE] FROM.vmdk'", CLI_WORD_TEXT, false, false},
      {"'[DATASTORE] TO.vmdk'", CLI_WORD_TEXT, false, false}},
     disk_copy_options,
     cli_run_disk_copy},
    {"disk grow",
     "make a virtual disk larger",
     NULL,
     {{"'[DATASTORE] PATH.vmdk'", CLI_WORD_TEXT, false, false}, {"SIZE", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_disk_grow},
    {"disk inflate",
     "set aside all the space of a thin virtual disk",
     NULL,
     {{"'[DATASTORE] PATH.vmdk'", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_disk_inflate},
    {"disk shrink",
     "give the zeros in a thin disk back to its datastore",
     NULL,
     {{"'[DATASTORE] PATH.vmdk'", CLI_WORD_TEXT, false, false}},
     NULL,
     cli_run_disk_shrink},
    {"disk rm",
     "delete a virtual disk and its data",
     NULL,
     {{"'[DATASTORE] PATH.vmdk'", CLI_WORD_TEXT, false, false}},
     yes_options,
     cli_run_disk_rm},

    {"task list", "show running and recent tasks", NULL, {{0}}, NULL, cli_run_task_list},
    {"event list", "show what happened", NULL, {{0}}, event_options, cli_run_event_list},
    {"version", "show the version of this program and of the server", NULL, {{0}}, NULL, cli_run_version},
    {"help",
     "show the commands, or one of them",
     "ENVIRONMENT, FILES and EXIT STATUS are described in tenkyu(1).",
     {{"COMMAND", CLI_WORD_COMMAND, true, true}},
     NULL,
     cli_run_help},
    {0},
};
