"""The report of a run: one page, `report.html`, that needs nothing but itself."""

from __future__ import annotations

import base64
import csv
import io
import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from jinja2 import Environment, StrictUndefined

from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.metrics import SCORES

T = TypeVar("T")

NAME = "report.html"
_PICTURES = ("samples.png", "augmented.png", "curves.png", "scores/cases.png")
_ROWS = 500  # of the table of all images
_APART = ("plan", "command", "asked", "state")  # what stands elsewhere on the page


@dataclass
class _Run:
    """What lies in a run's folder, read as far as it is there; what cannot be read is told in `faults`."""

    folder: Path
    faults: list[str] = field(default_factory=list)

    def text(self, name: str) -> str:
        return self._read(name, _text, "")

    def words(self, name: str) -> dict[str, Any]:
        return self._read(name, _json, {})

    def picture(self, name: str) -> str:
        return self._read(name, lambda data: base64.b64encode(data).decode("ascii"), "")

    def table(self, name: str) -> list[dict[str, str]]:
        return self._read(name, _rows, [])

    def _read(self, name: str, parse: Callable[[bytes], T], nothing: T) -> T:
        try:
            return parse((self.folder / name).read_bytes())
        except FileNotFoundError:
            return nothing
        except (OSError, ValueError, csv.Error) as error:
            self.faults.append(f"{name} could not be read: {error}")
            return nothing


def write_report(run: Path) -> Path:
    """Write `report.html` into the folder of a run, from what lies there; returns its path.

    It tells what the data were and what `check` found (check.json), the plan in words (run.json), the curves,
    the scores of the images held out with their intervals (scores/), the pictures, and how to repeat it.
    What is missing is said on the page. All is inside the page: it opens without a network, and anything from
    the file system is escaped. Raises UlnaError when there is no such folder or the page cannot be written.
    """
    if not run.is_dir():
        raise UlnaError("there is no such run", where=run)
    found = _Run(run)
    page = _template(_content(found))
    path = run / NAME
    with atomic_write(path) as beside:
        beside.write_text(page, encoding="utf-8", errors="backslashreplace")  # names of files may be no UTF-8
    return path


def _template(content: Mapping[str, Any]) -> str:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    text = files("ulna").joinpath("report.html.j2").read_text(encoding="utf-8")
    return environment.from_string(text).render(content)


def _content(run: _Run) -> dict[str, Any]:
    """All names that the template uses."""
    made = run.words("run.json")
    metrics = run.words("scores/metrics.json")
    curves = run.table("metrics.csv")
    pictures = {Path(name).name: run.picture(name) for name in _PICTURES}
    lists = [(name, run.text(f"{name}.txt").splitlines()) for name in ("train", "validation")]
    return {
        "title": run.folder.resolve().name,
        "figures": _figures(metrics, made, lists),
        "check": _check(run.words("check.json")),
        "plan": [str(sentence) for sentence in _list(made.get("plan"))],
        "curves_alt": _curves_in_words(curves),
        "scores": _scores(metrics, chose=made.get("weights") != "last"),
        "cases": _cases(run.table("scores/scores.csv")),
        "pictures": {name: data for name, data in pictures.items() if data},
        "command": _in_words(made.get("command", "")),
        "facts": _facts(made, leave=_APART),
        "config": run.text("config.yaml").strip(),
        "lists": [(name, lines) for name, lines in lists if lines],
        "faults": run.faults,
        "version": _version(),
    }


def _figures(metrics: dict[str, Any], made: dict[str, Any], lists: Sequence[tuple[str, list[str]]]) -> list[Any]:
    """The few numbers at the top: what a reader looks for first."""
    shown = []
    dice = _part(metrics, "overall", "dice")
    if dice:
        label = "mean Dice of images held out"
        if _interval(dice):
            label += f", 95 % interval {_interval(dice)}"
        shown.append({"value": _number(dice.get("mean")), "label": label})
        groups = metrics.get("groups", "?")
        shown.append({"value": str(metrics.get("cases", "?")), "label": f"images scored, in {groups} groups"})
    training = dict(lists)["train"]
    if training:
        shown.append({"value": str(len(training)), "label": "images trained on"})
    seconds = made.get("seconds")
    if isinstance(seconds, int | float):
        shown.append({"value": _duration(seconds), "label": "from the command to the trained model"})
    return shown


def _check(words: dict[str, Any]) -> dict[str, Any] | None:
    """What `check` found: sentences, facts and problems; None without a record."""
    if not words:
        return None
    problems = [
        {
            "severity": str(problem.get("severity", "warning")),
            "what": str(problem.get("what", "")),
            "where": _in_words(problem.get("where", ())),
        }
        for problem in _list(words.get("problems"))
        if isinstance(problem, dict)
    ]
    return {
        "sentences": [
            f"{str(text).rstrip('.')}."
            for text in (words.get("sentence"), _part(words, "classes").get("sentence"))
            if text
        ],
        "facts": _facts(words, leave=("sentence", "problems", "classes", "leaks", "groups", "cases")),
        "problems": problems,
    }


