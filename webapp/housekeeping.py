"""The greenlet of a web process that deletes the files nobody will want any more.

Beside the flow: takes uploads that have expired, ends their operations, deletes them; then results, files
that were uploaded, and batches' journals, past their time. Every process does so now and then; whoever comes
second finds nothing.
"""

import logging
import random
from functools import partial
from typing import TYPE_CHECKING, Final

import gevent

import tasks.journal
import tasks.uploaded
from tasks.incoming import UploadGone, UploadLocked
from tidings.errors import LogUnavailable, StorageUnavailable
from webapp.threads import in_thread
from webapp.uploading import end

if TYPE_CHECKING:
    from webapp.service import Service

MOST_S: Final = 600.0
"""Between two rounds, or a quarter of the time that uploads are kept; a round lists what is kept."""
EXPIRED: Final = "expired"

logger = logging.getLogger(__name__)


class Housekeeping:
    """One per process, started once (`start`), running until the process ends."""

    def __init__(self, here: "Service") -> None:
        self._here = here
        self._pause_s = min(MOST_S, here.settings.upload_ttl_s / 4)
        self._greenlet: gevent.Greenlet[[], None] | None = None

    def start(self) -> None:
        """Start, unless it was started before."""
        if self._greenlet is None:
            self._greenlet = gevent.spawn(self._run)

    def _run(self) -> None:
        while True:
            gevent.sleep(self._pause_s * random.uniform(0.5, 1))  # noqa: S311 - processes are not to do so at once
            try:
                self.tidy()
            except (LogUnavailable, StorageUnavailable, OSError) as error:
                logger.warning("files that are past their time are deleted later: %s", error)
            except Exception:
                # The top of a supervised loop: whatever it is, disks must not fill up for it.
                logger.exception("deleting files failed and goes on")

    def tidy(self) -> None:
        """Delete what is past its time. Waits for the disk, the network and Redis.

        Raises: LogUnavailable, StorageUnavailable, OSError.
        """
        here = self._here
        for upload_id in in_thread(partial(here.incoming.untouched, here.settings.upload_ttl_s)):
            self._expire(upload_id)
        keep_s = here.settings.files_ttl_s
        in_thread(partial(here.process.results.delete_older, keep_s))
        in_thread(partial(tasks.uploaded.delete_older, keep_s))
        in_thread(partial(tasks.journal.delete_older, keep_s))

    def _expire(self, upload_id: str) -> None:
        """End an upload and delete it, unless it waits for its task, or somebody is at it."""
        incoming = self._here.incoming
        try:
            upload = in_thread(partial(incoming.find, upload_id))
        except FileNotFoundError:
            in_thread(partial(incoming.delete, upload_id))
            return
        state = self._here.log.operation(upload_id)
        if in_thread(lambda: upload.is_sent) and state is not None and state.end is None:
            return
        try:
            with upload.writing():
                end(self._here, upload_id, EXPIRED, "Nothing more came of the upload in time.")
                incoming.delete(upload_id)
        except UploadGone:
            incoming.delete(upload_id)
        except UploadLocked:
            return
