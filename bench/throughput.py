# SPDX-License-Identifier: Apache-2.0
"""How fast a machine's disk is: the files that a host makes for a disk, opened as its QEMU opens them, beside an image
of the same format and size that qemu-img made, opened as QEMU does when nothing else is said. bench/run calls measure().

Both are read and written by `qemu-img bench`, which is QEMU's block layer without a guest: what a guest adds is the
same for both. What is measured is what differs: how the image is laid out, and the options of its block nodes, which
are taken from the command line of a machine that ran. Every round begins with fresh copies of both images.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import Comparison, ratio_at_least
from setting import PASSWORD, USER, BenchError, Setting, need, run
from tenkyu_host import TenkyuHost

NAME = "bench"
MIB = 1 << 20
EMULATOR = Path("/usr/bin/qemu-system-x86_64")
PEER = "bare QEMU"


@dataclass(frozen=True)
class Work:
    """One kind of access, over the whole image or a part of it."""

    what: str
    block: int  # bytes
    depth: int  # requests at once
    step: int   # from the beginning of a block to that of the next
    write: bool
    passes: int = 4  # over the image: one alone is too short to be timed well


# In this order: the first fills the image, so that the others meet what is there.
WORKS = (
    Work("first writes, 1 MiB", MIB, 4, MIB, True, 1),
    Work("writes over what is there, 1 MiB", MIB, 4, MIB, True),
    Work("reads, 1 MiB", MIB, 4, MIB, False),
    Work("writes, 4 KiB apart by 68 KiB, 16 at once", 4096, 16, 68 << 10, True),
    Work("reads, 4 KiB apart by 68 KiB, 16 at once", 4096, 16, 68 << 10, False),
)


@dataclass
class Side:
    """An image, and how it is opened."""

    pristine: Path
    copy: Path
    options: dict[str, Any]  # of its block nodes

    def renew(self) -> None:
        # Holes stay holes: an image that was written before would be another one.
        run("cp", "--sparse=always", self.pristine, self.copy)

    def rate(self, work: Work, size: int, count: int) -> float:
        """MB/s."""
        command = ["qemu-img", "bench", "-c", str(count), "-d", str(work.depth), "-s", str(work.block), "-S", str(work.step)]
        if work.write:
            command += ["-w", "--pattern", "165"]
        told = run(*command, "json:" + json.dumps(self.options))
        found = re.search(r"completed in ([0-9.]+) seconds", told)
        if found is None or float(found[1]) <= 0:
            raise BenchError(f"qemu-img bench told {told!r}")
        return work.block * count / float(found[1]) / 1e6


def ours_made(setting: Setting, size: int) -> Side:
    """The image of a machine's disk, and the options of its block nodes, which its process has on its command line."""
    environment = {**os.environ, "HOME": str(setting.folder), "XDG_CONFIG_HOME": str(setting.folder)}
    with TenkyuHost("qemu", user=USER, password=PASSWORD) as host:
        def tenkyu(*arguments: str) -> None:
            run(setting.program, *arguments, env=environment)
        tenkyu("login", host.url, "--user", USER, "--password-file", str(host.password_file))
        tenkyu("vm", "create", NAME, "--memory", "64M", "--disk", f"{size // MIB}M")
        (image,) = (host.state / "datastores").rglob("*.qcow2")
        pristine, copy = setting.folder / "ours-pristine.qcow2", setting.folder / "ours.qcow2"
        shutil.copyfile(image, pristine)
        tenkyu("vm", "start", NAME)
        (pid,) = host.qemu_processes()
        command = Path(f"/proc/{pid}/cmdline").read_text().rstrip("\0").split("\0")
        nodes = [json.loads(value) for option, value in zip(command, command[1:]) if option == "-blockdev"]
    (options,) = (node for node in nodes if node["driver"] == "qcow2")
    options["file"]["filename"] = str(copy)
    return Side(pristine, copy, options)


def peer_made(setting: Setting, size: int) -> Side:
    pristine, copy = setting.folder / "peer-pristine.qcow2", setting.folder / "peer.qcow2"
    run("qemu-img", "create", "-q", "-f", "qcow2", pristine, str(size))
    return Side(pristine, copy, {"driver": "qcow2", "file": {"driver": "file", "filename": str(copy)}})


def measure(setting: Setting, rounds: int, size: int) -> list[Comparison]:
    """size is that of the image, in bytes, which is written as a whole."""
    need(EMULATOR, "qemu-img")
    if shutil.disk_usage(setting.folder).free < 3 * size:
        raise BenchError(f"{setting.folder} lacks room for two images of {size // MIB} MiB")
    ours, peer = ours_made(setting, size), peer_made(setting, size)
    comparisons = [Comparison(f"disk: {work.what}", "MB/s", PEER, "ours/peer", ratio_at_least(0.97)) for work in WORKS]
    for i in range(rounds + 1):
        for side in (ours, peer):
            side.renew()
        for work, comparison in zip(WORKS, comparisons):
            count = work.passes * size // max(work.step, work.block)
            sides = ((ours, comparison.ours), (peer, comparison.peer))
            for side, figures in sides if i % 2 == 0 else reversed(sides):  # who comes second finds things warmer
                rate = side.rate(work, size, count)
                if i > 0:  # the first has warmed up
                    figures.append(rate)
        print(f"round {i} of {rounds}", file=sys.stderr)
    return comparisons
