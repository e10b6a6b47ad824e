// SPDX-License-Identifier: Apache-2.0
/*
 * Views: what a container view lists, how it follows the inventory, whose it is; list views.
 */
#include "vim/view.h"

#include "vim_fixture.h"

/* ---- container views -------------------------------------------------------------------------------- */

/* Makes a view of the types (space-separated; "": all); its reference is the caller's. */
static struct vim_ref make_view(struct fixture *f, const char *container, const char *types, bool recursive)
{
    struct vim_call call = fixture_call(f, &f->root, &ViewManager_type, "ViewManager");
    g_auto(GStrv) names = g_strsplit(types, " ", -1);
    struct CreateContainerView_args args = {
        .container = fixture_ref(f, container),
        .type = {names, types[0] != '\0' ? g_strv_length(names) : 0},
        .recursive = recursive,
    };
    struct CreateContainerView_result result = {0};
    assert_success(vim_view_manager_methods.CreateContainerView(&call, &args, &result));
    return result.returnval;
}

static struct ManagedObjectView *content(struct fixture *f, const struct vim_ref *view)
{
    return VIM_PROPERTIES(fixture_find(f, view->id), ManagedObjectView);
}

static void assert_view(struct fixture *f, const char *container, const char *types, bool recursive,
                        const char *expected)
{
    struct vim_ref view = make_view(f, container, types, recursive);
    assert_ids(&content(f, &view)->view, expected);
    vim_ref_clear(&view);
}

static void test_container_lists(struct fixture *f, gconstpointer data)
{
    (void)data;
    assert_view(f, "ha-folder-root", "", true,
                "ds-1 ha-compute-res ha-datacenter ha-folder-datastore ha-folder-host ha-folder-network "
                "ha-folder-vm ha-host ha-root-pool net-1 vm-1 vm-2");
    assert_view(f, "ha-folder-root", "VirtualMachine", true, "vm-1 vm-2");
    assert_view(f, "ha-folder-root", "HostSystem Datastore", true, "ds-1 ha-host");
    assert_view(f, "ha-folder-root", "ManagedEntity", false, "ha-datacenter");
    assert_view(f, "ha-datacenter", "", false,
                "ha-folder-datastore ha-folder-host ha-folder-network ha-folder-vm");
    assert_view(f, "ha-compute-res", "", false, "ha-host ha-root-pool");
    assert_view(f, "ha-host", "", true, "vm-1 vm-2");
    assert_view(f, "ha-root-pool", "ResourcePool", true, "");
    assert_view(f, "ha-folder-root", "ClusterComputeResource", true, "");
}

static void test_container_properties(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref view = make_view(f, "ha-folder-vm", "VirtualMachine", true);
    const struct vim_object *object = fixture_find(f, view.id);
    const struct ContainerView *properties = object->properties;
    g_assert_cmpstr(properties->container.id, ==, "ha-folder-vm");
    g_assert_true(properties->recursive);
    g_assert_cmpuint(properties->type.n, ==, 1);
    g_assert_cmpstr(properties->type.items[0], ==, "VirtualMachine");
    g_assert_true(g_str_has_prefix(view.id, "session[key-of-root]"));
    g_assert_true(object->owner == &f->root);
    vim_ref_clear(&view);
}

static void test_container_refused(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_call call = fixture_call(f, &f->root, &ViewManager_type, "ViewManager");
    struct CreateContainerView_result result = {0};
    char *unknown[] = {"VirtualMachine", "Toaster"};
    struct CreateContainerView_args args = {.container = fixture_ref(f, "ha-folder-vm"),
                                            .type = {unknown, 2}};
    struct vim_fault *fault = vim_view_manager_methods.CreateContainerView(&call, &args, &result);
    g_assert_nonnull(fault);
    g_assert_true(vim_fault_type(fault) == &InvalidArgument_type);
    g_assert_cmpstr(((struct InvalidArgument *)fault->fault)->invalidProperty, ==, "type");
    vim_fault_free(fault);
    args = (struct CreateContainerView_args){.container = {&Folder_type, "no-such"}};
    assert_fault(vim_view_manager_methods.CreateContainerView(&call, &args, &result),
                 "ManagedObjectNotFound");
    args.container = fixture_ref(f, "vm-1");
    assert_fault(vim_view_manager_methods.CreateContainerView(&call, &args, &result), "InvalidArgument");
    args.container = fixture_ref(f, "ha-folder-vm");
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_VIEW, "ha-folder-vm");
    assert_fault(vim_view_manager_methods.CreateContainerView(&call, &args, &result), "NoPermission");
    g_assert_null(result.returnval.id);
}

