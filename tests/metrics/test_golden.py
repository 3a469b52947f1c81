"""All that is said of a few made cases, as it was: intervals, summaries, scores of objects and of borders."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from golden_values import Golden
from ulna.metrics import Row, Scored, Sums, locate, mean_interval, measure, median_interval, summarize
from ulna.metrics.borders import border_rows
from ulna.metrics.objects import compare
from ulna.metrics.rows import Primary

CLASSES = ("background", "cytoplasm", "nucleus")
SCORES = [0.91, 0.95, 0.88, 0.97, 0.93, 0.62, 0.9, 0.99, 0.41, 0.93, 0.85]
GROUPS = list("abcdefggaab")


def test_intervals(golden: Golden) -> None:
    many = 0.9 + 0.1 * np.sin(np.arange(502))
    shares = np.array([[8.0, 0], [7, 3], [9, 0.3], [6, 0], [8, 2], [9, 1]])
    wholes = np.array([[10.0, 0], [12, 4], [10, 0.4], [9, 0], [10, 3], [11, 4]])
    few = [0.4, 0.4, 0.7, 0.9]
    lengths = [10 * score for score in SCORES]
    golden.check(
        "intervals",
        {
            "mean": mean_interval(SCORES, GROUPS),
            "another seed": mean_interval(SCORES, GROUPS, seed=1),
            "fewer draws": mean_interval(SCORES, GROUPS, draws=300, level=0.8),
            "percent": mean_interval(lengths, GROUPS, bounds=(0, 10)),
            "length": mean_interval(lengths, GROUPS, bounds=(0, math.inf)),
            "below": mean_interval([-length for length in lengths], GROUPS, bounds=(-math.inf, 0)),
            "free": mean_interval([length - 8 for length in lengths], GROUPS, bounds=(-math.inf, math.inf)),
            "at the end": mean_interval([1.0] * 5 + [0.0], list("abcdef")),
            "500 groups": mean_interval(many[:500], range(500)),
            "501 groups": mean_interval(many[:501], range(501)),
            "five groups": mean_interval(SCORES[:5], range(5)),
            "four groups": mean_interval(few, list("abcd")),
            "ratios": Sums.of("abcdef", shares, wholes).interval(cases=6),
            "median": median_interval(SCORES, GROUPS),
            "median at 80 %": median_interval(SCORES, GROUPS, level=0.8),
            "median of five": median_interval(SCORES[:5], range(5)),
            "median of twelve": median_interval([*SCORES, 0.5], range(12)),
            "median of few": median_interval(few, list("aabc")),
            "spread of rounding": mean_interval([0.7 + 1e-12 * k for k in range(6)], range(6)),
            "small spread": mean_interval([0.7 + 1e-6 * k for k in range(6)], range(6)),
        },
    )


def cases() -> list[Scored]:
    draw = np.random.default_rng(0)
    made = []
    for k in range(14):
        truth = np.zeros((1, 24, 24), np.uint8)
        truth[0, 4:15, 3 : 9 + k // 2], truth[0, 16:22, 5:20] = 1, 2 * (k % 5 > 0)
        mask = np.roll(truth, (k % 3, k % 2), (1, 2))
        mask[draw.random(mask.shape) < 0.03] = 1
        rows = [
            *measure(mask, truth, CLASSES),
            Row("cytoplasm", "surface_distance", 0.5 * k + 0.25, 1, unit="mm"),
            Row("nucleus", "shift", 3.0 - k, 1, unit="mm"),
        ]
        made.append(Scored.of(rows, name=f"case {k}", group=f"group {k % 7}", errors=locate(mask, truth)))
    return made


def test_a_summary(golden: Golden) -> None:
    whole = summarize(cases())
    few = summarize(cases()[:4], Primary("surface_distance", higher_is_better=False))
    golden.check(
        "summary",
        whole.as_json() | {"few": few.as_json(), "left out": whole.left_out(), "few left out": few.left_out()},
    )


def test_scores_of_objects(golden: Golden) -> None:
    truth = np.zeros((60, 80), int)
    truth[5:20, 5:25], truth[5:20, 25:45], truth[30:50, 5:25], truth[30:50, 40:60], truth[52:58, 70:78] = 1, 2, 3, 5, 8
    found = np.zeros_like(truth)
    found[5:20, 5:45], found[30:40, 5:25], found[40:50, 5:25], found[5:20, 60:75] = 1, 2, 3, 9
    found[31:50, 40:60], found[53:58, 71:78] = 4, 6
    nothing = truth * 0
    pairs = {"mixed": (found, truth), "missed": (nothing, truth), "false": (found, nothing), "none": (nothing, nothing)}
    made = {name: compare(*pair) for name, pair in pairs.items()}
    golden.check(
        "objects",
        {f"{name}: {row.measure}": [row.numerator, row.denominator, row.unit, row.state]
         for name, overlap in made.items() for row in overlap.rows()}
        | {f"{name}: fates": overlap.fates() for name, overlap in made.items()},
    )  # fmt: skip


def test_scores_of_borders(golden: Golden) -> None:
    y, x = np.mgrid[:60, :70]
    truth = (x % 23 > 2) & (y % 31 > 1)
    found = (np.roll(x, 1, axis=1) % 23 > 1) & ((y % 31 > 1) | (x > 40))
    found[10:14, 30:33] = False
    pairs = {
        "planes": (np.stack([found, truth, found * 0]), np.stack([truth, truth, truth])),
        "one cell": (np.ones((9, 9), bool), np.ones((9, 9), bool)),
        "no cell": (found, truth * 0),
        "nothing found": (found * 0, truth),
    }
    rows = {name: [replace(row) for row in border_rows(*pair)] for name, pair in pairs.items()}
    golden.check("borders", rows)


def test_where_wrong_pixels_lie(golden: Golden) -> None:
    errors = {case.name: case.errors for case in cases()}
    golden.check("errors", errors | {"sentences": [one.sentence() for one in errors.values()]})
