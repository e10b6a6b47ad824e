// SPDX-License-Identifier: Apache-2.0
/* Made from api/ by tools/schema; not to be edited. */

#pragma once

#include "vim/type.h"
#include "vim/value.h"

/* A way to go. */
enum Way {
    Way_unset = 0,
    Way_left,  /* to the left */
    Way_far_right,  /* far to the right */
};

struct DynamicData;
struct Everything;
struct LocalizedMethodFault;
struct ManagedObject;
struct MethodFault;
struct MovedTooFar;
struct Part;
struct RuntimeFault;
struct SpecialPart;
struct Task;
struct Thing;
struct Wheel;

/* The root of data objects. */
struct DynamicData {
    const struct vim_type *vim_type;
};

/* A value of each type. */
struct Everything {
    const struct vim_type *vim_type;
    bool flag; /* yes or no */
    struct { bool set; int8_t value; } tiny; /* 8 bits */
    struct { bool set; int16_t value; } small; /* 16 bits */
    int32_t number; /* 32 bits, a | b */
    struct { bool set; int64_t value; } big; /* 64 bits, <= 2^63 */
    struct { bool set; float value; } single; /* one precision */
    double precise; /* the other */
    char *text; /* characters */
    int64_t when; /* a time */
    GBytes *bytes; /* octets */
    struct vim_any *whatever; /* anything */
    struct { bool *items; uint32_t n; } flags; /* several */
    struct { char **items; uint32_t n; } names; /* several, at least one */
    enum Way way; /* an enum */
    struct { enum Way *items; uint32_t n; } ways; /* several enums */
    struct Part *part; /* an object */
    struct { struct Part **items; uint32_t n; } parts; /* several objects */
    struct vim_ref thing; /* a reference */
    struct { struct vim_ref *items; uint32_t n; } things; /* several references */
};

/* A fault inside an object. */
struct LocalizedMethodFault {
    const struct vim_type *vim_type;
    struct MethodFault *fault; /* the fault */
    char *localizedMessage; /* its text */
};

/* The root of managed objects. */
struct ManagedObject {
    const struct vim_type *vim_type;
};

/* The root of faults. */
struct MethodFault {
    const struct vim_type *vim_type;
    struct LocalizedMethodFault *faultCause; /* what led to it */
};

/* Moved too far. */
struct MovedTooFar {
    const struct vim_type *vim_type;
    struct LocalizedMethodFault *faultCause; /* what led to it */
    int32_t steps; /* how far */
    struct { bool set; int32_t value; } limit; /* how far it may go */
    enum Way way; /* whither */
    struct vim_ref thing; /* what */
    struct Part *part; /* where it broke */
};

/* A part of something. */
struct Part {
    const struct vim_type *vim_type;
    int32_t key; /* number of the part */
};

/* The root of faults that are not declared. */
struct RuntimeFault {
    const struct vim_type *vim_type;
    struct LocalizedMethodFault *faultCause; /* what led to it */
};

/* A part that can do more. */
struct SpecialPart {
    const struct vim_type *vim_type;
    int32_t key; /* number of the part */
    char *class; /* a keyword of C */
};

/* A running operation. */
struct Task {
    const struct vim_type *vim_type;
    struct vim_any *info; /* its state */
};

/* A thing. */
struct Thing {
    const struct vim_type *vim_type;
    char *name; /* what it is called */
    struct Everything *all; /* what it has */
};

/* A thing that moves by itself. */
struct Wheel {
    const struct vim_type *vim_type;
    char *name; /* what it is called */
    struct Everything *all; /* what it has */
    bool round; /* whether it is round */
};

extern const struct vim_type DynamicData_type;
extern const struct vim_type Everything_type;
extern const struct vim_type LocalizedMethodFault_type;
extern const struct vim_type ManagedObject_type;
extern const struct vim_type MethodFault_type;
extern const struct vim_type MovedTooFar_type;
extern const struct vim_type Part_type;
extern const struct vim_type RuntimeFault_type;
extern const struct vim_type SpecialPart_type;
extern const struct vim_type Task_type;
extern const struct vim_type Thing_type;
extern const struct vim_type Way_type;
extern const struct vim_type Wheel_type;

static inline struct DynamicData *DynamicData_new(void)
{
    return (struct DynamicData *)vim_new(&DynamicData_type);
}
static inline struct Everything *Everything_new(void)
{
    return (struct Everything *)vim_new(&Everything_type);
}
static inline struct LocalizedMethodFault *LocalizedMethodFault_new(void)
{
    return (struct LocalizedMethodFault *)vim_new(&LocalizedMethodFault_type);
}
static inline struct ManagedObject *ManagedObject_new(void)
{
    return (struct ManagedObject *)vim_new(&ManagedObject_type);
}
static inline struct MethodFault *MethodFault_new(void)
{
    return (struct MethodFault *)vim_new(&MethodFault_type);
}
static inline struct MovedTooFar *MovedTooFar_new(void)
{
    return (struct MovedTooFar *)vim_new(&MovedTooFar_type);
}
static inline struct Part *Part_new(void)
{
    return (struct Part *)vim_new(&Part_type);
}
static inline struct RuntimeFault *RuntimeFault_new(void)
{
    return (struct RuntimeFault *)vim_new(&RuntimeFault_type);
}
static inline struct SpecialPart *SpecialPart_new(void)
{
    return (struct SpecialPart *)vim_new(&SpecialPart_type);
}
static inline struct Task *Task_new(void)
{
    return (struct Task *)vim_new(&Task_type);
}
static inline struct Thing *Thing_new(void)
{
    return (struct Thing *)vim_new(&Thing_type);
}
static inline struct Wheel *Wheel_new(void)
{
    return (struct Wheel *)vim_new(&Wheel_type);
}

enum vim_privilege {
    VIM_PRIVILEGE_SYSTEM_VIEW,
    VIM_PRIVILEGE_SYSTEM_READ,
    VIM_PRIVILEGE_THING_INTERACT_MOVE,
    VIM_PRIVILEGE_BY_ARGUMENT, /* the method's own code decides */
};
enum {
    VIM_VERSION_1_0,
    VIM_VERSION_2_0,
};
