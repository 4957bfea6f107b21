"""Bars in a terminal, by rich: extra ``tidings[cli]``.

Takes a board and draws a row for each operation, as many as the terminal is high; drawn anew from its top
when its size changes, because what terminals make of lines that no longer fit is their own.
"""

from collections.abc import Mapping
from typing import Any, Final, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from tidings.cli import words
from tidings.cli.board import Board, Row
from tidings.cli.sse import Message
from tidings.cli.stream import Line
from tidings.events import CANCELLED, FAILED, SUCCEEDED

ID_CHARS: Final = 20
"""Of an id; a longer one is shown by both of its ends."""
BAR_FROM: Final = 50
"""Columns of a terminal from which on there is room for a bar, and for messages."""
OTHER_LINES: Final = 2
"""For how many are not shown, and for the cursor."""
STYLES: Final = {SUCCEEDED: "green", FAILED: "red", CANCELLED: "yellow", "forgotten": "red"}


class Screen:
    """The terminal, as long as the ``with`` lasts; what was drawn last stays on it."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._live = self._make_live()
        self._size = self._console.size
        self._gone = ""

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._live.stop()

    def state(self, operation: Mapping[str, Any]) -> None:
        """Nothing: the board has it."""

    def hear(self, message: Message, data: dict[str, Any]) -> None:
        """Nothing: the board has it."""

    def line(self, line: Line) -> None:
        """Keep whether the connection is gone."""
        self._gone = line.reason

    def draw(self, board: Board) -> None:
        """Draw how things stand."""
        if self._console.size != self._size:
            self._size = self._console.size
            self._live.stop()
            self._console.clear()
            self._live = self._make_live()
            self._live.start()
        self._live.update(self._picture(board), refresh=True)

    def _make_live(self) -> Live:
        return Live(console=self._console, auto_refresh=False, vertical_overflow="crop")

    def _picture(self, board: Board) -> RenderableType:
        rows = list(board.rows.values())
        room = max(self._size.height - OTHER_LINES - bool(self._gone), 1)
        shown = _most_telling(rows, room)
        parts: list[RenderableType] = [_table(shown, self._size.width)]
        if len(shown) < len(rows):
            parts.append(Text(f"… and {len(rows) - len(shown)} more", style="dim", no_wrap=True))
        if self._gone:
            parts.append(
                Text(f"reconnecting: {words.clean(self._gone)}", "yellow", no_wrap=True, overflow="ellipsis")
            )
        return Group(*parts)


def _most_telling(rows: list[Row], most: int) -> list[Row]:
    """Choose *most* rows, in their order: first those that run, then the latest of those that are over."""
    if len(rows) <= most:
        return rows
    places = sorted(
        range(len(rows)), key=lambda place: (rows[place].is_over, -place if rows[place].is_over else place)
    )
    return [rows[place] for place in sorted(places[:most])]


def _table(rows: list[Row], width: int) -> Table:
    table = Table.grid(padding=(0, 1), expand=True)
    has_bar = width >= BAR_FROM
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=ID_CHARS)
    if has_bar:
        table.add_column(no_wrap=True, overflow="ellipsis", max_width=12)
        table.add_column(width=max(width // 5, 10))
    table.add_column(justify="right", width=5)
    table.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for row in rows:
        table.add_row(*_cells(row, has_bar=has_bar))
    return table


def _cells(row: Row, *, has_bar: bool) -> list[RenderableType]:
    style = STYLES.get(row.status, "")
    percentage = row.percentage
    known = "" if percentage is None else f"{percentage:.0f} %"
    cells: list[RenderableType] = [Text(_short(row.id)), Text(known), Text(_told(row), style=style)]
    if has_bar:
        bar = ProgressBar(
            total=None if percentage is None and not row.is_over else 100,
            completed=percentage or 0,
            complete_style=style or "cyan",
            finished_style=style or "cyan",
            pulse_style="cyan",
        )
        cells[1:1] = [Text(words.clean(row.kind)), bar]
    return cells


def _told(row: Row) -> str:
    """Say the rest: its status, how long it takes or took, and what was said of it last."""
    said = [words.clean(row.status)]
    if row.took_s is not None:
        said.append(f"in {words.seconds(row.took_s)}")
    elif not row.is_over and row.progress.get("etaSeconds") is not None:
        said.append(f"{words.seconds(row.progress['etaSeconds'])} left")
    told = ", ".join(said) if row.took_s is None else " ".join(said)
    return f"{told}: {words.clean(row.message)}" if row.message else told


def _short(name: str) -> str:
    if len(name) <= ID_CHARS:
        return words.clean(name)
    half = ID_CHARS // 2
    return f"{name[:half]}…{name[-(half - 1) :]}"
