"""The registry of subscribers: whoever wants an event is found by its topics, and nobody else."""

from hypothesis import given
from hypothesis import strategies as st

from tests.parked_streams import START, make_entry
from tidings.topics import Filter
from webapp.registry import Registry
from webapp.subscriber import Subscriber

NAMES = ["operations:a", "operations:b", "workflows:w", "agents:g"]
topics = st.lists(st.sampled_from([*NAMES, "operations:*", "workflows:*", "agents:*", "*"]), max_size=4)


def subscriber(*wanted: str) -> Subscriber:
    """Make a subscriber of topics; of everything without any."""
    named = [topic for topic in wanted if topic != "*"]
    return Subscriber(Filter.of(() if "*" in wanted else named), START)


@given(
    registered=st.lists(st.tuples(topics, st.booleans()), max_size=12),
    carried=st.lists(st.lists(st.sampled_from(NAMES), max_size=3), min_size=1, max_size=4),
)
def test_wanting_gives_those_whose_filter_covers_an_entry(
    registered: list[tuple[list[str], bool]], carried: list[list[str]]
) -> None:
    """Whoever came and went, exactly those are found whose topics cover an event, each once."""
    registry = Registry()
    everybody = [(subscriber(*wanted), stays) for wanted, stays in registered]
    for one, _ in everybody:
        registry.add(one)
    for one, stays in everybody:
        if not stays:
            registry.remove(one)
            registry.remove(one)
    staying = [one for one, stays in everybody if stays]
    entries = [make_entry(n, operation="x", topics=names) for n, names in enumerate(carried, 1)]

    found = registry.wanting(entries)
    assert len(found) == len(set(found))
    assert set(found) == {one for one in staying if any(one.wanted.covers(entry.topics) for entry in entries)}
    assert set(registry) == set(staying)
    assert len(registry) == len(staying)
    assert all((one in registry) is stays for one, stays in everybody)


def test_snapshot_does_not_change_with_the_registry() -> None:
    """Those who come or go during a fan-out do not disturb it."""
    registry = Registry()
    first, second = subscriber("operations:x"), subscriber("operations:x")
    registry.add(first)
    registry.add(second)
    found = registry.wanting([make_entry(1, operation="x")])
    registry.remove(first)
    registry.add(subscriber("operations:x"))

    assert set(found) == {first, second}


def test_topics_without_subscribers_are_forgotten() -> None:
    """A topic costs nothing once its last subscriber has left, be it by a name or a wildcard."""
    registry = Registry()
    there = [subscriber(f"operations:{n}", "agents:*", "operations:shared") for n in range(100)]
    for one in there:
        registry.add(one)
    for one in there:
        registry.remove(one)

    assert not registry._by_topic  # noqa: SLF001 - what it keeps is the matter
    assert not list(registry)


def test_only_its_own_registration_is_removed() -> None:
    """Removing one who is not there leaves the one who is, on the same topic."""
    registry = Registry()
    there, never_there = subscriber("operations:x"), subscriber("operations:x")
    registry.add(there)
    registry.remove(never_there)

    assert registry.wanting([make_entry(1, operation="x")]) == [there]
