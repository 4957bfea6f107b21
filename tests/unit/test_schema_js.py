"""The page's forms without a document: from JSON Schema and an example to fields, and to parameters again."""

from typing import Any

import pytest

from tasks.catalog import KINDS
from tasks.pipeline import SHIPPED
from tests.in_node import in_node as on_page


def in_node(body: str, given: list[Any]) -> list[Any]:
    """Have Node run *body* for each of *given*; give what it returns."""
    return on_page("schema.js", body, given)


FILLED: list[tuple[str, dict[str, Any]]] = [
    *((kind.name, kind.example) for kind in KINDS.values()),
    ("batch", {"source": {"upload": "op_1"}, "limit": 10, "retries": 2}),
    ("batch", {"items": [1, "two", {"three": None}], "concurrency": 1}),
    ("batch", {"retry": "op_1"}),
    (
        "browser",
        {
            "steps": [
                {"action": "goto", "url": "/"},
                {"action": "click", "selector": "text=Go"},
                {"action": "fill", "selector": "#who", "text": "<b>Ada</b>\n"},
                {"action": "wait", "selector": "#out", "state": "hidden"},
                {"action": "extract", "selector": "a", "name": "link", "attribute": "href"},
                {"action": "screenshot", "name": "page"},
            ],
            "timeout": 0.5,
        },
    ),
    ("agent", {"prompt": "Why?\nAnd how?", "steps": 3, "timeout": 1.5, "offline": True}),
    ("upload", {"filename": "a.csv", "sha256": "0" * 64}),
    ("upload", {"filename": "a.csv", "then": {"kind": "batch", "params": {"source": {"upload": "$upload"}}}}),
    ("workflow", {"pipeline": SHIPPED.read_text(encoding="utf-8"), "resume": "op_1"}),
    (
        "workflow",
        {
            "pipeline": {
                "steps": [
                    {"name": "scan", "task": "scan", "params": {"limit": 3}, "weight": 0},
                    {"name": "count", "task": "analyse", "needs": ["scan"], "retries": 1},
                ]
            }
        },
    ),
]


def test_what_a_form_begins_with_is_what_it_sends() -> None:
    """For each kind its example, and each sort of value that its schema knows."""
    given = [{"schema": KINDS[kind].schema, "value": value} for kind, value in FILLED]
    assert in_node("return page.valueOf(page.build(given.schema, given.value));", given) == [
        value for _, value in FILLED
    ]


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS.values() if kind.name != "upload"])
def test_a_kinds_example_is_taken(kind: str) -> None:
    """A form can be sent as it opens."""
    assert KINDS[kind].check(KINDS[kind].example)
    assert KINDS[kind].schema["examples"] == [KINDS[kind].example]


EMPTY = {"batch": {}, "browser": {"steps": [{"action": "goto"}]}, "agent": {}, "upload": {}, "workflow": {}}


def test_what_is_left_empty_is_left_out() -> None:
    """Defaults are the service's; what is missing it says by name."""
    given = [{"schema": KINDS[kind].schema} for kind in EMPTY]
    assert in_node("return page.valueOf(page.build(given.schema));", given) == list(EMPTY.values())


WAYS = """
const root = page.build(given.schema, given.value);
return given.paths.map((path) => page.way(root, path).map(({name, label, sort}) => name || label || sort)[0]);
"""


def test_a_refusal_finds_its_field() -> None:
    """Also inside a list or a choice; what has no field of its own is said at the nearest above it."""
    browser = {
        "schema": KINDS["browser"].schema,
        "value": {"steps": [{"action": "goto", "url": "/"}, {"action": "click", "selector": "a"}]},
        "paths": [".steps", ".steps[1].selector", ".steps[1].action", ".steps[0].speed", ".steps[7].url", ""],
    }
    batch = {
        "schema": KINDS["batch"].schema,
        "value": {"source": {"upload": "x"}},
        "paths": [".source", ".source.upload", ".items[3].a"],
    }
    pipeline = {
        "schema": KINDS["workflow"].schema,
        "value": {"pipeline": "steps: []"},
        "paths": [".pipeline.steps[0].task"],
    }
    assert in_node(WAYS, [browser, batch, pipeline]) == [
        ["steps", "selector", "Action", "Go to", "steps", "Browser params"],
        ["source", "upload", "items"],
        ["YAML text"],
    ]


@pytest.mark.parametrize(
    ("kind", "field", "text", "says"),
    [
        ("batch", "limit", "0", "This must be a whole number, at least 1."),
        ("batch", "retries", "11", "This must be a whole number, 0 to 10."),
        ("agent", "timeout", "0", "This must be a number, more than 0, at most 600."),
        ("agent", "prompt", " ", "This is needed."),
        ("agent", "prompt", "?" * 4_001, "This is too long: at most 4000 characters."),
        ("batch", "retry", "a b", "This does not have the form that is asked for."),
        ("browser", "steps", "", "This needs at least one."),
    ],
)
def test_what_a_field_was_refused_for_is_said_in_words(kind: str, field: str, text: str, says: str) -> None:
    """As its schema has it, not as the service's own language does."""
    body = """
        const node = [...page.all(page.build(given.schema, {}))].find(({name}) => name === given.field);
        if (node.items) node.items = [];
        const inner = node.node ?? node;
        inner.text = given.text;
        return page.wrong(inner);
    """
    assert in_node(body, [{"schema": KINDS[kind].schema, "field": field, "text": text}]) == [says]


