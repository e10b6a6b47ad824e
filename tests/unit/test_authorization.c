// SPDX-License-Identifier: Apache-2.0
/*
 * Authorization: what permissions allow along the tree, the AuthorizationManager's methods with their refusals,
 * that a change is saved before it is seen, and what the inventory and the events tell of it.
 */
#include "authorization_fixture.h"

#include "base/worker_pool.h"

/* ---- decisions ------------------------------------------------------------------------------------ */

static void test_first_start(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    for (int i = 0; i < 2; i++) {
        g_assert_true(ALLOWED("root", ROOT, AUTHORIZATION_MODIFY_ROLES));
        g_assert_true(ALLOWED("root", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
        g_assert_true(ALLOWED("root", "ha-sessionmgr", SESSIONS_TERMINATE_SESSION));
        g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
        g_assert_true(ALLOWED("alice", "vm-1", SYSTEM_ANONYMOUS));
        g_assert_true(ALLOWED(NULL, ROOT, SYSTEM_ANONYMOUS));
        g_assert_false(ALLOWED(NULL, ROOT, SYSTEM_VIEW));
        g_assert_cmpuint(shown_permissions(fixture, ROOT), ==, 1);
        restart(test);
    }
    const struct AuthorizationManager *manager =
        VIM_PROPERTIES(fixture_object(fixture, "ha-authmgr"), AuthorizationManager);
    g_assert_cmpuint(manager->roleList.n, ==, 5);
    for (int32_t id = -5; id < 0; id++) {
        g_assert_true(shown_role(fixture, id)->system);
    }
    g_assert_cmpstr(shown_role(fixture, -5)->name, ==, "NoAccess");
    g_assert_cmpuint(shown_role(fixture, -5)->privilege.n, ==, 0);
    g_assert_cmpuint(shown_role(fixture, -4)->privilege.n, ==, 1);
    g_assert_cmpuint(shown_role(fixture, -3)->privilege.n, ==, 2);
    g_assert_cmpuint(shown_role(fixture, -2)->privilege.n, ==, 3);
    g_assert_cmpuint(shown_role(fixture, -1)->privilege.n, ==, vim_n_privileges);
    g_assert_cmpuint(manager->privilegeList.n, ==, vim_n_privileges);
    g_assert_cmpstr(manager->privilegeList.items[3]->privGroupName, ==, "Authorization");
    g_assert_cmpstr(manager->privilegeList.items[3]->name, ==, "ModifyPermissions");
    g_assert_cmpstr(manager->description->privilege.items[3]->label, ==, "Modify permissions");
    g_assert_cmpuint(manager->description->privilegeGroup.n, >, 10);
}

static void test_tree(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    give(test, "alice", DATACENTER, -1, true);
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_true(ALLOWED("alice", DATACENTER, DATACENTER_RENAME));
    g_assert_false(ALLOWED("alice", ROOT, FOLDER_RENAME));
    g_assert_false(ALLOWED("alice", "ha-sessionmgr", SESSIONS_TERMINATE_SESSION)); /* counts as the root */
    g_assert_true(ALLOWED("alice", ROOT, SYSTEM_VIEW)); /* the way to what she may see */
    g_assert_false(ALLOWED("alice", ROOT, SYSTEM_READ));
    g_assert_true(ALLOWED("alice", "ha-sessionmgr", SYSTEM_VIEW));

    give(test, "alice", VM_FOLDER, -2, false); /* here only */
    g_assert_false(ALLOWED("alice", VM_FOLDER, FOLDER_RENAME));
    g_assert_true(ALLOWED("alice", VM_FOLDER, SYSTEM_READ));
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));

    give(test, "alice", VM_FOLDER, -5, true);
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    g_assert_false(ALLOWED("alice", VM_FOLDER, SYSTEM_VIEW));
    g_assert_true(ALLOWED("alice", DATACENTER, DATACENTER_RENAME));
    give(test, "alice", "vm-2", -2, true);
    g_assert_true(ALLOWED("alice", "vm-2", SYSTEM_READ));
    g_assert_true(ALLOWED("alice", VM_FOLDER, SYSTEM_VIEW)); /* above vm-2 */
    g_assert_false(ALLOWED("alice", VM_FOLDER, SYSTEM_READ));
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    g_assert_false(ALLOWED("bob", "vm-1", SYSTEM_VIEW));

    g_assert_cmpuint(shown_permissions(fixture, VM_FOLDER), ==, 1);
    restart(test);
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    g_assert_true(ALLOWED("alice", "vm-2", SYSTEM_READ));
    g_assert_cmpuint(shown_permissions(fixture, VM_FOLDER), ==, 1);

    give(test, "bob", DATACENTER, -5, true); /* only takes away */
    g_assert_false(ALLOWED("bob", ROOT, SYSTEM_VIEW));
}

static bool reads_everything(struct fixture *fixture, const char *user)
{
    struct vim_session session = {.user_name = (char *)user};
    vim_read_lock(fixture->server.inventory);
    struct vim_reader reader = vim_reader_new(fixture->server.authorization, &session);
    /* Whether known beforehand or not, the answer is the same. */
    struct vim_reader careful = reader;
    careful.everything = false;
    const char *ids[] = {ROOT, DATACENTER, VM_FOLDER, "vm-1", "ha-authmgr"};
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        struct vim_object *object = fixture_object(fixture, ids[i]);
        g_assert_true(vim_may_read(&reader, object) == vim_may_read(&careful, object));
    }
    vim_read_unlock(fixture->server.inventory);
    return reader.everything;
}

