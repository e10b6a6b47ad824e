// SPDX-License-Identifier: Apache-2.0
/*
 * Mounts folders of file servers; see nas_mount.h.
 */
#include "host/storage/nas_mount.h"

#include <errno.h>
#include <glib.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/program.h"
#include "vim/types.h"
#include "vim/value.h"

enum {
    TIMEOUT_MS = 30 * 1000, /* of a program that mounts */
    NAME_MAX_BYTES = 255,   /* of a server's name */
    PATH_MAX_BYTES = 1023,  /* of a folder on it */
    ARGS_MAX = 16,
};

/* ---- kinds ------------------------------------------------------------------------------------------- */

/* The command that mounts one: strings that are not in the volume are freed with `owned`. */
struct command {
    const char *args[ARGS_MAX];
    size_t n;
    GPtrArray *owned;
};

static void add(struct command *command, const char *arg)
{
    g_assert(command->n + 1 < ARGS_MAX);
    command->args[command->n++] = arg;
}

static void take(struct command *command, char *arg)
{
    g_ptr_array_add(command->owned, arg);
    add(command, arg);
}

/* "server:/folder"; an address with colons in brackets. */
static char *source_of(const struct HostNasVolume *volume)
{
    const char *form = strchr(volume->remoteHost, ':') != NULL ? "[%s]:%s" : "%s:%s";
    return g_strdup_printf(form, volume->remoteHost, volume->remotePath); /* NOLINT: both are constant */
}

/*
 * Version 4 only: its locks are the server's, and what a client writes whose locks have expired is refused. hard: a
 * server that is away makes writers wait and never loses a write. retry=0: we try again ourselves.
 */
static void nfs_command(struct command *command, const struct HostNasVolume *volume, bool read_only)
{
    static const struct {
        const char *api;
        const char *option;
    } kinds[] = {
        {"AUTH_SYS", "hard,retry=0,sec=sys"},
        {"SEC_KRB5", "hard,retry=0,sec=krb5"},
        {"SEC_KRB5I", "hard,retry=0,sec=krb5i"},
    };
    const char *options = "hard,retry=0";
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        options = g_strcmp0(volume->securityType, kinds[i].api) == 0 ? kinds[i].option : options;
    }
    add(command, "mount");
    add(command, "-t");
    add(command, "nfs4");
    add(command, "-o");
    take(command, g_strconcat(options, read_only ? ",ro" : "", NULL));
    take(command, source_of(volume));
}

static void gluster_command(struct command *command, const struct HostNasVolume *volume, bool read_only)
{
    add(command, "mount");
    add(command, "-t");
    add(command, "glusterfs");
    if (read_only) {
        add(command, "-o");
        add(command, "ro");
    }
    take(command, source_of(volume));
}

static int gluster_check(const char *folder, char **ret_message);

/* The kinds of volumes, by the word that HostNasVolumeSpec.type has for them. */
static const struct kind {
    const char *type;
    /* The command's words up to the folder. */
    void (*command)(struct command *command, const struct HostNasVolume *volume, bool read_only);
    /* Looks, when it is mounted for writing, whether its locks are what they should be; or NULL. */
    int (*check)(const char *folder, char **ret_message);
} kinds[] = {
    {"NFS", nfs_command, NULL},
    {"NFS41", nfs_command, NULL},
    {"GLUSTERFS", gluster_command, gluster_check},
};

static const struct kind *kind_of(const char *type)
{
    for (size_t i = 0; i < G_N_ELEMENTS(kinds); i++) {
        if (g_str_equal(kinds[i].type, type)) {
            return &kinds[i];
        }
    }
    return NULL;
}

/* ---- what clients ask for ---------------------------------------------------------------------------- */

/* What mounting programs, some of them scripts, cannot take for something else. */
static bool is_plain(const char *text, const char *others, size_t max_bytes)
{
    size_t length = strlen(text);
    for (const char *at = text; *at != '\0'; at++) {
        if (!g_ascii_isalnum(*at) && strchr(others, *at) == NULL) {
            return false;
        }
    }
    return length > 0 && length <= max_bytes && text[0] != '-';
}

