# SPDX-License-Identifier: Apache-2.0
"""What is made from a schema: golden files for one small schema, and what must hold for the real
one (every link in the reference leads somewhere, TypeScript's names are all declared)."""

from __future__ import annotations

import re
import unittest

from common import HERE, check_golden, load_api
from schema import emit_c, emit_docs, emit_ts, emit_wsdl
from schema.__main__ import load

GOLDEN = HERE / "golden"


class GoldenTest(unittest.TestCase):
    maxDiff = None

    def check(self, made: dict[str, str]) -> None:
        self.assertTrue(made)
        for name, text in made.items():
            with self.subTest(name):
                check_golden(self, GOLDEN / name, text)

    def setUp(self) -> None:
        self.schema, diagnostics = load([str(HERE / "small.api")])
        self.assertEqual(diagnostics, [])

    def test_c(self) -> None:
        self.check(emit_c.emit(self.schema))

    def test_wsdl(self) -> None:
        self.check(emit_wsdl.emit(self.schema))

    def test_typescript(self) -> None:
        self.check(emit_ts.emit(self.schema))

    def test_reference(self) -> None:
        self.check(emit_docs.emit(self.schema))


class ReferenceTest(unittest.TestCase):
    def test_links_lead_somewhere(self) -> None:
        text = emit_docs.emit(load_api())["api.md"]
        anchors = [re.sub(r"[^\w\- ]", "", heading).strip().lower().replace(" ", "-")
                   for heading in re.findall(r"^#+ (.*)$", text, re.MULTILINE)]
        links = set(re.findall(r"\]\(#([^)]*)\)", text))
        self.assertGreater(len(links), 100)
        self.assertEqual(sorted(links - set(anchors)), [])
        twice = sorted({name for name in links if anchors.count(name) > 1})
        self.assertEqual(twice, [], "ambiguous anchors")

    def test_everything_is_described(self) -> None:
        schema = load_api()
        headings = set(re.findall(r"^#+ (.*)$", emit_docs.emit(schema)["api.md"], re.MULTILINE))
        self.assertEqual(sorted(set(schema.types) - headings), [])
        self.assertEqual(sorted({m.name for m in schema.methods()} - headings), [])

    def test_tables_are_whole(self) -> None:
        """Every row of a table has as many cells as the row above it."""
        previous = 0
        for number, line in enumerate(emit_docs.emit(load_api())["api.md"].splitlines(), 1):
            cells = len(re.findall(r"(?<!\\)\|", line)) if line.startswith("|") else 0
            if cells and previous:
                self.assertEqual(cells, previous, f"line {number}")
            previous = cells


class TypeScriptTest(unittest.TestCase):
    """Structure only; it was compiled under `tsc --strict` when it was written."""

    def setUp(self) -> None:
        self.schema = load_api()
        self.text = emit_ts.emit(self.schema)["vim.ts"]
        self.code = re.sub(r"/\*\*.*?\*/", "", self.text, flags=re.DOTALL)

    def test_names_are_declared_once(self) -> None:
        names = re.findall(r"^export (?:interface|type) (\w+)", self.code, re.MULTILINE)
        self.assertEqual(sorted({n for n in names if names.count(n) > 1}), [])
        missing = {t.name for t in self.schema.of_kind("data", "fault", "enum")} - set(names)
        self.assertEqual(sorted(missing), [])

    def test_references_name_managed_types(self) -> None:
        targets = set(re.findall(r'\bRef<"(\w+)">', self.code))
        managed = {t.name for t in self.schema.of_kind("managed")}
        self.assertTrue(targets)
        self.assertEqual(sorted(targets - managed), [])

    def test_member_types_are_declared(self) -> None:
        known = set(re.findall(r"^export (?:interface|type) (\w+)", self.code, re.MULTILINE))
        known |= {"boolean", "string", "number", "unknown", "void", "Record", "Kinds"}
        used = set(re.findall(r"^ +\w+\??: (\w+)(?:\[\])?(?: \| undefined)?;", self.code,
                              re.MULTILINE))
        self.assertGreater(len(used), 50)
        self.assertEqual(sorted(used - known), [])

    def test_brackets_match(self) -> None:
        for opening, closing in (("{", "}"), ("(", ")"), ("[", "]")):
            self.assertEqual(self.code.count(opening), self.code.count(closing))


if __name__ == "__main__":
    unittest.main()
