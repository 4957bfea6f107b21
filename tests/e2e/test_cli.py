"""The command line against the real service: what it prints, says into the log, and ends with."""

import re
import signal
import uuid
from pathlib import Path

import pytest
from msgspec import json

from dev.port import free_port
from tests.cli import CommandLine
from tests.http_stream import post_json
from tests.stack import READ_S, Stack
from tests.terminal import Terminal
from tests.waiting import wait_until
from tidings.cli.command import VARIABLE
from tidings.cli.exits import Exit


@pytest.fixture
def tidings(stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line beside the service of the whole run."""
    return CommandLine({**stack.env, "TIDINGS_URL": stack.url}, monkeypatch, capsys)


def a_name() -> str:
    """Give an id that no other test has."""
    return f"cli-{uuid.uuid4().hex[:12]}"


def said(stack: Stack, operation_id: str) -> list[str]:
    """Give the types of an operation's events, with the statuses."""
    return [
        message.type if message.type != "status" else stack_status(message.data)
        for message in stack.history(operation_id)
    ]


def stack_status(data: str) -> str:
    """Give the status that a status event says."""
    return data.partition('"status":"')[2].partition('"')[0]


def test_list_and_show_print_what_the_service_says(stack: Stack, tidings: CommandLine) -> None:
    """For people in columns, for programs as JSON."""
    operation = stack.operation("cli-shown", name="rows")
    operation.progress(5, 10, "half \x1b[31mway")
    stack.flush()
    listed = tidings("list", "--kind", "cli-shown")
    assert listed.exit == Exit.OK
    assert listed.out.startswith(f"{operation.id}  cli-shown  running, 5/10 50 %")  # and perhaps a time left
    assert listed.out.endswith(": half \ufffd[31mway\n")
    (shown,) = tidings("list", "--kind", "cli-shown", "--json").json
    assert shown["id"] == operation.id
    lines = tidings("show", operation.id, "--events", "1").out.splitlines()
    assert ["name", "rows"] in [line.split() for line in lines]
    assert f" {operation.id} cli-shown progress 5/10 50 %" in lines[-1]
    operation.complete()
    stack.flush()
    assert tidings("list", "--kind", "cli-shown", "--status", "running").out == ""
    assert " succeeded in " in tidings("show", operation.id).out


def test_cancel_asks_and_names_the_reason(stack: Stack, tidings: CommandLine) -> None:
    """Once over, it is refused."""
    operation = stack.operation("cli")
    asked = tidings("cancel", operation.id, "--reason", "not today")
    assert (asked.exit, asked.out) == (Exit.OK, f"{operation.id} cancelling\n")
    assert "not today" in stack.log.operation(operation.id).events["status"].decode()  # type: ignore[union-attr]
    operation.complete()
    stack.flush()
    assert tidings("cancel", operation.id).exit == Exit.FAILED


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["show", "nobody"], Exit.UNKNOWN),
        (["cancel", "nobody"], Exit.UNKNOWN),
        (["show", "no body"], Exit.USAGE),
        (["list", "--limit", "0"], Exit.USAGE),
        (["list", "--url", "ftp://somewhere"], Exit.USAGE),
        (["publish", "progress", "x", "many"], Exit.USAGE),
        (["publish", "status", "x", "succeeded"], Exit.USAGE),
        (["publish", "error", "x", "code", "message", "--details", "{"], Exit.USAGE),
        (["publish", "run", "--match", "no group", "--", "true"], Exit.USAGE),
        (["publish", "run"], Exit.USAGE),
        ([], Exit.USAGE),
    ],
    ids=str,
)
def test_what_cannot_be_done_has_its_status_and_a_line(
    tidings: CommandLine, arguments: list[str], status: Exit
) -> None:
    """On stderr, without a traceback."""
    ended = tidings(*arguments)
    assert ended.exit == status
    assert ended.err
    assert "Traceback" not in ended.err
    assert ended.out == ""


def test_a_service_that_is_not_there_is_named(tidings: CommandLine) -> None:
    """With its address."""
    url = f"http://127.0.0.1:{free_port()}"
    ended = tidings("list", "--url", url)
    assert (ended.exit, ended.err) == (
        Exit.UNREACHABLE,
        f"tidings: {url} cannot be reached: Connection refused\n",
    )


