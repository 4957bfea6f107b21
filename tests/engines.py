"""Browsers that Playwright cannot drive as they are shipped: Firefox, and WebKit in WebKitGTK's MiniBrowser.

Each gives a page with the few methods of Playwright's that the client's tests use. Firefox speaks Marionette
itself, WebKit WebDriver through WebKitWebDriver. Nobody here installs either.
"""

import json
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from dev.port import free_port
from tests.stack import READ_S
from tests.waiting import wait_until

FIREFOX: Final = ("firefox-esr", "firefox")
WEBKIT: Final = ("WebKitWebDriver",)
PREFERENCES: Final = {
    "marionette.port": 0,
    "devtools.jsonview.enabled": False,  # its page of JSON imports no module of ours
    "browser.shell.checkDefaultBrowser": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.update.disabledForTesting": True,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}
EVALUATE: Final = """
const [said, done] = arguments;
(async () => {
  const it = (%s);
  return JSON.stringify((typeof it === "function" ? await it(JSON.parse(said)) : it) ?? null);
})().then((value) => done([value]), (error) => done(["", String(error)]));
"""
"""Playwright's way: an expression, or a function that is called with an argument."""


class EngineFailed(Exception):
    """What the browser answered, or what the page's script raised."""


class EnginePage:
    """One page of one browser, with what the client's tests use of Playwright's."""

    def __init__(self) -> None:
        self.url = ""

    def goto(self, url: str) -> None:
        """Open *url* and wait for it. Raises: EngineFailed."""
        self.navigate(url)
        self.url = url

    def evaluate(self, script: str, arg: object = None) -> Any:
        """Evaluate *script* in the page, and wait for what it promises. Raises: EngineFailed."""
        value, *error = self.execute(EVALUATE % script, json.dumps(arg))
        if error:
            raise EngineFailed(error[0])
        return json.loads(value)

    def wait_for_function(self, script: str, *, arg: object = None) -> None:
        """Wait until *script* gives something true."""
        wait_until(lambda: self.evaluate(script, arg), timeout_s=READ_S)

    def navigate(self, url: str) -> None:
        """Open *url*. Raises: EngineFailed."""
        raise NotImplementedError

    def execute(self, script: str, said: str) -> list[str]:
        """Run *script* with a text and a function that takes what it comes to. Raises: EngineFailed."""
        raise NotImplementedError

    def close(self) -> None:
        """Let go of the browser."""
        raise NotImplementedError


class FirefoxPage(EnginePage):
    """A Firefox' page, by Marionette: ``<length>:[0, number, command, parameters]`` on a socket.

    Source: remote/marionette in Mozilla's repository, protocol 3.
    """

    def __init__(self, port: int) -> None:
        super().__init__()
        self._connection = socket.create_connection(("127.0.0.1", port), READ_S)
        self._stream = self._connection.makefile("rb")
        self._number = 0
        self._receive()
        self._ask("NewSession", {})
        self._ask("SetTimeouts", {"script": int(READ_S * 1_000)})

    def navigate(self, url: str) -> None:
        """See `EnginePage.navigate`."""
        self._ask("Navigate", {"url": url})

    def execute(self, script: str, said: str) -> list[str]:
        """See `EnginePage.execute`."""
        answer: list[str] = self._ask("ExecuteAsyncScript", {"script": script, "args": [said]})["value"]
        return answer

    def close(self) -> None:
        """See `EnginePage.close`."""
        self._stream.close()
        self._connection.close()

    def _ask(self, command: str, parameters: dict[str, Any]) -> Any:
        self._number += 1
        said = json.dumps([0, self._number, f"WebDriver:{command}", parameters]).encode()
        self._connection.sendall(b"%d:%b" % (len(said), said))
        _, _, error, result = self._receive()
        if error:
            raise EngineFailed(error["message"])
        return result

    def _receive(self) -> Any:
        digits = b""
        while (byte := self._stream.read(1)) != b":":
            if not byte:
                raise EngineFailed("Firefox has closed the connection")
            digits += byte
        return json.loads(self._stream.read(int(digits)))


class WebKitPage(EnginePage):
    """A MiniBrowser's page, by WebDriver over HTTP. Source: https://w3.org/TR/webdriver2."""

    def __init__(self, url: str) -> None:
        super().__init__()
        options = {"webkitgtk:browserOptions": {"args": ["--automation"]}}
        session = _post(f"{url}/session", {"capabilities": {"alwaysMatch": options}})["sessionId"]
        self._session = f"{url}/session/{session}"
        _post(f"{self._session}/timeouts", {"script": int(READ_S * 1_000)})

    def navigate(self, url: str) -> None:
        """See `EnginePage.navigate`."""
        _post(f"{self._session}/url", {"url": url})

    def execute(self, script: str, said: str) -> list[str]:
        """See `EnginePage.execute`."""
        answer: list[str] = _post(f"{self._session}/execute/async", {"script": script, "args": [said]})
        return answer

    def close(self) -> None:
        """See `EnginePage.close`."""
        with urlopen(Request(self._session, method="DELETE"), timeout=READ_S):
            pass


def _post(url: str, said: dict[str, Any]) -> Any:
    with urlopen(Request(url, json.dumps(said).encode()), timeout=READ_S) as answer:
        return json.load(answer)["value"]


@contextmanager
def firefox(folder: Path) -> Iterator[FirefoxPage]:
    """Start a headless Firefox with a new profile in *folder*; give its page."""
    program = find(FIREFOX)
    assert program is not None
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (folder / "user.js").write_text("\n".join(lines))
    port = folder / "MarionetteActivePort"
    command = [program, "--headless", "--no-remote", "--marionette", "--profile", str(folder)]
    with running(command, folder / "firefox.log"):
        wait_until(lambda: port.is_file() and port.read_text(), timeout_s=READ_S)
        page = FirefoxPage(int(port.read_text()))
        try:
            yield page
        finally:
            page.close()


@contextmanager
def webkit(folder: Path) -> Iterator[WebKitPage]:
    """Start a MiniBrowser through its driver; give its page. Needs a display, or Xvfb."""
    program = find(WEBKIT)
    assert program is not None
    port = free_port()
    shown = [] if os.environ.get("DISPLAY") else ["xvfb-run", "--auto-servernum"]
    with running([*shown, program, f"--port={port}"], folder / "webkit.log"):
        url = f"http://127.0.0.1:{port}"
        wait_until(lambda: _is_ready(url), timeout_s=READ_S)
        page = WebKitPage(url)
        try:
            yield page
        finally:
            page.close()


def find(names: tuple[str, ...]) -> str | None:
    """Find a program of one of these names."""
    return next(filter(None, map(shutil.which, names)), None)


@contextmanager
def running(command: list[str], log: Path) -> Iterator[None]:
    """Have a program run, in a group of its own, all of which ends with this."""
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _is_ready(url: str) -> bool:
    try:
        with urlopen(f"{url}/status", timeout=1) as answer:
            return bool(json.load(answer)["value"]["ready"])
    except OSError:
        return False
