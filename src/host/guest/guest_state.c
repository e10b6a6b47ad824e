// SPDX-License-Identifier: Apache-2.0
/*
 * What a guest shows of itself; see guest_state.h.
 *
 * A sign of life every 20 seconds (any answer is one), the network and the host's name every minute, and
 * more often at first because addresses come late in a boot; file systems every five minutes. While one answer is
 * missing nothing more is asked. Answers become a GuestInfo of the poll's own; clients are told of what differs.
 *
 * The heartbeat: green while the agent answers, yellow when an answer is late, red when the agent has gone, gray
 * until the first one.
 */
#include "host/guest/guest_state.h"

#include <arpa/inet.h>
#include <errno.h>
#include <json-c/json.h>
#include <string.h>

#include "base/timer.h"
#include "host/guest/guest_channel.h"
#include "host/guest/guest_json.h"
#include "host/vm/guest_os.h"
#include "vim/value.h"

enum {
    PING_MS = 20000,
    NET_FIRST_MS = 2000, /* doubled each time, up to the next */
    NET_MS = 60000,
    DISK_MS = 300000,
    TIME_MS = 60000,
    ANSWER_MS = 10000, /* after this an answer is late */
    MAX_TEXT = 255,    /* bytes of a name */
    MAX_PATH = 4096,
    MAX_ADAPTERS = 64,
    MAX_ADDRESSES = 64, /* of one adapter */
    MAX_DISKS = 256,
    MAX_COMMANDS = 1024,
};
#define TIME_OFF_NS INT64_C(1000000000) /* a clock that is off by less is left alone */

enum question {
    ASK_INFO,
    ASK_OS,
    ASK_NAME,
    ASK_NET,
    ASK_DISK,
    ASK_PING,
    ASK_TIME,
    ASK_SET_TIME,
    N_QUESTIONS
};

static const char *const commands[N_QUESTIONS] = {
    [ASK_INFO] = "guest-info",          [ASK_OS] = "guest-get-osinfo",
    [ASK_NAME] = "guest-get-host-name", [ASK_NET] = "guest-network-get-interfaces",
    [ASK_DISK] = "guest-get-fsinfo",    [ASK_PING] = "guest-ping",
    [ASK_TIME] = "guest-get-time",      [ASK_SET_TIME] = "guest-set-time",
};

struct guest_poll {
    struct vm *vm;                 /* a reference */
    struct guest_channel *channel; /* borrowed; NULL when there is none */
    struct GuestInfo *info;        /* what is known; owned */
    enum ManagedEntityStatus heartbeat;
    bool seen;                 /* an agent has answered since the machine started */
    bool refused[N_QUESTIONS]; /* this agent does not know the command */
    unsigned pending;          /* questions without an answer */
    int64_t asked_ms;          /* when something was asked last */
    int64_t net_at_ms;         /* when to ask next */
    int64_t net_wait_ms;
    int64_t disk_at_ms;
    int64_t time_at_ms;
    bool set_time; /* once, whatever the configuration says: the guest slept */
};

/* ---- showing ------------------------------------------------------------------------------------------ */

static void set_texts(struct GuestInfo *info, bool running)
{
    info->toolsStatus =
        running ? VirtualMachineToolsStatus_toolsOk : VirtualMachineToolsStatus_toolsNotRunning;
    vim_set_string(&info->toolsRunningStatus, running ? "guestToolsRunning" : "guestToolsNotRunning");
    /* The agent comes with the guest's own distribution, and is not ours to renew. */
    vim_set_string(&info->toolsVersionStatus, "guestToolsUnmanaged");
    vim_set_string(&info->toolsVersionStatus2, "guestToolsUnmanaged");
}

static const struct VirtualEthernetCard *card_of(const struct VirtualMachineConfigInfo *config,
                                                 const char *mac)
{
    for (uint32_t i = 0; mac != NULL && i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        const struct VirtualEthernetCard *card = (const struct VirtualEthernetCard *)(const void *)device;
        if (vim_is_a(device, &VirtualEthernetCard_type) && card->macAddress != NULL &&
            g_ascii_strcasecmp(card->macAddress, mac) == 0) {
            return card;
        }
    }
    return NULL;
}

