// SPDX-License-Identifier: Apache-2.0
/*
 * What a specification makes of a virtual machine: each rule by which one is refused, with the fault and the
 * property that it names, and what the configuration is afterwards when it is accepted. Whatever comes of
 * it, the configuration that was given and the files are as they were.
 *
 * Specifications are written as VI/JSON with ' for ". The machine "one" has a disk (2000), a CD drive (3000),
 * a network adapter (4000) and a serial port (9000), and on its datastore there are files a.iso and b.iso.
 */
#include <fcntl.h>
#include <glib/gstdio.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/disk_image.h"
#include "host/vm/vm.h"
#include "vim/json.h"
#include "vim_values.h"

#define CHANGE(operation, device) "{'operation': '" operation "', 'device': {" device "}}"
#define CHANGE_FILE(operation, file, device) \
    "{'operation': '" operation "', 'fileOperation': '" file "', 'device': {" device "}}"
#define CHANGES(changes) "'deviceChange': [" changes "]"
#define ADD(device) CHANGES(CHANGE("add", device))
#define ADD_FILE(device) CHANGES(CHANGE_FILE("add", "create", device))
#define EDIT(device) CHANGES(CHANGE("edit", device))
#define REMOVE(device) CHANGES(CHANGE("remove", device))

#define SCSI(key, bus)                                                                              \
    "'_typeName': 'ParaVirtualSCSIController', 'key': " key ", 'busNumber': " bus ", 'sharedBus': " \
    "'noSharing'"
#define DISK(members) "'_typeName': 'VirtualDisk', " members
#define BACKING(file) \
    "'backing': {'_typeName': 'VirtualDiskFlatVer2BackingInfo', 'fileName': '" file "', 'diskMode': ''}"
#define NEW_DISK(place) DISK("'key': -9, 'capacityInKB': 1024, " place ", " BACKING(""))
#define CDROM(members) "'_typeName': 'VirtualCdrom', " members
#define ISO(file) "'backing': {'_typeName': 'VirtualCdromIsoBackingInfo', 'fileName': '" file "'}"
#define NETWORK(name) \
    "'backing': {'_typeName': 'VirtualEthernetCardNetworkBackingInfo', 'deviceName': '" name "'}"
#define CARD(members) "'_typeName': 'VirtualVmxnet3', " members
#define NEW_CARD CARD("'key': -1, " NETWORK("VM Network"))
#define SERIAL(key, file)                                                                \
    "'_typeName': 'VirtualSerialPort', 'key': " key ", 'yieldOnPoll': true, 'backing': " \
    "{'_typeName': 'VirtualSerialPortFileBackingInfo', 'fileName': '" file "'}"

/* ---- the host ------------------------------------------------------------------------------------------ */

struct fixture {
    struct vim_server server;
    struct host host;
    struct datastore datastore;
    struct VirtualMachineConfigInfo *config; /* of the machine */
};

static int64_t now_us(void *data)
{
    (void)data;
    return INT64_C(1700000000000000);
}

static void host_open(struct fixture *f)
{
    g_autofree char *run_dir = NULL;
    g_autofree char *message = NULL;

    f->server.environment.now_us = now_us;
    f->server.inventory = vim_inventory_new();
    f->datastore.name = (char *)"ds";
    f->datastore.path = g_dir_make_tmp("test-vm-spec-XXXXXX", NULL);
    f->datastore.fd = open(f->datastore.path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    f->datastore.ref = vim_ref_make(&Datastore_type, "ds-1");
    g_assert_cmpint(f->datastore.fd, >=, 0);
    f->host.server = &f->server;
    g_mutex_init(&f->host.lock);
    f->host.datastores = g_ptr_array_new();
    f->datastore.accessible = 1;
    g_ptr_array_add(f->host.datastores, &f->datastore);
    run_dir = g_build_filename(f->datastore.path, "run", NULL);
    struct hypervisor_options options = {.run_dir = run_dir};
    if (hypervisor_sim_new(&options, &f->host.hypervisor, &message) != 0) {
        g_error("%s", message);
    }
}

static void make_file(struct fixture *f, const char *name)
{
    g_autofree char *path = g_build_filename(f->datastore.path, name, NULL);
    g_assert_true(g_file_set_contents(path, "x", 1, NULL));
}

static gint compare_names(gconstpointer a, gconstpointer b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Names and sizes of all files, in order. */
static char *list_files(struct fixture *f)
{
    GString *list = g_string_new(NULL);
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    const char *name;

    for (const char *const *folder = (const char *const[]){".", "one", NULL}; *folder != NULL; folder++) {
        g_autofree char *path = g_build_filename(f->datastore.path, *folder, NULL);
        GDir *dir = g_dir_open(path, 0, NULL);
        while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
            g_autofree char *file = g_build_filename(path, name, NULL);
            GStatBuf st;
            g_assert_cmpint(g_stat(file, &st), ==, 0);
            g_ptr_array_add(names, g_strdup_printf("%s %" G_GINT64_FORMAT, file, (int64_t)st.st_size));
        }
        g_clear_pointer(&dir, g_dir_close);
    }
    g_ptr_array_sort(names, compare_names);
    for (guint i = 0; i < names->len; i++) {
        g_string_append_printf(list, "%s\n", (const char *)g_ptr_array_index(names, i));
    }
    return g_string_free(list, FALSE);
}

/* ---- specifications -------------------------------------------------------------------------------------- */

static struct VirtualMachineConfigSpec *spec_new(const char *members)
{
    g_autofree char *text = g_strdup_printf("{%s}", members);
    void *spec = NULL;

    g_strdelimit(text, "'", '"');
    struct vim_fault *fault = json_read_object(text, strlen(text), &VirtualMachineConfigSpec_type, &spec);
    if (fault != NULL) {
        g_error("%s: %s", fault->message, text);
    }
    return spec;
}

/* Every configuration that comes out: no key and no place is used twice, every controller is there and
 * knows its devices. */
static void check_config(const struct VirtualMachineConfigInfo *config)
{
    g_autoptr(GHashTable) keys = g_hash_table_new(NULL, NULL);
    g_autoptr(GHashTable) places = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        g_assert_cmpint(device->key, >, 0);
        g_assert_true(g_hash_table_add(keys, GINT_TO_POINTER(device->key)));
        g_assert_nonnull(device->deviceInfo);
        if (!device->controllerKey.set) {
            continue;
        }
        const struct VirtualDevice *on = vm_device_by_key(config, device->controllerKey.value);
        g_assert_true(vim_is_a(on, &VirtualController_type));
        const struct VirtualController *controller = (const struct VirtualController *)on;
        bool listed = false;
        for (uint32_t k = 0; k < controller->device.n; k++) {
            listed |= controller->device.items[k] == device->key;
        }
        g_assert_true(listed);
        if (device->unitNumber.set) {
            /* On the controller of the old ports each kind of device counts for itself. */
            int kind = device->controllerKey.value == 400 ? device->key / 1000 : 0;
            g_assert_true(g_hash_table_add(places, g_strdup_printf("%d:%d:%d", device->controllerKey.value,
                                                                   device->unitNumber.value, kind)));
        }
    }
}

