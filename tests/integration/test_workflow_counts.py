"""A workflow's bar as Redis counts it, against the plain tree of `tidings.workflow` (docs/adr/0008)."""

import itertools
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, target
from hypothesis import settings as budget
from hypothesis import strategies as st
from msgspec.structs import replace

from tests.integration.test_log import Author
from tests.unit.test_workflow import actions, planted, shapes, weight_of
from tidings import placement
from tidings.cancel import cancelling
from tidings.descriptor import Descriptor
from tidings.events import CANCELLING, QUEUED, RUNNING, Complete, Error, Event, Progress, Status
from tidings.log import CANCEL, Log, OperationState
from tidings.placement import Placement
from tidings.record import ATTEMPT, NEW, OWN, Record
from tidings.workflow import Branch, Leaf, Part, Workflow

PUBLISHER = "publisher.1"
TREES = budget(deadline=None, suppress_health_check=list(HealthCheck))
_names = itertools.count(1)
few = st.recursive(st.integers(0, 3), lambda inner: st.lists(inner, min_size=1, max_size=2), max_leaves=3)
"""Small trees: what goes wrong needs one leaf to be met again and again."""
words = st.lists(
    st.tuples(
        st.sampled_from(["report", "report", "succeed", "fail", "join", "join"]),
        st.integers(0, 30),  # which place
        st.integers(1, 2),  # attempt
        st.integers(0, 10),  # current, of 10
        few,
    ),
    max_size=25,
)


class Counted:
    """A workflow in the log, which tasks report to; each leaf is an operation of its own."""

    def __init__(self, log: Log, plan: Part, *, unsent: str = "") -> None:
        self.name = f"flow{next(_names)}"
        self.log = log
        self.author = Author(log, f"author-{self.name}")
        self.start = log.hello().position
        self.about = Descriptor.of(self.name, "workflow")
        self.leaves: dict[str, Descriptor] = {}
        self.author.append(Record.beginning(self.about, PUBLISHER, 1))
        leaves = placement.planted(plan, self.name)
        leaves.pop(unsent, None)
        self.announce(leaves)

    def announce(self, placements: dict[str, Placement]) -> None:
        """Say that the leaves are queued."""
        for place, at in placements.items():
            about = Descriptor.of(
                f"{self.name}-{place}", "task", workflow=self.name, parent=self.name, placement=at
            )
            self.leaves[place] = about
            self.author.append(Record.of(about, Status, condition=NEW, status=QUEUED))

    def release(self) -> None:
        """Say that all of it has been published."""
        said = Record.of(self.about, Status, condition=OWN, run=PUBLISHER, status=RUNNING, leaves=True)
        self.author.append(said)

    def begin(self, place: str, attempt: int = 1) -> bool:
        """Have an attempt at a leaf begin; tell whether the log took that."""
        return self.author.codes(Record.beginning(self.leaves[place], run_of(place, attempt), attempt)) == [
            "stored"
        ]

    def say(self, place: str, attempt: int, event: type[Event], units: int = 0, **said: Any) -> bool:
        """Have an attempt say something; tell whether the log took that. Some are said twice."""
        record = Record.of(
            self.leaves[place], event, condition=OWN, run=run_of(place, attempt), attempt=attempt, **said
        )._replace(units=units)
        number = self.author.number + 1
        first = self.author.codes(record)
        if first != ["unknown"] and number % 3 == 0:
            assert self.log.append(self.author.name, number, [record])[0].code == "dup"
        return first == ["stored"]

    def report(self, place: str, attempt: int, current: int) -> bool:
        """Say that *current* of 10 are done."""
        at = self.leaves[place].placement
        assert isinstance(at, Placement)
        return self.say(
            place, attempt, Progress, at.units_of(current, 10), current=current, total=10, percentage=None
        )

    def succeed(self, place: str, attempt: int = 1) -> bool:
        """End a leaf well."""
        return self.say(place, attempt, Complete)

    def fail(self, place: str, attempt: int = 1, code: str = "failed") -> bool:
        """End a leaf badly."""
        return self.say(place, attempt, Error, code=code, message="m", terminal=True)

    def state(self) -> OperationState:
        """Read the workflow as it is."""
        state = self.log.operation(self.name)
        assert state is not None
        return state

    def counts(self, *fields: str) -> list[int]:
        """Read counts that Redis keeps."""
        found: Any = self.log.redis.hmget(self.log.key(f"wf:{self.name}"), fields)
        return [int(each or 0) for each in found]

    def everything(self) -> dict[str, str]:
        """Read all that Redis keeps of it."""
        found: Any = self.log.redis.hgetall(self.log.key(f"wf:{self.name}"))
        return {field.decode(): value.decode() for field, value in found.items()}

    def done_at(self, counts: dict[str, str], place: str) -> int:
        """Give what is done of a leaf, in units."""
        at = self.leaves[place].placement
        assert isinstance(at, Placement)
        token = at.hosts[0].token if at.hosts else ""
        return int(counts.get(f"l:{token}/{place}", "0 0").split()[1])

    def events(self) -> list[tuple[str, dict[str, Any]]]:
        """Give type and data of what was said of the workflow itself, and of nothing after its end."""
        entries: list[Any] = []
        after = self.start
        while page := self.log.read(after):
            entries += page
            after = page[-1].cursor
        return [
            (entry.type, json.loads(entry.data))
            for entry in entries
            if entry.cursor.n and entry.operation_id == self.name
        ]

    def bars(self) -> list[dict[str, Any]]:
        """Give what was said of how far it is."""
        return [data for event_type, data in self.events() if event_type == "progress"]