/* What the host knows of the guest's adapters: which virtual device each is, and where it is plugged in. */
static void match_adapters(struct GuestInfo *info, const struct VirtualMachineConfigInfo *config)
{
    for (uint32_t i = 0; i < info->net.n; i++) {
        struct GuestNicInfo *nic = info->net.items[i];
        const struct VirtualEthernetCard *card = card_of(config, nic->macAddress);
        if (card == NULL) {
            continue;
        }
        const struct VirtualDevice *device = (const struct VirtualDevice *)(const void *)card;
        nic->deviceConfigId = device->key;
        nic->connected = device->connectable == NULL || device->connectable->connected;
        if (vim_is_a(device->backing, &VirtualDeviceDeviceBackingInfo_type)) {
            vim_set_string(
                &nic->network,
                ((const struct VirtualDeviceDeviceBackingInfo *)(const void *)device->backing)->deviceName);
        }
    }
}

/* The address by which the guest is known: of the first adapter, IPv4 before IPv6; none that is local to a link. */
static const char *main_address(const struct GuestInfo *info)
{
    const char *best = NULL;
    for (uint32_t i = 0; i < info->net.n; i++) {
        const struct GuestNicInfo *nic = info->net.items[i];
        for (uint32_t j = 0; j < nic->ipAddress.n; j++) {
            const char *address = nic->ipAddress.items[j];
            bool v6 = strchr(address, ':') != NULL;
            if (!v6 && !g_str_has_prefix(address, "169.254.")) {
                return address;
            }
            if (v6 && best == NULL && g_ascii_strncasecmp(address, "fe80:", strlen("fe80:")) != 0) {
                best = address;
            }
        }
    }
    return best;
}

static void show_summary(struct vim_object *object, const struct GuestInfo *info)
{
    struct VirtualMachineGuestSummary *guest = VirtualMachineGuestSummary_new();
    guest->guestId = g_strdup(info->guestId);
    guest->guestFullName = g_strdup(info->guestFullName);
    guest->toolsStatus = info->toolsStatus;
    guest->toolsVersionStatus = g_strdup(info->toolsVersionStatus);
    guest->toolsVersionStatus2 = g_strdup(info->toolsVersionStatus2);
    guest->toolsRunningStatus = g_strdup(info->toolsRunningStatus);
    guest->hostName = g_strdup(info->hostName);
    guest->ipAddress = g_strdup(info->ipAddress);
    vim_set_data(object, "summary.guest", guest);
}

static void show_heartbeat(struct vim_object *object, enum ManagedEntityStatus heartbeat)
{
    vim_set_enum(object, "guestHeartbeatStatus", heartbeat);
    vim_set_enum(object, "summary.quickStats.guestHeartbeatStatus", heartbeat);
}

/* Shows what the poll knows, as far as it differs from what is shown. */
static void show(struct guest_poll *poll)
{
    struct vim_inventory *inventory = poll->vm->host->server->inventory;
    vim_write_lock(inventory);
    struct vim_object *object = vim_inventory_find(inventory, poll->vm->id);
    const struct VirtualMachine *machine = object != NULL ? VIM_PROPERTIES(object, VirtualMachine) : NULL;
    /* A machine that has stopped meanwhile is shown by who stopped it. */
    if (machine != NULL && machine->runtime->powerState == VirtualMachinePowerState_poweredOn) {
        struct GuestInfo *info = vim_copy(poll->info);
        match_adapters(info, machine->config);
        vim_set_string(&info->ipAddress, main_address(info));
        vim_set_string(&info->guestState, machine->guest->guestState);
        if (info->guestId == NULL) {
            info->guestId = g_strdup(machine->config->guestId);
        }
        if (info->guestFullName == NULL) {
            info->guestFullName = g_strdup(machine->config->guestFullName);
        }
        show_summary(object, info);
        vim_set_data(object, "guest", info);
        show_heartbeat(object, poll->heartbeat);
    }
    vim_write_unlock(inventory);
}

