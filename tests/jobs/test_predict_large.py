"""Masks of Zarr folders and large TIFFs are written as they come, and are those of the same image in a small file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import ulna
from ulna import formats
from ulna.formats import tiff_tiles
from ulna.formats.ome_zarr import writing
from ulna.image import Grid, Image, Source
from ulna.layouts import find


@pytest.fixture
def image(cells: Path) -> Image:
    """Four images of the data set beside each other, with a spacing."""
    tiles = [formats.read(found.images[0]).array for found in find(cells).cases[:4]]
    array = np.concatenate([np.concatenate(tiles[:2], -1), np.concatenate(tiles[2:], -1)], -2)
    return Image(array, Grid(array.shape[1:], (0.5, 0.5), "µm"))


def test_a_zarr_gives_a_zarr(run: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writing, "CHUNKS", {2: (48, 48), 3: (2, 32, 32)})
    for name in ("a.ome.zarr", "a.tif"):
        formats.write(tmp_path / "in" / name, image)
        ulna.predict(run, tmp_path / "in" / name, out=tmp_path / name, changes={"inference.tile": 32})
    expected = formats.read(Source(tmp_path / "a.tif" / "a.tif"))
    assert expected.array.any()
    with formats.open_reader(Source(tmp_path / "a.ome.zarr" / "a.zarr")) as reader:
        np.testing.assert_array_equal(reader.read(), expected.array)
        assert reader.grid == image.grid
        assert len(reader.levels) > 1
        assert set(np.unique(reader.read(level=1))) <= set(np.unique(expected.array))  # classes, and no means
    again = ulna.predict(run, tmp_path / "in" / "a.ome.zarr", out=tmp_path / "a.ome.zarr", overwrite=True)
    assert again.complete
    assert find(tmp_path / "a.ome.zarr", own=True).cases[0].name == "a"  # asked for, a mask of our own is one image


def test_a_large_tiff_gives_tiles(run: Path, image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.write(tmp_path / "a.tif", image)
    ulna.predict(run, tmp_path / "a.tif", out=tmp_path / "small", changes={"inference.tile": 32})
    monkeypatch.setattr(tiff_tiles, "LARGE", 0)
    monkeypatch.setattr(tiff_tiles, "SIDE", 48)
    ulna.predict(run, tmp_path / "a.tif", out=tmp_path / "tiles", changes={"inference.tile": 32})
    small, tiles = (formats.read(Source(tmp_path / name / "a.tif")) for name in ("small", "tiles"))
    np.testing.assert_array_equal(tiles.array, small.array)
    assert tiles.grid == small.grid
    with tifffile.TiffFile(tmp_path / "tiles" / "a.tif") as tiff:
        assert tiff.pages[0].is_tiled
        assert len(tiff.series[0].levels) > 1
