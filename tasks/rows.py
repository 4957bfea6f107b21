"""Rows as a batch's source: of a CSV, of JSON lines, or of a list. Each is checked, typed and hashed.

An upload is read twice, row by row, and never held whole: once to count its rows, once to work on them.
"""

import csv
import hashlib
import re
from abc import abstractmethod
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from io import TextIOWrapper
from itertools import chain
from pathlib import PurePosixPath
from typing import Any, Final, NamedTuple, TextIO

from msgspec import DecodeError, json

from tasks.items import Finished, Item, ItemFailed, Outcome, Source
from tasks.uploaded import open_upload
from tidings import Failure

MAX_LINE_CHARS: Final = 1_000_000
"""What is longer is read as several lines, each of which is broken: a file may have no line end. Guessed."""
MAX_PROFILED: Final = 50
"""Columns of the summary: an event's result has 32 KB."""
_DELIMITERS: Final = ",;\t"
_ESCAPED: Final = re.compile("[\udc80-\udcff]")
"""How Python shows bytes that are no UTF-8."""
_TYPES: Final = (
    ("empty", re.compile(r"\s*")),
    ("integer", re.compile(r"[+-]?\d+")),
    ("number", re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")),
    ("date", re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")),
    ("boolean", re.compile(r"true|false", re.IGNORECASE)),
)
_JSON_TYPES: Final = {
    type(None): "empty",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    list: "array",
    dict: "object",
}


class Row(NamedTuple):
    """A CSV's row, and the names of its columns."""

    cells: list[str]
    columns: list[str]


class _Rows:
    """What is done to rows, wherever they are from: found are fields, how many are empty, hash and types."""

    listing = "reading"
    doing = "checking"

    @abstractmethod
    def items(self) -> Iterator[Item]:
        """Give the rows."""

    @abstractmethod
    def work(self, value: Any) -> list[Any]:
        """Check one row."""

    def finish(self, outcomes: Sequence[Outcome]) -> Finished:
        """Say which rows are there twice, and what the columns hold."""
        profile: defaultdict[str, Counter[str]] = defaultdict(Counter)
        first: dict[str, str] = {}
        rows = []
        for outcome in outcomes:
            if outcome.code:
                rows.append(["", "", "", ""])
                continue
            fields, empty, digest, types = outcome.found
            before = first.setdefault(digest, outcome.name)
            rows.append([fields, empty, digest, "" if before == outcome.name else before])
            for column, name in types.items():
                profile[column][name] += 1
        shown = dict(list(profile.items())[:MAX_PROFILED])
        duplicates = sum(row[-1] != "" for row in rows)
        return Finished(
            ["fields", "empty", "sha256", "duplicateOf"],
            iter(rows),
            {"duplicates": duplicates, "profile": shown},
        )


class Listed(_Rows):
    """Values that came with the parameters."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values

    def items(self) -> Iterator[Item]:
        """Give them as they are."""
        for number, value in enumerate(self._values, start=1):
            yield Item(number, f"item {number}", value)

    def work(self, value: Any) -> list[Any]:
        """Type and hash a JSON value; equal objects are equal whatever their order."""
        return _json_found(value)


class JsonLines(_Rows):
    """A file with one JSON value a line; blank lines are none."""

    def __init__(self, open_file: Callable[[], TextIO]) -> None:
        self._open = open_file

    def items(self) -> Iterator[Item]:
        """Give the lines as they are."""
        with self._open() as file:
            lines = ((at, line) for at, line in enumerate(_lines(file), start=1) if line.strip())
            for number, (at, line) in enumerate(lines, start=1):
                yield Item(number, f"line {at}", line)

    def work(self, value: str) -> list[Any]:
        """Read a line."""
        _check_utf8(value)
        try:
            return _json_found(json.decode(value))
        except (DecodeError, RecursionError) as error:
            raise ItemFailed("broken_json", str(error)) from error


class CsvRows(_Rows):
    """A file with a header and a row a line, or several where quotes say so; blank lines are none."""

    def __init__(self, open_file: Callable[[], TextIO]) -> None:
        self._open = open_file

    def items(self) -> Iterator[Item]:
        """Give the rows, broken ones as what is wrong with them."""
        with self._open() as file:
            lines = _lines(file)
            head = next(lines, "")
            delimiter = max(_DELIMITERS, key=head.count)
            reader = csv.reader(chain([head], lines), delimiter=delimiter, strict=True)
            records = (record for record in _records(reader) if record[1] != [])
            columns = _columns(next(records, (1, []))[1])
            for number, (at, cells) in enumerate(records, start=1):
                value = Row(cells, columns) if isinstance(cells, list) else cells
                yield Item(number, f"line {at}", value)

    def work(self, value: Row | ItemFailed) -> list[Any]:
        """Check that a row has as many cells as the header, and type each."""
        if isinstance(value, ItemFailed):
            raise value
        cells, columns = value
        _check_utf8("".join(cells))
        if len(cells) != len(columns):
            raise ItemFailed("wrong_field_count", f"{len(cells)} fields, the header has {len(columns)}")
        types = {column: _type_of(cell) for column, cell in zip(columns, cells, strict=True)}
        return _found(types, json.encode(cells))


def of_upload(upload_id: str) -> Source:
    """Give an uploaded file's rows: by its name, or where that does not say, by how it begins.

    Raises: Failure, StorageUnavailable.
    """
    try:
        opened = open_upload(upload_id)
    except FileNotFoundError as error:
        raise Failure("no_upload", f"There is no upload {upload_id} (any more).") from error
    with opened.file as file:
        suffix = PurePosixPath(opened.about.name).suffix.lower()
        if suffix not in {".csv", ".tsv", ".jsonl", ".ndjson"}:
            suffix = ".jsonl" if file.read(1) in {b"{", b"["} else ".csv"
    open_file = partial(_open, upload_id)
    return JsonLines(open_file) if suffix in {".jsonl", ".ndjson"} else CsvRows(open_file)


def _open(upload_id: str) -> TextIO:
    return TextIOWrapper(open_upload(upload_id).file, "utf-8-sig", errors="surrogateescape", newline="")


def _lines(file: TextIO) -> Iterator[str]:
    return iter(partial(file.readline, MAX_LINE_CHARS), "")


def _records(reader: Any) -> Iterator[tuple[int, list[str] | ItemFailed]]:
    """Give each record with the line that it begins in, or what is wrong with it."""
    while True:
        at = reader.line_num + 1
        try:
            yield at, next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield at, ItemFailed("broken_row", str(error))


def _columns(head: list[str] | ItemFailed) -> list[str]:
    """Name the columns, each by a name of its own."""
    if isinstance(head, ItemFailed) or any(_ESCAPED.search(name) for name in head):
        raise Failure("no_table", "The first line is no header of a CSV in UTF-8.")
    named: list[str] = []
    for number, name in enumerate(head, start=1):
        free = name.strip() and name.strip() not in named
        named.append(name.strip() if free else f"column {number}")
    return named


def _check_utf8(text: str) -> None:
    if _ESCAPED.search(text):
        raise ItemFailed("not_utf8", "bytes that are no UTF-8")


def _type_of(cell: str) -> str:
    return next((name for name, pattern in _TYPES if pattern.fullmatch(cell)), "text")


def _json_found(value: Any) -> list[Any]:
    fields = value if isinstance(value, dict) else {"value": value}
    types = {column: _JSON_TYPES[type(each)] for column, each in fields.items()}
    return _found(types, json.encode(value, order="deterministic"))


def _found(types: dict[str, str], content: bytes) -> list[Any]:
    empty = sum(name == "empty" for name in types.values())
    return [len(types), empty, hashlib.sha256(content).hexdigest(), types]
