// SPDX-License-Identifier: Apache-2.0
/*
 * The SOAP binding's reader: expat's events drive a stack of frames, one per open element, each of which
 * knows by descriptor what may come inside it.
 *
 *   Envelope > Header (skipped) , Body > the method's element > _this and the parameters
 *   an object's element > its members; a scalar's element > text
 *
 * The first fault ends the parse; what was read until then is freed with the request.
 */
#include <expat.h>
#include <string.h>

#include "vim/faults.h"
#include "vim/parse.h"
#include "vim/soap.h"

#define XSI "http://www.w3.org/2001/XMLSchema-instance|"
#define ENVELOPE "http://schemas.xmlsoap.org/soap/envelope/|"

enum frame_kind {
    FRAME_ENVELOPE,
    FRAME_BODY,
    FRAME_SKIP,   /* an element whose contents do not matter */
    FRAME_OBJECT, /* children are members of `object` */
    FRAME_ITEMS,  /* an ArrayOf: children are items of `array` */
    FRAME_TEXT,   /* text becomes a value */
    FRAME_TARGET, /* the text of _this */
};

struct frame {
    enum frame_kind kind;
    const struct vim_type *type; /* of the object, of the items, of the value that the text becomes */
    void *object;                /* where members go; owned by its parent */
    struct vim_seen seen;
    unsigned hint;           /* where the next member is expected */
    struct vim_array *array; /* where a text value or items go, when into an array */
    void *at;                /* where a text value goes, when not into an array */
    bool *set;               /* the flag of an optional number */
    const char *name;        /* of the member, for messages */
    char *ref_type;          /* the type attribute of a reference, owned */
};

struct reader {
    XML_Parser parser;
    struct vim_request request;
    struct vim_fault *fault;
    struct frame stack[VIM_MAX_DEPTH];
    unsigned depth;
    unsigned values;
    struct buffer text;
};

static void fail(struct reader *r, struct vim_fault *fault)
{
    if (r->fault != NULL) {
        vim_fault_free(fault);
        return;
    }
    r->fault = fault;
    XML_StopParser(r->parser, XML_FALSE);
}

static const char *local_name(const char *name)
{
    const char *bar = strrchr(name, '|');
    return bar != NULL ? bar + 1 : name;
}

static const char *attribute(const char **attributes, const char *name)
{
    for (; attributes[0] != NULL; attributes += 2) {
        if (strcmp(attributes[0], name) == 0) {
            return attributes[1];
        }
    }
    return NULL;
}

/* The local part of xsi:type; prefixes are the client's own choice. */
static const char *xsi_type(const char **attributes)
{
    const char *name = attribute(attributes, XSI "type");
    const char *colon = name != NULL ? strchr(name, ':') : NULL;
    return colon != NULL ? colon + 1 : name;
}

static struct frame *push(struct reader *r, enum frame_kind kind)
{
    if (r->depth == VIM_MAX_DEPTH) {
        fail(r, fault_invalid_request("the request is nested deeper than %d elements", VIM_MAX_DEPTH));
        return NULL;
    }
    struct frame *frame = &r->stack[r->depth++];
    *frame = (struct frame){.kind = kind};
    return frame;
}

/* Begins a value of `type` that goes into `array` or, when that is NULL, to `at`. */
static void begin_value(struct reader *r, const struct vim_type *declared, const char *name,
                        const char **attributes, struct vim_array *array, void *at, bool *set);