struct HostNasVolume *nas_volume_new(const struct HostNasVolumeSpec *spec, const char **ret_property,
                                     const char **ret_rule)
{
    const char *type = spec->type != NULL && spec->type[0] != '\0' ? spec->type : "NFS";
    bool nfs = g_str_has_prefix(type, "NFS");
    const struct {
        bool wrong;
        const char *property;
        const char *rule;
    } rules[] = {
        {kind_of(type) == NULL, "spec.type", "is not NFS, NFS41 or GLUSTERFS"},
        {!is_plain(spec->remoteHost, ".-:_", NAME_MAX_BYTES), "spec.remoteHost",
         "is not a server's name or address"},
        {!is_plain(spec->remotePath, "/._-+@=", PATH_MAX_BYTES) || spec->remotePath[0] != '/',
         "spec.remotePath", "is not an absolute path of letters, digits and /._-+@="},
        {!g_str_equal(spec->accessMode, "readWrite") && !g_str_equal(spec->accessMode, "readOnly"),
         "spec.accessMode", "is not readWrite or readOnly"},
        {spec->remoteHostNames.n > 1 ||
             (spec->remoteHostNames.n == 1 && !g_str_equal(spec->remoteHostNames.items[0], spec->remoteHost)),
         "spec.remoteHostNames", "names other servers than remoteHost: there is one path to a server"},
        {spec->userName != NULL && spec->userName[0] != '\0', "spec.userName",
         "is not used by these protocols"},
        {spec->securityType != NULL &&
             (!nfs || !g_strv_contains((const char *[]){"AUTH_SYS", "SEC_KRB5", "SEC_KRB5I", NULL},
                                       spec->securityType)),
         "spec.securityType", "is not AUTH_SYS, SEC_KRB5 or SEC_KRB5I of an NFS volume"},
    };
    for (size_t i = 0; i < G_N_ELEMENTS(rules); i++) {
        if (rules[i].wrong) {
            *ret_property = rules[i].property;
            *ret_rule = rules[i].rule;
            return NULL;
        }
    }
    struct HostNasVolume *volume = HostNasVolume_new();
    volume->type = g_strdup(type);
    volume->name = g_strdup(spec->localPath);
    volume->remoteHost = g_strdup(spec->remoteHost);
    volume->remotePath = g_strdup(spec->remotePath);
    volume->securityType = g_strdup(spec->securityType);
    vim_array_add_string(&volume->remoteHostNames, spec->remoteHost);
    return volume;
}

/* ---- GlusterFS --------------------------------------------------------------------------------------- */

/* The first line of a file of the volume's .meta folder, or NULL. */
static char *read_meta(const char *folder, const char *translator, const char *name)
{
    g_autofree char *path = g_build_filename(folder, ".meta", "graphs", "active", translator, name, NULL);
    char *text = NULL;
    if (!g_file_get_contents(path, &text, NULL, NULL)) {
        return NULL;
    }
    return g_strchomp(text);
}

static bool is_on(const char *value)
{
    static const char *const words[] = {"on", "yes", "true", "enable", "1", NULL};
    g_autofree char *lower = value != NULL ? g_ascii_strdown(value, -1) : NULL;
    return lower != NULL && g_strv_contains(words, lower);
}

/*
 * A brick drops the locks of a client that it has lost. Without strict locks that client opens its files again when it
 * comes back, and goes on writing to a disk that another host has taken over.
 */
