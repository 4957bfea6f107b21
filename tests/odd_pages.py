"""Tests: a web server with pages that misbehave, on a free port of this machine."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Final

PAGES: Final = {
    "/shop": b"""<title>Shop</title><h1>Shop</h1>
        <form onsubmit="event.preventDefault(); out.textContent = 'Hello ' + who.value; out.hidden = false">
        <input id=who><button>Greet</button></form><p id=out hidden></p><a href=/shop id=link>again</a>
        <script>console.error('the cart is broken'); fetch('http://elsewhere.example/spy').catch(() => 0);
        fetch('/cut').catch(() => 0); </script>""",
    "/dialog": b"<button onclick=\"this.textContent = confirm('Really?') ? 'yes' : 'no'\">ask</button>",
    "/leave": b"<a href=http://elsewhere.example/ id=away>away</a>",
    "/flood": b"<p id=end>end</p><script>for (let i = 0; i < 500; i++) console.error('no ' + i)</script>",
}


class OddPages(ThreadingHTTPServer):
    """The server; ``asked`` holds the paths that were asked for."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.closing = threading.Event()
        self.asked: list[str] = []
        self.other_port = 1
        """Where ``/redirect-port`` sends one."""

    @property
    def place(self) -> str:
        """Its ``host:port``."""
        return f"127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: OddPages

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        match self.path.partition("?")[0]:
            case "/hang":
                self.server.closing.wait(120)
            case "/cut":
                self.close_connection = True
            case "/redirect":
                self._answer(302, b"", "Location", "http://elsewhere.example/")
            case "/redirect-port":
                self._answer(302, b"", "Location", f"http://127.0.0.1:{self.server.other_port}/shop")
            case "/download":
                self._answer(200, b"x", "Content-Disposition", "attachment; filename=secrets.zip")
            case "/favicon.ico":
                self._answer(200, b"", "Content-Type", "image/x-icon")
            case path if path in PAGES:
                self._answer(200, PAGES[path], "Content-Type", "text/html")
            case _:
                self._answer(404, b"none", "Content-Type", "text/plain")

    def _answer(self, status: int, body: bytes, name: str, value: str) -> None:
        self.send_response(status)
        self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def odd_pages() -> Iterator[OddPages]:
    """Serve them as long as the block lasts."""
    with OddPages() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server
        finally:
            server.closing.set()
            server.shutdown()
            thread.join()
