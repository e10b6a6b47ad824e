// SPDX-License-Identifier: Apache-2.0
/*
 * Which images a disk of a running QEMU is made of. Asked anew each time, since an earlier server, or a job
 * that ended by itself, may have changed it.
 *
 * Two answers of QEMU are put together: the graph of block nodes (which lies on which), and the list of nodes
 * with the file of each, which for us is always /dev/fdset/N. What file that is, the process's descriptors in
 * /proc tell.
 */
#include "hypervisor/qemu/block.h"

#include "hypervisor/qemu/device.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define FDSET_PREFIX "/dev/fdset/"

/* QEMU's answers. */
struct graph {
    struct json_object *nodes; /* query-named-block-nodes */
    struct json_object *drawn; /* x-debug-query-block-graph */
    struct json_object *sets;  /* query-fdsets */
};

static void graph_clear(struct graph *graph)
{
    json_object_put(graph->nodes);
    json_object_put(graph->drawn);
    json_object_put(graph->sets);
}

static int graph_load(struct qemu_vm *vm, struct graph *ret, char **ret_message)
{
    struct json_object *flat = json_object_new_object();

    json_object_object_add(flat, "flat", json_object_new_boolean(true));
    *ret = (struct graph){NULL, NULL, NULL};
    int error = qemu_vm_query(vm, "query-named-block-nodes", flat, &ret->nodes, ret_message);
    if (error == 0) {
        error = qemu_vm_query(vm, "x-debug-query-block-graph", NULL, &ret->drawn, ret_message);
    }
    if (error == 0) {
        error = qemu_vm_query(vm, "query-fdsets", NULL, &ret->sets, ret_message);
    }
    if (error != 0) {
        graph_clear(ret);
    }
    return error;
}

