// SPDX-License-Identifier: Apache-2.0
/*
 * The SOAP binding: every type of the schema written and read again, for the newest and for older clients;
 * how values are spelled; and each way in which a request can be wrong, with the fault that tells it.
 */
#include "vim/soap.h"

#include <math.h>

#include "vim/methods.h"
#include "vim/parse.h"
#include "vim_values.h"

#define BEGIN                                                                                        \
    "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"                                                   \
    "<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\""                              \
    " xmlns:xsd=\"http://www.w3.org/2001/XMLSchema\""                                                \
    " xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\"><e:Header><any><of/></any></e:Header>" \
    "<e:Body>"
#define END "</e:Body></e:Envelope>"
#define RECONFIGURE(inside)                                                            \
    "<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>" \
    "<spec>" inside "</spec></ReconfigVM_Task>"
#define OPTION(value) RECONFIGURE("<extraConfig><key>k</key>" value "</extraConfig>")

/* ---- helpers ------------------------------------------------------------------------------------------ */

static struct vim_fault *parse_as(const char *body, const char *action, struct vim_request *ret)
{
    struct vim_request untouched = {.version = 77};
    *ret = untouched;
    struct vim_fault *fault = soap_parse_request(body, strlen(body), action, ret);
    if (fault != NULL) {
        g_assert_cmpmem(ret, sizeof(*ret), &untouched, sizeof(untouched));
    }
    return fault;
}

static struct vim_fault *parse(const char *content, struct vim_request *ret)
{
    g_autofree char *body = g_strconcat(BEGIN, content, END, NULL);
    return parse_as(body, "urn:vim25/6.7", ret);
}

static void refused(const char *content, const char *type, const char *property)
{
    struct vim_request request;
    assert_refused(parse(content, &request), type, property);
}

/* The first extraConfig of a request that must be right; the request is to be cleared. */
static struct vim_any *parse_option(const char *content, struct vim_request *request)
{
    assert_accepted(parse(content, request));
    const struct ReconfigVM_Task_args *args = request->args;
    g_assert_cmpuint(args->spec->extraConfig.n, ==, 1);
    return args->spec->extraConfig.items[0]->value;
}

static char *action_of(vim_version version)
{
    return g_strconcat("\"urn:vim25/", vim_versions[version].name, "\"", NULL);
}

/* Writes a value of any type as the value of an extraConfig and reads it again. */
static struct vim_any *round_trip(const struct vim_any *any, vim_version version, struct vim_request *request)
{
    const struct vim_field *field = vim_field_by_name(&OptionValue_type, "value", NULL);
    g_autofree char *action = action_of(version);
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_soap_writer, .out = &out, .version = version};

    buffer_append_literal(&out, BEGIN "<ReconfigVM_Task xmlns=\"urn:vim25\">"
                                      "<_this type=\"VirtualMachine\">vm-1</_this><spec>"
                                      "<extraConfig><key>k</key>");
    vim_write_any(&w, field, any->type, any->array, any->value);
    buffer_append_literal(&out, "</extraConfig></spec></ReconfigVM_Task>" END);
    struct vim_fault *fault = parse_as(buffer_string(&out), action, request);
    if (fault != NULL) {
        g_error("%s: %s\n%s", any->type->name, fault->message, buffer_string(&out));
    }
    const struct ReconfigVM_Task_args *args = request->args;
    return args->spec->extraConfig.items[0]->value;
}

/* What the writer makes of one value, without the element around it. */
static void assert_written(const struct vim_type *type, const void *at, const char *expected)
{
    const struct vim_field field = {.name = "a", .type = type, .open_tag = "<a>", .open_tag_length = 3};
    g_autofree char *whole = g_strconcat("<a>", expected, "</a>", NULL);
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_soap_writer, .out = &out, .version = vim_newest_version};

    vim_write_member(&w, &field, at);
    g_assert_cmpstr(buffer_string(&out), ==, whole);
}

/* ---- there and back ----------------------------------------------------------------------------------- */

static const struct vim_type *type_for_client(const struct vim_type *type, vim_version version)
{
    while (type->since > version && type->base != NULL) {
        type = type->base;
    }
    return type;
}

