"""The whole service over ``rediss://``: web, worker and reporter, with a certificate of the test's own.

The embedded server speaks no TLS, so a relay in front of it does, as stunnel and managed hosts do.
"""

import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import pytest

from dev.redis_server import RedisServer
from tests.relay import Relay
from tests.stack import Stack
from tidings.errors import LogUnavailable
from tidings.log import Log
from tidings.settings import Settings

CERTIFICATE: Final = "certificate.pem"


@pytest.fixture
def port(own_redis: RedisServer, tmp_path: Path) -> Iterator[int]:
    """A port where Redis speaks TLS as 127.0.0.1."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl to make a certificate with")
    key, certificate = tmp_path / "key.pem", tmp_path / CERTIFICATE
    asked = "-x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=redis -addext subjectAltName=IP:127.0.0.1"
    subprocess.run(
        ["openssl", "req", *asked.split(), "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def connect() -> socket.socket:
        plain = socket.socket(socket.AF_UNIX)
        plain.connect(urlsplit(own_redis.url).path)
        return plain

    with Relay(connect, lambda near: context.wrap_socket(near, server_side=True)) as relay:
        yield relay.port


def test_web_worker_and_reporter_work_over_tls(port: int, tmp_path: Path) -> None:
    """A task is started, runs, and is seen to its end, and so is what a process reports itself."""
    url = f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={tmp_path / CERTIFICATE}"
    with Stack(url, tmp_path, web=1) as stack:
        batch = stack.start_operation(source="python-stdlib", limit=5)
        operation = stack.operation()
        operation.warning("c", "m")
        operation.complete()
        assert [message.type for message in stack.history(operation.id)][-3:] == [
            "warning",
            "status",
            "complete",
        ]
        assert stack.history(batch)[-1].type == "complete"


def test_a_certificate_that_nobody_vouches_for_is_refused(port: int) -> None:
    """Unless the URL says that it need not be looked at, in redis-py's words or in Celery's."""
    with pytest.raises(LogUnavailable, match="certificate"):
        Log(Settings(redis_url=f"rediss://127.0.0.1:{port}/0")).hello()
    for none in ("none", "CERT_NONE"):
        log = Log(Settings(redis_url=f"rediss://127.0.0.1:{port}/0?ssl_cert_reqs={none}"))
        assert log.hello().token
        log.close()
