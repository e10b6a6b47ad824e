// SPDX-License-Identifier: Apache-2.0
/*
 * A host: one machine with its virtual machines, shown as a standalone ESX. Made by `tenkyu host`, by tests,
 * and by the lab, any number in one process.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct host;

struct host_options {
    const char *state_dir;     /* all that the host keeps; made when missing */
    const char *const *listen; /* "ADDR:PORT", NULL-terminated; port 0 takes a free one */
    bool plain_http;           /* no TLS: for tests and behind a proxy */
    const char *hypervisor;    /* "qemu" or "sim" */
    const char *accelerator;   /* "kvm", "tcg", or NULL to probe */
    const char *user;          /* first start: this user instead of root, or NULL */
    const char *password;      /* and its password */
    const char *power_program; /* called with "reboot" or "poweroff", or NULL: the host cannot do that */
    unsigned sim_vms;          /* virtual machines to invent at start; only with sim */
};

/* Opens the host: adopts running virtual machines, registers the others, answers requests when it returns.
 * 0 or a negative errno with a sentence for people. */
int host_new(const struct host_options *options, struct host **ret, char **ret_message);
/* Stops the virtual machines that stop with the machine, because it goes down; returns when they are off. */
void host_stop_machines(struct host *host);
/* Closes it. Virtual machines run on. */
void host_free(struct host *host);

/* The URL of the n-th listen address, to be freed with g_free; NULL when there is none. */
char *host_url(const struct host *host, unsigned n);
/* The password that the first start made, or NULL; to be shown once. */
const char *host_first_password(const struct host *host);
/* The SHA-256 fingerprint of the host's certificate, for people to compare; NULL with plain HTTP. */
const char *host_fingerprint(const struct host *host);
