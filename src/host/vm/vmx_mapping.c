// SPDX-License-Identifier: Apache-2.0
/*
 * The engine behind the tables of .vmx keys; see vmx_mapping.h. Everything goes through text: the file's
 * text becomes the API's text by the mapping's form, and that becomes a member by its descriptor.
 */
#include "host/vm/vmx_mapping.h"

#include <errno.h>
#include <string.h>

#include "host/storage/datastore_path.h"
#include "host/vm/vmx_guest.h"
#include "vim/types.h"
#include "vim/value.h"

#define VOLUMES "/vmfs/volumes/" /* how VMware's files name another datastore */

void vmx_mapper_use(struct vmx_mapper *mapper, const char *key)
{
    g_hash_table_add(mapper->used, g_ascii_strdown(key, -1));
}

bool vmx_mapper_is_used(const struct vmx_mapper *mapper, const char *key)
{
    g_autofree char *folded = g_ascii_strdown(key, -1);

    return g_hash_table_contains(mapper->used, folded);
}

void vmx_mapper_fail(struct vmx_mapper *mapper, int error, const char *key, const char *what)
{
    unsigned int line = vmx_get_line(mapper->vmx, key);

    if (mapper->error != 0 || mapper->lenient) {
        return;
    }
    mapper->error = error;
    mapper->message =
        line > 0 ? g_strdup_printf("line %u: %s: %s", line, key, what) : g_strdup_printf("%s: %s", key, what);
}

char *vmx_slot_key(const char *slot, const char *key)
{
    return slot != NULL ? g_strconcat(slot, ".", key, NULL) : g_strdup(key);
}

/* --- forms --- */

/* "C:\...": Workstation's, on Windows. */
static bool has_drive_letter(const char *text)
{
    return g_ascii_isalpha(text[0]) && text[1] == ':' && (text[2] == '\\' || text[2] == '/');
}

char *vmx_file_to_api(const struct vmx_mapper *mapper, const char *text)
{
    g_autofree char *path = NULL;
    g_autofree char *joined = NULL;
    const char *rule;

    if (text[0] == '\0') {
        return g_strdup("");
    }
    if (g_str_has_prefix(text, VOLUMES)) {
        const char *name = text + strlen(VOLUMES);
        const char *slash = strchr(name, '/');

        if (slash != NULL && slash > name &&
            datastore_path_parse_relative(slash + 1, -1, &path, &rule) == 0) {
            g_autofree char *datastore = g_strndup(name, (size_t)(slash - name));

            return datastore_path_format(datastore, path);
        }
    } else if (!has_drive_letter(text) && datastore_path_parse_relative(text, -1, &path, &rule) == 0) {
        joined = datastore_path_join(mapper->folder, path);
        return datastore_path_format(mapper->datastore, joined);
    }
    /* On no datastore: how the VI API shows a file of the machine that once ran it. */
    return g_strconcat("[] ", text, NULL);
}

char *vmx_file_from_api(const struct vmx_mapper *mapper, const char *text)
{
    DATASTORE_PATH_AUTO(path);
    g_autofree char *inside = NULL;
    const char *rule;

    if (g_str_has_prefix(text, "[] ")) {
        return g_strdup(text + 3);
    }
    if (datastore_path_parse(text, -1, &path, &rule) < 0) {
        return g_strdup(text);
    }
    if (strcmp(path.datastore, mapper->datastore) == 0) {
        inside = mapper->folder[0] != '\0' ? g_strconcat(mapper->folder, "/", NULL) : g_strdup("");
        if (g_str_has_prefix(path.path, inside)) {
            return g_strdup(path.path + strlen(inside));
        }
    }
    return g_strconcat(VOLUMES, path.datastore, "/", path.path, NULL);
}

/* A decimal number as it is, times numerator by denominator. */
static char *scale(const char *text, int64_t numerator, int64_t denominator)
{
    gint64 number;

    if (!g_ascii_string_to_signed(text, 10, 0, INT64_MAX / numerator, &number, NULL)) {
        return NULL;
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, number * numerator / denominator);
}

