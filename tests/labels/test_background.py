"""The background: 0 where it occurs; where it does not, or where another value is most of the image, it is said."""

from __future__ import annotations

import numpy as np
import pytest
import yaml
from scipy import ndimage

from simulated_masks import OBJECTS, Masks, discs, layers, organs
from ulna.config import DataConfig
from ulna.labels.background import doubts, find_background, surrounds
from ulna.labels.inference import SURE, Inference, interpret
from ulna.labels.readings import instances, several
from ulna.labels.statistics import MaskStatistics

NOTHING = DataConfig()


def shifted(masks: Masks, background: int, *, up: int = 0) -> Masks:
    """Masks whose background has another value than 0, and whose other values begin `up` higher."""
    return [np.where(mask == 0, background, mask + up).astype(np.uint16) for mask in masks]


def settled(found: Inference, which: int = 0) -> DataConfig:
    return DataConfig(**yaml.safe_load(found.doubts[which].yaml)["data"])


@pytest.mark.parametrize("name", ["2 to 5", "10 to 30", "1 to 3, 16 bits", "2 to 8, 32 bits"])
@pytest.mark.parametrize(("background", "up"), [(1, 1), (255, 0), (7, 100)])
def test_objects_on_a_background_that_is_not_0(name: str, background: int, up: int) -> None:
    plain = OBJECTS[name](0)
    masks = shifted(plain, background, up=up)
    found = interpret(masks, NOTHING)
    assert found.classes.kind == "instances"
    assert found.certainty < SURE
    assert any(f"0 is in no mask: {background}, which covers" in doubt.what for doubt in found.doubts)
    labels = found.classes.to_labels(masks[0])
    np.testing.assert_array_equal(labels.classes, plain[0][0] > 0)
    assert labels.objects is not None
    np.testing.assert_array_equal(labels.objects, np.where(plain[0][0] > 0, masks[0][0], 0))


@pytest.mark.parametrize(("background", "up"), [(1, 1), (4, 0), (255, 0)])
def test_classes_on_a_background_that_is_not_0(background: int, up: int) -> None:
    plain = organs(0, 3)
    masks = shifted(plain, background, up=up)
    found = interpret(masks, NOTHING)
    assert found.classes.values == ((background,), (1 + up,), (2 + up,), (3 + up,))
    np.testing.assert_array_equal(found.classes.to_indices(masks[0]), plain[0])
    assert found.certainty < SURE
    other = interpret(masks, settled(found, -1)).classes
    if background == 255:
        assert other.ignore == (255,)
    else:  # every value a class
        assert set(np.unique(other.to_indices(masks[0]))) == {1, 2, 3, 4}


def test_of_two_values_without_0_the_more_frequent_is_background_and_the_other_way_round_is_named() -> None:
    plain = [(mask > 0).astype(np.uint8) for mask in discs(0, (2, 5))]
    for masks, background in (([2 - mask for mask in plain], 2), ([1 + mask for mask in plain], 1)):
        found = interpret(masks, NOTHING)
        assert found.classes.values == ((background,), (3 - background,))
        np.testing.assert_array_equal(found.classes.to_indices(masks[0]), plain[0])
        assert found.certainty < SURE
        assert interpret(masks, settled(found)).classes.values == ((3 - background,), (background,))


def test_a_value_that_is_named_as_the_first_class_and_taken_for_background_is_said() -> None:
    masks = [mask + 1 for mask in organs(0, 2)]
    found = interpret(masks, DataConfig(classes=("skin", "lung", "heart")))
    assert found.classes.names == ("skin", "lung", "heart")
    assert "is taken for 'skin', which is in no score" in found.doubts[-1].what


def test_colors_on_white() -> None:
    table = np.array([(255, 255, 255), (255, 0, 0), (0, 255, 0), (0, 0, 255)], np.uint8)
    plain = organs(0, 3)
    masks = [np.moveaxis(table[mask[0]], -1, 0) for mask in plain]
    found = interpret(masks, NOTHING)
    assert (found.classes.kind, found.classes.values[0]) == ("colors", ("255,255,255",))
    np.testing.assert_array_equal(found.classes.to_indices(masks[0]) > 0, plain[0] > 0)
    assert "0,0,0 (black) is in no mask: 255,255,255, which covers" in found.doubts[-1].what
    np.testing.assert_array_equal(interpret(masks, settled(found, -1)).classes.to_indices(masks[0]) > 1, plain[0] > 0)


def test_objects_of_any_color_on_white() -> None:
    generator = np.random.default_rng(0)
    plain = discs(0, (4, 9), side=96)
    masks = []
    for mask in plain:
        table = generator.integers(0, 250, (mask.max() + 1, 3)).astype(np.uint8)
        table[0] = 255
        masks.append(np.moveaxis(table[mask[0]], -1, 0))
    found = interpret(masks, NOTHING)
    assert found.classes.values == (("255,255,255",), ("other",))
    np.testing.assert_array_equal(found.classes.to_indices(masks[0]), plain[0] > 0)
    assert found.certainty < SURE


