# SPDX-License-Identifier: Apache-2.0
"""docs/status.md says what is true: it is what tools/status.py makes of the schema and the method tables."""

from __future__ import annotations

import subprocess
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class StatusTest(unittest.TestCase):
    def test_is_current(self) -> None:
        done = subprocess.run(["/usr/bin/python3", str(ROOT / "tools/status.py"), "--check"],
                              capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr))


class GuestsTest(unittest.TestCase):
    def test_is_current(self) -> None:
        """docs/guest-os.md likewise, from the table in src/host/vm/guest_os.c."""
        done = subprocess.run(["/usr/bin/python3", str(ROOT / "tools/guest_os.py"), "--check"],
                              capture_output=True, text=True, check=False)
        self.assertEqual((0, ""), (done.returncode, done.stderr))


if __name__ == "__main__":
    unittest.main()
