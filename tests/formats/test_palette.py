"""Palettes that would lose the difference between two values of a mask."""

from __future__ import annotations

import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.dataset import Case
from ulna.errors import ReadError, UlnaError
from ulna.formats.palette import check_palette
from ulna.image import Source
from ulna.truth import load_truth

MASK = np.zeros((8, 8), np.uint8)
MASK[2:4], MASK[5:7] = 1, 2
RED, GREEN, BLACK, WHITE = [255, 0, 0], [0, 255, 0], [0, 0, 0], [255, 255, 255]


def saved(path: Path, palette: list[int]) -> Source:
    picture = Pillow.fromarray(MASK)
    picture.putpalette(palette)
    picture.save(path)
    return Source(path)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
def test_two_values_in_one_color_are_refused(tmp_path: Path, suffix: str) -> None:
    source = saved(tmp_path / f"a.{suffix}", BLACK + WHITE + WHITE + RED * 253)
    with pytest.raises(UlnaError, match=r"shows the values 1 and 2 in one color, \(255, 255, 255\)"):
        load_truth(Case("a", (source,), (source,)))
    with pytest.raises(UlnaError, match="values 0 and 1 in one color"):
        check_palette(saved(tmp_path / f"b.{suffix}", BLACK + BLACK + WHITE + RED * 253))


def test_a_value_without_a_color_is_refused(tmp_path: Path) -> None:
    """Pillow would write no such file."""
    source = saved(tmp_path / "a.png", BLACK + RED + GREEN * 254)
    data = source.path.read_bytes()
    at = data.index(b"PLTE") - 4
    end = at + 12 + int.from_bytes(data[at : at + 4], "big")
    content = b"PLTE" + bytes(BLACK + RED)
    short = (6).to_bytes(4, "big") + content + zlib.crc32(content).to_bytes(4, "big")
    source.path.write_bytes(data[:at] + short + data[end:])
    with pytest.raises(ReadError, match="holds the value 2, for which its palette has no color"):
        check_palette(source)


@pytest.mark.parametrize("suffix", ["png", "gif", "bmp", "tif"])
def test_colors_that_no_pixel_has_may_repeat(tmp_path: Path, suffix: str) -> None:
    source = saved(tmp_path / f"a.{suffix}", BLACK + RED + GREEN + GREEN * 253)
    truth = load_truth(Case("a", (source,), (source,))).array
    np.testing.assert_array_equal(truth, [np.where(MASK == 1, 255, 0), np.where(MASK == 2, 255, 0), MASK * 0])


def test_other_files_are_left_to_their_readers(tmp_path: Path) -> None:
    Pillow.fromarray(MASK).save(tmp_path / "gray.png")
    (tmp_path / "broken.png").write_bytes((saved(tmp_path / "a.png", BLACK + RED).path).read_bytes()[:40])
    (tmp_path / "empty.png").write_bytes(b"")
    for name in ("gray", "broken", "empty"):
        check_palette(Source(tmp_path / f"{name}.png"))


def test_each_page_of_a_tiff_by_its_own_palette(tmp_path: Path) -> None:
    pages = []
    for palette in (BLACK + RED + GREEN * 254, BLACK + RED + RED + GREEN * 253):
        page = Pillow.fromarray(MASK)
        page.putpalette(palette)
        pages.append(page)
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    check_palette(Source(tmp_path / "a.tif", page=0))
    for page in (1, None):
        with pytest.raises(ReadError, match=r"shows the values 1 and 2 in one color, \(255, 0, 0\)"):
            check_palette(Source(tmp_path / "a.tif", page=page))
    (tmp_path / "broken.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:60])
    check_palette(Source(tmp_path / "broken.tif"))


def test_a_large_picture_is_no_bomb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pillow, "MAX_IMAGE_PIXELS", 10)
    for suffix in ("png", "gif", "bmp"):
        check_palette(saved(tmp_path / f"a.{suffix}", BLACK + RED + GREEN + GREEN * 253))
