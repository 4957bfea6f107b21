"""Real reverse proxies before a service: nginx, HAProxy and Caddy, with the files of deploy/, and without.

Takes the ports of web hosts and a folder, gives an address over TLS. What a file of deploy/ says of names,
ports, users, paths and times is changed here, line by line; a line that is no longer there is an error.
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import pytest

from dev.leash import leashed
from dev.port import free_port
from tests.stack import READ_S, ROOT, STOP_S
from tests.waiting import wait_until

Kind = Literal["nginx", "haproxy", "caddy"]
KINDS: Final[tuple[Kind, ...]] = ("nginx", "haproxy", "caddy")
IDLE_S: Final = 3
"""For the proxies' idle time-outs: above the heartbeats of the tests by what a machine may stand still."""
GRACE_S: Final = 1
"""How long a reload leaves a stream where it is."""
AROUND: Final = "|"
"""In the lines of a wrong Caddy: before it what is said of the proxy, behind it what of the site."""
_FILES: Final[Mapping[Kind, str]] = {"nginx": "nginx.conf", "haproxy": "haproxy.cfg", "caddy": "Caddyfile"}


@dataclass(frozen=True)
class Certificate:
    """A certificate, and the throwaway authority that vouches for it, as files of a folder."""

    folder: Path

    @cached_property
    def context(self) -> ssl.SSLContext:
        """What believes this authority, and no other."""
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))