static void check_type(struct samples *s, const struct vim_type *type, vim_version version)
{
    const struct vim_type *shown = type_for_client(type, version);
    struct vim_request request;
    if (shown->since > version) {
        return; /* nothing of it exists for such a client */
    }
    struct vim_any *any = vim_any_object(sample_object_of(s, type, 3));
    struct vim_any *again = round_trip(any, version, &request);
    g_assert_true(again->type == shown);
    if (version == vim_newest_version) {
        assert_equal(*(void **)any->value, *(void **)again->value);
    } else {
        assert_known_object(*(void **)again->value, version);
    }
    vim_any_free(any);
    vim_request_clear(&request);
}

static void test_every_type(void)
{
    struct samples s = samples_new(2);

    for (size_t i = 0; i < vim_n_types; i++) {
        for (unsigned n = 0; vim_types[i]->kind == VIM_DATA && n < 3; n++) {
            check_type(&s, vim_types[i], vim_newest_version);
        }
    }
    samples_free(&s);
}

static void test_every_version(void)
{
    struct samples s = samples_new(3);

    for (s.version = 0; s.version < vim_newest_version; s.version++) {
        for (size_t i = 0; i < vim_n_types; i++) {
            if (vim_types[i]->kind == VIM_DATA) {
                check_type(&s, vim_types[i], s.version);
            }
        }
    }
    samples_free(&s);
}

static void test_every_any(void)
{
    struct samples s = samples_new(4);
    struct vim_field field = {.type = &vim_type_any};

    for (unsigned n = 0; n < 3000; n++) {
        struct vim_request request;
        struct vim_any *any = sample_any(&s, 2);
        struct vim_any *again = round_trip(any, vim_newest_version, &request);
        g_assert_true(vim_field_equal(&field, &any, &again));
        vim_any_free(any);
        vim_request_clear(&request);
    }
    samples_free(&s);
}

/* An ArrayOf, an enum and a type that a client does not know. */
static void test_any_of_old_client(void)
{
    struct samples s = samples_new(5);

    for (unsigned n = 0; n < 2000; n++) {
        struct vim_request request;
        s.version = vim_newest_version;
        struct vim_any *any = sample_any(&s, 2);
        bool exists = type_for_client(any->type, 0)->since == 0;
        bool dropped = any->type->kind == VIM_ENUM && !any->array && any->type->since == 0 &&
                       any->type->values_since[*(int *)any->value] > 0;
        if (exists && !dropped && any->type->kind != VIM_DATA) {
            struct vim_any *again = round_trip(any, 0, &request);
            assert_known_value(&vim_type_any, 0, &again);
            vim_request_clear(&request);
        }
        vim_any_free(any);
    }
    samples_free(&s);
}

static void test_array_of_newer_type(void)
{
    struct samples s = samples_new(6);
    const struct vim_type *newer = vim_type_by_name("VirtualAHCIController");
    struct vim_any *any = g_new0(struct vim_any, 1);
    struct vim_request request;

    any->type = newer;
    any->array = true;
    any->value = g_new0(struct vim_array, 1);
    s.version = 0;
    sample_array(&s, newer, 1, 2, any->value);
    struct vim_any *again = round_trip(any, 0, &request);
    g_assert_cmpstr(again->type->name, ==, type_for_client(newer, 0)->name);
    g_assert_true(again->array);
    g_assert_cmpuint(((struct vim_array *)again->value)->n, ==, 2);
    assert_known_value(&vim_type_any, 0, &again);
    vim_any_free(any);
    vim_request_clear(&request);
    samples_free(&s);
}

/* ---- how values are spelled --------------------------------------------------------------------------- */

static void test_numbers(void)
{
    static const struct {
        int64_t number;
        const char *text;
    } integers[] = {{0, "0"},
                    {7, "7"},
                    {-10, "-10"},
                    {INT64_MAX, "9223372036854775807"},
                    {INT64_MIN, "-9223372036854775808"}};
    static const struct {
        double number;
        const char *text;
    } reals[] = {{0.5, "0.5"}, {-3, "-3"}, {1e300, "1.0000000000000001e+300"}, {INFINITY, "0"}, {NAN, "0"}};
    float single = 0.1F;
    bool yes = true;

    for (size_t i = 0; i < G_N_ELEMENTS(integers); i++) {
        assert_written(&vim_type_long, &integers[i].number, integers[i].text);
    }
    for (size_t i = 0; i < G_N_ELEMENTS(reals); i++) {
        assert_written(&vim_type_double, &reals[i].number, reals[i].text);
    }
    assert_written(&vim_type_float, &single, "0.100000001");
    assert_written(&vim_type_boolean, &yes, "true");
}

