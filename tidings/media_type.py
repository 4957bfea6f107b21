"""What a file is, by its first bytes; its name only says which kind of text. Pure."""

import codecs
from pathlib import PurePosixPath
from typing import Final

HEAD_BYTES: Final = 4_096
OCTETS: Final = "application/octet-stream"
_SIGNATURES: Final = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"%PDF-", "application/pdf"),
    (b"PK\x03\x04", "application/zip"),
    (b"\x1f\x8b\x08", "application/gzip"),
)
"""As the WHATWG's MIME Sniffing standard has them (6.1, 7)."""
_TEXTS: Final = {
    ".html": "text/html",
    ".svg": "image/svg+xml",
    ".css": "text/css",
    ".csv": "text/csv",
    ".md": "text/markdown",
    ".xml": "application/xml",
    ".json": "application/json",
    ".jsonl": "application/jsonl",
}


def media_type(name: str, head: bytes) -> str:
    """Say what a file is that begins with *head*: of a whole file, or its first `HEAD_BYTES`."""
    for signature, found in _SIGNATURES:
        if head.startswith(signature):
            return found
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "image/webp"
    if not _is_text(head):
        return OCTETS
    text = _TEXTS.get(PurePosixPath(name).suffix.lower(), "text/plain")
    return f"{text}; charset=utf-8" if text.startswith("text/") else text


def _is_text(head: bytes) -> bool:
    """Tell whether it is UTF-8 without control bytes; a character cut at the end counts as whole."""
    try:
        text = codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return False
    return not any(character < " " and character not in "\t\n\r\f\x1b" for character in text)
