"""Pipelines as data: what is refused, by which field, and in which order the rest would run."""

import json
from typing import Any, Final

import pytest

from tasks.catalog import KINDS
from tasks.pipeline import STEP_TASKS, Pipeline, digests, levels, shipped
from tidings.checking import check
from tidings.errors import InvalidValue

SCAN: Final[dict[str, Any]] = {"name": "scan", "task": "scan"}
STEPS: Final = "params.pipeline.steps"


def started(*steps: dict[str, Any]) -> dict[str, Any]:
    """Give what the task is told for these steps."""
    return KINDS["workflow"].check({"pipeline": {"steps": list(steps)}})


def refused(pipeline: object) -> InvalidValue:
    """Give what is said against it."""
    with pytest.raises(InvalidValue) as caught:
        KINDS["workflow"].check({"pipeline": pipeline})
    return caught.value


def analyse(name: str, *needs: str, **more: Any) -> dict[str, Any]:
    """A step that counts what the steps that it needs have listed."""
    return {"name": name, "task": "analyse", "needs": list(needs)} | more


@pytest.mark.parametrize(
    ("steps", "field", "says"),
    [
        ([{**SCAN, "needs": ["scan"]}], "[0].needs[0]", "scan → scan"),
        ([SCAN, analyse("a", "scan", "b"), analyse("b", "a")], "[1].needs[1]", "a → b → a"),
        (
            [
                SCAN,
                analyse("x", "scan", "a"),
                analyse("a", "c"),
                analyse("b", "a"),
                analyse("c", "scan", "b"),
            ],
            "[2].needs[0]",
            "a → c → b → a",
        ),
        ([SCAN, analyse("a", "scan", "skan")], "[1].needs[1]", "scan, a"),
        ([SCAN, analyse("a", "scan", "scan")], "[1].needs[1]", "once"),
        ([SCAN, {"name": "a", "task": "analyze"}], "[1].task", "aggregate, analyse, render, scan"),
        ([SCAN, analyse("a")], "[1].needs", "whose task is scan: analyse takes its modules"),
        ([SCAN, {"name": "r", "task": "render", "needs": ["scan"]}], "[1].needs", "whose task is aggregate"),
        ([SCAN, analyse("a", "scan"), {**SCAN}], "[2].name", "steps[0] has it"),
        ([{**SCAN, "name": "a b"}], "[0].name", "regex"),
        ([{**SCAN, "name": "_end"}], "[0].name", "regex"),
        ([{**SCAN, "name": "scan\n"}], "[0].name", "regex"),
        ([{**SCAN, "weight": -1}], "[0].weight", ">= 0"),
        ([{**SCAN, "weight": 1_001}], "[0].weight", "<= 1000"),
        ([{**SCAN, "weight": 0}], "[0].weight", "above 0"),
        ([{**SCAN, "retries": 11}], "[0].retries", "<= 10"),
        ([{**SCAN, "retries": 1.5}], "[0].retries", "int"),
        ([{**SCAN, "params": {"limit": 0}}], "[0].params.limit", ">= 1"),
        ([{**SCAN, "params": {"limits": 1}}], "[0].params.limits", "left out"),
        ([SCAN, analyse("a", "scan", params={"part": 3, "of": 2})], "[1].params.part", "at most 2"),
        ([{**SCAN, "need": []}], "[0].need", "left out"),
        ([{"task": "scan"}], "[0].name", "given"),
        ([{"name": f"s{n}", "task": "scan"} for n in range(51)], "", "<= 50"),
        ([], "", ">= 1"),
    ],
)
def test_what_could_not_run_is_refused_by_the_fields_path(
    steps: list[dict[str, Any]], field: str, says: str
) -> None:
    """And what would be taken there is said; a circle is named in full."""
    said = refused({"steps": steps})
    assert said.field == f"{STEPS}{field}"
    assert says in str(said)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("steps: [", "in line"),
        ("steps: &all\n- *all\n", "aliases"),
        ("!!python/object/apply:os.system [true]", "tag"),
        ("[" * 19_000, "nested"),
        ("when: 2026-99-99", "YAML"),
        ("# " + "x" * 70_000, "length"),
        ("7", "object"),
    ],
)
def test_a_text_that_is_no_pipeline_is_refused(text: str, says: str) -> None:
    """Before anything of it is made."""
    said = refused(text)
    assert said.field == "params.pipeline"
    assert says in str(said)


def test_what_yaml_says_is_refused_by_the_same_path() -> None:
    """As if it had come as JSON."""
    assert refused("steps:\n- {name: a, task: scan, needs: [b]}\n").field == f"{STEPS}[0].needs[0]"


def test_the_shipped_pipeline_is_what_runs_where_none_is_given() -> None:
    """Its parts run side by side between what comes before and what comes after."""
    told = KINDS["workflow"].check({})
    assert (
        told["pipeline"]
        == KINDS["workflow"].check({"pipeline": json.loads(json.dumps(told["pipeline"]))})["pipeline"]
    )
    rounds = [[step.name for step in level] for level in levels(shipped().steps)]
    assert rounds == [["scan"], [f"analyse-{part}" for part in (1, 2, 3, 4)], ["aggregate"], ["report"]]


def test_a_step_is_told_all_that_its_task_takes() -> None:
    """What was left out has its default."""
    (step,) = started(SCAN)["pipeline"]["steps"]
    assert step == {
        "name": "scan", "task": "scan", "params": {"source": "python-stdlib", "limit": None},
        "needs": [], "retries": 0, "weight": 1.0,
    }  # fmt: skip


def test_every_task_takes_what_some_task_gives() -> None:
    """So that each can be part of a pipeline."""
    given = {task.gives for task in STEP_TASKS.values()}
    assert all(given.issuperset(task.takes) for task in STEP_TASKS.values())


def words(*steps: dict[str, Any]) -> dict[str, str]:
    """Give what names the outputs of these steps."""
    return digests(check({"steps": list(steps)}, Pipeline).steps)


def test_an_output_is_named_by_what_the_step_does_and_all_before_it() -> None:
    """A weight or a number of tries changes nothing of it."""
    before = words(SCAN, analyse("a", "scan"), analyse("b", "scan", params={"part": 2}))
    assert words(SCAN, analyse("a", "scan", retries=3, weight=5)) == {k: before[k] for k in ("scan", "a")}
    assert before["a"] != before["b"]
    after = words({**SCAN, "params": {"limit": 3}}, analyse("a", "scan"))
    assert after["a"] != before["a"]
