// SPDX-License-Identifier: Apache-2.0
/*
 * Values in memory: every type of the schema made, copied, compared and freed by its descriptors; arrays
 * as they grow and shrink; references and values of any type; what the tables themselves must keep to.
 */
#include "vim/value.h"

#include "vim/method.h"
#include "vim/parse.h"
#include "vim_values.h"

enum {
    DEPTH = 3, /* of the objects that are made */
    TRIES = 3, /* objects of each type */
};

/* ---- the tables --------------------------------------------------------------------------------------- */

static void check_field(const struct vim_type *type, const struct vim_field *field)
{
    g_autofree char *tag = g_strdup_printf("<%s>", field->name);
    bool array = field->flags & VIM_ARRAY;
    size_t room = array ? sizeof(struct vim_array)
                  : field->flags == VIM_OPTIONAL && field->type->kind <= VIM_DOUBLE
                      ? 2 * field->type->size
                      : vim_value_size(field->type);

    g_assert_cmpstr(field->open_tag, ==, tag);
    g_assert_cmpuint(field->open_tag_length, ==, strlen(tag));
    g_assert_cmpuint(field->offset, >=, sizeof(type));
    g_assert_cmpuint(field->offset + room, <=, type->size);
    g_assert_cmpuint(field->since, <=, vim_newest_version);
    /* else an old client would be shown a name that it cannot know */
    if (field->type->since > MAX(field->since, type->since)) {
        g_error("%s.%s is older than its type %s", type->name, field->name, field->type->name);
    }
}

static void test_tables(void)
{
    struct vim_seen seen;

    for (size_t i = 0; i < vim_n_types; i++) {
        const struct vim_type *type = vim_types[i];
        g_assert_true(i == 0 || strcmp(vim_types[i - 1]->name, type->name) < 0);
        g_assert_true(vim_type_by_name(type->name) == type);
        g_assert_cmpuint(type->n_fields, <=, sizeof(seen.bits) * 8);
        for (unsigned k = 0; k < type->n_fields; k++) {
            check_field(type, &type->fields[k]);
            g_assert_true(vim_field_by_name(type, type->fields[k].name, NULL) == &type->fields[k]);
        }
        for (int k = 1; k <= type->n_values; k++) {
            g_assert_cmpint(vim_enum_by_name(type, type->values[k]), ==, k);
        }
        /* an object of a type is an object of its base, as far as that goes */
        for (unsigned k = 0; type->base != NULL && k < type->base->n_fields; k++) {
            g_assert_cmpstr(type->fields[k].name, ==, type->base->fields[k].name);
            g_assert_cmpuint(type->fields[k].offset, ==, type->base->fields[k].offset);
            g_assert_true(type->base->has_subtypes);
        }
    }
    g_assert_null(vim_type_by_name("NoSuchType"));
    g_assert_true(vim_type_by_name("long") == &vim_type_long);
    g_assert_cmpint(vim_enum_by_name(&VirtualMachinePowerState_type, "on"), ==, 0);
}

static void test_field_hint(void)
{
    unsigned hint = 0;

    for (unsigned i = 0; i < VirtualDisk_type.n_fields; i++) {
        g_assert_true(vim_field_by_name(&VirtualDisk_type, VirtualDisk_type.fields[i].name, &hint) ==
                      &VirtualDisk_type.fields[i]);
        g_assert_cmpuint(hint, ==, i + 1);
    }
    /* from any place, in circles */
    g_assert_true(vim_field_by_name(&VirtualDisk_type, "key", &hint) == &VirtualDisk_type.fields[0]);
    hint = 100000;
    g_assert_nonnull(vim_field_by_name(&VirtualDisk_type, "capacityInKB", &hint));
    g_assert_null(vim_field_by_name(&VirtualDisk_type, "nothing", &hint));
}

