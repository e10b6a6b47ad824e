// SPDX-License-Identifier: Apache-2.0
/*
 * Objects of the inventory; see objects.h.
 */
#include "cli/objects.h"

#include <string.h>

#include "cli/client.h"
#include "cli/command.h"
#include "cli/format.h"
#include "cli/js.h"

/* ---- reading -------------------------------------------------------------------------------------- */

/* {"obj": ref, "propSet": [{"name", "val"}...]} as a flat object. */
static json_object *flatten(json_object *content)
{
    json_object *object = js_object(NULL, "ref:o", js_share(js_at(content, "obj")), NULL);
    json_object *properties = js_at(content, "propSet");
    for (size_t i = 0; i < js_length(properties); i++) {
        json_object *property = json_object_array_get_idx(properties, i);
        const char *name = js_text(property, "name");
        json_object *value = js_share(js_unbox(js_at(property, "val")));
        if (name != NULL && value != NULL) {
            bool named = strcmp(name, "name") == 0 && json_object_is_type(value, json_type_string);
            g_autofree char *plain = named ? cli_unescape_name(json_object_get_string(value)) : NULL;
            if (named) {
                json_object_put(value);
                value = json_object_new_string(plain);
            }
            json_object_object_add(object, name, value);
        }
    }
    return object;
}

static json_object *property_filter(const char *type, const char *const *paths, json_object *object_set)
{
    json_object *properties =
        js_object("PropertySpec", "type:s", type, "all:b", 0, "pathSet:o", js_strings(paths), NULL);
    return js_object("PropertyFilterSpec", "propSet:o", js_array(properties, NULL), "objectSet:o", object_set,
                     "reportMissingObjectsInResults:b", 1, NULL);
}

/* Reads all pages. The filter is taken. */
static int retrieve(struct cli *cli, json_object *filter, json_object **ret)
{
    json_object *collector = js_at(cli->content, "propertyCollector");
    g_autoptr(json_object) objects = json_object_new_array();
    g_autofree char *token = NULL;
    json_object *arguments = js_object(NULL, "specSet:o", js_array(filter, NULL), "options:o",
                                       js_object("RetrieveOptions", NULL), NULL);
    do {
        g_autoptr(json_object) page = NULL;
        const char *method = token == NULL ? "RetrievePropertiesEx" : "ContinueRetrievePropertiesEx";
        int code = cli_client_call(cli->client, collector, method, arguments, &page, &cli->error);
        if (code != CLI_OK) {
            return code;
        }
        json_object *contents = js_at(page, "objects");
        for (size_t i = 0; i < js_length(contents); i++) {
            json_object_array_add(objects, flatten(json_object_array_get_idx(contents, i)));
        }
        g_free(token);
        token = g_strdup(js_text(page, "token"));
        arguments = token != NULL ? js_object(NULL, "token:s", token, NULL) : NULL;
    } while (token != NULL);
    *ret = g_steal_pointer(&objects);
    return CLI_OK;
}

int cli_list_objects(struct cli *cli, const char *type, const char *const *paths, json_object **ret)
{
    g_autoptr(json_object) view = NULL;
    json_object *root = js_at(cli->content, "rootFolder");
    int code = cli_client_call(cli->client, js_at(cli->content, "viewManager"), "CreateContainerView",
                               js_object(NULL, "container:o", js_share(root), "type:o",
                                         js_strings((const char *[]){type, NULL}), "recursive:b", 1, NULL),
                               &view, &cli->error);
    if (code != CLI_OK) {
        return code;
    }
    json_object *into = js_object("TraversalSpec", "name:s", "view", "type:s", "ContainerView", "path:s",
                                  "view", "skip:b", 0, NULL);
    json_object *start = js_object("ObjectSpec", "obj:o", js_share(view), "skip:b", 1, "selectSet:o",
                                   js_array(into, NULL), NULL);
    code = retrieve(cli, property_filter(type, paths, js_array(start, NULL)), ret);

    struct cli_error ignored = {0}; /* the view ends with the session at the latest */
    cli_client_call(cli->client, view, "DestroyView", NULL, NULL, &ignored);
    cli_error_clear(&ignored);
    return code;
}

int cli_read_objects(struct cli *cli, const char *type, json_object *refs, const char *const *paths,
                     json_object **ret)
{
    json_object *object_set = json_object_new_array();
    for (size_t i = 0; i < js_length(refs); i++) {
        json_object *ref = json_object_array_get_idx(refs, i);
        json_object_array_add(object_set, js_object("ObjectSpec", "obj:o", js_share(ref), "skip:b", 0, NULL));
    }
    if (js_length(object_set) == 0) { /* a filter of no objects is an error to some servers */
        *ret = object_set;
        return CLI_OK;
    }
    return retrieve(cli, property_filter(type, paths, object_set), ret);
}

int cli_read_object(struct cli *cli, json_object *ref, const char *const *paths, json_object **ret)
{
    g_autoptr(json_object) refs = js_array(js_share(ref), NULL);
    g_autoptr(json_object) objects = NULL;
    int code = cli_read_objects(cli, js_ref_type(ref), refs, paths, &objects);
    if (code == CLI_OK && js_length(objects) != 1) {
        return cli_error_set(&cli->error, CLI_NOT_FOUND, "%s is not there any more", js_ref_id(ref));
    }
    if (code == CLI_OK) {
        *ret = js_share(json_object_array_get_idx(objects, 0));
    }
    return code;
}