static void test_escapes(void)
{
    static const char *const texts[][2] = {
        {"a&b<c>d\"e'", "a&amp;b&lt;c&gt;d&quot;e'"},
        {"\t\n\r", "\t\n&#13;"},
        {"\x01|\x1f|\x7f", "\xef\xbf\xbd|\xef\xbf\xbd|\x7f"},
        {"\xef\xbf\xbd\xef\xbe\xbe\xef\xbf\xbc", "\xef\xbf\xbd\xef\xbe\xbe\xef\xbf\xbc"},
        {"\xef\xbf\xbe|\xef\xbf\xbf", "\xef\xbf\xbd|\xef\xbf\xbd"}, /* no characters of XML 1.0 either */
        {"", ""},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        assert_written(&vim_type_string, &texts[i][0], texts[i][1]);
    }
}

static void test_date_times(void)
{
    static const struct {
        int64_t time_us;
        const char *text;
    } times[] = {
        {1, "1970-01-01T00:00:00.000001Z"},
        {-1, "1969-12-31T23:59:59.999999Z"},
        {INT64_C(951782400000000), "2000-02-29T00:00:00.000000Z"},
        {INT64_C(4107542400000000), "2100-03-01T00:00:00.000000Z"},
        {INT64_C(1704067199500000), "2023-12-31T23:59:59.500000Z"},
        {INT64_C(-62135596800000000), "0001-01-01T00:00:00.000000Z"},
        {INT64_C(253402300799999999), "9999-12-31T23:59:59.999999Z"},
        {INT64_C(-2203891200000000), "1900-03-01T00:00:00.000000Z"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        int64_t again = 0;
        assert_written(&vim_type_dateTime, &times[i].time_us, times[i].text);
        g_assert_true(vim_parse_text(&vim_type_dateTime, times[i].text, &again));
        g_assert_cmpint(again, ==, times[i].time_us);
    }
}

/* Every day of 800 years and many microseconds come back as they were. */
static void test_date_times_round_trip(void)
{
    BUFFER_AUTO(out);

    for (int64_t day = -250000; day < 292000; day += 7) {
        int64_t us = (day * 7919 % 1000000 + 1000000) % 1000000;
        int64_t time = day * INT64_C(86400000000) + (day % 2 != 0 ? INT64_C(86399000000) : 0) + us;
        int64_t again = 0;
        buffer_truncate(&out, 0);
        vim_write_date_time(&out, time);
        g_assert_true(vim_parse_text(&vim_type_dateTime, buffer_string(&out), &again));
        g_assert_cmpint(again, ==, time);
    }
}

static void test_read_date_times(void)
{
    static const struct {
        const char *text;
        int64_t time_us; /* 0: refused */
    } times[] = {
        {"2024-02-29T12:00:00Z", INT64_C(1709208000000000)},
        {"2024-02-29T14:00:00+02:00", INT64_C(1709208000000000)},
        {"2024-02-29T04:30:00.25-07:30", INT64_C(1709208000250000)},
        {"2024-02-29T12:00:00", INT64_C(1709208000000000)}, /* without a zone: UTC */
        {"1970-01-01T00:00:00Z", 1},                        /* not the 0 of an unset one */
        {"2023-02-29T12:00:00Z", 0},
        {"2024-13-01T00:00:00Z", 0},
        {"2024-01-01T25:00:00Z", 0},
        {"yesterday", 0},
        {"", 0},
        /* outside the years that can be written */
        {"9999-12-31T23:59:59-01:00", 0},
        {"0001-01-01T00:00:00+01:00", 0},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(times); i++) {
        int64_t time = 5;
        bool read = vim_parse_text(&vim_type_dateTime, times[i].text, &time);
        if (read != (times[i].time_us != 0) || time != (read ? times[i].time_us : 5)) {
            g_error("%s was read as %" G_GINT64_FORMAT, times[i].text, time);
        }
    }
}

/* Members that are unset are not there; a required string is. */
static void test_unset(void)
{
    const struct vim_field optional = {.name = "a",
                                       .type = &vim_type_string,
                                       .open_tag = "<a>",
                                       .open_tag_length = 3,
                                       .flags = VIM_OPTIONAL};
    const char *nothing = NULL;
    BUFFER_AUTO(out);
    struct vim_writer w = {.ops = &vim_soap_writer, .out = &out, .version = vim_newest_version};

    assert_written(&vim_type_string, &nothing, "");
    vim_write_member(&w, &optional, &nothing);
    g_assert_cmpuint(out.length, ==, 0);
}

/* ---- xsi:type ----------------------------------------------------------------------------------------- */

static void assert_device(const char *attributes, const char *type)
{
    struct vim_request request;
    g_autofree char *content =
        g_strdup_printf(RECONFIGURE("<deviceChange><operation>add</operation><device %s><key>-1</key>"
                                    "</device></deviceChange>"),
                        attributes);
    assert_accepted(parse(content, &request));
    const struct ReconfigVM_Task_args *args = request.args;
    g_assert_cmpstr(args->spec->deviceChange.items[0]->device->vim_type->name, ==, type);
    vim_request_clear(&request);
}

static void test_read_types(void)
{
    assert_device("", "VirtualDevice");
    assert_device("xsi:type=\"VirtualCdrom\"", "VirtualCdrom");
    assert_device("xmlns:v=\"urn:vim25\" xsi:type=\"v:VirtualCdrom\"", "VirtualCdrom");
    assert_device("xsi:type=\"VirtualDevice\"", "VirtualDevice");
    refused(RECONFIGURE("<deviceChange><device xsi:type=\"OptionValue\"/></deviceChange>"), "InvalidType",
            "device");
    refused(RECONFIGURE("<deviceChange><device xsi:type=\"VirtualThing\"/></deviceChange>"), "InvalidType",
            "device");
    refused(RECONFIGURE("<deviceChange xsi:type=\"DynamicData\"/>"), "InvalidType", "deviceChange");
}

static void assert_option(const char *value, const char *type, bool array)
{
    struct vim_request request;
    g_autofree char *content = g_strdup_printf(OPTION("%s"), value);
    struct vim_any *any = parse_option(content, &request);
    g_assert_cmpstr(any->type->name, ==, type);
    g_assert_true(any->array == array);
    vim_request_clear(&request);
}

static void test_read_any(void)
{
    assert_option("<value xsi:type=\"xsd:int\"> 5 </value>", "int", false);
    assert_option("<value xsi:type=\"int\">5</value>", "int", false);
    assert_option("<value xsi:type=\"xsd:base64Binary\">AAE=</value>", "binary", false);
    assert_option("<value xsi:type=\"VirtualMachinePowerState\">poweredOn</value>",
                  "VirtualMachinePowerState", false);
    assert_option("<value xsi:type=\"ManagedObjectReference\" type=\"Datastore\">d</value>", "Datastore",
                  false);
    assert_option("<value xsi:type=\"OptionValue\"><key>a</key><value xsi:type=\"xsd:string\"/></value>",
                  "OptionValue", false);
    assert_option("<value xsi:type=\"ArrayOfInt\"><int>1</int><int>2</int></value>", "int", true);
    assert_option("<value xsi:type=\"ArrayOfString\"/>", "string", true);
    assert_option("<value xsi:type=\"ArrayOfAnyType\"><anyType xsi:type=\"xsd:int\">1</anyType></value>",
                  "any", true);
    assert_option("<value xsi:type=\"ArrayOfManagedObjectReference\"><ManagedObjectReference "
                  "type=\"Folder\">f</ManagedObjectReference></value>",
                  "ManagedObject", true);
    assert_option("<value xsi:type=\"ArrayOfVirtualMachine\"/>", "ManagedObject", true);
    assert_option("<value xsi:type=\"ArrayOfBase64Binary\"><base64Binary>AAE=</base64Binary></value>",
                  "binary", true);
    assert_option("<value xsi:type=\"ArrayOfVirtualDevice\"><VirtualDevice xsi:type=\"VirtualCdrom\">"
                  "<key>1</key></VirtualDevice></value>",
                  "VirtualDevice", true);
}

static void test_bad_any(void)
{
    refused(OPTION("<value>5</value>"), "InvalidType", "value");
    refused(OPTION("<value xsi:type=\"xsd:integer\">5</value>"), "InvalidType", "value");
    refused(OPTION("<value xsi:type=\"ArrayOf\"/>"), "InvalidType", "value");
    refused(OPTION("<value xsi:type=\"ArrayOfThing\"/>"), "InvalidType", "value");
    /* "any" names no type of a value */
    refused(OPTION("<value xsi:type=\"any\">5</value>"), "InvalidType", "value");
    refused(OPTION("<value xsi:type=\"xsd:anyType\">5</value>"), "InvalidType", "value");
    refused(OPTION("<value xsi:type=\"ArrayOfAnyType\"><anyType>1</anyType></value>"), "InvalidType",
            "value");
    refused(OPTION("<value xsi:type=\"xsd:int\">five</value>"), "InvalidArgument", "value");
    refused(OPTION("<value xsi:type=\"ManagedObjectReference\" type=\"OptionValue\">d</value>"),
            "InvalidType", "OptionValue");
    refused(OPTION("<value xsi:type=\"ManagedObjectReference\" type=\"Datastore\"/>"), "InvalidRequest", "");
}

/* ---- references --------------------------------------------------------------------------------------- */

static void assert_container(const char *attributes, const char *type)
{
    struct vim_request request;
    g_autofree char *content =
        g_strdup_printf("<FindByDatastorePath xmlns=\"urn:vim25\"><_this type=\"SearchIndex\">s</_this>"
                        "<datacenter %s>dc &amp; 1</datacenter><path>[a] b</path></FindByDatastorePath>",
                        attributes);
    struct vim_fault *fault = parse(content, &request);
    if (type == NULL) {
        assert_refused(fault, "InvalidType", "Folder");
        return;
    }
    assert_accepted(fault);
    const struct FindByDatastorePath_args *args = request.args;
    g_assert_cmpstr(args->datacenter.type->name, ==, type);
    g_assert_cmpstr(args->datacenter.id, ==, "dc & 1");
    vim_request_clear(&request);
}

/* A reference never holds less than what its place promises: who follows it relies on that. */
static void test_reference_types(void)
{
    assert_container("type=\"Datacenter\"", "Datacenter");
    assert_container("", "Datacenter");
    assert_container("type=\"ManagedEntity\"", "Datacenter");
    assert_container("type=\"Folder\"", NULL);
    refused("<FindByDatastorePath xmlns=\"urn:vim25\"><_this type=\"SearchIndex\">s</_this>"
            "<datacenter type=\"OptionValue\">d</datacenter></FindByDatastorePath>",
            "InvalidType", "OptionValue");
    refused("<FindByDatastorePath xmlns=\"urn:vim25\"><_this type=\"SearchIndex\">s</_this>"
            "<datacenter type=\"Datacenter\"></datacenter></FindByDatastorePath>",
            "InvalidRequest", "");
}

/* ---- the request -------------------------------------------------------------------------------------- */

static void test_request(void)
{
    struct vim_request request;

    assert_accepted(parse(RECONFIGURE("<name>a &lt; b</name><numCPUs>\n 2 </numCPUs><annotation> x "
                                      "</annotation><flags/>"),
                          &request));
    const struct ReconfigVM_Task_args *args = request.args;
    g_assert_cmpstr(request.method->name, ==, "ReconfigVM_Task");
    g_assert_cmpstr(request.target.id, ==, "vm-1");
    g_assert_cmpstr(request.target.type->name, ==, "VirtualMachine");
    g_assert_cmpstr(args->spec->name, ==, "a < b");
    g_assert_true(args->spec->numCPUs.set);
    g_assert_cmpint(args->spec->numCPUs.value, ==, 2);
    g_assert_cmpstr(args->spec->annotation, ==, " x "); /* space belongs to text */
    g_assert_nonnull(args->spec->flags);
    g_assert_false(args->spec->memoryMB.set);
    vim_request_clear(&request);
}

/* Comments, CDATA, character references and other encodings are the parser's business. */
static void test_xml(void)
{
    struct vim_request request;
    const char *latin = "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?>"
                        "<Envelope xmlns=\"http://schemas.xmlsoap.org/soap/envelope/\"><Body>" RECONFIGURE(
                            "<name>\xe9</name>") "</Body></Envelope>";

    assert_accepted(parse(RECONFIGURE("<name>a<!-- x --><![CDATA[<b>]]>&#x5929;</name>"), &request));
    g_assert_cmpstr(((struct ReconfigVM_Task_args *)request.args)->spec->name, ==, "a<b>\xe5\xa4\xa9");
    vim_request_clear(&request);
    assert_accepted(parse_as(latin, NULL, &request));
    g_assert_cmpstr(((struct ReconfigVM_Task_args *)request.args)->spec->name, ==, "\xc3\xa9");
    vim_request_clear(&request);
}

static void test_nil(void)
{
    struct vim_request request;

    assert_accepted(parse(RECONFIGURE("<name xsi:nil=\"true\"/><numCPUs xsi:nil=\"1\"/>"), &request));
    g_assert_null(((struct ReconfigVM_Task_args *)request.args)->spec->name);
    vim_request_clear(&request);
    /* not a way around what is required */
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>"
            "<spec xsi:nil=\"true\"/></ReconfigVM_Task>",
            "InvalidArgument", "spec");
}

