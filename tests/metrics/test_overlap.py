"""Overlap scores against torchmetrics, against sets of pixels, and what holds for any pair of masks."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.classification import (
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_jaccard_index,
    multiclass_precision,
    multiclass_recall,
)

from ulna.errors import UlnaError
from ulna.image import IGNORE
from ulna.metrics import confusion, measure, overlap, records

CLASSES = ("background", "cytoplasm", "nucleus")


def _pair(seed: int, shape: tuple[int, ...], classes: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.integers(classes, size=shape, dtype=np.uint8), rng.integers(classes, size=shape, dtype=np.uint8)


@pytest.mark.parametrize("shape", [(17, 23), (1, 31, 29), (1, 5, 7, 9)])
def test_agrees_with_torchmetrics(shape):
    mask, truth = _pair(0, shape, 3)
    p, t = torch.from_numpy(mask).flatten().long(), torch.from_numpy(truth).flatten().long()
    assert (confusion(mask, truth, 3) == multiclass_confusion_matrix(p, t, 3).numpy()).all()
    found = overlap(mask, truth, CLASSES)
    assert [one.name for one in found] == ["cytoplasm", "nucleus"]
    for name, other in (
        ("dice", multiclass_f1_score),
        ("iou", multiclass_jaccard_index),
        ("precision", multiclass_precision),
        ("recall", multiclass_recall),
    ):
        theirs = other(p, t, num_classes=3, average="none")[1:].tolist()
        assert [getattr(one, name) for one in found] == pytest.approx(theirs, abs=1e-6), name


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 2**32 - 1), st.sampled_from([(1, 4, 5), (1, 2, 3, 4), (6,)]), st.integers(2, 5))
def test_what_holds_for_any_masks(seed, shape, classes):
    mask, truth = _pair(seed, shape, classes)
    names = [f"class {k}" for k in range(classes)]
    there, back = overlap(mask, truth, names), overlap(truth, mask, names)
    for k, (one, turned) in enumerate(zip(there, back, strict=True), start=1):
        a = set(np.flatnonzero(mask == k).tolist())
        b = set(np.flatnonzero(truth == k).tolist())
        assert (one.tp, one.fp, one.fn) == (len(a & b), len(a - b), len(b - a))
        assert one.tp + one.fp + one.fn + one.tn == mask.size
        assert one.accuracy == pytest.approx(np.mean((mask == k) == (truth == k)))
        assert one.dice == pytest.approx(turned.dice, nan_ok=True)
        assert one.precision == pytest.approx(turned.recall, nan_ok=True)
        if not math.isnan(one.dice):
            assert 0 <= one.iou <= one.dice <= 1
            assert one.iou == pytest.approx(one.dice / (2 - one.dice))
        assert math.isnan(one.dice) == (one.state == "empty, predicted empty")
    assert all(one.dice == 1 for one in overlap(truth, truth, names) if one.state == "scored")
    assert measure(mask, truth, names)[-1].value == pytest.approx(np.mean(mask == truth))


def test_empty_masks_are_named_and_not_scored_one():
    none, some = np.zeros((1, 4, 4), np.uint8), np.ones((1, 4, 4), np.uint8)
    (both,) = overlap(none, none, ("background", "tumour"))
    assert both.state == "empty, predicted empty"
    assert math.isnan(both.dice)
    assert math.isnan(both.iou)
    assert both.accuracy == 1
    (alarm,) = overlap(some, none, ("background", "tumour"))
    assert (alarm.state, alarm.dice, alarm.iou, alarm.precision) == ("false positive", 0, 0, 0)
    assert math.isnan(alarm.recall)
    (miss,) = overlap(none, some, ("background", "tumour"))
    assert (miss.state, miss.dice, miss.recall) == ("missed", 0, 0)
    assert math.isnan(miss.precision)


@pytest.mark.parametrize("kind", [np.bool_, np.uint8, np.uint16, np.int32, np.int64, np.uint64])
def test_any_whole_number_will_do(kind):
    mask, truth = _pair(1, (8, 9), 2)
    assert (confusion(mask.astype(kind), truth, 2) == confusion(mask, truth, 2)).all()
    assert (confusion(mask, truth.astype(kind), 2) == confusion(mask, truth, 2)).all()


def test_large_images_are_counted_in_parts(monkeypatch):
    mask, truth = _pair(2, (101, 37), 3)
    whole = confusion(mask, truth, 3)
    monkeypatch.setattr(import_module("ulna.metrics.overlap"), "_AT_ONCE", 100)
    assert (confusion(mask, truth, 3) == whole).all()
    assert [one.tp for one in records(whole, CLASSES)] == [whole[1, 1], whole[2, 2]]


def test_what_cannot_be_compared_is_said():
    ones = np.ones((1, 4, 4), np.uint8)
    with pytest.raises(UlnaError, match=r"shape \(1, 4, 4\) is not that of the truth, \(1, 4, 5\)"):
        overlap(ones, np.ones((1, 4, 5), np.uint8), CLASSES)
    with pytest.raises(UlnaError, match="mask holds values from 255 to 255, but the classes are 0 to 2"):
        overlap(ones * 255, ones, CLASSES)
    with pytest.raises(UlnaError, match="truth must hold whole numbers"):
        overlap(ones, ones.astype(float), CLASSES)
    assert math.isnan(measure(ones[:, :0], ones[:, :0], CLASSES[:2])[-1].value)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5), share=st.sampled_from([0.0, 0.3, 1.0]))
def test_ignored_pixels_are_in_no_score(seed: int, classes: int, share: float) -> None:
    draw = np.random.default_rng(seed)
    mask, truth = draw.integers(0, classes, (2, 1, 9, 8)).astype(np.uint8)
    ignored = draw.random(truth.shape) < share
    expected = np.zeros((classes, classes), int)
    for there, found in zip(truth[~ignored], mask[~ignored], strict=True):
        expected[there, found] += 1
    np.testing.assert_array_equal(confusion(mask, np.where(ignored, IGNORE, truth).astype(np.uint8), classes), expected)


def test_a_mask_must_not_hold_the_ignored_value() -> None:
    truth = np.array([[0, 1, IGNORE]], np.uint8)
    with pytest.raises(UlnaError, match="the mask holds values from 0 to 255"):
        confusion(truth, truth, 2)
    with pytest.raises(UlnaError, match="the truth holds values from 0 to 7"):
        confusion(np.zeros((1, 3), np.uint8), np.array([[0, 7, IGNORE]], np.uint8), 2)
