"""The hosts that a browser session may visit."""

import pytest

from tasks.hosts import AllowedHosts
from tasks.settings import TaskSettings
from tidings.errors import SettingsError

HOSTS = AllowedHosts.of(["127.0.0.1:8000", "example.org"])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:8000/a?b=c", "http://example.org/", "https://example.org", "wss://EXAMPLE.org/live",
        "about:blank", "data:text/html,hello", "blob:http://example.org/1",
    ],
)  # fmt: skip
def test_what_is_named_is_allowed(url: str) -> None:
    """With its port; a host alone has the two usual ones."""
    assert HOSTS.allows(url)


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:6379/", "http://127.0.0.1/", "http://127.1:8000/", "http://example.org:8080/",
        "http://sub.example.org/", "http://example.org.evil.example/", "http://example.org@evil.example/",
        "http://evil.example#example.org", "file:///etc/passwd", "chrome://settings", "javascript:alert(1)",
        "view-source:http://example.org/", "ftp://example.org/", "http://example.org:99999/", "http://[::1",
        "", "/",
    ],
)  # fmt: skip
def test_anything_else_is_not(url: str) -> None:
    """Not by another port, a longer name, a user that looks like a host, or another scheme."""
    assert not HOSTS.allows(url)


def test_a_path_belongs_to_the_first_host() -> None:
    """So that a script need not know where the service is."""
    assert HOSTS.whole("/a") == "http://127.0.0.1:8000/a"
    assert HOSTS.whole("https://example.org/a") == "https://example.org/a"


def test_chromium_is_told_to_resolve_nothing_else() -> None:
    """Whatever a page comes upon."""
    assert HOSTS.resolver_rules == "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE example.org"


def test_this_service_is_allowed_unless_others_are_named() -> None:
    """At its port."""
    assert TaskSettings.from_env({"PORT": "9000"}).allowed_hosts.allows("http://localhost:9000/")
    named = TaskSettings.from_env({"PORT": "9000", "TIDINGS_BROWSER_HOSTS": " example.org , b:81"})
    assert not named.allowed_hosts.allows("http://localhost:9000/")
    assert named.allowed_hosts.allows("http://b:81/")


@pytest.mark.parametrize("hosts", ["http://example.org", "a/b", "a:b", "user@host", "a:99999", "a b"])
def test_hosts_that_are_none_are_refused_at_the_start(hosts: str) -> None:
    """By the variable's name."""
    with pytest.raises(SettingsError, match="TIDINGS_BROWSER_HOSTS"):
        TaskSettings.from_env({"TIDINGS_BROWSER_HOSTS": hosts})
