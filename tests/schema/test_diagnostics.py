# SPDX-License-Identifier: Apache-2.0
"""Each file diagnostics/<name>.api makes the parser and checker say what <name>.expected holds, and
together they make them say everything that they can say."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

from common import HERE, ROOT, check_golden
from schema.__main__ import load

FOLDER = HERE / "diagnostics"
TOOLS = ROOT / "tools"


def diagnostics(path: Path) -> list[str]:
    return load([str(path)])[1]


def templates(source: Path) -> list[tuple[int, re.Pattern[str]]]:
    """(line, pattern) of each text that the file gives to self.error()."""
    found: list[tuple[int, re.Pattern[str]]] = []
    for node in ast.walk(ast.parse(source.read_text(encoding="utf-8"))):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute) \
                or node.func.attr != "error":
            continue
        text = node.args[1]
        if isinstance(text, ast.Constant):
            pattern = re.escape(str(text.value))
        elif isinstance(text, ast.JoinedStr):
            pattern = "".join(re.escape(str(part.value)) if isinstance(part, ast.Constant) else ".+"
                              for part in text.values)
        else:
            raise AssertionError(f"{source}:{node.lineno}: a diagnostic must be a literal text")
        found.append((node.lineno, re.compile(pattern)))
    return found


class DiagnosticsTest(unittest.TestCase):
    maxDiff = None

    def test_golden(self) -> None:
        cases = sorted(FOLDER.glob("*.api"))
        self.assertTrue(cases)
        for case in cases:
            with self.subTest(case.stem):
                text = "".join(f"{line}\n" for line in diagnostics(case))
                check_golden(self, case.with_suffix(".expected"), text)

    def test_no_golden_file_without_its_case(self) -> None:
        orphans = [path.name for path in FOLDER.glob("*.expected")
                   if not path.with_suffix(".api").is_file()]
        self.assertEqual(orphans, [])

    def test_every_diagnostic_has_a_case(self) -> None:
        said = [line.split(": ", 1)[1] for case in FOLDER.glob("*.api")
                for line in diagnostics(case)]
        for name in ("parse.py", "check.py"):
            source = TOOLS / "schema" / name
            found = templates(source)
            self.assertTrue(found)
            for line, pattern in found:
                self.assertTrue(any(pattern.fullmatch(text) for text in said),
                                f"{name}:{line}: no case makes it say '{pattern.pattern}'")

    def test_several_files_are_one_schema(self) -> None:
        """Names are shared between files, order is not: each file is sorted for itself."""
        both = [str(FOLDER / "unknown_base.api"), str(FOLDER / "enum_empty.api")]
        found = load(both)[1]
        self.assertIn("unknown_base.api:9: duplicate type A, first at enum_empty.api:9", found)
        self.assertFalse([line for line in found if "stands after A;" in line])

    def test_example_of_the_documentation(self) -> None:
        """The language's example in docs/design/schema.md is a schema without fault."""
        page = (ROOT / "docs" / "design" / "schema.md").read_text(encoding="utf-8")
        example = re.search(r"^```api\n(.*?)^```", page, re.DOTALL | re.MULTILINE)
        assert example is not None
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder, "example.api")
            path.write_text(example[1], encoding="utf-8")
            self.assertEqual(diagnostics(path), [])

    def test_command_line(self) -> None:
        """Diagnostics go to stderr with status 1; a correct schema says nothing."""
        for name, status in (("tab", 1), ("correct", 0)):
            done = subprocess.run([sys.executable, "-m", "schema", "check", FOLDER / f"{name}.api"],
                                  cwd=TOOLS, capture_output=True, text=True, check=False)
            self.assertEqual(done.returncode, status)
            self.assertEqual(done.stdout, "")
            self.assertEqual(done.stderr,
                             (FOLDER / f"{name}.expected").read_text(encoding="utf-8"))


if __name__ == "__main__":
    unittest.main()
