"""What the axes of a TIFF mean, letter by letter."""

from __future__ import annotations

from pathlib import Path

import pytest

from ulna.errors import ReadError
from ulna.formats.tiff_axes import axes_of
from ulna.image import Source

PLAIN = Source(Path("a.tif"))


@pytest.mark.parametrize(
    ("axes", "shape", "expected"),
    [
        ("YX", (64, 48), ("YX", "")),
        ("TZCYX", (2, 3, 4, 64, 48), ("TZCYX", "")),
        (
            "QYX",
            (16, 64, 48),
            (
                "ZYX",
                "the axes (16 × 64 × 48) are not stated: read as a stack of 16 planes (data.axes: ZYX); if they are "
                "channels, set data.axes: CYX",
            ),
        ),
        ("QYX", (17, 64, 48), ("QYX", "")),
        (
            "QYX",
            (64, 80, 16),
            (
                "YXC",
                "the axes (64 × 80 × 16) are not stated: read as 64 × 80 pixels of 16 channels (data.axes: YXC); "
                "if they are planes, set data.axes: ZYX",
            ),
        ),
        ("QYX", (63, 80, 16), ("QYX", "")),  # less than four times as many rows as it would have channels
        ("QYX", (80, 68, 17), ("QYX", "")),
        (
            "QQYX",
            (2, 3, 64, 48),
            (
                "TZYX",
                "the axes (2 × 3 × 64 × 48) are not stated: read as a stack of 3 planes (data.axes: TZYX); if they "
                "are channels, set data.axes: ZCYX",
            ),
        ),
        (
            "IQYX",
            (2, 64, 48, 3),
            (
                "ZYXC",
                "the axes (2 × 64 × 48 × 3) are not stated: read as 64 × 48 pixels of 3 channels (data.axes: ZYXC); "
                "if they are planes, set data.axes: TZYX",
            ),
        ),
        ("QYXS", (2, 64, 48, 3), ("QYXS", "")),
    ],
)
def test_axes_that_nobody_states(axes: str, shape: tuple[int, ...], expected: tuple[str, str]) -> None:
    assert axes_of(axes, shape, PLAIN) == expected


@pytest.mark.parametrize(
    ("said", "axes", "shape", "expected"),
    [
        ("cyx", "QYX", (5, 64, 48), "CYX"),
        ("YXS", "QYX", (64, 48, 3), "YXC"),
        ("TZCYX", "IQQYX", (2, 3, 4, 64, 48), "TZCYX"),
        ("CYX", "YX", (64, 48), "YX"),  # one gray plane needs no saying
        ("CYX", "YXS", (64, 48, 3), "YXS"),  # nor do colors side by side
    ],
)
def test_axes_that_the_user_states(said: str, axes: str, shape: tuple[int, ...], expected: str) -> None:
    assert axes_of(axes, shape, Source(Path("a.tif"), axes=said)) == (expected, "")


@pytest.mark.parametrize("said", ["CYQ", "YYX", "CYZ", "CX"])
def test_letters_that_make_no_sense(said: str) -> None:
    with pytest.raises(ReadError) as caught:
        axes_of("QYX", (5, 64, 48), Source(Path("a.tif"), axes=said))
    assert str(caught.value) == (
        f"a.tif: data.axes is '{said}'\n"
        'Write one letter per axis, as in "CYX", "YXC", "ZYX" or "TZCYX"; rows Y and columns X must be there.'
    )


def test_letters_that_are_too_many() -> None:
    with pytest.raises(ReadError) as caught:
        axes_of("QYX", (5, 64, 48), Source(Path("a.tif"), axes="TCYX"))
    assert str(caught.value) == "a.tif: has 3 axes of more than one pixel (5 × 64 × 48), data.axes 'TCYX' names 4"
