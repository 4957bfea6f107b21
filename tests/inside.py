"""What the processes of a service hold: from /proc, from Redis, and from `tests.counted_wsgi`."""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from tests.http_stream import get_json
from tests.stack import Stack
from tests.waiting import wait_until

ASK_S: Final = 30.0


@dataclass(slots=True)
class Inside:
    """Sums over the web processes, and what Redis sees of everybody."""

    streams: int = 0
    parked: int = 0
    greenlets: int = 0
    descriptors: int = 0
    memory_kb: int = 0
    redis_connections: int = 0
    subscriptions: int = 0
    redis_kb: int = 0
    closed: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        return (
            f"streams {self.streams} (parked {self.parked}), greenlets {self.greenlets}, descriptors "
            f"{self.descriptors}, web {self.memory_kb:,} KB, Redis {self.redis_kb:,} KB, connections "
            f"{self.redis_connections}, subscriptions {self.subscriptions}"
        )


def look(stack: Stack) -> Inside:
    """Look into every process. Waits until each web process has answered for itself."""
    inside = Inside()
    for pid, counts in _ask_each(stack).items():
        inside.streams += counts["streams"]
        inside.parked += counts["parked"]
        inside.greenlets += counts["greenlets"]
        inside.descriptors += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
        inside.memory_kb += _private_kb(pid)
        inside.closed.update(counts["closed"])
    redis = stack.log.redis
    inside.redis_connections = len(redis.client_list())
    inside.subscriptions = sum(count for _, count in redis.pubsub_numsub(stack.log.key("live")))
    inside.redis_kb = redis.info("memory")["used_memory"] // 1_024
    return inside


def _ask_each(stack: Stack) -> dict[int, dict[str, Any]]:
    answers: dict[int, dict[str, Any]] = {}

    def all_have_answered() -> bool:
        with suppress(OSError):
            counts = get_json(f"{stack.url}/counts").body
            answers[counts["pid"]] = counts
        return set(stack.web_pids()) <= set(answers)

    wait_until(all_have_answered, timeout_s=ASK_S)
    return {pid: answers[pid] for pid in stack.web_pids()}


def _private_kb(pid: int) -> int:
    """Give the memory that only this process has: shared pages come and go with others. Source: proc(5)."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return sum(int(size) for size in re.findall(r"^Private_\w+: +(\d+) kB", text, re.MULTILINE))
