"""Secrets are taken out of what is told."""

import pytest

from tasks.masking import Mask, Trickle, secrets_in

ENVIRON = {
    "OPENAI_API_KEY": "canary-key",
    "DB_PASSWORD": "canary-key-longer",
    "A_TOKEN": "1",
    "HOME": "/home/me",
}


def test_the_longest_secret_is_hidden_first() -> None:
    """Or the rest of it would be shown; what is short or no secret stays."""
    mask = Mask(secrets_in(ENVIRON))
    assert mask.text("canary-key-longer, canary-key 1 /home/me") == "***, *** 1 /home/me"


@pytest.mark.parametrize("key", ["sk-abcdefghijkl1234", "ghp_abcdefghijkl1234", "AKIAABCDEFGHIJKL1234"])
def test_what_is_shaped_like_a_key_is_hidden(key: str) -> None:
    """Whoever wrote it."""
    assert Mask(()).text(f"use {key}, please") == "use ***, please"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_a_secret_is_hidden_however_it_is_cut(size: int) -> None:
    """The text comes out whole, and never with a part of it."""
    text = "It is canary-key, and sk-abcdefghijkl1234 too.\nYes"
    trickle, out = Trickle(Mask(("canary-key",))), []
    for start in range(0, len(text), size):
        trickle.add(text[start : start + size])
        out.append(trickle.take())
    out.append(trickle.take(is_over=True))
    assert "".join(out) == "It is ***, and *** too.\nYes"
