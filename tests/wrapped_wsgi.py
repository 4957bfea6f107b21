"""The service inside another application, as some middlewares wrap one."""

from collections.abc import Callable, Iterable
from typing import Any

import wsgi


def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Pass everything on."""
    return wsgi.app(environ, start_response)
