"""What is kept of a large image: numbers as they were put, and no others, whatever process puts them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.errors import ReadError, WriteError
from ulna.image import Region
from ulna.inference import kept as module
from ulna.inference.kept import REGIONS, Kept


def part(*pairs: tuple[int, int]) -> Region:
    return tuple(slice(first, last) for first, last in pairs)


def stopped(*words: Any, error: BaseException) -> None:
    """A process that ends with an error when the first two rows are there."""
    with suppress(type(error)), Kept(*words) as kept:
        kept.put(part((0, 2), (0, 6)), np.full((1, 2, 6), 7, np.uint8))
        raise error


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=2, max_size=3), st.integers(1, 3), st.randoms(use_true_random=False))
def test_numbers_are_those_that_were_put(
    tmp_path_factory: pytest.TempPathFactory, sides: Sequence[int], channels: int, chance
) -> None:
    rng = np.random.default_rng(chance.randrange(1000))
    image = rng.normal(size=(channels, *sides)).astype(np.float16)
    cut = chance.randrange(sides[0] + 1)
    rest = tuple(slice(0, side) for side in sides[1:])
    bands = [(slice(first, last), *rest) for first, last in ((cut, sides[0]), (0, cut)) if first < last]
    with Kept(tmp_path_factory.mktemp("kept") / "a", image.shape, image.dtype, "") as kept:
        for band in bands:
            assert not kept.done(band)
            kept.put(band, image[(slice(None), *band)])
            assert kept.done(band)
        region = tuple(slice(low := chance.randrange(side), chance.randrange(low, side) + 1) for side in sides)
        assert kept.done(region)
        np.testing.assert_array_equal(kept.read(region), image[(slice(None), *region)])


def test_a_process_that_is_stopped_is_gone_on_with(tmp_path: Path) -> None:
    place, shape, dtype = tmp_path / ".a.part", (1, 4, 6), np.dtype(np.uint8)
    stopped(place, shape, dtype, "a", error=KeyboardInterrupt())
    with (place / REGIONS).open("a") as file:
        file.write("2:4 0:")  # killed while it wrote
    with Kept(place, shape, dtype, "a") as kept:
        assert kept.done(part((0, 2), (1, 5)))
        assert not kept.done(part((1, 3), (0, 6)))
        kept.put(part((2, 4), (0, 6)), np.full((1, 2, 6), 8, np.uint8))
        assert kept.read(part((1, 3), (0, 2))).tolist() == [[[7, 7], [8, 8]]]
        assert kept.done(part((0, 4), (0, 6)))
    assert not place.exists()  # it was needed until here


class Other(NamedTuple):
    shape: tuple[int, ...] = (1, 4, 6)
    dtype: np.dtype = np.dtype(np.uint8)
    origin: str = "a"


@pytest.mark.parametrize("other", [Other(shape=(1, 6, 4)), Other(dtype=np.dtype(np.int8)), Other(origin="b")])
def test_what_is_of_something_else_does_not_count(tmp_path: Path, other: Other) -> None:
    region = part((0, 2), (0, 4))
    stopped(tmp_path / "a", *Other(), error=WriteError("the disk is full"))
    with Kept(tmp_path / "a", *Other()) as kept:
        assert kept.done(region)
    stopped(tmp_path / "a", *Other(), error=WriteError("the disk is full"))
    with Kept(tmp_path / "a", *other) as kept:
        assert not kept.done(region)
        assert not kept.read(region).any()


def test_an_image_that_cannot_be_read_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ReadError), Kept(tmp_path / "a", *Other()):
        raise ReadError("is damaged")
    assert not list(tmp_path.iterdir())


def test_a_disk_that_is_too_small_is_said_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda _place: SimpleNamespace(free=1 << 20))
    with pytest.raises(WriteError, match=r"12.0 MiB of disk are needed .* 1.0 MiB are free"):
        Kept(tmp_path / "a", *Other(shape=(3, 1 << 10, 1 << 12)))
    assert not list(tmp_path.iterdir())
