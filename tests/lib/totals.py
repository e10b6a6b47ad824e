#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""totals.py [--no-skip] LOG.json ...: adds up what `meson test` has run, from its meson-logs/testlog.json.
Names what failed and what was skipped with the reason, and ends with the line `N passed, N failed, N skipped`. Exits with
1 when something failed, when nothing ran, or, with --no-skip, when something was skipped."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass, field
from pathlib import Path

_POINT = re.compile(r"(not )?ok\b\s*\d*\s*-?\s*(.*?)(?:\s*#\s*(SKIP|TODO)\b\S*\s*(.*))?$", re.IGNORECASE)


@dataclass
class Totals:
    passed: int = 0
    failed: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)

    def program(self, run: dict[str, object]) -> None:
        """Counts one run of a program: its TAP lines, or itself when it wrote none."""
        name = str(run["name"])
        verdict = str(run["result"])
        failed_before = len(self.failed)
        points = 0
        for line in str(run.get("stdout") or "").splitlines():
            match = _POINT.match(line)
            if match is None:
                continue
            points += 1
            bad, test, directive, reason = match.groups()
            if directive and directive.upper() == "SKIP":
                self.skipped.append(f"{name}: {test}: {reason or 'no reason given'}")
            elif bad:
                self.failed.append(f"{name}: {test}")
            else:
                self.passed += 1
        if verdict in ("OK", "EXPECTEDFAIL"):
            self.passed += points == 0
        elif verdict == "SKIP":
            if points == 0:
                self.skipped.append(f"{name}: the program skipped itself")
        elif len(self.failed) == failed_before:
            # A crash, a time-out, or a plan that was not fulfilled: no line of TAP tells of it.
            self.failed.append(f"{name}: {verdict.lower()}, exit status {run.get('returncode')}")


def main(arguments: list[str]) -> int:
    no_skip = "--no-skip" in arguments
    totals = Totals()
    for log in arguments:
        if log == "--no-skip":
            continue
        if not Path(log).is_file():
            totals.failed.append(f"no test has run: there is no {log}")
        else:
            for line in Path(log).read_text(encoding="utf-8", errors="replace").splitlines():
                totals.program(json.loads(line))
    for line in totals.skipped:
        print(f"skipped: {line}")
    for line in totals.failed:
        print(f"failed: {line}")
    if no_skip and totals.skipped:
        print("no test may skip here")
    print(f"{totals.passed} passed, {len(totals.failed)} failed, {len(totals.skipped)} skipped")
    bad = totals.failed or not totals.passed or (no_skip and totals.skipped)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
