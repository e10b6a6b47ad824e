// SPDX-License-Identifier: Apache-2.0
/*
 * The .vmsd file: what is read, what is written, and what of others survives.
 */
#include "host/snapshot/snapshot_list.h"

#include <errno.h>
#include <string.h>

static const char vmware[] = ".encoding = \"UTF-8\"\n"
                             "snapshot.lastUID = \"5\"\n"
                             "snapshot.current = \"5\"\n"
                             "snapshot.mru0.uid = \"5\"\n"
                             "snapshot0.uid = \"3\"\n"
                             "snapshot0.filename = \"web-Snapshot3.vmsn\"\n"
                             "snapshot0.displayName = \"first\"\n"
                             "snapshot0.description = \"one |22quoted|22\"\n"
                             "snapshot0.createTimeHigh = \"323862\"\n"
                             "snapshot0.createTimeLow = \"-1298273532\"\n"
                             "snapshot0.numDisks = \"2\"\n"
                             "snapshot0.disk0.fileName = \"web.vmdk\"\n"
                             "snapshot0.disk0.node = \"scsi0:0\"\n"
                             "snapshot0.disk1.fileName = \"/vmfs/volumes/other/data/d.vmdk\"\n"
                             "snapshot0.disk1.node = \"scsi0:1\"\n"
                             "snapshot0.clone0 = \"/x.vmx\"\n"
                             "snapshot1.uid = \"5\"\n"
                             "snapshot1.filename = \"web-Snapshot5.vmsn\"\n"
                             "snapshot1.parent = \"3\"\n"
                             "snapshot1.displayName = \"second\"\n"
                             "snapshot1.type = \"1\"\n"
                             "snapshot.numSnapshots = \"2\"\n";

static struct snapshot_list *parse(const char *text)
{
    g_autofree char *message = NULL;
    struct snapshot_list *list = NULL;
    int error = snapshot_list_parse(text, strlen(text), "ds", "web", &list, &message);
    g_assert_cmpint(error, ==, 0);
    return list;
}

static char *format(struct snapshot_list *list)
{
    char *text = NULL;
    size_t length = 0;
    g_assert_cmpint(snapshot_list_format(list, "ds", "web", &text, &length), ==, 0);
    g_assert_cmpuint(strlen(text), ==, length);
    return text;
}

static void test_read(void)
{
    g_autoptr(snapshot_list) list = parse(vmware);
    const struct snapshot *first = snapshot_list_find(list, 3);
    const struct snapshot *second = snapshot_list_find(list, 5);
    g_assert_cmpuint(list->current, ==, 5);
    g_assert_cmpstr(first->description, ==, "one \"quoted\"");
    g_assert_cmpint(first->create_time_us, ==, (INT64_C(323862) << 32) + UINT32_C(2996693764));
    const struct snapshot_disk *disk = g_ptr_array_index(first->disks, 1);
    g_assert_cmpstr(disk->file_name, ==, "[other] data/d.vmdk");
    g_assert_cmpstr(((struct snapshot_disk *)g_ptr_array_index(first->disks, 0))->file_name, ==,
                    "[ds] web/web.vmdk");
    g_assert_false(first->memory);
    g_assert_true(second->memory);
    g_assert_cmpuint(second->parent, ==, 3);
    g_assert_cmpuint(snapshot_list_depth(list, 5), ==, 2);
    g_assert_true(snapshot_list_is_below(list, 5, 3));
    g_assert_false(snapshot_list_is_below(list, 3, 5));
}

static void test_survives(void)
{
    g_autoptr(snapshot_list) list = parse(vmware);
    snapshot_list_remove(list, 5);
    struct snapshot *added = snapshot_list_add(list);
    g_assert_cmpuint(added->uid, ==, 6);
    g_assert_cmpuint(added->parent, ==, 3);
    added->file = g_strdup("web-Snapshot6.vmsn");
    added->name = g_strdup("third");
    added->description = g_strdup("");
    g_autofree char *text = format(list);
    g_assert_nonnull(strstr(text, "snapshot.mru0.uid = \"5\""));
    g_assert_nonnull(strstr(text, "snapshot0.clone0 = \"/x.vmx\""));
    g_assert_nonnull(strstr(text, "snapshot0.disk1.fileName = \"/vmfs/volumes/other/data/d.vmdk\""));
    g_assert_nonnull(strstr(text, "snapshot0.createTimeLow = \"-1298273532\""));
    g_assert_nonnull(strstr(text, "snapshot1.displayName = \"third\""));
    g_assert_nonnull(strstr(text, "snapshot.current = \"6\""));
    g_autofree char *again = format(list);
    g_assert_cmpstr(text, ==, again);
    /* The keys go with their snapshot, and move with it when an earlier one goes. */
    snapshot_list_remove(list, 3);
    g_autofree char *rest = format(list);
    g_assert_null(strstr(rest, "clone0"));
    g_assert_nonnull(strstr(rest, "snapshot0.displayName = \"third\""));
    g_assert_null(strstr(rest, "parent"));
    g_assert_null(strstr(rest, "snapshot1."));
}

static void test_refused(void)
{
    static const char *const texts[] = {
        "snapshot.numSnapshots = \"1\"\n",
        "snapshot.numSnapshots = \"x\"\n",
        "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"0\"\nsnapshot0.filename = \"a.vmsn\"\n",
        "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\n",
        "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\nsnapshot0.filename = \"../a.vmsn\"\n",
        "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\nsnapshot0.filename = \"a\"\nsnapshot0.parent "
        "= \"1\"\n",
        "snapshot.numSnapshots = \"1\"\nsnapshot0.uid = \"1\"\nsnapshot0.filename = "
        "\"a\"\nsnapshot0.numDisks = \"1\"\n",
        "snapshot.numSnapshots = \"2\"\nsnapshot0.uid = \"1\"\nsnapshot0.filename = \"a\"\n"
        "snapshot1.uid = \"1\"\nsnapshot1.filename = \"b\"\n",
        "snapshot.numSnapshots = \"0\"\nsnapshot.current = \"7\"\n",
    };
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        g_autofree char *message = NULL;
        struct snapshot_list *list = NULL;
        g_assert_cmpint(snapshot_list_parse(texts[i], strlen(texts[i]), "ds", "", &list, &message), ==,
                        -EINVAL);
        g_assert_nonnull(message);
        g_assert_null(list);
    }
}

static void test_destroyed(void)
{
    g_autoptr(snapshot_list) list = parse(vmware);
    g_ptr_array_add(list->destroyed, g_strdup("[ds] web/web_1.vmdk"));
    g_autofree char *text = format(list);
    g_assert_nonnull(strstr(text, "tenkyu.destroyed0 = \"web_1.vmdk\""));
    g_autoptr(snapshot_list) read = parse(text);
    g_assert_cmpuint(read->destroyed->len, ==, 1);
    g_assert_cmpstr(g_ptr_array_index(read->destroyed, 0), ==, "[ds] web/web_1.vmdk");
    g_ptr_array_set_size(read->destroyed, 0);
    g_autofree char *without = format(read);
    g_assert_null(strstr(without, "destroyed"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/snapshot_list/read", test_read);
    g_test_add_func("/snapshot_list/survives", test_survives);
    g_test_add_func("/snapshot_list/refused", test_refused);
    g_test_add_func("/snapshot_list/destroyed", test_destroyed);
    return g_test_run();
}
