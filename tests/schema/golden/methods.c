// SPDX-License-Identifier: Apache-2.0
/* Made from api/ by tools/schema; not to be edited. */

#include "vim/methods.h"

static const struct vim_field MoveThing_Task_args_fields[] = {
    {"way", &Way_type, "<way>", offsetof(struct MoveThing_Task_args, way), 0, 0, 5, 0},
    {"steps", &vim_type_int, "<steps>", offsetof(struct MoveThing_Task_args, steps), VIM_OPTIONAL, 1, 7, 0},
};
static const struct vim_type MoveThing_Task_args_type = {.name = "MoveThingRequestType", .kind = VIM_DATA, .fields = MoveThing_Task_args_fields, .n_fields = 2, .size = sizeof(struct MoveThing_Task_args)};
static const struct vim_field MoveThing_Task_result_fields[] = {
    {"returnval", &Task_type, "<returnval>", offsetof(struct MoveThing_Task_result, returnval), 0, 0, 11, 0},
};
static const struct vim_type MoveThing_Task_result_type = {.name = "MoveThing_TaskResponse", .kind = VIM_DATA, .fields = MoveThing_Task_result_fields, .n_fields = 1, .size = sizeof(struct MoveThing_Task_result)};
static struct vim_fault *call_MoveThing_Task(void (*code)(void), struct vim_call *call, const void *args, void *ret)
{
    struct vim_fault *(*typed)(struct vim_call *call, const struct MoveThing_Task_args *args, struct MoveThing_Task_result *ret) =
        (struct vim_fault *(*)(struct vim_call *call, const struct MoveThing_Task_args *args, struct MoveThing_Task_result *ret))code;
    return typed(call, args, ret);
}
static const struct vim_type *const MoveThing_Task_throws[] = {&MovedTooFar_type, NULL};
const struct vim_method MoveThing_Task_method = {.name = "MoveThing_Task", .doc = "Moves it.", .owner = &Thing_type, .args = &MoveThing_Task_args_type, .result = &MoveThing_Task_result_type, .invoke = call_MoveThing_Task, .throws = MoveThing_Task_throws, .privilege = VIM_PRIVILEGE_THING_INTERACT_MOVE, .runs = VIM_RUNS_INLINE, .since = 0};
static const struct vim_type CountThings_args_type = {.name = "CountThingsRequestType", .kind = VIM_DATA, .size = sizeof(struct CountThings_args)};
static const struct vim_field CountThings_result_fields[] = {
    {"returnval", &vim_type_int, "<returnval>", offsetof(struct CountThings_result, returnval), 0, 1, 11, 0},
};
static const struct vim_type CountThings_result_type = {.name = "CountThingsResponse", .kind = VIM_DATA, .fields = CountThings_result_fields, .n_fields = 1, .size = sizeof(struct CountThings_result)};
static struct vim_fault *call_CountThings(void (*code)(void), struct vim_call *call, const void *args, void *ret)
{
    struct vim_fault *(*typed)(struct vim_call *call, const struct CountThings_args *args, struct CountThings_result *ret) =
        (struct vim_fault *(*)(struct vim_call *call, const struct CountThings_args *args, struct CountThings_result *ret))code;
    return typed(call, args, ret);
}
const struct vim_method CountThings_method = {.name = "CountThings", .doc = "Says how many there are.", .owner = &Thing_type, .args = &CountThings_args_type, .result = &CountThings_result_type, .invoke = call_CountThings, .privilege = VIM_PRIVILEGE_BY_ARGUMENT, .runs = VIM_RUNS_INLINE, .since = 1};
static const struct vim_field NameThing_args_fields[] = {
    {"name", &vim_type_string, "<name>", offsetof(struct NameThing_args, name), 0, 0, 6, 0},
};
static const struct vim_type NameThing_args_type = {.name = "NameThingRequestType", .kind = VIM_DATA, .fields = NameThing_args_fields, .n_fields = 1, .size = sizeof(struct NameThing_args)};
static const struct vim_type NameThing_result_type = {.name = "NameThingResponse", .kind = VIM_DATA, .size = sizeof(struct vim_type *)};
static struct vim_fault *call_NameThing(void (*code)(void), struct vim_call *call, const void *args, void *ret)
{
    struct vim_fault *(*typed)(struct vim_call *call, const struct NameThing_args *args) =
        (struct vim_fault *(*)(struct vim_call *call, const struct NameThing_args *args))code;
    (void)ret;
    return typed(call, args);
}
const struct vim_method NameThing_method = {.name = "NameThing", .doc = "Names it.", .owner = &Thing_type, .args = &NameThing_args_type, .result = &NameThing_result_type, .invoke = call_NameThing, .privilege = VIM_PRIVILEGE_SYSTEM_VIEW, .runs = VIM_RUNS_BLOCKING, .since = 0};
static const struct vim_type WaitForThing_args_type = {.name = "WaitForThingRequestType", .kind = VIM_DATA, .size = sizeof(struct WaitForThing_args)};
static const struct vim_field WaitForThing_result_fields[] = {
    {"returnval", &Everything_type, "<returnval>", offsetof(struct WaitForThing_result, returnval), VIM_OPTIONAL, 0, 11, 0},
};
static const struct vim_type WaitForThing_result_type = {.name = "WaitForThingResponse", .kind = VIM_DATA, .fields = WaitForThing_result_fields, .n_fields = 1, .size = sizeof(struct WaitForThing_result)};
static struct vim_fault *call_WaitForThing(void (*code)(void), struct vim_call *call, const void *args, void *ret)
{
    struct vim_fault *(*typed)(struct vim_call *call, const struct WaitForThing_args *args) =
        (struct vim_fault *(*)(struct vim_call *call, const struct WaitForThing_args *args))code;
    (void)ret;
    return typed(call, args);
}
const struct vim_method WaitForThing_method = {.name = "WaitForThing", .doc = "Waits for a change.", .owner = &Thing_type, .args = &WaitForThing_args_type, .result = &WaitForThing_result_type, .invoke = call_WaitForThing, .privilege = VIM_PRIVILEGE_SYSTEM_VIEW, .runs = VIM_RUNS_PARKING, .since = 0};
const struct vim_class ManagedObject_class = {.type = &ManagedObject_type};
const struct vim_class Task_class = {.type = &Task_type};
static const struct vim_method *const Thing_class_methods[] = {&MoveThing_Task_method, &CountThings_method, &NameThing_method, &WaitForThing_method};
const struct vim_class Thing_class = {.type = &Thing_type, .methods = Thing_class_methods, .n_methods = 4};
static const struct vim_method *const Wheel_class_methods[] = {&MoveThing_Task_method, &CountThings_method, &NameThing_method, &WaitForThing_method};
const struct vim_class Wheel_class = {.type = &Wheel_type, .methods = Wheel_class_methods, .n_methods = 4};

const struct vim_method *const vim_methods[] = {
    &CountThings_method,
    &MoveThing_Task_method,
    &NameThing_method,
    &WaitForThing_method,
};
const size_t vim_n_methods = G_N_ELEMENTS(vim_methods);

const struct vim_class *const vim_classes[] = {
    &ManagedObject_class,
    &Task_class,
    &Thing_class,
    &Wheel_class,
};
const size_t vim_n_classes = G_N_ELEMENTS(vim_classes);
