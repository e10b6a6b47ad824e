// SPDX-License-Identifier: Apache-2.0
/*
 * Makes configurations of virtual machines for the tests of the hypervisor, device by device. Everything
 * added belongs to the configuration, which vim_free() frees.
 */
#pragma once

#include "vim/types.h"

static inline struct VirtualMachineConfigInfo *config_new(const char *name, int32_t cpus, int32_t memory_mb)
{
    struct VirtualMachineConfigInfo *config = vim_new(&VirtualMachineConfigInfo_type);

    vim_set_string(&config->name, name);
    vim_set_string(&config->uuid, "42105eca-1a2b-4c3d-8e4f-0123456789ab");
    vim_set_string(&config->firmware, "bios");
    vim_set_string(&config->guestId, "otherLinux64Guest");
    config->hardware = vim_new(&VirtualHardware_type);
    config->hardware->numCPU = cpus;
    config->hardware->memoryMB = memory_mb;
    return config;
}

static inline void *config_add(struct VirtualMachineConfigInfo *config, const struct vim_type *type,
                               int32_t key)
{
    struct VirtualDevice *device = vim_new(type);

    device->key = key;
    vim_array_add_object(&config->hardware->device, device);
    return device;
}

static inline void *config_add_controller(struct VirtualMachineConfigInfo *config,
                                          const struct vim_type *type, int32_t key, int32_t bus)
{
    struct VirtualController *controller = config_add(config, type, key);

    controller->busNumber = bus;
    return controller;
}

/* A device that sits on a controller. */
static inline void *config_add_unit(struct VirtualMachineConfigInfo *config, const struct vim_type *type,
                                    int32_t key, int32_t controller, int32_t unit)
{
    struct VirtualDevice *device = config_add(config, type, key);

    vim_set_optional(&device->controllerKey, controller);
    vim_set_optional(&device->unitNumber, unit);
    return device;
}

static inline void config_set_connected(struct VirtualDevice *device, bool connected)
{
    vim_free(device->connectable);
    device->connectable = vim_new(&VirtualDeviceConnectInfo_type);
    device->connectable->startConnected = connected;
    device->connectable->connected = connected;
}

static inline struct VirtualEthernetCard *config_add_network(struct VirtualMachineConfigInfo *config,
                                                             const struct vim_type *type, int32_t key)
{
    struct VirtualEthernetCard *card = config_add_unit(config, type, key, 100, key - 4000 + 7);
    g_autofree char *mac = g_strdup_printf("00:50:56:00:00:%02x", (unsigned int)(key - 4000));

    vim_set_string(&card->macAddress, mac);
    config_set_connected((struct VirtualDevice *)card, true);
    return card;
}

static inline void config_add_extra(struct VirtualMachineConfigInfo *config, const char *key,
                                    const char *value)
{
    struct OptionValue *option = vim_new(&OptionValue_type);

    vim_set_string(&option->key, key);
    option->value = vim_any_string(value);
    vim_array_add_object(&config->extraConfig, option);
}
