// SPDX-License-Identifier: Apache-2.0
/*
 * Filters without a collector around them: what of a change becomes news, under which path, how news of one
 * object add up, what enters and leaves when references change, and that a change costs what it is worth.
 */
#include "vim/property_filter.h"

#include "vim_fixture.h"

/* ---- making filters ------------------------------------------------------------------------------------ */

struct watched {
    struct fixture *fixture;
    struct property_filter *filter;
    GMutex lock;   /* of what is pending */
    unsigned news; /* times that somebody would have been woken */
};

static void on_news(void *data)
{
    struct watched *watched = data;
    watched->news++;
}

/* A selection: "Type.path" and the names of those that follow, such as "Folder.childEntity f". */
static struct SelectionSpec *selection_new(const char *name, const char *text, bool skip)
{
    struct TraversalSpec *select = TraversalSpec_new();
    g_auto(GStrv) words = g_strsplit(text, " ", -1);
    char *dot = strchr(words[0], '.');

    *dot = '\0';
    select->name = g_strdup(name);
    select->type = g_strdup(words[0]);
    select->path = g_strdup(dot + 1);
    vim_set_optional(&select->skip, skip);
    for (size_t i = 1; words[i] != NULL; i++) {
        struct SelectionSpec *next = SelectionSpec_new();
        next->name = g_strdup(words[i]);
        vim_array_add_object(&select->selectSet, next);
    }
    return (struct SelectionSpec *)select;
}

/* Of the objects of `type` (their `paths`, with spaces between; NULL: all) reached from `root`. */
static struct PropertyFilterSpec *spec_new(struct fixture *f, const char *root, bool skip, const char *type,
                                           const char *paths)
{
    struct PropertyFilterSpec *spec = PropertyFilterSpec_new();
    struct PropertySpec *set = PropertySpec_new();
    struct ObjectSpec *object = ObjectSpec_new();
    g_auto(GStrv) words = g_strsplit(paths != NULL ? paths : "", " ", -1);

    set->type = g_strdup(type);
    for (char **word = words; *word != NULL; word++) {
        vim_array_add_string(&set->pathSet, *word);
    }
    if (paths == NULL) {
        vim_set_optional(&set->all, true);
    }
    vim_array_add_object(&spec->propSet, set);
    object->obj = vim_ref_copy(&fixture_find(f, root)->ref);
    vim_set_optional(&object->skip, skip);
    vim_array_add_object(&spec->objectSet, object);
    return spec;
}

static void add_selection(struct PropertyFilterSpec *spec, const char *name, const char *text, bool skip)
{
    vim_array_add_object(&spec->objectSet.items[0]->selectSet, selection_new(name, text, skip));
}

/* Makes the filter and frees the spec. From here until close_filter the write lock is held. */
static void open_filter(struct watched *watched, struct fixture *f, struct PropertyFilterSpec *spec,
                        bool partial)
{
    struct property_spec *ready = NULL;

    *watched = (struct watched){.fixture = f};
    g_mutex_init(&watched->lock);
    assert_success(property_spec_new(spec, vim_newest_version, &ready));
    vim_free(spec);
    vim_write_lock(f->server.inventory);
    watched->filter =
        property_filter_new(&f->server, &f->root, ready, partial, on_news, watched, &watched->lock);
}

static void close_filter(struct watched *watched)
{
    property_filter_free(watched->filter);
    /* It leaves nothing behind that a change would come upon. */
    GPtrArray *objects = vim_inventory_objects(watched->fixture->server.inventory);
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        g_assert_true(object->watches == NULL || object->watches->len == 0);
    }
    vim_write_unlock(watched->fixture->server.inventory);
    g_mutex_clear(&watched->lock);
}

/* The virtual machines of a folder, with these paths. */
static void open_vms(struct watched *watched, struct fixture *f, const char *paths, bool partial)
{
    struct PropertyFilterSpec *spec = spec_new(f, "ha-folder-vm", true, "VirtualMachine", paths);
    add_selection(spec, "f", "Folder.childEntity f", false);
    open_filter(watched, f, spec, partial);
}

/* ---- what is told ------------------------------------------------------------------------------------- */

