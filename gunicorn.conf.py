"""How gunicorn runs the service. Read automatically by ``gunicorn wsgi:app``."""

# First of all, before anything imports ssl or socket (PITFALLS G9).
from gevent import monkey

monkey.patch_all()

import os  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from typing import Any  # noqa: E402

from tidings.errors import SettingsError  # noqa: E402
from webapp.log_lines import ACCESS_FORMAT  # noqa: E402
from webapp.settings import ServiceSettings  # noqa: E402
from webapp.slots import assign_slot, leave_slot, make_slots  # noqa: E402

try:
    _settings = ServiceSettings.from_env(os.environ)
except SettingsError as error:
    for problem in error.problems:
        print(f"tidings: {problem}", file=sys.stderr)  # noqa: T201 - there is no logger yet
    sys.exit(1)

bind = [f"{_settings.host}:{_settings.port}"]
workers = _settings.web_concurrency
worker_class = "webapp.worker.StreamWorker"
# Counts requests and openings; a parked stream is none of its business. The worker takes fewer where
# descriptors are few, and fills no more than three quarters with streams that cannot be parked.
worker_connections = 2000
backlog = 4096
graceful_timeout = 20  # below the 25 s that dev/procfile.py and the 30 s that Heroku-like hosts wait
control_socket_disable = True  # it can shut the server down and is written under $HOME (PITFALLS G11)
logger_class = (
    "webapp.log_lines.JsonWebLogger" if _settings.log.log_format == "json" else "webapp.log_lines.WebLogger"
)
accesslog = None  # with one, streams take the long way (webapp.worker)
access_log_format = ACCESS_FORMAT


def on_starting(server: Any) -> None:
    """Make what the web processes share: the numbers that any of them shows at /metrics."""
    make_slots(server, workers)


pre_fork = assign_slot
child_exit = leave_slot


def post_fork(_server: Any, _worker: Any) -> None:
    """Let a TERM end a worker that is not up yet.

    Until gunicorn installs the worker's own handlers it has the master's, which drops the
    signal: 3 of 8 stops right after the start hung until graceful_timeout.
    """
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
