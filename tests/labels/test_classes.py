"""What mask values mean."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image as Pillow
from scipy import ndimage

from ulna import formats
from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.labels.classes import Classes
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.parallel import in_parallel
from ulna.truth import load_truth

NOTHING = DataConfig()


@pytest.fixture
def draw() -> np.random.Generator:
    """One generator per test: what a test draws depends on no other."""
    return np.random.default_rng(11)


def blobs(draw: np.random.Generator, count: int, side: int = 64) -> np.ndarray:
    """`count` round objects at random, numbered from 1, (1, side, side) int32; later ones lie on top."""
    y, x = np.mgrid[:side, :side]
    labels = np.zeros((side, side), np.int32)
    for number in range(1, count + 1):
        row, column = draw.integers(5, side - 5, 2)
        labels[(y - row) ** 2 + (x - column) ** 2 < 9] = number
    return labels[None]


def regions(draw: np.random.Generator, values: tuple[int, ...], side: int = 40) -> np.ndarray:
    """A mask of smooth regions of these values, each in many components."""
    smooth = ndimage.gaussian_filter(draw.normal(size=(side, side)), 1.5)
    steps = np.quantile(smooth, np.linspace(0, 1, len(values) + 1)[1:-1])
    return np.array(values)[np.digitize(smooth, steps)][None]


@pytest.mark.parametrize(
    ("values", "kind", "said"),
    [
        ((0, 1), "binary", "Masks hold 0 and 1: 1 is 'foreground', 0 is background."),
        ((0, 255), "binary", "Masks hold 0 and 255: 255 is 'foreground', 0 is background."),
        ((0, 65535), "binary", "65535 is 'foreground'"),
        ((1, 2), "binary", "2 is 'foreground', 1 is background"),
        ((0, 128, 255), "classes", "Masks hold 0, 128 and 255: 128 is 'class 1 (128)', 255 is 'class 2 (255)'"),
        ((0, 1, 2, 3), "classes", "3 is 'class 3 (3)'"),
        ((1, 2, 3), "classes", "1 is background"),
    ],
)
def test_values_that_are_classes(draw: np.random.Generator, values: tuple[int, ...], kind: str, said: str) -> None:
    masks = [regions(draw, values).astype(np.uint16) for _ in range(4)]
    found = infer(masks, NOTHING)
    assert found.kind == kind
    assert said in found.sentence
    indices = found.to_indices(masks[0])
    assert indices.dtype == np.uint8
    np.testing.assert_array_equal(indices, np.searchsorted(values, masks[0]))
    np.testing.assert_array_equal(found.to_values(indices), masks[0])
    assert found.to_values(indices).dtype == (np.uint8 if max(values) < 256 else np.uint16)


def test_a_class_that_some_masks_lack_stays_a_class(draw: np.random.Generator) -> None:
    masks = [regions(draw, (0, 1)), regions(draw, (0, 2)), regions(draw, (0, 1, 2)), np.zeros((1, 40, 40), np.int64)]
    assert infer(masks, NOTHING).kind == "classes"


def test_masks_of_0_1_and_of_0_255_together_are_one_class(draw: np.random.Generator) -> None:
    masks = [regions(draw, (0, 1)), regions(draw, (0, 255))]
    found = infer(masks, NOTHING)
    assert found.values == ((0,), (1, 255))
    for mask in masks:
        np.testing.assert_array_equal(found.to_indices(mask), mask > 0)
    assert found.to_values(found.to_indices(masks[0])).max() == 255


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32])
def test_numbered_objects(draw: np.random.Generator, dtype: type) -> None:
    masks = [blobs(draw, count).astype(dtype) for count in (5, 30, 12, 8)]
    for found in (infer(masks, NOTHING), infer(masks, NOTHING, objects=True)):
        assert found.kind == "instances"
        assert found.names == ("background", "foreground")
        np.testing.assert_array_equal(found.to_indices(masks[1]), masks[1] > 0)
        assert np.unique(found.to_values(found.to_indices(masks[1]))).tolist() == [0, 255]
        assert int(found.to_indices(blobs(draw, 40) + 70_000).max()) == 1


def test_few_numbered_objects_are_known_by_their_varying_count() -> None:
    far = [np.zeros((1, 40, 40), np.uint8) for _ in range(4)]
    for mask, count in zip(far, (2, 5, 3, 4), strict=True):
        for number in range(count):
            mask[0, 8 * number : 8 * number + 5, 3:9] = number + 1
    assert infer(far, NOTHING).kind == "instances"


def test_many_classes_are_no_numbered_objects(draw: np.random.Generator) -> None:
    """Scenes of 30 classes, of which each shows a few, in few components."""
    masks = []
    for _ in range(40):
        mask = np.zeros((1, 64, 64), np.uint8)
        for value in draw.choice(np.arange(1, 31), 3, replace=False):
            row, column = draw.integers(0, 50, 2)
            mask[0, row : row + 14, column : column + 14] = value
        masks.append(mask)
    assert infer(masks, NOTHING).kind == "classes"
    palette = draw.integers(0, 256, (31, 3)).astype(np.uint8)
    palette[0] = 0
    found = infer([np.moveaxis(palette[mask[0]], -1, 0) for mask in masks], NOTHING)
    assert (found.kind, len(found.names)) == ("colors", 31)


def test_jpeg_masks_are_cut_at_128(draw: np.random.Generator) -> None:
    clean = np.kron(regions(draw, (0, 255), 12), np.ones((1, 13, 13))).astype(np.uint8)
    stream = io.BytesIO()
    Pillow.fromarray(clean[0]).save(stream, "JPEG", quality=60)
    smeared = np.asarray(Pillow.open(stream))[None]
    assert len(np.unique(smeared)) > 20
    found = infer([smeared], NOTHING)
    assert "128 and above is 'foreground'" in found.sentence
    assert (found.to_indices(smeared) == clean // 255).mean() > 0.99
    assert np.unique(found.to_values(found.to_indices(smeared))).tolist() == [0, 255]


def color_masks(draw: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    palette = np.array([[0, 0, 0], [255, 0, 0], [0, 255, 0]], np.uint8)
    indices = [regions(draw, (0, 1, 2))[0] for _ in range(3)]
    return [np.moveaxis(palette[index], -1, 0) for index in indices], np.stack(indices)


def test_colors_are_classes(draw: np.random.Generator) -> None:
    masks, indices = color_masks(draw)
    found = infer(masks, NOTHING)
    assert found.kind == "colors"
    assert found.values == (("0,0,0",), ("0,255,0",), ("255,0,0",))
    for mask, index in zip(masks, indices, strict=True):
        np.testing.assert_array_equal(found.to_values(found.to_indices(mask)), mask)
        np.testing.assert_array_equal(found.to_indices(mask)[0] > 0, index > 0)
    assert found.to_indices(np.zeros((1, 4, 4), np.uint8)).max() == 0
    with pytest.raises(UlnaError, match="holds 1,2,3, which belong"):
        found.to_indices(np.array([1, 2, 3], np.uint8).reshape(3, 1, 1))


def test_an_empty_gray_mask_among_colors_is_background(draw: np.random.Generator) -> None:
    masks, _ = color_masks(draw)
    found = infer([np.zeros((1, 9, 9), np.uint8), *masks], NOTHING)
    assert found.kind == "colors"
    assert len(found.names) == 3


def test_a_color_for_each_object(draw: np.random.Generator) -> None:
    labels = [blobs(draw, 30), blobs(draw, 40)]
    table = np.concatenate([np.zeros((1, 3)), draw.integers(1, 256, (50, 3))]).astype(np.uint8)
    masks = [np.moveaxis(table[label[0]], -1, 0) for label in labels]
    found = infer(masks, NOTHING)
    np.testing.assert_array_equal(found.to_indices(masks[0]), labels[0] > 0)
    assert np.unique(found.to_values(found.to_indices(masks[0]))).tolist() == [0, 255]


def rows_of_objects(count: int) -> np.ndarray:
    """That many objects apart from each other, numbered from 1, (50, 50) uint8."""
    mask = np.zeros((50, 50), np.uint8)
    for number in range(count):
        row, column = divmod(number, 3)
        mask[16 * row + 2 : 16 * row + 12, 16 * column + 2 : 16 * column + 12] = number + 1
    return mask


def test_few_numbered_objects_shown_in_colors(draw: np.random.Generator, tmp_path: Path) -> None:
    """As a palette PNG, and as a TIFF with a lookup table."""
    table = np.concatenate([np.zeros((1, 3)), draw.integers(1, 256, (255, 3))]).astype(np.uint8)
    masks = []
    for count in (3, 9, 5, 4, 7):
        picture = Pillow.fromarray(rows_of_objects(count))
        picture.putpalette(table.tobytes())
        picture.save(tmp_path / "palette.png")
        masks.append(formats.read(Source(tmp_path / "palette.png")).array)
        lut = table.T.astype(np.uint16) * 257
        tifffile.imwrite(tmp_path / "a.tif", rows_of_objects(count), photometric="palette", colormap=lut)
        np.testing.assert_array_equal(formats.read(Source(tmp_path / "a.tif")).array, masks[-1])
    found = infer(masks, NOTHING)
    assert found.sentence.startswith("Masks give each object a color of its own")
    np.testing.assert_array_equal(found.to_indices(masks[1])[0], rows_of_objects(9) > 0)


def test_colors_of_which_masks_show_any_are_classes(draw: np.random.Generator) -> None:
    table = np.concatenate([np.zeros((1, 3)), draw.integers(1, 256, (9, 3))]).astype(np.uint8)
    masks = []
    for count in (3, 9, 5, 4, 7, 2, 6):
        numbers = np.concatenate([[0], draw.permutation(9) + 1])
        masks.append(np.moveaxis(table[numbers[rows_of_objects(count)]], -1, 0))
    assert len(infer(masks, NOTHING).names) == 10


def test_equal_channels_and_an_alpha_channel_that_says_nothing_are_no_colors(draw: np.random.Generator) -> None:
    gray = regions(draw, (0, 255)).astype(np.uint8)
    opaque = np.full_like(gray, 255)
    for mask in (np.repeat(gray, 3, 0), np.concatenate([gray, opaque]), np.concatenate([gray, gray, gray, opaque])):
        found = infer([mask], NOTHING)
        assert found.kind == "binary"
        np.testing.assert_array_equal(found.to_indices(mask), gray > 0)
    cut_out = np.concatenate([gray, gray * 0, gray * 0, gray])  # red objects on a transparent background
    found = infer([cut_out], NOTHING)
    assert found.values == (("0,0,0",), ("255,0,0",))
    np.testing.assert_array_equal(found.to_indices(cut_out), gray > 0)


@pytest.mark.parametrize("channels", [2, 4])
def test_a_last_channel_that_would_be_lost_is_refused(draw: np.random.Generator, channels: int) -> None:
    gray = regions(draw, (0, 255)).astype(np.uint8)
    varying = np.arange(1600, dtype=np.uint16).reshape(1, 40, 40).astype(np.uint8)
    with pytest.raises(UlnaError, match=f"the mask has {channels} channels, and the last one"):
        infer([np.concatenate([*[gray] * (channels - 1), varying])], NOTHING)


def test_photographs_are_no_masks(draw: np.random.Generator) -> None:
    photograph = draw.integers(0, 256, (1, 64, 64)).astype(np.uint8)
    with pytest.raises(UlnaError, match=r"256 different values.*neither a few classes"):
        infer([photograph], NOTHING)
    with pytest.raises(UlnaError, match="different colors, as photographs do"):
        infer([draw.integers(0, 256, (3, 64, 64)).astype(np.uint8)], NOTHING)


def test_masks_that_teach_nothing() -> None:
    with pytest.raises(UlnaError, match="all 2 masks hold nothing but 0"):
        infer([np.zeros((1, 4, 4), np.uint8)] * 2, NOTHING)
    with pytest.raises(UlnaError, match="no masks"):
        infer([], NOTHING)
    with pytest.raises(UlnaError, match=r"not whole, like 0\.5"):
        infer([np.full((1, 4, 4), 0.5, np.float32)], NOTHING)
    with pytest.raises(UlnaError, match="7 channels"):
        infer([np.zeros((7, 4, 4), np.uint8)], NOTHING)


def test_floats_that_are_whole_are_numbers(draw: np.random.Generator) -> None:
    mask = regions(draw, (0, 1)).astype(np.float32)
    np.testing.assert_array_equal(infer([mask], NOTHING).to_indices(mask), mask)


def test_values_that_fit_nothing_are_named(draw: np.random.Generator) -> None:
    found = infer([regions(draw, (0, 255))], NOTHING)
    with pytest.raises(UlnaError, match=r"holds 7, 9, which belong to no class") as raised:
        found.to_indices(np.array([[[0, 7, 9, 255]]]))
    assert "data.values" in raised.value.hint
    with pytest.raises(UlnaError, match="holds -1"):
        found.to_indices(np.array([[[-1, 0]]]))
    with pytest.raises(UlnaError, match="and 12 more"):
        found.to_indices(np.arange(1, 21).reshape(1, 4, 5))


def test_what_is_set_is_taken(draw: np.random.Generator) -> None:
    config = DataConfig(classes=("background", "cell"), values=((0, "10..20"), (1, "other")))
    found = infer([], config)
    np.testing.assert_array_equal(
        found.to_indices(np.array([[[0, 1, 9, 10, 20, 21, 99]]]))[0, 0], [0, 1, 1, 0, 0, 1, 1]
    )
    assert found.sentence == "Mask values as set: 0, 10..20 is 'background'; 1, other is 'cell'."
    names = DataConfig(classes=("background", "cytoplasm", "nucleus"))
    named = infer([regions(draw, (0, 128, 255))], names)
    assert "128 is 'cytoplasm', 255 is 'nucleus'" in named.sentence
    colors = infer([], DataConfig(values=(("0,0,0",), ("255,0,0",))))
    np.testing.assert_array_equal(colors.to_indices(colors.to_values(np.array([[[0, 1]]]))), [[[0, 1]]])


def test_what_was_found_can_be_set_again(draw: np.random.Generator) -> None:
    """The plan writes what was found into the run's configuration."""
    masks, _ = color_masks(draw)
    for seen in ([regions(draw, (0, 128, 255))], [blobs(draw, 30), blobs(draw, 9), blobs(draw, 40)], masks):
        found = infer(seen, NOTHING)
        again = infer([], DataConfig(classes=found.names, values=found.values))
        assert (again.names, again.values, again.kind) == (found.names, found.values, found.kind)
        np.testing.assert_array_equal(again.to_indices(seen[0]), found.to_indices(seen[0]))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (DataConfig(values=((0,),)), "lists 1 classes"),
        (DataConfig(values=((0,), ())), "at least one value"),
        (DataConfig(values=((0,), (1,)), classes=("a",)), r"lists 2 classes and data\.classes 1"),
        (DataConfig(values=((0,), ("red",))), "'red' is no mask value"),
        (DataConfig(classes=("a", "b", "c")), "names 3 classes, the masks hold 2"),
    ],
)
def test_what_is_set_wrongly_is_said(draw: np.random.Generator, config: DataConfig, message: str) -> None:
    with pytest.raises(UlnaError, match=message):
        infer([regions(draw, (0, 1))], config)