/* "vm-1 enter;", "vm-1 =name -config;", "vm-1 leave;" */
static char *describe(GPtrArray *updates)
{
    GString *text = g_string_new(NULL);
    for (guint i = 0; i < updates->len; i++) {
        const struct property_update *update = g_ptr_array_index(updates, i);
        g_string_append(text, update->ref.id);
        if (update->kind == ObjectUpdateKind_modify) {
            for (guint k = 0; k < update->paths->len; k++) {
                g_string_append_printf(text, " %s", (const char *)g_ptr_array_index(update->paths, k));
            }
        } else {
            g_assert_cmpuint(update->paths->len, ==, 0);
            g_string_append(text, update->kind == ObjectUpdateKind_enter ? " enter" : " leave");
        }
        g_string_append_c(text, ';');
    }
    return g_string_free(text, FALSE);
}

static GPtrArray *take(struct watched *watched, guint max)
{
    g_mutex_lock(&watched->lock);
    GPtrArray *updates = property_filter_take(watched->filter, max);
    g_mutex_unlock(&watched->lock);
    return updates;
}

#define assert_updates(updates, expected)           \
    do {                                            \
        g_autofree char *text_ = describe(updates); \
        g_assert_cmpstr(text_, ==, (expected));     \
    } while (0)

/* All that was pending, and that somebody was told that there is something. */
#define assert_told(watched, expected)                                   \
    do {                                                                 \
        g_autoptr(GPtrArray) updates_ = take((watched), G_MAXUINT);      \
        assert_updates(updates_, (expected));                            \
        g_assert_true(((expected)[0] != '\0') == ((watched)->news > 0)); \
        g_assert_false(property_filter_has_news((watched)->filter));     \
        (watched)->news = 0;                                             \
    } while (0)

/* ---- paths -------------------------------------------------------------------------------------------- */

static void test_first(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "name", true);
    g_assert_true(property_filter_has_news(w.filter));
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    vim_set_text(fixture_find(f, "vm-2"), "name", "deux");
    assert_told(&w, "vm-2 =name;");
    close_filter(&w);
}

/* A change is told by what was asked for, or, when it lies inside of that and updates may be partial, by
 * itself. */
static void test_nested(struct fixture *f, gconstpointer data)
{
    bool partial = data != NULL;
    struct watched w;

    vim_set_data(fixture_find(f, "vm-1"), "config.hardware", VirtualHardware_new());
    open_vms(&w, f, "config", partial);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    struct VirtualHardware *hardware = VirtualHardware_new();
    hardware->numCPU = 4;
    vim_set_data(fixture_find(f, "vm-1"), "config.hardware", hardware);
    assert_told(&w, partial ? "vm-1 =config.hardware.numCPU;" : "vm-1 =config;");
    vim_unset(fixture_find(f, "vm-1"), "config");
    assert_told(&w, "vm-1 =config;");
    close_filter(&w);
}

/* What was asked for lies in what has changed. */
static void test_around(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "config.uuid config.files.vmPathName summary.vm", true);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    vim_unset(fixture_find(f, "vm-1"), "config");
    assert_told(&w, "vm-1 =config.uuid =config.files.vmPathName;");
    vim_set_text(fixture_find(f, "vm-2"), "config.annotation", "not asked for");
    assert_told(&w, "");
    close_filter(&w);
}

static struct VirtualHardware *hardware_new(int32_t first_key, unsigned n)
{
    struct VirtualHardware *hardware = VirtualHardware_new();
    for (unsigned i = 0; i < n; i++) {
        struct VirtualCdrom *device = VirtualCdrom_new();
        device->key = first_key + (int32_t)i;
        vim_array_add_object(&hardware->device, device);
    }
    return hardware;
}

static void test_items(struct fixture *f, gconstpointer data)
{
    bool partial = data != NULL;
    struct watched w;
    struct vim_object *vm = fixture_find(f, "vm-1");

    vim_set_data(vm, "config.hardware", hardware_new(3000, 2));
    open_vms(&w, f, "config.hardware.device config.hardware.device[3001]", partial);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    vim_set_data(vm, "config.hardware", hardware_new(3000, 3));
    assert_told(&w, partial ? "vm-1 =config.hardware.device[3002];" : "vm-1 =config.hardware.device;");
    /* The item that was asked for by itself is gone; of the list it is but a part. */
    vim_set_data(vm, "config.hardware", hardware_new(3000, 1));
    g_autoptr(GPtrArray) updates = take(&w, 1);
    const struct property_update *update = g_ptr_array_index(updates, 0);
    const char *gone = "-config.hardware.device[3001]";
    g_assert_true(g_ptr_array_find_with_equal_func(update->paths, gone, g_str_equal, NULL));
    g_assert_true(g_ptr_array_find_with_equal_func(update->paths, "=config.hardware.device", g_str_equal,
                                                   NULL) == !partial);
    g_assert_true(g_ptr_array_find_with_equal_func(update->paths, "-config.hardware.device[3002]",
                                                   g_str_equal, NULL) == partial);
    g_assert_cmpuint(update->paths->len, ==, 2);
    close_filter(&w);
}

