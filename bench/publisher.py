"""Publishes events that carry their number and the time, at a given rate, to one server.

A process of its own, so that nothing else delays it: ``python -m bench.publisher '<sink as JSON>'``. Commands
on stdin, one a line, each answered by one line of JSON:

    announce <operations>              make the operations known (only our log needs it)
    publish <rounds> <rate> <bytes>    say <rounds> times something of each operation, <rate> events/s in all

The sinks: our log through `Log.append`, our log through `Operation` and its reporter, a peer's HTTP or Redis
door, the floor's pipe. All of them send the same JSON, made by our own `Record`.
"""

import json
import os
import secrets
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence
from itertools import count
from typing import Any, Final, Protocol

from redis import Redis

from tidings.descriptor import Descriptor
from tidings.events import Progress
from tidings.log import Log
from tidings.operation import Operation
from tidings.record import OWN, Record
from tidings.reporter import BATCH_RECORDS, Reporter
from tidings.settings import Settings

KIND: Final = "batch"
LAST_S: Final = 60
"""How long a sink may take to be rid of what it was given."""
BEAT_S: Final = 3.0
"""Of a lease of 10 s, as tidings.lease has it."""
TICK_S: Final = 0.001
"""Pause between two looks at what is due: below every bar; 1,000 wake-ups a second are 1-2 % of a core."""


class Sink(Protocol):
    """One way into one server."""

    def announce(self, descriptors: Sequence[Descriptor]) -> None:
        """Make operations known."""

    def publish(self, records: Sequence[Record]) -> None:
        """Send *records*, in order."""

    def finish(self) -> None:
        """Wait until all that was sent has been taken."""


class LogSink:
    """Our log, as a reporter's thread writes it: one append per batch, one batch in flight, and a beat."""

    def __init__(self, redis_url: str, namespace: str) -> None:
        self._log = Log(Settings(redis_url=redis_url, namespace=namespace))
        self.reporter = secrets.token_hex(8)
        self._next = 1

    def announce(self, descriptors: Sequence[Descriptor]) -> None:
        """Begin each operation."""
        self.publish([Record.beginning(descriptor, f"{self.reporter}.1", 1) for descriptor in descriptors])
        threading.Thread(target=self._beat_for_ever, daemon=True).start()

    def _beat_for_ever(self) -> None:
        """Keep the operations alive while streams connect: that takes longer than a lease."""
        for beat in count(1):
            self._log.append(self.reporter, 0, [], str(beat))
            time.sleep(BEAT_S)

    def publish(self, records: Sequence[Record]) -> None:
        """Append *records*; an outcome that is not `stored` ends the benchmark."""
        for first in range(0, len(records), BATCH_RECORDS):
            batch = records[first : first + BATCH_RECORDS]
            outcomes = self._log.append(self.reporter, self._next, batch)
            self._next += len(batch)
            refused = [outcome for outcome in outcomes if outcome.code != "stored"]
            if refused or len(outcomes) != len(batch):
                raise RuntimeError(f"the log took {len(outcomes)} of {len(batch)}: {refused[:1]}")

    def finish(self) -> None:
        """Do nothing: an append has been taken when it returns."""


class ReporterSink:
    """Our log through the whole task side: `Operation.progress`, the reporter's buffer and its thread."""

    def __init__(self, redis_url: str, namespace: str) -> None:
        log = Log(Settings(redis_url=redis_url, namespace=namespace))
        self.reporter = ""
        self._reporter = Reporter(log, buffer_records=1_000_000, interval_s=0.000_1)
        self._operations: dict[str, Operation] = {}

    def announce(self, descriptors: Sequence[Descriptor]) -> None:
        """Start each operation."""
        for descriptor in descriptors:
            operation = Operation(descriptor.kind, descriptor.id, reporter=self._reporter, strict=False)
            self._operations[descriptor.id] = operation.start()
        self.finish()

    def publish(self, records: Sequence[Record]) -> None:
        """Report what *records* say, as a task would."""
        for record in records:
            said = json.loads(record.data)
            self._operations[record.descriptor.id].progress(said["current"], said["total"], said["message"])

    def finish(self) -> None:
        """Wait for the reporter's thread."""
        if not self._reporter.flush(LAST_S):
            raise RuntimeError(f"the reporter did not get rid of its events in {LAST_S} s")


