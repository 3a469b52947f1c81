from __future__ import annotations

import math
import time

from small_clock import TestClock
from ulna.training.timer import HEARTBEAT, SystemClock, Timer


def test_seconds_of_earlier_commands_count() -> None:
    clock = TestClock()
    timer = Timer(clock, used=7.0, limit=60.0)
    clock.move(3)
    assert (timer.seconds, timer.left) == (10.0, 50.0)
    timer.add(20)
    assert (timer.seconds, timer.left) == (30.0, 30.0)
    clock.move(40)
    assert timer.left == -10
    assert Timer(clock).left == math.inf


def test_beats_are_recorded_once_a_second() -> None:
    clock, recorded = TestClock(), list[float]()
    timer = Timer(clock, used=1.5, record=recorded.append)
    for _ in range(10):
        timer.beat()
        clock.move(HEARTBEAT / 4)
    assert recorded == [1.5, 2.5, 3.5]
    Timer(clock).beat()  # nobody records


def test_a_progress_that_is_watched_beats_before_each_item() -> None:
    clock, recorded, shown = TestClock(), list[float](), list[str]()

    def progress(items: list[int], what: str) -> list[int]:
        shown.append(what)
        return items

    timer = Timer(clock, record=recorded.append)
    for item in timer.watching(progress)([5, 6, 7], "scoring"):  # type: ignore[arg-type]
        clock.move(item)
    assert shown == ["scoring"]
    assert recorded == [0, 5, 11]


def test_the_system_clock_is_monotonic() -> None:
    before = time.monotonic()
    assert before <= SystemClock().now() <= time.monotonic()
