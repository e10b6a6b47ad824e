// SPDX-License-Identifier: Apache-2.0
/*
 * Configurations and the QEMU command lines they must give, kept in tests/golden/qemu, one argument a line.
 * A missing golden file fails. UPDATE_GOLDEN=1 writes them: read the difference before committing it.
 * Also what the planner refuses, and that a device stays where it is when others come and go.
 */
#include "hypervisor/hypervisor.h"
#include "hypervisor/qemu/command.h"
#include "tests/unit/hypervisor_config.h"

#include <errno.h>
#include <glib.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

/* A golden file; tests/ is where G_TEST_SRCDIR says, or above this source file. */
static char *golden_path(const char *name)
{
    const char *source = g_getenv("G_TEST_SRCDIR");
    g_autofree char *here = g_path_get_dirname(__FILE__);
    g_autofree char *folder = source != NULL ? g_strdup(source) : g_build_filename(here, "..", NULL);
    g_autofree char *file = g_strconcat(name, ".args", NULL);

    return g_build_filename(folder, "golden", "qemu", file, NULL);
}

static void check_golden(const char *name, const struct qemu_command *command)
{
    g_autofree char *path = golden_path(name), *expected = NULL, *message = NULL;
    g_auto(GStrv) argv = NULL;

    if (qemu_command_build(command, &argv, &message) != 0) {
        g_error("%s: %s", name, message);
    }
    g_autofree char *lines = g_strjoinv("\n", argv);
    g_autofree char *actual = g_strconcat(lines, "\n", NULL);
    if (g_getenv("UPDATE_GOLDEN") != NULL) {
        g_assert_true(g_file_set_contents(path, actual, -1, NULL));
    }
    if (!g_file_get_contents(path, &expected, NULL, NULL)) {
        g_error("there is no golden file %s", path);
    }
    g_assert_cmpstr(actual, ==, expected);
}

static struct qemu_command command_for(const struct VirtualMachineConfigInfo *config,
                                       const struct qemu_file *files, size_t n_files)
{
    return (struct qemu_command){
        .program = "qemu-system-x86_64",
        .config = config,
        .files = files,
        .n_files = n_files,
        .qmp_fd = 3,
    };
}

static void test_minimal(void)
{
    struct VirtualMachineConfigInfo *config = config_new("minimal", 1, 256);
    struct qemu_command command = command_for(config, NULL, 0);

    check_golden("minimal", &command);
    command.kvm = true;
    command.incoming = true;
    vim_set_optional(&config->nestedHVEnabled, true);
    check_golden("kvm_incoming", &command);
    vim_free(config);
}

static void test_machine(void)
{
    struct VirtualMachineConfigInfo *config = config_new("web,server=1", 8, 4096);
    struct qemu_command command = command_for(config, NULL, 0);

    command.guest = (struct hypervisor_guest){.local_time = true, .no_hpet = true};
    vim_set_optional(&config->hardware->numCoresPerSocket, 4);
    config->bootOptions = vim_new(&VirtualMachineBootOptions_type);
    vim_set_optional(&config->bootOptions->bootDelay, 5000);
    vim_set_optional(&config->bootOptions->bootRetryEnabled, true);
    vim_set_optional(&config->bootOptions->bootRetryDelay, INT64_C(1000000));
    struct VirtualMachineVideoCard *card = config_add(config, &VirtualMachineVideoCard_type, 500);
    vim_set_optional(&card->videoRamSizeInKB, 65537);
    check_golden("machine", &command);
    vim_set_optional(&config->hardware->numCoresPerSocket, 3); /* does not divide 8 */
    vim_set_optional(&config->bootOptions->enterBIOSSetup, true);
    check_golden("machine_odd_cores", &command);
    vim_free(config);
}

