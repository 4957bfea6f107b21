"""What the web processes' numbers are together, as an independent reader of Prometheus' format takes them."""

import json
import re
import time
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.parked_streams import ParkedStreams, make_entry
from tidings.cursor import Cursor
from tidings.entry import Entry
from tidings.settings import Settings
from webapp.app import create_app
from webapp.counts import Counts, said_at_s
from webapp.exposition import Family, Sample, write
from webapp.hub import Hub
from webapp.metrics import KEPT, METRICS, families, row_of
from webapp.service import EXTENSION, Service
from webapp.settings import ServiceSettings
from webapp.slots import COLUMNS, Slot, Slots, assign_slot, leave_slot, make_slots
from webapp.subscriber import CloseReason
from webapp.views.metrics import may_scrape

DOCUMENT = (Path(__file__).parent.parent.parent / "docs/metrics.md").read_text(encoding="utf-8")
BOARD = json.loads((Path(__file__).parent.parent.parent / "docs/grafana.json").read_text(encoding="utf-8"))
SERIES = {
    metric.name + part: metric
    for metric in METRICS
    for part in (("_bucket", "_sum", "_count") if metric.type == "histogram" else ("",))
}


class Master:
    """What the hooks ask of gunicorn's master: its workers, by pid."""

    tidings_slots: Slots

    def __init__(self, workers: int) -> None:
        self.WORKERS: dict[int, Worker] = {}  # gunicorn's name for it
        make_slots(self, workers)

    def fork(self, pid: int) -> "Worker":
        """Start a worker as gunicorn does, and have it share its numbers."""
        worker = Worker()
        assign_slot(self, worker)
        self.WORKERS[pid] = worker
        assert worker.tidings_slot is not None
        worker.shown = Slot(self.tidings_slots, worker.tidings_slot, KEPT)
        return worker

    def reap(self, pid: int) -> None:
        """Note that a worker has ended."""
        leave_slot(self, self.WORKERS.pop(pid))

    def told(self) -> dict[str, float]:
        """Give what the metrics of all are, each by its name and labels."""
        return read(write(families([row.tolist() for row in self.tidings_slots], time.monotonic())))


class Worker:
    """What the hooks leave at gunicorn's worker."""

    tidings_slots: Slots
    tidings_slot: int | None
    shown: Slot

    def show(self, **numbers: Any) -> None:
        """Show these numbers, and for each other metric as many zeros as it has places."""
        zeros: dict[str, Any] = {metric.name: [0] * metric.width for metric in METRICS}
        self.shown.write(row_of({**zeros, **numbers}))


def read(text: bytes) -> dict[str, float]:
    """Read an exposition by prometheus_client: name{label=value} → number."""
    return {
        sample.name + "".join(f"{{{name}={value}}}" for name, value in sample.labels.items()): sample.value
        for family in text_string_to_metric_families(text.decode())
        for sample in family.samples
    }


@pytest.fixture
def here() -> Service:
    """The service of an app that was never started."""
    settings = ServiceSettings(
        log=Settings(redis_url="redis://127.0.0.1:1/0"),
        auth="required",
        metrics_token="let me",  # noqa: S106 - of this test
    )
    return cast("Service", create_app(settings).extensions[EXTENSION])


def test_an_independent_reader_finds_each_metric_with_its_type_and_labels(here: Service) -> None:
    """What /metrics says is what the table of metrics says, and nothing else."""
    found = {
        family.name: (family.type, {tuple(sample.labels.items()) for sample in family.samples})
        for family in text_string_to_metric_families(here.measuring.text().decode())
    }
    assert found == {
        metric.name.removesuffix("_total"): (
            metric.type,
            {((metric.label, value),) if metric.label else () for value in metric.values}
            | ({()} if metric.type == "histogram" else set()),
        )
        for metric in METRICS
    }


