// SPDX-License-Identifier: Apache-2.0
/*
 * Where serial ports lead to: what the addresses mean, and those that are refused with the property named.
 */
#include "host/vm/port_address.h"

#include <glib.h>
#include <string.h>
#include <sys/socket.h>

#include "vim/faults.h"
#include "vim/types.h"
#include "vim/value.h"

static struct VirtualSerialPort *uri_port(const char *uri, const char *direction, const char *proxy)
{
    struct VirtualSerialPort *port = vim_new(&VirtualSerialPort_type);
    struct VirtualSerialPortURIBackingInfo *backing = vim_new(&VirtualSerialPortURIBackingInfo_type);

    vim_set_string(&backing->serviceURI, uri);
    vim_set_string(&backing->direction, direction);
    vim_set_string(&backing->proxyURI, proxy);
    port->backing = (struct VirtualDeviceBackingInfo *)backing;
    return port;
}

static struct VirtualSerialPort *pipe_port(const char *name, const char *endpoint)
{
    struct VirtualSerialPort *port = vim_new(&VirtualSerialPort_type);
    struct VirtualSerialPortPipeBackingInfo *backing = vim_new(&VirtualSerialPortPipeBackingInfo_type);

    vim_set_string(&backing->pipeName, name);
    vim_set_string(&backing->endpoint, endpoint);
    port->backing = (struct VirtualDeviceBackingInfo *)backing;
    return port;
}

static void expect_refused(struct VirtualSerialPort *port, const struct vim_type *type, const char *property)
{
    PORT_ADDRESS_AUTO address = {0};
    VIM_FAULT_AUTO fault = port_address_of((struct VirtualDevice *)port, 3, &address);
    g_autofree char *named = g_strdup_printf("deviceChange[3].device.backing.%s", property);

    g_assert_nonnull(fault);
    g_assert_true(vim_fault_type(fault) == type);
    g_assert_true(g_str_has_prefix(fault->message, named));
    g_assert_cmpint(address.kind, ==, 0); /* nothing was written */
    vim_free(port);
}

