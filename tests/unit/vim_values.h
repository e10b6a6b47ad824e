// SPDX-License-Identifier: Apache-2.0
/*
 * Makes values of any type of the schema by its descriptors, the same ones for the same seed: numbers at
 * the edges of their ranges, text that needs escapes, objects of subtypes, values in a member of any type.
 * Nothing in them is lost on the wire: text has no control characters that XML lacks. To be included once
 * by a test program.
 */
#pragma once

#include <string.h>

#include "vim/faults.h"
#include "vim/types.h"
#include "vim/value.h"

struct samples {
    GRand *rand;
    vim_version version; /* required members have no value that is newer than this */
};

static inline void sample_value(struct samples *s, const struct vim_type *type, unsigned depth, void *at);

static inline struct samples samples_new(guint32 seed)
{
    return (struct samples){.rand = g_rand_new_with_seed(seed), .version = vim_newest_version};
}

static inline void samples_free(struct samples *s)
{
    g_rand_free(s->rand);
}

static inline unsigned sample_below(struct samples *s, unsigned n)
{
    return (unsigned)g_rand_int_range(s->rand, 0, (gint32)n);
}

/* A number that is not 0, so that it can be told from one that was not written. */
static inline int64_t sample_number(struct samples *s, int64_t min, int64_t max)
{
    const int64_t numbers[] = {min, max, 1, -1, 42, max / 3, min + 1};
    return numbers[sample_below(s, G_N_ELEMENTS(numbers))];
}

static inline double sample_real(struct samples *s)
{
    static const double numbers[] = {0.1, -1.5, 3e30, -2.5e-30, 1, 1.0 / 3};
    return numbers[sample_below(s, G_N_ELEMENTS(numbers))];
}

static inline const char *sample_text(struct samples *s)
{
    static const char *const texts[] = {
        "plain",
        "",
        " <a href=\"x\">&amp;</a> ]]> ",
        "two\nlines\tand a\rreturn \r\n",
        "\xe5\xa4\xa9\xe7\x90\x83 \xf0\x9f\x8c\x8c",
        "[ds] a/b.vmdk",
        "'\\\"/",
        "null",
    };
    return texts[sample_below(s, G_N_ELEMENTS(texts))];
}

static inline int64_t sample_time(struct samples *s)
{
    static const int64_t times[] = {
        INT64_C(1700000000000000),
        INT64_C(1),
        INT64_C(-1),
        INT64_C(951782400000000),
        INT64_C(-62135596800000000),
        INT64_C(253402300799999999),
        INT64_C(1709164799999999),
    };
    return times[sample_below(s, G_N_ELEMENTS(times))];
}

/* A value of an enum that clients of the version know, or 0. */
static inline int sample_enum(struct samples *s, const struct vim_type *type)
{
    unsigned first = sample_below(s, type->n_values);
    for (unsigned i = 0; i < type->n_values; i++) {
        unsigned value = (first + i) % type->n_values + 1;
        if (type->values_since[value] <= s->version) {
            return (int)value;
        }
    }
    return 0;
}

/* The type or one of its subtypes. */
static inline const struct vim_type *sample_subtype(struct samples *s, const struct vim_type *type)
{
    unsigned first = sample_below(s, (unsigned)vim_n_types);
    for (size_t i = 0; type->has_subtypes && i < vim_n_types; i++) {
        const struct vim_type *found = vim_types[(first + i) % vim_n_types];
        if (vim_type_is(found, type)) {
            return found;
        }
    }
    return type;
}

static inline void *sample_object_of(struct samples *s, const struct vim_type *type, unsigned depth);

/* A type that a member of any type may hold and that clients of the version know. */
static inline const struct vim_type *sample_any_type(struct samples *s, unsigned depth)
{
    static const struct vim_type *const scalars[] = {
        &vim_type_boolean, &vim_type_byte,   &vim_type_short,    &vim_type_int,    &vim_type_long,
        &vim_type_float,   &vim_type_double, &vim_type_dateTime, &vim_type_binary, &vim_type_string,
    };
    if (depth > 0 && sample_below(s, 2) == 0) {
        const struct vim_type *type = vim_types[sample_below(s, (unsigned)vim_n_types)];
        bool fits = type->since <= s->version && (type->kind != VIM_ENUM || sample_enum(s, type) != 0);
        if (fits && (type->kind == VIM_DATA || type->kind == VIM_REF || type->kind == VIM_ENUM)) {
            return type;
        }
    }
    return scalars[sample_below(s, G_N_ELEMENTS(scalars))];
}

