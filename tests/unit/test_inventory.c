// SPDX-License-Identifier: Apache-2.0
/*
 * The inventory: objects by id, and what the stream of their changes says for each way to change one. What
 * is told is what really differs, no more and no less, when it is already there to be read.
 */
#include "vim/inventory.h"

#include <string.h>

#include "vim/method.h"
#include "vim/types.h"
#include "vim/value.h"

/* Writes down what it is told: "=path", "-path", "path+id", "path-id" and "gone", each with a ';'. */
struct listener {
    struct vim_watch watch; /* first: the watch is the listener */
    GString *log;
    struct vim_watch *to_remove; /* taken off on the first change, or NULL */
};

static void on_change(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change)
{
    struct listener *listener = (struct listener *)watch;
    if (change->path == NULL) {
        g_string_append(listener->log, "gone;");
    } else if (change->ref_added != NULL) {
        g_string_append_printf(listener->log, "%s+%s;", change->path, change->ref_added->id);
    } else if (change->ref_removed != NULL) {
        g_string_append_printf(listener->log, "%s-%s;", change->path, change->ref_removed->id);
    } else {
        g_string_append_printf(listener->log, "%c%s;", change->removed ? '-' : '=', change->path);
    }
    if (listener->to_remove != NULL) {
        vim_watch_remove(object, g_steal_pointer(&listener->to_remove));
    }
}

struct fixture {
    struct vim_inventory *inventory;
    struct vim_object *vm;
    struct listener listener; /* on vm */
};

static struct VirtualDisk *disk_new(int32_t key, int64_t kb)
{
    struct VirtualDisk *disk = VirtualDisk_new();
    disk->key = key;
    disk->capacityInKB = kb;
    disk->backing = (struct VirtualDeviceBackingInfo *)VirtualDiskFlatVer2BackingInfo_new();
    return disk;
}

static struct VirtualMachineConfigInfo *config_new(void)
{
    struct VirtualMachineConfigInfo *config = VirtualMachineConfigInfo_new();
    config->name = g_strdup("one");
    config->annotation = g_strdup("first");
    config->hardware = VirtualHardware_new();
    config->hardware->numCPU = 1;
    vim_array_add_object(&config->hardware->device, disk_new(2000, 10));
    vim_array_add_object(&config->hardware->device, disk_new(2001, 20));
    return config;
}

static void listener_init(struct listener *listener)
{
    *listener = (struct listener){.watch = {on_change}, .log = g_string_new(NULL)};
}

static void setup(struct fixture *f, gconstpointer data)
{
    (void)data;
    f->inventory = vim_inventory_new();
    vim_write_lock(f->inventory);
    struct VirtualMachine *vm = VirtualMachine_new();
    vm->name = g_strdup("one");
    vm->runtime = VirtualMachineRuntimeInfo_new();
    vm->config = config_new();
    f->vm = vim_inventory_add(f->inventory, &VirtualMachine_type, "vm-1", vm);
    listener_init(&f->listener);
    vim_watch_add(f->vm, &f->listener.watch);
}

static void teardown(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_write_unlock(f->inventory);
    vim_inventory_free(f->inventory);
    g_string_free(f->listener.log, TRUE);
}

static const struct VirtualMachine *vm_of(struct fixture *f)
{
    return VIM_PROPERTIES(f->vm, VirtualMachine);
}

/* What was told since the last time. */
static void assert_told(struct listener *listener, const char *expected)
{
    g_assert_cmpstr(listener->log->str, ==, expected);
    g_string_truncate(listener->log, 0);
}

/* ---- objects ------------------------------------------------------------------------------------------ */

