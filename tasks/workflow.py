"""The workflow kind: a pipeline's steps, run as one Celery canvas.

The task that is started becomes the workflow: it sends a chain of chords, one for each level of the steps,
and a last task that ends it. A step never fails its canvas: it keeps its output, or why there is none, among
the workflow's results, so that those that need it are told so, the others run, and nothing that is finished
is done again: neither when a message comes twice, nor when the pipeline is resumed.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from celery import Task, chain, group
from celery.canvas import Signature
from msgspec import convert

import tidings.celery
from tasks.celery import app
from tasks.pipeline import PipelineStep, digests, levels
from tasks.running import running
from tasks.steps import STEPS, Given
from tidings import (
    Cancelled,
    Failure,
    Operation,
    ResultReference,
    StorageUnavailable,
    load_result,
    save_result,
)
from tidings.celery import Failed
from tidings.failure import said_by
from tidings.process import shown_exceptions

KIND: Final = "step"
END: Final = "_end"
"""Of the id of the task that ends a workflow: no step's name begins so."""
PIPELINE: Final = "pipeline.json"
MAX_DELAY_S: Final = 60

SAFE: Final[dict[str, Any]] = {
    "acks_late": True,
    "retry_on_worker_lost": True,
    "reject_on_worker_lost": True,  # where the retry cannot be sent
    "max_retries": 10,  # of a worker that is lost: whatever kills one each time has failed
    "default_retry_delay": 1,
    "autoretry_for": (StorageUnavailable,),  # of what is read and kept around a step's own work
    "retry_backoff": True,
}
"""What becomes of a task whose worker dies, or that finds no storage: it comes again. Celery keeps no
results of these tasks: it would take one for the end of a task of which no chord had heard (ADR 12)."""

CHORD_S: Final = 12
"""So long Celery's chord waits for whoever counted its last part to send what follows, dead or not: tries of
a publish * `broker_connection_timeout` and some more (Celery 5.7, `_chord_publish_claim_expires`)."""

Canvas = Signature[Any]


class Kept(NamedTuple):
    """One step of one workflow, and its files among the workflow's results."""

    workflow: str
    step: PipelineStep
    digest: str

    @property
    def output(self) -> Any:
        """What it gave, or None."""
        return _loaded(self.workflow, self._output)

    @property
    def failure(self) -> Any:
        """Why it gave nothing, or None."""
        return _loaded(self.workflow, self._failure)

    def keep(self, output: dict[str, Any]) -> ResultReference:
        """Keep what it gave; give what an event says of it."""
        return save_result(self._output, json.dumps(output), operation=self.workflow)

    def keep_failure(self, said: dict[str, Any]) -> None:
        """Keep why it gave nothing."""
        save_result(self._failure, json.dumps(said), operation=self.workflow)

    @property
    def _output(self) -> str:
        """A name that changes with what the step does."""
        return f"{self.step.name}.{self.digest}.json"

    @property
    def _failure(self) -> str:
        return f"{self.step.name}.{self.digest}.failed.json"


@app.task(name="tasks.workflow", tidings_kind="workflow", **SAFE)
def run_workflow(pipeline: dict[str, Any], resume: str | None = None) -> None:
    """Have the current operation be the workflow of a *pipeline* that `tasks.pipeline` has checked.

    Steps that have finished in the workflow *resume*, and would do the same here, are taken as they are.
    """
    operation = running()
    if resume is not None and _loaded(resume, PIPELINE) is None:
        raise Failure("unknown_workflow", f"There is no workflow {resume} whose steps are kept.")
    save_result(PIPELINE, json.dumps(pipeline), operation=operation)
    steps = _steps_of(operation.id)
    if resume is not None:
        _take_over(resume, steps.values())
    operation.check_cancelled()
    tidings.celery.become(_canvas(operation, steps), shows_all=True)


