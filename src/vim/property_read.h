// SPDX-License-Identifier: Apache-2.0
/*
 * Reading and writing objects' properties: what one-shot reads and updates share.
 */
#pragma once

#include "vim/authorization.h"
#include "vim/property_spec.h"
#include "vim/server.h"

/* The members of the answers, looked up once for a call. */
struct property_fields {
    const struct vim_field *objects, *token;              /* of RetrieveResult */
    const struct vim_field *obj, *propSet, *missingSet;   /* of ObjectContent */
    const struct vim_field *name, *val;                   /* of DynamicProperty */
    const struct vim_field *missing_path, *missing_fault; /* of MissingProperty */
};
void property_fields_init(struct property_fields *fields);

/* The value at a path of an object as this session sees it, given to `write`; nothing when it is unset.
 * (read lock) */
typedef void (*property_value_fn)(void *data, const struct vim_value *value);
void property_get(const struct vim_call *call, const struct vim_object *object, const struct vim_path *path,
                  property_value_fn fn, void *data);

/* What of one object a session may read. Made and used under one hold of an inventory lock. */
struct property_access {
    const struct vim_reader *reader; /* borrowed; of no session when nobody has logged in */
    struct vim_object *object;
    bool is_public; /* to be read before a login too */
    bool read;      /* the session has System.Read */
    bool view;      /* and System.View */
};
struct property_access property_access_new(const struct vim_reader *reader, struct vim_object *object);
/* By the privilege that the schema has for the property; what has none of its own there needs System.Read. */
bool property_may_read(const struct property_access *access, const struct vim_path *path);

/* The entries of those properties of a plan that the session may not read, as the array `field`; nothing
 * when it may read all. */
void property_write_missing(const struct vim_call *call, struct vim_writer *w, const struct vim_field *field,
                            const struct property_fields *fields, const struct property_access *access,
                            const struct property_plan *plan);

/* RetrieveProperties and its kin. */
struct vim_fault *property_retrieve(struct vim_call *call, const struct RetrieveProperties_args *args);
struct vim_fault *property_retrieve_ex(struct vim_call *call, const struct RetrievePropertiesEx_args *args);
struct vim_fault *property_continue(struct vim_call *call,
                                    const struct ContinueRetrievePropertiesEx_args *args);
struct vim_fault *property_cancel(struct vim_call *call, const struct CancelRetrievePropertiesEx_args *args);
