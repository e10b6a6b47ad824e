// SPDX-License-Identifier: Apache-2.0
/*
 * Where a serial port with a URI or a pipe as its backing leads to, and the sockets for it.
 *
 * The host makes every such socket itself: QEMU gets a listening one by descriptor, or is relayed to by
 * port_link.c, and needs neither names, nor routes, nor the key of the host's certificate. Called when a device is
 * checked, when its files are opened, and by port_link.c. The schemes and the parameters after '#' are those of
 * VirtualSerialPortURIBackingInfo in the VI API.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct VirtualDevice;
struct vim_fault;

enum port_kind {
    PORT_OTHER = 1, /* a file, a device, no serial port at all */
    PORT_CONSOLE,   /* what tickets open */
    PORT_NETWORK,
    PORT_PIPE,
};

struct port_address {
    enum port_kind kind;
    bool server;     /* the machine is called, else it calls */
    bool telnet;     /* speaks telnet (QEMU does that) */
    bool tls;        /* encrypted, from the first byte on */
    int family;      /* AF_UNSPEC, AF_INET or AF_INET6 */
    char *host;      /* "" of a server: all addresses; owned */
    char *port;      /* decimal; owned */
    char *pipe;      /* the name of a pipe, which is a socket in STATE/pipes; owned */
    bool verify;     /* the peer's certificate must be good for peer_name, */
    char *peer_name; /* which is the host unless something else was given; owned */
    char *
        thumbprint; /* what the peer's certificate must have: SHA-1 or SHA-256, lower-case hex; owned, or NULL */
};

/* InvalidDeviceBacking, or NotSupported, with the property that is wrong named; index as in deviceChange. */
struct vim_fault *port_address_of(const struct VirtualDevice *device, unsigned index,
                                  struct port_address *ret);
void port_address_clear(struct port_address *address);
#define PORT_ADDRESS_AUTO __attribute__((cleanup(port_address_clear))) struct port_address

/* Whether a listening socket of the address is all that QEMU needs. */
bool port_address_is_plain_server(const struct port_address *address);
/* Whether port_link.c has to carry the bytes. */
bool port_address_is_linked(const struct port_address *address);

/* A listening socket; state_fd is the host's folder. Blocks while a host name is looked up. -EADDRINUSE. */
int port_address_listen(const struct port_address *address, int state_fd, int *ret_fd);
/* A connected, non-blocking socket; gives up, with -ECANCELED, when there is something to be read from wake_fd.
 * Blocks while a host name is looked up, and until somebody answers. */
int port_address_call(const struct port_address *address, int state_fd, int wake_fd, int *ret_fd);