/* Applies, and checks that nothing of what was there has changed. */
static struct vim_fault *apply(struct fixture *f, const char *members, bool powered_on,
                               struct vm_change **ret)
{
    struct VirtualMachineConfigSpec *spec = spec_new(members);
    void *spec_before = vim_copy(spec);
    void *before = vim_copy(f->config);
    g_autofree char *files_before = list_files(f);
    struct vim_fault *fault = vm_spec_apply(&f->host, f->config, "[ds] one", spec, powered_on, ret);
    g_autofree char *files_after = list_files(f);

    g_assert_true(vim_equal(before, f->config));
    g_assert_true(vim_equal(spec_before, spec));
    g_assert_cmpstr(files_before, ==, files_after);
    if (fault == NULL) {
        check_config((*ret)->config);
    }
    vim_free(before);
    vim_free(spec_before);
    vim_free(spec);
    return fault;
}

/* The fault names the property in the member that it has for it, or, when it has none, in its message. */
static void assert_names(const struct vim_fault *fault, const char *property)
{
    const struct vim_type *type = vim_fault_type(fault);
    const struct vim_field *field = vim_field_by_name(
        type, vim_type_is(type, &InvalidArgument_type) ? "invalidProperty" : "property", NULL);
    const char *named = field != NULL ? *(char *const *)vim_field_at(field, fault->fault) : NULL;

    if (named != NULL ? strcmp(named, property) != 0 : strstr(fault->message, property) == NULL) {
        g_error("%s does not name %s but %s: %s", type->name, property, named, fault->message);
    }
}

static void refused_when(struct fixture *f, const char *members, bool powered_on, const char *type,
                         const char *property)
{
    struct vm_change *change = NULL;
    struct vim_fault *fault = apply(f, members, powered_on, &change);

    if (fault == NULL) {
        g_error("accepted: %s", members);
    }
    g_assert_null(change);
    if (strcmp(vim_fault_type(fault)->name, type) != 0) {
        g_error("%s instead of %s: %s: %s", vim_fault_type(fault)->name, type, fault->message, members);
    }
    assert_names(fault, property);
    vim_fault_free(fault);
}

static void refused(struct fixture *f, const char *members, const char *type, const char *property)
{
    refused_when(f, members, false, type, property);
}

static struct vm_change *accepted_when(struct fixture *f, const char *members, bool powered_on)
{
    struct vm_change *change = NULL;
    struct vim_fault *fault = apply(f, members, powered_on, &change);

    if (fault != NULL) {
        g_error("%s: %s: %s", vim_fault_type(fault)->name, fault->message, members);
    }
    return change;
}

static struct vm_change *accepted(struct fixture *f, const char *members)
{
    return accepted_when(f, members, false);
}

/* Accepted, and from here on the machine is like that. */
static void become(struct fixture *f, const char *members)
{
    struct vm_change *change = accepted(f, members);
    vim_free(f->config);
    f->config = g_steal_pointer(&change->config);
    vm_change_free(change);
}

static const void *device_of(const struct vm_change *change, int32_t key, const struct vim_type *type)
{
    const struct VirtualDevice *device = vm_device_by_key(change->config, key);
    if (!vim_is_a(device, type)) {
        g_error("there is no %s %d", type->name, key);
    }
    return device;
}

static const char *file_of(const struct vm_change *change, int32_t key)
{
    const struct VirtualDevice *device = device_of(change, key, &VirtualDevice_type);
    g_assert_true(vim_is_a(device->backing, &VirtualDeviceFileBackingInfo_type));
    return ((const struct VirtualDeviceFileBackingInfo *)device->backing)->fileName;
}

static void setup(struct fixture *f, gconstpointer data)
{
    static const char machine[] = "'name': 'one', " CHANGES(CHANGE("add", SCSI("-1", "0")) ", " CHANGE_FILE(
        "add", "create",
        DISK("'key': -2, 'controllerKey': -1, 'capacityInKB': 4096, " BACKING(
            ""))) ", " CHANGE("add",
                              CDROM("'key': -3, 'controllerKey': 200, " ISO(
                                  "[ds] a.iso"))) ", " CHANGE("add",
                                                              NEW_CARD) ", " CHANGE("add",
                                                                                    SERIAL(
                                                                                        "-4",
                                                                                        "[ds] "
                                                                                        "one/serial.txt")));
    struct VirtualMachineConfigSpec *spec = spec_new(machine);
    struct VirtualMachineConfigInfo *empty = vm_spec_new_config();
    struct vm_change *change = NULL;

    (void)data;
    host_open(f);
    make_file(f, "a.iso");
    make_file(f, "b.iso");
    g_assert_cmpint(mkdirat(f->datastore.fd, "one", 0755), ==, 0);
    assert_accepted(vm_spec_apply(&f->host, empty, "[ds] one", spec, false, &change));
    assert_accepted(vm_change_make_disks(&f->host, change));
    f->config = g_steal_pointer(&change->config);
    check_config(f->config);
    vm_change_free(change);
    vim_free(empty);
    vim_free(spec);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_free(f->config);
    hypervisor_free(f->host.hypervisor);
    g_assert_cmpint(file_remove_tree(AT_FDCWD, f->datastore.path), ==, 0);
    close(f->datastore.fd);
    vim_ref_clear(&f->datastore.ref);
    g_free(f->datastore.path);
    g_ptr_array_unref(f->host.datastores);
    g_mutex_clear(&f->host.lock);
    vim_inventory_free(f->server.inventory);
}

