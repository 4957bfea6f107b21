"""The service's settings: every problem at once, and open to everybody only where nobody else can come."""

import pytest

from tidings.errors import SettingsError
from webapp.settings import ServiceSettings

REDIS = {"REDIS_URL": "redis://localhost"}
SECRET = "a secret that is as long as one has to be"  # noqa: S105 - not one
CLOSED = REDIS | {"TIDINGS_SECRET_KEY": SECRET}


def test_the_defaults_ask_for_a_token() -> None:
    """A service that was told nothing but its Redis is closed to strangers."""
    settings = ServiceSettings.from_env(CLOSED)
    assert (settings.auth, settings.port, settings.web_concurrency) == ("required", 8000, 2)
    assert settings.log.redis_url == REDIS["REDIS_URL"]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "[::1]", "127.9.9.9"])
def test_it_may_be_open_on_a_loopback_address(host: str) -> None:
    """Where only this machine can come, everybody may."""
    assert ServiceSettings.from_env({**REDIS, "TIDINGS_AUTH": "open", "HOST": host}).auth == "open"


EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - to be refused


@pytest.mark.parametrize(
    "host", ["", EVERY_ADDRESS, "::", "192.168.1.5", "example.org", "localhost.example.org", "1"]
)
def test_it_may_not_be_open_anywhere_else(host: str) -> None:
    """An open service on an address that others reach is refused, the default address included."""
    with pytest.raises(SettingsError, match="loopback"):
        ServiceSettings.from_env({**REDIS, "TIDINGS_AUTH": "open", "HOST": host})


def test_problems_of_the_log_and_of_the_service_are_said_together() -> None:
    """One start shows all that is wrong."""
    with pytest.raises(SettingsError) as caught:
        ServiceSettings.from_env({"PORT": "70000", "TIDINGS_AUTH": "none", "TIDINGS_LOG_EVENTS": "x"})
    starts = [problem.partition("=")[0].partition(" ")[0] for problem in caught.value.problems]
    assert sorted(starts) == ["PORT", "REDIS_URL", "TIDINGS_AUTH", "TIDINGS_LOG_EVENTS"]


@pytest.mark.parametrize("drain_s", ["0", "12.5", "60"])
def test_a_drain_must_leave_time_before_gunicorn_kills(drain_s: str) -> None:
    """A drain that would outlast gunicorn's graceful_timeout is refused when the process starts."""
    with pytest.raises(SettingsError, match="TIDINGS_DRAIN_S"):
        ServiceSettings.from_env({**CLOSED, "TIDINGS_DRAIN_S": drain_s})
    assert ServiceSettings.from_env({**CLOSED, "TIDINGS_DRAIN_S": "12"}).drain_s == 12


@pytest.mark.parametrize("secret", ["", "password", f"new:{SECRET},old:short"])
def test_a_closed_service_needs_a_secret(secret: str) -> None:
    """Without one that is long enough it does not start, and what it was given is not shown."""
    with pytest.raises(SettingsError) as caught:
        ServiceSettings.from_env({**REDIS, "TIDINGS_SECRET_KEY": secret})
    (problem,) = caught.value.problems
    assert problem.startswith("TIDINGS_SECRET_KEY")
    assert "at least 32 bytes" in problem
    assert not secret or secret not in problem
    assert SECRET not in problem


def test_an_open_service_needs_no_secret() -> None:
    """There is nothing to verify; nor is any shown of one that was set."""
    settings = ServiceSettings.from_env({**CLOSED, "TIDINGS_AUTH": "open", "HOST": "127.0.0.1"})
    assert SECRET not in repr(settings)
    assert ServiceSettings.from_env({**REDIS, "TIDINGS_AUTH": "open", "HOST": "127.0.0.1"}).auth == "open"


def test_a_token_may_not_outlive_what_is_known_of_its_revocation() -> None:
    """Revocations are kept for 7 days."""
    assert ServiceSettings.from_env({**CLOSED, "TIDINGS_MAX_TOKEN_S": "604800"}).max_token_s == 604_800
    with pytest.raises(SettingsError, match="TIDINGS_MAX_TOKEN_S"):
        ServiceSettings.from_env({**CLOSED, "TIDINGS_MAX_TOKEN_S": "604801"})


def test_lists_are_read_when_the_process_starts() -> None:
    """An origin or a proxy that is none is said with all else that is wrong."""
    wrong = {"TIDINGS_ALLOWED_ORIGINS": "*", "TIDINGS_TRUSTED_PROXIES": "the-proxy"}
    with pytest.raises(SettingsError) as caught:
        ServiceSettings.from_env({**CLOSED, **wrong})
    assert [problem.partition(" ")[0] for problem in caught.value.problems] == list(wrong)
    right = {"TIDINGS_ALLOWED_ORIGINS": "https://a.example", "TIDINGS_TRUSTED_PROXIES": "10.0.0.0/8"}
    settings = ServiceSettings.from_env({**CLOSED, **right})
    assert list(settings.origins) == ["https://a.example"]
    assert list(settings.proxies) == ["10.0.0.0/8"]
