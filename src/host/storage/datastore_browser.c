// SPDX-License-Identifier: Apache-2.0
/*
 * HostDatastoreBrowser: lists and searches folders of a datastore.
 *
 * Each datastore has a browser of its own and the host has one for all; the datastore that the path names
 * counts. What is not shown: files in the making, symbolic links and special files, names that no datastore
 * path can hold, and a disk's data (name.qcow2), which belong to the descriptor beside them (name.vmdk).
 */
#include <errno.h>
#include <fcntl.h>
#include <dirent.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "host/storage/datastore_files.h"
#include "host/vm/vmx.h"
#include "vim/value.h"

enum {
    MAX_FOUND = 200000, /* files and folders of one search */
    MAX_DEPTH = 64,     /* of folders */
};

/* What kind of file a name stands for, which query selects it and how it is shown. */
static const struct kind {
    const char *suffix;
    const struct vim_type *query;
    const struct vim_type *info;
} kinds[] = {
    {".vmx", &VmConfigFileQuery_type, &VmConfigFileInfo_type},
    {".vmtx", &TemplateConfigFileQuery_type, &TemplateConfigFileInfo_type},
    {".vmdk", &VmDiskFileQuery_type, &VmDiskFileInfo_type},
    {".iso", &IsoImageFileQuery_type, &IsoImageFileInfo_type},
    {".flp", &FloppyImageFileQuery_type, &FloppyImageFileInfo_type},
    {".log", &VmLogFileQuery_type, &VmLogFileInfo_type},
    {".nvram", &VmNvramFileQuery_type, &VmNvramFileInfo_type},
    {".vmsn", &VmSnapshotFileQuery_type, &VmSnapshotFileInfo_type},
};
static const struct kind folder_kind = {"", &FolderFileQuery_type, &FolderFileInfo_type};
static const struct kind other_kind = {"", &FileQuery_type, &FileInfo_type};

/* One search, on a task's thread. */
struct search {
    struct vim_task *task;
    struct file_place place;                     /* where it begins; owned */
    struct HostDatastoreBrowserSearchSpec *spec; /* owned, or NULL */
    bool sub_folders;
    unsigned found;
    struct vim_array results; /* of struct HostDatastoreBrowserSearchResults */
};

static void search_free(void *data)
{
    struct search *search = data;
    for (uint32_t i = 0; i < search->results.n; i++) {
        vim_free(((void **)search->results.items)[i]);
    }
    g_free(search->results.items);
    file_place_clear(&search->place);
    vim_free(search->spec);
    g_free(search);
}

/* ---- what is wanted --------------------------------------------------------------------------------- */

/* Whether the whole name fits a pattern of characters, '?' (any one) and '*' (any number). Linear in the
 * product of both lengths, whatever a client thinks up. */
static bool fits(const char *pattern, const char *name)
{
    const char *star = NULL;  /* behind the last '*' met */
    const char *retry = NULL; /* where in the name its part ends for now */
    while (*name != '\0') {
        if (*pattern == '*') {
            star = ++pattern;
            retry = name;
        } else if (*pattern != '\0' &&
                   (*pattern == '?' || g_utf8_get_char(pattern) == g_utf8_get_char(name))) {
            pattern = g_utf8_next_char(pattern);
            name = g_utf8_next_char(name);
        } else if (star != NULL) {
            retry = g_utf8_next_char(retry);
            name = retry;
            pattern = star;
        } else {
            return false;
        }
    }
    while (*pattern == '*') {
        pattern++;
    }
    return *pattern == '\0';
}

