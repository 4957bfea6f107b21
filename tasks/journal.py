"""What a batch has finished, kept where files lie, so that whoever goes on with it does nothing again.

Beside the flow: takes outcomes, some hundred at a time, gives them back to the next attempt, or to the batch
that tries again what failed. An item is finished when the segment that names it is written; a worker that
dies takes with it what it had done since the last one. Of two who hold one journal only the later may write.
"""

import uuid
from collections.abc import Sequence
from typing import Any, Final, Self

from msgspec import Struct, json

from tasks.items import Outcome
from tidings import Failure
from tidings.process import this_process
from tidings.topics import check_identifier

FOLDER: Final = "batches"


class Plan(Struct, frozen=True, omit_defaults=True):
    """What a batch is to do: where its items are from, whose finished ones it leaves out, how many remain."""

    source: dict[str, Any]
    total: int
    after: str | None = None


class Journal:
    """The journal of one batch, as this attempt writes it. Every call waits for the disk or the network.

    Raises: StorageUnavailable, everywhere.
    """

    def __init__(self, operation_id: str) -> None:
        process = this_process()
        name = check_identifier("operation", operation_id)
        self._storage = process.storage
        self._folder = f"{process.settings.namespace}/{FOLDER}/of-{name}"
        self._writer = uuid.uuid4().hex
        self._segments = 0

    def take_over(self) -> Self:
        """Be the one who writes from now on; who was so before stops at its next segment."""
        self._storage.write(f"{self._folder}/writer", self._writer.encode())
        return self

    def plan(self) -> Plan | None:
        """Give the plan, if an attempt came so far as to make one."""
        try:
            return json.decode(self._read("plan.json"), type=Plan)
        except FileNotFoundError:
            return None

    def begin(self, plan: Plan) -> None:
        """Keep the plan."""
        self._storage.write(f"{self._folder}/plan.json", json.encode(plan))

    def write(self, outcomes: Sequence[Outcome]) -> None:
        """Keep outcomes: from here on those items are finished.

        Raises: Failure if another attempt has taken over.
        """
        if self._read("writer") != self._writer.encode():
            raise Failure("taken_over", "Another attempt goes on with this batch.")
        self._segments += 1
        path = f"{self._folder}/segments/{self._writer}-{self._segments}.json"
        self._storage.write(path, json.encode(outcomes))

    def outcomes(self) -> dict[str, Outcome]:
        """Give what is finished, by the items' names."""
        found: dict[str, Outcome] = {}
        for file in self._storage.list(f"{self._folder}/segments"):
            segment = json.decode(b"".join(self._storage.read(file.path)), type=list[Outcome])
            found.update((outcome.name, outcome) for outcome in segment)
        return found

    def _read(self, name: str) -> bytes:
        return b"".join(self._storage.read(f"{self._folder}/{name}"))


def done_before(operation_id: str | None) -> set[str]:
    """Name the items that a batch, or those that it went on from, has done well."""
    names: set[str] = set()
    while operation_id is not None:
        journal = Journal(operation_id)
        names.update(name for name, outcome in journal.outcomes().items() if not outcome.code)
        plan = journal.plan()
        operation_id = plan.after if plan else None
    return names


def delete_older(keep_s: float) -> int:
    """Delete what was written longer ago; say how many files. Waits. Raises: StorageUnavailable."""
    process = this_process()
    return process.storage.delete_older(f"{process.settings.namespace}/{FOLDER}", keep_s)
