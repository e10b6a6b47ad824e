#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""tools/status.py [--check]: writes docs/status.md: what is missing (docs/design/missing.md, by hand) and which methods
of the API are implemented (from api/ and from the method tables in src/). With --check it writes nothing and
fails when the page is not what it would write."""

from __future__ import annotations

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from schema.__main__ import load  # noqa: E402

TABLE = re.compile(r"const struct (\w+)_methods \w+ = \{(.*?)\n\};", re.DOTALL)
ENTRY = re.compile(r"\.(\w+) =")


def implemented() -> set[tuple[str, str]]:
    """(managed type, method) of every entry in a method table."""
    found = set()
    for source in sorted((ROOT / "src").rglob("*.c")):
        for owner, body in TABLE.findall(source.read_text(encoding="utf-8")):
            found |= {(owner, method) for method in ENTRY.findall(body)}
    return found


def page() -> str:
    schema, diagnostics = load([str(path) for path in sorted((ROOT / "api").glob("*.api"))])
    if diagnostics:
        sys.exit("\n".join(diagnostics))
    have = implemented()
    out = [(ROOT / "docs/design/missing.md").read_text(encoding="utf-8").rstrip(), "",
           "## Methods of the API", "",
           "A method that is not implemented answers NotSupported.", "",
           "| managed type | implemented | NotSupported |", "| --- | --- | --- |"]
    done = total = 0
    for managed in schema.of_kind("managed"):
        names = [m.name for m in managed.methods]
        if not names:
            continue
        subtypes = {t.name for t in schema.subtypes(managed)}
        yes = [n for n in names if any((t, n) in have for t in subtypes)]
        no = [n for n in names if n not in yes]
        done, total = done + len(yes), total + len(names)
        out.append(f"| {managed.name} | {', '.join(yes) or '-'} | {', '.join(no) or '-'} |")
    out += ["", f"{done} of {total} declared methods are implemented."]
    return "\n".join(out) + "\n"


def main() -> int:
    target = ROOT / "docs/status.md"
    text = page()
    if sys.argv[1:] == ["--check"]:
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            print("docs/status.md is not current: run tools/status.py", file=sys.stderr)
            return 1
        return 0
    target.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
