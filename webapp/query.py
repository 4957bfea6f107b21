"""What a request asks for, read out of its query and headers, checked.

Takes the words of a URL, gives what stream is asked for. Pure but for werkzeug's own types.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from werkzeug.datastructures import Headers, MultiDict
from werkzeug.sansio.request import Request

from tidings.cursor import Cursor
from tidings.errors import InvalidValue
from tidings.events import TYPES
from tidings.replay import History
from tidings.topics import Filter
from webapp.opening import Past

MAX_LIMIT: Final = 1_000
TICKET: Final = "ticket"
CREDENTIALS: Final = frozenset({"token", "access_token", "id_token", "jwt", "bearer", "authorization"})
"""Parameters by which others take a token: a URL is written into logs, histories and Referers."""
_TOKEN: Final = re.compile(r"eyJ[\w-]*\.[\w-]*\.[\w-]*=*", re.ASCII)
Args = MultiDict[str, str]


@dataclass(frozen=True, slots=True)
class Asked:
    """A stream that is asked for; ``topic`` is the one that its path names, empty for ``/stream``.

    ``shows``: its URL has what should show who asks, or looks as if.
    """

    wanted: Filter
    past: Past
    topic: str = ""
    shows: bool = False

    @property
    def until(self) -> str:
        """The operation with which the stream ends, if it is one operation's own."""
        family, _, name = self.topic.partition(":")
        return name if family == "operations" else ""


def read_stream(topic: str, query: bytes, requested: str, max_topics: int) -> Asked:
    """Read what stream is asked for; *requested* is the header ``Last-Event-ID``, which wins.

    A malformed id in the URL is its author's mistake and refused; in the header it is a
    browser's, which an error would silence for ever: that stream starts with a reset.
    Raises: InvalidValue naming the parameter.
    """
    wanted, history, in_url, shows = _read_query(topic, query, max_topics)
    return Asked(wanted, Past(requested or in_url, history), topic, shows)


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


def misplaced_in(args: Args, *, may_show_a_ticket: bool) -> str:
    """Name the first parameter that has no business in a URL: a token, or one ticket too many."""
    for name, value in args.items(multi=True):
        if name.lower() in CREDENTIALS or _TOKEN.fullmatch(value.strip()):
            return name
    return "" if len(args.getlist(TICKET)) <= may_show_a_ticket else TICKET


@lru_cache(maxsize=256)  # those who come together mostly ask for the same; a query has at most 4 KB
def _read_query(topic: str, query: bytes, max_topics: int) -> tuple[Filter, History, str, bool]:
    args = Request("GET", "http", None, "", "", query, Headers(), None).args
    wanted = read_filter(args, (topic,) if topic else (), max_topics)
    history = _choice(args, "history", History, History.LATEST)
    in_url = args.get("last_event_id", "")
    if in_url:
        Cursor.parse(in_url)
    return wanted, history, in_url, bool(misplaced_in(args, may_show_a_ticket=False))


def _choice(args: Args, name: str, choices: type[History], default: History) -> History:
    text = args.get(name, "")
    try:
        return choices(text) if text else default
    except ValueError:
        raise InvalidValue(name, f"one of {', '.join(choices)}", text) from None
