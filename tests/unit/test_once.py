"""What is said once per process."""

from tidings.once import is_first


def test_each_thing_is_first_once() -> None:
    """The same words again are not, others are."""
    assert [is_first("test_once", word) for word in ("a", "b", "a")] == [True, True, False]
    assert not is_first("test_once", "b")
    assert is_first("test_once")
