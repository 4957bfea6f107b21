"""The floor: C processes that only send (bench/floor.c)."""

import os
from typing import Any, ClassVar

from bench import supplies
from bench.server import Server


class Floor(Server):
    """As many processes as asked for; with *fault* it errs on purpose, for the client's self-test."""

    name: ClassVar[str] = "floor"

    def __init__(self, processes: int, fault: str = "") -> None:
        super().__init__(processes)
        self._fault = fault
        self._line_end = -1

    @classmethod
    def needs(cls) -> None:
        """Compile it."""
        supplies.floor()

    def launch(self) -> None:
        """Start it with a pipe as its input."""
        read_end, self._line_end = os.pipe()
        command = [
            str(supplies.floor()),
            str(self.port),
            str(self.processes),
            *([self._fault] if self._fault else []),
        ]
        child = self.child(command, stdin=read_end)
        os.close(read_end)
        child.wait_for_port(self.port)

    def stop(self) -> None:
        """Close its input, then stop it."""
        if self._line_end >= 0:
            os.close(self._line_end)
            self._line_end = -1
        super().stop()

    def path(self, topic: str) -> str:
        """Give any path: it does not look."""
        return f"/{topic}"

    def sink(self) -> dict[str, Any]:
        """Write lines into its input."""
        return {"kind": "pipe", "descriptor": self._line_end}
