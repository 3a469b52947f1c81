"""The report of a run: one page, `report.html`, that needs nothing but itself."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined

from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.metrics import Primary, label
from ulna.metrics.intervals import MIN_GROUPS
from ulna.metrics.objects import TRUE_FATES
from ulna.metrics.rows import DETAILS
from ulna.runfiles import RunFiles, as_list, inner
from ulna.text import duration, plural
from ulna.training.log import validation_column

NAME = "report.html"
_PICTURES = ("samples.png", "joined.png", "augmented.png", "curves.png", "scores/cases.png")
_ROWS = 500  # of the table of all images
_APART = (
    *("plan", "command", "asked", "state", "classes", "length", "seconds", "afterwards", "fitted", "fitted_on"),
    *("case", "each"),
)
"""What of the record stands in other places of the page, or is for `--resume` alone."""


def write_report(run: Path) -> Path:
    """Write `report.html` into the folder of a run, from what lies there; returns its path.

    The page shows the data and what `check` found (check.json), the plan (run.json), the training curves, the scores
    of the images held out with their confidence intervals (scores/), the figures, and how to repeat the run. What is
    missing is named on the page. Everything is inside the page: it opens without a network, and whatever comes from
    the file system is escaped.

    Parameters
    ----------
    run : Path
        The folder of a run.

    Returns
    -------
    Path
        Of the page.

    Raises
    ------
    UlnaError
        When there is no such folder or the page cannot be written.
    """
    if not run.is_dir():
        raise UlnaError("there is no such run", where=run)
    found = RunFiles(run)
    page = _template(_content(found))
    path = run / NAME
    with atomic_write(path) as beside:
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")  # names of files may be no UTF-8
    return path


def _template(content: Mapping[str, Any]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    text = files("ulna").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(content)


def _content(run: RunFiles) -> dict[str, Any]:
    """All names that the template uses."""
    record = run.record("run.json")
    metrics = run.record("scores/metrics.json")
    curves = run.table("metrics.csv")
    pictures = {Path(name).name: run.picture(name) for name in _PICTURES}
    lists = [(name, run.text(f"{name}.txt").splitlines()) for name in ("train", "validation")]
    folds = int(record["folds"]) if isinstance(record.get("folds"), int) else 0
    return {
        "title": run.folder.resolve().name,
        "figures": _figures(metrics, record, lists),
        "check": _check(run.record("check.json")),
        "plan": [str(sentence) for sentence in as_list(record.get("plan"))] + _fitted(record),
        "curves_alt": _curves_in_words(curves, _primary(metrics)),
        "curves_measure": label(_primary(metrics).measure),
        "scores": _scores(metrics, chose=chose(record), folds=folds),
        "folds": [_fold(one) for one in as_list(record.get("each")) if isinstance(one, dict)],
        "whole": "../report.html" if "fold" in record else "",
        "cases": _cases(run.table("scores/scores.csv"), _primary(metrics)),
        "pictures": {name: data for name, data in pictures.items() if data},
        "command": _in_words(record.get("command", "")),
        "short": str(record.get("length") or ""),
        "facts": _facts(record, leave=_APART),
        "config": run.text("config.yaml").strip(),
        "lists": [(name, plural(len(lines), "image"), lines) for name, lines in lists if lines],
        "faults": run.faults,
        "version": _version(),
    }


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
    found += ["the constants that turn outputs into objects"] * ("fitted" in record)
    if not found:
        return ""
    return f"These images also chose {' and '.join(found)}, so images that were never used may score lower."


def _fitted(record: dict[str, Any]) -> list[str]:
    """The constants that were chosen once the network was trained."""
    found = inner(record, "fitted")
    if not found:
        return []
    named = ", ".join(f"{key.rpartition('.')[2]} {value}" for key, value in found.items())
    on = "the images held out" if record.get("fitted_on") == "held out" else "the images trained on: none were held out"
    return [f"From outputs to objects, by constants fitted on {on}. {named}."]


def _figures(metrics: dict[str, Any], record: dict[str, Any], lists: Sequence[tuple[str, list[str]]]) -> list[Any]:
    """The few numbers at the top: what a reader looks for first."""
    shown = []
    if counts := inner(metrics, "objects", "counts"):
        lost = [f"{counts.get(fate, 0):,} {fate}" for fate in TRUE_FATES[1:]]
        lost.append(plural(counts.get("false positive", 0), "false positive"))
        shown.append(
            {
                "value": f"{counts.get('found', 0):,} of {counts.get('true', 0):,}",
                "label": f"objects found; {', '.join(lost)}",
            }
        )
    for name in _measures(metrics)[:1]:
        score = inner(metrics, "overall", name)
        words = f"mean {label(name)} of images held out"
        if _interval(score):
            few = "mean_of_groups" in score
            words += f", {'of each group' if few else '95 % confidence interval'} {_interval(score)}"
        shown.append({"value": _number(score.get("mean")), "label": words})
        count, _, noun = _counted(metrics.get("cases"), "image").partition(" ")
        shown.append({"value": count, "label": f"{noun} scored, in {_counted(metrics.get('groups'), 'group')}"})
    training = dict(lists)["train"]
    if training:
        shown.append({"value": str(len(training)), "label": "images trained on"})
    seconds = record.get("seconds")
    if isinstance(seconds, int | float):
        shown.append({"value": duration(seconds), "label": "from the command to the trained model"})
    return shown


def _check(record: dict[str, Any]) -> dict[str, Any] | None:
    """What `check` found: sentences, facts and problems; None without a record."""
    if not record:
        return None
    problems = [
        {
            "severity": str(problem.get("severity", "warning")),
            "what": str(problem.get("what", "")),
            "where": _in_words(problem.get("where", ())),
        }
        for problem in as_list(record.get("problems"))
        if isinstance(problem, dict)
    ]
    return {
        "sentences": [
            f"{str(text).rstrip('.')}."
            for text in (record.get("sentence"), inner(record, "classes").get("sentence"))
            if text
        ],
        "facts": _facts(record, leave=("sentence", "problems", "classes", "leaks", "groups", "cases")),
        "problems": problems,
    }


def _measures(metrics: dict[str, Any]) -> list[str]:
    """The measures that were taken; cases are ranked by the first."""
    return [name for name, part in inner(metrics, "overall").items() if isinstance(part, dict)]


def _primary(metrics: dict[str, Any]) -> Primary:
    """The measure that comes first, which way is better, and what it counts."""
    first, known = next(iter(_measures(metrics)), "dice"), inner(metrics, "primary")
    return Primary(first, bool(known.get("higher_is_better", True)), str(known.get("counts", "pixels")))


def _fold(record: dict[str, Any]) -> dict[str, str]:
    """A row of the table of folds."""
    seconds = record.get("seconds")
    return {
        "name": str(record.get("name", "")),
        "measure": str(record.get("measure", "")),
        "score": _number(record.get("score")),
        "images": _counted(record.get("cases"), "image"),
        "groups": _counted(record.get("groups"), "group"),
        "seconds": duration(seconds) if isinstance(seconds, int | float) else "",
    }


def _scores(metrics: dict[str, Any], *, chose: str, folds: int) -> dict[str, Any] | None:
    """The table of scores with how they were obtained; None where nothing was scored."""
    per_class = inner(metrics, "per_class")
    measures = [name for name in _measures(metrics) if name not in DETAILS]
    if not per_class or not measures:
        return None
    parts = per_class if len(per_class) == 1 else {"all classes": inner(metrics, "overall"), **per_class}
    notes = [str(note) for note in as_list(metrics.get("notes"))]
    notes += [str(note) for note in as_list(metrics.get("left_out"))]
    if wrong := inner(metrics, "wrong_pixels").get("sentence"):
        notes.append(str(wrong))
    notes += _pooled(metrics, _primary(metrics))
    notes += [str(note) for note in as_list(inner(metrics, "objects").get("sentences"))]
    return {
        "how": _how(metrics.get("cases"), metrics.get("groups"), chose=chose, folds=folds),
        "what": "Means over the images"
        if len(per_class) == 1
        else "Means over the images, of each its mean over classes",
        "heads": [*(label(name) for name in measures), f"{label(measures[0])}, median", "images"],
        "rows": [{"name": name, "cells": _cells(part, measures)} for name, part in parts.items()],
        "notes": notes,
    }


def _pooled(metrics: dict[str, Any], primary: Primary) -> list[str]:
    """The first score with the pixels (or objects) of all images, and of each group, taken together."""
    measure, counts = primary.measure, primary.counts
    score, by_group = inner(metrics, "overall", measure), inner(metrics, "by_group", measure)
    found = (
        (f"With the {counts} of all images taken together (pooled)", score.get("pooled"), _interval(score, "pooled")),
        (
            f"With all {counts} of a group taken together, so that each group counts once",
            by_group.get("mean"),
            _interval(by_group),
        ),
    )
    return [
        f"{words}, {label(measure)} is {_number(value)}{f' ({interval})' if interval else ''}."
        for words, value, interval in found
        if value is not None
    ]


def _how(cases: Any, groups: Any, *, chose: str, folds: int) -> str:
    """How the scores were obtained."""
    used = f" {chose}" if chose else ""
    training = f"one of {folds} trainings, each by the one that had not seen it," if folds else "the training"
    held = (
        f"{_counted(cases, 'image')} in {_counted(groups, 'group')} {'was' if cases == 1 else 'were'} held out of "
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


def _counted(count: Any, noun: str, nouns: str = "") -> str:
    """A number with its noun; the record may lack it."""
    return plural(count, noun, nouns) if isinstance(count, int) else f"? {nouns or noun + 's'}"


def _cells(part: dict[str, Any], measures: Sequence[str]) -> list[dict[str, str]]:
    first = inner(part, measures[0])
    means = [
        {"value": _number(inner(part, name).get("mean")), "interval": _interval(inner(part, name))} for name in measures
    ]
    median = {"value": _number(first.get("median")), "interval": _interval(first, "median")}
    return [*means, median, {"value": str(first.get("cases", "?")), "interval": ""}]


def _cases(rows: list[dict[str, str]], primary: Primary) -> dict[str, Any] | None:
    """Every image's scores, worst first, and a strip of dots per class; None where nothing was scored."""
    measure = primary.measure
    if not rows or not {"case", "class", measure} <= set(rows[0]):
        return None
    ranked = sorted(rows, key=lambda row: (row[measure] == "", primary.rank(_float(row[measure]))))
    names = [name for name in rows[0] if name not in ("tp", "fp", "fn", "tn")]
    strips: dict[str, list[dict[str, Any]]] = {}
    for place, row in enumerate(ranked):
        score = _float(row[measure])
        if math.isfinite(score):
            dots = strips.setdefault(row["class"], [])
            # neighbors in rank stand at different heights, so that dots do not hide each other
            dots.append(
                {"x": round(150 + 470 * score, 1), "y": 18 + 11 * (place % 3), "name": f"{row['case']}: {score:.3f}"}
            )
    return {
        "measure": label(measure),
        "heads": [label(name) for name in names],
        "rows": [[_short(row.get(name) or "") for name in names] for row in ranked[:_ROWS]],
        "more": max(0, len(ranked) - _ROWS),
        "strips": [{"name": name, "dots": dots} for name, dots in strips.items()],
    }


