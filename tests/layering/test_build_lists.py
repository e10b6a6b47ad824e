# SPDX-License-Identifier: Apache-2.0
"""The build's lists are complete: a source or a test that is in no list would be neither built nor run, and
nobody would see it."""

from __future__ import annotations

import re
import unittest
from collections.abc import Iterable
from pathlib import Path

from project import ROOT, files, read


def names(build_file: str) -> set[str]:
    """The strings that a build file lists, without comments."""
    text = re.sub(r"#.*", "", read(Path(build_file)))
    return set(re.findall(r"'([^'\n]+)'", text))


class BuildLists(unittest.TestCase):
    def expect(self, build_file: str, wanted: Iterable[str]) -> None:
        missing = sorted(set(wanted) - names(build_file))
        self.assertEqual([], missing, f"\n{build_file} does not list: {', '.join(missing)}")

    def test_sources(self) -> None:
        """A C file is in the list of its folder, or of the nearest folder above that has one."""
        wanted: dict[str, list[str]] = {}
        for path in files("src"):
            if path.suffix == ".c" and path != Path("src/main.c"):
                folder = next(p for p in path.parents if (ROOT / p / "meson.build").is_file())
                wanted.setdefault(f"{folder}/meson.build", []).append(path.relative_to(folder).as_posix())
        self.assertGreater(len(wanted), 3)
        for build_file, sources in wanted.items():
            self.expect(build_file, sources)

    def test_schema(self) -> None:
        self.expect("src/vim/meson.build", [f"../../{p}" for p in files("api") if p.suffix == ".api"])
        self.expect("src/vim/meson.build",
                    [f"../../{p}" for p in files("tools/schema") if p.suffix == ".py"])

    def test_tests(self) -> None:
        """Whatever is named like a test is one that runs."""
        found = [p for p in files("tests") if p.name.startswith(("test_", "fuzz_"))
                 and p.suffix in (".c", ".py")]
        self.assertGreater(len(found), 10)
        self.expect("tests/meson.build", [p.stem for p in found])

    def test_no_name_is_used_twice(self) -> None:
        """Programs and logs are told apart by name alone."""
        stems = [p.stem for p in files("tests") if p.name.startswith(("test_", "fuzz_"))]
        self.assertEqual(sorted(set(stems)), sorted(stems))

    def test_version(self) -> None:
        """The version stands in two places, one for the build and one for the program."""
        built = re.search(r"^  version: '([^']+)'", read(Path("meson.build")), re.MULTILINE)
        said = re.search(r'TENKYU_VERSION "([^"]+)"', read(Path("src/base/version.h")))
        assert built is not None and said is not None
        self.assertEqual(built[1], said[1])

    def test_package_lists(self) -> None:
        """A package and what it is for on each line, and each only once but for the lists that stand alone."""
        seen: list[str] = []
        for path in files("packaging/debian"):
            if path.suffix == ".list":
                for line in read(path).splitlines():
                    if line and not line.startswith("#"):
                        self.assertRegex(line, r"^[a-z0-9][a-z0-9+.-]+ +\S.*[^ .]$", path)
                        seen += [line.split()[0]] if path.stem != "bench" else []
        self.assertEqual(sorted(set(seen)), sorted(seen))

    def test_fuzz_corpus(self) -> None:
        for path in files("tests/fuzz"):
            if path.name.startswith("fuzz_") and path.suffix == ".c":
                corpus = ROOT / "tests/fuzz/corpus" / path.stem
                self.assertTrue(corpus.is_dir() and any(corpus.iterdir()), f"{corpus} has no file")


if __name__ == "__main__":
    unittest.main()