static void test_versions(void)
{
    static const struct {
        const char *action;
        const char *version;
    } actions[] = {
        {"urn:vim25/6.5", "6.5"},
        {"\"urn:vim25/6.5\"", "6.5"},
        {"urn:vim25/6.7.3", "6.7"},
        {"urn:vim25/8.0.1.0", "6.7"},
        {"urn:vim25/5.3", "5.1"},
        {"urn:vim25/1.0", "2.5"},
        {"urn:vim25", "2.5"},
        {"urn:vim25/x", "2.5"},
        {"", "2.5"},
        {NULL, "2.5"},
    };

    for (size_t i = 0; i < G_N_ELEMENTS(actions); i++) {
        struct vim_request request;
        assert_accepted(parse_as(BEGIN RECONFIGURE("") END, actions[i].action, &request));
        g_assert_cmpstr(vim_versions[request.version].name, ==, actions[i].version);
        vim_request_clear(&request);
    }
}

/* ---- wrong requests ----------------------------------------------------------------------------------- */

static void test_wrong_envelopes(void)
{
    static const char *const bodies[] = {
        "",
        "x",
        "<a/>",
        "<Envelope/>",
        "<Envelope xmlns=\"http://www.w3.org/2003/05/soap-envelope\"/>", /* SOAP 1.2 */
        BEGIN END,
        BEGIN RECONFIGURE("") "</e:Body>",
        BEGIN RECONFIGURE("<name>\xff</name>") END,
        BEGIN RECONFIGURE("<name>&nothing;</name>") END,
        BEGIN RECONFIGURE("<name>&#1;</name>") END,
        BEGIN RECONFIGURE("") END "<more/>",
        "<!DOCTYPE e [<!ENTITY a \"aaaaaaaaaa\">]>"
        "<e/>",
        "<!DOCTYPE Envelope SYSTEM \"file:///etc/passwd\"><Envelope/>",
        BEGIN RECONFIGURE("") RECONFIGURE("") END,
    };

    for (size_t i = 0; i < G_N_ELEMENTS(bodies); i++) {
        struct vim_request request;
        assert_refused(parse_as(bodies[i], "urn:vim25/6.7", &request), "InvalidRequest", "");
    }
}