static bool name_is_wanted(const struct HostDatastoreBrowserSearchSpec *spec, const char *name)
{
    if (spec == NULL || spec->matchPattern.n == 0) {
        return true;
    }
    bool fold = spec->searchCaseInsensitive.set && spec->searchCaseInsensitive.value;
    g_autofree char *folded_name = fold ? g_utf8_casefold(name, -1) : NULL;
    bool wanted = false;
    for (uint32_t i = 0; i < spec->matchPattern.n && !wanted; i++) {
        const char *pattern = spec->matchPattern.items[i];
        g_autofree char *folded = fold ? g_utf8_casefold(pattern, -1) : NULL;
        wanted = fold ? fits(folded, folded_name) : fits(pattern, name);
    }
    return wanted;
}

static const struct kind *kind_of(const char *name, bool is_folder)
{
    if (is_folder) {
        return &folder_kind;
    }
    const char *suffix = strrchr(name, '.');
    for (size_t i = 0; suffix != NULL && i < G_N_ELEMENTS(kinds); i++) {
        if (g_ascii_strcasecmp(suffix, kinds[i].suffix) == 0) {
            return &kinds[i];
        }
    }
    return &other_kind;
}

/* ---- what is shown ---------------------------------------------------------------------------------- */

static char *owner_name(uid_t uid)
{
    char text[4096];
    struct passwd entry;
    struct passwd *found = NULL;
    if (getpwuid_r(uid, &entry, text, sizeof(text), &found) == 0 && found != NULL) {
        return g_strdup(entry.pw_name);
    }
    return g_strdup_printf("%u", uid);
}

static const char *controller_type(const char *adapter_type)
{
    if (g_ascii_strcasecmp(adapter_type, "ide") == 0) {
        return "VirtualIDEController";
    }
    return g_ascii_strcasecmp(adapter_type, "buslogic") == 0 ? "VirtualBusLogicController"
                                                             : "VirtualLsiLogicController";
}

/* A file that may be wanted, and what its contents say as far as somebody has asked. */
struct candidate {
    const struct kind *kind;
    const struct file_place *place; /* borrowed */
    const struct stat *st;          /* borrowed */
    bool has_disk;                  /* it is a disk, and `disk` says which; to be cleared */
    struct disk_image_info disk;
    int config_version; /* of a .vmx; 0 when it does not say */
};

static int read_config_version(const struct file_place *place)
{
    g_autofree char *text = NULL;
    g_autofree char *message = NULL;
    struct vmx *vmx = NULL;
    size_t length = 0;
    if (file_read(place->datastore->fd, place->path, VMX_MAX_BYTES, &text, &length) != 0 ||
        vmx_parse(text, length, &vmx, &message) != 0) {
        return 0;
    }
    const char *value = vmx_get(vmx, "config.version");
    gint64 version = 0;
    if (value == NULL || !g_ascii_string_to_signed(value, 10, 1, G_MAXINT32, &version, NULL)) {
        version = 0;
    }
    vmx_free(vmx);
    return (int)version;
}

/* Looks into the file, of a kind of which there is something to tell. What cannot be read has nothing to tell. */
static void look_into(struct candidate *candidate)
{
    if (candidate->kind->query == &VmDiskFileQuery_type) {
        candidate->has_disk = disk_is_ours(candidate->place, &candidate->disk);
    } else if (candidate->kind->query == &VmConfigFileQuery_type ||
               candidate->kind->query == &TemplateConfigFileQuery_type) {
        candidate->config_version = read_config_version(candidate->place);
    }
}

static bool has_number(const struct vim_array *numbers, int number)
{
    bool found = numbers->n == 0;
    for (uint32_t i = 0; i < numbers->n && !found; i++) {
        found = ((const int32_t *)numbers->items)[i] == number;
    }
    return found;
}

static bool has_name(const struct vim_array *names, const char *name)
{
    bool found = names->n == 0;
    for (uint32_t i = 0; i < names->n && !found; i++) {
        found = g_str_equal(((char *const *)names->items)[i], name);
    }
    return found;
}

