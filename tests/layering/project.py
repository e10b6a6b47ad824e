# SPDX-License-Identifier: Apache-2.0
"""The files of the project as these tests see them: what is written by hand, without what is built."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

# Folders that hold no source: by name anywhere, or by path.
_SKIP_NAMES = {"__pycache__", ".git", ".mypy_cache", ".ruff_cache", "node_modules"}
_SKIP_PATHS = {"tests/golden", "tests/fuzz/corpus", "tests/schema/diagnostics"}


def files(*folders: str) -> Iterator[Path]:
    """Every file below the folders (default: the whole project), in order, relative to the project."""
    for folder in folders or (".",):
        for place, names, leaves in os.walk(ROOT / folder):
            here = Path(place).relative_to(ROOT)
            names[:] = sorted(
                name for name in names
                if name not in _SKIP_NAMES and (here / name).as_posix() not in _SKIP_PATHS
                and not (here == Path(".") and name.startswith("build")))
            for leaf in sorted(leaves):
                yield here / leaf


def read(path: Path) -> str:
    return (ROOT / path).read_text(encoding="utf-8")
