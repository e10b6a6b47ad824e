// SPDX-License-Identifier: Apache-2.0
/*
 * Disk descriptors; see vmdk.h.
 */
#include "host/storage/vmdk.h"

#include <errno.h>
#include <string.h>

#include "host/storage/datastore_path.h"
#include "host/vm/vmx.h"

#define DESCRIPTOR_MAGIC "# Disk DescriptorFile"
#define SECTORS_MAX (UINT64_C(1) << VMDK_MAX_SECTORS_LOG2)

static void extent_free(void *data)
{
    struct vmdk_extent *extent = data;

    g_free(extent->type);
    g_free(extent->file);
    g_free(extent);
}

static void pair_free(void *data)
{
    struct vmdk_pair *pair = data;

    g_free(pair->key);
    g_free(pair->value);
    g_free(pair);
}

static struct vmdk *vmdk_alloc(void)
{
    struct vmdk *vmdk = g_new0(struct vmdk, 1);

    vmdk->version = 1;
    vmdk->parent_cid = VMDK_NO_PARENT;
    vmdk->extents = g_ptr_array_new_with_free_func(extent_free);
    vmdk->header = g_ptr_array_new_with_free_func(pair_free);
    vmdk->ddb = g_ptr_array_new_with_free_func(pair_free);
    return vmdk;
}

void vmdk_free(struct vmdk *vmdk)
{
    if (vmdk != NULL) {
        g_free(vmdk->create_type);
        g_free(vmdk->parent_file_hint);
        g_ptr_array_unref(vmdk->extents);
        g_ptr_array_unref(vmdk->header);
        g_ptr_array_unref(vmdk->ddb);
        g_free(vmdk);
    }
}

/* --- kinds --- */

static uint32_t get_le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

enum vmdk_kind vmdk_probe(const void *data, size_t length)
{
    static const unsigned char se_sparse[8] = {0xbe, 0xba, 0xfe, 0xca, 0, 0, 0, 0};
    const unsigned char *p = data;
    const char *text = data;
    size_t magic = strlen(DESCRIPTOR_MAGIC);

    if (length >= 3 && memcmp(p, "\xef\xbb\xbf", 3) == 0) {
        text += 3;
        length -= 3;
    }
    if (length >= magic && g_ascii_strncasecmp(text, DESCRIPTOR_MAGIC, magic) == 0) {
        return VMDK_KIND_DESCRIPTOR;
    }
    if (length >= 12 && memcmp(p, "KDMV", 4) == 0) {
        /* Flag bits of the sparse extent header: 16 grains are compressed, 17 markers between them. */
        return (get_le32(p + 8) & 3U << 16) != 0 ? VMDK_KIND_STREAM_OPTIMIZED : VMDK_KIND_MONOLITHIC_SPARSE;
    }
    if (length >= 4 && memcmp(p, "COWD", 4) == 0) {
        return VMDK_KIND_VMFS_SPARSE;
    }
    if (length >= 8 && memcmp(p, se_sparse, 8) == 0) {
        return VMDK_KIND_SE_SPARSE;
    }
    if (length >= 4 && memcmp(p, "QFI\xfb", 4) == 0) {
        return VMDK_KIND_QCOW2;
    }
    return VMDK_KIND_RAW;
}

const char *vmdk_kind_name(enum vmdk_kind kind)
{
    switch (kind) {
    case VMDK_KIND_DESCRIPTOR:
        return "descriptor";
    case VMDK_KIND_MONOLITHIC_SPARSE:
        return "monolithicSparse";
    case VMDK_KIND_STREAM_OPTIMIZED:
        return "streamOptimized";
    case VMDK_KIND_VMFS_SPARSE:
        return "vmfsSparse";
    case VMDK_KIND_SE_SPARSE:
        return "seSparse";
    case VMDK_KIND_QCOW2:
        return "qcow2";
    case VMDK_KIND_RAW:
        return "raw";
    }
    return "unknown";
}

/* --- parsing --- */

