# SPDX-License-Identifier: Apache-2.0
"""python3 -m schema check|c|wsdl|ts|docs --out DIR FILE.api ...: checks the schema and writes what
it is asked for. Diagnostics go to stderr as file:line: text; any diagnostic means exit status 1 and
no output."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path

from .check import Checker
from .model import Schema
from .parse import Parser

EMITTERS = {"c": "emit_c", "wsdl": "emit_wsdl", "ts": "emit_ts", "docs": "emit_docs"}


def load(files: list[str]) -> tuple[Schema, list[str]]:
    """Parses and checks; returns the schema and its diagnostics in order of place."""
    parser = Parser()
    for name in sorted(files):
        parser.file(Path(name), Path(name).name)
    found = parser.diagnostics + Checker(parser.schema).run()
    found.sort(key=lambda d: (d[0].file, d[0].line))
    return parser.schema, [f"{place.file}:{place.line}: {text}" for place, text in found]


def main() -> int:
    args = argparse.ArgumentParser(prog="schema", description=__doc__)
    args.add_argument("action", choices=["check", *EMITTERS])
    args.add_argument("--out", help="folder for what is written")
    args.add_argument("files", nargs="+")
    given = args.parse_args()
    schema, diagnostics = load(given.files)
    for line in diagnostics:
        print(line, file=sys.stderr)
    if diagnostics:
        return 1
    if given.action != "check":
        emitter = importlib.import_module(f"{__package__}.{EMITTERS[given.action]}")
        for name, text in emitter.emit(schema).items():
            Path(given.out, name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