/* Counts the changes of a view's list. */
struct listener {
    struct vim_watch watch;
    unsigned added;
    unsigned removed;
    unsigned other;
};

static void listen(struct vim_watch *watch, struct vim_object *object, const struct vim_change *change)
{
    struct listener *listener = (struct listener *)watch;
    (void)object;
    listener->added += change->ref_added != NULL;
    listener->removed += change->ref_removed != NULL;
    listener->other += change->ref_added == NULL && change->ref_removed == NULL;
}

static void test_container_follows(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref view = make_view(f, "ha-folder-root", "VirtualMachine", true);
    struct listener listener = {.watch.changed = listen};
    vim_write_lock(f->server.inventory);
    vim_watch_add(fixture_find(f, view.id), &listener.watch);
    fixture_add_vm(f, "vm-3", "three");
    assert_ids(&content(f, &view)->view, "vm-1 vm-2 vm-3");
    /* It came by three ways, and counts once. */
    g_assert_cmpuint(listener.added, ==, 1);
    vim_ref_list_remove(fixture_find(f, "ha-root-pool"), "vm", &fixture_find(f, "vm-3")->ref);
    vim_ref_list_remove(fixture_find(f, "ha-host"), "vm", &fixture_find(f, "vm-3")->ref);
    g_assert_cmpuint(listener.removed, ==, 0);
    fixture_remove_vm(f, "vm-3");
    assert_ids(&content(f, &view)->view, "vm-1 vm-2");
    g_assert_cmpuint(listener.removed, ==, 1);
    vim_set_text(fixture_find(f, "ha-folder-vm"), "name", "machines");
    g_assert_cmpuint(listener.other, ==, 0);
    vim_watch_remove(fixture_find(f, view.id), &listener.watch);
    vim_write_unlock(f->server.inventory);
    vim_ref_clear(&view);
}

static void test_container_subtree(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref view = make_view(f, "ha-folder-vm", "", true);
    struct vim_inventory *inventory = f->server.inventory;
    vim_write_lock(inventory);
    /* A subtree that is complete before it is put in its place comes as a whole. */
    fixture_add(f, &Folder_type, "group-1", "group", "ha-folder-vm", NULL);
    fixture_add(f, &Folder_type, "group-2", "below", "group-1", "childEntity");
    fixture_add(f, &VirtualMachine_type, "vm-3", "three", "group-2", "childEntity");
    assert_ids(&content(f, &view)->view, "vm-1 vm-2");
    struct vim_object *top = fixture_find(f, "ha-folder-vm");
    vim_ref_list_add(top, "childEntity", &fixture_find(f, "group-1")->ref);
    assert_ids(&content(f, &view)->view, "group-1 group-2 vm-1 vm-2 vm-3");
    /* What comes later below it, too. */
    fixture_add(f, &VirtualMachine_type, "vm-4", "four", "group-2", "childEntity");
    assert_ids(&content(f, &view)->view, "group-1 group-2 vm-1 vm-2 vm-3 vm-4");
    /* A machine that is moved up is not lost with the subtree. */
    vim_ref_list_add(top, "childEntity", &fixture_find(f, "vm-4")->ref);
    vim_ref_list_remove(top, "childEntity", &fixture_find(f, "group-1")->ref);
    assert_ids(&content(f, &view)->view, "vm-1 vm-2 vm-4");
    /* Nobody listens to the subtree any more. */
    g_assert_cmpuint(fixture_find(f, "group-1")->watches->len, ==, 0);
    g_assert_cmpuint(fixture_find(f, "group-2")->watches->len, ==, 0);
    fixture_add(f, &VirtualMachine_type, "vm-5", "five", "group-2", "childEntity");
    assert_ids(&content(f, &view)->view, "vm-1 vm-2 vm-4");
    vim_write_unlock(inventory);
    vim_ref_clear(&view);
}

