// SPDX-License-Identifier: Apache-2.0
/*
 * The VI/JSON binding: every type of the schema written and read again, for the newest and for older
 * clients; how values are spelled; and each way in which a request can be wrong, with the fault that tells
 * it.
 */
#include "vim/json.h"

#include <math.h>

#include "vim/methods.h"
#include "vim/parse.h"
#include "vim_values.h"

/* ---- helpers ------------------------------------------------------------------------------------------ */

static struct vim_fault *parse_bytes(const char *body, size_t length, struct vim_request *ret)
{
    struct vim_request untouched = {.version = 77};
    *ret = untouched;
    struct vim_fault *fault =
        json_parse_request(body, length, "6.7", "VirtualMachine", "vm-1", "ReconfigVM_Task", ret);
    if (fault != NULL) {
        g_assert_cmpmem(ret, sizeof(*ret), &untouched, sizeof(untouched));
    }
    return fault;
}

static struct vim_fault *parse(const char *body, struct vim_request *ret)
{
    return parse_bytes(body, strlen(body), ret);
}

/* With single quotes for double ones. */
static char *quoted(const char *text)
{
    return g_strdelimit(g_strdup(text), "'", '"');
}

static void refused(const char *spec, const char *type, const char *property)
{
    struct vim_request request;
    g_autofree char *plain = g_strdup_printf("{'spec': {%s}}", spec);
    g_autofree char *body = quoted(plain);
    assert_refused(parse(body, &request), type, property);
}

static void accepted(const char *spec, struct vim_request *ret)
{
    g_autofree char *plain = g_strdup_printf("{'spec': {%s}}", spec);
    g_autofree char *body = quoted(plain);
    assert_accepted(parse(body, ret));
}

static const struct VirtualMachineConfigSpec *spec_of(const struct vim_request *request)
{
    return ((const struct ReconfigVM_Task_args *)request->args)->spec;
}

/* An OptionValue with this value, written for a client of the version and read again. */
static struct OptionValue *round_trip(const struct vim_any *any, vim_version version)
{
    const struct vim_field *key = vim_field_by_name(&OptionValue_type, "key", NULL);
    const struct vim_field *value = vim_field_by_name(&OptionValue_type, "value", NULL);
    const char *name = "k";
    void *again = NULL;
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_json_writer, .out = &out, .version = version};

    buffer_append_char(&out, '{');
    vim_write_member(&w, key, &name);
    vim_write_any(&w, value, any->type, any->array, any->value);
    buffer_append_char(&out, '}');
    struct vim_fault *fault = json_read_object(out.data, out.length, &OptionValue_type, &again);
    if (fault != NULL) {
        g_error("%s: %s\n%s", any->type->name, fault->message, buffer_string(&out));
    }
    return again;
}

static void assert_written(const struct vim_type *type, const void *at, const char *expected)
{
    const struct vim_field field = {.name = "a", .type = type};
    g_autofree char *whole = g_strconcat("{\"a\":", expected, NULL);
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_json_writer, .out = &out, .version = vim_newest_version};

    buffer_append_char(&out, '{');
    vim_write_member(&w, &field, at);
    g_assert_cmpstr(buffer_string(&out), ==, whole);
}

static const struct vim_type *type_for_client(const struct vim_type *type, vim_version version)
{
    while (type->since > version && type->base != NULL) {
        type = type->base;
    }
    return type;
}

/* ---- there and back ----------------------------------------------------------------------------------- */

/* As objects are kept in files. */
static void test_every_type(void)
{
    struct samples s = samples_new(12);

    for (size_t i = 0; i < vim_n_types; i++) {
        for (unsigned n = 0; vim_types[i]->kind == VIM_DATA && n < 3; n++) {
            BUFFER_AUTO(out);
            void *again = NULL;
            void *object = sample_object_of(&s, vim_types[i], 3);
            json_write_object(&out, object);
            struct vim_fault *fault = json_read_object(out.data, out.length, vim_types[i], &again);
            if (fault != NULL) {
                g_error("%s: %s\n%s", vim_types[i]->name, fault->message, buffer_string(&out));
            }
            assert_equal(object, again);
            vim_free(object);
            vim_free(again);
        }
    }
    samples_free(&s);
}