/* ---- plain members --------------------------------------------------------------------------------------- */

static void test_new(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigInfo *config = vm_spec_new_config();
    struct vm_change *change = accepted(f, "");

    g_assert_cmpstr(config->uuid, !=, f->config->uuid);
    g_assert_true(g_uuid_string_is_valid(config->instanceUuid));
    vim_free(config);
    /* An empty specification is a change all the same: its version says so. */
    g_assert_cmpint(change->config->modified, ==, now_us(NULL));
    vm_change_free(change);
    static const int32_t keys[] = {100, 200, 201, 300, 400, 500, 600, 700, 1000, 2000, 3000, 4000, 9000};
    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        g_assert_nonnull(vm_device_by_key(f->config, keys[i]));
    }
    g_assert_cmpuint(f->config->hardware->device.n, ==, G_N_ELEMENTS(keys));
}

static void test_identity(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change =
        accepted(f, "'name': 'two', 'annotation': 'a\\nb', 'guestId': 'debian10_64Guest',"
                    "'uuid': '42105eca-1a2b-4c3d-8e4f-0123456789ab'");
    g_assert_cmpstr(change->config->name, ==, "two");
    g_assert_cmpstr(change->config->annotation, ==, "a\nb");
    g_assert_cmpstr(change->config->guestId, ==, "debian10_64Guest");
    g_assert_cmpstr(change->config->guestFullName, !=, f->config->guestFullName);
    g_assert_cmpstr(change->config->uuid, ==, "42105eca-1a2b-4c3d-8e4f-0123456789ab");
    g_assert_cmpstr(change->config->instanceUuid, ==, f->config->instanceUuid);
    vm_change_free(change);
    refused(f, "'uuid': 'x'", "InvalidArgument", "uuid");
    refused(f, "'instanceUuid': '42105eca'", "InvalidArgument", "instanceUuid");
    refused(f, "'guestId': 'amiga'", "InvalidArgument", "guestId");
    refused(f, "'version': '14'", "InvalidArgument", "version");
    refused(f, "'firmware': 'toaster'", "InvalidArgument", "firmware");
    refused(f, "'name': 'two', 'npivDesiredNodeWwns': 2", "InvalidArgument", "npivDesiredNodeWwns");
    vm_change_free(accepted(f, "'npivTemporaryDisabled': false")); /* as it is anyway */
}

static void test_processors(struct fixture *f, gconstpointer data)
{
    (void)data;
    int32_t max = hypervisor_info(f->host.hypervisor)->max_cpus;
    g_autofree char *too_many = g_strdup_printf("'numCPUs': %d", max + 1);
    g_autofree char *most = g_strdup_printf("'numCPUs': %d", max);

    refused(f, too_many, "NumVirtualCpusNotSupported", "numCPUs");
    refused(f, "'numCPUs': 0", "NumVirtualCpusNotSupported", "numCPUs");
    refused(f, "'numCPUs': -1", "NumVirtualCpusNotSupported", "numCPUs");
    refused(f, "'numCPUs': 4, 'numCoresPerSocket': 3", "InvalidArgument", "numCoresPerSocket");
    refused(f, "'numCoresPerSocket': -1", "InvalidArgument", "numCoresPerSocket");
    vm_change_free(accepted(f, most));
    become(f, "'numCPUs': 4, 'numCoresPerSocket': 2");
    g_assert_cmpint(f->config->hardware->numCPU, ==, 4);
    g_assert_cmpint(f->config->hardware->numCoresPerSocket.value, ==, 2);
    struct vm_change *change = accepted(f, "'numCPUs': 3"); /* two cores no longer fit */
    g_assert_cmpint(change->config->hardware->numCoresPerSocket.value, ==, 1);
    vm_change_free(change);
    refused_when(f, "'numCPUs': 2", true, "InvalidPowerState", "numCPUs");
    vm_change_free(accepted_when(f, "'numCPUs': 4", true)); /* it has them */
}

static void test_memory(struct fixture *f, gconstpointer data)
{
    (void)data;
    static const char *const wrong[] = {"0", "-4", "6", "3", "1099511627776"};

    for (size_t i = 0; i < G_N_ELEMENTS(wrong); i++) {
        g_autofree char *members = g_strdup_printf("'memoryMB': %s", wrong[i]);
        refused(f, members, "InvalidArgument", "memoryMB");
    }
    become(f, "'memoryMB': 64");
    g_assert_cmpint(f->config->hardware->memoryMB, ==, 64);
    refused_when(f, "'memoryMB': 128", true, "InvalidPowerState", "memoryMB");
    vm_change_free(accepted_when(f, "'memoryMB': 64", true));
}

static void test_change_version(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change = NULL;

    vim_set_string(&f->config->changeVersion, "7");
    vm_change_free(accepted(f, "'changeVersion': ''"));
    change = accepted(f, "'changeVersion': '7'");
    g_assert_cmpstr(change->config->changeVersion, !=, "7");
    vm_change_free(change);
    refused(f, "'changeVersion': '6', 'name': 'two'", "ConcurrentAccess", "changeVersion");
}

