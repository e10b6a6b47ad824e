// SPDX-License-Identifier: Apache-2.0
/*
 * The texts of event types, made from the schema. See event_description.h.
 */
#include "vim/event_description.h"

#include <string.h>

static const char *const categories[][2] = {
    {"info", "Information"},
    {"warning", "Warning"},
    {"error", "Error"},
    {"user", "User"},
};

/* Types that are not "info". */
static const struct {
    const struct vim_type *type;
    const char *category;
} special[] = {
    {&BadUsernameSessionEvent_type, "error"}, {&GeneralHostErrorEvent_type, "error"},
    {&GeneralUserEvent_type, "user"},         {&VmDisconnectedEvent_type, "warning"},
    {&VmFailedToPowerOffEvent_type, "error"}, {&VmFailedToPowerOnEvent_type, "error"},
    {&VmFailedToResetEvent_type, "error"},    {&VmFailedToSuspendEvent_type, "error"},
    {&VmMessageEvent_type, "warning"},
};

static const char *type_category(const struct vim_type *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(special); i++) {
        if (special[i].type == type) {
            return special[i].category;
        }
    }
    return "info";
}

const char *vim_event_category(const struct Event *event)
{
    const char *severity = vim_is_a(event, &EventEx_type) ? ((const struct EventEx *)event)->severity : NULL;
    for (size_t i = 0; severity != NULL && i < G_N_ELEMENTS(categories); i++) {
        if (strcmp(categories[i][0], severity) == 0) {
            return categories[i][0];
        }
    }
    return type_category(event->vim_type);
}

const char *vim_event_type_id(const struct Event *event)
{
    const char *id = NULL;
    if (vim_is_a(event, &EventEx_type)) {
        id = ((const struct EventEx *)event)->eventTypeId;
    } else if (vim_is_a(event, &ExtendedEvent_type)) {
        id = ((const struct ExtendedEvent *)event)->eventTypeId;
    }
    return id != NULL ? id : event->vim_type->name;
}

bool vim_event_is_concrete(const struct vim_type *type)
{
    return vim_type_is(type, &Event_type) && (!type->has_subtypes || type == &GeneralEvent_type);
}

static struct EventDescriptionEventDetail *describe(const struct vim_type *type)
{
    struct EventDescriptionEventDetail *detail = EventDescriptionEventDetail_new();
    size_t length = strlen(type->doc);
    g_autofree char *text = g_strndup(type->doc, g_str_has_suffix(type->doc, ".") ? length - 1 : length);
    bool on_vm = vim_type_is(type, &VmEvent_type);
    detail->key = g_strdup(type->name);
    detail->description = g_strdup(text);
    detail->category = g_strdup(type_category(type));
    detail->formatOnVm = g_strdup(text);
    detail->formatOnHost = g_strconcat(on_vm ? "{vm.name}: " : "", text, NULL);
    detail->formatOnComputeResource = g_strconcat(on_vm ? "{vm.name} on {host.name}: " : "", text, NULL);
    detail->formatOnDatacenter = g_strdup(detail->formatOnComputeResource);
    detail->fullFormat =
        g_strconcat(on_vm ? "{vm.name} on {host.name} in {datacenter.name}: " : "", text, NULL);
    return detail;
}

struct EventDescription *vim_event_description(void)
{
    struct EventDescription *description = EventDescription_new();
    for (size_t i = 0; i < G_N_ELEMENTS(categories); i++) {
        struct ElementDescription *category = ElementDescription_new();
        category->key = g_strdup(categories[i][0]);
        category->label = g_strdup(categories[i][1]);
        category->summary = g_strdup(categories[i][1]);
        vim_array_add_object(&description->category, category);
    }
    for (size_t i = 0; i < vim_n_types; i++) {
        if (vim_event_is_concrete(vim_types[i])) {
            vim_array_add_object(&description->eventInfo, describe(vim_types[i]));
        }
    }
    return description;
}

void vim_event_describe_arguments(const struct vim_type *type, void *array)
{
    /* What every event has is no argument of its type, except where it happened. */
    static const char *const common[] = {"key",      "chainId",   "createdTime",
                                         "userName", "changeTag", "fullFormattedMessage"};
    for (unsigned i = 0; i < type->n_fields; i++) {
        const struct vim_field *field = &type->fields[i];
        bool is_common = false;
        for (size_t c = 0; c < G_N_ELEMENTS(common); c++) {
            is_common = is_common || strcmp(field->name, common[c]) == 0;
        }
        if (is_common) {
            continue;
        }
        struct EventArgDesc *argument = EventArgDesc_new();
        argument->name = g_strdup(field->name);
        argument->type = g_strdup(field->type->name);
        vim_array_add_object(array, argument);
    }
}
