"""Secrets taken out of what is about to be told. Pure."""

import re
from collections.abc import Mapping
from typing import Final

_NAMED: Final = re.compile(r"KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL", re.IGNORECASE)
_SHAPED: Final = re.compile(r"\b(?:sk|pk|rk|ghp|gho|github_pat|xox[abp]|AKIA|AIza)[-_]?[A-Za-z0-9_-]{12,}")
"""How keys of providers begin; for those that somebody puts into a prompt."""
MIN_CHARS: Final = 6
"""A shorter value (``1``, ``true``) is no secret, and would mask half of every text. Guessed."""
HIDDEN: Final = "***"


def secrets_in(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Give the values of variables that are named like secrets, the longest first."""
    values = {value for name, value in environ.items() if _NAMED.search(name) and len(value) >= MIN_CHARS}
    return tuple(sorted(values, key=len, reverse=True))


class Mask:
    """Hides given secrets, and whatever is shaped like a provider's key."""

    def __init__(self, secrets: tuple[str, ...]) -> None:
        self._secrets = secrets

    def text(self, text: str) -> str:
        """Give *text* with each secret hidden."""
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return _SHAPED.sub(HIDDEN, text)


class Trickle:
    """A text that comes in pieces, given out as far as no secret can be cut in two: by whole words."""

    MAX_WORD_CHARS: Final = 1_000

    def __init__(self, mask: Mask) -> None:
        self._mask = mask
        self._waiting = ""

    def add(self, piece: str) -> None:
        """Take a piece."""
        self._waiting += piece

    def take(self, *, is_over: bool = False) -> str:
        """Give what may be told by now; all of it once it *is over*."""
        whole = len(self._waiting)
        if not is_over and whole <= self.MAX_WORD_CHARS:
            whole = max(self._waiting.rfind(space) for space in " \n") + 1
        ready, self._waiting = self._waiting[:whole], self._waiting[whole:]
        return self._mask.text(ready)
