"""What can be started here: each kind with its task's name and the parameters it takes.

Read by the service, which checks parameters before anything is queued and sends tasks by
name, so it imports no task. Pure.
"""

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct, json, to_builtins

from tidings import InvalidValue
from tidings.checking import check

QUEUE: Final = "tidings"
"""The queue that the worker consumes; not Celery's default, which other projects on the broker share."""


class BatchParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What a batch works through: every module of the running Python's standard library.

    ``limit`` takes only the first so many, in alphabetical order.
    """

    source: Literal["python-stdlib"]
    limit: Annotated[int, Meta(ge=1)] | None = None


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of operation that can be started."""

    name: str
    task: str
    description: str
    params: type[Struct]

    def check(self, params: object) -> dict[str, Any]:
        """Return the task's keyword arguments for *params*.

        Raises: InvalidValue naming the parameter, as ``params.<name>``, and what is allowed.
        """
        checked: dict[str, Any] = to_builtins(check(params, self.params, "params"))
        return checked

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON Schema of the parameters, an object's, with what it refers to under ``$defs``."""
        (schema,), others = json.schema_components([self.params], ref_template="#/$defs/{name}")
        whole: dict[str, Any] = others.pop(schema["$ref"].rpartition("/")[2])
        return whole | {"$defs": others} if others else whole


KINDS: Final = {
    kind.name: kind
    for kind in (
        Kind(
            "batch",
            "tasks.batch",
            "One small piece of work on every item of a source, to a table",
            BatchParams,
        ),
    )
}


def kind_named(name: object) -> Kind:
    """Find a kind. Raises: InvalidValue naming ``kind`` and those there are."""
    kind = KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise InvalidValue("kind", f"one of {', '.join(sorted(KINDS))}", name)
    return kind
