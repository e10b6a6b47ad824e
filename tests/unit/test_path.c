// SPDX-License-Identifier: Apache-2.0
/*
 * Property paths: what names something in an object of a type and what does not, and what is found when
 * they are followed: through objects, subtypes and arrays with keys, in every type of the schema.
 */
#include "vim/path.h"

#include "vim_values.h"

/* ---- parsing ------------------------------------------------------------------------------------------ */

static void assert_path(const char *text, bool valid)
{
    struct vim_path *path = vim_path_new(&VirtualMachine_type, text);
    if ((path != NULL) != valid) {
        g_error("\"%s\" is %s", text, path != NULL ? "a path" : "no path");
    }
    if (path != NULL) {
        g_assert_cmpstr(vim_path_text(path), ==, text);
    }
    vim_path_free(path);
}

static void test_parse(void)
{
    assert_path("name", true);
    assert_path("runtime.powerState", true);
    assert_path("config.hardware.device", true);
    assert_path("config.hardware.device[4000]", true);
    assert_path("config.hardware.device[4000].key", true);
    assert_path("config.hardware.device[4000].backing.fileName", true); /* of subtypes */
    assert_path("config.hardware.device[4000].capacityInKB", true);
    assert_path("config.extraConfig[\"a.b\"].value", true);
    assert_path("config.extraConfig[\"a].b\"].value", true);
    assert_path("config.extraConfig[\"\"]", true);
    assert_path("config.extraConfig[a.b]", true);
    assert_path("datastore[\"ds-1\"]", true); /* names nothing, but could */
    assert_path("", false);
    assert_path("nothing", false);
    assert_path("name.length", false);
    assert_path("runtime.", false);
    assert_path(".runtime", false);
    assert_path("runtime..powerState", false);
    assert_path("Runtime", false);
    assert_path("runtime[1]", false);
    assert_path("runtime[1].powerState", false);
    assert_path("config.hardware.device.key", false); /* of which one? */
    assert_path("config.hardware.device[", false);
    assert_path("config.hardware.device[]", false);
    assert_path("config.hardware.device[]]", true);
    assert_path("config.hardware.device[4000", false);
    assert_path("config.hardware.device4000]", false);
    assert_path("config.hardware.device[4000]x", false);
    assert_path("config.hardware.device[4000].colour", false);
    assert_path("[4000]", false);
    assert_path("parent.name", false); /* a reference is the end of the way */
    assert_path("capacityInKB", false);
    vim_path_free(NULL);
}

/* Any text is a path or none; none of it is read too far. */
static void test_parse_anything(void)
{
    static const char *const pieces[] = {"name", "config",      "hardware", "device",  ".",   "[",
                                         "]",    "\"",          "4000",     "backing", "\"]", "[\"",
                                         "",     "extraConfig", "a.b",      "runtime."};
    GRand *rand = g_rand_new_with_seed(7);

    for (unsigned n = 0; n < 20000; n++) {
        GString *text = g_string_new(n % 2 == 0 ? "config.hardware.device" : "");
        for (int i = g_rand_int_range(rand, 0, 6); i > 0; i--) {
            g_string_append(text, pieces[g_rand_int_range(rand, 0, G_N_ELEMENTS(pieces))]);
        }
        struct vim_path *path = vim_path_new(&VirtualMachine_type, text->str);
        if (path != NULL) {
            g_assert_cmpstr(vim_path_text(path), ==, text->str);
        }
        vim_path_free(path);
        g_string_free(text, TRUE);
    }
    g_rand_free(rand);
}

/* A path that could go on for ever is refused before it costs much. */
static void test_long(void)
{
    GString *text = g_string_new("info.error");

    for (unsigned i = 0; i < 100000; i++) {
        g_string_append(text, ".fault");
        if (i < 50) { /* in circles through two meanings of the name */
            struct vim_path *path = vim_path_new(&Task_type, text->str);
            g_assert_nonnull(path);
            vim_path_free(path);
        }
    }
    g_assert_null(vim_path_new(&Task_type, text->str));
    g_string_free(text, TRUE);
}

/* ---- following ---------------------------------------------------------------------------------------- */

static struct OptionValue *option_new(const char *key, int32_t value)
{
    struct OptionValue *option = OptionValue_new();
    option->key = g_strdup(key);
    option->value = vim_any_int(value);
    return option;
}