static struct vmdk_pair *find_pair(const GPtrArray *pairs, const char *key)
{
    for (guint i = 0; i < pairs->len; i++) {
        struct vmdk_pair *pair = pairs->pdata[i];

        if (g_ascii_strcasecmp(pair->key, key) == 0) {
            return pair;
        }
    }
    return NULL;
}

static void add_pair(GPtrArray *pairs, const char *key, const char *value)
{
    struct vmdk_pair *pair = g_new0(struct vmdk_pair, 1);

    pair->key = g_strdup(key);
    pair->value = g_strdup(value);
    g_ptr_array_add(pairs, pair);
}

/* A CID: up to eight hex digits. */
static int parse_cid(const char *text, uint32_t *ret)
{
    char *end;
    guint64 number;

    if (!g_ascii_isxdigit(text[0])) {
        return -EINVAL;
    }
    number = g_ascii_strtoull(text, &end, 16);
    if (*end != '\0' || number > UINT32_MAX || strlen(text) > 8) {
        return -EINVAL;
    }
    *ret = (uint32_t)number;
    return 0;
}

/* Takes key and value of one line that is not an extent. */
static int take_pair(struct vmdk *vmdk, const char *key, const char *value)
{
    guint64 number;

    if (g_ascii_strncasecmp(key, "ddb.", 4) == 0) {
        if (find_pair(vmdk->ddb, key + 4) != NULL) {
            return -EEXIST;
        }
        add_pair(vmdk->ddb, key + 4, value);
    } else if (g_ascii_strcasecmp(key, "version") == 0) {
        if (!g_ascii_string_to_unsigned(value, 10, 1, 4, &number, NULL)) {
            return -EINVAL;
        }
        vmdk->version = (uint32_t)number;
    } else if (g_ascii_strcasecmp(key, "CID") == 0) {
        return parse_cid(value, &vmdk->cid);
    } else if (g_ascii_strcasecmp(key, "parentCID") == 0) {
        return parse_cid(value, &vmdk->parent_cid);
    } else if (g_ascii_strcasecmp(key, "createType") == 0) {
        g_free(vmdk->create_type);
        vmdk->create_type = g_strdup(value);
    } else if (g_ascii_strcasecmp(key, "parentFileNameHint") == 0) {
        g_free(vmdk->parent_file_hint);
        vmdk->parent_file_hint = g_strdup(value);
    } else {
        add_pair(vmdk->header, key, value);
    }
    return 0;
}

static const char *skip_blanks(const char *p)
{
    while (*p == ' ' || *p == '\t') {
        p++;
    }
    return p;
}

/* Cuts the next word out of *p; "" at the end. */
static char *next_word(const char **p)
{
    const char *begin = skip_blanks(*p);
    const char *end = begin;

    while (*end != '\0' && *end != ' ' && *end != '\t') {
        end++;
    }
    *p = end;
    return g_strndup(begin, (size_t)(end - begin));
}

/* Whether the line begins with one of the words of an extent; then *p is behind it. */
static bool extent_access(const char **p, enum vmdk_access *ret)
{
    static const struct {
        const char *word;
        enum vmdk_access access;
    } words[] = {{"RW", VMDK_ACCESS_RW}, {"RDONLY", VMDK_ACCESS_RDONLY}, {"NOACCESS", VMDK_ACCESS_NONE}};
    const char *rest = *p;
    g_autofree char *word = next_word(&rest);

    for (size_t i = 0; i < G_N_ELEMENTS(words); i++) {
        if (strcmp(word, words[i].word) == 0) {
            *ret = words[i].access;
            *p = rest;
            return true;
        }
    }
    return false;
}