/* Every controller and every place on one. */
static void test_storage(void)
{
    struct VirtualMachineConfigInfo *config = config_new("storage", 2, 1024);

    config_add_controller(config, &VirtualIDEController_type, 200, 0);
    config_add_controller(config, &VirtualIDEController_type, 201, 1);
    config_add_controller(config, &VirtualLsiLogicController_type, 1000, 0);
    config_add_controller(config, &VirtualLsiLogicSASController_type, 1001, 1);
    config_add_controller(config, &ParaVirtualSCSIController_type, 1002, 2);
    config_add_controller(config, &VirtualAHCIController_type, 15000, 0);
    config_add_controller(config, &VirtualNVMEController_type, 31000, 0);
    config_add_unit(config, &VirtualDisk_type, 3000, 200, 0);
    config_add_unit(config, &VirtualCdrom_type, 3003, 201, 1);
    config_add_unit(config, &VirtualDisk_type, 2000, 1000, 0);
    config_add_unit(config, &VirtualDisk_type, 2016, 1001, 0);
    config_add_unit(config, &VirtualDisk_type, 2035, 1002, 3);
    config_add_unit(config, &VirtualCdrom_type, 16000, 15000, 0);
    config_add_unit(config, &VirtualDisk_type, 16001, 15000, 1);
    config_add_unit(config, &VirtualDisk_type, 32000, 31000, 0);
    config_add(config, &VirtualFloppy_type, 8000);
    const struct qemu_file files[] = {
        {.device_key = 3000, .fdset = 4, .fd_name = "4", .format = "raw"},
        {.device_key = 2000, .fdset = 5, .fd_name = "5", .format = "qcow2"},
        {.device_key = 2000, .fdset = 6, .fd_name = "6", .format = "qcow2", .read_only = true},
        {.device_key = 2000, .fdset = 7, .fd_name = "7", .format = "raw", .read_only = true},
        {.device_key = 2016, .fdset = 8, .fd_name = "8", .format = "qcow2"},
        {.device_key = 2035, .fdset = 9, .fd_name = "9", .format = "qcow2"},
        {.device_key = 16000, .fdset = 10, .fd_name = "10", .format = "raw", .read_only = true},
        {.device_key = 16001, .fdset = 11, .fd_name = "11", .format = "qcow2"},
        {.device_key = 32000, .fdset = 12, .fd_name = "12", .format = "qcow2"},
        {.device_key = 8000, .fdset = 13, .fd_name = "13", .format = "raw"},
    };
    struct qemu_command command = command_for(config, files, G_N_ELEMENTS(files));

    check_golden("storage", &command);
    vim_free(config);
}

static void test_disk_uuid(void)
{
    struct VirtualMachineConfigInfo *config = config_new("uuid", 1, 256);
    const struct qemu_file file = {.device_key = 2000, .fdset = 4, .fd_name = "4", .format = "qcow2"};
    struct qemu_command command = command_for(config, &file, 1);

    config->flags = vim_new(&VirtualMachineFlagInfo_type);
    vim_set_optional(&config->flags->diskUuidEnabled, true);
    config_add_controller(config, &VirtualLsiLogicSASController_type, 1000, 0);
    struct VirtualDisk *disk = config_add_unit(config, &VirtualDisk_type, 2000, 1000, 0);
    struct VirtualDiskFlatVer2BackingInfo *backing = vim_new(&VirtualDiskFlatVer2BackingInfo_type);
    vim_set_string(&backing->uuid, "6000C290-1234-5678-9abc-def012345678");
    disk->backing = (struct VirtualDeviceBackingInfo *)backing;
    check_golden("disk_uuid", &command);
    vim_free(config);
}

/* What a thin disk's guest discards is given back; a shared disk leaves the page cache out; a temporary one writes to
 * its overlay. */
static void test_disk_kinds(void)
{
    static const struct {
        int32_t key;
        const char *mode;
        const char *sharing;
        bool thin;
    } disks[] = {
        {2000, "persistent", NULL, true},
        {2001, "persistent", "sharingMultiWriter", false},
        {2002, "independent_nonpersistent", NULL, true},
    };
    const struct qemu_file files[] = {
        {.device_key = 2000, .fdset = 4, .fd_name = "4", .format = "qcow2"},
        {.device_key = 2001, .fdset = 5, .fd_name = "5", .format = "raw"},
        {.device_key = 2002, .fdset = 6, .fd_name = "6", .format = "qcow2"},
        {.device_key = 2002, .fdset = 7, .fd_name = "7", .format = "qcow2", .read_only = true},
    };
    struct VirtualMachineConfigInfo *config = config_new("kinds", 1, 256);
    struct qemu_command command = command_for(config, files, G_N_ELEMENTS(files));

    config_add_controller(config, &ParaVirtualSCSIController_type, 1000, 0);
    for (size_t i = 0; i < G_N_ELEMENTS(disks); i++) {
        struct VirtualDisk *disk = config_add_unit(config, &VirtualDisk_type, disks[i].key, 1000, (int)i);
        struct VirtualDiskFlatVer2BackingInfo *backing = vim_new(&VirtualDiskFlatVer2BackingInfo_type);
        vim_set_string(&backing->diskMode, disks[i].mode);
        vim_set_string(&backing->sharing, disks[i].sharing);
        vim_set_optional(&backing->thinProvisioned, disks[i].thin);
        disk->backing = (struct VirtualDeviceBackingInfo *)backing;
    }
    check_golden("disk_kinds", &command);
    vim_free(config);
}