static struct VirtualMachine *machine_new(void)
{
    struct VirtualMachine *vm = VirtualMachine_new();
    struct VirtualDisk *disk = VirtualDisk_new();
    struct VirtualDiskFlatVer2BackingInfo *backing = VirtualDiskFlatVer2BackingInfo_new();
    struct VirtualCdrom *cdrom = VirtualCdrom_new();

    vm->name = g_strdup("a");
    vm->config = VirtualMachineConfigInfo_new();
    vm->config->hardware = VirtualHardware_new();
    disk->key = 2000;
    disk->capacityInKB = 77;
    vim_set_optional(&disk->unitNumber, 0);
    backing->fileName = g_strdup("[a] b");
    disk->backing = (struct VirtualDeviceBackingInfo *)backing;
    cdrom->key = 3000;
    vim_array_add_object(&vm->config->hardware->device, disk);
    vim_array_add_object(&vm->config->hardware->device, cdrom);
    vim_array_add_object(&vm->config->extraConfig, option_new("a.b", 1));
    vim_array_add_object(&vm->config->extraConfig, option_new("a].b", 2));
    vim_array_add_object(&vm->config->extraConfig, option_new("", 3));
    vim_array_add_object(&vm->config->extraConfig, option_new("a\"b", 4));
    return vm;
}

static bool get(const void *object, const char *text, struct vim_value *ret)
{
    struct vim_path *path = vim_path_new(*(const struct vim_type *const *)object, text);
    if (path == NULL) {
        g_error("\"%s\" is no path", text);
    }
    bool found = vim_path_get(path, object, ret);
    vim_path_free(path);
    return found;
}

static void assert_unset(const void *object, const char *text)
{
    struct vim_value value;
    if (get(object, text, &value)) {
        g_error("found %s", text);
    }
}

static void test_get(void)
{
    struct VirtualMachine *vm = machine_new();
    struct vim_value value;

    g_assert_true(get(vm, "name", &value));
    g_assert_true(value.type == &vim_type_string && !value.array);
    g_assert_cmpstr(*(char *const *)value.at, ==, "a");
    g_assert_true(get(vm, "config.hardware.device", &value));
    g_assert_true(value.type == &VirtualDevice_type && value.array);
    g_assert_true(value.at == &vm->config->hardware->device);
    g_assert_true(get(vm, "config.hardware.device[3000]", &value));
    g_assert_true(value.type == &VirtualDevice_type && !value.array);
    g_assert_true(*(void *const *)value.at == vm->config->hardware->device.items[1]);
    g_assert_true(get(vm, "config.hardware.device[2000].capacityInKB", &value));
    g_assert_cmpint(*(const int64_t *)value.at, ==, 77);
    g_assert_true(get(vm, "config.hardware.device[2000].unitNumber", &value)); /* behind its flag */
    g_assert_cmpint(*(const int32_t *)value.at, ==, 0);
    g_assert_true(get(vm, "config.hardware.device[2000].backing.fileName", &value));
    g_assert_cmpstr(*(char *const *)value.at, ==, "[a] b");
    vim_free(vm);
}

static void test_get_by_key(void)
{
    static const char *const keys[] = {"[\"a.b\"]", "[\"a].b\"]", "[\"\"]", "[\"a\"b\"]"};
    struct VirtualMachine *vm = machine_new();

    for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
        struct vim_value value;
        g_autofree char *text = g_strconcat("config.extraConfig", keys[i], ".value", NULL);
        GString *spelled = g_string_new(NULL);
        g_assert_true(get(vm, text, &value));
        g_assert_cmpint(*(int32_t *)(*(struct vim_any *const *)value.at)->value, ==, i + 1);
        vim_key_append(spelled, vim_key_field(&OptionValue_type), vm->config->extraConfig.items[i]);
        g_assert_cmpstr(spelled->str, ==, keys[i]);
        g_string_free(spelled, TRUE);
    }
    vim_free(vm);
}

static void test_get_nothing(void)
{
    struct VirtualMachine *vm = machine_new();

    assert_unset(vm, "parent");
    assert_unset(vm, "runtime.powerState");
    assert_unset(vm, "runtime");
    assert_unset(vm, "config.extraConfig[1]");
    assert_unset(vm, "datastore[\"ds-1\"]");
    assert_unset(vm, "config.hardware.device[1]");
    assert_unset(vm, "config.hardware.device[02000]");
    assert_unset(vm, "config.hardware.device[1].key");
    assert_unset(vm, "config.hardware.device[2000].controllerKey");
    assert_unset(vm, "config.hardware.device[3000].capacityInKB"); /* a CD drive has none */
    assert_unset(vm, "config.hardware.device[3000].backing.fileName");
    assert_unset(vm, "config.extraConfig[\"c\"]");
    vim_free(vm);
}