/* The rest of an extent line, after its type: `"file" [offset]`, or nothing for ZERO. */
static int parse_extent_file(struct vmdk_extent *extent, const char *p)
{
    const char *close;
    g_autofree char *offset = NULL;

    p = skip_blanks(p);
    if (*p == '\0') {
        return g_ascii_strcasecmp(extent->type, "ZERO") == 0 ? 0 : -EINVAL;
    }
    close = *p == '"' ? strchr(p + 1, '"') : NULL;
    if (close == NULL || close == p + 1) {
        return -EINVAL;
    }
    extent->file = g_strndup(p + 1, (size_t)(close - p - 1));
    p = close + 1;
    offset = next_word(&p);
    if (offset[0] != '\0' && !g_ascii_string_to_unsigned(offset, 10, 0, SECTORS_MAX, &extent->offset, NULL)) {
        return -EINVAL;
    }
    /* More words follow for raw devices (partition, device); they are of no use without the device. */
    return 0;
}

static int parse_extent(struct vmdk *vmdk, enum vmdk_access access, const char *p)
{
    struct vmdk_extent *extent = g_new0(struct vmdk_extent, 1);
    g_autofree char *sectors = next_word(&p);

    g_ptr_array_add(vmdk->extents, extent);
    extent->access = access;
    extent->type = next_word(&p);
    if (extent->type[0] == '\0' || vmdk->extents->len > VMDK_MAX_EXTENTS ||
        !g_ascii_string_to_unsigned(sectors, 10, 0, SECTORS_MAX, &extent->sectors, NULL)) {
        return -EINVAL;
    }
    return parse_extent_file(extent, p);
}

/* One line, stripped of the blanks around it. */
static int parse_line(struct vmdk *vmdk, const char *line)
{
    enum vmdk_access access;
    const char *p = line;
    const char *equals;
    g_autofree char *key = NULL;
    g_autofree char *value = NULL;
    size_t length;

    if (line[0] == '\0' || line[0] == '#') {
        return 0;
    }
    if (extent_access(&p, &access)) {
        return parse_extent(vmdk, access, p);
    }
    equals = strchr(line, '=');
    if (equals == NULL || equals == line) {
        return -EINVAL;
    }
    key = g_strchomp(g_strndup(line, (size_t)(equals - line)));
    p = skip_blanks(equals + 1);
    length = strlen(p);
    if (p[0] == '"') {
        if (length < 2 || p[length - 1] != '"') {
            return -EINVAL;
        }
        p++;
        length -= 2;
    }
    if (memchr(p, '"', length) != NULL || vmx_unescape(p, length, &value) < 0) {
        return -EINVAL;
    }
    return take_pair(vmdk, key, value);
}

static uint64_t total_sectors(const struct vmdk *vmdk)
{
    uint64_t sum = 0;

    for (guint i = 0; i < vmdk->extents->len; i++) {
        const struct vmdk_extent *extent = vmdk->extents->pdata[i];

        sum += extent->sectors; /* of at most 2^53 each: tested before it can wrap */
        if (sum > SECTORS_MAX) {
            return UINT64_MAX;
        }
    }
    return sum;
}

/* What a descriptor must have as a whole. */
static int check_whole(const struct vmdk *vmdk, char **ret_message)
{
    const char *what = NULL;

    if (vmdk->create_type == NULL) {
        what = "the descriptor has no createType";
    } else if (vmdk->extents->len == 0) {
        what = "the descriptor has no extent";
    } else if (total_sectors(vmdk) > SECTORS_MAX) {
        what = "the disk is larger than 4 EiB";
    }
    if (what != NULL) {
        *ret_message = g_strdup(what);
        return -EINVAL;
    }
    return 0;
}

/* Refuses what is not a descriptor text at all. */
static int check_text(const char *text, size_t length, char **ret_message)
{
    enum vmdk_kind kind = vmdk_probe(text, length);

    if (kind != VMDK_KIND_DESCRIPTOR) {
        *ret_message =
            g_strdup_printf("not a disk descriptor but a disk of the kind %s", vmdk_kind_name(kind));
        return -EMEDIUMTYPE;
    }
    if (length > VMDK_MAX_BYTES) {
        *ret_message = g_strdup_printf("the descriptor is larger than %d bytes", (int)VMDK_MAX_BYTES);
        return -E2BIG;
    }
    const char *bad;
    if (!g_utf8_validate_len(text, length, &bad)) { /* or a NUL */
        *ret_message =
            g_strdup_printf("the descriptor is not a UTF-8 text from byte %zu on", (size_t)(bad - text));
        return -EINVAL;
    }
    return 0;
}