static char *word_to_api(const struct vmx_word *words, const char *text)
{
    for (; words->file != NULL; words++) {
        if (g_ascii_strcasecmp(words->file, text) == 0) {
            return g_strdup(words->api);
        }
    }
    return g_strdup(text);
}

static char *word_from_api(const struct vmx_word *words, const char *text)
{
    for (; words->file != NULL; words++) {
        if (strcmp(words->api, text) == 0) {
            return g_strdup(words->file);
        }
    }
    return g_strdup(text);
}

/* The API's text for a file's; NULL: not a value of this form. */
static char *to_api(const struct vmx_mapper *mapper, const struct vmx_mapping *mapping, const char *text)
{
    char uuid[37];
    const char *guest;
    guint64 number;

    switch (mapping->form) {
    case VMX_WORDS:
        return word_to_api(mapping->words, text);
    case VMX_UUID:
        return vmx_uuid_to_api(text, uuid) == 0 ? g_strdup(uuid) : NULL;
    case VMX_VERSION:
        return g_ascii_string_to_unsigned(text, 10, 1, 999, &number, NULL)
                   ? g_strdup_printf("vmx-%02u", (unsigned int)number)
                   : NULL;
    case VMX_GUEST:
        guest = vmx_guest_to_api(text);
        return g_strdup(guest != NULL ? guest : text);
    case VMX_FILE:
        return vmx_file_to_api(mapper, text);
    case VMX_BYTES:
        return scale(text, 1, 1024);
    case VMX_HEX16:
        return g_ascii_string_to_unsigned(g_str_has_prefix(text, "0x") ? text + 2 : text, 16, 0, UINT16_MAX,
                                          &number, NULL)
                   ? g_strdup_printf("%d", (int16_t)number)
                   : NULL;
    case VMX_PLAIN:
    case VMX_SHARES:
        return g_strdup(text);
    }
    return NULL;
}

static char *from_api(const struct vmx_mapper *mapper, const struct vmx_mapping *mapping, const char *text)
{
    char uuid[48];
    guint64 number;
    gint64 signed_number;

    switch (mapping->form) {
    case VMX_WORDS:
        return word_from_api(mapping->words, text);
    case VMX_UUID:
        return vmx_uuid_from_api(text, uuid) == 0 ? g_strdup(uuid) : NULL;
    case VMX_VERSION:
        return g_str_has_prefix(text, "vmx-") &&
                       g_ascii_string_to_unsigned(text + strlen("vmx-"), 10, 1, 999, &number, NULL)
                   ? g_strdup_printf("%u", (unsigned int)number)
                   : NULL;
    case VMX_GUEST:
        return vmx_guest_from_api(text);
    case VMX_FILE:
        return vmx_file_from_api(mapper, text);
    case VMX_BYTES:
        return scale(text, 1024, 1);
    case VMX_HEX16:
        return g_ascii_string_to_signed(text, 10, INT16_MIN, INT16_MAX, &signed_number, NULL)
                   ? g_strdup_printf("0x%04x", (unsigned int)(uint16_t)signed_number)
                   : NULL;
    case VMX_PLAIN:
    case VMX_SHARES:
        return g_strdup(text);
    }
    return NULL;
}

/* --- members --- */

/* Finds a member by path. NULL: an object on the way is missing (and not made) or has no such member. */
static const struct vim_field *walk(void *object, const char *path, bool make, void **ret_at)
{
    g_auto(GStrv) names = g_strsplit(path, ".", -1);

    for (size_t i = 0; names[i] != NULL; i++) {
        const struct vim_type *type = *(const struct vim_type *const *)object;
        const struct vim_field *field = vim_field_by_name(type, names[i], NULL);
        void *at;

        if (field == NULL) {
            return NULL;
        }
        at = vim_field_at(field, object);
        if (names[i + 1] == NULL) {
            *ret_at = at;
            return field;
        }
        if (*(void **)at == NULL) {
            if (!make) {
                return NULL;
            }
            *(void **)at = vim_new(field->type);
        }
        object = *(void **)at;
    }
    return NULL;
}

