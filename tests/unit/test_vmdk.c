// SPDX-License-Identifier: Apache-2.0
/*
 * Disk descriptors: ours are exactly as documented and survive parsing, those of other products are
 * understood or named, malformed ones are refused.
 */
#include "host/storage/vmdk.h"

#include <errno.h>
#include <string.h>

static struct vmdk *parse(const char *text)
{
    struct vmdk *vmdk = NULL;
    char *message = NULL;
    int r = vmdk_parse(text, strlen(text), &vmdk, &message);

    if (r < 0) {
        g_error("%s", message);
    }
    return vmdk;
}

static const char ours[] = "# Disk DescriptorFile\n"
                           "version=1\n"
                           "encoding=\"UTF-8\"\n"
                           "CID=1234abcd\n"
                           "parentCID=ffffffff\n"
                           "createType=\"custom\"\n"
                           "\n"
                           "# Extent description\n"
                           "RW 20971520 QCOW2 \"my disk.qcow2\"\n"
                           "\n"
                           "# The Disk Data Base\n"
                           "#DDB\n"
                           "\n"
                           "ddb.adapterType = \"lsilogic\"\n"
                           "ddb.geometry.cylinders = \"1305\"\n"
                           "ddb.geometry.heads = \"255\"\n"
                           "ddb.geometry.sectors = \"63\"\n"
                           "ddb.uuid = \"60 00 c2 91 23 45 67 89-ab cd ef 01 23 45 67 89\"\n"
                           "ddb.thinProvisioned = \"1\"\n"
                           "ddb.virtualHWVersion = \"14\"\n";

static void test_ours(void)
{
    struct vmdk_new_options options = {
        .capacity_bytes = INT64_C(10) << 30,
        .data_file = "my disk.qcow2",
        .uuid = "6000C291-2345-6789-abcd-ef0123456789",
        .cid = 0x1234abcd,
        .thin = true,
    };
    struct vmdk *made = NULL;
    g_autoptr(vmdk) vmdk = NULL;
    g_autofree char *text = NULL;
    g_autofree char *again = NULL;
    g_autofree char *message = NULL;
    const char *file = NULL;
    const char *format = NULL;
    char uuid[37] = "";

    vmdk_uuid_from_random(
        (const uint8_t[]){0xf1, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef, 1, 0x23, 0x45, 0x67, 0x89}, uuid);
    g_assert_cmpstr(uuid, ==, "6000c291-2345-6789-abcd-ef0123456789");
    g_assert_cmpint(vmdk_new(&options, &made), ==, 0);
    text = vmdk_format(made, NULL);
    vmdk_free(made);
    g_assert_cmpstr(text, ==, ours);
    vmdk = parse(text);
    again = vmdk_format(vmdk, NULL);
    g_assert_cmpstr(again, ==, ours);
    g_assert_cmpint(vmdk_get_data_file(vmdk, &file, &format, &message), ==, 0);
    g_assert_cmpstr(file, ==, "my disk.qcow2");
    g_assert_cmpint(vmdk_get_capacity_bytes(vmdk), ==, INT64_C(10) << 30);
    g_assert_true(vmdk_is_thin(vmdk));
    g_assert_true(vmdk_get_uuid(vmdk, uuid));
    g_assert_cmpstr(uuid, ==, "6000c291-2345-6789-abcd-ef0123456789");
    g_assert_cmpuint(vmdk->parent_cid, ==, VMDK_NO_PARENT);
}

static void test_new_refused(void)
{
    static const struct vmdk_new_options cases[] = {
        {.capacity_bytes = 0, .data_file = "a"},      {.capacity_bytes = -512, .data_file = "a"},
        {.capacity_bytes = 513, .data_file = "a"},    {.capacity_bytes = INT64_MAX - 511, .data_file = "a"},
        {.capacity_bytes = 512, .data_file = ""},     {.capacity_bytes = 512, .data_file = "a/b"},
        {.capacity_bytes = 512, .data_file = ".."},   {.capacity_bytes = 512, .data_file = "a\"b"},
        {.capacity_bytes = 512, .data_file = "a\nb"}, {.capacity_bytes = 512, .data_file = "a", .uuid = "12"},
    };
    struct vmdk_new_options good = {.capacity_bytes = 512, .data_file = "a"};
    struct vmdk *vmdk = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        g_assert_cmpint(vmdk_new(&cases[i], &vmdk), ==, -EINVAL);
        g_assert_null(vmdk);
    }
    g_assert_cmpint(vmdk_new(&good, &vmdk), ==, 0);
    vmdk_free(vmdk);
}

