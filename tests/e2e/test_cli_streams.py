"""The command line on streams that break: what `watch` does, and what `doctor` finds."""

import os
import resource
import shutil
import signal
import socket
import subprocess
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from redis import Redis

from dev.port import free_port
from dev.redis_server import RedisServer
from tests.cli import CommandLine, Said
from tests.odd_pages import odd_pages
from tests.stack import READ_S, Stack
from tests.terminal import Terminal
from tests.waiting import wait_until
from tests.wrong_proxy import WrongProxy
from tidings import Operation
from tidings.cli import doctor
from tidings.cli.exits import Exit

HEARTBEAT_S = 1.0


@pytest.fixture(scope="module")
def brisk(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with one web process whose heart beats fast, and which may be killed."""
    stack = Stack(
        redis_server.url,
        tmp_path_factory.mktemp("brisk"),
        web=1,
        worker=False,
        TIDINGS_NAMESPACE=f"cli{uuid.uuid4().hex[:8]}",
        TIDINGS_HEARTBEAT_S=str(HEARTBEAT_S),
    )
    with stack:
        yield stack
        kill_web(stack)


@pytest.fixture
def tidings(brisk: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:
    """The command line beside that service."""
    return CommandLine({**brisk.env, "TIDINGS_URL": brisk.url}, monkeypatch, capsys)


def kill_web(stack: Stack) -> None:
    """Kill the service with all of its processes."""
    assert stack.web is not None
    os.killpg(stack.web.pid, signal.SIGKILL)
    stack.web.wait()


def test_watch_goes_on_behind_a_restart_of_the_service(brisk: Stack, tidings: CommandLine) -> None:
    """It says that it comes back, misses nothing, and prints nothing twice; and so do twenty bars."""
    operation = brisk.operation("cli")
    process = tidings.start("watch", "--heartbeat", "15", operation.id)
    assert process.stdout is not None
    assert process.stderr is not None
    assert b"state running" in process.stdout.readline()
    operation.warning("n", "1")
    brisk.flush()
    assert b"warning n: 1" in process.stdout.readline()
    running = [brisk.operation("cli-bars") for _ in range(20)]
    asked = ["watch", "--heartbeat", "15", *(each.id for each in running)]
    with Terminal(asked, tidings.environ, 100, 30) as terminal:
        terminal.wait_for(lambda lines: len(lines) == 20)
        kill_web(brisk)
        assert b"reconnecting" in process.stderr.readline()
        terminal.wait_for(lambda lines: len(lines) == 21 and lines[-1].startswith("reconnecting: "))
        for number, each in enumerate(running):
            each.progress(number * 5, 100, "meanwhile")
        operation.warning("n", "2")
        brisk.flush()
        brisk.start_web()
        moves_and_ends(brisk, running, terminal)
    operation.warning("n", "3")
    operation.complete()
    brisk.flush()
    out, err = process.communicate(timeout=READ_S)
    assert process.returncode == Exit.OK
    said = [line.split(b" ", 3)[3] for line in out.splitlines()]
    assert [line[:12] for line in said] == [
        b"warning n: 2",
        b"warning n: 3",
        b"status succe",
        b"complete suc",
    ]
    assert b"connected again" in err


def moves_and_ends(stack: Stack, running: list[Operation], terminal: Terminal) -> None:
    """See that twenty bars show what was said while nobody could hear it, and end as the operations do."""
    terminal.wait_for(lambda lines: len(lines) == 20 and all("meanwhile" in line for line in lines))
    for number, line in enumerate(terminal.lines):
        assert f" {number * 5} % " in line
    running[0].error("odd", "it broke")
    for operation in running[1:]:
        operation.complete()
    stack.flush()
    assert terminal.process.wait(READ_S) == Exit.FAILED
    terminal.wait_for(lambda lines: sum("succeeded in" in line for line in lines) == 19)
    assert "failed" in terminal.lines[0]


def codes(said: Said) -> list[object]:
    """Give the faults that the doctor found, by name."""
    return [finding["code"] for finding in said.json if not finding.get("note")]


def test_the_doctor_finds_nothing_where_nothing_is_wrong(
    brisk: Stack, tidings: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through a proxy that does as it should; it waits for a heartbeat."""
    monkeypatch.setattr(doctor, "FIRST_S", READ_S)
    monkeypatch.setattr(doctor, "SLACK_S", READ_S)
    with WrongProxy(brisk.port, "none") as proxy:
        found = tidings("doctor", "--url", proxy.url, "--max-streams", "100")
    assert (found.exit, found.out.splitlines()[-1]) == (Exit.OK, "no fault was found")


@pytest.mark.parametrize(
    ("fault", "code", "fix"),
    [
        ("compresses", "compressed", "gzip_types"),
        ("caches", "cached", "proxy_cache"),
        ("rewrites", "cacheable", "proxy_hide_header Cache-Control"),
        ("text", "content_type", "Content-Type"),
        ("http_1_0", "http_1_0", "Transfer-Encoding: chunked"),
        ("drops_header", "last_event_id", "Last-Event-ID"),
        ("buffers", "buffered", "proxy_buffering off"),
        ("impatient", "idle_timeout", "proxy_read_timeout"),
        ("swallows", "no_heartbeat", "--heartbeat"),
    ],
)
def test_the_doctor_names_what_a_proxy_does_wrong(  # noqa: PLR0917 - fixtures, and the three of a row
    brisk: Stack, tidings: CommandLine, monkeypatch: pytest.MonkeyPatch, fault: str, code: str, fix: str
) -> None:
    """That, and nothing else, with what to do about it."""
    if fault == "buffers":
        monkeypatch.setattr(doctor, "FIRST_S", 0.5)  # nothing will ever come
    monkeypatch.setattr(doctor, "SLACK_S", 0.1 if fault == "swallows" else READ_S)
    waits = {"impatient": [], "swallows": ["--heartbeat", "0.1"]}.get(fault, ["--quick"])
    with WrongProxy(brisk.port, fault) as proxy:
        found = tidings("doctor", "--json", "--max-streams", "100", "--url", proxy.url, *waits)
    assert codes(found) == [code]
    assert fix in str(found.json[-1]["fix"])
    assert found.exit == Exit.FAILED


def test_the_doctor_names_a_service_that_is_not_there_or_is_another(tidings: CommandLine) -> None:
    """By its address."""
    url = f"http://127.0.0.1:{free_port()}"
    gone = tidings("doctor", "--json", "--max-streams", "100", "--url", url)
    assert (codes(gone), gone.exit) == (["unreachable"], Exit.UNREACHABLE)
    with odd_pages() as pages:
        other = tidings("doctor", "--json", "--max-streams", "100", "--url", f"http://{pages.place}")
    assert (codes(other), other.exit) == (["stranger"], Exit.FAILED)


def test_the_doctor_looks_at_the_limits_and_the_redis_around_it(
    brisk: Stack, tidings: CommandLine, own_redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that is too low for the streams, a Redis that forgets, a Redis that is not there."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert codes(tidings("doctor", "--json", "--quick", "--max-streams", str(hard))) == ["descriptors"]
    redis = Redis.from_url(own_redis.url)
    redis.config_set("appendonly", "no")
    redis.config_set("maxmemory", "1gb")
    redis.config_set("maxmemory-policy", "allkeys-lru")
    redis.close()
    monkeypatch.setenv("REDIS_URL", own_redis.url)
    assert codes(tidings("doctor", "--json", "--quick", "--max-streams", "9")) == ["redis_setting"] * 2
    monkeypatch.setenv("REDIS_URL", f"redis://127.0.0.1:{free_port()}")
    assert codes(tidings("doctor", "--json", "--quick", "--max-streams", "9")) == ["redis"]


def test_the_doctor_names_a_wrong_nginx(brisk: Stack, tidings: CommandLine, tmp_path: Path) -> None:
    """One that buffers, and one whose time-out is too short; with its defaults nothing is wrong.

    Looked for until it is found: a machine that stands still for a moment breaks streams, too.
    """
    wrong = {
        "buffered": "proxy_ignore_headers X-Accel-Buffering;",
        "idle_timeout": "proxy_read_timeout 250ms;",
        "": "",
    }
    with nginx(tmp_path, brisk.port, list(wrong.values())) as ports:
        for port, code in zip(ports, wrong, strict=True):
            url = f"http://127.0.0.1:{port}"
            asked = ["doctor", "--json", "--max-streams", "9", "--url", url]
            quick = [] if code == "idle_timeout" else ["--quick"]
            expected = [code] if code else []
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(doctor, "FIRST_S", 1.0)
                wait_until(lambda: codes(tidings(*asked, *quick)) == expected, timeout_s=READ_S)  # noqa: B023


@contextmanager
def nginx(folder: Path, service_port: int, settings: list[str]) -> Iterator[list[int]]:
    """Run Debian's nginx in front of the service, a server with each of *settings*; gives their ports."""
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed")
    ports = [free_port() for _ in settings]
    servers = "".join(
        f"server {{ listen 127.0.0.1:{port}; proxy_pass_request_headers on;\n"
        f"location / {{ proxy_pass http://127.0.0.1:{service_port}; {extra} }} }}\n"
        for port, extra in zip(ports, settings, strict=True)
    )
    paths = "".join(
        f"{name}_temp_path {folder}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;\n"
        f"events {{}}\nhttp {{ access_log off; {paths} {servers} }}\n"
    )
    process = subprocess.Popen([program, "-p", str(folder), "-c", str(folder / "nginx.conf")])
    try:
        wait_until(lambda: all(_is_open(port) for port in ports), timeout_s=READ_S)
        yield ports
    finally:
        process.terminate()
        process.wait()


def _is_open(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False
