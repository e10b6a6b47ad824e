// SPDX-License-Identifier: Apache-2.0
/*
 * A PropertyFilterSpec made ready: checked against the schema, selections resolved, paths parsed. Used by
 * one-shot reads and by filters. Not for several threads at a time.
 */
#pragma once

#include "vim/inventory.h"
#include "vim/path.h"

struct PropertyFilterSpec;
struct vim_fault;

/* One step of a selection: from objects of a type along a property to others. */
struct property_select {
    const struct vim_type *type;
    struct vim_path *path; /* owned */
    bool skip;             /* what it leads to is not itself reported */
    GPtrArray *next;       /* of struct property_select *, borrowed: selections go in circles */
};

/* What to report of objects of one type; made on first need. */
struct property_plan {
    const struct vim_type *type;
    bool selected;    /* some propSet is for this type */
    GPtrArray *paths; /* of struct vim_path *, borrowed; "all" is every property by itself */
    GHashTable *has;  /* the texts of the paths, borrowed: a client may name many */
};

struct property_root {
    struct vim_ref ref; /* owned */
    bool skip;
    GPtrArray *next; /* of struct property_select *, owned array */
};

struct property_spec {
    vim_version version;  /* of the client: what it does not name itself is not newer than this */
    GArray *sets;         /* of struct property_set, owned */
    GPtrArray *selects;   /* of struct property_select *, owned */
    GArray *roots;        /* of struct property_root, owned */
    GPtrArray *all_paths; /* of struct vim_path *, owned: those of "all" plans */
    GPtrArray *plans;     /* of struct property_plan *, owned */
    bool report_missing;  /* an object that does not exist is left out instead of being a fault */
};

struct vim_fault *property_spec_new(const struct PropertyFilterSpec *spec, vim_version version,
                                    struct property_spec **ret);
void property_spec_free(struct property_spec *spec);
const struct property_plan *property_spec_plan(struct property_spec *spec, const struct vim_type *type);
/* Whether the client may be told of this path: it is no newer than its version, or the client asked for it. */
bool property_plan_tells(const struct property_spec *spec, const struct property_plan *plan,
                         const struct vim_path *path);

/* The references that `select` leads to from this object, appended to `out` (borrowed from the object). */
void property_select_follow(const struct property_select *select, const struct vim_object *object,
                            GPtrArray *out);