static size_t length_of(struct json_object *array)
{
    return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

static struct json_object *member(struct json_object *object, const char *name)
{
    struct json_object *value = NULL;
    json_object_object_get_ex(object, name, &value);
    return value;
}

static bool is_true(struct json_object *object, const char *name)
{
    return json_object_get_boolean(member(object, name));
}

/* The entry of a node in the list, or NULL. */
static struct json_object *find_node(const struct graph *graph, const char *name)
{
    for (size_t i = 0; i < length_of(graph->nodes); i++) {
        struct json_object *node = json_object_array_get_idx(graph->nodes, i);
        if (strcmp(qemu_json_string(node, "node-name"), name) == 0) {
            return node;
        }
    }
    return NULL;
}

static const char *drawn_name(const struct graph *graph, int64_t id)
{
    struct json_object *nodes = member(graph->drawn, "nodes");
    for (size_t i = 0; i < length_of(nodes); i++) {
        struct json_object *node = json_object_array_get_idx(nodes, i);
        if (json_object_get_int64(member(node, "id")) == id) {
            return qemu_json_string(node, "name");
        }
    }
    return NULL;
}

static int64_t drawn_id(const struct graph *graph, const char *type, const char *name)
{
    struct json_object *nodes = member(graph->drawn, "nodes");
    for (size_t i = 0; i < length_of(nodes); i++) {
        struct json_object *node = json_object_array_get_idx(nodes, i);
        if (strcmp(qemu_json_string(node, "type"), type) == 0 &&
            strcmp(qemu_json_string(node, "name"), name) == 0) {
            return json_object_get_int64(member(node, "id"));
        }
    }
    return -1;
}

/* The child of a node by its role: "root", "file", "backing". NULL: none. */
static const char *child_of(const struct graph *graph, int64_t parent, const char *role)
{
    struct json_object *edges = member(graph->drawn, "edges");
    for (size_t i = 0; i < length_of(edges); i++) {
        struct json_object *edge = json_object_array_get_idx(edges, i);
        if (json_object_get_int64(member(edge, "parent")) == parent &&
            strcmp(qemu_json_string(edge, "name"), role) == 0) {
            return drawn_name(graph, json_object_get_int64(member(edge, "child")));
        }
    }
    return NULL;
}

static const char *child_of_node(const struct graph *graph, const char *node, const char *role)
{
    int64_t id = drawn_id(graph, "block-driver", node);
    return id < 0 ? NULL : child_of(graph, id, role);
}

/* What file an fdset holds, and by which descriptor. */
static int identify(const struct qemu_vm *vm, const struct graph *graph, int64_t fdset,
                    struct hypervisor_image *ret, int64_t *ret_fd)
{
    for (size_t i = 0; i < length_of(graph->sets); i++) {
        struct json_object *set = json_object_array_get_idx(graph->sets, i);
        struct json_object *fds = member(set, "fds");
        if (json_object_get_int64(member(set, "fdset-id")) == fdset && length_of(fds) > 0) {
            struct json_object *fd = json_object_array_get_idx(fds, 0);
            char path[64];
            struct stat status;
            int64_t number = json_object_get_int64(member(fd, "fd"));
            snprintf(path, sizeof(path), "/proc/%d/fd/%" G_GINT64_FORMAT, (int)vm->process.pid, number);
            if (stat(path, &status) < 0) {
                return -errno;
            }
            *ret = (struct hypervisor_image){status.st_dev, status.st_ino};
            *ret_fd = number;
            return 0;
        }
    }
    return -ENOENT;
}

static void image_free(void *data)
{
    struct block_image *image = data;
    g_free(image->node);
    g_free(image->file_node);
    g_free(image);
}

/* An image of the node; NULL: the node is none, but a filter that a job has put in. */
static struct block_image *image_of(const struct qemu_vm *vm, const struct graph *graph, const char *name)
{
    struct json_object *node = find_node(graph, name);
    const char *file_name = child_of_node(graph, name, "file");
    struct json_object *file = file_name != NULL ? find_node(graph, file_name) : NULL;
    const char *path = file != NULL ? qemu_json_string(file, "file") : "";

    if (node == NULL || !g_str_has_prefix(path, FDSET_PREFIX)) {
        return NULL;
    }
    struct block_image *image = g_new0(struct block_image, 1);
    image->node = g_strdup(name);
    image->file_node = g_strdup(file_name);
    image->fdset = g_ascii_strtoll(path + strlen(FDSET_PREFIX), NULL, 10);
    image->raw = strcmp(qemu_json_string(node, "drv"), "raw") == 0;
    image->read_only = is_true(node, "ro");
    image->file_read_only = is_true(file, "ro");
    image->known = identify(vm, graph, image->fdset, &image->file, &image->fd) == 0;
    return image;
}

int qemu_vm_get_chain(struct qemu_vm *vm, int32_t key, GPtrArray **ret, char **ret_message)
{
    g_autoptr(GPtrArray) chain = g_ptr_array_new_with_free_func(image_free);
    struct graph graph;
    char device[QEMU_NAME_SIZE];

    int error = graph_load(vm, &graph, ret_message);
    if (error != 0) {
        return error;
    }
    qemu_device_name(key, device);
    int64_t backend = drawn_id(&graph, "block-backend", device);
    const char *node = backend < 0 ? NULL : child_of(&graph, backend, "root");
    for (unsigned steps = 0; node != NULL && steps < BLOCK_CHAIN_MAX; steps++) {
        struct block_image *image = image_of(vm, &graph, node);
        if (image != NULL) {
            g_ptr_array_add(chain, image);
        }
        const char *next = child_of_node(&graph, node, "backing");
        if (next == NULL && image == NULL) {
            next = child_of_node(&graph, node, "file"); /* some filters have what they filter there */
        }
        node = next;
    }
    graph_clear(&graph);
    if (chain->len == 0) {
        return hypervisor_fail(ret_message, -ENODEV, "the disk %d is not there", key);
    }
    *ret = g_steal_pointer(&chain);
    return 0;
}

int qemu_get_images(struct hypervisor *hv, const char *id, int32_t device_key,
                    struct hypervisor_image **ret_images, size_t *ret_n, char **ret_message)
{
    g_autoptr(qemu_vm) vm = qemu_find(hv, id);
    g_autoptr(GPtrArray) chain = NULL;

    if (vm == NULL) {
        return -ENOENT;
    }
    int error = qemu_vm_get_chain(vm, device_key, &chain, ret_message);
    if (error != 0) {
        return error;
    }
    struct hypervisor_image *images = g_new0(struct hypervisor_image, chain->len);
    for (guint i = 0; i < chain->len; i++) {
        const struct block_image *image = g_ptr_array_index(chain, i);
        if (!image->known) {
            g_free(images);
            return hypervisor_fail(ret_message, -EIO, "QEMU does not tell the file of %s", image->node);
        }
        images[i] = image->file;
    }
    *ret_images = images;
    *ret_n = chain->len;
    return 0;
}

int qemu_vm_top_node(struct qemu_vm *vm, int32_t key, char out[static QEMU_NAME_SIZE], char **ret_message)
{
    g_autoptr(GPtrArray) chain = NULL;

    int error = qemu_vm_get_chain(vm, key, &chain, ret_message);
    if (error == 0) {
        const struct block_image *top = g_ptr_array_index(chain, 0);
        g_strlcpy(out, top->node, QEMU_NAME_SIZE);
    }
    return error;
}

/* The names of all format nodes of a device; a GPtrArray of char *. */
static GPtrArray *list_nodes(struct qemu_vm *vm, int32_t key)
{
    GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
    struct json_object *flat = json_object_new_object();
    struct json_object *nodes = NULL;
    char stem[QEMU_NAME_SIZE];

    qemu_node_name(key, stem);
    json_object_object_add(flat, "flat", json_object_new_boolean(true));
    if (qemu_vm_query(vm, "query-named-block-nodes", flat, &nodes, NULL) != 0) {
        return names;
    }
    for (size_t i = 0; i < length_of(nodes); i++) {
        const char *name = qemu_json_string(json_object_array_get_idx(nodes, i), "node-name");
        if (g_str_has_prefix(name, stem) && (name[strlen(stem)] == '\0' || name[strlen(stem)] == '-')) {
            g_ptr_array_add(names, g_strdup(name));
        }
    }
    json_object_put(nodes);
    return names;
}

void qemu_vm_free_node_name(struct qemu_vm *vm, int32_t key, char out[static QEMU_NAME_SIZE])
{
    g_autoptr(GPtrArray) names = list_nodes(vm, key);
    char stem[QEMU_NAME_SIZE];

    qemu_node_name(key, stem);
    for (unsigned n = 1;; n++) {
        g_autofree char *name = g_strdup_printf("%.20s-o%u", stem, n);
        if (!g_ptr_array_find_with_equal_func(names, name, g_str_equal, NULL)) {
            g_strlcpy(out, name, QEMU_NAME_SIZE);
            return;
        }
    }
}

void qemu_vm_remove_nodes(struct qemu_vm *vm, int32_t key)
{
    g_autoptr(GPtrArray) names = list_nodes(vm, key);

    /* One that lies under another goes after that; one that is not ours to remove goes with its parent. */
    for (guint round = 0; round < names->len; round++) {
        bool removed = false;
        for (guint i = 0; i < names->len; i++) {
            const char *name = g_ptr_array_index(names, i);
            removed |= qemu_vm_execute(vm, "blockdev-del", qemu_json("node-name", name, NULL), NULL) == 0;
        }
        if (!removed) {
            return;
        }
    }
}

void qemu_vm_remove_fdset(struct qemu_vm *vm, int64_t fdset)
{
    struct json_object *arguments = json_object_new_object();

    json_object_object_add(arguments, "fdset-id", json_object_new_int64(fdset));
    qemu_vm_execute(vm, "remove-fd", arguments, NULL);
}
