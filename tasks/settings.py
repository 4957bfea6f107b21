"""What the environment says about our kinds of operation, beside the library's settings.

Each variable is described for operators in docs/operations.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Final, Self

from msgspec import Meta

from tasks.hosts import AllowedHosts
from tasks.incoming import PLACE
from tasks.masking import secrets_in
from tidings.errors import InvalidValue, SettingsError
from tidings.settings import env, read_settings

MODELS: Final = {
    "ANTHROPIC_API_KEY": "anthropic:claude-haiku-4-5",
    "OPENAI_API_KEY": "openai-chat:gpt-5-mini",
}
"""Which provider is used where its key is there, with a model of it that is small and uses tools."""


@dataclass(frozen=True, kw_only=True)
class TaskSettings:
    """Where browser sessions may go, which model agents think with, where uploads come in.

    No model is the offline one.
    """

    browser_hosts: str = env("TIDINGS_BROWSER_HOSTS", "")
    port: Annotated[int, Meta(ge=0, le=65_535)] = env("PORT", 8000)
    agent_model: str = env("TIDINGS_AGENT_MODEL", "")
    uploads: str = env("TIDINGS_UPLOADS", PLACE)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    """The values of variables that are named like secrets: told to nobody."""

    @classmethod
    def from_env(cls, environ: Mapping[str, str]) -> Self:
        """Read the settings. Raises: SettingsError with every problem at once."""
        model = next((model for key, model in MODELS.items() if environ.get(key)), "")
        settings = read_settings(cls, environ, agent_model=model, secrets=secrets_in(environ))
        try:
            settings.allowed_hosts  # noqa: B018 - read once here, to be refused at the start
        except InvalidValue as error:
            raise SettingsError([str(error)]) from error
        return settings

    @property
    def allowed_hosts(self) -> AllowedHosts:
        """The hosts that may be visited: those named, else this service on this machine."""
        named = [entry for entry in self.browser_hosts.split(",") if entry.strip()]
        return AllowedHosts.of(named or [f"127.0.0.1:{self.port}", f"localhost:{self.port}"])
