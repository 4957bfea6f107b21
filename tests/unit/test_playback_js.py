"""What happened when, and how it stood then, as the replay of the operator's page has it."""

from typing import Any

from tests.in_node import in_node


def said(second: float, event_type: str = "progress", **data: Any) -> dict[str, Any]:
    """Make an event of the history, said in that second."""
    return {"type": event_type, "data": {"timestamp": f"2026-11-23T10:00:{second:06.3f}Z", **data}}


def test_time_is_counted_from_the_first_event_and_never_goes_back() -> None:
    """Also where an author's clock does, and where it says nothing that can be read."""
    histories = [
        [said(1), said(2.5), said(2), said(4)],
        [said(1), {"type": "status", "data": {"timestamp": "soon"}}, said(2)],
        [],
    ]
    found = in_node("playback.js", "return page.offsets(given)", histories)
    assert found == [[0, 1_500, 1_500, 3_000], [0, 0, 1_000], []]


def test_the_place_is_that_of_the_last_event_that_has_happened() -> None:
    """Of several at the same moment the last, before the first none."""
    times = [0, 100, 100, 250]
    asked = [-1, 0, 99, 100, 249, 250, 1e9]
    found = in_node("playback.js", f"return page.placeAt({times}, given)", asked)
    assert found == [-1, 0, 0, 2, 2, 3, 3]


def test_it_stands_as_its_latest_events_say() -> None:
    """The end counts more than what was said before it; an error that is none, does not."""
    events = [
        said(1, "status", status="running"),
        said(2, current=1, total=2),
        said(3, "error", code="odd", terminal=False),
        said(4, "error", code="cancelled", terminal=True),
    ]
    body = f"return page.standing({events!r}.map((each) => each), given)".replace("True", "true")
    found = in_node("playback.js", body.replace("False", "false"), [0, 1, 2, 3])
    assert [each["status"] for each in found] == ["running", "running", "running", "cancelled"]
    assert found[1]["events"]["progress"]["current"] == 1
    assert "error" not in found[1]["events"]