/* What an allocation does not say stays. */
static void test_allocation(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change =
        accepted(f, "'cpuAllocation': {'reservation': 500}, 'bootOptions': {'bootDelay': 5}");

    g_assert_cmpint(change->config->cpuAllocation->reservation.value, ==, 500);
    g_assert_cmpint(change->config->cpuAllocation->limit.value, ==, -1);
    g_assert_true(vim_equal(change->config->cpuAllocation->shares, f->config->cpuAllocation->shares));
    g_assert_true(vim_equal(change->config->memoryAllocation, f->config->memoryAllocation));
    g_assert_cmpint(change->config->bootOptions->bootDelay.value, ==, 5);
    vm_change_free(change);
}

#define OPTION(key, value) "{'key': '" key "', 'value': {'_typeName': 'string', '_value': '" value "'}}"

static void test_extra(struct fixture *f, gconstpointer data)
{
    (void)data;
    static const char *const devices[] = {"scsi0:0.fileName",   "SCSI0.present",    "ethernet0.present",
                                          "sata1:2.deviceType", "serial0.fileType", "ide1:0.filename"};

    become(f, "'extraConfig': [" OPTION("a.b", "1") ", " OPTION("serialize.present", "x") "]");
    g_assert_cmpuint(f->config->extraConfig.n, ==, 2);
    become(f, "'extraConfig': [" OPTION("A.B", "2") ", " OPTION("c", "3") "]");
    g_assert_cmpuint(f->config->extraConfig.n, ==, 3);
    become(f, "'extraConfig': [" OPTION("a.b", "") ", " OPTION("none", "") "]");
    g_assert_cmpuint(f->config->extraConfig.n, ==, 2);
    for (size_t i = 0; i < G_N_ELEMENTS(devices); i++) {
        g_autofree char *members = g_strdup_printf("'extraConfig': [{'key': '%s', 'value': {'_typeName': "
                                                   "'string', '_value': 'x'}}]",
                                                   devices[i]);
        refused(f, members, "InvalidArgument", "extraConfig");
    }
    refused(f, "'extraConfig': [{'key': 'n', 'value': {'_typeName': 'int', '_value': 1}}]", "InvalidArgument",
            "extraConfig");
}

/* ---- controllers ----------------------------------------------------------------------------------------- */

static void test_add_controller(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change = accepted(
        f, CHANGES(CHANGE("add", SCSI("-1", "3")) ", " CHANGE(
               "add", "'_typeName': 'VirtualAHCIController', "
                      "'key': 5, 'busNumber': 0") ", " CHANGE("add", "'_typeName': 'VirtualNVMEController', "
                                                                     "'key': 5, 'busNumber': 1")));

    /* The key says what it is and on which bus; the client's own number says nothing. */
    device_of(change, 1003, &ParaVirtualSCSIController_type);
    device_of(change, 15000, &VirtualAHCIController_type);
    device_of(change, 31001, &VirtualNVMEController_type);
    vm_change_free(change);
    refused(f, ADD(SCSI("-1", "0")), "InvalidDeviceSpec", "deviceChange[0].device.busNumber");
    refused(f, ADD(SCSI("-1", "4")), "InvalidDeviceSpec", "deviceChange[0].device.busNumber");
    refused(f, ADD(SCSI("-1", "-1")), "InvalidDeviceSpec", "deviceChange[0].device.busNumber");
    refused(f, CHANGES(CHANGE("add", SCSI("-1", "1")) ", " CHANGE("add", SCSI("-2", "1"))),
            "InvalidDeviceSpec", "deviceChange[1].device.busNumber");
    refused(f, ADD("'_typeName': 'VirtualIDEController', 'key': -1, 'busNumber': 0"), "DeviceNotSupported",
            "deviceChange[0].device");
    refused(f, ADD("'_typeName': 'VirtualKeyboard', 'key': -1"), "DeviceNotSupported",
            "deviceChange[0].device");
}

static void test_remove_controller(struct fixture *f, gconstpointer data)
{
    (void)data;
    refused(f, REMOVE(SCSI("1000", "0")), "InvalidDeviceOperation", "deviceChange[0].operation");
    refused(f, REMOVE("'_typeName': 'VirtualIDEController', 'key': 201, 'busNumber': 1"),
            "InvalidDeviceOperation", "deviceChange[0].operation");
    struct vm_change *change =
        accepted(f, CHANGES(CHANGE("remove", DISK("'key': 2000, 'capacityInKB': 0")) ", " CHANGE(
                        "remove", SCSI("1000", "0"))));
    g_assert_null(vm_device_by_key(change->config, 1000));
    g_assert_null(vm_device_by_key(change->config, 2000));
    vm_change_free(change);
}

/* ---- disks: where ---------------------------------------------------------------------------------------- */

static void test_disk_places(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *controller = "deviceChange[0].device.controllerKey";
    const char *unit = "deviceChange[0].device.unitNumber";

    struct vm_change *change = accepted(f, ADD_FILE(NEW_DISK("'controllerKey': 1000")));
    g_assert_cmpint(
        ((const struct VirtualDevice *)device_of(change, 2001, &VirtualDisk_type))->unitNumber.value, ==, 1);
    vm_change_free(change);
    change = accepted(f, ADD_FILE(NEW_DISK("'controllerKey': 1000, 'unitNumber': 15")));
    device_of(change, 2015, &VirtualDisk_type);
    vm_change_free(change);
    change = accepted(f, ADD_FILE(NEW_DISK("'controllerKey': 201")));
    device_of(change, 3002, &VirtualDisk_type);
    vm_change_free(change);
    refused(f, ADD_FILE(NEW_DISK("'unitNumber': 1")), "MissingController", controller);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 1001")), "MissingController", controller);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': -1")), "MissingController", controller);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 2000")), "InvalidController", controller);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 300")), "InvalidController", controller);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 1000, 'unitNumber': 0")), "InvalidDeviceSpec", unit);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 1000, 'unitNumber': 7")), "InvalidDeviceSpec", unit);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 1000, 'unitNumber': 16")), "InvalidDeviceSpec", unit);
    refused(f, ADD_FILE(NEW_DISK("'controllerKey': 200, 'unitNumber': 2")), "InvalidDeviceSpec", unit);
}

