"""The browser kind: a scripted session in a real headless Chromium, told as it happens.

What the page does besides the script (console errors, failed requests, dialogs, downloads, windows) is a
warning; what ends the session is one error that says why. However it ends, its Chromium ends with it.
"""

import asyncio
import os
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit, urlunsplit

import msgspec

from tasks import cancellable
from tasks.catalog import BrowserParams, Click, Extract, Fill, GoTo, Screenshot, Step, Wait
from tasks.celery import app, settings
from tasks.chromium import FLAGS, NoChromium, find_chromium
from tasks.hosts import AllowedHosts
from tasks.running import running
from tidings import Failure, Operation, ResultReference, save_result

if TYPE_CHECKING:
    from playwright.async_api import CDPSession, ConsoleMessage, Dialog, Download, Frame, Page, Request

WIDTH: Final = 1_024
HEIGHT: Final = 640
LAUNCH_S: Final = 30.0
"""Within this a browser starts on a busy machine; a second is usual. Guessed."""
MAX_WARNINGS: Final = 50
"""Of one session: a page that complains in a loop must not fill the log. Guessed."""
MAX_TEXT_CHARS: Final = 1_000
"""Of an extracted text: an event's result has 32 KB. Guessed."""


@app.task(name="tasks.browser", tidings_kind="browser")
def run_browser(steps: list[dict[str, Any]], timeout: float) -> dict[str, Any]:
    """Go through the *steps*, each within *timeout* seconds.

    Returns what was extracted by name, the screenshots by reference, and the last page's URL and title.
    """
    params = msgspec.convert({"steps": steps, "timeout": timeout}, BrowserParams)
    operation = running()
    return cancellable.run(_session(params, operation, settings.allowed_hosts), operation)


async def _session(params: BrowserParams, operation: Operation, hosts: AllowedHosts) -> dict[str, Any]:
    from playwright.async_api import Error, async_playwright  # noqa: PLC0415 - heavy

    try:
        program = find_chromium()
    except NoChromium as error:
        raise Failure("no_browser", str(error)) from error
    async with async_playwright() as playwright:
        try:
            browser = await playwright.chromium.launch(
                executable_path=program,
                args=[*FLAGS, f"--host-resolver-rules={hosts.resolver_rules}"],
                chromium_sandbox=os.geteuid() != 0,
                timeout=LAUNCH_S * 1_000,
            )
        except Error as error:
            raise Failure("no_browser", f"Chromium did not start: {_line(error)}") from error
        operation.status("browser started", {"version": browser.version})
        async with browser:
            context = await browser.new_context(
                viewport={"width": WIDTH, "height": HEIGHT}, accept_downloads=False, service_workers="block"
            )
            page = await context.new_page()
            visit = Visit(page, operation, hosts, params.timeout)
            await visit.watch()
            return await visit.go_through(params.steps)


