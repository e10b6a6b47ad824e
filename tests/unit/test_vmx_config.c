// SPDX-License-Identifier: Apache-2.0
/*
 * Files of ESX and Workstation as the VI API's configuration: what they say is understood, writing back
 * what was read changes no byte, and a change changes its key only.
 */
#include "host/vm/vmx_config.h"

#include <errno.h>
#include <string.h>

#include "host/storage/disk_image.h"
#include "host/vm/vmx_guest.h"
#include "vim/types.h"
#include "vim/value.h"

/* As ESX 6.7 writes it, without what repeats. */
static const char esx[] = ".encoding = \"UTF-8\"\n"
                          "config.version = \"8\"\n"
                          "virtualHW.version = \"14\"\n"
                          "nvram = \"web.nvram\"\n"
                          "pciBridge0.present = \"TRUE\"\n"
                          "svga.present = \"TRUE\"\n"
                          "pciBridge4.virtualDev = \"pcieRootPort\"\n"
                          "vmci0.present = \"TRUE\"\n"
                          "hpet0.present = \"TRUE\"\n"
                          "floppy0.present = \"FALSE\"\n"
                          "svga.vramSize = \"8388608\"\n"
                          "memSize = \"4096\"\n"
                          "numvcpus = \"2\"\n"
                          "powerType.powerOff = \"default\"\n"
                          "powerType.suspend = \"soft\"\n"
                          "displayName = \"web |22one|22\"\n"
                          "guestOS = \"debian10-64\"\n"
                          "scsi0.virtualDev = \"pvscsi\"\n"
                          "scsi0.present = \"TRUE\"\n"
                          "sata0.present = \"TRUE\"\n"
                          "scsi0:0.deviceType = \"scsi-hardDisk\"\n"
                          "scsi0:0.fileName = \"web.vmdk\"\n"
                          "sched.scsi0:0.shares = \"high\"\n"
                          "sched.scsi0:0.throughputCap = \"off\"\n"
                          "scsi0:0.present = \"TRUE\"\n"
                          "scsi0:1.fileName = \"/vmfs/volumes/fast/data/web_1.vmdk\"\n"
                          "scsi0:1.mode = \"independent-persistent\"\n"
                          "scsi0:1.present = \"TRUE\"\n"
                          "scsi0:0.redo = \"\"\n"
                          "sata0:0.deviceType = \"cdrom-image\"\n"
                          "sata0:0.fileName = \"/vmfs/volumes/iso/debian.iso\"\n"
                          "sata0:0.startConnected = \"FALSE\"\n"
                          "sata0:0.present = \"TRUE\"\n"
                          "ethernet0.virtualDev = \"vmxnet3\"\n"
                          "ethernet0.networkName = \"VM Network\"\n"
                          "ethernet0.addressType = \"generated\"\n"
                          "ethernet0.generatedAddress = \"00:0c:29:11:22:33\"\n"
                          "ethernet0.pciSlotNumber = \"192\"\n"
                          "ethernet0.uptCompatibility = \"TRUE\"\n"
                          "ethernet0.present = \"TRUE\"\n"
                          "serial0.fileType = \"network\"\n"
                          "serial0.fileName = \"telnet://:7001\"\n"
                          "serial0.network.endPoint = \"server\"\n"
                          "serial0.present = \"TRUE\"\n"
                          "uuid.bios = \"56 4d 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc\"\n"
                          "uuid.location = \"56 4d 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc\"\n"
                          "vc.uuid = \"52 01 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc\"\n"
                          "sched.cpu.units = \"mhz\"\n"
                          "sched.cpu.shares = \"normal\"\n"
                          "sched.cpu.min = \"500\"\n"
                          "sched.mem.min = \"1024\"\n"
                          "sched.mem.minSize = \"1024\"\n"
                          "sched.mem.max = \"unlimited\"\n"
                          "sched.mem.shares = \"5000\"\n"
                          "tools.syncTime = \"FALSE\"\n"
                          "bios.bootOrder = \"hdd,CDROM,ethernet0\"\n"
                          "bios.hddOrder = \"scsi0:1,scsi0:0\"\n"
                          "annotation = \"two|0Alines\"\n"
                          "migrate.hostLog = \"./web.hlog\"\n"
                          "guestinfo.role = \"frontend\"\n"
                          "checkpoint.vmState = \"\"\n"
                          "cleanShutdown = \"TRUE\"\n";