/* The type of an object in a place that declares its base comes from the text. */
static void test_read_object_types(void)
{
    const char text[] = "{\"_typeName\":\"VirtualDisk\",\"key\":1,\"capacityInKB\":2}";
    void *disk = NULL;

    assert_accepted(json_read_object(text, strlen(text), &VirtualDevice_type, &disk));
    g_assert_true(vim_is_a(disk, &VirtualDisk_type));
    vim_free(disk);
    disk = NULL;
    assert_refused(json_read_object(text, strlen(text), &VirtualController_type, &disk), "InvalidType",
                   "VirtualController");
    g_assert_null(disk);
    assert_refused(json_read_object("{}", 2, &VirtualDevice_type, &disk), "InvalidArgument", "key");
    g_assert_null(disk);
}

static void test_every_version(void)
{
    struct samples s = samples_new(13);

    for (s.version = 0; s.version < vim_newest_version; s.version++) {
        for (size_t i = 0; i < vim_n_types; i++) {
            const struct vim_type *shown = type_for_client(vim_types[i], s.version);
            if (vim_types[i]->kind != VIM_DATA || shown->since > s.version) {
                continue;
            }
            /* as the whole body, which has no name */
            const struct vim_field field = {.name = "returnval", .type = vim_types[i]};
            void *object = sample_object_of(&s, vim_types[i], 3);
            BUFFER_AUTO(out);
            struct vim_writer w = {.ops = &vim_json_writer, .out = &out, .version = s.version};
            struct vim_request request;
            vim_write_member(&w, &field, &object);
            g_autofree char *body = g_strdup_printf(
                "{\"spec\":{\"extraConfig\":[{\"key\":\"k\",\"value\":%s}]}}", buffer_string(&out));
            struct vim_fault *fault =
                json_parse_request(body, strlen(body), vim_versions[s.version].name, "VirtualMachine", "vm-1",
                                   "ReconfigVM_Task", &request);
            if (fault != NULL) {
                g_error("%s: %s\n%s", vim_types[i]->name, fault->message, body);
            }
            const struct vim_any *again = spec_of(&request)->extraConfig.items[0]->value;
            g_assert_true(again->type == shown);
            assert_known_object(*(void **)again->value, s.version);
            vim_request_clear(&request);
            vim_free(object);
        }
    }
    samples_free(&s);
}

static void test_every_any(void)
{
    struct samples s = samples_new(14);
    struct vim_field field = {.type = &vim_type_any};

    for (unsigned n = 0; n < 3000; n++) {
        struct vim_any *any = sample_any(&s, 2);
        struct OptionValue *again = round_trip(any, vim_newest_version);
        g_assert_true(vim_field_equal(&field, &any, &again->value));
        vim_any_free(any);
        vim_free(again);
    }
    samples_free(&s);
}

static void test_any_of_old_client(void)
{
    struct samples s = samples_new(15);

    for (unsigned n = 0; n < 3000; n++) {
        s.version = vim_newest_version;
        struct vim_any *any = sample_any(&s, 2);
        if (any->type->kind != VIM_DATA) { /* their required members may be newer enum values */
            struct OptionValue *again = round_trip(any, 0);
            bool known = type_for_client(any->type, 0)->since == 0;
            if (again->value != NULL) {
                assert_known_value(&vim_type_any, 0, &again->value);
            }
            g_assert_true(known || again->value == NULL);
            vim_free(again);
        }
        vim_any_free(any);
    }
    samples_free(&s);
}

static void test_array_of_newer_type(void)
{
    struct samples s = samples_new(16);
    const struct vim_type *newer = vim_type_by_name("VirtualAHCIController");
    struct vim_array array = {0};

    s.version = 0;
    sample_array(&s, newer, 1, 2, &array);
    struct vim_any *any = vim_any_new(newer, true, &array);
    struct OptionValue *again = round_trip(any, 0);
    g_assert_cmpstr(again->value->type->name, ==, type_for_client(newer, 0)->name);
    g_assert_cmpuint(((struct vim_array *)again->value->value)->n, ==, 2);
    assert_known_value(&vim_type_any, 0, &again->value);
    vim_free(again);
    vim_any_free(any);
    vim_field_clear(&(struct vim_field){.type = newer, .flags = VIM_ARRAY}, &array);
    samples_free(&s);
}