class HttpSink:
    """A peer that takes events over HTTP: pipelined POSTs on one connection, the answers counted."""

    reporter = ""

    def __init__(self, port: int, path: str) -> None:
        self._path = path
        self._port = port
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # Bounds a peer that takes no more; the thread that reads may wait for ever.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack("ll", LAST_S, 0))
        self._sent = self._answered = 0
        self._failed = b""
        threading.Thread(target=self._count_answers, daemon=True).start()

    def announce(self, descriptors: Sequence[Descriptor]) -> None:
        """Do nothing: a peer's channels exist once somebody asks for them."""

    def publish(self, records: Sequence[Record]) -> None:
        """POST each record's JSON to its operation's channel."""
        requests = [
            f"POST {self._path.format(topic=record.descriptor.id)} HTTP/1.1\r\n"
            f"Host: 127.0.0.1:{self._port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(record.data)}\r\n\r\n".encode()
            + record.data
            for record in records
        ]
        self._socket.sendall(b"".join(requests))
        self._sent += len(records)

    def finish(self) -> None:
        """Wait until every POST is answered."""
        deadline = time.monotonic() + LAST_S
        while self._answered < self._sent and not self._failed:
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self._answered} of {self._sent} POSTs were answered in {LAST_S} s")
            time.sleep(TICK_S)
        if self._failed:
            raise RuntimeError(f"a POST was refused: {self._failed.decode(errors='replace')}")

    def _count_answers(self) -> None:
        rest = b""
        while data := self._socket.recv(65_536):
            *lines, rest = (rest + data).split(b"\r\n")
            for line in lines:
                at = line.find(b"HTTP/1.1 ")  # a body without line end may stand before it
                if at >= 0:
                    self._answered += 1
                    if line[at + 9 : at + 10] != b"2":
                        self._failed = self._failed or line


class RedisSink:
    """A peer that listens to Redis pub/sub. With *wrap* the JSON goes into flask-sse's envelope."""

    reporter = ""

    def __init__(self, redis_url: str, *, wrap: bool) -> None:
        self._redis = Redis.from_url(redis_url)
        self._wrap = wrap

    def announce(self, descriptors: Sequence[Descriptor]) -> None:
        """Do nothing."""

    def publish(self, records: Sequence[Record]) -> None:
        """PUBLISH the records in one pipeline."""
        with self._redis.pipeline(transaction=False) as pipe:
            for record in records:
                data = record.data
                if self._wrap:
                    data = json.dumps({"data": json.loads(data), "type": record.event_type}).encode()
                pipe.publish(record.descriptor.id, data)
            pipe.execute()

    def finish(self) -> None:
        """Do nothing."""


class PipeSink:
    """The floor's standard input."""

    reporter = ""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def announce(self, descriptors: Sequence[Descriptor]) -> None:
        """Do nothing."""

    def publish(self, records: Sequence[Record]) -> None:
        """Write each record's JSON as a line."""
        os.write(self._descriptor, b"".join(record.data + b"\n" for record in records))

    def finish(self) -> None:
        """Do nothing."""


def sink_of(about: dict[str, Any]) -> Sink:
    """Make the sink that *about* describes."""
    kinds: dict[str, Any] = {
        "log": LogSink, "reporter": ReporterSink, "http": HttpSink, "redis": RedisSink, "pipe": PipeSink,
    }  # fmt: skip
    sink: Sink = kinds[about.pop("kind")](**about)
    return sink


class Publisher:
    """The operations of one run and how often each has been spoken of."""

    def __init__(self, sink: Sink, prefix: str) -> None:
        self._sink = sink
        self._prefix = prefix
        self._descriptors: list[Descriptor] = []
        self._run = f"{getattr(sink, 'reporter', '')}.1"
        self._round = 0

    def announce(self, operations: int) -> dict[str, float]:
        """Make so many operations known, named by the prefix and a number from 0."""
        began = time.monotonic()
        self._descriptors = [Descriptor.of(f"{self._prefix}{number}", KIND) for number in range(operations)]
        self._sink.announce(self._descriptors)
        self._round = 0
        return {"seconds": time.monotonic() - began}

    def publish(self, rounds: int, rate: float, size_bytes: int) -> dict[str, float]:
        """Say *rounds* things of each operation in turn, *rate* a second; the last tells how late it was."""
        operations, first = len(self._descriptors), self._round
        total = rounds * operations
        sent, late_s = 0, 0.0
        cpu, began = time.process_time(), time.monotonic()
        while sent < total:
            passed = time.monotonic() - began
            due = min(int(passed * rate) + 1, total)
            if due <= sent:
                time.sleep(TICK_S)
                continue
            late_s = max(late_s, passed - sent / rate)
            upto = min(due, sent + BATCH_RECORDS)
            self._sink.publish([self._record(at % operations, first + at // operations + 1, size_bytes)
                                for at in range(sent, upto)])  # fmt: skip
            sent = upto
        seconds = time.monotonic() - began
        self._sink.finish()
        self._round += rounds
        return {
            "sent": sent,
            "goal": self._round,
            "seconds": seconds,
            "late_ms": late_s * 1000,
            "cpu_s": time.process_time() - cpu,
        }

    def _record(self, number: int, sequence: int, size_bytes: int) -> Record:
        stamp = f"s={sequence} t={time.monotonic_ns()}"
        return Record.of(
            self._descriptors[number],
            Progress,
            condition=OWN,
            run=self._run,
            current=sequence,
            total=1_000_000,
            percentage=sequence / 10_000,
            message=stamp.ljust(size_bytes, "."),
        )


def main() -> None:
    """Obey the commands on stdin until it ends."""
    about = json.loads(sys.argv[1])
    prefix = about.pop("prefix")
    publisher = Publisher(sink_of(about), prefix)
    for line in sys.stdin:
        name, *words = line.split()
        if name == "announce":
            reply = publisher.announce(int(words[0]))
        else:
            reply = publisher.publish(int(words[0]), float(words[1]), int(words[2]))
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