def test_a_refusal_of_what_has_no_field_names_its_place_in_words() -> None:
    """From 1, as people count; the names of types are left out, what else is in brackets is not."""
    given = [
        ["pipeline.steps[0].task", " must be one of scan, not 'dig'"],
        ["steps[2].url", " must be right (expected `str` matching regex '^/')"],
        ["pipeline", " must be YAML (mapping values are not allowed here in line 3)"],
        ["", " must be left out where items is given"],
    ]
    assert in_node("return page.inWords(...given);", given) == [
        "Pipeline, step 1, task must be one of scan, not 'dig'",
        "Step 3, url is not right",
        "Pipeline must be YAML (mapping values are not allowed here in line 3)",
        "This must be left out where items is given",
    ]


PROBLEMS = """
const root = page.build(given.schema, given.value);
for (const node of page.all(root)) if (node.name === given.field) node.text = given.text;
const problems = [];
const value = page.valueOf(root, problems);
return [problems.map(({node, text}) => [node.name, text.split(":")[0]]), value[given.field] ?? null];
"""


def test_what_cannot_be_sent_is_said_at_its_field() -> None:
    """A number that is none, a JSON text that is none; the rest is the service's to judge."""
    batch = KINDS["batch"].schema
    given = [
        {"schema": batch, "field": field, "text": text}
        for field, text in [
            ("limit", "many"), ("limit", "1e999"), ("limit", " 5 "), ("limit", "-1.5"),
            ("items", "[1,"), ("items", "[1, 2]"), ("items", " "),
        ]
    ]  # fmt: skip
    assert in_node(PROBLEMS, given) == [
        [[["limit", "This is not a number."]], None],
        [[["limit", "This is not a number."]], None],
        [[], 5],
        [[], -1.5],
        [[["items", "This is not JSON"]], None],
        [[], [1, 2]],
        [[], None],
    ]


CHANGED = """
const root = page.build(given.schema, given.schema.examples[0]);
const [steps] = root.fields;
page.move(steps, 1, -1);
page.remove(steps, 2);
page.add(steps);
const places = steps.items[0].options.map(({label}) => label);
page.choose(steps.items[0], places.indexOf("extract"));
page.choose(steps.items[2], places.indexOf("screenshot"));
return [places, page.valueOf(root)];
"""


def test_steps_are_added_removed_moved_and_changed() -> None:
    """What two actions have by the same name is kept."""
    ((places, value),) = in_node(CHANGED, [{"schema": KINDS["browser"].schema}])
    assert places == ["goto", "click", "fill", "wait", "extract", "screenshot"]
    assert value == {
        "steps": [
            {"action": "extract", "selector": "main"},
            {"action": "goto", "url": "/"},
            {"action": "screenshot", "name": "page"},
            {"action": "goto"},
        ]
    }


def test_an_item_that_was_left_empty_is_sent() -> None:
    """The places of the others stay those that a refusal names."""
    body = """
    const root = page.build(given.schema, given.value);
    const [step] = root.fields[0].node.fields[0].items;
    page.add(step.fields.find(({name}) => name === "needs"));
    return page.valueOf(root);
    """
    value = {"pipeline": {"steps": [{"name": "a", "task": "scan"}]}}
    assert in_node(body, [{"schema": KINDS["workflow"].schema, "value": value}]) == [
        {"pipeline": {"steps": [{"name": "a", "task": "scan", "needs": [""]}]}}
    ]


def test_a_pipeline_to_write_begins_with_the_shipped_one() -> None:
    """It is left out until somebody wants to write one."""
    body = """
    const root = page.build(given.schema);
    const labels = root.fields[0].options.map(({label}) => label);
    page.choose(root.fields[0], 1);
    return [labels, page.valueOf(root).pipeline];
    """
    ((labels, text),) = in_node(body, [{"schema": KINDS["workflow"].schema}])
    assert labels == ["Left out", "YAML text", "Pipeline"]
    assert text == SHIPPED.read_text(encoding="utf-8")


def test_a_hint_says_what_is_allowed_and_what_is_usual() -> None:
    """In words, after what the field is."""
    body = "return Object.fromEntries(page.build(given.schema).fields.map(({name, hint}) => [name, hint]));"
    (hints,) = in_node(body, [{"schema": KINDS["batch"].schema}])
    assert hints["concurrency"] == "How many items at a time. 1 to 32, 4 if left empty."
    assert hints["items"] == "These values, instead of a source. A JSON list."
    assert hints["limit"] == "Only the first so many. At least 1."