def run_of(place: str, attempt: int) -> str:
    """Name the run of an attempt."""
    return f"w.{place}.{attempt}"


def places_of(plan: Part) -> list[str]:
    """List the leaves of a plan."""
    return [plan.place] if isinstance(plan, Leaf) else [p for part in plan.parts for p in places_of(part)]


class Both:
    """The workflow in the log and the plain one, told the same things."""

    def __init__(self, log: Log, plan: Part) -> None:
        self.counted = Counted(log, plan)
        self.plain = Workflow(plan)
        self._tokens = itertools.count(1)

    def hear(self, action: str, place: str, attempt: int, current: int, plan: Part) -> None:
        """Have a leaf say something, to the log and, if that takes it, to the plain tree."""
        if not self.counted.begin(place, attempt):
            return
        self.plain.begin(place, attempt)
        if action == "join":
            self._join(place, attempt, plan)
        elif action == "report" and self.counted.report(place, attempt, current):
            self.plain.report(place, attempt, current, 10)
        elif action == "succeed" and self.counted.succeed(place, attempt):
            self.plain.succeed(place, attempt)
        elif action == "fail" and self.counted.fail(place, attempt):
            self.plain.fail(place, attempt)
        self.compare()

    def compare(self) -> None:
        """Compare what is done and how many leaves are planned."""
        nodes = self.plain._nodes.values()  # noqa: SLF001 - no other way to see its size
        counts = self.counted.everything()
        assert int(counts["done"]) == self.plain.done
        assert int(counts["planned"]) == sum(node.is_task for node in nodes)
        for node in nodes:
            if node.is_task:
                assert self.counted.done_at(counts, node.place) == node.done, node.place

    def _join(self, place: str, attempt: int, plan: Part) -> None:
        at = self.counted.leaves[place].placement
        assert isinstance(at, Placement)
        node = self.plain._nodes.get(place)  # noqa: SLF001
        kept = node.done if node is not None and not node.parts else 0
        self.counted.announce(placement.grafted(plan, at, attempt, kept, f"t{next(self._tokens)}"))
        self.plain.join(place, attempt, plan)


def check(log: Log, shape: Any, actions_said: list[Any]) -> None:
    """Tell a workflow of that shape what was drawn."""
    places = itertools.count()
    both = Both(log, planted(shape, places))
    for action, which, attempt, current, other in actions_said:
        if action == "join" and not weight_of(other):
            continue
        known = sorted(both.counted.leaves)
        both.hear(action, known[which % len(known)], attempt, min(current, 10), planted(other, places))
    bars = both.counted.bars()
    for before, after in itertools.pairwise(bars):
        assert after["percentage"] >= before["percentage"] - after.get("gaveBack", 0) - 0.11
        assert after["percentage"] >= before["percentage"] or "retried" in after
    assert all(bar["percentage"] < 100 for bar in bars)
    target(float(both.plain.mean))


@given(few.filter(lambda shape: weight_of(shape) > 0), words)
@budget(TREES, max_examples=150)
def test_the_log_counts_as_the_plain_tree_does(log: Log, shape: Any, actions_said: list[Any]) -> None:
    """Late, repeated, stale, replaced, given back: after each word, done is the plain recursive sum."""
    check(log, shape, actions_said)