/* ---- adding up ---------------------------------------------------------------------------------------- */

static void test_same_path(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;
    struct vim_object *vm = fixture_find(f, "vm-1");

    open_vms(&w, f, "name config.hardware.device", true);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    vim_set_text(vm, "name", "a");
    vim_set_data(vm, "config.hardware", hardware_new(3000, 2));
    vim_set_text(vm, "name", "b");
    assert_told(&w, "vm-1 =name =config.hardware.device;");
    vim_set_data(vm, "config.hardware", hardware_new(3001, 1));
    vim_set_data(vm, "config.hardware", hardware_new(3000, 2)); /* gone, and there again */
    assert_told(&w, "vm-1 =config.hardware.device[3000];");
    close_filter(&w);
}

static void test_enter_and_leave(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "name", true);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    fixture_add_vm(f, "vm-3", "three");
    vim_set_text(fixture_find(f, "vm-3"), "name", "drei"); /* who enters tells all anyway */
    assert_told(&w, "vm-3 enter;");
    fixture_remove_vm(f, "vm-1");
    assert_told(&w, "vm-1 leave;");
    vim_set_text(fixture_find(f, "vm-2"), "name", "zwei"); /* of who leaves nothing else is told */
    fixture_remove_vm(f, "vm-2");
    assert_told(&w, "vm-2 leave;");
    close_filter(&w);
}

static void test_unseen(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;
    struct vim_object *folder = fixture_find(f, "ha-folder-vm");

    open_vms(&w, f, "name", true);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    fixture_add_vm(f, "vm-3", "three");
    fixture_remove_vm(f, "vm-3");
    g_autoptr(GPtrArray) updates = take(&w, G_MAXUINT);
    assert_updates(updates, "");
    /* Who left and is back is told as new: all of it may be different. */
    vim_ref_list_remove(folder, "childEntity", &fixture_find(f, "vm-1")->ref);
    vim_ref_list_add(folder, "childEntity", &fixture_find(f, "vm-1")->ref);
    assert_told(&w, "vm-1 enter;");
    close_filter(&w);
}

/* ---- pages and lost answers --------------------------------------------------------------------------- */

static void test_truncation(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "name", true);
    GPtrArray *page = take(&w, 1);
    assert_updates(page, "vm-1 enter;");
    g_ptr_array_unref(page);
    g_assert_true(property_filter_has_news(w.filter));
    /* What happens between two pages: the first one is known by now, the second one is not. */
    vim_set_text(fixture_find(f, "vm-1"), "name", "a");
    vim_set_text(fixture_find(f, "vm-2"), "name", "b");
    page = take(&w, 1);
    assert_updates(page, "vm-2 enter;");
    g_ptr_array_unref(page);
    page = take(&w, 5);
    assert_updates(page, "vm-1 =name;");
    g_ptr_array_unref(page);
    g_assert_false(property_filter_has_news(w.filter));
    page = take(&w, 5);
    assert_updates(page, "");
    g_ptr_array_unref(page);
    close_filter(&w);
}

static void give_back(struct watched *watched, GPtrArray *updates)
{
    g_mutex_lock(&watched->lock);
    property_filter_give_back(watched->filter, updates);
    g_mutex_unlock(&watched->lock);
}

/* An answer that got lost is told again, together with what has happened since. */
static void test_give_back(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "name config.annotation", true);
    GPtrArray *lost = take(&w, G_MAXUINT);
    vim_set_text(fixture_find(f, "vm-1"), "name", "a");
    fixture_remove_vm(f, "vm-2");
    give_back(&w, lost);
    assert_told(&w, "vm-1 enter;"); /* vm-2 came and went unseen */
    vim_set_text(fixture_find(f, "vm-1"), "name", "b");
    lost = take(&w, G_MAXUINT);
    fixture_add_vm(f, "vm-3", "three");
    vim_set_text(fixture_find(f, "vm-1"), "config.annotation", "c");
    vim_set_text(fixture_find(f, "vm-1"), "name", "d");
    give_back(&w, lost);
    assert_told(&w, "vm-1 =name =config.annotation;vm-3 enter;");
    fixture_remove_vm(f, "vm-1");
    lost = take(&w, G_MAXUINT);
    fixture_add_vm(f, "vm-1", "again");
    give_back(&w, lost);
    assert_told(&w, "vm-1 enter;");
    give_back(&w, take(&w, G_MAXUINT)); /* an empty one */
    assert_told(&w, "");
    close_filter(&w);
}

