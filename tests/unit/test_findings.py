"""What the doctor makes of what it measured."""

from dataclasses import replace

import pytest

from tidings.cli.findings import of_clocks, of_descriptors, of_ready, of_stream
from tidings.cli.probe import NO_CURSOR, Probe
from tidings.cli.sse import Message
from tidings.cli.surroundings import SPARE_DESCRIPTORS
from webapp.worker import SPARE_DESCRIPTORS as OF_THE_WORKER

HEADERS = {
    "content-type": "text/event-stream",
    "cache-control": "no-store, no-transform",
    "transfer-encoding": "chunked",
}
RESET = Message("reset", f'{{"reason":"unknown_cursor","requestedId":"{NO_CURSOR}"}}', "")
OPENED = Probe(200, headers=HEADERS, first_s=0.1, opened_s=0.1, messages=(RESET,))


def test_it_counts_descriptors_as_the_service_does() -> None:
    """The library does not know the service, and has its own copy of that number."""
    assert SPARE_DESCRIPTORS == OF_THE_WORKER
    assert not list(of_descriptors(1_200, 1_000, 200))
    (finding,) = of_descriptors(1_199, 1_000, 200)
    assert "LimitNOFILE=1200" in finding.fix
    assert "TIDINGS_MAX_STREAMS to 999" in finding.fix


@pytest.mark.parametrize(
    ("found", "codes"),
    [
        (replace(OPENED, beat_s=12), []),
        (Probe(401), ["not_allowed"]),
        (Probe(404), ["wrong_path"]),
        (Probe(504), ["no_service"]),
        (Probe(500), ["odd_status"]),
        (Probe(ended_s=5), ["buffered"]),
        (Probe(end="cut"), ["cut"]),
        (Probe(200, headers=HEADERS, first_s=0.1, end="whole"), ["sent_away"]),
        (Probe(200, headers={**HEADERS, "content-encoding": "gzip"}, ended_s=5), ["compressed", "buffered"]),
        (replace(OPENED, silent_s=16), ["no_heartbeat"]),
        (replace(OPENED, silent_s=9, end="cut"), ["idle_timeout"]),
        (
            Probe(
                200,
                headers={"content-type": "text/event-stream", "content-length": "9", "x-cache": "HIT from x"},
                first_s=0.1, opened_s=0.1, beat_s=1,
            ),
            ["cached", "collected", "last_event_id"],
        ),
    ],
)  # fmt: skip
def test_each_fault_has_its_name(found: Probe, codes: list[str]) -> None:
    """And what follows from another is not said."""
    assert [finding.code for finding in of_stream(found, 15)] == codes
    assert all(finding.fix for finding in of_stream(found, 15))


@pytest.mark.parametrize(
    ("status", "body", "codes"),
    [
        (200, {"status": "ready"}, []),
        (200, {"status": "ready", "warnings": ["nothing is written to disk"]}, ["redis_setting"]),
        (503, {"status": "degraded", "reason": "no answer"}, ["degraded"]),
        (503, {"status": "draining"}, ["draining"]),
        (503, {}, ["no_service"]),
    ],
)
def test_readiness_is_taken_as_it_says(status: int, body: dict[str, object], codes: list[str]) -> None:
    """With its reason."""
    assert [finding.code for finding in of_ready(status, body)] == codes


def test_clocks_may_differ() -> None:
    """It is said, and no fault."""
    assert not list(of_clocks(1.5))
    (finding,) = of_clocks(-40)
    assert finding.note
    assert "40 s behind" in finding.what