void guest_state_reset(struct vim_object *object, const char *guest_state)
{
    const struct VirtualMachine *machine = VIM_PROPERTIES(object, VirtualMachine);
    struct GuestInfo *info = GuestInfo_new();
    const struct GuestInfo *before = machine->guest;
    info->guestId = g_strdup(before->guestId);
    info->guestFullName = g_strdup(before->guestFullName);
    info->guestFamily = g_strdup(before->guestFamily);
    info->hostName = g_strdup(before->hostName);
    info->toolsVersion = g_strdup(before->toolsVersion);
    info->guestState = g_strdup(guest_state);
    info->toolsStatus = before->toolsStatus;
    info->toolsRunningStatus = g_strdup("guestToolsNotRunning");
    info->toolsVersionStatus = g_strdup(before->toolsVersionStatus);
    info->toolsVersionStatus2 = g_strdup(before->toolsVersionStatus2);
    if (info->toolsStatus == VirtualMachineToolsStatus_toolsOk) {
        info->toolsStatus = VirtualMachineToolsStatus_toolsNotRunning;
    }
    show_summary(object, info);
    vim_set_data(object, "guest", info);
    show_heartbeat(object, ManagedEntityStatus_gray);
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static void take_info(struct guest_poll *poll, struct json_object *reply)
{
    bool exec = false;
    bool exec_status = false;
    struct json_object *list = guest_json_member(reply, "supported_commands");
    size_t n = guest_json_length(list, MAX_COMMANDS);
    for (size_t i = 0; i < n; i++) {
        struct json_object *command = json_object_array_get_idx(list, i);
        const char *name = guest_json_text(command, "name", MAX_TEXT);
        bool enabled = guest_json_bool(command, "enabled");
        exec = exec || (enabled && g_strcmp0(name, "guest-exec") == 0);
        exec_status = exec_status || (enabled && g_strcmp0(name, "guest-exec-status") == 0);
    }
    vim_set_string(&poll->info->toolsVersion, guest_json_text(reply, "version", MAX_TEXT));
    vim_set_optional(&poll->info->guestOperationsReady, exec && exec_status);
    vim_set_optional(&poll->info->interactiveGuestOperationsReady, false);
    vim_set_optional(&poll->info->guestStateChangeSupported, true);
    vim_set_string(&poll->info->appHeartbeatStatus, "appStatusGray");
}

/* The API's name of a system; the nearest where it has none of its own for that version. */
static char *guest_id_of(const char *id, const char *version, const char *machine)
{
    static const struct {
        const char *id;
        const char
            *name; /* %s: the version; what is not known falls back to the next line with the same id */
    } systems[] = {
        {"debian", "debian%s_64Guest"},       {"debian", "debian10_64Guest"},
        {"ubuntu", "ubuntu64Guest"},          {"fedora", "fedora64Guest"},
        {"centos", "centos%s_64Guest"},       {"centos", "centos7_64Guest"},
        {"rhel", "rhel%s_64Guest"},           {"rhel", "rhel7_64Guest"},
        {"ol", "oracleLinux%s_64Guest"},      {"ol", "oracleLinux7_64Guest"},
        {"sles", "sles%s_64Guest"},           {"sles", "sles15_64Guest"},
        {"opensuse-leap", "opensuse64Guest"}, {"opensuse-tumbleweed", "opensuse64Guest"},
    };
    if (id == NULL || g_strcmp0(machine, "x86_64") != 0) {
        return NULL;
    }
    g_autofree char *major =
        g_strndup(version != NULL ? version : "", strcspn(version != NULL ? version : "", "."));
    for (size_t i = 0; i < G_N_ELEMENTS(systems); i++) {
        if (g_str_equal(systems[i].id, id)) {
            const char *mark = strstr(systems[i].name, "%s");
            g_autofree char *name = mark == NULL
                                        ? g_strdup(systems[i].name)
                                        : g_strdup_printf("%.*s%s%s", (int)(mark - systems[i].name),
                                                          systems[i].name, major, mark + strlen("%s"));
            if (guest_os_full_name(name) != NULL) {
                return g_steal_pointer(&name);
            }
        }
    }
    return g_str_equal(id, "mswindows") ? NULL : g_strdup("otherLinux64Guest");
}

static void take_os(struct guest_poll *poll, struct json_object *reply)
{
    const char *id = guest_json_text(reply, "id", MAX_TEXT);
    const char *kernel = guest_json_text(reply, "kernel-release", MAX_TEXT);
    const char *pretty = guest_json_text(reply, "pretty-name", MAX_TEXT);
    const char *machine = guest_json_text(reply, "machine", MAX_TEXT);
    const char *version = guest_json_text(reply, "version-id", MAX_TEXT);
    if (id == NULL && kernel == NULL) {
        return;
    }
    const char *bits =
        g_strcmp0(machine, "x86_64") == 0 || g_strcmp0(machine, "aarch64") == 0 ? " (64-bit)" : "";
    g_free(poll->info->guestId);
    poll->info->guestId = guest_id_of(id, version, machine);
    vim_set_string(&poll->info->guestFamily, g_strcmp0(id, "mswindows") == 0 ? "windowsGuest" : "linuxGuest");
    g_free(poll->info->guestFullName);
    poll->info->guestFullName = g_strdup_printf("%s%s",
                                                pretty != NULL   ? pretty
                                                : kernel != NULL ? kernel
                                                                 : id,
                                                bits);
}

static void take_addresses(struct GuestNicInfo *nic, struct json_object *list)
{
    size_t n = guest_json_length(list, MAX_ADDRESSES);
    nic->ipConfig = NetIpConfigInfo_new();
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(list, i);
        const char *text = guest_json_text(item, "ip-address", INET6_ADDRSTRLEN);
        int64_t prefix = guest_json_int(item, "prefix", -1);
        unsigned char bytes[sizeof(struct in6_addr)];
        bool v4 = text != NULL && inet_pton(AF_INET, text, bytes) == 1;
        bool v6 = text != NULL && !v4 && inet_pton(AF_INET6, text, bytes) == 1;
        if ((v4 || v6) && prefix >= 0 && prefix <= (v4 ? 32 : 128)) {
            struct NetIpConfigInfoIpAddress *address = NetIpConfigInfoIpAddress_new();
            address->ipAddress = g_strdup(text);
            address->prefixLength = (int32_t)prefix;
            vim_array_add_object(&nic->ipConfig->ipAddress, address);
            vim_array_add_string(&nic->ipAddress, text);
        }
    }
}

