// SPDX-License-Identifier: Apache-2.0
/*
 * Files of datastores over HTTP: /folder/<path>?dcPath=ha-datacenter&dsName=<datastore>, as ESX has it.
 *
 * GET and HEAD read a file, or list a folder as HTML; PUT writes a file, which appears when it is complete;
 * DELETE removes one. Who asks is known by his session, or by name and password (HTTP Basic), which is what
 * programs use that fetch a file and nothing else. Passwords take long to check, and storage may be slow:
 * both happen on a worker. Until the password of an upload has been checked the client waits.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/file.h"
#include "base/worker_pool.h"
#include "host/storage/datastore_files.h"
#include "vim/http.h"
#include "vim/http_login.h"
#include "vim/value.h"

enum {
    BUFFER_BYTES = 256 * 1024,           /* two of these for each upload */
    MAX_THROWN_AWAY_BYTES = 1024 * 1024, /* of an upload that was refused, so that the client reads why */
    MAX_LISTED = 100000,
    FILE_MODE = 0600,
};

/* ---- who asks for what ------------------------------------------------------------------------------ */

/* Why a request is refused; status 0: it is not. */
struct refusal {
    unsigned status;
    char *message; /* owned */
};

static struct refusal refuse(unsigned status, const char *format, ...) G_GNUC_PRINTF(2, 3);

static struct refusal refuse(unsigned status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    struct refusal refusal = {status, g_strdup_vprintf(format, args)};
    va_end(args);
    return refusal;
}

#define ALLOWED ((struct refusal){0, NULL})

static struct refusal refuse_errno(int error, const char *what)
{
    switch (-error) {
    case ENOENT:
    case ENOTDIR:
        return refuse(404, "%s: there is no such file or folder", what);
    case EEXIST:
    case EISDIR:
        return refuse(409, "%s: a folder or file of this name stands in the way", what);
    case EBUSY:
        return refuse(409, "%s: somebody else is writing it", what);
    case ESTALE:
        return refuse(409, "%s: it was removed meanwhile", what);
    case ENOSPC:
    case EDQUOT:
        return refuse(507, "%s: the datastore is full", what);
    case EACCES:
    case EPERM:
    case ELOOP:
    case EXDEV:
    case EROFS:
    case EINVAL:
        return refuse(403, "%s: this may not be accessed", what);
    case ENAMETOOLONG:
        return refuse(400, "%s: the name is too long", what);
    default:
        return refuse(500, "%s: %s", what, g_strerror(-error));
    }
}

/* Takes the fault, which may be NULL. */
static struct refusal refuse_fault(struct vim_fault *fault)
{
    if (fault == NULL) {
        return ALLOWED;
    }
    const struct vim_type *type = vim_fault_type(fault);
    unsigned status = type == &FileNotFound_type                                   ? 404
                      : type == &FileLocked_type || type == &CannotDeleteFile_type ? 409
                      : type == &CannotAccessFile_type                             ? 403
                                                                                   : 500;
    struct refusal refusal = refuse(status, "%s", fault->message);
    vim_fault_free(fault);
    return refusal;
}

/* A request, taken apart. */
struct visit {
    struct host *host;
    struct http_request *request; /* borrowed; until it is answered */
    struct http_login login;      /* who sends it; owned */
    struct file_place place;      /* datastore NULL: the list of datastores; owned */
    char *datastore_name;         /* owned, or NULL */
    char *datacenter;             /* owned, or NULL */
};

static void visit_free(struct visit *visit)
{
    http_login_clear(&visit->login);
    file_place_clear(&visit->place);
    g_free(visit->datastore_name);
    g_free(visit->datacenter);
    g_free(visit);
}

/* The part of the path behind /folder, or NULL when it is not below that. */
static const char *path_below(const char *path)
{
    size_t length = strlen("/folder");
    if (strncmp(path, "/folder", length) != 0 || (path[length] != '\0' && path[length] != '/')) {
        return NULL;
    }
    path += length;
    return path + strspn(path, "/");
}

