// SPDX-License-Identifier: Apache-2.0
/*
 * OptionManager. One table says what there is; the values in force are the property `setting` of both managers
 * (of the service, and of the host), which show the same. STATE/options.json has those that somebody has set, and
 * is written before anything is shown or takes effect. Several changes in one call are done together or not
 * at all.
 */
#include "host/system/host_options.h"

#include <inttypes.h>
#include <string.h>

#include "host/vm/vm.h"
#include "vim/session.h"
#include "vim/store.h"
#include "vim/value.h"

#define OPTIONS_FILE "options.json"

struct option {
    const char *key;
    const char *label;
    const char *summary;
    int64_t min, max, initial; /* of a number */
    void (*apply)(struct host *host, const struct vim_any *value);
};

static int64_t number_of(const struct vim_any *value)
{
    return value->type == &vim_type_int ? *(const int32_t *)value->value : *(const int64_t *)value->value;
}

/* ---- what there is ----------------------------------------------------------------------------------- */

static void apply_session_timeout(struct host *host, const struct vim_any *value)
{
    vim_sessions_set_idle_limit(host->server->sessions, number_of(value) * 60 * 1000);
}

static const struct option options[] = {
    {
        .key = "Config.HostAgent.vmacore.soap.sessionTimeout",
        .label = "Session time-out",
        .summary = "Minutes of silence after which a session ends; 0 for never",
        .max = 7 * 24 * 60,
        .initial = 30,
        .apply = apply_session_timeout,
    },
};

static const struct option *find_option(const char *key)
{
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        if (strcmp(options[i].key, key) == 0) {
            return &options[i];
        }
    }
    return NULL;
}

static struct OptionDef *definition(const struct option *option)
{
    struct OptionDef *def = OptionDef_new();
    struct LongOption *type = LongOption_new();
    def->key = g_strdup(option->key);
    def->label = g_strdup(option->label);
    def->summary = g_strdup(option->summary);
    type->min = option->min;
    type->max = option->max;
    type->defaultValue = option->initial;
    def->optionType = (struct OptionType *)type;
    return def;
}

static struct vim_any *initial_value(const struct option *option)
{
    return vim_any_long(option->initial);
}

/* The value as the option keeps it, or InvalidArgument. */
static struct vim_fault *check(const struct option *option, const struct vim_any *value, struct vim_any **ret)
{
    bool is_number =
        value != NULL && !value->array && (value->type == &vim_type_int || value->type == &vim_type_long);
    if (!is_number) {
        return fault_invalid_argument("changedValue.value", "%s: the value is not a number", option->key);
    }
    int64_t number = number_of(value);
    if (number < option->min || number > option->max) {
        return fault_invalid_argument("changedValue.value",
                                      "%s: %" PRId64 " is not between %" PRId64 " and %" PRId64, option->key,
                                      number, option->min, option->max);
    }
    *ret = vim_any_long(number);
    return NULL;
}

/* ---- the values in force ----------------------------------------------------------------------------- */

/* A list of OptionValue as it lies in an object. */
struct values {
    struct OptionValue **items;
    uint32_t n;
};

static struct OptionValue *find_value(const struct values *values, const char *key)
{
    for (uint32_t i = 0; i < values->n; i++) {
        if (strcmp(values->items[i]->key, key) == 0) {
            return values->items[i];
        }
    }
    return NULL;
}

static void values_copy(const void *from, struct values *to)
{
    const struct values *values = from;
    for (uint32_t i = 0; i < values->n; i++) {
        vim_array_add_object(to, vim_copy(values->items[i]));
    }
}

static void values_clear(struct values *values)
{
    while (values->n > 0) {
        vim_array_remove(values, &OptionValue_type, values->n - 1);
    }
    g_free(values->items);
    *values = (struct values){0};
}

static struct values shown_values(struct host *host)
{
    struct values values = {0};
    vim_read_lock(host->server->inventory);
    const struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_SETTING_ID);
    values_copy(&VIM_PROPERTIES(object, OptionManager)->setting, &values);
    vim_read_unlock(host->server->inventory);
    return values;
}

/* Sets a property to a copy of the list. (write lock) */
static void show_at(struct host *host, const char *id, const char *path, const struct values *values)
{
    struct values copy = {0};
    values_copy(values, &copy);
    vim_set(vim_inventory_find(host->server->inventory, id), path, &copy);
}

static void show(struct host *host, const struct values *values)
{
    vim_write_lock(host->server->inventory);
    show_at(host, HOST_SETTING_ID, "setting", values);
    show_at(host, HOST_ADVANCED_OPTIONS_ID, "setting", values);
    show_at(host, HOST_ID, "config.option", values);
    vim_write_unlock(host->server->inventory);
}

static void show_definitions(struct host *host)
{
    const struct {
        const char *id, *path;
    } places[] = {{HOST_SETTING_ID, "supportedOption"},
                  {HOST_ADVANCED_OPTIONS_ID, "supportedOption"},
                  {HOST_ID, "config.optionDef"}};
    vim_write_lock(host->server->inventory);
    for (size_t i = 0; i < G_N_ELEMENTS(places); i++) {
        struct vim_array definitions = {0};
        for (size_t j = 0; j < G_N_ELEMENTS(options); j++) {
            vim_array_add_object(&definitions, definition(&options[j]));
        }
        vim_set(vim_inventory_find(host->server->inventory, places[i].id), places[i].path, &definitions);
    }
    vim_write_unlock(host->server->inventory);
}

