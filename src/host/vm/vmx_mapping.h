// SPDX-License-Identifier: Apache-2.0
/*
 * How keys of a .vmx file and properties of the VI API correspond, as tables, and the one engine that
 * reads a table in both directions. vmx_config.c has the tables of the machine, vmx_device.c those of its
 * devices; nobody else includes this.
 *
 * A file is changed as little as possible: a key whose value means what the property says is left as it
 * is, an absent key whose absence means that is left absent.
 */
#pragma once

#include <glib.h>
#include <stdint.h>

#include "host/vm/vmx.h"
#include "vim/type.h"

/* How a value is written in the file where that is not how the VI API writes it. */
enum vmx_form {
    VMX_PLAIN = 0,
    VMX_WORDS,   /* by the mapping's words; other values as they are */
    VMX_UUID,    /* "56 4d ..-.." */
    VMX_VERSION, /* "14" is "vmx-14" */
    VMX_GUEST,   /* "ubuntu-64" is "ubuntu64Guest" */
    VMX_FILE,    /* relative to the .vmx; "[datastore] path" in the API */
    VMX_BYTES,   /* bytes; KiB in the API */
    VMX_HEX16,   /* "0x8086"; a short, signed as the API has it */
    VMX_SHARES,  /* "low", "normal", "high" or a number; a SharesInfo in the API */
};

struct vmx_word {
    const char *file;
    const char *api;
};

struct vmx_mapping {
    const char *key;    /* a whole key, or what follows "scsi0:0." */
    const char *path;   /* the property, from the object: "backing.diskMode" */
    const char *absent; /* what an absent key means, as the API writes it; NULL: the property is unset */
    enum vmx_form form;
    const struct vmx_word *words; /* with VMX_WORDS; ended by a NULL */
    int64_t min;                  /* of a number */
};

/* One pass over a file. */
struct vmx_mapper {
    const struct vmx *vmx; /* what is read */
    struct vmx *out;       /* what is changed: the same; NULL when only reading */
    const char *datastore; /* borrowed: the .vmx file's */
    const char *folder;    /* borrowed: its folder's path within that, or "" */
    GHashTable *used;      /* owned: folded keys that are understood; others are extraConfig */
    char *message;         /* owned: the first error */
    int error;             /* 0, or the first error; later calls do nothing */
    bool lenient;          /* errors do not count */
};

/* Notes a key as understood. */
void vmx_mapper_use(struct vmx_mapper *mapper, const char *key);
bool vmx_mapper_is_used(const struct vmx_mapper *mapper, const char *key);
/* Notes the first error about a key. */
void vmx_mapper_fail(struct vmx_mapper *mapper, int error, const char *key, const char *what);

/* A whole key: "scsi0:0" and "mode" give "scsi0:0.mode"; slot may be NULL. To be freed with g_free. */
char *vmx_slot_key(const char *slot, const char *key);

/* A file's name in a .vmx or .vmsd as "[datastore] path", and back. Of the mapper only datastore and folder count. */
char *vmx_file_to_api(const struct vmx_mapper *mapper, const char *text);
char *vmx_file_from_api(const struct vmx_mapper *mapper, const char *text);

/* Reads a table (ended by a mapping without key) into an object; objects on the way are made. */
void vmx_map_load(struct vmx_mapper *mapper, const char *slot, const struct vmx_mapping *mappings,
                  void *object);
/* Writes a table from an object into mapper->out. */
void vmx_map_store(struct vmx_mapper *mapper, const char *slot, const struct vmx_mapping *mappings,
                   const void *object);
/* Sets or (NULL) removes one key by the rule above. */
void vmx_mapper_set(struct vmx_mapper *mapper, const char *key, const char *value);

/* vmx_device.c: the devices. `removed` gets the key prefixes ("ethernet0.") of devices that are gone. */
struct VirtualMachineConfigInfo;
void vmx_devices_load(struct vmx_mapper *mapper, struct VirtualMachineConfigInfo *config);
void vmx_devices_store(struct vmx_mapper *mapper, const struct VirtualMachineConfigInfo *config,
                       GPtrArray *removed);
/* The key of the drive or network adapter in a slot such as "scsi0:0", by the numbering; -1: none such. */
int32_t vmx_device_key(const char *slot);
/* The slot of a device key, freed with g_free; NULL when no slot has it. */
char *vmx_device_slot(int32_t key);