static void test_container_set_whole(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref view = make_view(f, "ha-datacenter", "", true);
    vim_write_lock(f->server.inventory);
    /* A list that is set as a whole, and a reference that is no list. */
    struct vim_array children = {NULL, 0};
    vim_array_add_ref(&children, &fixture_find(f, "vm-2")->ref);
    vim_set(fixture_find(f, "ha-folder-vm"), "childEntity", &children);
    vim_ref_list_remove(fixture_find(f, "ha-host"), "vm", &fixture_find(f, "vm-1")->ref);
    vim_ref_list_remove(fixture_find(f, "ha-root-pool"), "vm", &fixture_find(f, "vm-1")->ref);
    fixture_add(f, &Folder_type, "other-networks", "other", "ha-datacenter", NULL);
    vim_set_reference(fixture_find(f, "ha-datacenter"), "networkFolder",
                      &fixture_find(f, "other-networks")->ref);
    vim_write_unlock(f->server.inventory);
    assert_ids(&content(f, &view)->view,
               "ds-1 ha-compute-res ha-folder-datastore ha-folder-host ha-folder-vm ha-host ha-root-pool "
               "other-networks vm-2");
    vim_ref_clear(&view);
}

static void test_container_not_recursive_follows(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref view = make_view(f, "ha-folder-vm", "", false);
    vim_write_lock(f->server.inventory);
    fixture_add(f, &Folder_type, "group-1", "group", "ha-folder-vm", "childEntity");
    fixture_add(f, &VirtualMachine_type, "vm-3", "three", "group-1", "childEntity");
    assert_ids(&content(f, &view)->view, "group-1 vm-1 vm-2");
    vim_write_unlock(f->server.inventory);
    vim_ref_clear(&view);
}

static guint count_watches(struct fixture *f)
{
    GPtrArray *objects = vim_inventory_objects(f->server.inventory);
    guint n = 0;
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *object = g_ptr_array_index(objects, i);
        n += object->watches != NULL ? object->watches->len : 0;
    }
    return n;
}

static void test_destroy(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref view = make_view(f, "ha-folder-root", "", true);
    struct vim_ref other = make_view(f, "ha-folder-root", "", true);
    g_assert_cmpuint(count_watches(f), >, 0);
    struct DestroyView_args args = {0};
    struct vim_call call = fixture_call(f, &f->guest, &ContainerView_type, view.id);
    assert_fault(vim_container_view_methods.DestroyView(&call, &args), "ManagedObjectNotFound");
    call.session = &f->root;
    assert_success(vim_container_view_methods.DestroyView(&call, &args));
    g_assert_null(vim_inventory_find(f->server.inventory, view.id));
    g_assert_false(g_hash_table_contains(f->root.objects, view.id));
    assert_fault(vim_container_view_methods.DestroyView(&call, &args), "ManagedObjectNotFound");
    /* The other one goes with its session. Nothing is left that listens. */
    fixture_session_end(f, &f->root);
    g_assert_null(vim_inventory_find(f->server.inventory, other.id));
    g_assert_cmpuint(count_watches(f), ==, 0);
    vim_write_lock(f->server.inventory);
    fixture_add_vm(f, "vm-3", "three");
    vim_write_unlock(f->server.inventory);
    vim_ref_clear(&view);
    vim_ref_clear(&other);
}

static void test_session_has_ended(struct fixture *f, gconstpointer data)
{
    (void)data;
    fixture_session_end(f, &f->guest);
    struct vim_call call = fixture_call(f, &f->guest, &ViewManager_type, "ViewManager");
    struct CreateContainerView_args args = {.container = fixture_ref(f, "ha-folder-vm")};
    struct CreateContainerView_result result = {0};
    assert_fault(vim_view_manager_methods.CreateContainerView(&call, &args, &result), "NotAuthenticated");
}