static void begin_any(struct reader *r, const char *name, const char **attributes, struct vim_array *array,
                      void *at)
{
    const char *type_name = xsi_type(attributes);
    const struct vim_type *items = type_name != NULL ? vim_parse_array_type(type_name) : NULL;
    const struct vim_type *type = items;
    struct vim_fault *fault = NULL;
    if (items == NULL && type_name != NULL && strcmp(type_name, "ManagedObjectReference") == 0) {
        type = vim_type_by_name("ManagedObject");
    } else if (items == NULL) {
        fault = vim_parse_type(&vim_type_any, type_name, name, &type);
    }
    if (fault != NULL) {
        fail(r, fault);
        return;
    }
    struct vim_any *any = g_new0(struct vim_any, 1);
    any->type = type;
    any->array = items != NULL;
    any->value = g_malloc0(any->array ? sizeof(struct vim_array) : vim_value_size(type));
    if (array != NULL) {
        vim_array_add(array, &vim_type_any, &any);
    } else {
        *(struct vim_any **)at = any;
    }
    if (items != NULL) {
        struct frame *frame = push(r, FRAME_ITEMS);
        if (frame != NULL) {
            frame->type = items;
            frame->array = any->value;
            frame->name = name;
        }
    } else {
        begin_value(r, type, name, attributes, NULL, any->value, NULL);
        if (type->kind == VIM_REF && r->fault == NULL) {
            /* the reference's own type replaces ManagedObject when its text is read */
            r->stack[r->depth - 1].object = any;
        }
    }
}

static void begin_object(struct reader *r, const struct vim_type *declared, const char *name,
                         const char **attributes, struct vim_array *array, void *at)
{
    const struct vim_type *type = NULL;
    struct vim_fault *fault = vim_parse_type(declared, xsi_type(attributes), name, &type);
    if (fault != NULL) {
        fail(r, fault);
        return;
    }
    struct frame *frame = push(r, FRAME_OBJECT);
    if (frame == NULL) {
        return;
    }
    void *object = vim_new(type);
    if (array != NULL) {
        vim_array_add(array, type, &object);
    } else {
        *(void **)at = object;
    }
    frame->type = type;
    frame->object = object;
    frame->name = name;
}

static void begin_value(struct reader *r, const struct vim_type *declared, const char *name,
                        const char **attributes, struct vim_array *array, void *at, bool *set)
{
    if (++r->values > VIM_MAX_VALUES) {
        fail(r, fault_invalid_request("the request has more than %d values", VIM_MAX_VALUES));
    } else if (declared->kind == VIM_ANY) {
        begin_any(r, name, attributes, array, at);
    } else if (declared->kind == VIM_DATA) {
        begin_object(r, declared, name, attributes, array, at);
    } else {
        struct frame *frame = push(r, FRAME_TEXT);
        if (frame != NULL) {
            frame->type = declared;
            frame->array = array;
            frame->at = at;
            frame->set = set;
            frame->name = name;
            frame->ref_type = declared->kind == VIM_REF ? g_strdup(attribute(attributes, "type")) : NULL;
            buffer_truncate(&r->text, 0);
        }
    }
}

static void begin_member(struct reader *r, struct frame *parent, const char *name, const char **attributes)
{
    const struct vim_field *field = vim_field_by_name(parent->type, name, &parent->hint);
    if (field == NULL) {
        fail(r, fault_invalid_request("%s has no member \"%s\" that this server knows", parent->type->name,
                                      name));
        return;
    }
    void *at = vim_field_at(field, parent->object);
    if (!(field->flags & VIM_ARRAY)) {
        size_t i = (size_t)(field - parent->type->fields);
        if (parent->seen.bits[i / 64] >> (i % 64) & 1) {
            fail(r, fault_invalid_argument(field->name, "member \"%s\" is given twice", field->name));
            return;
        }
    }
    const char *nil = attribute(attributes, XSI "nil");
    if (nil != NULL && (strcmp(nil, "true") == 0 || strcmp(nil, "1") == 0)) {
        push(r, FRAME_SKIP); /* as if it were not given */
        return;
    }
    vim_seen_add(&parent->seen, parent->type, field);
    if (field->flags & VIM_ARRAY) {
        begin_value(r, field->type, field->name, attributes, at, NULL, NULL);
    } else {
        void *value = vim_field_value(field, at);
        begin_value(r, field->type, field->name, attributes, NULL, value, value != at ? at : NULL);
    }
}

