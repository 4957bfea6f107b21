"""The client as others have it: packed by npm, installed into a project of their own, bundled there."""

import subprocess
from pathlib import Path

from dev.node import CLIENTS, bring, find_node, npm_command
from tests.stack import ROOT

INSTALL_S = 120.0
"""npm takes a second or two for it, all from this machine. Guessed, for one that is busy."""

PEERS = ("react", "react-dom", "scheduler", "@types", "csstype")
"""What the project has besides; the tests' own copies."""


def install_packed(project: Path) -> Path:
    """Put the client and React into *project*'s ``node_modules``; return the client's place."""
    bring(CLIENTS)
    _npm("pack", str(ROOT / "clients" / "js"), "--pack-destination", str(project), cwd=project)
    (project / "package.json").write_text('{"type": "module"}', encoding="utf-8")
    (archive,) = project.glob("*.tgz")
    _npm("install", "--offline", "--ignore-scripts", "--no-audit", "--no-fund", str(archive), cwd=project)
    for peer in PEERS:
        (project / "node_modules" / peer).symlink_to(CLIENTS / "node_modules" / peer)
    return project / "node_modules" / "tidings-client"


def bundle(project: Path, source: Path) -> Path:
    """Bundle *source* as an ES module with esbuild; return the folder of what it became."""
    (project / source.name).write_bytes(source.read_bytes())
    _node(
        "esbuild/bin/esbuild",
        source.name,
        "--bundle",
        "--splitting",
        "--format=esm",
        "--outdir=out",
        cwd=project,
    )
    return project / "out"


def check_types(project: Path, source: Path) -> str:
    """Return what TypeScript has to say against *source*: nothing, it is to be hoped."""
    (project / source.name).write_bytes(source.read_bytes())
    options = ["--noEmit", "--strict", "--target", "es2023", "--module", "nodenext", "--types", "react"]
    return _node("typescript/bin/tsc", *options, source.name, cwd=project, check=False)


def _npm(*arguments: str, cwd: Path) -> None:
    _run([*npm_command(), *arguments, "--loglevel=error"], cwd)


def _node(program: str, *arguments: str, cwd: Path, check: bool = True) -> str:
    command = [str(find_node()), str(CLIENTS / "node_modules" / program), *arguments]
    return _run(command, cwd, check=check)


def _run(command: list[str], cwd: Path, *, check: bool = True) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=INSTALL_S)
    assert done.returncode == 0 or not check, done.stdout + done.stderr
    return done.stdout
