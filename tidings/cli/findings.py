"""What the doctor makes of what came through: each fault by its name, with what to do about it.

Takes measurements, gives findings. Pure.
"""

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from tidings.cli.probe import NO_CURSOR, Probe


class Finding(Struct, frozen=True, omit_defaults=True):
    """One fault: its *code* for programs, *what* was seen, and the *fix*. A *note* is none."""

    code: str
    what: str
    fix: str = ""
    note: bool = False


BUFFERED: Final = (
    "let whatever stands between pass on what it has at once: nginx: no `proxy_ignore_headers "
    "X-Accel-Buffering`, or `proxy_buffering off;`; HAProxy: no `http-response wait-for-body`; Caddy: no "
    "`response_buffers`; Apache: `ProxyPass … flushpackets=on`; a CDN or gateway: no response buffering for "
    "/api/events/"
)
COMPRESSED: Final = (
    "do not compress text/event-stream: nginx: take it out of `gzip_types`; HAProxy: out of `compression "
    "type`; Caddy: out of what `encode` matches; Apache: `SetEnvIf Request_URI ^/api/events/ no-gzip`"
)
CACHED: Final = (
    "let nothing keep or rewrite what is under /api/: nginx: no `proxy_cache`, no `proxy_hide_header "
    "Cache-Control`, no `expires`; HAProxy: no `http-response del-header Cache-Control` and no `set-header` "
    "of it; Caddy: no `header` or `header_down` of it; a CDN: bypass its cache there"
)
IDLE: Final = (
    "set the idle time-out of whatever stands between above the heartbeat: nginx `proxy_read_timeout`, "
    "HAProxy `timeout server` and `timeout client`, Caddy `read_timeout`, and `timeouts` of its `servers`, "
    "Apache `ProxyTimeout`, a load balancer's own; or set the service's TIDINGS_HEARTBEAT_S below it"
)
HTTP_1_0: Final = (
    "answer in HTTP/1.1 with `Transfer-Encoding: chunked`, or HTTP/2: nginx: no `chunked_transfer_encoding "
    "off;`; Apache: no `force-response-1.0`"
)
HEADER_DROPPED: Final = (
    "let the request header Last-Event-ID through: without it a browser that comes back gets the state and "
    "not what it missed; nginx: no `proxy_set_header Last-Event-ID`; HAProxy: no `http-request del-header` "
    "of it; Caddy: no `header_up -Last-Event-ID`; a CDN or a firewall with a list of headers has to name it"
)


def of_stream(found: Probe, heartbeat_s: float) -> list[Finding]:
    """Judge what came of a stream; what follows from another fault is not said."""
    if found.status and found.status != 200:  # noqa: PLR2004 - HTTP's
        return [_of_status(found.status)]
    if found.first_s is None:
        return [*(_of_headers(found) if found.status else ()), _of_silence(found)]
    findings = [*_of_headers(found), *_of_framing(found)]
    if found.encoding or any(each.code == "content_type" for each in findings):
        return findings
    if found.opened_s is None:
        return [*findings, _of_silence(found)]
    return [*findings, *_of_opening(found), *_of_heartbeat(found, heartbeat_s)]


def of_ready(status: int, body: dict[str, Any]) -> list[Finding]:
    """Judge what ``/readyz`` says: the reason, or the warnings."""
    if status == 200:  # noqa: PLR2004 - HTTP's
        return [Finding("redis_setting", warning) for warning in body.get("warnings", ())]
    if body.get("status") == "draining":
        return [
            Finding("draining", "the process that answered is about to stop", "ask again in some seconds")
        ]
    if body.get("status") == "degraded":
        what = f"the service is up, and events do not flow: {body.get('reason', 'no reason given')}"
        return [
            Finding(
                "degraded", what, "see to the Redis that REDIS_URL of the service names: events wait for it"
            )
        ]
    return [_of_status(status)]


def of_clocks(ahead_s: float) -> Iterator[Finding]:
    """Say that the service's clock is *ahead_s* of ours, where that can be seen."""
    if abs(ahead_s) > 2:  # noqa: PLR2004 - seconds; Date has no smaller ones, and the answer took its time
        word = "ahead of" if ahead_s > 0 else "behind"
        what = (
            f"the clock of the service is {abs(ahead_s):.0f} s {word} this machine's; nothing compares them"
        )
        yield Finding("clocks", what, note=True)


