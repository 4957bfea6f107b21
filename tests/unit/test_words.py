"""What people read is the same from the service, in a page's first paint, and from the page's own script."""

import json
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dev.node import find_node
from tests.stack import ROOT
from webapp import words

SCRIPT = """
import * as words from "%s";
const cases = JSON.parse(await new Response(process.stdin).text());
console.log(JSON.stringify(cases.map(([name, values]) => words[name](...values))));
"""


def by_script(cases: list[tuple[str, list[Any]]]) -> list[Any]:
    """Have the page's script say each of *cases*, a function's name and what it is given."""
    module = (ROOT / "webapp" / "static" / "words.js").as_uri()
    done = subprocess.run(
        [find_node(), "--input-type=module", "--eval", SCRIPT % module],
        input=json.dumps(cases), capture_output=True, text=True, check=True,
    )  # fmt: skip
    said: list[Any] = json.loads(done.stdout)
    return said


def by_service(name: str, values: list[Any]) -> Any:
    """Have the service say it."""
    if name in {"pace", "count", "briefly"}:
        progress, kind = values
        return getattr(words, name)(progress, kind)
    if name == "timeLeft":
        return words.time_left(values[0])
    return getattr(words, name)(*values)


ALMOST_DONE = {"current": 895, "total": 1790, "message": "zlib.py"}

WHOLE = {"current": 10, "total": 10, "percentage": 100}

SAID: list[tuple[str, list[Any], str | float | None]] = [
    ("amount", [0, "batch"], "0"),
    ("amount", [3.5, "batch"], "3.5"),
    ("amount", [3.04, "batch"], "3"),
    ("amount", [9.96, "batch"], "10"),
    ("amount", [1790, "batch"], "1,790"),
    ("amount", [1234567.5, "batch"], "1,234,568"),
    ("amount", [999, "upload"], "999 B"),
    ("amount", [25_000_000, "upload"], "25.0 MB"),
    ("amount", [1_250, "upload"], "1.3 KB"),
    ("count", [{"current": 5, "total": None}, "batch"], "5"),
    ("count", [{"current": 5, "total": 10}, "batch"], "5 of 10"),
    ("pace", [{"rate": 0.44}, "batch"], "0.4 a second"),
    ("pace", [{"rate": 3_200_000, "etaSeconds": 61}, "upload"], "3.2 MB a second · about 61 seconds left"),
    ("pace", [{}, "batch"], ""),
    ("briefly", [{"rate": 3, "etaSeconds": 240, "etaHigh": 999}, "batch"], "about 4 minutes left"),
    ("briefly", [{"rate": 3}, "batch"], "3 a second"),
    ("briefly", [{"etaSeconds": 0}, "batch"], ""),
    ("timeLeft", [{"etaSeconds": 240, "etaLow": 180, "etaHigh": 360}],
     "about 4 minutes left (3 to 6 minutes)"),
    ("timeLeft", [{"etaSeconds": 85, "etaLow": 40, "etaHigh": 200}],
     "about 85 seconds left (40 seconds to 3 minutes)"),
    ("timeLeft", [{"etaSeconds": 4000}], "about 67 minutes left"),
    ("timeLeft", [{"etaSeconds": 0.4}], "about 1 second left"),
    ("duration", [0.04], "0 s"),
    ("duration", [0.44], "0.4 s"),
    ("duration", [59.6], "1 min"),
    ("duration", [192], "3 min 12 s"),
    ("duration", [7500], "2 h 5 min"),
    ("duration", [273_600], "3 d 4 h"),
    ("age", [4.9], "just now"),
    ("age", [60], "60 seconds ago"),
    ("age", [3 * 86_400], "3 days ago"),
    ("short", ["op_12345.890"], "op_12345.890"),
    ("short", ["0f3a9c1e-77aa-4d2b"], "0f3a9c1e-77…"),
    ("far", [{}], None),
    ("far", [{"progress": {"current": 3, "total": None, "percentage": None}}], None),
    ("far", [{"progress": WHOLE}], 100),
    ("far", [{"progress": WHOLE, "error": {"code": "failed", "message": "No."}}], 100),
    ("far", [{"progress": WHOLE, "error": {"code": "failed", "message": "No.", "terminal": True}}], 99),
    ("far", [{"progress": {"percentage": 12.5}, "error": {"terminal": True}}], 12.5),
    ("far", [{"error": {"terminal": True}}], None),
    ("far", [{"progress": {"percentage": 12.5}, "complete": {}}], 100),
    ("says", ["batch", {}], ""),
    ("says", ["batch", {"progress": ALMOST_DONE}], "895 of 1,790 · zlib.py"),
    ("says", ["batch", {"progress": ALMOST_DONE, "complete": {"durationSeconds": 7.2}}], "done in 7.2 s"),
    ("says", ["batch", {"complete": {}}], "done"),
    ("says", ["batch", {"progress": ALMOST_DONE, "error": {"code": "failed", "message": "No."}}],
     "895 of 1,790 · zlib.py"),
    ("says", ["batch", {"error": {"code": "failed", "message": "No.", "terminal": True}}], "No. (failed)"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "values", "said"), SAID)
def test_what_people_read(name: str, values: list[Any], said: str | float | None) -> None:
    """Each amount, time and line, as the service says it."""
    assert by_service(name, values) == said


def test_the_script_says_the_same() -> None:
    """Each of these cases, word for word."""
    assert by_script([(name, values) for name, values, _ in SAID]) == [said for *_, said in SAID]


NUMBERS = st.floats(0, 1e12) | st.integers(0, 10**15)
SECONDS = st.floats(0.001, 1e8)
CASES = st.one_of(
    st.tuples(st.just("amount"), st.tuples(NUMBERS, st.sampled_from(["batch", "upload"])).map(list)),
    st.tuples(st.just("duration"), st.tuples(SECONDS).map(list)),
    st.tuples(st.just("age"), st.tuples(SECONDS).map(list)),
    st.tuples(
        st.just("timeLeft"),
        st.fixed_dictionaries(dict.fromkeys(("etaSeconds", "etaLow", "etaHigh"), SECONDS)).map(
            lambda it: [it]
        ),
    ),
)


@settings(max_examples=15, deadline=None)
@given(st.lists(CASES, min_size=1, max_size=40))
def test_the_script_says_the_same_of_anything(cases: list[tuple[str, list[Any]]]) -> None:
    """Whatever the numbers are, no page changes its words when its script takes over."""
    assert by_script(cases) == [by_service(name, values) for name, values in cases]