static void test_wrong_methods(void)
{
    refused("<Fly xmlns=\"urn:vim25\"/>", "MethodNotFound", "Fly");
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><spec/></ReconfigVM_Task>", "InvalidRequest", "");
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">a</_this>"
            "<_this type=\"VirtualMachine\">b</_this><spec/></ReconfigVM_Task>",
            "InvalidRequest", "");
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"Nothing\">a</_this><spec/></ReconfigVM_Task>",
            "InvalidType", "Nothing");
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\"/><spec/></ReconfigVM_Task>",
            "InvalidRequest", "");
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\"><a/></_this><spec/>"
            "</ReconfigVM_Task>",
            "InvalidRequest", "");
    /* _this belongs to the method alone */
    refused(RECONFIGURE("<_this type=\"VirtualMachine\">a</_this>"), "InvalidRequest", "");
}

static void test_wrong_members(void)
{
    refused("<ReconfigVM_Task xmlns=\"urn:vim25\"><_this type=\"VirtualMachine\">vm-1</_this>"
            "</ReconfigVM_Task>",
            "InvalidArgument", "spec");
    refused(RECONFIGURE("<colour>red</colour>"), "InvalidRequest", "");
    refused(RECONFIGURE("<name>a</name><name>b</name>"), "InvalidArgument", "name");
    refused(RECONFIGURE("<name>a<b/></name>"), "InvalidRequest", "");
    refused(RECONFIGURE("<extraConfig><value xsi:type=\"xsd:int\">1</value></extraConfig>"),
            "InvalidArgument", "key");
    refused(RECONFIGURE("<deviceChange><operation>explode</operation><device><key>1</key></device>"
                        "</deviceChange>"),
            "InvalidArgument", "operation");
    refused(RECONFIGURE("<numCPUs></numCPUs>"), "InvalidArgument", "numCPUs");
    refused(RECONFIGURE("<createDate>now</createDate>"), "InvalidArgument", "createDate");
}