def _scores(metrics: dict[str, Any], *, chose: bool) -> dict[str, Any] | None:
    """The table of scores with how they were obtained; None where nothing was scored."""
    per_class = _part(metrics, "per_class")
    if not per_class:
        return None
    parts = per_class if len(per_class) == 1 else {"all classes": _part(metrics, "overall"), **per_class}
    by_group = _part(metrics, "by_group", "dice")
    notes = [str(note) for note in _list(metrics.get("notes"))]
    notes += [str(note) for note in _list(metrics.get("left_out"))]
    if wrong := _part(metrics, "wrong_pixels").get("sentence"):
        notes.append(str(wrong))
    if by_group.get("mean") is not None:
        interval = f" ({_interval(by_group)})" if _interval(by_group) else ""
        notes.append(
            "With all pixels of a group taken together, so that each group counts once, the mean Dice is "
            f"{_number(by_group['mean'])}{interval}."
        )
    return {
        "how": _how(str(metrics.get("cases", "?")), metrics.get("groups"), chose=chose),
        "heads": [*SCORES.values(), "Dice, median", "images"],
        "rows": [{"name": name, "cells": _cells(part)} for name, part in parts.items()],
        "notes": notes,
    }


def _how(cases: str, groups: Any, *, chose: bool) -> str:
    """How the scores were obtained."""
    used = " These images also chose the best epoch, so images that were never used may score lower." if chose else ""
    if groups == 1:
        return (
            f"{cases} images were held out of the training and scored at their own resolution. They are of one "
            f"group, so that no interval can be given, and if the training saw others of it, they are "
            f"optimistically biased.{used}"
        )
    return (
        f"{cases} images in {groups} groups were held out of the training and scored at their own resolution. "
        "Images that belong together (a patient, a stack, tiles of one picture, duplicates) are one group and "
        "lie on one side of the split. The intervals come from drawing whole groups again and again "
        f"(bootstrap).{used}"
    )


def _cells(part: dict[str, Any]) -> list[dict[str, str]]:
    dice = _part(part, "dice")
    means = [
        {"value": _number(_part(part, name).get("mean")), "interval": _interval(_part(part, name))} for name in SCORES
    ]
    median = {"value": _number(dice.get("median")), "interval": _interval(dice, "median_interval")}
    return [*means, median, {"value": str(dice.get("cases", "?")), "interval": ""}]


def _cases(rows: list[dict[str, str]]) -> dict[str, Any] | None:
    """Every image's scores, worst first, and a strip of dots a class; None where nothing was scored."""
    if not rows or not {"case", "class", "dice"} <= set(rows[0]):
        return None
    ranked = sorted(rows, key=lambda row: (row["dice"] == "", _float(row["dice"])))
    heads = [name for name in rows[0] if name not in ("tp", "fp", "fn", "tn")]
    strips: dict[str, list[dict[str, Any]]] = {}
    for place, row in enumerate(ranked):
        dots = strips.setdefault(row["class"], [])
        dice = _float(row["dice"])
        if math.isfinite(dice):
            label = f"{row['case']}: {dice:.3f}"
            # neighbors in rank stand at different heights, so that dots do not hide each other
            dots.append({"x": round(150 + 470 * dice, 1), "y": 18 + 11 * (place % 3), "name": label})
    return {
        "heads": heads,
        "rows": [[_short(row.get(name) or "") for name in heads] for row in ranked[:_ROWS]],
        "more": max(0, len(ranked) - _ROWS),
        "strips": [{"name": name, "dots": dots} for name, dots in strips.items()],
    }


def _curves_in_words(rows: list[dict[str, str]]) -> str:
    """What the curves show, for those who cannot see them."""
    dice = [_float(row.get("val_dice") or "") for row in rows]
    known = [value for value in dice if math.isfinite(value)]
    text = f"Curves over {len(rows)} epochs: loss, validation Dice and learning rate"
    return f"{text}; the best validation Dice is {max(known):.3f}" if known else text


def _facts(words: dict[str, Any], *, leave: Iterable[str]) -> list[tuple[str, str]]:
    """Names and values of whatever is told, as two columns."""
    left = set(leave)
    shown = [(name.replace("_", " "), _in_words(value)) for name, value in words.items() if name not in left]
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


def _list(value: Any) -> list[Any]:
    """What should be a list, as one: nothing is none, and a value alone is a list of one."""
    return list(value) if isinstance(value, list | tuple) else [value] if value else []


def _part(words: dict[str, Any], *names: str) -> dict[str, Any]:
    """A dictionary inside dictionaries; empty where there is none."""
    for name in names:
        inner = words.get(name)
        if not isinstance(inner, dict):
            return {}
        words = inner
    return words


def _interval(part: dict[str, Any], name: str = "mean_interval") -> str:
    ends = [end for end in _list(part.get(name)) if isinstance(end, int | float)]
    return f"{_number(ends[0])}–{_number(ends[1])}" if len(ends) == 2 else ""


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


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _text(data: bytes) -> str:
    """Text, in which names of files that are no UTF-8 are kept."""
    if b"\0" in data:
        raise ValueError("it is no text")
    return data.decode("utf-8", "surrogateescape")


def _json(data: bytes) -> dict[str, Any]:
    words = json.loads(data)
    if not isinstance(words, dict):
        raise ValueError("it holds no names and values")
    return words


def _rows(data: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(data.decode("utf-8"), newline="")))


def _version() -> str:
    try:
        return version("ulna")
    except PackageNotFoundError:  # run from a folder that was never installed
        return ""