static void test_schemes(void)
{
    static const struct {
        const char *uri;
        bool telnet, tls;
        int family;
        const char *host, *port;
    } good[] = {
        {"tcp://db:1", false, false, AF_UNSPEC, "db", "1"},
        {"db.example:99", false, false, AF_UNSPEC, "db.example", "99"},
        {"tcp4://127.0.0.1:65535", false, false, AF_INET, "127.0.0.1", "65535"},
        {"tcp6://[::1]:7", false, false, AF_INET6, "::1", "7"},
        {"TELNET://db:23", true, false, AF_UNSPEC, "db", "23"},
        {"ssl://db:1", false, true, AF_UNSPEC, "db", "1"},
        {"tcp4+ssl://db:1", false, true, AF_INET, "db", "1"},
        {"telnets://[fe80::1%eth0]:992", true, true, AF_UNSPEC, "fe80::1%eth0", "992"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(good); i++) {
        PORT_ADDRESS_AUTO address = {0};
        struct VirtualSerialPort *port = uri_port(good[i].uri, "client", NULL);
        VIM_FAULT_AUTO fault = port_address_of((struct VirtualDevice *)port, 0, &address);

        g_assert_null(fault);
        g_assert_cmpint(address.kind, ==, PORT_NETWORK);
        g_assert_cmpint(address.telnet, ==, good[i].telnet);
        g_assert_cmpint(address.tls, ==, good[i].tls);
        g_assert_cmpint(address.family, ==, good[i].family);
        g_assert_cmpstr(address.host, ==, good[i].host);
        g_assert_cmpstr(address.port, ==, good[i].port);
        g_assert_cmpstr(address.peer_name, ==, good[i].host);
        g_assert_false(address.verify);
        g_assert_true(port_address_is_linked(&address));
        vim_free(port);
    }
}

static void test_who_carries(void)
{
    static const struct {
        const char *uri, *direction;
        enum port_kind kind;
        bool plain_server, linked;
    } rows[] = {
        {"console", "server", PORT_CONSOLE, false, false},
        {"tenkyu://console", "", PORT_CONSOLE, false, false},
        {"", "", PORT_CONSOLE, false, false},
        {"telnet://:7001", "server", PORT_NETWORK, true, false},
        {"telnets://:7001", "server", PORT_NETWORK, false, true},
        {"tcp://db:7001", "client", PORT_NETWORK, false, true},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(rows); i++) {
        PORT_ADDRESS_AUTO address = {0};
        struct VirtualSerialPort *port = uri_port(rows[i].uri, rows[i].direction, NULL);
        VIM_FAULT_AUTO fault = port_address_of((struct VirtualDevice *)port, 0, &address);

        g_assert_null(fault);
        g_assert_cmpint(address.kind, ==, rows[i].kind);
        g_assert_cmpint(port_address_is_plain_server(&address), ==, rows[i].plain_server);
        g_assert_cmpint(port_address_is_linked(&address), ==, rows[i].linked);
        vim_free(port);
    }
}

static void test_parameters(void)
{
    PORT_ADDRESS_AUTO address = {0};
    struct VirtualSerialPort *port =
        uri_port("telnets://db:1#thumbprint=00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:00:11:22:33&"
                 "peerName=other.example",
                 "client", NULL);
    VIM_FAULT_AUTO fault = port_address_of((struct VirtualDevice *)port, 0, &address);

    g_assert_null(fault);
    g_assert_cmpstr(address.thumbprint, ==, "00112233445566778899aabbccddeeff00112233");
    g_assert_cmpstr(address.peer_name, ==, "other.example");
    g_assert_true(address.verify);
    vim_free(port);
}

static void test_refused(void)
{
    static const char *const uris[] = {
        "gopher://db:1",
        "tcp://db",
        "tcp://db:",
        "tcp://db:0",
        "tcp://db:65536",
        "tcp://db:1x",
        "tcp://:1",
        "tcp://db:-1",
        "tcp://db,server=on:1",
        "tcp://a b:1",
        "tcp://db/x:1",
        "tcp://u@db:1",
        "tcp://-oProxy:1",
        "tcp://::1:1",
        "tcp://db\n:1",
        "tcp://",
        "://db:1",
        "unix:///run/x:1",
        "ssl://db:1#",
        "ssl://db:1#verified",
        "ssl://db:1#peerName=",
        "ssl://db:1#thumbprint=zz",
        "ssl://db:1#verify#verify",
    };
    g_autofree char *endless = g_strnfill(300, 'a');
    g_autofree char *long_uri = g_strdup_printf("tcp://%s:1", endless);

    for (size_t i = 0; i < G_N_ELEMENTS(uris); i++) {
        expect_refused(uri_port(uris[i], "client", NULL), &InvalidDeviceBacking_type, "serviceURI");
    }
    expect_refused(uri_port(long_uri, "client", NULL), &InvalidDeviceBacking_type, "serviceURI");
    expect_refused(uri_port("tcp://:443", "server", NULL), &InvalidDeviceBacking_type, "serviceURI");
    expect_refused(uri_port("tcp://db:1", "both", NULL), &InvalidDeviceBacking_type, "direction");
    expect_refused(uri_port("tcp://db:1", "", NULL), &InvalidDeviceBacking_type, "direction");
    expect_refused(uri_port("tcp://db:1#verify", "client", NULL), &NotSupported_type, "serviceURI");
    expect_refused(uri_port("telnet://db:1#verify", "client", NULL), &NotSupported_type, "serviceURI");
    expect_refused(uri_port("ssl://:7001#verify", "server", NULL), &NotSupported_type, "serviceURI");
    expect_refused(uri_port("ssl://db:1#cipherList=NULL", "client", NULL), &NotSupported_type, "serviceURI");
    expect_refused(uri_port("vSPC", "client", "telnet://vspc:13370"), &NotSupported_type, "proxyURI");
}

static void test_pipes(void)
{
    static const char *const names[] = {"",     ".",   "..",  ".hidden", "/run/docker.sock",
                                        "../x", "a/b", "a b", "a\n"};
    g_autofree char *endless = g_strnfill(65, 'a');
    PORT_ADDRESS_AUTO address = {0};
    struct VirtualSerialPort *port = pipe_port("com_1.A-b", "client");
    VIM_FAULT_AUTO fault = port_address_of((struct VirtualDevice *)port, 0, &address);

    g_assert_null(fault);
    g_assert_cmpint(address.kind, ==, PORT_PIPE);
    g_assert_cmpstr(address.pipe, ==, "com_1.A-b");
    g_assert_false(address.server);
    g_assert_true(port_address_is_linked(&address));
    vim_free(port);
    for (size_t i = 0; i < G_N_ELEMENTS(names); i++) {
        expect_refused(pipe_port(names[i], "server"), &InvalidDeviceBacking_type, "pipeName");
    }
    expect_refused(pipe_port(endless, "server"), &InvalidDeviceBacking_type, "pipeName");
    expect_refused(pipe_port("a", "peer"), &InvalidDeviceBacking_type, "endpoint");
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/port_address/schemes", test_schemes);
    g_test_add_func("/port_address/who_carries", test_who_carries);
    g_test_add_func("/port_address/parameters", test_parameters);
    g_test_add_func("/port_address/refused", test_refused);
    g_test_add_func("/port_address/pipes", test_pipes);
    return g_test_run();
}
