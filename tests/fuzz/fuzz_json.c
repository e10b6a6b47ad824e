// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes as VI/JSON requests: refused with a fault, or read into arguments that are the same again after
 * they have been written. What can be read is then called on a server in memory (fuzz_server.h), whose
 * answers are JSON.
 *
 * An input is a line such as "POST 6.7/VirtualMachine/vm-1/PowerOnVM_Task", or "GET 6.7/Folder/vm/name", and
 * a body; "----" on a line of its own begins the next request.
 */
#include <json-c/json.h>

#include "fuzz_server.h"
#include "vim/json.h"
#include "vim/parse.h"

static void check_json(const char *body, size_t length)
{
    json_tokener *tokener = json_tokener_new_ex(1000);
    json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
    json_object *tree = json_tokener_parse_ex(tokener, body, (int)length);
    /* A bare number has no end that json-c would see; none of the types of answers that are one matter. */
    enum json_tokener_error error = json_tokener_get_error(tokener);
    if (error != json_tokener_success &&
        !(error == json_tokener_continue && (g_ascii_isdigit(body[0]) || body[0] == '-'))) {
        g_error("%s: %.*s", json_tokener_error_desc(error), (int)length, body);
    }
    json_object_put(tree);
    json_tokener_free(tokener);
}

static void check_round_trip(const struct vim_request *request)
{
    struct vim_request again = {0};
    BUFFER_AUTO(text);
    BUFFER_AUTO(text_again);

    json_write_object(&text, request->args);
    struct vim_fault *fault =
        json_parse_request(text.data, text.length, vim_versions[request->version].name,
                           request->target.type->name, request->target.id, request->method->name, &again);
    if (fault != NULL) {
        g_error("%s: %s", fault->message, buffer_string(&text));
    }
    json_write_object(&text_again, again.args);
    g_assert_cmpstr(buffer_string(&text), ==, buffer_string(&text_again));
    g_assert_true(again.method == request->method);
    g_assert_true(vim_ref_equal(&again.target, &request->target));
    /* An older client need not give what is newer; then a required text that is unset comes back empty. */
    g_assert_true(request->version < vim_newest_version || vim_equal(request->args, again.args));
    vim_request_clear(&again);
}

/* What the body's text is as a data object of any type, as in a file of the state folder. */
static void check_object(const char *body, size_t length)
{
    static const struct vim_type *const types[] = {&OptionValue_type, &VirtualMachineConfigInfo_type,
                                                   &Event_type};
    for (size_t i = 0; i < G_N_ELEMENTS(types); i++) {
        void *object = NULL;
        void *again = NULL;
        struct vim_fault *fault = json_read_object(body, length, types[i], &object);
        if (fault != NULL) {
            g_assert_null(object);
            g_assert_cmpstr(fault->message, !=, "");
            vim_fault_free(fault);
            continue;
        }
        BUFFER_AUTO(text);
        json_write_object(&text, object);
        fault = json_read_object(text.data, text.length, types[i], &again);
        if (fault != NULL) {
            g_error("%s: %s", fault->message, buffer_string(&text));
        }
        g_assert_true(vim_equal(object, again));
        vim_free(object);
        vim_free(again);
    }
}

/* Whether the request can be read. */
static bool check_reader(const struct fuzz_part *part)
{
    g_auto(GStrv) words = g_strsplit(part->head, " ", 2);
    g_auto(GStrv) parts = g_strsplit(words[0] != NULL && words[1] != NULL ? words[1] : "", "/", 4);
    struct vim_request request = {.version = 77};

    if (g_strv_length(parts) != 4 || strcmp(words[0], "POST") != 0) {
        check_object(part->body, part->length);
        return g_strv_length(parts) == 4;
    }
    struct vim_fault *fault =
        json_parse_request(part->body, part->length, parts[0], parts[1], parts[2], parts[3], &request);
    if (fault != NULL) {
        BUFFER_AUTO(answer);
        g_assert_cmpstr(fault->message, !=, "");
        g_assert_cmpint(request.version, ==, 77);
        g_assert_true(request.method == NULL && request.args == NULL && request.target.id == NULL);
        json_write_fault(&answer, fault, vim_newest_version);
        check_json(answer.data, answer.length);
        vim_fault_free(fault);
        return false;
    }
    check_round_trip(&request);
    vim_request_clear(&request);
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *at = (const char *)data;
    size_t left = size;
    struct fuzz_part part;
    bool readable = false;

    /* The path comes decoded and checked from the HTTP server: UTF-8 without NUL. */
    while (fuzz_next(&at, &left, &part)) {
        readable |= g_utf8_validate(part.head, -1, NULL) && check_reader(&part);
        g_free(part.head);
    }
    if (!readable) {
        return 0;
    }
    struct fuzz_server fuzz;
    fuzz_server_open(&fuzz, check_json);
    at = (const char *)data;
    left = size;
    while (fuzz_next(&at, &left, &part)) {
        g_auto(GStrv) words = g_strsplit(part.head, " ", 2);
        if (words[0] != NULL && words[1] != NULL && g_utf8_validate(part.head, -1, NULL)) {
            g_autofree char *path = g_strconcat("/sdk/vim25/", words[1], NULL);
            fuzz_send(&fuzz, words[0], path, "application/json", NULL, part.body, part.length);
        }
        g_free(part.head);
    }
    fuzz_server_close(&fuzz);
    return 0;
}
