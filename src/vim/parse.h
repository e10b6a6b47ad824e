// SPDX-License-Identifier: Apache-2.0
/*
 * What the SOAP and the JSON reader share: text to scalars, and the checks on what was read.
 */
#pragma once

#include "vim/fault.h"
#include "vim/type.h"

enum {
    VIM_MAX_DEPTH = 64,       /* nesting of objects in a request */
    VIM_MAX_VALUES = 1000000, /* members and items in a request */
};

/* Reads text as a value of a scalar or enum type into `at`; false when it is none. */
bool vim_parse_text(const struct vim_type *type, const char *text, void *at);
/* A reference to a managed object of the named type, or of the declared one when that is NULL. A named
 * type is the declared one, extends it, or is one that it extends. */
struct vim_fault *vim_parse_ref(const struct vim_type *declared, const char *type, const char *id,
                                struct vim_ref *ret);
/* The type that a name from the client stands for in a place declared as `declared`. */
struct vim_fault *vim_parse_type(const struct vim_type *declared, const char *name, const char *member,
                                 const struct vim_type **ret);
/* The item type of "ArrayOfX", or NULL. */
const struct vim_type *vim_parse_array_type(const char *name);

/*
 * Which members of an object have been read, to find required ones that are missing. A required number
 * cannot show by itself whether it was given.
 */
struct vim_seen {
    uint64_t bits[4]; /* no type has more than 256 members; checked when the tables are walked */
};
static inline void vim_seen_add(struct vim_seen *seen, const struct vim_type *type,
                                const struct vim_field *field)
{
    size_t i = (size_t)(field - type->fields);
    seen->bits[i / 64] |= UINT64_C(1) << (i % 64);
}
/* A fault when a required member that a client of this version knows was not given. */
struct vim_fault *vim_check_required(const struct vim_type *type, const struct vim_seen *seen,
                                     vim_version version);
