"""JSON on one line, whatever alphabet of line breaks its reader knows.

Takes plain values and structs, gives bytes fit for the data of one Server-Sent Event. Pure.
"""

from typing import Any, Final

from msgspec import json

# U+0085, U+2028 and U+2029 are legal in JSON and in SSE data, but clients that split lines
# with str.splitlines() cut there (PITFALLS B8). JSON has an escape for each; bytes of one
# UTF-8 character never occur inside another, so replacing bytes is exact. append.lua does
# the same to what it splices in.
_BREAKS: Final = ((b"\xc2\x85", b"\\u0085"), (b"\xe2\x80\xa8", b"\\u2028"), (b"\xe2\x80\xa9", b"\\u2029"))
_encoder: Final = json.Encoder()


def encode_line(value: Any) -> bytes:
    """Write *value* as UTF-8 JSON without any line break; NaN and Infinity become null.

    Raises: TypeError, ValueError, OverflowError or RecursionError for what is not JSON.
    """
    data = _encoder.encode(value)
    if data.isascii():
        return data
    for raw, escaped in _BREAKS:
        if raw in data:
            data = data.replace(raw, escaped)
    return data
