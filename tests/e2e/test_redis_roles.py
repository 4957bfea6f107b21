"""The roles of `deploy/redis.acl`: web and worker do all their work in them, and nothing else to Redis."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest
from redis import Redis
from redis.exceptions import NoPermissionError, RedisError

from dev.redis_server import RedisServer
from tests.forged_tokens import HOUR_S, SECRET
from tests.http_stream import get_json, post_json
from tests.stack import READ_S, ROOT, Stack
from tests.waiting import wait_until
from tidings.log import Log
from tidings.settings import Settings
from tidings.tokens import Keys

RULES: Final = {
    line.split()[1]: line.split()[2:] for line in (ROOT / "deploy" / "redis.acl").read_text().splitlines()
}
WEB, WORKER = "tidings-web", "tidings-worker"
STEPS: Final = [
    {"name": "list", "task": "scan", "params": {"limit": 4}},
    {"name": "one", "task": "analyse", "needs": ["list"], "params": {"part": 1, "of": 2}},
    {"name": "two", "task": "analyse", "needs": ["list"], "params": {"part": 2, "of": 2}},
    {"name": "sum", "task": "aggregate", "needs": ["one", "two"]},
]


@pytest.fixture
def guarded(own_redis: RedisServer) -> RedisServer:
    """A server that has the roles."""
    with Redis.from_url(own_redis.url) as redis:
        for role, rules in RULES.items():
            redis.execute_command("ACL", "SETUSER", role, *rules)
    return own_redis


def url_of(server: RedisServer, role: str) -> str:
    """Give the address of *server* for *role*."""
    password = next(rule[1:] for rule in RULES[role] if rule.startswith(">"))
    return server.url.replace("unix://", f"unix://{role}:{password}@")


@pytest.fixture
def stack(guarded: RedisServer, tmp_path: Path) -> Iterator[Stack]:
    """A web process and a worker, each in its own role."""
    with Stack(url_of(guarded, WEB), tmp_path, worker=False, web=1) as stack:
        web = stack.env
        stack.env = web | {"REDIS_URL": url_of(guarded, WORKER)}
        stack.start_worker()
        stack.env = web
        yield stack


def test_every_kind_runs_and_is_cancelled_within_its_roles(stack: Stack, guarded: RedisServer) -> None:
    """Redis refuses nothing to either, from the start to the end of all that they do."""
    started = {
        "batch": stack.start_operation("batch", source="python-stdlib", limit=20),
        "workflow": stack.start_operation("workflow", pipeline={"steps": STEPS}),
        "agent": stack.start_operation("agent", prompt="Where is the log?", offline=True),
    }
    long = [stack.start_operation("batch", source="python-stdlib") for _ in range(4)]
    for operation in long:
        assert post_json(f"{stack.url}/api/operations/{operation}/cancel", {}).status == 202

    def statuses(operations: list[str]) -> list[str]:
        return [
            get_json(f"{stack.url}/api/operations/{operation}").body["operation"]["status"]
            for operation in operations
        ]

    over = {"succeeded", "failed", "cancelled"}
    wait_until(lambda: over.issuperset(statuses([*started.values(), *long])), timeout_s=READ_S)
    assert statuses([*started.values()]) == ["succeeded"] * 3
    stack.stop()
    with Redis.from_url(guarded.url) as redis:
        assert redis.acl_log() == []


def test_tokens_tickets_and_revocations_are_within_the_roles(guarded: RedisServer, tmp_path: Path) -> None:
    """A closed service gives and takes tickets, and ends what is revoked, by whichever role says it."""
    env = {"TIDINGS_AUTH": "required", "TIDINGS_SECRET_KEY": SECRET}
    token = Keys.parse(SECRET).sign("ann", HOUR_S, start=["*"])
    shown = {"Authorization": f"Bearer {token}"}
    with Stack(url_of(guarded, WEB), tmp_path, worker=False, web=1, **env) as stack:
        asked = {"kind": "agent", "params": {"prompt": "Where is the log?", "offline": True}}
        started = post_json(f"{stack.url}/api/operations", asked, headers=shown).body
        for headers, query in ((shown, ""), ({}, f"?ticket={started['ticket']}")):
            with stack.stream(started["eventsUrl"] + query, **headers) as stream:
                stream.read_until(lambda message: message.type == "heartbeat", READ_S)
                if headers:
                    continue
                with closing(Log(Settings(redis_url=url_of(guarded, WORKER)))) as log:
                    log.revoke("sub", "ann")
                stream.read_to_end(READ_S)
        assert get_json(f"{stack.url}/api/operations", headers=shown).status == 401
    with Redis.from_url(guarded.url) as redis:
        assert redis.acl_log() == []


FORBIDDEN: Final = [
    "FLUSHALL", "FLUSHDB", "KEYS *", "SCAN 0", "CONFIG GET requirepass", "CONFIG SET save 1", "ACL LIST",
    "MONITOR", "SHUTDOWN NOSAVE", "REPLICAOF NO ONE", "SCRIPT FLUSH", "SAVE", "RENAME {tidings}:log x",
    "GET session:1", "HGETALL {other}:meta", "PUBLISH {other}:live x", "SUBSCRIBE {other}:live",
    "EVAL redis.call('FLUSHALL') 0", "EVAL return{redis.call('GET','session:1')} 0",
]  # fmt: skip


@pytest.mark.parametrize("role", [WEB, WORKER])
def test_a_role_can_do_nothing_else(guarded: RedisServer, role: str) -> None:
    """Neither to the server, nor to what others keep there, nor by a script."""
    with Redis.from_url(url_of(guarded, role)) as redis:
        for command in FORBIDDEN:
            with pytest.raises(RedisError, match=r"(?i)permission"):
                redis.execute_command(*command.split(" "))


def test_the_web_takes_no_tasks(guarded: RedisServer) -> None:
    """It sends them; what it cannot read cannot be lost by it."""
    with Redis.from_url(url_of(guarded, WEB)) as redis, pytest.raises(NoPermissionError):
        redis.brpop(["tidings"], 1)
