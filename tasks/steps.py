"""What the steps of a pipeline do: the functions behind `tasks.pipeline.STEP_TASKS`.

Each takes its parameters and its needs' outputs, reports how far it is, and gives an output: a dict of JSON.
What is under ``results`` in it, references of files, becomes part of the workflow's result.
"""

import warnings
from collections import defaultdict
from collections.abc import Callable
from functools import reduce
from typing import Any, Final, NamedTuple

from tasks import report
from tasks.modules import Counts, UnreadableModule, count, library_folder, standard_library
from tidings import report_progress, report_warning, save_result, track


class Given(NamedTuple):
    """What a step works with: its parameters, what each of its needs gave, and whose files it makes."""

    params: dict[str, Any]
    inputs: dict[str, dict[str, Any]]
    workflow: str

    def of(self, field: str) -> list[Any]:
        """Give *field* of those inputs that have it, in the order of the needs."""
        return [said[field] for said in self.inputs.values() if field in said]


Does = Callable[[Given], dict[str, Any]]


def scan(given: Given) -> dict[str, Any]:
    """List the modules of the running Python's standard library."""
    folder, paths = standard_library()
    modules = [str(path.relative_to(folder)) for path in paths[: given.params["limit"]]]
    report_progress(1, 1, f"{len(modules)} modules")
    return {"modules": modules}


def analyse(given: Given) -> dict[str, Any]:
    """Count lines, functions and classes in every ``of``-th module, from the ``part``-th on."""
    folder = library_folder()
    part, of = given.params["part"], given.params["of"]
    mine = [module for modules in given.of("modules") for module in modules][part - 1 :: of]
    rows: defaultdict[str, Counts] = defaultdict(Counts)
    unreadable = 0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # the library's own tests are full of them
        for module in track(mine, message=f"part {part} of {of}"):
            try:
                counts = count(folder / module)
            except UnreadableModule as error:
                unreadable += 1
                reason = str(error).replace(f"{folder}/", "")
                report_warning("unreadable_module", f"{module}: {reason}", {"item": module})
            else:
                name = module.partition("/")[0].removesuffix(".py")
                rows[name] = rows[name].plus(counts)
    return {"counts": {name: list(counts) for name, counts in rows.items()}, "unreadable": unreadable}


def aggregate(given: Given) -> dict[str, Any]:
    """Add up what the parts have counted."""
    rows: defaultdict[str, Counts] = defaultdict(Counts)
    for counts in given.of("counts"):
        for name, row in counts.items():
            rows[name] = rows[name].plus(Counts(*row))
    totals = reduce(Counts.plus, rows.values(), Counts())
    return {
        "summary": {
            "columns": ["module", *Counts._fields],
            "rows": [[name, *row] for name, row in sorted(rows.items(), key=_most_lines_first)],
            "totals": totals._asdict(),
            "unreadable": sum(given.of("unreadable")),
        }
    }


def _most_lines_first(row: tuple[str, Counts]) -> tuple[int, str]:
    return -row[1].lines, row[0]


def render(given: Given) -> dict[str, Any]:
    """Make a report of it, as HTML and as SVG, and keep both as results of the workflow."""
    (summary,) = given.of("summary")
    shown = report.Report(given.params["title"], summary, given.params["top"])
    results = [
        save_result("report.svg", shown.svg, operation=given.workflow),
        save_result("report.html", shown.html, operation=given.workflow),
    ]
    return {"report": results[-1]["url"], "results": results}


STEPS: Final[dict[str, Does]] = {"scan": scan, "analyse": analyse, "aggregate": aggregate, "render": render}
