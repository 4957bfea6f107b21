"""Events that are more than one because of what stands in them: the advisories of 2026, each tried here.

Each test puts what the advisory shows into every field of a frame that is not ours alone, and into everything
that an operation can say. What a browser would read of it is what was said, as data, and nothing else.
"""

import json

import pytest

from tests.said import Author, heard
from tests.sse import EventStreamParser
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.errors import InvalidValue
from tidings.replay import Reset
from webapp.frames import frame, heartbeat, reset, retry

PLACE = Cursor(1_795_342_513_466_123, 9)


@pytest.fixture(scope="module")
def author() -> Author:
    """One who says everything."""
    return Author()


def refused(*texts: str) -> None:
    """Neither as the name of an event, nor as its id, nor as its data is any of *texts* written."""
    for text in texts:
        for event, data, event_id in ((text, "{}", ""), ("progress", text, ""), ("progress", "{}", text)):
            with pytest.raises(ValueError, match="must not hold CR, LF or NUL"):
                frame(event, data.encode(), event_id)
        with pytest.raises(InvalidValue):
            Cursor.parse(text)


def only_said(author: Author, *texts: str) -> None:
    """What authors say and browsers send is data of the events that were to be written."""
    for text in texts:
        for message in heard(author.say(text)):
            assert message.type in {"status", "warning", "error", "progress", "complete"}
            assert "forged" not in message.data or json.loads(message.data)
        for reason in Reset:
            parser = EventStreamParser(last_event_id=PLACE.wire)
            (message,) = parser.feed(retry() + reset(reason, text))
            assert (message.type, parser.last_event_id) == ("reset", PLACE.wire)
            assert parser.retry_ms is not None
            assert parser.retry_ms >= 500
            assert json.loads(message.data)["requestedId"] == text[:128]


def test_cve_2026_22735_spring_lines_in_plain_text_data(author: Author) -> None:
    """Spring Framework, `ServerSentEvent`: lines in data that is no JSON (GHSA-6hcq-hmm3-jj3c)."""
    texts = ("said\n\nevent:forged\ndata:x", "said\rid:forged", "said\r\nretry:1")
    refused(*texts)
    only_said(author, *texts)


def test_cve_2026_29085_hono_event_id_and_retry(author: Author) -> None:
    """Hono, `writeSSE`: CR and LF in event, id and retry (GHSA-p6xx-57qc-3wxr)."""
    texts = ("test\nevent: forged", "test\revent: forged", "1\r\ndata: forged", "1000\nretry: 1")
    refused(*texts)
    only_said(author, *texts)


def test_cve_2026_33128_h3_line_feeds_in_any_field(author: Author) -> None:
    """h3, `createEventStream`: LF in id, event, data and comment (GHSA-22cc-p3c6-wpvm)."""
    texts = (
        "message\nevent: admin\ndata: ALL_USERS_FORGED",
        "bob: hi\n\nevent: system\ndata: Reset: forged.example",
        "1\nretry: 1",
        "1\nid: forged",
    )
    refused(*texts)
    only_said(author, *texts)


def test_ghsa_4hxc_9384_m385_h3_bare_carriage_return(author: Author) -> None:
    """h3 again, behind the mend of CVE-2026-33128: a CR alone ends a line as well."""
    texts = (
        "legit\revent: forged",
        "hi\r\revent: system\rdata: forged\r\r",
        "x\rid: forged",
        "x\r\n\rdata: y",
    )
    refused(*texts)
    only_said(author, *texts)


def test_cve_2026_35515_nest_type_and_id(author: Author) -> None:
    """NestJS, `SseStream._transform`: CR and LF in type and id (GHSA-36xv-jgw5-4q75)."""
    texts = ("update\ndata: forged\n\n", "42\n\nevent: forged\ndata: x\n\n", "42\rretry: 1")
    refused(*texts)
    only_said(author, *texts)


def test_cve_2026_43968_cowlib_carriage_return_in_id_and_event(author: Author) -> None:
    """cowlib, `cow_sse:event/1`: guards against LF and not against a bare CR."""
    texts = ("a\revent: forged", "a\rdata: forged\r\r", "a\r\rdata: forged\r\r")
    refused(*texts)
    only_said(author, *texts)


def test_cve_2026_44214_eventsource_encoder_event_and_id(author: Author) -> None:
    """eventsource-encoder: all three ends of a line in event and id (GHSA-m9g3-3g99-mhpx)."""
    texts = tuple(f'message{end}event: admin{end}data: {{"role":"forged"}}' for end in ("\n", "\r", "\r\n"))
    refused(*texts)
    only_said(author, *texts)


def test_cve_2026_44217_sse_channel_event_retry_and_id(author: Author) -> None:
    """sse-channel: line ends in event, retry and id (GHSA-84hm-wfh8-c5pg)."""
    texts = ("x\ndata: forged\n\n", "1\n\ndata: forged\n\nid: next", "5000\ndata: forged")
    refused(*texts)
    only_said(author, *texts)


def test_flask_sse_40_and_django_eventstream_185_and_fastapi_15187(author: Author) -> None:
    """The same in Python, without a number: what is interpolated, and data split at LF or by splitlines()."""
    texts = ("x\nevent: spoofed", "a\rdata: forged", "abc\r\n\r\nid: next")
    refused(*texts)
    only_said(author, *texts, "a\u2028data: forged", "a\u0085\u2029data: forged", "a\x0b\x0cdata: forged")


@pytest.mark.parametrize("end", ["\n", "\r", "\r\n"])
def test_what_others_wrote_into_the_log_is_no_second_event(end: str) -> None:
    """An entry on more than one line is not of our making, and goes to nobody."""
    data = f'{{"operationId":"a",{end}"operationType":"b"}}'.encode()
    with pytest.raises(InvalidValue, match="on one line"):
        Entry.from_stream(PLACE.stream_id.encode(), {b"t": b"progress", b"d": data, b"k": b"operations:a"})


def test_nobody_but_the_service_says_where_a_stream_stands() -> None:
    """Ids are numbers that the log gave; a heartbeat has nothing else to be written into."""
    assert heartbeat(PLACE) == b"event: heartbeat\nid: %b\ndata: {}\n\n" % PLACE.wire.encode()
