"""The launcher as a person uses it: a process with an environment, signals, output and an exit status.

Each test gives it a throw-away project, so that none of Tidings itself is needed; every process that a
project starts is found by its working directory, which is inside the project.
"""

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from dev.redis_server import RedisServer
from tests.waiting import wait_until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="finds processes in /proc")

START_S = 30.0
"""A start takes 0.5 s here; a loaded machine gets sixty times that."""

STOP_S = 15.0
"""These programs stop in milliseconds; below the launcher's patience (25 s), so that nobody can be stuck."""

OURS = {"HOST", "REDIS_URL", "TIDINGS_AUTH", "WEB_CONCURRENCY", "WORKER_CONCURRENCY"}
"""What the launcher reads: a test says it itself, whatever the environment of the tests has."""

WEB = """
import json, os, signal, subprocess, sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from redis import Redis

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps(dict(os.environ)).encode())

def stop(*_):
    Path("web-stopped").write_text(str(Redis.from_url(os.environ["REDIS_URL"]).ping()))
    sys.exit()

signal.signal(signal.SIGTERM, stop)
ThreadingHTTPServer((os.environ["HOST"], int(os.environ["PORT"])), Handler).serve_forever()
"""
"""A web process that answers any path with its environment, and notes whether Redis is there as it stops."""


@dataclass
class Project:
    """A throw-away project and the launchers at work on it; the fixture ends what a test leaves."""

    root: Path
    port: int
    launchers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    def write_procfile(self, *, web: str = "python web.py", worker: str = "sleep 600") -> None:
        """Write the Procfile with these two lines."""
        self.root.joinpath("Procfile").write_text(f"web: {web}\nworker: {worker}\n", encoding="utf-8")

    def launch(self, *prefix: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a launcher with *environ*, below the command *prefix* if there is one."""
        kept = {key: value for key, value in os.environ.items() if key not in OURS}
        command = [*prefix] or [sys.executable, "-m", "dev.run", "--root", str(self.root)]
        with self.output_path.open("ab") as output:
            launcher = subprocess.Popen(
                command, stdout=output, stderr=output, env=kept | {"PORT": str(self.port)} | environ
            )
        self.launchers.append(launcher)
        return launcher

    def launch_until_ready(self, *prefix: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start a launcher and wait until it has said the address."""
        launcher = self.launch(*prefix, **environ)
        wait_until(lambda: f"Tidings is at {self.address}\n" in self.output, timeout_s=START_S)
        return launcher

    def environ_of_web(self) -> dict[str, Any]:
        """Return the environment that the web process was given."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=STOP_S)
        connection.request("GET", "/")
        environ: dict[str, Any] = json.loads(connection.getresponse().read())
        connection.close()
        return environ

    def processes(self) -> list[int]:
        """Return the processes that work in the project's folder."""
        return [int(entry.name) for entry in Path("/proc").glob("[0-9]*") if self._has(entry)]

    @property
    def address(self) -> str:
        """Where the web process is."""
        return f"http://127.0.0.1:{self.port}/"

    @property
    def output_path(self) -> Path:
        """The file that takes the output of all launchers."""
        return self.root / "output"

    @property
    def output(self) -> str:
        """All that the launchers and their children have written."""
        return self.output_path.read_text(encoding="utf-8")

    def _has(self, entry: Path) -> bool:
        try:
            return entry.joinpath("cwd").readlink().is_relative_to(self.root)
        except OSError:  # it ended as we looked, or is another user's
            return False


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """Give a project with a web process and a worker; kill what is left of it afterwards."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        project = Project(tmp_path, port=probe.getsockname()[1])
    tmp_path.joinpath("web.py").write_text(WEB, encoding="utf-8")
    project.write_procfile()
    yield project
    for launcher in project.launchers:
        launcher.kill()
        launcher.wait()
    for pid in project.processes():
        os.kill(pid, signal.SIGKILL)


def test_embedded_server_is_given_to_the_children(project: Project) -> None:
    """Without a REDIS_URL the children get the URL of a server whose data is in the project's var folder."""
    project.launch_until_ready()

    with Redis.from_url(project.environ_of_web()["REDIS_URL"]) as client:
        assert client.config_get("dir") == {"dir": str(project.root / "var" / "redis")}


def test_children_get_the_defaults(project: Project) -> None:
    """The children find loopback, two processes, open access, unbuffered output, this Python's programs."""
    project.launch_until_ready()

    environ = project.environ_of_web()
    assert environ["HOST"] == "127.0.0.1"
    assert environ["PORT"] == str(project.port)
    assert environ["WEB_CONCURRENCY"] == "2"
    assert environ["TIDINGS_AUTH"] == "open"
    assert environ["PYTHONUNBUFFERED"] == "1"
    assert environ["PATH"].startswith(f"{sys.prefix}/bin:")


def test_the_environment_wins_over_the_defaults(project: Project) -> None:
    """What the environment says reaches the children as it is."""
    project.launch_until_ready(TIDINGS_AUTH="required", WEB_CONCURRENCY="3", TIDINGS_NAMESPACE="other")

    environ = project.environ_of_web()
    assert environ["TIDINGS_AUTH"] == "required"
    assert environ["WEB_CONCURRENCY"] == "3"
    assert environ["TIDINGS_NAMESPACE"] == "other"


def test_a_procfile_line_may_set_variables(project: Project) -> None:
    """A line of the Procfile may begin with variables and use those of the environment, with defaults."""
    project.write_procfile(web="GREETING=hello NUMBER=${UNSET_NUMBER:-7} python web.py")
    project.launch_until_ready()

    environ = project.environ_of_web()
    assert (environ["GREETING"], environ["NUMBER"]) == ("hello", "7")


def test_a_given_redis_is_used_alone(project: Project) -> None:
    """With a REDIS_URL that answers, it is passed on and no embedded server is started."""
    with RedisServer(project.root / "given", persist=False) as server:
        launcher = project.launch_until_ready(REDIS_URL=server.url)

        assert project.environ_of_web()["REDIS_URL"] == server.url
        assert not project.root.joinpath("var").exists()
        launcher.terminate()
        assert launcher.wait(STOP_S) == 0
        assert server.alive


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_stops_everything(project: Project, number: signal.Signals) -> None:
    """A person's signal ends every process, those that the children started too, with exit status 0."""
    project.write_procfile(worker="sh -c 'sleep 600 & exec sleep 600'")
    launcher = project.launch_until_ready()
    assert len(project.processes()) == 4

    launcher.send_signal(number)

    assert launcher.wait(STOP_S) == 0
    assert project.processes() == []


def test_redis_is_stopped_last(project: Project) -> None:
    """The children are told to stop by SIGTERM, and can still use Redis as they do."""
    launcher = project.launch_until_ready()

    launcher.terminate()

    assert launcher.wait(STOP_S) == 0
    assert project.root.joinpath("web-stopped").read_text(encoding="utf-8") == "True"


def test_nothing_outlives_a_killed_launcher(project: Project) -> None:
    """When the launcher itself is killed by SIGKILL, its children and the server end too."""
    launcher = project.launch_until_ready()
    assert len(project.processes()) == 3

    launcher.kill()

    wait_until(lambda: not project.processes(), timeout_s=STOP_S)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGKILL])
