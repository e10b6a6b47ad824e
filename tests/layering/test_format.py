# SPDX-License-Identifier: Apache-2.0
"""C files are laid out as .clang-format says; `tools/format` makes them so."""

from __future__ import annotations

import subprocess
import unittest

from project import ROOT


class Format(unittest.TestCase):
    def test_c_files(self) -> None:
        run = subprocess.run([ROOT / "tools/format", "--check"], capture_output=True, text=True)
        self.assertEqual("", run.stderr)
        self.assertEqual([], run.stdout.split(), "run tools/format")
        self.assertEqual(0, run.returncode)


if __name__ == "__main__":
    unittest.main()