/* ---- how values are spelled --------------------------------------------------------------------------- */

static void test_spelling(void)
{
    int64_t number = INT64_MIN;
    int64_t time = INT64_C(1704067199500000);
    double not_a_number = NAN;
    bool no = false;
    int state = VirtualMachinePowerState_suspended;
    struct vim_ref ref = {&Folder_type, (char *)"a\"b"};
    GBytes *bytes = g_bytes_new_static("\0\1", 2);

    assert_written(&vim_type_long, &number, "-9223372036854775808");
    assert_written(&vim_type_dateTime, &time, "\"2023-12-31T23:59:59.500000Z\"");
    assert_written(&vim_type_double, &not_a_number, "0");
    assert_written(&vim_type_boolean, &no, "false");
    assert_written(&VirtualMachinePowerState_type, &state, "\"suspended\"");
    assert_written(&Folder_type, &ref,
                   "{\"_typeName\":\"ManagedObjectReference\",\"type\":\"Folder\",\"value\":\"a\\\"b\"}");
    assert_written(&vim_type_binary, &bytes, "\"AAE=\"");
    g_bytes_unref(bytes);
}

static void test_escapes(void)
{
    static const char *const texts[][2] = {
        {"", "\"\""},
        {"a\"b\\c/", "\"a\\\"b\\\\c/\""},
        {"\x01\n\x1f\x7f", "\"\\u0001\\u000a\\u001f\x7f\""},
        {"\xe5\xa4\xa9\xf0\x9f\x8c\x8c", "\"\xe5\xa4\xa9\xf0\x9f\x8c\x8c\""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        BUFFER_AUTO(out);
        json_write_string(&out, texts[i][0]);
        g_assert_cmpstr(buffer_string(&out), ==, texts[i][1]);
    }
}

/* Every character but NUL comes back, those that XML lacks too. */
static void test_characters(void)
{
    struct OptionValue *option = OptionValue_new();
    GString *text = g_string_new(NULL);
    void *again = NULL;
    BUFFER_AUTO(out);

    for (gunichar c = 1; c <= 0x10ffff; c += c < 0x3000 ? 1 : 97) {
        if (g_unichar_validate(c)) {
            g_string_append_unichar(text, c);
        }
    }
    option->key = g_string_free(text, FALSE);
    option->value = vim_any_int(1);
    json_write_object(&out, option);
    assert_accepted(json_read_object(out.data, out.length, &OptionValue_type, &again));
    g_assert_true(vim_equal(option, again));
    vim_free(option);
    vim_free(again);
}

/* A method's result is the whole body; none is an empty one. */
static void test_results(void)
{
    const struct vim_method *method = vim_method_by_name("ReconfigVM_Task");
    struct ReconfigVM_Task_result result = {.returnval = {&Task_type, (char *)"t"}};
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_json_writer, .out = &out, .version = vim_newest_version};

    json_write_result(&w, method, &result);
    g_assert_cmpstr(buffer_string(&out), ==,
                    "{\"_typeName\":\"ManagedObjectReference\",\"type\":\"Task\",\"value\":\"t\"}");
    buffer_truncate(&out, 0);
    json_write_result(&w, vim_method_by_name("Logout"), NULL);
    g_assert_cmpuint(out.length, ==, 0);
}

static void test_fault_answer(void)
{
    VIM_FAULT_AUTO fault = fault_invalid_argument("a\"b", "%s", "wrong \\");
    BUFFER_AUTO(out);

    json_write_fault(&out, fault, vim_newest_version);
    g_assert_cmpstr(buffer_string(&out), ==,
                    "{\"_typeName\":\"InvalidArgument\",\"invalidProperty\":\"a\\\"b\","
                    "\"message\":\"wrong \\\\\"}");
}