static bool disk_passes(const struct VmDiskFileQueryFilter *filter, const struct candidate *candidate)
{
    const struct disk_image_info *disk = &candidate->disk;
    bool thin = disk->provisioning == DISK_IMAGE_THIN;
    return candidate->has_disk && (!filter->encrypted.set || !filter->encrypted.value) &&
           (!filter->thin.set || filter->thin.value == thin) &&
           has_name((const struct vim_array *)(const void *)&filter->diskType,
                    VirtualDiskFlatVer2BackingInfo_type.name) &&
           has_number((const struct vim_array *)(const void *)&filter->matchHardwareVersion,
                      disk->hardware_version) &&
           has_name((const struct vim_array *)(const void *)&filter->controllerType,
                    controller_type(disk->adapter_type));
}

static bool config_passes(const struct VmConfigFileQueryFilter *filter, const struct candidate *candidate)
{
    return (!filter->encrypted.set || !filter->encrypted.value) &&
           has_number((const struct vim_array *)(const void *)&filter->matchConfigVersion,
                      candidate->config_version);
}

static bool query_selects(const struct FileQuery *query, const struct candidate *candidate)
{
    if (query->vim_type == &FileQuery_type) {
        return true;
    }
    if (!vim_type_is(candidate->kind->query, query->vim_type)) { /* a template's is a machine's as well */
        return false;
    }
    if (vim_is_a(query, &VmDiskFileQuery_type)) {
        const struct VmDiskFileQueryFilter *filter = ((const struct VmDiskFileQuery *)query)->filter;
        return filter == NULL || disk_passes(filter, candidate);
    }
    if (vim_is_a(query, &VmConfigFileQuery_type)) {
        const struct VmConfigFileQueryFilter *filter = ((const struct VmConfigFileQuery *)query)->filter;
        return filter == NULL || config_passes(filter, candidate);
    }
    return true;
}

/* Whether to look into files of this kind: names alone need none. */
static bool may_be_wanted(const struct HostDatastoreBrowserSearchSpec *spec, const struct kind *kind)
{
    bool wanted = spec != NULL && spec->query.n == 0 && spec->details != NULL && spec->details->fileType;
    for (uint32_t i = 0; spec != NULL && i < spec->query.n && !wanted; i++) {
        const struct vim_type *query = spec->query.items[i]->vim_type;
        wanted = query == &FileQuery_type || vim_type_is(kind->query, query);
    }
    return wanted;
}

/* Whether a search wants it; *ret_query is the query of its own kind that selects it, or NULL. */
static bool is_wanted(const struct HostDatastoreBrowserSearchSpec *spec, const struct candidate *candidate,
                      const struct FileQuery **ret_query)
{
    bool wanted = spec == NULL || spec->query.n == 0;
    *ret_query = NULL;
    for (uint32_t i = 0; spec != NULL && i < spec->query.n && *ret_query == NULL; i++) {
        const struct FileQuery *query = spec->query.items[i];
        if (query_selects(query, candidate)) {
            wanted = true;
            *ret_query = query->vim_type != &FileQuery_type ? query : NULL;
        }
    }
    return wanted;
}

/* All that there is to tell of a disk, for who has not said what he wants of disks. */
static const struct VmDiskFileQueryFlags all_of_disks = {
    .diskType = true,
    .capacityKb = true,
    .hardwareVersion = true,
    .controllerType = {true, true},
    .diskExtents = {true, true},
    .thin = {true, true},
};