static void test_find(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref as_entity = {&ManagedEntity_type, (char *)"vm-1"};
    struct vim_ref as_folder = {&Folder_type, (char *)"vm-1"};
    struct vim_ref nothing = {&VirtualMachine_type, NULL};

    g_assert_true(vim_inventory_find(f->inventory, "vm-1") == f->vm);
    g_assert_null(vim_inventory_find(f->inventory, "vm-2"));
    g_assert_true(vim_inventory_find_ref(f->inventory, &f->vm->ref) == f->vm);
    g_assert_true(vim_inventory_find_ref(f->inventory, &as_entity) == f->vm);
    g_assert_null(vim_inventory_find_ref(f->inventory, &as_folder));
    g_assert_null(vim_inventory_find_ref(f->inventory, &nothing));
    g_assert_true(f->vm->class == vim_class_of(&VirtualMachine_type));
    /* Without properties of its own an object has an empty set. */
    const struct vim_object *folder = vim_inventory_add(f->inventory, &Folder_type, "f", NULL);
    g_assert_true(vim_is_a(folder->properties, &Folder_type));
    g_assert_null(VIM_PROPERTIES(folder, Folder)->name);
}

static void count_free(void *code)
{
    ++*(unsigned *)code;
}

static void test_remove(struct fixture *f, gconstpointer data)
{
    (void)data;
    unsigned freed = 0;

    f->vm->code = &freed;
    f->vm->code_free = count_free;
    vim_inventory_remove(f->inventory, f->vm);
    assert_told(&f->listener, "gone;");
    g_assert_cmpuint(freed, ==, 1);
    g_assert_null(vim_inventory_find(f->inventory, "vm-1"));
    g_assert_cmpuint(vim_inventory_objects(f->inventory)->len, ==, 0);
    /* The id is free again. */
    g_assert_nonnull(vim_inventory_add(f->inventory, &VirtualMachine_type, "vm-1", NULL));
}

/* Whatever goes, in whatever order, the others stay what and where they are. */
static void test_remove_many(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { N = 200 };
    g_autoptr(GPtrArray) ids = g_ptr_array_new_with_free_func(g_free);
    GRand *rand = g_rand_new_with_seed(3);

    for (unsigned i = 0; i < N; i++) {
        g_ptr_array_add(ids, g_strdup_printf("f-%u", i));
        vim_inventory_add(f->inventory, &Folder_type, g_ptr_array_index(ids, i), NULL);
    }
    while (ids->len > 0) {
        guint at = (guint)g_rand_int_range(rand, 0, (gint32)ids->len);
        vim_inventory_remove(f->inventory, vim_inventory_find(f->inventory, g_ptr_array_index(ids, at)));
        g_ptr_array_remove_index_fast(ids, at);
        g_assert_cmpuint(vim_inventory_objects(f->inventory)->len, ==, ids->len + 1);
        for (guint i = 0; i < ids->len; i++) {
            const struct vim_object *object = vim_inventory_find(f->inventory, g_ptr_array_index(ids, i));
            g_assert_true(g_ptr_array_index(vim_inventory_objects(f->inventory), object->index) == object);
        }
    }
    g_assert_true(vim_inventory_find(f->inventory, "vm-1") == f->vm);
    assert_told(&f->listener, "");
    g_rand_free(rand);
}

/* ---- single members ----------------------------------------------------------------------------------- */

static void test_text(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_set_text(f->vm, "name", "two");
    assert_told(&f->listener, "=name;");
    g_assert_cmpstr(vm_of(f)->name, ==, "two");
    vim_set_text(f->vm, "name", "two");
    assert_told(&f->listener, "");
    vim_unset(f->vm, "name");
    assert_told(&f->listener, "=name;");
    g_assert_null(vm_of(f)->name);
    vim_unset(f->vm, "name");
    assert_told(&f->listener, "");
    vim_set_text(f->vm, "name", "");
    assert_told(&f->listener, "=name;"); /* an empty text is one */
}

static void test_numbers(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_set_enum(f->vm, "runtime.powerState", VirtualMachinePowerState_poweredOn);
    assert_told(&f->listener, "=runtime.powerState;");
    vim_set_enum(f->vm, "runtime.powerState", VirtualMachinePowerState_poweredOn);
    assert_told(&f->listener, "");
    vim_set_time(f->vm, "runtime.bootTime", 7);
    assert_told(&f->listener, "=runtime.bootTime;");
    g_assert_cmpint(vm_of(f)->runtime->bootTime, ==, 7);
    /* A required one and an optional one, of which false is not the same as unset. */
    vim_set_bool(f->vm, "config.template", true);
    vim_set_bool(f->vm, "config.changeTrackingEnabled", false);
    assert_told(&f->listener, "=config.template;=config.changeTrackingEnabled;");
    g_assert_true(vm_of(f)->config->template);
    g_assert_true(vm_of(f)->config->changeTrackingEnabled.set);
    vim_set_bool(f->vm, "config.changeTrackingEnabled", false);
    assert_told(&f->listener, "");
    vim_unset(f->vm, "config.changeTrackingEnabled");
    assert_told(&f->listener, "=config.changeTrackingEnabled;");
    g_assert_false(vm_of(f)->config->changeTrackingEnabled.set);
}