@settings(max_examples=40, deadline=None)
@given(
    values=st.lists(st.integers(0, 70_000), min_size=2, max_size=6, unique=True).map(sorted),
    indices=hnp.arrays(np.uint8, (1, 5, 6), elements=st.integers(0, 1)),
)
def test_back_undoes_apply(values: list[int], indices: np.ndarray) -> None:
    names = tuple(f"c{value}" for value in values)
    classes = Classes(names, tuple((value,) for value in values), "classes", "")
    np.testing.assert_array_equal(classes.to_indices(classes.to_values(indices)), indices)


@settings(max_examples=60, deadline=None)
@given(
    values=st.lists(st.sampled_from([0, 1, 2, 128, 254, 255, 256, 65535]), min_size=1, max_size=6, unique=True),
    place=st.integers(0, 6),
    colored=st.booleans(),
)
def test_no_two_classes_are_written_alike(values: list[int], place: int, colored: bool) -> None:
    """Also where one class is every value that is not named: as background, as foreground, between others."""
    groups: list[tuple[int | str, ...]] = [(f"{v >> 8},{v & 255},{v & 255}",) if colored else (v,) for v in values]
    groups.insert(min(place, len(groups)), ("other",))
    found = infer([], DataConfig(values=tuple(groups)))
    indices = np.arange(len(groups), dtype=np.uint8).reshape(1, 1, -1)
    written = found.to_values(indices)
    assert len(np.unique(written.reshape(len(written), -1), axis=1).T) == len(groups)
    np.testing.assert_array_equal(found.to_indices(written), indices)


