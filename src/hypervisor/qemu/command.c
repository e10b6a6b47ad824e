// SPDX-License-Identifier: Apache-2.0
/*
 * The command line of a whole machine; see command.h.
 *
 * The boards are pinned to one version of QEMU's: a guest finds the same hardware after an update of QEMU, and
 * a state saved before it still loads. What sits where on a board is in board.c.
 */
#include "hypervisor/qemu/command.h"

#include "hypervisor/hypervisor_ops.h"
#include "hypervisor/qemu/planning.h"
#include "vim/types.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

enum {
    BOOT_TIME_MAX_MS = 65535, /* of QEMU's splash-time and reboot-timeout */
    VIDEO_MIN_MB = 16,
    VIDEO_MAX_MB = 256,
    VIDEO_OUTPUTS_MAX = 16,
    KEY_BOOT_MENU_MS = 30000, /* how long the firmware waits for a key when its setup is wanted */
};

static const char *const machines[] = {
    [QEMU_CHIPSET_440BX] = "pc-i440fx-7.2,usb=off,vmport=on",
    [QEMU_CHIPSET_Q35] = "pc-q35-7.2,usb=off,vmport=on",
};

#define SANDBOX "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"

/* The command line while it is made. */
struct making {
    const struct qemu_command *command;
    GPtrArray *argv;    /* owned strings */
    GPtrArray *devices; /* const struct VirtualDevice, by key */
    GArray *boot;       /* int32_t keys, in the order to boot from */
    enum qemu_chipset chipset;
    char **ret_message;
};

static void add(struct making *making, const char *option, const char *value)
{
    g_ptr_array_add(making->argv, g_strdup(option));
    if (value != NULL) {
        g_ptr_array_add(making->argv, g_strdup(value));
    }
}

G_GNUC_PRINTF(3, 4)
static void add_format(struct making *making, const char *option, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    g_autofree char *value = g_strdup_vprintf(format, arguments);
    va_end(arguments);
    add(making, option, value);
}

