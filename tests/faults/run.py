"""One run: operations that are worked on, browsers that watch them, a fault in the middle, the judgement.

Takes an arena, leaves figures; raises AssertionError with what is wrong and the seed that shows it again.
"""

import itertools
import random
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from tests.faults.arena import WAIT_S, Arena, Health
from tests.faults.browser import Browser
from tests.faults.figures import Figures
from tests.faults.judge import Verdict, judge
from tests.faults.transcript import Heard, Transcript
from tests.waiting import wait_until

OPERATIONS: Final = 3
"""Per author."""
LEAVES: Final = 0.03
"""How often a message makes a restless browser drop its connection."""
SHOWN: Final = 10
_numbers = itertools.count(1)


class Run:
    """From ``with``, when all is live, to its end, when all has come to rest and is judged."""

    def __init__(self, arena: Arena, fault: str, seed: str, rows: list[Figures]) -> None:
        self.arena = arena
        self.figures = Figures(fault, seed)
        self.browsers: list[Browser] = []
        self.verdicts: list[Verdict] = []
        self.random = random.Random(seed)  # noqa: S311 - to be replayed
        self._rows = rows
        self._seed = seed
        self._workflow = f"run{next(_numbers)}"
        self._said: dict[str, int] = {}
        self._health = Health(arena.stack.url)

    @property
    def operations(self) -> list[str]:
        """All that is worked on; those whose name ends with 0 live to the end of the run."""
        authors = range(len(self.arena.authors))
        return [f"{self._workflow}-{author}-{n}" for author in authors for n in range(OPERATIONS)]

    def __enter__(self) -> Self:
        self.arena.spoiled = True
        self._health.__enter__()
        first, second, *_ = self.operations[::2]
        two = frozenset({first, second})
        topics = f"stream?topics=operations:{first},operations:{second}"
        self._open("everything", "stream", None)
        self._open("everything too", "stream", None)
        self._open("everything, restless", "stream", None, leaves=LEAVES)
        self._open("two topics", topics, two)
        self._open("two topics, restless", topics, two, leaves=LEAVES)
        self.wait(self._are_live)
        self._begin()
        for each in self.operations[::OPERATIONS]:
            self._open(f"the whole of {each}", f"operations/{each}?history=all", frozenset({each}))
        whole = f"workflows/{self._workflow}"
        self._open("workflow", whole, frozenset(self.operations), late=True)
        self._open("workflow, restless", whole, frozenset(self.operations), late=True, leaves=LEAVES)
        self.wait(self._are_live)
        self.hear(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._come_to_rest()
        finally:
            for browser in self.browsers:
                browser.leave()
            self._health.__exit__(kind, error, traceback)
            for browser in self.browsers:
                browser.stop()
        if kind is None:
            self._judge()
            self.arena.spoiled = False

    @contextmanager
    def fault(self) -> Iterator[None]:
        """Note when a fault begins, and that it is healed at the end of the block: Redis accepts then."""
        began_at = time.monotonic()
        yield
        self.wait(self.arena.accepts)
        healed_at = time.monotonic()
        noticed_s = self._health.noticed_s(began_at, healed_at)
        self.wait(lambda: all(_event_after(healed_at, each) for each in self._steady))
        comings = [_event_after(healed_at, each) for each in self._steady]
        worst = self.figures
        worst.detected_s = _larger(worst.detected_s, noticed_s)
        for heard in comings:
            worst.live_again_s = _larger(worst.live_again_s, heard and heard.at - healed_at)
        for each in self._steady:
            worst.silence_s = _larger(worst.silence_s, _longest_silence(began_at, each))

    def last(self, duration_s: float) -> None:
        """Let the fault last so long: a measure of its own, not a guess at how long something takes."""
        until = time.monotonic() + duration_s
        wait_until(lambda: time.monotonic() > until, timeout_s=duration_s + WAIT_S)

    def until_noticed(self) -> None:
        """Wait until all web processes say that they cannot deliver."""
        self.wait(self._health.is_degraded)

    def hear(self, more: int) -> None:
        """Wait until each steady browser has been told *more* messages more."""
        goals = [(each, len(each.transcript.heard) + more) for each in self._steady]
        self.wait(lambda: all(each.done or len(each.transcript.heard) >= goal for each, goal in goals))

    @property
    def was_told(self) -> bool:
        """Whether any browser has been reset."""
        return any(heard.type == "reset" for each in self.browsers for heard in list(each.transcript.heard))

    @property
    def _steady(self) -> list[Browser]:
        """The browsers that never leave of their own."""
        return [each for each in self.browsers if not each.leaves]

    def wait(self, condition: Callable[[], bool]) -> None:
        """Wait until *condition* holds."""
        wait_until(condition, timeout_s=WAIT_S)

    def _are_live(self) -> bool:
        return all(each.live for each in self.browsers)

    def _open(
        self, name: str, path: str, wanted: frozenset[str] | None, *, late: bool = False, leaves: float = 0.0
    ) -> None:
        transcript = Transcript(name, wanted, not late)
        url = f"{self.arena.stack.url}/api/events/{path}"
        browser = Browser(url, transcript, seed=f"{self._seed}/{name}", leaves=leaves)
        self.browsers.append(browser)
        browser.start()

    def _begin(self) -> None:
        """Have the authors begin to work."""
        for number, author in enumerate(self.arena.authors):
            mine = self.operations[number * OPERATIONS : (number + 1) * OPERATIONS]
            author.begin(mine, self._workflow, self._seed)
        for author in self.arena.authors:
            assert author.answer()["begun"]

    def _come_to_rest(self) -> None:
        """Have the authors end their operations, and wait until every browser has been told all of it."""
        for author in self.arena.authors:
            author.end()
        for author in self.arena.authors:
            answer = author.answer()
            assert answer["flushed"]
            self._said |= answer["said"]
        for browser in self.browsers:
            browser.hurry()
        last = self.arena.end_of_log()
        self.wait(lambda: all(each.has_reached(last) for each in self.browsers))

    def _judge(self) -> None:
        kept = self.arena.kept()
        verdicts = {each.transcript.name: judge(each.transcript, self._said, kept) for each in self.browsers}
        self.verdicts = list(verdicts.values())
        self._count(self.verdicts)
        wrong = [f"{name}: {fault}" for name, verdict in verdicts.items() for fault in verdict.faults]
        assert not wrong, "\n".join([f"{len(wrong)} faults, seed {self._seed}", *wrong[:SHOWN]])

    def _count(self, verdicts: list[Verdict]) -> None:
        row = self.figures
        row.events = sum(each.events for each in verdicts)
        row.conflated = sum(each.conflated for each in verdicts)
        row.lost = sum(len(each.lost) for each in verdicts)
        row.doubled = sum(len(each.doubled) for each in verdicts)
        row.disordered = sum(len(each.disordered) + len(each.unended) for each in verdicts)
        row.resets = sum(each.resets for each in verdicts)
        row.connections = sum(each.connections for each in self.browsers)
        self._rows.append(row)


def _event_after(at: float, browser: Browser) -> Heard | None:
    """Give the first event that *browser* was told after *at*."""
    later = itertools.takewhile(lambda heard: heard.at > at, reversed(browser.transcript.heard))
    return next((heard for heard in reversed(list(later)) if heard.is_event), None)


def _larger(one: float | None, other: float | None) -> float | None:
    """Give the larger of two figures, of those that there are."""
    return max((figure for figure in (one, other) if figure is not None), default=None)


def _longest_silence(since: float, browser: Browser) -> float:
    """Say how long *browser* was told of no event, at the longest, from *since* on."""
    heard = browser.transcript.heard
    times = [since, *(each.at for each in heard if each.is_event and each.at > since)]
    return max(later - earlier for earlier, later in itertools.pairwise(times))