/* ---- finding -------------------------------------------------------------------------------------- */

/* "; did you mean \"Web1\"?" when a name differs in case alone. Freed with g_free. */
static char *suggestion(json_object *objects, const char *name)
{
    g_autofree char *wanted = g_utf8_casefold(name, -1);
    for (size_t i = 0; i < js_length(objects); i++) {
        const char *each = js_text(json_object_array_get_idx(objects, i), "name");
        g_autofree char *folded = each != NULL ? g_utf8_casefold(each, -1) : NULL;
        if (g_strcmp0(folded, wanted) == 0) {
            return g_strdup_printf("; did you mean \"%s\"?", each);
        }
    }
    return g_strdup("");
}

int cli_choose(json_object *objects, const char *noun, const char *name, size_t *ret_index,
               struct cli_error *error)
{
    size_t n = js_length(objects);
    size_t found = n;
    unsigned n_named = 0;
    g_autoptr(GString) ids = g_string_new(NULL);
    for (size_t i = 0; i < n; i++) {
        json_object *object = json_object_array_get_idx(objects, i);
        if (g_strcmp0(js_text(object, "name"), name) == 0) {
            g_string_append_printf(ids, "%s%s", n_named++ > 0 ? ", " : "", js_text(object, "ref.value"));
            found = i;
        }
    }
    if (n_named > 1) {
        return cli_error_set(error, CLI_FAILED, "%u %ss are called \"%s\"; give the id instead, one of %s",
                             n_named, noun, name, ids->str);
    }
    for (size_t i = 0; i < n && found == n; i++) {
        if (g_strcmp0(js_text(json_object_array_get_idx(objects, i), "ref.value"), name) == 0) {
            found = i;
        }
    }
    if (found == n) {
        g_autofree char *hint = suggestion(objects, name);
        return cli_error_set(error, CLI_NOT_FOUND, "there is no %s \"%s\"%s", noun, name, hint);
    }
    *ret_index = found;
    return CLI_OK;
}

int cli_find(struct cli *cli, const char *type, const char *noun, const char *name, json_object **ret)
{
    g_autoptr(json_object) objects = NULL;
    size_t index = 0;
    int code = cli_list_objects(cli, type, (const char *[]){"name", NULL}, &objects);
    if (code == CLI_OK) {
        code = cli_choose(objects, noun, name, &index, &cli->error);
    }
    if (code == CLI_OK) {
        *ret = js_share(js_at(json_object_array_get_idx(objects, index), "ref"));
    }
    return code;
}

int cli_find_vm(struct cli *cli, const char *name, json_object **ret)
{
    return cli_find(cli, "VirtualMachine", "virtual machine", name, ret);
}

int cli_find_datastore(struct cli *cli, const char *name, json_object **ret)
{
    return cli_find(cli, "Datastore", "datastore", name, ret);
}

/* ---- order ---------------------------------------------------------------------------------------- */

struct sort_item {
    char *key; /* owned */
    json_object *object;
};

static int compare_items(const void *a, const void *b)
{
    return strcmp(((const struct sort_item *)a)->key, ((const struct sort_item *)b)->key);
}

void cli_sort(json_object *objects, const char *path)
{
    size_t n = js_length(objects);
    g_autofree struct sort_item *items = g_new0(struct sort_item, n + 1);
    for (size_t i = 0; i < n; i++) {
        json_object *object = json_object_array_get_idx(objects, i);
        const char *text = js_text(object, path);
        g_autofree char *folded = g_utf8_casefold(text != NULL ? text : "", -1);
        items[i].key = g_utf8_collate_key_for_filename(folded, -1);
        items[i].object = js_share(object);
    }
    qsort(items, n, sizeof(*items), compare_items);
    for (size_t i = 0; i < n; i++) {
        json_object_array_put_idx(objects, i, items[i].object);
        g_free(items[i].key);
    }
}

int cli_datacenter_of(struct cli *cli, json_object *datastore, json_object **ret_ref, char **ret_name)
{
    g_autoptr(json_object) datacenters = NULL;
    int code = cli_list_objects(cli, "Datacenter", (const char *[]){"name", "datastore", NULL}, &datacenters);
    if (code != CLI_OK) {
        return code;
    }
    for (size_t i = 0; i < js_length(datacenters); i++) {
        json_object *datacenter = json_object_array_get_idx(datacenters, i);
        json_object *members = js_at(datacenter, "datastore");
        for (size_t j = 0; j < js_length(members); j++) {
            if (g_strcmp0(js_ref_id(json_object_array_get_idx(members, j)), js_ref_id(datastore)) == 0) {
                *ret_ref = js_share(js_at(datacenter, "ref"));
                *ret_name = g_strdup(js_text(datacenter, "name"));
                return CLI_OK;
            }
        }
    }
    return cli_error_set(&cli->error, CLI_NOT_FOUND, "no datacenter has the datastore %s",
                         js_ref_id(datastore));
}
