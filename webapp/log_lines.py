"""What a web process logs, and how: gunicorn's logger with the service's own beside it.

Takes gunicorn's settings, gives lines of text or of JSON. No line has a query string: tokens may stand there.
"""

import logging
from typing import Any, Final

from gunicorn.glogging import Logger

from tidings.json_log import speak_json

OURS: Final = ("tidings", "webapp", "tasks")
ACCESS_FORMAT: Final = '%(h)s "%(r)s" %(s)s %(b)s %(M)s ms "%(a)s"'
"""Of an access log, where one is asked for: whose request, for what, answered how. No referer."""


class WebLogger(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """gunicorn's, whose lines never show a query string."""

    def atoms(self, resp: Any, req: Any, environ: dict[str, Any], request_time: Any) -> dict[str, Any]:
        """Give what an access log may show of a request."""
        atoms: dict[str, Any] = super().atoms(resp, req, environ, request_time)
        path = environ["RAW_URI"].partition("?")[0]
        return atoms | {
            "r": f"{environ['REQUEST_METHOD']} {path} {environ['SERVER_PROTOCOL']}",
            "q": "-",
            "f": atoms["f"].partition("?")[0],
        }


class JsonWebLogger(WebLogger):
    """The same, in JSON; what the service itself says is in it from level info on, the rest from warning."""

    def setup(self, cfg: Any) -> None:
        """Set gunicorn's logging up, and that of all else in this process."""
        super().setup(cfg)
        root = logging.getLogger()
        if not root.handlers:
            root.addHandler(logging.StreamHandler())
        for name in OURS:
            logging.getLogger(name).setLevel(logging.INFO)
        speak_json([*self.error_log.handlers, *self.access_log.handlers, *root.handlers])