/* As Workstation writes it. */
static const char workstation[] = "#!/usr/bin/vmware\r\n"
                                  ".encoding = \"UTF-8\"\r\n"
                                  "config.version = \"8\"\r\n"
                                  "virtualHW.version = \"8\"\r\n"
                                  "scsi0.present = \"true\"\r\n"
                                  "scsi0.virtualDev = \"lsilogic\"\r\n"
                                  "memsize = \"512\"\r\n"
                                  "scsi0:0.present = \"TRUE\"\r\n"
                                  "scsi0:0.fileName = \"C:\\\\Machines\\\\old.vmdk\"\r\n"
                                  "ide1:0.present = \"TRUE\"\r\n"
                                  "ide1:0.autodetect = \"TRUE\"\r\n"
                                  "ide1:0.deviceType = \"cdrom-raw\"\r\n"
                                  "ethernet0.present = \"TRUE\"\r\n"
                                  "ethernet0.connectionType = \"nat\"\r\n"
                                  "ethernet0.virtualDev = \"e1000\"\r\n"
                                  "ethernet0.addressType = \"static\"\r\n"
                                  "ethernet0.address = \"00:50:56:01:02:03\"\r\n"
                                  "usb.present = \"TRUE\"\r\n"
                                  "ehci.present = \"TRUE\"\r\n"
                                  "sound.present = \"TRUE\"\r\n"
                                  "sound.virtualDev = \"hdaudio\"\r\n"
                                  "floppy0.present = \"TRUE\"\r\n"
                                  "floppy0.fileType = \"device\"\r\n"
                                  "floppy0.clientDevice = \"TRUE\"\r\n"
                                  "floppy0.fileName = \"\"\r\n"
                                  "displayName = \"Old \xe5\xa4\xa9\"\r\n"
                                  "guestOS = \"winxppro\"\r\n"
                                  "\r\n"
                                  "# kept\r\n"
                                  "extendedConfigFile = \"old.vmxf\"\r\n";

static struct vmx *parse(const char *text)
{
    struct vmx *vmx = NULL;
    char *message = NULL;

    if (vmx_parse(text, strlen(text), &vmx, &message) < 0) {
        g_error("%s", message);
    }
    return vmx;
}

static int find_disk(void *data, const char *file_name, struct disk_image_info *ret)
{
    (void)data;
    if (strcmp(file_name, "[ds] vms/web/web.vmdk") != 0) {
        return -ENOENT;
    }
    *ret = (struct disk_image_info){.capacity_bytes = INT64_C(5) << 30, .provisioning = DISK_IMAGE_THIN};
    g_strlcpy(ret->uuid, "6000c291-2345-6789-abcd-ef0123456789", sizeof(ret->uuid));
    ret->data_path = g_strdup("vms/web/web.qcow2");
    return 0;
}

static struct VirtualMachineConfigInfo *to_config(const struct vmx *vmx)
{
    struct VirtualMachineConfigInfo *config = NULL;
    char *message = NULL;

    if (vmx_to_config(vmx, "ds", "vms/web/web.vmx", find_disk, NULL, &config, &message) < 0) {
        g_error("%s", message);
    }
    return config;
}

static void update(struct vmx *vmx, const struct VirtualMachineConfigInfo *config)
{
    char *message = NULL;

    if (vmx_update(vmx, config, &message) < 0) {
        g_error("%s", message);
    }
}

static void *device(const struct VirtualMachineConfigInfo *config, int32_t key, const struct vim_type *type)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        if (config->hardware->device.items[i]->key == key) {
            g_assert_true(config->hardware->device.items[i]->vim_type == type);
            return config->hardware->device.items[i];
        }
    }
    g_error("no device %d", key);
}

static void remove_device(struct VirtualMachineConfigInfo *config, int32_t key)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        if (config->hardware->device.items[i]->key == key) {
            vim_array_remove(&config->hardware->device, &VirtualDevice_type, i);
            return;
        }
    }
    g_error("no device %d", key);
}

static const char *extra(const struct VirtualMachineConfigInfo *config, const char *key)
{
    for (uint32_t i = 0; i < config->extraConfig.n; i++) {
        if (strcmp(config->extraConfig.items[i]->key, key) == 0) {
            return vim_any_get_string(config->extraConfig.items[i]->value);
        }
    }
    return NULL;
}

static void set_extra(struct VirtualMachineConfigInfo *config, const char *key, const char *value)
{
    struct OptionValue *option = OptionValue_new();

    option->key = g_strdup(key);
    option->value = vim_any_string(value);
    vim_array_add_object(&config->extraConfig, option);
}

