"""What many cases say together: means over images and classes, pooled scores, what is left out and counted."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_f1_score

from ulna.metrics import (
    ALL_CLASSES,
    Primary,
    Row,
    Scored,
    locate,
    mean_interval,
    measure,
    median_interval,
    number,
    summarize,
)

CLASSES = ("background", "cytoplasm", "nucleus")


def _case(name: str, group: str, mask: list[int], truth: list[int]) -> Scored:
    return Scored.of(measure(np.array(mask), np.array(truth), CLASSES), name=name, group=group)


@pytest.fixture
def cases() -> list[Scored]:
    return [
        _case("half", "a", [1, 1, 2, 0], [1, 0, 2, 1]),  # cytoplasm 0.5, nucleus 1
        _case("no nucleus", "a", [1, 1, 0, 0], [1, 1, 0, 0]),  # cytoplasm 1, nucleus in neither
        _case("alarm", "b", [1, 2, 0, 0], [1, 1, 0, 0]),  # cytoplasm 2/3, nucleus a false positive
        _case("empty", "c", [0, 0, 0, 0], [0, 0, 0, 0]),
        _case("missed", "c", [1, 0, 0, 0], [1, 0, 0, 2]),  # cytoplasm 1, nucleus missed
    ]


def _random(count: int, *, groups: int, seed: int = 0) -> tuple[list[Scored], np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    truth = rng.integers(3, size=(count, 40))
    mask = np.where(rng.random(truth.shape) < rng.random((count, 1)), truth, rng.integers(3, size=truth.shape))
    scored = [
        Scored.of(measure(m, t, CLASSES), name=f"{k}", group=f"g{k % groups}")
        for k, (m, t) in enumerate(zip(mask, truth, strict=True))
    ]
    return scored, mask, truth


def test_means_leave_out_what_is_empty_in_both(cases):
    found = summarize(cases)
    dice = [0.75, 1.0, 1 / 3, 0.5]
    assert found.overall.scores["dice"].mean.estimate == pytest.approx(np.mean(dice))
    assert found.overall.scores["dice"].median.estimate == pytest.approx(np.median(dice))
    assert found.overall.scores["dice"].mean.cases == 4
    cytoplasm, nucleus = found.classes
    assert cytoplasm.scores["dice"].mean.estimate == pytest.approx(np.mean([0.5, 1, 2 / 3, 1]))
    assert nucleus.scores["dice"].mean.estimate == pytest.approx(np.mean([1, 0, 0]))
    assert nucleus.scores["dice"].pooled.estimate == pytest.approx(2 / (2 + 1 + 1))
    assert nucleus.scores["dice"].pooled.cases == 3
    assert found.overall.scores["accuracy"].mean.estimate == pytest.approx(np.mean([0.5, 1, 0.75, 1, 0.75]))
    assert (found.cases, found.groups) == (5, 3)
    assert found.measures == ("dice", "iou", "precision", "recall", "accuracy")
    assert found.primary == "dice"


def test_pooled_scores_are_those_of_all_pixels_together():
    cases, mask, truth = _random(24, groups=8)
    found = summarize(cases)
    flat = (torch.from_numpy(one.ravel()) for one in (mask, truth))
    theirs = multiclass_f1_score(*flat, num_classes=3, average="none")[1:].tolist()
    for part, expected in zip(found.classes, theirs, strict=True):
        pooled = part.scores["dice"].pooled
        assert pooled.estimate == pytest.approx(expected)
        assert pooled.low < pooled.estimate < pooled.high
    assert found.overall.scores["dice"].pooled.estimate == pytest.approx(np.mean(theirs))
    assert found.overall.scores["accuracy"].pooled.estimate == pytest.approx(np.mean(mask == truth))


def test_intervals_are_those_of_the_cases_scores():
    cases, _, _ = _random(24, groups=8)
    dice, groups = [case.dice for case in cases], [case.group for case in cases]
    found = summarize(cases, seed=3).overall.scores["dice"]
    assert found.mean == mean_interval(dice, groups, seed=3)
    assert found.median == median_interval(dice, groups)
    assert summarize(cases, seed=4).overall.scores["dice"].mean != found.mean


def test_states_are_counted(cases):
    found = summarize(cases)
    _, nucleus = found.classes
    assert nucleus.states == {"scored": 1, "empty, predicted empty": 2, "false positive": 1, "missed": 1}
    assert found.overall.states == {"scored": 5, "empty, predicted empty": 3, "false positive": 1, "missed": 1}


def test_by_group_takes_all_pixels_of_a_group_together(cases):
    # a: cytoplasm tp 3 fp 1 fn 1, nucleus tp 1; b: cytoplasm 2/3, nucleus 0; c: cytoplasm 1, nucleus 0
    by_group = summarize(cases).by_group
    assert dict(by_group.group_values) == {
        "a": pytest.approx((0.75 + 1) / 2), "b": pytest.approx((2 / 3 + 0) / 2), "c": pytest.approx(0.5),
    }  # fmt: skip
    assert by_group.estimate == pytest.approx(np.mean([(0.75 + 1) / 2, (2 / 3 + 0) / 2, 0.5]))
    assert (by_group.cases, by_group.groups) == (3, 3)
    assert summarize(cases).joined
    assert not summarize(cases[:2]).joined


def test_json_holds_no_nan_and_the_values_of_few_groups(cases):
    found = json.loads(json.dumps(summarize(cases).as_json(), allow_nan=False))
    dice = found["overall"]["dice"]
    assert (dice["cases"], dice["groups"]) == (4, 3)
    assert dice["mean_interval"] == [None, None]
    assert dice["reason"] == "3 groups are too few: an interval needs 5"
    assert dice["mean_of_groups"] == {"a": pytest.approx(0.875), "b": pytest.approx(1 / 3), "c": 0.5}
    assert dice["pooled_of_groups"]["a"] == pytest.approx((0.75 + 1) / 2)
    assert found["overall"]["empty_predicted_empty"] == 3
    assert found["per_class"]["nucleus"]["false_positives"] == 1
    assert found["per_class"]["nucleus"]["missed"] == 1
    assert found["measures"]["iou"] == "IoU"
    assert found["by_group"]["dice"]["mean_of_groups"]["c"] == pytest.approx(0.5)
    assert found["interval"]["min_groups"] == 5
    assert "studentized" in found["interval"]["method"]
    assert (number(math.nan), number(math.inf), number(0.5)) == (None, None, 0.5)


def test_json_holds_intervals_of_many_groups():
    cases, _, _ = _random(12, groups=6)
    dice = json.loads(json.dumps(summarize(cases).as_json(), allow_nan=False))["overall"]["dice"]
    for name in ("mean", "median", "pooled"):
        low, high = dice[f"{name}_interval"]
        assert low <= dice[name] <= high
        assert f"{name}_of_groups" not in dice
    assert dice["reason"] == ""


def test_what_the_means_leave_out_is_said(cases):
    lines = summarize(cases).left_out()
    assert lines[0].startswith("3 masks (an image and class each) empty and predicted empty")
    assert lines[1].startswith("1 mask (an image and class each) empty, but something was found: Dice 0")
    assert lines[2].startswith("1 mask (an image and class each) not empty, but nothing was found")
    assert lines[3] == (
        "no confidence interval of all classes: 3 groups are too few: an interval needs 5. "
        "Mean Dice of each group: a 0.875, b 0.333, c 0.500"
    )
    assert lines[4].startswith("no confidence interval of cytoplasm: 3 groups are too few")
    assert lines[5].endswith("Mean Dice of each group: a 1.000, b 0.000, c 0.000")
    many, _, _ = _random(12, groups=6)
    assert summarize(many).left_out() == []
    assert "one group" in summarize(cases[:2]).left_out()[-1]


def test_a_rare_class_says_why_it_alone_has_no_interval():
    cases, _, _ = _random(12, groups=6)
    lone = Scored.of([Row("rare", "dice", 1, 2)], name="rare", group="g1")
    other = Scored.of([Row("rare", "dice", 2, 2)], name="rare 2", group="g2")
    lines = summarize([*cases, lone, other]).left_out()
    assert lines == [
        "no confidence interval of rare: 2 groups are too few: an interval needs 5. "
        "Mean Dice of each group: g1 0.500, g2 1.000"
    ]


def test_with_one_class_the_reason_is_given_once():
    cases = [Scored.of([Row("cell", "dice", k, 4)], name=f"{k}", group=f"{k}") for k in range(1, 4)]
    assert summarize(cases).left_out() == [
        "no confidence interval: 3 groups are too few: an interval needs 5. "
        "Mean Dice of each group: 1 0.250, 2 0.500, 3 0.750"
    ]


def test_nothing_at_all():
    found = summarize([])
    assert (found.cases, found.classes, found.measures, found.primary) == (0, (), (), "")
    assert found.overall.scores == {}
    assert found.by_group.reason == "no case has a score"
    assert found.left_out() == []
    json.dumps(found.as_json(), allow_nan=False)


def test_no_case_with_a_score():
    empty = [_case(str(k), str(k), [0, 0], [0, 0]) for k in range(6)]
    found = summarize(empty)
    assert found.overall.scores["dice"].mean.reason == "no case has a score"
    assert math.isnan(found.overall.scores["dice"].mean.estimate)
    assert found.overall.scores["accuracy"].mean.estimate == 1
    assert found.by_group.reason == "no case has a score"
    assert found.left_out()[1:] == [
        f"no confidence interval of {name}: no case has a score" for name in (ALL_CLASSES, *CLASSES[1:])
    ]
    json.dumps(found.as_json(), allow_nan=False)


def test_rows_name_case_group_and_class(cases):
    first = cases[0].rows[0]
    assert (first.case, first.group, first.subject, first.measure, first.value) == (
        "half", "a", "cytoplasm", "dice", 0.5,
    )  # fmt: skip
    assert cases[2].states == {"cytoplasm": "scored", "nucleus": "false positive"}
    assert cases[0].row("nucleus", "dice").value == 1
    assert cases[0].row("nucleus", "ap") is None
    assert cases[0].score("accuracy") == 0.5  # of all classes, and not the mean over them
    assert math.isnan(cases[0].score("ap"))


def _objects(name: str, iou: float, tp: int, fp: int, fn: int) -> Scored:
    rows = [
        Row("nuclei", "pq", iou, tp + fp / 2 + fn / 2, state="scored"),
        Row("nuclei", "ap_50", tp, tp + fp + fn),
        Row("nuclei", "distance", 3.5 * tp, tp, unit="mm"),
        Row("nuclei", "tp", tp, unit="objects"),
    ]
    return Scored.of(rows, name=name, group=name)


def test_measures_of_objects_come_out_of_the_same_sums():
    """Panoptic quality and average precision of all objects: Kirillov et al. 2019."""
    counts = [(0.9, 1, 0, 0), (7.0, 9, 2, 1), (40.0, 50, 5, 9), (0.0, 0, 3, 0), (4.0, 5, 0, 0), (1.8, 2, 1, 1)]
    cases = [_objects(f"{k}", *one) for k, one in enumerate(counts)]
    found = summarize(cases)
    assert found.primary == "pq"
    assert found.measures == ("pq", "ap_50", "distance")
    iou, tp, fp, fn = np.sum(counts, axis=0)
    scores = found.classes[0].scores
    assert scores["pq"].pooled.estimate == pytest.approx(iou / (tp + fp / 2 + fn / 2))
    assert scores["ap_50"].pooled.estimate == pytest.approx(tp / (tp + fp + fn))
    assert scores["ap_50"].mean.estimate == pytest.approx(np.mean([t / (t + p + n) for _, t, p, n in counts]))
    assert scores["distance"].mean.estimate == 3.5
    assert scores["distance"].mean.cases == 5  # of the false positives alone there is none
    assert 0 < scores["pq"].pooled.low < scores["pq"].pooled.high <= 1
    assert found.overall.scores == scores


def test_the_primary_measure_comes_first():
    cases = [_objects(f"{k}", 2.0, 3, k, 1) for k in range(6)]
    found = summarize(cases, primary=Primary("ap_50"))
    assert found.measures == ("ap_50", "pq", "distance")
    assert list(found.overall.scores) == ["ap_50", "pq", "distance"]
    assert found.by_group.estimate == pytest.approx(np.mean([3 / (4 + k) for k in range(6)]))
    assert summarize(cases, primary=Primary("none")).measures == ("pq", "ap_50", "distance")


def test_where_lower_is_better_nothing_counts_as_0():
    cases = [
        Scored.of([Row("cell", "distance", 3.0, 1, unit="mm")], name="a", group="a"),
        Scored.of([Row("cell", "distance", 0.0, 0, unit="mm", state="missed")], name="b", group="b"),
    ]
    found = summarize(cases, Primary("distance", higher_is_better=False))
    assert found.left_out()[0] == "1 mask not empty, but nothing was found (missed)"
    assert found.as_json()["primary"] == {"measure": "distance", "higher_is_better": False, "counts": "pixels"}
    assert summarize(cases).as_json()["primary"]["higher_is_better"]


def test_an_image_is_missed_once_however_many_subjects_say_so():
    rows = [Row("cell", "dice", 0, 5, state="missed"), Row("objects", "ap_50", 0, 2, state="missed")]
    found = summarize([Scored.of(rows, name="a", group="a")], Primary("ap_50"))
    assert found.overall.states["missed"] == 1
    assert found.left_out()[0] == "1 mask not empty, but nothing was found: AP 50 0 (missed)"


def test_lengths_have_no_upper_bound_and_differences_none():
    def case(k: int, value: float) -> Scored:
        return Scored.of([Row("cell", "value", value, unit="mm")], name=f"{k}", group=f"{k}")

    lengths = summarize([case(k, v) for k, v in enumerate([2.0, 9.0, 4.0, 30.0, 3.0])]).overall.scores["value"].mean
    assert 0 < lengths.low < 9.6 < lengths.high
    assert lengths.high > 20
    small = summarize([case(k, v) for k, v in enumerate([0.2, 0.99, 0.1, 0.9, 0.3])]).overall.scores["value"].mean
    assert small.high > 1  # all are below 1 mm, others need not be
    signed = summarize([case(k, v) for k, v in enumerate([-2.0, 9.0, -4.0, 3.0, -3.0])]).overall.scores["value"].mean
    assert signed.low < 0 < signed.high


def test_wrong_pixels_of_all_cases_are_counted_together(cases):
    truth = np.zeros((1, 9, 9), np.uint8)
    mask = truth.copy()
    mask[0, 2:4, 2:4] = 1
    one = Scored.of(measure(mask, truth, CLASSES), name="x", group="x", errors=locate(mask, truth))
    assert summarize([*cases, one, one]).errors.false_positive == 8
    assert summarize([one]).as_json()["wrong_pixels"]["false_positive"] == 4


def test_a_class_that_some_cases_lack_is_summarized_over_the_others():
    both = Scored.of([Row("a", "dice", 1, 2), Row("b", "dice", 1, 1)], name="1", group="1")
    one = Scored.of([Row("a", "dice", 2, 2), Row(ALL_CLASSES, "accuracy", 1, 4)], name="2", group="2")
    found = summarize([both, one])
    assert [part.name for part in found.classes] == ["a", "b"]
    assert found.classes[1].scores["dice"].mean.cases == 1
    assert found.overall.scores["dice"].mean.estimate == pytest.approx((0.75 + 1) / 2)
    assert found.overall.scores["accuracy"].mean.cases == 1
    assert "accuracy" not in found.classes[0].scores


def test_ap_is_the_mean_over_thresholds_of_what_is_pooled() -> None:
    """TP and TP + FP + FN are summed over cases at each threshold, and the mean is taken then."""
    rng = np.random.default_rng(0)
    found, cases = [], []
    for place in range(12):
        tp = np.sort(rng.integers(0, 10, 9))[::-1]
        whole = 20 - tp
        found.append((tp, whole))
        rows = [Row("cell", f"ap_{50 + 5 * k}", int(tp[k]), int(whole[k])) for k in range(9)]
        cases.append(Scored.of(rows, name=f"c{place}", group=f"g{place // 2}"))
    summary = summarize(cases, Primary("ap", counts="objects"))
    assert summary.measures[0] == "ap"
    spread = summary.overall.scores["ap"]
    sums = np.sum(found, axis=0)
    assert spread.pooled.estimate == pytest.approx(np.mean(sums[0] / sums[1]))
    assert spread.mean.estimate == pytest.approx(np.mean([np.mean(tp / whole) for tp, whole in found]))
    assert cases[0].score("ap") == pytest.approx(np.mean(found[0][0] / found[0][1]))
    assert spread.pooled.low < spread.pooled.estimate < spread.pooled.high


def test_lengths_have_their_unit_and_several_units_are_said() -> None:
    def case(name: str, unit: str) -> Scored:
        rows = [Row("organ", "dice", 1, 2), Row("organ", "hd95", 3.0, unit=unit), Row("organ", "tp", 3, unit="voxels")]
        return Scored.of(rows, name=name, group=name)

    one = summarize([case("a", "mm"), case("b", "mm")])
    assert one.units == {"hd95": ("mm",)}
    assert (one.titled("hd95"), one.titled("dice")) == ("HD95 [mm]", "Dice")
    assert one.as_json()["units"] == {"hd95": "mm"}
    assert not any("units" in line for line in one.left_out())
    mixed = summarize([case("a", "mm"), case("b", "pixel")])
    assert "cases are in several units (mm, pixel): means of HD95 say nothing" in mixed.left_out()


def test_of_how_many_images_distances_are_is_said() -> None:
    def case(name: str, found: bool) -> Scored:
        distance = Row("organ", "hd95", 3.0 * found, float(found), unit="mm")
        return Scored.of([Row("organ", "dice", 2.0 * found, 2), distance], name=name, group=name)

    some = summarize([case("a", True), case("b", False), case("c", True)])
    assert "HD95: means over 2 of 3 images, for the others lack one of both surfaces" in some.left_out()
    assert not any("surfaces" in line for line in summarize([case("a", True), case("b", True)]).left_out())
