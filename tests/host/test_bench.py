# SPDX-License-Identifier: Apache-2.0
"""bench/run works: with little of everything, and without peers, it still tells a figure of each thing that it
measures. What the figures are is no test's business."""

from __future__ import annotations

import re
import subprocess
import sys
import unittest

from tenkyu_host import BINARY, ROOT

# A row of the table: what, no ratio without a peer, our figure and its unit.
ROW = r"{what}.*? -  +([0-9][0-9,.]*) {unit}\b"


class Bench(unittest.TestCase):
    def run_bench(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, str(ROOT / "bench" / "run"), *arguments, "--program", str(BINARY)],
                              text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=100)

    def check(self, done: subprocess.CompletedProcess[str], *figures: tuple[str, str]) -> None:
        self.assertEqual(done.returncode, 0, done.stderr)
        for what, unit in figures:
            with self.subTest(what=what):
                found = re.search(ROW.format(what=what, unit=unit), done.stdout)
                assert found is not None, done.stdout
                self.assertGreater(float(found[1].replace(",", "")), 0)

    def test_api(self) -> None:
        self.check(self.run_bench("api", "--quick", "--no-peer", "--vms", "50"),
                   ("name, power state and guest of all 50 machines", "ms"),
                   ("all properties of all 50 machines", "ms"), ("reads of one property", "/s"),
                   ("a change reaches a client", "ms"), ("memory resident", "MiB"), ("start with 50", "s"))

    def test_power(self) -> None:
        self.check(self.run_bench("power", "--quick", "--no-peer"),
                   ("PowerOnVM_Task beside virsh start", "ms"), ("PowerOffVM_Task beside virsh destroy", "ms"))

    def test_idle(self) -> None:
        done = self.run_bench("idle", "--quick")
        self.check(done, ("memory resident of the host's process with 3 idle machines", "MiB"), ("memory resident of one QEMU", "MiB"))
        self.assertRegex(done.stdout, r"processor time of the host's process with 3 idle machines +- +[0-9.]+ % of a core")

    def test_throughput(self) -> None:
        done = self.run_bench("throughput", "--quick")
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = [line for line in done.stdout.splitlines() if line.startswith("disk: ")]
        self.assertEqual(5, len(rows), done.stdout)
        for row in rows:
            self.assertRegex(row, r"[0-9.]+×.* [0-9.,]+ MB/s .*bare QEMU: [0-9.,]+ MB/s", row)

    def test_whole_runs_alone_are_written(self) -> None:
        done = self.run_bench("api", "--quick", "--write")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("--write", done.stderr)


if __name__ == "__main__":
    unittest.main()