/* An answer that is written piece by piece has its commas where they belong. */
static void test_pieces(void)
{
    const struct vim_field list = {.name = "list", .type = &OptionValue_type, .flags = VIM_ARRAY};
    const struct vim_field one = {.name = "one", .type = &OptionValue_type};
    const struct vim_field *key = vim_field_by_name(&OptionValue_type, "key", NULL);
    const char *name = "[,{";
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_json_writer, .out = &out, .version = vim_newest_version};

    buffer_append_char(&out, '{');
    vim_write_begin_array(&w, &list);
    for (unsigned i = 0; i < 2; i++) {
        vim_write_begin(&w, &list, &OptionValue_type);
        vim_write_member(&w, key, &name);
        vim_write_end(&w, &list);
    }
    vim_write_end_array(&w, &list);
    vim_write_begin(&w, &one, &OptionValue_type);
    vim_write_end(&w, &one);
    buffer_append_char(&out, '}');
    g_assert_cmpstr(
        buffer_string(&out), ==,
        "{\"list\":[{\"_typeName\":\"OptionValue\",\"key\":\"[,{\"},"
        "{\"_typeName\":\"OptionValue\",\"key\":\"[,{\"}],\"one\":{\"_typeName\":\"OptionValue\"}}");
}

/* ---- the request -------------------------------------------------------------------------------------- */

static void test_request(void)
{
    struct vim_request request;

    accepted("'name': 'a', 'numCPUs': 2, 'memoryMB': null, 'nestedHVEnabled': true, 'flags': {}, "
             "'createDate': '2024-02-29T12:00:00Z', 'deviceChange': []",
             &request);
    g_assert_cmpstr(request.method->name, ==, "ReconfigVM_Task");
    g_assert_cmpstr(request.target.id, ==, "vm-1");
    g_assert_true(request.target.type == &VirtualMachine_type);
    g_assert_cmpstr(vim_versions[request.version].name, ==, "6.7");
    g_assert_cmpstr(spec_of(&request)->name, ==, "a");
    g_assert_cmpint(spec_of(&request)->numCPUs.value, ==, 2);
    g_assert_false(spec_of(&request)->memoryMB.set);
    g_assert_true(spec_of(&request)->nestedHVEnabled.set && spec_of(&request)->nestedHVEnabled.value);
    g_assert_nonnull(spec_of(&request)->flags);
    g_assert_cmpint(spec_of(&request)->createDate, ==, INT64_C(1709208000000000));
    vim_request_clear(&request);
}

/* An empty body is no parameters. */
static void test_empty(void)
{
    struct vim_request request;

    assert_accepted(json_parse_request("", 0, "6.7", "VirtualMachine", "vm-1", "ResetVM_Task", &request));
    g_assert_nonnull(request.args);
    vim_request_clear(&request);
    assert_refused(parse("", &request), "InvalidArgument", "spec");
}

static void test_wrong_paths(void)
{
    struct vim_request request;

    assert_refused(json_parse_request("", 0, "6.7", "Nothing", "a", "ResetVM_Task", &request), "InvalidType",
                   "Nothing");
    assert_refused(json_parse_request("", 0, "6.7", "OptionValue", "a", "ResetVM_Task", &request),
                   "InvalidType", "OptionValue");
    assert_refused(json_parse_request("", 0, "6.7", "VirtualMachine", "", "ResetVM_Task", &request),
                   "InvalidRequest", "");
    assert_refused(json_parse_request("", 0, "6.7", "VirtualMachine", "a", "Fly", &request), "MethodNotFound",
                   "Fly");
}

static void test_wrong_json(void)
{
    static const char *const bodies[] = {
        " ",
        "{",
        "[]",
        "7",
        "null",
        "\"spec\"",
        "{\"spec\": {}",
        "{\"spec\": {}} x",
        "{\"spec\": {}}{}",
        "{\"spec\": {},}",
        "{\"spec\": {\"name\": \"\xff\"}}",
        "{\"spec\": {\"name\": \"\xed\xa0\x80\"}}", /* half of a pair in UTF-8 */
        "{\"spec\": {\"name\": \"\xc0\x80\"}}",     /* a longer spelling than needed */
    };
    static const char with_nul[] = "{\"spec\": {}}\0{}";
    struct vim_request request;

    for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
        struct vim_fault *fault = parse(bodies[i], &request);
        if (fault == NULL) {
            g_error("accepted: %s", bodies[i]);
        }
        assert_refused(fault, "InvalidRequest", "");
    }
    assert_refused(parse_bytes(with_nul, sizeof(with_nul) - 1, &request), "InvalidRequest", "");
}