static void test_reader(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    g_assert_true(reads_everything(fixture, "root"));
    g_assert_false(reads_everything(fixture, "alice"));
    give(test, "alice", ROOT, -2, false);
    g_assert_false(reads_everything(fixture, "alice"));
    give(test, "alice", ROOT, -2, true);
    g_assert_true(reads_everything(fixture, "alice"));
    give(test, "bob", "vm-1", -5, true);
    g_assert_true(reads_everything(fixture, "alice")); /* his is not hers */
    give(test, "alice", "vm-1", -5, true);
    g_assert_false(reads_everything(fixture, "alice"));

    struct vim_session alice = {.user_name = (char *)"alice"};
    struct {
        int32_t *items;
        uint32_t n;
    } roles = {0};
    vim_effective_roles(fixture->server.authorization, &alice, fixture_object(fixture, "vm-2"),
                        (struct vim_array *)&roles);
    vim_effective_roles(fixture->server.authorization, &alice, fixture_object(fixture, "vm-1"),
                        (struct vim_array *)&roles);
    g_assert_cmpuint(roles.n, ==, 2);
    g_assert_cmpint(roles.items[0], ==, -2);
    g_assert_cmpint(roles.items[1], ==, -5);
    g_free(roles.items);
}

/* ---- roles ---------------------------------------------------------------------------------------- */

static void test_roles(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    guint next = 0;
    int32_t id = 0, other = 0;
    assert_ok(add_role(&test->call, "Operator", "VirtualMachine.Interact.PowerOn", &id));
    g_assert_cmpint(id, ==, 1);
    const struct AuthorizationRole *role = shown_role(fixture, id);
    g_assert_cmpstr(role->name, ==, "Operator");
    g_assert_false(role->system);
    g_assert_cmpuint(role->privilege.n, ==, 4); /* with System.Anonymous, View, Read */
    g_assert_cmpstr(role->privilege.items[0], ==, "System.Anonymous");
    struct RoleAddedEvent *added = assert_event(fixture, &next, &RoleAddedEvent_type);
    g_assert_cmpint(added->role->roleId, ==, id);
    g_assert_cmpuint(added->privilegeList.n, ==, 4);
    g_assert_cmpstr(added->userName, ==, "root");

    g_autofree char *long_name = g_strnfill(81, 'x');
    assert_fault(add_role(&test->call, "Operator", NULL, &other), &AlreadyExists_type);
    assert_fault(add_role(&test->call, "Admin", NULL, &other), &AlreadyExists_type);
    assert_fault(add_role(&test->call, "", NULL, &other), &InvalidName_type);
    assert_fault(add_role(&test->call, long_name, NULL, &other), &InvalidName_type);
    assert_fault(add_role(&test->call, "a\nb", NULL, &other), &InvalidName_type);
    assert_invalid_argument(add_role(&test->call, "Other", "No.Such", &other), "privIds");
    g_assert_cmpint(other, ==, 0);
    g_assert_cmpuint(fixture->events->len, ==, next);

    give(test, "alice", "vm-1", id, true);
    assert_event(fixture, &next, &PermissionAddedEvent_type);
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    char *ids[] = {(char *)"VirtualMachine.Interact.PowerOff"};
    struct UpdateAuthorizationRole_args update = {.roleId = id, .newName = "Stopper", .privIds = {ids, 1}};
    assert_ok(methods->UpdateAuthorizationRole(&test->call, &update));
    g_assert_false(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_OFF));
    g_assert_cmpstr(shown_role(fixture, id)->name, ==, "Stopper");
    struct RoleUpdatedEvent *updated = assert_event(fixture, &next, &RoleUpdatedEvent_type);
    g_assert_cmpstr(updated->prevRoleName, ==, "Operator");
    g_assert_cmpuint(updated->privilegesAdded.n, ==, 1);
    g_assert_cmpstr(updated->privilegesAdded.items[0], ==, "VirtualMachine.Interact.PowerOff");
    g_assert_cmpstr(updated->privilegesRemoved.items[0], ==, "VirtualMachine.Interact.PowerOn");
    assert_ok(methods->UpdateAuthorizationRole(&test->call, &update)); /* keeps its own name */
    update.newName = "ReadOnly";
    assert_fault(methods->UpdateAuthorizationRole(&test->call, &update), &AlreadyExists_type);
    update.newName = "";
    assert_fault(methods->UpdateAuthorizationRole(&test->call, &update), &InvalidName_type);
    update = (struct UpdateAuthorizationRole_args){.roleId = 99, .newName = "x"};
    assert_fault(methods->UpdateAuthorizationRole(&test->call, &update), &NotFound_type);
    update.roleId = -1;
    assert_invalid_argument(methods->UpdateAuthorizationRole(&test->call, &update), "roleId");

    restart(test);
    g_assert_cmpstr(shown_role(fixture, id)->name, ==, "Stopper");
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_OFF));
    g_assert_false(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
}

static struct vim_fault *remove_role(struct test *test, int32_t id, bool fail_if_used)
{
    struct RemoveAuthorizationRole_args args = {.roleId = id, .failIfUsed = fail_if_used};
    return methods->RemoveAuthorizationRole(&test->call, &args);
}

