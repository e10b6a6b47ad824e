// SPDX-License-Identifier: Apache-2.0
/*
 * The search index: each way to find something, what is not found, and what the caller may not see.
 */
#include "vim/view.h"

#include "vim_fixture.h"

#define INDEX(f) fixture_call((f), &(f)->root, &SearchIndex_type, "ha-searchindex")

/* The id found, or NULL; freed with g_free. */
static char *by_uuid(struct fixture *f, const char *uuid, bool vm, bool instance, const char *datacenter)
{
    struct vim_call call = INDEX(f);
    struct FindByUuid_args args = {.uuid = (char *)uuid, .vmSearch = vm, .instanceUuid = {true, instance}};
    if (datacenter != NULL) {
        args.datacenter = fixture_ref(f, datacenter);
    }
    struct FindByUuid_result result = {0};
    assert_success(vim_search_index_methods.FindByUuid(&call, &args, &result));
    return result.returnval.id;
}

#define assert_found(found, expected)            \
    do {                                         \
        g_autofree char *found_ = (found);       \
        g_assert_cmpstr(found_, ==, (expected)); \
    } while (0)

static void test_uuid(struct fixture *f, gconstpointer data)
{
    (void)data;
    assert_found(by_uuid(f, "bios-vm-2", true, false, NULL), "vm-2");
    assert_found(by_uuid(f, "BIOS-VM-2", true, false, NULL), "vm-2");
    assert_found(by_uuid(f, "bios-vm-2", true, true, NULL), NULL);
    assert_found(by_uuid(f, "instance-vm-1", true, true, NULL), "vm-1");
    assert_found(by_uuid(f, "instance-vm-1", true, true, "ha-datacenter"), "vm-1");
    assert_found(by_uuid(f, "", true, false, NULL), NULL);
    vim_write_lock(f->server.inventory);
    struct HostSystem *host = VIM_PROPERTIES(fixture_find(f, "ha-host"), HostSystem);
    host->hardware = HostHardwareInfo_new();
    host->hardware->systemInfo = HostSystemInfo_new();
    host->hardware->systemInfo->uuid = g_strdup("bios-host");
    fixture_add(f, &Datacenter_type, "other", "other", "ha-folder-root", "childEntity");
    vim_write_unlock(f->server.inventory);
    assert_found(by_uuid(f, "bios-host", false, false, NULL), "ha-host");
    assert_found(by_uuid(f, "bios-host", false, true, NULL), "ha-host");
    assert_found(by_uuid(f, "bios-host", true, false, NULL), NULL);
    assert_found(by_uuid(f, "instance-vm-1", true, true, "other"), NULL);
}

/* What is known of a guest: its first address, one of its adapter's, its name. */
static void set_guest(struct fixture *f, const char *id, const char *ip, const char *second, const char *name)
{
    struct VirtualMachine *vm = VIM_PROPERTIES(fixture_find(f, id), VirtualMachine);
    vm->guest = GuestInfo_new();
    vm->guest->ipAddress = g_strdup(ip);
    vm->guest->hostName = g_strdup(name);
    struct GuestNicInfo *nic = GuestNicInfo_new();
    vim_array_add_string(&nic->ipAddress, second);
    vim_array_add_object(&vm->guest->net, nic);
}

static void set_host(struct fixture *f, const char *ip, const char *name, const char *domain)
{
    struct HostSystem *host = VIM_PROPERTIES(fixture_find(f, "ha-host"), HostSystem);
    host->config = HostConfigInfo_new();
    host->config->network = HostNetworkInfo_new();
    struct HostVirtualNic *nic = HostVirtualNic_new();
    nic->spec = HostVirtualNicSpec_new();
    nic->spec->ip = HostIpConfig_new();
    nic->spec->ip->ipAddress = g_strdup(ip);
    vim_array_add_object(&host->config->network->vnic, nic);
    host->config->network->dnsConfig = HostDnsConfig_new();
    host->config->network->dnsConfig->hostName = g_strdup(name);
    host->config->network->dnsConfig->domainName = g_strdup(domain);
}

static char *by_ip(struct fixture *f, const char *ip, bool vm)
{
    struct vim_call call = INDEX(f);
    struct FindByIp_args args = {.ip = (char *)ip, .vmSearch = vm};
    struct FindByIp_result result = {0};
    assert_success(vim_search_index_methods.FindByIp(&call, &args, &result));
    return result.returnval.id;
}

