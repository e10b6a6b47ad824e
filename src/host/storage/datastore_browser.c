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
    {".vmtx", &VmConfigFileQuery_type, &TemplateConfigFileInfo_type},
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

static bool kind_is_wanted(const struct HostDatastoreBrowserSearchSpec *spec, const struct kind *kind)
{
    bool wanted = spec == NULL || spec->query.n == 0;
    for (uint32_t i = 0; !wanted && i < spec->query.n; i++) {
        const struct vim_type *query = spec->query.items[i]->vim_type;
        wanted = query == &FileQuery_type || query == kind->query;
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

/* What the files of a disk say, if it is one of ours; the size is that of both. */
static void describe_disk(const struct file_place *place, const struct FileQueryFlags *details,
                          struct VmDiskFileInfo *info)
{
    struct disk_image_info disk;
    if (!disk_is_ours(place, &disk)) {
        return;
    }
    info->diskType = g_strdup(VirtualDiskFlatVer2BackingInfo_type.name);
    info->controllerType = g_strdup(controller_type(disk.adapter_type));
    vim_set_optional(&info->capacityKb, disk.capacity_bytes / 1024);
    vim_set_optional(&info->thin, disk.provisioning == DISK_IMAGE_THIN);
    g_autofree char *data = datastore_path_format(place->datastore->name, disk.data_path);
    vim_array_add_string(&info->diskExtents, data);
    if (details->fileSize) {
        vim_set_optional(&info->fileSize, disk.allocated_bytes);
    }
    disk_image_info_clear(&disk);
}

static struct FileInfo *describe(const struct search *search, const struct kind *kind,
                                 const struct file_place *place, const struct stat *st)
{
    const struct HostDatastoreBrowserSearchSpec *spec = search->spec;
    const struct FileQueryFlags *details = spec != NULL ? spec->details : NULL;
    /* Who asks for certain kinds is shown them as such. */
    bool typed = spec != NULL && (spec->query.n > 0 || (details != NULL && details->fileType));
    struct FileInfo *info = vim_new(typed ? kind->info : &FileInfo_type);
    info->path = g_strdup(datastore_path_basename(place->path));
    if (details == NULL) {
        return info;
    }
    if (details->fileSize) {
        vim_set_optional(&info->fileSize, (int64_t)st->st_size);
    }
    if (details->modification) {
        info->modification = (int64_t)st->st_mtim.tv_sec * 1000000 + st->st_mtim.tv_nsec / 1000;
    }
    if (details->fileOwner) {
        info->owner = owner_name(st->st_uid);
    }
    if (vim_is_a(info, &VmDiskFileInfo_type)) {
        describe_disk(place, details, (struct VmDiskFileInfo *)info);
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
    const struct kind *kind = kind_of(entry->name, S_ISDIR(entry->st.st_mode));
    if (kind_is_wanted(search->spec, kind) && name_is_wanted(search->spec, entry->name)) {
        FILE_PLACE_AUTO(place);
        place.datastore = search->place.datastore;
        place.path = g_strdup(path);
        vim_array_add_object(&results->file, describe(search, kind, &place, &entry->st));
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

const struct HostDatastoreBrowser_methods host_datastore_browser_methods = {
    .SearchDatastore_Task = search_one,
    .SearchDatastoreSubFolders_Task = search_all,
};