static void test_remove_role(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    int32_t id = 0, other = 0;
    assert_ok(add_role(&test->call, "Used", "VirtualMachine.Interact.PowerOn", &id));
    give(test, "alice", "vm-1", id, true);
    assert_fault(remove_role(test, id, true), &RemoveFailed_type);
    assert_fault(remove_role(test, 99, false), &NotFound_type);
    assert_invalid_argument(remove_role(test, -2, false), "roleId");
    g_assert_true(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    g_assert_nonnull(shown_role(fixture, id));
    guint next = fixture->events->len;
    assert_ok(remove_role(test, id, false));
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    g_assert_null(shown_role(fixture, id));
    g_assert_cmpuint(shown_permissions(fixture, "vm-1"), ==, 0);
    assert_event(fixture, &next, &RoleRemovedEvent_type);
    assert_event(fixture, &next, &PermissionRemovedEvent_type);
    assert_ok(add_role(&test->call, "Other", NULL, &other));
    g_assert_cmpint(other, ==, id + 1); /* an id is not given again */
    assert_ok(remove_role(test, other, true));
}

/* ---- permissions ---------------------------------------------------------------------------------- */

static void test_permission_faults(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    struct vim_call *call = &test->call;
    assert_fault(give_by(call, "nobody", "vm-1", -2, true), &UserNotFound_type);
    assert_fault(give_by(call, "alice", "vm-1", 99, true), &NotFound_type);
    assert_invalid_argument(give_by(call, "alice", "vm-1", -3, true), "roleId");
    assert_invalid_argument(give_by(call, "alice", "vm-1", -4, true), "roleId");
    assert_fault(take(call, "alice", "vm-1"), &NotFound_type);
    assert_fault(take(call, "root", "vm-1"), &NotFound_type); /* it is on the root folder */

    struct Permission good = {&Permission_type, .principal = (char *)"alice", .roleId = -2};
    struct Permission group = {&Permission_type, .principal = (char *)"wheel", .roleId = -2, .group = true};
    struct Permission *list[] = {&good, &group};
    struct SetEntityPermissions_args args = {.entity = fixture_object(fixture, "vm-1")->ref,
                                             .permission = {list, 2}};
    assert_fault(methods->SetEntityPermissions(call, &args), &UserNotFound_type);
    g_assert_cmpuint(shown_permissions(fixture, "vm-1"), ==, 0); /* all or nothing */
    args.entity = (struct vim_ref){&VirtualMachine_type, (char *)"vm-3"};
    args.permission.n = 1;
    assert_fault(methods->SetEntityPermissions(call, &args), &ManagedObjectNotFound_type);
    args.entity = (struct vim_ref){&Folder_type, (char *)"vm-1"};
    assert_fault(methods->SetEntityPermissions(call, &args), &ManagedObjectNotFound_type);
    g_assert_cmpuint(fixture->events->len, ==, 0);
    /* A reference may name the base type; what is kept names the real one. */
    args.entity.type = &ManagedEntity_type;
    assert_ok(methods->SetEntityPermissions(call, &args));
    g_assert_true(
        VIM_PROPERTIES(fixture_object(fixture, "vm-1"), VirtualMachine)->permission.items[0]->entity.type ==
        &VirtualMachine_type);
}

static void test_permission_events(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    guint next = 0;
    give(test, "alice", "vm-1", -2, true);
    struct PermissionAddedEvent *added = assert_event(fixture, &next, &PermissionAddedEvent_type);
    g_assert_cmpstr(added->principal, ==, "alice");
    g_assert_cmpstr(added->entity->name, ==, "vm-1");
    g_assert_cmpint(added->role->roleId, ==, -2);
    give(test, "alice", "vm-1", -2, true); /* no change, no event */
    give(test, "alice", "vm-1", -1, false);
    struct PermissionUpdatedEvent *updated = assert_event(fixture, &next, &PermissionUpdatedEvent_type);
    g_assert_cmpint(updated->role->roleId, ==, -1);
    g_assert_cmpint(updated->prevRole->roleId, ==, -2);
    g_assert_false(updated->propagate);
    g_assert_true(updated->prevPropagate.set && updated->prevPropagate.value);
    assert_ok(take(&test->call, "alice", "vm-1"));
    assert_event(fixture, &next, &PermissionRemovedEvent_type);
    g_assert_cmpuint(fixture->events->len, ==, next);

    struct Permission one = {&Permission_type, .principal = (char *)"alice", .roleId = -2};
    struct Permission same = {&Permission_type, .principal = (char *)"alice", .roleId = -1};
    struct Permission two = {&Permission_type, .principal = (char *)"bob", .roleId = -2};
    struct Permission *list[] = {&one, &same, &two};
    struct ResetEntityPermissions_args args = {.entity = fixture_object(fixture, "vm-1")->ref,
                                               .permission = {list, 3}};
    assert_ok(methods->ResetEntityPermissions(&test->call, &args));
    g_assert_cmpuint(shown_permissions(fixture, "vm-1"), ==, 2); /* the last one of alice counts */
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_RESET));
    args.permission.items = &list[2];
    args.permission.n = 1;
    assert_ok(methods->ResetEntityPermissions(&test->call, &args));
    g_assert_cmpuint(shown_permissions(fixture, "vm-1"), ==, 1);
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    args.permission.n = 0;
    assert_ok(methods->ResetEntityPermissions(&test->call, &args));
    g_assert_cmpuint(shown_permissions(fixture, "vm-1"), ==, 0);
}

