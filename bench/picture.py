"""Draws bars and curves as SVG: a few rectangles and lines, readable on light and dark pages. Pure."""

import math
from collections.abc import Mapping, Sequence
from typing import Final
from xml.sax.saxutils import escape

WIDTH: Final = 720
LABEL: Final = 210
VALUE: Final = 150
BAR: Final = 15
GAP: Final = 12
TOP: Final = 44
PLOT_HEIGHT: Final = 260
COLOURS: Final = ("#0b7285", "#e8590c", "#5f3dc4", "#2b8a3e", "#c2255c", "#5c636a")
STYLE: Final = (
    "<style>text{font:13px system-ui,sans-serif;fill:#343a40}.t{font-size:15px;font-weight:600}"
    ".s{font-size:11px;fill:#6c757d}.g{stroke:#adb5bd;stroke-width:.5}"
    "@media(prefers-color-scheme:dark){text{fill:#dee2e6}.s{fill:#adb5bd}.g{stroke:#495057}}</style>"
)


def bars(title: str, unit: str, rows: Sequence[tuple[str, float, float]], limit: float | None = None) -> str:
    """Draw two bars per row, p50 in p99, on one linear scale; *limit* is a line across."""
    most = max([p99 for _, _, p99 in rows] + ([limit] if limit else []) + [1e-9])
    scale = (WIDTH - LABEL - VALUE) / most
    height = TOP + len(rows) * (BAR + GAP) + 24
    parts = [f'<text class="t" x="8" y="22">{escape(title)}</text>']
    for at, (label, p50, p99) in enumerate(rows):
        y, colour = TOP + at * (BAR + GAP), COLOURS[0 if at == 0 else -1]
        parts.append(f'<text x="{LABEL - 8}" y="{y + 12}" text-anchor="end">{escape(label)}</text>')
        for value, opacity in ((p99, 0.45), (p50, 1)):
            width = max(value * scale, 1)
            parts.append(
                f'<rect x="{LABEL}" y="{y}" width="{width:.1f}" height="{BAR}" fill="{colour}" '
                f'opacity="{opacity}"/>'
            )
        shown = f"{_short(p50)} / {_short(p99)} {unit}"
        parts.append(f'<text class="s" x="{LABEL + p99 * scale + 6:.1f}" y="{y + 12}">{shown}</text>')
    if limit:
        x = LABEL + limit * scale
        parts.append(
            f'<path class="g" d="M{x:.1f} {TOP - 6}V{height - 26}" stroke-dasharray="4 3"/>'
            f'<text class="s" x="{x + 4:.1f}" y="{TOP - 8}">bar: {_short(limit)} {unit}</text>'
        )
    parts.append(f'<text class="s" x="{LABEL}" y="{height - 8}">dark: p50, light: p99</text>')
    return _page(height, parts)


def curves(title: str, x_unit: str, y_unit: str, lines: Mapping[str, Sequence[tuple[float, float]]]) -> str:
    """Draw one curve per line, both scales logarithmic, a dot for each measured point."""
    points = [point for line in lines.values() for point in line if min(point) > 0]
    if not points:
        return _page(60, [f'<text class="t" x="8" y="22">{escape(title)}: not measured</text>'])
    left, right, bottom = 70, WIDTH - 190, TOP + PLOT_HEIGHT
    x_low, x_high = _decades([x for x, _ in points])
    y_low, y_high = _decades([y for _, y in points])

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (math.log10(x) - x_low) / (x_high - x_low) * (right - left),
            bottom - (math.log10(y) - y_low) / (y_high - y_low) * PLOT_HEIGHT,
        )

    parts = [f'<text class="t" x="8" y="22">{escape(title)}</text>']
    for power in range(y_low, y_high + 1):
        _, y = place(10**x_low, 10**power)
        parts.append(f'<path class="g" d="M{left} {y:.1f}H{right}"/>')
        parts.append(
            f'<text class="s" x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{_short(10.0**power)}</text>'
        )
    for power in range(x_low, x_high + 1):
        x, _ = place(10**power, 10**y_low)
        parts.append(f'<path class="g" d="M{x:.1f} {TOP}V{bottom}"/>')
        parts.append(
            f'<text class="s" x="{x:.1f}" y="{bottom + 16}" text-anchor="middle">{_short(10.0**power)}</text>'
        )
    for at, (name, line) in enumerate(lines.items()):
        colour = COLOURS[at % len(COLOURS)]
        placed = [place(x, y) for x, y in line if min(x, y) > 0]
        if not placed:
            continue
        path = "L".join(f"{x:.1f} {y:.1f}" for x, y in placed)
        parts.append(f'<path d="M{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in placed]
        y = TOP + 12 + at * 20
        parts.append(f'<rect x="{right + 16}" y="{y - 10}" width="12" height="12" fill="{colour}"/>')
        parts.append(f'<text x="{right + 34}" y="{y}">{escape(name)}</text>')
    parts.append(f'<text class="s" x="{right}" y="{bottom + 34}" text-anchor="end">{escape(x_unit)}</text>')
    parts.append(f'<text class="s" x="{left}" y="{TOP - 8}">{escape(y_unit)}</text>')
    return _page(bottom + 44, parts)


def _page(height: float, parts: Sequence[str]) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:.0f}" width="{WIDTH}">'
    return "\n".join([head, STYLE, *parts, "</svg>\n"])


def _decades(values: Sequence[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _short(value: float) -> str:
    if value >= 1000:  # noqa: PLR2004 - thousands
        return f"{value:,.0f}"
    return f"{value:.3g}"
