// SPDX-License-Identifier: Apache-2.0
/*
 * The table of guest operating systems; see guest_os.h. What suits a system follows from the drivers that it
 * brings along, checked against what QEMU and its firmware can start from: SeaBIOS every controller here, OVMF
 * neither LSI Logic, SAS nor PVSCSI. docs/guest-os.md is made of this file by tools/guest_os.py.
 */
#include "host/vm/guest_os.h"

#include <glib.h>

/* clang-format off */
static const struct guest_os_profile dos = {
    .name = "DOS, Windows 3.1", .family = "otherGuestFamily",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET,
    .firmware = "bios", .sound = "VirtualSoundBlaster16", .max_cpus = 1,
    .min_memory_mb = 4, .recommended_memory_mb = 16, .max_memory_mb = 64, .disk_gb = 2,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_LEGACY,
};
static const struct guest_os_profile win9x = {
    .name = "Windows 95, 98, ME", .family = "windowsGuest",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET,
    .firmware = "bios", .sound = "VirtualSoundBlaster16", .max_cpus = 1,
    .min_memory_mb = 16, .recommended_memory_mb = 64, .max_memory_mb = 512, .disk_gb = 2,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_LEGACY,
};
static const struct guest_os_profile winnt = {
    .name = "Windows NT", .family = "windowsGuest",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET,
    .firmware = "bios", .sound = "VirtualSoundBlaster16", .max_cpus = 4,
    .min_memory_mb = 16, .recommended_memory_mb = 256, .max_memory_mb = 4096, .disk_gb = 4,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_LEGACY,
};
static const struct guest_os_profile win2000 = {
    .name = "Windows 2000", .family = "windowsGuest",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE | GUEST_OS_LSI,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualEnsoniq1371", .max_cpus = 4,
    .min_memory_mb = 64, .recommended_memory_mb = 512, .max_memory_mb = 8192, .disk_gb = 8,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_LEGACY,
};
static const struct guest_os_profile winxp = {
    .name = "Windows XP, Server 2003", .family = "windowsGuest",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE | GUEST_OS_LSI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualEnsoniq1371", .max_cpus = 8,
    .min_memory_mb = 128, .recommended_memory_mb = 1024, .max_memory_mb = 1048576, .disk_gb = 40,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_LEGACY,
};
static const struct guest_os_profile winvista = {
    .name = "Windows Vista, 7, Server 2008", .family = "windowsGuest",
    .disk = GUEST_OS_SAS, .disks = GUEST_OS_IDE | GUEST_OS_SAS | GUEST_OS_AHCI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 512, .recommended_memory_mb = 2048, .max_memory_mb = 2097152, .disk_gb = 40,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_LEGACY | GUEST_OS_EFI | GUEST_OS_HOT_ADD,
};
static const struct guest_os_profile win8 = {
    .name = "Windows 8, Server 2012", .family = "windowsGuest",
    .disk = GUEST_OS_SAS, .disks = GUEST_OS_IDE | GUEST_OS_SAS | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_E1000E, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 1024, .recommended_memory_mb = 4096, .max_memory_mb = 4194304, .disk_gb = 60,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_EFI | GUEST_OS_SECURE_BOOT | GUEST_OS_HOT_ADD | GUEST_OS_USB3 | GUEST_OS_LEGACY,
};
static const struct guest_os_profile win10 = {
    .name = "Windows 10, Server 2016 to 2022", .family = "windowsGuest",
    .disk = GUEST_OS_NVME, .disks = GUEST_OS_IDE | GUEST_OS_SAS | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_E1000E, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "efi", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 1024, .recommended_memory_mb = 4096, .max_memory_mb = 6291456, .disk_gb = 60,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_EFI | GUEST_OS_SECURE_BOOT | GUEST_OS_TPM | GUEST_OS_HOT_ADD | GUEST_OS_USB3,
};
static const struct guest_os_profile win11 = {
    .name = "Windows 11 and later", .family = "windowsGuest",
    .disk = GUEST_OS_NVME, .disks = GUEST_OS_IDE | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_E1000E, .cards = GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "efi", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 4096, .recommended_memory_mb = 8192, .max_memory_mb = 6291456, .disk_gb = 64,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_NO_HPET | GUEST_OS_EFI | GUEST_OS_SECURE_BOOT | GUEST_OS_TPM | GUEST_OS_HOT_ADD | GUEST_OS_USB3,
};
static const struct guest_os_profile linux24 = {
    .name = "Linux 2.4 and older", .family = "linuxGuest",
    .disk = GUEST_OS_LSI, .disks = GUEST_OS_IDE | GUEST_OS_LSI,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualEnsoniq1371", .max_cpus = 8,
    .min_memory_mb = 32, .recommended_memory_mb = 256, .max_memory_mb = 65536, .disk_gb = 8,
    .traits = GUEST_OS_LEGACY,
};
static const struct guest_os_profile linux26 = {
    .name = "Linux 2.6 before 2.6.33", .family = "linuxGuest",
    .disk = GUEST_OS_LSI, .disks = GUEST_OS_IDE | GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_AHCI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualEnsoniq1371", .max_cpus = 32,
    .min_memory_mb = 64, .recommended_memory_mb = 1024, .max_memory_mb = 1048576, .disk_gb = 16,
    .traits = GUEST_OS_LEGACY | GUEST_OS_HOT_ADD,
};
static const struct guest_os_profile linux3 = {
    .name = "Linux 2.6.33 to 3", .family = "linuxGuest",
    .disk = GUEST_OS_PVSCSI, .disks = GUEST_OS_IDE | GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_PVSCSI | GUEST_OS_AHCI,
    .card = GUEST_OS_VMXNET3, .cards = GUEST_OS_PCNET | GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 128,
    .min_memory_mb = 256, .recommended_memory_mb = 2048, .max_memory_mb = 4194304, .disk_gb = 16,
    .traits = GUEST_OS_EFI | GUEST_OS_HOT_ADD | GUEST_OS_USB3,
};
static const struct guest_os_profile linux4 = {
    .name = "Linux 4 and later", .family = "linuxGuest",
    .disk = GUEST_OS_PVSCSI, .disks = GUEST_OS_IDE | GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_PVSCSI | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_VMXNET3, .cards = GUEST_OS_PCNET | GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 255,
    .min_memory_mb = 256, .recommended_memory_mb = 2048, .max_memory_mb = 6291456, .disk_gb = 16,
    .traits = GUEST_OS_EFI | GUEST_OS_SECURE_BOOT | GUEST_OS_TPM | GUEST_OS_HOT_ADD | GUEST_OS_USB3,
};
static const struct guest_os_profile freebsd = {
    .name = "FreeBSD before 11", .family = "otherGuestFamily",
    .disk = GUEST_OS_LSI, .disks = GUEST_OS_IDE | GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_AHCI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualEnsoniq1371", .max_cpus = 32,
    .min_memory_mb = 64, .recommended_memory_mb = 512, .max_memory_mb = 1048576, .disk_gb = 20,
    .traits = GUEST_OS_LEGACY,
};
static const struct guest_os_profile freebsd11 = {
    .name = "FreeBSD 11 and later", .family = "otherGuestFamily",
    .disk = GUEST_OS_AHCI, .disks = GUEST_OS_IDE | GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_VMXNET3, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 128, .recommended_memory_mb = 1024, .max_memory_mb = 4194304, .disk_gb = 20,
    .traits = GUEST_OS_EFI | GUEST_OS_USB3,
};
static const struct guest_os_profile solaris = {
    .name = "Solaris before 10", .family = "solarisGuest",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET,
    .firmware = "bios", .sound = "VirtualEnsoniq1371", .max_cpus = 1,
    .min_memory_mb = 128, .recommended_memory_mb = 256, .max_memory_mb = 4096, .disk_gb = 8,
    .traits = GUEST_OS_LEGACY,
};
static const struct guest_os_profile solaris10 = {
    .name = "Solaris 10 and 11", .family = "solarisGuest",
    .disk = GUEST_OS_AHCI, .disks = GUEST_OS_IDE | GUEST_OS_AHCI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 512, .recommended_memory_mb = 4096, .max_memory_mb = 1048576, .disk_gb = 20,
    .traits = 0,
};
static const struct guest_os_profile netware = {
    .name = "NetWare", .family = "netwareGuest",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET,
    .firmware = "bios", .sound = "VirtualSoundBlaster16", .max_cpus = 4,
    .min_memory_mb = 64, .recommended_memory_mb = 512, .max_memory_mb = 4096, .disk_gb = 4,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_LEGACY,
};
static const struct guest_os_profile os2 = {
    .name = "OS/2, eComStation", .family = "otherGuestFamily",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET,
    .firmware = "bios", .sound = "VirtualSoundBlaster16", .max_cpus = 1,
    .min_memory_mb = 16, .recommended_memory_mb = 128, .max_memory_mb = 2048, .disk_gb = 4,
    .traits = GUEST_OS_LOCAL_TIME | GUEST_OS_LEGACY,
};
static const struct guest_os_profile sco = {
    .name = "SCO OpenServer, UnixWare", .family = "otherGuestFamily",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE,
    .card = GUEST_OS_PCNET, .cards = GUEST_OS_PCNET | GUEST_OS_E1000,
    .firmware = "bios", .sound = "VirtualSoundBlaster16", .max_cpus = 4,
    .min_memory_mb = 64, .recommended_memory_mb = 256, .max_memory_mb = 4096, .disk_gb = 8,
    .traits = GUEST_OS_LEGACY,
};
static const struct guest_os_profile darwin = {
    .name = "macOS", .family = "darwinGuestFamily",
    .disk = GUEST_OS_AHCI, .disks = GUEST_OS_AHCI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E,
    .firmware = "efi", .sound = "VirtualHdAudioCard", .max_cpus = 32,
    .min_memory_mb = 1024, .recommended_memory_mb = 4096, .max_memory_mb = 131072, .disk_gb = 40,
    .traits = GUEST_OS_EFI | GUEST_OS_SMC,
};
static const struct guest_os_profile vmkernel = {
    .name = "VMware ESXi", .family = "otherGuestFamily",
    .disk = GUEST_OS_AHCI, .disks = GUEST_OS_IDE | GUEST_OS_AHCI,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 64,
    .min_memory_mb = 4096, .recommended_memory_mb = 8192, .max_memory_mb = 6291456, .disk_gb = 40,
    .traits = 0,
};
static const struct guest_os_profile vmkernel6 = {
    .name = "VMware ESXi 6.5 and later", .family = "otherGuestFamily",
    .disk = GUEST_OS_AHCI, .disks = GUEST_OS_IDE | GUEST_OS_PVSCSI | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_VMXNET3, .cards = GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 128,
    .min_memory_mb = 4096, .recommended_memory_mb = 8192, .max_memory_mb = 6291456, .disk_gb = 40,
    .traits = GUEST_OS_EFI | GUEST_OS_SECURE_BOOT | GUEST_OS_TPM,
};
static const struct guest_os_profile other = {
    .name = "Other systems", .family = "otherGuestFamily",
    .disk = GUEST_OS_IDE, .disks = GUEST_OS_IDE | GUEST_OS_LSI | GUEST_OS_SAS | GUEST_OS_PVSCSI | GUEST_OS_AHCI | GUEST_OS_NVME,
    .card = GUEST_OS_E1000, .cards = GUEST_OS_PCNET | GUEST_OS_E1000 | GUEST_OS_E1000E | GUEST_OS_VMXNET3,
    .firmware = "bios", .sound = "VirtualHdAudioCard", .max_cpus = 255,
    .min_memory_mb = 4, .recommended_memory_mb = 256, .max_memory_mb = 6291456, .disk_gb = 8,
    .traits = GUEST_OS_EFI,
};

