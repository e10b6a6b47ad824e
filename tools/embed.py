#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""embed.py OUT.c NAME=FILE ...: writes a C file that defines `const char NAME[]`, the text of FILE and
a NUL, for each pair. What is a file in the sources or made by the build is so part of the program."""

from __future__ import annotations

import sys
from pathlib import Path

_ESCAPES = {ord("\\"): "\\\\", ord('"'): '\\"', ord("\n"): "\\n", ord("\t"): "\\t", ord("?"): "\\?"}


def literal(line: bytes) -> str:
    """A C string literal. Octal escapes have three digits, so that a digit after one is no part of it."""
    text = (_ESCAPES.get(byte) or (chr(byte) if 32 <= byte < 127 else f"\\{byte:03o}") for byte in line)
    return '"' + "".join(text) + '"'


def embed(name: str, data: bytes) -> str:
    if b"\0" in data:
        raise ValueError(f"{name} has a NUL byte and cannot be a C string")
    lines = "\n".join("    " + literal(line) for line in data.splitlines(keepends=True)) or '    ""'
    return f"extern const char {name}[];\nconst char {name}[] =\n{lines};\n"


def main(arguments: list[str]) -> int:
    if len(arguments) < 2 or not all("=" in pair for pair in arguments[1:]):
        print(f"usage: {__doc__}", file=sys.stderr)
        return 2
    parts = ["// Made by tools/embed.py; not to be edited.\n"]
    for pair in arguments[1:]:
        name, _, file = pair.partition("=")
        parts.append(embed(name, Path(file).read_bytes()))
    Path(arguments[0]).write_text("\n".join(parts), encoding="ascii")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
