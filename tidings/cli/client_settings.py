"""Which service the command line asks, and as whom; and how the tokens are signed that it takes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Self

from msgspec import Meta

from tidings.log import KEPT_S
from tidings.settings import AtLeastOne, Positive, env, read_settings

ServiceUrl = Annotated[str, Meta(pattern=r"^https?://[^/?#]+")]

Token = Annotated[str, Meta(pattern=r"^[\x21-\x7e]*$(?!\n)")]
"""What may stand in a header."""


@dataclass(frozen=True, kw_only=True)
class ClientSettings:
    """Where the service is; each has a flag that wins."""

    url: ServiceUrl = env("TIDINGS_URL", "http://127.0.0.1:8000")
    token: Token = env("TIDINGS_TOKEN", "")
    max_streams: AtLeastOne = env("TIDINGS_MAX_STREAMS", 10_000)
    heartbeat_s: Positive = env("TIDINGS_HEARTBEAT_S", 15.0)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read them. Raises: SettingsError with every problem at once."""
        return read_settings(cls, environ)


@dataclass(frozen=True, kw_only=True)
class TokenSettings:
    """How tokens are signed: as the service has it, that is to take them."""

    secret_key: str = env("TIDINGS_SECRET_KEY", "")
    issuer: str = env("TIDINGS_TOKEN_ISSUER", "tidings")
    audience: str = env("TIDINGS_TOKEN_AUDIENCE", "tidings")
    max_token_s: Annotated[int, Meta(ge=60, le=KEPT_S)] = env("TIDINGS_MAX_TOKEN_S", 86_400)

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read them. Raises: SettingsError with every problem at once."""
        return read_settings(cls, environ)