static void test_esx_machine(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    const struct VirtualMachineBootOptionsBootableDiskDevice *first =
        (const void *)c->bootOptions->bootOrder.items[0];

    g_assert_cmpstr(c->name, ==, "web \"one\"");
    g_assert_cmpstr(c->annotation, ==, "two\nlines");
    g_assert_cmpstr(c->version, ==, "vmx-14");
    g_assert_cmpstr(c->guestId, ==, "debian10_64Guest");
    g_assert_cmpstr(c->uuid, ==, "564d1234-5678-9abc-def0-123456789abc");
    g_assert_cmpstr(c->instanceUuid, ==, "52011234-5678-9abc-def0-123456789abc");
    g_assert_cmpstr(c->firmware, ==, "bios");
    g_assert_cmpstr(c->files->vmPathName, ==, "[ds] vms/web/web.vmx");
    g_assert_cmpstr(c->files->snapshotDirectory, ==, "[ds] vms/web/");
    g_assert_cmpint(c->hardware->numCPU, ==, 2);
    g_assert_cmpint(c->hardware->memoryMB, ==, 4096);
    g_assert_cmpint(c->cpuAllocation->reservation.value, ==, 500);
    g_assert_cmpint(c->cpuAllocation->limit.value, ==, -1);
    g_assert_cmpint(c->cpuAllocation->shares->shares, ==, 2000);
    g_assert_cmpint(c->memoryAllocation->limit.value, ==, -1);
    g_assert_cmpint(c->memoryAllocation->shares->level, ==, SharesLevel_custom);
    g_assert_cmpint(c->memoryAllocation->shares->shares, ==, 5000);
    g_assert_cmpstr(c->defaultPowerOps->powerOffType, ==, "preset");
    g_assert_cmpstr(c->defaultPowerOps->suspendType, ==, "soft");
    g_assert_true(c->tools->syncTimeWithHost.set && !c->tools->syncTimeWithHost.value);
    g_assert_cmpuint(c->bootOptions->bootOrder.n, ==, 4);
    g_assert_cmpint(first->deviceKey, ==, 2001);
    g_assert_cmpstr(extra(c, "guestinfo.role"), ==, "frontend");
    g_assert_cmpstr(extra(c, "ethernet0.pciSlotNumber"), ==, "192");
    g_assert_null(extra(c, "scsi0:0.fileName"));
    g_assert_null(extra(c, "checkpoint.vmState"));
    g_assert_null(extra(c, "memSize"));
    g_assert_nonnull(c->changeVersion);
    vim_free(c);
}

static void test_esx_devices(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    struct VirtualDisk *disk = device(c, 2000, &VirtualDisk_type);
    struct VirtualDiskFlatVer2BackingInfo *backing = (void *)disk->backing;
    struct VirtualDisk *second = device(c, 2001, &VirtualDisk_type);
    struct VirtualDiskFlatVer2BackingInfo *second_backing = (void *)second->backing;
    struct VirtualCdrom *cdrom = device(c, 16000, &VirtualCdrom_type);
    struct VirtualVmxnet3 *card = device(c, 4000, &VirtualVmxnet3_type);
    struct VirtualSerialPort *serial = device(c, 9000, &VirtualSerialPort_type);
    struct ParaVirtualSCSIController *scsi = device(c, 1000, &ParaVirtualSCSIController_type);
    struct VirtualMachineVideoCard *video = device(c, 500, &VirtualMachineVideoCard_type);

    device(c, 12000, &VirtualMachineVMCIDevice_type);
    device(c, 15000, &VirtualAHCIController_type);
    g_assert_cmpint(((struct VirtualIDEController *)device(c, 201, &VirtualIDEController_type))->busNumber,
                    ==, 1);
    g_assert_cmpuint(c->hardware->device.n, ==, 8 + 8);
    g_assert_cmpstr(backing->fileName, ==, "[ds] vms/web/web.vmdk");
    g_assert_cmpstr(backing->diskMode, ==, "persistent");
    g_assert_cmpint(disk->capacityInKB, ==, 5 << 20);
    g_assert_cmpint(disk->capacityInBytes.value, ==, INT64_C(5) << 30);
    g_assert_true(backing->thinProvisioned.value);
    g_assert_cmpstr(backing->uuid, ==, "6000c291-2345-6789-abcd-ef0123456789");
    g_assert_cmpint(disk->controllerKey.value, ==, 1000);
    g_assert_cmpint(disk->unitNumber.value, ==, 0);
    g_assert_cmpint(disk->storageIOAllocation->shares->shares, ==, 2000);
    g_assert_cmpint(disk->storageIOAllocation->limit.value, ==, -1);
    g_assert_cmpstr(second_backing->fileName, ==, "[fast] data/web_1.vmdk");
    g_assert_cmpstr(second_backing->diskMode, ==, "independent_persistent");
    g_assert_cmpint(second->capacityInKB, ==, 0);
    g_assert_true(vim_is_a(cdrom->backing, &VirtualCdromIsoBackingInfo_type));
    g_assert_cmpstr(((struct VirtualCdromIsoBackingInfo *)cdrom->backing)->fileName, ==, "[iso] debian.iso");
    g_assert_false(cdrom->connectable->startConnected);
    g_assert_true(cdrom->connectable->allowGuestControl);
    g_assert_cmpint(cdrom->controllerKey.value, ==, 15000);
    g_assert_cmpstr(card->macAddress, ==, "00:0c:29:11:22:33");
    g_assert_cmpstr(card->addressType, ==, "generated");
    g_assert_cmpint(card->unitNumber.value, ==, 7);
    g_assert_cmpstr(((struct VirtualEthernetCardNetworkBackingInfo *)card->backing)->deviceName, ==,
                    "VM Network");
    g_assert_true(card->connectable->startConnected);
    g_assert_cmpstr(((struct VirtualSerialPortURIBackingInfo *)serial->backing)->serviceURI, ==,
                    "telnet://:7001");
    g_assert_cmpint(scsi->sharedBus, ==, VirtualSCSISharing_noSharing);
    g_assert_cmpint(video->videoRamSizeInKB.value, ==, 8192);
    vim_free(c);
}

