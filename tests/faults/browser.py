"""A browser with one ``EventSource``, which writes down all that it is told.

It comes back as the HTML standard asks: after the time that it was last told, with the id that it last had; a
204 ends it, any other status but 200 ends it for ever. Takes a URL, gives a transcript; it judges nothing.
"""

import random
import threading
import time
from typing import Final

from tests.faults.transcript import Heard, Transcript
from tests.http_stream import BodyEnd, HttpStream, open_stream
from tidings.cursor import Cursor

ANSWER_S: Final = 60.0
"""How long it waits for the head of a response. A browser waits for minutes."""
LOOK_S: Final = 0.1
"""How long it reads before it looks whether it is to stop."""
DEFAULT_RETRY_MS: Final = 3_000
"""What a browser waits that was told nothing yet; theirs differ, from 1 to 5 s."""

LEAST_RETRY_S: Final = 0.05


class Browser:
    """One thread, from `start` to `stop`. *leaves*: how often a message makes it drop its connection."""

    def __init__(self, url: str, transcript: Transcript, *, seed: str, leaves: float = 0.0) -> None:
        self.transcript = transcript
        self.leaves = leaves
        self.cursor = ""
        self.connections = 0
        self.status = 0
        """Of the last response."""
        self.fault: BaseException | None = None
        self._url = url
        self._random = random.Random(seed)  # noqa: S311 - to be replayed
        self._retry_ms = DEFAULT_RETRY_MS
        self._stopped = threading.Event()
        self._hurried = threading.Event()
        self._thread = threading.Thread(target=self._live, name=transcript.name, daemon=True)

    def start(self) -> None:
        """Open the stream."""
        self._thread.start()

    def leave(self) -> None:
        """Leave for good; do not wait until it has."""
        self._stopped.set()
        self.hurry()

    def stop(self) -> None:
        """Leave for good, and wait until it has. Raises what it fell over, if it did."""
        self.leave()
        self._thread.join(ANSWER_S)
        if self.fault is not None:
            raise self.fault

    def hurry(self) -> None:
        """Come back at once from now on, and stay: there is nothing more to be tried."""
        self.leaves = 0
        self._hurried.set()

    @property
    def done(self) -> bool:
        """Whether it will not come back."""
        return not self._thread.is_alive()

    @property
    def live(self) -> bool:
        """Whether it has a place in the log."""
        return bool(self.cursor)

    def has_reached(self, place: Cursor) -> bool:
        """Tell whether it has everything up to *place*, or was told that there is no more for it."""
        if self.done or not self.live:
            return self.done
        at = Cursor.parse(self.cursor)
        return at.era == place.era and at.n >= place.n

    def _live(self) -> None:
        try:
            while not self._stopped.is_set() and self.status in {0, 200}:
                self._connect()
                self._stopped.wait(LEAST_RETRY_S)
                self._hurried.wait(self._retry_ms / 1_000)
        except BaseException as error:  # noqa: BLE001 - raised again in the test's thread
            self.fault = error

    def _connect(self) -> None:
        headers = {"Last-Event-ID": self.cursor} if self.cursor else {}
        try:
            stream = open_stream(self._url, headers=headers, timeout_s=ANSWER_S)
        except OSError:
            return
        self.connections += 1
        with stream:
            self.status = stream.status
            self._read(stream)

    def _read(self, stream: HttpStream) -> None:
        while stream.end is BodyEnd.OPEN and not self._stopped.is_set():
            try:
                messages = stream.read_more(LOOK_S)
            except TimeoutError:
                continue
            finally:
                self._retry_ms = stream.retry_ms or self._retry_ms
            at = time.monotonic()
            for message in messages:
                self.transcript.heard.append(Heard.of(message, self.cursor, at))
                self.cursor = message.last_event_id
            if self.live and messages and self._random.random() < self.leaves:
                stream.close(abruptly=True)
                return