static int compare_adapters(const void *a, const void *b)
{
    const struct GuestNicInfo *first = *(struct GuestNicInfo *const *)a;
    const struct GuestNicInfo *second = *(struct GuestNicInfo *const *)b;
    return g_strcmp0(first->macAddress, second->macAddress);
}

static void take_net(struct guest_poll *poll, struct json_object *reply)
{
    struct vim_array *net = (struct vim_array *)(void *)&poll->info->net;
    size_t n = guest_json_length(reply, MAX_ADAPTERS);
    while (net->n > 0) {
        vim_array_remove(net, &GuestNicInfo_type, net->n - 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(reply, i);
        const char *mac = guest_json_text(item, "hardware-address", MAX_TEXT);
        if (mac == NULL || g_str_equal(mac, "00:00:00:00:00:00")) {
            continue; /* the loopback device, and tunnels */
        }
        struct GuestNicInfo *nic = GuestNicInfo_new();
        nic->macAddress = g_ascii_strdown(mac, -1);
        nic->deviceConfigId = -1;
        nic->connected = true;
        take_addresses(nic, guest_json_member(item, "ip-addresses"));
        vim_array_add_object(net, nic);
    }
    if (net->n > 1) {
        qsort(net->items, net->n, sizeof(void *), compare_adapters);
    }
    if (poll->info->net.n > 0 && ((struct GuestNicInfo *)poll->info->net.items[0])->ipAddress.n > 0) {
        poll->net_wait_ms = MIN(2 * poll->net_wait_ms, NET_MS);
    }
}

static void take_disks(struct guest_poll *poll, struct json_object *reply)
{
    struct vim_array *disks = (struct vim_array *)(void *)&poll->info->disk;
    size_t n = guest_json_length(reply, MAX_DISKS);
    while (disks->n > 0) {
        vim_array_remove(disks, &GuestDiskInfo_type, disks->n - 1);
    }
    for (size_t i = 0; i < n; i++) {
        struct json_object *item = json_object_array_get_idx(reply, i);
        const char *path = guest_json_text(item, "mountpoint", MAX_PATH);
        int64_t total = guest_json_int(item, "total-bytes", -1);
        int64_t used = guest_json_int(item, "used-bytes", -1);
        if (path != NULL && total >= 0 && used >= 0 && used <= total) {
            struct GuestDiskInfo *disk = GuestDiskInfo_new();
            disk->diskPath = g_strdup(path);
            vim_set_optional(&disk->capacity, total);
            vim_set_optional(&disk->freeSpace, total - used);
            vim_array_add_object(disks, disk);
        }
    }
}

static void ask(struct guest_poll *poll, enum question question, struct json_object *arguments);

static void take_time(struct guest_poll *poll, struct json_object *reply)
{
    int64_t now_ns = vim_now_us(poll->vm->host->server) * 1000;
    if (json_object_is_type(reply, json_type_int) &&
        ABS(json_object_get_int64(reply) / 1000 - now_ns / 1000) > TIME_OFF_NS / 1000) {
        struct json_object *arguments = json_object_new_object();
        json_object_object_add(arguments, "time", json_object_new_int64(now_ns));
        ask(poll, ASK_SET_TIME, arguments);
    }
}

static void take(struct guest_poll *poll, enum question question, struct json_object *reply)
{
    switch (question) {
    case ASK_INFO:
        take_info(poll, reply);
        break;
    case ASK_OS:
        take_os(poll, reply);
        break;
    case ASK_NAME:
        vim_set_string(&poll->info->hostName, guest_json_text(reply, "host-name", MAX_TEXT));
        break;
    case ASK_NET:
        take_net(poll, reply);
        break;
    case ASK_DISK:
        take_disks(poll, reply);
        break;
    case ASK_TIME:
        take_time(poll, reply);
        break;
    case ASK_PING:
    case ASK_SET_TIME:
    case N_QUESTIONS:
        break;
    }
}

/* ---- questions ---------------------------------------------------------------------------------------- */

/* A question under way. The poll outlives it: a channel that closes answers all before its agent goes. */
struct asked {
    struct guest_poll *poll;
    enum question question;
};

static void on_answer(void *data, int error, struct json_object *reply, const char *message)
{
    g_autofree struct asked *asked = data;
    struct guest_poll *poll = asked->poll;
    (void)message;
    poll->pending--;
    if (error == -ENOSYS || error == -EIO) {
        poll->refused[asked->question] = error == -ENOSYS;
        poll->heartbeat = ManagedEntityStatus_green; /* it speaks, after all */
    } else if (error == 0) {
        poll->heartbeat = ManagedEntityStatus_green;
        take(poll, asked->question, reply);
    } else if (error == -ETIMEDOUT) {
        poll->heartbeat = ManagedEntityStatus_yellow;
    } else {
        return; /* it is gone, and that is told too */
    }
    show(poll);
}

static void ask(struct guest_poll *poll, enum question question, struct json_object *arguments)
{
    if (poll->channel == NULL || poll->refused[question]) {
        json_object_put(arguments);
        return;
    }
    struct asked *asked = g_new(struct asked, 1);
    *asked = (struct asked){poll, question};
    poll->pending++;
    poll->asked_ms = timer_now_ms();
    guest_channel_submit(poll->channel, commands[question], arguments, ANSWER_MS, false, on_answer, asked);
}

static bool wants_time(struct guest_poll *poll)
{
    struct vim_inventory *inventory = poll->vm->host->server->inventory;
    vim_read_lock(inventory);
    const struct vim_object *object = vim_inventory_find(inventory, poll->vm->id);
    const struct VirtualMachine *machine = object != NULL ? VIM_PROPERTIES(object, VirtualMachine) : NULL;
    bool wanted = machine != NULL && machine->config != NULL && machine->config->tools != NULL &&
                  machine->config->tools->syncTimeWithHost.set &&
                  machine->config->tools->syncTimeWithHost.value;
    vim_read_unlock(inventory);
    return wanted;
}

static void ask_what_is_due(struct guest_poll *poll)
{
    int64_t now = timer_now_ms();
    if (poll->net_at_ms <= now) {
        ask(poll, ASK_NAME, NULL);
        ask(poll, ASK_NET, NULL);
        poll->net_at_ms = now + poll->net_wait_ms;
        poll->net_wait_ms = MIN(2 * poll->net_wait_ms, NET_MS);
    }
    if (poll->disk_at_ms <= now) {
        ask(poll, ASK_DISK, NULL);
        poll->disk_at_ms = now + DISK_MS;
    }
    if (poll->time_at_ms <= now) {
        if (poll->set_time || wants_time(poll)) {
            ask(poll, ASK_TIME, NULL);
        }
        poll->set_time = false;
        poll->time_at_ms = now + TIME_MS;
    }
    if (poll->asked_ms + PING_MS <= now) {
        ask(poll, ASK_PING, NULL);
    }
}

static void sleep_until_due(struct guest_poll *poll)
{
    int64_t next = MIN(poll->net_at_ms, MIN(poll->disk_at_ms, poll->time_at_ms));
    next = MIN(next, poll->asked_ms + PING_MS);
    guest_channel_wake_at(poll->channel, MAX(next, timer_now_ms() + 1000));
}

void guest_poll_ready(struct guest_poll *poll)
{
    poll->heartbeat = ManagedEntityStatus_green;
    set_texts(poll->info, true);
    memset(poll->refused, 0, sizeof(poll->refused));
    poll->seen = true;
    poll->net_wait_ms = NET_FIRST_MS;
    poll->net_at_ms = poll->disk_at_ms = poll->time_at_ms = 0;
    ask(poll, ASK_INFO, NULL);
    ask(poll, ASK_OS, NULL);
    ask_what_is_due(poll);
    sleep_until_due(poll);
    show(poll);
}

void guest_poll_lost(struct guest_poll *poll, bool expected)
{
    if (!poll->seen) {
        return;
    }
    struct GuestInfo *info = GuestInfo_new();
    info->guestId = g_steal_pointer(&poll->info->guestId);
    info->guestFullName = g_steal_pointer(&poll->info->guestFullName);
    info->guestFamily = g_steal_pointer(&poll->info->guestFamily);
    info->hostName = g_steal_pointer(&poll->info->hostName);
    info->toolsVersion = g_steal_pointer(&poll->info->toolsVersion);
    vim_set_optional(&info->guestOperationsReady, false);
    vim_set_optional(&info->interactiveGuestOperationsReady, false);
    vim_set_optional(&info->guestStateChangeSupported, false);
    set_texts(info, false);
    vim_free(poll->info);
    poll->info = info;
    poll->heartbeat = expected ? ManagedEntityStatus_gray : ManagedEntityStatus_red;
    poll->seen = !expected;
    show(poll);
}

void guest_poll_wake(struct guest_poll *poll, bool frozen)
{
    if (poll->channel == NULL) {
        return;
    }
    if (poll->pending == 0 && frozen) {
        ask(poll, ASK_PING, NULL); /* the agent allows no more, and would have to wait for the disks */
        guest_channel_wake_at(poll->channel, timer_now_ms() + PING_MS);
        return;
    }
    if (poll->pending == 0) {
        ask_what_is_due(poll);
    }
    sleep_until_due(poll);
}

struct guest_poll *guest_poll_new(struct vm *vm, bool slept)
{
    struct guest_poll *poll = g_new0(struct guest_poll, 1);
    poll->vm = vm_ref(vm);
    poll->info = GuestInfo_new();
    poll->heartbeat = ManagedEntityStatus_gray;
    poll->set_time = slept;
    return poll;
}

void guest_poll_free(struct guest_poll *poll)
{
    if (poll != NULL) {
        vim_free(poll->info);
        vm_unref(poll->vm);
        g_free(poll);
    }
}

void guest_poll_set_channel(struct guest_poll *poll, struct guest_channel *channel)
{
    poll->channel = channel;
}
