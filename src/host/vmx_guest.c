// SPDX-License-Identifier: Apache-2.0
/*
 * Guest operating systems in .vmx files; see vmx_guest.h. The file's word follows from the identifier by
 * rule, but the identifier's capitals do not follow from the word, so there is a list of identifiers.
 */
#include "host/vmx_guest.h"

#include <glib.h>
#include <string.h>

/* VirtualMachineGuestOsIdentifier of the VI API. Names that only this list misses still work: they stand in
 * the file as they are. */
static const char *const ids[] = {
    "almalinux_64Guest",
    "amazonlinux2_64Guest",
    "amazonlinux3_64Guest",
    "asianux3_64Guest",
    "asianux3Guest",
    "asianux4_64Guest",
    "asianux4Guest",
    "asianux5_64Guest",
    "asianux7_64Guest",
    "asianux8_64Guest",
    "centos64Guest",
    "centos6_64Guest",
    "centos6Guest",
    "centos7_64Guest",
    "centos7Guest",
    "centos8_64Guest",
    "centos9_64Guest",
    "centosGuest",
    "coreos64Guest",
    "crxPod1Guest",
    "darwin10_64Guest",
    "darwin10Guest",
    "darwin11_64Guest",
    "darwin11Guest",
    "darwin12_64Guest",
    "darwin13_64Guest",
    "darwin14_64Guest",
    "darwin15_64Guest",
    "darwin16_64Guest",
    "darwin17_64Guest",
    "darwin18_64Guest",
    "darwin19_64Guest",
    "darwin20_64Guest",
    "darwin21_64Guest",
    "darwin64Guest",
    "darwinGuest",
    "debian10_64Guest",
    "debian10Guest",
    "debian11_64Guest",
    "debian11Guest",
    "debian12_64Guest",
    "debian12Guest",
    "debian4_64Guest",
    "debian4Guest",
    "debian5_64Guest",
    "debian5Guest",
    "debian6_64Guest",
    "debian6Guest",
    "debian7_64Guest",
    "debian7Guest",
    "debian8_64Guest",
    "debian8Guest",
    "debian9_64Guest",
    "debian9Guest",
    "dosGuest",
    "eComStation2Guest",
    "eComStationGuest",
    "fedora64Guest",
    "fedoraGuest",
    "freebsd11_64Guest",
    "freebsd11Guest",
    "freebsd12_64Guest",
    "freebsd12Guest",
    "freebsd13_64Guest",
    "freebsd13Guest",
    "freebsd14_64Guest",
    "freebsd14Guest",
    "freebsd64Guest",
    "freebsdGuest",
    "genericLinuxGuest",
    "mandrakeGuest",
    "mandriva64Guest",
    "mandrivaGuest",
    "netware4Guest",
    "netware5Guest",
    "netware6Guest",
    "nld9Guest",
    "oesGuest",
    "openServer5Guest",
    "openServer6Guest",
    "opensuse64Guest",
    "opensuseGuest",
    "oracleLinux64Guest",
    "oracleLinux6_64Guest",
    "oracleLinux6Guest",
    "oracleLinux7_64Guest",
    "oracleLinux7Guest",
    "oracleLinux8_64Guest",
    "oracleLinux9_64Guest",
    "oracleLinuxGuest",
    "os2Guest",
    "other24xLinux64Guest",
    "other24xLinuxGuest",
    "other26xLinux64Guest",
    "other26xLinuxGuest",
    "other3xLinux64Guest",
    "other3xLinuxGuest",
    "other4xLinux64Guest",
    "other4xLinuxGuest",
    "other5xLinux64Guest",
    "other5xLinuxGuest",
    "other6xLinux64Guest",
    "other6xLinuxGuest",
    "otherGuest",
    "otherGuest64",
    "otherLinux64Guest",
    "otherLinuxGuest",
    "redhatGuest",
    "rhel2Guest",
    "rhel3_64Guest",
    "rhel3Guest",
    "rhel4_64Guest",
    "rhel4Guest",
    "rhel5_64Guest",
    "rhel5Guest",
    "rhel6_64Guest",
    "rhel6Guest",
    "rhel7_64Guest",
    "rhel7Guest",
    "rhel8_64Guest",
    "rhel9_64Guest",
    "rockylinux_64Guest",
    "sjdsGuest",
    "sles10_64Guest",
    "sles10Guest",
    "sles11_64Guest",
    "sles11Guest",
    "sles12_64Guest",
    "sles12Guest",
    "sles15_64Guest",
    "sles16_64Guest",
    "sles64Guest",
    "slesGuest",
    "solaris10_64Guest",
    "solaris10Guest",
    "solaris11_64Guest",
    "solaris6Guest",
    "solaris7Guest",
    "solaris8Guest",
    "solaris9Guest",
    "suse64Guest",
    "suseGuest",
    "turboLinux64Guest",
    "turboLinuxGuest",
    "ubuntu64Guest",
    "ubuntuGuest",
    "unixWare7Guest",
    "vmkernel5Guest",
    "vmkernel65Guest",
    "vmkernel6Guest",
    "vmkernel7Guest",
    "vmkernel8Guest",
    "vmkernelGuest",
    "vmwarePhoton64Guest",
    "win2000AdvServGuest",
    "win2000ProGuest",
    "win2000ServGuest",
    "win31Guest",
    "win95Guest",
    "win98Guest",
    "windows11_64Guest",
    "windows12_64Guest",
    "windows2019srv_64Guest",
    "windows2019srvNext_64Guest",
    "windows2022srvNext_64Guest",
    "windows7_64Guest",
    "windows7Guest",
    "windows7Server64Guest",
    "windows8_64Guest",
    "windows8Guest",
    "windows8Server64Guest",
    "windows9_64Guest",
    "windows9Guest",
    "windows9Server64Guest",
    "windowsHyperVGuest",
    "winLonghorn64Guest",
    "winLonghornGuest",
    "winMeGuest",
    "winNetBusinessGuest",
    "winNetDatacenter64Guest",
    "winNetDatacenterGuest",
    "winNetEnterprise64Guest",
    "winNetEnterpriseGuest",
    "winNetStandard64Guest",
    "winNetStandardGuest",
    "winNetWebGuest",
    "winNTGuest",
    "winVista64Guest",
    "winVistaGuest",
    "winXPHomeGuest",
    "winXPPro64Guest",
    "winXPProGuest",
};

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
    for (size_t i = 0; i < G_N_ELEMENTS(ids); i++) {
        g_autofree char *known = word_of(ids[i]);

        if (g_ascii_strcasecmp(word, known) == 0 || g_ascii_strcasecmp(word, ids[i]) == 0) {
            return ids[i];
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