static void test_geometry(void)
{
    static const struct {
        const char *adapter;
        int64_t capacity_mib;
        const char *cylinders, *heads, *sectors;
    } cases[] = {
        {"lsilogic", 512, "512", "64", "32"},   {"lsilogic", 1024, "512", "128", "32"},
        {"lsilogic", 2048, "261", "255", "63"}, {"buslogic", 4096, "522", "255", "63"},
        {"ide", 1024, "2080", "16", "63"},      {"ide", 102400, "16383", "16", "63"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct vmdk_new_options options = {
            .capacity_bytes = cases[i].capacity_mib << 20,
            .data_file = "a",
            .adapter_type = cases[i].adapter,
        };
        struct vmdk *vmdk = NULL;

        g_assert_cmpint(vmdk_new(&options, &vmdk), ==, 0);
        g_assert_cmpstr(vmdk_get_ddb(vmdk, "geometry.cylinders"), ==, cases[i].cylinders);
        g_assert_cmpstr(vmdk_get_ddb(vmdk, "geometry.heads"), ==, cases[i].heads);
        g_assert_cmpstr(vmdk_get_ddb(vmdk, "geometry.sectors"), ==, cases[i].sectors);
        vmdk_free(vmdk);
    }
}

/* As ESX writes it: upper and lower case, blanks around '=', CRLF from a copy through Windows. */
static void test_foreign(void)
{
    g_autoptr(vmdk) vmdk = parse("# Disk DescriptorFile\r\n"
                                 "version=1\r\n"
                                 "encoding=\"UTF-8\"\r\n"
                                 "CID=fffffffe\r\n"
                                 "parentCID=0badcafe\r\n"
                                 "isNativeSnapshot=\"no\"\r\n"
                                 "createType=\"twoGbMaxExtentSparse\"\r\n"
                                 "parentFileNameHint=\"base|22.vmdk\"\r\n"
                                 "# Extent description\r\n"
                                 "RW 4192256 SPARSE \"w-s001.vmdk\"\r\n"
                                 "RDONLY 63 FLAT \"w-f002.vmdk\" 17\r\n"
                                 "RW 1 ZERO\r\n"
                                 "\r\n"
                                 "ddb.uuid = \"60 00 C2 9b 45 4c 3c 8a-3c 9a 4b 6a 7e 5d 1f 0e\"\r\n"
                                 "ddb.toolsVersion = \"10309\"\r\n");
    const struct vmdk_extent *second = vmdk->extents->pdata[1];
    const char *file = NULL;
    const char *format = NULL;
    g_autofree char *message = NULL;
    g_autofree char *text = NULL;
    g_autofree char *twice = NULL;
    g_autoptr(vmdk) again = NULL;

    g_assert_cmpint(vmdk_get_capacity_bytes(vmdk), ==, (4192256 + 63 + 1) * INT64_C(512));
    g_assert_cmpuint(vmdk->parent_cid, ==, 0x0badcafe);
    g_assert_cmpstr(vmdk->parent_file_hint, ==, "base\".vmdk");
    g_assert_cmpuint(second->offset, ==, 17);
    g_assert_cmpint(second->access, ==, VMDK_ACCESS_RDONLY);
    g_assert_cmpstr(vmdk_get_ddb(vmdk, "toolsversion"), ==, "10309");
    g_assert_false(vmdk_is_thin(vmdk));
    g_assert_cmpint(vmdk_get_data_file(vmdk, &file, &format, &message), ==, -EMEDIUMTYPE);
    g_assert_null(file);
    g_assert_nonnull(strstr(message, "twoGbMaxExtentSparse"));
    g_assert_cmpint(vmdk_set_capacity_bytes(vmdk, 1 << 20), ==, -EINVAL);
    text = vmdk_format(vmdk, NULL);
    again = parse(text);
    twice = vmdk_format(again, NULL);
    g_assert_cmpstr(text, ==, twice);
    g_assert_nonnull(strstr(text, "isNativeSnapshot=\"no\"\n"));
    g_assert_nonnull(strstr(text, "RDONLY 63 FLAT \"w-f002.vmdk\" 17\n"));
}

static void test_kinds(void)
{
    static const struct {
        const char *data;
        size_t length;
        enum vmdk_kind kind;
        const char *name;
    } cases[] = {
        {"KDMV\1\0\0\0\3\0\0\0", 12, VMDK_KIND_MONOLITHIC_SPARSE, "monolithicSparse"},
        {"KDMV\3\0\0\0\1\0\3\0", 12, VMDK_KIND_STREAM_OPTIMIZED, "streamOptimized"},
        {"COWD\1\0\0\0", 8, VMDK_KIND_VMFS_SPARSE, "vmfsSparse"},
        {"\xbe\xba\xfe\xca\0\0\0\0", 8, VMDK_KIND_SE_SPARSE, "seSparse"},
        {"QFI\xfb\0\0\0\3", 8, VMDK_KIND_QCOW2, "qcow2"},
        {"\xeb\x63\x90", 3, VMDK_KIND_RAW, "raw"},
        {"", 0, VMDK_KIND_RAW, "raw"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct vmdk *vmdk = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(vmdk_probe(cases[i].data, cases[i].length), ==, cases[i].kind);
        g_assert_cmpint(vmdk_parse(cases[i].data, cases[i].length, &vmdk, &message), ==, -EMEDIUMTYPE);
        g_assert_true(g_str_has_suffix(message, cases[i].name));
        g_assert_null(vmdk);
    }
    struct vmdk *padded = NULL;
    g_autofree char *padding = g_malloc0(strlen(ours) + 1000);
    g_autofree char *none = NULL;
    strcpy(padding, ours);
    g_assert_cmpint(vmdk_parse(padding, strlen(ours) + 1000, &padded, &none), ==, 0);
    vmdk_free(padded);
    memcpy(padding + strlen(ours) + 1, "\xff\xfe left over", 12);
    size_t sector_end = (strlen(ours) + VMDK_SECTOR_BYTES) / VMDK_SECTOR_BYTES * VMDK_SECTOR_BYTES;
    g_assert_cmpuint(strlen(ours) + 13, <, sector_end);
    g_assert_cmpint(vmdk_parse(padding, sector_end, &padded, &none), ==, 0);
    vmdk_free(padded);
    /* A NUL within a line is damage, and so is one before the last sector. */
    padding[strlen(ours) - 1] = '\0';
    g_assert_cmpint(vmdk_parse(padding, sector_end, &padded, &none), ==, -EINVAL);
    g_clear_pointer(&none, g_free);
    padding[strlen(ours) - 1] = '\n';
    padding[strlen(ours) + 900] = 'x';
    g_assert_cmpint(vmdk_parse(padding, strlen(ours) + 1000, &padded, &none), ==, -EINVAL);
    g_clear_pointer(&none, g_free);
    g_assert_cmpint(vmdk_probe(ours, strlen(ours)), ==, VMDK_KIND_DESCRIPTOR);
    g_assert_cmpint(vmdk_probe("\xef\xbb\xbf# disk descriptorfile\n", 25), ==, VMDK_KIND_DESCRIPTOR);
}

#define HEAD "# Disk DescriptorFile\n"
#define TYPE "createType=\"vmfs\"\n"

static void test_refused(void)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {HEAD "RW 1 VMFS \"a\"\n", "*no createType*"},
        {HEAD TYPE, "*no extent*"},
        {HEAD TYPE "RW 9007199254740992 VMFS \"a\"\nRW 1 VMFS \"a\"\n", "*4 EiB*"},
        {HEAD TYPE "RW 9007199254740993 VMFS \"a\"\n", "line 3*"},
        {HEAD TYPE "RW 18446744073709551616 VMFS \"a\"\n", "line 3*"},
        {HEAD TYPE "RW -1 VMFS \"a\"\n", "line 3*"},
        {HEAD TYPE "RW 1 VMFS\n", "line 3*"},
        {HEAD TYPE "RW 1 VMFS \"\"\n", "line 3*"},
        {HEAD TYPE "RW 1 VMFS \"a\n", "line 3*"},
        {HEAD TYPE "RW 1 VMFS \"a\" x\n", "line 3*"},
        {HEAD TYPE "RW 1\n", "line 3*"},
        {HEAD TYPE "RX 1 VMFS \"a\"\n", "line 3*"},
        {HEAD TYPE "RW 1 VMFS \"a\"\nCID=123456789\n", "line 4*"},
        {HEAD TYPE "RW 1 VMFS \"a\"\nCID=xyz\n", "line 4*"},
        {HEAD TYPE "RW 1 VMFS \"a\"\nversion=9\n", "line 4*"},
        {HEAD TYPE "RW 1 VMFS \"a\"\nddb.a = \"1\nddb.a = \"2\"\n", "line 4*"},
        {HEAD TYPE "RW 1 VMFS \"a\"\nddb.a = \"1\"\nddb.A = \"2\"\n", "line 5*already*"},
        {HEAD TYPE "RW 1 VMFS \"a\"\nddb.a = \"1\"2\"\n", "line 4*"},
        {HEAD TYPE "RW 1 VMFS \"\xff\"\n", "*UTF-8*"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        struct vmdk *vmdk = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(vmdk_parse(cases[i].text, strlen(cases[i].text), &vmdk, &message), ==, -EINVAL);
        g_assert_null(vmdk);
        if (!g_pattern_match_simple(cases[i].message, message)) {
            g_error("%zu: %s", i, message);
        }
    }
}

/* A descriptor that points out of its folder is no disk of ours. */
static void test_data_file(void)
{
    static const char *const files[] = {"/etc/passwd", "../a.qcow2", "b/a.qcow2", ".."};

    for (size_t i = 0; i < G_N_ELEMENTS(files); i++) {
        g_autofree char *text = g_strdup_printf(HEAD "createType=\"custom\"\nRW 8 QCOW2 \"%s\"\n", files[i]);
        g_autoptr(vmdk) vmdk = parse(text);
        const char *file = NULL;
        const char *format = NULL;
        g_autofree char *message = NULL;

        g_assert_cmpint(vmdk_get_data_file(vmdk, &file, &format, &message), ==, -EMEDIUMTYPE);
        g_assert_null(file);
    }
}

static void test_ddb(void)
{
    g_autoptr(vmdk) vmdk = parse(ours);

    g_assert_cmpint(vmdk_set_ddb(vmdk, "thinProvisioned", NULL), ==, 0);
    g_assert_false(vmdk_is_thin(vmdk));
    g_assert_cmpint(vmdk_set_ddb(vmdk, "comment", "a \"b\"\n"), ==, 0);
    g_assert_cmpstr(vmdk_get_ddb(vmdk, "comment"), ==, "a \"b\"\n");
    g_assert_cmpint(vmdk_set_ddb(vmdk, "a b", "c"), ==, -EINVAL);
    g_assert_cmpint(vmdk_set_ddb(vmdk, "a", "\xff"), ==, -EINVAL);
    g_assert_cmpint(vmdk_set_capacity_bytes(vmdk, INT64_C(20) << 30), ==, 0);
    {
        g_autofree char *text = vmdk_format(vmdk, NULL);
        g_autoptr(vmdk) again = parse(text);

        g_assert_cmpstr(vmdk_get_ddb(again, "comment"), ==, "a \"b\"\n");
        g_assert_cmpint(vmdk_get_capacity_bytes(again), ==, INT64_C(20) << 30);
        g_assert_cmpstr(vmdk_get_ddb(again, "geometry.cylinders"), ==, "2610");
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/vmdk/ours", test_ours);
    g_test_add_func("/vmdk/new-refused", test_new_refused);
    g_test_add_func("/vmdk/geometry", test_geometry);
    g_test_add_func("/vmdk/foreign", test_foreign);
    g_test_add_func("/vmdk/kinds", test_kinds);
    g_test_add_func("/vmdk/refused", test_refused);
    g_test_add_func("/vmdk/data-file", test_data_file);
    g_test_add_func("/vmdk/ddb", test_ddb);
    return g_test_run();
}