class Visit:
    """One page on its way through a script, in its session's event loop."""

    def __init__(self, page: "Page", operation: Operation, hosts: AllowedHosts, timeout_s: float) -> None:
        self._page = page
        self._operation = operation
        self._hosts = hosts
        self._timeout_s = timeout_s
        self._warnings = 0
        self._frame_id = ""
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._extracted: dict[str, str | None] = {}
        self._screenshots: list[ResultReference] = []

    async def watch(self) -> None:
        """Listen to the page, and stand between it and the network: redirects pass here too."""
        page = self._page
        page.set_default_timeout(self._timeout_s * 1_000)
        page.on("framenavigated", self._on_navigated)
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._warn("page_error", str(error)))
        page.on("requestfailed", self._on_request_failed)
        page.on("dialog", self._on_dialog)
        page.on("download", self._on_download)
        page.on("popup", self._on_popup)
        page.on("crash", lambda _: self._break("page_crashed", "The page's process crashed."))
        guard = await page.context.new_cdp_session(page)
        self._frame_id = (await guard.send("Page.getFrameTree"))["frameTree"]["frame"]["id"]
        guard.on("Fetch.requestPaused", lambda paused: self._on_request(guard, paused))
        await guard.send("Fetch.enable")

    async def go_through(self, steps: list[Step]) -> dict[str, Any]:
        """Do the steps one by one. Raises: Failure, with the step that it happened in."""
        self._operation.progress(0, len(steps))
        for number, step in enumerate(steps, start=1):
            self._operation.check_cancelled()
            parts = msgspec.to_builtins(step)
            action = parts["action"]
            said = {"step": number, "action": action} | {
                key: parts[key] for key in ("selector",) if key in parts
            }
            try:
                said |= await self._unless_broken(self._do(number, step))
            except Failure as failure:
                failure.details |= said
                raise
            self._operation.status(f"{action} done", said)
            self._operation.progress(number, len(steps), action)
        return {
            "url": _shown(self._page.url),
            "title": (await self._page.title())[:MAX_TEXT_CHARS],
            "extracted": self._extracted,
            "screenshots": self._screenshots,
        }

    async def _unless_broken(self, doing: Coroutine[Any, Any, dict[str, Any]]) -> dict[str, Any]:
        """Do a step, but not past what broke the page, nor (the driver may be hung) much past its time."""
        from playwright import async_api  # noqa: PLC0415 - heavy

        step = asyncio.create_task(doing)
        ends: set[asyncio.Future[Any]] = {step, self._broken}
        try:
            await asyncio.wait(ends, timeout=self._timeout_s + LAUNCH_S, return_when=asyncio.FIRST_COMPLETED)
            if self._broken.done():
                self._broken.result()
            if not step.done():
                raise Failure("step_timeout", "The browser does not answer.")
            return step.result()
        except async_api.TimeoutError as error:
            raise Failure("step_timeout", f"Nothing came of it within {self._timeout_s:g} s.") from error
        except async_api.Error as error:
            await asyncio.sleep(0)  # what broke it may be told behind it
            if self._broken.done():
                self._broken.result()
            code = "download" if "Download is starting" in str(error) else "step_failed"
            raise Failure(code, _line(error)) from error
        finally:
            step.cancel()
            await asyncio.wait({step}, timeout=1)
            if step.done() and not step.cancelled():
                step.exception()  # taken note of, or asyncio complains

    async def _do(self, number: int, step: Step) -> dict[str, Any]:
        page = self._page
        match step:
            case GoTo(url=url):
                answer = await page.goto(self._hosts.whole(url))
                return {"url": _shown(page.url), "httpStatus": answer.status if answer else None}
            case Click(selector=selector):
                await page.click(selector)
                return {}
            case Fill(selector=selector, text=text):
                await page.fill(selector, text)
                return {"chars": len(text)}  # not the text: it may be a password
            case Wait(selector=selector, state=state):
                await page.wait_for_selector(selector, state=state)
                return {"state": state}
            case Extract(selector=selector, name=name, attribute=attribute):
                found = page.locator(selector).first
                value = await (found.get_attribute(attribute) if attribute else found.inner_text())
                self._extracted[name] = value and value[:MAX_TEXT_CHARS]
                return {"name": name, "text": self._extracted[name]}
            case Screenshot(name=name):
                picture = await page.screenshot(type="jpeg", quality=60, scale="css")
                reference = await asyncio.to_thread(
                    save_result, f"{number:02}-{name}.jpg", picture, operation=self._operation
                )
                self._screenshots.append(reference)
                return {"result": reference}

    async def _on_request(self, guard: "CDPSession", paused: dict[str, Any]) -> None:
        from playwright.async_api import Error  # noqa: PLC0415 - heavy

        url, request = paused["request"]["url"], {"requestId": paused["requestId"]}
        allowed = self._hosts.allows(url)
        if not allowed:
            is_redirect = "redirectedRequestId" in paused
            place = f"A redirect to {_host(url)}" if is_redirect else _host(url)
            message = f"{place} was refused: it is not among the hosts allowed."
            details = {"url": _shown(url), "redirect": is_redirect}
            if paused["resourceType"] == "Document" and paused["frameId"] == self._frame_id:
                self._break("host_refused", message, details)
            else:
                self._warn("host_refused", message, details)
        try:
            if allowed:
                await guard.send("Fetch.continueRequest", request)
            else:
                await guard.send("Fetch.failRequest", request | {"errorReason": "BlockedByClient"})
        except Error:
            return  # the page is gone, or the request is

    def _on_navigated(self, frame: "Frame") -> None:
        if frame == self._page.main_frame and frame.url != "about:blank":
            self._operation.status("navigated", {"url": _shown(frame.url)})

    def _on_console(self, message: "ConsoleMessage") -> None:
        if message.type == "error":
            place = message.location
            self._warn(
                "console_error", message.text, {"url": _shown(place["url"]), "line": place["lineNumber"]}
            )

    def _on_request_failed(self, request: "Request") -> None:
        reason = request.failure or ""
        if reason not in {
            "net::ERR_ABORTED",
            "net::ERR_BLOCKED_BY_CLIENT",
        }:  # its own wish; ours, said already
            self._warn("request_failed", f"{request.method} {_shown(request.url)}: {reason}")

    async def _on_dialog(self, dialog: "Dialog") -> None:
        self._warn("dialog", dialog.message or dialog.type, {"type": dialog.type, "answer": "dismissed"})
        await dialog.dismiss()

    def _on_download(self, download: "Download") -> None:
        self._warn("download", f"{download.suggested_filename} was not downloaded: downloads are refused.")

    async def _on_popup(self, popup: "Page") -> None:
        self._warn("popup", "A window was closed: a session has one page.", {"url": _shown(popup.url)})
        await popup.close()

    def _warn(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        self._warnings += 1
        if self._warnings < MAX_WARNINGS:
            self._operation.warning(code, message, details)
        elif self._warnings == MAX_WARNINGS:
            self._operation.warning("more_warnings", "What else the page does is not told any more.")

    def _break(self, code: str, message: str, details: dict[str, Any] | None = None) -> None:
        if not self._broken.done():
            self._broken.set_exception(Failure(code, message, details))
            self._broken.exception()  # taken note of, where no step is waiting


def _line(error: Exception) -> str:
    """Give an error of Playwright without its log of calls, which may show what was filled in."""
    return str(error).partition("\n")[0]


def _host(url: str) -> str:
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.hostname}{port}" if parts.hostname else parts.scheme


def _shown(url: str) -> str:
    """Give *url* without user, password and query, which may hold secrets."""
    try:
        parts = urlsplit(url)
        return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))[:500]
    except ValueError:
        return ""
