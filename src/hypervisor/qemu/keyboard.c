// SPDX-License-Identifier: Apache-2.0
/*
 * Keys that a client presses (PutUsbScanCodes): from USB's numbers to QEMU's names (QKeyCode), and to QMP's send-key,
 * which queues a chord and paces what is queued so that a guest can follow.
 */
#include <errno.h>
#include <json-c/json.h>

#include "hypervisor/qemu/qemu.h"

enum { HOLD_MS = 20 };

/* HID Usage Tables 1.12, section 10 (Keyboard/Keypad page). */
static const char *const names[256] = {
    [0x04] = "a",
    [0x05] = "b",
    [0x06] = "c",
    [0x07] = "d",
    [0x08] = "e",
    [0x09] = "f",
    [0x0a] = "g",
    [0x0b] = "h",
    [0x0c] = "i",
    [0x0d] = "j",
    [0x0e] = "k",
    [0x0f] = "l",
    [0x10] = "m",
    [0x11] = "n",
    [0x12] = "o",
    [0x13] = "p",
    [0x14] = "q",
    [0x15] = "r",
    [0x16] = "s",
    [0x17] = "t",
    [0x18] = "u",
    [0x19] = "v",
    [0x1a] = "w",
    [0x1b] = "x",
    [0x1c] = "y",
    [0x1d] = "z",
    [0x1e] = "1",
    [0x1f] = "2",
    [0x20] = "3",
    [0x21] = "4",
    [0x22] = "5",
    [0x23] = "6",
    [0x24] = "7",
    [0x25] = "8",
    [0x26] = "9",
    [0x27] = "0",
    [0x28] = "ret",
    [0x29] = "esc",
    [0x2a] = "backspace",
    [0x2b] = "tab",
    [0x2c] = "spc",
    [0x2d] = "minus",
    [0x2e] = "equal",
    [0x2f] = "bracket_left",
    [0x30] = "bracket_right",
    [0x31] = "backslash",
    [0x32] = "backslash",
    [0x33] = "semicolon",
    [0x34] = "apostrophe",
    [0x35] = "grave_accent",
    [0x36] = "comma",
    [0x37] = "dot",
    [0x38] = "slash",
    [0x39] = "caps_lock",
    [0x3a] = "f1",
    [0x3b] = "f2",
    [0x3c] = "f3",
    [0x3d] = "f4",
    [0x3e] = "f5",
    [0x3f] = "f6",
    [0x40] = "f7",
    [0x41] = "f8",
    [0x42] = "f9",
    [0x43] = "f10",
    [0x44] = "f11",
    [0x45] = "f12",
    [0x46] = "print",
    [0x47] = "scroll_lock",
    [0x48] = "pause",
    [0x49] = "insert",
    [0x4a] = "home",
    [0x4b] = "pgup",
    [0x4c] = "delete",
    [0x4d] = "end",
    [0x4e] = "pgdn",
    [0x4f] = "right",
    [0x50] = "left",
    [0x51] = "down",
    [0x52] = "up",
    [0x53] = "num_lock",
    [0x54] = "kp_divide",
    [0x55] = "kp_multiply",
    [0x56] = "kp_subtract",
    [0x57] = "kp_add",
    [0x58] = "kp_enter",
    [0x59] = "kp_1",
    [0x5a] = "kp_2",
    [0x5b] = "kp_3",
    [0x5c] = "kp_4",
    [0x5d] = "kp_5",
    [0x5e] = "kp_6",
    [0x5f] = "kp_7",
    [0x60] = "kp_8",
    [0x61] = "kp_9",
    [0x62] = "kp_0",
    [0x63] = "kp_decimal",
    [0x64] = "less",
    [0x65] = "compose",
    [0x66] = "power",
    [0x67] = "kp_equals",
};

/* By the bits of a report's first byte. */
static const char *const modifiers[8] = {"ctrl",   "shift",   "alt",   "meta_l",
                                         "ctrl_r", "shift_r", "alt_r", "meta_r"};

bool hypervisor_key_is_known(uint8_t usage)
{
    return names[usage] != NULL || (usage >= 0xe0 && usage <= 0xe7);
}

static void add(struct json_object *chord, const char *name)
{
    struct json_object *key = json_object_new_object();
    json_object_object_add(key, "type", json_object_new_string("qcode"));
    json_object_object_add(key, "data", json_object_new_string(name));
    json_object_array_add(chord, key);
}

static struct json_object *chord_of(struct hypervisor_key key)
{
    struct json_object *chord = json_object_new_array();
    for (unsigned bit = 0; bit < G_N_ELEMENTS(modifiers); bit++) {
        if ((key.modifiers >> bit & 1) != 0) {
            add(chord, modifiers[bit]);
        }
    }
    add(chord, names[key.usage] != NULL ? names[key.usage] : modifiers[key.usage & 7]);
    return chord;
}

int qemu_send_keys(struct hypervisor *hv, const char *id, const struct hypervisor_key *keys, size_t n,
                   char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    int error = vm == NULL ? -ENOENT : 0;
    for (size_t i = 0; i < n && error == 0; i++) {
        struct json_object *arguments = json_object_new_object();
        json_object_object_add(arguments, "keys", chord_of(keys[i]));
        json_object_object_add(arguments, "hold-time", json_object_new_int(HOLD_MS));
        error = qemu_vm_execute(vm, "send-key", arguments, ret_message);
    }
    return error;
}
