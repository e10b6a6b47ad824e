// SPDX-License-Identifier: Apache-2.0
/* Made from api/ by tools/schema; not to be edited. */

#pragma once

#include "vim/method.h"
#include "vim/types.h"

/* Moves it. */
struct MoveThing_Task_args {
    const struct vim_type *vim_type;
    enum Way way; /* whither */
    struct { bool set; int32_t value; } steps; /* how far; unset for one step */
};

struct MoveThing_Task_result {
    const struct vim_type *vim_type;
    struct vim_ref returnval; /* what the method answers */
};

/* Says how many there are. */
struct CountThings_args {
    const struct vim_type *vim_type;
};

struct CountThings_result {
    const struct vim_type *vim_type;
    int32_t returnval; /* what the method answers */
};

/* Names it. */
struct NameThing_args {
    const struct vim_type *vim_type;
    char *name; /* its new name */
};

/* Waits for a change. */
struct WaitForThing_args {
    const struct vim_type *vim_type;
};

struct WaitForThing_result {
    const struct vim_type *vim_type;
    struct Everything *returnval; /* what the method answers */
};

/* What implements Thing; a method left NULL answers NotSupported. */
struct Thing_methods {
    struct vim_fault *(*MoveThing_Task)(struct vim_call *call, const struct MoveThing_Task_args *args, struct MoveThing_Task_result *ret);
    struct vim_fault *(*CountThings)(struct vim_call *call, const struct CountThings_args *args, struct CountThings_result *ret);
    struct vim_fault *(*NameThing)(struct vim_call *call, const struct NameThing_args *args);
    struct vim_fault *(*WaitForThing)(struct vim_call *call, const struct WaitForThing_args *args);
};

/* What implements Wheel; a method left NULL answers NotSupported. */
struct Wheel_methods {
    struct vim_fault *(*MoveThing_Task)(struct vim_call *call, const struct MoveThing_Task_args *args, struct MoveThing_Task_result *ret);
    struct vim_fault *(*CountThings)(struct vim_call *call, const struct CountThings_args *args, struct CountThings_result *ret);
    struct vim_fault *(*NameThing)(struct vim_call *call, const struct NameThing_args *args);
    struct vim_fault *(*WaitForThing)(struct vim_call *call, const struct WaitForThing_args *args);
};

extern const struct vim_class ManagedObject_class;
extern const struct vim_class Task_class;
extern const struct vim_class Thing_class;
extern const struct vim_class Wheel_class;
extern const struct vim_method MoveThing_Task_method;
extern const struct vim_method CountThings_method;
extern const struct vim_method NameThing_method;
extern const struct vim_method WaitForThing_method;