@app.task(bind=True, name="tasks.step", **SAFE)
def run_step(
    self: Task[Any, Any], workflow: str, name: str, *, waited: bool = False
) -> dict[str, Any] | Failed:
    """Do one step of a workflow, once all that it needs have had their turn.

    One that comes again and has been done may have been killed while it sent what follows. *waited*: so long
    that its chord has this run send it (ADR 12).
    """
    steps = _steps_of(workflow)
    mine = steps[name]
    if (output := mine.output) is not None:
        if _comes_again(self) and not waited:
            raise self.retry(args=(workflow, name), kwargs={"waited": True}, countdown=CHORD_S)
        return {"kept": True} | _told(output)
    if (said := mine.failure) is not None:
        return _failed(name, said)
    inputs = {need: steps[need].output for need in mine.step.needs}
    if missing := [need for need, given in inputs.items() if given is None]:
        message = f"Not run: it needs {', '.join(missing)}, which did not finish."
        return Failed("not_run", message, {"step": name, "needs": missing})
    try:
        output = STEPS[mine.step.task](Given(mine.step.params, inputs, workflow))
        reference = mine.keep(output)
    except Cancelled:
        raise
    except Exception as error:
        tries = self.request.retries + 1
        if tries <= mine.step.retries:
            delay_s = min(2 ** (tries - 1), MAX_DELAY_S)
            raise self.retry(exc=error, countdown=delay_s, max_retries=mine.step.retries) from error
        said = {"reason": said_by(error, shown_exceptions(), type(error).__name__), "tries": tries}
        mine.keep_failure(said)
        return _failed(name, said)
    return {"output": reference} | _told(output)


@app.task(name="tasks.workflow_end", **SAFE)
def end_workflow(workflow: str) -> None:
    """Say what a workflow ends with, all of whose steps have had their turn."""
    operation = running()
    steps = _steps_of(workflow)
    outputs = {name: kept.output for name, kept in steps.items()}
    failures = _failures(steps, outputs)
    if failures is not None:
        operation.error("step_failed", *failures, speaks=True)
        return
    results = [result for output in outputs.values() for result in _told(output).get("results", ())]
    operation.complete({"steps": len(outputs), "results": results}, speaks=True)


def _comes_again(task: Task[Any, Any]) -> bool:
    """Tell whether an earlier run of this message, or of the one that it retries, may have got somewhere."""
    return bool(task.request.retries or (task.request.delivery_info or {}).get("redelivered"))


def _loaded(workflow: str, name: str) -> Any:
    try:
        return json.loads(load_result(name, operation=workflow))
    except FileNotFoundError:
        return None


def _steps_of(workflow: str) -> dict[str, Kept]:
    """Give the steps of a workflow by name, as it was started."""
    steps = convert(_loaded(workflow, PIPELINE)["steps"], list[PipelineStep])
    words = digests(steps)
    return {step.name: Kept(workflow, step, words[step.name]) for step in steps}


def _failed(name: str, said: dict[str, Any]) -> Failed:
    return Failed(
        "step_failed", f"Step {name} failed: {said['reason']}", {"step": name, "tries": said["tries"]}
    )


def _told(output: dict[str, Any]) -> dict[str, Any]:
    """Give of an output what an event says: the files that were made."""
    return {"results": output["results"]} if "results" in output else {}


def _failures(steps: dict[str, Kept], outputs: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """Say which steps failed and which were not run for it, the first of them by name; None if none did."""
    without = [kept for name, kept in steps.items() if outputs[name] is None]
    failed = [kept for kept in without if all(outputs[need] is not None for need in kept.step.needs)]
    if not failed:
        return None
    names = [kept.step.name for kept in failed]
    not_run = [kept.step.name for kept in without if kept not in failed]
    reason = (failed[0].failure or {}).get("reason", "it has not said why")
    return f"Step {names[0]} failed: {reason}", {"step": names[0], "failed": names, "notRun": not_run}


def _take_over(workflow: str, steps: Iterable[Kept]) -> None:
    """Take the outputs of another workflow for those *steps* that would do what it did."""
    for mine in steps:
        output = mine._replace(workflow=workflow).output
        if output is not None:
            mine.keep(output)


def _canvas(operation: Operation, steps: dict[str, Kept]) -> Canvas:
    """Give each level as a group, one after the other, and the task that ends the workflow behind them."""
    rounds = [
        [_placed(operation, run_step, step.weight, step.name) for step in level]
        for level in levels(kept.step for kept in steps.values())
    ]
    end = _placed(operation, end_workflow, 0)
    return chain(*(group(level) if len(level) > 1 else level[0] for level in rounds), end)


def _placed(operation: Operation, task: Task[Any, Any], weight: float, step: str = "") -> Canvas:
    """Give a task an id that is the same however often it is sent, and what its operation is told of."""
    name = step or END
    said = {"kind": KIND, "name": name, "weight": weight, "owner": operation.descriptor.owner or None}
    signature: Canvas = task.si(operation.id, step) if step else task.si(operation.id)
    options: dict[str, Any] = {"task_id": f"{operation.id}.{name}", "headers": {"tidings": said}}
    return signature.set(**options)
