"""The Python standard library as a batch's source: lines, functions and classes of each of its modules."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

from tasks.items import Finished, Item, ItemFailed, Outcome
from tasks.modules import Counts, UnreadableModule, count, standard_library


class Library:
    """Every module of the running Python."""

    listing = "listing files"
    doing = "counting"

    def items(self) -> Iterator[Item]:
        """Give the modules by name."""
        folder, paths = self._found
        for number, path in enumerate(paths, start=1):
            yield Item(number, str(path.relative_to(folder)), path)

    def work(self, value: Path) -> list[Any]:
        """Count what one module holds."""
        try:
            return list(count(value))
        except UnreadableModule as error:
            reason = str(error).replace(f"{self._found[0]}/", "")
            may_pass = isinstance(error.__cause__, OSError | MemoryError)
            raise ItemFailed("unreadable_module", reason, may_pass=may_pass) from error

    def finish(self, outcomes: Sequence[Outcome]) -> Finished:
        """Sum up by top-level module or package."""
        rows: defaultdict[str, Counts] = defaultdict(Counts)
        totals = Counts()
        for outcome in outcomes:
            if not outcome.code:
                counts = Counts(*outcome.found)
                module = PurePosixPath(outcome.name).parts[0].removesuffix(".py")
                rows[module] = rows[module].plus(counts)
                totals = totals.plus(counts)
        _, *columns = Counts._fields
        return Finished(
            columns,
            (outcome.found[1:] or [""] * len(columns) for outcome in outcomes),
            {
                "columns": ["module", *Counts._fields],
                "rows": [[module, *counts] for module, counts in sorted(rows.items())],
                "totals": totals._asdict(),
                "unreadable": len(outcomes) - totals.files,
            },
        )

    @cached_property
    def _found(self) -> tuple[Path, list[Path]]:
        return standard_library()
