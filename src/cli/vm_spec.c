// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration of a new virtual machine from the command line; see vm_spec.h.
 *
 * Devices get negative keys that are valid within this spec only; the server gives the real ones. Drives of
 * one bus share a controller while it has room. Every virtual machine has the two IDE controllers, with keys
 * that the API fixes.
 */
#include "cli/vm_spec.h"

#include <string.h>

#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"

#define MIB ((int64_t)1024 * 1024)

struct bus {
    const char *name;
    const char *type; /* of the controller */
    int max_controllers;
    int max_units; /* that the devices of one may have */
    int reserved;  /* the unit of the controller itself, or -1 */
    bool scsi;
    int fixed_key;     /* of the first controller, where all are always there; or 0 */
    const char *model; /* what "scsiN.tenkyu.virtualDev" says of the controller, or NULL */
};

/* The units of the API: 15 devices around the adapter at 7, 30 ports, 15 namespaces, 2 drives. */
static const struct bus buses[] = {
    {"pvscsi", "ParaVirtualSCSIController", 4, 16, 7, true, 0, NULL},
    {"lsilogic", "VirtualLsiLogicController", 4, 16, 7, true, 0, NULL},
    {"lsisas", "VirtualLsiLogicSASController", 4, 16, 7, true, 0, NULL},
    {"sata", "VirtualAHCIController", 4, 30, -1, false, 0, NULL},
    {"nvme", "VirtualNVMEController", 4, 15, -1, false, 0, NULL},
    {"ide", "VirtualIDEController", 2, 2, -1, false, 200, NULL},
    {"virtio", "ParaVirtualSCSIController", 4, 16, 7, true, 0, "virtio"},
    {"virtio-blk", "ParaVirtualSCSIController", 4, 7, -1, true, 0, "virtio-blk"},
};

/* The controller of a bus that takes the next drive. */
struct controller {
    int key; /* 0: not made yet */
    int next_unit;
    int bus_number;
};

struct making {
    json_object *changes; /* deviceChange, in the making */
    json_object *options; /* extraConfig, in the making */
    int scsi_controllers; /* of all kinds: they share their bus numbers */
    int nics;
    int next_key; /* for the next device; counts down from -101 */
    struct controller controllers[G_N_ELEMENTS(buses)];
    const struct bus *default_bus;
    const char *datastore;
    struct cli_error *error;
};

static void add_device(struct making *making, json_object *device, const char *file_operation)
{
    json_object_array_add(making->changes,
                          js_object("VirtualDeviceConfigSpec", "operation:s", "add", "fileOperation:s",
                                    file_operation, "device:o", device, NULL));
}

static void add_extra(json_object *options, const char *key, const char *value)
{
    json_object *any = js_object("string", "_value:s", value, NULL);
    json_object_array_add(options, js_object("OptionValue", "key:s", key, "value:o", any, NULL));
}

/* The key by which a device of one type is another model: the API has no type for it. */
static void add_model(struct making *making, const char *slot, int number, const char *model)
{
    if (model != NULL) {
        g_autofree char *key = g_strdup_printf("%s%d.tenkyu.virtualDev", slot, number);
        add_extra(making->options, key, model);
    }
}

/* A controller of the bus with a free unit; *ret_unit is that unit. */
static int take_unit(struct making *making, const struct bus *bus, int *ret_key, int *ret_unit)
{
    struct controller *controller = &making->controllers[bus - buses];
    controller->next_unit += controller->key != 0 && controller->next_unit == bus->reserved;
    if (controller->key != 0 && controller->next_unit >= bus->max_units) {
        controller->bus_number++; /* full: the next one begins */
        controller->key = 0;
    }
    if (controller->key == 0 && bus->scsi) {
        controller->bus_number = making->scsi_controllers++;
    }
    if (controller->bus_number >= bus->max_controllers) {
        return cli_error_set(making->error, CLI_USAGE, "there are more drives than %s has room for",
                             bus->name);
    }
    if (controller->key == 0 && bus->fixed_key != 0) {
        controller->key = bus->fixed_key + controller->bus_number;
        controller->next_unit = 0;
    } else if (controller->key == 0) {
        controller->key = making->next_key--;
        controller->next_unit = 0;
        add_model(making, "scsi", controller->bus_number, bus->model);
        add_device(making,
                   js_object(bus->type, "key:i", controller->key, "busNumber:i", controller->bus_number,
                             "sharedBus:s", bus->scsi ? "noSharing" : NULL, NULL),
                   NULL);
    }
    *ret_key = controller->key;
    *ret_unit = controller->next_unit++;
    return CLI_OK;
}

static const struct bus *find_bus(const char *name)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(buses); i++) {
        if (g_ascii_strcasecmp(buses[i].name, name) == 0) {
            return &buses[i];
        }
    }
    return NULL;
}

const char *cli_bus_name(const char *controller_type)
{
    for (unsigned i = 0; i < G_N_ELEMENTS(buses); i++) {
        if (g_strcmp0(buses[i].type, controller_type) == 0) {
            return buses[i].name;
        }
    }
    return NULL;
}