static void test_reference(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref folder = {&Folder_type, (char *)"f"};

    vim_set_reference(f->vm, "parent", &folder);
    assert_told(&f->listener, "=parent;");
    vim_set_reference(f->vm, "parent", &folder);
    assert_told(&f->listener, "");
    vim_unset(f->vm, "parent");
    assert_told(&f->listener, "=parent;");
    g_assert_null(vm_of(f)->parent.id);
}

/* A path that the type does not have, or that ends in the middle of nothing, is a mistake in the program. */
static void test_wrong_path(struct fixture *f, gconstpointer path)
{
    if (g_test_subprocess()) {
        vim_set_text(f->vm, path, "x");
        return;
    }
    g_test_trap_subprocess(NULL, 0, 0);
    g_test_trap_assert_failed();
    g_test_trap_assert_stderr("*VirtualMachine has no property*");
}

/* ---- objects in objects ------------------------------------------------------------------------------- */

/* Of a configuration that is set as a whole, what differs is told. */
static void test_members(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigInfo *config = config_new();

    vim_set_data(f->vm, "config", vim_copy(config));
    assert_told(&f->listener, "");
    vim_set_string(&config->annotation, "second");
    config->hardware->numCPU = 2;
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.annotation;=config.hardware.numCPU;");
    g_assert_true(vm_of(f)->config == config);
    vim_unset(f->vm, "config.hardware");
    assert_told(&f->listener, "=config.hardware;");
    vim_set_data(f->vm, "config.hardware", VirtualHardware_new());
    assert_told(&f->listener, "=config.hardware;");
}

static struct VirtualMachineConfigInfo *change(struct fixture *f)
{
    return vim_copy(vm_of(f)->config);
}

static void test_items(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigInfo *config = change(f);

    ((struct VirtualDisk *)config->hardware->device.items[1])->capacityInKB = 21;
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.hardware.device[2001].capacityInKB;");
    config = change(f);
    vim_array_add_object(&config->hardware->device, disk_new(2002, 30));
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.hardware.device[2002];");
    config = change(f);
    vim_array_remove(&config->hardware->device, &VirtualDevice_type, 0);
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "-config.hardware.device[2000];");
    /* One that becomes something else is another one. */
    config = change(f);
    vim_free(config->hardware->device.items[0]);
    config->hardware->device.items[0] = (struct VirtualDevice *)VirtualCdrom_new();
    config->hardware->device.items[0]->key = 2001;
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.hardware.device[2001];");
}

static void test_items_with_texts_as_keys(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigInfo *config = change(f);
    struct OptionValue *option = OptionValue_new();

    option->key = g_strdup("a.b");
    option->value = vim_any_int(1);
    vim_array_add_object(&config->extraConfig, option);
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.extraConfig;"); /* there were none before */
    config = change(f);
    vim_any_free(config->extraConfig.items[0]->value);
    config->extraConfig.items[0]->value = vim_any_int(2);
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.extraConfig[\"a.b\"].value;");
}

/* When a key says nothing about which item it is, the list is told as a whole. */
static void test_repeated_keys(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigInfo *config = change(f);

    vim_array_add_object(&config->hardware->device, disk_new(2000, 77));
    vim_set_data(f->vm, "config", vim_copy(config));
    g_assert_cmpuint(vm_of(f)->config->hardware->device.n, ==, 3);
    g_string_truncate(f->listener.log, 0);
    ((struct VirtualDisk *)config->hardware->device.items[0])->capacityInKB = 11;
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config.hardware.device;");
}