def test_the_document_has_each_metric_as_it_is_and_no_other() -> None:
    """docs/metrics.md has a row for each metric: its type, unit, label with its values, and what it is."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.+?) \| (.*?) ?\| (.+) \|$", DOCUMENT, re.MULTILINE)
    assert rows == [
        (
            metric.name,
            metric.type,
            metric.unit,
            f"`{metric.label}`: " + " ".join(f"`{value}`" for value in metric.values) if metric.label else "",
            metric.help,
        )
        for metric in METRICS
    ]


def test_the_board_asks_for_all_metrics_and_for_nothing_else() -> None:
    """Each query of docs/grafana.json names series and labels that there are, and each metric is shown."""
    asked = set()
    for panel in BOARD["panels"]:
        for query in (target["expr"] for target in panel["targets"]):
            names = set(re.findall(r"tidings_\w+", query))
            assert names
            assert names <= SERIES.keys(), query
            known = {"instance"} | {SERIES[name].label for name in names}
            assert set(re.findall(r"by \((\w+)\)", query)) <= known, query
            asked |= {SERIES[name].name for name in names}
    assert asked == {metric.name for metric in METRICS}


def test_a_row_has_room_for_all_numbers() -> None:
    """There are fewer numbers than columns."""
    assert len(KEPT) < COLUMNS


def test_counts_and_gauges_of_all_processes_are_summed() -> None:
    """What two processes show is told together: sums, the worst of what is up, the most of what all see."""
    master = Master(2)
    for pid, up in ((1, 1), (2, 0)):
        master.fork(pid).show(
            tidings_events_read_total=[pid * 10], tidings_streams_open=[pid, 0], tidings_redis_up=[up],
            tidings_operations_running=[pid], tidings_web_processes=[1],
        )  # fmt: skip
    told = master.told()
    assert told["tidings_events_read_total"] == 30
    assert told["tidings_streams_open{gear=parked}"] == 3
    assert told["tidings_redis_up"] == 0
    assert told["tidings_operations_running"] == 2
    assert told["tidings_web_processes"] == 2


def test_a_process_that_is_gone_keeps_its_counts_and_no_gauges_and_its_successor_goes_on() -> None:
    """A killed process is neither forgotten nor counted twice, however often it is replaced."""
    master = Master(2)
    master.fork(0).show(tidings_events_read_total=[1], tidings_streams_open=[1, 0])
    for turn in range(1, 60):
        master.fork(turn).show(tidings_events_read_total=[5], tidings_streams_open=[7, 0])
        assert master.told()["tidings_events_read_total"] == 1 + 5 * turn
        assert master.told()["tidings_streams_open{gear=parked}"] == 8
        master.reap(turn)
        assert master.told()["tidings_events_read_total"] == 1 + 5 * turn
        assert master.told()["tidings_streams_open{gear=parked}"] == 1


def test_processes_that_overlap_have_rows_of_their_own() -> None:
    """While a HUP is under way old and new processes count beside one another."""
    master = Master(1)
    old = master.fork(1)
    new = master.fork(2)
    for turn in (1, 2):
        old.show(tidings_events_read_total=[turn])
        new.show(tidings_events_read_total=[turn * 100])
        assert master.told()["tidings_events_read_total"] == turn * 101


def test_the_lag_of_a_process_that_hangs_grows() -> None:
    """What is told is the time since the earliest contact, also when nobody copies it any more."""
    master = Master(2)
    master.fork(1).show(tidings_feed_lag_seconds=[100.0])
    master.fork(2).show(tidings_feed_lag_seconds=[130.0])
    rows = [row.tolist() for row in master.tidings_slots]
    assert "tidings_feed_lag_seconds 45.5\n" in write(families(rows, 145.5)).decode()


def test_labels_and_helps_are_escaped() -> None:
    """Whatever a label's value is, the line stays one line."""
    said = 'a "b" \\ c\nd'
    text = write([Family("x", "gauge", said, (Sample(1.5, {"y": said}),))]).decode()
    (family,) = text_string_to_metric_families(text)
    assert (family.documentation, family.samples[0].labels, family.samples[0].value) == (
        said,
        {"y": said},
        1.5,
    )


