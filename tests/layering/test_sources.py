# SPDX-License-Identifier: Apache-2.0
"""What every source file has: a licence line, no tabs, no blanks at line ends, a bearable length; what every
C file and header has besides."""

from __future__ import annotations

import re
import unittest
from collections.abc import Iterator
from pathlib import Path

from project import ROOT, files, read

MAX_LINES = 1000
_SPDX = "SPDX-License-Identifier: Apache-2.0"
_SUFFIXES = {".c", ".h", ".py", ".sh", ".api", ".build", ".js", ".ts", ".css", ".list"}
# A file whose format has no comments, or whose first lines have a meaning of their own.
_NO_LICENCE_LINE: set[str] = set()


def is_source(path: Path) -> bool:
    if path.suffix in _SUFFIXES or path.name in ("meson_options.txt", ".clang-format"):
        return True
    if path.suffix or not (ROOT / path).is_file():
        return False
    with open(ROOT / path, "rb") as file:
        return file.read(2) == b"#!"


def sources() -> Iterator[Path]:
    return (path for path in files() if is_source(path))


class Sources(unittest.TestCase):
    def check(self, found: list[str]) -> None:
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_licence_line(self) -> None:
        found = []
        for path in sources():
            lines = read(path).splitlines()
            first = lines[1:2] if lines and lines[0].startswith("#!") else lines[:1]
            if path.as_posix() not in _NO_LICENCE_LINE and not any(_SPDX in line for line in first):
                found.append(f"{path}: the first line is not '{_SPDX}'")
        self.check(found)

    def test_length(self) -> None:
        counted = ((path, read(path).count("\n")) for path in sources())
        self.check([f"{path}: {n} lines; split it by meaning" for path, n in counted if n >= MAX_LINES])

    def test_whitespace(self) -> None:
        found = []
        for path in sources():
            text = read(path)
            if text and not text.endswith("\n"):
                found.append(f"{path}: does not end with a line end")
            for number, line in enumerate(text.split("\n"), 1):
                if "\t" in line or line != line.rstrip():
                    found.append(f"{path}:{number}: tab, or blanks at the end")
        self.check(found)

    def test_header_guard(self) -> None:
        self.check([f"{path}: no #pragma once" for path in sources()
                    if path.suffix == ".h" and "\n#pragma once\n" not in read(path)])

    def test_opening_comment(self) -> None:
        """After the licence line, a comment that says what the file is."""
        found = []
        for path in sources():
            if path.suffix in (".c", ".h") and not re.match(r"//[^\n]*\n/\*[\s\S]{20,}?\*/\n", read(path)):
                found.append(f"{path}: no comment at the top that says what this is")
            if path.suffix == ".py" and path.name != "__init__.py":
                body = re.sub(r"\A(#[^\n]*\n)+", "", read(path))
                if not body.startswith('"""'):
                    found.append(f"{path}: no docstring at the top")
        self.check(found)

    def test_scripts_can_run(self) -> None:
        """A file with an interpreter line is executable, and the other way round."""
        found = []
        for path in sources():
            script = read(path).startswith("#!")
            if script != bool((ROOT / path).stat().st_mode & 0o111):
                found.append(f"{path}: {'has' if script else 'lacks'} #! but is "
                             f"{'not ' if script else ''}executable")
        self.check(found)


if __name__ == "__main__":
    unittest.main()
