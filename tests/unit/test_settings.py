"""The library's settings: every problem at once, defaults where nothing is said, no secret in a message."""

import pytest

from tidings.errors import SettingsError
from tidings.settings import Settings

URL = "redis://:s3cret@localhost:6379/0"


def test_only_the_address_of_redis_is_required() -> None:
    """Everything else has a default; an empty variable is one that is not set."""
    assert Settings.from_env({"REDIS_URL": URL}) == Settings(redis_url=URL)
    assert Settings.from_env({"REDIS_URL": URL, "TIDINGS_NAMESPACE": "", "UNRELATED": "x"}) == Settings(
        redis_url=URL
    )
    assert Settings(redis_url=URL).reports_per_s == 10
    assert Settings(redis_url=URL).strict is False


def test_every_variable_is_read_as_its_type() -> None:
    """Words of the environment become typed values."""
    settings = Settings.from_env(
        {
            "REDIS_URL": "unix:///run/redis.sock",
            "TIDINGS_NAMESPACE": "mine",
            "TIDINGS_LOG_EVENTS": "5",
            "TIDINGS_REPORTS_PER_S": "0.5",
            "TIDINGS_STRICT": "1",
        }
    )
    assert settings == Settings(
        redis_url="unix:///run/redis.sock", namespace="mine", log_events=5, reports_per_s=0.5, strict=True
    )


def test_every_problem_is_said_at_once_by_its_variable() -> None:
    """Whoever starts the process corrects all of it in one go."""
    wrong = {
        "TIDINGS_NAMESPACE": "a b",
        "TIDINGS_LOG_EVENTS": "0",
        "TIDINGS_TOPIC_EVENTS": "many",
        "TIDINGS_REPORTS_PER_S": "-1",
        "TIDINGS_RUNNING_TTL_S": "1.5",
        "TIDINGS_STRICT": "perhaps",
    }
    with pytest.raises(SettingsError) as caught:
        Settings.from_env(wrong)
    problems = caught.value.problems
    assert len(problems) == len(wrong) + 1
    assert all(
        any(problem.startswith(variable) for problem in problems) for variable in ["REDIS_URL", *wrong]
    )
    assert all(problem in str(caught.value) for problem in problems)


@pytest.mark.parametrize("value", ["http://:s3cret@x", "redis://", "s3cret"])
def test_a_secret_is_not_shown(value: str) -> None:
    """An address with a password is named, never quoted."""
    with pytest.raises(SettingsError) as caught:
        Settings.from_env({"REDIS_URL": value})
    assert "REDIS_URL" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_settings_can_be_logged() -> None:
    """A password is not in what is printed of the settings either."""
    assert "s3cret" not in repr(Settings(redis_url=URL))


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "0", "1e999"])
def test_a_rate_is_a_positive_finite_number(value: str) -> None:
    """What cannot pace anything is refused."""
    with pytest.raises(SettingsError, match="TIDINGS_REPORTS_PER_S"):
        Settings.from_env({"REDIS_URL": URL, "TIDINGS_REPORTS_PER_S": value})


def test_a_namespace_cannot_leave_its_hash_tag() -> None:
    """Braces would send its keys to other slots of a cluster."""
    for namespace in ("a}b", "{a}", "a:b", "x" * 65):
        with pytest.raises(SettingsError, match="TIDINGS_NAMESPACE"):
            Settings.from_env({"REDIS_URL": URL, "TIDINGS_NAMESPACE": namespace})


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://h:1/0", "redis://h:1/0"),
        ("rediss://h:1/0", "rediss://h:1/0?ssl_cert_reqs=required"),
        ("unix:///a.sock", "redis+socket:///a.sock"),
    ],
)
def test_the_broker_is_the_same_redis_as_kombu_spells_it(url: str, broker: str) -> None:
    """Only a unix socket is spelled differently."""
    assert Settings(redis_url=url).address.broker_url == broker
