"""What can be started here: each kind with its task's name and the parameters it takes.

Read by the service, which checks parameters before anything is queued and sends tasks by
name, so it imports no task. Pure.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, json, to_builtins

from tasks import pipeline
from tidings import InvalidValue
from tidings.checking import check

QUEUE: Final = "tidings"
"""The queue that the worker consumes; not Celery's default, which other projects on the broker share."""


Id = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,128}$(?!\n)")]


class UploadSource(Struct, frozen=True, forbid_unknown_fields=True):
    """The rows of an uploaded CSV or the lines of an uploaded JSONL."""

    upload: Annotated[Id, Meta(description="The upload's id.")]


class BatchParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What a batch works through: one of ``source``, ``items`` and ``retry``."""

    source: Annotated[
        Literal["python-stdlib"] | UploadSource | None,
        Meta(description="Every module of the running Python's standard library, or a file."),
    ] = None
    items: Annotated[
        Annotated[list[Any], Meta(min_length=1, max_length=10_000)] | None,
        Meta(description="These values, instead of a source."),
    ] = None
    retry: Annotated[
        Id | None,
        Meta(description="The id of an earlier batch: what it has not done well, instead of a source."),
    ] = None
    limit: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="Only the first so many.")] = None
    retries: Annotated[
        int, Meta(ge=0, le=10, description="How often an item is tried again whose failure may pass.")
    ] = 0
    concurrency: Annotated[int, Meta(ge=1, le=32, description="How many items at a time.")] = 4


def one_source(params: BatchParams, path: str) -> BatchParams:
    """Give the parameters of a batch that says once what its items are. Raises: InvalidValue."""
    given = [name for name in ("source", "items", "retry") if getattr(params, name) is not None]
    if not given:
        raise InvalidValue(f"{path}.source", "given: python-stdlib or an upload; or else items, or retry")
    if given[1:]:
        raise InvalidValue(f"{path}.{given[1]}", f"left out where {given[0]} is given")
    if params.retry is not None and params.limit is not None:
        raise InvalidValue(f"{path}.limit", "left out where retry is given")
    return params


Selector = Annotated[
    str, Meta(min_length=1, max_length=500, description="Playwright's: CSS, ``text=…``, ``xpath=…``.")
]
Name = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9_-]{1,60}$(?!\n)",
        description="What it is called in the result: letters, digits, - and _.",
    ),
]


class GoTo(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="goto"):
    """Open a page."""

    url: Annotated[
        str,
        Meta(
            pattern=r"^(https?:/)?/",
            max_length=2_000,
            description="A URL, or a path of the first allowed host, such as ``/``.",
        ),
    ]


class Click(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="click"):
    """Click an element."""

    selector: Selector


class Fill(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="fill"):
    """Put a text into a field. No event shows the text."""

    selector: Selector
    text: Annotated[str, Meta(max_length=10_000)]


class Wait(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="wait"):
    """Wait for an element to come or go."""

    selector: Selector
    state: Literal["visible", "hidden", "attached", "detached"] = "visible"


class Extract(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="extract"):
    """Keep an element's text, or one of its attributes, in the result."""

    selector: Selector
    name: Name
    attribute: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100)] | None,
        Meta(description="One of its attributes, instead of its text."),
    ] = None


class Screenshot(Struct, frozen=True, forbid_unknown_fields=True, tag_field="action", tag="screenshot"):
    """Keep a picture of what is to be seen."""

    name: Name


Step = GoTo | Click | Fill | Wait | Extract | Screenshot


class BrowserParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What a browser session does, step by step."""

    steps: Annotated[list[Step], Meta(min_length=1, max_length=50)]
    timeout: Annotated[float, Meta(gt=0, le=60, description="Seconds that each step may take.")] = 10.0


class AgentParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What an agent is asked about this repository, and how far it may go."""

    prompt: Annotated[str, Meta(min_length=1, max_length=4_000)]
    steps: Annotated[int, Meta(ge=1, le=50, description="At most so many requests to the model.")] = 10
    timeout: Annotated[float, Meta(gt=0, le=600, description="Seconds for all of it.")] = 120.0
    offline: Annotated[bool, Meta(description="Without a provider, even if a key for one is there.")] = False


