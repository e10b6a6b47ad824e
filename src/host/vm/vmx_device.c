// SPDX-License-Identifier: Apache-2.0
/*
 * The devices of a .vmx file. A family says where devices of a kind live in the file ("scsi0:1") and how
 * the VI API numbers them (key 2001, on controller 1000, unit 1); its forms say which type of device, with
 * which backing, a slot's marks (deviceType, virtualDev, fileType, clientDevice) mean, and which keys go to
 * which members.
 *
 * A slot whose marks nobody here knows (a passed-through PCI card) is no device: its keys are extraConfig
 * and stay in the file.
 */
#include <errno.h>
#include <string.h>

#include "host/vm/vmx_mapping.h"
#include "vim/types.h"
#include "vim/value.h"

struct form {
    const struct vim_type *type;
    const struct vim_type *backing; /* NULL: the device has none */
    const char *accepts;            /* marks in a file that mean this form, "a|b"; the first is written */
    bool unmarked;                  /* a slot without a mark is this too */
    bool client;                    /* clientDevice is TRUE: the medium is the remote client's */
    const struct vmx_mapping *mappings;
    const char *extra_slot; /* where `extra` live: "ehci", or "sched." before the slot */
    const struct vmx_mapping *extra;
};

struct family {
    const char *prefix; /* "scsi"; the slot is "scsi0" or, with units, "scsi0:1" */
    bool single;        /* there is one, and the slot is the prefix */
    bool drives;        /* slots are "prefixBUS:UNIT" */
    const char *mark;   /* the key of the mark, or NULL */
    int32_t first_key;
    int32_t buses;          /* or slots, when they have no units */
    int32_t units;          /* of a bus, with drives */
    int32_t controller_key; /* of the first bus's controller, with drives; else of the one controller */
    int32_t first_unit;     /* unit number of the first slot, without drives */
    const struct form *forms;
};

#define END_OF_MAPPINGS                      \
    {                                        \
        NULL, NULL, NULL, VMX_PLAIN, NULL, 0 \
    }

/* --- keys of drives --- */

static const struct vmx_word disk_modes[] = {
    {"independent-persistent", "independent_persistent"},
    {"independent-nonpersistent", "independent_nonpersistent"},
    {NULL, NULL},
};
static const struct vmx_word disk_sharing[] = {
    {"none", "sharingNone"}, {"multi-writer", "sharingMultiWriter"}, {NULL, NULL}};
static const struct vmx_word throughput_limits[] = {{"off", "-1"}, {NULL, NULL}};

static const struct vmx_mapping disk_keys[] = {
    {"fileName", "backing.fileName", "", VMX_FILE, NULL, 0},
    {"mode", "backing.diskMode", "persistent", VMX_WORDS, disk_modes, 0},
    {"writeThrough", "backing.writeThrough", "FALSE", VMX_PLAIN, NULL, 0},
    {"sharing", "backing.sharing", "sharingNone", VMX_WORDS, disk_sharing, 0},
    END_OF_MAPPINGS,
};
static const struct vmx_mapping disk_sched_keys[] = {
    {"shares", "storageIOAllocation.shares", "normal", VMX_SHARES, NULL, 0},
    {"throughputCap", "storageIOAllocation.limit", "-1", VMX_WORDS, throughput_limits, -1},
    END_OF_MAPPINGS,
};

#define CONNECT_KEYS                                                                               \
    {"startConnected", "connectable.startConnected", "TRUE", VMX_PLAIN, NULL, 0},                  \
    {                                                                                              \
        "allowGuestConnectionControl", "connectable.allowGuestControl", "TRUE", VMX_PLAIN, NULL, 0 \
    }

/* Media in a file, of a CD drive, floppy drive or serial port. */
static const struct vmx_mapping file_keys[] = {
    {"fileName", "backing.fileName", "", VMX_FILE, NULL, 0},
    CONNECT_KEYS,
    END_OF_MAPPINGS,
};
/* Media in a device, of the host or of a client. */
static const struct vmx_mapping device_keys[] = {
    {"fileName", "backing.deviceName", "", VMX_PLAIN, NULL, 0},
    {"autodetect", "backing.useAutoDetect", NULL, VMX_PLAIN, NULL, 0},
    CONNECT_KEYS,
    END_OF_MAPPINGS,
};
static const struct vmx_mapping exclusive_device_keys[] = {
    {"fileName", "backing.deviceName", "", VMX_PLAIN, NULL, 0},
    {"autodetect", "backing.useAutoDetect", NULL, VMX_PLAIN, NULL, 0},
    {"exclusive", "backing.exclusive", "FALSE", VMX_PLAIN, NULL, 0},
    CONNECT_KEYS,
    END_OF_MAPPINGS,
};

