"""Worker and publisher in one process, over a broker in its memory, as in people's own tests."""

from celery.contrib.testing.worker import start_worker

from proj.celery import app
from proj.tasks import fetch

if __name__ == "__main__":
    with start_worker(app, pool="threads", perform_ping_check=False):
        result = fetch.delay(7)
        result.get(timeout=60)
        print(result.id)