static void test_network_and_ports(void)
{
    struct VirtualMachineConfigInfo *config = config_new("ports", 1, 512);

    config_add_network(config, &VirtualE1000_type, 4000);
    config_add_network(config, &VirtualE1000e_type, 4001);
    config_add_network(config, &VirtualVmxnet3_type, 4002);
    config_add_network(config, &VirtualPCNet32_type, 4009);
    struct VirtualUSBController *usb = config_add_controller(config, &VirtualUSBController_type, 7000, 0);
    vim_set_optional(&usb->ehciEnabled, true);
    config_add_controller(config, &VirtualUSBXHCIController_type, 14000, 0);
    struct VirtualDevice *file = config_add(config, &VirtualSerialPort_type, 9000);
    file->backing = vim_new(&VirtualSerialPortFileBackingInfo_type);
    struct VirtualDevice *uri = config_add(config, &VirtualSerialPort_type, 9001);
    uri->backing = vim_new(&VirtualSerialPortURIBackingInfo_type);
    struct VirtualDevice *unplugged = config_add(config, &VirtualSerialPort_type, 9002);
    unplugged->backing = vim_new(&VirtualSerialPortFileBackingInfo_type);
    config_set_connected(unplugged, false);
    config_add(config, &VirtualKeyboard_type, 600);
    config_add(config, &VirtualPointingDevice_type, 700);
    config_add(config, &VirtualMachineVMCIDevice_type, 12000);
    const struct qemu_file files[] = {
        {.device_key = 4002, .fdset = 4, .fd_name = "4", .format = "tap"},
        {.device_key = 9000, .fdset = 5, .fd_name = "5", .format = "raw"},
        {.device_key = 9001, .fdset = 6, .fd_name = "6", .format = "socket"},
        {.device_key = HYPERVISOR_KEY_GUEST_AGENT, .fdset = 7, .fd_name = "7", .format = "socket"},
    };
    struct qemu_command command = command_for(config, files, G_N_ELEMENTS(files));

    check_golden("network_and_ports", &command);
    vim_free(config);
}

static void add_boot_device(struct VirtualMachineBootOptions *options, const struct vim_type *type,
                            int32_t key)
{
    void *device = vim_new(type);

    if (type == &VirtualMachineBootOptionsBootableDiskDevice_type) {
        ((struct VirtualMachineBootOptionsBootableDiskDevice *)device)->deviceKey = key;
    } else if (type == &VirtualMachineBootOptionsBootableEthernetDevice_type) {
        ((struct VirtualMachineBootOptionsBootableEthernetDevice *)device)->deviceKey = key;
    }
    vim_array_add_object(&options->bootOrder, device);
}