static void test_wrong_scalars(void)
{
    static const struct {
        const struct vim_type *type;
        const char *text;
        bool right;
    } texts[] = {
        {&vim_type_boolean, "true", true},
        {&vim_type_boolean, "0", true},
        {&vim_type_boolean, "TRUE", false},
        {&vim_type_boolean, "2", false},
        {&vim_type_byte, "-128", true},
        {&vim_type_byte, "128", false},
        {&vim_type_short, "32767", true},
        {&vim_type_short, "32768", false},
        {&vim_type_int, "+5", true},
        {&vim_type_int, "-2147483648", true},
        {&vim_type_int, "2147483648", false},
        {&vim_type_int, "0x10", false},
        {&vim_type_int, "1 2", false},
        {&vim_type_int, "--1", false},
        {&vim_type_int, "-", false},
        {&vim_type_int, "1.0", false},
        {&vim_type_long, "9223372036854775807", true},
        {&vim_type_long, "9223372036854775808", false},
        {&vim_type_long, "99999999999999999999", false},
        {&vim_type_double, "1e3", true},
        {&vim_type_double, "-.5", true},
        {&vim_type_double, "1e999", false},
        {&vim_type_double, "NaN", false}, /* an answer could not spell it */
        {&vim_type_double, "", false},
        {&vim_type_double, "1x", false},
        {&vim_type_float, "1e38", true},
        {&vim_type_float, "1e39", false},
        {&vim_type_binary, "", true},
        {&vim_type_binary, "QUJD\n RA==", true},
        {&vim_type_binary, "!", false},
        {&VirtualMachinePowerState_type, "suspended", true},
        {&VirtualMachinePowerState_type, "", false},
        {&VirtualMachine_type, "vm-1", false}, /* a reference is more than its text */
    };

    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        union {
            int64_t number;
            double real;
            void *pointer;
            struct vim_ref ref;
        } value = {0};
        if (vim_parse_text(texts[i].type, texts[i].text, &value) != texts[i].right) {
            g_error("\"%s\" as %s", texts[i].text, texts[i].type->name);
        }
        if (texts[i].type->kind == VIM_BINARY && texts[i].right) {
            g_bytes_unref(value.pointer);
        }
    }
}