def test_objects_that_are_cut_out_of_white() -> None:
    """0 in pieces within 255, as ImageJ's inverted masks are; the other way round nothing is said."""
    plain = [np.where(mask > 0, 0, 255).astype(np.uint8) for mask in discs(0, (9, 14))]
    cut = [mask for mask in plain if 0.5 < (mask > 0).mean() < 0.8]
    found = interpret(plain, NOTHING)
    assert len(cut) > 6
    assert "255 surrounds pieces of 0 in most of the masks and is taken for foreground" in found.doubts[0].what
    assert interpret(plain, settled(found)).classes.values == ((255,), (0,))
    assert not interpret([255 - mask for mask in plain], NOTHING).doubts
    membranes = [255 - 255 * (ndimage.laplace(mask[0]) > 0)[None].astype(np.uint8) for mask in plain]
    membranes = [np.where(np.indices(mask.shape[1:]).sum(axis=0) % 24 < 3, 0, mask) for mask in membranes]
    assert not interpret(membranes, NOTHING).doubts  # cells in pieces, between walls


def test_a_class_that_covers_most_of_the_image_is_said() -> None:
    """Scribbles: 4 is what was not annotated, and nothing in the masks says so."""
    masks = [np.where(mask == 0, 4, mask % 4) for mask in layers(0, (4, 4))]
    masks = [np.pad(mask, ((0, 0), (60, 60), (60, 60)), constant_values=4) for mask in masks]
    found = interpret(masks, NOTHING)
    assert "4 covers" in found.doubts[-1].what
    assert found.certainty < SURE
    assert interpret(masks, settled(found, -1)).classes.values[0] == (4,)


@pytest.mark.parametrize("background", [-1, 255])
def test_what_is_not_annotated_and_covers_most_may_be_the_background(background: int) -> None:
    masks = [np.where(mask == 0, background, mask.astype(np.int16) - 1) for mask in organs(0, 3)]
    found = interpret(masks, NOTHING)
    assert found.classes.ignore == (background,)
    assert found.certainty < 0.8
    assert "If it is the background, set:" in found.doubts[-1].what
    assert interpret(masks, settled(found, -1)).classes.values == ((background,), (0,), (1,), (2,))


def test_255_beside_numbers_of_classes_with_gaps_is_not_annotated() -> None:
    """COCO-Stuff: 124 and 146 are classes, and 255 is nothing."""
    codes = np.array([0, 2, 15, 16, 124, 255])
    masks = [codes[np.where(mask == 0, 5, mask - 1)] for mask in layers(0, (2, 5))]
    masks = [np.where(np.arange(64)[:, None] > 40, 0, mask) for mask in masks]
    found = interpret(masks, NOTHING)
    assert found.classes.ignore == (255,)
    assert "If it is a class, set:" in found.doubts[-1].what
    spread = [np.array([0, 50, 100, 150, 200, 255])[np.searchsorted(codes, mask)] for mask in masks]
    assert interpret(spread, NOTHING).classes.ignore == ()


@pytest.mark.parametrize("ground", [(0, 0, 0), (255, 255, 255)])
def test_one_color_is_one_class_for_certain(ground: tuple[int, int, int]) -> None:
    masks = [
        np.moveaxis(np.array([ground, (255, 0, 0)], np.uint8)[(mask[0] > 0) * 1], -1, 0) for mask in discs(0, (2, 5))
    ]
    found = interpret(masks, NOTHING)
    assert found.classes.values == ((",".join(map(str, ground)),), ("255,0,0",))
    assert [doubt.what[:23] for doubt in found.doubts] == ["0,0,0 (black) is in no "] * (ground[0] > 0)


def test_objects_from_0_on_a_negative_background_are_asked_for() -> None:
    plain = discs(0, (3, 8), side=96, apart=True)
    masks = [np.where(mask == 0, -1, mask.astype(np.int32) - 1) for mask in plain]
    found = interpret(masks, NOTHING)
    assert found.certainty < 0.8
    other = interpret(masks, settled(found, -1)).classes
    assert (other.kind, other.values) == ("instances", ((-1,), ("other",)))
    np.testing.assert_array_equal(other.to_indices(masks[0]), plain[0] > 0)


def counts(shares: dict[int, int]) -> MaskStatistics:
    seen = MaskStatistics()
    seen.add(np.repeat(list(shares), list(shares.values())).reshape(1, 10, 10))
    return seen


def test_what_surrounds_the_others_covers_half_or_is_far_ahead() -> None:
    for shares, background, ahead in (
        ({1: 60, 2: 30, 3: 10}, 1, True),
        ({1: 40, 2: 30, 3: 30}, 1, False),
        ({1: 45, 2: 12, 3: 12, 4: 11, 5: 10, 6: 10}, 1, True),
        ({1: 30, 2: 60, 3: 10}, 2, True),
    ):
        seen = counts(shares)
        assert (find_background(seen), surrounds(seen, background)) == (background, ahead)


def test_an_object_may_cover_most_of_the_image_and_a_class_is_asked_for() -> None:
    seen = counts({0: 10, 1: 85, 2: 5})
    assert doubts(seen, instances(seen), "classes") == []
    assert len(doubts(seen, several((0, 1, 2)), "classes")) == 1