static void test_boot(void)
{
    struct VirtualMachineConfigInfo *config = config_new("boot", 1, 256);
    const struct qemu_file files[] = {
        {.device_key = HYPERVISOR_KEY_KERNEL, .fdset = 4, .fd_name = "4", .format = "raw"},
        {.device_key = HYPERVISOR_KEY_INITRD, .fdset = 5, .fd_name = "5", .format = "raw"},
        {.device_key = 2000, .fdset = 6, .fd_name = "6", .format = "qcow2"},
        {.device_key = 2001, .fdset = 7, .fd_name = "7", .format = "qcow2"},
    };
    struct qemu_command command = command_for(config, files, G_N_ELEMENTS(files));

    config_add_controller(config, &ParaVirtualSCSIController_type, 1000, 0);
    config_add_controller(config, &VirtualIDEController_type, 200, 0);
    config_add_unit(config, &VirtualDisk_type, 2000, 1000, 0);
    config_add_unit(config, &VirtualDisk_type, 2001, 1000, 1);
    config_add_unit(config, &VirtualCdrom_type, 3000, 200, 0);
    config_add_network(config, &VirtualVmxnet3_type, 4000);
    config->bootOptions = vim_new(&VirtualMachineBootOptions_type);
    add_boot_device(config->bootOptions, &VirtualMachineBootOptionsBootableEthernetDevice_type, 4000);
    add_boot_device(config->bootOptions, &VirtualMachineBootOptionsBootableCdromDevice_type, 0);
    add_boot_device(config->bootOptions, &VirtualMachineBootOptionsBootableDiskDevice_type, 2001);
    config_add_extra(config, "tenkyu.kernel", "vmlinuz");
    config_add_extra(config, "tenkyu.initrd", "initrd.img");
    config_add_extra(config, "tenkyu.append", "console=ttyS0 root=/dev/sda1");
    check_golden("boot", &command);
    vim_free(config);
}

static void add_uri_port(struct VirtualMachineConfigInfo *config, int32_t key, const char *uri,
                         const char *direction)
{
    struct VirtualDevice *port = config_add(config, &VirtualSerialPort_type, key);
    struct VirtualDeviceURIBackingInfo *backing = vim_new(&VirtualSerialPortURIBackingInfo_type);

    vim_set_string(&backing->serviceURI, uri);
    vim_set_string(&backing->direction, direction);
    port->backing = (struct VirtualDeviceBackingInfo *)backing;
}

static void add_passthrough(struct VirtualMachineConfigInfo *config, int32_t key, const char *address)
{
    struct VirtualDevice *device = config_add(config, &VirtualPCIPassthrough_type, key);
    struct VirtualPCIPassthroughDeviceBackingInfo *backing =
        vim_new(&VirtualPCIPassthroughDeviceBackingInfo_type);

    vim_set_string(&backing->id, address);
    device->backing = (struct VirtualDeviceBackingInfo *)backing;
}

/* EFI with secure boot and a TPM, on the other board, with everything that sits differently there. */
static void test_q35(void)
{
    struct VirtualMachineConfigInfo *config = config_new("q35", 2, 1024);
    const struct qemu_file files[] = {
        {.device_key = QEMU_KEY_FIRMWARE, .fdset = 4, .fd_name = "4", .format = "raw", .read_only = true},
        {.device_key = HYPERVISOR_KEY_NVRAM, .fdset = 5, .fd_name = "5", .format = "raw"},
        {.device_key = 11000, .fdset = 6, .fd_name = "6", .format = "socket"},
        {.device_key = 2000, .fdset = 7, .fd_name = "7", .format = "qcow2"},
        {.device_key = 3000, .fdset = 8, .fd_name = "8", .format = "host_cdrom", .read_only = true},
    };
    struct qemu_command command = command_for(config, files, G_N_ELEMENTS(files));

    vim_set_string(&config->firmware, "efi");
    config->bootOptions = vim_new(&VirtualMachineBootOptions_type);
    vim_set_optional(&config->bootOptions->efiSecureBootEnabled, true);
    config_add_controller(config, &VirtualIDEController_type, 200, 0);
    config_add_controller(config, &VirtualLsiLogicSASController_type, 1000, 0);
    config_add_controller(config, &VirtualAHCIController_type, 15001, 1);
    config_add_controller(config, &VirtualNVMEController_type, 31000, 0);
    config_add_controller(config, &VirtualUSBXHCIController_type, 14000, 0);
    config_add_unit(config, &VirtualDisk_type, 2000, 1000, 0);
    config_add_unit(config, &VirtualCdrom_type, 3000, 200, 0);
    config_add_network(config, &VirtualE1000e_type, 4000);
    config_add_network(config, &VirtualPCNet32_type, 4001);
    config_add(config, &VirtualTPM_type, 11000);
    config_add(config, &VirtualHdAudioCard_type, 5000);
    config_add(config, &VirtualFloppy_type, 8000);
    add_passthrough(config, 13000, "0000:3b:00.0");
    add_passthrough(config, 13001, "0000:3b:00.1");
    check_golden("q35", &command);
    vim_free(config);
}

