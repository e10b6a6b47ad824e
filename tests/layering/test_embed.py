# SPDX-License-Identifier: Apache-2.0
"""tools/embed.py: what a C compiler reads from its output is the file again, byte for byte."""

from __future__ import annotations

import subprocess
import tempfile
import unittest
from pathlib import Path

from project import ROOT

_MAIN = '#include "made.c"\n#include <stdio.h>\nint main(void)\n' \
    '{\n    return fwrite(text, 1, sizeof(text), stdout) != sizeof(text);\n}\n'


class Embed(unittest.TestCase):
    def setUp(self) -> None:
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = Path(temporary.name)

    def embed(self, data: bytes) -> subprocess.CompletedProcess[bytes]:
        (self.folder / "in").write_bytes(data)
        return subprocess.run([ROOT / "tools/embed.py", self.folder / "made.c", f"text={self.folder}/in"],
                              capture_output=True)

    def test_bytes_survive(self) -> None:
        everything = bytes(range(1, 256)) + "\n0 ??= \"q\" \\n 天\r\n\n1".encode()
        for data in (everything, b"", b"\n", b"a\n", b"\x017"):
            with self.subTest(data=data):
                self.assertEqual(0, self.embed(data).returncode)
                (self.folder / "main.c").write_text(_MAIN)
                subprocess.run(["cc", "-std=gnu17", "-Wall", "-Wextra", "-Werror", "-o", self.folder / "main",
                                self.folder / "main.c"], check=True)
                out = subprocess.run([self.folder / "main"], check=True, capture_output=True).stdout
                self.assertEqual(data + b"\0", out)

    def test_a_nul_is_refused(self) -> None:
        run = self.embed(b"a\0b")
        self.assertNotEqual(0, run.returncode)
        self.assertIn(b"NUL", run.stderr)
        self.assertFalse((self.folder / "made.c").exists())


if __name__ == "__main__":
    unittest.main()
