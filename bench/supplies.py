"""Brings what the benchmark needs into bench/build: compiled programs, and the peers' packages.

The peers' Python packages go into a virtualenv of their own, never into the project's; a peer that cannot
be brought is not measured, and the others are.
"""

import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Final

from bench.errors import NotMeasured
from bench.process import BUILD, ROOT
from dev.errors import SetUpError
from dev.node import npm_command

VENV: Final = BUILD / "venv"
INSTALL_S: Final = 300.0
COMPILE_S: Final = 300.0
"""Go compiles its standard library first: 30 s of CPU (measured), more on a busy machine."""


@cache
def client() -> Path:
    """Give the load client, compiled. Raises: NotMeasured."""
    return _compiled("client")


@cache
def floor() -> Path:
    """Give the floor, compiled. Raises: NotMeasured."""
    return _compiled("floor")


def _compiled(name: str) -> Path:
    source, program = ROOT / "bench" / f"{name}.c", BUILD / name
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise NotMeasured("there is no C compiler; apt-get install gcc (Debian, Ubuntu)")
    BUILD.mkdir(parents=True, exist_ok=True)
    run([compiler, "-O2", "-o", str(program), str(source)], COMPILE_S)
    return program


@cache
def python_with(*packages: str) -> Path:
    """Give the Python of the peers' virtualenv, with *packages* in it. Raises: NotMeasured."""
    python = VENV / "bin" / "python"
    if not python.exists():
        run([sys.executable, "-m", "venv", "--clear", str(VENV)], INSTALL_S)
    stamp = VENV / "installed.txt"
    installed = stamp.read_text(encoding="utf-8").split("\n") if stamp.exists() else []
    wanted = [package for package in packages if package not in installed]
    if wanted:
        print(f"Installing {', '.join(wanted)} …", flush=True)
        run([str(python), "-m", "pip", "install", "-q", "--no-input", *wanted], INSTALL_S)
        stamp.write_text("\n".join([*installed, *wanted]), encoding="utf-8")
    return python


def npm_package(package: str, version: str) -> Path:
    """Give the folder whose ``node_modules`` has *package*. Raises: NotMeasured."""
    folder = BUILD / "node"
    stamp = folder / f"{package}-{version}"
    if not stamp.exists():
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "package.json").write_text('{"private": true}', encoding="utf-8")
        try:
            command = [
                *npm_command(),
                "install",
                "--ignore-scripts",
                "--no-audit",
                "--no-fund",
                "--loglevel=error",
            ]
        except SetUpError as error:
            raise NotMeasured(str(error)) from error
        print(f"Installing {package} {version} …", flush=True)
        run([*command, f"{package}@{version}"], INSTALL_S, cwd=folder)
        stamp.touch()
    return folder


def run(
    command: Sequence[str], timeout_s: float, *, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> str:
    """Run *command* and give its output. Raises: NotMeasured with its last line."""
    try:
        done = subprocess.run(
            command, timeout=timeout_s, cwd=cwd, env=env, text=True, check=False,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotMeasured(f"{Path(command[0]).name}: {error}") from error
    if done.returncode:
        last = next((line for line in reversed(done.stdout.splitlines()) if line.strip()), "it said nothing")
        raise NotMeasured(f"{Path(command[0]).name}: {last}")
    return done.stdout