def test_a_script_publishes_an_operation_from_its_beginning_to_its_end(
    stack: Stack, tidings: CommandLine
) -> None:
    """Each event is one call; the first announces it; after the end nothing is taken."""
    name = a_name()
    assert tidings("publish", "status", name, "queued", "--kind", "cli", "--name", "script").exit == Exit.OK
    (answer,) = tidings("publish", "progress", name, "5", "10", "half way", "--json").json
    assert answer["operationId"] == name
    assert tidings("publish", "status", name, "checking", "--details", '{"rows": 3}').exit == Exit.OK
    assert tidings("publish", "warning", name, "bad_row", "line 7").exit == Exit.OK
    assert tidings("publish", "error", name, "odd", "goes on", "--goes-on").exit == Exit.OK
    assert tidings("publish", "complete", name, "--result", "[1]").exit == Exit.OK
    assert said(stack, name) == [
        "queued", "running", "progress", "checking", "warning", "error", "succeeded", "complete",
    ]  # fmt: skip
    state = stack.log.operation(name)
    assert state is not None
    assert (state.descriptor.kind, state.descriptor.name) == ("cli", "script")
    assert b'"current":5,"total":10,"percentage":50' in state.events["progress"]
    late = tidings("publish", "progress", name, "6")
    assert (late.exit, late.err) == (Exit.FAILED, f"tidings: operation {name} is over: succeeded\n")


def test_an_operation_that_a_script_works_on_can_be_cancelled(stack: Stack, tidings: CommandLine) -> None:
    """The script hears of it from the exit status of its next event."""
    name = a_name()
    assert tidings("publish", "progress", name, "1", "-", "total unknown").exit == Exit.OK
    assert tidings("cancel", name).out == f"{name} cancelled\n"
    assert tidings("publish", "progress", name, "2").exit == Exit.CANCELLED