static void test_list_of_texts(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_array names = {0};

    vim_array_add_string(&names, "b");
    struct vim_object *folder = vim_inventory_add(f->inventory, &Folder_type, "f", NULL);
    vim_watch_add(folder, &f->listener.watch);
    vim_set(folder, "childType", &names);
    assert_told(&f->listener, "=childType;");
    names = (struct vim_array){0};
    vim_array_add_string(&names, "b");
    vim_set(folder, "childType", &names);
    assert_told(&f->listener, "");
    vim_unset(folder, "childType");
    assert_told(&f->listener, "=childType;");
}

/* When nearly all differs, that is one piece of news and not hundreds. */
static void test_many_differences(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct VirtualMachineConfigInfo *config = change(f);

    for (int32_t i = 0; i < 300; i++) {
        vim_array_add_object(&config->hardware->device, disk_new(3000 + i, i));
    }
    vim_set_data(f->vm, "config", config);
    assert_told(&f->listener, "=config;");
}

/* ---- lists of references ------------------------------------------------------------------------------ */

static void test_references(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref one = {&Datastore_type, (char *)"ds-1"};
    struct vim_ref two = {&Datastore_type, (char *)"ds-2"};

    vim_ref_list_add(f->vm, "datastore", &one);
    vim_ref_list_add(f->vm, "datastore", &two);
    assert_told(&f->listener, "datastore+ds-1;datastore+ds-2;");
    g_assert_cmpuint(vm_of(f)->datastore.n, ==, 2);
    /* By the list's own item, which the removal frees. */
    vim_ref_list_remove(f->vm, "datastore", &vm_of(f)->datastore.items[0]);
    assert_told(&f->listener, "datastore-ds-1;");
    g_assert_cmpstr(vm_of(f)->datastore.items[0].id, ==, "ds-2");
    vim_ref_list_remove(f->vm, "datastore", &one);
    assert_told(&f->listener, "");
    g_assert_cmpuint(vm_of(f)->datastore.n, ==, 1);
}

/* ---- watches ------------------------------------------------------------------------------------------ */

/* Looks at what has changed while it is told. */
struct reader {
    struct vim_watch watch;
    char *name;
    uint32_t n_datastores;
};

static void read_change(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change)
{
    struct reader *reader = (struct reader *)watch;
    (void)change;
    g_free(reader->name);
    reader->name = g_strdup(VIM_PROPERTIES(object, VirtualMachine)->name);
    reader->n_datastores = VIM_PROPERTIES(object, VirtualMachine)->datastore.n;
}

static void test_told_afterwards(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct reader reader = {.watch = {read_change}};
    struct vim_ref datastore = {&Datastore_type, (char *)"ds-1"};

    vim_watch_add(f->vm, &reader.watch);
    vim_set_text(f->vm, "name", "two");
    g_assert_cmpstr(reader.name, ==, "two");
    vim_ref_list_add(f->vm, "datastore", &datastore);
    g_assert_cmpuint(reader.n_datastores, ==, 1);
    vim_inventory_remove(f->inventory, f->vm); /* still whole when it is told */
    g_assert_cmpstr(reader.name, ==, "two");
    g_free(reader.name);
}

/* Watches come and go while they are told: each that is left is told once, those taken off are not. */
static void test_watches_that_go(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct listener second;
    struct listener third;

    listener_init(&second);
    listener_init(&third);
    vim_watch_add(f->vm, &second.watch);
    vim_watch_add(f->vm, &third.watch);
    f->listener.to_remove = &second.watch;
    third.to_remove = &third.watch;
    vim_set_text(f->vm, "name", "two");
    assert_told(&f->listener, "=name;");
    assert_told(&second, "");
    assert_told(&third, "=name;");
    vim_set_text(f->vm, "name", "three");
    assert_told(&f->listener, "=name;");
    assert_told(&third, "");
    vim_watch_remove(f->vm, &third.watch); /* it is off already */
    vim_watch_remove(f->vm, &f->listener.watch);
    vim_set_text(f->vm, "name", "four");
    assert_told(&f->listener, "");
    g_string_free(second.log, TRUE);
    g_string_free(third.log, TRUE);
}