static inline void sample_array(struct samples *s, const struct vim_type *type, unsigned depth, unsigned n,
                                void *array)
{
    for (unsigned i = 0; i < n; i++) {
        union {
            int64_t number;
            double real;
            void *pointer;
            struct vim_ref ref;
        } item = {0};
        sample_value(s, type, depth, &item);
        vim_array_add(array, type, &item);
    }
}

static inline struct vim_any *sample_any(struct samples *s, unsigned depth)
{
    struct vim_any *any = g_new0(struct vim_any, 1);
    any->type = sample_any_type(s, depth);
    any->array = sample_below(s, 3) == 0;
    if (any->array && any->type->kind == VIM_REF) {
        any->type = &ManagedObject_type; /* in an array of references only these know their type */
    }
    any->value = g_malloc0(any->array ? sizeof(struct vim_array) : vim_value_size(any->type));
    if (any->array) {
        sample_array(s, any->type, depth, sample_below(s, 3), any->value);
    } else {
        sample_value(s, any->type, depth, any->value);
        if (any->type->kind == VIM_REF) { /* what it really holds, as a reader knows no more */
            any->type = ((struct vim_ref *)any->value)->type;
        } else if (any->type->kind == VIM_DATA) {
            any->type = **(const struct vim_type ***)any->value;
        }
    }
    return any;
}

/* Writes a value to where it lies in an array or as a required member. */
static inline void sample_value(struct samples *s, const struct vim_type *type, unsigned depth, void *at)
{
    switch ((enum vim_kind)type->kind) {
    case VIM_BOOLEAN:
        *(bool *)at = true;
        break;
    case VIM_BYTE:
        *(int8_t *)at = (int8_t)sample_number(s, INT8_MIN, INT8_MAX);
        break;
    case VIM_SHORT:
        *(int16_t *)at = (int16_t)sample_number(s, INT16_MIN, INT16_MAX);
        break;
    case VIM_INT:
        *(int32_t *)at = (int32_t)sample_number(s, INT32_MIN, INT32_MAX);
        break;
    case VIM_LONG:
        *(int64_t *)at = sample_number(s, INT64_MIN, INT64_MAX);
        break;
    case VIM_FLOAT:
        *(float *)at = (float)sample_real(s);
        break;
    case VIM_DOUBLE:
        *(double *)at = sample_real(s);
        break;
    case VIM_STRING:
        *(char **)at = g_strdup(sample_text(s));
        break;
    case VIM_DATE_TIME:
        *(int64_t *)at = sample_time(s);
        break;
    case VIM_BINARY:
        *(GBytes **)at = g_bytes_new("\0\xff<\n", sample_below(s, 5));
        break;
    case VIM_ENUM:
        *(int *)at = sample_enum(s, type);
        break;
    case VIM_REF:
        *(struct vim_ref *)at = vim_ref_make(sample_subtype(s, type), "id-<1>&\"2\"");
        break;
    case VIM_DATA:
        *(void **)at = sample_object_of(s, sample_subtype(s, type), depth > 0 ? depth - 1 : 0);
        break;
    case VIM_ANY:
        *(struct vim_any **)at = sample_any(s, depth > 0 ? depth - 1 : 0);
        break;
    }
}

static inline void sample_member(struct samples *s, const struct vim_field *field, unsigned depth, void *at)
{
    bool nests = field->type->kind == VIM_DATA || field->type->kind == VIM_ANY;
    bool needed = !(field->flags & (VIM_OPTIONAL | VIM_ARRAY));
    if (!needed && nests && depth == 0) {
        return;
    }
    if (field->flags & VIM_ARRAY) {
        sample_array(s, field->type, depth, sample_below(s, 4), at);
        return;
    }
    vim_version version = s->version;
    if (!needed) {
        s->version = vim_newest_version;
    }
    void *value = vim_field_value(field, at);
    sample_value(s, field->type, depth, value);
    if (value != at) {
        *(bool *)at = true;
    }
    s->version = version;
}

/* An object of exactly this type with all members set; optional objects in it to the depth. */
static inline void *sample_object_of(struct samples *s, const struct vim_type *type, unsigned depth)
{
    void *object = vim_new(type);
    for (unsigned i = 0; i < type->n_fields; i++) {
        sample_member(s, &type->fields[i], depth, vim_field_at(&type->fields[i], object));
    }
    return object;
}

