"""What somebody may see of what they ask for, where only the operation that it is called after can tell.

Between who asks (`webapp.access`, pure) and what is there: takes a filter, gives it cut down. Used by streams
and by the API, so that neither shows what the other does not.
"""

from collections.abc import Iterable
from functools import partial
from typing import Final

from tidings.errors import InvalidValue
from tidings.log import OperationState
from tidings.topics import Filter
from webapp.access import Access
from webapp.errors import Forbidden, NotFound
from webapp.service import Service

REFERENCE_RULE: Final = "the id of an operation that there is, and that may be seen"


def narrowed(here: Service, granted: Access, wanted: Filter) -> Filter:
    """Cut what is asked for down to what may be seen. Waits for Redis where only an operation can tell.

    Raises: NotFound, LogUnavailable.
    """
    return granted.narrow(wanted, partial(_leads, here, granted))


def _leads(here: Service, granted: Access, topic: str) -> bool:
    """Look whether the operation that *topic* is called after opens it: in the ring, else in Redis."""
    name = topic.partition(":")[2]
    latest = here.hub.ring.latest(f"operations:{name}")
    if latest is not None and granted.leads(topic, latest.topics):
        return True
    state = here.log.operation(name)
    return state is not None and granted.leads(topic, state.topics)


def found(here: Service, granted: Access, operation_id: str) -> OperationState:
    """Give an operation as it is. Waits for Redis.

    Raises: NotFound, also if it may not be seen; LogUnavailable.
    """
    state = here.log.operation(operation_id)
    if state is None or not granted.sees(state.topics):
        raise NotFound(f"operation {operation_id}")
    return state


def check_start(granted: Access, kind: str) -> None:
    """Raise Forbidden unless an operation of *kind* may be started."""
    if not granted.may_start(kind):
        raise Forbidden(f"the token starts no operation of kind {kind}")


def check_results(here: Service, granted: Access, operation_id: str) -> None:
    """Raise NotFound unless the operation's files may be seen: they may outlive what is known of it."""
    if not granted.names(f"operations:{operation_id}"):
        found(here, granted, operation_id)


def check_references(here: Service, granted: Access, references: Iterable[tuple[str, str]]) -> None:
    """Look whether the files may be read of each operation that a parameter names. Waits for Redis.

    Raises: InvalidValue naming the parameter, whether or not there is such an operation; LogUnavailable.
    """
    for field, operation_id in references:
        try:
            check_results(here, granted, operation_id)
        except NotFound as error:
            raise InvalidValue(field, REFERENCE_RULE, operation_id) from error
