"""What is told of exceptions to those who wait."""

import pickle

import pytest

from tidings.failure import Failure, Shows, said_by, told_of

CANARY = "redis://:canary@host"


def raised(error: Exception) -> Exception:
    """Raise *error*, so that it has a traceback."""
    with pytest.raises(type(error)) as caught:
        raise error
    return caught.value


@pytest.mark.parametrize(
    ("shows", "message", "more"),
    [
        ("name", "It failed with ValueError.", set()),
        ("message", CANARY, set()),
        ("traceback", CANARY, {"traceback"}),
    ],
)
def test_an_exceptions_text_is_told_where_a_setting_says_so(
    shows: Shows, message: str, more: set[str]
) -> None:
    """By default its class alone; its traceback last, with the place where it was raised."""
    code, said, details = told_of(raised(ValueError(CANARY)), shows)
    assert (code, said) == ("failed", message)
    assert details["exception"] == "ValueError"
    assert details.keys() == {"exception"} | more
    if more:
        assert "in raised" in details["traceback"]


@pytest.mark.parametrize("shows", ["name", "message", "traceback"])
def test_a_failure_is_told_as_it_is(shows: Shows) -> None:
    """Whatever the setting; also when it comes from another process."""
    failure = Failure("no_such_row", "There is no row 7.", {"row": 7})
    for each in (failure, pickle.loads(pickle.dumps(failure))):  # noqa: S301 - our own
        assert told_of(raised(each), shows) == ("no_such_row", "There is no row 7.", {"row": 7})
        assert said_by(each, shows, "") == "There is no row 7."


@pytest.mark.parametrize("shows", ["message", "traceback"])
def test_an_exception_without_words_is_told_by_its_class(shows: Shows) -> None:
    """Nobody is told nothing."""
    assert told_of(raised(ValueError()), shows)[1] == "It failed with ValueError."