/* That two objects are the same; says which member is not. */
static inline void assert_equal(const void *a, const void *b)
{
    const struct vim_type *type = *(const struct vim_type *const *)a;
    g_assert_cmpstr(type->name, ==, (*(const struct vim_type *const *)b)->name);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        if (!vim_field_equal(field, vim_field_at(field, a), vim_field_at(field, b))) {
            g_error("%s.%s differs", type->name, field->name);
        }
    }
    g_assert_true(vim_equal(a, b));
}

/* ---- what a client of a version gets to see ---------------------------------------------------------- */

static inline void assert_known_value(const struct vim_type *type, vim_version version, const void *at);

static inline void assert_known_array(const struct vim_type *type, vim_version version,
                                      const struct vim_array *array)
{
    for (uint32_t i = 0; i < array->n; i++) {
        assert_known_value(type, version, (const char *)array->items + i * vim_value_size(type));
    }
}

/* That nothing in an object, which was read from what a client of this version is sent, is newer. */
static inline void assert_known_object(const void *object, vim_version version)
{
    static const char nothing[sizeof(struct vim_ref)];
    const struct vim_type *type = *(const struct vim_type *const *)object;
    if (type->since > version) {
        g_error("%s is newer than version %s", type->name, vim_versions[version].name);
    }
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        const void *at = vim_field_at(field, object);
        if (field->since > version) {
            bool empty = !vim_field_is_set(field, at) ||
                         (vim_field_value(field, at) == at && memcmp(at, nothing, field->type->size) == 0);
            if (!empty) {
                g_error("%s.%s is newer than version %s", type->name, field->name,
                        vim_versions[version].name);
            }
        } else if (field->flags & VIM_ARRAY) {
            assert_known_array(field->type, version, at);
        } else if (vim_field_is_set(field, at)) {
            assert_known_value(field->type, version, vim_field_value(field, at));
        }
    }
}

static inline void assert_known_value(const struct vim_type *type, vim_version version, const void *at)
{
    if (type->kind == VIM_ENUM && type->values_since[*(const int *)at] > version) {
        g_error("%s.%s is newer than version %s", type->name, type->values[*(const int *)at],
                vim_versions[version].name);
    } else if (type->kind == VIM_DATA) {
        assert_known_object(*(void *const *)at, version);
    } else if (type->kind == VIM_REF && ((const struct vim_ref *)at)->type->since > version) {
        g_error("%s is newer than version %s", ((const struct vim_ref *)at)->type->name,
                vim_versions[version].name);
    } else if (type->kind == VIM_ANY) {
        const struct vim_any *any = *(struct vim_any *const *)at;
        if (any->type->since > version) {
            g_error("%s is newer than version %s", any->type->name, vim_versions[version].name);
        } else if (any->array) {
            assert_known_array(any->type, version, any->value);
        } else {
            assert_known_value(any->type, version, any->value);
        }
    }
}

/* ---- faults ------------------------------------------------------------------------------------------ */

/* What a fault names: the property of an InvalidArgument, InvalidType or the like, or "". */
static inline const char *fault_property(const struct vim_fault *fault)
{
    static const char *const members[] = {"invalidProperty", "argument", "name", "method", "property"};
    for (size_t i = 0; i < G_N_ELEMENTS(members); i++) {
        const struct vim_field *field = vim_field_by_name(vim_fault_type(fault), members[i], NULL);
        if (field != NULL && field->type->kind == VIM_STRING && !(field->flags & VIM_ARRAY)) {
            const char *text = *(char *const *)vim_field_at(field, fault->fault);
            return text != NULL ? text : "";
        }
    }
    return "";
}

/* Frees the fault, which must be of this type, name this ("" for nothing) and say something. */
static inline void assert_refused(struct vim_fault *fault, const char *type, const char *property)
{
    g_assert_nonnull(fault);
    if (strcmp(vim_fault_type(fault)->name, type) != 0 || strcmp(fault_property(fault), property) != 0) {
        g_error("expected %s of \"%s\", got %s of \"%s\": %s", type, property, vim_fault_type(fault)->name,
                fault_property(fault), fault->message);
    }
    g_assert_cmpstr(fault->message, !=, "");
    vim_fault_free(fault);
}

static inline void assert_accepted(struct vim_fault *fault)
{
    if (fault != NULL) {
        g_error("%s of \"%s\": %s", vim_fault_type(fault)->name, fault_property(fault), fault->message);
    }
}
