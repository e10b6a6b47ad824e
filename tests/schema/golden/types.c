// SPDX-License-Identifier: Apache-2.0
/* Made from api/ by tools/schema; not to be edited. */

#include "vim/types.h"

const struct vim_type DynamicData_type = {.name = "DynamicData", .doc = "The root of data objects.", .since = 0, .kind = VIM_DATA, .size = sizeof(struct DynamicData)};
static const struct vim_field Everything_fields[] = {
    {"flag", &vim_type_boolean, "<flag>", offsetof(struct Everything, flag), 0, 0, 6, 0},
    {"tiny", &vim_type_byte, "<tiny>", offsetof(struct Everything, tiny), VIM_OPTIONAL, 0, 6, 0},
    {"small", &vim_type_short, "<small>", offsetof(struct Everything, small), VIM_OPTIONAL, 0, 7, 0},
    {"number", &vim_type_int, "<number>", offsetof(struct Everything, number), 0, 0, 8, 0},
    {"big", &vim_type_long, "<big>", offsetof(struct Everything, big), VIM_OPTIONAL, 1, 5, 0},
    {"single", &vim_type_float, "<single>", offsetof(struct Everything, single), VIM_OPTIONAL, 0, 8, 0},
    {"precise", &vim_type_double, "<precise>", offsetof(struct Everything, precise), 0, 0, 9, 0},
    {"text", &vim_type_string, "<text>", offsetof(struct Everything, text), VIM_OPTIONAL, 0, 6, 0},
    {"when", &vim_type_dateTime, "<when>", offsetof(struct Everything, when), VIM_OPTIONAL, 0, 6, 0},
    {"bytes", &vim_type_binary, "<bytes>", offsetof(struct Everything, bytes), VIM_OPTIONAL, 0, 7, 0},
    {"whatever", &vim_type_any, "<whatever>", offsetof(struct Everything, whatever), VIM_OPTIONAL, 0, 10, 0},
    {"flags", &vim_type_boolean, "<flags>", offsetof(struct Everything, flags), VIM_OPTIONAL | VIM_ARRAY, 0, 7, 0},
    {"names", &vim_type_string, "<names>", offsetof(struct Everything, names), VIM_ARRAY, 0, 7, 0},
    {"way", &Way_type, "<way>", offsetof(struct Everything, way), VIM_OPTIONAL, 0, 5, 0},
    {"ways", &Way_type, "<ways>", offsetof(struct Everything, ways), VIM_OPTIONAL | VIM_ARRAY, 1, 6, 0},
    {"part", &Part_type, "<part>", offsetof(struct Everything, part), VIM_OPTIONAL, 0, 6, 0},
    {"parts", &Part_type, "<parts>", offsetof(struct Everything, parts), VIM_OPTIONAL | VIM_ARRAY, 0, 7, 0},
    {"thing", &Thing_type, "<thing>", offsetof(struct Everything, thing), VIM_OPTIONAL, 0, 7, 0},
    {"things", &ManagedObject_type, "<things>", offsetof(struct Everything, things), VIM_OPTIONAL | VIM_ARRAY, 0, 8, 0},
};
const struct vim_type Everything_type = {.name = "Everything", .doc = "A value of each type.", .since = 0, .kind = VIM_DATA, .size = sizeof(struct Everything), .fields = Everything_fields, .n_fields = 19, .base = &DynamicData_type};
static const struct vim_field LocalizedMethodFault_fields[] = {
    {"fault", &MethodFault_type, "<fault>", offsetof(struct LocalizedMethodFault, fault), 0, 0, 7, 0},
    {"localizedMessage", &vim_type_string, "<localizedMessage>", offsetof(struct LocalizedMethodFault, localizedMessage), VIM_OPTIONAL, 0, 18, 0},
};
const struct vim_type LocalizedMethodFault_type = {.name = "LocalizedMethodFault", .doc = "A fault inside an object.", .since = 0, .kind = VIM_DATA, .size = sizeof(struct LocalizedMethodFault), .fields = LocalizedMethodFault_fields, .n_fields = 2, .base = &DynamicData_type};
const struct vim_type ManagedObject_type = {.name = "ManagedObject", .doc = "The root of managed objects.", .since = 0, .kind = VIM_REF, .size = sizeof(struct ManagedObject), .has_subtypes = true};
static const struct vim_field MethodFault_fields[] = {
    {"faultCause", &LocalizedMethodFault_type, "<faultCause>", offsetof(struct MethodFault, faultCause), VIM_OPTIONAL, 0, 12, 0},
};
const struct vim_type MethodFault_type = {.name = "MethodFault", .doc = "The root of faults.", .since = 0, .kind = VIM_DATA, .size = sizeof(struct MethodFault), .fields = MethodFault_fields, .n_fields = 1, .is_fault = true, .has_subtypes = true};
static const struct vim_field MovedTooFar_fields[] = {
    {"faultCause", &LocalizedMethodFault_type, "<faultCause>", offsetof(struct MovedTooFar, faultCause), VIM_OPTIONAL, 0, 12, 0},
    {"steps", &vim_type_int, "<steps>", offsetof(struct MovedTooFar, steps), 0, 1, 7, 0},
    {"limit", &vim_type_int, "<limit>", offsetof(struct MovedTooFar, limit), VIM_OPTIONAL, 1, 7, 0},
    {"way", &Way_type, "<way>", offsetof(struct MovedTooFar, way), 0, 1, 5, 0},
    {"thing", &Thing_type, "<thing>", offsetof(struct MovedTooFar, thing), 0, 1, 7, 0},
    {"part", &Part_type, "<part>", offsetof(struct MovedTooFar, part), VIM_OPTIONAL, 1, 6, 0},
};
const struct vim_type MovedTooFar_type = {.name = "MovedTooFar", .doc = "Moved too far.", .since = 1, .kind = VIM_DATA, .size = sizeof(struct MovedTooFar), .fields = MovedTooFar_fields, .n_fields = 6, .base = &MethodFault_type, .is_fault = true};
static const struct vim_field Part_fields[] = {
    {"key", &vim_type_int, "<key>", offsetof(struct Part, key), 0, 0, 5, 0},
};
const struct vim_type Part_type = {.name = "Part", .doc = "A part of something.", .since = 0, .kind = VIM_DATA, .size = sizeof(struct Part), .fields = Part_fields, .n_fields = 1, .base = &DynamicData_type, .has_subtypes = true};
static const struct vim_field RuntimeFault_fields[] = {
    {"faultCause", &LocalizedMethodFault_type, "<faultCause>", offsetof(struct RuntimeFault, faultCause), VIM_OPTIONAL, 0, 12, 0},
};
const struct vim_type RuntimeFault_type = {.name = "RuntimeFault", .doc = "The root of faults that are not declared.", .since = 0, .kind = VIM_DATA, .size = sizeof(struct RuntimeFault), .fields = RuntimeFault_fields, .n_fields = 1, .base = &MethodFault_type, .is_fault = true};
static const struct vim_field SpecialPart_fields[] = {
    {"key", &vim_type_int, "<key>", offsetof(struct SpecialPart, key), 0, 0, 5, 0},
    {"class", &vim_type_string, "<class>", offsetof(struct SpecialPart, class), 0, 1, 7, 0},
};
const struct vim_type SpecialPart_type = {.name = "SpecialPart", .doc = "A part that can do more.", .since = 1, .kind = VIM_DATA, .size = sizeof(struct SpecialPart), .fields = SpecialPart_fields, .n_fields = 2, .base = &Part_type};
static const struct vim_field Task_fields[] = {
    {"info", &vim_type_any, "<info>", offsetof(struct Task, info), 0, 0, 6, VIM_PRIVILEGE_SYSTEM_READ},
};
const struct vim_type Task_type = {.name = "Task", .doc = "A running operation.", .since = 0, .kind = VIM_REF, .size = sizeof(struct Task), .fields = Task_fields, .n_fields = 1, .base = &ManagedObject_type};
static const struct vim_field Thing_fields[] = {
    {"name", &vim_type_string, "<name>", offsetof(struct Thing, name), 0, 0, 6, VIM_PRIVILEGE_SYSTEM_VIEW},
    {"all", &Everything_type, "<all>", offsetof(struct Thing, all), VIM_OPTIONAL, 0, 5, VIM_PRIVILEGE_SYSTEM_READ},
};
const struct vim_type Thing_type = {.name = "Thing", .doc = "A thing.", .since = 0, .kind = VIM_REF, .size = sizeof(struct Thing), .fields = Thing_fields, .n_fields = 2, .base = &ManagedObject_type, .has_subtypes = true};
static const char *const Way_values[] = {NULL, "left", "far-right"};
static const vim_version Way_since[] = {0, 0, 1};
const struct vim_type Way_type = {.name = "Way", .doc = "A way to go.", .since = 0, .kind = VIM_ENUM, .size = sizeof(enum Way), .values = Way_values, .values_since = Way_since, .n_values = 2};
static const struct vim_field Wheel_fields[] = {
    {"name", &vim_type_string, "<name>", offsetof(struct Wheel, name), 0, 0, 6, VIM_PRIVILEGE_SYSTEM_VIEW},
    {"all", &Everything_type, "<all>", offsetof(struct Wheel, all), VIM_OPTIONAL, 0, 5, VIM_PRIVILEGE_SYSTEM_READ},
    {"round", &vim_type_boolean, "<round>", offsetof(struct Wheel, round), 0, 1, 7, VIM_PRIVILEGE_SYSTEM_READ},
};
const struct vim_type Wheel_type = {.name = "Wheel", .doc = "A thing that moves by itself.", .since = 1, .kind = VIM_REF, .size = sizeof(struct Wheel), .fields = Wheel_fields, .n_fields = 3, .base = &Thing_type};

const struct vim_type *const vim_types[] = {
    &DynamicData_type,
    &Everything_type,
    &LocalizedMethodFault_type,
    &ManagedObject_type,
    &MethodFault_type,
    &MovedTooFar_type,
    &Part_type,
    &RuntimeFault_type,
    &SpecialPart_type,
    &Task_type,
    &Thing_type,
    &Way_type,
    &Wheel_type,
};
const size_t vim_n_types = G_N_ELEMENTS(vim_types);

const struct vim_version_info vim_versions[] = {
    {"1.0"},
    {"2.0"},
};
const vim_version vim_newest_version = 1;

const struct vim_privilege_info vim_privileges[] = {
    {"System.View", "See things."},
    {"System.Read", "Read things."},
    {"Thing.Interact.Move", "Move things."},
};
const size_t vim_n_privileges = G_N_ELEMENTS(vim_privileges);