static void test_type_is(void)
{
    struct VirtualDisk *disk = VirtualDisk_new();

    g_assert_true(vim_type_is(&VirtualDisk_type, &VirtualDevice_type));
    g_assert_true(vim_type_is(&VirtualDisk_type, &VirtualDisk_type));
    g_assert_false(vim_type_is(&VirtualDevice_type, &VirtualDisk_type));
    g_assert_true(vim_is_a(disk, &VirtualDevice_type));
    g_assert_false(vim_is_a(disk, &VirtualCdrom_type));
    vim_free(disk);
    disk = NULL;
    g_assert_false(vim_is_a(disk, &VirtualDevice_type));
}

/* ---- every type --------------------------------------------------------------------------------------- */

/* Clears one member of a copy after the other: each time the copy differs, and nothing is freed twice. */
static void check_members(const void *object)
{
    const struct vim_type *type = *(const struct vim_type *const *)object;

    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        void *copy = vim_copy(object);
        void *at = vim_field_at(field, copy);
        if (!vim_field_is_set(field, at)) { /* an empty array, a member too deep inside, an empty object */
            vim_free(copy);
            continue;
        }
        vim_field_clear(field, at);
        g_assert_false(vim_equal(object, copy));
        g_assert_false(vim_field_equal(field, at, vim_field_at(field, object)));
        bool has_always = field->flags == 0 && field->type->kind <= VIM_DOUBLE;
        g_assert_true(vim_field_is_set(field, at) == has_always);
        vim_field_copy(field, vim_field_at(field, object), at);
        g_assert_true(vim_equal(object, copy));
        vim_free(copy);
    }
}

static void check_type(struct samples *s, const struct vim_type *type)
{
    void *empty = vim_new(type);
    void *object = sample_object_of(s, type, DEPTH);
    void *copy = vim_copy(object);
    void *empty_copy = vim_copy(empty);

    g_assert_true(*(const struct vim_type **)object == type);
    g_assert_true(vim_equal(object, object));
    g_assert_true(vim_equal(object, copy));
    g_assert_true(vim_equal(empty, empty_copy));
    g_assert_false(vim_equal(object, NULL));
    g_assert_false(vim_equal(NULL, object));
    check_members(object);
    vim_clear_members(type, copy);
    g_assert_true(vim_equal(copy, empty));
    vim_free(object);
    vim_free(copy);
    vim_free(empty);
    vim_free(empty_copy);
}

static void test_every_type(void)
{
    struct samples s = samples_new(1);

    for (size_t i = 0; i < vim_n_types; i++) {
        for (unsigned n = 0; vim_types[i]->kind != VIM_ENUM && n < TRIES; n++) {
            check_type(&s, vim_types[i]);
        }
    }
    for (size_t i = 0; i < vim_n_methods; i++) {
        check_type(&s, vim_methods[i]->args);
        check_type(&s, vim_methods[i]->result);
    }
    samples_free(&s);
}

static void test_nothing(void)
{
    vim_free(NULL);
    vim_any_free(NULL);
    g_assert_null(vim_copy(NULL));
    g_assert_true(vim_equal(NULL, NULL));
}

/* Types with the same members are not the same. */
static void test_other_type(void)
{
    struct VirtualDevice *a = vim_new(&VirtualSIOController_type);
    struct VirtualDevice *b = vim_new(&VirtualPS2Controller_type);

    g_assert_cmpuint(a->vim_type->n_fields, ==, b->vim_type->n_fields);
    g_assert_false(vim_equal(a, b));
    vim_free(a);
    vim_free(b);
}

static void test_optional_numbers(void)
{
    struct VirtualDevice *a = VirtualDevice_new();
    struct VirtualDevice *b = VirtualDevice_new();

    vim_set_optional(&a->unitNumber, 0);
    g_assert_false(vim_equal(a, b)); /* 0 is not unset */
    vim_set_optional(&b->unitNumber, 0);
    g_assert_true(vim_equal(a, b));
    a->unitNumber.set = b->unitNumber.set = false;
    b->unitNumber.value = 7; /* what lies behind an unset flag does not count */
    g_assert_true(vim_equal(a, b));
    vim_free(a);
    vim_free(b);
}

