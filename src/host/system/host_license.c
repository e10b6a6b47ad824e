// SPDX-License-Identifier: Apache-2.0
/*
 * LicenseManager. The first license is the product's own, without limits. Keys that somebody adds are kept with
 * their labels, as notes: they unlock nothing, because nothing is locked. STATE/licenses.json is written before
 * a change is shown.
 */
#include "host/system/host_license.h"

#include <string.h>

#include "base/version.h"
#include "host/vm/vm.h"
#include "vim/store.h"
#include "vim/value.h"

#define LICENSES_FILE "licenses.json"
#define OWN_KEY "00000-00000-00000-00000-00000"
#define EDITION "tenkyu.free"

enum { MAX_KEY_BYTES = 256, MAX_KEYS = 1000, MAX_LABELS = 100 };

/* A list of licenses as it lies in an object. */
struct licenses {
    struct LicenseManagerLicenseInfo **items;
    uint32_t n;
};

static struct LicenseManagerLicenseInfo *license_new(const char *key)
{
    struct LicenseManagerLicenseInfo *license = LicenseManagerLicenseInfo_new();
    bool own = strcmp(key, OWN_KEY) == 0;
    license->licenseKey = g_strdup(key);
    license->editionKey = g_strdup(own ? EDITION : "");
    license->name = g_strdup(own ? "Tenkyu, without limits" : "unlocks nothing: nothing is locked");
    license->costUnit = g_strdup("server");
    return license;
}

static struct licenses shown_licenses(struct host *host)
{
    struct licenses copy = {0};
    vim_read_lock(host->server->inventory);
    const struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_LICENSE_ID);
    const struct LicenseManager *manager = VIM_PROPERTIES(object, LicenseManager);
    for (uint32_t i = 0; i < manager->licenses.n; i++) {
        vim_array_add_object(&copy, vim_copy(manager->licenses.items[i]));
    }
    vim_read_unlock(host->server->inventory);
    return copy;
}

static void licenses_clear(struct licenses *licenses)
{
    while (licenses->n > 0) {
        vim_array_remove(licenses, &LicenseManagerLicenseInfo_type, licenses->n - 1);
    }
    g_free(licenses->items);
}

/* licenses is moved in. */
static void show(struct host *host, struct licenses *licenses)
{
    vim_write_lock(host->server->inventory);
    vim_set(vim_inventory_find(host->server->inventory, HOST_LICENSE_ID), "licenses", licenses);
    vim_write_unlock(host->server->inventory);
}

static struct LicenseManagerLicenseInfo *find(const struct licenses *licenses, const char *key)
{
    for (uint32_t i = 0; i < licenses->n; i++) {
        if (strcmp(licenses->items[i]->licenseKey, key) == 0) {
            return licenses->items[i];
        }
    }
    return NULL;
}

static struct LocalLicenseSource *source_new(void)
{
    struct LocalLicenseSource *source = LocalLicenseSource_new();
    source->licenseKeys = g_strdup("");
    return source;
}

int host_license_load(struct host *host, char **ret_message)
{
    g_autofree char *path = g_build_filename(host->state_dir, LICENSES_FILE, NULL);
    g_autoptr(GPtrArray) objects = NULL;
    struct licenses licenses = {0};
    int error = vim_store_load(path, &objects, ret_message);
    if (error != 0) {
        return error;
    }
    for (guint i = 0; i < objects->len; i++) {
        if (vim_is_a(g_ptr_array_index(objects, i), &LicenseManagerLicenseInfo_type)) {
            vim_array_add_object(&licenses, vim_copy(g_ptr_array_index(objects, i)));
        }
    }
    if (find(&licenses, OWN_KEY) == NULL) {
        vim_array_add_object(&licenses, license_new(OWN_KEY));
    }
    vim_write_lock(host->server->inventory);
    struct vim_object *object = vim_inventory_find(host->server->inventory, HOST_LICENSE_ID);
    vim_set_data(object, "source", source_new());
    vim_set_bool(object, "sourceAvailable", true);
    vim_set_text(object, "licensedEdition", EDITION);
    vim_set_data(object, "evaluation", LicenseManagerEvaluationInfo_new());
    vim_write_unlock(host->server->inventory);
    show(host, &licenses);
    return 0;
}

