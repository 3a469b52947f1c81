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
    (listing,) = place.glob(f"*{REGIONS}")
    with listing.open("a") as file:
        file.write("24 2:4 0:")  # killed while it wrote
    with Kept(place, shape, dtype, "a") as kept:
        assert kept.done(part((0, 2), (1, 5)))
        assert not kept.done(part((1, 3), (0, 6)))
        kept.put(part((2, 4), (0, 6)), np.full((1, 2, 6), 8, np.uint8))
        assert kept.read(part((1, 3), (0, 2))).tolist() == [[[7, 7], [8, 8]]]
        assert kept.done(part((0, 4), (0, 6)))
    assert not place.exists()  # it was needed until here


def test_several_processes_put_regions_at_a_time(tmp_path: Path) -> None:
    place, shape, dtype = tmp_path / ".a.part", (1, 4, 6), np.dtype(np.uint8)
    with Kept(place, shape, dtype, "a") as kept:
        with Kept(place, shape, dtype, "a", helps=True) as one, Kept(place, shape, dtype, "a", helps=True) as other:
            one.put(part((0, 2), (0, 6)), np.full((1, 2, 6), 7, np.uint8))
            other.put(part((2, 4), (0, 6)), np.full((1, 2, 6), 8, np.uint8))
            other.put(part((1, 3), (2, 4)), np.full((1, 2, 2), 9, np.uint8))  # twice by chance
        assert not kept.done(part((0, 1), (0, 1)))
        kept.look([one.name, "none.regions"])
        assert kept.complete
        found = kept.read(part((0, 4), (1, 3)))[0]
        assert found[[0, 3]].tolist() == [[7, 7], [8, 8]]
        assert found[[1, 2], 0].tolist() == [7, 8]
    assert not place.exists()


def test_what_others_have_put_stays_when_the_process_that_asks_is_stopped(tmp_path: Path) -> None:
    place, shape, dtype = tmp_path / ".a.part", (1, 4, 6), np.dtype(np.uint8)

    def asked() -> None:
        with Kept(place, shape, dtype, "a") as kept:
            try:
                with Kept(place, shape, dtype, "a", helps=True) as one:
                    one.put(part((0, 2), (0, 6)), np.full((1, 2, 6), 7, np.uint8))
                raise KeyboardInterrupt
            finally:
                kept.look()

    with pytest.raises(KeyboardInterrupt):
        asked()
    with Kept(place, shape, dtype, "a") as kept:
        assert kept.done(part((0, 2), (0, 6)))


def test_who_helps_with_something_else_changes_nothing(tmp_path: Path) -> None:
    place, shape, dtype = tmp_path / ".a.part", (1, 4, 6), np.dtype(np.uint8)
    with Kept(place, shape, dtype, "a") as kept:
        with pytest.raises(ReadError, match="of another image, model or setting"):
            Kept(place, shape, dtype, "b", helps=True)
        with pytest.raises(ReadError):
            Kept(tmp_path / "none", shape, dtype, "a", helps=True)
        kept.put(part((0, 4), (0, 6)), np.zeros((1, 4, 6), np.uint8))
        (pixels,) = place.glob("*.pixels")
        pixels.write_bytes(b"short")
        with pytest.raises(ReadError, match="is cut off"):
            kept.read(part((0, 1), (0, 1)))


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