static bool parse_shares(struct SharesInfo **at, const char *text)
{
    int level = vim_enum_by_name(&SharesLevel_type, text);
    gint64 number = 0;

    if (level == 0 || level == SharesLevel_custom) {
        if (!g_ascii_string_to_signed(text, 10, 0, INT32_MAX, &number, NULL)) {
            return false;
        }
        level = SharesLevel_custom;
    }
    if (*at == NULL) {
        *at = SharesInfo_new();
    }
    (*at)->level = level;
    (*at)->shares = (int32_t)number;
    return true;
}

/* The numbers of a kind. */
static int64_t number_max(enum vim_kind kind)
{
    return kind == VIM_SHORT ? INT16_MAX : kind == VIM_INT ? INT32_MAX : INT64_MAX;
}

static void put_number(enum vim_kind kind, void *at, int64_t number)
{
    if (kind == VIM_SHORT) {
        *(int16_t *)at = (int16_t)number;
    } else if (kind == VIM_INT) {
        *(int32_t *)at = (int32_t)number;
    } else {
        *(int64_t *)at = number;
    }
}

static int64_t get_number(enum vim_kind kind, const void *at)
{
    return kind == VIM_SHORT ? *(const int16_t *)at
           : kind == VIM_INT ? *(const int32_t *)at
                             : *(const int64_t *)at;
}

/* Sets a member from the API's text. NULL, or what is wrong with it. */
static const char *put_text(const struct vmx_mapping *mapping, const struct vim_field *field, void *at,
                            const char *text)
{
    void *value = vim_field_value(field, at);
    enum vim_kind kind = field->type->kind;
    gint64 number;

    if (mapping->form == VMX_SHARES) {
        return parse_shares(value, text) ? NULL : "neither low, normal, high nor a number";
    }
    if (kind == VIM_STRING) {
        vim_set_string(value, text);
    } else if (kind == VIM_ENUM) {
        int found = vim_enum_by_name(field->type, text);

        if (found == 0) {
            return "not one of the words that are known here";
        }
        *(int *)value = found;
    } else if (kind == VIM_BOOLEAN) {
        if (vmx_parse_bool(text, value) < 0) {
            return "neither TRUE nor FALSE";
        }
    } else {
        if (!g_ascii_string_to_signed(text, 10, mapping->min, number_max(kind), &number, NULL)) {
            return "not a number in the range that is valid here";
        }
        put_number(kind, value, number);
    }
    if (value != at) {
        *(bool *)at = true; /* an optional number's `set` */
    }
    return NULL;
}

/* The API's text of a member; NULL when it is unset. */
static char *get_text(const struct vmx_mapping *mapping, const struct vim_field *field, void *at)
{
    void *value = vim_field_value(field, at);
    enum vim_kind kind = field->type->kind;

    if (!vim_field_is_set(field, at)) {
        return NULL;
    }
    if (mapping->form == VMX_SHARES) {
        const struct SharesInfo *shares = *(struct SharesInfo **)value;

        return shares->level == SharesLevel_custom || shares->level == SharesLevel_unset
                   ? g_strdup_printf("%d", shares->shares)
                   : g_strdup(SharesLevel_type.values[shares->level]);
    }
    if (kind == VIM_STRING) {
        return g_strdup(*(char **)value);
    }
    if (kind == VIM_ENUM) {
        return g_strdup(field->type->values[*(int *)value]);
    }
    if (kind == VIM_BOOLEAN) {
        return g_strdup(*(bool *)value ? "TRUE" : "FALSE");
    }
    return g_strdup_printf("%" G_GINT64_FORMAT, get_number(kind, value));
}

/* --- tables --- */

/* An empty value is an absent one, except where it is a text. */
static const char *present_value(const struct vmx *vmx, const char *key, const struct vim_field *field)
{
    const char *value = vmx_get(vmx, key);

    return value != NULL && value[0] == '\0' && field->type->kind != VIM_STRING ? NULL : value;
}