const struct guest_os guest_os_list[] = {
    {"dosGuest", "Microsoft MS-DOS", &dos, 16},
    {"win31Guest", "Microsoft Windows 3.1", &dos, 16},
    {"win95Guest", "Microsoft Windows 95", &win9x, 32},
    {"win98Guest", "Microsoft Windows 98", &win9x, 32},
    {"winMeGuest", "Microsoft Windows Millennium Edition", &win9x, 32},
    {"winNTGuest", "Microsoft Windows NT (32-bit)", &winnt, 32},
    {"win2000ProGuest", "Microsoft Windows 2000 Professional (32-bit)", &win2000, 32},
    {"win2000ServGuest", "Microsoft Windows 2000 Server (32-bit)", &win2000, 32},
    {"win2000AdvServGuest", "Microsoft Windows 2000 Advanced Server (32-bit)", &win2000, 32},
    {"winXPHomeGuest", "Microsoft Windows XP Home Edition (32-bit)", &winxp, 32},
    {"winXPProGuest", "Microsoft Windows XP Professional (32-bit)", &winxp, 32},
    {"winXPPro64Guest", "Microsoft Windows XP Professional (64-bit)", &winxp, 64},
    {"winNetWebGuest", "Microsoft Windows Server 2003 Web (32-bit)", &winxp, 32},
    {"winNetStandardGuest", "Microsoft Windows Server 2003 Standard (32-bit)", &winxp, 32},
    {"winNetEnterpriseGuest", "Microsoft Windows Server 2003 Enterprise (32-bit)", &winxp, 32},
    {"winNetDatacenterGuest", "Microsoft Windows Server 2003 Datacenter (32-bit)", &winxp, 32},
    {"winNetBusinessGuest", "Microsoft Windows Small Business Server 2003 (32-bit)", &winxp, 32},
    {"winNetStandard64Guest", "Microsoft Windows Server 2003 Standard (64-bit)", &winxp, 64},
    {"winNetEnterprise64Guest", "Microsoft Windows Server 2003 Enterprise (64-bit)", &winxp, 64},
    {"winNetDatacenter64Guest", "Microsoft Windows Server 2003 Datacenter (64-bit)", &winxp, 64},
    {"winLonghornGuest", "Microsoft Windows Server 2008 (32-bit)", &winvista, 32},
    {"winLonghorn64Guest", "Microsoft Windows Server 2008 (64-bit)", &winvista, 64},
    {"winVistaGuest", "Microsoft Windows Vista (32-bit)", &winvista, 32},
    {"winVista64Guest", "Microsoft Windows Vista (64-bit)", &winvista, 64},
    {"windows7Guest", "Microsoft Windows 7 (32-bit)", &winvista, 32},
    {"windows7_64Guest", "Microsoft Windows 7 (64-bit)", &winvista, 64},
    {"windows7Server64Guest", "Microsoft Windows Server 2008 R2 (64-bit)", &winvista, 64},
    {"windows8Guest", "Microsoft Windows 8.x (32-bit)", &win8, 32},
    {"windows8_64Guest", "Microsoft Windows 8.x (64-bit)", &win8, 64},
    {"windows8Server64Guest", "Microsoft Windows Server 2012 (64-bit)", &win8, 64},
    {"windows9Guest", "Microsoft Windows 10 (32-bit)", &win10, 32},
    {"windows9_64Guest", "Microsoft Windows 10 (64-bit)", &win10, 64},
    {"windows9Server64Guest", "Microsoft Windows Server 2016 or later (64-bit)", &win10, 64},
    {"windows2019srv_64Guest", "Microsoft Windows Server 2019 (64-bit)", &win10, 64},
    {"windows2019srvNext_64Guest", "Microsoft Windows Server 2022 (64-bit)", &win10, 64},
    {"windows2022srvNext_64Guest", "Microsoft Windows Server 2025 (64-bit)", &win11, 64},
    {"windows11_64Guest", "Microsoft Windows 11 (64-bit)", &win11, 64},
    {"windows12_64Guest", "Microsoft Windows 12 (64-bit)", &win11, 64},
    {"windowsHyperVGuest", "Microsoft Hyper-V Server (64-bit)", &win10, 64},
    {"freebsdGuest", "FreeBSD Pre-11 versions (32-bit)", &freebsd, 32},
    {"freebsd64Guest", "FreeBSD Pre-11 versions (64-bit)", &freebsd, 64},
    {"freebsd11Guest", "FreeBSD 11 (32-bit)", &freebsd11, 32},
    {"freebsd11_64Guest", "FreeBSD 11 (64-bit)", &freebsd11, 64},
    {"freebsd12Guest", "FreeBSD 12 (32-bit)", &freebsd11, 32},
    {"freebsd12_64Guest", "FreeBSD 12 (64-bit)", &freebsd11, 64},
    {"freebsd13Guest", "FreeBSD 13 (32-bit)", &freebsd11, 32},
    {"freebsd13_64Guest", "FreeBSD 13 (64-bit)", &freebsd11, 64},
    {"freebsd14Guest", "FreeBSD 14 or later (32-bit)", &freebsd11, 32},
    {"freebsd14_64Guest", "FreeBSD 14 or later (64-bit)", &freebsd11, 64},
    {"redhatGuest", "Red Hat Linux (32-bit)", &linux24, 32},
    {"rhel2Guest", "Red Hat Enterprise Linux 2.1 (32-bit)", &linux24, 32},
    {"rhel3Guest", "Red Hat Enterprise Linux 3 (32-bit)", &linux24, 32},
    {"rhel3_64Guest", "Red Hat Enterprise Linux 3 (64-bit)", &linux24, 64},
    {"rhel4Guest", "Red Hat Enterprise Linux 4 (32-bit)", &linux26, 32},
    {"rhel4_64Guest", "Red Hat Enterprise Linux 4 (64-bit)", &linux26, 64},
    {"rhel5Guest", "Red Hat Enterprise Linux 5 (32-bit)", &linux26, 32},
    {"rhel5_64Guest", "Red Hat Enterprise Linux 5 (64-bit)", &linux26, 64},
    {"rhel6Guest", "Red Hat Enterprise Linux 6 (32-bit)", &linux3, 32},
    {"rhel6_64Guest", "Red Hat Enterprise Linux 6 (64-bit)", &linux3, 64},
    {"rhel7Guest", "Red Hat Enterprise Linux 7 (32-bit)", &linux3, 32},
    {"rhel7_64Guest", "Red Hat Enterprise Linux 7 (64-bit)", &linux3, 64},
    {"rhel8_64Guest", "Red Hat Enterprise Linux 8 (64-bit)", &linux4, 64},
    {"rhel9_64Guest", "Red Hat Enterprise Linux 9 (64-bit)", &linux4, 64},
    {"centosGuest", "CentOS 4/5 (32-bit)", &linux26, 32},
    {"centos64Guest", "CentOS 4/5 (64-bit)", &linux26, 64},
    {"centos6Guest", "CentOS 6 (32-bit)", &linux3, 32},
    {"centos6_64Guest", "CentOS 6 (64-bit)", &linux3, 64},
    {"centos7Guest", "CentOS 7 (32-bit)", &linux3, 32},
    {"centos7_64Guest", "CentOS 7 (64-bit)", &linux3, 64},
    {"centos8_64Guest", "CentOS 8 (64-bit)", &linux4, 64},
    {"centos9_64Guest", "CentOS 9 (64-bit)", &linux4, 64},
    {"oracleLinuxGuest", "Oracle Linux 4/5 (32-bit)", &linux26, 32},
    {"oracleLinux64Guest", "Oracle Linux 4/5 (64-bit)", &linux26, 64},
    {"oracleLinux6Guest", "Oracle Linux 6 (32-bit)", &linux3, 32},
    {"oracleLinux6_64Guest", "Oracle Linux 6 (64-bit)", &linux3, 64},
    {"oracleLinux7Guest", "Oracle Linux 7 (32-bit)", &linux3, 32},
    {"oracleLinux7_64Guest", "Oracle Linux 7 (64-bit)", &linux3, 64},
    {"oracleLinux8_64Guest", "Oracle Linux 8 (64-bit)", &linux4, 64},
    {"oracleLinux9_64Guest", "Oracle Linux 9 (64-bit)", &linux4, 64},
    {"almalinux_64Guest", "AlmaLinux (64-bit)", &linux4, 64},
    {"rockylinux_64Guest", "Rocky Linux (64-bit)", &linux4, 64},
    {"suseGuest", "SUSE Linux (32-bit)", &linux24, 32},
    {"suse64Guest", "SUSE Linux (64-bit)", &linux26, 64},
    {"slesGuest", "SUSE Linux Enterprise 8/9 (32-bit)", &linux24, 32},
    {"sles64Guest", "SUSE Linux Enterprise 8/9 (64-bit)", &linux26, 64},
    {"sles10Guest", "SUSE Linux Enterprise 10 (32-bit)", &linux26, 32},
    {"sles10_64Guest", "SUSE Linux Enterprise 10 (64-bit)", &linux26, 64},
    {"sles11Guest", "SUSE Linux Enterprise 11 (32-bit)", &linux3, 32},
    {"sles11_64Guest", "SUSE Linux Enterprise 11 (64-bit)", &linux3, 64},
    {"sles12Guest", "SUSE Linux Enterprise 12 (32-bit)", &linux3, 32},
    {"sles12_64Guest", "SUSE Linux Enterprise 12 (64-bit)", &linux3, 64},
    {"sles15_64Guest", "SUSE Linux Enterprise 15 (64-bit)", &linux4, 64},
    {"sles16_64Guest", "SUSE Linux Enterprise 16 (64-bit)", &linux4, 64},
    {"nld9Guest", "Novell Linux Desktop 9 (32-bit)", &linux26, 32},
    {"oesGuest", "Novell Open Enterprise Server (32-bit)", &linux26, 32},
    {"sjdsGuest", "Sun Java Desktop System (32-bit)", &linux24, 32},
    {"mandrakeGuest", "Mandrake Linux (32-bit)", &linux24, 32},
    {"mandrivaGuest", "Mandriva Linux (32-bit)", &linux26, 32},
    {"mandriva64Guest", "Mandriva Linux (64-bit)", &linux26, 64},
    {"turboLinuxGuest", "Turbolinux (32-bit)", &linux26, 32},
    {"turboLinux64Guest", "Turbolinux (64-bit)", &linux26, 64},
    {"ubuntuGuest", "Ubuntu Linux (32-bit)", &linux3, 32},
    {"ubuntu64Guest", "Ubuntu Linux (64-bit)", &linux4, 64},
    {"debian4Guest", "Debian GNU/Linux 4 (32-bit)", &linux26, 32},
    {"debian4_64Guest", "Debian GNU/Linux 4 (64-bit)", &linux26, 64},
    {"debian5Guest", "Debian GNU/Linux 5 (32-bit)", &linux26, 32},
    {"debian5_64Guest", "Debian GNU/Linux 5 (64-bit)", &linux26, 64},
    {"debian6Guest", "Debian GNU/Linux 6 (32-bit)", &linux3, 32},
    {"debian6_64Guest", "Debian GNU/Linux 6 (64-bit)", &linux3, 64},
    {"debian7Guest", "Debian GNU/Linux 7 (32-bit)", &linux3, 32},
    {"debian7_64Guest", "Debian GNU/Linux 7 (64-bit)", &linux3, 64},
    {"debian8Guest", "Debian GNU/Linux 8 (32-bit)", &linux3, 32},
    {"debian8_64Guest", "Debian GNU/Linux 8 (64-bit)", &linux3, 64},
    {"debian9Guest", "Debian GNU/Linux 9 (32-bit)", &linux4, 32},
    {"debian9_64Guest", "Debian GNU/Linux 9 (64-bit)", &linux4, 64},
    {"debian10Guest", "Debian GNU/Linux 10 (32-bit)", &linux4, 32},
    {"debian10_64Guest", "Debian GNU/Linux 10 (64-bit)", &linux4, 64},
    {"debian11Guest", "Debian GNU/Linux 11 (32-bit)", &linux4, 32},
    {"debian11_64Guest", "Debian GNU/Linux 11 (64-bit)", &linux4, 64},
    {"debian12Guest", "Debian GNU/Linux 12 (32-bit)", &linux4, 32},
    {"debian12_64Guest", "Debian GNU/Linux 12 (64-bit)", &linux4, 64},
    {"asianux3Guest", "Asianux 3 (32-bit)", &linux26, 32},
    {"asianux3_64Guest", "Asianux 3 (64-bit)", &linux26, 64},
    {"asianux4Guest", "Asianux 4 (32-bit)", &linux3, 32},
    {"asianux4_64Guest", "Asianux 4 (64-bit)", &linux3, 64},
    {"asianux5_64Guest", "Asianux 5 (64-bit)", &linux3, 64},
    {"asianux7_64Guest", "Asianux 7 (64-bit)", &linux3, 64},
    {"asianux8_64Guest", "Asianux 8 (64-bit)", &linux4, 64},
    {"opensuseGuest", "SUSE openSUSE (32-bit)", &linux3, 32},
    {"opensuse64Guest", "SUSE openSUSE (64-bit)", &linux4, 64},
    {"fedoraGuest", "Red Hat Fedora (32-bit)", &linux3, 32},
    {"fedora64Guest", "Red Hat Fedora (64-bit)", &linux4, 64},
    {"coreos64Guest", "CoreOS Linux (64-bit)", &linux4, 64},
    {"vmwarePhoton64Guest", "VMware Photon OS (64-bit)", &linux4, 64},
    {"amazonlinux2_64Guest", "Amazon Linux 2 (64-bit)", &linux4, 64},
    {"amazonlinux3_64Guest", "Amazon Linux 3 (64-bit)", &linux4, 64},
    {"other24xLinuxGuest", "Other 2.4.x Linux (32-bit)", &linux24, 32},
    {"other24xLinux64Guest", "Other 2.4.x Linux (64-bit)", &linux24, 64},
    {"other26xLinuxGuest", "Other 2.6.x Linux (32-bit)", &linux26, 32},
    {"other26xLinux64Guest", "Other 2.6.x Linux (64-bit)", &linux26, 64},
    {"other3xLinuxGuest", "Other 3.x Linux (32-bit)", &linux3, 32},
    {"other3xLinux64Guest", "Other 3.x Linux (64-bit)", &linux3, 64},
    {"other4xLinuxGuest", "Other 4.x Linux (32-bit)", &linux4, 32},
    {"other4xLinux64Guest", "Other 4.x Linux (64-bit)", &linux4, 64},
    {"other5xLinuxGuest", "Other 5.x Linux (32-bit)", &linux4, 32},
    {"other5xLinux64Guest", "Other 5.x Linux (64-bit)", &linux4, 64},
    {"other6xLinuxGuest", "Other 6.x or later Linux (32-bit)", &linux4, 32},
    {"other6xLinux64Guest", "Other 6.x or later Linux (64-bit)", &linux4, 64},
    {"otherLinuxGuest", "Other Linux (32-bit)", &linux3, 32},
    {"otherLinux64Guest", "Other Linux (64-bit)", &linux4, 64},
    {"genericLinuxGuest", "Other Linux (32-bit)", &linux3, 32},
    {"crxPod1Guest", "CRX Pod 1 (64-bit)", &linux4, 64},
    {"solaris6Guest", "Sun Microsystems Solaris 2.6 (32-bit)", &solaris, 32},
    {"solaris7Guest", "Sun Microsystems Solaris 7 (32-bit)", &solaris, 32},
    {"solaris8Guest", "Sun Microsystems Solaris 8 (32-bit)", &solaris, 32},
    {"solaris9Guest", "Sun Microsystems Solaris 9 (32-bit)", &solaris, 32},
    {"solaris10Guest", "Oracle Solaris 10 (32-bit)", &solaris10, 32},
    {"solaris10_64Guest", "Oracle Solaris 10 (64-bit)", &solaris10, 64},
    {"solaris11_64Guest", "Oracle Solaris 11 (64-bit)", &solaris10, 64},
    {"os2Guest", "IBM OS/2", &os2, 32},
    {"eComStationGuest", "Serenity Systems eComStation 1", &os2, 32},
    {"eComStation2Guest", "Serenity Systems eComStation 2", &os2, 32},
    {"netware4Guest", "Novell NetWare 4.x", &netware, 32},
    {"netware5Guest", "Novell NetWare 5.x", &netware, 32},
    {"netware6Guest", "Novell NetWare 6.x", &netware, 32},
    {"openServer5Guest", "SCO OpenServer 5", &sco, 32},
    {"openServer6Guest", "SCO OpenServer 6", &sco, 32},
    {"unixWare7Guest", "SCO UnixWare 7", &sco, 32},
    {"darwinGuest", "Apple Mac OS X 10.5 (32-bit)", &darwin, 32},
    {"darwin64Guest", "Apple Mac OS X 10.5 (64-bit)", &darwin, 64},
    {"darwin10Guest", "Apple Mac OS X 10.6 (32-bit)", &darwin, 32},
    {"darwin10_64Guest", "Apple Mac OS X 10.6 (64-bit)", &darwin, 64},
    {"darwin11Guest", "Apple Mac OS X 10.7 (32-bit)", &darwin, 32},
    {"darwin11_64Guest", "Apple Mac OS X 10.7 (64-bit)", &darwin, 64},
    {"darwin12_64Guest", "Apple macOS 10.8 (64-bit)", &darwin, 64},
    {"darwin13_64Guest", "Apple macOS 10.9 (64-bit)", &darwin, 64},
    {"darwin14_64Guest", "Apple macOS 10.10 (64-bit)", &darwin, 64},
    {"darwin15_64Guest", "Apple macOS 10.11 (64-bit)", &darwin, 64},
    {"darwin16_64Guest", "Apple macOS 10.12 (64-bit)", &darwin, 64},
    {"darwin17_64Guest", "Apple macOS 10.13 (64-bit)", &darwin, 64},
    {"darwin18_64Guest", "Apple macOS 10.14 (64-bit)", &darwin, 64},
    {"darwin19_64Guest", "Apple macOS 10.15 (64-bit)", &darwin, 64},
    {"darwin20_64Guest", "Apple macOS 11 (64-bit)", &darwin, 64},
    {"darwin21_64Guest", "Apple macOS 12 (64-bit)", &darwin, 64},
    {"vmkernelGuest", "VMware ESX 4.x (64-bit)", &vmkernel, 64},
    {"vmkernel5Guest", "VMware ESXi 5.x (64-bit)", &vmkernel, 64},
    {"vmkernel6Guest", "VMware ESXi 6.x (64-bit)", &vmkernel, 64},
    {"vmkernel65Guest", "VMware ESXi 6.5 (64-bit)", &vmkernel6, 64},
    {"vmkernel7Guest", "VMware ESXi 7.x (64-bit)", &vmkernel6, 64},
    {"vmkernel8Guest", "VMware ESXi 8.x (64-bit)", &vmkernel6, 64},
    {"otherGuest", "Other (32-bit)", &other, 32},
    {"otherGuest64", "Other (64-bit)", &other, 64},
};
/* clang-format on */
const size_t guest_os_count = G_N_ELEMENTS(guest_os_list);

