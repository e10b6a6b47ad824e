// SPDX-License-Identifier: Apache-2.0
/*
 * PerformanceManager: answers what statistics.c keeps, by the counters of perf_counters.h.
 *
 * Only samples of the last hour, 20 seconds apart, of virtual machines and of the host; there is no history
 * beyond. All queries are memory work. A sample after startTime and up to endTime counts, as the API says.
 */
#include "host/host_internal.h"
#include "host/performance/perf_counters.h"
#include "host/performance/statistics.h"
#include "vim/value.h"

#include <string.h>

enum { INTERVAL_US = STATISTICS_INTERVAL_S * 1000000 };

/* ---- names of instances ------------------------------------------------------------------------------ */

/* What a query knows of the object that it is about. */
struct subject {
    struct statistics *statistics;
    struct perf_object object;
    GHashTable *drives; /* of a machine: device key to "scsi0:0"; owned */
    GHashTable *places; /* of a machine: device key to the datastore's name; owned */
    GHashTable *stores; /* number of a datastore to its name; owned */
};

static char *from_table(GHashTable *names, int32_t key)
{
    return g_strdup(g_hash_table_lookup(names, GINT_TO_POINTER(key)));
}

static char *name_of_instance(const void *data, const char *group, const struct perf_column *column)
{
    const struct subject *subject = data;
    bool machine = subject->object.kind == PERF_OF_VM;
    if (strcmp(group, "cpu") == 0) {
        return g_strdup_printf("%d", column->instance);
    }
    if (strcmp(group, "virtualDisk") == 0) {
        return from_table(subject->drives, column->instance);
    }
    if (strcmp(group, "datastore") == 0) {
        return from_table(machine ? subject->places : subject->stores, column->instance);
    }
    if (machine) {
        return strcmp(group, "net") == 0 ? g_strdup_printf("%d", column->instance) : NULL;
    }
    return g_strdup(statistics_device_name(subject->statistics, column->instance));
}

/* "scsi0:0" of a disk, or NULL. */
static char *drive_name(const struct VirtualMachineConfigInfo *config, const struct VirtualDevice *disk)
{
    for (uint32_t i = 0; i < config->hardware->device.n; i++) {
        const struct VirtualController *controller = (const void *)config->hardware->device.items[i];
        if (!vim_is_a(controller, &VirtualController_type) || !disk->controllerKey.set ||
            controller->key != disk->controllerKey.value) {
            continue;
        }
        const char *bus = vim_is_a(controller, &VirtualSCSIController_type)   ? "scsi"
                          : vim_is_a(controller, &VirtualIDEController_type)  ? "ide"
                          : vim_is_a(controller, &VirtualSATAController_type) ? "sata"
                                                                              : "nvme";
        return g_strdup_printf("%s%d:%d", bus, controller->busNumber, disk->unitNumber.value);
    }
    return NULL;
}

static void name_drives(struct subject *subject, const struct VirtualMachineConfigInfo *config)
{
    for (uint32_t i = 0; config != NULL && config->hardware != NULL && i < config->hardware->device.n; i++) {
        const struct VirtualDevice *device = config->hardware->device.items[i];
        const struct VirtualDeviceFileBackingInfo *backing = (const void *)device->backing;
        if (!vim_is_a(device, &VirtualDisk_type)) {
            continue;
        }
        void *key = GINT_TO_POINTER(device->key);
        char *name = drive_name(config, device);
        if (name != NULL) {
            g_hash_table_insert(subject->drives, key, name);
        }
        if (vim_is_a(backing, &VirtualDeviceFileBackingInfo_type) && backing->datastore.id != NULL) {
            char *store = from_table(subject->stores, statistics_store_number(backing->datastore.id));
            if (store != NULL) {
                g_hash_table_insert(subject->places, key, store);
            }
        }
    }
}

static void subject_clear(struct subject *subject)
{
    g_clear_pointer(&subject->drives, g_hash_table_unref);
    g_clear_pointer(&subject->places, g_hash_table_unref);
    g_clear_pointer(&subject->stores, g_hash_table_unref);
}
#define SUBJECT_AUTO __attribute__((cleanup(subject_clear))) struct subject

