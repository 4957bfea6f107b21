"""Log records as lines of JSON, and what an access log may show."""

import json
import logging
import sys
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from gunicorn.config import Config

from tidings import Operation
from tidings.current import activate, deactivate
from tidings.json_log import JsonFormatter
from tidings.log import Log
from tidings.reporter import Reporter
from tidings.settings import Settings
from webapp.log_lines import ACCESS_FORMAT, JsonWebLogger, WebLogger


def line(message: str, *args: object, **more: Any) -> dict[str, Any]:
    """Give what is written of one record, which must be one line."""
    record = logging.LogRecord("tidings.x", logging.WARNING, __file__, 1, message, args, None)
    vars(record).update(more)
    written = JsonFormatter().format(record)
    assert len(written.splitlines()) == 1
    said: dict[str, Any] = json.loads(written)
    return said


def test_a_record_is_one_object_on_one_line() -> None:
    """Whatever breaks lines, or is no UTF-8, is in it as an escape."""
    said = line("a\nb\u2028c\x85%s", "\ud800")
    assert said["message"] == "a\nb\u2028c\x85\\ud800"
    assert (said["level"], said["logger"]) == ("warning", "tidings.x")
    assert said["time"].endswith("Z")
    assert "operationId" not in said


def test_a_record_names_the_operation_it_is_about() -> None:
    """The one it was given wins over the one that is current where it is said."""
    log = Log(Settings(redis_url="redis://127.0.0.1:1/0"))
    reporter = Reporter(log, buffer_records=1, interval_s=1)
    operation = Operation("import", id="op_1", reporter=reporter, strict=False)
    token = activate(operation)
    try:
        assert line("x")["operationId"] == "op_1"
        assert line("x", operation_id="op_2")["operationId"] == "op_2"
    finally:
        deactivate(token)
    assert line("x", operation_ids=["a", "b"])["operationIds"] == ["a", "b"]


def test_an_exception_is_in_the_record() -> None:
    """The traceback is a field of its own."""
    try:
        int("no\nway")
    except ValueError:
        said = line("failed", exc_info=sys.exc_info())
    assert said["message"] == "failed"
    assert said["exception"].startswith("Traceback")
    assert "ValueError: invalid literal" in said["exception"]


@pytest.mark.parametrize("made", [WebLogger, JsonWebLogger])
def test_an_access_log_shows_no_query_and_no_token(
    made: type[WebLogger], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a request for a stream its path, not what follows it, whichever way a line is written."""
    monkeypatch.setattr(logging.getLogger(), "handlers", [logging.NullHandler()])
    cfg = Config()
    cfg.set("accesslog", "-")
    cfg.set("access_log_format", f'{ACCESS_FORMAT} "%(f)s" %(q)s')
    environ = {
        "REMOTE_ADDR": "10.0.0.1",
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/api/events/stream?token=secret",
        "PATH_INFO": "/api/events/stream",
        "QUERY_STRING": "token=secret",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_REFERER": "https://a.test/page?token=secret",
        "HTTP_USER_AGENT": "curl",
    }
    response = SimpleNamespace(status="200 OK", sent=12, headers=[])
    made(cfg).access(response, SimpleNamespace(headers=[]), environ, timedelta(seconds=0.5))
    said = capsys.readouterr().out
    assert "GET /api/events/stream HTTP/1.1" in said
    assert "secret" not in said
    assert len(said.splitlines()) == 1