const struct guest_os *guest_os_find(const char *id)
{
    for (size_t i = 0; i < guest_os_count; i++) {
        if (g_strcmp0(guest_os_list[i].id, id) == 0) {
            return &guest_os_list[i];
        }
    }
    return NULL;
}

const char *guest_os_full_name(const char *id)
{
    const struct guest_os *guest = guest_os_find(id);
    return guest != NULL ? guest->full_name : NULL;
}

struct hypervisor_guest guest_os_board(const char *id)
{
    const struct guest_os *guest = guest_os_find(id);
    unsigned traits = guest != NULL ? guest->profile->traits : 0;

    return (struct hypervisor_guest){
        .local_time = (traits & GUEST_OS_LOCAL_TIME) != 0,
        .no_hpet = (traits & GUEST_OS_NO_HPET) != 0,
    };
}

const char *guest_os_chipset(const char *firmware)
{
    return g_strcmp0(firmware, "efi") == 0 ? "q35" : "440bx";
}

const char *guest_os_disk_type(enum guest_os_disk disk)
{
    switch (disk) {
    case GUEST_OS_IDE:
        return "VirtualIDEController";
    case GUEST_OS_LSI:
        return "VirtualLsiLogicController";
    case GUEST_OS_SAS:
        return "VirtualLsiLogicSASController";
    case GUEST_OS_PVSCSI:
        return "ParaVirtualSCSIController";
    case GUEST_OS_AHCI:
        return "VirtualAHCIController";
    case GUEST_OS_NVME:
        return "VirtualNVMEController";
    }
    return NULL;
}

const char *guest_os_card_type(enum guest_os_card card)
{
    switch (card) {
    case GUEST_OS_PCNET:
        return "VirtualPCNet32";
    case GUEST_OS_E1000:
        return "VirtualE1000";
    case GUEST_OS_E1000E:
        return "VirtualE1000e";
    case GUEST_OS_VMXNET3:
        return "VirtualVmxnet3";
    }
    return NULL;
}
