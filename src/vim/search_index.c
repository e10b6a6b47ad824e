// SPDX-License-Identifier: Apache-2.0
/*
 * SearchIndex: finds virtual machines and hosts by UUID, address, DNS name, place and file.
 *
 * A search looks through all objects under the read lock, which costs well under a millisecond for 10,000
 * machines: no index to keep right. What the caller may not see (System.View) is not found.
 */
#include "vim/view.h"

#include <arpa/inet.h>
#include <string.h>

#include "vim/authorization.h"
#include "vim/entity_tree.h"
#include "vim/faults.h"
#include "vim/types.h"

/* What is looked for: by what, and where. */
struct search {
    bool (*matches)(const struct vim_object *object, const struct search *search);
    const char *text;
    const struct vim_ref *datacenter; /* id NULL: everywhere */
    bool vms;                         /* virtual machines, otherwise hosts */
    bool instance_uuid;
    bool is_address;         /* text was read as an IP address: */
    struct in6_addr address; /* IPv4 as ::ffff:a.b.c.d */
};

static bool is_visible(struct vim_call *call, struct vim_object *object)
{
    return vim_authorized(call->server->authorization, call->session, object, VIM_PRIVILEGE_SYSTEM_VIEW);
}

/* Whether the object lies in the datacenter, when there is one to search. */
static bool is_within(struct vim_inventory *inventory, struct vim_object *object,
                      const struct vim_ref *datacenter)
{
    if (datacenter->id == NULL) {
        return true;
    }
    const struct vim_object *found = vim_entity_enclosing(inventory, object, &Datacenter_type);
    return found != NULL && strcmp(found->ref.id, datacenter->id) == 0;
}

/* Adds what is found to the array (struct vim_array), or only the first. (read lock) */
static void look_through(struct vim_call *call, const struct search *search, bool all, void *found)
{
    struct vim_inventory *inventory = call->server->inventory;
    GPtrArray *objects = vim_inventory_objects(inventory);
    const struct vim_type *type = search->vms ? &VirtualMachine_type : &HostSystem_type;
    for (guint i = 0; i < objects->len; i++) {
        struct vim_object *object = g_ptr_array_index(objects, i);
        if (vim_type_is(object->ref.type, type) && search->matches(object, search) &&
            is_within(inventory, object, search->datacenter) && is_visible(call, object)) {
            vim_array_add_ref(found, &object->ref);
            if (!all) {
                return;
            }
        }
    }
}

static struct vim_fault *find_all(struct vim_call *call, const struct search *search, void *found)
{
    struct vim_fault *fault = NULL;
    vim_read_lock(call->server->inventory);
    if (search->datacenter->id != NULL &&
        vim_inventory_find_ref(call->server->inventory, search->datacenter) == NULL) {
        fault = vim_call_gone(search->datacenter);
    } else {
        look_through(call, search, true, found);
    }
    vim_read_unlock(call->server->inventory);
    return fault;
}

static struct vim_fault *find_first(struct vim_call *call, const struct search *search, struct vim_ref *ret)
{
    struct vim_array found = {NULL, 0};
    struct vim_fault *fault = NULL;
    vim_read_lock(call->server->inventory);
    if (search->datacenter->id != NULL &&
        vim_inventory_find_ref(call->server->inventory, search->datacenter) == NULL) {
        fault = vim_call_gone(search->datacenter);
    } else {
        look_through(call, search, false, &found);
    }
    vim_read_unlock(call->server->inventory);
    if (found.n > 0) {
        *ret = *(struct vim_ref *)found.items; /* moved */
    }
    g_free(found.items);
    return fault;
}

/* ---- by UUID --------------------------------------------------------------------------------------- */

static const char *vm_uuid(const struct VirtualMachine *vm, bool instance)
{
    if (vm->config != NULL) {
        return instance ? vm->config->instanceUuid : vm->config->uuid;
    }
    const struct VirtualMachineConfigSummary *summary = vm->summary != NULL ? vm->summary->config : NULL;
    return summary == NULL ? NULL : instance ? summary->instanceUuid : summary->uuid;
}

static const char *host_uuid(const struct HostSystem *host)
{
    if (host->hardware != NULL && host->hardware->systemInfo != NULL) {
        return host->hardware->systemInfo->uuid;
    }
    return host->summary != NULL && host->summary->hardware != NULL ? host->summary->hardware->uuid : NULL;
}

static bool matches_uuid(const struct vim_object *object, const struct search *search)
{
    const char *uuid =
        search->vms ? vm_uuid(object->properties, search->instance_uuid) : host_uuid(object->properties);
    return uuid != NULL && g_ascii_strcasecmp(uuid, search->text) == 0;
}

