"""Celery's own signatures are read as the plan of a workflow, or not at all."""

import logging
from collections.abc import Iterator
from typing import Any

import pytest
from celery import Celery, chain, chord, group, signals
from celery.canvas import _chain
from celery.canvas import group as group_type
from kombu.utils.json import dumps, loads

from tidings import canvas
from tidings.canvas import read, read_group, read_message, read_replacement
from tidings.celery_canvas import HEADER
from tidings.workflow import Branch, Leaf, Part, Workflow

app = Celery("canvases", broker="memory://", backend="cache+memory://", set_as_current=False)


@app.task(name="work")
def work(*args: object) -> None:
    """Do nothing: these tasks are never run."""


def w(task_id: str) -> Any:
    """Make a signature with a fixed id, so that a plan can be written down."""
    return work.si().set(task_id=task_id)


def outline(part: Part | None) -> Any:
    """Write a plan as its leaves' places in nested lists; a group has no order."""
    if part is None or isinstance(part, Leaf):
        return part and part.place
    parts = [outline(each) for each in part.parts]
    return sorted(parts, key=str) if part.place.startswith("group.") else parts


def shapes() -> dict[str, tuple[Any, Any]]:
    """Give every static shape of CELERY.md, and the outline that is to be read in it."""
    return {
        "single": (w("a"), "a"),
        "chain": (w("a") | w("b") | w("c"), ["a", "b", "c"]),
        "chain in a chain": (_chain(w("a"), _chain(w("b"), w("c"))), ["a", "b", "c"]),
        "group": (group(w("a"), w("b")), ["a", "b"]),
        "group of a generator": (group(w(each) for each in "abc"), ["a", "b", "c"]),
        "group in a group": (group(w("a"), group(w("b"), w("c"))), ["a", "b", "c"]),
        "group of chains": (group(w("a") | w("b"), w("c")), [["a", "b"], "c"]),
        "chord": (chord([w("a"), w("b")], w("c")), [["a", "b"], "c"]),
        "chord with a chain for a body": (chord([w("a"), w("b")], w("c") | w("d")), [["a", "b"], ["c", "d"]]),
        "chord in a chord": (
            chord([chord([w("a"), w("b")], w("c")), w("d")], w("e")),
            [[[["a", "b"], "c"], "d"], "e"],
        ),
        "task, group, task": (chain(w("a"), group(w("b"), w("c")), w("d")), ["a", [["b", "c"], "d"]]),
        "group, task": (group(w("a"), w("b")) | w("c"), [["a", "b"], "c"]),
        "unreduced chain": (_chain(w("a"), group(w("b"), w("c")), w("d")), ["a", [["b", "c"], "d"]]),
        "group at the end": (chain(w("a"), group(w("b"), w("c"))), ["a", ["b", "c"]]),
        "chunks in a chain": (chain(w("a"), work.chunks([(1,), (2,)], 1).set(task_id="b")), ["a", "b"]),
    }  # fmt: skip


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Part | None]]:
    """Give the readings of what is published, of groups as a whole and of single messages."""
    readings: list[Part | None] = []
    kind: Any = group_type
    apply_tasks = kind._apply_tasks  # noqa: SLF001 - what the wiring will wrap (CELERY.md, 2)

    def spied(self: Any, tasks: Any, *args: Any, **options: Any) -> Any:
        frozen = list(tasks)
        readings.append(read_group(frozen[0][2], [signature for signature, _, _ in frozen]))
        return apply_tasks(self, iter(frozen), *args, **options)

    def heard(headers: Any, body: Any, **_: Any) -> None:
        readings.append(read_message(headers, loads(dumps(body))))

    monkeypatch.setattr(group_type, "_apply_tasks", spied)
    signals.before_task_publish.connect(heard)
    yield readings
    signals.before_task_publish.disconnect(heard)


@pytest.mark.parametrize("shape", shapes())
def test_a_frozen_canvas_is_read_whole(shape: str) -> None:
    """Each shape gives all of its tasks, under the ids that will run, in a plan that makes a workflow."""
    signature, expected = shapes()[shape]
    signature.freeze()
    plan = read(signature)
    assert outline(plan) == expected
    assert plan is not None
    Workflow(plan)


@pytest.mark.parametrize("shape", shapes())
def test_what_is_published_is_read_as_what_was_written(shape: str, published: list[Part | None]) -> None:
    """Read from the group or the message that is sent first, each shape is the same as from its signature."""
    signature, expected = shapes()[shape]
    signature.apply_async()
    assert outline(published[0]) == expected