/* The controller's own unit is skipped, and when all others are taken it is full. */
static void test_full_controller(struct fixture *f, gconstpointer data)
{
    (void)data;
    GString *disks = g_string_new(NULL);

    for (unsigned i = 0; i < 14; i++) {
        g_string_append(disks, CHANGE_FILE("add", "create", NEW_DISK("'controllerKey': 1000")) ", ");
    }
    g_string_truncate(disks, disks->len - 2);
    g_autofree char *full = g_strdup_printf("'deviceChange': [%s]", disks->str);
    g_autofree char *over = g_strdup_printf("'deviceChange': [%s, %s]", disks->str,
                                            CHANGE_FILE("add", "create", NEW_DISK("'controllerKey': 1000")));
    struct vm_change *change = accepted(f, full);
    g_assert_null(vm_device_by_key(change->config, 2007));
    device_of(change, 2015, &VirtualDisk_type);
    /* Each has a file and a name of its own. */
    g_autoptr(GHashTable) names = g_hash_table_new(g_str_hash, g_str_equal);
    for (int32_t key = 2000; key <= 2015; key++) {
        const struct VirtualDevice *disk = vm_device_by_key(change->config, key);
        if (disk != NULL) {
            g_assert_true(g_hash_table_add(names, (char *)file_of(change, key)));
            g_assert_true(g_hash_table_add(names, disk->deviceInfo->label));
        }
    }
    vm_change_free(change);
    refused(f, over, "InvalidDeviceSpec", "deviceChange[14].device.controllerKey");
    g_string_free(disks, TRUE);
}

/* A controller of the same specification is named by the number that the client gave it. */
static void test_temporary_keys(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change =
        accepted(f, CHANGES(CHANGE("add", SCSI("-7", "2")) ", " CHANGE_FILE(
                        "add", "create", NEW_DISK("'controllerKey': -7, 'unitNumber': 3"))));
    const struct VirtualDevice *disk = device_of(change, 2035, &VirtualDisk_type);

    g_assert_cmpint(disk->controllerKey.value, ==, 1002);
    vm_change_free(change);
    /* Also when the number happens to be that of something else, which is not moved by it. */
    change = accepted(f, CHANGES(CHANGE("add", SCSI("1000", "2")) ", " CHANGE_FILE(
                             "add", "create", NEW_DISK("'controllerKey': 1000"))));
    disk = device_of(change, 2032, &VirtualDisk_type);
    g_assert_cmpint(disk->controllerKey.value, ==, 1002);
    vm_change_free(change);
    refused(f,
            CHANGES(CHANGE_FILE("add", "create",
                                NEW_DISK("'controllerKey': -7")) ", " CHANGE("add", SCSI("-7", "2"))),
            "MissingController", "deviceChange[0].device.controllerKey");
}

/* ---- disks: what ----------------------------------------------------------------------------------------- */

#define DISK_OF(size, file) ADD_FILE(DISK("'key': -1, 'controllerKey': 1000, " size ", " BACKING(file)))

static void test_disk_size(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *property = "deviceChange[0].device.capacityInKB";

    refused(f, DISK_OF("'capacityInKB': 0", ""), "InvalidDeviceSpec", property);
    refused(f, DISK_OF("'capacityInKB': -1024", ""), "InvalidDeviceSpec", property);
    refused(f, DISK_OF("'capacityInKB': 9223372036854775807", ""), "InvalidDeviceSpec", property);
    refused(f, DISK_OF("'capacityInKB': 1024, 'capacityInBytes': -1", ""), "InvalidDeviceSpec", property);
    struct vm_change *change = accepted(f, DISK_OF("'capacityInKB': 1024, 'capacityInBytes': 2097152", ""));
    const struct VirtualDisk *disk = device_of(change, 2001, &VirtualDisk_type);
    g_assert_cmpint(disk->capacityInKB, ==, 2048);
    g_assert_cmpint(disk->capacityInBytes.value, ==, 2097152);
    vm_change_free(change);
}

static void test_disk_file(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *property = "deviceChange[0].device.backing.fileName";

    /* The first disk has the folder's name; this one gets another. */
    g_assert_cmpstr(
        ((struct VirtualDeviceFileBackingInfo *)vm_device_by_key(f->config, 2000)->backing)->fileName, ==,
        "[ds] one/one.vmdk");
    struct vm_change *change = accepted(f, DISK_OF("'capacityInKB': 1024", "[ds]"));
    g_assert_cmpstr(file_of(change, 2001), ==, "[ds] one/one_1.vmdk");
    g_autoptr(GPtrArray) paths = vm_change_paths(change);
    g_assert_true(g_ptr_array_find_with_equal_func(paths, "[ds] one/one_1.vmdk", g_str_equal, NULL));
    g_assert_false(g_ptr_array_find_with_equal_func(paths, "[ds] one/one.vmdk", g_str_equal, NULL));
    vm_change_free(change);
    /* Nor does it take the name of a file that no machine knows, or of the data of one. */
    make_file(f, "one/one_1.vmdk");
    make_file(f, "one/one_2.qcow2");
    change = accepted(f, DISK_OF("'capacityInKB': 1024", "[ds]"));
    g_assert_cmpstr(file_of(change, 2001), ==, "[ds] one/one_3.vmdk");
    vm_change_free(change);
    change = accepted(f, DISK_OF("'capacityInKB': 1024", "[ds] one/mine.vmdk"));
    g_assert_cmpstr(file_of(change, 2001), ==, "[ds] one/mine.vmdk");
    vm_change_free(change);
    refused(f, DISK_OF("'capacityInKB': 1024", "[ds] one/one.vmdk"), "FileAlreadyExists", property);
    refused(f, DISK_OF("'capacityInKB': 1024", "[none] a.vmdk"), "InvalidDatastore", property);
    refused(f, DISK_OF("'capacityInKB': 1024", "[ds] ../a.vmdk"), "InvalidDatastorePath", property);
    refused(f, DISK_OF("'capacityInKB': 1024", "a.vmdk"), "InvalidDatastorePath", property);
}

