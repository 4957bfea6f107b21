"""What can be written behind ``tidings``: commands and flags, as `argparse` takes them.

Pure: the defaults are given. docs/cli.md has each of them; a test compares.
"""

import argparse
import re
from typing import Any, Final

from msgspec import DecodeError, json

from tidings.cli.client_settings import ClientSettings
from tidings.cli.words import count

ENDINGS: Final = (
    "Exit status: 0 succeeded, done; 1 failed, refused; 2 wrong usage; 3 cancelled; "
    "4 service or Redis cannot be reached; 5 no such operation."
)
DEFAULT_LIMIT: Final = 100
TOKEN_S: Final = 3_600
"""How long a token is good that was signed by hand: for a look around, and not for a day."""
GIVE_UP_S: Final = 600.0
"""How long `watch` tries to come back: longer than a deploy, or a person's patience."""


def parser(defaults: ClientSettings) -> argparse.ArgumentParser:
    """Make the parser of the whole command line."""
    top = argparse.ArgumentParser("tidings", description="Progress of operations.", epilog=ENDINGS)
    top.add_argument("--version", action="store_true", help="print the version and end")
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    _add_watch(commands, defaults)
    _add_list(commands, defaults)
    _add_show(commands, defaults)
    _add_cancel(commands, defaults)
    _add_token(commands, defaults)
    _add_publish(commands)
    _add_doctor(commands, defaults)
    return top


def _command(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text, epilog=ENDINGS)
    made.add_argument("--json", action="store_true", dest="as_json", help="print JSON, a value a line")
    return made


def _asks(made: argparse.ArgumentParser, defaults: ClientSettings) -> None:
    made.add_argument("--url", default=defaults.url, help="where the service is (TIDINGS_URL)")
    made.add_argument("--token", default=defaults.token, help="who asks (TIDINGS_TOKEN)")


def _add_watch(commands: Any, defaults: ClientSettings) -> None:
    made = _command(commands, "watch", "show operations as they move, until they are over")
    made.add_argument("ids", nargs="*", metavar="ID", help="operations; none: all that run now")
    made.add_argument("--follow", action="store_true", help="also what begins later, for ever")
    made.add_argument("--plain", action="store_true", help="a line for each event, also in a terminal")
    made.add_argument(
        "--give-up",
        type=_positive,
        default=GIVE_UP_S,
        metavar="SECONDS",
        help="without the service for so long",
    )
    made.add_argument(
        "--heartbeat", type=_positive, default=defaults.heartbeat_s, metavar="SECONDS",
        help="of the service (TIDINGS_HEARTBEAT_S): silent for 2.5 of them, a stream is opened anew",
    )  # fmt: skip
    _asks(made, defaults)


def _add_list(commands: Any, defaults: ClientSettings) -> None:
    made = _command(commands, "list", "list operations, the open ones first")
    made.add_argument("--status", default="", help="only these, by commas")
    made.add_argument("--kind", default="", help="only these, by commas")
    made.add_argument("--topic", default="", help="only those on it: workflows:ID, members:ID, agents:ID")
    made.add_argument("--limit", type=int, default=DEFAULT_LIMIT, help="at most so many, up to 1000")
    _asks(made, defaults)


def _add_show(commands: Any, defaults: ClientSettings) -> None:
    made = _command(commands, "show", "show an operation")
    made.add_argument("id", metavar="ID")
    made.add_argument("--events", type=int, default=0, metavar="N", help="and the last N of its events")
    _asks(made, defaults)


def _add_cancel(commands: Any, defaults: ClientSettings) -> None:
    made = _command(commands, "cancel", "ask for an operation to be cancelled")
    made.add_argument("id", metavar="ID")
    made.add_argument("--reason", help="why; it is in the event")
    made.add_argument("--attempt", type=int, help="only if this attempt is at it")
    _asks(made, defaults)


def _add_token(commands: Any, defaults: ClientSettings) -> None:
    text = "sign, read and revoke tokens; TIDINGS_SECRET_KEY is the service's"
    token = commands.add_parser("token", help=text, description=text, epilog=ENDINGS)
    verbs = token.add_subparsers(dest="verb", metavar="VERB", required=True)
    made = _command(verbs, "sign", "print a token")
    made.add_argument("subject", metavar="SUBJECT", help="who it is for: what is theirs, they see anyway")
    made.add_argument(
        "--for", type=_at_least_one, default=TOKEN_S, dest="lifetime_s", metavar="SECONDS",
        help="good for so long",
    )  # fmt: skip
    made.add_argument("--topic", action="append", default=[], help="may be seen: operations:ID, agents:*, *")
    made.add_argument("--start", action="append", default=[], metavar="KIND", help="may be started, or *")
    made.add_argument("--cancel", action="append", default=[], metavar="TOPIC", help="may be cancelled, or *")
    made.add_argument("--operator", action="store_true", help="may see who waits for what, at /debug")
    made = _command(verbs, "show", "print what a token says, if it is good")
    made.add_argument(
        "shown", nargs="?", default=defaults.token, metavar="TOKEN",
        help="default TIDINGS_TOKEN; - reads it from the standard input",
    )  # fmt: skip
    made = _command(verbs, "revoke", "have tokens be good no more; REDIS_URL says where the log is")
    whose = made.add_mutually_exclusive_group(required=True)
    whose.add_argument("--id", type=_text, help="one token's (jti)")
    whose.add_argument("--subject", type=_text, help="all that somebody was given until now")