static int gluster_check(const char *folder, char **ret_message)
{
    g_autofree char *path = g_build_filename(folder, ".meta", "graphs", "active", NULL);
    g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
    unsigned clients = 0;
    unsigned strict = 0;
    for (const char *at = NULL; dir != NULL && (at = g_dir_read_name(dir)) != NULL;) {
        g_autofree char *type = read_meta(folder, at, "type");
        if (g_strcmp0(type, "protocol/client") == 0) {
            g_autofree char *value = read_meta(folder, at, "options/strict-locks");
            clients++;
            strict += is_on(value) ? 1 : 0;
        }
    }
    if (clients > 0 && clients == strict) {
        return 0;
    }
    *ret_message = g_strdup("the volume lets clients write that have lost their locks: "
                            "gluster volume set VOLUME client.strict-locks on");
    return -EPERM;
}

/* ---- mounting ---------------------------------------------------------------------------------------- */

bool nas_is_mounted(const char *folder)
{
    g_autofree char *text = NULL;
    g_autofree char *parent = g_path_get_dirname(folder);
    g_autofree char *name = g_path_get_basename(folder);
    char *real = realpath(parent, NULL); /* of our own state folder: no server is asked */
    if (real == NULL || !g_file_get_contents("/proc/self/mountinfo", &text, NULL, NULL)) {
        free(real);
        return false;
    }
    g_autofree char *wanted = g_build_filename(real, name, NULL);
    free(real);
    g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
    bool found = false;
    for (char **line = lines; *line != NULL && !found; line++) {
        g_auto(GStrv) words = g_strsplit(*line, " ", 6);
        g_autofree char *point = g_strv_length(words) >= 5 ? g_strcompress(words[4]) : NULL;
        found = g_strcmp0(point, wanted) == 0;
    }
    return found;
}

/* The last line that a program said: its reason. */
static char *last_line(const GString *said)
{
    g_autofree char *text = g_utf8_make_valid(said->str, -1);
    g_strchomp(text);
    const char *newline = strrchr(text, '\n');
    return g_strdup(newline != NULL ? newline + 1 : text);
}

static int run(const struct command *command, char **ret_message)
{
    const struct program program = {.argv = command->args};
    g_autoptr(GString) said = g_string_new(NULL);
    int status = 0;
    int error = program_run(&program, TIMEOUT_MS, said, &status);
    if (error == -ETIMEDOUT) {
        *ret_message = g_strdup("the server does not answer");
    } else if (error != 0) {
        *ret_message = g_strdup_printf("%s cannot be started: %s", command->args[0], g_strerror(-error));
    } else if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        g_autofree char *reason = last_line(said);
        *ret_message = g_strdup(reason[0] != '\0' ? reason : "mount failed without saying why");
        error = -EIO;
    }
    return error;
}

int nas_mount(const struct HostNasVolume *volume, bool read_only, const char *folder, char **ret_message)
{
    const struct kind *kind = kind_of(volume->type);
    struct command command = {.owned = g_ptr_array_new_with_free_func(g_free)};
    if (kind == NULL || nas_is_mounted(folder)) {
        *ret_message = g_strdup_printf("%s cannot be mounted on %s: %s", volume->type, folder,
                                       kind == NULL ? "no such kind" : "something is mounted there");
        g_ptr_array_unref(command.owned);
        return kind == NULL ? -EINVAL : -EBUSY;
    }
    kind->command(&command, volume, read_only);
    add(&command, folder);
    int error = run(&command, ret_message);
    g_ptr_array_unref(command.owned);
    if (error == 0 && !nas_is_mounted(folder)) {
        *ret_message = g_strdup("the program that mounts said that it did, but nothing is mounted");
        error = -EIO;
    }
    if (error == 0 && kind->check != NULL && !read_only) {
        error = kind->check(folder, ret_message);
    }
    if (error != 0 && nas_is_mounted(folder)) {
        (void)umount2(folder, MNT_DETACH | UMOUNT_NOFOLLOW);
    }
    return error;
}

int nas_unmount(const char *folder, bool force, char **ret_message)
{
    if (!nas_is_mounted(folder)) {
        return 0;
    }
    if (umount2(folder, UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0)) == 0) {
        return 0;
    }
    int error = -errno;
    *ret_message = g_strdup_printf("%s cannot be unmounted: %s", folder, g_strerror(-error));
    return error;
}
