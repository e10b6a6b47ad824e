// SPDX-License-Identifier: Apache-2.0
/*
 * The contents of a disk; see disk_content.h.
 *
 *   listen in our folder -> connect -> remove the name -> start qemu-nbd with the listening socket
 *
 * So nobody else comes to it, it finds a client waiting, and it ends when that one goes: also when we die.
 */
#include "host/storage/disk_content.h"

#include <errno.h>
#include <fcntl.h>
#include <glib.h>
#include <json-c/json.h>
#include <libnbd.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/program.h"
#include "base/random.h"

enum {
    CHAIN_MAX = 63,             /* files, which with the socket are what a program can be given */
    FIRST_FILE_FD = 4,          /* of the program; 3 is the socket */
    SOCKET_NAME_BYTES = 8,      /* random ones */
    STATUS_BYTES_MAX = 1 << 30, /* asked about at once */
    STATE_ZERO = 2,             /* NBD_STATE_ZERO of the NBD protocol: zeros are read there */
};

struct disk_content {
    struct nbd_handle *nbd; /* owned */
    pid_t pid;
    int64_t size;
};

static int fail(char **ret_message, int error, const char *what)
{
    *ret_message = g_strdup_printf("%s: %s", what, g_strerror(-error));
    return error;
}

/* What libnbd says of the last call that failed. */
static int nbd_fail(char **ret_message)
{
    int error = nbd_get_errno();
    const char *words = nbd_get_error();
    *ret_message =
        g_strdup_printf("the disk cannot be accessed: %s", words != NULL ? words : "no reason given");
    return error != 0 ? -error : -EIO;
}

/* ---- the process ------------------------------------------------------------------------------------ */

/* A connected pair: what qemu-nbd listens on, with our connection waiting in it. */
static int make_sockets(int run_fd, int *ret_listening, int *ret_connected)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    g_autofree char *name = random_hex(SOCKET_NAME_BYTES);
    int listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int connected = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = 0;
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/nbd-%s", run_fd, name);
    const char *base = strrchr(address.sun_path, '/') + 1;
    if (listening < 0 || connected < 0 ||
        bind(listening, (const struct sockaddr *)&address, sizeof(address)) < 0) {
        error = -errno;
    } else {
        if (listen(listening, 1) < 0 ||
            connect(connected, (const struct sockaddr *)&address, sizeof(address)) < 0) {
            error = -errno;
        }
        (void)unlinkat(run_fd, base, 0);
    }
    if (error == 0) {
        *ret_listening = listening;
        *ret_connected = connected;
        return 0;
    }
    if (listening >= 0) {
        close(listening);
    }
    if (connected >= 0) {
        close(connected);
    }
    return error;
}

/* The image as QEMU's block layer is told of it: "json:{...}", with nothing left to what the files say. */
static char *describe(const struct disk_content_file *files, size_t n_files)
{
    struct json_object *chain = NULL;
    for (size_t i = n_files; i-- > 0;) {
        g_autofree char *path = g_strdup_printf("/proc/self/fd/%zu", FIRST_FILE_FD + i);
        struct json_object *file = json_object_new_object();
        struct json_object *image = json_object_new_object();
        json_object_object_add(file, "driver", json_object_new_string("file"));
        json_object_object_add(file, "filename", json_object_new_string(path));
        json_object_object_add(file, "discard", json_object_new_string("unmap"));
        json_object_object_add(image, "driver", json_object_new_string(files[i].format));
        json_object_object_add(image, "discard", json_object_new_string("unmap"));
        json_object_object_add(image, "file", file);
        if (strcmp(files[i].format, "qcow2") == 0) {
            json_object_object_add(image, "backing", chain);
        }
        chain = image;
    }
    char *text = g_strconcat("json:", json_object_to_json_string_ext(chain, JSON_C_TO_STRING_PLAIN), NULL);
    json_object_put(chain);
    return text;
}

static int start(const struct disk_content_file *files, size_t n_files, bool writable, int listening,
                 int error_fd, pid_t *ret_pid)
{
    g_autofree char *image = describe(files, n_files);
    const char *argv[8] = {"qemu-nbd", "--shared=1", "--discard=unmap", "--detect-zeroes=unmap"};
    int fds[1 + CHAIN_MAX] = {listening};
    size_t n = 4;
    if (!writable) {
        argv[n++] = "--read-only";
    }
    argv[n++] = image;
    for (size_t i = 0; i < n_files; i++) {
        fds[1 + i] = files[i].fd;
    }
    struct program program = {
        .argv = argv,
        .fds = fds,
        .n_fds = 1 + n_files,
        .output_fd = -1,
        .error_fd = error_fd,
        .activated = true,
    };
    return program_start(&program, ret_pid);
}

/* Its first words, when it has ended before it has served anybody. */
static int explain(int read_fd, char **ret_message)
{
    char words[512];
    ssize_t n = read(read_fd, words, sizeof(words) - 1);
    words[MAX(n, 0)] = '\0';
    words[strcspn(words, "\n")] = '\0';
    if (words[0] == '\0') {
        return -EIO;
    }
    bool locked = strstr(words, "another process") != NULL || strstr(words, " lock") != NULL;
    const char *text = g_str_has_prefix(words, "qemu-nbd: ") ? words + strlen("qemu-nbd: ") : words;
    g_free(*ret_message);
    *ret_message = g_utf8_make_valid(text, -1);
    return locked ? -EBUSY : -EIO;
}