/* Takes over the object. */
static void add_json(struct making *making, const char *option, struct json_object *object)
{
    add(making, option,
        json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
    json_object_put(object);
}

/* A comma ends a value in QEMU's key=value syntax unless it is doubled. */
static char *escape_commas(const char *text)
{
    g_auto(GStrv) parts = g_strsplit(text, ",", -1);
    return g_strjoinv(",,", parts);
}

static const struct qemu_file *find_file(const struct qemu_command *command, int32_t key)
{
    for (size_t i = 0; i < command->n_files; i++) {
        if (command->files[i].device_key == key) {
            return &command->files[i];
        }
    }
    return NULL;
}

static gint compare_keys(gconstpointer a, gconstpointer b)
{
    const struct VirtualDevice *first = *(const struct VirtualDevice *const *)a;
    const struct VirtualDevice *second = *(const struct VirtualDevice *const *)b;
    return first->key < second->key ? -1 : first->key > second->key;
}

/* The boot order */

static void boot_from_key(struct making *making, int32_t key)
{
    for (guint i = 0; i < making->boot->len; i++) {
        if (g_array_index(making->boot, int32_t, i) == key) {
            return;
        }
    }
    g_array_append_val(making->boot, key);
}

static void boot_from_kind(struct making *making, const struct vim_type *type)
{
    for (guint i = 0; i < making->devices->len; i++) {
        const struct VirtualDevice *device = g_ptr_array_index(making->devices, i);
        if (vim_is_a(device, type)) {
            boot_from_key(making, device->key);
        }
    }
}

/* What the configuration names first, then what is left: floppies, disks, CDs, network. */
static void fill_boot_order(struct making *making)
{
    const struct VirtualMachineBootOptions *options = making->command->config->bootOptions;

    for (uint32_t i = 0; options != NULL && i < options->bootOrder.n; i++) {
        const struct VirtualMachineBootOptionsBootableDevice *item = options->bootOrder.items[i];
        if (vim_is_a(item, &VirtualMachineBootOptionsBootableDiskDevice_type)) {
            boot_from_key(making,
                          ((const struct VirtualMachineBootOptionsBootableDiskDevice *)item)->deviceKey);
        } else if (vim_is_a(item, &VirtualMachineBootOptionsBootableEthernetDevice_type)) {
            boot_from_key(making,
                          ((const struct VirtualMachineBootOptionsBootableEthernetDevice *)item)->deviceKey);
        } else if (vim_is_a(item, &VirtualMachineBootOptionsBootableCdromDevice_type)) {
            boot_from_kind(making, &VirtualCdrom_type);
        } else if (vim_is_a(item, &VirtualMachineBootOptionsBootableFloppyDevice_type)) {
            boot_from_kind(making, &VirtualFloppy_type);
        }
    }
    boot_from_kind(making, &VirtualFloppy_type);
    boot_from_kind(making, &VirtualDisk_type);
    boot_from_kind(making, &VirtualCdrom_type);
    boot_from_kind(making, &VirtualEthernetCard_type);
}

/* From 1: QEMU gives 0 to a kernel that it boots itself. 0 when the device is none to boot from. */
static int boot_index(const struct making *making, int32_t key)
{
    for (guint i = 0; i < making->boot->len; i++) {
        if (g_array_index(making->boot, int32_t, i) == key) {
            return (int)i + 1;
        }
    }
    return 0;
}

static void add_boot(struct making *making)
{
    const struct VirtualMachineBootOptions *options = making->command->config->bootOptions;
    g_autoptr(GString) value = g_string_new("strict=on");

    if (options != NULL) {
        int64_t wait_ms = options->enterBIOSSetup.value ? KEY_BOOT_MENU_MS : options->bootDelay.value;
        if (wait_ms > 0) {
            g_string_append_printf(value, ",menu=on,splash-time=%d", (int)MIN(wait_ms, BOOT_TIME_MAX_MS));
        }
        if (options->bootRetryEnabled.value) {
            int64_t delay_ms = options->bootRetryDelay.set ? options->bootRetryDelay.value : 10000;
            g_string_append_printf(value, ",reboot-timeout=%d", (int)CLAMP(delay_ms, 0, BOOT_TIME_MAX_MS));
        }
    }
    add(making, "-boot", value->str);
}

/* A kernel is read by path; the descriptor's own path needs no access to the folder that it lies in. */
static int add_kernel(struct making *making)
{
    const struct VirtualMachineConfigInfo *config = making->command->config;
    const struct qemu_file *kernel = find_file(making->command, HYPERVISOR_KEY_KERNEL);
    const struct qemu_file *initrd = find_file(making->command, HYPERVISOR_KEY_INITRD);

    if ((qemu_extra(config, "tenkyu.kernel") != NULL && kernel == NULL) ||
        (qemu_extra(config, "tenkyu.initrd") != NULL && initrd == NULL) ||
        (initrd != NULL && kernel == NULL)) {
        return hypervisor_fail(making->ret_message, -EINVAL, "the kernel to boot or its initrd is not there");
    }
    if (kernel != NULL) {
        const char *append = qemu_extra(config, "tenkyu.append");
        add_format(making, "-kernel", "/proc/self/fd/%s", kernel->fd_name);
        if (append != NULL) {
            add(making, "-append", append);
        }
    }
    if (initrd != NULL) {
        add_format(making, "-initrd", "/proc/self/fd/%s", initrd->fd_name);
    }
    return 0;
}

/* Flash memory with the firmware's code and, if it has one, with its variables. */
static void add_flash(struct making *making, const char *node, const struct qemu_file *file)
{
    g_autofree char *protocol_node = g_strconcat(node, "-file", NULL);
    g_autofree char *path = g_strdup_printf("/dev/fdset/%" G_GINT64_FORMAT, file->fdset);
    struct json_object *protocol = json_object_new_object();
    struct json_object *image = json_object_new_object();

    add_format(making, "-add-fd", "fd=%s,set=%" G_GINT64_FORMAT ",opaque=%s", file->fd_name, file->fdset,
               node);
    qemu_json_add_string(protocol, "driver", "file");
    qemu_json_add_string(protocol, "node-name", protocol_node);
    qemu_json_add_string(protocol, "filename", path);
    qemu_json_add_bool(protocol, "read-only", file->read_only);
    add_json(making, "-blockdev", protocol);
    qemu_json_add_string(image, "driver", "raw");
    qemu_json_add_string(image, "node-name", node);
    qemu_json_add_bool(image, "read-only", file->read_only);
    qemu_json_add_string(image, "file", protocol_node);
    add_json(making, "-blockdev", image);
}

/* Chipset and firmware. */
static int add_board(struct making *making)
{
    const struct VirtualMachineConfigInfo *config = making->command->config;
    const struct qemu_file *code = find_file(making->command, QEMU_KEY_FIRMWARE);
    const struct qemu_file *variables = find_file(making->command, HYPERVISOR_KEY_NVRAM);
    bool efi = qemu_board_is_efi(config), secure = qemu_board_is_secure(config);
    g_autoptr(GString) machine = g_string_new(machines[making->chipset]);

    g_string_append(machine, ",dump-guest-core=off");
    if (making->command->guest.no_hpet) {
        g_string_append(machine, ",hpet=off");
    }
    if (efi && (code == NULL || variables == NULL)) {
        return hypervisor_fail(making->ret_message, -EINVAL,
                               "the EFI firmware or its variables are not there");
    }
    if (efi) {
        add_flash(making, "firmware", code);
        add_flash(making, "nvram", variables);
        g_string_append_printf(machine, ",pflash0=firmware,pflash1=nvram%s", secure ? ",smm=on" : "");
    }
    add(making, "-machine", machine->str);
    if (secure) {
        add(making, "-global", "driver=cfi.pflash01,property=secure,value=on");
    }
    /* A guest in standby or hibernation by firmware would look powered on for ever. */
    const char *acpi = making->chipset == QEMU_CHIPSET_Q35 ? "ICH9-LPC" : "PIIX4_PM";
    add_format(making, "-global", "%s.disable_s3=1", acpi);
    add_format(making, "-global", "%s.disable_s4=1", acpi);
    return 0;
}

static int add_machine(struct making *making)
{
    const struct VirtualMachineConfigInfo *config = making->command->config;
    const struct VirtualHardware *hardware = config->hardware;

    if (hardware == NULL || hardware->numCPU < 1 || hardware->memoryMB < 1) {
        return hypervisor_fail(making->ret_message, -EINVAL,
                               "the virtual machine has no processor or no memory");
    }
    int32_t cores = hardware->numCoresPerSocket.set ? hardware->numCoresPerSocket.value : 1;
    if (cores < 1 || hardware->numCPU % cores != 0) {
        cores = 1;
    }
    int error = add_board(making);
    if (error != 0) {
        return error;
    }
    add(making, "-accel", making->command->kvm ? "kvm" : "tcg,thread=multi");
    /* TCG keeps its SVM: without it, the system calls of Linux guests return nonsense in QEMU 7.2. */
    bool hide_virtualization = making->command->kvm && !config->nestedHVEnabled.value;
    add_format(making, "-cpu", "%s%s", making->command->kvm ? "host" : "max",
               hide_virtualization ? ",vmx=off,svm=off" : "");
    add_format(making, "-smp", "cpus=%d,sockets=%d,cores=%d,threads=1,maxcpus=%d", hardware->numCPU,
               hardware->numCPU / cores, cores, hardware->numCPU);
    /* A multiple of 1 MiB, with which TCG of QEMU before 9 corrupts guests that are migrated while they
     * run. We save the state of stopped ones only, which is safe; live migration must refuse it. */
    add_format(making, "-m", "size=%dM", hardware->memoryMB);
    if (config->uuid != NULL && config->uuid[0] != '\0') {
        if (!g_uuid_string_is_valid(config->uuid)) {
            return hypervisor_fail(making->ret_message, -EINVAL, "the BIOS UUID is not a UUID");
        }
        add(making, "-uuid", config->uuid);
    }
    add(making, "-smbios", "type=1,manufacturer=Tenkyu,product=Virtual Machine");
    add(making, "-rtc",
        making->command->guest.local_time ? "base=localtime,driftfix=slew" : "base=utc,driftfix=slew");
    return 0;
}

/* The screen: a standard VGA, which every guest can use, unless another is asked for. */
static int add_video(struct making *making)
{
    static const struct {
        const char *word;
        const char *driver;
    } models[] = {{"vga", "VGA"}, {"svga", "vmware-svga"}, {"virtio", "virtio-vga"}};
    const char *word = qemu_extra(making->command->config, "tenkyu.video"), *driver = NULL;
    int64_t video_mb = VIDEO_MIN_MB, outputs = 1;
    char name[QEMU_NAME_SIZE];

    qemu_device_name(500, name);
    for (guint i = 0; i < making->devices->len; i++) {
        const struct VirtualMachineVideoCard *card = g_ptr_array_index(making->devices, i);
        if (vim_is_a(card, &VirtualMachineVideoCard_type)) {
            while (video_mb < VIDEO_MAX_MB && video_mb * 1024 < card->videoRamSizeInKB.value) {
                video_mb *= 2;
            }
            outputs = CLAMP(card->numDisplays.value, 1, VIDEO_OUTPUTS_MAX);
            qemu_device_name(card->key, name);
        }
    }
    for (size_t i = 0; i < G_N_ELEMENTS(models); i++) {
        if (g_ascii_strcasecmp(word != NULL ? word : models[0].word, models[i].word) == 0) {
            driver = models[i].driver;
        }
    }
    if (driver == NULL) {
        return hypervisor_fail(making->ret_message, -EINVAL, "tenkyu.video is none of vga, svga and virtio");
    }
    struct json_object *video = qemu_json_device(driver, name, NULL);
    if (strcmp(driver, "virtio-vga") == 0) {
        qemu_json_add_int(video, "max_outputs", outputs);
    } else {
        qemu_json_add_int(video, "vgamem_mb", video_mb);
    }
    qemu_board_place(making->chipset, video, QEMU_SLOT_VIDEO, 0);
    add_json(making, "-device", video);
    return 0;
}

/* What a Q35 needs beside what QEMU puts on it: root ports, and a controller for floppies where there are any. */
static void add_board_devices(struct making *making)
{
    g_autoptr(GPtrArray) ports = g_ptr_array_new();
    bool floppy = false;

    if (making->chipset != QEMU_CHIPSET_Q35) {
        return;
    }
    qemu_board_add_ports(making->chipset, making->command->config, ports);
    for (guint i = 0; i < ports->len; i++) {
        add_json(making, "-device", g_ptr_array_index(ports, i));
    }
    for (guint i = 0; i < making->devices->len; i++) {
        floppy |= vim_is_a(g_ptr_array_index(making->devices, i), &VirtualFloppy_type);
    }
    if (floppy) {
        add_json(making, "-device", qemu_json_device("isa-fdc", "fdc", NULL));
    }
}

/* What every machine has, whether its configuration lists it or not. */
static void add_fixed_devices(struct making *making)
{
    const struct qemu_file *agent = find_file(making->command, HYPERVISOR_KEY_GUEST_AGENT);
    char chardev[QEMU_NAME_SIZE];

    struct json_object *balloon = qemu_json_device("virtio-balloon-pci", "balloon", NULL);
    qemu_board_place(making->chipset, balloon, QEMU_SLOT_BALLOON, 0);
    add_json(making, "-device", balloon);

    add(making, "-object", "rng-builtin,id=random");
    struct json_object *random = qemu_json_device("virtio-rng-pci", "rng", "rng", "random", NULL);
    qemu_board_place(making->chipset, random, QEMU_SLOT_RANDOM, 0);
    add_json(making, "-device", random);

    struct json_object *channels = qemu_json_device("virtio-serial-pci", "channels", NULL);
    qemu_board_place(making->chipset, channels, QEMU_SLOT_CHANNEL, 0);
    add_json(making, "-device", channels);
    if (agent != NULL) {
        qemu_chardev_name(agent->device_key, chardev);
        add_format(making, "-chardev", "socket,id=%s,fd=%s,server=on,wait=off", chardev, agent->fd_name);
        struct json_object *port = qemu_json_device("virtserialport", "agent", "bus", "channels.0", "chardev",
                                                    chardev, "name", "org.qemu.guest_agent.0", NULL);
        json_object_object_add(port, "nr", json_object_new_int(1));
        add_json(making, "-device", port);
    }
}

/* A pointing device with absolute positions, which a remote screen needs, when there is a USB controller. */
static void add_tablet(struct making *making)
{
    for (guint i = 0; i < making->devices->len; i++) {
        const struct VirtualDevice *device = g_ptr_array_index(making->devices, i);
        if (vim_is_a(device, &VirtualUSBController_type) ||
            vim_is_a(device, &VirtualUSBXHCIController_type)) {
            g_autofree char *bus = g_strdup_printf("dev-%d.0", device->key);
            add_json(making, "-device",
                     qemu_json_device("usb-tablet", "tablet", "bus", bus, "port", "1", NULL));
            return;
        }
    }
}

/* Whether QEMU reaches the file through an fdset: what it opens by name, but a kernel. */
static bool uses_fdset(const struct qemu_file *file)
{
    return file->device_key > 0 && g_strcmp0(file->format, "tap") != 0 &&
           g_strcmp0(file->format, "socket") != 0;
}

static int add_device(struct making *making, const struct VirtualDevice *device)
{
    const struct qemu_command *command = making->command;
    struct qemu_device_plan plan;
    bool floppy = vim_is_a(device, &VirtualFloppy_type);
    int index = boot_index(making, device->key);
    g_autofree struct qemu_file *files = g_new0(struct qemu_file, command->n_files + 1);
    size_t n_files = 0;

    for (size_t i = 0; i < command->n_files; i++) {
        const struct qemu_file *file = &command->files[i];
        if (file->device_key != device->key) {
            continue;
        }
        files[n_files++] = *file;
        if (uses_fdset(file)) {
            add_format(making, "-add-fd", "fd=%s,set=%" G_GINT64_FORMAT ",opaque=disk-%d", file->fd_name,
                       file->fdset, device->key);
        }
    }
    /* The boot index of a floppy is its controller's, which is part of the board. */
    int error = qemu_device_plan(command->config, device, files, n_files, floppy ? 0 : index, &plan,
                                 making->ret_message);
    if (error != 0) {
        return error;
    }
    if (floppy && n_files > 0) {
        add_format(making, "-global", "isa-fdc.bootindex%c=%d", device->key % 2 == 0 ? 'A' : 'B', index);
    }
    for (guint i = 0; i < plan.blockdevs->len; i++) {
        add_json(making, "-blockdev", json_object_get(g_ptr_array_index(plan.blockdevs, i)));
    }
    if (plan.netdev != NULL) {
        add_json(making, "-netdev", json_object_get(plan.netdev));
    }
    for (guint i = 0; i + 1 < plan.options->len; i += 2) {
        add(making, g_ptr_array_index(plan.options, i), g_ptr_array_index(plan.options, i + 1));
    }
    for (guint i = 0; i < plan.devices->len; i++) {
        add_json(making, "-device", json_object_get(g_ptr_array_index(plan.devices, i)));
    }
    qemu_device_plan_clear(&plan);
    return 0;
}

/* Controllers come first, since QEMU wants a bus before what sits on it. */
static int add_devices(struct making *making)
{
    for (int controllers = 1; controllers >= 0; controllers--) {
        for (guint i = 0; i < making->devices->len; i++) {
            const struct VirtualDevice *device = g_ptr_array_index(making->devices, i);
            if (vim_is_a(device, &VirtualController_type) != (controllers == 1)) {
                continue;
            }
            int error = add_device(making, device);
            if (error != 0) {
                return error;
            }
        }
    }
    return 0;
}

static int make(struct making *making)
{
    const struct qemu_command *command = making->command;
    const struct VirtualMachineConfigInfo *config = command->config;
    g_autofree char *name = escape_commas(config->name != NULL ? config->name : "");

    add(making, command->program, NULL);
    add_format(making, "-name", "guest=%s,debug-threads=on", name);
    add(making, "-nodefaults", NULL);
    add(making, "-no-user-config", NULL);
    add(making, "-S", NULL);
    add(making, "-display", "none");
    add(making, "-vnc", "none"); /* a screen without a listener: clients come through the monitor */
    add(making, "-sandbox", SANDBOX);
    add_format(making, "-chardev", "socket,id=monitor,fd=%d,server=on,wait=off", command->qmp_fd);
    add(making, "-mon", "chardev=monitor,mode=control");
    int error = add_machine(making);
    if (error != 0) {
        return error;
    }
    fill_boot_order(making);
    add_boot(making);
    error = add_kernel(making);
    if (error != 0) {
        return error;
    }
    error = add_video(making);
    if (error != 0) {
        return error;
    }
    add_board_devices(making);
    add_fixed_devices(making);
    error = add_devices(making);
    if (error != 0) {
        return error;
    }
    add_tablet(making);
    if (command->incoming) {
        add(making, "-incoming", "defer");
    }
    return 0;
}

int qemu_command_build(const struct qemu_command *command, char ***ret_argv, char **ret_message)
{
    struct making making = {
        .command = command,
        .argv = g_ptr_array_new_with_free_func(g_free),
        .devices = g_ptr_array_new(),
        .boot = g_array_new(FALSE, FALSE, sizeof(int32_t)),
        .ret_message = ret_message,
    };
    const struct VirtualHardware *hardware = command->config->hardware;

    for (uint32_t i = 0; hardware != NULL && i < hardware->device.n; i++) {
        g_ptr_array_add(making.devices, hardware->device.items[i]);
    }
    g_ptr_array_sort(making.devices, compare_keys);
    int error = qemu_board_chipset(command->config, &making.chipset);
    if (error != 0) {
        error = hypervisor_fail(ret_message, error, "tenkyu.chipset is neither 440bx nor q35");
    } else {
        error = make(&making);
    }
    g_ptr_array_unref(making.devices);
    g_array_unref(making.boot);
    if (error != 0) {
        g_ptr_array_unref(making.argv);
        return error;
    }
    g_ptr_array_add(making.argv, NULL);
    *ret_argv = (char **)g_ptr_array_free(making.argv, FALSE);
    return 0;
}
