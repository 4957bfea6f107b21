"""Log records as JSON, one line each, for machines that read them.

Beside the flow: takes what any logger says, gives a line that names the operation it is about: the one that
the record was given (``extra={"operation_id": …}``, or several as ``operation_ids``), else the one that was
current where it was said. Python's logging is not set up here: composition roots do that.
"""

import logging
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from tidings.current import current_operation
from tidings.json_line import encode_line


class JsonFormatter(logging.Formatter):
    """Writes ``time level logger process message``, and ``operationId operationIds exception`` if any."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record as one line of JSON. Never raises for what it says."""
        operation = current_operation()
        said: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC)
            .isoformat(timespec="milliseconds")
            .replace("+00:00", "Z"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": _sayable(record.getMessage()),
        }
        operation_id = getattr(record, "operation_id", None) or (operation.id if operation else None)
        if operation_id is not None:
            said["operationId"] = _sayable(str(operation_id))
        operation_ids = getattr(record, "operation_ids", None)
        if operation_ids is not None:
            said["operationIds"] = [_sayable(str(one)) for one in operation_ids]
        if record.exc_info:
            said["exception"] = _sayable(self.formatException(record.exc_info))
        return encode_line(said).decode()


def speak_json(handlers: Iterable[logging.Handler]) -> None:
    """Have *handlers* write JSON from now on."""
    for handler in handlers:
        handler.setFormatter(JsonFormatter())


def _sayable(text: str) -> str:
    """Give *text* without lone surrogates, which UTF-8 cannot say."""
    return text.encode(errors="backslashreplace").decode()