static void test_ip(struct fixture *f, gconstpointer data)
{
    (void)data;
    set_guest(f, "vm-1", "10.0.0.1", "fd00::1", "one.example");
    set_guest(f, "vm-2", NULL, "10.0.0.2", "two.example");
    set_host(f, "192.168.0.1", "esx", "example");
    assert_found(by_ip(f, "10.0.0.1", true), "vm-1");
    assert_found(by_ip(f, "10.0.0.2", true), "vm-2");
    assert_found(by_ip(f, "fd00:0:0::0001", true), "vm-1");
    assert_found(by_ip(f, "10.0.0.3", true), NULL);
    assert_found(by_ip(f, "", true), NULL);
    assert_found(by_ip(f, "one.example", true), NULL);
    assert_found(by_ip(f, "192.168.0.1", false), "ha-host");
    assert_found(by_ip(f, "192.168.0.1", true), NULL);
    struct vim_call call = INDEX(f);
    struct FindAllByIp_args args = {.ip = "10.0.0.1", .vmSearch = true};
    struct FindAllByIp_result result = {0};
    assert_success(vim_search_index_methods.FindAllByIp(&call, &args, &result));
    assert_ids(&result.returnval, "vm-1");
    vim_clear_members(vim_method_by_name("FindAllByIp")->result, &result);
}

static char *by_dns_name(struct fixture *f, const char *name, bool vm)
{
    struct vim_call call = INDEX(f);
    struct FindByDnsName_args args = {.dnsName = (char *)name, .vmSearch = vm};
    struct FindByDnsName_result result = {0};
    assert_success(vim_search_index_methods.FindByDnsName(&call, &args, &result));
    return result.returnval.id;
}

static void test_dns_name(struct fixture *f, gconstpointer data)
{
    (void)data;
    set_guest(f, "vm-1", NULL, "", "one.example");
    set_guest(f, "vm-2", NULL, "", "one.example");
    set_host(f, "", "esx", "example");
    g_autofree char *either = by_dns_name(f, "ONE.example", true);
    g_assert_nonnull(either);
    assert_found(by_dns_name(f, "one", true), NULL);
    assert_found(by_dns_name(f, "esx", false), "ha-host");
    assert_found(by_dns_name(f, "esx.example", false), "ha-host");
    assert_found(by_dns_name(f, "esx.other", false), NULL);
    assert_found(by_dns_name(f, "esx.", false), NULL);
    assert_found(by_dns_name(f, "localhost.local", false), "ha-host");
    struct vim_call call = INDEX(f);
    struct FindAllByDnsName_args args = {.dnsName = "one.example", .vmSearch = true};
    struct FindAllByDnsName_result result = {0};
    assert_success(vim_search_index_methods.FindAllByDnsName(&call, &args, &result));
    assert_ids(&result.returnval, "vm-1 vm-2");
    vim_clear_members(vim_method_by_name("FindAllByDnsName")->result, &result);
}

static char *by_path(struct fixture *f, const char *path)
{
    struct vim_call call = INDEX(f);
    struct FindByInventoryPath_args args = {.inventoryPath = (char *)path};
    struct FindByInventoryPath_result result = {0};
    assert_success(vim_search_index_methods.FindByInventoryPath(&call, &args, &result));
    return result.returnval.id;
}

static void test_inventory_path(struct fixture *f, gconstpointer data)
{
    (void)data;
    vim_write_lock(f->server.inventory);
    fixture_add_vm(f, "vm-3", "a%2fb%25");
    vim_write_unlock(f->server.inventory);
    static const char *const cases[][2] = {
        {"ha-datacenter", "ha-datacenter"},
        {"ha-datacenter/vm", "ha-folder-vm"},
        {"ha-datacenter/vm/one", "vm-1"},
        {"/ha-datacenter/vm/one/", "vm-1"},
        {"ha-datacenter/vm/a%2fb%25", "vm-3"},
        {"ha-datacenter/vm/a%2Fb%25", "vm-3"},
        {"ha-datacenter/vm/a/b", NULL},
        {"ha-datacenter/host/localhost", "ha-compute-res"},
        {"ha-datacenter/host/localhost/localhost.local", "ha-host"},
        {"ha-datacenter/host/localhost/Resources", "ha-root-pool"},
        {"ha-datacenter/datastore/local", "ds-1"},
        {"ha-datacenter/network/VM Network", "net-1"},
        {"ha-datacenter/vm/One", NULL},
        {"ha-datacenter/vm/one/x", NULL},
        {"vm", NULL},
        {"", "ha-folder-root"},
        {"/", "ha-folder-root"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        assert_found(by_path(f, cases[i][0]), cases[i][1]);
    }
}

static void test_child(struct fixture *f, gconstpointer data)
{
    (void)data;
    static const char *const cases[][3] = {
        {"ha-folder-vm", "two", "vm-2"}, {"ha-folder-vm", "three", NULL},
        {"ha-root-pool", "two", "vm-2"}, {"ha-datacenter", "vm", "ha-folder-vm"},
        {"ha-compute-res", "two", NULL}, {"vm-1", "two", NULL},
    };
    struct vim_call call = INDEX(f);
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct FindChild_args args = {.entity = fixture_ref(f, cases[i][0]), .name = (char *)cases[i][1]};
        struct FindChild_result result = {0};
        assert_success(vim_search_index_methods.FindChild(&call, &args, &result));
        assert_found(result.returnval.id, cases[i][2]);
    }
    struct FindChild_args gone = {.entity = {&Folder_type, "no-such"}, .name = "x"};
    struct FindChild_result result = {0};
    assert_fault(vim_search_index_methods.FindChild(&call, &gone, &result), "ManagedObjectNotFound");
}