/* What the files of a disk say, if it is one of ours; the size is that of both. */
static void describe_disk(const struct candidate *candidate, const struct FileQueryFlags *details,
                          const struct VmDiskFileQuery *query, struct VmDiskFileInfo *info)
{
    static const struct VmDiskFileQueryFlags none;
    const struct VmDiskFileQueryFlags *flags = &all_of_disks;
    const struct disk_image_info *disk = &candidate->disk;
    if (query != NULL) {
        flags = query->details != NULL ? query->details : &none;
    }
    if (flags->diskType) {
        info->diskType = g_strdup(VirtualDiskFlatVer2BackingInfo_type.name);
    }
    if (flags->capacityKb) {
        vim_set_optional(&info->capacityKb, disk->capacity_bytes / 1024);
    }
    if (flags->hardwareVersion && disk->hardware_version != 0) {
        vim_set_optional(&info->hardwareVersion, disk->hardware_version);
    }
    if (flags->controllerType.set && flags->controllerType.value) {
        info->controllerType = g_strdup(controller_type(disk->adapter_type));
    }
    if (flags->thin.set && flags->thin.value) {
        vim_set_optional(&info->thin, disk->provisioning == DISK_IMAGE_THIN);
    }
    if (flags->diskExtents.set && flags->diskExtents.value) {
        g_autofree char *data = datastore_path_format(candidate->place->datastore->name, disk->data_path);
        vim_array_add_string(&info->diskExtents, data);
    }
    if (details != NULL && details->fileSize) {
        vim_set_optional(&info->fileSize, disk->allocated_bytes);
    }
}

static void describe_config(const struct candidate *candidate, const struct VmConfigFileQuery *query,
                            struct VmConfigFileInfo *info)
{
    bool wanted = query == NULL || (query->details != NULL && query->details->configVersion);
    if (wanted && candidate->config_version != 0) {
        vim_set_optional(&info->configVersion, candidate->config_version);
    }
}

static struct FileInfo *describe(const struct search *search, const struct candidate *candidate,
                                 const struct FileQuery *query)
{
    const struct HostDatastoreBrowserSearchSpec *spec = search->spec;
    const struct FileQueryFlags *details = spec != NULL ? spec->details : NULL;
    /* Who asks for certain kinds is shown them as such. */
    bool typed = spec != NULL && (spec->query.n > 0 || (details != NULL && details->fileType));
    struct FileInfo *info = vim_new(typed ? candidate->kind->info : &FileInfo_type);
    info->path = g_strdup(datastore_path_basename(candidate->place->path));
    if (details != NULL && details->fileSize) {
        vim_set_optional(&info->fileSize, (int64_t)candidate->st->st_size);
    }
    if (details != NULL && details->modification) {
        info->modification =
            (int64_t)candidate->st->st_mtim.tv_sec * 1000000 + candidate->st->st_mtim.tv_nsec / 1000;
    }
    if (details != NULL && details->fileOwner) {
        info->owner = owner_name(candidate->st->st_uid);
    }
    if (vim_is_a(info, &VmDiskFileInfo_type) && candidate->has_disk) {
        describe_disk(candidate, details, (const struct VmDiskFileQuery *)query,
                      (struct VmDiskFileInfo *)info);
    } else if (vim_is_a(info, &VmConfigFileInfo_type)) {
        describe_config(candidate, (const struct VmConfigFileQuery *)query, (struct VmConfigFileInfo *)info);
    }
    return info;
}

/* ---- searching -------------------------------------------------------------------------------------- */

/* An entry of a folder. */
struct entry {
    char *name;
    struct stat st;
};

static void entry_free(void *data)
{
    struct entry *entry = data;
    g_free(entry->name);
    g_free(entry);
}

static int compare_entries(const void *a, const void *b)
{
    const struct entry *const *first = a;
    const struct entry *const *second = b;
    return strcmp((*first)->name, (*second)->name);
}

static int compare_folders_first(const void *a, const void *b)
{
    const struct entry *const *first = a;
    const struct entry *const *second = b;
    int order = (S_ISDIR((*second)->st.st_mode) != 0) - (S_ISDIR((*first)->st.st_mode) != 0);
    return order != 0 ? order : compare_entries(a, b);
}

/* Data of a disk whose descriptor stands beside them. */
static bool is_disk_data(int dir_fd, const char *name)
{
    struct stat st;
    if (!g_str_has_suffix(name, ".qcow2")) {
        return false;
    }
    g_autofree char *descriptor = datastore_path_with_suffix(name, ".vmdk");
    return fstatat(dir_fd, descriptor, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode);
}