static GHashTable *names_new(void)
{
    return g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL, g_free);
}

static struct vim_fault *no_statistics(const char *property, const struct vim_ref *entity)
{
    return fault_invalid_argument(
        property, "%s: %s has no statistics: a VirtualMachine or the HostSystem has", property, entity->id);
}

/* Finds out about an object, after checking that the caller may read it. */
static struct vim_fault *subject_of(struct vim_call *call, const struct vim_ref *entity, const char *property,
                                    struct subject *ret)
{
    struct host *host = call->server->hooks_data;
    if (entity->type != &VirtualMachine_type && entity->type != &HostSystem_type) {
        return no_statistics(property, entity);
    }
    struct vim_fault *fault = vim_call_require(call, entity, VIM_PRIVILEGE_SYSTEM_READ);
    if (fault != NULL) {
        return fault;
    }
    vim_read_lock(host->server->inventory);
    const struct vim_object *object = vim_inventory_find_ref(host->server->inventory, entity);
    if (object == NULL) {
        vim_read_unlock(host->server->inventory);
        return vim_call_gone(entity);
    }
    ret->statistics = host->statistics;
    ret->object.kind = entity->type == &VirtualMachine_type ? PERF_OF_VM : PERF_OF_HOST;
    ret->object.mhz = statistics_mhz(host->statistics);
    ret->object.name = name_of_instance;
    ret->object.name_data = ret;
    ret->drives = names_new();
    ret->places = names_new();
    ret->stores = names_new();
    GPtrArray *objects = vim_inventory_objects(host->server->inventory);
    for (guint i = 0; i < objects->len; i++) {
        const struct vim_object *store = g_ptr_array_index(objects, i);
        if (store->ref.type == &Datastore_type) {
            g_hash_table_insert(ret->stores, GINT_TO_POINTER(statistics_store_number(store->ref.id)),
                                g_strdup(VIM_PROPERTIES(store, Datastore)->name));
        }
    }
    if (ret->object.kind == PERF_OF_VM) {
        name_drives(ret, VIM_PROPERTIES(object, VirtualMachine)->config);
    }
    vim_read_unlock(host->server->inventory);
    return NULL;
}

/* ---- what is asked for ------------------------------------------------------------------------------- */

/* A query's samples. */
static GArray *rows_of(const struct subject *subject, const char *id, int64_t start_us, int64_t end_us)
{
    int64_t after = start_us != 0 ? start_us / INTERVAL_US : INT64_MIN;
    int64_t until = end_us != 0 ? end_us / INTERVAL_US : INT64_MAX;
    return statistics_rows(subject->statistics, id, after, until);
}

static struct vim_fault *check_spec(const struct PerfQuerySpec *spec)
{
    if (spec->intervalId.set && spec->intervalId.value != STATISTICS_INTERVAL_S) {
        return fault_invalid_argument(
            "querySpec.intervalId", "querySpec.intervalId: there are samples every %d seconds, none every %d",
            STATISTICS_INTERVAL_S, spec->intervalId.value);
    }
    if (spec->maxSample.set && spec->maxSample.value < 1) {
        return fault_invalid_argument("querySpec.maxSample", "querySpec.maxSample: %d is less than 1",
                                      spec->maxSample.value);
    }
    if (spec->format != NULL && vim_enum_by_name(&PerfFormat_type, spec->format) == 0) {
        return fault_invalid_argument("querySpec.format", "querySpec.format: \"%s\" is not normal or csv",
                                      spec->format);
    }
    for (uint32_t i = 0; i < spec->metricId.n; i++) {
        int32_t key = spec->metricId.items[i]->counterId;
        if (perf_counter_by_key(key) == NULL) {
            return fault_invalid_argument("querySpec.metricId",
                                          "querySpec.metricId: there is no counter with the key %d", key);
        }
    }
    return NULL;
}

/* A series: a counter and an instance. */
struct series {
    const struct perf_counter *counter;
    char *instance;
};

