"""The batch kind: one small piece of work on every item of a source, to a table.

An item that cannot be done is a warning with its name and reason; the batch goes on. What is finished stands
in a journal, so that a batch whose worker dies goes on from there when its task is delivered again, and so
that another batch can try again what one has not done well.
"""

import warnings
from typing import Any, Final

from tasks.attempt import attempt
from tasks.celery import app
from tasks.running import running

MAX_LOSSES: Final = 5
"""An item that kills its worker is tried again so often."""


@app.task(
    name="tasks.batch",
    tidings_kind="batch",
    acks_late=True,  # the machine lost: delivered again
    retry_on_worker_lost=True,  # its process lost: sent again
    reject_on_worker_lost=True,  # if that cannot be sent
    max_retries=MAX_LOSSES,
    default_retry_delay=0,
)
def run_batch(
    *,
    source: str | dict[str, str] | None = None,
    items: list[Any] | None = None,
    retry: str | None = None,
    limit: int | None = None,
    retries: int = 0,
    concurrency: int = 4,
) -> dict[str, Any]:
    """Work through the items, *concurrency* at a time, from where the attempt before this one got to.

    Returns how many were done and failed, what the source makes of them, and the table ``items.csv`` by
    reference.
    """
    operation = running()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # the standard library's own tests are full of them
        given = {"source": source, "items": items, "limit": limit}
        return attempt(operation, given, retry=retry, retries=retries, concurrency=concurrency)