/* How long the text is without its padding. Some programs fill up their last blocks with NULs, some their last
 * sector with whatever they had there behind the NUL that ends the last line. */
static size_t text_length(const char *text, size_t length)
{
    while (length > 0 && text[length - 1] == '\0') {
        length--;
    }
    size_t sector = length > 0 ? (length - 1) / VMDK_SECTOR_BYTES * VMDK_SECTOR_BYTES : 0;
    size_t end = sector + strnlen(text + sector, length - sector);
    return end > 0 && text[end - 1] == '\n' ? end : length;
}

int vmdk_parse(const void *data, size_t length, struct vmdk **ret, char **ret_message)
{
    g_autoptr(vmdk) vmdk = vmdk_alloc();
    g_autofree char *text = NULL;
    g_auto(GStrv) lines = NULL;
    int r;

    if (vmdk_probe(data, length) == VMDK_KIND_DESCRIPTOR) {
        length = text_length(data, length);
    }
    r = check_text(data, length, ret_message);
    if (r < 0) {
        return r;
    }
    text = g_strndup(data, length);
    lines = g_strsplit(text, "\n", -1);
    /* The first line is the magic, behind a byte order mark perhaps. */
    for (guint i = 1; lines[i] != NULL; i++) {
        r = parse_line(vmdk, g_strstrip(lines[i]));
        if (r < 0) {
            *ret_message = g_strdup_printf("line %u of the descriptor: %s", i + 1,
                                           r == -EEXIST ? "the key was already set" : "malformed");
            return -EINVAL;
        }
    }
    r = check_whole(vmdk, ret_message);
    if (r < 0) {
        return r;
    }
    *ret = g_steal_pointer(&vmdk);
    return 0;
}

/* --- writing --- */

static void format_pair(GString *out, const char *key, const char *value)
{
    g_string_append_printf(out, "%s=\"", key);
    vmx_escape(out, value);
    g_string_append(out, "\"\n");
}

static void format_extent(GString *out, const struct vmdk_extent *extent)
{
    switch (extent->access) {
    case VMDK_ACCESS_RW:
        g_string_append(out, "RW");
        break;
    case VMDK_ACCESS_RDONLY:
        g_string_append(out, "RDONLY");
        break;
    case VMDK_ACCESS_NONE:
        g_string_append(out, "NOACCESS");
        break;
    }
    g_string_append_printf(out, " %" G_GUINT64_FORMAT " %s", extent->sectors, extent->type);
    if (extent->file != NULL) {
        g_string_append_printf(out, " \"%s\"", extent->file);
        if (extent->offset > 0 || g_ascii_strcasecmp(extent->type, "FLAT") == 0) {
            g_string_append_printf(out, " %" G_GUINT64_FORMAT, extent->offset);
        }
    }
    g_string_append_c(out, '\n');
}

char *vmdk_format(const struct vmdk *vmdk, size_t *ret_length)
{
    GString *out = g_string_new(DESCRIPTOR_MAGIC "\n");

    g_string_append_printf(out, "version=%u\n", vmdk->version);
    for (guint i = 0; i < vmdk->header->len; i++) {
        const struct vmdk_pair *pair = vmdk->header->pdata[i];

        format_pair(out, pair->key, pair->value);
    }
    g_string_append_printf(out, "CID=%08x\nparentCID=%08x\n", vmdk->cid, vmdk->parent_cid);
    format_pair(out, "createType", vmdk->create_type);
    if (vmdk->parent_file_hint != NULL) {
        format_pair(out, "parentFileNameHint", vmdk->parent_file_hint);
    }
    g_string_append(out, "\n# Extent description\n");
    for (guint i = 0; i < vmdk->extents->len; i++) {
        format_extent(out, vmdk->extents->pdata[i]);
    }
    g_string_append(out, "\n# The Disk Data Base\n#DDB\n\n");
    for (guint i = 0; i < vmdk->ddb->len; i++) {
        const struct vmdk_pair *pair = vmdk->ddb->pdata[i];

        g_string_append(out, "ddb.");
        g_string_append_printf(out, "%s = \"", pair->key);
        vmx_escape(out, pair->value);
        g_string_append(out, "\"\n");
    }
    if (ret_length != NULL) {
        *ret_length = out->len;
    }
    return g_string_free(out, FALSE);
}