@pytest.mark.long
@given(shapes.filter(lambda shape: weight_of(shape) > 0), actions)
@budget(TREES, max_examples=1_500)
def test_the_log_counts_as_the_plain_tree_does_for_long(
    log: Log, shape: Any, actions_said: list[Any]
) -> None:
    """The same with more trees, and larger ones."""
    check(log, shape, actions_said)


THREE = Branch("group.g", (Leaf("a"), Leaf("b"), Leaf("c", 2)))


def run_all(flow: Counted, *places: str) -> None:
    """Have leaves begin and succeed."""
    for place in places:
        flow.begin(place)
        flow.succeed(place)


def test_a_workflow_completes_behind_its_last_leaf(log: Log) -> None:
    """100 % is shown with the end only, which is told once and last."""
    flow = Counted(log, THREE)
    flow.release()
    run_all(flow, "a", "b", "c")
    events = flow.events()
    assert [bar["percentage"] for bar in flow.bars()] == [25, 50, 100]
    assert [event_type for event_type, _ in events[-3:]] == ["progress", "status", "complete"]
    assert events[-1][1]["result"] == {"tasks": 3}
    assert log.operation(flow.name).status == "succeeded"  # type: ignore[union-attr]


def test_a_workflow_that_is_still_published_does_not_end(log: Log) -> None:
    """What is not sent yet may be more; when all is sent, the end is told at once."""
    flow = Counted(log, THREE)
    run_all(flow, "a", "b", "c")
    assert flow.events()[-1][0] == "progress"
    flow.release()
    assert flow.events()[-1][0] == "complete"


def test_a_workflow_of_which_a_leaf_failed_ends_in_an_error_behind_all_others(log: Log) -> None:
    """The leaf keeps what it had, so the bar stays below 100 %."""
    flow = Counted(log, THREE)
    flow.release()
    for place in ("a", "b"):
        flow.begin(place)
    flow.report("a", 1, 5)
    flow.fail("a")
    run_all(flow, "c", "b")
    *_, (_, status), (last, said) = flow.events()
    assert (status["status"], last, said["code"], said["terminal"]) == ("failed", "error", "failed", True)
    assert flow.bars()[-1]["percentage"] == 87.5


def test_a_workflow_of_which_a_leaf_was_cancelled_is_cancelled(log: Log) -> None:
    """Nothing failed, and not all was done."""
    flow = Counted(log, THREE)
    flow.release()
    run_all(flow, "a", "b")
    flow.begin("c")
    flow.fail("c", code="cancelled")
    assert flow.events()[-1][1]["code"] == "cancelled"


def test_a_workflow_that_is_to_be_cancelled_ends_behind_its_leaves(log: Log) -> None:
    """Its leaves are told with the answers to what they say; the last of them ends it."""
    flow = Counted(log, THREE)
    flow.release()
    run_all(flow, "a")
    flow.begin("b")
    asked = cancelling(flow.state(), "somebody")
    assert flow.author.codes(*asked) == ["stored", "alive", "alive"]
    assert flow.state().status == CANCELLING
    (told,) = flow.author.append(Record.beginning(flow.leaves["c"], run_of("c", 1), 1))
    assert (told.code, told.message) == ("stored", CANCEL)
    flow.fail("c", code="cancelled")
    assert flow.state().end is None
    flow.fail("b", code="cancelled")
    assert flow.events()[-1][1]["code"] == "cancelled"


CHAIN = Branch("chain.c", (Leaf("a"), Leaf("b")))


@pytest.mark.parametrize(("cuts", "code"), [(False, "incomplete"), (True, None)])
def test_what_was_planned_and_never_sent_is_no_success(log: Log, cuts: bool, code: str | None) -> None:  # noqa: FBT001
    """Unless the task itself cut off what was to follow it: then the workflow says how much was skipped."""
    flow = Counted(log, CHAIN, unsent="b")
    flow.release()
    flow.begin("a")
    end = Record.of(flow.leaves["a"], Complete, condition=OWN, run=run_of("a", 1))._replace(cuts=cuts)
    flow.author.append(end)
    said = flow.events()[-1][1]
    assert said.get("code") == code
    assert said.get("result") == (None if code else {"tasks": 1, "skipped": 1})
    assert flow.bars()[-1]["percentage"] == 50


def test_a_retry_gives_back_what_it_had_and_says_so(log: Log) -> None:
    """The one way in which a bar falls."""
    flow = Counted(log, THREE)
    flow.begin("c")
    flow.report("c", 1, 5)
    flow.begin("c", 2)
    bar = flow.bars()[-1]
    assert (bar["percentage"], bar["gaveBack"], bar["retried"]) == (0, 25, flow.leaves["c"].id)