def test_latency_is_counted_by_the_writes_in_its_bucket() -> None:
    """Writes of a page count with the age of its first event; one from the future has none, and is said."""
    counts = Counts()
    counts.written(3, time.time() - 0.2)
    counts.written(2, time.time() + 60)
    counts.written(0, time.time())
    counts.written(9, None)
    assert [number for number in counts.latency if number] == [2, 3]
    assert counts.latency[7] == 3  # up to 0.25 s
    assert 0.6 <= counts.latency_sum_s < 0.75
    assert counts.ahead == 2


def test_a_page_is_as_old_as_the_first_of_it_that_tells() -> None:
    """An era says no time; an event says its author's."""
    said = b'{"operationId":"a","operationType":"b","timestamp":"2026-11-22T09:10:00.123Z","attempt":1}'
    era, told = Entry(Cursor(1, 0), "era"), Entry(Cursor(1, 1), "progress", said)
    assert said_at_s([era, told]) == 1_795_338_600.123
    assert said_at_s([era]) is None
    assert said_at_s([make_entry(1)]) is None


def test_a_fan_out_is_counted_by_what_each_stream_got() -> None:
    """Read once, written once for each stream that asked for it."""
    hub = Hub(100, heartbeat_s=15)
    assert hub.counts.read == 0
    with ParkedStreams() as streams:
        for _ in range(3):
            streams.open()
        streams.route(make_entry(1), make_entry(2))
        assert streams.parking.counts.live == 6


def test_what_a_slow_reader_is_not_sent_is_counted_once() -> None:
    """Written and conflated together are all there was, however often a reader is looked at."""
    with ParkedStreams() as streams:
        subscriber, browser = streams.open(send_buffer_bytes=4_608)
        entries = [make_entry(n, "progress" if n % 10 else "status", size_bytes=3_000) for n in range(1, 121)]
        for entry in entries:
            streams.route(entry)
        while subscriber.chasing:
            browser.read()
            subscriber.catch_up()
        browser.read()
        counts = streams.parking.counts
        assert len(browser.places) == counts.live
        assert counts.conflated > 0
        assert counts.live + counts.conflated == len(entries)


def test_each_end_has_a_name_that_the_metrics_know() -> None:
    """No stream ends for a reason that is not counted."""
    ended = next(metric for metric in METRICS if metric.name == "tidings_streams_ended_total")
    assert ended.values == tuple(CloseReason)


@pytest.mark.parametrize(
    ("auth", "token", "said", "allowed"),
    [
        ("open", "", "", True),
        ("open", "secret", "", True),
        ("required", "", "", False),
        ("required", "", "Bearer ", False),
        ("required", "secret", "", False),
        ("required", "secret", "Bearer secre", False),
        ("required", "secret", "Bearer secret", True),
        ("required", "secrét", "Bearer secrét", True),
    ],
)
def test_metrics_are_for_who_has_their_token(auth: Any, token: str, said: str, *, allowed: bool) -> None:
    """Everybody where the service is open; else whoever says the token, and nobody where there is none."""
    settings = ServiceSettings(
        log=Settings(redis_url="redis://127.0.0.1:1/0"), auth=auth, host="127.0.0.1", metrics_token=token
    )
    assert may_scrape(settings, said) is allowed


def test_who_may_not_scrape_is_told_how(here: Service) -> None:
    """A 401 names the scheme; neither it nor the settings show the token."""
    client = create_app(here.settings).test_client()
    response = client.get("/metrics", headers={"Authorization": "Bearer wrong"})
    assert (response.status_code, response.headers["WWW-Authenticate"]) == (401, 'Bearer realm="metrics"')
    assert "let me" not in repr(here.settings) + response.text