static void test_wrong_members(void)
{
    struct vim_request request;

    assert_refused(parse("{}", &request), "InvalidArgument", "spec");
    assert_refused(parse("{\"spec\": null}", &request), "InvalidArgument", "spec");
    assert_refused(parse("{\"spec\": 3}", &request), "InvalidArgument", "spec");
    assert_refused(parse("{\"spec\": []}", &request), "InvalidArgument", "spec");
    assert_refused(parse("{\"spec\": {}, \"more\": 1}", &request), "InvalidRequest", "");
    refused("'colour': 'red'", "InvalidRequest", "");
    refused("'extraConfig': [{'value': {'_typeName': 'int', '_value': 1}}]", "InvalidArgument", "key");
    refused("'extraConfig': {}", "InvalidArgument", "extraConfig");
    refused("'extraConfig': [null]", "InvalidArgument", "extraConfig");
    refused("'extraConfig': [{'key': 'a'}, 5]", "InvalidArgument", "extraConfig");
    refused("'deviceChange': [{'device': {'_typeName': 'OptionValue', 'key': 'k'}}]", "InvalidType",
            "device");
    refused("'deviceChange': [{'device': {'_typeName': 'VirtualThing'}}]", "InvalidType", "device");
    refused("'deviceChange': [{'operation': 'explode', 'device': {'key': 1}}]", "InvalidArgument",
            "operation");
}