/* Takes the request apart. On the server's thread: nothing here waits for storage. */
static struct refusal visit_new(struct host *host, struct http_request *request, const char *below,
                                struct visit **ret)
{
    struct visit *visit = g_new0(struct visit, 1);
    const char *rule = "";
    struct refusal refusal = ALLOWED;
    visit->host = host;
    visit->request = request;
    visit->datacenter = http_request_query_value(request, "dcPath");
    visit->datastore_name = http_request_query_value(request, "dsName");
    if (!http_login_take(host->server, request, &visit->login)) {
        refusal = refuse(401, "log in first, or send a user name and a password");
    } else if (datastore_path_parse_relative(below, -1, &visit->place.path, &rule) != 0) {
        refusal = refuse(400, "%s", rule);
    } else if (g_str_has_suffix(visit->place.path, FILE_NEW_SUFFIX)) {
        refusal = refuse(404, "there is no such file");
    }
    if (refusal.status != 0) {
        visit_free(visit);
    } else {
        *ret = visit;
    }
    return refusal;
}

/* On a worker. */
static struct refusal authenticate(struct visit *visit)
{
    return http_login_check(&visit->login) ? ALLOWED : refuse(401, "the user name or the password is wrong");
}

/* Finds the datastore and checks the privilege on it. After authenticate: a stranger learns of nothing. */
static struct refusal enter(struct visit *visit, enum vim_privilege privilege)
{
    /* Its inventory path: with the slash of the root folder, or without. */
    const char *datacenter = visit->datacenter;
    if (datacenter != NULL && !g_str_equal(datacenter + (datacenter[0] == '/'), HOST_DATACENTER_ID)) {
        return refuse(404, "there is no datacenter of this name");
    }
    if (visit->datastore_name == NULL) {
        bool lists = visit->place.path[0] == '\0' && privilege == VIM_PRIVILEGE_DATASTORE_BROWSE;
        return lists ? ALLOWED : refuse(400, "the query names no datastore (dsName)");
    }
    struct datastore *datastore = host_datastore(visit->host, visit->datastore_name);
    if (datastore == NULL) {
        return refuse(404, "there is no datastore of this name");
    }
    if (!http_login_allows(&visit->login, &datastore->ref, privilege)) {
        return refuse(403, "%s is needed for this", vim_privileges[privilege].id);
    }
    visit->place.datastore = datastore;
    visit->place.text = datastore_path_format(datastore->name, visit->place.path);
    return ALLOWED;
}

/* Answers, and takes the refusal. */
static void respond_refusal(struct http_request *request, struct refusal refusal)
{
    struct buffer body = BUFFER_INIT;
    buffer_append_string(&body, refusal.message);
    buffer_append_char(&body, '\n');
    http_respond(request, refusal.status, "text/plain; charset=utf-8", body,
                 refusal.status == 401 ? http_login_challenge : NULL);
    g_free(refusal.message);
}

/* ---- reading ---------------------------------------------------------------------------------------- */

/* What browsers are told so that an uploaded file is never a page of this server. */
static const struct http_header plain_headers[] = {
    {"X-Content-Type-Options", "nosniff"},
    {"Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; sandbox"},
    {"Cache-Control", "no-cache"},
    {NULL, NULL},
};

static void append_escaped(struct buffer *out, const char *text)
{
    g_autofree char *escaped = g_markup_escape_text(text, -1);
    buffer_append_string(out, escaped);
}

static void append_head(struct buffer *out, const char *title)
{
    buffer_append_literal(out, "<!DOCTYPE html>\n<html><head><meta charset=\"utf-8\"><title>");
    append_escaped(out, title);
    buffer_append_literal(out, "</title></head>\n<body><h1>");
    append_escaped(out, title);
    buffer_append_literal(out, "</h1>\n<table>\n");
}

/* A line of a listing: a link, and the size unless it is below 0. */
static void append_line(struct buffer *out, const struct datastore *datastore, const char *path,
                        const char *name, bool is_folder, int64_t size)
{
    g_autofree char *escaped_path = g_uri_escape_string(path, "/", FALSE);
    g_autofree char *escaped_datastore = g_uri_escape_string(datastore->name, NULL, FALSE);
    /* Nothing that is special in HTML is left by that. */
    buffer_printf(out, "<tr><td><a href=\"/folder/%s%s?dcPath=" HOST_DATACENTER_ID "&amp;dsName=%s\">",
                  escaped_path, is_folder && path[0] != '\0' ? "/" : "", escaped_datastore);
    append_escaped(out, name);
    buffer_append_string(out, is_folder ? "/</a></td><td>" : "</a></td><td>");
    if (size >= 0) {
        buffer_printf(out, "%" G_GINT64_FORMAT, size);
    }
    buffer_append_literal(out, "</td></tr>\n");
}

