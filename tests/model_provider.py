"""Tests: a server that speaks as a provider of models does, and misbehaves as they do, on a free port.

The prompt says how: its first word. Source: OpenAI's API reference, "Chat completions",
with ``stream``.
"""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class ModelProvider(ThreadingHTTPServer):
    """The server; ``keys`` holds the Authorization fields that came."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.closing = threading.Event()
        self.keys: list[str] = []

    @property
    def url(self) -> str:
        """What OPENAI_BASE_URL is to be."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class _Handler(BaseHTTPRequestHandler):
    server: ModelProvider

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        key = self.headers["Authorization"]
        self.server.keys.append(key)
        prompt = next(said["content"] for said in body["messages"] if said["role"] == "user")
        match prompt.split()[0]:
            case "refuse":
                self._refuse(f"Incorrect API key provided: {key}. Prompt: {prompt}")
            case "hang":
                self.server.closing.wait(120)
            case "stall":
                self._begin()
                self._say({"content": "I begin to "})
                self.server.closing.wait(120)
            case "loop":
                self._begin()
                call = {"name": "compute", "arguments": '{"expression": "1+1"}'}
                self._say({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": call}]})
                self._end("tool_calls")
            case _:
                self._begin()
                for piece in ("The key", " is", f" {key[7:15]}", key[15:], " and no", " more."):
                    self._say({"content": piece})
                self._end("stop")

    def _refuse(self, message: str) -> None:
        answer = json.dumps({"error": {"message": message, "type": "invalid_request_error"}}).encode()
        self.send_response(401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def _begin(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True

    def _say(self, delta: dict[str, Any], finish: str | None = None) -> None:
        choice = {"index": 0, "delta": {"role": "assistant"} | delta, "finish_reason": finish}
        chunk = {
            "id": "x",
            "object": "chat.completion.chunk",
            "created": 1,
            "model": "m",
            "choices": [choice],
        }
        self.wfile.write(f"data: {json.dumps(chunk)}\n\n".encode())
        self.wfile.flush()

    def _end(self, reason: str) -> None:
        self._say({}, reason)
        self.wfile.write(b"data: [DONE]\n\n")

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def model_provider() -> Iterator[ModelProvider]:
    """Serve as long as the block lasts."""
    with ModelProvider() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
