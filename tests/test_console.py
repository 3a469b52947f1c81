from __future__ import annotations

import math

import pytest

from ulna.console import clock, say, track


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0, "0:00"), (42.4, "0:42"), (59.6, "1:00"), (725, "12:05"), (3723, "1:02:03"), (math.inf, "–")],
)
def test_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def test_everything_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    say("[bold]one[/] line that is longer than any terminal is wide: " + 20 * "word ")
    assert list(track([1, 2, 3], "counting")) == [1, 2, 3]
    shown = capsys.readouterr()
    assert shown.out == ""
    assert shown.err.splitlines()[0].startswith("one line that")
    assert shown.err.count("word") == 20
    assert len(shown.err.splitlines()[0]) > 100