/* A list of the object itself is there also when it is empty; one inside is not. */
static void test_empty_list(void)
{
    struct VirtualMachine *vm = machine_new();
    struct vim_value value;

    g_assert_true(get(vm, "datastore", &value));
    g_assert_true(value.array && value.at == &vm->datastore);
    while (vm->config->extraConfig.n > 0) {
        vim_array_remove(&vm->config->extraConfig, &OptionValue_type, 0);
    }
    assert_unset(vm, "config.extraConfig");
    vim_free(vm);
}

/* An item without a key is not found by any. */
static void test_unset_keys(void)
{
    struct vim_array groups = {0};
    struct HostPortGroup *named = HostPortGroup_new();

    vim_array_add_object(&groups, HostPortGroup_new());
    named->key = g_strdup("a");
    vim_array_add_object(&groups, named);
    g_assert_true(vim_item_by_key(&HostPortGroup_type, &groups, "a") == named);
    g_assert_null(vim_item_by_key(&HostPortGroup_type, &groups, ""));
    g_assert_null(vim_item_by_key(&HostPortGroup_type, &groups, "(null)"));
    g_assert_null(vim_item_by_key(&vim_type_string, &groups, "a"));
    struct vim_field field = {.type = &HostPortGroup_type, .flags = VIM_ARRAY};
    vim_field_clear(&field, &groups);
}

static void test_member(void)
{
    struct VirtualMachine *vm = machine_new();
    struct vim_path *path = vim_path_new(&VirtualMachine_type, "config.hardware.numCPU");
    struct vim_path *unset = vim_path_new(&VirtualMachine_type, "runtime.powerState");
    void *at = NULL;

    g_assert_true(vim_path_member(path, vm, &at) == vim_field_by_name(&VirtualHardware_type, "numCPU", NULL));
    g_assert_true(at == &vm->config->hardware->numCPU);
    g_assert_null(vim_path_member(unset, vm, &at));
    vim_path_free(path);
    vim_path_free(unset);
    vim_free(vm);
}

static void test_inside(void)
{
    g_assert_true(vim_path_is_inside("config.name", "config"));
    g_assert_true(vim_path_is_inside("config.a[1]", "config.a"));
    g_assert_true(vim_path_is_inside("config.a[1].b", "config.a[1]"));
    g_assert_false(vim_path_is_inside("config", "config"));
    g_assert_false(vim_path_is_inside("config.name", "con"));
    g_assert_false(vim_path_is_inside("config", "config.name"));
    g_assert_false(vim_path_is_inside("configuration", "config"));
}

/* ---- every type --------------------------------------------------------------------------------------- */

/* The kinds of keys that paths can spell are all that the schema has. */
static void test_kinds_of_keys(void)
{
    for (size_t i = 0; i < vim_n_types; i++) {
        const struct vim_field *key = vim_key_field(vim_types[i]);
        if (key != NULL) {
            g_assert_true(key->type->kind == VIM_INT || key->type->kind == VIM_STRING ||
                          key->type->kind == VIM_REF);
            g_assert_true(key->flags == 0 || (key->flags == VIM_OPTIONAL && key->type->kind == VIM_STRING));
        }
    }
}

/* Follows the path from an object and checks that what it finds is of the type that it says. */
static void follow(const struct vim_path *path, const void *object)
{
    struct vim_value value;

    if (vim_path_get(path, object, &value)) {
        struct vim_field field = {.type = value.type, .flags = value.array ? VIM_ARRAY : 0};
        union {
            char bytes[sizeof(struct vim_ref)];
            int64_t aligned;
        } copy = {{0}};
        vim_field_copy(&field, value.at, &copy);
        g_assert_true(vim_field_equal(&field, value.at, &copy));
        vim_field_clear(&field, &copy);
    }
}

/* Members that some subtypes have, and members of these, in objects of every subtype: a name may be
 * something else in another type. */
