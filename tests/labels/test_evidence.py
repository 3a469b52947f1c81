"""Objects or classes: calibrated on simulated data sets of both kinds, and right on inputs that went wrong."""

from __future__ import annotations

import math

import numpy as np
import pytest

from simulated_masks import CLASSES, OBJECTS, Masks, discs, layers, organs, rings, tracks
from ulna.config import DataConfig
from ulna.labels.evidence import PERMUTATIONS, Evidence, evidence
from ulna.labels.inference import SURE, interpret
from ulna.labels.readings import coded
from ulna.labels.statistics import MaskStatistics

NOTHING = DataConfig()
SEEDS = (100, 101)


def weigh(masks: Masks) -> Evidence:
    seen = MaskStatistics()
    for mask in masks:
        seen.add(mask)
    return evidence(seen)


def clue(found: Evidence, words: str) -> float:
    return sum(odds for name, odds in found.clues if words in name)


def test_the_probability_is_calibrated() -> None:
    """On data sets with other seeds than the clues were chosen on: what is sure is right, and doubts are few."""
    rows = [(True, weigh(make(seed)).probability) for make in OBJECTS.values() for seed in SEEDS]
    rows += [(False, weigh(make(seed)).probability) for make in CLASSES.values() for seed in SEEDS]
    objects, probability = np.array(rows).T
    right = (probability > 0.5) == objects
    sure = np.maximum(probability, 1 - probability)
    assert right.mean() > 0.96
    assert right[sure >= SURE].mean() > 0.98
    assert (sure >= SURE).mean() > 0.6
    assert float(((probability - objects) ** 2).mean()) < 0.03  # Brier score; 0.25 is what guessing has


@pytest.mark.parametrize("name", OBJECTS)
def test_numbers_of_objects(name: str) -> None:
    found = interpret(OBJECTS[name](0), NOTHING)
    assert found.classes.kind == "instances", found
    assert found.certainty >= SURE or found.doubts[0].yaml.startswith("data:\n  classes:")


@pytest.mark.parametrize("name", CLASSES)
def test_classes(name: str) -> None:
    masks = CLASSES[name](0)
    found = interpret(masks, NOTHING)
    values = sorted({int(value) for mask in masks for value in np.unique(mask)})
    assert found.classes.values == tuple((value,) for value in values)
    assert found.certainty >= SURE or "'other'" in found.doubts[0].yaml.replace('"', "'")


def test_track_numbers_are_objects() -> None:
    """16 tracks of which some begin late and some end early, each cell at the place of its rank."""
    masks = []
    for time in range(12):
        left = {*range(1, 5)} if time >= 4 else set()
        late = {*range(9, 17)} if time < 3 else set()
        lost = {5, 6} if time > 7 else set()
        mask = np.zeros((1, 80, 80), np.uint16)
        for place, number in enumerate(sorted(set(range(1, 17)) - left - late - lost)):
            row, column = divmod(place, 4)
            mask[0, row * 20 + 3 : row * 20 + 15, column * 20 + 3 : column * 20 + 15] = number
        masks.append(mask)
    found = interpret(masks, NOTHING)
    assert found.classes.kind == "instances"
    labels = found.classes.to_labels(masks[0])
    assert labels.objects is not None
    np.testing.assert_array_equal(labels.objects, masks[0][0])
    np.testing.assert_array_equal(labels.classes, masks[0][0] > 0)


def test_layers_that_never_touch_are_classes() -> None:
    draw = np.random.default_rng(0)
    masks = []
    for _ in range(12):
        mask = np.zeros((1, 64, 64), np.uint8)
        for layer in range(1, int(draw.integers(2, 6)) + 1):
            mask[0, layer * 9 : layer * 9 + 8] = layer
        masks.append(mask)
    assert interpret(masks, NOTHING).classes.values == ((0,), (1,), (2,), (3,), (4,), (5,))


def test_volumes_too() -> None:
    z, y, x = np.mgrid[:20, :20, :20]
    distance = np.sqrt((z - 10) ** 2 + (y - 10) ** 2 + (x - 10) ** 2)
    draw = np.random.default_rng(0)
    nested, scattered = [], []
    for count in (1, 2, 3, 2, 3, 3, 1, 2):
        mask, balls = np.zeros((1, 20, 20, 20), np.uint8), np.zeros((1, 20, 20, 20), np.uint8)
        for number in range(1, count + 1):
            mask[0][distance < 9 - 2.5 * (number - 1)] = number
            at = draw.integers(3, 17, 3)
            inside = (z - at[0]) ** 2 + (y - at[1]) ** 2 + (x - at[2]) ** 2 < 9
            balls[0][inside & (balls[0] == 0)] = number
        nested.append(mask)
        scattered.append(balls)
    assert interpret(nested, NOTHING).classes.kind == "classes"
    assert interpret(scattered, NOTHING).classes.kind == "instances"


