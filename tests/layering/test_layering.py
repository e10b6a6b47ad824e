# SPDX-License-Identifier: Apache-2.0
"""Who may include whom. The table is the rule; ARCHITECTURE.md tells it in words. A part is a folder or a
single file, the longest that fits a path; it may include itself and what stands behind it."""

from __future__ import annotations

import re
import unittest
from pathlib import Path, PurePosixPath

from project import ROOT, files, read

# part of src/ -> what of src/ it may include beside itself: folders (with all below) and single headers.
MAY_INCLUDE: dict[str, tuple[str, ...]] = {
    "base": (),
    # The server core: knows no hypervisor, no host, and so can serve the center too.
    "vim": ("base",),
    # The interface of a hypervisor and its two implementations, which speak of VMs in the API's own types
    # but know nothing of servers, sessions or inventories.
    "hypervisor": ("base", "vim/types.h", "vim/value.h", "vim/type.h"),
    "hypervisor/qemu": ("base", "hypervisor/hypervisor.h", "hypervisor/hypervisor_ops.h",
                        "vim/types.h", "vim/value.h", "vim/type.h"),
    "hypervisor/sim": ("base", "hypervisor/hypervisor.h", "hypervisor/hypervisor_ops.h",
                       "vim/types.h", "vim/value.h", "vim/type.h"),
    "host": ("base", "vim", "hypervisor/hypervisor.h"),
    # A client like any other: it reaches a host over the network alone.
    "cli": ("base",),
    # Chooses between the two programs that the binary holds.
    "main.c": ("base", "cli/cli.h", "host/host_main.h"),
}

# Headers from outside that only one part may use: what would be hard to replace is kept in one place.
ONLY_IN: dict[str, tuple[str, ...]] = {
    "microhttpd.h": ("vim",),
    "expat.h": ("vim",),
    "crypt.h": ("vim",),
    "curl/": ("cli",),
    "glib-object.h": (),
    "gio/": (),
}

_INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]', re.MULTILINE)


def part_of(path: str) -> str | None:
    """The part of src/ that a path relative to src/ belongs to."""
    fits = [part for part in MAY_INCLUDE if path == part or path.startswith(part + "/")]
    return max(fits, key=len, default=None)


def allowed(path: str, header: str) -> bool:
    """Whether a file of src/ may include a header of src/."""
    part = part_of(path)
    if part is None:
        return False
    if part_of(header) == part:
        return True
    return any(header == entry or header.startswith(entry + "/") for entry in MAY_INCLUDE[part])


def findings(path: str, text: str) -> list[str]:
    """What is wrong with the includes of a file, one sentence each."""
    found = []
    for mark, header in _INCLUDE.findall(text):
        if mark == '"':
            if PurePosixPath(header).is_absolute() or ".." in PurePosixPath(header).parts:
                found.append(f"src/{path} includes {header}; paths are relative to src/")
            elif not allowed(path, header):
                found.append(f"src/{path} may not include {header}")
            continue
        for start, parts in ONLY_IN.items():
            if header.startswith(start) and part_of(path) not in parts:
                found.append(f"src/{path} may not include <{header}>")
    return found


class Layering(unittest.TestCase):
    def test_sources_keep_to_the_table(self) -> None:
        found: list[str] = []
        seen = 0
        for path in files("src"):
            if path.suffix in (".c", ".h"):
                seen += 1
                found += findings(path.relative_to("src").as_posix(), read(path))
        self.assertGreater(seen, 50)
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_table_names_what_exists(self) -> None:
        for part, entries in MAY_INCLUDE.items():
            for name in (part, *entries):
                if name in ("vim/types.h",):
                    continue  # made by the build
                self.assertTrue((ROOT / "src" / name).exists(), f"src/{name}")

    def test_every_folder_has_a_rule(self) -> None:
        for path in files("src"):
            if path.suffix in (".c", ".h"):
                self.assertIsNotNone(part_of(Path(*path.parts[1:]).as_posix()), path)

    def test_breaches_are_found(self) -> None:
        cases = {
            ("base/file.c", '#include "vim/type.h"'): 1,
            ("base/file.c", '#include "base/file.h"'): 0,
            ("vim/server.c", '#include "host/host.h"'): 1,
            ("vim/server.c", '#include "hypervisor/hypervisor.h"'): 1,
            ("hypervisor/hypervisor.c", '#include "hypervisor/hypervisor_ops.h"'): 0,
            ("hypervisor/hypervisor.c", '#include "vim/server.h"'): 1,
            ("hypervisor/qemu/qmp.c", '#include "hypervisor/sim/sim_model.h"'): 1,
            ("hypervisor/sim/sim.c", '# include "hypervisor/qemu/qmp.h"'): 1,
            ("host/vm/vm.c", '#include "hypervisor/qemu/qmp.h"'): 1,
            ("host/vm/vm.c", '#include "hypervisor/hypervisor.h"\n#include "vim/server.h"'): 0,
            ("cli/run.c", '#include "vim/json.h"'): 1,
            ("cli/run.c", '#include "../base/file.h"'): 1,
            ("host/vm/vm.c", '#include <microhttpd.h>'): 1,
            ("vim/http.c", '#include <microhttpd.h>'): 0,
            ("elsewhere/x.c", '#include "base/file.h"'): 1,
        }
        for (path, text), count in cases.items():
            with self.subTest(path=path, text=text):
                self.assertEqual(count, len(findings(path, text)))


if __name__ == "__main__":
    unittest.main()
