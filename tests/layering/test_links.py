# SPDX-License-Identifier: Apache-2.0
"""Links between pages lead somewhere: to a file of the project, and to a heading where they name one."""

from __future__ import annotations

import os.path
import re
import unittest
from pathlib import Path

from project import ROOT, files, read

_LINK = re.compile(r"\]\(([^()\s]+)\)")
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)


def anchors(page: str) -> set[str]:
    """The names of a page's headings as web pages of repositories make them."""
    headings = re.findall(r"^#+ +(.+?) *$", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL),
                          re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken(page: Path, text: str) -> list[str]:
    """The links of a page that lead nowhere. Addresses of other sites are not looked at."""
    found = []
    for link in _LINK.findall(_CODE.sub("", text)):
        name, _, anchor = link.partition("#")
        target = Path(os.path.normpath(page.parent / name)) if name else page
        if re.match(r"[a-z][a-z0-9+.-]*:", link):
            continue
        if link.startswith("/") or target.parts[:1] == ("..",) or not (ROOT / target).exists():
            found.append(f"{page}: {link} is not there")
        elif anchor and anchor not in anchors(read(target)):
            found.append(f"{page}: {link}: the page has no such heading")
    return found


class Links(unittest.TestCase):
    def test_pages(self) -> None:
        pages = [page for page in files() if page.suffix == ".md"]
        self.assertGreater(len(pages), 5)
        found = [line for page in pages for line in broken(page, read(page))]
        self.assertEqual([], found, "\n" + "\n".join(found))

    def test_broken_ones_are_found(self) -> None:
        page = Path("docs/page.md")
        for link in ("nothing.md", "../README.md#no-such-heading", "../../outside.md", "/README.md"):
            self.assertEqual(1, len(broken(page, f"[words]({link})")), link)
        for link in ("../README.md", "../README.md#two-commands", "design", "https://a.example/b"):
            self.assertEqual([], broken(page, f"[words]({link})"))
        self.assertEqual([], broken(page, "`[not a link](nothing.md)`"))


if __name__ == "__main__":
    unittest.main()
