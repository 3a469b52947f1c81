"""Values that mean "not annotated": found, asked for or set."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from simulated_masks import cell_types, discs
from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.image import IGNORE
from ulna.labels.ignored import VOC_OUTLINE, voc_colors
from ulna.labels.inference import infer, interpret

NOTHING = DataConfig()
CELLS = [mask[0] for mask in cell_types(0, 1)]
TYPES = [mask[0] for mask in cell_types(0, 2)]


def outlined(masks: list[np.ndarray], value: int, dtype: Any, width: int = 2) -> list[np.ndarray]:
    """The masks with a band of `value` around what they show."""
    grown = [ndimage.binary_dilation(mask > 0, iterations=width) & (mask == 0) for mask in masks]
    return [
        np.where(band, value, mask.astype(dtype))[None].astype(dtype) for mask, band in zip(masks, grown, strict=True)
    ]


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (255, np.uint8),
        (255, np.int64),
        (-1, np.int16),
        (-1, np.float32),
        (-100, np.int32),
        (65_535, np.uint16),
        (4_294_967_295, np.uint32),
    ],
)
@pytest.mark.parametrize("clean", [CELLS, TYPES], ids=["binary", "classes"])
def test_a_usual_value_is_found(clean: list[np.ndarray], value: int, dtype: Any) -> None:
    masks = outlined(clean, value, dtype)
    found = interpret(masks, NOTHING)
    assert found.classes.ignore == (value,)
    assert found.classes.values == tuple((k,) for k in range(int(max(mask.max() for mask in clean)) + 1))
    assert f"{value} is not annotated (97% sure" in found.classes.sentence
    indices = found.classes.to_indices(masks[0])
    assert indices.dtype == np.uint8
    np.testing.assert_array_equal(indices == IGNORE, masks[0] == value)
    np.testing.assert_array_equal(indices[indices != IGNORE], clean[0][indices[0] != IGNORE])
    predicted = found.classes.to_values(np.array([[[0, 1]]], np.uint8))
    assert not np.isin(predicted, value).any()
    again = interpret(masks, DataConfig(classes=found.classes.names, values=found.classes.values, ignore=(value,)))
    np.testing.assert_array_equal(again.classes.to_indices(masks[0]), indices)


def test_the_yaml_makes_it_a_class_again() -> None:
    import yaml

    masks = outlined(CELLS, 255, np.uint8)
    (doubt,) = interpret(masks, NOTHING).doubts
    other = infer(masks, DataConfig(**yaml.safe_load(doubt.yaml)["data"]))
    assert other.values == ((0,), (1,), (255,))
    assert other.ignore == ()


def test_numbered_objects_with_ignored_pixels_are_objects() -> None:
    clean = [mask[0] for mask in discs(1, (2, 6))]
    masks = outlined(clean, 255, np.uint16)
    labels = infer(masks, NOTHING).to_labels(masks[0])
    assert labels.objects is not None
    np.testing.assert_array_equal(labels.objects, np.where(masks[0][0] == 255, 0, masks[0][0]))
    np.testing.assert_array_equal(labels.annotated, masks[0][0] != 255)


def test_the_outline_of_pascal_voc_is_found() -> None:
    assert [voc_colors()[k] for k in (0, 1, 2, 15, 20)] == [0, 0x800000, 0x008000, 0xC08080, 0x004080]
    palette = np.array([(0, 0, 0), (128, 0, 0), (0, 128, 0), (224, 224, 192)], np.uint8)
    masks = [np.moveaxis(palette[mask[0]], -1, 0) for mask in outlined(TYPES, 3, np.uint8)]
    found = infer(masks, NOTHING)
    assert found.ignore == ("224,224,192",)
    assert found.names == ("background", "class 1 (0,128,0)", "class 2 (128,0,0)")
    assert (found.to_indices(masks[0]) == IGNORE).sum() == (masks[0] == 192).any(axis=0).sum()
    assert VOC_OUTLINE not in voc_colors()


@pytest.mark.parametrize("width", [3, 5])
def test_other_outlines_are_asked_for(width: int) -> None:
    palette = np.array([(0, 0, 0), (200, 30, 0), (0, 100, 220), (250, 250, 250)], np.uint8)
    gray = outlined(TYPES, 128, np.uint8, width)
    colored = [np.moveaxis(palette[mask[0]], -1, 0) for mask in outlined(TYPES, 3, np.uint8, width)]
    for masks, value, written in ((gray, 128, "[128]"), (colored, "250,250,250", '["250,250,250"]')):
        found = interpret(masks, NOTHING)
        assert found.classes.ignore == ()
        (doubt,) = [doubt for doubt in found.doubts if "thin bands" in doubt.what]
        assert doubt.yaml == f"data:\n  ignore: {written}"
        settled = interpret(masks, DataConfig(ignore=(value,)))
        assert settled.classes.ignore == (value,)
        assert len(settled.classes.names) == 3
        assert not settled.doubts


@pytest.mark.parametrize(
    "masks",
    [
        [mask[None] * np.uint8(255 if k % 2 else 1) for k, mask in enumerate(CELLS)],  # 0/1 beside 0/255
        [mask[None] * np.uint8(255) for mask in CELLS],
        [np.where(mask[None] > 0, 1, -1).astype(np.int8) for mask in CELLS],  # -1 is the background
        [np.array([0, 127, 255], np.uint8)[mask][None] for mask in TYPES],
    ],
    ids=["0/1 and 0/255", "0/255", "-1/1", "0/127/255"],
)
def test_what_is_no_ignored_value(masks: list[np.ndarray]) -> None:
    found = infer(masks, NOTHING)
    assert found.ignore == ()
    assert not (found.to_indices(masks[0]) == IGNORE).any()


def test_a_range_can_be_ignored_and_must_not_be_a_class_too() -> None:
    masks = [mask[None].astype(np.uint8) + np.uint8(200) * (mask[None] > 1) for mask in TYPES]
    assert sorted({int(v) for mask in masks for v in np.unique(mask)}) == [0, 1, 202]
    found = infer(masks, DataConfig(ignore=("200..255",)))
    assert (found.kind, found.values, found.ignore) == ("binary", ((0,), (1,)), ("200..255",))
    assert int(found.to_indices(masks[0]).max()) == IGNORE
    with pytest.raises(UlnaError, match=r"'1' of class 1 and '1\.\.9' of data.ignore overlap"):
        infer(masks, DataConfig(values=((0,), (1,)), ignore=("1..9",)))
    with pytest.raises(UlnaError, match="hold nothing but 0"):
        infer(masks, DataConfig(ignore=("1..255",)))