static void series_clear(void *data)
{
    g_free(((struct series *)data)->instance);
}

/* Adds the instances of a counter that are wanted: "*" and NULL mean all of them. */
static void add_series(GArray *series, const struct perf_counter *counter, const struct subject *subject,
                       const char *wanted, const GArray *rows)
{
    const struct perf_row *first = (const struct perf_row *)(void *)rows->data;
    g_autoptr(GPtrArray) instances = perf_instances(counter, &subject->object, first, rows->len);
    for (guint i = 0; i < instances->len; i++) {
        const char *instance = g_ptr_array_index(instances, i);
        if (wanted == NULL || strcmp(wanted, "*") == 0 || strcmp(wanted, instance) == 0) {
            struct series one = {counter, g_strdup(instance)};
            g_array_append_val(series, one);
        }
    }
}

static GArray *series_of(const struct PerfQuerySpec *spec, const struct subject *subject, const GArray *rows)
{
    GArray *series = g_array_new(FALSE, FALSE, sizeof(struct series));
    g_array_set_clear_func(series, series_clear);
    for (uint32_t i = 0; i < spec->metricId.n; i++) {
        const struct PerfMetricId *id = spec->metricId.items[i];
        add_series(series, perf_counter_by_key(id->counterId), subject, id->instance, rows);
    }
    for (size_t i = 0; spec->metricId.n == 0 && i < perf_n_counters; i++) {
        add_series(series, &perf_counters[i], subject, NULL, rows);
    }
    return series;
}

/* ---- answers ----------------------------------------------------------------------------------------- */

static struct PerfMetricId *metric_id(int32_t key, const char *instance)
{
    struct PerfMetricId *id = PerfMetricId_new();
    id->counterId = key;
    id->instance = g_strdup(instance);
    return id;
}

static void *normal_answer(const struct perf_row *rows, guint n, const GArray *series, int64_t *const *values)
{
    struct PerfEntityMetric *metric = PerfEntityMetric_new();
    for (guint r = 0; r < n; r++) {
        struct PerfSampleInfo *sample = PerfSampleInfo_new();
        sample->timestamp = rows[r].tick * INTERVAL_US;
        sample->interval = STATISTICS_INTERVAL_S;
        vim_array_add_object(&metric->sampleInfo, sample);
    }
    for (guint s = 0; s < series->len; s++) {
        const struct series *one = &g_array_index(series, struct series, s);
        struct PerfMetricIntSeries *numbers = PerfMetricIntSeries_new();
        numbers->id = metric_id(one->counter->key, one->instance);
        for (guint r = 0; r < n; r++) {
            vim_array_add(&numbers->value, &vim_type_long, &values[s][r]);
        }
        struct PerfMetricSeries *added = (struct PerfMetricSeries *)numbers;
        vim_array_add(&metric->value, &PerfMetricSeries_type, &added);
    }
    return metric;
}

static void *csv_answer(const struct perf_row *rows, guint n, const GArray *series, int64_t *const *values)
{
    struct PerfEntityMetricCSV *metric = PerfEntityMetricCSV_new();
    GString *samples = g_string_new(NULL);
    for (guint r = 0; r < n; r++) {
        g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(rows[r].tick * STATISTICS_INTERVAL_S);
        g_autofree char *text = g_date_time_format(time, "%Y-%m-%dT%H:%M:%SZ");
        g_string_append_printf(samples, "%s%d,%s", r > 0 ? "," : "", STATISTICS_INTERVAL_S, text);
    }
    metric->sampleInfoCSV = g_string_free(samples, FALSE);
    for (guint s = 0; s < series->len; s++) {
        const struct series *one = &g_array_index(series, struct series, s);
        struct PerfMetricSeriesCSV *numbers = PerfMetricSeriesCSV_new();
        GString *text = g_string_new(NULL);
        for (guint r = 0; r < n; r++) {
            g_string_append_printf(text, "%s%" G_GINT64_FORMAT, r > 0 ? "," : "", values[s][r]);
        }
        numbers->id = metric_id(one->counter->key, one->instance);
        numbers->value = g_string_free(text, FALSE);
        vim_array_add_object(&metric->value, numbers);
    }
    return metric;
}