static void test_disk_backing(struct fixture *f, gconstpointer data)
{
    (void)data;
    refused(f, ADD_FILE(DISK("'key': -1, 'capacityInKB': 4, 'controllerKey': 1000")), "InvalidDeviceBacking",
            "deviceChange[0].device.backing");
    refused(f, ADD_FILE(DISK("'key': -1, 'capacityInKB': 4, 'controllerKey': 1000, " ISO("[ds] a.iso"))),
            "InvalidDeviceBacking", "deviceChange[0].device.backing");
    refused(f,
            ADD_FILE(DISK("'key': -1, 'capacityInKB': 4, 'controllerKey': 1000, 'backing': {'_typeName': "
                          "'VirtualDiskFlatVer2BackingInfo', 'fileName': '', 'diskMode': 'toaster'}")),
            "InvalidDeviceBacking", "deviceChange[0].device.backing.diskMode");
}

/* A disk that is there is attached as it is, whatever size the client thinks that it has. */
static void test_disk_that_exists(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *property = "one/none.vmdk";

    become(f, REMOVE(DISK("'key': 2000, 'capacityInKB': 0")));
    g_assert_null(vm_device_by_key(f->config, 2000));
    struct vm_change *change = accepted(
        f, ADD(DISK("'key': -1, 'controllerKey': 1000, 'capacityInKB': 7, " BACKING("[ds] one/one.vmdk"))));
    const struct VirtualDisk *disk = device_of(change, 2000, &VirtualDisk_type);
    g_assert_cmpint(disk->capacityInKB, ==, 4096);
    g_autoptr(GPtrArray) paths = vm_change_paths(change);
    g_assert_cmpuint(paths->len, ==, 0); /* there is nothing to be made */
    vm_change_free(change);
    refused(f,
            ADD(DISK("'key': -1, 'controllerKey': 1000, 'capacityInKB': 7, " BACKING("[ds] one/none.vmdk"))),
            "FileNotFound", property);
}

static void test_edit_disk(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *size = "deviceChange[0].device.capacityInKB";
    const char *operation = "deviceChange[0].operation";

    struct vm_change *change = accepted(f, EDIT(DISK("'key': 2000, 'capacityInKB': 8192")));
    const struct VirtualDisk *disk = device_of(change, 2000, &VirtualDisk_type);
    g_assert_cmpint(disk->capacityInKB, ==, 8192);
    g_assert_cmpint(disk->capacityInBytes.value, ==, 8388608);
    g_assert_cmpstr(file_of(change, 2000), ==, "[ds] one/one.vmdk");
    vm_change_free(change);
    refused(f, EDIT(DISK("'key': 2000, 'capacityInKB': 1024")), "InvalidDeviceSpec", size);
    refused(f, EDIT(DISK("'key': 2000, 'capacityInKB': 9223372036854775807")), "InvalidDeviceSpec", size);
    refused(f, EDIT(DISK("'key': 2000, 'capacityInKB': 4096, " BACKING("[ds] other.vmdk"))),
            "InvalidDeviceOperation", operation);
    refused(f, EDIT(CDROM("'key': 2000")), "InvalidDeviceOperation", operation);
    refused(f, EDIT(DISK("'key': 2001, 'capacityInKB': 4096")), "DeviceNotFound",
            "deviceChange[0].device.key");
}

static void test_remove_disk(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change = accepted(f, REMOVE(DISK("'key': 2000, 'capacityInKB': 0")));
    g_assert_null(vm_device_by_key(change->config, 2000));
    g_assert_cmpuint(change->removed_files->len, ==, 0);
    vm_change_free(change);
    change = accepted(f, CHANGES(CHANGE_FILE("remove", "destroy", DISK("'key': 2000, 'capacityInKB': 0"))));
    g_assert_null(vm_device_by_key(change->config, 2000));
    g_assert_cmpuint(change->removed_files->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(change->removed_files, 0), ==, "[ds] one/one.vmdk");
    vm_change_free(change);
    refused(f, REMOVE(DISK("'key': 2005, 'capacityInKB': 0")), "DeviceNotFound",
            "deviceChange[0].device.key");
    refused(f, REMOVE(DISK("'key': 700, 'capacityInKB': 0")), "InvalidDeviceOperation",
            "deviceChange[0].operation");
    refused(f, CHANGES(CHANGE_FILE("remove", "destroy", CDROM("'key': 3000"))), "InvalidDeviceOperation",
            "deviceChange[0].operation");
}

/* ---- other devices --------------------------------------------------------------------------------------- */

static void test_cdrom(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change = accepted(
        f, CHANGES(CHANGE("add", CDROM("'key': -1, 'controllerKey': 200, " ISO("[ds] b.iso"))) ", " CHANGE(
               "edit", CDROM("'key': 3000, " ISO("[ds] b.iso")))));

    g_assert_cmpstr(file_of(change, 3001), ==, "[ds] b.iso");
    g_assert_cmpstr(file_of(change, 3000), ==, "[ds] b.iso");
    vm_change_free(change);
    refused(f, ADD(CDROM("'key': -1, 'controllerKey': 200, " ISO("[ds] none.iso"))), "FileNotFound",
            "[ds] none.iso");
    refused(f, EDIT(CDROM("'key': 3000, " ISO("[ds] none.iso"))), "FileNotFound", "[ds] none.iso");
    refused(f, EDIT(CDROM("'key': 3000, " ISO("[none] a.iso"))), "InvalidDatastore",
            "deviceChange[0].device.backing.fileName");
    refused(f, ADD(CDROM("'key': -1, " ISO("[ds] b.iso"))), "MissingController",
            "deviceChange[0].device.controllerKey");
}