def test_a_signal_to_make_alone_stops_everything(project: Project, number: signal.Signals) -> None:
    """A signal that reaches only the make above the launcher, as from ``kill``, ends every process too."""
    leash = f"{sys.executable} -I dev/leash.py SIGTERM $$PPID"
    project.root.joinpath("Makefile").write_text(
        f"run:\n\t@exec {leash} {sys.executable} -m dev.run --root {project.root}\n", encoding="utf-8"
    )
    make = project.launch_until_ready("make", "-f", str(project.root / "Makefile"), "run")

    make.send_signal(number)

    make.wait(STOP_S)
    wait_until(lambda: not project.processes(), timeout_s=STOP_S)


def test_a_child_that_ends_stops_the_rest(project: Project) -> None:
    """When a child ends by itself the launcher names it, stops the others and fails."""
    project.write_procfile(worker="sh -c 'exit 3'")
    launcher = project.launch()

    assert launcher.wait(START_S) == 1
    assert project.output.splitlines()[-1] == "worker exited with status 3; stopped the rest"
    assert project.processes() == []


def test_a_dead_embedded_server_stops_the_rest(project: Project) -> None:
    """When the embedded server dies the launcher says so, stops the children and fails."""
    launcher = project.launch_until_ready()
    with Redis.from_url(project.environ_of_web()["REDIS_URL"]) as client:
        pid = client.info("server")["process_id"]

    os.kill(pid, signal.SIGKILL)

    assert launcher.wait(STOP_S) == 1
    assert "The embedded Redis server ended by itself; stopped the rest" in project.output
    assert project.processes() == []


def test_a_busy_port_is_one_line(project: Project) -> None:
    """A port that is taken is named in one line, with the way to choose another."""
    with socket.create_server(("127.0.0.1", project.port)):
        launcher = project.launch()

        assert launcher.wait(START_S) == 1
    assert project.output == (
        f"Port {project.port} of 127.0.0.1 is in use; choose another: PORT={project.port + 1} make run\n"
    )


@pytest.mark.parametrize(
    "url",
    [
        "redis://:s3cret@127.0.0.1:1/0",
        "rediss://someone:s3cret@127.0.0.1:1/0",
        "redis://127.0.0.1:1/0?password=s3cret",
        "unix://:s3cret@/no/such/socket",
        "redis://:with/s3cret@127.0.0.1:1/0",
        "http://:s3cret@127.0.0.1:1/0",
    ],
)
def test_an_unreachable_redis_is_one_line_without_the_password(project: Project, url: str) -> None:
    """A REDIS_URL that does not answer, or is none, fails in one line without its password."""
    launcher = project.launch(REDIS_URL=url)

    assert launcher.wait(START_S) == 1
    assert project.output.startswith("REDIS_URL")
    assert project.output.count("\n") == 1
    assert "s3cret" not in project.output


def test_a_silent_redis_is_one_line(project: Project) -> None:
    """A REDIS_URL whose server accepts and says nothing fails within seconds."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        place = f"127.0.0.1:{silent.getsockname()[1]}"
        launcher = project.launch(REDIS_URL=f"redis://{place}/0")

        assert launcher.wait(START_S) == 1
    assert project.output == f"REDIS_URL: {place} gave no answer within 3 s\n"


def test_bad_numbers_are_one_line(project: Project) -> None:
    """Settings that are not numbers are all named in one line."""
    launcher = project.launch(PORT="http", WEB_CONCURRENCY="0")

    assert launcher.wait(START_S) == 1
    assert project.output == (
        "PORT=http is not a number from 1 to 65535; WEB_CONCURRENCY=0 is not a number from 1 to 512\n"
    )


def test_a_second_launcher_is_refused(project: Project) -> None:
    """A second launcher on the same data says so in one line, and leaves the first at work."""
    first = project.launch_until_ready()
    before = project.output

    second = project.launch(PORT=str(project.port + 1))

    assert second.wait(START_S) == 1
    said = project.output.removeprefix(before)
    assert said.startswith("Another `make run` of this checkout is using ")
    assert said.count("\n") == 1
    assert first.poll() is None