class Then(Struct, frozen=True, forbid_unknown_fields=True):
    """What is to be started with an upload's file, when it has been verified.

    Every text ``$upload`` in *params* stands for the upload's id.
    """

    kind: str
    params: dict[str, Any]


class UploadParams(Struct, frozen=True):
    """What an upload's metadata may say: the file's name, what it must be, what is to follow (as JSON).

    Other keys are the client's own.
    """

    filename: str = "upload"
    sha256: Annotated[
        str,
        Meta(
            pattern=r"^([0-9A-Fa-f]{64})?$(?!\n)",
            description="What the file must be, in hex. Verified when it is there.",
        ),
    ] = ""
    then: Annotated[
        Then | None, Meta(description="What is started with the file when it has been verified.")
    ] = None


OPERATIONS: Final = "POST /api/operations"
UPLOADS: Final = "POST /api/uploads"
UPLOAD: Final = "upload"


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation that can be started, and by which request.

    The parameters of an upload are its ``Upload-Metadata``.
    """

    name: str
    task: str
    description: str
    params: type[Struct]
    example: dict[str, Any] = field(default_factory=dict)
    """Parameters that make sense as they are: a form begins with them."""
    start: str = OPERATIONS
    read: Callable[[Any, str], Struct] | None = None
    """What else is checked of the parameters, given their path."""
    refers: tuple[str, ...] = ()
    """Where its parameters name an operation whose files it reads, as paths below them."""

    def check(self, params: object, root: str = "params") -> dict[str, Any]:
        """Return the task's keyword arguments for *params*.

        Raises: InvalidValue naming the parameter, as ``<root>.<name>``, and what is allowed.
        """
        read = check(params, self.params, root)
        if self.read is not None:
            read = self.read(read, root)
        checked: dict[str, Any] = to_builtins(read)
        return checked

    def references(self, checked: dict[str, Any], root: str = "params") -> Iterator[tuple[str, str]]:
        """Give each parameter that names an operation whose files are read, and that operation's id."""
        for path in self.refers:
            value: Any = checked
            for name in path.split("."):
                value = value.get(name) if isinstance(value, dict) else None
            if value is not None:
                yield f"{root}.{path}", value

    @property
    def schema(self) -> dict[str, Any]:
        """JSON Schema of the parameters, an object's, with an example; what it refers to is in ``$defs``."""
        (schema,), others = json.schema_components([self.params], ref_template="#/$defs/{name}")
        whole: dict[str, Any] = others.pop(schema["$ref"].rpartition("/")[2])
        whole["examples"] = [self.example]
        return whole | {"$defs": others} if others else whole


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "batch",
            "tasks.batch",
            "One small piece of work on every item of a source, to a table",
            BatchParams,
            {"source": "python-stdlib"},
            read=one_source,
            refers=("source.upload", "retry"),
        ),
        Kind(
            "browser",
            "tasks.browser",
            "A scripted session in a headless Chromium, with screenshots",
            BrowserParams,
            {
                "steps": [
                    {"action": "goto", "url": "/"},
                    {"action": "wait", "selector": "main"},
                    {"action": "extract", "selector": "title", "name": "title"},
                    {"action": "screenshot", "name": "page"},
                ]
            },
        ),
        Kind(
            "agent",
            "tasks.agent",
            "A model that answers a question about this repository, with tools",
            AgentParams,
            {"prompt": "Where is `class Operation` defined?"},
        ),
        Kind(
            UPLOAD,
            "tasks.upload",
            "A file that comes in by tus 1.0, resumable, and is verified and kept; something may follow",
            UploadParams,
            start=UPLOADS,
        ),
        Kind(
            "workflow",
            "tasks.workflow",
            "A pipeline given as data: steps that need one another, to a report",
            pipeline.WorkflowParams,
            read=pipeline.read,
            refers=("resume",),
        ),
    )
}


def kind_named(name: object, field: str = "kind") -> Kind:
    """Find a kind that takes parameters. Raises: InvalidValue naming the *field*, and those there are."""
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None or kind.start != OPERATIONS:
        there_are = ", ".join(sorted(kind.name for kind in KINDS.values() if kind.start == OPERATIONS))
        raise InvalidValue(field, f"one of {there_are} (an upload begins with {UPLOADS}, by tus 1.0)", name)
    return kind