static struct vim_fault *find_by_uuid(struct vim_call *call, const struct FindByUuid_args *args,
                                      struct FindByUuid_result *ret)
{
    struct search search = {
        .matches = matches_uuid,
        .text = args->uuid,
        .datacenter = &args->datacenter,
        .vms = args->vmSearch,
        .instance_uuid = args->instanceUuid.set && args->instanceUuid.value,
    };
    return find_first(call, &search, &ret->returnval);
}

static struct vim_fault *find_all_by_uuid(struct vim_call *call, const struct FindAllByUuid_args *args,
                                          struct FindAllByUuid_result *ret)
{
    struct search search = {
        .matches = matches_uuid,
        .text = args->uuid,
        .datacenter = &args->datacenter,
        .vms = args->vmSearch,
        .instance_uuid = args->instanceUuid.set && args->instanceUuid.value,
    };
    return find_all(call, &search, &ret->returnval);
}

/* ---- by address ------------------------------------------------------------------------------------ */

/* Reads an address of either family; one address can be written in several ways. */
static bool read_address(const char *text, struct in6_addr *ret)
{
    struct in_addr v4;
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *ret = (struct in6_addr){0};
        ret->s6_addr[10] = ret->s6_addr[11] = 0xff;
        memcpy(&ret->s6_addr[12], &v4, sizeof(v4));
        return true;
    }
    return inet_pton(AF_INET6, text, ret) == 1;
}

static bool is_address(const char *text, const struct search *search)
{
    struct in6_addr address;
    return text != NULL && read_address(text, &address) &&
           memcmp(&address, &search->address, sizeof(address)) == 0;
}

static bool vm_has_address(const struct VirtualMachine *vm, const struct search *search)
{
    if (vm->guest == NULL) {
        return false;
    }
    if (is_address(vm->guest->ipAddress, search)) {
        return true;
    }
    for (uint32_t i = 0; i < vm->guest->net.n; i++) {
        const struct GuestNicInfo *nic = vm->guest->net.items[i];
        for (uint32_t n = 0; n < nic->ipAddress.n; n++) {
            if (is_address(nic->ipAddress.items[n], search)) {
                return true;
            }
        }
    }
    return false;
}

static bool nics_have_address(struct HostVirtualNic *const *nics, uint32_t n, const struct search *search)
{
    for (uint32_t i = 0; i < n; i++) {
        const struct HostVirtualNicSpec *spec = nics[i]->spec;
        if (spec != NULL && spec->ip != NULL && is_address(spec->ip->ipAddress, search)) {
            return true;
        }
    }
    return false;
}

static const struct HostNetworkInfo *host_network(const struct HostSystem *host)
{
    return host->config != NULL ? host->config->network : NULL;
}

static bool matches_address(const struct vim_object *object, const struct search *search)
{
    if (!search->is_address) {
        return false;
    }
    if (search->vms) {
        return vm_has_address(object->properties, search);
    }
    const struct HostNetworkInfo *network = host_network(object->properties);
    return network != NULL && (nics_have_address(network->vnic.items, network->vnic.n, search) ||
                               nics_have_address(network->consoleVnic.items, network->consoleVnic.n, search));
}

static struct search address_search(const struct vim_ref *datacenter, const char *ip, bool vms)
{
    struct search search = {.matches = matches_address, .text = ip, .datacenter = datacenter, .vms = vms};
    search.is_address = read_address(ip, &search.address);
    return search;
}

static struct vim_fault *find_by_ip(struct vim_call *call, const struct FindByIp_args *args,
                                    struct FindByIp_result *ret)
{
    struct search search = address_search(&args->datacenter, args->ip, args->vmSearch);
    return find_first(call, &search, &ret->returnval);
}

static struct vim_fault *find_all_by_ip(struct vim_call *call, const struct FindAllByIp_args *args,
                                        struct FindAllByIp_result *ret)
{
    struct search search = address_search(&args->datacenter, args->ip, args->vmSearch);
    return find_all(call, &search, &ret->returnval);
}

/* ---- by DNS name ----------------------------------------------------------------------------------- */

static bool same_text(const char *a, const char *b)
{
    return a != NULL && g_ascii_strcasecmp(a, b) == 0;
}

/* Whether name, or name.domain, is what is looked for. */
static bool is_host_name(const char *name, const char *domain, const char *wanted)
{
    if (same_text(name, wanted)) {
        return true;
    }
    size_t length = name != NULL ? strlen(name) : 0;
    return length > 0 && domain != NULL && g_ascii_strncasecmp(name, wanted, length) == 0 &&
           wanted[length] == '.' && same_text(domain, wanted + length + 1);
}

