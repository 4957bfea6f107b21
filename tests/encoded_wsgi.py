"""The service behind a middleware that names a content coding, as those that compress do."""

from collections.abc import Callable, Iterable
from typing import Any

from wsgi import app

_inner = app.wsgi_app


def _encoding(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    def start(status: str, headers: list[tuple[str, str]], *rest: Any) -> Any:
        return start_response(status, [*headers, ("Content-Encoding", "identity")], *rest)

    for piece in _inner(environ, start):
        yield b": encoded\n" + piece if piece.startswith(b"event:") else piece


app.wsgi_app = _encoding  # type: ignore[method-assign]  # Flask's own way to put a middleware
