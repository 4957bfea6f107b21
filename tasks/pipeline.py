"""A pipeline as data: read from JSON or YAML, and refused by the name of the field if it could not run.

Takes what somebody gave, gives steps that fit together: names that are theirs alone, needs that exist and go
round in no circle, tasks that there are, with the parameters and the inputs that they take. Pure, but for the
shipped pipeline's file.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct, to_builtins

from tidings import InvalidValue
from tidings.checking import check

SHIPPED: Final = Path(__file__).parent / "pipelines" / "python-stdlib.yaml"
"""What runs where no pipeline is given, and the example for who writes one."""
MAX_CHARS: Final = 20_000
"""Of YAML: 50 steps have some 8,000, and it is read within 20 ms (5 times that without libyaml)."""
MAX_DEPTH: Final = 10
DIGEST_CHARS: Final = 12

Name = Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,39}$(?!\n)")]


class PipelineStep(Struct, frozen=True, forbid_unknown_fields=True):
    """One step: what it does, with what, and after which others."""

    name: Name
    task: Annotated[
        str, Meta(description="What it does.", examples=["scan", "analyse", "aggregate", "render"])
    ]
    params: Annotated[dict[str, Any], Meta(description="What its task takes.")] = {}
    needs: Annotated[
        list[str], Meta(max_length=50, description="The names of the steps that come first.")
    ] = []
    retries: Annotated[int, Meta(ge=0, le=10, description="How often it is tried again.")] = 0
    weight: Annotated[
        float, Meta(ge=0, le=1_000, description="Its share of the bar, beside the others'.")
    ] = 1.0


class Pipeline(Struct, frozen=True, forbid_unknown_fields=True):
    """Steps, in any order: what they need says which come first."""

    steps: Annotated[list[PipelineStep], Meta(min_length=1, max_length=50)]


class WorkflowParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which pipeline is run."""

    pipeline: Annotated[
        Pipeline
        | Annotated[
            str, Meta(max_length=MAX_CHARS, title="YAML text", examples=[SHIPPED.read_text(encoding="utf-8")])
        ]
        | None,
        Meta(description="Left out: the shipped one, which counts the standard library."),
    ] = None
    resume: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._~-]{1,128}$(?!\n)")] | None,
        Meta(description="The id of an earlier workflow: what it has finished is not run again."),
    ] = None


class StepTask(Struct, frozen=True):
    """What a step may do: what it takes from its needs, in which parameters, and what it gives to others."""

    name: str
    gives: str
    takes: tuple[str, ...]
    params: type[Struct]


class ScanParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which modules are listed; ``limit`` takes only the first so many, in alphabetical order."""

    source: Annotated[str, Meta(pattern="^python-stdlib$")] = "python-stdlib"
    limit: Annotated[int, Meta(ge=1)] | None = None


class AnalyseParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Which part of the modules is counted: every ``of``-th, from the ``part``-th on."""

    part: Annotated[int, Meta(ge=1, le=100)] = 1
    of: Annotated[int, Meta(ge=1, le=100)] = 1


class NoParams(Struct, frozen=True, forbid_unknown_fields=True):
    """Nothing can be said."""


class RenderParams(Struct, frozen=True, forbid_unknown_fields=True):
    """What the report is called, and how many modules it names."""

    title: Annotated[str, Meta(min_length=1, max_length=200)] = "The Python standard library"
    top: Annotated[int, Meta(ge=1, le=100)] = 20


STEP_TASKS: Final = {
    task.name: task
    for task in (
        StepTask("scan", "modules", (), ScanParams),
        StepTask("analyse", "counts", ("modules",), AnalyseParams),
        StepTask("aggregate", "summary", ("counts",), NoParams),
        StepTask("render", "report", ("summary",), RenderParams),
    )
}
"""What steps can do; `tasks.steps` does it."""


def read(params: WorkflowParams, at: str) -> WorkflowParams:
    """Give the parameters with a pipeline that can run.

    *at* is the parameters' path. Raises: InvalidValue naming the field below it, and what is allowed.
    """
    path = f"{at}.pipeline"
    match params.pipeline:
        case None:
            pipeline = shipped()
        case str() as text:
            pipeline = check(_loaded(text, path), Pipeline, path)
        case given:
            pipeline = given
    checked = Pipeline(_checked(pipeline.steps, f"{path}.steps"))
    return msgspec.structs.replace(params, pipeline=checked)


@cache
def shipped() -> Pipeline:
    """Read the pipeline that ships with this."""
    return check(_loaded(SHIPPED.read_text(encoding="utf-8"), "pipeline"), Pipeline, "pipeline")


def levels(steps: Iterable[PipelineStep]) -> list[list[PipelineStep]]:
    """Give the steps in rounds: each needs only what earlier rounds give, at least one of the last."""
    by_name = {step.name: step for step in steps}
    rounds: list[list[PipelineStep]] = []
    placed: set[str] = set()
    while len(placed) < len(by_name):
        ready = [
            step for step in by_name.values() if step.name not in placed and placed.issuperset(step.needs)
        ]
        rounds.append(ready)
        placed.update(step.name for step in ready)
    return rounds


