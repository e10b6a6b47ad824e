#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes docs/guest-os.md from the table in src/host/vm/guest_os.c. With --check, only tells whether it is up to date."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src/host/vm/guest_os.c"
PAGE = ROOT / "docs/guest-os.md"
NAMES = {"IDE": "IDE", "LSI": "LSI Logic", "SAS": "LSI SAS", "PVSCSI": "PVSCSI", "AHCI": "SATA", "NVME": "NVMe",
         "PCNET": "PCNet32", "E1000": "E1000", "E1000E": "E1000e", "VMXNET3": "VMXNET3"}
TRAITS = {"LOCAL_TIME": "local time", "NO_HPET": "no HPET", "SECURE_BOOT": "secure boot", "TPM": "TPM",
          "SMC": "needs Apple's SMC"}
HEAD = """# Guest operating systems

<!-- Written by tools/guest_os.py from src/host/vm/guest_os.c. -->

What suits each guest, as `EnvironmentBrowser` tells it to clients. The host adds no device by it and refuses none: it is advice, by the drivers
that the systems bring along and by what the firmware starts from. Only Linux was started where this was written; for the others the advice is from what is
known of them.

Two things follow from `guestId` itself: the clock of the board shows local time, and there is no HPET, where the table says so. The board goes with the firmware,
not with the guest: 440BX with BIOS, Q35 with EFI; see [design/devices.md](design/devices.md).

BIOS (SeaBIOS) starts from every controller. EFI (OVMF) starts from NVMe, SATA, IDE and virtio, not from LSI Logic, LSI SAS or PVSCSI.
Every Linux that brings virtio drivers is served as well by virtio disks and adapters; see [virtual-machines.md](virtual-machines.md).

"""


def names(text: str) -> list[str]:
    return re.findall(r"GUEST_OS_(\w+)", text)


def words(text: str) -> str:
    return ", ".join(NAMES[name] for name in names(text))


def page() -> str:
    source = SOURCE.read_text(encoding="utf-8")
    profiles = re.findall(r"guest_os_profile (\w+) = \{\n(.*?)\n\};", source, re.DOTALL)
    guests = re.findall(r'^    \{"(\w+)", "([^"]+)", &(\w+), (\d+)\},$', source, re.MULTILINE)
    out = HEAD + ("| guests | disk | adapter | firmware | memory MB (least, suggested) | CPUs | beside that |\n"
                  "| --- | --- | --- | --- | --- | --- | --- |\n")
    below = ""
    for key, body in profiles:
        fields = dict(re.findall(r"\.(\w+) = (\"[^\"]*\"|[^,\n]+)", body))
        title = fields["name"].strip('"')
        firmware = fields["firmware"].strip('"')
        traits = names(fields["traits"])
        if "EFI" in traits and firmware == "bios":
            firmware = "bios, efi"
        elif firmware == "efi" and "SMC" not in traits:
            firmware = "efi, bios"
        extra = ", ".join(TRAITS[t] for t in traits if t in TRAITS)
        out += (f"| {title} | **{words(fields['disk'])}** of {words(fields['disks'])} | **{words(fields['card'])}** of "
                f"{words(fields['cards'])} | {firmware} | {fields['min_memory_mb']}, {fields['recommended_memory_mb']} | "
                f"{fields['max_cpus']} | {extra} |\n")
        below += f"\n## {title}\n\n" + "".join(f"* `{i}` {n}\n" for i, n, p, _ in guests if p == key)
    return out + "\nThe bold one is recommended; the first firmware is.\n" + below


def main() -> int:
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