def of_descriptors(hard: int, streams: int, spare: int) -> Iterator[Finding]:
    """Judge whether *streams* and *spare* more fit into a limit of *hard* descriptors."""
    if streams + spare > hard:
        yield Finding(
            "descriptors",
            f"{streams} streams (TIDINGS_MAX_STREAMS) need {streams + spare} descriptors in each web "
            f"process, and processes may have {hard} here",
            f"raise the limit (ulimit -Hn, systemd LimitNOFILE={streams + spare}), or set "
            f"TIDINGS_MAX_STREAMS to {max(hard - spare, 1)} and WEB_CONCURRENCY higher",
        )


def _of_status(status: int) -> Finding:
    match status:
        case 401 | 403:
            return Finding(
                "not_allowed", f"the service answered {status}", "give a token: --token or TIDINGS_TOKEN"
            )
        case 404 | 405:
            what = f"{status}: what answers there does not know the path"
            return Finding(
                "wrong_path", what, "let the URL end before /api, and the proxy keep the path as it is"
            )
        case 502 | 503 | 504:
            what = f"{status}: a proxy that answers has no service behind it"
            return Finding("no_service", what, "start the service, and see to the proxy's address of it")
        case _:
            return Finding(
                "odd_status", f"a stream was answered with {status}", "see to the log of the service"
            )


def _of_silence(found: Probe) -> Finding:
    if found.end == "open":
        what = (
            f"nothing of a stream came within {found.ended_s:.1f} s, and the service answers: it is buffered"
        )
        return Finding("buffered", what, BUFFERED)
    if found.first_s is None:
        return Finding(
            "cut", "the connection was closed without an answer", "see to the logs of what stands between"
        )
    what = "the service sent the stream away: it is full, stopping, or without Redis"
    return Finding("sent_away", what, "see /readyz, and TIDINGS_MAX_STREAMS")


def _of_headers(found: Probe) -> Iterator[Finding]:
    kind = found.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "text/event-stream":
        what = f"the stream came as {kind or 'nothing'}, not as text/event-stream: browsers refuse it"
        yield Finding("content_type", what, "let the proxy keep Content-Type as it is")
    if found.encoding:
        yield Finding(
            "compressed", f"the stream came compressed ({found.encoding}): events wait in it", COMPRESSED
        )
    if "age" in found.headers or "hit" in found.headers.get("x-cache", "").lower():
        yield Finding("cached", "the stream came out of a cache", CACHED)
    elif "no-store" not in found.headers.get("cache-control", "").lower():
        given = found.headers.get("cache-control", "nothing")
        yield Finding(
            "cacheable", f"Cache-Control came as {given}, not as no-store: it may be cached", CACHED
        )


def _of_framing(found: Probe) -> Iterator[Finding]:
    if "content-length" in found.headers:
        yield Finding(
            "collected", "the stream has a Content-Length: somebody waits for its end first", BUFFERED
        )
    elif not found.is_framed:
        version = "1.1 without chunks" if found.is_http_1_1 else "1.0"
        what = f"the stream came as HTTP/{version}: its end cannot be told from a cut"
        yield Finding("http_1_0", what, HTTP_1_0)


def _of_opening(found: Probe) -> Iterator[Finding]:
    asked = any(message.type == "reset" and NO_CURSOR in message.data for message in found.messages)
    if not asked:
        yield Finding("last_event_id", "the header Last-Event-ID did not reach the service", HEADER_DROPPED)


def _of_heartbeat(found: Probe, heartbeat_s: float) -> Iterator[Finding]:
    if found.beat_s is not None:
        return
    if found.end != "open":
        what = f"the stream was ended after {found.silent_s:.1f} s of silence; heartbeats: {heartbeat_s:g}"
        yield Finding("idle_timeout", what, IDLE)
    elif found.silent_s > heartbeat_s:
        what = f"no heartbeat came in {found.silent_s:.1f} s: it is buffered, or comes later than that"
        yield Finding(
            "no_heartbeat", what, f"{BUFFERED}; or name TIDINGS_HEARTBEAT_S of the service by --heartbeat"
        )