static void test_workstation(void)
{
    g_autoptr(vmx) vmx = parse(workstation);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    struct VirtualDisk *disk = device(c, 2000, &VirtualDisk_type);
    struct VirtualE1000 *card = device(c, 4000, &VirtualE1000_type);
    struct VirtualCdrom *cdrom = device(c, 3002, &VirtualCdrom_type);
    struct VirtualFloppy *floppy = device(c, 8000, &VirtualFloppy_type);
    struct VirtualUSBController *usb = device(c, 7000, &VirtualUSBController_type);

    device(c, 1000, &VirtualLsiLogicController_type);
    g_assert_cmpstr(c->guestId, ==, "winXPProGuest");
    g_assert_cmpstr(c->version, ==, "vmx-08");
    g_assert_cmpint(c->hardware->numCPU, ==, 1);
    g_assert_cmpstr(((struct VirtualDiskFlatVer2BackingInfo *)disk->backing)->fileName, ==,
                    "[] C:\\\\Machines\\\\old.vmdk");
    g_assert_cmpstr(card->addressType, ==, "manual");
    g_assert_cmpstr(card->macAddress, ==, "00:50:56:01:02:03");
    g_assert_cmpstr(extra(c, "ethernet0.connectionType"), ==, "nat");
    device(c, 5000, &VirtualHdAudioCard_type);
    g_assert_true(vim_is_a(cdrom->backing, &VirtualCdromPassthroughBackingInfo_type));
    g_assert_true(vim_is_a(floppy->backing, &VirtualFloppyRemoteDeviceBackingInfo_type));
    g_assert_true(usb->ehciEnabled.value);
    vim_free(c);
}

/* Reading and writing back, even twice, changes nothing at all. */
static void test_unchanged(void)
{
    static const char *const files[] = {esx, workstation};

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autoptr(vmx) vmx = parse(files[i]);
        struct VirtualMachineConfigInfo *c = to_config(vmx);
        g_autofree char *text = NULL;

        update(vmx, c);
        update(vmx, c);
        text = vmx_format(vmx, NULL);
        g_assert_cmpstr(text, ==, files[i]);
        vim_free(c);
    }
}

static void test_changed(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    struct VirtualVmxnet3 *card = device(c, 4000, &VirtualVmxnet3_type);
    g_autoptr(GString) expected = g_string_new(esx);
    g_autofree char *text = NULL;

    c->hardware->memoryMB = 8192;
    vim_set_string(&c->annotation, NULL);
    vim_set_string(&card->addressType, "manual");
    vim_set_string(&card->macAddress, "00:50:56:00:00:09");
    vim_set_optional(&c->memoryAllocation->reservation, 2048);
    set_extra(c, "guestinfo.new", "a|b");
    update(vmx, c);
    text = vmx_format(vmx, NULL);
    g_string_replace(expected, "memSize = \"4096\"", "memSize = \"8192\"", 0);
    g_string_replace(expected, "annotation = \"two|0Alines\"\n", "", 0);
    g_string_replace(expected, "addressType = \"generated\"", "addressType = \"static\"", 0);
    g_string_replace(expected, "ethernet0.generatedAddress = \"00:0c:29:11:22:33\"\n", "", 0);
    g_string_replace(expected, "sched.mem.min = \"1024\"", "sched.mem.min = \"2048\"", 0);
    g_string_replace(expected, "sched.mem.minSize = \"1024\"", "sched.mem.minSize = \"2048\"", 0);
    g_string_append(expected, "ethernet0.address = \"00:50:56:00:00:09\"\nguestinfo.new = \"a|7Cb\"\n");
    g_assert_cmpstr(text, ==, expected->str);
    vim_free(c);
}