def test_a_workflow_says_how_fast_it_goes_and_when_it_will_be_done(log: Log) -> None:
    """By the mean of the time since its first task began; the more tasks are over, the narrower."""
    flow = Counted(log, Branch("group.g", tuple(Leaf(f"l{number}") for number in range(10))))
    flow.begin("l0")
    log.redis.hincrby(log.key(f"wf:{flow.name}"), "began", -20_000)
    flow.succeed("l0")
    run_all(flow, "l1", "l2", "l3")
    first, *_, last = flow.bars()

    assert 160 <= first["etaSeconds"] <= 9 * 40
    assert first["rate"] == pytest.approx(1 / (first["etaSeconds"] / 9), rel=0.02)
    assert first["etaLow"] == pytest.approx(first["etaSeconds"] / 2, abs=1)
    assert first["etaHigh"] == pytest.approx(first["etaSeconds"] * 2, abs=1)
    assert last["etaHigh"] / last["etaSeconds"] == pytest.approx(1.25, rel=0.05)


def test_a_workflow_that_has_only_begun_does_not_guess(log: Log) -> None:
    """The first second says nothing, and nothing is left at the end."""
    flow = Counted(log, THREE)
    flow.release()
    run_all(flow, "a")
    log.redis.hincrby(log.key(f"wf:{flow.name}"), "began", -5_000)
    run_all(flow, "b", "c")
    begun, going, ended = flow.bars()

    assert ["etaSeconds" in bar for bar in (begun, going, ended)] == [False, True, False]


def test_a_part_that_is_heard_of_before_its_host_counts_at_once(log: Log) -> None:
    """Each placement says all that is to be known, so nothing depends on what comes first."""
    flow = Counted(log, THREE)
    at = flow.leaves["c"].placement
    assert isinstance(at, Placement)
    flow.begin("c")
    flow.announce(placement.grafted(Branch("chain.x", (Leaf("x"), Leaf("y"))), at, 1, 1_000_000, "t"))
    flow.begin("y")
    flow.succeed("y")
    assert flow.counts("done") == [1_500_000]
    flow.report("c", 1, 9)
    assert flow.counts("done") == [1_500_000]


def test_a_leaf_whose_id_another_workflow_uses_ends_in_the_first_and_counts_in_the_other(log: Log) -> None:
    """As where one chain object is sent twice: its last task has one id in both (CELERY.md, 0.5)."""
    flows = {1: Counted(log, THREE), 2: Counted(log, THREE)}
    for number, flow in flows.items():
        flow.release()
        run_all(flow, "a", "b")
        flow.leaves["c"] = replace(flow.leaves["c"], id=f"{flows[1].name}-shared", use=f"use{number}")
        flow.begin("c", number)
    assert [flow.succeed("c", number) for number, flow in flows.items()] == [False, True]
    assert [flow.events()[-1][0] for flow in flows.values()] == ["error", "complete"]
    assert [flow.bars()[-1]["percentage"] for flow in flows.values()] == [50, 100]