static void test_network(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *network = "deviceChange[0].device.backing.deviceName";
    struct vm_change *change = accepted(
        f, CHANGES(CHANGE("add", NEW_CARD) ", " CHANGE(
               "add", CARD("'key': -1, 'macAddress': '00:50:56:01:02:03', " NETWORK("VM Network")))));
    const struct VirtualEthernetCard *generated = device_of(change, 4001, &VirtualVmxnet3_type);
    const struct VirtualEthernetCard *manual = device_of(change, 4002, &VirtualVmxnet3_type);

    g_assert_true(g_str_has_prefix(generated->macAddress, "00:0c:29:"));
    g_assert_cmpstr(generated->macAddress, !=,
                    ((struct VirtualEthernetCard *)vm_device_by_key(f->config, 4000))->macAddress);
    g_assert_cmpstr(manual->macAddress, ==, "00:50:56:01:02:03");
    g_assert_cmpstr(manual->addressType, ==, "manual");
    g_assert_true(manual->connectable->startConnected);
    vm_change_free(change);
    refused(f, ADD(CARD("'key': -1, " NETWORK("none"))), "InvalidDeviceBacking", network);
    refused(f, ADD(CARD("'key': -1, " ISO("[ds] a.iso"))), "InvalidDeviceBacking", network);
    refused(f, ADD(CARD("'key': -1, 'macAddress': '00:50', " NETWORK("VM Network"))), "InvalidDeviceSpec",
            "deviceChange[0].device.macAddress");
    refused(f, EDIT(CARD("'key': 4000, " NETWORK("none"))), "InvalidDeviceBacking", network);
    refused(f, EDIT("'_typeName': 'VirtualE1000', 'key': 4000"), "InvalidDeviceOperation",
            "deviceChange[0].operation");
}

static void test_network_edit(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *address = ((struct VirtualEthernetCard *)vm_device_by_key(f->config, 4000))->macAddress;
    g_autofree char *members =
        g_strdup_printf(EDIT(CARD("'key': 4000, 'macAddress': '%s', 'connectable': {'startConnected': false, "
                                  "'allowGuestControl': true, 'connected': false}")),
                        address);
    struct vm_change *change = accepted_when(f, members, true);
    const struct VirtualEthernetCard *card = device_of(change, 4000, &VirtualVmxnet3_type);

    g_assert_cmpstr(card->macAddress, ==, address);
    g_assert_false(card->connectable->connected);
    g_assert_true(vim_equal(card->backing, vm_device_by_key(f->config, 4000)->backing));
    vm_change_free(change);
}

static void test_serial(struct fixture *f, gconstpointer data)
{
    (void)data;
    const char *property = "deviceChange[0].device.backing.fileName";
    struct vm_change *change = accepted(f, ADD(SERIAL("-1", "[ds] one/second.txt")));

    g_assert_cmpstr(file_of(change, 9001), ==, "[ds] one/second.txt");
    vm_change_free(change);
    /* What a guest says must not be appended to a file that means something to us. */
    refused(f, ADD(SERIAL("-1", "[ds] one/one.vmx")), "InvalidDeviceBacking", property);
    refused(f, ADD(SERIAL("-1", "[ds] one/one.vmdk")), "InvalidDeviceBacking", property);
    refused(f, EDIT(SERIAL("9000", "[ds] one/one.qcow2")), "InvalidDeviceBacking", property);
    refused(f, EDIT(SERIAL("9000", "[ds] /")), "InvalidDatastorePath", property);
}

/* Of each kind that has places of its own there is a last one. */
static void test_full_slots(struct fixture *f, gconstpointer data)
{
    (void)data;
    static const struct {
        const char *change;
        int free; /* places, besides the one that is taken */
        int32_t last_key;
    } kinds[] = {
        {CHANGE("add", NEW_CARD), 9, 4009},
        {CHANGE("add", SERIAL("-1", "[ds] one/s.txt")), 3, 9003},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        g_autofree char *members = g_strdup_printf("'deviceChange': [%s", kinds[i].change);
        for (int n = 1; n <= kinds[i].free; n++) {
            char *longer = g_strdup_printf("%s, %s", members, kinds[i].change);
            g_autofree char *whole = g_strconcat(n < kinds[i].free ? longer : members, "]", NULL);
            struct vm_change *change = accepted(f, whole);
            g_assert_true(n < kinds[i].free || vm_device_by_key(change->config, kinds[i].last_key) != NULL);
            vm_change_free(change);
            g_free(members);
            members = longer;
        }
        g_autofree char *over = g_strconcat(members, "]", NULL);
        g_autofree char *property = g_strdup_printf("deviceChange[%d].device.key", kinds[i].free);
        refused(f, over, "InvalidDeviceSpec", property);
    }
}

/* ---- while it runs, and in what order -------------------------------------------------------------------- */

static void test_powered_on(struct fixture *f, gconstpointer data)
{
    (void)data;
    vm_change_free(accepted_when(f, ADD_FILE(NEW_DISK("'controllerKey': 1000")), true));
    vm_change_free(accepted_when(f, ADD(NEW_CARD), true));
    vm_change_free(accepted_when(f, REMOVE(DISK("'key': 2000, 'capacityInKB': 0")), true));
    vm_change_free(accepted_when(f, REMOVE(CARD("'key': 4000")), true));
    vm_change_free(accepted_when(f, EDIT(CDROM("'key': 3000, " ISO("[ds] b.iso"))), true));
    vm_change_free(accepted_when(f, EDIT(DISK("'key': 2000, 'capacityInKB': 8192")), true));
    refused_when(f, ADD(CDROM("'key': -1, 'controllerKey': 201, " ISO("[ds] b.iso"))), true,
                 "InvalidPowerState", "deviceChange[0]");
    refused_when(f, REMOVE(CDROM("'key': 3000")), true, "InvalidPowerState", "deviceChange[0]");
    refused_when(f, ADD(SERIAL("-1", "[ds] one/s.txt")), true, "InvalidPowerState", "deviceChange[0]");
    refused_when(f, ADD_FILE(NEW_DISK("'controllerKey': 201")), true, "InvalidPowerState", "deviceChange[0]");
}

