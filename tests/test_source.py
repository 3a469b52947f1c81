from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ulna.config import DataConfig
from ulna.formats import open_reader, read, write
from ulna.grid import Grid
from ulna.image import Image
from ulna.layouts import Patterns, find_cases
from ulna.source import Source

STATED = Source(Path("a.tif"), spacing=(1.75, 0.8, 0.8), unit="µm")


def test_what_is_stated_holds_where_a_file_is_silent() -> None:
    grid, note = STATED.placed(Grid((4, 5, 6), origin=(1, 2, 3)))
    assert grid == Grid((4, 5, 6), (1.75, 0.8, 0.8), "µm", (1, 2, 3))
    assert note == ""
    own = Grid((4, 5, 6), (2, 1, 1), "µm")
    grid, note = STATED.placed(own)
    assert grid is own
    assert note == "says that its pixels lie 2 × 1 × 1 µm apart; that holds, and not data.spacing (1.75 × 0.8 × 0.8)"
    alike = Grid((4, 5, 6), (1.751, 0.8, 0.8), "µm")
    assert STATED.placed(alike) == (alike, "")
    plane = Grid((5, 6))
    assert STATED.placed(plane) == (plane, "")  # it is said of volumes
    assert replace(STATED, page=1).placed(plane)[0] == Grid((5, 6), (0.8, 0.8), "µm")


def test_a_file_that_says_nothing_of_its_planes_gets_their_distance() -> None:
    own = Grid((4, 5, 6), (1, 0.8, 0.8), "µm")
    grid, note = STATED.placed(own)
    assert grid == replace(own, spacing=(1.75, 0.8, 0.8))
    assert note.startswith("says that its pixels lie 1 × 0.8 × 0.8 µm apart, of which 1 may be no word")
    assert note.endswith("data.spacing holds there (1.75 × 0.8 × 0.8)")
    assert STATED.placed(replace(own, unit="mm"))[0].spacing == (1, 0.8, 0.8)


@pytest.mark.parametrize("suffix", [".tif", ".nii.gz"])
def test_files_get_the_spacing_that_is_stated(tmp_path: Path, suffix: str) -> None:
    write(tmp_path / f"a{suffix}", Image(np.ones((1, 4, 5, 6), np.uint8)))
    patterns = Patterns.of(DataConfig(spacing=(1.75, 0.8, 0.8)))
    for place in (tmp_path, tmp_path / f"a{suffix}"):
        (case,) = find_cases(place, channels=1, patterns=patterns)
        assert read(case.images[0]).spacing == (1.75, 0.8, 0.8)
    slab = Source(tmp_path / f"a{suffix}", spacing=(1.75, 0.8, 0.8), slab=(1, 3))
    with open_reader(slab) as reader:
        assert reader.grid.shape == (2, 5, 6)
        assert reader.grid.spacing == (1.75, 0.8, 0.8)
        assert reader.levels == (reader.grid,)
    assert read(Source(tmp_path / f"a{suffix}", spacing=(1.75, 0.8, 0.8), page=1)).spacing == (0.8, 0.8)
