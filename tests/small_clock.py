"""A clock that tests move."""

from __future__ import annotations


class TestClock:
    """Stands still until it is moved."""

    __test__ = False

    def __init__(self, seconds: float = 1000.0) -> None:
        self.seconds = seconds

    def now(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.seconds += seconds
