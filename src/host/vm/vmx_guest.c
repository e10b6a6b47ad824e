// SPDX-License-Identifier: Apache-2.0
/*
 * Guest operating systems in .vmx files; see vmx_guest.h. The file's word follows from the identifier by
 * rule, but the identifier's capitals do not follow from the word, so all identifiers are tried.
 */
#include "host/vm/vmx_guest.h"

#include <glib.h>
#include <string.h>

#include "host/vm/guest_os.h"

/* Where the rule does not hold. */
static const struct {
    const char *id;
    const char *word;
} exceptions[] = {
    {"genericLinuxGuest", "linux"},
    {"otherGuest64", "other-64"},
    {"vmwarePhoton64Guest", "vmware-photon-64"},
    {"winLonghorn64Guest", "longhorn-64"},
    {"winLonghornGuest", "longhorn"},
    {"windowsHyperVGuest", "winhyperv"},
};

/* "windows9Server64Guest" is "windows9srv-64": lower case, no "Guest", "srv", and "-64" at the end. */
static char *word_of(const char *id)
{
    g_autoptr(GString) word = NULL;

    for (size_t i = 0; i < G_N_ELEMENTS(exceptions); i++) {
        if (strcmp(id, exceptions[i].id) == 0) {
            return g_strdup(exceptions[i].word);
        }
    }
    word = g_string_new(id);
    g_string_replace(word, "Guest", "", 0);
    g_string_replace(word, "Server", "srv", 0);
    if (g_str_has_suffix(word->str, "64")) {
        g_string_truncate(word, word->len - 2);
        if (g_str_has_suffix(word->str, "_")) {
            g_string_truncate(word, word->len - 1);
        }
        g_string_append(word, "-64");
    }
    g_string_ascii_down(word);
    return g_string_free(g_steal_pointer(&word), FALSE);
}

const char *vmx_guest_to_api(const char *word)
{
    for (size_t i = 0; i < guest_os_count; i++) {
        const char *id = guest_os_list[i].id;
        g_autofree char *known = word_of(id);

        if (g_ascii_strcasecmp(word, known) == 0 || g_ascii_strcasecmp(word, id) == 0) {
            return id;
        }
    }
    return NULL;
}

char *vmx_guest_from_api(const char *id)
{
    g_autofree char *word = word_of(id);
    const char *back = vmx_guest_to_api(word);

    return back != NULL && strcmp(back, id) == 0 ? g_steal_pointer(&word) : g_strdup(id);
}
