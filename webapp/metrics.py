"""What there is to know of the web processes of one host, as numbers: every metric, in one table.

Beside the flow: takes a row of numbers of each process (`webapp.measuring`), gives what they are together.
Pure. docs/metrics.md says more of each; why it is not prometheus-client, docs/adr/0015.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Final, Literal

from tidings.replay import Reset
from webapp.counts import LATENCY_BOUNDS_S
from webapp.exposition import Family, Sample
from webapp.slots import ALIVE
from webapp.subscriber import CloseReason

GEARS: Final = ("parked", "generator")
AWAY: Final = ("unavailable", "draining", "overloaded", "limited")
WAYS: Final = ("live", "replay")
_LESS_OR_EQUAL: Final = (*(f"{bound:g}" for bound in LATENCY_BOUNDS_S), "+Inf")


@dataclass(frozen=True, kw_only=True)
class Metric:
    """A metric. Each process has a number for it, or one for each of *values* of its *label*.

    ``of``: what the processes' numbers are together. A counter's is their sum; ``since`` is the seconds that
    have passed since the earliest. Gauges count living processes only.
    """

    name: str
    type: Literal["counter", "gauge", "histogram"]
    unit: str
    help: str
    of: Literal["sum", "min", "max", "since"] = "sum"
    label: str = ""
    values: tuple[str, ...] = ("",)

    @property
    def width(self) -> int:
        """How many numbers a process has for it: a histogram's are its buckets', and the sum."""
        return len(self.values) + (self.type == "histogram")


def _each(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(str(name) for name in names)


METRICS: Final = (
    Metric(
        name="tidings_streams_open", type="gauge", unit="streams", label="gear", values=GEARS,
        help="Streams that are live now.",
    ),
    Metric(
        name="tidings_streams_opened_total", type="counter", unit="streams", label="gear", values=GEARS,
        help="Streams whose opening began.",
    ),
    Metric(
        name="tidings_streams_ended_total", type="counter", unit="streams", label="reason",
        values=_each(CloseReason),
        help="Streams that ended, in their opening or live.",
    ),
    Metric(
        name="tidings_streams_turned_away_total", type="counter", unit="streams", label="reason", values=AWAY,
        help="Requests for a stream that were told when to come back, and no more.",
    ),
    Metric(
        name="tidings_requests_limited_total", type="counter", unit="requests",
        help="Requests that were answered 429: more from one address than TIDINGS_REQUESTS_PER_S.",
    ),
    Metric(
        name="tidings_events_read_total", type="counter", unit="events",
        help="Events read from the log; each web process reads each event once.",
    ),
    Metric(
        name="tidings_events_written_total", type="counter", unit="events", label="how", values=WAYS,
        help="Events with an id that the kernel took, wholly or in part: as they came, or in an opening.",
    ),
    Metric(
        name="tidings_events_conflated_total", type="counter", unit="events",
        help="Progress that a slow reader was not sent, because newer progress of its operation followed.",
    ),
    Metric(
        name="tidings_replays_total", type="counter", unit="streams",
        help="Streams that came back with a cursor and got exactly what they had missed.",
    ),
    Metric(
        name="tidings_resets_total", type="counter", unit="streams", label="reason", values=_each(Reset),
        help="Streams that were told that they cannot go on where they were.",
    ),
    Metric(
        name="tidings_report_to_write_seconds", type="histogram", unit="seconds", label="le",
        values=_LESS_OR_EQUAL,
        help="From when an event was said, by its author's clock, to when it was written to a live stream.",
    ),
    Metric(
        name="tidings_events_ahead_total", type="counter", unit="events",
        help="Events that were written before they were said: their author's clock is ahead of this host's.",
    ),
    Metric(
        name="tidings_upload_bytes_total", type="counter", unit="bytes",
        help="Bytes of uploads that were written to the disk.",
    ),
    Metric(
        name="tidings_foreign_messages_total", type="counter", unit="messages",
        help="Messages on our channel of Redis that no reporter sent, those that come at once counted once.",
    ),
    Metric(
        name="tidings_redis_up", type="gauge", unit="0 or 1", of="min",
        help="1 while every web process follows the log.",
    ),
    Metric(
        name="tidings_feed_lag_seconds", type="gauge", unit="seconds", of="since",
        help="Since the web process that is furthest behind had all that is in the log; up to 1 in quiet.",
    ),
    Metric(
        name="tidings_log_era", type="gauge", unit="number", of="max",
        help="The life of the log that is followed; a restart, failover or flush of Redis changes it.",
    ),
    Metric(
        name="tidings_operations_running", type="gauge", unit="operations", of="max",
        help="Operations that a living process works on, as Redis was last seen.",
    ),
    Metric(
        name="tidings_reporter_waiting_events", type="gauge", unit="events",
        help="What the web processes themselves report and Redis has not taken yet (of uploads).",
    ),
    Metric(
        name="tidings_web_processes", type="gauge", unit="processes",
        help="Web processes that live.",
    ),
)  # fmt: skip

KEPT: Final = tuple(metric.type != "gauge" for metric in METRICS for _ in range(metric.width))
"""Of each number of a row behind the first: whether it outlives its process."""
_PLACES: Final = tuple(pairwise(accumulate((metric.width for metric in METRICS), initial=1)))


def row_of(numbers: Mapping[str, Sequence[float]]) -> list[float]:
    """Put a process' *numbers*, by the metrics' names, in a row's order. Raises: KeyError, ValueError."""
    if any(len(numbers[metric.name]) != metric.width for metric in METRICS):
        raise ValueError("a metric has more or fewer numbers than places")
    return [number for metric in METRICS for number in numbers[metric.name]]


def families(rows: Sequence[Sequence[float]], now_s: float) -> list[Family]:
    """Put the processes' *rows* together, at *now_s* of the host's monotonic clock."""
    living = [row for row in rows if row[ALIVE]]
    return [
        Family(metric.name, metric.type, metric.help, tuple(_samples(metric, chosen, now_s)))
        for metric, (first, end) in zip(METRICS, _PLACES, strict=True)
        for chosen in [[row[first:end] for row in (living if metric.type == "gauge" else rows)]]
    ]


def _samples(metric: Metric, rows: Sequence[Sequence[float]], now_s: float) -> Iterator[Sample]:
    together = [_together(metric, column, now_s) for column in zip(*rows, strict=True)]
    if metric.type == "histogram":
        *buckets, total = together
        counted = list(accumulate(buckets))
        for bound, number in zip(metric.values, counted, strict=True):
            yield Sample(number, {metric.label: bound}, "_bucket")
        yield Sample(total, suffix="_sum")
        yield Sample(counted[-1], suffix="_count")
        return
    for value, number in zip(metric.values, together, strict=True):
        yield Sample(number, {metric.label: value} if metric.label else {})


def _together(metric: Metric, column: Sequence[float], now_s: float) -> float:
    match metric.of:
        case "sum":
            return sum(column)
        case "min":
            return min(column)
        case "max":
            return max(column)
        case "since":
            return now_s - min(column)
