"""The corpora of bad input: cases as plain data, and how many more of each surface a run makes up.

A file of `tests/corpora` names its cases. A case is any JSON; ``{"text": "x", "times": 8192}`` in it stands
for a long text.
"""

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, TypeVar

from hypothesis import HealthCheck, settings

from tidings.errors import InvalidValue

T = TypeVar("T")

CORPORA: Final = Path(__file__).parent / "corpora"
PROFILE: Final = "corpora"
SHORT: Final = 50
LONG: Final = 8_000
"""Cases of each property in a long run: all of them together are more than 10^5."""

tried: Final = Counter[str]()
"""How many cases each surface was given in this process."""


def corpus(name: str) -> dict[str, Any]:
    """Read the cases of one file, by what each is."""
    cases: dict[str, Any] = json.loads((CORPORA / f"{name}.json").read_text(), object_hook=_lengthen)
    return cases


def choose_profile(*, long: bool) -> None:
    """Say how many cases `many` makes, before the tests are collected."""
    settings.register_profile(
        PROFILE,
        max_examples=LONG if long else SHORT,
        deadline=None,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def many(share: float = 1.0) -> settings:
    """Settings of a property: that *share* of the run's number of cases."""
    profile = settings.get_profile(PROFILE)
    return settings(profile, max_examples=max(10, int(profile.max_examples * share)))


def taken(read: Callable[[], T], *fields: str) -> T | None:
    """Give what *read* makes of a case; None if it is refused, shortly and by the name of one of *fields*."""
    try:
        return read()
    except InvalidValue as error:
        refusal = error
    assert refusal.field in fields
    assert len(str(refusal)) < 400
    return None


def _lengthen(value: dict[str, Any]) -> Any:
    return value["text"] * value["times"] if value.keys() == {"text", "times"} else value
