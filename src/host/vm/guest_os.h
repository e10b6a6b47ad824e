// SPDX-License-Identifier: Apache-2.0
/*
 * Guest operating systems by the VI API's identifiers (VirtualMachineGuestOsIdentifier), and what suits each: the
 * one table is guest_os.c, docs/guest-os.md is made of it. What is recommended here is what clients are told and
 * what `tenkyu vm create` takes when nothing else is asked for; the host itself adds no device by it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hypervisor/hypervisor.h"

/* Disk controllers and network adapters that a guest has drivers for, and other traits: bits. */
enum guest_os_disk {
    GUEST_OS_IDE = 1 << 0,
    GUEST_OS_LSI = 1 << 1, /* LSI Logic parallel, an LSI 53C895A here */
    GUEST_OS_SAS = 1 << 2,
    GUEST_OS_PVSCSI = 1 << 3,
    GUEST_OS_AHCI = 1 << 4,
    GUEST_OS_NVME = 1 << 5,
};
enum guest_os_card {
    GUEST_OS_PCNET = 1 << 0,
    GUEST_OS_E1000 = 1 << 1,
    GUEST_OS_E1000E = 1 << 2,
    GUEST_OS_VMXNET3 = 1 << 3,
};
enum guest_os_trait {
    GUEST_OS_LOCAL_TIME = 1 << 0,  /* keeps local time in the clock of the board */
    GUEST_OS_NO_HPET = 1 << 1,     /* keeps better time without an HPET */
    GUEST_OS_EFI = 1 << 2,         /* starts with EFI firmware too */
    GUEST_OS_SECURE_BOOT = 1 << 3, /* and with secure boot */
    GUEST_OS_TPM = 1 << 4,         /* uses a TPM 2.0 */
    GUEST_OS_HOT_ADD = 1 << 5,     /* takes processors and memory while it runs */
    GUEST_OS_USB3 = 1 << 6,        /* has drivers for xHCI */
    GUEST_OS_SMC = 1 << 7,         /* starts only with Apple's SMC, which there is none of here */
    GUEST_OS_LEGACY = 1 << 8,      /* its maker has given it up */
};

/* Systems that are alike. All strings are constant; types are names of the VI API's device types. */
struct guest_os_profile {
    const char *name;        /* for documentation: "Windows 8, Server 2012" */
    const char *family;      /* "windowsGuest"... */
    enum guest_os_disk disk; /* recommended: one bit */
    enum guest_os_card card; /* recommended: one bit */
    unsigned disks;          /* all of enum guest_os_disk that work */
    unsigned cards;          /* all of enum guest_os_card that work */
    const char *firmware;    /* recommended: "bios" or "efi" */
    const char *sound;       /* the sound card that suits it */
    int32_t max_cpus;        /* of the guest; the host may give fewer */
    int32_t min_memory_mb;
    int32_t recommended_memory_mb;
    int64_t max_memory_mb; /* of a 64-bit system; one of 32 bits has at most 64 GB */
    int32_t disk_gb;       /* recommended size of the first disk */
    unsigned traits;       /* of enum guest_os_trait */
};

struct guest_os {
    const char *id;
    const char *full_name;
    const struct guest_os_profile *profile;
    int bits; /* 16, 32 or 64 */
};

/* All of them, in the order in which clients get them. */
extern const struct guest_os guest_os_list[];
extern const size_t guest_os_count;

/* NULL when there is none such. */
const struct guest_os *guest_os_find(const char *id);
/* The full name of a guest OS identifier ("debian10_64Guest"), or NULL. */
const char *guest_os_full_name(const char *id);
/* What it wants of the board; an unknown or absent identifier wants nothing. */
struct hypervisor_guest guest_os_board(const char *id);
/* "q35" or "440bx": the board for a new machine with this firmware. Q35 goes with EFI, whatever the guest: secure
 * boot needs it, and what starts by EFI is new enough to know PCI Express. */
const char *guest_os_chipset(const char *firmware);
/* The name of the VI API's type for one bit. */
const char *guest_os_disk_type(enum guest_os_disk disk);
const char *guest_os_card_type(enum guest_os_card card);