static void apply(struct host *host, const struct values *values)
{
    for (uint32_t i = 0; i < values->n; i++) {
        find_option(values->items[i]->key)->apply(host, values->items[i]->value);
    }
}

/* What a file of another version has and we do not know is left out, and a bad value too. */
static void take_stored(struct values *values, GPtrArray *objects)
{
    for (guint i = 0; i < objects->len; i++) {
        const struct OptionValue *stored = g_ptr_array_index(objects, i);
        const struct option *option = vim_is_a(stored, &OptionValue_type) ? find_option(stored->key) : NULL;
        struct vim_any *good = NULL;
        VIM_FAULT_AUTO fault = option != NULL ? check(option, stored->value, &good) : NULL;
        if (good == NULL) {
            g_warning("%s: an option is left out: %s", OPTIONS_FILE,
                      fault != NULL ? fault->message : "it is not known");
            continue;
        }
        struct OptionValue *value = find_value(values, option->key);
        vim_any_free(value->value);
        value->value = good;
    }
}

int host_options_load(struct host *host, char **ret_message)
{
    g_autofree char *path = g_build_filename(host->state_dir, OPTIONS_FILE, NULL);
    g_autoptr(GPtrArray) objects = NULL;
    struct values values = {0};
    int error = vim_store_load(path, &objects, ret_message);
    if (error != 0) {
        return error;
    }
    for (size_t i = 0; i < G_N_ELEMENTS(options); i++) {
        struct OptionValue *value = OptionValue_new();
        value->key = g_strdup(options[i].key);
        value->value = initial_value(&options[i]);
        vim_array_add_object(&values, value);
    }
    take_stored(&values, objects);
    show_definitions(host);
    show(host, &values);
    apply(host, &values);
    values_clear(&values);
    return 0;
}

/* ---- the methods ------------------------------------------------------------------------------------- */

static struct vim_fault *query(struct vim_call *call, const struct QueryOptions_args *args,
                               struct QueryOptions_result *ret)
{
    struct values values = shown_values(call->server->hooks_data);
    size_t length = args->name != NULL ? strlen(args->name) : 0;
    bool prefix = length == 0 || args->name[length - 1] == '.';
    for (uint32_t i = 0; i < values.n; i++) {
        const char *key = values.items[i]->key;
        if (prefix ? strncmp(key, length > 0 ? args->name : "", length) == 0 : strcmp(key, args->name) == 0) {
            vim_array_add_object(&ret->returnval, vim_copy(values.items[i]));
        }
    }
    values_clear(&values);
    return ret->returnval.n == 0
               ? fault_invalid_name(args->name != NULL ? args->name : "", (struct vim_ref){0},
                                    "there is no option \"%s\"", args->name != NULL ? args->name : "")
               : NULL;
}

static struct vim_fault *change(struct values *values, const struct OptionValue *wanted)
{
    const struct option *option = find_option(wanted->key);
    struct vim_any *good = NULL;
    if (option == NULL) {
        return fault_invalid_name(wanted->key, (struct vim_ref){0}, "there is no option \"%s\"", wanted->key);
    }
    struct vim_fault *fault = check(option, wanted->value, &good);
    if (fault == NULL) {
        struct OptionValue *value = find_value(values, wanted->key);
        vim_any_free(value->value);
        value->value = good;
    }
    return fault;
}

static struct vim_fault *save(struct host *host, const struct values *values)
{
    g_autofree char *path = g_build_filename(host->state_dir, OPTIONS_FILE, NULL);
    g_autoptr(GPtrArray) objects = g_ptr_array_new();
    for (uint32_t i = 0; i < values->n; i++) {
        g_ptr_array_add(objects, values->items[i]);
    }
    int error = vim_store_save(path, objects);
    return error != 0 ? host_state_fault(error, OPTIONS_FILE) : NULL;
}

/* Who may: on the host's manager who may configure the host, on the service's who may configure that. */
static struct vim_fault *require(struct vim_call *call, const struct host *host)
{
    return strcmp(call->request.target.id, HOST_ADVANCED_OPTIONS_ID) == 0
               ? vim_call_require(call, &host->about_host, VIM_PRIVILEGE_HOST_CONFIG_ADVANCED_CONFIG)
               : vim_call_require(call, &host->server->root_folder, VIM_PRIVILEGE_GLOBAL_SETTINGS);
}

static struct vim_fault *update(struct vim_call *call, const struct UpdateOptions_args *args)
{
    struct host *host = call->server->hooks_data;
    struct vim_fault *fault = require(call, host);
    if (fault != NULL) {
        return fault;
    }
    g_mutex_lock(&host->options); /* one change at a time: each is made of the one before */
    struct values values = shown_values(host);
    for (uint32_t i = 0; i < args->changedValue.n && fault == NULL; i++) {
        fault = change(&values, args->changedValue.items[i]);
    }
    if (fault == NULL) {
        fault = save(host, &values);
    }
    if (fault == NULL) {
        show(host, &values);
        apply(host, &values);
    }
    values_clear(&values);
    g_mutex_unlock(&host->options);
    return fault;
}

const struct OptionManager_methods host_option_manager_methods = {
    .QueryOptions = query,
    .UpdateOptions = update,
};