static void begin_method(struct reader *r, const char *name)
{
    const struct vim_method *method = vim_method_by_name(name);
    if (method == NULL) {
        struct vim_ref nobody = {vim_type_by_name("ManagedObject"), (char *)""};
        fail(r, fault_method_not_found(nobody, name, "this server knows no method \"%s\"", name));
        return;
    }
    if (r->request.method != NULL) {
        fail(r, fault_invalid_request("a request calls one method"));
        return;
    }
    struct frame *frame = push(r, FRAME_OBJECT);
    r->request.method = method;
    r->request.args = vim_new(method->args);
    frame->type = method->args;
    frame->object = r->request.args;
    frame->name = name;
}

static void XMLCALL on_start(void *data, const char *name, const char **attributes)
{
    struct reader *r = data;
    if (r->fault != NULL) {
        return;
    }
    if (r->depth == 0) {
        if (strcmp(name, ENVELOPE "Envelope") != 0) {
            fail(r, fault_invalid_request("not a SOAP 1.1 envelope"));
            return;
        }
        push(r, FRAME_ENVELOPE);
        return;
    }
    struct frame *parent = &r->stack[r->depth - 1];
    switch (parent->kind) {
    case FRAME_ENVELOPE:
        push(r, strcmp(name, ENVELOPE "Body") == 0 ? FRAME_BODY : FRAME_SKIP);
        break;
    case FRAME_BODY:
        begin_method(r, local_name(name));
        break;
    case FRAME_SKIP:
        push(r, FRAME_SKIP);
        break;
    case FRAME_OBJECT:
        if (r->depth == 3 && strcmp(local_name(name), "_this") == 0) {
            struct frame *frame = push(r, FRAME_TARGET);
            g_free(frame->ref_type);
            frame->ref_type = g_strdup(attribute(attributes, "type"));
            buffer_truncate(&r->text, 0);
        } else {
            begin_member(r, parent, local_name(name), attributes);
        }
        break;
    case FRAME_ITEMS:
        begin_value(r, parent->type, parent->name, attributes, parent->array, NULL, NULL);
        break;
    case FRAME_TEXT:
    case FRAME_TARGET:
        fail(r, fault_invalid_request("\"%s\" holds a value, not elements", parent->name));
        break;
    }
}

static void end_text(struct reader *r, struct frame *frame)
{
    const char *text = buffer_string(&r->text);
    union {
        char *string;
        GBytes *bytes;
        int64_t number;
        double real;
        struct vim_ref ref;
    } item = {0};
    void *value = frame->array != NULL ? &item : frame->at;
    if (frame->type->kind == VIM_REF) {
        struct vim_fault *fault = vim_parse_ref(frame->type, frame->ref_type, text, value);
        if (fault != NULL) {
            fail(r, fault);
            return;
        }
        if (frame->object != NULL) { /* inside an any: it holds what it really refers to */
            ((struct vim_any *)frame->object)->type = ((struct vim_ref *)value)->type;
        }
    } else {
        char *trimmed = frame->type->kind == VIM_STRING ? (char *)text : g_strstrip((char *)text);
        if (!vim_parse_text(frame->type, trimmed, value)) {
            fail(r, fault_invalid_argument(frame->name, "\"%s\" is not a valid %s for \"%s\"", trimmed,
                                           frame->type->name, frame->name));
            return;
        }
    }
    if (frame->array != NULL) {
        vim_array_add(frame->array, frame->type, &item);
    }
    if (frame->set != NULL) {
        *frame->set = true;
    }
}

static void end_target(struct reader *r, struct frame *frame)
{
    if (r->request.target.id != NULL) {
        fail(r, fault_invalid_request("_this is given twice"));
        return;
    }
    /* Whether the object has such a method is told by whoever finds it. */
    const struct vim_type *declared =
        frame->ref_type != NULL ? vim_type_by_name("ManagedObject") : r->request.method->owner;
    struct vim_fault *fault =
        vim_parse_ref(declared, frame->ref_type, buffer_string(&r->text), &r->request.target);
    if (fault != NULL) {
        fail(r, fault);
    }
}