class Host(Counted):
    """A workflow of which one leaf, c, was replaced by x and y."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, THREE)
        self.begin("c")
        self.replace("first", "x")

    def replace(self, token: str, place: str, attempt: int = 1) -> None:
        """Have an attempt at c be replaced by one leaf, which has done half of its work."""
        at = self.leaves["c"].placement
        assert isinstance(at, Placement)
        self.announce(placement.grafted(Leaf(place), at, attempt, 0, token))
        self.begin(place)
        self.report(place, 1, 5)


def test_what_replaced_an_attempt_that_was_given_up_counts_no_more(log: Log) -> None:
    """A later attempt takes back what the replacement had, and hears no more of it."""
    flow = Host(log)
    assert flow.counts("done") == [1_000_000]
    flow.begin("c", 2)
    assert flow.counts("done") == [0]
    flow.report("x", 1, 9)
    assert flow.counts("done") == [0]


def test_a_task_is_replaced_once_in_an_attempt(log: Log) -> None:
    """Two deliveries of it may both be replaced; the first counts."""
    flow = Host(log)
    flow.replace("second", "y")
    assert flow.counts("done") == [1_000_000]


class Twice(Counted):
    """A workflow whose leaf c was delivered twice, and replaced each time by a leaf and what stands for c."""

    def __init__(self, log: Log) -> None:
        super().__init__(log, THREE)
        self.release()
        run_all(self, "a", "b")
        self.begin("c")
        self.first, self.second = (self.replaced_by(token) for token in ("first", "second"))

    def replaced_by(self, token: str) -> Descriptor:
        """Announce a replacement, as its publisher does; give what goes on as the operation of c."""
        host = self.leaves["c"]
        at = host.placement
        assert isinstance(at, Placement)
        placements = placement.grafted(Branch("then", (Leaf(token), Leaf("c~1"))), at, 1, 0, token)
        stand_in = replace(host, placement=placements.pop("c~1"))
        self.announce(placements)
        self.author.append(
            Record.of(host, Status, condition=OWN, run=run_of("c", 1), status=QUEUED, leaves=True),
            Record.of(stand_in, Status, condition=ATTEMPT, status=QUEUED),
        )
        return stand_in

    def work(self, about: Descriptor, run: str, *, ends: bool = True) -> list[str]:
        """Have a run begin what stands for c, and maybe end it; give what became of that."""
        said = [Record.beginning(about, run, 2)]
        if ends:
            said.append(Record.of(about, Complete, condition=OWN, run=run, attempt=2))
        return self.author.codes(*said)


def test_a_workflow_ends_though_a_task_was_replaced_by_two_deliveries_of_it(log: Log) -> None:
    """Its worker died between the two: the second replacement is no part of the workflow."""
    flow = Twice(log)
    run_all(flow, "first")
    assert flow.work(flow.first, "w.1") == ["stored", "stored"]
    assert flow.work(flow.second, "w.2") == ["over", "over"]

    assert flow.events()[-1][0] == "complete"
    assert flow.bars()[-1]["percentage"] == 100


def test_a_workflow_ends_with_whichever_replacement_takes_the_task_over(log: Log) -> None:
    """Both go on as the same operation, which has one end."""
    flow = Twice(log)
    run_all(flow, "first", "second")
    flow.work(flow.first, "w.1", ends=False)
    assert flow.work(flow.second, "w.2") == ["stored", "stored"]

    assert flow.events()[-1][0] == "complete"
    assert flow.bars()[-1]["percentage"] == 100


@pytest.mark.parametrize("end", ["complete", "error"])
def test_a_workflow_ends_though_what_replaced_a_task_was_not_understood(log: Log, end: str) -> None:
    """What goes on as its operation has no place of its own: its end is the task's."""
    flow = Counted(log, THREE)
    flow.release()
    run_all(flow, "a", "b")
    flow.begin("c")
    flow.say("c", 1, Status, status=QUEUED, leaves=True)
    strange = Descriptor.of(flow.leaves["c"].id, "task")
    said: dict[str, Any] = {"code": "failed", "message": "m", "terminal": True} if end == "error" else {}
    event = Error if end == "error" else Complete
    flow.author.append(
        Record.beginning(strange, "w.1", 1), Record.of(strange, event, condition=OWN, run="w.1", **said)
    )

    assert flow.events()[-1][0] == end
    assert flow.bars()[-1]["percentage"] == (100 if end == "complete" else 50)


def test_what_replaces_a_task_that_has_ended_counts_no_more(log: Log) -> None:
    """The task keeps what was done for it."""
    flow = Host(log)
    flow.fail("c")
    flow.report("x", 1, 9)
    assert flow.counts("done") == [1_000_000]


def test_a_success_is_all_of_the_work_and_ends_who_were_to_do_it(log: Log) -> None:
    """What came in with a replacement is planned no more."""
    flow = Host(log)
    flow.succeed("c")
    assert flow.counts("done", "planned") == [2_000_000, 3]


def test_members_of_a_group_do_not_crowd_the_workflow(log: Log) -> None:
    """They are on ``members:``; what goes wrong with them is on both."""
    flow = Counted(log, THREE)
    flow.release()
    flow.begin("a")
    flow.fail("a")
    entries = [entry for entry in log.read(flow.start) if entry.operation_id == flow.leaves["a"].id]
    on_workflow = [entry.type for entry in entries if f"workflows:{flow.name}" in entry.topics]
    assert on_workflow == ["error"]
    assert all(f"members:{flow.name}" in entry.topics for entry in entries)


def test_an_operation_without_a_place_counts_nowhere(log: Log) -> None:
    """The plain path makes no key of a workflow."""
    author = Author(log)
    about = Descriptor.of("plain", "task", workflow="plain-flow")
    author.append(
        Record.beginning(about, "mine.1", 1), Record.of(about, Complete, condition=OWN, run="mine.1")
    )
    assert not log.redis.exists(log.key("wf:plain-flow"))