static bool matches_dns_name(const struct vim_object *object, const struct search *search)
{
    if (search->vms) {
        const struct VirtualMachine *vm = object->properties;
        return vm->guest != NULL && same_text(vm->guest->hostName, search->text);
    }
    const struct HostNetworkInfo *network = host_network(object->properties);
    const struct HostDnsConfig *dns = network != NULL ? network->dnsConfig : NULL;
    return same_text(vim_entity_name(object), search->text) ||
           (dns != NULL && is_host_name(dns->hostName, dns->domainName, search->text));
}

static struct vim_fault *find_by_dns_name(struct vim_call *call, const struct FindByDnsName_args *args,
                                          struct FindByDnsName_result *ret)
{
    struct search search = {
        .matches = matches_dns_name,
        .text = args->dnsName,
        .datacenter = &args->datacenter,
        .vms = args->vmSearch,
    };
    return find_first(call, &search, &ret->returnval);
}

static struct vim_fault *find_all_by_dns_name(struct vim_call *call, const struct FindAllByDnsName_args *args,
                                              struct FindAllByDnsName_result *ret)
{
    struct search search = {
        .matches = matches_dns_name,
        .text = args->dnsName,
        .datacenter = &args->datacenter,
        .vms = args->vmSearch,
    };
    return find_all(call, &search, &ret->returnval);
}

/* ---- by file --------------------------------------------------------------------------------------- */

/* "[name]  /folder//file" as "[name] folder/file", so that two ways to write a path compare equal; NULL
 * when it is none. *ret_name is the datastore's name. */
static char *normal_path(const char *text, char **ret_name)
{
    const char *end = text[0] == '[' ? strchr(text, ']') : NULL;
    if (end == NULL || end == text + 1) {
        return NULL;
    }
    g_autofree char *name = g_strndup(text + 1, (size_t)(end - text - 1));
    GString *path = g_string_new(NULL);
    g_string_printf(path, "[%s] ", name);
    g_auto(GStrv) parts = g_strsplit(end + 1 + strspn(end + 1, " "), "/", -1);
    size_t start = path->len;
    for (char **part = parts; *part != NULL; part++) {
        if (**part != '\0') {
            g_string_append_printf(path, "%s%s", path->len > start ? "/" : "", *part);
        }
    }
    *ret_name = g_steal_pointer(&name);
    return g_string_free(path, FALSE);
}

static bool matches_file(const struct vim_object *object, const struct search *search)
{
    const struct VirtualMachine *vm = object->properties;
    const char *path = vm->config != NULL && vm->config->files != NULL ? vm->config->files->vmPathName : NULL;
    if (path == NULL && vm->summary != NULL && vm->summary->config != NULL) {
        path = vm->summary->config->vmPathName;
    }
    /* Most are told apart by their last component alone. */
    const char *last = strrchr(search->text, '/');
    if (path == NULL || (last != NULL && !g_str_has_suffix(path, last + 1))) {
        return false;
    }
    g_autofree char *name = NULL;
    g_autofree char *normal = normal_path(path, &name);
    return g_strcmp0(normal, search->text) == 0;
}

/* Whether the datacenter has a datastore with this name that the caller may see. (read lock) */
static bool has_datastore(struct vim_call *call, const struct Datacenter *datacenter, const char *name)
{
    for (uint32_t i = 0; i < datacenter->datastore.n; i++) {
        struct vim_object *object =
            vim_inventory_find_ref(call->server->inventory, &datacenter->datastore.items[i]);
        if (object != NULL && strcmp(vim_entity_name(object), name) == 0 && is_visible(call, object)) {
            return true;
        }
    }
    return false;
}

static struct vim_fault *find_by_datastore_path(struct vim_call *call,
                                                const struct FindByDatastorePath_args *args,
                                                struct FindByDatastorePath_result *ret)
{
    g_autofree char *name = NULL;
    g_autofree char *normal = normal_path(args->path, &name);
    if (normal == NULL) {
        return fault_invalid_datastore_path((struct vim_ref){0}, NULL, args->path,
                                            "\"%s\" is no datastore path", args->path);
    }
    vim_read_lock(call->server->inventory);
    const struct vim_object *datacenter = vim_inventory_find_ref(call->server->inventory, &args->datacenter);
    bool known = datacenter != NULL && has_datastore(call, datacenter->properties, name);
    vim_read_unlock(call->server->inventory);
    if (datacenter == NULL) {
        return vim_call_gone(&args->datacenter);
    }
    if (!known) {
        return fault_invalid_datastore((struct vim_ref){0}, name, "there is no datastore \"%s\"", name);
    }
    struct search search = {
        .matches = matches_file, .text = normal, .datacenter = &args->datacenter, .vms = true};
    return find_first(call, &search, &ret->returnval);
}

