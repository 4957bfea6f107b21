"""`tidings token`: what it signs the service takes, and what is wrong with a token it says."""

import io
import sys
from typing import Any

import pytest

from tests.cli import CommandLine
from tests.forged_tokens import FORGED, HOUR_S, KID, OTHER, SECRET
from tidings.claims import Claims
from tidings.cli.exits import Exit
from tidings.tokens import Keys

KEYS = Keys.parse(f"{KID}:{SECRET}")


@pytest.fixture
def tidings(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line with the service's secrets, of which the first signs."""
    environ = {"TIDINGS_SECRET_KEY": f"{KID}:{SECRET},old:{OTHER}", "TIDINGS_MAX_TOKEN_S": str(HOUR_S)}
    return CommandLine(environ, monkeypatch, capsys)


def read(token: str) -> Claims:
    """Read a token as the service does."""
    return KEYS.verify(token, max_lifetime_s=HOUR_S)


def test_what_it_signs_is_what_was_asked_for(tidings: CommandLine) -> None:
    """One line, which the first of the secrets verifies."""
    asked = "--for 900 --topic agents:* --topic operations:a --start batch --cancel *"
    said = tidings("token", "sign", "ann", *asked.split())
    assert (said.exit, said.err) == (Exit.OK, "")
    (token,) = said.out.splitlines()
    claims = read(token)
    assert (claims.sub, claims.topics, claims.start, claims.cancel) == (
        "ann", ("agents:*", "operations:a"), ("batch",), ("*",),
    )  # fmt: skip
    assert claims.exp - claims.iat == 900
    (as_json,) = tidings("token", "sign", "ann", "--json").json
    assert read(str(as_json["token"])).jti == as_json["claims"]["jti"]  # type: ignore[index]
    assert read(str(as_json["token"])).topics == ()


def test_what_a_token_says_is_shown(tidings: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of one that is given, of the environment's, and of one that is piped in."""
    token = KEYS.sign("ann", 600, topics=["operations:a", "agents:*"], token_id="t1")  # noqa: S106 - its name
    lines = [line.split(maxsplit=1) for line in tidings("token", "show", token).out.splitlines()]
    assert [name for name, _ in lines] == ["subject", "until", "topics", "id"]
    said = dict(lines)
    assert (said["subject"], said["topics"], said["id"]) == ("ann", "operations:a agents:*", "t1")
    assert said["until"].endswith((", in 10 min 0 s", " min 59 s", " min 58 s"))
    monkeypatch.setattr(sys, "stdin", io.StringIO(f"{token}\n"))
    assert tidings("token", "show", "-", "--json").json[0]["jti"] == "t1"
    monkeypatch.setenv("TIDINGS_TOKEN", token)
    assert tidings("token", "show", "--json").json[0]["sub"] == "ann"


@pytest.mark.parametrize("how", FORGED)
def test_a_token_that_is_not_good_is_not_shown(tidings: CommandLine, how: str) -> None:
    """In one line, with what is wrong with it."""
    said = tidings("token", "show", FORGED[how]() or "x")
    assert (said.exit, said.out) == (Exit.FAILED, "")
    assert said.err.startswith("tidings: the token is not good: ")


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["sign", "ann", "--for", str(HOUR_S + 1)], "TIDINGS_MAX_TOKEN_S"),
        (["sign", "ann", "--for", "0"], "--for"),
        (["sign", "ann", "--topic", "operation:a"], "topics"),
        (["sign", "ann", "--start", "a b"], "start"),
        (["sign", ""], "sub"),
        (["revoke"], "--id --subject"),
        (["revoke", "--id", ""], "--id"),
        (["revoke", "--id", "a", "--subject", "b"], "not allowed"),
        (["revoke", "--id", "a"], "REDIS_URL"),
    ],
    ids=str,
)
def test_what_cannot_be_signed_or_revoked_is_named(
    tidings: CommandLine, monkeypatch: pytest.MonkeyPatch, arguments: list[str], names: str
) -> None:
    """As wrong usage."""
    monkeypatch.delenv("REDIS_URL", raising=False)
    said = tidings("token", *arguments)
    assert (said.exit, said.out) == (Exit.USAGE, "")
    assert names in said.err


@pytest.mark.parametrize("secret", ["", "short", f"a:{SECRET},a:{SECRET}"])
def test_without_a_secret_nothing_is_signed(
    tidings: CommandLine, monkeypatch: pytest.MonkeyPatch, secret: str
) -> None:
    """It is named, and never shown."""
    monkeypatch.setenv("TIDINGS_SECRET_KEY", secret)
    said = tidings("token", "sign", "ann")
    assert said.exit == Exit.USAGE
    assert "TIDINGS_SECRET_KEY" in said.err
    assert not secret or secret not in said.err


def test_without_the_extra_it_says_which(tidings: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line; every other command does without."""
    missing: Any = None
    monkeypatch.setitem(sys.modules, "jwt", missing)
    said = tidings("token", "sign", "ann")
    assert (said.exit, said.err) == (
        Exit.FAILED,
        "tidings: tokens need PyJWT: pip install 'tidings[token]'\n",
    )
