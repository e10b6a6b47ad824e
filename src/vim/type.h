// SPDX-License-Identifier: Apache-2.0
/*
 * Descriptors: what a type of the VI API looks like in memory, as constant data made from api/.
 *
 * One walker over these tables does SOAP and JSON, in and out, property paths, copy, compare and free; no
 * type has code of its own. The generated "vim/types.h" declares the structs that the tables describe.
 *
 * How a member lies in its struct, by kind (docs/design/descriptors.md has the reasons):
 *   boolean byte short int long float double   bool, int8_t .. int64_t, float, double
 *   the same, optional                         struct { bool set; T value; }
 *   string                                     char *, NULL when unset
 *   dateTime                                   int64_t, microseconds since 1970 UTC, 0 when unset
 *   binary                                     GBytes *
 *   an enum                                    the C enum, 0 when unset
 *   a managed object                           struct vim_ref, id NULL when unset
 *   a data object                              struct pointer, NULL when unset; its dynamic type is its
 *                                              first member, vim_type
 *   any                                        struct vim_any *, NULL when unset
 *   an array of T                              struct { T *items; uint32_t n; }, empty when unset
 * A struct owns all that hangs from it. Memory comes from GLib's allocator.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum vim_kind {
    VIM_BOOLEAN,
    VIM_BYTE,
    VIM_SHORT,
    VIM_INT,
    VIM_LONG,
    VIM_FLOAT,
    VIM_DOUBLE,
    VIM_STRING,
    VIM_DATE_TIME,
    VIM_BINARY,
    VIM_ENUM,
    VIM_REF,  /* the type of a managed object, as a reference's target and as a property set */
    VIM_DATA, /* data objects, and faults, which are data objects too */
    VIM_ANY,
};

enum vim_field_flags {
    VIM_OPTIONAL = 1,
    VIM_ARRAY = 2,
};

/* A version of the VI API: an index into vim_versions, oldest first. */
typedef uint8_t vim_version;

struct vim_type;

/* A member of a data object, a property of a managed object, a parameter or a result. */
struct vim_field {
    const char *name;
    const struct vim_type *type;
    const char *open_tag; /* "<name>", so that the XML writer copies instead of formatting */
    uint32_t offset;      /* in the struct, bytes */
    uint8_t flags;        /* enum vim_field_flags */
    vim_version since;
    uint8_t open_tag_length;
    uint16_t privilege; /* of a property: enum vim_privilege, what reading it needs on its object */
};

struct vim_type {
    const char *name; /* "VirtualDisk", "int" */
    const char *doc;
    const struct vim_type *base;    /* NULL for a root and for scalars */
    const struct vim_field *fields; /* of data and managed types, inherited ones first */
    const char *const *values;      /* of enums, by the C enum's number; values[0] is NULL */
    const vim_version *values_since;
    uint32_t size; /* of the C struct or scalar, bytes */
    uint16_t n_fields;
    uint16_t n_values; /* values[1] to values[n_values] */
    uint8_t kind;      /* enum vim_kind */
    bool is_fault;
    bool has_subtypes; /* a member of this type may hold an object of another */
    vim_version since;
};

/* A reference to a managed object: survives waits, unlike a pointer to it. */
struct vim_ref {
    const struct vim_type *type;
    char *id; /* owned by whoever owns the reference; NULL is no reference */
};

/* A value of any type. */
struct vim_any {
    const struct vim_type *type;
    bool array;
    void *value; /* what a required member of this type would hold, in memory of its own */
};

/* The layout that all array members share. */
struct vim_array {
    void *items;
    uint32_t n;
};

/* The scalar types, which api/ does not declare. */
extern const struct vim_type vim_type_boolean, vim_type_byte, vim_type_short, vim_type_int, vim_type_long,
    vim_type_float, vim_type_double, vim_type_string, vim_type_dateTime, vim_type_binary, vim_type_any;

/* Every declared type, sorted by name (generated). */
extern const struct vim_type *const vim_types[];
extern const size_t vim_n_types;

struct vim_version_info {
    const char *name; /* "6.5" */
};
extern const struct vim_version_info vim_versions[];
extern const vim_version vim_newest_version;

/* The privileges of api/privileges.api, by enum vim_privilege (generated). */
struct vim_privilege_info {
    const char *id; /* "VirtualMachine.Interact.PowerOn" */
    const char *doc;
};
extern const struct vim_privilege_info vim_privileges[];
extern const size_t vim_n_privileges;

/* The type with this name, scalars included, or NULL. */
const struct vim_type *vim_type_by_name(const char *name);
/* The field with this name, or NULL. The search starts at *hint (when hint is not NULL) and leaves there
 * the place after the hit: members that come in declared order cost one comparison each. */
const struct vim_field *vim_field_by_name(const struct vim_type *type, const char *name, unsigned *hint);
bool vim_type_is(const struct vim_type *type, const struct vim_type *base);
/* The number of an enum value, or 0. */
int vim_enum_by_name(const struct vim_type *type, const char *value);
/* Whether the object's dynamic type is `type` or extends it; false for NULL. */
#define vim_is_a(object, type) \
    ((object) != NULL && vim_type_is(*(const struct vim_type *const *)(object), (type)))
