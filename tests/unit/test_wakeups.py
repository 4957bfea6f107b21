"""What reporters publish is told from what others do, however the bytes are cut."""

from itertools import pairwise

import pytest

from webapp.wakeups import Ours

CHANNEL = "{tidings}:live"
PONG = b"*2\r\n$4\r\npong\r\n$0\r\n\r\n"


def message(payload: bytes, channel: bytes = CHANNEL.encode()) -> bytes:
    """Write a message as Redis sends it."""
    head = b"*3\r\n$7\r\nmessage\r\n$%d\r\n%b\r\n" % (len(channel), channel)
    return head + b"$%d\r\n%b\r\n" % (len(payload), payload)


def foreign(*pieces: bytes) -> int:
    """Hear *pieces*; say how often something foreign began."""
    found: list[int] = []
    ours = Ours(CHANNEL, lambda: found.append(1))
    for piece in pieces:
        ours.hear(piece)
    return len(found)


OURS = message(b"1763802600123456-17")
SAID = OURS * 3 + PONG + message(b"1-0")
NOISE = {
    "a word": message(b"hello"),
    "nothing": message(b""),
    "an old envelope": message(b'{"v":0,"epoch":"x","seq":-1}'),
    "an id with more": message(b"1-1 1-2"),
    "a line feed": message(b"1-1\n"),
    "bytes": message(bytes(range(256))),
    "another channel's": message(b"1-1", b"{tidings}:else"),
    "a frame in a frame": message(OURS),
    "half a message": OURS[:-9] + OURS,
}


def test_what_reporters_say_is_ours() -> None:
    """Many at once, pongs between them, one after another."""
    assert foreign(SAID, OURS, PONG, OURS) == 0


def test_what_reporters_say_is_ours_wherever_it_is_cut() -> None:
    """In two at each place, and byte by byte."""
    for cut in range(len(SAID)):
        assert foreign(SAID[:cut], SAID[cut:]) == 0, cut
    assert foreign(*(SAID[first:end] for first, end in pairwise(range(len(SAID) + 1)))) == 0


@pytest.mark.parametrize("noise", NOISE.values(), ids=NOISE)
def test_what_others_say_is_counted(noise: bytes) -> None:
    """Alone, behind ours, before ours; each time that it begins anew."""
    assert foreign(noise) == 1
    assert foreign(OURS + noise, OURS) == 1
    assert foreign(noise, OURS, noise, OURS) == 2


def test_a_huge_message_counts_once_and_is_not_kept() -> None:
    """However many pieces it comes in."""
    whole = message(b"x" * 1_000_000)
    ours_again = Ours(CHANNEL, lambda: None)
    pieces = [whole[first : first + 65_536] for first in range(0, len(whole), 65_536)]
    assert foreign(*pieces, OURS) == 1
    for piece in pieces:
        ours_again.hear(piece)
        assert len(ours_again._rest) < 200  # noqa: SLF001 - no other way to see