/* --- disks of ours --- */

/* A plain file name that an extent line can hold. */
static bool data_file_is_valid(const char *name)
{
    g_autofree char *path = NULL;
    const char *rule;

    return name[0] != '\0' && strpbrk(name, "/\"") == NULL &&
           datastore_path_parse_relative(name, -1, &path, &rule) == 0;
}

/*
 * The geometry that VMware's products write: guests with an old boot loader compute with it. IDE has 16
 * heads; of the SCSI adapters, small disks have 64 or 128 heads of 32 sectors.
 */
static void set_geometry(struct vmdk *vmdk, uint64_t sectors)
{
    const char *adapter = vmdk_get_ddb(vmdk, "adapterType");
    bool ide = adapter != NULL && strcmp(adapter, "ide") == 0;
    uint64_t heads = 255;
    uint64_t per_track = 63;
    uint64_t cylinders;
    g_autofree char *text = NULL;

    if (ide) {
        heads = 16;
    } else if (sectors < UINT64_C(2) << 20) { /* 1 GiB */
        heads = 64;
        per_track = 32;
    } else if (sectors < UINT64_C(4) << 20) {
        heads = 128;
        per_track = 32;
    }
    cylinders = MAX(sectors / (heads * per_track), 1);
    if (ide) {
        cylinders = MIN(cylinders, 16383);
    }
    text = g_strdup_printf("%" G_GUINT64_FORMAT, cylinders);
    vmdk_set_ddb(vmdk, "geometry.cylinders", text);
    vmdk_set_ddb(vmdk, "geometry.heads", ide ? "16" : heads == 64 ? "64" : heads == 128 ? "128" : "255");
    vmdk_set_ddb(vmdk, "geometry.sectors", per_track == 63 ? "63" : "32");
}

int vmdk_new(const struct vmdk_new_options *options, struct vmdk **ret)
{
    g_autoptr(vmdk) vmdk = vmdk_alloc();
    struct vmdk_extent *extent = g_new0(struct vmdk_extent, 1);
    const char *adapter = options->adapter_type != NULL ? options->adapter_type : "lsilogic";
    char uuid[48];
    int r;

    g_ptr_array_add(vmdk->extents, extent);
    extent->access = VMDK_ACCESS_RW;
    extent->type = g_strdup(options->flat ? "VMFS" : "QCOW2");
    extent->file = g_strdup(options->data_file);
    if (!data_file_is_valid(options->data_file)) {
        return -EINVAL;
    }
    vmdk->create_type = g_strdup(options->flat ? "vmfs" : "custom");
    add_pair(vmdk->header, "encoding", "UTF-8");
    vmdk->cid = options->cid;
    r = vmdk_set_ddb(vmdk, "adapterType", adapter);
    if (r == 0) {
        r = vmdk_set_capacity_bytes(vmdk, options->capacity_bytes);
    }
    if (r == 0 && options->uuid != NULL) {
        r = vmx_uuid_from_api(options->uuid, uuid);
        if (r == 0) {
            r = vmdk_set_ddb(vmdk, "uuid", uuid);
        }
    }
    if (r < 0) {
        return r;
    }
    if (options->thin) {
        vmdk_set_ddb(vmdk, "thinProvisioned", "1");
    }
    vmdk_set_ddb(vmdk, "virtualHWVersion", "14");
    *ret = g_steal_pointer(&vmdk);
    return 0;
}