def test_objects_that_leave_no_background() -> None:
    """Every pixel is one of the cells, so 0 is nowhere; classes that are numbered from 1 stay classes."""
    y, x = np.mgrid[:64, :64]
    draw = np.random.default_rng(0)
    masks = []
    for _ in range(12):
        rows, columns = draw.uniform(0, 64, (2, int(draw.integers(8, 20))))
        distance = (y[..., None] - rows) ** 2 + (x[..., None] - columns) ** 2
        masks.append((1 + np.argmin(distance, axis=-1)).astype(np.uint16)[None])
    found = interpret(masks, NOTHING)
    assert found.classes.kind == "instances"
    labels = found.classes.to_labels(masks[0])
    assert labels.objects is not None
    np.testing.assert_array_equal(labels.objects, masks[0][0])
    for name in ("layers", "rings", "3 organs", "2 tissues", "3 types of cells"):
        shifted = [mask + 1 for mask in CLASSES[name](0)]
        assert interpret(shifted, NOTHING).classes.kind == "classes", name


def test_numbers_of_classes_decide_between_readings() -> None:
    masks = discs(0, (1, 2))
    doubtful = interpret(masks, NOTHING)
    assert doubtful.certainty < SURE
    assert doubtful.runner_up is not None
    for names, kind in ((("background", "cell"), "instances"), (("background", "a", "b"), "classes")):
        found = interpret(masks, DataConfig(classes=names))
        assert (found.classes.kind, found.classes.names, found.doubts, found.certainty) == (kind, names, (), 1.0)


def test_the_yaml_of_a_doubt_settles_it() -> None:
    import yaml

    masks = discs(0, (1, 2))
    doubtful = interpret(masks, NOTHING)
    (doubt,) = doubtful.doubts
    assert f"{doubtful.certainty:.0%} sure" in doubt.what
    other = interpret(masks, DataConfig(**yaml.safe_load(doubt.yaml)["data"]))
    assert doubtful.runner_up is not None
    assert (other.classes.kind, other.classes.values) == (doubtful.runner_up.kind, doubtful.runner_up.values)
    assert {doubtful.classes.kind, other.classes.kind} == {"classes", "instances"}
    assert (other.certainty, other.doubts) == (1.0, ())


def test_exchangeable_numbers_pass_the_permutation_test_and_classes_do_not() -> None:
    exchangeable = [clue(weigh(discs(seed, (2, 4))), "do not depend on the value") > 0 for seed in range(20)]
    assert sum(exchangeable) >= 10  # uniform p-values: 63 % lie above 1/e
    p = 1 / (1 + PERMUTATIONS)
    bound = math.log(-math.e * p * math.log(p))
    assert clue(weigh(layers(3, (5, 5))), "size and place depend") == pytest.approx(max(bound, -4.6), abs=1e-6)


def test_what_speaks_for_a_reading_is_named() -> None:
    assert "within each other" in weigh(rings(0)).reasons
    assert "like layers" in weigh(layers(0, (2, 5))).reasons
    assert "touch" not in weigh(discs(0, (2, 5), apart=True)).reasons
    # what moves slowly keeps its place, whether it is an object or a class: that says less
    assert -2 < clue(weigh(tracks(0, 14)), "size and place depend") < 0
    assert clue(weigh(organs(0, 12, side=128)), "size and place depend") < -3


def test_codes_spread_over_the_gray_values_are_classes() -> None:
    masks = discs(4, (1, 3))
    spread = [(mask * 80).astype(np.uint8) for mask in masks]
    assert interpret(masks, NOTHING).classes.kind == "instances"
    assert interpret(spread, NOTHING).classes.kind == "classes"


def some(seed: int, *, classes: bool, each: tuple[int, int], by_size: bool = False, count: int = 14) -> Masks:
    """Masks of few discs: numbered 1 to n (the largest first, if so), or each of any of two classes."""
    generator = np.random.default_rng(seed)
    masks = []
    for mask in discs(seed, each, side=96, apart=True)[:count]:
        numbers = np.arange(mask.max() + 1)
        if classes:
            numbers[1:] = generator.integers(1, 3, mask.max())
        elif by_size:
            numbers[1 + np.argsort(-np.bincount(mask.ravel())[1:], kind="stable")] = np.arange(1, mask.max() + 1)
        masks.append(numbers[mask].astype(np.uint8))
    return masks


