"""better-sse on Node's own HTTP server. One process: its channels do not reach across processes."""

from typing import Any, ClassVar, Final

from bench import supplies
from bench.errors import NotMeasured
from bench.process import APPS
from bench.server import Server
from dev.errors import SetUpError
from dev.node import find_node

VERSION: Final = "0.16.1"


class BetterSse(Server):
    """One Node process."""

    name: ClassVar[str] = "better-sse"
    one_process: ClassVar[bool] = True

    @classmethod
    def needs(cls) -> None:
        """Bring the package."""
        supplies.npm_package("better-sse", VERSION)

    def launch(self) -> None:
        """Start Node."""
        folder = supplies.npm_package("better-sse", VERSION)
        try:
            node = find_node()
        except SetUpError as error:
            raise NotMeasured(str(error)) from error
        command = [
            str(node),
            str(APPS / "better_sse.mjs"),
            str(self.port),
            str(folder),
        ]
        self.child(command).wait_for(f"http://127.0.0.1:{self.port}/healthz")

    def path(self, topic: str) -> str:
        """Give a channel's stream."""
        return f"/stream?topic={topic}"

    def sink(self) -> dict[str, Any]:
        """POST to the channel."""
        return {"kind": "http", "port": self.port, "path": "/publish?topic={topic}"}
