"""A Celery project that knows nothing of Tidings but one line: a task for each way to end."""

import os
import signal
import sys
import time
import traceback
from datetime import UTC, datetime, timedelta
from pathlib import Path

from celery import Celery, Task, group
from celery.backends.redis import RedisBackend
from celery.exceptions import Ignore, Reject, SoftTimeLimitExceeded
from celery.signals import task_postrun

import tidings.celery
from tidings import Failure

REDIS = os.environ["REDIS_URL"]
app = Celery("proj", broker=REDIS.replace("unix://", "redis+socket://"))
app.conf.update(
    result_backend=REDIS.replace("unix://", "redis+socket://"),
    broker_connection_retry_on_startup=True,
    broker_transport_options={"visibility_timeout": int(os.environ.get("VISIBILITY_S", "300"))},
    result_expires=60,
    task_default_queue=os.environ.get("QUEUE", "celery"),  # for what tasks send
)
tidings.celery.install(app, ignore=["proj.is_nobodys_business"])


CANARY = "amqp://user:canary-of-an-argument@host"
YESTERDAY = datetime.now(UTC) - timedelta(days=1)


def wait_for(path):
    while not Path(path).exists():
        time.sleep(0.02)


def is_first_time(path):
    """Tell whether it is called for the first time with this path."""
    try:
        Path(path).touch(exist_ok=False)
    except FileExistsError:
        return False
    return True


@app.task
def returns(word="done"):
    return {"word": word}


@app.task
def is_nobodys_business():
    return "seen"


@app.task
def raises():
    raise KeyError("no such row")


@app.task
def raises_for_people(row):
    raise Failure("no_such_row", f"There is no row {row}.", {"row": row})


@app.task(bind=True)
def repeats_its_argument(self, said):
    if self.request.retries == 0:
        raise self.retry(exc=ConnectionError(f"no way to {said}"), countdown=0.2)
    raise ConnectionError(f"no way to {said}")


@app.task
def returns_what_is_no_json():
    return {"an": object()}


class IsDown(RedisBackend):
    retry_policy = {"max_retries": 1, "interval_start": 0}


@app.task(backend=IsDown(app=app, url="redis://127.0.0.1:1"))
def returns_what_nobody_stores():
    return "well"


@app.task(ignore_result=True)
def returns_what_is_no_json_to_nobody():
    return {"an": object()}


class StartsBadly(Task):
    def before_start(self, task_id, args, kwargs):
        raise ValueError("not today")


class EndsBadly(Task):
    def on_success(self, retval, task_id, args, kwargs):
        raise ValueError("too late")

    def after_return(self, status, retval, task_id, args, kwargs, einfo):
        raise ValueError("much too late")


class DiesWhenItIsDone(Task):
    def on_success(self, retval, task_id, args, kwargs):
        time.sleep(0.5)  # what it said before has left
        os.kill(os.getpid(), signal.SIGKILL)


@app.task(base=StartsBadly)
def starts_badly():
    pass


@app.task(base=EndsBadly)
def ends_badly():
    pass


@app.task(base=DiesWhenItIsDone)
def dies_when_it_is_done():
    pass


@app.task(bind=True, max_retries=3)
def retries_once(self):
    if self.request.retries == 0:
        raise self.retry(countdown=1, exc=ValueError("not yet"))
    return "at last"


@app.task(autoretry_for=(ValueError,), retry_kwargs={"max_retries": 1, "countdown": 0})
def retries_in_vain():
    raise ValueError("never")


@app.task(bind=True)
def retries_and_returns(self):
    if self.request.retries == 0:
        self.retry(countdown=0.2, throw=False)
        return "not this"
    return "this"


@app.task(bind=True)
def retries_and_raises(self):
    if self.request.retries == 0:
        self.retry(countdown=0.2, throw=False)
        raise ValueError("not this")
    return "this"


@app.task
def ignores():
    raise Ignore


@app.task(bind=True)
def marks_itself(self, state):
    try:
        raise ValueError(CANARY)
    except ValueError:
        said = traceback.format_exc().split("\n")
    self.update_state(state=state, meta={"exc_type": "ValueError", "exc_message": said})
    raise Ignore


@app.task(bind=True)
def is_replaced(self):
    if self.request.retries == 0:
        raise self.retry(countdown=0)
    return self.replace(returns.si("instead"))


@app.task(bind=True)
def is_replaced_by_a_group(self):
    return self.replace(group(returns.si("one"), returns.si("two")))


@app.task
def rejects():
    raise Reject("not mine")


@app.task
def rejects_too_late(path):
    if is_first_time(path):
        raise Reject("once more", requeue=True)


@app.task(acks_late=True)
def rejects_once(path):
    if is_first_time(path):
        raise Reject("once more", requeue=True)
    return "taken"


@app.task
def waits(path):
    tidings.report_status("waiting")
    wait_for(path)


@app.task(soft_time_limit=1)
def overruns_softly():
    for _ in range(130):
        time.sleep(0.01)


@app.task(soft_time_limit=3)
def overruns_and_catches():
    # A machine that stands still before the try would have the limit fall outside of it.
    try:
        for _ in range(330):
            time.sleep(0.01)
    except SoftTimeLimitExceeded:
        return "caught"
    return "not limited"


@app.task(soft_time_limit=1, time_limit=60)
def overruns_and_catches_other_exceptions():
    while True:
        try:
            time.sleep(0.02)
            tidings.report_progress(1, 2)
        except ValueError:
            pass


@app.task(time_limit=1)
def overruns():
    for _ in range(150):
        time.sleep(0.01)


@app.task(time_limit=1, acks_late=True, acks_on_timeout=False)
def overruns_once(path):
    if is_first_time(path):
        time.sleep(30)
    return "in time"


@app.task
def exits():
    sys.exit(1)


@app.task
def dies():
    os._exit(1)


@app.task(acks_late=True)
def dies_late():
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(acks_late=True, reject_on_worker_lost=True)
def dies_and_is_rejected(path):
    if is_first_time(path):
        time.sleep(0.5)  # what it said before has left
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(acks_late=True)
def dies_behind_its_end():
    return "well"


@task_postrun.connect(sender=dies_behind_its_end)  # behind the receiver of the one line
def kill(**_):
    os.kill(os.getpid(), signal.SIGKILL)


@app.task(retry_on_worker_lost=True, max_retries=1, default_retry_delay=0)
def dies_and_is_retried(path):
    if is_first_time(path):
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGKILL)
    return "survived"


@app.task(bind=True)
def updates_its_state(self):
    for done in range(1, 4):
        self.update_state(state="PROGRESS", meta={"current": done, "total": 3, "status": f"row {done}"})
    return "all"


@app.task
def calls_eagerly(task_id):
    return returns.apply(args=["inner"], task_id=task_id).get(disable_sync_subtasks=False)


@app.task(bind=True)
def retries_eagerly(self, task_id):
    return retries_once.apply(task_id=task_id).get(disable_sync_subtasks=False)


@app.task
def fails_eagerly(task_id):
    try:
        raises.apply(task_id=task_id, throw=True)
    except KeyError:
        return "seen"
    return "not seen"


def eagerly(call):
    """Have what *call* sends done at once and here, as projects do in their tests."""
    app.conf.task_always_eager = True
    try:
        return call()
    finally:
        app.conf.task_always_eager = False
