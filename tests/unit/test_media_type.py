"""What a file is taken for: by its content, never by its name alone."""

import pytest

from tidings.media_type import media_type


@pytest.mark.parametrize(
    ("name", "head", "found"),
    [
        ("a.png", b"\x89PNG\r\n\x1a\n\x00", "image/png"),
        ("a.html", b"\x89PNG\r\n\x1a\n\x00", "image/png"),
        ("a.png", b"<html>", "text/plain; charset=utf-8"),
        ("a.webp", b"RIFF\x00\x00\x00\x00WEBPVP8 ", "image/webp"),
        ("a.wav", b"RIFF\x00\x00\x00\x00WAVEfmt ", "application/octet-stream"),
        ("report.html", b"<h1>caf\xc3\xa9</h1>", "text/html; charset=utf-8"),
        ("report.HTML", b"<h1>", "text/html; charset=utf-8"),
        ("chart.svg", b"<svg/>", "image/svg+xml"),
        ("rows.jsonl", b"{}\n{}\n", "application/jsonl"),
        ("rows.csv", "é".encode()[:1], "text/csv; charset=utf-8"),
        ("rows.csv", b"a;\xe9;b", "application/octet-stream"),
        ("notes.txt", b"a\x00b", "application/octet-stream"),
        ("notes", b"", "text/plain; charset=utf-8"),
    ],
)
def test_the_content_decides_and_the_name_says_which_text(name: str, head: bytes, found: str) -> None:
    """A name can say which text it is, and cannot make a text of bytes or an image of text."""
    assert media_type(name, head) == found