#define CDROM_FORMS                                      \
    {&VirtualCdrom_type,                                 \
     &VirtualCdromIsoBackingInfo_type,                   \
     "cdrom-image",                                      \
     false,                                              \
     false,                                              \
     file_keys,                                          \
     NULL,                                               \
     NULL},                                              \
        {&VirtualCdrom_type,                             \
         &VirtualCdromRemoteAtapiBackingInfo_type,       \
         "atapi-cdrom",                                  \
         false,                                          \
         true,                                           \
         device_keys,                                    \
         NULL,                                           \
         NULL},                                          \
        {&VirtualCdrom_type,                             \
         &VirtualCdromRemotePassthroughBackingInfo_type, \
         "cdrom-raw",                                    \
         false,                                          \
         true,                                           \
         exclusive_device_keys,                          \
         NULL,                                           \
         NULL},                                          \
        {&VirtualCdrom_type,                             \
         &VirtualCdromAtapiBackingInfo_type,             \
         "atapi-cdrom",                                  \
         false,                                          \
         false,                                          \
         device_keys,                                    \
         NULL,                                           \
         NULL},                                          \
        {&VirtualCdrom_type,                             \
         &VirtualCdromPassthroughBackingInfo_type,       \
         "cdrom-raw",                                    \
         false,                                          \
         false,                                          \
         exclusive_device_keys,                          \
         NULL,                                           \
         NULL},                                          \
    {                                                    \
        NULL, NULL, NULL, false, false, NULL, NULL, NULL \
    }

#define DISK_FORM(word)                                                                                 \
    {                                                                                                   \
        &VirtualDisk_type, &VirtualDiskFlatVer2BackingInfo_type,                                        \
            word "|scsi-hardDisk|ata-hardDisk|ide-hardDisk|sata-hardDisk|nvme-hardDisk|disk|plainDisk", \
            true, false, disk_keys, "sched.", disk_sched_keys                                           \
    }

static const struct form scsi_drive_forms[] = {DISK_FORM("scsi-hardDisk"), CDROM_FORMS};
static const struct form ata_drive_forms[] = {DISK_FORM("ata-hardDisk"), CDROM_FORMS};

/* --- controllers --- */

static const struct vmx_mapping no_keys[] = {END_OF_MAPPINGS};
static const struct vmx_word scsi_sharing[] = {
    {"none", "noSharing"}, {"virtual", "virtualSharing"}, {"physical", "physicalSharing"}, {NULL, NULL}};