static void test_last_admin(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    struct vim_call *call = &test->call;
    struct MergePermissions_args merge = {.srcRoleId = -1, .dstRoleId = -2};
    struct ResetEntityPermissions_args reset = {.entity = fixture->server.root_folder};
    const struct vim_type *fault = &AuthMinimumAdminPermission_type;
    give(test, "alice", DATACENTER, -1, true); /* is not the root */
    assert_fault(take(call, "root", ROOT), fault);
    assert_fault(give_by(call, "root", ROOT, -2, true), fault);
    assert_fault(give_by(call, "root", ROOT, -1, false), fault);
    assert_fault(methods->ResetEntityPermissions(call, &reset), fault);
    assert_fault(methods->MergePermissions(call, &merge), fault);
    g_assert_true(ALLOWED("root", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    give(test, "alice", ROOT, -1, true);
    assert_ok(take(call, "root", ROOT));
    g_assert_false(ALLOWED("root", "vm-1", SYSTEM_VIEW));
}

static void test_no_escalation(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    int32_t delegate = 0, strong = 0, other = 0;
    assert_ok(add_role(&test->call, "Delegate", "Authorization.ModifyPermissions", &delegate));
    assert_ok(add_role(&test->call, "Strong", "VirtualMachine.Interact.PowerOn", &strong));
    give(test, "alice", VM_FOLDER, delegate, true);
    give(test, "bob", "vm-1", strong, true);
    struct vim_session *alice = login(fixture, "alice");
    struct vim_call call = fixture_call(fixture, "ha-authmgr", alice);
    assert_ok(give_by(&call, "carol", "vm-1", -2, true));
    assert_ok(give_by(&call, "carol", "vm-1", delegate, true));
    assert_ok(take(&call, "carol", "vm-1"));
    assert_fault(give_by(&call, "alice", "vm-1", -1, true), &NoPermission_type);
    assert_fault(give_by(&call, "alice", "vm-1", strong, true), &NoPermission_type);
    assert_fault(give_by(&call, "bob", "vm-1", -5, true), &NoPermission_type); /* takes what she has not */
    assert_fault(take(&call, "bob", "vm-1"), &NoPermission_type);
    assert_fault(give_by(&call, "carol", DATACENTER, -2, true), &NoPermission_type);
    struct ResetEntityPermissions_args reset = {.entity = fixture_object(fixture, "vm-1")->ref};
    assert_fault(methods->ResetEntityPermissions(&call, &reset), &NoPermission_type);
    /* Roles are the root's: with the right to change roles alone none can be made stronger. */
    assert_fault(add_role(&call, "Mine", "VirtualMachine.Interact.PowerOn", &other), &NoPermission_type);
    char *ids[] = {(char *)"VirtualMachine.Interact.PowerOn"};
    struct UpdateAuthorizationRole_args update = {
        .roleId = delegate, .newName = "Delegate", .privIds = {ids, 1}};
    assert_fault(methods->UpdateAuthorizationRole(&call, &update), &NoPermission_type);
    struct MergePermissions_args merge = {.srcRoleId = delegate, .dstRoleId = strong};
    assert_fault(methods->MergePermissions(&call, &merge), &NoPermission_type);
    g_assert_true(ALLOWED("bob", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_false(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    fixture_call_clear(&call);
    vim_session_unref(alice);
}

static void test_merge(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    int32_t from = 0, to = 0;
    assert_ok(add_role(&test->call, "From", "VirtualMachine.Interact.PowerOn", &from));
    assert_ok(add_role(&test->call, "To", "VirtualMachine.Interact.PowerOff", &to));
    give(test, "alice", "vm-1", from, true);
    give(test, "alice", "vm-2", to, true);
    give(test, "bob", "vm-2", from, false);
    guint next = fixture->events->len;
    assert_ok(methods->MergePermissions(&test->call,
                                        &(struct MergePermissions_args){.srcRoleId = from, .dstRoleId = to}));
    g_assert_false(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_OFF));
    g_assert_true(ALLOWED("bob", "vm-2", VIRTUAL_MACHINE_INTERACT_POWER_OFF));
    g_assert_cmpuint(fixture->events->len, ==, next + 2);
    struct RetrieveRolePermissions_result result = {0};
    struct RetrieveRolePermissions_args args = {.roleId = to};
    assert_ok(methods->RetrieveRolePermissions(&test->call, &args, &result));
    g_assert_cmpuint(result.returnval.n, ==, 3);
    result_clear("RetrieveRolePermissions", &result);
    args.roleId = from;
    assert_ok(methods->RetrieveRolePermissions(&test->call, &args, &result));
    g_assert_cmpuint(result.returnval.n, ==, 0);
    args.roleId = 99;
    assert_fault(methods->RetrieveRolePermissions(&test->call, &args, &result), &NotFound_type);
    assert_fault(methods->MergePermissions(&test->call,
                                           &(struct MergePermissions_args){.srcRoleId = 99, .dstRoleId = to}),
                 &NotFound_type);
    assert_fault(methods->MergePermissions(&test->call,
                                           &(struct MergePermissions_args){.srcRoleId = to, .dstRoleId = 99}),
                 &NotFound_type);
    assert_invalid_argument(
        methods->MergePermissions(&test->call,
                                  &(struct MergePermissions_args){.srcRoleId = to, .dstRoleId = -4}),
        "dstRoleId");
}

static uint32_t count_entity(struct vim_call *call, const char *id, bool inherited)
{
    struct RetrieveEntityPermissions_args args = {
        .entity = fixture_object((struct fixture *)call->server, id)->ref, .inherited = inherited};
    struct RetrieveEntityPermissions_result result = {0};
    assert_ok(methods->RetrieveEntityPermissions(call, &args, &result));
    uint32_t n = result.returnval.n;
    result_clear("RetrieveEntityPermissions", &result);
    return n;
}

static uint32_t count_all(struct vim_call *call)
{
    struct RetrieveAllPermissions_result result = {0};
    assert_ok(methods->RetrieveAllPermissions(call, NULL, &result));
    uint32_t n = result.returnval.n;
    result_clear("RetrieveAllPermissions", &result);
    return n;
}

static void test_retrieve(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    give(test, "alice", DATACENTER, -1, true);
    give(test, "alice", "vm-1", -2, true);
    give(test, "bob", VM_FOLDER, -2, false);
    g_assert_cmpuint(count_entity(&test->call, "vm-1", false), ==, 1);
    g_assert_cmpuint(count_entity(&test->call, "vm-1", true), ==, 2); /* alice's own, and root's from above */
    g_assert_cmpuint(count_entity(&test->call, "vm-2", false), ==, 0);
    g_assert_cmpuint(count_entity(&test->call, "vm-2", true), ==, 2);
    g_assert_cmpuint(count_entity(&test->call, VM_FOLDER, true), ==, 3);
    g_assert_cmpuint(count_all(&test->call), ==, 4);

    struct vim_session *bob = login(fixture, "bob");
    struct vim_call call = fixture_call(fixture, "ha-authmgr", bob);
    g_assert_cmpuint(count_all(&call), ==, 3); /* not the one on vm-1, which he cannot see */
    g_assert_cmpuint(count_entity(&call, VM_FOLDER, false), ==, 1);
    struct RetrieveEntityPermissions_args args = {.entity = fixture_object(fixture, "vm-1")->ref};
    struct RetrieveEntityPermissions_result result = {0};
    assert_fault(methods->RetrieveEntityPermissions(&call, &args, &result), &NoPermission_type);
    fixture_call_clear(&call);
    vim_session_unref(bob);
}

/* ---- asking about privileges ---------------------------------------------------------------------- */

static void test_has_privilege(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    give(test, "alice", "vm-1", -2, true);
    struct vim_session *alice = login(fixture, "alice");
    struct vim_call call = fixture_call(fixture, "ha-authmgr", alice);
    char *ids[] = {(char *)"VirtualMachine.Interact.PowerOn", (char *)"System.Read"};
    struct HasPrivilegeOnEntity_args args = {
        .entity = fixture_object(fixture, "vm-1")->ref, .sessionId = alice->key, .privId = {ids, 2}};
    struct HasPrivilegeOnEntity_result result = {0};
    assert_ok(methods->HasPrivilegeOnEntity(&call, &args, &result));
    g_assert_cmpuint(result.returnval.n, ==, 2);
    g_assert_false(result.returnval.items[0]);
    g_assert_true(result.returnval.items[1]);
    result_clear("HasPrivilegeOnEntity", &result);
    args.sessionId = test->root->key;
    assert_fault(methods->HasPrivilegeOnEntity(&call, &args, &result), &NoPermission_type);
    args.sessionId = (char *)"none";
    assert_invalid_argument(methods->HasPrivilegeOnEntity(&call, &args, &result), "sessionId");
    args.sessionId = alice->key;
    assert_ok(methods->HasPrivilegeOnEntity(&test->call, &args, &result)); /* root asks about hers */
    g_assert_false(result.returnval.items[0]);
    result_clear("HasPrivilegeOnEntity", &result);
    ids[0] = (char *)"No.Such";
    assert_invalid_argument(methods->HasPrivilegeOnEntity(&call, &args, &result), "privId");
    ids[0] = (char *)"VirtualMachine.Interact.PowerOn";
    args.entity = (struct vim_ref){&VirtualMachine_type, (char *)"vm-3"};
    assert_fault(methods->HasPrivilegeOnEntity(&call, &args, &result), &ManagedObjectNotFound_type);

    struct vim_ref entities[] = {fixture_object(fixture, "vm-1")->ref, fixture_object(fixture, "vm-2")->ref};
    struct HasPrivilegeOnEntities_args many = {
        .entity = {entities, 2}, .sessionId = alice->key, .privId = {ids, 2}};
    struct HasPrivilegeOnEntities_result seen = {0};
    assert_ok(methods->HasPrivilegeOnEntities(&call, &many, &seen));
    g_assert_cmpuint(seen.returnval.n, ==, 2);
    g_assert_cmpstr(seen.returnval.items[0]->privAvailability.items[1]->privId, ==, "System.Read");
    g_assert_true(seen.returnval.items[0]->privAvailability.items[1]->isGranted);
    g_assert_false(seen.returnval.items[1]->privAvailability.items[1]->isGranted);
    result_clear("HasPrivilegeOnEntities", &seen);
    fixture_call_clear(&call);
    vim_session_unref(alice);
}

static void test_user_privileges(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    give(test, "alice", VM_FOLDER, -2, true);
    struct vim_session *alice = login(fixture, "alice");
    struct vim_call call = fixture_call(fixture, "ha-authmgr", alice);
    struct vim_ref entities[] = {fixture_object(fixture, "vm-1")->ref, fixture_object(fixture, ROOT)->ref};
    struct FetchUserPrivilegeOnEntities_args fetch = {.entities = {entities, 2}, .userName = "alice"};
    struct FetchUserPrivilegeOnEntities_result fetched = {0};
    assert_ok(methods->FetchUserPrivilegeOnEntities(&call, &fetch, &fetched));
    g_assert_cmpuint(fetched.returnval.n, ==, 2);
    g_assert_cmpuint(fetched.returnval.items[0]->privileges.n, ==, 3);
    g_assert_cmpuint(fetched.returnval.items[1]->privileges.n, ==, 2); /* Anonymous, View: the way to hers */
    result_clear("FetchUserPrivilegeOnEntities", &fetched);
    fetch.userName = "root";
    assert_fault(methods->FetchUserPrivilegeOnEntities(&call, &fetch, &fetched), &NoPermission_type);
    fetch.userName = "alice";
    assert_ok(methods->FetchUserPrivilegeOnEntities(&test->call, &fetch, &fetched));
    g_assert_cmpuint(fetched.returnval.items[0]->privileges.n, ==, 3);
    result_clear("FetchUserPrivilegeOnEntities", &fetched);

    char *ids[] = {(char *)"System.Read"};
    struct HasUserPrivilegeOnEntities_args has = {
        .entities = {entities, 2}, .userName = "alice", .privId = {ids, 1}};
    struct HasUserPrivilegeOnEntities_result seen = {0};
    assert_ok(methods->HasUserPrivilegeOnEntities(&call, &has, &seen));
    g_assert_true(seen.returnval.items[0]->privAvailability.items[0]->isGranted);
    g_assert_false(seen.returnval.items[1]->privAvailability.items[0]->isGranted);
    result_clear("HasUserPrivilegeOnEntities", &seen);
    fixture_call_clear(&call);
    vim_session_unref(alice);
}

/* ---- users and groups ----------------------------------------------------------------------------- */

static struct vim_fault *give_group(struct test *test, const char *group, const char *id, int32_t role,
                                    bool propagate)
{
    struct Permission permission = {&Permission_type, .principal = (char *)group, .group = true,
                                    .roleId = role, .propagate = propagate};
    struct Permission *list[] = {&permission};
    struct SetEntityPermissions_args args = {.entity = fixture_object(&test->fixture, id)->ref,
                                             .permission = {list, 1}};
    return methods->SetEntityPermissions(&test->call, &args);
}

static bool session_may(struct fixture *fixture, const struct vim_session *session, const char *id,
                        enum vim_privilege privilege)
{
    vim_read_lock(fixture->server.inventory);
    struct vim_object *object = fixture_object(fixture, id);
    bool may = vim_authorized(fixture->server.authorization, session, object, privilege);
    vim_read_unlock(fixture->server.inventory);
    return may;
}

static void test_groups(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    int32_t on = 0, off = 0;
    assert_ok(add_role(&test->call, "On", "VirtualMachine.Interact.PowerOn", &on));
    assert_ok(add_role(&test->call, "Off", "VirtualMachine.Interact.PowerOff", &off));
    assert_fault(give_group(test, "nobodies", VM_FOLDER, on, true), &UserNotFound_type);
    assert_fault(give_group(test, "opal", VM_FOLDER, on, true), &UserNotFound_type); /* is a user */
    assert_fault(give_by(&test->call, "operators", VM_FOLDER, on, true), &UserNotFound_type);
    assert_ok(give_group(test, "operators", VM_FOLDER, on, false));
    struct vim_session *opal = login(fixture, "opal");
#define MAY(id, privilege) session_may(fixture, opal, id, VIM_PRIVILEGE_##privilege)
    g_assert_true(MAY(VM_FOLDER, VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_false(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    assert_ok(give_group(test, "operators", VM_FOLDER, on, true));
    g_assert_true(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_false(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_OFF));
    g_assert_true(MAY(ROOT, SYSTEM_VIEW));
    g_assert_false(ALLOWED("olga", "vm-1", SYSTEM_VIEW));
    assert_ok(give_group(test, "staff", VM_FOLDER, off, true)); /* all of one's groups count together */
    g_assert_true(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_true(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_OFF));
    give(test, "opal", VM_FOLDER, -2, false); /* one's own counts before them, where it counts */
    g_assert_false(MAY(VM_FOLDER, VIRTUAL_MACHINE_INTERACT_POWER_ON));
    g_assert_true(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    give(test, "opal", VM_FOLDER, -2, true);
    g_assert_false(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    assert_ok(give_group(test, "operators", "vm-1", on, true)); /* but the nearest counts before all */
    g_assert_true(MAY("vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    /* A group is no user who could log in as administrator. */
    assert_ok(give_group(test, "staff", ROOT, -1, true));
    assert_fault(take(&test->call, "root", ROOT), &AuthMinimumAdminPermission_type);
    vim_session_unref(opal);
}

static char *search(struct test *test, const struct RetrieveUserGroups_args *args)
{
    struct vim_call call = fixture_call(&test->fixture, "ha-user-directory", test->root);
    struct RetrieveUserGroups_result result = {0};
    GString *found = g_string_new(NULL);
    assert_ok(directory->RetrieveUserGroups(&call, args, &result));
    for (uint32_t i = 0; i < result.returnval.n; i++) {
        const struct UserSearchResult *item = result.returnval.items[i];
        g_string_append_printf(found, "%s%s%s", i > 0 ? " " : "", item->group ? "@" : "", item->principal);
    }
    result_clear("RetrieveUserGroups", &result);
    fixture_call_clear(&call);
    return g_string_free(found, FALSE);
}

#define ASSERT_FINDS(expected, text, ...)                                                  \
    do {                                                                                   \
        struct RetrieveUserGroups_args args_ = {.searchStr = (char *)(text), __VA_ARGS__}; \
        g_autofree char *found_ = search(test, &args_);                                    \
        g_assert_cmpstr(found_, ==, expected);                                             \
    } while (0)

static void test_directory(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    ASSERT_FINDS("alice bob carol olga opal root", "", .findUsers = true);
    ASSERT_FINDS("@staff @operators", "", .findGroups = true);
    ASSERT_FINDS("", "", .findUsers = false);
    ASSERT_FINDS("opal", "O", .findUsers = true, .exactMatch = false, .belongsToGroup = (char *)"operators");
    ASSERT_FINDS("alice carol olga opal", "A", .findUsers = true);
    ASSERT_FINDS("bob", "THE B", .findUsers = true); /* in the full name */
    ASSERT_FINDS("bob", "bob", .findUsers = true, .exactMatch = true);
    ASSERT_FINDS("", "bo", .findUsers = true, .exactMatch = true);
    ASSERT_FINDS("@staff", "", .findUsers = true, .findGroups = true, .belongsToUser = (char *)"bob");
    ASSERT_FINDS("opal", "", .findUsers = true, .findGroups = true, .belongsToGroup = (char *)"operators");

    struct vim_call call = fixture_call(fixture, "ha-user-directory", test->root);
    struct RetrieveUserGroups_result result = {0};
    struct RetrieveUserGroups_args args = {
        .searchStr = (char *)"", .domain = (char *)"AD", .findUsers = true};
    assert_fault(directory->RetrieveUserGroups(&call, &args, &result), &NotFound_type);
    args = (struct RetrieveUserGroups_args){.searchStr = (char *)"", .belongsToGroup = (char *)"none"};
    assert_fault(directory->RetrieveUserGroups(&call, &args, &result), &NotFound_type);
    args = (struct RetrieveUserGroups_args){.searchStr = (char *)"", .belongsToUser = (char *)"none"};
    assert_fault(directory->RetrieveUserGroups(&call, &args, &result), &NotFound_type);
    fixture_call_clear(&call);
}

/* ---- accounts ------------------------------------------------------------------------------------- */

static struct vim_fault *create_by(struct vim_call *call, const char *name, const char *password)
{
    struct HostAccountSpec spec = {&HostAccountSpec_type, (char *)name, (char *)password, (char *)"Somebody"};
    return accounts->CreateUser(call, &(struct CreateUser_args){.user = &spec});
}

static struct vim_fault *update_by(struct vim_call *call, const char *name, const char *password)
{
    struct HostAccountSpec spec = {&HostAccountSpec_type, (char *)name, (char *)password,
                                   (char *)"Somebody else"};
    return accounts->UpdateUser(call, &(struct UpdateUser_args){.user = &spec});
}

static struct vim_fault *remove_by(struct vim_call *call, const char *name)
{
    return accounts->RemoveUser(call, &(struct RemoveUser_args){.userName = (char *)name});
}

static void test_accounts(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    struct vim_call call = fixture_call(fixture, "ha-localacctmgr", test->root);
    guint next = 0;
    assert_ok(create_by(&call, "dave", "right"));
    struct AccountCreatedEvent *created = assert_event(fixture, &next, &AccountCreatedEvent_type);
    g_assert_cmpstr(created->spec->id, ==, "dave");
    g_assert_null(created->spec->password); /* is told to nobody */
    assert_fault(create_by(&call, "dave", "right"), &AlreadyExists_type);
    assert_invalid_argument(create_by(&call, "erin", "123"), "user.password");
    assert_invalid_argument(create_by(&call, "erin", NULL), "user.password");
    fixture->server.users->error = -EINVAL;
    assert_invalid_argument(create_by(&call, "e rin", "right"), "user.id");
    fixture->server.users->error = -ENOSPC;
    assert_fault(create_by(&call, "erin", "right"), &SystemError_type);
    fixture->server.users->error = 0;

    give(test, "dave", ROOT, -2, true);
    assert_event(fixture, &next, &PermissionAddedEvent_type);
    struct vim_session *dave = login(fixture, "dave");
    next = fixture->events->len;
    assert_ok(update_by(&call, "dave", "other"));
    struct AccountUpdatedEvent *updated = assert_event(fixture, &next, &AccountUpdatedEvent_type);
    g_assert_null(updated->spec->password);
    g_assert_cmpstr(updated->prevDescription, ==, "The dave");
    g_assert_cmpstr(g_hash_table_lookup(fixture->server.users->names, "dave"), ==, "other");
    assert_ok(update_by(&call, "dave", NULL)); /* keeps the password */
    assert_event(fixture, &next, &AccountUpdatedEvent_type);
    g_assert_cmpstr(g_hash_table_lookup(fixture->server.users->names, "dave"), ==, "other");
    assert_invalid_argument(update_by(&call, "dave", "123"), "user.password");
    assert_fault(update_by(&call, "nobody", "right"), &UserNotFound_type);

    assert_fault(remove_by(&call, "nobody"), &UserNotFound_type);
    assert_ok(remove_by(&call, "dave"));
    g_assert_true(vim_session_has_ended(dave));
    g_assert_false(ALLOWED("dave", ROOT, SYSTEM_VIEW));
    g_assert_cmpuint(shown_permissions(fixture, ROOT), ==, 1);
    assert_event(fixture, &next, &PermissionRemovedEvent_type);
    assert_event(fixture, &next, &UserLogoutSessionEvent_type);
    assert_event(fixture, &next, &AccountRemovedEvent_type);
    g_assert_cmpuint(fixture->events->len, ==, next);
    vim_session_unref(dave);
    fixture_call_clear(&call);
}

static void test_account_safety(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    struct vim_call call = fixture_call(fixture, "ha-localacctmgr", test->root);
    int32_t role = 0;
    assert_fault(remove_by(&call, "root"), &AuthMinimumAdminPermission_type);
    g_assert_true(users_exists(fixture->server.users, "root"));

    /* With the right to change accounts alone nobody gets at the password of somebody stronger. */
    assert_ok(add_role(&test->call, "Accounts", "Host.Local.ManageUserGroups", &role));
    give(test, "alice", ROOT, role, true);
    give(test, "bob", "vm-1", -1, true);
    struct vim_session *alice = login(fixture, "alice");
    struct vim_call hers = fixture_call(fixture, "ha-localacctmgr", alice);
    assert_fault(update_by(&hers, "root", "mine"), &NoPermission_type);
    assert_fault(update_by(&hers, "bob", "mine"), &NoPermission_type);
    assert_fault(remove_by(&hers, "bob"), &NoPermission_type);
    assert_ok(update_by(&hers, "alice", "mine"));
    assert_ok(update_by(&hers, "carol", "mine"));
    assert_ok(update_by(&hers, "bob", NULL));
    g_assert_cmpstr(g_hash_table_lookup(fixture->server.users->names, "root"), ==, "right");
    g_assert_cmpstr(g_hash_table_lookup(fixture->server.users->names, "bob"), ==, "right");

    /* A removed user's permissions are not those of another of his name. */
    char *blocker = block_saving(fixture);
    assert_fault(remove_by(&call, "bob"), &SystemError_type);
    g_assert_false(users_exists(fixture->server.users, "bob"));
    assert_fault(create_by(&call, "bob", "right"), &SystemError_type);
    g_assert_false(users_exists(fixture->server.users, "bob"));
    allow_saving(blocker);
    assert_ok(create_by(&call, "bob", "right"));
    g_assert_false(ALLOWED("bob", "vm-1", SYSTEM_VIEW));
    /* Who cannot be removed keeps what he has. */
    give(test, "carol", "vm-1", -2, true);
    fixture->server.users->error = -EIO;
    assert_fault(remove_by(&call, "carol"), &SystemError_type);
    g_assert_true(ALLOWED("carol", "vm-1", SYSTEM_VIEW));
    fixture->server.users->error = 0;
    fixture_call_clear(&hers);
    vim_session_unref(alice);
    fixture_call_clear(&call);
}

/* ---- what is kept --------------------------------------------------------------------------------- */

static void test_failed_save(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    int32_t id = 0;
    char *blocker = block_saving(fixture);
    assert_fault(give_by(&test->call, "alice", "vm-1", -1, true), &SystemError_type);
    assert_fault(add_role(&test->call, "New", NULL, &id), &SystemError_type);
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));
    g_assert_cmpuint(shown_permissions(fixture, "vm-1"), ==, 0);
    g_assert_null(shown_role(fixture, 1));
    g_assert_cmpuint(fixture->events->len, ==, 0);
    allow_saving(blocker);
    give(test, "alice", "vm-1", -1, true); /* and no lock was left behind */
    restart(test);
    g_assert_true(ALLOWED("alice", "vm-1", VIRTUAL_MACHINE_INTERACT_RESET));
    g_assert_null(shown_role(fixture, 1));
}

static void remove_object(struct fixture *fixture, const char *id)
{
    vim_write_lock(fixture->server.inventory);
    vim_inventory_remove(fixture->server.inventory, fixture_object(fixture, id));
    vim_write_unlock(fixture->server.inventory);
}

static void add_vm(struct fixture *fixture, const char *id)
{
    vim_write_lock(fixture->server.inventory);
    fixture_add(fixture, &VirtualMachine_type, id, VM_FOLDER);
    vim_write_unlock(fixture->server.inventory);
}

static void test_destroyed(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    fixture->server.workers =
        worker_pool_new(&(struct worker_pool_options){.name = "test", .max_threads = 1, .max_queued = 10});
    give(test, "alice", "vm-1", -1, true);
    give(test, "alice", "vm-2", -2, true);
    g_assert_cmpuint(count_all(&test->call), ==, 3);
    remove_object(fixture, "vm-1");
    g_assert_cmpuint(count_all(&test->call), ==, 2);
    worker_pool_free(g_steal_pointer(&fixture->server.workers)); /* waits until it is saved */
    g_autofree char *path = g_build_filename(fixture->dir, "authorization.json", NULL);
    g_autofree char *text = NULL;
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_null(strstr(text, "\"vm-1\""));
    g_assert_nonnull(strstr(text, "\"vm-2\""));
    add_vm(fixture, "vm-1"); /* another one */
    g_assert_false(ALLOWED("alice", "vm-1", SYSTEM_VIEW));

    remove_object(fixture, "vm-2"); /* nobody saves it now but the end of the program */
    restart(test);
    g_assert_cmpuint(count_all(&test->call), ==, 1);
    g_assert_false(ALLOWED("alice", "vm-2", SYSTEM_VIEW));
}

static void test_destroyed_while_away(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
    add_vm(fixture, "vm-3");
    give(test, "alice", "vm-3", -1, true);
    restart(test); /* vm-3 is not there any more */
    g_assert_cmpuint(count_all(&test->call), ==, 1);
    restart(test);
    add_vm(fixture, "vm-3");
    g_assert_false(ALLOWED("alice", "vm-3", SYSTEM_VIEW));
}

static void assert_refused(struct fixture *fixture, const char *text, const char *reason)
{
    g_autofree char *message = NULL;
    g_autofree char *path = g_build_filename(fixture->dir, "authorization.json", NULL);
    struct vim_authorization *running = fixture->server.authorization;
    g_assert_true(g_file_set_contents(path, text, -1, NULL));
    g_assert_cmpint(start(fixture, &message), !=, 0);
    g_assert_nonnull(strstr(message, path));
    g_assert_nonnull(strstr(message, reason));
    vim_authorization_free(fixture->server.authorization);
    fixture->server.authorization = running;
}

static void test_bad_file(struct test *test, gconstpointer data)
{
    (void)data;
    struct fixture *fixture = &test->fixture;
#define ADMIN(role)                                                                                \
    "{\"_typeName\":\"Permission\",\"entity\":{\"type\":\"Folder\",\"value\":\"ha-folder-root\"}," \
    "\"principal\":\"root\",\"group\":false,\"roleId\":" role ",\"propagate\":true}\n"
#define ROLE(id, name)                                                                         \
    "{\"_typeName\":\"AuthorizationRole\",\"roleId\":" id ",\"system\":false,\"name\":\"" name \
    "\",\"info\":{\"label\":\"\",\"summary\":\"\"},\"privilege\":[\"Gone.Privilege\"]}\n"
    assert_refused(fixture, "{", "line 1");
    assert_refused(fixture, ADMIN("-2"), "administrator");
    assert_refused(fixture, ADMIN("7"), "role 7");
    assert_refused(fixture, ROLE("7", "a") ROLE("7", "b") ADMIN("-1"), "role 7");
    assert_refused(fixture, ROLE("7", "a") ROLE("8", "a") ADMIN("-1"), "role 8");
    assert_refused(fixture, ROLE("7", "Admin") ADMIN("-1"), "role 7");
    assert_refused(fixture, ROLE("-9", "a") ADMIN("-1"), "role -9");
    assert_refused(fixture, "{\"_typeName\":\"KeyValue\",\"key\":\"\",\"value\":\"\"}\n" ADMIN("-1"),
                   "neither");
    g_autofree char *path = g_build_filename(fixture->dir, "authorization.json", NULL);
    g_assert_true(g_file_set_contents(path, ROLE("7", "a") ADMIN("-1"), -1, NULL));
    restart(test);
    g_assert_cmpuint(shown_role(fixture, 7)->privilege.n, ==, 3); /* without the one that is unknown */
    int32_t id = 0;
    assert_ok(add_role(&test->call, "b", NULL, &id));
    g_assert_cmpint(id, ==, 8);
}

/* ---- threads -------------------------------------------------------------------------------------- */

static void *decide(void *data)
{
    struct test *test = data;
    struct fixture *fixture = &test->fixture;
    for (int i = 0; i < 2000; i++) {
        g_assert_true(ALLOWED("root", "vm-1", VIRTUAL_MACHINE_INTERACT_POWER_ON));
    }
    return NULL;
}

struct changer {
    struct test *test;
    const char *user; /* whose permission it changes */
};

static void *change(void *data)
{
    const struct changer *changer = data;
    struct test *test = changer->test;
    const char *user = changer->user;
    for (int i = 0; i < 20; i++) {
        give(test, user, "vm-1", i % 2 == 0 ? -1 : -2, true);
    }
    assert_ok(take(&test->call, user, "vm-1"));
    return NULL;
}

static void test_threads(struct test *test, gconstpointer data)
{
    (void)data;
    GThread *threads[4];
    struct changer changers[] = {{test, "alice"}, {test, "bob"}};
    for (int i = 0; i < 4; i++) {
        threads[i] =
            i < 2 ? g_thread_new("decide", decide, test) : g_thread_new("change", change, &changers[i - 2]);
    }
    for (int i = 0; i < 4; i++) {
        g_thread_join(threads[i]);
    }
    g_assert_cmpuint(count_all(&test->call), ==, 1);
    g_assert_cmpuint(test->fixture.events->len, ==, 2 * 21);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
#define ADD(name, fn) g_test_add("/authorization/" name, struct test, NULL, setup, fn, teardown)
    ADD("first-start", test_first_start);
    ADD("tree", test_tree);
    ADD("reader", test_reader);
    ADD("roles", test_roles);
    ADD("remove-role", test_remove_role);
    ADD("permission-faults", test_permission_faults);
    ADD("permission-events", test_permission_events);
    ADD("last-admin", test_last_admin);
    ADD("no-escalation", test_no_escalation);
    ADD("merge", test_merge);
    ADD("retrieve", test_retrieve);
    ADD("has-privilege", test_has_privilege);
    ADD("user-privileges", test_user_privileges);
    ADD("groups", test_groups);
    ADD("directory", test_directory);
    ADD("accounts", test_accounts);
    ADD("account-safety", test_account_safety);
    ADD("failed-save", test_failed_save);
    ADD("destroyed", test_destroyed);
    ADD("destroyed-while-away", test_destroyed_while_away);
    ADD("bad-file", test_bad_file);
    ADD("threads", test_threads);
    return g_test_run();
}