/* All of a folder that is shown. 0 or a negative errno. */
static int read_folder(const struct datastore *datastore, const char *path, GPtrArray *entries)
{
    int fd = -1;
    int error = file_open(datastore->fd, path[0] != '\0' ? path : ".", O_RDONLY | O_DIRECTORY, 0, &fd);
    if (error != 0) {
        return error == -ENOTDIR ? -ENOENT : error;
    }
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        return -ENOMEM;
    }
    const struct dirent *at = NULL;
    while (entries->len < MAX_FOUND && (errno = 0, at = readdir(dir)) != NULL) {
        struct stat st;
        if (!file_name_is_shown(at->d_name) || fstatat(fd, at->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
            (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) || is_disk_data(fd, at->d_name)) {
            continue;
        }
        struct entry *entry = g_new0(struct entry, 1);
        entry->name = g_strdup(at->d_name);
        entry->st = st;
        g_ptr_array_add(entries, entry);
    }
    error = at == NULL ? -errno : 0;
    closedir(dir);
    return error;
}

static struct HostDatastoreBrowserSearchResults *results_new(const struct datastore *datastore,
                                                             const char *path)
{
    struct HostDatastoreBrowserSearchResults *results = HostDatastoreBrowserSearchResults_new();
    results->datastore = vim_ref_copy(&datastore->ref);
    results->folderPath = datastore_path_format(datastore->name, path);
    return results;
}

static struct vim_fault *search_folder(struct search *search, const char *path, unsigned depth);

/* Adds an entry to the results of its folder when it is wanted. */
static void search_entry(const struct search *search, const struct entry *entry, const char *path,
                         struct HostDatastoreBrowserSearchResults *results)
{
    const struct HostDatastoreBrowserSearchSpec *spec = search->spec;
    const struct FileQuery *query = NULL;
    FILE_PLACE_AUTO(place);
    if (!name_is_wanted(spec, entry->name)) {
        return;
    }
    place.datastore = search->place.datastore;
    place.path = g_strdup(path);
    struct candidate candidate = {
        .kind = kind_of(entry->name, S_ISDIR(entry->st.st_mode)),
        .place = &place,
        .st = &entry->st,
    };
    if (may_be_wanted(spec, candidate.kind)) {
        look_into(&candidate);
    }
    if (is_wanted(spec, &candidate, &query)) {
        vim_array_add_object(&results->file, describe(search, &candidate, query));
    }
    if (candidate.has_disk) {
        disk_image_info_clear(&candidate.disk);
    }
}

/* One folder's results, and after them those of the folders below. */
static struct vim_fault *search_entries(struct search *search, const char *path, const GPtrArray *entries,
                                        unsigned depth)
{
    struct HostDatastoreBrowserSearchResults *results = results_new(search->place.datastore, path);
    struct vim_fault *fault = NULL;
    vim_array_add_object(&search->results, results);
    for (guint i = 0; i < entries->len && !vim_task_is_cancelled(search->task); i++) {
        const struct entry *entry = g_ptr_array_index(entries, i);
        g_autofree char *inner = datastore_path_join(path, entry->name);
        search_entry(search, entry, inner, results);
    }
    for (guint i = 0; search->sub_folders && i < entries->len && fault == NULL; i++) {
        const struct entry *entry = g_ptr_array_index(entries, i);
        if (S_ISDIR(entry->st.st_mode)) {
            g_autofree char *inner = datastore_path_join(path, entry->name);
            fault = search_folder(search, inner, depth + 1);
        }
    }
    return fault;
}