def _curves_in_words(rows: list[dict[str, str]], primary: Primary) -> str:
    """What the curves show, for those who cannot see them."""
    name = f"validation {label(primary.measure)}"
    scores = [_float(row.get(validation_column(primary)) or "") for row in rows]
    known = [value for value in scores if math.isfinite(value)]
    text = f"Curves over {plural(len(rows), 'epoch')}: loss, {name} and learning rate"
    return f"{text}; the best {name} is {max(known, key=primary.rank):.3f}" if known else text


def _facts(record: dict[str, Any], *, leave: Iterable[str]) -> list[tuple[str, str]]:
    """Names and values of a record, as two columns."""
    left = set(leave)
    shown = [(name.replace("_", " "), _in_words(value)) for name, value in record.items() if name not in left]
    return [(name, value) for name, value in shown if value]


def _in_words(value: Any) -> str:
    """Any JSON value on one line."""
    if isinstance(value, dict):
        return ", ".join(f"{name}: {_in_words(item)}" for name, item in value.items())
    if isinstance(value, list | tuple):
        shown = ", ".join(_in_words(item) for item in value[:12])
        return f"{shown} and {len(value) - 12} more" if len(value) > 12 else shown
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def _interval(part: dict[str, Any], name: str = "mean") -> str:
    """The confidence interval of an estimate; where groups are too few for one, what each group says."""
    ends = [end for end in as_list(part.get(f"{name}_interval")) if isinstance(end, int | float)]
    if len(ends) == 2:
        return f"{_number(ends[0])}–{_number(ends[1])}"
    alone = inner(part, f"{name}_of_groups")
    return " · ".join(_number(value) for value in alone.values()) if len(alone) > 1 else ""


def _number(value: Any) -> str:
    return f"{value:.3f}" if isinstance(value, int | float) else "–"


def _short(cell: str) -> str:
    """A cell of the table: numbers with fractions to three digits."""
    value = _float(cell)
    return f"{value:.3f}" if "." in cell and math.isfinite(value) else cell


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _version() -> str:
    try:
        return version("ulna")
    except PackageNotFoundError:  # run from a folder that was never installed
        return ""
