"""Which classes were taken for which."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import numpy.typing as npt
import torch
from torchmetrics.functional.classification import multiclass_confusion_matrix

from ulna.image import IGNORE, Labels
from ulna.metrics.confused import NOT_CONFUSED, Confusion


def labels(classes: npt.ArrayLike, objects: npt.ArrayLike | None = None) -> Labels:
    numbers = None if objects is None else np.asarray(objects, np.int32)
    return Labels(np.asarray(classes, np.uint8), numbers)


def test_pixels_are_counted_as_torchmetrics_does() -> None:
    rng = np.random.default_rng(0)
    truth, found = rng.integers(4, size=(2, 30, 40)).astype(np.uint8)
    truth[:3] = IGNORE
    counted = Confusion.of(labels(found), labels(truth), 4)
    theirs = multiclass_confusion_matrix(
        torch.from_numpy(found.astype(int)), torch.from_numpy(truth.astype(int)), num_classes=4, ignore_index=IGNORE
    )
    assert np.array_equal(counted.pixels, theirs.numpy())
    assert counted.objects == ()


def test_one_class_is_confused_with_none() -> None:
    assert Confusion.of(labels([0, 1]), labels([1, 1]), 2) == NOT_CONFUSED
    assert NOT_CONFUSED.as_json(("background", "cell")) == {}


TRUE = labels([[1, 1, 0, 2, 2, 0, 1, 1, 0, 0, 0]], [[1, 1, 0, 2, 2, 0, 5, 5, 0, 0, 0]])
SEEN = labels([[1, 1, 0, 1, 1, 0, 0, 0, 0, 2, 2]], [[9, 9, 0, 3, 3, 0, 0, 0, 0, 4, 4]])


def test_an_object_of_another_class_is_confused_and_not_missed() -> None:
    """One is right, one of class 2 was called 1, one was missed, and one is a false positive of class 2."""
    assert Confusion.of(SEEN, TRUE, 3).objects == ((0, 0, 1), (1, 1, 0), (0, 1, 0))


def test_objects_that_nobody_annotated_count_for_nothing() -> None:
    truth = labels([[1, 1, 0, 2, 2, 0, 1, 1, IGNORE, IGNORE, IGNORE]], [[1, 1, 0, 2, 2, 0, 5, 5, 0, 0, 0]])
    assert Confusion.of(SEEN, truth, 3).objects == ((0, 0, 0), (1, 1, 0), (0, 1, 0))


def test_the_class_of_an_object_is_that_of_most_of_its_pixels() -> None:
    mixed = labels([[1, 2, 2, 2]], [[1, 1, 1, 1]])
    assert Confusion.of(mixed, labels([[2, 2, 2, 2]], [[1, 1, 1, 1]]), 3).objects == ((0, 0, 0), (0, 0, 0), (0, 0, 1))


def test_objects_found_plane_by_plane_are_compared_so() -> None:
    truth = np.zeros((2, 3, 4), int)
    truth[:, :2, :2] = 1
    seen = truth.copy()
    seen[1] *= 2  # another number in each plane
    found, there = labels(truth > 0, seen), labels(truth > 0, truth)
    assert Confusion.of(found, there, 3, apart=0).objects == ((0, 0, 0), (0, 2, 0), (0, 0, 0))
    assert Confusion.of(found, there, 3).objects == ((0, 2, 0), (1, 0, 0), (0, 0, 0))  # as objects of a volume


def test_cases_add_up_and_survive_json() -> None:
    one = Confusion.of(SEEN, TRUE, 3)
    both = one + Confusion.of(labels([[0, 2]]), labels([[0, 1]]), 3) + NOT_CONFUSED
    assert both.objects == one.objects
    assert both.pixels[1][2] == one.pixels[1][2] + 1
    assert Confusion.from_json(json.loads(json.dumps(asdict(both)))) == both
    assert Confusion.from_json({}) == NOT_CONFUSED
    assert both.as_json(("background", "a", "b"))["pixels"][0] == list(both.pixels[0])