/* What is asked for by keys of ours, and cards and ports that only the 440BX test had no room for. */
static void test_models(void)
{
    struct VirtualMachineConfigInfo *config = config_new("models", 1, 512);
    const struct qemu_file files[] = {
        {.device_key = 2000, .fdset = 4, .fd_name = "4", .format = "qcow2"},
        {.device_key = 2016, .fdset = 5, .fd_name = "5", .format = "qcow2"},
        {.device_key = 2018, .fdset = 6, .fd_name = "6", .format = "qcow2"},
        {.device_key = 9000, .fdset = 10, .fd_name = "10", .format = "socket"},
        {.device_key = 9001, .fdset = 11, .fd_name = "11", .format = "socket"},
        {.device_key = 9002, .fdset = 7, .fd_name = "7", .format = "raw"},
        {.device_key = 10000, .fdset = 8, .fd_name = "8", .format = "raw"},
        {.device_key = 10001, .fdset = 9, .fd_name = "9", .format = "raw"},
    };
    struct qemu_command command = command_for(config, files, G_N_ELEMENTS(files));

    config_add_controller(config, &ParaVirtualSCSIController_type, 1000, 0);
    config_add_controller(config, &ParaVirtualSCSIController_type, 1001, 1);
    config_add_extra(config, "scsi0.tenkyu.virtualDev", "virtio");
    config_add_extra(config, "scsi1.tenkyu.virtualDev", "virtio-blk");
    config_add_extra(config, "ethernet0.tenkyu.virtualDev", "virtio");
    config_add_extra(config, "tenkyu.video", "svga");
    config_add_unit(config, &VirtualDisk_type, 2000, 1000, 0);
    config_add_unit(config, &VirtualDisk_type, 2016, 1001, 0);
    config_add_unit(config, &VirtualDisk_type, 2018, 1001, 2);
    config_add_network(config, &VirtualVmxnet3_type, 4000);
    config_add(config, &VirtualEnsoniq1371_type, 5000);
    add_uri_port(config, 9000, "telnet://:7001", "server");
    add_uri_port(config, 9001, "tcp://[fe80::1]:99", "client");
    struct VirtualDevice *port = config_add(config, &VirtualSerialPort_type, 9002);
    port->backing = vim_new(&VirtualSerialPortDeviceBackingInfo_type);
    struct VirtualDevice *printer = config_add(config, &VirtualParallelPort_type, 10000);
    printer->backing = vim_new(&VirtualParallelPortFileBackingInfo_type);
    struct VirtualDevice *parallel = config_add(config, &VirtualParallelPort_type, 10001);
    parallel->backing = vim_new(&VirtualParallelPortDeviceBackingInfo_type);
    add_passthrough(config, 13000, "0000:3b:00.0");
    check_golden("models", &command);
    vim_free(config);
}

/* What is said of a device, wherever in the command line. NULL when it is not there. */
static char *find_argument(const struct VirtualMachineConfigInfo *config, const char *id)
{
    struct qemu_command command = command_for(config, NULL, 0);
    g_autofree char *wanted = g_strdup_printf("\"id\":\"%s\"", id), *message = NULL;
    g_auto(GStrv) argv = NULL;

    if (qemu_command_build(&command, &argv, &message) != 0) {
        g_error("%s", message);
    }
    for (size_t i = 0; argv[i] != NULL; i++) {
        if (strstr(argv[i], wanted) != NULL && strstr(argv[i], "\"driver\"") != NULL) {
            g_autoptr(GRegex) boot = g_regex_new(",\"bootindex\":[0-9]+", 0, 0, NULL);
            return g_regex_replace_literal(boot, argv[i], -1, 0, "", 0, NULL);
        }
    }
    return NULL;
}

