"""``tidings doctor``: what keeps events from arriving at this place, and what to do about it.

Asks a service from where its readers are, through all that stands between, and looks at what the environment
names. Changes nothing, and starts no operation.
"""

import ipaddress
import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from typing import Any, Final

from msgspec import DecodeError, json, to_builtins

from tidings.cli import surroundings, words
from tidings.cli.exits import Exit, Unreachable
from tidings.cli.findings import Finding, of_clocks, of_ready, of_stream
from tidings.cli.operations import say_json
from tidings.cli.probe import probe
from tidings.cli.service import Service

FIRST_S: Final = 5.0
"""They leave the service at once, and within 3 s where it has just started: later, they were held up."""
SLACK_S: Final = 5.0
"""Beyond the heartbeat until one is missing: a service that is busy, a network that is slow."""


def examine(
    service: Service,
    *,
    heartbeat_s: float,
    quick: bool,
    max_streams: int,
    environ: Mapping[str, str],
    as_json: bool,
) -> Exit:
    """Print each finding as it is made. Blocks for up to a heartbeat and some seconds."""
    worst = Exit.OK
    seen: set[str] = set()
    checks = (
        iter([surroundings.of_versions()]),
        _of_service(service, heartbeat_s, quick=quick),
        surroundings.of_limits(max_streams) if _is_here(service.host) else iter(()),
        surroundings.of_redis(environ),
    )
    for finding in (finding for check in checks for finding in check):
        if finding.what not in seen:
            seen.add(finding.what)
            _print(finding, as_json=as_json)
            worst = max(worst, _exit_of(finding))
    if worst is Exit.OK and not as_json:
        print("no fault was found" + (" (heartbeats were not waited for)" if quick else ""))
    return worst


def _of_service(service: Service, heartbeat_s: float, *, quick: bool) -> Iterator[Finding]:
    try:
        alive, body, sent = _ask(service, "/healthz")
        if alive != 200 or body.get("status") != "alive":  # noqa: PLR2004 - HTTP's
            yield _stranger(service, alive)
            return
        yield from of_clocks(sent)
        status, body, _ = _ask(service, "/readyz")
        yield from of_ready(status, body)
        if status == 200:  # noqa: PLR2004 - HTTP's
            found = probe(service, first_s=FIRST_S, beat_s=None if quick else heartbeat_s + SLACK_S)
            yield from of_stream(found, heartbeat_s)
    except Unreachable as error:
        fix = "start the service, put --url or TIDINGS_URL right, or see to the firewall and the name"
        yield Finding("unreachable", str(error), fix)


def _ask(service: Service, path: str) -> tuple[int, dict[str, Any], float]:
    """Give an answer's status and JSON, and how far its clock is ahead of ours. Raises: Unreachable."""
    with service.open("GET", path) as response:
        status, content, date = response.status, response.read(), response.getheader("Date", "")
    try:
        body = json.decode(content)
    except (DecodeError, UnicodeDecodeError):
        body = {}
    return status, body if isinstance(body, dict) else {}, _ahead_s(date)


def _ahead_s(date: str) -> float:
    try:
        return parsedate_to_datetime(date).timestamp() - time.time()
    except ValueError:
        return 0


def _stranger(service: Service, status: int) -> Finding:
    if status in {502, 503, 504}:
        what = f"{status}: a proxy that answers has no service behind it"
        return Finding("no_service", what, "start the service, and see to the proxy's address of it")
    what = f"what answers at {service.url} is not Tidings, or not with its paths (/healthz: {status})"
    return Finding("stranger", what, "let the URL end before /api, and the proxy keep the path as it is")


def _is_here(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _exit_of(finding: Finding) -> Exit:
    if finding.note:
        return Exit.OK
    return Exit.UNREACHABLE if finding.code in {"unreachable", "no_service"} else Exit.FAILED


def _print(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        say_json(to_builtins(finding))
        return
    print(f"{'note' if finding.note else 'FAULT'} {finding.code}: {words.clean(finding.what)}", flush=True)
    if finding.fix:
        print(f"    fix: {words.clean(finding.fix)}", flush=True)