/* "8G,thin,nvme" or "[ds] x/x.vmdk,nvme" */
static int add_disk(struct making *making, const char *text)
{
    const struct bus *bus = making->default_bus;
    bool exists = text[0] == '[', thin = true;
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    int64_t bytes = 0;
    int key = 0, unit = 0;
    if (!exists && (parts[0] == NULL || cli_parse_size(parts[0], 1024 * MIB, &bytes) != 0)) {
        return cli_error_set(making->error, CLI_USAGE, "--disk %s: \"%s\" is not a size such as 8G", text,
                             parts[0] != NULL ? parts[0] : "");
    }
    for (unsigned i = 1; parts[i] != NULL; i++) {
        const struct bus *named = find_bus(parts[i]);
        if (named != NULL) {
            bus = named;
        } else if (!exists && (strcmp(parts[i], "thin") == 0 || strcmp(parts[i], "thick") == 0)) {
            thin = strcmp(parts[i], "thin") == 0;
        } else {
            return cli_error_set(
                making->error, CLI_USAGE,
                "--disk %s: \"%s\" is not thin, thick, pvscsi, lsilogic, lsisas, sata, nvme, "
                "ide, virtio or virtio-blk",
                text, parts[i]);
        }
    }
    int code = take_unit(making, bus, &key, &unit);
    if (code != CLI_OK) {
        return code;
    }
    bytes = (bytes + MIB - 1) / MIB * MIB;
    g_autofree char *place = g_strdup_printf("[%s]", making->datastore);
    json_object *backing = js_object("VirtualDiskFlatVer2BackingInfo", "fileName:s",
                                     exists ? parts[0] : place, "diskMode:s", "persistent", NULL);
    if (!exists) {
        json_object_object_add(backing, "thinProvisioned", json_object_new_boolean(thin));
    }
    add_device(making,
               js_object("VirtualDisk", "key:i", making->next_key--, "backing:o", backing, "controllerKey:i",
                         key, "unitNumber:i", unit, "capacityInKB:l", bytes / 1024, "capacityInBytes:o",
                         exists ? NULL : json_object_new_int64(bytes), NULL),
               exists ? NULL : "create");
    return CLI_OK;
}

static int add_cdrom(struct making *making, const char *path)
{
    int key = 0, unit = 0;
    g_autofree char *datastore = NULL, *file = NULL;
    if (cli_parse_datastore_path(path, &datastore, &file) != 0 || *file == '\0') {
        return cli_error_set(making->error, CLI_USAGE,
                             "--cdrom: \"%s\" is not a file on a datastore, such as '[datastore1] iso/x.iso'",
                             path);
    }
    int code = take_unit(making, find_bus("ide"), &key, &unit);
    if (code != CLI_OK) {
        return code;
    }
    json_object *connect = js_object("VirtualDeviceConnectInfo", "startConnected:b", 1, "allowGuestControl:b",
                                     1, "connected:b", 1, NULL);
    json_object *backing = js_object("VirtualCdromIsoBackingInfo", "fileName:s", path, NULL);
    add_device(making,
               js_object("VirtualCdrom", "key:i", making->next_key--, "backing:o", backing, "connectable:o",
                         connect, "controllerKey:i", key, "unitNumber:i", unit, NULL),
               NULL);
    return CLI_OK;
}

/* "VM Network,vmxnet3" */
static int add_nic(struct making *making, const char *text)
{
    static const struct {
        const char *name;
        const char *type;
    } models[] = {{"vmxnet3", "VirtualVmxnet3"}, {"vmxnet2", "VirtualVmxnet2"}, {"vmxnet", "VirtualVmxnet"},
                  {"e1000", "VirtualE1000"},     {"e1000e", "VirtualE1000e"},   {"pcnet32", "VirtualPCNet32"},
                  {"virtio", "VirtualVmxnet3"}};
    const char *comma = strrchr(text, ',');
    const char *type = comma == NULL ? models[0].type : NULL;
    g_autofree char *network = comma != NULL ? g_strndup(text, (size_t)(comma - text)) : g_strdup(text);
    for (unsigned i = 0; i < G_N_ELEMENTS(models) && type == NULL; i++) {
        type = g_ascii_strcasecmp(models[i].name, comma + 1) == 0 ? models[i].type : NULL;
    }
    if (type == NULL || *network == '\0') {
        return cli_error_set(making->error, CLI_USAGE,
                             "--nic %s: give a network such as \"VM Network\", and after a comma vmxnet3, "
                             "e1000, e1000e, pcnet32, virtio, vmxnet2 or vmxnet",
                             text);
    }
    add_model(making, "ethernet", making->nics++,
              comma != NULL && g_ascii_strcasecmp(comma + 1, "virtio") == 0 ? "virtio" : NULL);
    json_object *connect = js_object("VirtualDeviceConnectInfo", "startConnected:b", 1, "allowGuestControl:b",
                                     1, "connected:b", 1, NULL);
    json_object *backing = js_object("VirtualEthernetCardNetworkBackingInfo", "deviceName:s", network, NULL);
    add_device(making,
               js_object(type, "key:i", making->next_key--, "backing:o", backing, "connectable:o", connect,
                         "addressType:s", "generated", NULL),
               NULL);
    return CLI_OK;
}