/* Consumes the socket. */
static int greet(struct disk_content *content, int connected, char **ret_message)
{
    content->nbd = nbd_create();
    if (content->nbd == NULL || nbd_add_meta_context(content->nbd, LIBNBD_CONTEXT_BASE_ALLOCATION) < 0) {
        close(connected);
        return nbd_fail(ret_message);
    }
    if (nbd_connect_socket(content->nbd, connected) < 0) {
        return nbd_fail(ret_message);
    }
    content->size = nbd_get_size(content->nbd);
    return content->size < 0 ? nbd_fail(ret_message) : 0;
}

int disk_content_open(int run_fd, const struct disk_content_file *files, size_t n_files, bool writable,
                      struct disk_content **ret, char **ret_message)
{
    struct disk_content *content = g_new0(struct disk_content, 1);
    int listening = -1;
    int connected = -1;
    int words[2] = {-1, -1};
    int error = n_files >= 1 && n_files <= CHAIN_MAX ? make_sockets(run_fd, &listening, &connected) : -E2BIG;
    if (error == 0 && pipe2(words, O_CLOEXEC | O_NONBLOCK) < 0) {
        error = -errno;
    }
    if (error == 0) {
        error = start(files, n_files, writable, listening, words[1], &content->pid);
    }
    if (listening >= 0) {
        close(listening);
    }
    if (words[1] >= 0) {
        close(words[1]);
    }
    if (error != 0) {
        fail(ret_message, error, "qemu-nbd cannot be started");
        if (connected >= 0) {
            close(connected);
        }
    } else {
        error = greet(content, connected, ret_message);
        if (error != 0) {
            int said = explain(words[0], ret_message);
            error = said != -EIO ? said : error;
        }
    }
    if (words[0] >= 0) {
        close(words[0]);
    }
    if (error != 0) {
        disk_content_close(content);
        return error;
    }
    *ret = content;
    return 0;
}

void disk_content_close(struct disk_content *content)
{
    if (content == NULL) {
        return;
    }
    if (content->nbd != NULL) {
        (void)nbd_shutdown(content->nbd, 0);
        nbd_close(content->nbd);
    }
    if (content->pid > 0) {
        (void)program_wait(content->pid);
    }
    g_free(content);
}

/* ---- reading and writing ---------------------------------------------------------------------------- */

int64_t disk_content_size(const struct disk_content *content)
{
    return content->size;
}

/* What base:allocation says from one offset on. */
struct extents {
    int64_t at;    /* where the next extent begins */
    int64_t start; /* of the first data, or -1 */
    bool done;     /* the data's end is found */
};

static int on_extents(void *data, const char *context, uint64_t offset, uint32_t *entries, size_t n,
                      int *nbd_error)
{
    struct extents *extents = data;
    (void)offset;
    (void)nbd_error;
    if (strcmp(context, LIBNBD_CONTEXT_BASE_ALLOCATION) != 0) {
        return 0;
    }
    for (size_t i = 0; i + 1 < n && !extents->done; i += 2) {
        bool hole = (entries[i + 1] & STATE_ZERO) != 0;
        if (hole && extents->start >= 0) {
            extents->done = true;
        } else {
            extents->start = !hole && extents->start < 0 ? extents->at : extents->start;
            extents->at += entries[i];
        }
    }
    return 0;
}

int disk_content_next(struct disk_content *content, int64_t from, int64_t *ret_start, int64_t *ret_end,
                      char **ret_message)
{
    struct extents extents = {.at = from, .start = -1};
    while (!extents.done && extents.at < content->size) {
        int64_t before = extents.at;
        uint64_t count = (uint64_t)MIN(content->size - extents.at, STATUS_BYTES_MAX);
        nbd_extent_callback callback = {.callback = on_extents, .user_data = &extents};
        if (nbd_block_status(content->nbd, count, (uint64_t)extents.at, callback, 0) < 0) {
            return nbd_fail(ret_message);
        }
        if (extents.at == before && !extents.done) {
            return fail(ret_message, -EPROTO, "the disk's map cannot be read");
        }
    }
    *ret_start = extents.start >= 0 ? extents.start : content->size;
    *ret_end = MIN(extents.at, content->size);
    return 0;
}

int disk_content_read(struct disk_content *content, void *ret, size_t length, int64_t offset,
                      char **ret_message)
{
    return nbd_pread(content->nbd, ret, length, (uint64_t)offset, 0) < 0 ? nbd_fail(ret_message) : 0;
}

int disk_content_write(struct disk_content *content, const void *data, size_t length, int64_t offset,
                       char **ret_message)
{
    return nbd_pwrite(content->nbd, data, length, (uint64_t)offset, 0) < 0 ? nbd_fail(ret_message) : 0;
}

int disk_content_flush(struct disk_content *content, char **ret_message)
{
    return nbd_flush(content->nbd, 0) < 0 ? nbd_fail(ret_message) : 0;
}
