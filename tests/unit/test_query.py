"""Queries: what a URL and its headers ask for, and which parameter a refusal names."""

from collections.abc import Callable
from urllib.parse import urlencode

import pytest
from werkzeug.datastructures import MultiDict

from tidings.cursor import Cursor
from tidings.errors import InvalidValue
from tidings.replay import History
from tidings.topics import Filter
from webapp.opening import Past
from webapp.query import read_cursor, read_filter, read_limit, read_stream


def args(*pairs: tuple[str, str]) -> MultiDict[str, str]:
    """Make a query."""
    return MultiDict(pairs)


def past(*pairs: tuple[str, str], header: str = "") -> Past:
    """Read the past of a stream from its query and the header that a browser sends when it comes back."""
    return read_stream("", urlencode(pairs).encode(), header, 9).past


def test_words_come_by_commas_and_by_repetition() -> None:
    """Both spellings, and both at once, mean the same."""
    wanted = read_filter(
        args(
            ("topics", "operations:a,workflows:b"),
            ("topics", "agents:*"),
            ("types", "progress"),
            ("types", "error"),
        ),
        (),
        9,
    )
    assert wanted == Filter.of(["operations:a", "workflows:b", "agents:*"], ["progress", "error"])


def test_nothing_asked_for_is_everything() -> None:
    """A bare URL is the global stream with the latest state."""
    assert read_filter(args(), (), 9) == Filter()
    assert past() == Past("", History.LATEST)
    assert read_limit(args(), 100) == 100
    assert read_cursor(args(), "after") is None


def test_the_paths_topic_wins_over_the_querys() -> None:
    """An operation's own stream is that operation's."""
    wanted = read_filter(args(("topics", "operations:b"), ("kinds", "batch")), ["operations:a"], 9)
    assert wanted == Filter.of(["operations:a"], [], ["batch"])


WRONG: dict[str, tuple[tuple[str, str], str]] = {
    "an unknown topic form": (("topics", "jobs:a"), "operations:<id>"),
    "a star": (("topics", "*"), "operations:<id>"),
    "a topic without id": (("topics", "operations:"), "operations:<id>"),
    "an empty topic": (("topics", ""), "without empty words"),
    "an empty topic among others": (("topics", "operations:a,,agents:b"), "without empty words"),
    "too many topics": (("topics", ",".join(f"operations:{n}" for n in range(4))), "at most 3"),
    "an unknown type": (("types", "progress,gossip"), "progress, status, warning, error, complete"),
    "a type of the stream": (("types", "heartbeat"), "progress, status, warning, error, complete"),
    "a type in capitals": (("types", "Progress"), "progress, status, warning, error, complete"),
    "an empty type": (("types", "progress,"), "without empty words"),
    "a kind that is no name": (("kinds", "a b"), "1 to 128"),
    "an empty kind": (("kinds", ""), "without empty words"),
}


@pytest.mark.parametrize(("pair", "allowed"), WRONG.values(), ids=WRONG)
def test_a_wrong_filter_names_its_parameter_and_what_is_allowed(pair: tuple[str, str], allowed: str) -> None:
    """Whoever wrote the URL can correct it."""
    with pytest.raises(InvalidValue) as caught:
        read_filter(args(pair), (), 3)
    assert caught.value.field == pair[0]
    assert allowed in caught.value.allowed


@pytest.mark.parametrize("history", list(History))
def test_a_history_is_one_of_three(history: History) -> None:
    """Each is taken by its name, and another names them."""
    assert past(("history", history.value)).history is history
    with pytest.raises(InvalidValue, match="none, latest, all") as caught:
        past(("history", history.value.upper()))
    assert caught.value.field == "history"


def test_the_header_wins_over_the_url() -> None:
    """A browser that comes back knows better than the URL that it was once given."""
    in_url = ("last_event_id", "evt_1-1")
    assert past(in_url, header="evt_2-2").cursor == Cursor(2, 2)
    assert past(in_url).cursor == Cursor(1, 1)


@pytest.mark.parametrize("value", ["nonsense", "17", "evt_1", "evt_01-1", "é"])
def test_a_malformed_id_is_refused_in_the_url_and_taken_from_the_header(value: str) -> None:
    """A browser that got an error would never come back, so it gets a reset instead."""
    with pytest.raises(InvalidValue) as caught:
        past(("last_event_id", value))
    assert caught.value.field == "last_event_id"
    malformed = past(header=value)
    assert (malformed.requested, malformed.cursor) == (value, None)


@pytest.mark.parametrize("value", ["0", "1001", "-1", "1.5", "ten", "\uff11", "1" * 5_000, " 1", "99999"])
def test_a_limit_is_a_number_in_its_range(value: str) -> None:
    """Anything else is refused by name."""
    with pytest.raises(InvalidValue, match=r"^limit must be a number from 1 to 1000"):
        read_limit(args(("limit", value)), 100)


@pytest.mark.parametrize("value", ["1", "1000"])
def test_a_limit_in_its_range_is_taken(value: str) -> None:
    """Both ends are in it."""
    assert read_limit(args(("limit", value)), 100) == int(value)


def test_a_cursor_is_refused_by_its_parameters_name() -> None:
    """The same spelling under another name."""
    assert read_cursor(args(("after", "evt_5-6")), "after") == Cursor(5, 6)
    with pytest.raises(InvalidValue) as caught:
        read_cursor(args(("after", "5-6")), "after")
    assert caught.value.field == "after"


@pytest.mark.parametrize(
    "read",
    [
        lambda text: read_filter(args(("topics", text)), (), 9),
        lambda text: read_filter(args(("kinds", text)), (), 9),
        lambda text: past(("history", text)),
        lambda text: past(("last_event_id", text)),
        lambda text: read_limit(args(("limit", text)), 1),
    ],
)
def test_a_refusal_is_short_whatever_was_sent(read: Callable[[str], object]) -> None:
    """An error does not send a megabyte back."""
    with pytest.raises(InvalidValue) as caught:
        read("\0é" * 500_000)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    ("topic", "until"), [("operations:a", "a"), ("agents:a", ""), ("workflows:a", ""), ("", "")]
)
def test_a_stream_ends_with_the_operation_that_its_path_names(topic: str, until: str) -> None:
    """Any other goes on."""
    asked = read_stream(topic, b"topics=operations:b", "", 9)
    assert asked.until == until
    assert asked.wanted == Filter.of([topic or "operations:b"])
