"""The benchmark's command: ``python -m bench.run [--quick] [--only a,b] [--peers nchan,go] …``.

Runs the scenarios, prints one table each with the issue's bars beside the figures, and writes
bench/results.json, the pictures in docs/benchmark/ and the tables in docs/benchmark.md (a run that is quick,
or of some of it only, writes bench/build/results-partial.json and bench/build/pictures/ instead).
"""

import argparse
import json
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from bench import machine, picture
from bench.errors import NotMeasured
from bench.plan import FULL, QUICK, Plan
from bench.process import BUILD, ROOT
from bench.scenarios import broadcast, client, fast, growth, idle, operations, reporter, storm, stuck, tasks
from bench.table import Row, Table

DOCUMENT: Final = ROOT / "docs" / "benchmark.md"
PICTURES: Final = ROOT / "docs" / "benchmark"
RESULTS: Final = ROOT / "bench" / "results.json"
PARTIAL_RESULTS: Final = BUILD / "results-partial.json"
BAR_AT: Final = f"a-{FULL.streams}"
BAR_MS: Final = 100
"""The issue's bar for a broadcast's p99, and the table that it is for."""
BEGIN: Final = "<!-- written by make bench -->"
END: Final = "<!-- end of what make bench writes -->"

SCENARIOS: Final[dict[str, Sequence[Callable[[Plan], list[Table]]]]] = {
    "client": [client.measure],
    "a": [broadcast.measure, fast.measure],
    "b": [operations.measure],
    "c": [idle.measure],
    "d": [storm.measure],
    "e": [stuck.measure],
    "f": [reporter.measure, tasks.measure],
}


def main(arguments: Sequence[str]) -> int:
    """Run what was asked for; the exit status is 1 only if nothing could be measured."""
    options = _read(arguments)
    plan = QUICK if options.quick else FULL
    plan = replace(plan, runs=options.runs or plan.runs, peers=frozenset(options.peers))
    if options.sizes:
        plan = replace(plan, broadcast=options.sizes)
    began = time.monotonic()
    about = machine.describe()
    print(", ".join(f"{name}: {value}" for name, value in about.items()), flush=True)
    tables: list[Table] = []
    for name in options.only:
        tables += _scenario(plan, name, tables)
    minutes = (time.monotonic() - began) / 60
    print(f"\nTook {minutes:.1f} minutes.")
    whole = plan.full and not options.partial
    results = {
        "when": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "minutes": round(minutes, 1),
        "full": whole,
        "runs": plan.runs,
        "machine": about,
        "tables": {table.key: table.json() for table in tables},
    }
    _write(results, tables, RESULTS if whole else PARTIAL_RESULTS)
    return 0 if any(row.figures for table in tables for row in table.rows) else 1


def _read(arguments: Sequence[str]) -> argparse.Namespace:
    names = [*SCENARIOS, "g"]
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small and short: whether all of it works")
    parser.add_argument("--only", default="", help=f"some of {','.join(names)}")
    parser.add_argument("--peers", default="", help="of the peers only these, by commas: nchan,go,floor,…")
    parser.add_argument("--sizes", default="", help="broadcast to so many streams, by commas, e.g. 10000")
    parser.add_argument("--runs", type=int, default=0, help="how often each is measured; medians are shown")
    options = parser.parse_args(arguments)
    chosen = [name for name in options.only.split(",") if name]
    unknown = set(chosen) - set(names)
    if unknown:
        parser.error(f"no such scenario: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    options.only = chosen or names
    options.peers = [name for name in options.peers.split(",") if name]
    options.sizes = [int(size) for size in options.sizes.split(",") if size]
    options.partial = bool(chosen or options.peers or options.sizes)
    return options


def _scenario(plan: Plan, name: str, before: list[Table]) -> list[Table]:
    """Run one scenario; print its tables as they come."""
    print(f"\n== {name}", file=sys.stderr, flush=True)
    tables: list[Table] = []
    try:
        for table in _measured(plan, name, before):
            print(table.text(), flush=True)
            tables.append(table)
    except NotMeasured as error:
        tables.append(Table(name, f"({name})", (), [Row("", {}, str(error))]))
        print(tables[-1].text(), flush=True)
    return tables


def _measured(plan: Plan, name: str, before: list[Table]) -> Iterator[Table]:
    """Give a scenario's tables one by one, as they are measured."""
    if name == "g":
        yield from growth.measure(plan, [table for table in before if table.key.removeprefix("a-").isdigit()])
        return
    for measure in SCENARIOS[name]:
        yield from measure(plan)


def _write(results: dict[str, Any], tables: list[Table], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    print(f"Written: {path.relative_to(ROOT)}")
    folder = PICTURES if path == RESULTS else BUILD / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    drawn = _pictures(tables)
    for name, svg in drawn.items():
        (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    print(f"Drawn: {', '.join(drawn)} in {folder.relative_to(ROOT)}")
    if path == RESULTS:
        _write_document(results, tables, list(drawn))


def _write_document(results: dict[str, Any], tables: list[Table], pictures: list[str]) -> None:
    about = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in results["machine"].items())
    parts = [
        BEGIN,
        f"{results['when']}; {about}; medians of {results['runs']} runs; {results['minutes']} minutes.\n",
        *(f"![{name}](benchmark/{name}.svg)\n" for name in pictures),
        *(table.markdown() for table in tables),
        END,
    ]
    text = DOCUMENT.read_text(encoding="utf-8")
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    DOCUMENT.write_text(head + "\n".join(parts) + tail, encoding="utf-8")
    print(f"Written: {DOCUMENT.relative_to(ROOT)}")


def _pictures(tables: list[Table]) -> dict[str, str]:
    """Draw latencies beside the peers', and growth."""
    drawn: dict[str, str] = {}
    for table in tables:
        rows = [
            (row.label, row.figures["p50"], row.figures["p99"]) for row in table.rows if "p99" in row.figures
        ]
        is_broadcast = table.key.removeprefix("a-").isdigit()
        if rows and (is_broadcast or table.key.startswith("b-")):
            drawn[table.key] = picture.bars(table.title, "ms", rows, BAR_MS if table.key == BAR_AT else None)
    by_key = {table.key: table for table in tables}
    if "g-streams" in by_key:
        lines = _lines(by_key["g-streams"], "p99")
        drawn["g-streams"] = picture.curves("Broadcast p99 by streams", "streams", "ms", lines)
        lines = _lines(by_key["g-streams"], "connect_s")
        drawn["g-connect"] = picture.curves("Time to connect all by streams", "streams", "s", lines)
    if "g-rate" in by_key:
        lines = _lines(by_key["g-rate"], "p99")
        drawn["g-rate"] = picture.curves("p99 by events a second", "events/s", "ms", lines)
    if "g-processes" in by_key:
        lines = _lines(by_key["g-processes"], "p99")
        drawn["g-processes"] = picture.curves("Broadcast p99 by processes", "processes", "ms", lines)
    return drawn


def _lines(table: Table, name: str) -> dict[str, list[tuple[float, float]]]:
    """Give the points of each line from rows labelled ``<line>, <x> …``."""
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in table.rows:
        label, _, x = row.label.partition(", ")
        figure = row.get(name)
        if figure is not None:
            lines.setdefault(label, []).append((float(x.split()[0].replace(",", "")), figure))
    return lines


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    sys.exit(main(sys.argv[1:]))
