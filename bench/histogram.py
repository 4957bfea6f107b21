"""Latencies as counts in log-linear buckets, as bench/client.c prints them. Pure."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

SUB_BITS: Final = 7
"""128 buckets per power of two: below 1 % of error. The same in bench/client.c."""
_SUB: Final = 1 << SUB_BITS


def bucket_top(index: int) -> int:
    """Give the largest value, in µs, that bucket *index* holds."""
    if index < _SUB:
        return index
    shift = (index >> SUB_BITS) - 1
    return (((index & (_SUB - 1)) + _SUB + 1) << shift) - 1


@dataclass(slots=True)
class Histogram:
    """Counts by bucket, of one client or of several added up."""

    buckets: Counter[int] = field(default_factory=Counter)
    max_us: int = 0

    @classmethod
    def from_json(cls, printed: Mapping[str, Any]) -> Self:
        """Read what the client printed."""
        return cls(
            Counter({int(index): int(count) for index, count in printed["buckets"]}), int(printed["max"])
        )

    def __add__(self, other: "Histogram") -> "Histogram":
        return Histogram(self.buckets + other.buckets, max(self.max_us, other.max_us))

    @property
    def count(self) -> int:
        """How many values there are."""
        return self.buckets.total()

    def quantile_ms(self, q: float) -> float:
        """Give the value, in ms, that a share *q* of all does not exceed; 0 where there is none."""
        rank, seen = max(int(q * self.count + 0.999999), 1), 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                return min(bucket_top(index), self.max_us) / 1000
        return 0.0

    @property
    def max_ms(self) -> float:
        """The largest value, in ms."""
        return self.max_us / 1000