/* A device takes all its keys with it, also those in extraConfig; its neighbours keep theirs. */
static void test_removed(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    struct VirtualMachineConfigInfo *again;
    const char *key;
    const char *value;
    size_t i = 0;

    remove_device(c, 4000);
    remove_device(c, 2000);
    remove_device(c, 16000);
    remove_device(c, 15000);
    update(vmx, c);
    while (vmx_next(vmx, &i, &key, &value)) {
        g_assert_false(g_str_has_prefix(key, "ethernet0."));
        g_assert_false(g_str_has_prefix(key, "scsi0:0."));
        g_assert_false(g_str_has_prefix(key, "sched.scsi0:0."));
        g_assert_false(g_str_has_prefix(key, "sata0"));
    }
    again = to_config(vmx);
    device(again, 2001, &VirtualDisk_type);
    device(again, 1000, &ParaVirtualSCSIController_type);
    g_assert_cmpuint(again->hardware->device.n, ==, c->hardware->device.n);
    vim_free(again);
    vim_free(c);
}

/* extraConfig is the whole truth about what is not understood, and has no say in what is. */
static void test_extra(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);

    while (c->extraConfig.n > 0) {
        vim_array_remove(&c->extraConfig, &OptionValue_type, 0);
    }
    set_extra(c, "memsize", "1");
    set_extra(c, "scsi0:0.fileName", "/etc/passwd");
    set_extra(c, "checkpoint.vmState", "x");
    set_extra(c, "GuestInfo.Role", "");
    set_extra(c, "guestinfo.a", "1");
    update(vmx, c);
    g_assert_cmpstr(vmx_get(vmx, "memsize"), ==, "4096");
    g_assert_cmpstr(vmx_get(vmx, "scsi0:0.fileName"), ==, "web.vmdk");
    g_assert_cmpstr(vmx_get(vmx, "checkpoint.vmState"), ==, "");
    g_assert_cmpstr(vmx_get(vmx, "guestinfo.a"), ==, "1");
    g_assert_null(vmx_get(vmx, "guestinfo.role"));
    g_assert_null(vmx_get(vmx, "cleanShutdown"));
    g_assert_cmpstr(vmx_get(vmx, "nvram"), ==, "web.nvram");
    vim_free(c);
}

/* Another medium in the drive keeps the drive's other keys; another type of device does not. */
static void test_replaced(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    struct VirtualCdrom *cdrom = device(c, 16000, &VirtualCdrom_type);
    struct VirtualCdromRemotePassthroughBackingInfo *remote = VirtualCdromRemotePassthroughBackingInfo_new();
    struct VirtualE1000 *card = VirtualE1000_new();

    set_extra(c, "sata0:0.note", "kept");
    remote->deviceName = g_strdup("");
    vim_free(cdrom->backing);
    cdrom->backing = (struct VirtualDeviceBackingInfo *)remote;
    remove_device(c, 4000);
    card->key = 4000;
    vim_array_add_object(&c->hardware->device, card);
    update(vmx, c);
    g_assert_cmpstr(vmx_get(vmx, "sata0:0.deviceType"), ==, "cdrom-raw");
    g_assert_cmpstr(vmx_get(vmx, "sata0:0.clientDevice"), ==, "TRUE");
    g_assert_null(vmx_get(vmx, "sata0:0.fileName"));
    g_assert_cmpstr(vmx_get(vmx, "sata0:0.note"), ==, "kept");
    g_assert_cmpstr(vmx_get(vmx, "ethernet0.virtualDev"), ==, "e1000");
    g_assert_null(vmx_get(vmx, "ethernet0.networkName"));
    g_assert_null(vmx_get(vmx, "ethernet0.uptCompatibility"));
    vim_free(c);
}

/* What a new machine is made of is read again as it was written. */
static void test_new(void)
{
    g_autoptr(vmx) source = parse(esx);
    g_autoptr(vmx) made = vmx_new();
    struct VirtualMachineConfigInfo *c = to_config(source);
    struct VirtualMachineConfigInfo *again;
    g_autofree char *text = NULL;
    g_autoptr(vmx) parsed = NULL;

    update(made, c);
    text = vmx_format(made, NULL);
    g_assert_true(g_str_has_prefix(text, ".encoding = \"UTF-8\"\nconfig.version = \"8\"\n"));
    g_assert_cmpstr(vmx_get(made, "scsi0:1.fileName"), ==, "/vmfs/volumes/fast/data/web_1.vmdk");
    g_assert_cmpstr(vmx_get(made, "scsi0:0.fileName"), ==, "web.vmdk");
    g_assert_cmpstr(vmx_get(made, "virtualHW.version"), ==, "14");
    g_assert_cmpstr(vmx_get(made, "guestOS"), ==, "debian10-64");
    g_assert_cmpstr(vmx_get(made, "uuid.bios"), ==, "56 4d 12 34 56 78 9a bc-de f0 12 34 56 78 9a bc");
    g_assert_cmpstr(vmx_get(made, "bios.hddOrder"), ==, "scsi0:1,scsi0:0");
    parsed = parse(text);
    again = to_config(parsed);
    vim_set_string(&again->changeVersion, c->changeVersion);
    /* The order of unknown keys is that of the file; compare them as a set. */
    g_assert_cmpuint(again->extraConfig.n, ==, c->extraConfig.n - 1); /* not `scsi0:0.redo = ""` */
    while (again->extraConfig.n > 0) {
        g_assert_cmpstr(extra(c, again->extraConfig.items[0]->key), ==,
                        vim_any_get_string(again->extraConfig.items[0]->value));
        vim_array_remove(&again->extraConfig, &OptionValue_type, 0);
    }
    while (c->extraConfig.n > 0) {
        vim_array_remove(&c->extraConfig, &OptionValue_type, 0);
    }
    g_assert_true(vim_equal(c, again));
    vim_free(again);
    vim_free(c);
}