def test_every_other_value_is_written_as_the_usual_one_where_that_is_free() -> None:
    indices = np.array([[[0, 1, 2]]])
    for values, expected in (
        ((("other",), (255,), (7,)), [0, 255, 7]),
        (((0,), (255,), ("other",)), [0, 255, 1]),
        ((("other",), ("0..255",), (300,)), [256, 255, 300]),
        (((0,), (1,), ("other", 9, "other")), [0, 1, 9]),
    ):
        assert infer([], DataConfig(values=values)).to_values(indices).ravel().tolist() == expected
    colors = infer([], DataConfig(values=(("other",), ("255,0,0",))))
    np.testing.assert_array_equal(colors.to_values(indices[..., :2])[:, 0], [[0, 255], [0, 0], [0, 0]])


@pytest.mark.parametrize("strip", [7, 1 << 20])
def test_a_mask_is_replaced_strip_by_strip(
    draw: np.random.Generator, strip: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ulna.labels.packed.STRIP", strip)
    for values in ((0, 255), (3, 70_000), (-2, 5)):
        mask = regions(draw, values)
        found = infer([mask], NOTHING)
        np.testing.assert_array_equal(found.to_indices(mask), mask == values[1])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_large_mask_needs_little_more_memory_than_it_has(channels: int) -> None:
    """Per pixel: one byte of equal channels, and the strips, where 64-bit numbers would take 8 and more."""
    mask = np.zeros((1, 4096, 4096), np.uint8)
    mask[:, 100:200] = 255
    mask = np.broadcast_to(mask, (channels, *mask.shape[1:]))
    tracemalloc.start()
    found = infer([mask], NOTHING)
    assert int(found.to_indices(mask).sum()) == 100 * 4096
    assert tracemalloc.get_traced_memory()[1] < 5 * mask[0].nbytes
    tracemalloc.stop()


def test_the_real_masks(data: Path) -> None:
    expected = {
        "isbi2012": ("binary", ((0,), (255,))),
        "lgg-mri-segmentation.zip": ("binary", ((0,), (255,))),
        "segmentation_wbc.zip": ("classes", ((0,), (128,), (255,))),
        "dsb2018": ("instances", ((0,), ("other",))),
    }
    for place, (kind, values) in expected.items():
        cases = read_dataset(data / place).cases[:60]
        found = infer((truth.array for truth in in_parallel(load_truth, cases)), NOTHING)
        assert (found.kind, found.values) == (kind, values), place
