// SPDX-License-Identifier: Apache-2.0
/*
 * Objects of the inventory, read by views and the PropertyCollector, and found by name. All functions need
 * a connection and return an exit code, with cli->error set on failure.
 *
 * An object that was read is a flat JSON object: "ref" is its reference, and each property that was asked
 * for and is set is a member under its whole path, out of its box. js_at() finds its way in it.
 */
#pragma once

#include <json-c/json.h>

struct cli;

/* Reads properties of all objects of a type below the root folder; *ret is an array. */
int cli_list_objects(struct cli *cli, const char *type, const char *const *paths, json_object **ret);
/* Reads properties of the objects in refs (an array of references of one type, borrowed). Those that are
 * gone are left out. */
int cli_read_objects(struct cli *cli, const char *type, json_object *refs, const char *const *paths,
                     json_object **ret);
/* Reads properties of one object; *ret is that object. CLI_NOT_FOUND when it is gone. */
int cli_read_object(struct cli *cli, json_object *ref, const char *const *paths, json_object **ret);

/*
 * Finds one object by its name or, when nothing has that name, by its id ("vm-12"). *ret is its reference.
 * noun is what people call the type. CLI_NOT_FOUND; CLI_FAILED when several have the name: the message
 * lists their ids.
 */
int cli_find(struct cli *cli, const char *type, const char *noun, const char *name, json_object **ret);
int cli_find_vm(struct cli *cli, const char *name, json_object **ret);
int cli_find_datastore(struct cli *cli, const char *name, json_object **ret);

/* The choice that cli_find() makes among objects with "name"; the index, or -1. Pure, for tests. */
struct cli_error;
int cli_choose(json_object *objects, const char *noun, const char *name, size_t *ret_index,
               struct cli_error *error);

/* Orders an array of objects by a text property, as people sort: without case, 2 before 10. */
void cli_sort(json_object *objects, const char *path);

/* The datacenter that a datastore belongs to, with its name: what paths of files are relative to. */
int cli_datacenter_of(struct cli *cli, json_object *datastore, json_object **ret_ref, char **ret_name);