/* ---- the lock ----------------------------------------------------------------------------------------- */

struct workers {
    struct vim_inventory *inventory;
    gint readers; /* atomic: that hold the lock now */
    gint done;    /* atomic: writers that have finished */
};

/* Both texts change under one hold of the lock: no one sees the one without the other. */
static gpointer write_pairs(gpointer data)
{
    struct workers *workers = data;

    for (unsigned i = 0; i < 2000; i++) {
        vim_write_lock(workers->inventory);
        g_assert_cmpint(g_atomic_int_get(&workers->readers), ==, 0);
        struct vim_object *vm = vim_inventory_find(workers->inventory, "vm-1");
        g_autofree char *text = g_strdup_printf("%p %u", g_thread_self(), i);
        vim_set_text(vm, "name", text);
        vim_set_text(vm, "config.name", text);
        vim_write_unlock(workers->inventory);
    }
    g_atomic_int_inc(&workers->done);
    return NULL;
}

static gpointer read_pairs(gpointer data)
{
    struct workers *workers = data;

    while (g_atomic_int_get(&workers->done) < 2) {
        vim_read_lock(workers->inventory);
        g_atomic_int_inc(&workers->readers);
        const struct vim_object *vm = vim_inventory_find(workers->inventory, "vm-1");
        const struct VirtualMachine *properties = vm->properties;
        g_assert_cmpstr(properties->name, ==, properties->config->name);
        g_atomic_int_add(&workers->readers, -1);
        vim_read_unlock(workers->inventory);
    }
    return NULL;
}

static void test_writers_alone(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct workers workers = {.inventory = f->inventory};
    GThread *threads[4];

    vim_watch_remove(f->vm, &f->listener.watch);
    vim_write_unlock(f->inventory);
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        threads[i] = g_thread_new("pairs", i % 2 == 0 ? write_pairs : read_pairs, &workers);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(threads); i++) {
        g_thread_join(threads[i]);
    }
    vim_write_lock(f->inventory);
    g_assert_cmpstr(vm_of(f)->name, ==, vm_of(f)->config->name);
    g_assert_cmpstr(vm_of(f)->name, !=, "one");
}

static gpointer read_once(gpointer inventory)
{
    vim_read_lock(inventory);
    const void *found = vim_inventory_find(inventory, "vm-1");
    vim_read_unlock(inventory);
    return (gpointer)found;
}

/* A reader does not wait for another one. */
static void test_readers_together(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_write_unlock(f->inventory);
    vim_read_lock(f->inventory);
    GThread *thread = g_thread_new("reader", read_once, f->inventory);
    g_assert_true(g_thread_join(thread) == f->vm);
    vim_read_unlock(f->inventory);
    vim_write_lock(f->inventory);
}

#define ADD(name, function, data) \
    g_test_add("/inventory/" name, struct fixture, data, setup, function, teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("find", test_find, NULL);
    ADD("remove", test_remove, NULL);
    ADD("remove_many", test_remove_many, NULL);
    ADD("text", test_text, NULL);
    ADD("numbers", test_numbers, NULL);
    ADD("reference", test_reference, NULL);
    ADD("wrong_path/unknown", test_wrong_path, "nothing");
    ADD("wrong_path/deep", test_wrong_path, "config.nothing");
    ADD("wrong_path/unset", test_wrong_path, "summary.config.name");
    ADD("members", test_members, NULL);
    ADD("items", test_items, NULL);
    ADD("items_with_texts_as_keys", test_items_with_texts_as_keys, NULL);
    ADD("repeated_keys", test_repeated_keys, NULL);
    ADD("list_of_texts", test_list_of_texts, NULL);
    ADD("many_differences", test_many_differences, NULL);
    ADD("references", test_references, NULL);
    ADD("told_afterwards", test_told_afterwards, NULL);
    ADD("watches_that_go", test_watches_that_go, NULL);
    ADD("writers_alone", test_writers_alone, NULL);
    ADD("readers_together", test_readers_together, NULL);
    return g_test_run();
}
