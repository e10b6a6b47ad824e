# SPDX-License-Identifier: Apache-2.0
"""What the schema's tests share: the path to the tools, the project's schema, golden files."""

from __future__ import annotations

import os
import sys
import unittest
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(ROOT / "tools"))

from schema.__main__ import load  # noqa: E402
from schema.model import Schema  # noqa: E402


def load_api() -> Schema:
    """The project's schema, which must be without fault."""
    schema, diagnostics = load([str(path) for path in (ROOT / "api").glob("*.api")])
    if diagnostics:
        raise AssertionError("\n".join(diagnostics))
    return schema


def check_golden(test: unittest.TestCase, expected: Path, text: str) -> None:
    """`text` must be what the file holds. UPDATE_GOLDEN=1 writes the file instead; a missing one
    fails."""
    if os.environ.get("UPDATE_GOLDEN") == "1":
        expected.write_text(text, encoding="utf-8")
        return
    test.assertTrue(expected.is_file(), f"{expected} is missing; UPDATE_GOLDEN=1 writes it")
    test.assertEqual(text, expected.read_text(encoding="utf-8"))
