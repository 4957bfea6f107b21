"""The names that the service answers to where it is open to whoever reaches it: this machine's only.

A stranger's page can have its own name lead to 127.0.0.1 (DNS rebinding). By all that its browser says it is
then of one origin with us, but that name is still in ``Host``. Where tokens are asked for it is of no use:
neither they nor cookies are sent to it. Pure but for `install`.
"""

import re
from collections.abc import Container
from typing import Final, NamedTuple

from flask import Flask, Response, request

from webapp.errors import problem
from webapp.origins import Caller

PROBES: Final = frozenset({"/healthz", "/readyz", "/metrics"})
"""Asked by who finds us by other names, and say nothing of what anybody does."""
RULE: Final = (
    "where no token is asked for, Host is to be localhost, a loopback address, or of an origin in"
    " TIDINGS_ALLOWED_ORIGINS"
)
_LOOPBACK: Final = re.compile(
    r"(?:localhost|[a-z0-9.-]+\.localhost|127(?:\.[0-9]{1,3}){3}|\[::1\])(?::[0-9]+)?"
)
"""Source: RFC 6761, 6.3: browsers ask nobody where a name below localhost leads to."""


class OwnNames(NamedTuple):
    """Whether any name will do, and the origins by whose names the service may be called as well."""

    any_will_do: bool
    origins: Container[str]

    def refuses(self, caller: Caller) -> bool:
        """Tell whether a request is for somebody else's name. What names nobody comes from no browser."""
        if self.any_will_do or not caller.host:
            return False
        host = caller.host.lower()
        named = f"http://{host}" in self.origins or f"https://{host}" in self.origins
        return not named and not _LOOPBACK.fullmatch(host)


def install(app: Flask, names: OwnNames) -> None:
    """Have *app* refuse what is for another name before it looks at anything else."""

    def check() -> Response | None:
        if request.path in PROBES or not names.refuses(Caller.of(request.headers.get)):
            return None
        return problem(403, "Forbidden", RULE)

    app.before_request(check)
