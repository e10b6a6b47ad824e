# SPDX-License-Identifier: Apache-2.0
"""What a run has measured, and how it is told: a table for people, and marked sections of docs/performance.md.

A comparison holds one figure of each side per round. The sides take turns, so that what else the machine
does meets them alike; the ratio is therefore taken within each round, and the median of these is told.
"""

from __future__ import annotations

import re
import statistics
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Target:
    """A limit that the median has to keep. It is a limit of the ratio to the peer, or of our own figure."""

    limit: float
    of_ratio: bool
    at_least: bool

    def is_met(self, value: float) -> bool:
        return value >= self.limit if self.at_least else value <= self.limit

    def text(self, unit: str) -> str:
        sign = "≥" if self.at_least else "≤"
        return f"{sign} {self.limit:g}×" if self.of_ratio else f"{sign} {self.limit:g} {unit}"


def ratio_at_least(limit: float) -> Target:
    return Target(limit, of_ratio=True, at_least=True)


def ratio_at_most(limit: float) -> Target:
    return Target(limit, of_ratio=True, at_least=False)


def at_most(limit: float) -> Target:
    return Target(limit, of_ratio=False, at_least=False)


@dataclass
class Comparison:
    """One thing that was measured of us and of a peer, round by round."""

    what: str
    unit: str
    peer_name: str
    ratio: str  # which ratio is told: "peer/ours" of times and sizes, "ours/peer" of rates and costs
    target: Target | None = None
    ours: list[float] = field(default_factory=list)
    peer: list[float] = field(default_factory=list)  # as long as ours, or one figure for all, or empty
    remark: str = ""  # of what the figures alone do not tell, such as the size of the answers

    def ratios(self) -> list[float]:
        peer = self.peer * len(self.ours) if len(self.peer) == 1 else self.peer
        pairs = list(zip(self.ours, peer))
        return [a / b if self.ratio == "ours/peer" else b / a for a, b in pairs]

    def verdict(self) -> str:
        if self.target is None or (self.target.of_ratio and not self.peer):
            return ""
        value = statistics.median(self.ratios() if self.target.of_ratio else self.ours)
        return "met" if self.target.is_met(value) else "missed"


def _number(value: float) -> str:
    """Three digits, and no exponent."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def spread(values: list[float], unit: str = "") -> str:
    """The median, and between which values all lie."""
    if not values:
        return "-"
    text = _number(statistics.median(values)) + unit
    if len(values) > 1:
        text += f" ({_number(min(values))} to {_number(max(values))})"
    return text


HEAD = ("what", "ratio", "Tenkyu", "peer", "target", "")


def _row(c: Comparison) -> tuple[str, ...]:
    peer = f"{c.peer_name}: {spread(c.peer, ' ' + c.unit)}" if c.peer else "-"
    target = c.target.text(c.unit) if c.target is not None else ""
    what = f"{c.what} ({c.remark})" if c.remark else c.what
    return what, spread(c.ratios(), "×"), spread(c.ours, " " + c.unit), peer, target, c.verdict()


def table(comparisons: list[Comparison]) -> str:
    """For a terminal: columns as wide as what they hold."""
    rows = [HEAD] + [_row(c) for c in comparisons]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEAD))]
    return "".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n" for row in rows)


def _markdown(comparisons: list[Comparison]) -> str:
    lines = ["| what | ratio | Tenkyu | peer | target |", "| --- | --- | --- | --- | --- |"]
    for c in comparisons:
        *cells, target, verdict = _row(c)
        lines.append("| " + " | ".join([*cells, f"{target} {verdict}".strip()]) + " |")
    return "\n".join(lines) + "\n"


def write_section(page: Path, name: str, heading: str, comparisons: list[Comparison]) -> None:
    """Replaces what stands between the page's marks of this name."""
    begin, end = f"<!-- bench {name}: begin -->\n", f"<!-- bench {name}: end -->\n"
    text = page.read_text(encoding="utf-8")
    made = f"{begin}{heading}\n\n{_markdown(comparisons)}{end}"
    text, n = re.subn(re.escape(begin) + ".*?" + re.escape(end), lambda _: made, text, flags=re.DOTALL)
    if n != 1:
        raise ValueError(f"{page} lacks the marks {begin.strip()} and {end.strip()}")
    page.write_text(text, encoding="utf-8")