/* ---- by place -------------------------------------------------------------------------------------- */

/* The name with %25, %2f and %5c, which stand for %, / and \ in names, decoded. */
static char *decode_name(const char *name)
{
    GString *decoded = g_string_new(NULL);
    while (*name != '\0') {
        bool percent = g_ascii_strncasecmp(name, "%25", 3) == 0;
        bool slash = g_ascii_strncasecmp(name, "%2f", 3) == 0;
        bool backslash = g_ascii_strncasecmp(name, "%5c", 3) == 0;
        bool escaped = percent || slash || backslash;
        g_string_append_c(decoded, percent ? '%' : slash ? '/' : backslash ? '\\' : *name);
        name += escaped ? 3 : 1;
    }
    return g_string_free(decoded, FALSE);
}

/* The search for a child by name, which vim_entity_children fills. */
struct child_search {
    struct vim_call *call;
    const char *name; /* as it is in a path */
    char *decoded;    /* owned */
    struct vim_object *found;
};

static void try_child(void *data, const struct vim_ref *ref)
{
    struct child_search *search = data;
    struct vim_object *child =
        search->found == NULL ? vim_inventory_find_ref(search->call->server->inventory, ref) : NULL;
    if (child == NULL) {
        return;
    }
    const char *name = vim_entity_name(child);
    bool same = strcmp(name, search->name) == 0;
    if (!same && (strchr(name, '%') != NULL || strchr(search->name, '%') != NULL)) {
        g_autofree char *decoded = decode_name(name);
        same = strcmp(decoded, search->decoded) == 0;
    }
    if (same && is_visible(search->call, child)) {
        search->found = child;
    }
}

/* The visible child with this name, or NULL. (read lock) */
static struct vim_object *child_by_name(struct vim_call *call, const struct vim_object *object,
                                        const char *name)
{
    struct child_search search = {.call = call, .name = name, .decoded = decode_name(name)};
    vim_entity_children(object, try_child, &search);
    g_free(search.decoded);
    return search.found;
}

static struct vim_fault *find_by_inventory_path(struct vim_call *call,
                                                const struct FindByInventoryPath_args *args,
                                                struct FindByInventoryPath_result *ret)
{
    struct vim_server *server = call->server;
    g_auto(GStrv) names = g_strsplit(args->inventoryPath, "/", -1);
    vim_read_lock(server->inventory);
    struct vim_object *object = vim_inventory_find_ref(server->inventory, &server->root_folder);
    if (object != NULL && !is_visible(call, object)) {
        object = NULL; /* a path shows what is on the way */
    }
    for (char **name = names; *name != NULL && object != NULL; name++) {
        if (**name != '\0') {
            object = child_by_name(call, object, *name);
        }
    }
    if (object != NULL) {
        ret->returnval = vim_ref_copy(&object->ref);
    }
    vim_read_unlock(server->inventory);
    return NULL;
}

static struct vim_fault *find_child(struct vim_call *call, const struct FindChild_args *args,
                                    struct FindChild_result *ret)
{
    struct vim_fault *fault = vim_call_require(call, &args->entity, VIM_PRIVILEGE_SYSTEM_VIEW);
    if (fault != NULL) {
        return fault;
    }
    struct vim_server *server = call->server;
    vim_read_lock(server->inventory);
    const struct vim_object *object = vim_inventory_find_ref(server->inventory, &args->entity);
    if (object == NULL) {
        fault = vim_call_gone(&args->entity);
    } else {
        const struct vim_object *child = child_by_name(call, object, args->name);
        if (child != NULL) {
            ret->returnval = vim_ref_copy(&child->ref);
        }
    }
    vim_read_unlock(server->inventory);
    return fault;
}

const struct SearchIndex_methods vim_search_index_methods = {
    .FindByUuid = find_by_uuid,
    .FindByDatastorePath = find_by_datastore_path,
    .FindByDnsName = find_by_dns_name,
    .FindByIp = find_by_ip,
    .FindByInventoryPath = find_by_inventory_path,
    .FindChild = find_child,
    .FindAllByUuid = find_all_by_uuid,
    .FindAllByDnsName = find_all_by_dns_name,
    .FindAllByIp = find_all_by_ip,
};
