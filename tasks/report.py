"""A report of what was counted, as a picture and as a page that holds it. Pure.

Both are XML, need nothing from anywhere, and have no script: the service hands them out in a sandbox.
"""

from html import escape
from typing import Any, Final, NamedTuple

ROW: Final = 22
LABEL, BARS, NUMBER = 170, 520, 90  # widths of a row's parts
STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:50rem;padding:0 1rem;color:#1b2a32}"
    "table{border-collapse:collapse}"
    "td,th{padding:.15rem .8rem;text-align:right;border-bottom:1px solid #dde5e8}"
    "td:first-child,th:first-child{text-align:left}svg{max-width:100%;height:auto}"
    "@media(prefers-color-scheme:dark){body{background:#10191e;color:#e3ecef}td,th{border-color:#2a3a42}}"
)


class Report(NamedTuple):
    """A *summary* as the step ``aggregate`` gives it, under a title, and the *top* rows of it."""

    title: str
    summary: dict[str, Any]
    top: int

    @property
    def svg(self) -> str:
        """The lines of the longest modules, as bars."""
        return f'<?xml version="1.0" encoding="UTF-8"?>\n{self._picture}\n'

    @property
    def html(self) -> str:
        """The picture, the totals, and a table."""
        title, totals = escape(self.title), self.summary["totals"]
        said = ", ".join(f"{number:,} {escape(name)}" for name, number in totals.items())
        heads = "".join(f"<th>{escape(name)}</th>" for name in self.summary["columns"])
        rows = "".join(f"<tr>{''.join(map(_cell, row))}</tr>" for row in self._rows)
        return (
            '<!DOCTYPE html>\n<html lang="en" xmlns="http://www.w3.org/1999/xhtml">'
            '<head><meta charset="utf-8"/>'
            f"<title>{title}</title><style>{STYLE}</style></head><body><h1>{title}</h1>"
            f"<p>{said}; {self.summary['unreadable']:,} could not be read.</p>{self._picture}"
            f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></body></html>\n"
        )

    @property
    def _rows(self) -> list[list[Any]]:
        rows: list[list[Any]] = self.summary["rows"]
        return rows[: self.top]

    @property
    def _picture(self) -> str:
        at = self.summary["columns"].index("lines")
        most = max((row[at] for row in self._rows), default=1) or 1
        width, height = LABEL + BARS + NUMBER, ROW * max(1, len(self._rows))
        bars = "".join(_bar(place, row[0], row[at], most) for place, row in enumerate(self._rows))
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" '
            f'height="{height}" role="img" font-family="system-ui,sans-serif" font-size="13" fill="#52707d">'
            f"<title>{escape(self.title)}: lines per module</title>{bars}</svg>"
        )


def _bar(place: int, name: str, lines: int, most: int) -> str:
    top, length = place * ROW, max(1, round(BARS * lines / most))
    text = top + ROW - 7
    return (
        f'<text x="{LABEL - 8}" y="{text}" text-anchor="end">{escape(name)}</text>'
        f'<rect x="{LABEL}" y="{top + 3}" width="{length}" height="{ROW - 6}" rx="3" fill="#2a9d8f"/>'
        f'<text x="{LABEL + length + 8}" y="{text}">{lines:,}</text>'
    )


def _cell(value: Any) -> str:
    return f"<td>{value:,}</td>" if isinstance(value, int) else f"<td>{escape(str(value))}</td>"
