# SPDX-License-Identifier: Apache-2.0
"""The API at scale: a host with many simulated machines beside the simulator that people use today, both with
every machine powered on and both over plain HTTP. bench/run calls measure()."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from figures import Comparison, at_most, ratio_at_least
from setting import PASSWORD, USER, Setting, end, read_until, resident_mib
from tenkyu_host import TenkyuHost

PEER = "Go simulator"
PEER_START_S = 900
BUSY_LIMIT = 0.9  # of one processor; a client that needs more has measured itself


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    vms: int
    rounds: int
    reads: int  # bulk reads of each kind in a round, of which the median is the round's figure
    single_s: float


@dataclass
class Server:
    port: int
    pid: int
    start_s: float


@contextmanager
def our_host(vms: int) -> Iterator[Server]:
    begin = time.monotonic()
    with TenkyuHost("sim", user=USER, password=PASSWORD, args=("--sim-vms", str(vms))) as host:
        yield Server(host.address[1], host.pid, time.monotonic() - begin)


@contextmanager
def peer_host(setting: Setting, vms: int) -> Iterator[Server]:
    program = setting.build_peer()
    begin = time.monotonic()
    temporary = setting.folder / "peer-data"
    temporary.mkdir()
    process = subprocess.Popen([program, "-vms", str(vms)], text=True, stdout=subprocess.PIPE,
                               env={**os.environ, "TMPDIR": str(temporary)})
    try:
        url = read_until(process, "\n", PEER_START_S)
        yield Server(int(url.rpartition(":")[2]), process.pid, time.monotonic() - begin)
    finally:
        end(process)


class Measurements:
    """The comparisons of the API while their rounds are filled in."""

    def __init__(self, setting: Setting, size: Size) -> None:
        self.setting = setting
        self.size = size
        n = f"{size.vms:,}"
        self.some = Comparison(f"name, power state and guest of all {n} machines, one read", "ms", PEER,
                               "peer/ours", ratio_at_least(10))
        self.all = Comparison(f"all properties of all {n} machines", "ms", PEER, "peer/ours", ratio_at_least(8))
        self.single = Comparison("reads of one property of one machine, 8 connections", "/s", PEER,
                                 "ours/peer", ratio_at_least(3))
        self.notify = Comparison(f"a change reaches a client that watches all {n} machines", "ms", PEER,
                                 "peer/ours", at_most(2))
        self.memory = Comparison("memory resident between these reads", "MiB", PEER, "peer/ours", at_most(150))
        self.start = Comparison(f"start with {n} machines", "s", PEER, "peer/ours")

    def comparisons(self) -> list[Comparison]:
        return [self.some, self.all, self.single, self.notify, self.memory, self.start]

    def bulk(self, server: Server, *paths: str) -> tuple[float, float]:
        """Milliseconds and bytes of a read, the median of some."""
        reads = self.setting.measure(server.port, "bulk", str(self.size.reads), *paths)
        for read in reads:
            assert read["objects"] == self.size.vms, f"{read['objects']} machines answered"
        return statistics.median(r["seconds"] for r in reads) * 1000, reads[0]["bytes"]

    def single_rate(self, server: Server) -> float:
        line, = self.setting.measure(server.port, "single", str(self.size.single_s), "8", "name")
        if line["busy"] > BUSY_LIMIT:
            print(f"the client was busy {line['busy']:.0%} of the time: it limits this rate", file=sys.stderr)
        return line["answers"] / line["seconds"]

    def latency_ms(self, server: Server) -> float:
        """From the call that changes a machine to the first byte of the update that tells of it."""
        return statistics.median(line["first_ms"] for line in self.setting.measure(server.port, "notify", "3"))

    def round(self, ours: Server, peer: Server | None) -> None:
        for comparison, paths in ((self.some, ("name", "runtime.powerState", "guest")), (self.all, ("all",))):
            sizes = [self.take(comparison.ours, ours, paths)]
            if peer is not None:
                sizes.append(self.take(comparison.peer, peer, paths))
            comparison.remark = " and ".join(f"{size / 1e6:.1f}" for size in sizes) + " MB"
        kinds: list[tuple[Comparison, Callable[[Server], float]]] = [
            (self.single, self.single_rate),
            (self.notify, self.latency_ms),
            (self.memory, lambda server: resident_mib(server.pid)),
        ]
        for comparison, figure in kinds:
            comparison.ours.append(figure(ours))
            if peer is not None:
                comparison.peer.append(figure(peer))

    def take(self, figures: list[float], server: Server, paths: tuple[str, ...]) -> float:
        ms, size = self.bulk(server, *paths)
        figures.append(ms)
        return size

    def rounds(self, ours: Server, peer: Server | None) -> None:
        for server in [ours] + ([peer] if peer is not None else []):  # warms both up
            self.bulk(server, "name", "runtime.powerState", "guest")
            self.bulk(server, "all")
        for i in range(self.size.rounds):
            self.round(ours, peer)
            print(f"round {i + 1} of {self.size.rounds}", file=sys.stderr)


def measure(setting: Setting, size: Size, with_peer: bool) -> list[Comparison]:
    measurements = Measurements(setting, size)
    for _ in range(2):
        with our_host(size.vms) as ours:
            measurements.start.ours.append(ours.start_s)
    with our_host(size.vms) as ours:
        measurements.start.ours.append(ours.start_s)
        if not with_peer:
            measurements.rounds(ours, None)
        else:
            print("building and starting the peer", file=sys.stderr)
            with peer_host(setting, size.vms) as peer:
                measurements.start.peer.append(peer.start_s)
                measurements.rounds(ours, peer)
    return measurements.comparisons()