static struct vim_fault *search_folder(struct search *search, const char *path, unsigned depth)
{
    const struct datastore *datastore = search->place.datastore;
    const struct HostDatastoreBrowserSearchSpec *spec = search->spec;
    g_autoptr(GPtrArray) entries = g_ptr_array_new_with_free_func(entry_free);
    g_autofree char *text = datastore_path_format(datastore->name, path);
    if (vim_task_is_cancelled(search->task)) {
        return fault_request_canceled("the search was cancelled");
    }
    if (depth > MAX_DEPTH) {
        return fault_cannot_access_file(text, "%s: the folders are nested too deeply", text);
    }
    int error = read_folder(datastore, path, entries);
    if (error == -ENOENT && depth > 0) {
        return NULL; /* removed while we were searching */
    }
    if (error != 0) {
        return host_file_fault(text, error, "the folder cannot be read");
    }
    search->found += entries->len;
    if (search->found > MAX_FOUND) {
        return fault_limit_exceeded(NULL, MAX_FOUND, "%s: more than %d files: search in smaller folders",
                                    search->place.text, MAX_FOUND);
    }
    bool folders_first = spec != NULL && spec->sortFoldersFirst.set && spec->sortFoldersFirst.value;
    g_ptr_array_sort(entries, folders_first ? compare_folders_first : compare_entries);
    return search_entries(search, path, entries, depth);
}

static struct vim_fault *search_run(struct vim_task *task, void *data)
{
    struct search *search = data;
    search->task = task;
    struct vim_fault *fault = search_folder(search, search->place.path, 0);
    if (fault != NULL) {
        return fault;
    }
    const struct vim_type *type = &HostDatastoreBrowserSearchResults_type;
    if (search->sub_folders) {
        vim_task_set_result(task, vim_any_new(type, true, &search->results));
    } else {
        vim_task_set_result(task, vim_any_new(type, false, search->results.items));
    }
    return NULL;
}

static struct vim_fault *search_start(struct vim_call *call, const char *path,
                                      const struct HostDatastoreBrowserSearchSpec *spec, bool sub_folders,
                                      struct vim_ref *ret)
{
    FILE_PLACE_AUTO(place);
    struct vim_fault *fault =
        file_place_of_call(call, path, "datastorePath", NULL, VIM_PRIVILEGE_DATASTORE_BROWSE, &place);
    if (fault != NULL) {
        return fault;
    }
    struct search *search = g_new0(struct search, 1);
    search->spec = vim_copy(spec);
    search->sub_folders = sub_folders;
    struct vim_task_spec task = {
        .description_id =
            sub_folders ? "HostDatastoreBrowser.searchSubFolders" : "HostDatastoreBrowser.search",
        .entity = place.datastore->ref,
        .run = search_run,
        .data = search,
        .data_free = search_free,
        .cancelable = true,
    };
    search->place = place;
    place = (struct file_place){0}; /* moved */
    return vim_task_start(call->server, call, &task, ret);
}

static struct vim_fault *search_one(struct vim_call *call, const struct SearchDatastore_Task_args *args,
                                    struct SearchDatastore_Task_result *ret)
{
    return search_start(call, args->datastorePath, args->searchSpec, false, &ret->returnval);
}

static struct vim_fault *search_all(struct vim_call *call,
                                    const struct SearchDatastoreSubFolders_Task_args *args,
                                    struct SearchDatastoreSubFolders_Task_result *ret)
{
    return search_start(call, args->datastorePath, args->searchSpec, true, &ret->returnval);
}

/* One file, at once; its disk's data go with it. */
static struct vim_fault *delete_file(struct vim_call *call, const struct DeleteFile_args *args)
{
    FILE_PLACE_AUTO(place);
    struct vim_fault *fault = file_place_of_call(call, args->datastorePath, "datastorePath", NULL,
                                                 VIM_PRIVILEGE_DATASTORE_DELETE_FILE, &place);
    if (fault == NULL) {
        fault = file_place_check_target(&place, "datastorePath");
    }
    return fault != NULL ? fault : file_delete(call->server->hooks_data, &place, false);
}

const struct HostDatastoreBrowser_methods host_datastore_browser_methods = {
    .DeleteFile = delete_file,
    .SearchDatastore_Task = search_one,
    .SearchDatastoreSubFolders_Task = search_all,
};