/* ---- changes ----------------------------------------------------------------------------------------- */

/* Begins and ends a change. What lies between works on the copy; `fault` gives it up. */
static struct licenses begin(struct host *host)
{
    g_mutex_lock(&host->options);
    return shown_licenses(host);
}

static struct vim_fault *end(struct host *host, struct licenses *licenses, struct vim_fault *fault)
{
    if (fault == NULL) {
        g_autofree char *path = g_build_filename(host->state_dir, LICENSES_FILE, NULL);
        g_autoptr(GPtrArray) objects = g_ptr_array_new();
        for (uint32_t i = 0; i < licenses->n; i++) {
            g_ptr_array_add(objects, licenses->items[i]);
        }
        int error = vim_store_save(path, objects);
        fault = error != 0 ? host_state_fault(error, LICENSES_FILE) : NULL;
    }
    if (fault == NULL) {
        show(host, licenses);
    } else {
        licenses_clear(licenses);
    }
    g_mutex_unlock(&host->options);
    return fault;
}

static struct vim_fault *check_key(const char *key)
{
    size_t length = strlen(key);
    bool good = length > 0 && length <= MAX_KEY_BYTES;
    for (size_t i = 0; i < length && good; i++) {
        good = g_ascii_isalnum(key[i]) || key[i] == '-';
    }
    return good ? NULL
                : fault_invalid_argument("licenseKey",
                                         "licenseKey: a key is made of letters, digits and hyphens");
}

static struct vim_fault *no_license(const char *key)
{
    return fault_invalid_argument("licenseKey", "licenseKey: there is no license \"%s\"", key);
}

static struct vim_fault *set_label(struct LicenseManagerLicenseInfo *license, const char *key,
                                   const char *value)
{
    for (uint32_t i = 0; i < license->labels.n; i++) {
        if (strcmp(license->labels.items[i]->key, key) == 0) {
            vim_set_string(&license->labels.items[i]->value, value);
            return NULL;
        }
    }
    if (license->labels.n >= MAX_LABELS) {
        return fault_invalid_argument("labels", "labels: a license has at most %d", MAX_LABELS);
    }
    struct KeyValue *label = KeyValue_new();
    label->key = g_strdup(key);
    label->value = g_strdup(value);
    vim_array_add_object(&license->labels, label);
    return NULL;
}

struct labels {
    struct KeyValue *const *items;
    uint32_t n;
};

static struct vim_fault *keep(struct vim_call *call, const char *key, const struct labels *labels,
                              struct LicenseManagerLicenseInfo **ret)
{
    struct host *host = call->server->hooks_data;
    struct vim_fault *fault = check_key(key);
    if (fault != NULL) {
        return fault;
    }
    struct licenses licenses = begin(host);
    if (find(&licenses, key) == NULL && licenses.n >= MAX_KEYS) {
        fault = fault_invalid_argument("licenseKey", "licenseKey: there are %d already", MAX_KEYS);
    } else if (find(&licenses, key) == NULL) {
        vim_array_add_object(&licenses, license_new(key));
    }
    for (uint32_t i = 0; i < labels->n && fault == NULL; i++) {
        fault = set_label(find(&licenses, key), labels->items[i]->key, labels->items[i]->value);
    }
    struct LicenseManagerLicenseInfo *kept = fault == NULL ? vim_copy(find(&licenses, key)) : NULL;
    fault = end(host, &licenses, fault);
    if (fault == NULL) {
        *ret = kept;
    } else {
        vim_free(kept);
    }
    return fault;
}

static struct vim_fault *add(struct vim_call *call, const struct AddLicense_args *args,
                             struct AddLicense_result *ret)
{
    const struct labels labels = {args->labels.items, args->labels.n};
    return keep(call, args->licenseKey, &labels, &ret->returnval);
}

