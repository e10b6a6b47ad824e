# SPDX-License-Identifier: Apache-2.0
"""What a host costs while nothing happens: many small machines with real QEMU, powered on and idle, and the processor
time and memory of the host's own process meanwhile. bench/run calls measure().

The machines have no disk, so that their firmware finds nothing to boot and halts. QEMU's own time and memory are each
machine's, whoever starts it, and are told beside for who plans a host.
"""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from figures import Comparison, at_most
from setting import PASSWORD, USER, BenchError, Setting, need, resident_mib, run
from tenkyu_host import TenkyuHost

MEMORY_MIB = 16  # of a machine
QEMU_MIB = 60    # what a machine's QEMU takes besides, at most
SPARE = 0.8      # of the memory that is free, at most this is used
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
EMULATOR = Path("/usr/bin/qemu-system-x86_64")


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    vms: int
    settle_s: float  # after the last power-on
    windows: int
    window_s: float


def busy_s(pid: int) -> float:
    """Processor time that a process has used since it began."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


def available_mib() -> float:
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) / 1024
    raise BenchError("the machine tells no memory")


def start_machines(setting: Setting, host: TenkyuHost, n: int) -> None:
    environment = {**os.environ, "HOME": str(setting.folder), "XDG_CONFIG_HOME": str(setting.folder)}
    run(setting.program, "login", host.url, "--user", USER, "--password-file", str(host.password_file), env=environment)
    for i in range(n):
        run(setting.program, "vm", "create", f"idle-{i}", "--memory", f"{MEMORY_MIB}M", "--nic", "VM Network", "--start",
            env=environment)
        if (i + 1) % 50 == 0:
            print(f"{i + 1} of {n} machines run", file=sys.stderr)


def measure(setting: Setting, size: Size) -> list[Comparison]:
    need(EMULATOR)
    room = int(available_mib() * SPARE / (MEMORY_MIB + QEMU_MIB))
    if size.vms > room:
        raise BenchError(f"there is memory for {room} machines, not for {size.vms}; --vms takes a number")
    n = f"{size.vms:,}"
    processor = Comparison(f"processor time of the host's process with {n} idle machines", "% of a core", "", "ours/peer", at_most(1))
    memory = Comparison(f"memory resident of the host's process with {n} idle machines", "MiB", "", "ours/peer")
    guests = Comparison(f"processor time of all QEMUs of {n} idle machines", "% of a core", "", "ours/peer")
    each = Comparison("memory resident of one QEMU", "MiB", "", "ours/peer")
    with TenkyuHost("qemu", user=USER, password=PASSWORD) as host:
        start_machines(setting, host, size.vms)
        time.sleep(size.settle_s)
        pids = host.qemu_processes()
        if len(pids) != size.vms:
            raise BenchError(f"{len(pids)} of {size.vms} machines run")
        for i in range(size.windows):
            begin = (time.monotonic(), busy_s(host.pid), sum(map(busy_s, pids)))
            time.sleep(size.window_s)
            wall = time.monotonic() - begin[0]
            processor.ours.append((busy_s(host.pid) - begin[1]) / wall * 100)
            guests.ours.append((sum(map(busy_s, pids)) - begin[2]) / wall * 100)
            memory.ours.append(resident_mib(host.pid))
            each.ours.append(sum(map(resident_mib, pids)) / len(pids))
            print(f"window {i + 1} of {size.windows}", file=sys.stderr)
    return [processor, memory, guests, each]
