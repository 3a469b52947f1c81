"""Strays, noise of JPEG and interpolation: folded to the nearest true value, or refused."""

from __future__ import annotations

import io

import numpy as np
import pytest
import yaml
from PIL import Image as Pillow
from scipy import ndimage

from simulated_masks import cell_types, tissues
from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.labels.inference import Inference, interpret

NOTHING = DataConfig()
Masks = list[np.ndarray]


def squares(values: tuple[int, ...], size: int) -> Masks:
    """12 masks of 16 squares of these values (the first is the background), (256, 256) uint8."""
    masks = []
    for seed in range(12):
        mask = np.zeros((256, 256), np.uint8)
        for number, (y, x) in enumerate(np.random.default_rng(seed).integers(8, 240, (16, 2))):
            mask[y : y + size, x : x + size] = values[1 + number % (len(values) - 1)]
        masks.append(mask)
    return masks


def round_cells(value: int = 255) -> Masks:
    y, x = np.mgrid[:64, :64]
    masks = []
    for seed in range(12):
        inside = np.zeros((64, 64), bool)
        for row, column in np.random.default_rng(seed).integers(9, 55, (3, 2)):
            inside |= (y - row) ** 2 + (x - column) ** 2 < 50
        masks.append((inside * value).astype(np.uint8))
    return masks


def as_jpeg(mask: np.ndarray, quality: int, *, color: bool = False) -> np.ndarray:
    """The mask as it is read again, (C, Y, X)."""
    stream = io.BytesIO()
    picture = Pillow.fromarray(mask)
    (picture.convert("RGB") if color else picture).save(stream, "JPEG", quality=quality)
    read = np.asarray(Pillow.open(stream))
    return np.moveaxis(read, -1, 0) if color else read[None]


def resized(mask: np.ndarray, factor: float, method: Pillow.Resampling) -> np.ndarray:
    side = round(len(mask) * factor)
    return np.asarray(Pillow.fromarray(mask).resize((side, side), method))[None]


def agreement(found: Inference, masks: Masks, truths: Masks) -> float:
    """The share of the true foreground that gets its class."""
    rights = [found.classes.to_indices(m)[0][t > 0] == t[t > 0] for m, t in zip(masks, truths, strict=True)]
    return float(np.concatenate(rights).mean())


