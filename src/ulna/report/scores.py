"""The scores of a run as its report shows them: tables, how they came about, and how far they can be trusted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ulna.metrics import Primary, label
from ulna.metrics.intervals import MIN_GROUPS
from ulna.metrics.rows import DETAILS
from ulna.report.words import as_float, counted, interval, number, short
from ulna.runfiles import as_list, inner

FEW_GROUPS = 10
"""From fewer groups an interval says little."""

MAX_ROWS = 500
"""Of the table of all images."""


def chose(record: dict[str, Any]) -> str:
    """What the images that are scored had a say in, as a sentence; empty where they had none.

    Parameters
    ----------
    record
        What `run.json` holds.

    Returns
    -------
    str
        A sentence, or "".
    """
    found = ["the best epoch"] * (record.get("weights") != "last")
    pieces = "task.largest_component" in inner(dict(record), "fitted")
    constants = "the classes that are kept in one piece" if pieces else "the constants that turn outputs into objects"
    found += [constants] * ("fitted" in record)
    if not found:
        return ""
    return f"These images also chose {' and '.join(found)}, so images that were never used may score lower."


def measures(metrics: dict[str, Any]) -> list[str]:
    """The measures that were taken; cases are ranked by the first."""
    return [name for name, part in inner(metrics, "overall").items() if isinstance(part, dict)]


def primary_of(metrics: dict[str, Any]) -> Primary:
    """The measure that comes first, which way is better, and what it counts."""
    first, known = next(iter(measures(metrics)), "dice"), inner(metrics, "primary")
    return Primary(first, bool(known.get("higher_is_better", True)), str(known.get("counts", "pixels")))


def score_table(metrics: dict[str, Any], *, chose: str, folds: int) -> dict[str, Any] | None:
    """The table of scores with how they were obtained; None where nothing was scored."""
    per_class = inner(metrics, "per_class")
    taken = [name for name in measures(metrics) if name not in DETAILS]
    if not per_class or not taken:
        return None
    parts = per_class if len(per_class) == 1 else {"all classes": inner(metrics, "overall"), **per_class}
    notes = [str(note) for note in as_list(metrics.get("notes"))]
    notes += [str(note) for note in as_list(metrics.get("left_out"))]
    if wrong := inner(metrics, "wrong_pixels").get("sentence"):
        notes.append(str(wrong))
    notes += _pooled(metrics, primary_of(metrics))
    notes += [str(note) for note in as_list(inner(metrics, "objects").get("sentences"))]
    return {
        "how": _how(metrics.get("cases"), metrics.get("groups"), chose=chose, folds=folds),
        "what": "Means over the images"
        if len(per_class) == 1
        else "Means over the images, of each its mean over classes",
        "heads": [*(label(name) for name in taken), f"{label(taken[0])}, median", "images"],
        "rows": [{"name": name, "cells": _cells(part, taken)} for name, part in parts.items()],
        "notes": notes,
        "caution": caution(metrics.get("groups")),
    }


def _pooled(metrics: dict[str, Any], primary: Primary) -> list[str]:
    """The first score with the pixels (or objects) of all images, and of each group, taken together."""
    measure, counts = primary.measure, primary.counts
    score, by_group = inner(metrics, "overall", measure), inner(metrics, "by_group", measure)
    found = (
        (f"With the {counts} of all images taken together (pooled)", score.get("pooled"), interval(score, "pooled")),
        (
            f"With all {counts} of a group taken together, so that each group counts once",
            by_group.get("mean"),
            interval(by_group),
        ),
    )
    return [
        f"{words}, {label(measure)} is {number(value)}{f' ({spread})' if spread else ''}."
        for words, value, spread in found
        if value is not None
    ]


def _how(cases: Any, groups: Any, *, chose: str, folds: int) -> str:
    """How the scores were obtained."""
    used = f" {chose}" if chose else ""
    training = f"one of {folds} trainings, each by the one that had not seen it," if folds else "the training"
    held = (
        f"{counted(cases, 'image')} in {counted(groups, 'group')} {'was' if cases == 1 else 'were'} held out of "
        f"{training} and scored at full resolution."
    )
    if groups == 1:
        return (
            f"{held} For one group no interval can be given, and if the training saw other images of it, the scores "
            f"are optimistically biased.{used}"
        )
    few = isinstance(groups, int) and groups < MIN_GROUPS
    intervals = (
        f"With fewer than {MIN_GROUPS} groups no confidence interval can be given; small numbers in the table are the "
        "means of the groups."
        if few
        else "The 95 % confidence intervals are over groups: they say what other groups of the same kind may give."
    )
    return (
        f"{held} Images that belong together (a patient, a stack, tiles of one picture, duplicates) are one group and "
        f"lie on one side of the split. {intervals}{used}"
    )


def _cells(part: dict[str, Any], measures: Sequence[str]) -> list[dict[str, str]]:
    first = inner(part, measures[0])
    means = [
        {"value": number(inner(part, name).get("mean")), "interval": interval(inner(part, name))} for name in measures
    ]
    median = {"value": number(first.get("median")), "interval": interval(first, "median")}
    return [*means, median, {"value": str(first.get("cases", "?")), "interval": ""}]


def every_case(rows: list[dict[str, str]], primary: Primary) -> dict[str, Any] | None:
    """Every image's scores, worst first, and a strip of dots per class; None where nothing was scored."""
    measure = primary.measure
    if not rows or not {"case", "class", measure} <= set(rows[0]):
        return None
    ranked = sorted(rows, key=lambda row: (row[measure] == "", primary.rank(as_float(row[measure]))))
    names = [name for name in rows[0] if name not in ("tp", "fp", "fn", "tn")]
    strips: dict[str, list[dict[str, Any]]] = {}
    for place, row in enumerate(ranked):
        score = as_float(row[measure])
        if math.isfinite(score):
            dots = strips.setdefault(row["class"], [])
            # neighbors in rank stand at different heights, so that dots do not hide each other
            dots.append(
                {"x": round(150 + 470 * score, 1), "y": 18 + 11 * (place % 3), "name": f"{row['case']}: {score:.3f}"}
            )
    return {
        "measure": label(measure),
        "heads": [label(name) for name in names],
        "rows": [[short(row.get(name) or "") for name in names] for row in ranked[:MAX_ROWS]],
        "more": max(0, len(ranked) - MAX_ROWS),
        "strips": [{"name": name, "dots": dots} for name, dots in strips.items()],
    }