static const struct vmx_mapping scsi_keys[] = {
    {"sharedBus", "sharedBus", "noSharing", VMX_WORDS, scsi_sharing, 0},
    END_OF_MAPPINGS,
};
static const struct vmx_mapping usb_keys[] = {
    {"generic.autoconnect", "autoConnectDevices", NULL, VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};
static const struct vmx_mapping ehci_keys[] = {
    {"present", "ehciEnabled", "FALSE", VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};
static const struct vmx_mapping vmci_keys[] = {
    {"id", "id", NULL, VMX_PLAIN, NULL, INT64_MIN},
    {"unrestricted", "allowUnrestrictedCommunication", NULL, VMX_PLAIN, NULL, 0},
    {"filter.enable", "filterEnable", NULL, VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};

#define PLAIN_FORM(type, accepts, unmarked, keys)               \
    {                                                           \
        &type, NULL, accepts, unmarked, false, keys, NULL, NULL \
    }
#define END_OF_FORMS PLAIN_FORM(VirtualDevice_type, NULL, false, NULL)

static const struct form scsi_forms[] = {
    PLAIN_FORM(VirtualLsiLogicController_type, "lsilogic", false, scsi_keys),
    PLAIN_FORM(VirtualBusLogicController_type, "buslogic", true, scsi_keys),
    PLAIN_FORM(VirtualLsiLogicSASController_type, "lsisas1068", false, scsi_keys),
    PLAIN_FORM(ParaVirtualSCSIController_type, "pvscsi", false, scsi_keys),
    END_OF_FORMS,
};
static const struct form sata_forms[] = {PLAIN_FORM(VirtualAHCIController_type, "ahci", true, no_keys),
                                         END_OF_FORMS};
static const struct form nvme_forms[] = {PLAIN_FORM(VirtualNVMEController_type, "nvme", true, no_keys),
                                         END_OF_FORMS};
static const struct form usb_forms[] = {
    {&VirtualUSBController_type, NULL, "", true, false, usb_keys, "ehci", ehci_keys}, END_OF_FORMS};
static const struct form xhci_forms[] = {PLAIN_FORM(VirtualUSBXHCIController_type, "", true, no_keys),
                                         END_OF_FORMS};
static const struct form vmci_forms[] = {PLAIN_FORM(VirtualMachineVMCIDevice_type, "", true, vmci_keys),
                                         END_OF_FORMS};
static const struct form tpm_forms[] = {PLAIN_FORM(VirtualTPM_type, "", true, no_keys), END_OF_FORMS};

/* --- network adapters --- */

static const struct vmx_word address_types[] = {{"static", "manual"}, {"vpx", "assigned"}, {NULL, NULL}};
static const struct vmx_mapping ethernet_keys[] = {
    {"networkName", "backing.deviceName", "", VMX_PLAIN, NULL, 0},
    {"addressType", "addressType", "generated", VMX_WORDS, address_types, 0},
    {"wakeOnPcktRcv", "wakeOnLanEnabled", "TRUE", VMX_PLAIN, NULL, 0},
    {"uptCompatibility", "uptCompatibilityEnabled", NULL, VMX_PLAIN, NULL, 0},
    {"externalId", "externalId", NULL, VMX_PLAIN, NULL, 0},
    CONNECT_KEYS,
    END_OF_MAPPINGS,
};
/* The address has one of two keys, by addressType. */
static const struct vmx_mapping manual_address_keys[] = {
    {"address", "macAddress", NULL, VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};
static const struct vmx_mapping other_address_keys[] = {
    {"generatedAddress", "macAddress", NULL, VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};

#define ETHERNET_FORM(type, word, unmarked)                                                                  \
    {                                                                                                        \
        &type, &VirtualEthernetCardNetworkBackingInfo_type, word, unmarked, false, ethernet_keys, NULL, NULL \
    }

static const struct form ethernet_forms[] = {
    ETHERNET_FORM(VirtualE1000_type, "e1000", false),     ETHERNET_FORM(VirtualE1000e_type, "e1000e", false),
    ETHERNET_FORM(VirtualVmxnet3_type, "vmxnet3", false), ETHERNET_FORM(VirtualVmxnet2_type, "vmxnet", false),
    ETHERNET_FORM(VirtualPCNet32_type, "vlance", true),   END_OF_FORMS,
};

/* --- floppy drives and serial ports --- */

static const struct form floppy_forms[] = {
    {&VirtualFloppy_type, &VirtualFloppyRemoteDeviceBackingInfo_type, "device", true, true, device_keys, NULL,
     NULL},
    {&VirtualFloppy_type, &VirtualFloppyDeviceBackingInfo_type, "device", true, false, device_keys, NULL,
     NULL},
    {&VirtualFloppy_type, &VirtualFloppyImageBackingInfo_type, "file", false, false, file_keys, NULL, NULL},
    END_OF_FORMS,
};

#define SERIAL_KEYS \
    {"yieldOnMsrRead", "yieldOnPoll", "FALSE", VMX_PLAIN, NULL, 0}, CONNECT_KEYS, END_OF_MAPPINGS

static const struct vmx_mapping serial_file_keys[] = {
    {"fileName", "backing.fileName", "", VMX_FILE, NULL, 0},
    SERIAL_KEYS,
};
static const struct vmx_mapping serial_device_keys[] = {
    {"fileName", "backing.deviceName", "", VMX_PLAIN, NULL, 0},
    {"autodetect", "backing.useAutoDetect", NULL, VMX_PLAIN, NULL, 0},
    SERIAL_KEYS,
};
static const struct vmx_mapping serial_pipe_keys[] = {
    {"fileName", "backing.pipeName", "", VMX_PLAIN, NULL, 0},
    {"pipe.endPoint", "backing.endpoint", "server", VMX_PLAIN, NULL, 0},
    {"tryNoRxLoss", "backing.noRxLoss", "FALSE", VMX_PLAIN, NULL, 0},
    SERIAL_KEYS,
};
static const struct vmx_mapping serial_network_keys[] = {
    {"fileName", "backing.serviceURI", "", VMX_PLAIN, NULL, 0},
    {"network.endPoint", "backing.direction", "server", VMX_PLAIN, NULL, 0},
    {"vspc", "backing.proxyURI", NULL, VMX_PLAIN, NULL, 0},
    SERIAL_KEYS,
};
static const struct form serial_forms[] = {
    {&VirtualSerialPort_type, &VirtualSerialPortFileBackingInfo_type, "file", false, false, serial_file_keys,
     NULL, NULL},
    {&VirtualSerialPort_type, &VirtualSerialPortDeviceBackingInfo_type, "device", true, false,
     serial_device_keys, NULL, NULL},
    {&VirtualSerialPort_type, &VirtualSerialPortPipeBackingInfo_type, "pipe", false, false, serial_pipe_keys,
     NULL, NULL},
    {&VirtualSerialPort_type, &VirtualSerialPortURIBackingInfo_type, "network", false, false,
     serial_network_keys, NULL, NULL},
    END_OF_FORMS,
};

/* --- parallel ports, sound, pass-through --- */

static const struct vmx_mapping port_device_keys[] = {
    {"fileName", "backing.deviceName", "", VMX_PLAIN, NULL, 0},
    {"autodetect", "backing.useAutoDetect", NULL, VMX_PLAIN, NULL, 0},
    CONNECT_KEYS,
    END_OF_MAPPINGS,
};
static const struct form parallel_forms[] = {
    {&VirtualParallelPort_type, &VirtualParallelPortFileBackingInfo_type, "file", false, false, file_keys,
     NULL, NULL},
    {&VirtualParallelPort_type, &VirtualParallelPortDeviceBackingInfo_type, "device", true, false,
     port_device_keys, NULL, NULL},
    END_OF_FORMS,
};

#define SOUND_FORM(type, word, unmarked)                                                                    \
    {                                                                                                       \
        &type, &VirtualSoundCardDeviceBackingInfo_type, word, unmarked, false, port_device_keys, NULL, NULL \
    }
static const struct form sound_forms[] = {
    SOUND_FORM(VirtualSoundBlaster16_type, "sb16", true),
    SOUND_FORM(VirtualEnsoniq1371_type, "es1371", false),
    SOUND_FORM(VirtualHdAudioCard_type, "hdaudio", false),
    END_OF_FORMS,
};

static const struct vmx_mapping passthrough_keys[] = {
    {"id", "backing.id", "", VMX_PLAIN, NULL, 0},
    {"deviceId", "backing.deviceId", "", VMX_PLAIN, NULL, 0},
    {"vendorId", "backing.vendorId", "0", VMX_HEX16, NULL, INT16_MIN},
    {"systemId", "backing.systemId", "", VMX_PLAIN, NULL, 0},
    {"deviceName", "backing.deviceName", "", VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};
static const struct form passthrough_forms[] = {
    {&VirtualPCIPassthrough_type, &VirtualPCIPassthroughDeviceBackingInfo_type, "", true, false,
     passthrough_keys, NULL, NULL},
    END_OF_FORMS,
};

/* --- the whole machine, in the order in which the VI API lists it --- */

static const struct family families[] = {
    {"vmci0", true, false, NULL, 12000, 1, 0, 100, 17, vmci_forms},
    {"vtpm", true, false, NULL, 11000, 1, 0, 100, 28, tpm_forms},
    {"usb", true, false, NULL, 7000, 1, 0, 100, 22, usb_forms},
    {"usb_xhci", true, false, NULL, 14000, 1, 0, 100, 23, xhci_forms},
    {"scsi", false, false, "virtualDev", 1000, 4, 0, 100, 3, scsi_forms},
    {"sata", false, false, "virtualDev", 15000, 4, 0, 100, 24, sata_forms},
    {"nvme", false, false, "virtualDev", 31000, 4, 0, 100, 30, nvme_forms},
    {"scsi", false, true, "deviceType", 2000, 4, 16, 1000, 0, scsi_drive_forms},
    {"sata", false, true, "deviceType", 16000, 4, 30, 15000, 0, ata_drive_forms},
    {"nvme", false, true, "deviceType", 32000, 4, 15, 31000, 0, scsi_drive_forms},
    {"ide", false, true, "deviceType", 3000, 2, 2, 200, 0, ata_drive_forms},
    {"ethernet", false, false, "virtualDev", 4000, 10, 0, 100, 7, ethernet_forms},
    {"floppy", false, false, "fileType", 8000, 2, 0, 400, 0, floppy_forms},
    {"serial", false, false, "fileType", 9000, 4, 0, 400, 0, serial_forms},
    {"parallel", false, false, "fileType", 10000, 3, 0, 400, 0, parallel_forms},
    {"sound", true, false, "virtualDev", 5000, 1, 0, 100, 18, sound_forms},
    {"pciPassthru", false, false, NULL, 13000, 8, 0, 100, 40, passthrough_forms},
};

static const struct vmx_mapping video_keys[] = {
    {"svga.vramSize", "videoRamSizeInKB", "4096", VMX_BYTES, NULL, 0},
    {"svga.numDisplays", "numDisplays", "1", VMX_PLAIN, NULL, 1},
    {"svga.autodetect", "useAutoDetect", "FALSE", VMX_PLAIN, NULL, 0},
    {"mks.enable3d", "enable3DSupport", "FALSE", VMX_PLAIN, NULL, 0},
    {"mks.use3dRenderer", "use3dRenderer", "automatic", VMX_PLAIN, NULL, 0},
    {"svga.graphicsMemoryKB", "graphicsMemorySizeInKB", NULL, VMX_PLAIN, NULL, 0},
    END_OF_MAPPINGS,
};

/* --- slots --- */

struct slot {
    const struct family *family;
    int32_t bus;
    int32_t unit; /* with drives */
};

static int32_t slots_of(const struct family *family)
{
    return family->drives ? family->buses * family->units : family->buses;
}

/* The n-th slot of a family; its key is first_key + n. */
static struct slot slot_at(const struct family *family, int32_t n)
{
    return family->drives ? (struct slot){family, n / family->units, n % family->units}
                          : (struct slot){family, n, 0};
}

static char *slot_name(const struct slot *slot)
{
    if (slot->family->drives) {
        return g_strdup_printf("%s%d:%d", slot->family->prefix, slot->bus, slot->unit);
    }
    return slot->family->single ? g_strdup(slot->family->prefix)
                                : g_strdup_printf("%s%d", slot->family->prefix, slot->bus);
}

char *vmx_device_slot(int32_t key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        int32_t n = key - families[i].first_key;

        if (n >= 0 && n < slots_of(&families[i])) {
            struct slot slot = slot_at(&families[i], n);

            return slot_name(&slot);
        }
    }
    return NULL;
}

int32_t vmx_device_key(const char *text)
{
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        for (int32_t n = 0; n < slots_of(&families[i]); n++) {
            struct slot slot = slot_at(&families[i], n);
            g_autofree char *name = slot_name(&slot);

            if (g_ascii_strcasecmp(name, text) == 0) {
                return families[i].first_key + n;
            }
        }
    }
    return -1;
}

static bool is_true(const struct vmx *vmx, const char *slot, const char *what)
{
    g_autofree char *key = vmx_slot_key(slot, what);
    bool flag = false;

    return vmx_get_bool(vmx, key, &flag) == 0 && flag;
}

static bool word_in(const char *words, const char *word)
{
    g_auto(GStrv) list = g_strsplit(words, "|", -1);

    for (size_t i = 0; list[i] != NULL; i++) {
        if (g_ascii_strcasecmp(list[i], word) == 0) {
            return true;
        }
    }
    return false;
}

/* The form of what is in a slot; NULL: nothing, or nothing that is known here. */
static const struct form *classify(const struct vmx *vmx, const struct slot *slot, const char *name)
{
    g_autofree char *mark_key = NULL;
    const char *mark = NULL;
    bool client;

    if (!is_true(vmx, name, "present")) {
        return NULL;
    }
    /* A drive on a controller that is not there is not there. There is always an IDE. */
    if (slot->family->drives && strcmp(slot->family->prefix, "ide") != 0) {
        g_autofree char *controller = g_strdup_printf("%s%d", slot->family->prefix, slot->bus);

        if (!is_true(vmx, controller, "present")) {
            return NULL;
        }
    }
    if (slot->family->mark != NULL) {
        mark_key = vmx_slot_key(name, slot->family->mark);
        mark = vmx_get(vmx, mark_key);
    }
    client = is_true(vmx, name, "clientDevice");
    for (const struct form *form = slot->family->forms; form->mappings != NULL; form++) {
        bool marked = mark == NULL || mark[0] == '\0' ? form->unmarked : word_in(form->accepts, mark);

        if (marked && (form->client == client || form->backing == NULL)) {
            return form;
        }
    }
    return NULL;
}

static char *extra_slot(const struct form *form, const char *name)
{
    return g_str_has_suffix(form->extra_slot, ".") ? g_strconcat(form->extra_slot, name, NULL)
                                                   : g_strdup(form->extra_slot);
}

/* --- reading --- */

static bool is_manual(const struct VirtualEthernetCard *card)
{
    return g_strcmp0(card->addressType, "manual") == 0;
}

/* What the API says of a device beyond its keys. */
static void complete(struct VirtualDevice *device)
{
    if (device->connectable != NULL) {
        vim_set_string(&device->connectable->status, "untried");
    }
    if (vim_is_a(device, &VirtualSCSIController_type)) {
        struct VirtualSCSIController *controller = (struct VirtualSCSIController *)device;

        vim_set_optional(&controller->hotAddRemove, true);
        vim_set_optional(&controller->scsiCtlrUnitNumber, 7);
    }
    if (vim_is_a(device, &VirtualDisk_type)) {
        struct VirtualDisk *disk = (struct VirtualDisk *)device;
        struct SharesInfo *shares = disk->storageIOAllocation->shares;

        if (shares != NULL && shares->level != SharesLevel_custom) {
            shares->shares = shares->level == SharesLevel_low    ? 500
                             : shares->level == SharesLevel_high ? 2000
                                                                 : 1000;
        }
    }
}

static void load_device(struct vmx_mapper *mapper, const struct slot *slot, const char *name,
                        const struct form *form, int32_t key, struct VirtualMachineConfigInfo *config)
{
    const struct family *family = slot->family;
    struct VirtualDevice *device = vim_new(form->type);

    device->key = key;
    vim_set_optional(&device->controllerKey, family->controller_key + (family->drives ? slot->bus : 0));
    vim_set_optional(&device->unitNumber, family->drives ? slot->unit : family->first_unit + slot->bus);
    if (vim_is_a(device, &VirtualController_type)) {
        ((struct VirtualController *)device)->busNumber = slot->bus;
    }
    if (form->backing != NULL) {
        device->backing = vim_new(form->backing);
    }
    vmx_map_load(mapper, name, form->mappings, device);
    if (form->extra != NULL) {
        g_autofree char *extra = extra_slot(form, name);

        vmx_map_load(mapper, extra, form->extra, device);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        vmx_map_load(mapper, name,
                     is_manual((struct VirtualEthernetCard *)device) ? manual_address_keys
                                                                     : other_address_keys,
                     device);
    }
    if (mapper->error == 0) {
        complete(device);
    }
    vim_array_add_object(&config->hardware->device, device);
}

/* Notes the keys that say what a slot holds. */
static void use_marks(struct vmx_mapper *mapper, const struct slot *slot, const char *name,
                      const struct form *form)
{
    g_autofree char *present = vmx_slot_key(name, "present");
    g_autofree char *client = vmx_slot_key(name, "clientDevice");

    if (form == NULL && is_true(mapper->vmx, name, "present")) {
        return; /* not known here: all of it is shown, and stays */
    }
    vmx_mapper_use(mapper, present);
    if (form != NULL && form->backing != NULL) {
        vmx_mapper_use(mapper, client);
    }
    if (form != NULL && slot->family->mark != NULL) {
        g_autofree char *mark = vmx_slot_key(name, slot->family->mark);

        vmx_mapper_use(mapper, mark);
    }
}

static void add_fixed(struct VirtualMachineConfigInfo *config, const struct vim_type *type, int32_t key,
                      int32_t controller_key, int32_t unit)
{
    struct VirtualDevice *device = vim_new(type);

    device->key = key;
    if (controller_key != 0) {
        vim_set_optional(&device->controllerKey, controller_key);
        vim_set_optional(&device->unitNumber, unit);
    }
    if (key == 201) {
        ((struct VirtualController *)device)->busNumber = 1;
    }
    if (type == &VirtualPointingDevice_type) {
        struct VirtualPointingDeviceDeviceBackingInfo *backing = VirtualPointingDeviceDeviceBackingInfo_new();

        backing->deviceName = g_strdup("");
        vim_set_optional(&backing->useAutoDetect, false);
        backing->hostPointingDevice = g_strdup("autodetect");
        device->backing = (struct VirtualDeviceBackingInfo *)backing;
    }
    vim_array_add_object(&config->hardware->device, device);
}

/* What every machine has. */
static void load_fixed(struct vmx_mapper *mapper, struct VirtualMachineConfigInfo *config)
{
    add_fixed(config, &VirtualIDEController_type, 200, 0, 0);
    add_fixed(config, &VirtualIDEController_type, 201, 0, 0);
    add_fixed(config, &VirtualPS2Controller_type, 300, 0, 0);
    add_fixed(config, &VirtualPCIController_type, 100, 0, 0);
    add_fixed(config, &VirtualSIOController_type, 400, 0, 0);
    add_fixed(config, &VirtualKeyboard_type, 600, 300, 0);
    add_fixed(config, &VirtualPointingDevice_type, 700, 300, 1);
    add_fixed(config, &VirtualMachineVideoCard_type, 500, 100, 0);
    vmx_map_load(mapper, NULL, video_keys, config->hardware->device.items[config->hardware->device.n - 1]);
}

void vmx_devices_load(struct vmx_mapper *mapper, struct VirtualMachineConfigInfo *config)
{
    load_fixed(mapper, config);
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        for (int32_t n = 0; n < slots_of(&families[i]) && mapper->error == 0; n++) {
            struct slot slot = slot_at(&families[i], n);
            g_autofree char *name = slot_name(&slot);
            const struct form *form = classify(mapper->vmx, &slot, name);

            use_marks(mapper, &slot, name, form);
            if (form != NULL) {
                load_device(mapper, &slot, name, form, families[i].first_key + n, config);
            }
        }
    }
}

/* --- writing --- */

static const struct VirtualDevice *find_device(const struct VirtualMachineConfigInfo *config, int32_t key)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        if (config->hardware->device.items[i]->key == key) {
            return config->hardware->device.items[i];
        }
    }
    return NULL;
}

/* The form that a device is written in; NULL: the file has none for it. */
static const struct form *form_of(const struct family *family, const struct VirtualDevice *device)
{
    for (const struct form *form = family->forms; form->mappings != NULL; form++) {
        if (device->vim_type == form->type &&
            (form->backing == NULL || vim_is_a(device->backing, form->backing) ||
             (device->backing == NULL &&
              (vim_is_a(device, &VirtualEthernetCard_type) || vim_is_a(device, &VirtualSoundCard_type))))) {
            return form;
        }
    }
    return NULL;
}

static void remove_slot(struct vmx_mapper *mapper, const char *name, const struct form *form)
{
    g_autofree char *prefix = g_strconcat(name, ".", NULL);

    vmx_remove_prefix(mapper->out, prefix);
    if (form->extra_slot != NULL) {
        g_autofree char *extra = extra_slot(form, name);
        g_autofree char *extra_prefix = g_strconcat(extra, ".", NULL);

        vmx_remove_prefix(mapper->out, extra_prefix);
    }
}

/* Says in the file what is in the slot from now on, when that is something else than before. */
static void store_marks(struct vmx_mapper *mapper, const struct slot *slot, const char *name,
                        const struct form *before, const struct form *form)
{
    g_autofree char *present = vmx_slot_key(name, "present");
    g_autofree char *client = vmx_slot_key(name, "clientDevice");

    if (before == form) {
        return;
    }
    if (before != NULL && before->type == form->type) {
        /* Another medium in the same drive: its other keys, such as the PCI slot, stay. */
        for (const struct vmx_mapping *m = before->mappings; m->key != NULL; m++) {
            g_autofree char *key = vmx_slot_key(name, m->key);

            vmx_mapper_set(mapper, key, NULL);
        }
    } else {
        remove_slot(mapper, name, form);
    }
    vmx_mapper_set(mapper, present, "TRUE");
    if (slot->family->mark != NULL) {
        g_autofree char *mark = vmx_slot_key(name, slot->family->mark);
        g_autofree char *word = g_strndup(form->accepts, strcspn(form->accepts, "|"));

        vmx_mapper_set(mapper, mark, word);
    }
    vmx_mapper_set(mapper, client, form->client ? "TRUE" : NULL);
}

static void store_address(struct vmx_mapper *mapper, const char *name, const struct VirtualEthernetCard *card)
{
    bool manual = is_manual(card);
    g_autofree char *other = vmx_slot_key(name, manual ? "generatedAddress" : "address");

    vmx_map_store(mapper, name, manual ? manual_address_keys : other_address_keys, card);
    if (vmx_mapper_is_used(mapper, other)) { /* it was the address; a stray one is extraConfig */
        vmx_mapper_set(mapper, other, NULL);
    }
}

static void store_device(struct vmx_mapper *mapper, const struct slot *slot, const char *name,
                         const struct form *before, const struct VirtualDevice *device)
{
    const struct form *form = form_of(slot->family, device);

    if (form == NULL) {
        g_autofree char *what =
            g_strdup_printf("a %s with the backing %s cannot be written to the file", device->vim_type->name,
                            device->backing != NULL ? device->backing->vim_type->name : "none");

        vmx_mapper_fail(mapper, -ENOTSUP, name, what);
        return;
    }
    use_marks(mapper, slot, name, form);
    store_marks(mapper, slot, name, before, form);
    vmx_map_store(mapper, name, form->mappings, device);
    if (form->extra != NULL) {
        g_autofree char *extra = extra_slot(form, name);

        vmx_map_store(mapper, extra, form->extra, device);
    }
    if (vim_is_a(device, &VirtualEthernetCard_type)) {
        store_address(mapper, name, (const struct VirtualEthernetCard *)device);
    }
}

/* Every device has its place in the file, or is one that every machine has. */
static void check_devices(struct vmx_mapper *mapper, const struct VirtualMachineConfigInfo *config)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        g_autofree char *slot = vmx_device_slot(device->key);
        bool fixed = device->key == 100 || device->key == 200 || device->key == 201 || device->key == 300 ||
                     device->key == 400 || device->key == 500 || device->key == 600 || device->key == 700;

        if (slot == NULL && !fixed) {
            g_autofree char *what =
                g_strdup_printf("a device with the key %d has no place in the file", device->key);

            vmx_mapper_fail(mapper, -ENOTSUP, device->vim_type->name, what);
        }
    }
}

