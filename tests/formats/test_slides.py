"""Whole slides: through OpenSlide, and without it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import openslide
import pytest
import tifffile
from PIL import Image as Pillow

from ulna import formats
from ulna.errors import ReadError, UlnaError
from ulna.formats import base, slides
from ulna.formats.base import RGB
from ulna.image import Source
from ulna.layouts import find

COLOR = np.random.default_rng(3).integers(0, 256, (600, 1000, 3)).astype(np.uint8)


@pytest.fixture
def slide(tmp_path: Path) -> Path:
    """As Aperio writes it: the image, a thumbnail, a smaller copy."""
    path = tmp_path / "a.svs"
    words = "Aperio Image Library v11.2.1\r\n1000x600 (256x256)|AppMag = 20|MPP = 0.5000"
    options: dict[str, Any] = {"photometric": "rgb", "metadata": None}
    with tifffile.TiffWriter(path) as tiff:
        tiff.write(COLOR, tile=(256, 256), description=words, compression="zlib", **options)
        tiff.write(COLOR[::8, ::8], description=words.replace("(256x256)", "-> 125x75"), **options)
        tiff.write(
            COLOR[::4, ::4],
            tile=(64, 64),
            description=words.replace("(256x256)", "-> 250x150"),
            compression="zlib",
            **options,
        )
    return path


@pytest.mark.parametrize("installed", [True, False])
def test_a_slide_is_read_alike_with_openslide_and_without(
    slide: Path, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened = []
    real = openslide.OpenSlide
    monkeypatch.setattr(openslide, "OpenSlide", lambda path: opened.append(path) or real(path))
    if not installed:
        monkeypatch.setattr(slides, "find_spec", lambda _name: None)
    with formats.open_reader(Source(slide)) as reader:
        assert [grid.shape for grid in reader.levels] == [(600, 1000), (150, 250)]
        assert (reader.grid.spacing, reader.grid.unit, reader.channels) == ((0.5, 0.5), "µm", RGB)
        assert reader.levels[1].spacing == (2.0, 2.0)
        for region in (
            (slice(0, 600), slice(0, 1000)),
            (slice(250, 270), slice(3, 700)),
            (slice(599, 600), slice(0, 1)),
        ):
            np.testing.assert_array_equal(reader.read(region), np.moveaxis(COLOR[region], -1, 0))
        part = (slice(10, 70), slice(100, 250))
        np.testing.assert_array_equal(reader.read(part, 1), np.moveaxis(COLOR[::4, ::4][part], -1, 0))
    assert len(opened) == installed
    (case,) = find(slide).cases
    assert formats.mask_suffix(case.images[0]) == ".tif"


def test_other_images_of_a_slide_are_read_as_those_of_a_tiff(slide: Path) -> None:
    assert formats.read(Source(slide, scene=1)).shape == (75, 125)


def test_what_was_not_scanned_has_the_color_of_the_background(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Slide:
        level_dimensions = ((40, 20), (10, 5), (9, 1))
        level_downsamples = (1.0, 4.0, 20.0)
        properties = {"openslide.bounds-x": "3", "openslide.background-color": "0000FF"}  # noqa: RUF012

        def set_cache(self, _cache: object) -> None:
            pass

        def read_region(self, corner: tuple[int, int], level: int, size: tuple[int, int]) -> Pillow.Image:
            picture = np.full((*size[::-1], 4), 200, np.uint8)
            picture[..., 3] = 255
            picture[0, :, 3], picture[1, :, 3] = 0, 128
            return Pillow.fromarray(picture)

    monkeypatch.setattr(openslide, "OpenSlide", lambda _path: Slide())
    (tmp_path / "a.mrxs").write_bytes(b"anything")
    with formats.open_reader(Source(tmp_path / "a.mrxs")) as reader:
        assert [grid.shape for grid in reader.levels] == [(20, 40), (5, 10)]
        array = reader.read((slice(0, 3), slice(0, 2)))
        assert reader.grid.unit == "pixel"
        assert "background" in reader.assumed
        assert "of its 3 levels 2 are used" in reader.assumed
    np.testing.assert_array_equal(array[:, :, 0], [[0, 100, 200], [0, 100, 200], [255, 227, 200]])


def test_a_format_that_needs_openslide_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"anything")
    with pytest.raises(ReadError, match="slide file is damaged"):
        formats.read(Source(tmp_path / "a.mrxs"))
    real = formats.optional.find_spec
    monkeypatch.setattr(formats.optional, "find_spec", lambda name: None if name == "openslide" else real(name))
    with pytest.raises(
        UlnaError, match=r"\.mrxs slides are read through openslide.*\n.*pip install \"ulna\[slides\]\""
    ):
        formats.read(Source(tmp_path / "a.mrxs"))


def test_a_region_that_the_memory_does_not_hold(slide: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "free_memory", lambda: 1 << 20)
    with formats.open_reader(Source(slide)) as reader:
        reader.read((slice(0, 100), slice(0, 100)))
        with pytest.raises(ReadError, match="600 × 1000 needs"):
            reader.read()


def test_the_files_of_a_slide_are_no_files_that_were_passed_over(tmp_path: Path) -> None:
    (tmp_path / "a.mrxs").write_bytes(b"anything")
    (tmp_path / "a").mkdir()
    for name in ("Slidedat.ini", "Data0001.dat"):
        (tmp_path / "a" / name).write_bytes(b"anything")
    found = find(tmp_path)
    assert [case.name for case in found.cases] == ["a"]
    assert not found.passed_over


def test_a_real_slide(data: Path) -> None:
    path = data / "formats" / "wsi" / "CMU-1-Small-Region.svs"
    with formats.open_reader(Source(path)) as reader:
        assert (reader.grid.shape, reader.grid.spacing) == ((2967, 2220), (0.499, 0.499))
        whole = reader.read()
    with path.open("rb") as stream:
        np.testing.assert_array_equal(formats.tiff.open_tiff(stream, Source(path)).read(), whole)
