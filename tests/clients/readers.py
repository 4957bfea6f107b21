"""The browsers' end of the flow, five times: one stream read by clients that were written independently.

Takes the URL of a stream from a test and gives it the messages that each client delivers, as values that can
be compared: ``READERS`` is the list of clients, all with one signature. What a client does differently from
the HTML standard is put right in ``_as_standard_has_it`` and nowhere else. It does not hide that some clients
reconnect (npm's and Chromium's) and the others do not.
"""

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from http.client import HTTPResponse
from typing import Protocol
from urllib.parse import urljoin
from urllib.request import ProxyHandler, Request, build_opener

import httpx
from httpx_sse import connect_sse
from playwright.sync_api import sync_playwright
from sseclient import SSEClient

from dev.browser import find_chromium
from dev.node import CLIENTS, bring, find_node
from tests.http_stream import open_stream
from tests.sse import Message

EVENT_TYPES = ["message", "progress", "status", "warning", "error", "complete", "heartbeat", "reset"]
"""Each type of docs/protocol.md, and the default: an EventSource delivers only those it is told to expect."""

CHROMIUM_FLAGS = [
    "--no-sandbox",  # a container runs the tests as root, and Chromium refuses root in a sandbox
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",  # these four: no traffic but the test's own
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]

_READ_SIZE_BYTES = 65_536  # guessed: never splits what the server sent in one piece

_READ_IN_PAGE = """
([url, stopType, types, timeoutMs]) => new Promise((resolve, reject) => {
  const source = new EventSource(url);
  const messages = [];
  const end = (settle, value) => { source.close(); settle(value); };
  for (const type of new Set([...types, stopType])) {
    source.addEventListener(type, ({data, lastEventId}) => {
      if (data === undefined) return;  // the connection's own error, see below
      messages.push([type, data, lastEventId]);
      if (type === stopType) end(resolve, messages);
    });
  }
  source.addEventListener("error", ({data}) => {
    if (data === undefined && source.readyState === EventSource.CLOSED) {
      end(reject, new Error(`refused after ${messages.length} messages`));
    }
  });
  setTimeout(() => end(resolve, null), timeoutMs);
})
"""
"""Resolves to the messages up to the first of type stopType, or to null when time is up."""


class Reader(Protocol):
    """A client behind the one signature."""

    def __call__(self, url: str, stop_type: str, timeout_s: float) -> list[Message]:
        """Return the messages up to the first of type *stop_type*, as the HTML standard has them.

        Blocking: waits up to *timeout_s* for the next bytes and looks at the clock at each message: up to
        twice that in all; starting a browser comes on top.
        Raises TimeoutError when *stop_type* has not come by then, another error if the stream is refused, and
        EOFError if it ends and the client is none that reconnects.
        """


def read_with_spec_parser(url: str, stop_type: str, timeout_s: float) -> list[Message]:
    """Read with our own parser, the one written from the standard."""
    with open_stream(url, timeout_s=timeout_s) as stream:
        return stream.read_until(lambda message: message.type == stop_type, timeout_s)


def read_with_sseclient(url: str, stop_type: str, timeout_s: float) -> list[Message]:
    """Read with PyPI's ``sseclient-py`` over the standard library's HTTP."""
    opener = build_opener(ProxyHandler({}))
    request = Request(url, headers={"Accept": "text/event-stream"})
    with opener.open(request, timeout=timeout_s) as response:
        events = SSEClient(_pieces(response)).events()
        messages = (Message(event.event, event.data, event.id or "") for event in events)
        return _as_standard_has_it(_until(messages, stop_type, timeout_s))


def read_with_httpx_sse(url: str, stop_type: str, timeout_s: float) -> list[Message]:
    """Read with PyPI's ``httpx-sse``."""
    client = httpx.Client(timeout=timeout_s, trust_env=False)
    with client, connect_sse(client, "GET", url) as source:
        messages = (Message(event.event, event.data, event.id) for event in source.iter_sse())
        try:
            return _as_standard_has_it(_until(messages, stop_type, timeout_s))
        except httpx.TimeoutException as error:
            raise TimeoutError(f"no {stop_type} within {timeout_s} s") from error


def read_with_npm_eventsource(url: str, stop_type: str, timeout_s: float) -> list[Message]:
    """Read with npm's ``eventsource`` in a Node process; *timeout_s* includes the start of the process.

    Installs the package first if it is not there.
    """
    bring(CLIENTS)
    command = [str(find_node()), str(CLIENTS / "eventsource.mjs"), url, stop_type, *EVENT_TYPES]
    try:
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf-8", timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise TimeoutError(f"no {stop_type} within {timeout_s} s; so far {error.stdout!r}") from error
    if done.returncode:
        raise ConnectionError(done.stderr)
    lines = done.stdout.split("\n")  # never splitlines(): JSON may hold U+2028
    return _as_standard_has_it(Message(**json.loads(line)) for line in lines if line)


def read_with_chromium(url: str, stop_type: str, timeout_s: float) -> list[Message]:
    """Read with Chromium's own ``EventSource``, from a page of the same origin.

    The page is the service's ``/healthz``; its content security policy, which may forbid all, is put aside.
    """
    timeout_ms = timeout_s * 1_000
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS) as browser,
    ):
        page = browser.new_page(bypass_csp=True)
        page.goto(urljoin(url, "/healthz"), timeout=timeout_ms)
        events = page.evaluate(_READ_IN_PAGE, [url, stop_type, EVENT_TYPES, timeout_ms])
    if events is None:
        raise TimeoutError(f"no {stop_type} within {timeout_s} s")
    return [Message(*event) for event in events]


READERS: dict[str, Reader] = {
    "spec-parser": read_with_spec_parser,
    "sseclient-py": read_with_sseclient,
    "httpx-sse": read_with_httpx_sse,
    "npm-eventsource": read_with_npm_eventsource,
    "chromium": read_with_chromium,
}
"""Each client by the name that a failing test shows."""


def _as_standard_has_it(messages: Iterable[Message]) -> list[Message]:
    """Put right what clients are known to do differently, as far as our streams can show it.

    - npm's ``eventsource`` 4.1 and ``sseclient-py`` 1.9 give an id only to a message whose own block has one.
      In the standard an id stays until the next. Our streams never take one away, so it is carried on.
    - ``httpx-sse`` 0.4 delivers a message without data for a block of only a ``retry``, or of only a comment
      once there has been an id. Each event of ours has data, so messages without any are dropped.

    Source: measured, with the versions of the locks; our own parser and Chromium need none of it.
    """
    last_event_id = ""
    standard = []
    for message in messages:
        last_event_id = message.last_event_id or last_event_id
        if message.data:
            standard.append(Message(message.type, message.data, last_event_id))
    return standard


def _until(messages: Iterable[Message], stop_type: str, timeout_s: float) -> list[Message]:
    """Take messages up to the first of type *stop_type*. Raises TimeoutError or EOFError if none comes."""
    deadline = time.monotonic() + timeout_s
    taken = []
    for message in messages:
        taken.append(message)
        if message.type == stop_type:
            return taken
        if time.monotonic() > deadline:
            raise TimeoutError(f"no {stop_type} within {timeout_s} s; so far {taken}")
    raise EOFError(f"the stream ended without {stop_type}; it gave {taken}")


def _pieces(response: HTTPResponse) -> Iterator[bytes]:
    """Give the body in the pieces in which it arrives, not by the line as iterating the response would."""
    while piece := response.read1(_READ_SIZE_BYTES):
        yield piece
