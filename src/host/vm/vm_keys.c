// SPDX-License-Identifier: Apache-2.0
/*
 * PutUsbScanCodes: keys that a client presses in a virtual machine, before any of its software runs or later.
 */
#include "host/vm/vm.h"
#include "vim/value.h"

enum {
    KEYBOARD_PAGE = 7, /* in the low half of a code; the high half is the key */
};

static struct vim_fault *read_event(const struct UsbScanCodeSpecKeyEvent *event, uint32_t at,
                                    struct hypervisor_key *ret)
{
    uint32_t code = (uint32_t)event->usbHidCode;
    uint32_t usage = code >> 16;
    g_autofree char *property = g_strdup_printf("spec.keyEvents[%u].usbHidCode", at);
    if ((code & 0xffff) != KEYBOARD_PAGE || usage > UINT8_MAX || !hypervisor_key_is_known((uint8_t)usage)) {
        return fault_invalid_argument(property,
                                      "%s: 0x%x is not a key: 0x10000 times its number, plus %d, is",
                                      property, code, KEYBOARD_PAGE);
    }
    ret->usage = (uint8_t)usage;
    ret->modifiers = 0;
    const struct UsbScanCodeSpecModifierType *held = event->modifiers;
    if (held != NULL) {
        const bool bits[] = {held->leftControl.value, held->leftShift.value,    held->leftAlt.value,
                             held->leftGui.value,     held->rightControl.value, held->rightShift.value,
                             held->rightAlt.value,    held->rightGui.value};
        for (unsigned bit = 0; bit < G_N_ELEMENTS(bits); bit++) {
            ret->modifiers |= (uint8_t)(bits[bit] ? 1U << bit : 0U);
        }
    }
    return NULL;
}

struct vim_fault *vm_put_usb_scan_codes_call(struct vim_call *call, const struct PutUsbScanCodes_args *args,
                                             struct PutUsbScanCodes_result *ret)
{
    VM_AUTO vm = NULL;
    const struct vim_array *events = (const struct vim_array *)&args->spec->keyEvents;
    struct vim_fault *fault = vm_of_call(call, &vm);
    if (fault == NULL) {
        fault = vm_require_power(vm, VirtualMachinePowerState_poweredOn);
    }
    if (fault == NULL && events->n > HYPERVISOR_KEYS_MAX) {
        fault = fault_invalid_argument("spec.keyEvents", "spec.keyEvents: %u are more than %d at once",
                                       events->n, HYPERVISOR_KEYS_MAX);
    }
    struct hypervisor_key keys[HYPERVISOR_KEYS_MAX];
    for (uint32_t i = 0; fault == NULL && i < events->n; i++) {
        fault = read_event(args->spec->keyEvents.items[i], i, &keys[i]);
    }
    if (fault != NULL) {
        return fault;
    }
    g_autofree char *message = NULL;
    int error = hypervisor_vm_send_keys(vm->host->hypervisor, vm->id, keys, events->n, &message);
    if (error == -ENOTSUP) {
        return fault_not_supported("%s", message);
    }
    if (error != 0) {
        return fault_invalid_state("the keys cannot be sent: %s",
                                   message != NULL ? message : "the machine has ended");
    }
    ret->returnval = (int32_t)events->n;
    return NULL;
}