static void XMLCALL on_end(void *data, const char *name)
{
    struct reader *r = data;
    (void)name;
    if (r->fault != NULL) {
        return;
    }
    struct frame *frame = &r->stack[r->depth - 1];
    if (frame->kind == FRAME_TEXT) {
        end_text(r, frame);
    } else if (frame->kind == FRAME_TARGET) {
        end_target(r, frame);
    } else if (frame->kind == FRAME_OBJECT) {
        struct vim_fault *fault = vim_check_required(frame->type, &frame->seen, r->request.version);
        if (fault != NULL) {
            fail(r, fault);
        }
    }
    if (r->fault == NULL) { /* else the stack is left for cleaning up */
        g_clear_pointer(&frame->ref_type, g_free);
        r->depth--;
    }
}

static bool is_blank(const char *text, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        if (!g_ascii_isspace(text[i])) {
            return false;
        }
    }
    return true;
}

static const char *frame_name(const struct frame *frame)
{
    return frame->kind == FRAME_ENVELOPE ? "Envelope" : frame->kind == FRAME_BODY ? "Body" : frame->name;
}

static void XMLCALL on_text(void *data, const char *text, int length)
{
    struct reader *r = data;
    if (r->fault == NULL && r->depth > 0) {
        const struct frame *frame = &r->stack[r->depth - 1];
        if (frame->kind == FRAME_TEXT || frame->kind == FRAME_TARGET) {
            buffer_append(&r->text, text, (size_t)length);
        } else if (frame->kind != FRAME_SKIP && !is_blank(text, (size_t)length)) {
            fail(r, fault_invalid_request("\"%s\" holds elements, not text", frame_name(frame)));
        }
    }
}

static void XMLCALL on_doctype(void *data, const char *name, const char *system_id, const char *public_id,
                               int has_internal_subset)
{
    (void)name;
    (void)system_id;
    (void)public_id;
    (void)has_internal_subset;
    fail(data, fault_invalid_request("a DOCTYPE is not allowed in a SOAP message (SOAP 1.1, section 3)"));
}

static vim_version version_of_action(const char *soap_action)
{
    const char *slash = soap_action != NULL ? strrchr(soap_action, '/') : NULL;
    return slash != NULL ? vim_version_from_string(slash + 1) : 0;
}

struct vim_fault *soap_parse_request(const char *body, size_t length, const char *soap_action,
                                     struct vim_request *ret)
{
    struct reader *r = g_new0(struct reader, 1);
    r->request.version = version_of_action(soap_action);
    r->parser = XML_ParserCreateNS(NULL, '|');
    XML_SetUserData(r->parser, r);
    XML_SetElementHandler(r->parser, on_start, on_end);
    XML_SetCharacterDataHandler(r->parser, on_text);
    XML_SetStartDoctypeDeclHandler(r->parser, on_doctype);
    if (length > INT32_MAX) {
        fail(r, fault_invalid_request("the request is too large"));
    } else if (XML_Parse(r->parser, body, (int)length, XML_TRUE) != XML_STATUS_OK && r->fault == NULL) {
        r->fault = fault_invalid_request("the request is not well-formed XML: line %lu: %s",
                                         XML_GetCurrentLineNumber(r->parser),
                                         XML_ErrorString(XML_GetErrorCode(r->parser)));
    }
    XML_ParserFree(r->parser);
    if (r->fault == NULL && r->request.method == NULL) {
        r->fault = fault_invalid_request("the request calls no method");
    } else if (r->fault == NULL && r->request.target.id == NULL) {
        r->fault = fault_invalid_request("%s: _this is missing", r->request.method->name);
    }
    struct vim_fault *fault = r->fault;
    for (unsigned i = 0; i < r->depth; i++) {
        g_free(r->stack[i].ref_type);
    }
    buffer_free(&r->text);
    if (fault != NULL) {
        vim_request_clear(&r->request);
    } else {
        *ret = r->request;
    }
    g_free(r);
    return fault;
}