static void check_stable_places(const char *chipset)
{
    struct VirtualMachineConfigInfo *config = config_new("stable", 1, 256);

    config_add_extra(config, "tenkyu.chipset", chipset);
    config_add_controller(config, &VirtualLsiLogicController_type, 1001, 1);
    config_add_network(config, &VirtualVmxnet3_type, 4001);
    g_autofree char *controller = find_argument(config, "dev-1001"),
                    *card = find_argument(config, "dev-4001");
    g_assert_nonnull(controller);
    g_assert_nonnull(card);

    config_add_controller(config, &VirtualLsiLogicController_type, 1000, 0);
    config_add_controller(config, &VirtualNVMEController_type, 31000, 0);
    config_add_network(config, &VirtualVmxnet3_type, 4000);
    struct VirtualDevice *first = config->hardware->device.items[0];
    config->hardware->device.items[0] = config->hardware->device.items[3];
    config->hardware->device.items[3] = first;
    g_autofree char *controller_after = find_argument(config, "dev-1001");
    g_autofree char *card_after = find_argument(config, "dev-4001");
    g_assert_cmpstr(controller_after, ==, controller);
    g_assert_cmpstr(card_after, ==, card);
    vim_free(config);
}

static void test_stable_places(void)
{
    check_stable_places("440bx");
    check_stable_places("Q35");
}

/* No two devices that may be there together have one slot. */
static void check_slots_differ(const char *chipset, size_t expected)
{
    struct VirtualMachineConfigInfo *config = config_new("full", 1, 256);
    g_autoptr(GHashTable) places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);
    struct qemu_command command = command_for(config, NULL, 0);
    g_auto(GStrv) argv = NULL;
    g_autofree char *message = NULL;
    size_t n = 0;

    config_add_extra(config, "tenkyu.chipset", chipset);
    for (int32_t i = 0; i < 4; i++) {
        config_add_controller(config, &ParaVirtualSCSIController_type, 1000 + i, i);
        config_add_controller(config, &VirtualAHCIController_type, 15000 + i, i);
        config_add_controller(config, &VirtualNVMEController_type, 31000 + i, i);
    }
    for (int32_t i = 0; i < 10; i++) {
        config_add_network(config, &VirtualVmxnet3_type, 4000 + i);
    }
    config_add_controller(config, &VirtualUSBController_type, 7000, 0);
    config_add_controller(config, &VirtualUSBXHCIController_type, 14000, 0);
    config_add(config, &VirtualHdAudioCard_type, 5000);
    add_passthrough(config, 13000, "0000:3b:00.0");
    g_assert_cmpint(qemu_command_build(&command, &argv, &message), ==, 0);
    for (size_t i = 0; argv[i] != NULL; i++) {
        struct json_object *json = argv[i][0] == '{' ? json_tokener_parse(argv[i]) : NULL, *address, *bus;
        if (json != NULL && json_object_object_get_ex(json, "addr", &address) &&
            json_object_object_get_ex(json, "bus", &bus)) {
            g_hash_table_add(
                places, g_strconcat(json_object_get_string(bus), " ", json_object_get_string(address), NULL));
            n++;
        }
        json_object_put(json);
    }
    g_assert_cmpuint(n, ==, expected);
    g_assert_cmpuint(g_hash_table_size(places), ==, n);
    vim_free(config);
}

static void test_slots_differ(void)
{
    check_slots_differ("440bx", 30);
    check_slots_differ("q35", 30 + 18 + 8); /* and root ports, those for pass-through */
}

/* Builds, expects the error, and frees the configuration. */
static void expect_refusal(struct VirtualMachineConfigInfo *config, int error)
{
    const struct qemu_file file = {.device_key = 2000, .fdset = 4, .fd_name = "4", .format = "qcow2"};
    struct qemu_command command = command_for(config, &file, 1);
    g_auto(GStrv) argv = NULL;
    g_autofree char *message = NULL;

    g_assert_cmpint(qemu_command_build(&command, &argv, &message), ==, error);
    g_assert_nonnull(message);
    g_assert_null(argv);
    vim_free(config);
}

static struct VirtualMachineConfigInfo *with_disk(const struct vim_type *controller, int32_t unit)
{
    struct VirtualMachineConfigInfo *config = config_new("refused", 1, 256);

    config_add_controller(config, controller, 1000, 0);
    config_add_unit(config, &VirtualDisk_type, 2000, 1000, unit);
    return config;
}

