"""rich's progress bars become the progress of the operation that they run in, as they are.

Beside the first stage of the flow. After `install` every ``rich.progress`` bar of the process also
reports, whether or not there is a terminal to draw it on; its description is the message. A bar belongs
to the operation in which it was added. Extra: ``tidings[rich]``.
"""

from collections.abc import Callable
from functools import cache, wraps
from typing import Any

from rich.progress import Progress, Task

from tidings.adapters.bars import Bars

_bars = Bars()


@cache
def install() -> None:
    """Have rich's bars report from now on; once is enough. Source: rich 15, ``Progress``."""
    add_task, stop = Progress.add_task, Progress.stop

    @wraps(add_task)
    def add_and_report(progress: Progress, *args: Any, **kwargs: Any) -> Any:
        task_id = add_task(progress, *args, **kwargs)
        _report(progress, task_id)
        return task_id

    @wraps(stop)
    def stop_and_let_go(progress: Progress) -> None:
        stop(progress)
        for task in progress.tasks:
            _bars.close(task)

    setattr(Progress, "add_task", add_and_report)  # noqa: B010 - a method is not assigned to
    setattr(Progress, "stop", stop_and_let_go)  # noqa: B010
    for name in ("update", "advance", "reset"):
        setattr(Progress, name, _reporting(getattr(Progress, name)))


def _reporting(change: Callable[..., None]) -> Callable[..., None]:
    @wraps(change)
    def change_and_report(progress: Progress, task_id: Any, *args: Any, **kwargs: Any) -> None:
        change(progress, task_id, *args, **kwargs)
        _report(progress, task_id)

    return change_and_report


def _report(progress: Progress, task_id: Any) -> None:
    task: Task | None = progress._tasks.get(task_id)  # noqa: SLF001 - `tasks` copies them all
    if task is None:  # another thread has removed it
        return
    _bars.show(task, task.completed, task.total, task.description)
    if task.finished:
        _bars.close(task)