/* Changes are made in order, and the first that cannot be made undoes those before. */
static void test_order(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vm_change *change =
        accepted(f, CHANGES(CHANGE("remove", CDROM("'key': 3000")) ", " CHANGE(
                        "add", CDROM("'key': -1, 'controllerKey': 200, " ISO("[ds] b.iso")))));
    g_assert_cmpstr(file_of(change, 3000), ==, "[ds] b.iso"); /* in the place that became free */
    vm_change_free(change);
    refused(f,
            "'name': 'two', 'numCPUs': 2, " CHANGES(CHANGE("add", NEW_CARD) ", " CHANGE_FILE(
                "add", "create", NEW_DISK("'controllerKey': 1000")) ", " CHANGE("remove", CDROM("'key': 1"))),
            "DeviceNotFound", "deviceChange[2].device.key");
    refused(f, CHANGES(CHANGE("remove", CDROM("'key': 3000")) ", " CHANGE("edit", CDROM("'key': 3000"))),
            "DeviceNotFound", "deviceChange[1].device.key");
    refused(f, CHANGES("{'device': {" NEW_CARD "}}"), "InvalidDeviceOperation", "deviceChange[0].operation");
}

/* A device that is not edited may be given back as it is. */
static void test_edit_nothing(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigSpec *spec = VirtualMachineConfigSpec_new();

    for (uint32_t i = 0; i < f->config->hardware->device.n; i++) {
        struct VirtualDeviceConfigSpec *edit = VirtualDeviceConfigSpec_new();
        edit->operation = VirtualDeviceConfigSpecOperation_edit;
        edit->device = vim_copy(f->config->hardware->device.items[i]);
        vim_array_add_object(&spec->deviceChange, edit);
    }
    struct vm_change *change = NULL;
    assert_accepted(vm_spec_apply(&f->host, f->config, "[ds] one", spec, false, &change));
    g_assert_true(vim_equal(change->config->hardware, f->config->hardware));
    vm_change_free(change);
    vim_free(spec);
    refused(f, EDIT("'_typeName': 'VirtualIDEController', 'key': 200, 'busNumber': 1"),
            "InvalidDeviceOperation", "deviceChange[0].operation");
}

/* ---- anything ---------------------------------------------------------------------------------------------- */

/* Any sequence of changes is refused whole or leaves a machine in order; apply() checks both. */
static void test_anything(struct fixture *f, gconstpointer data)
{
    (void)data;
    static const char *const operations[] = {"add", "add", "add", "edit", "remove"};
    static const char *const files[] = {"", "", "'fileOperation': 'create', ",
                                        "'fileOperation': 'destroy', "};
    static const char *const keys[] = {"-1",   "-2",   "100",  "200",  "1000",
                                       "1001", "2000", "2001", "3000", "4000"};
    static const char *const bodies[] = {
        "'_typeName': 'ParaVirtualSCSIController', 'busNumber': 1, 'sharedBus': 'noSharing'",
        "'_typeName': 'VirtualDisk', 'capacityInKB': 8192, " BACKING(""),
        "'_typeName': 'VirtualDisk', 'capacityInKB': 4096, " BACKING("[ds] one/one.vmdk"),
        "'_typeName': 'VirtualCdrom', " ISO("[ds] b.iso"),
        "'_typeName': 'VirtualVmxnet3', " NETWORK("VM Network"),
        "'_typeName': 'VirtualE1000'",
        "'_typeName': 'VirtualFloppy'",
    };
    GRand *rand = g_rand_new_with_seed(11);
    unsigned n_accepted = 0;

#define ANY(list) (list)[g_rand_int_range(rand, 0, G_N_ELEMENTS(list))]
    for (unsigned n = 0; n < 600; n++) {
        GString *changes = g_string_new("'deviceChange': [");
        for (int i = g_rand_int_range(rand, 1, 4); i > 0; i--) {
            g_string_append_printf(
                changes, "{'operation': '%s', %s'device': {'key': %s, 'controllerKey': %s, %s}}%s",
                ANY(operations), ANY(files), ANY(keys), ANY(keys), ANY(bodies), i > 1 ? ", " : "]");
        }
        struct vm_change *change = NULL;
        struct vim_fault *fault = apply(f, changes->str, n % 2 == 0, &change);
        n_accepted += fault == NULL;
        if (fault != NULL) {
            g_assert_cmpstr(fault->message, !=, "");
            vim_fault_free(fault);
        } else {
            vm_change_free(change);
        }
        g_string_free(changes, TRUE);
    }
    g_assert_cmpuint(n_accepted, >, 20);
    g_rand_free(rand);
}

#define TEST(name, function) g_test_add("/vm_spec/" name, struct fixture, NULL, setup, function, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    TEST("new", test_new);
    TEST("identity", test_identity);
    TEST("processors", test_processors);
    TEST("memory", test_memory);
    TEST("change_version", test_change_version);
    TEST("allocation", test_allocation);
    TEST("extra", test_extra);
    TEST("add_controller", test_add_controller);
    TEST("remove_controller", test_remove_controller);
    TEST("disk_places", test_disk_places);
    TEST("full_controller", test_full_controller);
    TEST("temporary_keys", test_temporary_keys);
    TEST("disk_size", test_disk_size);
    TEST("disk_file", test_disk_file);
    TEST("disk_backing", test_disk_backing);
    TEST("disk_that_exists", test_disk_that_exists);
    TEST("edit_disk", test_edit_disk);
    TEST("remove_disk", test_remove_disk);
    TEST("cdrom", test_cdrom);
    TEST("network", test_network);
    TEST("network_edit", test_network_edit);
    TEST("serial", test_serial);
    TEST("full_slots", test_full_slots);
    TEST("powered_on", test_powered_on);
    TEST("order", test_order);
    TEST("edit_nothing", test_edit_nothing);
    TEST("anything", test_anything);
    return g_test_run();
}
