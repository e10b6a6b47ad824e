// SPDX-License-Identifier: Apache-2.0
/*
 * Looks things up in the constant descriptor tables: types, fields, enum values, methods, classes.
 * Everything here is read-only and may be called from any thread.
 */
#include "vim/type.h"

#include <stdlib.h>
#include <string.h>

#include "vim/method.h"
#include "vim/value.h"

#define SCALAR(wire, vim_kind, c_type) \
    const struct vim_type vim_type_##wire = {.name = #wire, .kind = (vim_kind), .size = sizeof(c_type)}

SCALAR(boolean, VIM_BOOLEAN, bool);
SCALAR(byte, VIM_BYTE, int8_t);
SCALAR(short, VIM_SHORT, int16_t);
SCALAR(int, VIM_INT, int32_t);
SCALAR(long, VIM_LONG, int64_t);
SCALAR(float, VIM_FLOAT, float);
SCALAR(double, VIM_DOUBLE, double);
SCALAR(string, VIM_STRING, char *);
SCALAR(dateTime, VIM_DATE_TIME, int64_t);
SCALAR(binary, VIM_BINARY, GBytes *);
SCALAR(any, VIM_ANY, struct vim_any *);

static const struct vim_type *const scalars[] = {
    &vim_type_boolean,  &vim_type_byte,   &vim_type_short,  &vim_type_int,
    &vim_type_long,     &vim_type_float,  &vim_type_double, &vim_type_string,
    &vim_type_dateTime, &vim_type_binary, &vim_type_any,
};

static int compare_type_name(const void *key, const void *entry)
{
    return strcmp(key, (*(const struct vim_type *const *)entry)->name);
}

static int compare_method_name(const void *key, const void *entry)
{
    return strcmp(key, (*(const struct vim_method *const *)entry)->name);
}

static int compare_class_name(const void *key, const void *entry)
{
    return strcmp(key, (*(const struct vim_class *const *)entry)->type->name);
}

const struct vim_type *vim_type_by_name(const char *name)
{
    const struct vim_type *const *found =
        bsearch(name, vim_types, vim_n_types, sizeof(vim_types[0]), compare_type_name);
    if (found != NULL) {
        return *found;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(scalars); i++) {
        if (strcmp(scalars[i]->name, name) == 0) {
            return scalars[i];
        }
    }
    return NULL;
}

const struct vim_field *vim_field_by_name(const struct vim_type *type, const char *name, unsigned *hint)
{
    unsigned start = hint != NULL && *hint < type->n_fields ? *hint : 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        unsigned at = start + i < type->n_fields ? start + i : start + i - type->n_fields;
        if (strcmp(type->fields[at].name, name) == 0) {
            if (hint != NULL) {
                *hint = at + 1;
            }
            return &type->fields[at];
        }
    }
    return NULL;
}

bool vim_type_is(const struct vim_type *type, const struct vim_type *base)
{
    while (type != NULL && type != base) {
        type = type->base;
    }
    return type != NULL;
}

int vim_enum_by_name(const struct vim_type *type, const char *value)
{
    for (int i = 1; i <= type->n_values; i++) {
        if (strcmp(type->values[i], value) == 0) {
            return i;
        }
    }
    return 0;
}

const struct vim_method *vim_method_by_name(const char *name)
{
    const struct vim_method *const *found =
        bsearch(name, vim_methods, vim_n_methods, sizeof(vim_methods[0]), compare_method_name);
    return found != NULL ? *found : NULL;
}

const struct vim_class *vim_class_of(const struct vim_type *type)
{
    const struct vim_class *const *found =
        bsearch(type->name, vim_classes, vim_n_classes, sizeof(vim_classes[0]), compare_class_name);
    return found != NULL ? *found : NULL;
}
