# SPDX-License-Identifier: Apache-2.0
"""Shell scripts are POSIX (a bare Debian has dash) and hold nothing that shellcheck warns of."""

from __future__ import annotations

import subprocess
import unittest

from project import ROOT, files


class Scripts(unittest.TestCase):
    def test_shell_scripts(self) -> None:
        scripts = []
        for path in files():
            with open(ROOT / path, "rb") as file:
                if file.readline() == b"#!/bin/sh\n":
                    scripts.append(path)
        self.assertGreater(len(scripts), 5)
        # The guest's shell is busybox; where that knows more than POSIX, its scripts may use it.
        run = subprocess.run(["shellcheck", "--shell=sh", "--severity=warning", *scripts], cwd=ROOT,
                             capture_output=True, text=True)
        self.assertEqual((0, "", ""), (run.returncode, run.stdout, run.stderr), run.stdout)


if __name__ == "__main__":
    unittest.main()
