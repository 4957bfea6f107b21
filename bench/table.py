"""What a scenario found: rows of figures, and each bar with its verdict. Pure; writes text and Markdown."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any, Final

Figures = dict[str, float]
MANY: Final = 100
"""From here on a figure is shown without decimals."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line: the medians of the runs, or the reason why there are none."""

    label: str
    figures: Mapping[str, float] = field(default_factory=dict)
    reason: str = ""

    def get(self, name: str) -> float | None:
        """Give a figure, if it was measured."""
        return self.figures.get(name)


@dataclass(frozen=True, slots=True)
class Check:
    """One bar of the issue beside what was measured; *judged* is false away from the bar's own size."""

    bar: str
    figure: float | None
    limit: float
    unit: str = ""
    judged: bool = True
    strictly: bool = False
    at_least: bool = False

    @property
    def met(self) -> bool | None:
        """Whether it is met; None if it was not measured or is not judged here."""
        if self.figure is None or not self.judged:
            return None
        if self.at_least:
            return self.figure >= self.limit
        return self.figure < self.limit if self.strictly else self.figure <= self.limit

    @property
    def verdict(self) -> str:
        """The verdict as the table says it."""
        if self.figure is None:
            return "not measured"
        if not self.judged:
            return "not judged at this size"
        if self.met:
            return "met"
        ratio = (
            (self.limit / self.figure if self.at_least else self.figure / self.limit) if self.limit else 0.0
        )
        return f"not met: {ratio:.2f}x" if ratio else "not met"

    @property
    def shown(self) -> str:
        """The figure with its unit."""
        return "-" if self.figure is None else f"{number(self.figure)}{' ' if self.unit else ''}{self.unit}"


@dataclass(slots=True)
class Table:
    """One scenario's result."""

    key: str
    title: str
    columns: Sequence[tuple[str, str]]
    rows: list[Row] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def row(self, label: str) -> Row:
        """Give the row of that label; an empty one if there is none."""
        return next((row for row in self.rows if row.label == label), Row(label))

    def lines(self) -> list[list[str]]:
        """Give head and body as text; columns without any figure are left out."""
        columns = [
            (name, head) for name, head in self.columns if any(name in row.figures for row in self.rows)
        ]
        body = [
            [
                row.label,
                *(_cell(row, name) for name, _ in columns),
                row.reason and f"not measured: {row.reason}",
            ]
            for row in self.rows
        ]
        lines = [["", *(head for _, head in columns), ""], *body]
        return lines if any(row.reason for row in self.rows) else [line[:-1] for line in lines]

    def text(self) -> str:
        """Write it for a terminal."""
        parts = [f"\n{self.title}", *_aligned(self.lines())]
        if self.checks:
            parts += ["", *_aligned([[check.bar, check.shown, check.verdict] for check in self.checks])]
        return "\n".join([*parts, *self.notes])

    def markdown(self) -> str:
        """Write it for docs/benchmark.md."""
        parts = [f"### {self.title}", "", *_markdown(self.lines())]
        if self.checks:
            checks = [["bar", "here", "verdict"]]
            checks += [[check.bar, check.shown, check.verdict] for check in self.checks]
            parts += ["", *_markdown(checks)]
        return "\n".join([*parts, *(f"\n{note}" for note in self.notes), ""])

    def json(self) -> dict[str, Any]:
        """Give it for bench/results.json."""
        return {
            "title": self.title,
            "rows": [
                {"label": row.label, **row.figures} | ({"not_measured": row.reason} if row.reason else {})
                for row in self.rows
            ],
            "bars": [
                {"bar": check.bar, "figure": check.figure, "limit": check.limit, "verdict": check.verdict}
                for check in self.checks
            ],
            "notes": self.notes,
        }


def medians(runs: Iterable[Figures]) -> Figures:
    """Give the median of each figure over *runs*; of counts of what went wrong the worst."""
    every = list(runs)
    names = dict.fromkeys(name for run in every for name in run)
    worst = {"missing", "duplicate", "out_of_order", "closed"}
    return {
        name: (max if name in worst else median)([run[name] for run in every if name in run])
        for name in names
    }


def ratio(one: float | None, other: float | None) -> float | None:
    """Give *one* / *other*, if both are there."""
    return one / other if one is not None and other else None


def number(value: float) -> str:
    """Write a figure with three significant digits or more, thousands apart."""
    if float(value).is_integer() or abs(value) >= MANY:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def _cell(row: Row, name: str) -> str:
    value = row.get(name)
    return "" if value is None else number(value)


def _aligned(lines: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(line[at]) for line in lines) for at in range(len(lines[0]))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width) for at, (cell, width) in enumerate(pairs)
        ).rstrip()
        for pairs in (list(zip(line, widths, strict=True)) for line in lines)
    ]


def _markdown(lines: Sequence[Sequence[str]]) -> list[str]:
    head, *body = ["| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines]
    return [head, "|---" + "|--:" * (len(lines[0]) - 1) + "|", *body]