static struct vim_fault *by_file(struct fixture *f, const char *path, char **ret_id)
{
    struct vim_call call = INDEX(f);
    struct FindByDatastorePath_args args = {.datacenter = fixture_ref(f, "ha-datacenter"),
                                            .path = (char *)path};
    struct FindByDatastorePath_result result = {0};
    struct vim_fault *fault = vim_search_index_methods.FindByDatastorePath(&call, &args, &result);
    *ret_id = result.returnval.id;
    return fault;
}

static void test_datastore_path(struct fixture *f, gconstpointer data)
{
    (void)data;
    static const char *const cases[][2] = {
        {"[local] one/one.vmx", "vm-1"},
        {"[local]one//one.vmx", "vm-1"},
        {"[local] /one/one.vmx", "vm-1"},
        {"[local] one/two.vmx", NULL},
        {"[local]", NULL},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *id = NULL;
        assert_success(by_file(f, cases[i][0], &id));
        assert_found(id, cases[i][1]);
    }
    char *id = NULL;
    assert_fault(by_file(f, "[other] one/one.vmx", &id), "InvalidDatastore");
    assert_fault(by_file(f, "one/one.vmx", &id), "InvalidDatastorePath");
    assert_fault(by_file(f, "[] one", &id), "InvalidDatastorePath");
    assert_fault(by_file(f, "[local", &id), "InvalidDatastorePath");
}

static void test_hidden(struct fixture *f, gconstpointer data)
{
    (void)data;
    set_guest(f, "vm-1", "10.0.0.1", "", "one.example");
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_VIEW, "vm-1");
    assert_found(by_uuid(f, "bios-vm-1", true, false, NULL), NULL);
    assert_found(by_ip(f, "10.0.0.1", true), NULL);
    assert_found(by_dns_name(f, "one.example", true), NULL);
    assert_found(by_path(f, "ha-datacenter/vm/one"), NULL);
    assert_found(by_path(f, "ha-datacenter/vm/two"), "vm-2");
    char *id = NULL;
    assert_success(by_file(f, "[local] one/one.vmx", &id));
    g_assert_null(id);
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_VIEW, "ha-datacenter");
    assert_found(by_path(f, "ha-datacenter/vm/two"), NULL);
    fixture_deny(f, "root", VIM_PRIVILEGE_SYSTEM_VIEW, "ds-1");
    assert_fault(by_file(f, "[local] two/two.vmx", &id), "InvalidDatastore");
}

static void test_no_such_datacenter(struct fixture *f, gconstpointer data)
{
    (void)data;
    struct vim_call call = INDEX(f);
    struct FindByIp_args one = {.datacenter = {&Datacenter_type, "no-such"}, .ip = "10.0.0.1"};
    struct FindByIp_result result = {0};
    assert_fault(vim_search_index_methods.FindByIp(&call, &one, &result), "ManagedObjectNotFound");
    struct FindAllByUuid_args all = {.datacenter = {&Datacenter_type, "no-such"}, .uuid = "x"};
    struct FindAllByUuid_result found = {0};
    assert_fault(vim_search_index_methods.FindAllByUuid(&call, &all, &found), "ManagedObjectNotFound");
}

#define ADD(path, function) g_test_add(path, struct fixture, NULL, fixture_setup, function, fixture_teardown)

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    ADD("/search-index/uuid", test_uuid);
    ADD("/search-index/ip", test_ip);
    ADD("/search-index/dns-name", test_dns_name);
    ADD("/search-index/inventory-path", test_inventory_path);
    ADD("/search-index/child", test_child);
    ADD("/search-index/datastore-path", test_datastore_path);
    ADD("/search-index/hidden", test_hidden);
    ADD("/search-index/no-such-datacenter", test_no_such_datacenter);
    return g_test_run();
}