def test_one_or_two_in_an_image_are_told_from_classes() -> None:
    """A class is in two pieces, or is there without the first; numbers are exchangeable, whatever their order."""
    for each in ((1, 2), (2, 2)):
        found = [weigh(some(seed, classes=True, each=each)).probability for seed in range(6)]
        assert sum(one < 0.5 for one in found) >= 5, found
        assert max(found) < SURE, found
        assert np.median(found) < 1 - SURE, found
    for by_size in (False, True):
        found = [weigh(some(seed, classes=False, each=(1, 2), by_size=by_size)).probability for seed in range(6)]
        assert min(found) > 0.5, found
        assert max(found) < SURE, found  # which is a warning


def test_that_objects_are_asked_for_counts_where_masks_leave_it_open() -> None:
    """Three discs of one size in every mask: classes by the numbers alone, and objects where these are wanted."""
    generator = np.random.default_rng(0)
    rows, columns = np.mgrid[:64, :64]
    masks = []
    for _ in range(8):
        mask = np.zeros((1, 64, 64), np.uint8)
        while mask.max() < 3:
            y, x = generator.integers(8, 56, 2)
            disc = (rows - y) ** 2 + (columns - x) ** 2 < 36
            if not mask[0][disc].any():
                mask[0][disc] = mask.max() + 1
        masks.append(mask)
    found, wanted = interpret(masks, NOTHING), interpret(masks, NOTHING, wanted=True)
    assert not found.classes.numbers_objects
    assert wanted.classes.numbers_objects
    assert wanted.runner_up == found.classes
    (doubt,) = wanted.doubts
    assert "objects are asked for" in doubt.what


def test_the_only_value_of_a_mask_counts() -> None:
    """Histology of one type per image, in many pieces: masks hold two values each, and are classes surely."""
    pieces = [(mask > 0) * (1 + k % 2) for k, mask in enumerate(discs(0, (3, 6), side=96, apart=True))]
    found = interpret(pieces, NOTHING)
    assert (found.classes.values, found.certainty > SURE) == (((0,), (1,), (2,)), True)
    large = [np.kron(mask[0], np.ones((8, 8), np.uint8))[None] for mask in pieces]
    assert interpret(large, NOTHING).classes == found.classes


def test_numbers_that_say_class_and_object_are_asked_for() -> None:
    """Cityscapes: 7 and 23 are classes without objects, 26000, 26001, … the cars."""
    import yaml

    masks = []
    for mask in discs(0, (2, 6), side=96):
        ground = np.where(np.arange(96)[:, None] < 30, 23, 7)
        masks.append(np.where(mask > 0, 26_000 + mask.astype(np.int32) - 1, ground).astype(np.uint16))
    found = interpret(masks, NOTHING)
    (doubt,) = [doubt for doubt in found.doubts if "1000 times a class" in doubt.what]
    assert found.certainty < SURE
    settled = interpret(masks, DataConfig(**yaml.safe_load(doubt.yaml)["data"])).classes
    assert settled.values == ((7,), (23,), ("26000..26999", 26))
    np.testing.assert_array_equal(settled.to_indices(masks[0]) == 2, masks[0] >= 26_000)
    numbers = [np.where(mask > 0, mask * 997, 0) for mask in masks]  # large, and no such codes
    assert not [doubt for doubt in interpret(numbers, NOTHING).doubts if "1000 times" in doubt.what]


def test_sizes_say_nothing_where_numbers_begin_with_the_largest() -> None:
    draw = np.random.default_rng(1)
    masks = []
    for _ in range(12):
        mask = np.zeros((1, 64, 64), np.uint8)
        order = draw.permutation(2)
        for number, side in ((1, 14), (2, 4)):
            row, column = draw.integers(0, 48, 2) // (1, 2) + (0, 32 * order[number - 1])
            mask[0, row : row + side, column : column + side] = number
        masks.append(mask)
    assert clue(weigh(masks), "size and place depend") > -1
    turned = [np.array([0, 2, 1], np.uint8)[mask] for mask in masks]
    assert clue(weigh(turned), "size and place depend") < -2


def test_codes_of_class_and_object_begin_with_a_thousand() -> None:
    assert coded([0, 1100, 1101], 0) is None
    assert coded([0, 1000, 2000], 0) is None
    found = coded([0, 7, 1000, 1001, 2001], 0)
    assert found is not None
    assert found.values == ((0,), ("1000..1999", 1), ("2000..2999", 2), (7,))