static void respond_page(struct visit *visit, struct buffer *page)
{
    buffer_append_literal(page, "</table></body></html>\n");
    http_respond(visit->request, 200, "text/html; charset=utf-8", *page, plain_headers);
}

static void list_datastores(struct visit *visit)
{
    struct host *host = visit->host;
    struct buffer page = BUFFER_INIT;
    g_autoptr(GPtrArray) datastores = host_datastores_copy(host);
    append_head(&page, "Datastores of " HOST_DATACENTER_ID);
    for (guint i = 0; i < datastores->len; i++) {
        const struct datastore *datastore = g_ptr_array_index(datastores, i);
        if (http_login_allows(&visit->login, &datastore->ref, VIM_PRIVILEGE_DATASTORE_BROWSE)) {
            append_line(&page, datastore, "", datastore->name, true, -1);
        }
    }
    respond_page(visit, &page);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Takes the folder's descriptor. */
static void list_folder(struct visit *visit, int fd)
{
    const struct file_place *place = &visit->place;
    g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
    struct buffer page = BUFFER_INIT;
    DIR *dir = fdopendir(fd);
    if (dir == NULL) {
        close(fd);
        respond_refusal(visit->request, refuse(500, "the folder cannot be read"));
        return;
    }
    for (const struct dirent *at = NULL; names->len < MAX_LISTED && (at = readdir(dir)) != NULL;) {
        if (file_name_is_shown(at->d_name)) {
            g_ptr_array_add(names, g_strdup(at->d_name));
        }
    }
    g_ptr_array_sort(names, compare_names);
    append_head(&page, place->text);
    if (place->path[0] != '\0') {
        g_autofree char *above = datastore_path_dirname(place->path);
        append_line(&page, place->datastore, above, "..", true, -1);
    }
    for (guint i = 0; i < names->len; i++) {
        const char *name = g_ptr_array_index(names, i);
        g_autofree char *path = datastore_path_join(place->path, name);
        struct stat st;
        if (fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            (S_ISREG(st.st_mode) || S_ISDIR(st.st_mode))) {
            bool is_folder = S_ISDIR(st.st_mode);
            append_line(&page, place->datastore, path, name, is_folder, is_folder ? -1 : (int64_t)st.st_size);
        }
    }
    closedir(dir);
    respond_page(visit, &page);
}

static const char *content_type(const char *path)
{
    static const char *const texts[] = {".vmx", ".vmsd", ".vmxf", ".log", ".txt"};
    for (size_t i = 0; i < G_N_ELEMENTS(texts); i++) {
        if (g_str_has_suffix(path, texts[i])) {
            return "text/plain; charset=utf-8";
        }
    }
    return "application/octet-stream";
}

/* The data of a disk change while a machine runs: a copy would be of no use. */
static struct refusal check_readable(const struct visit *visit)
{
    return g_str_has_suffix(visit->place.path, ".qcow2")
               ? refuse_fault(files_check_not_open(visit->host, &visit->place))
               : ALLOWED;
}

static void read_place(struct visit *visit)
{
    const struct file_place *place = &visit->place;
    struct stat st;
    int fd = -1;
    struct refusal refusal = check_readable(visit);
    if (refusal.status == 0) {
        int error =
            file_open(place->datastore->fd, place->path[0] != '\0' ? place->path : ".", O_RDONLY, 0, &fd);
        if (error == 0 && fstat(fd, &st) != 0) {
            error = -errno;
            close(fd);
        }
        refusal = error == 0 ? ALLOWED : refuse_errno(error, place->text);
    }
    if (refusal.status != 0) {
        respond_refusal(visit->request, refusal);
    } else if (S_ISDIR(st.st_mode)) {
        list_folder(visit, fd);
    } else {
        g_autofree char *etag = g_strdup_printf("\"%llx-%llx-%llx.%lx\"", (unsigned long long)st.st_ino,
                                                (unsigned long long)st.st_size,
                                                (unsigned long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
        const struct http_file file = {
            .fd = fd,
            .size = (uint64_t)st.st_size,
            .content_type = content_type(place->path),
            .etag = etag,
            .headers = plain_headers,
        };
        http_respond_file(visit->request, &file);
    }
}

/* GET and HEAD, on a worker. */
static void run_read(void *data)
{
    struct visit *visit = data;
    struct refusal refusal = authenticate(visit);
    if (refusal.status == 0) {
        refusal = enter(visit, VIM_PRIVILEGE_DATASTORE_BROWSE);
    }
    if (refusal.status != 0) {
        respond_refusal(visit->request, refusal);
    } else if (visit->place.datastore == NULL) {
        list_datastores(visit);
    } else {
        read_place(visit);
    }
    visit_free(visit);
}

/* DELETE, on a worker. */
static void run_delete(void *data)
{
    struct visit *visit = data;
    struct refusal refusal = authenticate(visit);
    if (refusal.status == 0) {
        refusal = enter(visit, VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT);
    }
    if (refusal.status == 0 && visit->place.path[0] == '\0') {
        refusal = refuse(409, "%s is the datastore itself", visit->place.text);
    }
    if (refusal.status == 0) {
        refusal = refuse_fault(file_delete(visit->host, &visit->place, false));
    }
    if (refusal.status != 0) {
        respond_refusal(visit->request, refusal);
    } else {
        http_respond(visit->request, 204, NULL, (struct buffer)BUFFER_INIT, NULL);
    }
    visit_free(visit);
}

/* ---- writing ---------------------------------------------------------------------------------------- */

/*
 * An upload: a sink whose steps run on a worker, one at a time.
 *
 *   open (password, privilege, place, new file) -> write buffer ... -> finish (last buffer, sync, rename)
 *
 * When a step is refused, nothing more is written: what the client sends on is thrown away, up to a limit,
 * and the handler tells it why. What is not committed is removed when the sink is freed.
 */
enum step {
    STEP_OPEN = 1,
    STEP_WRITE,
    STEP_FINISH,
};

struct upload {
    struct visit *visit;  /* owned */
    uint64_t thrown_away; /* bytes; the server's thread only */
    char *filling;        /* the server's thread's; owned */
    size_t filled;

    GMutex lock; /* guards all below, but for what the worker has while `working` */
    GCond idle;  /* working became false */
    bool working;
    bool waiting; /* the request is to be told when the step is done */
    bool finished;
    struct refusal refusal;

    enum step step; /* the worker's, like all below */
    char *writing;  /* owned */
    size_t write_length;
    uint64_t written; /* bytes in the file */
    uint64_t room;    /* how many there may be */
    bool replaces;    /* there was a file of this name */
    struct new_file file;
};

static uint64_t free_bytes(const struct datastore *datastore)
{
    struct statvfs fs;
    return fstatvfs(datastore->fd, &fs) == 0 ? (uint64_t)fs.f_bavail * fs.f_frsize : 0;
}

/* A registered machine's files are not written over; other files are, whole. */
static struct refusal check_writable(struct upload *upload)
{
    const struct file_place *place = &upload->visit->place;
    struct stat st;
    int error = file_place_stat(place, &st);
    upload->replaces = error == 0;
    if (error == 0 && !S_ISREG(st.st_mode)) {
        return refuse_errno(-EEXIST, place->text);
    }
    if (error != 0 && error != -ENOENT) {
        return refuse_errno(error, place->text);
    }
    return refuse_fault(files_check_unused(upload->visit->host, place));
}

static struct refusal step_open(struct upload *upload)
{
    struct visit *visit = upload->visit;
    struct refusal refusal = authenticate(visit);
    if (refusal.status == 0) {
        refusal = enter(visit, VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT);
    }
    if (refusal.status == 0 && visit->place.path[0] == '\0') {
        refusal = refuse(409, "%s is the datastore itself", visit->place.text);
    }
    if (refusal.status == 0) {
        refusal = check_writable(upload);
    }
    if (refusal.status != 0) {
        return refusal;
    }
    int64_t length = http_request_content_length(visit->request);
    upload->room = free_bytes(visit->place.datastore);
    if (length > 0 && (uint64_t)length > upload->room) {
        return refuse_errno(-ENOSPC, visit->place.text);
    }
    /* As ESX does, and clients that make a folder by a file in it rely on it. */
    g_autofree char *folder = datastore_path_dirname(visit->place.path);
    int error = folder[0] != '\0' ? file_mkdir(visit->place.datastore->fd, folder, 0755) : 0;
    if (error == 0) {
        error = new_file_begin(visit->place.datastore->fd, visit->place.path, FILE_MODE, &upload->file);
    }
    return error == 0 ? ALLOWED : refuse_errno(error, visit->place.text);
}

static struct refusal step_write(struct upload *upload)
{
    const char *text = upload->visit->place.text;
    if (upload->write_length > upload->room - upload->written) {
        return refuse_errno(-ENOSPC, text);
    }
    int error = file_write_all(upload->file.fd, upload->writing, upload->write_length);
    upload->written += upload->write_length;
    return error == 0 ? ALLOWED : refuse_errno(error, text);
}

static struct refusal step_finish(struct upload *upload)
{
    struct refusal refusal = step_write(upload);
    if (refusal.status == 0) {
        refusal = check_writable(upload); /* much may have happened meanwhile */
    }
    if (refusal.status == 0) {
        int error = new_file_commit(&upload->file, true);
        refusal = error == 0 ? ALLOWED : refuse_errno(error, upload->visit->place.text);
    }
    if (refusal.status == 0) {
        host_datastore_refresh(upload->visit->host, upload->visit->place.datastore);
    }
    return refusal;
}

/* The worker's job. */
static void run_step(void *data)
{
    struct upload *upload = data;
    struct refusal refusal = ALLOWED;
    switch (upload->step) {
    case STEP_OPEN:
        refusal = step_open(upload);
        break;
    case STEP_WRITE:
        refusal = step_write(upload);
        break;
    case STEP_FINISH:
        refusal = step_finish(upload);
        break;
    }
    /* All under the lock: upload_free waits for it, and the upload is gone right after. */
    g_mutex_lock(&upload->lock);
    upload->refusal = refusal;
    upload->finished = upload->step == STEP_FINISH;
    upload->working = false;
    if (upload->waiting) {
        upload->waiting = false;
        http_request_sink_ready(upload->visit->request);
    }
    g_cond_signal(&upload->idle);
    g_mutex_unlock(&upload->lock);
}

/* Begins a step with what has been filled. Called locked, with no step under way and none refused. */
static void start_step(struct upload *upload, enum step step)
{
    char *empty = upload->writing;
    upload->writing = upload->filling;
    upload->filling = empty;
    upload->write_length = upload->filled;
    upload->filled = 0;
    upload->step = step;
    upload->working = true;
    g_mutex_unlock(&upload->lock);
    if (worker_pool_push(upload->visit->host->server->workers, run_step, upload) != 0) {
        run_step(upload); /* slow, but nothing is lost */
    }
    g_mutex_lock(&upload->lock);
}

static ssize_t throw_away(struct upload *upload, size_t length)
{
    upload->thrown_away += length;
    if (upload->thrown_away <= MAX_THROWN_AWAY_BYTES) {
        return (ssize_t)length;
    }
    return upload->refusal.status == 507 ? -ENOSPC : -EIO;
}

static ssize_t upload_write(void *data, const char *bytes, size_t length)
{
    struct upload *upload = data;
    size_t taken = 0;
    g_mutex_lock(&upload->lock);
    while (taken < length && upload->refusal.status == 0) {
        if (upload->filled == BUFFER_BYTES) {
            if (upload->working) {
                upload->waiting = true;
                break;
            }
            start_step(upload, STEP_WRITE);
            continue;
        }
        if (upload->filling == NULL) {
            upload->filling = g_malloc(BUFFER_BYTES);
        }
        size_t n = MIN(length - taken, BUFFER_BYTES - upload->filled);
        memcpy(upload->filling + upload->filled, bytes + taken, n);
        upload->filled += n;
        taken += n;
    }
    bool refused = upload->refusal.status != 0;
    g_mutex_unlock(&upload->lock);
    return refused ? throw_away(upload, length) : (ssize_t)taken;
}

static int upload_finish(void *data)
{
    struct upload *upload = data;
    g_mutex_lock(&upload->lock);
    if (!upload->working && !upload->finished && upload->refusal.status == 0) {
        start_step(upload, STEP_FINISH);
    }
    bool working = upload->working;
    upload->waiting = working;
    g_mutex_unlock(&upload->lock);
    return working ? -EAGAIN : 0;
}

static void upload_free(void *data)
{
    struct upload *upload = data;
    g_mutex_lock(&upload->lock);
    upload->waiting = false; /* nobody would come */
    while (upload->working) {
        g_cond_wait(&upload->idle, &upload->lock);
    }
    g_mutex_unlock(&upload->lock);
    new_file_end(&upload->file);
    g_cond_clear(&upload->idle);
    g_mutex_clear(&upload->lock);
    g_free(upload->refusal.message);
    g_free(upload->filling);
    g_free(upload->writing);
    visit_free(upload->visit);
    g_free(upload);
}

void host_folder_begin(struct host *host, struct http_request *request)
{
    const char *below = path_below(http_request_path(request));
    struct visit *visit = NULL;
    if (below == NULL || strcmp(http_request_method(request), "PUT") != 0) {
        return;
    }
    struct refusal refusal = visit_new(host, request, below, &visit);
    if (refusal.status == 0 && visit->login.session != NULL) {
        refusal = enter(visit, VIM_PRIVILEGE_DATASTORE_FILE_MANAGEMENT);
        g_clear_pointer(&visit->place.text, g_free); /* the first step enters again */
        if (refusal.status != 0) {
            visit_free(visit);
        }
    }
    if (refusal.status != 0) {
        respond_refusal(request, refusal);
        return;
    }
    struct upload *upload = g_new0(struct upload, 1);
    upload->visit = visit;
    upload->file = (struct new_file)NEW_FILE_INIT;
    upload->step = STEP_OPEN;
    upload->working = true;
    g_mutex_init(&upload->lock);
    g_cond_init(&upload->idle);
    if (worker_pool_push(host->server->workers, run_step, upload) != 0) {
        upload->working = false;
        upload_free(upload);
        respond_refusal(request, refuse(503, "the server is busy; try again later"));
        return;
    }
    http_request_set_sink(
        request, &(struct http_sink){
                     .write = upload_write, .finish = upload_finish, .free = upload_free, .data = upload});
}

/* The upload is over, one way or the other. */
static void respond_upload(struct http_request *request)
{
    struct upload *upload = http_request_sink_data(request);
    if (upload == NULL) {
        respond_refusal(request, refuse(400, "this upload was not begun"));
    } else if (upload->refusal.status != 0) {
        respond_refusal(request, upload->refusal);
        upload->refusal.message = NULL;
    } else {
        http_respond(request, upload->replaces ? 200 : 201, NULL, (struct buffer)BUFFER_INIT, NULL);
    }
}

/* ---- the hook --------------------------------------------------------------------------------------- */

static void answer_later(struct host *host, struct http_request *request, const char *below,
                         void (*run)(void *visit))
{
    struct visit *visit = NULL;
    struct refusal refusal = visit_new(host, request, below, &visit);
    if (refusal.status != 0) {
        respond_refusal(request, refusal);
        return;
    }
    http_request_detach(request);
    if (worker_pool_push(host->server->workers, run, visit) != 0) {
        visit_free(visit);
        respond_refusal(request, refuse(503, "the server is busy; try again later"));
    }
}

bool host_folder_handle(struct host *host, struct http_request *request, const char *path)
{
    static const struct http_header allow[] = {{"Allow", "GET, HEAD, PUT, DELETE"}, {NULL, NULL}};
    const char *method = http_request_method(request);
    const char *below = path_below(path);
    if (below == NULL) {
        return false;
    }
    if (strcmp(method, "GET") == 0 || strcmp(method, "HEAD") == 0) {
        answer_later(host, request, below, run_read);
    } else if (strcmp(method, "DELETE") == 0) {
        answer_later(host, request, below, run_delete);
    } else if (strcmp(method, "PUT") == 0) {
        respond_upload(request);
    } else {
        http_respond(request, 405, NULL, (struct buffer)BUFFER_INIT, allow);
    }
    return true;
}
