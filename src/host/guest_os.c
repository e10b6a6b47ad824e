// SPDX-License-Identifier: Apache-2.0
/*
 * Guest operating systems by the VI API's identifiers (VirtualMachineGuestOsIdentifier).
 */
#include "host/guest_os.h"

#include <glib.h>

static const struct {
    const char *id;
    const char *full_name;
} guests[] = {
    {"centos64Guest", "CentOS 4/5 or later (64-bit)"},
    {"centos7_64Guest", "CentOS 7 (64-bit)"},
    {"centosGuest", "CentOS 4/5 or later (32-bit)"},
    {"coreos64Guest", "CoreOS Linux (64-bit)"},
    {"debian10Guest", "Debian GNU/Linux 10 (32-bit)"},
    {"debian10_64Guest", "Debian GNU/Linux 10 (64-bit)"},
    {"debian6Guest", "Debian GNU/Linux 6 (32-bit)"},
    {"debian6_64Guest", "Debian GNU/Linux 6 (64-bit)"},
    {"debian7_64Guest", "Debian GNU/Linux 7 (64-bit)"},
    {"debian8_64Guest", "Debian GNU/Linux 8 (64-bit)"},
    {"debian9_64Guest", "Debian GNU/Linux 9 (64-bit)"},
    {"dosGuest", "Microsoft MS-DOS"},
    {"fedora64Guest", "Red Hat Fedora (64-bit)"},
    {"fedoraGuest", "Red Hat Fedora (32-bit)"},
    {"freebsd64Guest", "FreeBSD (64-bit)"},
    {"freebsdGuest", "FreeBSD (32-bit)"},
    {"opensuse64Guest", "SUSE openSUSE (64-bit)"},
    {"oracleLinux64Guest", "Oracle Linux 4/5 or later (64-bit)"},
    {"oracleLinux7_64Guest", "Oracle Linux 7 (64-bit)"},
    {"os2Guest", "IBM OS/2"},
    {"other24xLinux64Guest", "Other 2.4.x Linux (64-bit)"},
    {"other26xLinux64Guest", "Other 2.6.x Linux (64-bit)"},
    {"other26xLinuxGuest", "Other 2.6.x Linux (32-bit)"},
    {"other3xLinux64Guest", "Other 3.x or later Linux (64-bit)"},
    {"other3xLinuxGuest", "Other 3.x Linux (32-bit)"},
    {"other4xLinux64Guest", "Other 4.x or later Linux (64-bit)"},
    {"otherGuest", "Other (32-bit)"},
    {"otherGuest64", "Other (64-bit)"},
    {"otherLinux64Guest", "Other Linux (64-bit)"},
    {"otherLinuxGuest", "Other Linux (32-bit)"},
    {"rhel5_64Guest", "Red Hat Enterprise Linux 5 (64-bit)"},
    {"rhel6_64Guest", "Red Hat Enterprise Linux 6 (64-bit)"},
    {"rhel7_64Guest", "Red Hat Enterprise Linux 7 (64-bit)"},
    {"sles12_64Guest", "SUSE Linux Enterprise 12 (64-bit)"},
    {"sles15_64Guest", "SUSE Linux Enterprise 15 (64-bit)"},
    {"solaris10_64Guest", "Oracle Solaris 10 (64-bit)"},
    {"solaris11_64Guest", "Oracle Solaris 11 (64-bit)"},
    {"ubuntu64Guest", "Ubuntu Linux (64-bit)"},
    {"ubuntuGuest", "Ubuntu Linux (32-bit)"},
    {"win2000ServGuest", "Microsoft Windows 2000 Server"},
    {"win95Guest", "Microsoft Windows 95"},
    {"win98Guest", "Microsoft Windows 98"},
    {"winLonghorn64Guest", "Microsoft Windows Server 2008 (64-bit)"},
    {"winNTGuest", "Microsoft Windows NT"},
    {"winNetStandardGuest", "Microsoft Windows Server 2003 Standard (32-bit)"},
    {"winXPProGuest", "Microsoft Windows XP Professional (32-bit)"},
    {"windows7Guest", "Microsoft Windows 7 (32-bit)"},
    {"windows7Server64Guest", "Microsoft Windows Server 2008 R2 (64-bit)"},
    {"windows7_64Guest", "Microsoft Windows 7 (64-bit)"},
    {"windows8Server64Guest", "Microsoft Windows Server 2012 (64-bit)"},
    {"windows8_64Guest", "Microsoft Windows 8.x (64-bit)"},
    {"windows9Guest", "Microsoft Windows 10 (32-bit)"},
    {"windows9Server64Guest", "Microsoft Windows Server 2016 or later (64-bit)"},
    {"windows9_64Guest", "Microsoft Windows 10 (64-bit)"},
};

const char *guest_os_full_name(const char *id)
{
    for (size_t i = 0; i < G_N_ELEMENTS(guests); i++) {
        if (g_str_equal(guests[i].id, id)) {
            return guests[i].full_name;
        }
    }
    return NULL;
}
