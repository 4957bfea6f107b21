"""What Schemathesis has to be taught to speak with our API; loaded by `tests/schemathesis.toml`."""

from typing import Any

import schemathesis

from webapp.tus import CHUNK_TYPE

schemathesis.serializer.alias(CHUNK_TYPE, "application/octet-stream")


@schemathesis.hook
def map_body(_: Any, body: Any) -> Any:
    """Write whole numbers as JavaScript does: JSON Schema takes 7.0 for an integer, the service does not."""
    return _with_whole_numbers(body)


def _with_whole_numbers(value: Any) -> Any:
    match value:
        case dict():
            return {name: _with_whole_numbers(each) for name, each in value.items()}
        case list():
            return [_with_whole_numbers(each) for each in value]
        case float() if value.is_integer():
            return int(value)
        case _:
            return value