def test_a_script_is_held_to_the_setting_of_a_payload(
    stack: Stack, tidings: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is longer than TIDINGS_PAYLOAD_BYTES is left out, with a line."""
    monkeypatch.setenv("TIDINGS_PAYLOAD_BYTES", "256")
    name = a_name()
    ended = tidings("publish", "complete", name, "--result", f'"{"x" * 300}"')
    assert ended.exit == Exit.OK
    assert "256 bytes" in ended.err
    state = stack.log.operation(name)
    assert state is not None
    assert b"302 bytes of JSON, more than the 256 allowed" in state.events["complete"]


def test_what_a_script_says_too_much_of_is_put_right(tidings: CommandLine) -> None:
    """As the library does, with a line; strict, it is refused."""
    name = a_name()
    ended = tidings("publish", "warning", name, "a code", "x" * 2_000)
    assert ended.exit == Exit.OK
    assert len(ended.err.splitlines()) == 2


def test_publishing_needs_a_redis_that_answers(tidings: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """And says so."""
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert tidings("publish", "progress", a_name(), "1").exit == Exit.UNREACHABLE
    monkeypatch.setenv("REDIS_URL", "")
    ended = tidings("publish", "progress", a_name(), "1")
    assert ended.exit == Exit.USAGE
    assert "REDIS_URL" in ended.err


def test_a_command_is_an_operation(stack: Stack, tidings: CommandLine) -> None:
    """Its output goes through unchanged and is its progress; it can publish to its operation itself."""
    name = a_name()
    script = f"echo one; echo two >&2; printf 'row 3/4\\rrow 4/4'; echo ${VARIABLE} >&2; exit 7"
    match = ["--match", r"(\d+)/(\d+)"]
    process = tidings.start("publish", "run", "--kind", "cli", "--id", name, *match, "--", "sh", "-c", script)
    out, err = process.communicate(timeout=READ_S)
    assert (process.returncode, out, err) == (7, b"one\nrow 3/4\rrow 4/4", f"two\n{name}\n".encode())
    state = stack.log.operation(name)
    assert state is not None
    assert state.status == "failed"
    assert state.descriptor.name == "sh"
    assert b'"current":4,"total":4,"percentage":100' in state.events["progress"]
    assert b'"exitStatus":7' in state.events["error"]
    assert b"row 4/4" in state.events["error"]


def test_a_command_is_cancelled_with_all_that_it_started(stack: Stack, tidings: CommandLine) -> None:
    """It gets a SIGTERM; how it ends is still its own to say, the operation is cancelled."""
    name = a_name()
    script = "trap 'echo cleaning; exit 9' TERM; (while sleep 0.1; do echo tick; done)& echo $!; wait; wait"
    process = tidings.start("publish", "run", "--id", name, "--", "sh", "-c", script)
    wait_until(lambda: stack.log.operation(name), timeout_s=READ_S)
    assert post_json(f"{stack.url}/api/operations/{name}/cancel", {}).status == 202
    out, _ = process.communicate(timeout=READ_S)
    child, *_, last = out.decode().split()
    assert (process.returncode, last) == (9, "cleaning")
    wait_until(lambda: not Path(f"/proc/{child}").exists(), timeout_s=READ_S)
    assert [word for word in said(stack, name) if word != "progress"] == [
        "running", "cancelling", "cancelled", "error",
    ]  # fmt: skip


def test_a_signal_goes_to_the_command(stack: Stack, tidings: CommandLine) -> None:
    """Whose end is the operation's."""
    name = a_name()
    process = tidings.start(
        "publish", "run", "--no-lines", "--id", name, "--", "sh", "-c", "echo up; sleep 60"
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=READ_S)
    assert process.returncode == 128 + signal.SIGTERM
    assert said(stack, name) == ["running", "failed", "error"]


def test_a_command_that_there_is_none_of_has_failed(stack: Stack, tidings: CommandLine) -> None:
    """With a shell's status for it."""
    name = a_name()
    process = tidings.start("publish", "run", "--id", name, "--", "no-such-program")
    _, err = process.communicate(timeout=READ_S)
    assert (process.returncode, err) == (
        127,
        b"tidings: no-such-program cannot be started: No such file or directory\n",
    )
    assert said(stack, name) == ["running", "failed", "error"]


@pytest.mark.parametrize("end", ["succeeded", "failed", "cancelled"])
def test_watch_ends_as_the_operation_did(stack: Stack, tidings: CommandLine, end: str) -> None:
    """Also where that was long ago."""
    operation = stack.operation("cli")
    if end == "succeeded":
        operation.complete()
    else:
        operation.error(end, "so it was")
    stack.flush()
    ended = tidings("watch", operation.id)
    assert ended.exit == {"succeeded": Exit.OK, "failed": Exit.FAILED, "cancelled": Exit.CANCELLED}[end]
    assert operation.id in ended.out
    assert tidings("watch", operation.id, "nobody").exit == Exit.UNKNOWN


def test_watch_prints_a_line_for_each_event_where_there_is_no_terminal(
    stack: Stack, tidings: CommandLine
) -> None:
    """From the state on, without a hole, until the last of them is over; as JSON with ids."""
    first, second = stack.operation("cli"), stack.operation("cli")
    first.progress(1, 4, "before")
    stack.flush()
    watched = [tidings.start("watch", first.id, second.id, *flags) for flags in ([], ["--json"])]
    states = [[process.stdout.readline() for _ in range(2)] for process in watched if process.stdout]
    for number in (2, 3, 4):
        first.warning("row", str(number))
    first.complete([1])
    second.error("boom", "it broke")
    stack.flush()
    (text, _), (as_json, _) = [process.communicate(timeout=READ_S) for process in watched]
    assert [process.returncode for process in watched] == [Exit.FAILED, Exit.FAILED]
    assert f"{first.id} cli state running, 1/4 25 %" in states[0][0].decode()
    assert [re.sub(rb" in \d+ s$", b"", line.split(b" ", 3)[3]) for line in text.splitlines()] == [
        b"warning row: 2", b"warning row: 3", b"warning row: 4", b"status succeeded", b"complete succeeded",
        b"status failed", b"error boom: it broke",
    ]  # fmt: skip
    events = [json.decode(line) for line in as_json.splitlines()]
    assert [event["type"] for event in events] == [*["warning"] * 3, "status", "complete", "status", "error"]
    assert all(event["id"].startswith("evt_") for event in events)
    assert events[4]["data"]["result"] == [1]


def test_watch_draws_bars_that_fit_the_terminal(stack: Stack, tidings: CommandLine) -> None:
    """Twenty of them, each in its row; in a smaller terminal as many as there is room for."""
    running = [stack.operation("cli-bars", id=f"{a_name()}-{number:02d}") for number in range(20)]
    for number, operation in enumerate(running):
        operation.progress(number * 5, 100, f"message {number:02d} " + "and on " * 30)
    stack.flush()
    names = [operation.id for operation in running]
    with Terminal(["watch", *names], tidings.environ, 100, 30) as terminal:
        terminal.wait_for(lambda lines: len(lines) == 20)
        for number, line in enumerate(terminal.lines):
            assert line.startswith(f"{names[number]} ")
            assert f" {number * 5} % " in line
            assert f": message {number:02d} and" in line
            assert line.endswith("…")
        running[0].progress(50, 100, "moved")
        stack.flush()
        terminal.wait_for(lambda lines: lines[0].endswith(": moved"))
        terminal.resize(40, 8)
        terminal.wait_for(lambda lines: lines[-1:] == ["… and 14 more"])
        assert [line.split()[0] for line in terminal.lines[:-1]] == names[:6]
        for operation in running:
            operation.complete()
        stack.flush()
        assert terminal.process.wait(READ_S) == Exit.OK
