"""Streams through Debian's nginx and HAProxy and PyPI's Caddy: with the files of deploy/, and as they are."""

import uuid
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest
from playwright.sync_api import sync_playwright

from dev.browser import find_chromium
from dev.port import free_port
from dev.redis_server import RedisServer
from tests import proxies
from tests.cli import CommandLine
from tests.clients.readers import CHROMIUM_FLAGS
from tests.http_stream import HttpStream, open_stream
from tests.proxies import KINDS, Certificate, Kind, Proxy
from tests.stack import READ_S, Stack, logged
from tests.waiting import wait_until
from tidings import Operation
from tidings.cli import doctor

HEARTBEAT_S = 0.5
BEATS = 1.5 * proxies.IDLE_S / HEARTBEAT_S
"""So many come only if the idle time-out of a proxy counts from each anew."""
EDGES = [(kind, which) for kind in KINDS for which in ("ours", "default")]


@pytest.fixture(scope="module")
def service(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A service with one web process whose heart beats fast."""
    stack = Stack(
        redis_server.url,
        tmp_path_factory.mktemp("service"),
        web=1,
        worker=False,
        TIDINGS_NAMESPACE=f"proxies{uuid.uuid4().hex[:8]}",
        TIDINGS_HEARTBEAT_S=str(HEARTBEAT_S),
    )
    with stack:
        yield stack


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    """A certificate of an authority that nobody else knows."""
    return proxies.make_certificate(tmp_path_factory.mktemp("certificate"))


class Edges:
    """The proxies, each started when it is first asked for; of two web hosts one is never there."""

    def __init__(self, port: int, certificate: Certificate, factory: pytest.TempPathFactory) -> None:
        self.running = ExitStack()
        self._port, self._certificate, self._factory = port, certificate, factory
        self._made: dict[tuple[Kind, str], Proxy] = {}

    def __getitem__(self, key: tuple[Kind, str]) -> Proxy:
        if key not in self._made:
            folder, port = self._factory.mktemp("-".join(key)), self._port
            made = (
                proxies.ours(key[0], self._certificate, folder, (port, free_port()))
                if key[1] == "ours"
                else proxies.default(key[0], self._certificate, folder, port)
            )
            self._made[key] = self.running.enter_context(made)
        return self._made[key]

    def stream(self, key: tuple[Kind, str], path: str, cursor: str = "") -> HttpStream:
        """Open a stream of the service through one of them."""
        headers = {"Last-Event-ID": cursor} if cursor else {}
        url = f"{self[key].url}{path}"
        return open_stream(url, headers=headers, tls=self._certificate.context, timeout_s=READ_S)


@pytest.fixture(scope="module")
def edges(
    service: Stack, certificate: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Edges]:
    """All proxies of this file."""
    edges = Edges(service.port, certificate, tmp_path_factory)
    with edges.running:
        yield edges


@pytest.fixture(scope="module")
def deserted(certificate: Certificate, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Edges]:
    """Proxies of which both web hosts are gone."""
    edges = Edges(free_port(), certificate, tmp_path_factory)
    with edges.running:
        yield edges


@pytest.fixture(scope="module")
def opened(edges: Edges, service: Stack) -> Iterator[dict[tuple[Kind, str], tuple[Operation, HttpStream]]]:
    """A stream of an operation of its own through each proxy, all at once: they are silent together."""
    with ExitStack() as stack:
        streams = {}
        for edge in EDGES:
            if proxies.where_is(edge[0]):
                operation = service.operation()
                streams[edge] = operation, stack.enter_context(edges.stream(edge, path_of(operation)))
        yield streams


@pytest.mark.parametrize("edge", EDGES, ids="-".join)
def test_what_is_said_arrives_and_silence_is_borne(
    opened: dict[tuple[Kind, str], tuple[Operation, HttpStream]], edge: tuple[Kind, str]
) -> None:
    """Each event by itself, with none behind it to push it; and then nothing but heartbeats."""
    proxies.program(edge[0])
    operation, stream = opened[edge]
    assert stream.headers["content-type"].startswith("text/event-stream")
    for current in (1, 2):
        operation.warning("step", str(current))
        stream.read_until(lambda message: message.type == "warning", READ_S)
    stream.read_until(lambda _: sum(each.type == "heartbeat" for each in stream.messages) >= BEATS, READ_S)


@pytest.mark.parametrize(("kind", "how"), [*((kind, "reload") for kind in KINDS), ("caddy", "restart")])
def test_a_reload_loses_and_doubles_nothing(edges: Edges, service: Stack, kind: Kind, how: str) -> None:
    """What it ends goes on, through the new process, from where it was. A reload of Caddy ends nothing."""
    edge = (kind, "ours")
    operation = service.operation()
    with edges.stream(edge, path_of(operation)) as stream:
        operation.warning("before", "it")
        stream.read_until(lambda message: message.type == "warning", READ_S)
        (edges[edge].reload if how == "reload" else edges[edge].restart)()
        operation.warning("in", "it")
        if (kind, how) != ("caddy", "reload"):
            stream.read_to_end(READ_S)
        operation.warning("behind", "it")
        operation.complete()
        service.flush()
        got = logged(stream.read_to_end(READ_S))
    if got[-1].type != "complete":
        cursor = stream.last_event_id
        with edges.stream(edge, path_of(operation), cursor) as stream:
            got += logged(stream.read_to_end(READ_S), cursor)
    said = service.history(operation.id)
    assert [(m.last_event_id, m.data) for m in got] == [(m.last_event_id, m.data) for m in said][-len(got) :]
    assert [m.data for m in got if m.type == "warning"] == [m.data for m in said if m.type == "warning"]


@pytest.mark.parametrize("kind", KINDS)
def test_without_a_web_host_streams_are_told_to_come_back(edges: Edges, deserted: Edges, kind: Kind) -> None:
    """In an answer that a browser's EventSource takes, and no other path is answered so."""
    with deserted.stream((kind, "ours"), "/api/events/stream") as stream:
        assert stream.read_to_end(READ_S) == []
        assert (stream.status, stream.retry_ms) == (200, 3_000)
        assert stream.headers["content-type"].startswith("text/event-stream")
        assert stream.headers["cache-control"] == "no-store, no-transform"
    with deserted.stream((kind, "ours"), "/api/kinds") as answer:
        assert answer.status in {502, 503}
    for path, status in {"/healthz": 200, "/metrics": 404}.items():
        with edges.stream((kind, "ours"), path) as answer:
            assert answer.status == status


TABS = """async ([path, count]) => {
    const open = () => {
        const source = new EventSource(path);
        const first = (type) =>
            new Promise((done) => source.addEventListener(type, (it) => done(it.lastEventId)));
        return { begun: first("heartbeat"), end: first("complete") };
    };
    await (await fetch("/healthz?first")).text();
    const tabs = Array.from({ length: count }, open);
    await (await fetch("/healthz?while")).text();
    await Promise.all(tabs.map((it) => it.begun)); // behind its opening a stream is live
    window.ends = Promise.all(tabs.map((it) => it.end));
    return performance.getEntriesByType("resource").map((it) => it.nextHopProtocol);
}"""


@pytest.mark.long
@pytest.mark.parametrize("kind", KINDS)
def test_a_hundred_tabs_share_a_connection(edges: Edges, service: Stack, kind: Kind) -> None:
    """Each has its stream, and there is room for a request beside them."""
    operation = service.operation()
    with (
        sync_playwright() as playwright,
        playwright.chromium.launch(executable_path=find_chromium(), args=CHROMIUM_FLAGS) as browser,
        browser.new_context(ignore_https_errors=True) as context,
    ):
        page = context.new_page()
        page.goto(f"{edges[kind, 'ours'].url}/healthz")
        assert set(page.evaluate(TABS, [path_of(operation), 100])) == {"h2"}
        operation.complete()
        ends = page.evaluate("window.ends")
    assert (len(ends), len(set(ends))) == (100, 1)


WRONG: dict[Kind, list[tuple[list[str], str, str]]] = {
    "haproxy": [
        (["idle_timeout"], "timeout server 250ms", "timeout server"),
        (["buffered"], "http-response wait-for-body time 60s", "wait-for-body"),
        (["last_event_id"], "http-request del-header Last-Event-ID", "http-request del-header"),
        (["cacheable"], "http-response del-header Cache-Control", "http-response del-header Cache-Control"),
        ([], "compression algo gzip\ncompression type text/event-stream", ""),
    ],
    "caddy": [
        (["idle_timeout"], "transport http {\nread_timeout 250ms\n}", "read_timeout"),
        (["buffered"], "response_buffers 1MiB", "response_buffers"),
        (["last_event_id"], "header_up -Last-Event-ID", "header_up -Last-Event-ID"),
        (["cacheable"], "header_down Cache-Control public", "header_down"),
        (["compressed", "cacheable"], f"header_down Cache-Control public{proxies.AROUND}encode", "encode"),
        ([], f"{proxies.AROUND}encode", ""),
    ],
}
"""What the doctor finds, by which lines, and the directive that its fix has to name.

Neither compresses what says `no-transform`.
"""


@pytest.mark.parametrize("kind", WRONG)
def test_the_doctor_names_what_is_wrong_and_the_directive(
    service: Stack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    kind: Kind,
) -> None:
    """Looked for until it is found: a machine that stands still for a moment breaks streams, too."""
    tidings = CommandLine(service.env, monkeypatch, capsys)
    monkeypatch.setattr(doctor, "FIRST_S", 1.0)
    with proxies.wrong(kind, tmp_path, service.port, [lines for _, lines, _ in WRONG[kind]]) as urls:
        for url, (codes, _, directive) in zip(urls, WRONG[kind], strict=True):
            asked = ["--quick"] if codes != ["idle_timeout"] else []
            asked += ["--json", "--max-streams", "9", "--url", url]
            found = wait_until(partial(faults, tidings, asked, codes), timeout_s=READ_S)
            assert directive in " ".join(str(fault.get("fix")) for fault in found[:1])


def faults(tidings: CommandLine, asked: list[str], codes: list[str]) -> list[dict[str, object]] | None:
    """Ask the doctor; give what it found if it is *codes*, and what is no fault behind it."""
    said = sorted(tidings("doctor", *asked).json, key=lambda each: bool(each.get("note")))
    return said if [each["code"] for each in said if not each.get("note")] == codes else None


def path_of(operation: Operation) -> str:
    """Give the address of an operation's events."""
    return f"/api/events/operations/{operation.id}"