static void test_empty(void)
{
    g_autoptr(vmx) vmx = parse("config.version = \"8\"\n");
    struct VirtualMachineConfigInfo *c = to_config(vmx);

    g_assert_cmpstr(c->name, ==, "web");
    g_assert_cmpint(c->hardware->memoryMB, ==, 32);
    g_assert_cmpuint(c->hardware->device.n, ==, 8);
    g_assert_cmpuint(c->extraConfig.n, ==, 0);
    vim_free(c);
}

/* Every kind of device with every kind of backing, written into a new file and read again. */
static void test_every_device(void)
{
    static const struct {
        const struct vim_type *type, *backing;
        int32_t key, controller, unit;
    } cases[] = {
        {&VirtualLsiLogicController_type, NULL, 1000, 100, 3},
        {&VirtualLsiLogicSASController_type, NULL, 1001, 100, 4},
        {&ParaVirtualSCSIController_type, NULL, 1002, 100, 5},
        {&VirtualBusLogicController_type, NULL, 1003, 100, 6},
        {&VirtualAHCIController_type, NULL, 15000, 100, 24},
        {&VirtualNVMEController_type, NULL, 31000, 100, 30},
        {&VirtualUSBController_type, NULL, 7000, 100, 22},
        {&VirtualUSBXHCIController_type, NULL, 14000, 100, 23},
        {&VirtualMachineVMCIDevice_type, NULL, 12000, 100, 17},
        {&VirtualTPM_type, NULL, 11000, 100, 28},
        {&VirtualDisk_type, &VirtualDiskFlatVer2BackingInfo_type, 2000, 1000, 0},
        {&VirtualDisk_type, &VirtualDiskFlatVer2BackingInfo_type, 32001, 31000, 1},
        {&VirtualCdrom_type, &VirtualCdromIsoBackingInfo_type, 16000, 15000, 0},
        {&VirtualCdrom_type, &VirtualCdromAtapiBackingInfo_type, 3000, 200, 0},
        {&VirtualCdrom_type, &VirtualCdromPassthroughBackingInfo_type, 3001, 200, 1},
        {&VirtualCdrom_type, &VirtualCdromRemoteAtapiBackingInfo_type, 3002, 201, 0},
        {&VirtualCdrom_type, &VirtualCdromRemotePassthroughBackingInfo_type, 3003, 201, 1},
        {&VirtualE1000_type, &VirtualEthernetCardNetworkBackingInfo_type, 4000, 100, 7},
        {&VirtualE1000e_type, &VirtualEthernetCardNetworkBackingInfo_type, 4001, 100, 8},
        {&VirtualVmxnet3_type, &VirtualEthernetCardNetworkBackingInfo_type, 4002, 100, 9},
        {&VirtualPCNet32_type, &VirtualEthernetCardNetworkBackingInfo_type, 4003, 100, 10},
        {&VirtualFloppy_type, &VirtualFloppyImageBackingInfo_type, 8000, 400, 0},
        {&VirtualFloppy_type, &VirtualFloppyRemoteDeviceBackingInfo_type, 8001, 400, 1},
        {&VirtualSerialPort_type, &VirtualSerialPortFileBackingInfo_type, 9000, 400, 0},
        {&VirtualSerialPort_type, &VirtualSerialPortDeviceBackingInfo_type, 9001, 400, 1},
        {&VirtualSerialPort_type, &VirtualSerialPortPipeBackingInfo_type, 9002, 400, 2},
        {&VirtualSerialPort_type, &VirtualSerialPortURIBackingInfo_type, 9003, 400, 3},
        {&VirtualParallelPort_type, &VirtualParallelPortFileBackingInfo_type, 10000, 400, 0},
        {&VirtualParallelPort_type, &VirtualParallelPortDeviceBackingInfo_type, 10001, 400, 1},
        {&VirtualEnsoniq1371_type, &VirtualSoundCardDeviceBackingInfo_type, 5000, 100, 18},
        {&VirtualPCIPassthrough_type, &VirtualPCIPassthroughDeviceBackingInfo_type, 13001, 100, 41},
    };
    g_autoptr(vmx) vmx = parse("config.version = \"8\"\n");
    struct VirtualMachineConfigInfo *c = to_config(vmx);

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct VirtualDevice *one = vim_new(cases[i].type);
        one->key = cases[i].key;
        vim_set_optional(&one->controllerKey, cases[i].controller);
        vim_set_optional(&one->unitNumber, cases[i].unit);
        if (vim_is_a(one, &VirtualSCSIController_type)) {
            ((struct VirtualSCSIController *)one)->sharedBus = VirtualSCSISharing_noSharing;
        }
        if (vim_is_a(one, &VirtualController_type)) {
            ((struct VirtualController *)one)->busNumber = cases[i].key % 1000;
        }
        one->backing = cases[i].backing != NULL ? vim_new(cases[i].backing) : NULL;
        if (vim_is_a(one->backing, &VirtualPCIPassthroughDeviceBackingInfo_type)) {
            struct VirtualPCIPassthroughDeviceBackingInfo *pci = (void *)one->backing;
            pci->id = g_strdup("0000:3b:00.1");
            pci->deviceId = g_strdup("0x1572");
            pci->vendorId = (int16_t)0x8086;
            pci->systemId = g_strdup("host");
        } else if (vim_is_a(one->backing, &VirtualDeviceURIBackingInfo_type)) {
            vim_set_string(&((struct VirtualDeviceURIBackingInfo *)one->backing)->serviceURI,
                           "telnet://:7001");
            vim_set_string(&((struct VirtualDeviceURIBackingInfo *)one->backing)->direction, "client");
        }
        vim_array_add_object(&c->hardware->device, one);
    }
    update(vmx, c);
    vim_free(c);
    g_autofree char *text = vmx_format(vmx, NULL);
    g_autoptr(vmx) again = parse(text);
    c = to_config(again);
    g_assert_cmpuint(c->hardware->device.n, ==, 8 + G_N_ELEMENTS(cases));
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        const struct VirtualDevice *one = device(c, cases[i].key, cases[i].type);
        g_assert_true(one->backing == NULL ? cases[i].backing == NULL
                                           : one->backing->vim_type == cases[i].backing);
        g_assert_cmpint(one->controllerKey.value, ==, cases[i].controller);
        g_assert_cmpint(one->unitNumber.value, ==, cases[i].unit);
    }
    const struct VirtualDevice *pci = device(c, 13001, &VirtualPCIPassthrough_type);
    g_assert_cmpint(((struct VirtualPCIPassthroughDeviceBackingInfo *)pci->backing)->vendorId, ==,
                    (int16_t)0x8086);
    const struct VirtualDevice *port = device(c, 9003, &VirtualSerialPort_type);
    g_assert_cmpstr(((struct VirtualDeviceURIBackingInfo *)port->backing)->direction, ==, "client");
    g_assert_nonnull(strstr(text, "pciPassthru1.vendorId = \"0x8086\""));
    vim_free(c);
}