static void test_wrong_scalars(void)
{
    static const char *const specs[][2] = {
        {"'name': 5", "name"},
        {"'name': ['a']", "name"},
        {"'name': 'a\\u0000b'", "name"}, /* it would be cut */
        {"'numCPUs': '2'", "numCPUs"},
        {"'numCPUs': 2.0", "numCPUs"},
        {"'numCPUs': 2147483648", "numCPUs"},
        {"'numCPUs': true", "numCPUs"},
        {"'memoryMB': 99999999999999999999", "memoryMB"},
        {"'memoryMB': 1e999", "memoryMB"},
        {"'nestedHVEnabled': 1", "nestedHVEnabled"},
        {"'nestedHVEnabled': 'true'", "nestedHVEnabled"},
        {"'createDate': 1700000000", "createDate"},
        {"'createDate': 'now'", "createDate"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(specs); i++) {
        struct vim_request request;
        g_autofree char *plain = g_strdup_printf("{'spec': {%s}}", specs[i][0]);
        g_autofree char *body = quoted(plain);
        struct vim_fault *fault = parse(body, &request);
        if (fault == NULL) {
            g_error("accepted: %s", body);
        }
        assert_refused(fault, "InvalidArgument", specs[i][1]);
    }
}

/* The part of a wrong value that the message shows ends with a whole character. */
static void test_long_wrong_value(void)
{
    struct vim_request request;

    for (unsigned n = 80; n < 110; n++) {
        GString *body = g_string_new("{\"spec\": {\"numCPUs\": \"");
        for (unsigned i = 0; i < n; i++) {
            g_string_append_c(body, 'a');
        }
        g_string_append(body, "\xe5\xa4\xa9\xe5\xa4\xa9\xe5\xa4\xa9\xe5\xa4\xa9\xe5\xa4\xa9\"}}");
        struct vim_fault *fault = parse(body->str, &request);
        g_assert_nonnull(fault);
        g_assert_true(g_utf8_validate(fault->message, -1, NULL));
        g_assert_cmpuint(strlen(fault->message), <, 200);
        vim_fault_free(fault);
        g_string_free(body, TRUE);
    }
}

/* ---- values of any type, references -------------------------------------------------------------------- */

static void assert_option(const char *value, const char *type, bool array)
{
    struct vim_request request;
    g_autofree char *spec = g_strdup_printf("'extraConfig': [{'key': 'k', 'value': %s}]", value);
    accepted(spec, &request);
    const struct vim_any *any = spec_of(&request)->extraConfig.items[0]->value;
    g_assert_cmpstr(any->type->name, ==, type);
    g_assert_true(any->array == array);
    vim_request_clear(&request);
}

static void refuse_option(const char *value, const char *type, const char *property)
{
    g_autofree char *spec = g_strdup_printf("'extraConfig': [{'key': 'k', 'value': %s}]", value);
    refused(spec, type, property);
}

static void test_any(void)
{
    assert_option("{'_typeName': 'int', '_value': 5}", "int", false);
    assert_option("{'_typeName': 'base64Binary', '_value': 'AAE='}", "binary", false);
    assert_option("{'_typeName': 'ManagedObjectReference', 'type': 'Folder', 'value': 'f'}", "Folder", false);
    assert_option("{'_typeName': 'VirtualDevice', 'key': 5}", "VirtualDevice", false);
    assert_option("{'_typeName': 'ArrayOfInt', '_value': [1, 2]}", "int", true);
    assert_option("{'_typeName': 'ArrayOfAnyType', '_value': []}", "any", true);
    assert_option("{'_typeName': 'ArrayOfBase64Binary', '_value': ['AAE=']}", "binary", true);
    assert_option("{'_typeName': 'ArrayOfVirtualMachine', '_value': []}", "ManagedObject", true);
    assert_option("{'_typeName': 'VirtualMachinePowerState', '_value': 'poweredOn'}",
                  "VirtualMachinePowerState", false);
    refuse_option("5", "InvalidType", "value");
    refuse_option("'text'", "InvalidType", "value");
    refuse_option("{'_value': 5}", "InvalidType", "value");
    refuse_option("{'_typeName': 5, '_value': 5}", "InvalidType", "value");
    refuse_option("{'_typeName': 'int'}", "InvalidArgument", "value");
    refuse_option("{'_typeName': 'int', '_value': null}", "InvalidArgument", "value");
    refuse_option("{'_typeName': 'int', '_value': 'x'}", "InvalidArgument", "value");
    refuse_option("{'_typeName': 'any', '_value': {'_typeName': 'int', '_value': 1}}", "InvalidType",
                  "value");
    refuse_option("{'_typeName': 'ArrayOfInt', '_value': 1}", "InvalidArgument", "value");
    refuse_option("{'_typeName': 'ArrayOfInt', '_value': [1, 'x']}", "InvalidArgument", "value");
    refuse_option("{'_typeName': 'ArrayOfVirtualDevice', '_value': [{'key': 1}, {'key': 'x'}]}",
                  "InvalidArgument", "key");
    refuse_option("{'_typeName': 'ArrayOfAnyType', '_value': [{'_typeName': 'OptionValue'}]}",
                  "InvalidArgument", "key");
    refuse_option("{'_typeName': 'ManagedObjectReference', 'value': 'f'}", "InvalidArgument", "value");
    refuse_option("{'_typeName': 'ManagedObjectReference', 'type': 'OptionValue', 'value': 'f'}",
                  "InvalidArgument", "value");
}

static void test_references(void)
{
    static const struct {
        const char *text;
        const char *type; /* NULL: refused */
    } texts[] = {
        {"{\"type\":\"Datacenter\",\"value\":\"d\"}", "Datacenter"},
        {"{\"value\":\"d\"}", "Datacenter"},
        {"{\"_typeName\":\"ManagedObjectReference\",\"type\":\"ManagedEntity\",\"value\":\"d\"}",
         "Datacenter"},
        {"{\"type\":\"Folder\",\"value\":\"d\"}", NULL},
        {"{\"type\":\"Datacenter\",\"value\":\"\"}", NULL},
        {"{\"type\":\"Datacenter\",\"value\":\"d\\u0000\"}", NULL},
        {"{\"type\":\"Datacenter\",\"value\":1}", NULL},
        {"{\"type\":\"Datacenter\"}", NULL},
        {"\"d\"", NULL},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        struct vim_request request;
        g_autofree char *body = g_strdup_printf("{\"datacenter\":%s,\"path\":\"[a] b\"}", texts[i].text);
        struct vim_fault *fault = json_parse_request(body, strlen(body), "6.7", "SearchIndex", "s",
                                                     "FindByDatastorePath", &request);
        if ((fault == NULL) != (texts[i].type != NULL)) {
            g_error("%s", body);
        }
        if (fault != NULL) {
            vim_fault_free(fault);
            continue;
        }
        const struct FindByDatastorePath_args *args = request.args;
        g_assert_cmpstr(args->datacenter.type->name, ==, texts[i].type);
        vim_request_clear(&request);
    }
}

/* ---- limits ------------------------------------------------------------------------------------------- */

static void test_depth(void)
{
    struct vim_request request;

    for (unsigned n = 1; n < 100000; n = n < 200 ? n + 1 : n * 10) {
        /* spec, then an array and an object for each list in a list */
        GString *body = g_string_new("{\"spec\":{\"extraConfig\":[{\"key\":\"k\",\"value\":");
        for (unsigned i = 0; i < n; i++) {
            g_string_append(body, "{\"_typeName\":\"ArrayOfAnyType\",\"_value\":[");
        }
        for (unsigned i = 0; i < n; i++) {
            g_string_append(body, "]}");
        }
        g_string_append(body, "}]}}");
        struct vim_fault *fault = parse(body->str, &request);
        if (4 + 2 * n <= VIM_MAX_DEPTH) {
            assert_accepted(fault);
            vim_request_clear(&request);
        } else {
            assert_refused(fault, "InvalidRequest", "");
        }
        g_string_free(body, TRUE);
    }
}

static void test_many_values(void)
{
    struct vim_request request;
    GString *body = g_string_new("{\"spec\":{\"extraConfig\":[{\"key\":\"k\",\"value\":{"
                                 "\"_typeName\":\"ArrayOfInt\",\"_value\":[1");

    for (unsigned i = 0; i < VIM_MAX_VALUES - 100; i++) {
        g_string_append(body, ",1");
    }
    g_autofree char *many = g_strconcat(body->str, "]}}]}}", NULL);
    for (unsigned i = 0; i < 100; i++) {
        g_string_append(body, ",1");
    }
    g_autofree char *more = g_strconcat(body->str, "]}}]}}", NULL);
    assert_accepted(parse(many, &request));
    vim_request_clear(&request);
    assert_refused(parse(more, &request), "InvalidRequest", "");
    /* commas in text are no values */
    g_string_truncate(body, 0);
    g_string_append(body, "{\"spec\":{\"annotation\":\"\\\"");
    for (unsigned i = 0; i < VIM_MAX_VALUES + 10; i++) {
        g_string_append(body, "[,");
    }
    g_string_append(body, "\"}}");
    assert_accepted(parse(body->str, &request));
    vim_request_clear(&request);
    g_string_free(body, TRUE);
}

/* Cutting a good request short anywhere is a fault and leaks nothing. */
static void test_cut(void)
{
    g_autofree char *body =
        quoted("{'spec':{'extraConfig':[{'key':'k','value':{'_typeName':'ArrayOfAnyType','_value':["
               "{'_typeName':'VirtualDisk','key':1,'backing':{'_typeName':'VirtualDiskFlatVer2BackingInfo',"
               "'fileName':'a','datastore':{'type':'Datastore','value':'d'},'diskMode':'b'},"
               "'capacityInKB':1}]}}]}}");
    struct vim_request request;

    assert_accepted(parse(body, &request));
    vim_request_clear(&request);
    for (size_t n = 1; n < strlen(body); n++) {
        struct vim_fault *fault = parse_bytes(body, n, &request);
        g_assert_nonnull(fault);
        vim_fault_free(fault);
    }
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/json/every-type", test_every_type);
    g_test_add_func("/json/read-object-types", test_read_object_types);
    g_test_add_func("/json/every-version", test_every_version);
    g_test_add_func("/json/every-any", test_every_any);
    g_test_add_func("/json/any-of-old-client", test_any_of_old_client);
    g_test_add_func("/json/array-of-newer-type", test_array_of_newer_type);
    g_test_add_func("/json/spelling", test_spelling);
    g_test_add_func("/json/escapes", test_escapes);
    g_test_add_func("/json/characters", test_characters);
    g_test_add_func("/json/results", test_results);
    g_test_add_func("/json/fault-answer", test_fault_answer);
    g_test_add_func("/json/pieces", test_pieces);
    g_test_add_func("/json/request", test_request);
    g_test_add_func("/json/empty", test_empty);
    g_test_add_func("/json/wrong-paths", test_wrong_paths);
    g_test_add_func("/json/wrong-json", test_wrong_json);
    g_test_add_func("/json/wrong-members", test_wrong_members);
    g_test_add_func("/json/wrong-scalars", test_wrong_scalars);
    g_test_add_func("/json/long-wrong-value", test_long_wrong_value);
    g_test_add_func("/json/any", test_any);
    g_test_add_func("/json/references", test_references);
    g_test_add_func("/json/depth", test_depth);
    g_test_add_func("/json/many-values", test_many_values);
    g_test_add_func("/json/cut", test_cut);
    return g_test_run();
}