/* A container can go while a view looks into it. */
static void test_container_gone(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_write_lock(f->server.inventory);
    fixture_add(f, &Folder_type, "group-1", "group", "ha-folder-vm", "childEntity");
    fixture_add(f, &Folder_type, "group-2", "below", "group-1", "childEntity");
    vim_write_unlock(f->server.inventory);
    struct vim_ref view = make_view(f, "group-1", "", true);
    vim_write_lock(f->server.inventory);
    vim_ref_list_remove(fixture_find(f, "group-1"), "childEntity", &fixture_find(f, "group-2")->ref);
    vim_inventory_remove(f->server.inventory, fixture_find(f, "group-2"));
    vim_ref_list_remove(fixture_find(f, "ha-folder-vm"), "childEntity", &fixture_find(f, "group-1")->ref);
    vim_inventory_remove(f->server.inventory, fixture_find(f, "group-1"));
    vim_write_unlock(f->server.inventory);
    assert_ids(&content(f, &view)->view, "");
    vim_ref_clear(&view);
}

static void test_inventory_view(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_call call = fixture_call(f, &f->root, &ViewManager_type, "ViewManager");
    struct CreateInventoryView_args args = {0};
    struct CreateInventoryView_result result = {0};
    assert_success(vim_view_manager_methods.CreateInventoryView(&call, &args, &result));
    assert_ids(&content(f, &result.returnval)->view, "ha-folder-root");
    struct DestroyView_args destroy = {0};
    call = fixture_call(f, &f->root, &InventoryView_type, result.returnval.id);
    assert_success(vim_inventory_view_methods.DestroyView(&call, &destroy));
    vim_ref_clear(&result.returnval);
}

/* ---- list views ------------------------------------------------------------------------------------- */

static struct vim_ref make_list(struct fixture *f, struct vim_ref *refs, uint32_t n)
{
    struct vim_call call = fixture_call(f, &f->root, &ViewManager_type, "ViewManager");
    struct CreateListView_args args = {.obj = {refs, n}};
    struct CreateListView_result result = {0};
    assert_success(vim_view_manager_methods.CreateListView(&call, &args, &result));
    return result.returnval;
}

static void clear_refs(void *array)
{
    struct vim_array *refs = array;
    for (uint32_t i = 0; i < refs->n; i++) {
        vim_ref_clear(&((struct vim_ref *)refs->items)[i]);
    }
    g_free(refs->items);
}

static void test_list_create(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref refs[] = {fixture_ref(f, "vm-1"), fixture_ref(f, "ha-taskmgr"), fixture_ref(f, "vm-1")};
    struct vim_ref view = make_list(f, refs, 3);
    assert_ids(&content(f, &view)->view, "ha-taskmgr vm-1");
    struct vim_ref empty = make_list(f, NULL, 0);
    assert_ids(&content(f, &empty)->view, "");
    struct vim_call call = fixture_call(f, &f->root, &ViewManager_type, "ViewManager");
    struct vim_ref missing[] = {fixture_ref(f, "vm-1"), {&VirtualMachine_type, "vm-9"}};
    struct CreateListView_args args = {.obj = {missing, 2}};
    struct CreateListView_result result = {0};
    assert_fault(vim_view_manager_methods.CreateListView(&call, &args, &result), "ManagedObjectNotFound");
    /* Another session's objects do not exist. */
    call.session = &f->guest;
    args = (struct CreateListView_args){.obj = {&view, 1}};
    assert_fault(vim_view_manager_methods.CreateListView(&call, &args, &result), "ManagedObjectNotFound");
    vim_ref_clear(&view);
    vim_ref_clear(&empty);
}

static void test_list_modify(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref refs[] = {fixture_ref(f, "vm-1"), fixture_ref(f, "vm-2")};
    struct vim_ref view = make_list(f, refs, 2);
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_VIEW, "net-1");
    struct vim_ref add[] = {fixture_ref(f, "vm-2"),
                            fixture_ref(f, "ds-1"),
                            {&VirtualMachine_type, "vm-9"},
                            fixture_ref(f, "ds-1"),
                            fixture_ref(f, "net-1")};
    struct vim_call call = fixture_call(f, &f->root, &ListView_type, view.id);
    struct ModifyListView_args args = {.add = {add, 5}, .remove = {refs, 1}};
    struct ModifyListView_result result = {0};
    assert_success(vim_list_view_methods.ModifyListView(&call, &args, &result));
    assert_ids(&content(f, &view)->view, "ds-1 vm-2");
    assert_ids(&result.returnval, "net-1 vm-9");
    clear_refs(&result.returnval);
    call.session = &f->guest;
    result = (struct ModifyListView_result){0};
    assert_fault(vim_list_view_methods.ModifyListView(&call, &args, &result), "ManagedObjectNotFound");
    vim_ref_clear(&view);
}