static void test_restart(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "name", true);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    vim_set_text(fixture_find(f, "vm-1"), "name", "a");
    fixture_remove_vm(f, "vm-2");
    g_mutex_lock(&w.lock);
    property_filter_restart(w.filter);
    g_mutex_unlock(&w.lock);
    assert_told(&w, "vm-1 enter;");
    close_filter(&w);
}

/* ---- the graph ---------------------------------------------------------------------------------------- */

/* A subtree comes and goes as a whole, however deep, also when its members lead back up. */
static void test_subtree(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;
    struct PropertyFilterSpec *spec = spec_new(f, "ha-folder-vm", true, "ManagedEntity", "name");
    add_selection(spec, "down", "Folder.childEntity down up", false);
    add_selection(spec, "up", "ManagedEntity.parent down", true);

    open_filter(&w, f, spec, true);
    g_autoptr(GPtrArray) first = take(&w, G_MAXUINT);
    g_ptr_array_set_size(first, 0);
    w.news = 0;
    fixture_add(f, &Folder_type, "group-1", "group", "ha-folder-vm", NULL);
    fixture_add(f, &Folder_type, "group-2", "below", "group-1", "childEntity");
    fixture_add(f, &VirtualMachine_type, "vm-3", "three", "group-2", "childEntity");
    assert_told(&w, "");
    struct vim_object *top = fixture_find(f, "ha-folder-vm");
    vim_ref_list_add(top, "childEntity", &fixture_find(f, "group-1")->ref);
    assert_told(&w, "group-1 enter;group-2 enter;vm-3 enter;");
    vim_ref_list_remove(top, "childEntity", &fixture_find(f, "group-1")->ref);
    g_autoptr(GPtrArray) updates = take(&w, G_MAXUINT);
    g_assert_cmpuint(updates->len, ==, 3); /* in which order is not said */
    for (guint i = 0; i < updates->len; i++) {
        g_assert_cmpint(((struct property_update *)g_ptr_array_index(updates, i))->kind, ==,
                        ObjectUpdateKind_leave);
    }
    /* Nothing of it is followed any more. */
    w.news = 0;
    vim_set_text(fixture_find(f, "vm-3"), "name", "unseen");
    fixture_add(f, &VirtualMachine_type, "vm-4", "four", "group-2", "childEntity");
    assert_told(&w, "");
    close_filter(&w);
}

/* An object that several ways lead to is there once, until the last of them is gone. */
static void test_several_ways(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;
    struct PropertyFilterSpec *spec = spec_new(f, "ha-datacenter", true, "VirtualMachine", "name");
    add_selection(spec, "f", "Datacenter.vmFolder c", true);
    add_selection(spec, "h", "Datacenter.hostFolder c", true);
    add_selection(spec, "c", "Folder.childEntity p", false);
    add_selection(spec, "p", "ComputeResource.resourcePool v", true);
    add_selection(spec, "v", "ResourcePool.vm", false);

    open_filter(&w, f, spec, true);
    g_autoptr(GPtrArray) first = take(&w, G_MAXUINT);
    g_assert_cmpuint(first->len, ==, 2);
    w.news = 0;
    g_assert_cmpuint(fixture_find(f, "vm-1")->watches->len, ==, 1);
    vim_ref_list_remove(fixture_find(f, "ha-root-pool"), "vm", &fixture_find(f, "vm-1")->ref);
    assert_told(&w, "");
    vim_set_text(fixture_find(f, "vm-1"), "name", "a");
    assert_told(&w, "vm-1 =name;");
    vim_ref_list_remove(fixture_find(f, "ha-folder-vm"), "childEntity", &fixture_find(f, "vm-1")->ref);
    assert_told(&w, "vm-1 leave;");
    close_filter(&w);
}

