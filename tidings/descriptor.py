"""What an operation is, apart from what happens to it.

Written once to the log when the operation is announced, and carried by its events. Pure.
"""

from typing import Final, Self

from msgspec import UNSET, Struct, UnsetType, json

from tidings.errors import InvalidValue
from tidings.placement import Placement
from tidings.topics import check_identifier
from tidings.values import MAX_MESSAGE_CHARS, Tidy, is_text

_MAX_TASK_CHARS: Final = 200


class Descriptor(Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """One operation's identity: its id and kind, and where it belongs.

    ``workflow_id`` is the root of its tree, ``parent_id`` the operation just above it,
    ``owner`` the person it is for. ``placement``: where it stands in that tree, if the tree has a bar.
    ``use`` tells apart what its id is used for, where an id is used again: a word of those who send tasks.
    """

    id: str
    kind: str
    name: str | UnsetType = UNSET
    workflow_id: str | UnsetType = UNSET
    agent_id: str | UnsetType = UNSET
    parent_id: str | UnsetType = UNSET
    owner: str | UnsetType = UNSET
    placement: Placement | UnsetType = UNSET
    use: str | UnsetType = UNSET

    @classmethod
    def of(
        cls,
        operation_id: str,
        kind: str,
        *,
        name: str | None = None,
        workflow: str | None = None,
        agent: str | None = None,
        parent: str | None = None,
        owner: str | None = None,
        placement: Placement | None = None,
        use: str | None = None,
    ) -> Self:
        """Check the parts and put them together; a workflow and an agent belong to themselves.

        A name is only shown, and so put right like what an author says. An owner is not: it might become
        another's. Raises: InvalidValue naming the part that is no identifier, or an owner that is no text.
        """
        check_identifier("id", operation_id)
        check_identifier("kind", kind)
        if kind == "workflow" and workflow is None:
            workflow = operation_id
        if kind == "agent" and agent is None:
            agent = operation_id
        return cls(
            id=operation_id,
            kind=kind,
            name=Tidy().text("name", name) if name else UNSET,
            workflow_id=UNSET if workflow is None else check_identifier("workflow", workflow),
            agent_id=UNSET if agent is None else check_identifier("agent", agent),
            parent_id=UNSET if parent is None else check_identifier("parent", parent),
            owner=_check_owner(owner) if owner else UNSET,
            placement=placement or UNSET,
            use=use or UNSET,
        )

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """Read what `encode` wrote. Raises msgspec.ValidationError on anything else."""
        return json.decode(data, type=cls)

    def encode(self) -> bytes:
        """Write the descriptor as JSON."""
        return json.encode(self)

    @property
    def task(self) -> str:
        """What it has in common with the runs before it: its name, or its kind. At most 200 characters."""
        return (self.name or self.kind)[:_MAX_TASK_CHARS]

    @property
    def topics(self) -> tuple[str, ...]:
        """The named topics that its events go to, its own first.

        A member of a group goes to ``members:<W>``: a workflow is watched for its bar, not for 10,000 tasks.
        """
        topics = [f"operations:{self.id}"]
        if self.is_member:
            topics.append(f"members:{self.workflow_id}")
        elif self.workflow_id is not UNSET:
            topics.append(f"workflows:{self.workflow_id}")
        if self.agent_id is not UNSET:
            topics.append(f"agents:{self.agent_id}")
        return tuple(topics)

    @property
    def is_member(self) -> bool:
        """Whether it is one of a group in a workflow."""
        return self.placement is not UNSET and self.placement.is_member


def _check_owner(owner: object) -> str:
    if not is_text(owner):
        raise InvalidValue(
            "owner", f"text of at most {MAX_MESSAGE_CHARS} characters that UTF-8 can carry", owner
        )
    return str.__str__(owner)