static void test_every_subtype(void)
{
    struct samples s = samples_new(21);
    g_autoptr(GPtrArray) paths = g_ptr_array_new_with_free_func((GDestroyNotify)vim_path_free);
    g_autoptr(GHashTable) names = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, NULL);

    for (size_t i = 0; i < vim_n_types; i++) {
        for (unsigned k = 0; k < vim_types[i]->n_fields; k++) {
            g_hash_table_add(names, g_strdup(vim_types[i]->fields[k].name));
            const struct vim_type *inner = vim_types[i]->fields[k].type;
            for (unsigned m = 0; inner->kind == VIM_DATA && m < inner->n_fields; m++) {
                g_hash_table_add(names,
                                 g_strconcat(vim_types[i]->fields[k].name, ".", inner->fields[m].name, NULL));
            }
        }
    }
    GHashTableIter iter;
    gpointer name;
    g_hash_table_iter_init(&iter, names);
    while (g_hash_table_iter_next(&iter, &name, NULL)) {
        g_autofree char *text = g_strconcat("info.error.fault.", (char *)name, NULL);
        struct vim_path *path = vim_path_new(&Task_type, text);
        if (path != NULL) {
            g_ptr_array_add(paths, path);
        }
    }
    g_assert_cmpuint(paths->len, >, 20);
    for (size_t i = 0; i < vim_n_types; i++) {
        if (!vim_type_is(vim_types[i], &MethodFault_type)) {
            continue;
        }
        struct Task *task = Task_new();
        task->info = TaskInfo_new();
        task->info->error = LocalizedMethodFault_new();
        task->info->error->fault = sample_object_of(&s, vim_types[i], 3);
        for (guint k = 0; k < paths->len; k++) {
            follow(g_ptr_array_index(paths, k), task);
        }
        vim_free(task);
    }
    samples_free(&s);
}

/* "parent" of a disk's backing is another type for each kind of backing: what is found behind it depends on
 * the disk, and nothing is read as what it is not. */
static void test_ambiguous_names(void)
{
    struct VirtualMachine *vm = machine_new();
    struct VirtualDiskFlatVer2BackingInfo *parent = VirtualDiskFlatVer2BackingInfo_new();
    struct VirtualDiskFlatVer1BackingInfo *old = VirtualDiskFlatVer1BackingInfo_new();
    struct vim_value value;

    ((struct VirtualDiskFlatVer2BackingInfo *)vm->config->hardware->device.items[0]->backing)->parent =
        parent;
    vim_set_string(&parent->fileName, "[a] parent");
    vim_set_string(&parent->uuid, "u");
    vim_set_string(&parent->contentId, "c2");
    g_assert_true(get(vm, "config.hardware.device[2000].backing.parent.uuid", &value));
    g_assert_cmpstr(*(char *const *)value.at, ==, "u");
    g_assert_true(get(vm, "config.hardware.device[2000].backing.parent.contentId", &value));
    g_assert_cmpstr(*(char *const *)value.at, ==, "c2");
    vim_free(vm->config->hardware->device.items[0]->backing);
    vm->config->hardware->device.items[0]->backing = (struct VirtualDeviceBackingInfo *)old;
    old->parent = VirtualDiskFlatVer1BackingInfo_new();
    vim_set_string(&old->parent->contentId, "c1");
    assert_unset(vm, "config.hardware.device[2000].backing.parent.uuid"); /* has none */
    g_assert_true(get(vm, "config.hardware.device[2000].backing.parent.contentId", &value));
    g_assert_cmpstr(*(char *const *)value.at, ==, "c1");
    vim_free(vm);
}

/* The version of a path is that of its newest name. */
static void test_since(void)
{
    static const struct {
        const char *text;
        const char *version;
    } paths[] = {
        {"config.hardware.device", "2.5"},
        {"guest.toolsInstallType", "6.5"},
        {"config.hardware.numCoresPerSocket", "5.0"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(paths); i++) {
        struct vim_path *path = vim_path_new(&VirtualMachine_type, paths[i].text);
        g_assert_cmpstr(vim_versions[vim_path_since(path)].name, ==, paths[i].version);
        vim_path_free(path);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/path/parse", test_parse);
    g_test_add_func("/path/parse-anything", test_parse_anything);
    g_test_add_func("/path/get", test_get);
    g_test_add_func("/path/get-by-key", test_get_by_key);
    g_test_add_func("/path/get-nothing", test_get_nothing);
    g_test_add_func("/path/member", test_member);
    g_test_add_func("/path/inside", test_inside);
    g_test_add_func("/path/kinds-of-keys", test_kinds_of_keys);
    g_test_add_func("/path/every-subtype", test_every_subtype);
    g_test_add_func("/path/ambiguous-names", test_ambiguous_names);
    g_test_add_func("/path/since", test_since);
    g_test_add_func("/path/long", test_long);
    g_test_add_func("/path/unset-keys", test_unset_keys);
    g_test_add_func("/path/empty-list", test_empty_list);
    return g_test_run();
}