/* The statistics of one object, whose spec was checked. */
static struct vim_fault *query(struct vim_call *call, const struct PerfQuerySpec *spec,
                               const struct vim_ref *entity, struct PerfEntityMetricBase **ret)
{
    SUBJECT_AUTO subject = {0};
    struct vim_fault *fault = subject_of(call, entity, "querySpec.entity", &subject);
    if (fault != NULL) {
        return fault;
    }
    GArray *all = rows_of(&subject, entity->id, spec->startTime, spec->endTime);
    guint skipped = spec->maxSample.set && all->len > (guint)spec->maxSample.value
                        ? all->len - (guint)spec->maxSample.value
                        : 0;
    guint n = all->len - skipped;
    const struct perf_row *rows = n > 0 ? &g_array_index(all, struct perf_row, skipped) : NULL;
    g_autoptr(GArray) series = series_of(spec, &subject, all);
    g_autofree int64_t **values = g_new0(int64_t *, series->len + 1);
    for (guint s = 0; s < series->len; s++) {
        const struct series *one = &g_array_index(series, struct series, s);
        values[s] = g_new0(int64_t, n + 1);
        perf_values(one->counter, &subject.object, one->instance, rows, n, values[s]);
    }
    bool csv = g_strcmp0(spec->format, "csv") == 0;
    *ret = csv ? csv_answer(rows, n, series, values) : normal_answer(rows, n, series, values);
    vim_ref_set(&(*ret)->entity, entity);
    for (guint s = 0; s < series->len; s++) {
        g_free(values[s]);
    }
    statistics_rows_free(all);
    return NULL;
}

static struct vim_fault *query_perf(struct vim_call *call, const struct QueryPerf_args *args,
                                    struct QueryPerf_result *ret)
{
    struct vim_fault *fault = NULL;
    for (uint32_t i = 0; i < args->querySpec.n && fault == NULL; i++) {
        fault = check_spec(args->querySpec.items[i]);
    }
    for (uint32_t i = 0; i < args->querySpec.n && fault == NULL; i++) {
        struct PerfEntityMetricBase *metric = NULL;
        const struct PerfQuerySpec *spec = args->querySpec.items[i];
        fault = query(call, spec, &spec->entity, &metric);
        if (fault == NULL) {
            vim_array_add(&ret->returnval, &PerfEntityMetricBase_type, &metric);
        }
    }
    return fault;
}

/* The machines of the host that the caller may read. */
static GPtrArray *children(struct vim_call *call, const struct vim_ref *entity)
{
    GPtrArray *ids = g_ptr_array_new_with_free_func(g_free);
    vim_read_lock(call->server->inventory);
    const struct vim_object *object = vim_inventory_find_ref(call->server->inventory, entity);
    if (object != NULL && entity->type == &HostSystem_type) {
        const struct HostSystem *system = object->properties;
        for (uint32_t i = 0; i < system->vm.n; i++) {
            g_ptr_array_add(ids, g_strdup(system->vm.items[i].id));
        }
    }
    vim_read_unlock(call->server->inventory);
    return ids;
}

static struct vim_fault *query_composite(struct vim_call *call, const struct QueryPerfComposite_args *args,
                                         struct QueryPerfComposite_result *ret)
{
    struct vim_fault *fault = check_spec(args->querySpec);
    struct PerfEntityMetricBase *own = NULL;
    if (fault == NULL) {
        fault = query(call, args->querySpec, &args->querySpec->entity, &own);
    }
    if (fault != NULL) {
        return fault;
    }
    ret->returnval = PerfCompositeMetric_new();
    ret->returnval->entity = own;
    g_autoptr(GPtrArray) ids = children(call, &args->querySpec->entity);
    for (guint i = 0; i < ids->len; i++) {
        struct vim_ref child = {&VirtualMachine_type, g_ptr_array_index(ids, i)};
        struct PerfEntityMetricBase *metric = NULL;
        VIM_FAULT_AUTO skipped = query(call, args->querySpec, &child, &metric); /* gone, or not to be read */
        if (skipped == NULL) {
            vim_array_add(&ret->returnval->childEntity, &PerfEntityMetricBase_type, &metric);
        }
    }
    return NULL;
}