@pytest.mark.parametrize("quality", [75, 90, 95, 100])
@pytest.mark.parametrize("size", [3, 4, 12])
def test_binary_masks_saved_as_jpeg(size: int, quality: int) -> None:
    clean = squares((0, 255), size)
    masks = [as_jpeg(mask, quality) for mask in clean]
    assert len({int(v) for mask in masks for v in np.unique(mask)}) > 3
    found = interpret(masks, NOTHING)
    assert found.classes.values == (("0..127",), ("128..255",))
    assert agreement(found, masks, [mask // 255 for mask in clean]) == 1
    (doubt,) = found.doubts
    assert "saved as JPEG or resized smoothly" in doubt.what
    assert "of the pixels" in doubt.what
    assert np.unique(found.classes.to_values(found.classes.to_indices(masks[0]))).tolist() == [0, 255]


@pytest.mark.parametrize(("size", "quality"), [(4, 95), (4, 100), (12, 90), (12, 95), (12, 100)])
@pytest.mark.parametrize("values", [(0, 64, 128, 191, 255), (0, 128, 255), (0, 50, 100, 150)])
def test_masks_of_several_classes_saved_as_jpeg(values: tuple[int, ...], size: int, quality: int) -> None:
    clean = squares(values, size)
    masks = [as_jpeg(mask, quality) for mask in clean]
    found = interpret(masks, NOTHING)
    assert len(found.classes.names) == len(values)
    assert agreement(found, masks, [np.searchsorted(values, mask) for mask in clean]) > 0.999
    assert found.doubts
    written = found.classes.to_values(np.arange(len(values), dtype=np.uint8).reshape(1, 1, -1)).ravel()
    assert np.abs(written.astype(int) - values).max() <= 2


@pytest.mark.parametrize("size", [3, 6, 12])
@pytest.mark.parametrize("quality", [30, 50, 75])
def test_noise_is_never_a_class_without_a_word(size: int, quality: int) -> None:
    """What is no longer seen in masks of poor quality is refused or doubted, and never gives a class for each value."""
    masks = [as_jpeg(mask, quality) for mask in squares((0, 64, 128, 191, 255), size)]
    try:
        found = interpret(masks, NOTHING)
    except UlnaError as error:
        assert "different values" in error.what  # noqa: PT017
        assert "data.values" in error.hint  # noqa: PT017
    else:
        assert len(found.classes.names) <= 5
        assert found.doubts


def test_gray_masks_saved_as_color_jpeg() -> None:
    clean = round_cells()
    masks = [as_jpeg(mask, 95, color=True) for mask in clean]
    found = interpret(masks, NOTHING)
    assert found.classes.kind == "binary"
    assert agreement(found, masks, [mask // 255 for mask in clean]) == 1


def test_colors_saved_as_jpeg_are_refused() -> None:
    palette = np.array([(0, 0, 0), (255, 0, 0), (0, 255, 0)], np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(palette[cell_types(0, 2)[0][0]]).save(stream, "JPEG", quality=95)
    with pytest.raises(UlnaError, match="different colors, as photographs do") as raised:
        interpret([np.moveaxis(np.asarray(Pillow.open(stream)), -1, 0)], NOTHING)
    assert "without loss" in raised.value.hint


@pytest.mark.parametrize("method", [Pillow.Resampling.BOX, Pillow.Resampling.BILINEAR, Pillow.Resampling.LANCZOS])
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_binary_masks_resized_smoothly(factor: float, method: Pillow.Resampling) -> None:
    clean = round_cells()
    masks = [resized(mask, factor, method) for mask in clean]
    found = interpret(masks, NOTHING)
    if len({int(v) for mask in masks for v in np.unique(mask)}) == 2:
        assert not found.doubts  # twice as large by BOX is nearest neighbor
        return
    assert found.classes.values == (("0..127",), ("128..255",))
    assert "smooth resize" in found.classes.sentence
    assert found.doubts
    nearest = [resized(mask, factor, Pillow.Resampling.NEAREST)[0] // 255 for mask in clean]
    assert agreement(found, masks, nearest) > 0.93  # nearest neighbor itself is off by half a pixel


@pytest.mark.parametrize("method", [Pillow.Resampling.BILINEAR, Pillow.Resampling.LANCZOS])
@pytest.mark.parametrize("values", [(0, 128, 255), (0, 85, 170, 255), (0, 50, 100, 150)])
def test_masks_of_several_classes_resized_smoothly(values: tuple[int, ...], method: Pillow.Resampling) -> None:
    clean = [mask[0] for mask in tissues(0, len(values) - 1)]
    masks = [resized(np.array(values, np.uint8)[mask], 2, method) for mask in clean]
    found = interpret(masks, NOTHING)
    assert len(found.classes.names) == len(values)
    assert agreement(found, masks, [np.kron(mask, np.ones((2, 2), int)) for mask in clean]) > 0.99
    assert "Along edges between two classes that may give a third" in found.doubts[0].what
    pairs = zip(found.classes.values, found.classes.names, strict=True)
    said = [f"{', '.join(map(str, bounds))} is '{name}'" for bounds, name in pairs]
    assert f"(by JPEG or a smooth resize): {', '.join(said[1:])}, the rest is background." in found.classes.sentence


@pytest.mark.parametrize(
    ("value", "strays", "values"),
    [
        (255, [38], ((38, 0), (255,))),
        (255, [200], ((0,), (200, 255))),
        (1, [7], ((0,), (7, 1))),
        (255, [3, 77, 250], ((3, 77, 0), (250, 255))),
    ],
)
def test_stray_pixels_are_folded_to_the_nearer_value(value: int, strays: list[int], values: tuple[object, ...]) -> None:
    clean = round_cells(value)
    masks = [mask.copy()[None] for mask in clean]
    for index in range(3):
        masks[index][0, -1, -1 - 3 * index] = strays[index % len(strays)]
    found = interpret(masks, NOTHING)
    assert found.classes.values == values
    assert agreement(found, masks, [mask // value for mask in clean]) == 1
    assert found.classes.to_values(np.array([[[0, 1]]], np.uint8)).ravel().tolist() == [0, value]
    (doubt,) = found.doubts
    assert "stray values" in doubt.what
    assert f"({', '.join(map(str, strays))})" in doubt.what
    assert "0.01% of the pixels" in doubt.what
    kept = interpret(masks, DataConfig(**yaml.safe_load(doubt.yaml)["data"]))
    assert len(kept.classes.names) == 2 + len(strays)


def test_strays_among_several_classes_and_among_colors() -> None:
    masks = cell_types(0, 2)
    masks[0][0, 3, 3] = masks[2][0, 50, 3] = 9
    assert interpret(masks, NOTHING).classes.values == ((0,), (1,), (9, 2))
    palette = np.zeros((10, 3), np.uint8)
    palette[1], palette[2], palette[9] = (255, 0, 0), (0, 255, 0), (240, 20, 10)
    colored = [np.moveaxis(palette[mask[0]], -1, 0) for mask in masks]
    found = interpret(colored, NOTHING)
    assert found.classes.values == (("0,0,0",), ("0,255,0",), ("240,20,10", "255,0,0"))
    assert found.doubts


def test_a_rare_class_of_small_dots_stays_a_class() -> None:
    masks = [mask[None].copy() for mask in round_cells(1)]
    for seed, mask in enumerate(masks):
        for y, x in np.random.default_rng(seed).integers(0, 64, (12, 2)):
            mask[0, y, x] = 2
    assert interpret(masks, NOTHING).classes.values == ((0,), (1,), (2,))


def test_a_border_of_one_pixel_is_doubtful_and_a_wide_one_a_class() -> None:
    clean = round_cells()
    for width, kind in ((1, "binary"), (3, "classes")):
        grown = [ndimage.binary_dilation(mask > 0, iterations=width) for mask in clean]
        masks = [np.where(more & (mask == 0), 128, mask)[None] for mask, more in zip(clean, grown, strict=True)]
        found = interpret(masks, NOTHING)
        assert found.classes.kind == kind
        assert found.doubts  # interpolated, or an outline that nobody annotated
