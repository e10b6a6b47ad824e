# SPDX-License-Identifier: Apache-2.0
"""The totals that ./check ends with are true: tap.py reports every test once, totals.py adds them up."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from project import ROOT

_CASES = '''
import unittest
class Good(unittest.TestCase):
    def test_passes(self): print("ok 99 not a line of TAP")
    def test_subtests(self):
        for i in range(3):
            with self.subTest(i=i): self.assertEqual(0, i % 2)
    @unittest.skip("no moon tonight")
    def test_skips(self): pass
    def test_fails(self): self.fail("because")
    def test_cleans_up_badly(self): self.addCleanup(self.fail, "late")
class Unset(unittest.TestCase):
    @classmethod
    def setUpClass(cls): raise RuntimeError("no class")
    def test_never_runs(self): pass
'''


def run_of(stdout: str, result: str = "OK", code: int = 0) -> dict[str, object]:
    return {"name": "program", "stdout": stdout, "result": result, "returncode": code}


class Totals(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def totals(self, *runs: dict[str, object], options: tuple[str, ...] = ()) -> tuple[int, list[str]]:
        log = self.folder / "testlog.json"
        log.write_text("".join(json.dumps(run) + "\n" for run in runs))
        done = subprocess.run([sys.executable, ROOT / "tests/lib/totals.py", *options, log],
                              capture_output=True, text=True)
        return done.returncode, done.stdout.splitlines()

    def test_tap_of_every_outcome(self) -> None:
        (self.folder / "cases.py").write_text(_CASES)
        done = subprocess.run([sys.executable, ROOT / "tests/lib/tap.py", self.folder / "cases.py"],
                              capture_output=True, text=True)
        self.assertEqual(1, done.returncode)
        lines = [line for line in done.stdout.splitlines() if not line.startswith("#")]
        self.assertEqual([
            "not ok 1 cases.Good.test_cleans_up_badly",
            "not ok 2 cases.Good.test_fails",
            "ok 3 cases.Good.test_passes",
            "ok 4 cases.Good.test_skips # SKIP no moon tonight",
            "not ok 5 cases.Good.test_subtests",
            "not ok 6 setUpClass (cases.Unset)",
            "1..6"], lines)
        code, report = self.totals(run_of(done.stdout, "FAIL", 1))
        self.assertEqual((1, "1 passed, 4 failed, 1 skipped"), (code, report[-1]))
        self.assertIn("skipped: program: cases.Good.test_skips: no moon tonight", report)

    def test_a_file_without_tests_fails(self) -> None:
        (self.folder / "empty.py").write_text("")
        done = subprocess.run([sys.executable, ROOT / "tests/lib/tap.py", self.folder / "empty.py"],
                              capture_output=True, text=True)
        self.assertEqual(1, done.returncode)

    def test_glib_and_plain_programs(self) -> None:
        glib = "TAP version 13\n# random seed: R02\n1..3\nok 1 /a/b\n# bla\nok 2 /a/c # SKIP no KVM\nok 3 /d\n"
        code, report = self.totals(run_of(glib), run_of("all is ok here\n"), run_of("", "SKIP", 77))
        self.assertEqual((0, "3 passed, 0 failed, 2 skipped"), (code, report[-1]))

    def test_a_crash_and_a_timeout_count(self) -> None:
        code, report = self.totals(run_of("1..2\nok 1 /a\n", "ERROR", -11), run_of("ok 1 /a\n", "TIMEOUT", -15))
        self.assertEqual((1, "2 passed, 2 failed, 0 skipped"), (code, report[-1]))

    def test_skips_can_be_forbidden(self) -> None:
        run = run_of("1..2\nok 1 /a\nok 2 /b # SKIP no KVM\n")
        self.assertEqual(0, self.totals(run)[0])
        self.assertEqual(1, self.totals(run, options=("--no-skip",))[0])

    def test_nothing_run_is_a_failure(self) -> None:
        self.assertEqual((1, ["0 passed, 0 failed, 0 skipped"]), self.totals())
        done = subprocess.run([sys.executable, ROOT / "tests/lib/totals.py", self.folder / "none.json"],
                              capture_output=True, text=True)
        self.assertEqual((1, "0 passed, 1 failed, 0 skipped"),
                         (done.returncode, done.stdout.splitlines()[-1]))


if __name__ == "__main__":
    unittest.main()