static void test_list_many(struct fixture *f, gconstpointer data)
{
    (void)data;
    enum { N = 100 };
    struct vim_ref refs[N];
    vim_write_lock(f->server.inventory);
    for (int i = 0; i < N; i++) {
        g_autofree char *id = g_strdup_printf("many-%02d", i);
        refs[i] = fixture_add_vm(f, id, id)->ref;
    }
    vim_write_unlock(f->server.inventory);
    struct vim_ref view = make_list(f, refs, N);
    g_assert_cmpuint(content(f, &view)->view.n, ==, N);
    struct vim_call call = fixture_call(f, &f->root, &ListView_type, view.id);
    struct ModifyListView_args args = {.remove = {refs, N - 2}};
    struct ModifyListView_result result = {0};
    assert_success(vim_list_view_methods.ModifyListView(&call, &args, &result));
    assert_ids(&content(f, &view)->view, "many-98 many-99");
    vim_ref_clear(&view);
}

static void test_list_reset(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_ref refs[] = {fixture_ref(f, "vm-1"), {&VirtualMachine_type, "vm-9"}};
    struct vim_ref view = make_list(f, refs, 1);
    struct vim_call call = fixture_call(f, &f->root, &ListView_type, view.id);
    struct ResetListView_args args = {.obj = {refs, 2}};
    struct ResetListView_result result = {0};
    assert_success(vim_list_view_methods.ResetListView(&call, &args, &result));
    assert_ids(&content(f, &view)->view, "vm-1");
    assert_ids(&result.returnval, "vm-9");
    clear_refs(&result.returnval);
    /* From another view, into this one and into a new one. */
    struct vim_ref all = make_view(f, "ha-host", "", true);
    struct ResetListViewFromView_args from = {.view = all};
    assert_success(vim_list_view_methods.ResetListViewFromView(&call, &from));
    assert_ids(&content(f, &view)->view, "vm-1 vm-2");
    call = fixture_call(f, &f->root, &ViewManager_type, "ViewManager");
    struct CreateListViewFromView_args copy = {.view = all};
    struct CreateListViewFromView_result made = {0};
    assert_success(vim_view_manager_methods.CreateListViewFromView(&call, &copy, &made));
    assert_ids(&content(f, &made.returnval)->view, "vm-1 vm-2");
    vim_ref_clear(&made.returnval);
    made = (struct CreateListViewFromView_result){0};
    call.session = &f->guest;
    assert_fault(vim_view_manager_methods.CreateListViewFromView(&call, &copy, &made),
                 "ManagedObjectNotFound");
    copy.view = fixture_ref(f, "vm-1");
    call.session = &f->root;
    assert_fault(vim_view_manager_methods.CreateListViewFromView(&call, &copy, &made),
                 "ManagedObjectNotFound");
    vim_ref_clear(&all);
    vim_ref_clear(&view);
}

#define ADD(path, function) g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/view/container/lists", test_container_lists);
    ADD("/view/container/properties", test_container_properties);
    ADD("/view/container/refused", test_container_refused);
    ADD("/view/container/follows", test_container_follows);
    ADD("/view/container/subtree", test_container_subtree);
    ADD("/view/container/set-whole", test_container_set_whole);
    ADD("/view/container/not-recursive", test_container_not_recursive_follows);
    ADD("/view/container/gone", test_container_gone);
    ADD("/view/destroy", test_destroy);
    ADD("/view/session-has-ended", test_session_has_ended);
    ADD("/view/inventory", test_inventory_view);
    ADD("/view/list/create", test_list_create);
    ADD("/view/list/modify", test_list_modify);
    ADD("/view/list/many", test_list_many);
    ADD("/view/list/reset", test_list_reset);
    return g_test_run();
}
