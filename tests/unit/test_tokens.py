"""Signed tokens: what the service takes, and all that it does not."""

import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.forged_tokens import FORGED, HOUR_S, KID, OTHER, SECRET, claims, good, signed
from tidings.claims import Claims
from tidings.errors import InvalidToken, InvalidValue
from tidings.tokens import MAX_BYTES, Keys

KEYS = Keys.parse(f"{KID}:{SECRET}")
DAY_S = 24 * HOUR_S


def verify(token: str, keys: Keys = KEYS) -> Claims:
    """Read *token* as the service would."""
    return keys.verify(token, max_lifetime_s=DAY_S)


def test_what_was_signed_is_read() -> None:
    """A token carries who somebody is and what they may, and has an id and an end."""
    token = KEYS.sign("ann", HOUR_S, topics=["operations:a", "agents:*"], start=["batch"], cancel=["*"])
    said = verify(token)
    assert (said.sub, said.topics, said.start, said.cancel) == (
        "ann", ("operations:a", "agents:*"), ("batch",), ("*",),
    )  # fmt: skip
    assert said.exp - said.iat == HOUR_S
    assert said.jti != verify(KEYS.sign("ann", HOUR_S)).jti


def test_a_token_that_others_made_is_read() -> None:
    """Another library's token is good: what is ours may be missing, what is not is passed over."""
    assert verify(good()).topics == ("*",)
    assert verify(signed(claims(topics=..., name="Ann", roles={"a": [1]}), typ=...)).topics == ()
    assert verify(signed(claims(aud=["billing", "tidings"]))).sub == "mallory"
    assert verify(signed(claims(nbf=int(time.time()) + 5, iat=int(time.time()) + 5))).sub == "mallory"


@pytest.mark.parametrize("how", FORGED)
def test_a_token_with_anything_wrong_is_refused(how: str) -> None:
    """It is refused, in the same words whatever it was; and nothing else is raised."""
    with pytest.raises(InvalidToken) as caught:
        verify(FORGED[how]())
    assert str(caught.value) == "the token is not valid"


def test_a_token_with_nothing_wrong_is_no_forgery() -> None:
    """What the forged ones are made from is taken: none of them is refused for what they have in common."""
    assert verify(good())
    assert verify(signed(claims(padding="")))


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda data: data.decode("latin-1")))
def test_noise_is_refused(noise: str) -> None:
    """Whatever comes in, there is one refusal."""
    with pytest.raises(InvalidToken):
        verify(noise)


_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=8), children),
    max_leaves=12,
)


@given(st.sampled_from(["exp", "aud", "iss", "sub", "nbf", "iat", "jti", "topics", "start", "cancel"]), _json)
def test_a_claim_of_any_shape_is_read_or_refused(claim: str, value: Any) -> None:
    """A signer's mistake is no error of ours."""
    try:
        said = verify(signed(claims(**{claim: value})))
    except InvalidToken:
        return
    assert msgspec.json.decode(msgspec.json.encode(said), type=Claims) == said


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_token_with_one_bit_changed_is_refused(place: int, bit: int) -> None:
    """Every bit of it counts."""
    token = bytearray(good(), "ascii")
    token[place % len(token)] ^= 1 << bit
    with pytest.raises(InvalidToken):
        verify(token.decode("latin-1"))


def test_keys_are_changed_without_a_gap() -> None:
    """The first of several signs, all verify, and one that was taken out does not."""
    old, both = Keys.parse(f"old:{OTHER}"), Keys.parse(f"{KID}:{SECRET},old:{OTHER}")
    assert verify(old.sign("ann", HOUR_S), both).sub == "ann"
    assert verify(both.sign("ann", HOUR_S), KEYS).sub == "ann"
    with pytest.raises(InvalidToken):
        verify(old.sign("ann", HOUR_S))


def test_a_key_without_a_name_stands_alone() -> None:
    """A plain secret is one key; its tokens name none."""
    plain = Keys.parse(SECRET)
    assert verify(plain.sign("ann", HOUR_S), plain).sub == "ann"
    with pytest.raises(InvalidToken):
        verify(KEYS.sign("ann", HOUR_S), plain)


@pytest.mark.parametrize(
    "text", ["", "short", "x" * 31, "a:short", f"a:{SECRET},b:short", f"a:{SECRET},a:{OTHER}", f":{SECRET}",
             f"a b:{SECRET}", f"a:{SECRET},", f"a:{SECRET},{OTHER}"],
)  # fmt: skip
def test_a_secret_that_is_weak_or_misspelt_is_refused_and_not_shown(text: str) -> None:
    """Less than 32 bytes are no secret; what was given is in no message."""
    with pytest.raises(InvalidValue) as caught:
        Keys.parse(text)
    assert caught.value.field == "TIDINGS_SECRET_KEY"
    assert SECRET not in str(caught.value)


def test_a_secret_is_shown_nowhere() -> None:
    """Nor where keys are printed."""
    assert SECRET not in repr(KEYS)


@pytest.mark.parametrize(
    ("said", "claim"),
    [
        ({"topics": ["everything"]}, "topics"),
        ({"topics": "*"}, "topics"),
        ({"topics": [f"agents:{n}" for n in range(65)]}, "topics"),
        ({"start": ["batch", "a b"]}, "start"),
        ({"cancel": ["operations:a b"]}, "cancel"),
        ({"topics": [f"operations:{n:0128}" for n in range(60)]}, "token"),
    ],
)
def test_who_signs_is_told_what_is_wrong(said: dict[str, Any], claim: str) -> None:
    """A token that would be refused is not made."""
    with pytest.raises(InvalidValue) as caught:
        KEYS.sign("ann", HOUR_S, **said)
    assert caught.value.field == claim


def test_the_largest_token_fits_a_cookie() -> None:
    """What may be signed is taken."""
    token = KEYS.sign("x" * 128, HOUR_S, topics=[f"operations:{n:030}" for n in range(60)])
    assert 3_000 < len(token) <= MAX_BYTES
    assert verify(token).sub == "x" * 128


def test_a_token_is_for_one_service() -> None:
    """Issuer and audience are the service's own words, if it has any."""
    token = KEYS.sign("ann", HOUR_S, issuer="https://id.example.org", audience="progress")
    said = KEYS.verify(token, max_lifetime_s=DAY_S, issuer="https://id.example.org", audience="progress")
    assert said.sub == "ann"
    with pytest.raises(InvalidToken):
        verify(token)