/* What nobody here knows is no device, and survives. */
static void test_unknown_device(void)
{
    static const char text[] = "config.version = \"8\"\n"
                               "displayName = \"x\"\n"
                               "ethernet1.present = \"TRUE\"\n"
                               "ethernet1.virtualDev = \"pciPassthru\"\n"
                               "scsi2:0.present = \"TRUE\"\n"
                               "scsi2:0.fileName = \"no controller.vmdk\"\n"
                               "tape0.present = \"TRUE\"\n";
    g_autoptr(vmx) vmx = parse(text);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    g_autofree char *after = NULL;

    g_assert_cmpuint(c->hardware->device.n, ==, 8);
    g_assert_cmpstr(extra(c, "ethernet1.virtualDev"), ==, "pciPassthru");
    g_assert_cmpstr(extra(c, "scsi2:0.fileName"), ==, "no controller.vmdk");
    update(vmx, c);
    after = vmx_format(vmx, NULL);
    g_assert_cmpstr(after, ==, text);
    vim_free(c);
}

static void test_refused(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\nmemsize = \"lots\"\n", "line 2: memsize: not a number*"},
        {"memsize = \"2\"\n", "line 1: memsize: not a number*"},
        {"memsize = \"99999999999\"\n", "line 1: memsize: not a number*"},
        {"numvcpus = \"0\"\n", "line 1: numvcpus: not a number*"},
        {"uuid.bios = \"56 4d\"\n", "line 1: uuid.bios: not in the form*"},
        {"virtualHW.version = \"x\"\n", "line 1: virtualHW.version: not in the form*"},
        {"sched.cpu.shares = \"some\"\n", "line 1: sched.cpu.shares: neither*"},
        {"tools.syncTime = \"maybe\"\n", "line 1: tools.syncTime: neither*"},
        {"ethernet0.present = \"TRUE\"\nethernet0.startConnected = \"so\"\n",
         "line 2: ethernet0.startConnected: neither*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_autoptr(vmx) vmx = parse(cases[i].text);
        struct VirtualMachineConfigInfo *c = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(vmx_to_config(vmx, "ds", "a.vmx", NULL, NULL, &c, &message), ==, -EINVAL);
        g_assert_null(c);
        if (!g_pattern_match_simple(cases[i].message, message)) {
            g_error("%s", message);
        }
    }
}

