"""What the environment says about the service, beside the log's own settings.

Each variable is described for operators in docs/operations.md.
"""

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal, Self

from msgspec import Meta

from tasks.incoming import PLACE
from tidings.errors import InvalidValue, SettingsError
from tidings.log import KEPT_S
from tidings.settings import AtLeastOne, Positive, Seconds, Settings, env, read_settings
from tidings.tokens import SECRET_RULE, Keys
from webapp.origins import Origins
from webapp.own_names import OwnNames
from webapp.peers import Proxies

Port = Annotated[int, Meta(ge=0, le=65_535)]
NoneOrMore = Annotated[int, Meta(ge=0)]
TokenSeconds = Annotated[int, Meta(ge=60, le=KEPT_S)]
DrainSeconds = Annotated[float, Meta(gt=0, le=12)]
"""Of gunicorn's graceful_timeout, 20 s, some 6 s go to the rest (webapp.worker, LINGER_S in webapp.hub)."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Where the service listens, who may use it, and the bounds of its streams."""

    log: Settings
    host: str = env("HOST", "0.0.0.0")  # noqa: S104 - a router comes from outside; auth is required there
    port: Port = env("PORT", 8000)
    web_concurrency: AtLeastOne = env("WEB_CONCURRENCY", 2)
    auth: Literal["required", "open"] = env("TIDINGS_AUTH", "required")
    secret_key: str = env("TIDINGS_SECRET_KEY", "")
    token_issuer: str = env("TIDINGS_TOKEN_ISSUER", "tidings")
    token_audience: str = env("TIDINGS_TOKEN_AUDIENCE", "tidings")
    max_token_s: TokenSeconds = env("TIDINGS_MAX_TOKEN_S", 86_400)
    metrics_token: str = env("TIDINGS_METRICS_TOKEN", "")
    allowed_origins: str = env("TIDINGS_ALLOWED_ORIGINS", "")
    trusted_proxies: str = env("TIDINGS_TRUSTED_PROXIES", "")
    heartbeat_s: Positive = env("TIDINGS_HEARTBEAT_S", 15.0)
    lifetime_s: Positive = env("TIDINGS_STREAM_LIFETIME_S", 3_600.0)
    max_streams: AtLeastOne = env("TIDINGS_MAX_STREAMS", 10_000)
    streams_per_address: NoneOrMore = env("TIDINGS_STREAMS_PER_ADDRESS", 1_000)
    streams_per_subject: NoneOrMore = env("TIDINGS_STREAMS_PER_SUBJECT", 100)
    requests_per_s: NoneOrMore = env("TIDINGS_REQUESTS_PER_S", 100)
    max_topics: AtLeastOne = env("TIDINGS_MAX_TOPICS", 64)
    request_s: Positive = env("TIDINGS_REQUEST_S", 5.0)
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
        if service is not None and service.auth == "required":
            problems += _problems_of(service.secret_key)
        if service is not None:
            problems += _unreadable(service)
        if problems or service is None:
            raise SettingsError(problems)
        return service

    @property
    def keys(self) -> Keys:
        """The keys that tokens are verified with: none where there is no secret. Raises: InvalidValue."""
        return Keys.parse(self.secret_key) if self.secret_key else Keys({})

    @property
    def origins(self) -> Origins:
        """The origins whose pages may use the service beside its own. Raises: InvalidValue."""
        return Origins.parse(self.allowed_origins)

    @property
    def own_names(self) -> OwnNames:
        """The names that the service answers to. Raises: InvalidValue."""
        return OwnNames(self.auth == "required", self.origins)

    @property
    def proxies(self) -> Proxies:
        """The networks whose ``X-Forwarded-For`` is believed. Raises: InvalidValue."""
        return Proxies.parse(self.trusted_proxies)


def _problems_of(secret: str) -> list[str]:
    if not secret:
        return [f"TIDINGS_SECRET_KEY is not set: {SECRET_RULE} (TIDINGS_AUTH=open needs none, on loopback)"]
    try:
        Keys.parse(secret)
    except InvalidValue as error:
        return [str(error)]
    return []


def _unreadable(service: ServiceSettings) -> list[str]:
    """Read what is a list once here, to be refused at the start."""
    problems = []
    for parse, text in ((Origins.parse, service.allowed_origins), (Proxies.parse, service.trusted_proxies)):
        try:
            parse(text)
        except InvalidValue as error:
            problems.append(str(error))
    return problems


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