/* The way leads through a reference inside of an object. */
static void test_one_reference(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;
    struct PropertyFilterSpec *spec = spec_new(f, "vm-1", true, "HostSystem", "name");
    add_selection(spec, "h", "VirtualMachine.runtime.host", false);

    fixture_add(f, &HostSystem_type, "host-2", "second", NULL, NULL);
    open_filter(&w, f, spec, true);
    assert_told(&w, "ha-host enter;");
    vim_set_enum(fixture_find(f, "vm-1"), "runtime.powerState", VirtualMachinePowerState_poweredOn);
    assert_told(&w, "");
    vim_set_reference(fixture_find(f, "vm-1"), "runtime.host", &fixture_find(f, "host-2")->ref);
    assert_told(&w, "host-2 enter;ha-host leave;");
    vim_unset(fixture_find(f, "vm-1"), "runtime");
    assert_told(&w, "host-2 leave;");
    close_filter(&w);
}

/* Objects that are destroyed while others still refer to them, and while they lead to others. */
static void test_destroyed(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    open_vms(&w, f, "name", true);
    assert_told(&w, "vm-1 enter;vm-2 enter;");
    vim_inventory_remove(f->server.inventory, fixture_find(f, "vm-1"));
    assert_told(&w, "vm-1 leave;");
    struct vim_ref gone = {&VirtualMachine_type, (char *)"vm-1"};
    vim_ref_list_remove(fixture_find(f, "ha-folder-vm"), "childEntity", &gone);
    assert_told(&w, "");
    vim_inventory_remove(f->server.inventory, fixture_find(f, "ha-folder-vm")); /* the root itself */
    assert_told(&w, "vm-2 leave;");
    close_filter(&w);
}

static void test_of_others(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    vim_session_own(&f->guest, fixture_find(f, "vm-1"));
    open_vms(&w, f, "name", true);
    assert_told(&w, "vm-2 enter;");
    vim_set_text(fixture_find(f, "vm-1"), "name", "secret");
    assert_told(&w, "");
    close_filter(&w);
    vim_session_disown(&f->guest, fixture_find(f, "vm-1"));
    fixture_find(f, "vm-1")->owner = NULL;
}

/* ---- what a change costs ------------------------------------------------------------------------------ */

/* One change among a thousand machines is one piece of news of one object. */
static void test_cost(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct watched w;

    vim_write_lock(f->server.inventory);
    for (unsigned i = 0; i < 1000; i++) {
        g_autofree char *id = g_strdup_printf("vm-many-%u", i);
        fixture_add(f, &VirtualMachine_type, id, id, "ha-folder-vm", "childEntity");
    }
    vim_write_unlock(f->server.inventory);
    open_vms(&w, f, "name runtime.powerState", true);
    g_autoptr(GPtrArray) first = take(&w, G_MAXUINT);
    g_assert_cmpuint(first->len, ==, 1002);
    w.news = 0;
    vim_set_text(fixture_find(f, "vm-many-500"), "name", "a");
    g_assert_cmpuint(w.news, ==, 1);
    assert_told(&w, "vm-many-500 =name;");
    fixture_add(f, &VirtualMachine_type, "vm-one-more", "one more", "ha-folder-vm", "childEntity");
    g_assert_cmpuint(w.news, ==, 1);
    assert_told(&w, "vm-one-more enter;");
    vim_ref_list_remove(fixture_find(f, "ha-folder-vm"), "childEntity", &fixture_find(f, "vm-many-7")->ref);
    g_assert_cmpuint(w.news, ==, 1);
    assert_told(&w, "vm-many-7 leave;");
    vim_set_text(fixture_find(f, "ha-folder-vm"), "name", "only on the way");
    assert_told(&w, "");
    close_filter(&w);
}

#define ADD(name, function, data) \
    g_test_add("/property_filter/" name, struct fixture, data, fixture_setup, function, fixture_teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("first", test_first, NULL);
    ADD("nested/partial", test_nested, "partial");
    ADD("nested/whole", test_nested, NULL);
    ADD("around", test_around, NULL);
    ADD("items/partial", test_items, "partial");
    ADD("items/whole", test_items, NULL);
    ADD("same_path", test_same_path, NULL);
    ADD("enter_and_leave", test_enter_and_leave, NULL);
    ADD("unseen", test_unseen, NULL);
    ADD("truncation", test_truncation, NULL);
    ADD("give_back", test_give_back, NULL);
    ADD("restart", test_restart, NULL);
    ADD("subtree", test_subtree, NULL);
    ADD("several_ways", test_several_ways, NULL);
    ADD("one_reference", test_one_reference, NULL);
    ADD("destroyed", test_destroyed, NULL);
    ADD("of_others", test_of_others, NULL);
    ADD("cost", test_cost, NULL);
    return g_test_run();
}