static void test_not_writable(void)
{
    g_autoptr(vmx) vmx = parse(esx);
    struct VirtualMachineConfigInfo *c = to_config(vmx);
    struct VirtualDevice *strange = (struct VirtualDevice *)VirtualFloppy_new();
    struct VirtualDisk *disk = device(c, 2000, &VirtualDisk_type);
    char *message = NULL;

    strange->key = 77;
    vim_array_add_object(&c->hardware->device, strange);
    g_assert_cmpint(vmx_update(vmx, c, &message), ==, -ENOTSUP);
    g_assert_nonnull(strstr(message, "77"));
    g_clear_pointer(&message, g_free);
    remove_device(c, 77);
    vim_free(disk->backing);
    disk->backing = (struct VirtualDeviceBackingInfo *)VirtualDiskFlatVer1BackingInfo_new();
    g_assert_cmpint(vmx_update(vmx, c, &message), ==, -ENOTSUP);
    g_assert_nonnull(strstr(message, "VirtualDiskFlatVer1BackingInfo"));
    g_clear_pointer(&message, g_free);
    vim_set_string(&c->files->vmPathName, "../x");
    g_assert_cmpint(vmx_update(vmx, c, &message), ==, -EINVAL);
    g_clear_pointer(&message, g_free);
    vim_set_string(&c->files->vmPathName, "[ds] a.vmx");
    vim_set_string(&c->uuid, "no uuid");
    g_assert_cmpint(vmx_update(vmx, c, &message), ==, -EINVAL);
    g_assert_nonnull(strstr(message, "uuid.bios"));
    g_free(message);
    vim_free(c);
}

static void test_guests(void)
{
    static const char *const pairs[][2] = {
        {"ubuntu-64", "ubuntu64Guest"},
        {"otherlinux-64", "otherLinux64Guest"},
        {"windows9srv-64", "windows9Server64Guest"},
        {"windows9-64", "windows9_64Guest"},
        {"other-64", "otherGuest64"},
        {"other", "otherGuest"},
        {"centos7-64", "centos7_64Guest"},
        {"winnetstandard", "winNetStandardGuest"},
        {"longhorn-64", "winLonghorn64Guest"},
        {"vmkernel65", "vmkernel65Guest"},
        {"other3xlinux-64", "other3xLinux64Guest"},
        {"windows2019srv-64", "windows2019srv_64Guest"},
        {"freebsd", "freebsdGuest"},
        {"winvista-64", "winVista64Guest"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(pairs); i++) {
        g_autofree char *word = vmx_guest_from_api(pairs[i][1]);

        g_assert_cmpstr(word, ==, pairs[i][0]);
        g_assert_cmpstr(vmx_guest_to_api(pairs[i][0]), ==, pairs[i][1]);
    }
    g_assert_null(vmx_guest_to_api("beos"));
    {
        g_autofree char *same = vmx_guest_from_api("someFuture_64Guest");

        g_assert_cmpstr(same, ==, "someFuture_64Guest");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmx_config/esx-machine", test_esx_machine);
    g_test_add_func("/vmx_config/esx-devices", test_esx_devices);
    g_test_add_func("/vmx_config/workstation", test_workstation);
    g_test_add_func("/vmx_config/unchanged", test_unchanged);
    g_test_add_func("/vmx_config/changed", test_changed);
    g_test_add_func("/vmx_config/removed", test_removed);
    g_test_add_func("/vmx_config/extra", test_extra);
    g_test_add_func("/vmx_config/replaced", test_replaced);
    g_test_add_func("/vmx_config/new", test_new);
    g_test_add_func("/vmx_config/empty", test_empty);
    g_test_add_func("/vmx_config/every-device", test_every_device);
    g_test_add_func("/vmx_config/unknown-device", test_unknown_device);
    g_test_add_func("/vmx_config/refused", test_refused);
    g_test_add_func("/vmx_config/not-writable", test_not_writable);
    g_test_add_func("/vmx_config/guests", test_guests);
    return g_test_run();
}
