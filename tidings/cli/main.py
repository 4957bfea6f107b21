"""What ``tidings`` and ``python -m tidings`` do: read the command line, do it, give an exit status.

The composition root of the command line: the only part of it that reads the environment.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec

from tidings.cli import command, doctor, operations, publish, watch
from tidings.cli.arguments import parser
from tidings.cli.client_settings import ClientSettings, TokenSettings
from tidings.cli.exits import CommandFailed, Exit
from tidings.cli.service import Service
from tidings.errors import InvalidValue, LogUnavailable, SettingsError, TidingsError
from tidings.log import Log
from tidings.operation import Operation
from tidings.process import configure
from tidings.settings import Settings
from tidings.values import Tidy


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what *arguments* (or the process') say and give the exit status (see `Exit`)."""
    try:
        return _main(arguments, os.environ)
    except TidingsError as error:
        for problem in getattr(error, "problems", [error]):
            print(f"tidings: {problem}", file=sys.stderr)
        return _exit_of(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:  # who read our output has left; Python would complain of it once more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.FAILED


def _main(arguments: Sequence[str] | None, environ: Mapping[str, str]) -> int:
    reader = parser(ClientSettings.from_env(environ))
    args = reader.parse_args(arguments)
    if args.version:
        print(_version())
        return Exit.OK
    if args.command is None:
        reader.print_help(sys.stderr)
        return Exit.USAGE
    if args.command == "token":
        return _token(args, environ)
    return _publish(args, environ) if args.command == "publish" else _ask(args, environ)


def _ask(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    service = Service(args.url, args.token)
    match args.command:
        case "watch":
            if args.follow and args.ids:
                raise InvalidValue("--follow", "without operations: it is for all")
            is_plain = args.plain or environ.get("TERM") == "dumb"
            return watch.watch(
                service, args.ids, follow=args.follow, plain=is_plain, as_json=args.as_json,
                heartbeat_s=args.heartbeat, give_up_s=args.give_up,
            )  # fmt: skip
        case "doctor":
            return doctor.examine(
                service, heartbeat_s=args.heartbeat, quick=args.quick, max_streams=args.max_streams,
                environ=environ, as_json=args.as_json,
            )  # fmt: skip
        case "list":
            return operations.list_operations(
                service, status=args.status, kinds=args.kind, topics=args.topic, limit=args.limit,
                as_json=args.as_json,
            )  # fmt: skip
        case "show":
            return operations.show(service, args.id, events=args.events, as_json=args.as_json)
        case _:
            return operations.cancel(
                service, args.id, reason=args.reason, attempt=args.attempt, as_json=args.as_json
            )


def _token(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    if find_spec("jwt") is None:
        raise CommandFailed("tokens need PyJWT: pip install 'tidings[token]'")
    from tidings.cli import token  # noqa: PLC0415 - it needs the extra

    settings = TokenSettings.from_env(environ)
    match args.verb:
        case "sign":
            return token.sign(
                settings, args.subject, args.lifetime_s, topics=args.topic, start=args.start,
                cancel=args.cancel, operator=args.operator, as_json=args.as_json,
            )  # fmt: skip
        case "show":
            shown = sys.stdin.read().strip() if args.shown == "-" else args.shown
            return token.show(settings, shown, as_json=args.as_json)
        case _:
            log = Log(Settings.from_env(environ))
            try:
                return token.revoke(log, subject=args.subject, token_id=args.id, as_json=args.as_json)
            finally:
                log.close()


def _publish(args: argparse.Namespace, environ: Mapping[str, str]) -> int:
    settings = Settings.from_env(environ)
    if args.event == "run":
        return _run(args, settings, environ)
    log = Log(settings)
    try:
        return publish.publish(
            log,
            args.id,
            _said(args, Tidy(settings.payload_bytes)),
            kind=args.kind,
            name=args.name,
            strict=settings.strict,
            as_json=args.as_json,
        )
    finally:
        log.close()


def _said(args: argparse.Namespace, tidy: Tidy) -> publish.Said:
    match args.event:
        case "progress":
            return publish.progress(tidy, args.current, args.total, args.message)
        case "status":
            return publish.status(tidy, args.status, args.details)
        case "warning":
            return publish.warning(tidy, args.code, args.message, args.details)
        case "error":
            return publish.error(tidy, args.code, args.message, args.details, terminal=not args.goes_on)
        case _:
            return publish.complete(tidy, args.result)


def _run(args: argparse.Namespace, settings: Settings, environ: Mapping[str, str]) -> int:
    words = args.words[1:] if args.words[:1] == ["--"] else args.words
    if not words:
        raise InvalidValue("COMMAND", "the command to run, behind --")
    configure(settings)
    operation = Operation(args.kind, args.id, name=args.name or os.path.basename(words[0]))  # noqa: PTH119 - a word, not a path
    if args.as_json:
        operations.say_json({"operationId": operation.id})
    output = command.Output(operation, total=args.total, counts=args.match, reports=not args.no_lines)
    return command.run(operation, words, output, environ)


def _version() -> str:
    with suppress(PackageNotFoundError):
        return version("tidings")
    return "unknown"


def _exit_of(error: TidingsError) -> Exit:
    match error:
        case CommandFailed():
            return error.exit
        case LogUnavailable():
            return Exit.UNREACHABLE
        case SettingsError() | InvalidValue():
            return Exit.USAGE
        case _:
            return Exit.FAILED
