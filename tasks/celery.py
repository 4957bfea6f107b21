"""The Celery app: where the worker's settings come together."""

import logging
import os
from typing import Final

from celery import Celery, signals

import tidings.celery
from tasks.catalog import QUEUE
from tasks.settings import TaskSettings
from tidings.json_log import speak_json
from tidings.settings import Settings

_settings: Final = Settings.from_env(os.environ)
settings: Final = TaskSettings.from_env(os.environ)
"""What our own kinds read."""

app: Final = Celery(
    "tasks",
    broker=_settings.address.broker_url,
    backend=_settings.address.broker_url,  # chords count their parts there
    include=["tasks.agent", "tasks.batch", "tasks.browser", "tasks.upload", "tasks.workflow"],
)
app.conf.update(
    accept_content=["json"],
    broker_connection_retry_on_startup=True,
    broker_connection_timeout=2,  # a chord is claimed for four of these and more (ADR 12)
    broker_transport_options=_settings.address.broker_options,
    result_backend_transport_options=_settings.address.broker_options,
    task_default_queue=QUEUE,
    task_ignore_result=True,  # the stream is the result channel
    worker_hijack_root_logger=False,
)
tidings.celery.install(app, _settings)


def _speak_json(logger: logging.Logger, **_said: object) -> None:
    speak_json(logger.handlers)


if _settings.log_format == "json":
    for signal in (signals.after_setup_logger, signals.after_setup_task_logger):
        signal.connect(_speak_json, weak=False)
