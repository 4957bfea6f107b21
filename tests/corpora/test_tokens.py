"""Tokens: one that anything is wrong with is refused, whatever it is and however it comes."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.corpus import corpus, many, tried
from tests.forged_tokens import HOUR_S, KID, SECRET, claims, good, signed
from tidings.claims import Claims
from tidings.errors import InvalidToken
from tidings.tokens import Keys
from tidings.topics import owner_topic
from webapp.access import Access
from webapp.auth import Carried

TOKENS = corpus("tokens")
KEYS = Keys.parse(f"{KID}:{SECRET}")
AUTHORIZATIONS = {
    "Bearer": ("Bearer {}", True),
    "bearer": ("bearer {}", True),
    "BEARER": ("BEARER {}", True),
    "two spaces": ("Bearer  {}", True),
    "no space": ("Bearer{}", False),
    "a tab": ("Bearer\t{}", False),
    "a space behind": ("Bearer {} ", False),
    "nothing before": ("{}", False),
    "another scheme": ("Basic {}", False),
    "two of them": ("Bearer {0}, Bearer {0}", False),
    "two of them by a space": ("Bearer {0} {0}", False),
    "a parameter": ('Bearer token="{}"', False),
    "a line feed": ("Bearer {}\n", False),
    "NUL": ("Bearer {}\0", False),
    "a full-width letter": ("\uff22earer {}", False),
    "nothing behind": ("Bearer ", False),
}


def read(token: str) -> Claims | None:
    """Read a token as the service does: what comes of it is claims that hold, or one refusal."""
    tried["tokens"] += 1
    try:
        said = KEYS.verify(token, max_lifetime_s=24 * HOUR_S)
    except InvalidToken as error:
        refusal = error
    else:
        access = Access.of(said)
        assert said.iss == "tidings"
        assert access.own == owner_topic(said.sub) != ""
        assert not access.operates or said.operator is True
        assert said.sub.encode()
        return said
    assert str(refusal) == "the token is not valid"
    return None


@pytest.mark.parametrize("name", TOKENS)
def test_a_token_that_says_what_it_must_not_is_refused(name: str) -> None:
    """Signed as it should be, with one claim, or one word of its header, that is wrong."""
    case = TOKENS[name]
    text = json.dumps(claims(**case.get("claims", {})))
    for word, instead in case.get("raw", {}).items():
        text = text.replace(json.dumps(word), instead)
    assert read(signed(text, **case.get("header", {}))) is None


@pytest.mark.parametrize("name", AUTHORIZATIONS)
def test_a_header_carries_one_token_behind_one_word(name: str) -> None:
    """In any case of its letters; whatever else stands there is no token."""
    spelling, is_one = AUTHORIZATIONS[name]
    token = good()
    shown = Carried(spelling.format(token)).bearer
    assert (shown == token) == is_one
    assert is_one or read(shown or "") is None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
CLAIMS = ("iss", "aud", "sub", "exp", "nbf", "iat", "jti", "topics", "start", "cancel", "operator", "admin")


@many()
@given(st.dictionaries(st.sampled_from(CLAIMS), anything, max_size=3))
def test_any_claims_are_read_as_they_are_or_refused(changes: dict[str, Any]) -> None:
    """A signer's mistakes are no rights, and no error of ours."""
    said = read(signed(claims(**changes)))
    if said is not None:
        for claim, value in changes.items():
            held = getattr(said, claim, value)
            assert (list(held) if isinstance(held, tuple) else held) == value


@many()
@given(
    st.dictionaries(st.sampled_from(("alg", "typ", "kid", "crit", "jku", "jwk", "b64")), anything, min_size=1)
)
def test_any_header_but_ours_is_refused(header: dict[str, Any]) -> None:
    """It says which key, and nothing else that it could choose."""
    assert (
        read(signed(claims(), **header)) is None
        or header.items() <= {"alg": "HS256", "typ": "JWT", "kid": KID}.items()
    )


@many()
@given(st.lists(st.tuples(st.integers(0, 400), st.text(max_size=3)), min_size=1, max_size=3))
def test_any_change_of_its_text_is_refused(changes: list[tuple[int, str]]) -> None:
    """There is one spelling of a token."""
    token = changed = good()
    for at, text in changes:
        changed = changed[:at] + text + changed[at + len(text) :]
    assert (read(changed) is not None) == (changed == token)


@many()
@given(st.text(max_size=300) | st.from_regex(r"[\w-]{0,20}\.[\w-]{0,40}\.[\w-]{0,43}", fullmatch=True))
def test_any_text_is_refused(text: str) -> None:
    """And so is what looks like a token."""
    assert read(text) is None
    assert read(Carried(text).bearer or "") is None