def digests(steps: Iterable[PipelineStep]) -> dict[str, str]:
    """Give each step a word for what it does, and from what: the same for the same, whoever runs it."""
    found: dict[str, str] = {}
    for each in levels(steps):
        for step in each:
            said = msgspec.json.encode(
                [step.task, step.params, [found[need] for need in step.needs]], order="sorted"
            )
            found[step.name] = hashlib.sha256(said).hexdigest()[:DIGEST_CHARS]
    return found


def _loaded(text: str, path: str) -> Any:
    """Read YAML. Raises: InvalidValue."""
    import yaml  # noqa: PLC0415 - only where there is any

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, in most builds
    try:
        _check_plain(yaml.parse(text, loader), path)
        return yaml.load(text, loader)  # noqa: S506 - one of the two safe ones  # nosec B506
    except yaml.MarkedYAMLError as error:
        where = f" in line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise InvalidValue(path, f"YAML ({error.problem}{where})") from error
    except yaml.YAMLError as error:
        raise InvalidValue(path, f"YAML ({type(error).__name__})") from error
    except InvalidValue:
        raise
    except ValueError as error:  # a date that is none, a number that is too long
        raise InvalidValue(path, f"YAML ({error})") from error


def _check_plain(events: Iterable[Any], path: str) -> None:
    """Refuse what takes longer to read than its characters: aliases and depth take the square."""
    from yaml import AliasEvent, CollectionEndEvent, CollectionStartEvent  # noqa: PLC0415 - as above

    depth = 0
    for event in events:
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if isinstance(event, AliasEvent) or depth > MAX_DEPTH:
            raise InvalidValue(path, f"YAML without aliases (*name), nested at most {MAX_DEPTH} deep")


def _checked(steps: Sequence[PipelineStep], path: str) -> list[PipelineStep]:
    """Give the steps with all their parameters. Raises: InvalidValue for the first thing that is wrong."""
    _check_names(steps, path)
    _check_needs(steps, path)
    _check_circles(steps, path)
    if not any(step.weight for step in steps):
        raise InvalidValue(f"{path}[0].weight", "above 0 for one step at least", 0)
    by_name = {step.name: step for step in steps}
    return [_equipped(step, by_name, f"{path}[{number}]") for number, step in enumerate(steps)]


def _check_names(steps: Sequence[PipelineStep], path: str) -> None:
    first: dict[str, int] = {}
    for number, step in enumerate(steps):
        if step.name in first:
            raise InvalidValue(
                f"{path}[{number}].name", f"its own: steps[{first[step.name]}] has it", step.name
            )
        first[step.name] = number


def _check_needs(steps: Sequence[PipelineStep], path: str) -> None:
    names = [step.name for step in steps]
    for number, step in enumerate(steps):
        for place, need in enumerate(step.needs):
            at = f"{path}[{number}].needs[{place}]"
            if need not in names:
                raise InvalidValue(at, f"a step: {', '.join(names)}", need)
            if need in step.needs[:place]:
                raise InvalidValue(at, "named once", need)


def _check_circles(steps: Sequence[PipelineStep], path: str) -> None:
    """Refuse needs that go round: who waits for whom is named in full."""
    needs = {step.name: step.needs for step in steps}
    free: set[str] = set()
    while ready := [name for name in needs if name not in free and free.issuperset(needs[name])]:
        free.update(ready)
    tied = next((name for name in needs if name not in free), None)
    if tied is None:
        return
    way = [tied]
    while way.count(way[-1]) == 1:
        way.append(next(need for need in needs[way[-1]] if need not in free))
    circle = way[way.index(way[-1]) :]
    number = next(number for number, step in enumerate(steps) if step.name == circle[0])
    at = f"{path}[{number}].needs[{steps[number].needs.index(circle[1])}]"
    raise InvalidValue(at, f"without a circle: {' → '.join(circle)}")


def _equipped(step: PipelineStep, by_name: Mapping[str, PipelineStep], path: str) -> PipelineStep:
    """Give a step with all that its task takes. Raises: InvalidValue."""
    task = STEP_TASKS.get(step.task)
    if task is None:
        raise InvalidValue(f"{path}.task", f"one of {', '.join(sorted(STEP_TASKS))}", step.task)
    for kind in task.takes:
        givers = sorted(name for name, other in STEP_TASKS.items() if other.gives == kind)
        if not any(by_name[need].task in givers for need in step.needs):
            wanted = f"a step whose task is {' or '.join(givers)}: {task.name} takes its {kind}"
            raise InvalidValue(f"{path}.needs", wanted, step.needs)
    params = check(step.params, task.params, f"{path}.params")
    if isinstance(params, AnalyseParams) and params.part > params.of:
        raise InvalidValue(f"{path}.params.part", f"at most {params.of}, as many as there are", params.part)
    return msgspec.structs.replace(step, params=to_builtins(params))