/* Elements inside of elements, as deep as `depth` counts them. */
static char *nested(unsigned depth)
{
    GString *body = g_string_new("<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">p"
                                 "</_this><spec><propSet><type>Folder</type></propSet><objectSet>"
                                 "<obj type=\"Folder\">f</obj>");
    /* Envelope, Body, CreateFilter, spec, objectSet, and `type` inside the innermost */
    unsigned n = depth - 6;
    for (unsigned i = 0; i < n; i++) {
        g_string_append(body, "<selectSet xsi:type=\"TraversalSpec\"><type>Folder</type><path>a</path>");
    }
    for (unsigned i = 0; i < n; i++) {
        g_string_append(body, "</selectSet>");
    }
    g_string_append(body, "</objectSet></spec><partialUpdates>0</partialUpdates></CreateFilter>");
    return g_string_free(body, FALSE);
}

static void test_depth(void)
{
    struct vim_request request;
    g_autofree char *deepest = nested(VIM_MAX_DEPTH);
    g_autofree char *deeper = nested(VIM_MAX_DEPTH + 1);
    GString *far = g_string_new(BEGIN);

    assert_accepted(parse(deepest, &request));
    vim_request_clear(&request);
    refused(deeper, "InvalidRequest", "");
    for (unsigned i = 0; i < 100000; i++) {
        g_string_append(far, "<a>");
    }
    assert_refused(parse_as(far->str, NULL, &request), "MethodNotFound", "a");
    g_string_free(far, TRUE);
    /* what is skipped is nested no deeper */
    far = g_string_new("<e:Envelope xmlns:e=\"http://schemas.xmlsoap.org/soap/envelope/\"><e:Header>");
    for (unsigned i = 0; i < 100000; i++) {
        g_string_append(far, "<a>");
    }
    assert_refused(parse_as(far->str, NULL, &request), "InvalidRequest", "");
    g_string_free(far, TRUE);
}