static struct vim_fault *query_available(struct vim_call *call,
                                         const struct QueryAvailablePerfMetric_args *args,
                                         struct QueryAvailablePerfMetric_result *ret)
{
    SUBJECT_AUTO subject = {0};
    struct vim_fault *fault = subject_of(call, &args->entity, "entity", &subject);
    if (fault != NULL || (args->intervalId.set && args->intervalId.value != STATISTICS_INTERVAL_S)) {
        return fault; /* of another interval there are none */
    }
    GArray *rows = rows_of(&subject, args->entity.id, args->beginTime, args->endTime);
    g_autoptr(GArray) series = g_array_new(FALSE, FALSE, sizeof(struct series));
    g_array_set_clear_func(series, series_clear);
    for (size_t i = 0; i < perf_n_counters; i++) {
        add_series(series, &perf_counters[i], &subject, NULL, rows);
    }
    for (guint i = 0; i < series->len; i++) {
        const struct series *one = &g_array_index(series, struct series, i);
        vim_array_add_object(&ret->returnval, metric_id(one->counter->key, one->instance));
    }
    statistics_rows_free(rows);
    return NULL;
}

static struct vim_fault *query_provider_summary(struct vim_call *call,
                                                const struct QueryPerfProviderSummary_args *args,
                                                struct QueryPerfProviderSummary_result *ret)
{
    SUBJECT_AUTO subject = {0};
    struct vim_fault *fault = subject_of(call, &args->entity, "entity", &subject);
    if (fault != NULL) {
        return fault;
    }
    ret->returnval = PerfProviderSummary_new();
    vim_ref_set(&ret->returnval->entity, &args->entity);
    ret->returnval->currentSupported = true;
    vim_set_optional(&ret->returnval->refreshRate, STATISTICS_INTERVAL_S);
    return NULL;
}

static struct vim_fault *query_counter(struct vim_call *call, const struct QueryPerfCounter_args *args,
                                       struct QueryPerfCounter_result *ret)
{
    (void)call;
    for (uint32_t i = 0; i < args->counterId.n; i++) {
        if (perf_counter_by_key(args->counterId.items[i]) == NULL) {
            return fault_invalid_argument("counterId", "counterId: there is no counter with the key %d",
                                          args->counterId.items[i]);
        }
    }
    for (uint32_t i = 0; i < args->counterId.n; i++) {
        vim_array_add_object(&ret->returnval,
                             perf_counter_info(perf_counter_by_key(args->counterId.items[i])));
    }
    return NULL;
}

static struct vim_fault *query_counter_by_level(struct vim_call *call,
                                                const struct QueryPerfCounterByLevel_args *args,
                                                struct QueryPerfCounterByLevel_result *ret)
{
    (void)call;
    if (args->level < 1 || args->level > 4) {
        return fault_invalid_argument("level", "level: %d is not between 1 and 4", args->level);
    }
    for (size_t i = 0; i < perf_n_counters; i++) {
        if (perf_counters[i].level <= args->level) {
            vim_array_add_object(&ret->returnval, perf_counter_info(&perf_counters[i]));
        }
    }
    return NULL;
}

void host_performance_manager_fill(struct PerformanceManager *manager)
{
    manager->description = perf_description();
    for (size_t i = 0; i < perf_n_counters; i++) {
        vim_array_add_object(&manager->perfCounter, perf_counter_info(&perf_counters[i]));
    }
}

const struct PerformanceManager_methods host_performance_manager_methods = {
    .QueryPerfProviderSummary = query_provider_summary,
    .QueryAvailablePerfMetric = query_available,
    .QueryPerfCounter = query_counter,
    .QueryPerfCounterByLevel = query_counter_by_level,
    .QueryPerf = query_perf,
    .QueryPerfComposite = query_composite,
};