def caution(groups: Any) -> str:
    """What is to be said where groups are few; "" where they are not.

    Parameters
    ----------
    groups
        How many there are, as the record says it.

    Returns
    -------
    str
        A sentence or two.
    """
    if not isinstance(groups, int) or groups >= FEW_GROUPS:
        return ""
    if groups == 1:
        return "All images scored are of one group: nothing can be said about how others would be scored."
    unseen = f"A failure that meets one group in ten is in none of {groups} groups in {0.9**groups:.0%} of cases."
    if groups < MIN_GROUPS:
        return f"There are only {groups} groups, too few for a confidence interval. {unseen}"
    return f"There are only {groups} groups: the confidence intervals rest on little. {unseen}"


def confusions(metrics: dict[str, Any]) -> list[dict[str, Any]]:
    """Tables of which class was taken for which: of pixels and, where they are told apart, of objects.

    Parameters
    ----------
    metrics
        What `metrics.json` holds.

    Returns
    -------
    list of dict
        A caption, heads and rows each; none where there is one class.
    """
    record = inner(metrics, "confusion")
    names = [str(name) for name in as_list(record.get("classes"))]
    found = []
    for what, first in (("pixels", ""), ("objects", "no object")):
        matrix = as_list(record.get(what))
        if len(matrix) != len(names) or any(not _counts(row, len(names)) for row in matrix):
            continue
        heads = [first or names[0], *names[1:]] if names else []
        rows = [{"name": name, "cells": _shares(row)} for name, row in zip(heads, matrix, strict=True)]
        found.append({"what": what, "heads": heads, "rows": rows})
    return [one for one in found if one["rows"]]


def _counts(row: Any, length: int) -> bool:
    return isinstance(row, list) and len(row) == length and all(isinstance(count, int) for count in row)


def _shares(row: Sequence[int]) -> list[dict[str, Any]]:
    """Counts of a true class, with their shares of it."""
    total = sum(row)
    shares = [count / total if total else 0.0 for count in row]
    return [
        {"count": f"{count:,}", "share": f"{share:.1%}" if total else "–", "depth": round(share, 3)}
        for count, share in zip(row, shares, strict=True)
    ]