bool vmdk_extent_is_flat(const struct vmdk_extent *extent)
{
    return g_ascii_strcasecmp(extent->type, "FLAT") == 0 || g_ascii_strcasecmp(extent->type, "VMFS") == 0;
}

int vmdk_get_data_file(const struct vmdk *vmdk, const char **ret_data_file, const char **ret_format,
                       char **ret_message)
{
    const struct vmdk_extent *extent = vmdk->extents->pdata[0];
    bool one = vmdk->extents->len == 1;
    bool flat = one && vmdk_extent_is_flat(extent) && extent->offset == 0 &&
                extent->access == VMDK_ACCESS_RW && vmdk->parent_cid == VMDK_NO_PARENT &&
                vmdk->parent_file_hint == NULL;

    if (!flat && (!one || strcmp(extent->type, "QCOW2") != 0)) {
        *ret_message = g_strdup_printf("a disk of the kind %s (%u extent%s, the first %s), which has to be"
                                       " imported first",
                                       vmdk->create_type, vmdk->extents->len,
                                       vmdk->extents->len == 1 ? "" : "s", extent->type);
        return -EMEDIUMTYPE;
    }
    if (extent->file == NULL || !data_file_is_valid(extent->file)) {
        *ret_message = g_strdup("the disk's data is not in a file beside its descriptor");
        return -EMEDIUMTYPE;
    }
    *ret_data_file = extent->file;
    *ret_format = flat ? "raw" : "qcow2";
    return 0;
}

int64_t vmdk_get_capacity_bytes(const struct vmdk *vmdk)
{
    return (int64_t)(total_sectors(vmdk) * VMDK_SECTOR_BYTES);
}

int vmdk_set_capacity_bytes(struct vmdk *vmdk, int64_t capacity_bytes)
{
    struct vmdk_extent *extent = vmdk->extents->pdata[0];
    uint64_t sectors = (uint64_t)capacity_bytes / VMDK_SECTOR_BYTES;

    if (vmdk->extents->len != 1 || capacity_bytes <= 0 || capacity_bytes % VMDK_SECTOR_BYTES != 0 ||
        sectors > SECTORS_MAX) {
        return -EINVAL;
    }
    extent->sectors = sectors;
    set_geometry(vmdk, sectors);
    return 0;
}

const char *vmdk_get_ddb(const struct vmdk *vmdk, const char *key)
{
    const struct vmdk_pair *pair = find_pair(vmdk->ddb, key);

    return pair != NULL ? pair->value : NULL;
}

int vmdk_set_ddb(struct vmdk *vmdk, const char *key, const char *value)
{
    struct vmdk_pair *pair = find_pair(vmdk->ddb, key);

    if (key[0] == '\0' || strpbrk(key, " \t\r\n=\"#") != NULL ||
        (value != NULL && !g_utf8_validate(value, -1, NULL))) {
        return -EINVAL;
    }
    if (value == NULL) {
        if (pair != NULL) {
            g_ptr_array_remove(vmdk->ddb, pair);
        }
    } else if (pair != NULL) {
        g_free(pair->value);
        pair->value = g_strdup(value);
    } else {
        add_pair(vmdk->ddb, key, value);
    }
    return 0;
}

bool vmdk_is_thin(const struct vmdk *vmdk)
{
    const char *value = vmdk_get_ddb(vmdk, "thinProvisioned");

    return value != NULL && strcmp(value, "1") == 0;
}

void vmdk_uuid_from_random(const uint8_t random[13], char ret[37])
{
    const uint8_t *r = random;

    g_snprintf(ret, 37, "6000c29%x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", r[0] & 15U, r[1],
               r[2], r[3], r[4], r[5], r[6], r[7], r[8], r[9], r[10], r[11], r[12]);
}

bool vmdk_get_uuid(const struct vmdk *vmdk, char ret[37])
{
    const char *value = vmdk_get_ddb(vmdk, "uuid");

    return value != NULL && vmx_uuid_to_api(value, ret) == 0;
}
