"""The service that the sse-starlette peer runs: a queue per stream, one Redis subscription per process.

Runs in the peers' virtualenv; not part of the benchmark's own code path.
"""

import asyncio
import os
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from redis import asyncio as redis
from sse_starlette.sse import EventSourceResponse  # type: ignore[import-not-found]
from starlette.applications import Starlette  # type: ignore[import-not-found]
from starlette.requests import Request  # type: ignore[import-not-found]
from starlette.responses import Response  # type: ignore[import-not-found]
from starlette.routing import Route  # type: ignore[import-not-found]

streams: defaultdict[str, set[asyncio.Queue[dict[str, str]]]] = defaultdict(set)


async def _follow() -> None:
    client = redis.Redis.from_url(os.environ["REDIS_URL"], socket_timeout=None)
    subscription = client.pubsub()
    await subscription.psubscribe("*")
    number = 0
    async for message in subscription.listen():
        if message["type"] == "pmessage":
            number += 1
            event = {"event": "progress", "id": str(number), "data": message["data"].decode()}
            for queue in list(streams.get(message["channel"].decode(), ())):
                queue.put_nowait(event)


async def _stream(request: Request) -> EventSourceResponse:
    topic = request.query_params["topic"]
    queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()

    async def events() -> AsyncIterator[dict[str, str]]:
        streams[topic].add(queue)
        try:
            while True:
                yield await queue.get()
        finally:
            streams[topic].discard(queue)

    return EventSourceResponse(events())


async def _healthz(_: Request) -> Response:
    return Response()


@asynccontextmanager
async def _lifespan(_: Starlette) -> AsyncIterator[None]:
    following = asyncio.create_task(_follow())
    yield
    following.cancel()


app = Starlette(routes=[Route("/stream", _stream), Route("/healthz", _healthz)], lifespan=_lifespan)