def _add_publish(commands: Any) -> None:
    text = "say something of an operation, from a script; REDIS_URL says where the log is"
    publish = commands.add_parser("publish", help=text, description=text, epilog=ENDINGS)
    events = publish.add_subparsers(dest="event", metavar="EVENT", required=True)
    made = _event(events, "progress", "how far it is")
    made.add_argument("current", type=count, metavar="CURRENT")
    made.add_argument("total", type=_total, nargs="?", metavar="TOTAL", help="- if it is not known")
    made.add_argument("message", nargs="?", metavar="MESSAGE")
    made = _event(events, "status", "which phase it enters")
    made.add_argument("status", metavar="STATUS", help="queued, running, or your own word")
    _details(made)
    for name, help_text in (
        ("warning", "what went wrong while it goes on"),
        ("error", "why it failed; that ends it"),
    ):
        made = _event(events, name, help_text)
        made.add_argument("code", metavar="CODE", help="for programs; cancelled is cancelled")
        made.add_argument("message", metavar="MESSAGE")
        _details(made)
        if name == "error":
            made.add_argument("--goes-on", action="store_true", help="it is not over")
    made = _event(events, "complete", "it succeeded")
    made.add_argument("--result", type=_json, metavar="JSON")
    _add_run(events)


def _event(events: Any, name: str, text: str) -> argparse.ArgumentParser:
    made = _command(events, name, text)
    made.add_argument("id", metavar="ID", help="begins with this event if it is not known")
    _descriptor(made)
    return made


def _descriptor(made: argparse.ArgumentParser) -> None:
    made.add_argument("--kind", default="task", help="of an operation that begins")
    made.add_argument("--name", help="likewise: what it has in common with those before it")


def _details(made: argparse.ArgumentParser) -> None:
    made.add_argument("--details", type=_json, metavar="JSON")


def _add_run(events: Any) -> None:
    made = _command(events, "run", "run a command as an operation; its exit status is this one's")
    _descriptor(made)
    made.add_argument("--id", help="the operation's; made here if it is not given")
    made.add_argument("--total", type=count, metavar="N", help="so many lines it will print")
    made.add_argument(
        "--match", type=_pattern, metavar="REGEX",
        help="only lines that match move the bar: by the first group, of the second if there is one",
    )  # fmt: skip
    made.add_argument("--no-lines", action="store_true", help="show nothing of what it prints")
    made.add_argument("words", nargs=argparse.REMAINDER, metavar="-- COMMAND", help="and its arguments")


def _add_doctor(commands: Any, defaults: ClientSettings) -> None:
    made = _command(commands, "doctor", "find what keeps events from arriving, and say what to do")
    _asks(made, defaults)
    made.add_argument(
        "--heartbeat", type=_positive, default=defaults.heartbeat_s, metavar="SECONDS",
        help="of the service (TIDINGS_HEARTBEAT_S)",
    )  # fmt: skip
    made.add_argument(
        "--max-streams", type=int, default=defaults.max_streams, metavar="N",
        help="of each web process, if it runs on this machine (TIDINGS_MAX_STREAMS)",
    )  # fmt: skip
    made.add_argument("--quick", action="store_true", help="do not wait for a heartbeat")


def _positive(text: str) -> float:
    value = float(text)
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return value


def _text(text: str) -> str:
    if not text:
        raise argparse.ArgumentTypeError("must not be empty")
    return text


def _total(text: str) -> float | None:
    return None if text == "-" else count(text)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        found = re.compile(text)
    except re.error as error:
        raise argparse.ArgumentTypeError(f"is no pattern: {error}") from None
    if found.groups not in {1, 2}:
        raise argparse.ArgumentTypeError("must have one group, or two")
    return found


def _json(text: str) -> Any:
    try:
        return json.decode(text)
    except (DecodeError, UnicodeEncodeError) as error:
        raise argparse.ArgumentTypeError(f"is no JSON: {error}") from None
