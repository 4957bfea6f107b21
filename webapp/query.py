"""What a request asks for, read out of its query and headers, checked.

Takes the words of a URL, gives a filter and a past. Pure but for werkzeug's own types.
"""

from collections.abc import Iterable
from typing import Final

from werkzeug.datastructures import Headers, MultiDict

from tidings.cursor import Cursor
from tidings.errors import InvalidValue
from tidings.events import TYPES
from tidings.replay import History
from tidings.topics import Filter
from webapp.opening import Past

MAX_LIMIT: Final = 1_000
Args = MultiDict[str, str]


def read_filter(args: Args, topics: Iterable[str], max_topics: int) -> Filter:
    """Read ``topics`` (unless the path gives them), ``types`` and ``kinds``; each repeatable, and by commas.

    Raises: InvalidValue naming the parameter.
    """
    chosen = list(topics) or read_words(args, "topics")
    if len(chosen) > max_topics:
        raise InvalidValue("topics", f"at most {max_topics}", f"{len(chosen)} topics")
    types = read_words(args, "types")
    for event_type in types:
        if event_type not in TYPES:
            raise InvalidValue("types", f"of {', '.join(TYPES)}", event_type)
    return Filter.of(chosen, types, read_words(args, "kinds"))


def read_past(args: Args, headers: Headers) -> Past:
    """Read ``history`` and ``last_event_id``; the header ``Last-Event-ID`` wins.

    A malformed id in the URL is its author's mistake and refused; in the header it is a
    browser's, which an error would silence for ever: that stream starts with a reset.
    Raises: InvalidValue naming the parameter.
    """
    history = _choice(args, "history", History, History.LATEST)
    in_url = args.get("last_event_id", "")
    if in_url:
        Cursor.parse(in_url)
    return Past(headers.get("Last-Event-ID", "") or in_url, history)


def read_limit(args: Args, default: int) -> int:
    """Read ``limit``. Raises: InvalidValue."""
    text = args.get("limit", "")
    if not text:
        return default
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:6]) <= MAX_LIMIT and len(text) <= 4):  # noqa: PLR2004
        raise InvalidValue("limit", f"a number from 1 to {MAX_LIMIT}", text)
    return int(text)


def read_cursor(args: Args, name: str) -> Cursor | None:
    """Read an event id, None where there is none. Raises: InvalidValue naming *name*."""
    text = args.get(name, "")
    if not text:
        return None
    try:
        return Cursor.parse(text)
    except InvalidValue as error:
        raise InvalidValue(name, error.allowed, text) from None


def read_words(args: Args, name: str) -> list[str]:
    """Read a parameter that may be repeated and may hold several words each time."""
    words = [word for value in args.getlist(name) for word in value.split(",")]
    if name in args and "" in words:
        raise InvalidValue(name, "a comma-separated list without empty words", ",".join(words))
    return words


def _choice(args: Args, name: str, choices: type[History], default: History) -> History:
    text = args.get(name, "")
    try:
        return choices(text) if text else default
    except ValueError:
        raise InvalidValue(name, f"one of {', '.join(choices)}", text) from None