static struct vim_fault *update(struct vim_call *call, const struct UpdateLicense_args *args,
                                struct UpdateLicense_result *ret)
{
    const struct labels labels = {args->labels.items, args->labels.n};
    return keep(call, args->licenseKey, &labels, &ret->returnval);
}

static struct vim_fault *decode(struct vim_call *call, const struct DecodeLicense_args *args,
                                struct DecodeLicense_result *ret)
{
    struct vim_fault *fault = check_key(args->licenseKey);
    (void)call;
    if (fault == NULL) {
        ret->returnval = license_new(args->licenseKey);
    }
    return fault;
}

static struct vim_fault *remove_license(struct vim_call *call, const struct RemoveLicense_args *args)
{
    struct host *host = call->server->hooks_data;
    struct vim_fault *fault = NULL;
    struct licenses licenses = begin(host);
    if (strcmp(args->licenseKey, OWN_KEY) == 0) {
        fault = fault_invalid_argument("licenseKey", "licenseKey: the product's own license stays");
    } else if (find(&licenses, args->licenseKey) == NULL) {
        fault = no_license(args->licenseKey);
    }
    for (uint32_t i = licenses.n; i > 0 && fault == NULL; i--) {
        if (strcmp(licenses.items[i - 1]->licenseKey, args->licenseKey) == 0) {
            vim_array_remove(&licenses, &LicenseManagerLicenseInfo_type, i - 1);
        }
    }
    return end(host, &licenses, fault);
}

static struct vim_fault *update_label(struct vim_call *call, const struct UpdateLicenseLabel_args *args)
{
    struct host *host = call->server->hooks_data;
    struct licenses licenses = begin(host);
    struct LicenseManagerLicenseInfo *license = find(&licenses, args->licenseKey);
    return end(host, &licenses,
               license == NULL ? no_license(args->licenseKey)
                               : set_label(license, args->labelKey, args->labelValue));
}

static struct vim_fault *remove_label(struct vim_call *call, const struct RemoveLicenseLabel_args *args)
{
    struct host *host = call->server->hooks_data;
    struct licenses licenses = begin(host);
    struct LicenseManagerLicenseInfo *license = find(&licenses, args->licenseKey);
    for (uint32_t i = license != NULL ? license->labels.n : 0; i > 0; i--) {
        if (strcmp(license->labels.items[i - 1]->key, args->labelKey) == 0) {
            vim_array_remove(&license->labels, &KeyValue_type, i - 1);
        }
    }
    return end(host, &licenses, license == NULL ? no_license(args->licenseKey) : NULL);
}

/* ---- answers ----------------------------------------------------------------------------------------- */

/* No feature needs a license, so these lists are empty. */
static struct vim_fault *features(struct vim_call *call, const struct QuerySupportedFeatures_args *args,
                                  struct QuerySupportedFeatures_result *ret)
{
    (void)call;
    (void)args;
    (void)ret;
    return NULL;
}

static struct vim_fault *availability(struct vim_call *call,
                                      const struct QueryLicenseSourceAvailability_args *args,
                                      struct QueryLicenseSourceAvailability_result *ret)
{
    (void)call;
    (void)args;
    (void)ret;
    return NULL;
}

static struct vim_fault *usage(struct vim_call *call, const struct QueryLicenseUsage_args *args,
                               struct QueryLicenseUsage_result *ret)
{
    (void)call;
    (void)args;
    ret->returnval = LicenseUsageInfo_new();
    ret->returnval->source = (struct LicenseSource *)source_new();
    ret->returnval->sourceAvailable = true;
    return NULL;
}

const struct LicenseManager_methods host_license_manager_methods = {
    .QuerySupportedFeatures = features,
    .QueryLicenseSourceAvailability = availability,
    .QueryLicenseUsage = usage,
    .UpdateLicense = update,
    .AddLicense = add,
    .RemoveLicense = remove_license,
    .DecodeLicense = decode,
    .UpdateLicenseLabel = update_label,
    .RemoveLicenseLabel = remove_label,
};
