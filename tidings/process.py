"""What one process has once: its settings, its log and its reporter.

A composition root for task authors: made from the environment on first use, so that
``with Operation(...)`` works in any script, or from given settings by `configure`.
"""

import atexit
import logging
import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

from tidings.failure import Shows
from tidings.gate import LOOK_S, Gate
from tidings.log import Log
from tidings.reporter import Reporter
from tidings.results import Results
from tidings.settings import Settings
from tidings.storage import Storage
from tidings.threadless import TRY_S, ThreadlessReporter
from tidings.values import MAX_JSON_BYTES
from tidings.writer import Writer

if TYPE_CHECKING:
    from tidings.tracing import Traces

FLUSH_S: Final = 2.0
"""How long the end of a process may wait for its last events."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Process:
    """The settings of this process and what is made of them, each on first use."""

    settings: Settings

    @cached_property
    def log(self) -> Log:
        """The process' access to the log."""
        return Log(self.settings)

    @cached_property
    def reporter(self) -> Reporter:
        """The process' reporter; closed when the interpreter ends, for which it has `FLUSH_S`."""
        reporter = Reporter(
            self.log,
            buffer_records=self.settings.buffer_events,
            interval_s=1 / self.settings.reports_per_s,
            lease_s=self.settings.lease_s,
            stalled_s=self.settings.stalled_s,
            traces=self.traces,
        )
        atexit.register(reporter.close, FLUSH_S)
        return reporter

    @cached_property
    def traces(self) -> "Traces | None":
        """What makes spans, if they are wanted and OpenTelemetry is installed."""
        if not self.settings.traces:
            return None
        try:
            from tidings.tracing import Traces  # noqa: PLC0415 - nobody else is to load it
        except ModuleNotFoundError:
            logger.warning(
                "TIDINGS_TRACES needs OpenTelemetry, no spans are made: pip install 'tidings[otel]'"
            )
            return None
        return Traces()

    @cached_property
    def storage(self) -> Storage:
        """Where files lie."""
        return Storage(self.settings.storage)

    @cached_property
    def results(self) -> Results:
        """The files that this process' operations leave behind."""
        return Results(self.storage, self.settings)

    @cached_property
    def threadless(self) -> ThreadlessReporter:
        """The reporter of a process that forks and so has no thread: a prefork worker's parent."""
        log = Log(self.settings, connections=1, timeout_s=TRY_S)
        return ThreadlessReporter(log, buffer_records=self.settings.buffer_events)

    @cached_property
    def gate(self) -> Gate:
        """What a task passes before its first line."""
        return Gate(Log(self.settings, timeout_s=LOOK_S))

    @cached_property
    def writer(self) -> Writer:
        """The process' way to append one record and know what became of it."""
        return Writer(self.log)


_process: Process | None = None


def configure(settings: Settings) -> Process:
    """Use *settings* for all that this process reports from now on."""
    global _process  # noqa: PLW0603 - one per process is the point
    _process = Process(settings)
    return _process


def adopt(settings: Settings) -> Process:
    """Use *settings* if nobody has configured this process: a child that its parent has told them."""
    return _process or configure(settings)


def shown_exceptions() -> Shows:
    """Say how much of exceptions is told: their names, where nobody has configured this process."""
    return _process.settings.show_exceptions if _process else "name"


def payload_bytes() -> int:
    """Say how much details or a result may have: the most, where nobody has configured this process."""
    return _process.settings.payload_bytes if _process else MAX_JSON_BYTES


def this_process() -> Process:
    """Return what this process reports with; read from the environment if nobody configured it.

    Raises: SettingsError if the environment does not say where Redis is.
    """
    return _process or configure(Settings.from_env(os.environ))
