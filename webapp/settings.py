"""What the environment says about the service, beside the log's own settings.

Each variable is described for operators in docs/operations.md.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from msgspec import Meta

from tasks.incoming import PLACE
from tidings.errors import SettingsError
from tidings.settings import AtLeastOne, Positive, Seconds, Settings, env, read_settings

Port = Annotated[int, Meta(ge=0, le=65_535)]
DrainSeconds = Annotated[float, Meta(gt=0, le=12)]
"""Of gunicorn's graceful_timeout, 20 s, some 6 s go to the rest (webapp.worker, LINGER_S in webapp.hub)."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Where the service listens, who may use it, and the bounds of its streams."""

    log: Settings
    host: str = env("HOST", "0.0.0.0")  # noqa: S104 - a Heroku-like router comes from outside; auth is required there
    port: Port = env("PORT", 8000)
    web_concurrency: AtLeastOne = env("WEB_CONCURRENCY", 2)
    auth: Literal["required", "open"] = env("TIDINGS_AUTH", "required")
    metrics_token: str = env("TIDINGS_METRICS_TOKEN", "")
    heartbeat_s: Positive = env("TIDINGS_HEARTBEAT_S", 15.0)
    lifetime_s: Positive = env("TIDINGS_STREAM_LIFETIME_S", 3_600.0)
    max_streams: AtLeastOne = env("TIDINGS_MAX_STREAMS", 10_000)
    max_topics: AtLeastOne = env("TIDINGS_MAX_TOPICS", 64)
    max_body_bytes: AtLeastOne = env("TIDINGS_MAX_BODY_BYTES", 65_536)
    drain_s: DrainSeconds = env("TIDINGS_DRAIN_S", 5.0)
    ring_events: AtLeastOne = env("TIDINGS_RING_EVENTS", 10_000)
    uploads: str = env("TIDINGS_UPLOADS", PLACE)
    max_upload_bytes: AtLeastOne = env("TIDINGS_MAX_UPLOAD_BYTES", 1_000_000_000)
    upload_ttl_s: Seconds = env("TIDINGS_UPLOAD_TTL_S", 86_400)
    files_ttl_s: Seconds = env("TIDINGS_FILES_TTL_S", 7 * 86_400)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings of the service and of the log.

        Raises: SettingsError with every problem at once.
        """
        problems: list[str] = []
        log = service = None
        try:
            log = Settings.from_env(environ)
        except SettingsError as error:
            problems += error.problems
        try:
            service = read_settings(cls, environ, log=log)
        except SettingsError as error:
            problems += error.problems
        if service is not None and service.auth == "open" and not _is_loopback(service.host):
            problems.append(
                f"TIDINGS_AUTH='open' lets everybody see everything, so HOST must be a loopback address, "
                f"not {service.host!r}"
            )
        if problems or service is None:
            raise SettingsError(problems)
        return service


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