static void load_one(struct vmx_mapper *mapper, const char *slot, const struct vmx_mapping *mapping,
                     void *object)
{
    g_autofree char *key = vmx_slot_key(slot, mapping->key);
    g_autofree char *text = NULL;
    const char *value = vmx_get(mapper->vmx, key);
    const struct vim_field *field;
    const char *what;
    void *at;

    vmx_mapper_use(mapper, key);
    if (value == NULL && mapping->absent == NULL) {
        return; /* before walk(), which would make objects for nothing */
    }
    field = walk(object, mapping->path, true, &at);
    g_assert(field != NULL); /* the tables are constant: a wrong path fails the first test */
    value = present_value(mapper->vmx, key, field);
    text = value != NULL ? to_api(mapper, mapping, value) : g_strdup(mapping->absent);
    if (text == NULL && value == NULL) {
        return;
    }
    what = text != NULL ? put_text(mapping, field, at, text) : "not in the form that is valid here";
    if (what != NULL) {
        vmx_mapper_fail(mapper, -EINVAL, key, what);
    }
}

void vmx_map_load(struct vmx_mapper *mapper, const char *slot, const struct vmx_mapping *mappings,
                  void *object)
{
    for (; mappings->key != NULL && mapper->error == 0; mappings++) {
        load_one(mapper, slot, mappings, object);
    }
}

/* Whether a file's value means what `text` says, however it is spelled. */
static bool means_same(const struct vmx_mapper *mapper, const struct vmx_mapping *mapping,
                       const struct vim_field *field, const char *value, const char *text)
{
    g_autofree char *now = to_api(mapper, mapping, value);
    gint64 number;
    gint64 other;
    bool flag;

    if (now == NULL) {
        return false;
    }
    if (field->type->kind == VIM_BOOLEAN) {
        return vmx_parse_bool(now, &flag) == 0 && flag == (strcmp(text, "TRUE") == 0);
    }
    if (g_ascii_string_to_signed(now, 10, INT64_MIN, INT64_MAX, &number, NULL) &&
        g_ascii_string_to_signed(text, 10, INT64_MIN, INT64_MAX, &other, NULL) &&
        field->type->kind != VIM_STRING) {
        return number == other;
    }
    return strcmp(now, text) == 0;
}

void vmx_mapper_set(struct vmx_mapper *mapper, const char *key, const char *value)
{
    int r = 0;

    vmx_mapper_use(mapper, key);
    if (mapper->error != 0) {
        return;
    }
    if (value == NULL) {
        vmx_remove(mapper->out, key);
    } else {
        r = vmx_set(mapper->out, key, value);
    }
    if (r < 0) {
        vmx_mapper_fail(mapper, r, key,
                        r == -E2BIG ? "too long for the file" : "not a text that the file can hold");
    }
}

static void store_one(struct vmx_mapper *mapper, const char *slot, const struct vmx_mapping *mapping,
                      const void *object)
{
    g_autofree char *key = vmx_slot_key(slot, mapping->key);
    g_autofree char *text = NULL;
    g_autofree char *written = NULL;
    const char *value;
    void *at;
    const struct vim_field *field = walk((void *)object, mapping->path, false, &at);

    vmx_mapper_use(mapper, key);
    text = field != NULL ? get_text(mapping, field, at) : NULL;
    value = field != NULL ? present_value(mapper->vmx, key, field) : vmx_get(mapper->vmx, key);
    if (text == NULL) {
        if (value != NULL) {
            vmx_mapper_set(mapper, key, NULL);
        }
        return;
    }
    if (value != NULL ? means_same(mapper, mapping, field, value, text)
                      : mapping->absent != NULL && strcmp(mapping->absent, text) == 0) {
        return;
    }
    written = from_api(mapper, mapping, text);
    if (written == NULL) {
        vmx_mapper_fail(mapper, -EINVAL, key, "not a value that the file can hold");
        return;
    }
    vmx_mapper_set(mapper, key, written);
}

void vmx_map_store(struct vmx_mapper *mapper, const char *slot, const struct vmx_mapping *mappings,
                   const void *object)
{
    for (; mappings->key != NULL && mapper->error == 0; mappings++) {
        store_one(mapper, slot, mappings, object);
    }
}