static void test_many_values(void)
{
    struct vim_request request;
    GString *body = g_string_new("<CreateFilter xmlns=\"urn:vim25\"><_this type=\"PropertyCollector\">p"
                                 "</_this><spec><objectSet><obj type=\"Folder\">f</obj></objectSet>"
                                 "<propSet><type>Folder</type>");
    const unsigned others = 6; /* spec, objectSet, obj, propSet, type, partialUpdates */
    for (unsigned i = 0; i < VIM_MAX_VALUES - others; i++) {
        g_string_append(body, "<pathSet/>");
    }
    g_autofree char *most =
        g_strconcat(body->str, "</propSet></spec><partialUpdates>0</partialUpdates></CreateFilter>", NULL);
    g_autofree char *more = g_strconcat(
        body->str, "<pathSet/></propSet></spec><partialUpdates>0</partialUpdates></CreateFilter>", NULL);

    assert_accepted(parse(most, &request));
    vim_request_clear(&request);
    refused(more, "InvalidRequest", "");
    g_string_free(body, TRUE);
}

/* Cutting a good request short anywhere is a fault and leaks nothing. */
static void test_cut(void)
{
    const char *body = BEGIN OPTION("<value xsi:type=\"ArrayOfAnyType\"><anyType xsi:type=\"VirtualDisk\">"
                                    "<key>1</key><backing xsi:type=\"VirtualDiskFlatVer2BackingInfo\">"
                                    "<fileName>a</fileName><datastore type=\"Datastore\">d</datastore>"
                                    "<diskMode>b</diskMode></backing><capacityInKB>1</capacityInKB></anyType>"
                                    "<anyType xsi:type=\"ManagedObjectReference\" type=\"Folder\">f</anyType>"
                                    "</value>") END;
    struct vim_request request;

    assert_accepted(parse_as(body, NULL, &request));
    vim_request_clear(&request);
    for (size_t n = 0; n < strlen(body); n++) {
        g_autofree char *part = g_strndup(body, n);
        struct vim_fault *fault = parse_as(part, NULL, &request);
        g_assert_nonnull(fault);
        vim_fault_free(fault);
    }
}

/* ---- answers ------------------------------------------------------------------------------------------ */

static void test_fault_answer(void)
{
    VIM_FAULT_AUTO fault = fault_invalid_argument("a<b", "%s", "wrong & bad");
    BUFFER_AUTO(out);

    soap_write_fault(&out, fault, vim_newest_version);
    g_assert_nonnull(strstr(buffer_string(&out), "<faultstring>wrong &amp; bad</faultstring>"));
    g_assert_nonnull(strstr(buffer_string(&out), "<InvalidArgumentFault xmlns=\"urn:vim25\" "
                                                 "xsi:type=\"InvalidArgument\"><invalidProperty>a&lt;b"
                                                 "</invalidProperty></InvalidArgumentFault>"));
    g_assert_true(
        g_str_has_suffix(buffer_string(&out), "</soapenv:Fault></soapenv:Body></soapenv:Envelope>"));
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/soap/every-type", test_every_type);
    g_test_add_func("/soap/every-version", test_every_version);
    g_test_add_func("/soap/every-any", test_every_any);
    g_test_add_func("/soap/any-of-old-client", test_any_of_old_client);
    g_test_add_func("/soap/array-of-newer-type", test_array_of_newer_type);
    g_test_add_func("/soap/numbers", test_numbers);
    g_test_add_func("/soap/escapes", test_escapes);
    g_test_add_func("/soap/date-times", test_date_times);
    g_test_add_func("/soap/date-times-round-trip", test_date_times_round_trip);
    g_test_add_func("/soap/read-date-times", test_read_date_times);
    g_test_add_func("/soap/unset", test_unset);
    g_test_add_func("/soap/read-types", test_read_types);
    g_test_add_func("/soap/read-any", test_read_any);
    g_test_add_func("/soap/bad-any", test_bad_any);
    g_test_add_func("/soap/reference-types", test_reference_types);
    g_test_add_func("/soap/request", test_request);
    g_test_add_func("/soap/xml", test_xml);
    g_test_add_func("/soap/nil", test_nil);
    g_test_add_func("/soap/versions", test_versions);
    g_test_add_func("/soap/wrong-envelopes", test_wrong_envelopes);
    g_test_add_func("/soap/wrong-methods", test_wrong_methods);
    g_test_add_func("/soap/wrong-members", test_wrong_members);
    g_test_add_func("/soap/wrong-scalars", test_wrong_scalars);
    g_test_add_func("/soap/depth", test_depth);
    g_test_add_func("/soap/many-values", test_many_values);
    g_test_add_func("/soap/cut", test_cut);
    g_test_add_func("/soap/fault-answer", test_fault_answer);
    return g_test_run();
}
