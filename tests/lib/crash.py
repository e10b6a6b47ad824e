# SPDX-License-Identifier: Apache-2.0
"""Cutting an operation off at each of its steps: tests/host/test_crash.py says how. Here is what its tests and those
of other operations share.

    class Mine(CrashTest):
        def test_it(self) -> None:
            for step in self.crashes(lambda: operation()):
                ... # the agent was killed at this step, and runs again
"""

from __future__ import annotations

import http.client
import mmap
import os
import signal
import struct
import tempfile
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import vim_client as vi
from tenkyu_host import ROOT, TenkyuHost

LIBRARY = Path(os.environ.get("TENKYU_BUILD", ROOT / "build")) / "tests/libcrash_point.so"
STEPS_MAX = 200  # of one operation: more means that it never comes through

# What a client sees when the agent dies under it.
BROKEN = (http.client.HTTPException, OSError)


class CrashPoint:
    """The page that the test shares with crash_point.c."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "crash-point"
        self.path.write_bytes(bytes(4096))
        with open(self.path, "r+b") as file:
            self.page = mmap.mmap(file.fileno(), 4096)

    def environment(self) -> dict[str, str]:
        # A sanitizer wants to be the first library; it works as the second one too.
        options = os.environ.get("ASAN_OPTIONS", "")
        return {**os.environ, "LD_PRELOAD": str(LIBRARY), "TENKYU_CRASH_POINT": str(self.path),
                "ASAN_OPTIONS": f"{options}:verify_asan_link_order=0"}

    def arm(self, step: int, error: int = 0) -> None:
        self.page[:12] = struct.pack("=iii", step, error, 0)

    def disarm(self) -> bool:
        """Whether it has happened."""
        _, _, hits = struct.unpack("=iii", self.page[:12])
        self.arm(0)
        return hits != 0


def tree(folder: Path) -> dict[str, bytes]:
    """All files beneath a folder with their contents, and all folders."""
    return {f"{p.relative_to(folder)}{'/' if p.is_dir() else ''}": b"" if p.is_dir() else p.read_bytes()
            for p in folder.rglob("*")}


class CrashTest(unittest.TestCase):
    hypervisor = "sim"

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory(prefix="tenkyu-crash-")
        self.addCleanup(folder.cleanup)
        self.point = CrashPoint(Path(folder.name))
        self.host = TenkyuHost(self.hypervisor, env=self.point.environment())
        self.addCleanup(self.host.close)
        self.client = vi.Client(self.host)
        self.datastore = Path(self.client.datacenter.datastore[0].info.path)

    def recover(self) -> None:
        """The agent is dead: starts another."""
        assert self.host.process is not None
        self.assertEqual(-signal.SIGKILL, self.host.process.wait(30))
        self.host.process = None
        self.host.start()
        self.client = vi.Client(self.host)

    def crashes(self, operation: Callable[[], Any]) -> Iterator[int]:
        """Cuts the operation off at its first, second, ... step; after each the host has been started again."""
        for step in range(1, STEPS_MAX):
            self.point.arm(step)
            try:
                operation()
            except BROKEN:
                pass
            if not self.point.disarm():
                return
            self.recover()
            yield step
        self.fail(f"{STEPS_MAX} steps")

    def machines(self) -> dict[str, Any]:
        return {vm.name: vm for vm in self.client.folder.childEntity}

    def check_no_traces(self) -> None:
        """No operation is under way any more, as far as the state folder tells."""
        self.assertEqual({}, tree(self.host.state / "journal"))
        self.assertEqual([], [str(p) for p in self.host.state.rglob("*.new~")])

    def destroy(self, vm: Any) -> None:
        self.client.run(vm.Destroy_Task())
        self.assertEqual({}, tree(self.datastore))