def test_a_member_alone_is_no_plan(published: list[Part | None]) -> None:
    """A message cannot name its siblings: a group's member, or a chain that is one, is not read by itself."""
    group(w("a") | w("b"), w("c")).apply_async()
    chord([w("d")], w("e")).apply_async()
    assert [outline(each) for each in published] == [[["a", "b"], "c"], None, None, [["d"], "e"], None]


def test_maps_weigh_their_items(published: list[Part | None]) -> None:
    """map, starmap and the parts of chunks weigh as much as they have items."""
    work.map([1, 2, 3]).set(task_id="m").apply_async()
    work.chunks([(1,), (2,), (3,)], 2).apply_async()
    assert published[0] == Leaf("m", 3)
    assert isinstance(published[1], Branch)
    assert [leaf.weight for leaf in published[1].parts if isinstance(leaf, Leaf)] == [2, 1]


def test_a_weight_is_taken_from_the_headers(published: list[Part | None]) -> None:
    """What an author says of a task's weight is in its signature, and in its message."""
    signature = w("a").set(headers={HEADER: {"weight": 2.5}})
    assert read(signature) == Leaf("a", 2.5)
    signature.apply_async()
    assert published[0] == Leaf("a", 2.5)


@pytest.mark.parametrize(
    ("replacement", "expected"),
    [
        (w("x"), "host~1"),
        (chain(w("x"), w("y")), ["x", "host~1"]),
        (group(w("x"), w("y")) | app.tasks["celery.accumulate"].s(index=0), [["x", "y"], "host~1"]),
    ],
)
def test_a_replacement_is_read_under_its_host(replacement: Any, expected: Any) -> None:
    """What takes over the host's id has a place of its own, and what follows the host is left out."""
    signature = replacement.clone()
    last = signature.tasks[-1] if isinstance(signature, _chain) else getattr(signature, "body", signature)
    last.options.pop("task_id", None)
    signature.freeze("host")
    signature.set(replaced_task_nesting=1)
    plan = read_replacement(signature, "host")
    assert outline(plan) == expected
    workflow = Workflow(Leaf("host"))
    assert plan is not None
    workflow.join("host", 1, plan)
    followed = signature | w("next").set(replaced_task_nesting=1)
    followed.set(replaced_task_nesting=1)
    assert "'next'" not in str(outline(read_replacement(followed, "host", {"next"})))
    assert "'next'" in str(outline(read_replacement(followed, "host")))


def refused() -> dict[str, Any]:
    """Give shapes that are unknown, changed or not to be told."""
    frozen = {"task": "work", "kwargs": {}, "options": {"task_id": "a"}}
    return {
        "no id yet": work.si(),
        "an unknown type": frozen | {"subtask_type": "pipeline"},
        "an unknown built-in": frozen | {"task": "celery.pipeline"},
        "a chain without tasks": frozen | {"task": "celery.chain"},
        "a chain of nothing": frozen | {"task": "celery.chain", "kwargs": {"tasks": []}},
        "a group of other things": frozen | {"task": "celery.group", "kwargs": {"tasks": ["work"]}},
        "an endless group": frozen | {"task": "celery.group", "kwargs": {"tasks": [frozen] * 3}},
        "a chord without a body": frozen | {"task": "celery.chord", "kwargs": {"header": [frozen]}},
        "a member of a group": frozen | {"options": {"task_id": "a", "group_id": "g"}},
        "a member of a chord": frozen | {"options": {"task_id": "a", "chord": frozen}},
        "no options": {"task": "work", "kwargs": {}},
        "chunks in a group": group(work.chunks([(1,)], 1).set(task_id="a"), w("b")),
        "no signature": "work",
        "nothing": None,
    }


@pytest.mark.parametrize("shape", refused())
def test_what_is_not_understood_is_no_plan(
    shape: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """An unknown or changed shape gives no plan, and a warning that says why."""
    monkeypatch.setattr(canvas, "is_first", lambda *_: True)
    monkeypatch.setattr(canvas, "MAX_PARTS", 2)
    signature = refused()[shape]
    if shape == "chunks in a group":
        signature.freeze()
    with caplog.at_level(logging.WARNING, "tidings.canvas"):
        assert read(signature) is None
    assert "a canvas is shown as separate operations" in caplog.text
    assert ("chunks()" in caplog.text) == ("chunks" in shape)


def test_other_protocols_are_no_plan() -> None:
    """A message of protocol 1, without headers, is not read."""
    assert read_message({}, [[], {}, {}]) is None
    assert read_message({"id": "a", "task": "work"}, [[], {}]) is None
    assert read_replacement(w("a"), "a") is None
