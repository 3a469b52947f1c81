from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna.text import amount, clock, duration, listed, plural, size


def test_nouns_follow_their_number() -> None:
    assert plural(0, "case") == "0 cases"
    assert plural(1, "case") == "1 case"
    assert plural(12_345, "case") == "12,345 cases"
    assert plural(1.0, "minute") == "1 minute"
    assert plural(2, "entry", "entries") == "2 entries"


def test_sizes() -> None:
    assert size((3, 4, 5)) == "3 × 4 × 5"
    assert size((3, 4), "×") == "3×4"


@given(st.lists(st.text("ab", min_size=1)), st.integers(1, 5))
def test_no_name_is_lost(names: list[str], most: int) -> None:
    shown, _, more = listed(names, most).partition(" and ")
    counted = len(shown.split(", ")) if shown else 0
    assert counted + int(more.split()[0] if more else 0) == len(names)
    assert counted <= most


def test_lists_are_quoted_where_asked() -> None:
    assert listed(["a", "b"], quoted=True) == "'a', 'b'"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00"), (42.4, "0:42"), (59.6, "1:00"), (725, "12:05"), (3723, "1:02:03"), (math.inf, "–")],
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


@given(st.integers(0, 10**6))
def test_a_clock_shows_every_second(seconds: int) -> None:
    parts = [int(part) for part in clock(seconds).split(":")]
    assert sum(part * 60**place for place, part in enumerate(reversed(parts))) == seconds
    assert all(part < 60 for part in parts[1:])


def test_what_is_not_known() -> None:
    assert clock(math.inf) == clock(math.nan) == "–"


def test_durations() -> None:
    assert [duration(s) for s in (0.4, 119, 120, 3599, 3600)] == [
        "0 s",
        "119 s",
        "2 min 0 s",
        "59 min 59 s",
        "1 h 0 min",
    ]


def test_amounts() -> None:
    assert amount(2**30 - 1) == "1024.0 MiB"
    assert amount(2**30) == "1.0 GiB"
