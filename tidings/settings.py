"""What the environment says, read once per process into typed, frozen values.

Takes a mapping of variables, gives `Settings`, or one error that lists every problem.
Only composition roots call `from_env`; everything else is handed what it needs.
Each variable is described for operators in docs/operations.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, Any, Literal, Self, TypeVar, get_type_hints

import msgspec
from msgspec import Meta

from tidings.address import Address
from tidings.errors import InvalidValue, SettingsError
from tidings.failure import Shows
from tidings.values import MAX_JSON_BYTES

Positive = Annotated[float, Meta(gt=0, le=1_000_000)]
NoneOrMore = Annotated[int, Meta(ge=0)]
AtLeastOne = Annotated[int, Meta(ge=1)]
Seconds = Annotated[int, Meta(ge=1)]
PayloadBytes = Annotated[int, Meta(ge=256, le=MAX_JSON_BYTES)]
LeaseSeconds = Annotated[float, Meta(ge=1, le=3_600)]
SecondsOrNever = Annotated[float, Meta(ge=0, le=1_000_000)]
RedisUrl = Annotated[str, Meta(pattern=r"^(redis|rediss|unix|sentinel)://.")]
Namespace = Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]{1,64}$(?!\n)")]

T = TypeVar("T")
_SECRETS = frozenset({"REDIS_URL", "TIDINGS_METRICS_TOKEN", "TIDINGS_SECRET_KEY", "TIDINGS_TOKEN"})
"""Variables whose values are never shown, in errors or logs: a URL may hold a password."""


def env(variable: str, default: Any) -> Any:
    """Declare a dataclass field that is read from *variable*."""
    return field(default=default, metadata={"variable": variable}, repr=variable not in _SECRETS)


def read_settings(cls: type[T], environ: Mapping[str, str], **given: object) -> T:
    """Fill the dataclass *cls*: fields made by `env` from *environ*, the others from *given*.

    A variable that is absent or empty leaves the field's default.
    Raises: SettingsError with one sentence per wrong variable.
    """
    hints = get_type_hints(cls, include_extras=True)
    values = dict(given)
    problems: list[str] = []
    for setting in fields(cls):  # type: ignore[arg-type]  # any dataclass
        variable = setting.metadata.get("variable")
        text = environ.get(variable, "") if variable else ""
        if not text:
            continue
        try:
            values[setting.name] = msgspec.convert(text, hints[setting.name], strict=False)
        except msgspec.ValidationError as error:
            shown = "***" if variable in _SECRETS else repr(text)
            problems.append(f"{variable}={shown}: {error}")
    if problems:
        raise SettingsError(problems)
    return cls(**values)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What reporting and reading need: where the log is, what it keeps, how reports are paced."""

    redis_url: RedisUrl = env("REDIS_URL", "")
    namespace: Namespace = env("TIDINGS_NAMESPACE", "tidings")
    log_events: AtLeastOne = env("TIDINGS_LOG_EVENTS", 100_000)
    topic_events: AtLeastOne = env("TIDINGS_TOPIC_EVENTS", 1_000)
    replay_events: NoneOrMore = env("TIDINGS_REPLAY_EVENTS", 0)
    index_operations: AtLeastOne = env("TIDINGS_INDEX_OPERATIONS", 20_000)
    running_ttl_s: Seconds = env("TIDINGS_RUNNING_TTL_S", 7 * 86_400)
    history_ttl_s: Seconds = env("TIDINGS_HISTORY_TTL_S", 3_600)
    state_ttl_s: Seconds = env("TIDINGS_STATE_TTL_S", 86_400)
    payload_bytes: PayloadBytes = env("TIDINGS_PAYLOAD_BYTES", MAX_JSON_BYTES)
    reports_per_s: Positive = env("TIDINGS_REPORTS_PER_S", 10.0)
    buffer_events: AtLeastOne = env("TIDINGS_BUFFER_EVENTS", 10_000)
    lease_s: LeaseSeconds = env("TIDINGS_LEASE_S", 10.0)
    stalled_s: SecondsOrNever = env("TIDINGS_STALLED_S", 300.0)
    storage: str = env("TIDINGS_STORAGE", "var/storage")
    max_result_bytes: AtLeastOne = env("TIDINGS_MAX_RESULT_BYTES", 100_000_000)
    log_format: Literal["text", "json"] = env("TIDINGS_LOG_FORMAT", "text")
    show_exceptions: Shows = env("TIDINGS_SHOW_EXCEPTIONS", "name")
    traces: bool = env("TIDINGS_TRACES", False)  # noqa: FBT003 - the default of a flag
    strict: bool = env("TIDINGS_STRICT", False)  # noqa: FBT003 - the default of a flag

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings. REDIS_URL is required: whatever answers on 6379 may be somebody else's.

        Raises: SettingsError with every problem at once.
        """
        problems: list[str] = []
        if not environ.get("REDIS_URL"):
            problems.append(
                "REDIS_URL is not set: redis://, rediss://, unix:// or sentinel:// and where Redis is"
            )
        try:
            settings = read_settings(cls, environ)
            if settings.redis_url:
                Address.parse(settings.redis_url)
        except SettingsError as error:
            problems += error.problems
        except InvalidValue as error:
            problems.append(str(error))
        if problems:
            raise SettingsError(problems)
        return settings

    @property
    def address(self) -> Address:
        """Where Redis is. Raises: InvalidValue."""
        return Address.parse(self.redis_url)
