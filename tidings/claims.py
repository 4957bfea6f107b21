"""What a token or a ticket says of who has it. Pure."""

from typing import Annotated, Final

from msgspec import Meta, Struct

from tidings.errors import InvalidValue
from tidings.topics import EVERYTHING, check_identifier, check_topic, owner_topic

MAX_NAMES: Final = 64
"""In each claim: as many topics as a stream may have by default."""
LATEST_S: Final = 2**53

Names = Annotated[tuple[str, ...], Meta(max_length=MAX_NAMES)]
Moment = Annotated[int, Meta(ge=0, le=LATEST_S)]


class Claims(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a token says; other claims are none of ours. Times in whole seconds since 1970.

    ``topics``: what may be seen, ``operations:<id>`` and the like, ``agents:*``, or ``*``. ``start``: kinds,
    or ``*``. ``cancel``: topics again. What belongs to ``sub`` may be seen and cancelled anyway.
    ``operator``: who waits for what may be seen, whoever it is.
    """

    iss: str
    sub: Annotated[str, Meta(min_length=1)]
    aud: str | list[str]
    exp: Moment
    nbf: Moment = 0
    iat: Moment = 0
    jti: Annotated[str, Meta(max_length=128)] = ""
    topics: Names = ()
    start: Names = ()
    cancel: Names = ()
    operator: bool = False

    def __post_init__(self) -> None:
        """Refuse names that are none. Raises: InvalidValue naming the claim."""
        if not owner_topic(self.sub):
            raise InvalidValue(
                "sub", "at most 128 characters, other than A-Z a-z 0-9 . _ - counting as three"
            )
        for claim in ("topics", "cancel"):
            for name in getattr(self, claim):
                _check(claim, name)
        for kind in self.start:
            if kind != EVERYTHING:
                check_identifier("start", kind)


def _check(claim: str, name: str) -> None:
    try:
        if name != EVERYTHING:
            check_topic(name)
    except InvalidValue as error:
        raise InvalidValue(claim, f"{error.allowed}, or *", name) from None