static void test_refusals(void)
{
    struct VirtualMachineConfigInfo *config;

    expect_refusal(config_new("no processor", 0, 256), -EINVAL);
    expect_refusal(config_new("no memory", 1, 0), -EINVAL);
    config = config_new("efi", 1, 256);
    vim_set_string(&config->firmware, "efi"); /* its files are not there */
    expect_refusal(config, -EINVAL);
    config = config_new("board", 1, 256);
    config_add_extra(config, "tenkyu.chipset", "p35");
    expect_refusal(config, -EINVAL);
    config = config_new("screen", 1, 256);
    config_add_extra(config, "tenkyu.video", "cga");
    expect_refusal(config, -EINVAL);
    config = config_new("uuid", 1, 256);
    vim_set_string(&config->uuid, "x,y");
    expect_refusal(config, -EINVAL);
    config = config_new("kernel", 1, 256);
    config_add_extra(config, "tenkyu.kernel", "vmlinuz");
    expect_refusal(config, -EINVAL);

    expect_refusal(with_disk(&VirtualBusLogicController_type, 0), -ENOTSUP);
    expect_refusal(with_disk(&VirtualLsiLogicController_type, 7), -EINVAL);
    expect_refusal(with_disk(&VirtualLsiLogicSASController_type, 8), -EINVAL);
    expect_refusal(with_disk(&ParaVirtualSCSIController_type, 16), -EINVAL);
    expect_refusal(with_disk(&ParaVirtualSCSIController_type, -1), -EINVAL);
    expect_refusal(with_disk(&VirtualIDEController_type, 2), -EINVAL);
    expect_refusal(with_disk(&VirtualAHCIController_type, 6), -EINVAL);
    expect_refusal(with_disk(&VirtualUSBController_type, 0), -EINVAL);

    config = config_new("no controller", 1, 256);
    config_add_unit(config, &VirtualDisk_type, 2000, 1000, 0);
    expect_refusal(config, -EINVAL);
    config = config_new("no file", 1, 256);
    config_add_controller(config, &ParaVirtualSCSIController_type, 1000, 0);
    config_add_unit(config, &VirtualDisk_type, 2001, 1000, 0);
    expect_refusal(config, -EINVAL);
    config = config_new("fifth controller", 1, 256);
    config_add_controller(config, &ParaVirtualSCSIController_type, 1004, 4);
    expect_refusal(config, -EINVAL);
    config = config_new("eleventh adapter", 1, 256);
    config_add_network(config, &VirtualVmxnet3_type, 4010);
    expect_refusal(config, -EINVAL);
    config = config_new("old adapter", 1, 256);
    config_add_network(config, &VirtualVmxnet2_type, 4000);
    expect_refusal(config, -ENOTSUP);
    config = config_new("model", 1, 256);
    config_add_network(config, &VirtualVmxnet3_type, 4000);
    config_add_extra(config, "ethernet0.tenkyu.virtualDev", "ne2k");
    expect_refusal(config, -ENOTSUP);
    config = config_new("tpm", 1, 256);
    config_add(config, &VirtualTPM_type, 11000);
    expect_refusal(config, -EINVAL);
    config = config_new("second pass-through", 1, 256);
    add_passthrough(config, 13001, "0000:3b:00.0");
    expect_refusal(config, -EINVAL);
    config = config_new("fifth port", 1, 256);
    config_add(config, &VirtualSerialPort_type, 9004);
    expect_refusal(config, -EINVAL);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/qemu_command/minimal", test_minimal);
    g_test_add_func("/qemu_command/machine", test_machine);
    g_test_add_func("/qemu_command/storage", test_storage);
    g_test_add_func("/qemu_command/disk_uuid", test_disk_uuid);
    g_test_add_func("/qemu_command/disk_kinds", test_disk_kinds);
    g_test_add_func("/qemu_command/network_and_ports", test_network_and_ports);
    g_test_add_func("/qemu_command/boot", test_boot);
    g_test_add_func("/qemu_command/q35", test_q35);
    g_test_add_func("/qemu_command/models", test_models);
    g_test_add_func("/qemu_command/stable_places", test_stable_places);
    g_test_add_func("/qemu_command/slots_differ", test_slots_differ);
    g_test_add_func("/qemu_command/refusals", test_refusals);
    return g_test_run();
}