/* ---- arrays ------------------------------------------------------------------------------------------- */

static void check_strings(const struct vim_array *array, uint32_t first, uint32_t n)
{
    g_assert_cmpuint(array->n, ==, n);
    for (uint32_t i = 0; i < n; i++) {
        g_autofree char *text = g_strdup_printf("%u", first + i);
        g_assert_cmpstr(((char **)array->items)[i], ==, text);
    }
}

/* Room grows at powers of two, which a copy and a removal must not upset. */
static void test_array_growth(void)
{
    for (uint32_t n = 0; n < 70; n++) {
        struct vim_field field = {.type = &vim_type_string, .flags = VIM_ARRAY};
        struct vim_array array = {0};
        struct vim_array copy = {0};
        for (uint32_t i = 0; i < n; i++) {
            g_autofree char *text = g_strdup_printf("%u", i);
            vim_array_add_string(&array, text);
        }
        check_strings(&array, 0, n);
        vim_field_copy(&field, &array, &copy);
        g_assert_true(vim_field_equal(&field, &array, &copy));
        for (uint32_t i = n; i < n + 5; i++) {
            g_autofree char *text = g_strdup_printf("%u", i);
            vim_array_add_string(&copy, text);
        }
        check_strings(&copy, 0, n + 5);
        check_strings(&array, 0, n);
        g_assert_false(vim_field_equal(&field, &array, &copy));
        for (uint32_t i = 0; i < 5; i++) {
            vim_array_remove(&copy, &vim_type_string, 0);
        }
        check_strings(&copy, 5, n);
        vim_array_add_string(&copy, "end");
        g_assert_cmpstr(((char **)copy.items)[n], ==, "end");
        vim_field_clear(&field, &copy);
        g_assert_null(copy.items);
        vim_field_clear(&field, &array);
    }
}

static void test_array_remove(void)
{
    struct vim_array array = {0};
    struct vim_field field = {.type = &vim_type_int, .flags = VIM_ARRAY};

    for (int32_t i = 0; i < 5; i++) {
        vim_array_add(&array, &vim_type_int, &i);
    }
    vim_array_remove(&array, &vim_type_int, 4);
    vim_array_remove(&array, &vim_type_int, 1);
    g_assert_cmpuint(array.n, ==, 3);
    g_assert_cmpint(((int32_t *)array.items)[0], ==, 0);
    g_assert_cmpint(((int32_t *)array.items)[1], ==, 2);
    g_assert_cmpint(((int32_t *)array.items)[2], ==, 3);
    while (array.n > 0) {
        vim_array_remove(&array, &vim_type_int, 0);
    }
    g_assert_false(vim_field_is_set(&field, &array));
    vim_array_add(&array, &vim_type_int, &array.n);
    vim_field_clear(&field, &array);
}

static void test_array_of_objects(void)
{
    struct VirtualHardware *hardware = VirtualHardware_new();
    struct vim_ref ref = {&Datastore_type, (char *)"ds-1"};
    struct VirtualMachine *vm = VirtualMachine_new();

    vim_array_add_object(&hardware->device, VirtualDisk_new());
    vim_array_add_object(&hardware->device, VirtualCdrom_new());
    g_assert_true(vim_is_a(hardware->device.items[0], &VirtualDisk_type));
    vim_array_remove(&hardware->device, &VirtualDevice_type, 0);
    g_assert_true(vim_is_a(hardware->device.items[0], &VirtualCdrom_type));
    vim_array_add_ref(&vm->datastore, &ref);
    g_assert_true(vm->datastore.items[0].id != ref.id);
    g_assert_true(vim_ref_equal(&vm->datastore.items[0], &ref));
    vim_free(hardware);
    vim_free(vm);
}

/* ---- references, values of any type, strings ---------------------------------------------------------- */

