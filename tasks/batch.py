"""The batch kind: one small piece of work on every item of a source, to a table.

An item that cannot be done is a warning with its name and reason; the batch goes on.
"""

import warnings
from collections import defaultdict
from pathlib import Path
from typing import Any

from tasks.celery import app
from tasks.modules import Counts, UnreadableModule, count, standard_library
from tidings import check_cancelled, report_progress, report_status, report_warning


@app.task(name="tasks.batch", tidings_kind="batch")
def run_batch(source: str, limit: int | None = None) -> dict[str, Any]:
    """Count lines, functions and classes in every module of the Python standard library.

    Returns a table: one row per top-level module or package, and the totals.
    """
    report_status("listing files", {"source": source})
    folder, paths = standard_library()
    paths = paths[:limit]
    report_status("counting", {"items": len(paths)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # the library's own tests are full of them
        return _count_all(folder, paths)


def _count_all(folder: Path, paths: list[Path]) -> dict[str, Any]:
    rows: defaultdict[str, Counts] = defaultdict(Counts)
    totals = Counts()
    report_progress(0, len(paths))
    for done, path in enumerate(paths, start=1):
        check_cancelled()
        item = path.relative_to(folder)
        try:
            counts = count(path)
        except UnreadableModule as error:
            reason = str(error).replace(f"{folder}/", "")
            report_warning("unreadable_module", f"{item}: {reason}", {"item": str(item)})
        else:
            module = item.parts[0].removesuffix(".py")
            rows[module] = rows[module].plus(counts)
            totals = totals.plus(counts)
        report_progress(done, len(paths), str(item))
    return {
        "columns": ["module", *Counts._fields],
        "rows": [[module, *counts] for module, counts in sorted(rows.items())],
        "totals": totals._asdict(),
        "unreadable": len(paths) - totals.files,
    }
