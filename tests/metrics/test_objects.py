"""Scores of objects: by hand, against brute force, and against torchmetrics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import zoom
from torchmetrics.detection import PanopticQuality

from ulna.errors import UlnaError
from ulna.metrics.objects import THRESHOLDS, compare, countable, sentence


def _line(*pieces: tuple[int, int]) -> np.ndarray:
    """A row of pixels: (number, length), one after the other."""
    return np.concatenate([np.full(length, number, np.int32) for number, length in pieces])


def _values(found: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    return {row.measure: row.value for row in compare(found, truth).rows()}


def test_by_hand() -> None:
    truth = _line((0, 5), (1, 10), (0, 5), (2, 10), (3, 4), (0, 6))
    found = _line((0, 5), (4, 8), (0, 7), (9, 10), (0, 10))
    values = _values(found, truth)
    assert values["ap_50"] == pytest.approx(2 / 3)  # 1 and 2 found, 3 missed
    assert values["ap_80"] == pytest.approx(1 / 4)  # an IoU of .8 is not above .8: only 2 is found, 4 is wrong
    assert values["ap_75"] == pytest.approx(2 / 3)
    assert values["f1"] == pytest.approx(4 / 5)
    assert values["pq"] == pytest.approx(1.8 / 2.5)
    assert values["sq"] == pytest.approx(0.9)
    assert values["aji"] == pytest.approx(18 / 24)
    assert values["seg"] == pytest.approx(1.8 / 3)
    assert values["kaggle"] == pytest.approx((6 * 2 / 3 + 4 * 1 / 4) / 10)
    assert (values["true"], values["predicted"]) == (3, 2)
    shares = [values[name] for name in ("found", "missed", "split", "merged", "false positive")]
    assert shares == [2 / 3, 1 / 3, 0, 0, 0]


def test_found_split_merged_missed_and_false_positive_are_told_apart() -> None:
    truth = _line((1, 10), (2, 10), (0, 2), (3, 10), (0, 2), (4, 10), (0, 2), (5, 6), (6, 2), (0, 8))
    found = _line((1, 20), (0, 2), (3, 5), (4, 5), (0, 14), (7, 8), (0, 2), (8, 6))
    true, seen = compare(found, truth).fates()
    assert list(true) == ["merged", "merged", "split", "missed", "found", "merged"]
    assert list(seen) == ["merged", "split", "split", "found", "false positive"]
    values = _values(found, truth)
    assert values["true"] == 6
    shares = [values[name] for name in ("found", "split", "merged", "missed", "false positive")]
    assert shares == [1 / 6, 1 / 6, 3 / 6, 1 / 6, 1 / 5]


def test_a_found_object_with_a_small_piece_cut_off_is_not_split() -> None:
    true, seen = compare(_line((1, 8), (2, 2)), _line((5, 10))).fates()
    assert list(true) == ["found"]
    assert list(seen) == ["found", "false positive"]


def test_nothing_in_truth_and_prediction() -> None:
    empty = np.zeros((4, 4), np.int32)
    rows = {row.measure: row for row in compare(empty, empty).rows()}
    assert all(np.isnan(rows[name].value) for name in ("ap_50", "pq", "aji", "seg", "kaggle"))
    assert rows["ap_50"].state == "empty, predicted empty"
    one = np.ones((4, 4), np.int32)
    assert _values(one, empty)["ap_50"] == 0
    assert {row.state for row in compare(one, empty).rows()} == {"false positive"}
    assert {row.state for row in compare(empty, one).rows()} == {"missed"}


def _random(seed: int, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of numbers, and the same ones moved, thinned and with some exchanged."""
    rng = np.random.default_rng(seed)
    truth = zoom(rng.integers(0, 9, [side // 4 for side in shape]), 4, order=0)
    found = np.roll(truth, int(rng.integers(0, 3)), axis=-1)
    found = np.where(rng.random(shape) < 0.1, 0, found)
    found[found == rng.integers(1, 9)] = rng.integers(1, 9)
    return found * 1000, truth


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.sampled_from([(24, 24), (8, 12, 12)]))
def test_as_brute_force(seed: int, shape: tuple[int, ...]) -> None:
    found, truth = _random(seed, shape)
    overlap, values = compare(found, truth), _values(found, truth)
    there, seen = (list(np.unique(one[one > 0])) for one in (truth, found))
    iou = np.array(
        [[((truth == i) & (found == j)).sum() / ((truth == i) | (found == j)).sum() for j in seen] for i in there]
    )
    for threshold in THRESHOLDS:
        tp = int((iou > threshold / 100 + 1e-12).sum())
        assert overlap.counts(threshold) == (tp, len(seen) - tp, len(there) - tp)
    # the aggregated Jaccard index, as its paper's pseudocode
    shared = union = 0
    used: set[Any] = set()
    for row, i in zip(iou, there, strict=True):
        best = seen[int(row.argmax())] if len(row) and row.max() > 0 else None
        shared += int(((truth == i) & (found == best)).sum()) if best else 0
        union += int(((truth == i) | (found == best)).sum()) if best else int((truth == i).sum())
        used.add(best)
    union += sum(int((found == j).sum()) for j in seen if j not in used)
    assert values["aji"] == pytest.approx(shared / union)
    held = np.array([[2 * ((truth == i) & (found == j)).sum() > (truth == i).sum() for j in seen] for i in there])
    seg = [float((row * most).sum()) for row, most in zip(iou, held, strict=True)]
    assert values["seg"] == pytest.approx(np.mean(seg))
    # what became of each object, from the words of the definitions
    inside = np.array([[2 * ((truth == i) & (found == j)).sum() > (found == j).sum() for j in seen] for i in there])
    true, predicted = overlap.fates()
    for one, fate in enumerate(true):
        merged = any(held[one, j] and held[:, j].sum() > 1 for j in range(len(seen)))
        split = "split" if inside[one].sum() > 1 else "missed"
        assert fate == ("found" if (iou[one] > 0.5 + 1e-12).any() else "merged" if merged else split)
    for one, fate in enumerate(predicted):
        piece = any(inside[i, one] and true[i] == "split" for i in range(len(there)))
        lone = "split" if piece else "false positive"
        whole = bool((iou[:, one] > 0.5 + 1e-12).any())
        assert fate == ("found" if whole else "merged" if held[:, one].sum() > 1 else lone)
    kaggle = []
    for threshold in range(50, 100, 5):
        tp = int((iou > threshold / 100 + 1e-12).sum())
        kaggle.append(tp / (len(seen) + len(there) - tp))
    assert values["kaggle"] == pytest.approx(np.mean(kaggle))


@pytest.mark.parametrize("seed", range(5))
def test_panoptic_quality_as_torchmetrics(seed: int) -> None:
    found, truth = _random(seed, (24, 24))
    measure = PanopticQuality(things={1}, stuffs={0}, return_per_class=True, return_sq_and_rq=True)
    pair = [torch.from_numpy(np.stack([one > 0, one], axis=-1).astype(np.int64))[None] for one in (found, truth)]
    values = _values(found, truth)
    ours = [values["pq"], np.nan_to_num(values["sq"]), values["f1"]]  # torchmetrics says 0 where nothing was found
    things, _ = measure(*pair).reshape(2, 3).tolist()
    assert ours == pytest.approx(things, abs=1e-6)


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_numbers_do_not_matter(seed: int) -> None:
    found, truth = _random(seed, (24, 24))
    renamed = np.where(found > 0, 70_000_000 - found, 0)  # wide gaps, another order
    once, again = (compare(one, truth).rows() for one in (found, renamed))
    assert [row.value for row in once if row.measure != "aji"] == pytest.approx(
        [row.value for row in again if row.measure != "aji"], nan_ok=True
    )
    perfect = {row.measure: row.value for row in compare(truth, truth).rows()}
    assert all(perfect[name] == 1 for name in ("ap_50", "ap_90", "f1", "pq", "aji", "seg", "kaggle"))


def test_bad_input() -> None:
    good = np.zeros((2, 2), int)
    with pytest.raises(UlnaError, match=r"the predicted objects, \(2, 2\), is not that of the true ones, \(2, 3\)"):
        compare(good, np.zeros((2, 3), int))
    with pytest.raises(UlnaError, match="numbers of objects must be whole numbers, not float64"):
        compare(good.astype(float), good)
    with pytest.raises(UlnaError, match="numbers of objects start at 1, and 0 is the background; here is -1"):
        compare(good - 1, good)


def test_in_words() -> None:
    truth = _line((1, 10), (2, 10), (0, 2), (3, 10), (0, 2), (4, 10), (0, 2), (5, 6), (6, 2), (0, 8))
    found = _line((1, 20), (0, 2), (3, 5), (4, 5), (0, 14), (7, 8), (0, 2), (8, 6))
    rows = compare(found, truth).rows() * 2
    assert sentence(rows) == (
        "Of 12 true objects 2 were found (16.7 %), 2 split, 6 merged, 2 missed; 2 false positives."
    )
    assert sentence([]) == ""


def test_numbers_beyond_those_that_a_float_tells_apart() -> None:
    for start in (2**53, 2**63 + 5):
        numbers = np.array([start, start + 1, 0], np.uint64)
        assert compare(numbers, numbers).counts() == (2, 0, 0)


def test_what_lies_where_nobody_annotated_is_neither_right_nor_wrong() -> None:
    truth = _line((0, 12), (1, 4), (0, 4))
    found = _line((0, 3), (5, 6), (0, 1), (9, 6), (0, 2), (7, 2))
    annotated = np.ones(20, bool)
    annotated[:8] = False  # 5 lies there for the most part
    counted = countable(found, truth, annotated)
    assert np.unique(counted).tolist() == [0, 7, 9]
    assert compare(counted, truth).counts() == (1, 1, 0)
    annotated[:12] = False
    annotated[16:] = False
    found = _line((0, 6), (3, 10), (0, 4))  # its smaller part is all that is left, and is right
    assert compare(countable(found, truth, annotated), truth).counts() == (1, 0, 0)
    annotated[12:14] = False
    truth = np.where(annotated, truth, 0)
    assert np.unique(countable(found, truth, np.ones(20, bool))).tolist() == [0, 3]
