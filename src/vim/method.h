// SPDX-License-Identifier: Apache-2.0
/*
 * Methods and classes as data. The tables are generated ("vim/methods.h"); vim/server.c dispatches by
 * them: it finds the object, checks session, privilege and arguments, and then calls the code that the
 * server registered for the class.
 */
#pragma once

#include "vim/type.h"

struct vim_call;
struct vim_fault;

enum vim_runs {
    VIM_RUNS_INLINE,    /* memory work only; on the connection's thread */
    VIM_RUNS_BLOCKING,  /* may wait for disks or processes; on a worker thread */
    VIM_RUNS_STREAMING, /* memory work; writes its answer itself (vim_call_begin_result) */
    VIM_RUNS_PARKING,   /* like streaming; may park the call until there is news (vim_call_park) */
};

struct vim_method {
    const char *name; /* on the wire: "PowerOnVM_Task" */
    const char *doc;
    const struct vim_type *owner;  /* the managed type that declares it */
    const struct vim_type *args;   /* fields are the parameters */
    const struct vim_type *result; /* at most one field, "returnval" */
    /* Calls code, which must be the method's implementation from a <Type>_methods table. */
    struct vim_fault *(*invoke)(void (*code)(void), struct vim_call *call, const void *args, void *ret);
    const struct vim_type *const *throws; /* NULL-terminated, or NULL */
    uint16_t privilege;                   /* enum vim_privilege */
    uint8_t runs;                         /* enum vim_runs */
    vim_version since;
};

/* A managed type with its methods, inherited ones first; in the order of struct <Type>_methods. */
struct vim_class {
    const struct vim_type *type;
    const struct vim_method *const *methods;
    size_t n_methods;
};

extern const struct vim_method *const vim_methods[]; /* sorted by name */
extern const size_t vim_n_methods;
extern const struct vim_class *const vim_classes[]; /* sorted by name */
extern const size_t vim_n_classes;

const struct vim_method *vim_method_by_name(const char *name);
const struct vim_class *vim_class_of(const struct vim_type *type);