/* A serial port that the host offers to `vm console`: the address is the host's own business. */
static void add_serial(struct making *making)
{
    json_object *backing = js_object("VirtualSerialPortURIBackingInfo", "serviceURI:s", "tenkyu://console",
                                     "direction:s", "server", NULL);
    json_object *connect = js_object("VirtualDeviceConnectInfo", "startConnected:b", 1, "allowGuestControl:b",
                                     1, "connected:b", 1, NULL);
    add_device(making,
               js_object("VirtualSerialPort", "key:i", making->next_key--, "backing:o", backing,
                         "connectable:o", connect, "yieldOnPoll:b", 1, NULL),
               NULL);
}

static int add_option(json_object *options, const char *text, struct cli_error *error)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return cli_error_set(error, CLI_USAGE, "--option %s: give KEY=VALUE", text);
    }
    g_autofree char *key = g_strndup(text, (size_t)(equals - text));
    add_extra(options, key, equals + 1);
    return CLI_OK;
}

static int add_devices(struct making *making, const struct cli_arguments *arguments)
{
    static const struct {
        const char *option;
        int (*add)(struct making *making, const char *text);
    } kinds[] = {{"disk", add_disk}, {"cdrom", add_cdrom}, {"nic", add_nic}};
    for (unsigned k = 0; k < G_N_ELEMENTS(kinds); k++) {
        const GPtrArray *values = cli_option_all(arguments, kinds[k].option);
        for (unsigned i = 0; values != NULL && i < values->len; i++) {
            int code = kinds[k].add(making, values->pdata[i]);
            if (code != CLI_OK) {
                return code;
            }
        }
    }
    if (cli_flag(arguments, "serial")) {
        add_serial(making);
    }
    if (cli_flag(arguments, "tpm")) {
        add_device(making, js_object("VirtualTPM", "key:i", making->next_key--, NULL), NULL);
    }
    return CLI_OK;
}

/* What is not a device. */
static int add_settings(json_object *spec, json_object *options, const struct cli_arguments *arguments,
                        struct cli_error *error)
{
    const char *memory = cli_option(arguments, "memory");
    const char *guest = cli_option(arguments, "guest");
    int64_t cpus = 1, bytes = 1024 * MIB;
    int code = cli_option_int(arguments, "cpus", 1, 4096, 1, &cpus, error);
    if (code != CLI_OK) {
        return code;
    }
    if (memory != NULL && (cli_parse_size(memory, MIB, &bytes) != 0 || bytes < MIB)) {
        return cli_error_set(error, CLI_USAGE, "--memory: \"%s\" is not a size such as 512M or 2G", memory);
    }
    json_object_object_add(spec, "guestId",
                           json_object_new_string(guest != NULL ? guest : "otherLinux64Guest"));
    json_object_object_add(spec, "numCPUs", json_object_new_int64(cpus));
    json_object_object_add(spec, "memoryMB", json_object_new_int64(bytes / MIB));

    const GPtrArray *values = cli_option_all(arguments, "option");
    for (unsigned i = 0; values != NULL && i < values->len && code == CLI_OK; i++) {
        code = add_option(options, values->pdata[i], error);
    }
    if (cli_flag(arguments, "secure-boot")) {
        json_object_object_add(spec, "bootOptions",
                               js_object("VirtualMachineBootOptions", "efiSecureBootEnabled:b", 1, NULL));
    }
    return code;
}

int cli_vm_spec(const struct cli_arguments *arguments, const char *datastore, json_object **ret,
                struct cli_error *error)
{
    const char *firmware = cli_option(arguments, "firmware");
    bool efi = g_strcmp0(firmware, "efi") == 0 ||
               (firmware == NULL && (cli_flag(arguments, "tpm") || cli_flag(arguments, "secure-boot")));
    if (firmware != NULL && !efi && strcmp(firmware, "bios") != 0) {
        return cli_error_set(error, CLI_USAGE, "--firmware is bios or efi, not \"%s\"", firmware);
    }
    firmware = efi ? "efi" : firmware; /* a TPM and secure boot ask for it */
    g_autofree char *place = g_strdup_printf("[%s]", datastore);
    json_object *changes = json_object_new_array();
    json_object *options = json_object_new_array();
    g_autoptr(json_object) spec =
        js_object("VirtualMachineConfigSpec", "name:s", cli_word(arguments, 0), "files:o",
                  js_object("VirtualMachineFileInfo", "vmPathName:s", place, NULL), "deviceChange:o", changes,
                  "extraConfig:o", options, "firmware:s", firmware, NULL);
    struct making making = {
        .changes = changes,
        .options = options,
        .next_key = -101,
        .default_bus = find_bus(efi ? "sata" : "pvscsi"), /* the EFI of QEMU does not boot from pvscsi */
        .datastore = datastore,
        .error = error,
    };
    int code = add_settings(spec, options, arguments, error);
    if (code == CLI_OK) {
        code = add_devices(&making, arguments);
    }
    if (code == CLI_OK) {
        *ret = g_steal_pointer(&spec);
    }
    return code;
}