static void test_references(void)
{
    struct vim_ref a = vim_ref_make(&VirtualMachine_type, "1");
    struct vim_ref b = vim_ref_copy(&a);
    struct vim_ref other_type = {&Datastore_type, (char *)"1"};
    struct vim_ref none = {0};

    g_assert_true(a.id != b.id);
    g_assert_true(vim_ref_equal(&a, &b));
    g_assert_false(vim_ref_equal(&a, &other_type));
    g_assert_false(vim_ref_equal(&a, &none));
    vim_ref_set(&b, &other_type);
    g_assert_true(vim_ref_equal(&b, &other_type));
    vim_ref_set(&b, &b); /* itself */
    g_assert_cmpstr(b.id, ==, "1");
    vim_ref_clear(&b);
    g_assert_true(vim_ref_equal(&b, &none));
    b.type = &Datastore_type; /* the type of nothing does not count */
    g_assert_true(vim_ref_equal(&b, &none));
    vim_ref_clear(&a);
}

static void test_any(void)
{
    struct vim_ref ref = {&Datastore_type, (char *)"ds-1"};
    struct vim_any *values[] = {
        vim_any_string("1"),
        vim_any_int(1),
        vim_any_long(1),
        vim_any_boolean(true),
        vim_any_ref(&ref),
        vim_any_string(""),
        vim_any_object(VirtualDisk_new()),
    };
    struct vim_field field = {.type = &vim_type_any};

    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        for (size_t k = 0; k < G_N_ELEMENTS(values); k++) {
            g_assert_true(vim_field_equal(&field, &values[i], &values[k]) == (i == k));
        }
        struct vim_any *copy = NULL;
        vim_field_copy(&field, &values[i], &copy);
        g_assert_true(vim_field_equal(&field, &values[i], &copy));
        vim_any_free(copy);
    }
    g_assert_cmpstr(vim_any_get_string(values[0]), ==, "1");
    g_assert_null(vim_any_get_string(values[1]));
    g_assert_null(vim_any_get_string(NULL));
    for (size_t i = 0; i < G_N_ELEMENTS(values); i++) {
        vim_any_free(values[i]);
    }
}

static void test_any_array(void)
{
    struct vim_array strings = {0};
    struct vim_field field = {.type = &vim_type_any};
    struct vim_field list = {.type = &vim_type_string, .flags = VIM_ARRAY};
    struct vim_any *other = vim_any_string("a");

    vim_array_add_string(&strings, "a");
    struct vim_any *any = vim_any_new(&vim_type_string, true, &strings);
    g_assert_null(vim_any_get_string(any)); /* an array of strings is no string */
    g_assert_false(vim_field_equal(&field, &any, &other));
    vim_field_clear(&list, &strings);
    g_assert_cmpstr(((char **)((struct vim_array *)any->value)->items)[0], ==, "a");
    vim_any_free(any);
    vim_any_free(other);
}

static void test_set_string(void)
{
    char *text = NULL;

    vim_set_string(&text, "abc");
    vim_set_string(&text, text + 1); /* a part of itself */
    g_assert_cmpstr(text, ==, "bc");
    vim_set_string(&text, NULL);
    g_assert_null(text);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/value/tables", test_tables);
    g_test_add_func("/value/field-hint", test_field_hint);
    g_test_add_func("/value/type-is", test_type_is);
    g_test_add_func("/value/every-type", test_every_type);
    g_test_add_func("/value/nothing", test_nothing);
    g_test_add_func("/value/other-type", test_other_type);
    g_test_add_func("/value/optional-numbers", test_optional_numbers);
    g_test_add_func("/value/array-growth", test_array_growth);
    g_test_add_func("/value/array-remove", test_array_remove);
    g_test_add_func("/value/array-of-objects", test_array_of_objects);
    g_test_add_func("/value/references", test_references);
    g_test_add_func("/value/any", test_any);
    g_test_add_func("/value/any-array", test_any_array);
    g_test_add_func("/value/set-string", test_set_string);
    return g_test_run();
}
