"""The catalog: which kinds can be started, and which parameters they take."""

from typing import Any

import pytest

from tasks.catalog import KINDS, kind_named
from tidings.errors import InvalidValue

STARTED_BY_PARAMETERS = sorted(KINDS.keys() - {"upload"})


@pytest.mark.parametrize("name", ["", "Batch", "nonsense", None, 5, ["batch"], {"a": 1}])
def test_an_unknown_kind_is_refused_with_those_there_are(name: object) -> None:
    """The refusal names the field and every kind."""
    with pytest.raises(InvalidValue) as caught:
        kind_named(name)
    assert caught.value.field == "kind"
    assert all(kind in caught.value.allowed for kind in STARTED_BY_PARAMETERS)


def test_a_kind_is_found_by_its_name() -> None:
    """Each kind says which task runs it."""
    assert kind_named("batch").task == "tasks.batch"
    assert all(kind_named(name).name == name for name in STARTED_BY_PARAMETERS)


def test_an_upload_is_not_started_by_its_parameters() -> None:
    """It is no kind to POST, nor to follow an upload; the refusal says what begins one."""
    with pytest.raises(InvalidValue, match="POST /api/uploads"):
        kind_named("upload")
    assert KINDS["upload"].start == "POST /api/uploads"


@pytest.mark.parametrize(
    ("params", "arguments"),
    [
        ({"source": "python-stdlib"}, {"source": "python-stdlib"}),
        ({"source": "python-stdlib", "limit": 5}, {"source": "python-stdlib", "limit": 5}),
        ({"source": "python-stdlib", "limit": None}, {"source": "python-stdlib"}),
        ({"source": {"upload": "u"}, "retries": 2}, {"source": {"upload": "u"}, "retries": 2}),
        ({"items": [1, {"a": None}], "concurrency": 1}, {"items": [1, {"a": None}], "concurrency": 1}),
        ({"retry": "op"}, {"retry": "op"}),
    ],
)
def test_a_batchs_parameters_become_its_tasks_arguments(params: object, arguments: dict[str, Any]) -> None:
    """What was left out has its default."""
    left_out = {
        "source": None, "items": None, "retry": None, "limit": None, "retries": 0, "concurrency": 4
    }  # fmt: skip
    assert kind_named("batch").check(params) == left_out | arguments


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({}, "params.source"),
        ({"source": {}}, "params.source.upload"),
        ({"source": {"upload": "../a"}}, "params.source.upload"),
        ({"source": {"upload": "a", "as": "csv"}}, "params.source.as"),
        ({"source": "python-stdlib", "items": [1]}, "params.items"),
        ({"items": [1], "retry": "op"}, "params.retry"),
        ({"items": []}, "params.items"),
        ({"items": 5}, "params.items"),
        ({"retry": "a b"}, "params.retry"),
        ({"retry": "op", "limit": 5}, "params.limit"),
        ({"items": [1], "retries": -1}, "params.retries"),
        ({"items": [1], "concurrency": 0}, "params.concurrency"),
        ({"items": [1], "concurrency": 33}, "params.concurrency"),
        ({"source": "/etc/passwd"}, "params.source"),
        ({"source": ["python-stdlib"]}, "params.source"),
        ({"source": "python-stdlib", "limit": 0}, "params.limit"),
        ({"source": "python-stdlib", "limit": "5"}, "params.limit"),
        ({"source": "python-stdlib", "limit": True}, "params.limit"),
        ({"source": "python-stdlib", "depth": 5}, "params.depth"),
        (None, "params"),
        ([], "params"),
        ("python-stdlib", "params"),
    ],
)
def test_a_wrong_parameter_is_refused_by_its_path(params: object, field: str) -> None:
    """Nothing is started with what a task would not understand."""
    with pytest.raises(InvalidValue) as caught:
        kind_named("batch").check(params)
    assert caught.value.field == field


def test_a_kind_says_what_it_takes_as_json_schema() -> None:
    """Whoever builds a form from it knows names, types, bounds and what is required."""
    schema = kind_named("batch").schema
    assert schema["type"] == "object"
    assert {"enum": ["python-stdlib"]} in schema["properties"]["source"]["anyOf"]
    assert schema["$defs"]["UploadSource"]["required"] == ["upload"]
    assert schema["properties"]["concurrency"]["maximum"] == 32
    assert all(kind.description for kind in KINDS.values())


@pytest.mark.parametrize(
    ("kind", "params", "field"),
    [
        ("browser", {}, "params.steps"),
        ("browser", {"steps": []}, "params.steps"),
        ("browser", {"steps": [{"action": "goto"}]}, "params.steps[0].url"),
        ("browser", {"steps": [{"action": "goto", "url": "file:///etc/passwd"}]}, "params.steps[0].url"),
        ("browser", {"steps": [{"action": "goto", "url": "/", "speed": 1}]}, "params.steps[0].speed"),
        (
            "browser",
            {"steps": [{"action": "goto", "url": "/"}, {"action": "type"}]},
            "params.steps[1].action",
        ),
        ("browser", {"steps": [{"action": "goto", "url": "/"}], "timeout": 61}, "params.timeout"),
        ("browser", {"steps": [{"action": "screenshot", "name": "../a"}]}, "params.steps[0].name"),
        ("agent", {}, "params.prompt"),
        ("agent", {"prompt": ""}, "params.prompt"),
        ("agent", {"prompt": "a", "steps": 0}, "params.steps"),
        ("agent", {"prompt": "a", "offline": 1}, "params.offline"),
    ],
)
def test_the_field_is_named_wherever_it_is(kind: str, params: object, field: str) -> None:
    """Also inside a list."""
    with pytest.raises(InvalidValue) as caught:
        kind_named(kind).check(params)
    assert caught.value.field == field
    assert caught.value.allowed


def test_a_scripts_steps_become_the_tasks_arguments_again() -> None:
    """As plain JSON values, each with its action; what was left out has its default."""
    arguments = kind_named("browser").check({"steps": [{"action": "wait", "selector": "h1"}]})
    assert arguments == {
        "steps": [{"action": "wait", "selector": "h1", "state": "visible"}], "timeout": 10.0
    }  # fmt: skip
    assert kind_named("browser").schema["$defs"].keys() >= {"GoTo", "Screenshot"}