void vmx_devices_store(struct vmx_mapper *mapper, const struct VirtualMachineConfigInfo *config,
                       GPtrArray *removed)
{
    const struct VirtualDevice *video = find_device(config, 500);

    check_devices(mapper, config);
    if (video != NULL && vim_is_a(video, &VirtualMachineVideoCard_type)) {
        vmx_map_store(mapper, NULL, video_keys, video);
    }
    /* Backwards, so that a controller goes after its drives: without it they would not be recognised. */
    for (size_t i = G_N_ELEMENTS(families); i-- > 0;) {
        for (int32_t n = 0; n < slots_of(&families[i]) && mapper->error == 0; n++) {
            struct slot slot = slot_at(&families[i], n);
            g_autofree char *name = slot_name(&slot);
            const struct form *before = classify(mapper->vmx, &slot, name);

            if (before != NULL && find_device(config, families[i].first_key + n) == NULL) {
                remove_slot(mapper, name, before);
                g_ptr_array_add(removed, g_strconcat(name, ".", NULL));
            }
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(families); i++) {
        for (int32_t n = 0; n < slots_of(&families[i]) && mapper->error == 0; n++) {
            struct slot slot = slot_at(&families[i], n);
            g_autofree char *name = slot_name(&slot);
            const struct VirtualDevice *device = find_device(config, families[i].first_key + n);

            if (device != NULL) {
                store_device(mapper, &slot, name, classify(mapper->vmx, &slot, name), device);
            }
        }
    }
}