def make_certificate(folder: Path, name: str = "localhost") -> Certificate:
    """Make an authority, and have it sign for *name*: fullchain.pem, key.pem, fullchain-and-key.pem."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed: no certificate to try TLS with")
    new = ["openssl", "req", "-newkey", "rsa:2048", "-nodes", "-batch"]
    signed = ["openssl", "x509", "-req", "-in", "asked.pem", "-days", "2", "-CAcreateserial"]
    steps = [
        [*new, "-x509", "-days", "2", "-subj", "/CN=authority", "-keyout", "ca-key.pem", "-out", "ca.pem"],
        [*new, "-subj", f"/CN={name}", "-keyout", "key.pem", "-out", "asked.pem"],
        [*signed, "-CA", "ca.pem", "-CAkey", "ca-key.pem", "-extfile", "names", "-out", "fullchain.pem"],
    ]
    (folder / "names").write_text(f"subjectAltName=DNS:{name},IP:127.0.0.1\n")
    for step in steps:
        subprocess.run(step, cwd=folder, check=True, capture_output=True)
    both = (folder / "fullchain.pem").read_text() + (folder / "key.pem").read_text()
    (folder / "fullchain-and-key.pem").write_text(both)
    return Certificate(folder)


class Proxy:
    """A proxy that runs from ``with`` to its end, at ``url``. *text* is its whole configuration."""

    def __init__(self, kind: Kind, text: str, folder: Path, port: int) -> None:
        self.kind = kind
        self.url = f"https://localhost:{port}"
        self._port = port
        self._folder = folder
        self._file = folder / _FILES[kind]
        self._program = program(kind)
        self._process: subprocess.Popen[bytes] | None = None
        self._env = {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy")} | {
            "CADDY_ADMIN": f"127.0.0.1:{free_port()}",
            "HOME": str(folder),
        }
        folder.mkdir(exist_ok=True)
        self._file.write_text(text)

    def __enter__(self) -> Self:
        file = str(self._file)
        command = {
            "nginx": ["-p", str(self._folder), "-e", "stderr", "-g", "daemon off;", "-c", file],
            "haproxy": ["-W", "-f", file],
            "caddy": ["run", "--config", file, "--adapter", "caddyfile"],
        }[self.kind]
        with self._log_path.open("wb") as log:
            self._process = subprocess.Popen(
                leashed([self._program, *command]), stdout=log, stderr=log, env=self._env
            )
        wait_until(self._is_up, timeout_s=READ_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def reload(self) -> None:
        """Have it read its configuration again, as its unit of systemd would."""
        assert self._process is not None
        if self.kind == "caddy":
            words = ["reload", "--force", "--config", str(self._file), "--adapter", "caddyfile"]
            subprocess.run([self._program, *words], check=True, capture_output=True, env=self._env)
        else:
            self._process.send_signal(signal.SIGHUP if self.kind == "nginx" else signal.SIGUSR2)

    def restart(self) -> None:
        """Stop it, and start it again."""
        self.__exit__(None, None, None)
        self.__enter__()

    @property
    def _log_path(self) -> Path:
        return self._folder / "log"

    def _is_up(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise AssertionError(f"{self.kind} ended:\n{self._log_path.read_text()}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port), 1):
            return True
        return False


def program(kind: Kind) -> str:
    """Find the program; skips the test where there is none."""
    found = where_is(kind)
    if found is None:
        pytest.skip(f"{kind} is not installed")
    return found


def where_is(kind: Kind) -> str | None:
    """Find the program, if it is installed: beside Python, in the PATH, or among those for root."""
    return shutil.which(kind, path=f"{Path(sys.executable).parent}:{os.environ['PATH']}:/usr/sbin")


def ours(kind: Kind, certificate: Certificate, folder: Path, hosts: tuple[int, int]) -> Proxy:
    """Give the proxy with its file of deploy/, before the web *hosts* of this machine, by their ports."""
    port, plain = free_port(), free_port()
    text = (ROOT / "deploy" / _FILES[kind]).read_text()
    places = {
        "10.0.0.11:8000": f"127.0.0.1:{hosts[0]}",
        "10.0.0.12:8000": f"127.0.0.1:{hosts[1]}",
    }
    for old, new in (places | _changes(kind, certificate, folder, port, plain)).items():
        assert old in text, f"{_FILES[kind]} has no {old!r}"
        text = text.replace(old, new)
    return Proxy(kind, text, folder, port)


def _changes(kind: Kind, certificate: Certificate, folder: Path, port: int, plain: int) -> dict[str, str]:
    """Give what of a file of deploy/ is different here: addresses, users, paths, times."""
    keys = {"/etc/ssl/tidings/": f"{certificate.folder}/"}
    match kind:
        case "nginx":
            paths = "".join(f"{name}_temp_path {folder}/{name};" for name in _TEMPORARY)
            return keys | {
                "user www-data;": "",
                "pid /run/nginx.pid;": f"pid {folder}/pid; error_log stderr;",
                "worker_processes auto;": "worker_processes 1;",
                "worker_rlimit_nofile 65536;": "",
                "worker_connections 30000;": "worker_connections 1000;",
                "http {": f"http {{ {paths}",
                "listen 80;": f"listen 127.0.0.1:{plain};",
                "listen 443 ": f"listen 127.0.0.1:{port} ",
                "proxy_read_timeout 60s;": f"proxy_read_timeout {IDLE_S}s;",
                "worker_shutdown_timeout 1m;": f"worker_shutdown_timeout {GRACE_S}s;",
            }
        case "haproxy":
            return keys | {
                "    user haproxy\n    group haproxy\n    log /dev/log local0 notice\n": "",
                "maxconn 30000": "maxconn 1000",
                "bind :80\n": f"bind 127.0.0.1:{plain}\n",
                "bind :443 ": f"bind 127.0.0.1:{port} ",
                "timeout client 60s": f"timeout client {IDLE_S}s",
                "timeout server 60s": f"timeout server {IDLE_S}s",
                "hard-stop-after 1m": f"hard-stop-after {GRACE_S}s",
            }
        case "caddy":
            key = f"\ttls {certificate.folder}/fullchain.pem {certificate.folder}/key.pem"
            return {
                "{\n\t# A stop": "{\n\tauto_https disable_redirects\n\t# A stop",
                "tidings.example.com {": f"localhost:{port} {{\n\tbind 127.0.0.1\n{key}",
                "read_timeout 60s": f"read_timeout {IDLE_S}s",
                "lb_try_duration 3s": "lb_try_duration 500ms",
                "grace_period 5s": f"grace_period {GRACE_S}s",
            }


_TEMPORARY: Final = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


def default(kind: Kind, certificate: Certificate, folder: Path, host: int) -> Proxy:
    """Give the proxy as it is, with no more than has to be said, and its idle time-out lowered."""
    port = free_port()
    key = f"{certificate.folder}/fullchain.pem", f"{certificate.folder}/key.pem"
    text = {
        "nginx": nginx_around(
            folder,
            f"server {{ listen 127.0.0.1:{port} ssl;\n"
            f"ssl_certificate {key[0]}; ssl_certificate_key {key[1]};\n"
            f"location / {{ proxy_pass http://127.0.0.1:{host}; proxy_read_timeout {IDLE_S}s; }} }}",
        ),
        "haproxy": f"defaults\n mode http\n timeout connect 5s\n timeout client {IDLE_S}s\n"
        f" timeout server {IDLE_S}s\nlisten edge\n"
        f" bind 127.0.0.1:{port} ssl crt {certificate.folder}/fullchain-and-key.pem\n"
        f" server web 127.0.0.1:{host}\n",
        "caddy": f"{{\nauto_https disable_redirects\n}}\nlocalhost:{port} {{\ntls {key[0]} {key[1]}\n"
        f"reverse_proxy 127.0.0.1:{host} {{\ntransport http {{\nread_timeout {IDLE_S}s\n}}\n}}\n}}\n",
    }[kind]
    return Proxy(kind, text, folder, port)


def nginx_around(folder: Path, servers: str) -> str:
    """Give a configuration of nginx with *servers*, all of whose files are in *folder*."""
    paths = "".join(f"{name}_temp_path {folder}/{name};\n" for name in _TEMPORARY)
    return (
        f"pid {folder}/pid; error_log stderr; worker_processes 1;\nevents {{}}\n"
        f"http {{ access_log off;\n{paths}\n{servers}\n}}\n"
    )


@contextmanager
def wrong(kind: Kind, folder: Path, host: int, faults: list[str]) -> Iterator[list[str]]:
    """Run HAProxy or Caddy with a server for each of *faults*, which are lines of its; gives their URLs."""
    ports = [free_port() for _ in faults]
    pairs = list(zip(ports, faults, strict=True))
    if kind == "haproxy":
        text = (
            "defaults\n mode http\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n"
            + "".join(
                f"listen port{port}\n bind 127.0.0.1:{port}\n server web 127.0.0.1:{host}\n {fault}\n"
                for port, fault in pairs
            )
        )
    else:
        text = "{\nauto_https off\n}\n" + "".join(
            f"http://127.0.0.1:{port} {{\nreverse_proxy 127.0.0.1:{host} {{\n{inner}\n}}\n{outer}\n}}\n"
            for port, fault in pairs
            for inner, _, outer in [fault.partition(AROUND)]
        )
    with Proxy(kind, text, folder, ports[-1]):
        yield [f"http://127.0.0.1:{port}" for port in ports]
