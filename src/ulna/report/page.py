"""The page of a report, put together from what lies in the run's folder."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from importlib.resources import files
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, StrictUndefined

from ulna.config import Config
from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.metrics import Primary, label
from ulna.metrics.objects import TRUE_FATES
from ulna.report.gallery import gallery
from ulna.report.known import Facts
from ulna.report.methods import methods
from ulna.report.origin import KNOWN, commands, origin, repeating
from ulna.report.scores import chose, confusions, every_case, measures, primary_of, score_table
from ulna.report.words import as_float, counted, facts, in_words, interval, number
from ulna.runfiles import RunFiles, as_list, inner
from ulna.tasks.components import pieces_in_words
from ulna.text import duration, listed, plural
from ulna.training.log import validation_column

NAME = "report.html"
_PICTURES = ("samples.png", "joined.png", "augmented.png", "curves.png", "scores/cases.png")
_LISTS = ("train.txt", "validation.txt", "folds.csv")
_APART = (
    *("plan", "asked", "state", "classes", "length", "seconds", "afterwards", "fitted", "fitted_on", "case", "each"),
)
"""What of the record stands in other places of the page, or is for `--resume` alone."""


def write_report(run: Path) -> Path:
    """Write `report.html` into the folder of a run, from what lies there; returns its path.

    The page shows the data and what `check` found (check.json), the plan (run.json), the training curves, the scores
    of the images held out with their confidence intervals and a gallery of these (scores/), the figures, the methods as
    a paper says them, where the run comes from, and how to repeat it. What is missing is named on the page. Everything
    is inside the page: it opens without a network, and whatever comes from the file system is escaped.

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
    place = files("ulna.report")
    page, style, script = (
        place.joinpath(f"page.{kind}").read_text(encoding="utf-8") for kind in ("html.j2", "css", "js")
    )
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=False)
    # the page may run this script and no other, whatever stands in names of files
    digest = b64encode(sha256(script.encode("utf-8")).digest()).decode("ascii")
    own = {"style": style, "script": script, "digest": digest}
    return environment.from_string(page).render({**content, **own})


def _content(run: RunFiles) -> dict[str, Any]:
    """All names that the template uses."""
    record, check = run.record("run.json"), run.record("check.json")
    metrics = run.record("scores/metrics.json")
    curves = run.table("metrics.csv")
    pictures = {Path(name).name: run.picture(name) for name in _PICTURES}
    lists = [(name, run.text(name).splitlines()) for name in _LISTS]
    folds = int(record["folds"]) if isinstance(record.get("folds"), int) else 0
    primary, name = primary_of(metrics), run.folder.resolve().name
    config = _config(run)
    known = Facts(record, metrics, curves, _groups(run, record, check), *(lines for _, lines in lists[:2]))
    planned = config is not None and config.training.patch and known.classes
    paragraphs, references = methods(config, known) if config is not None and planned else ([], [])
    return {
        "title": name,
        "network": "An FCN-8s" if config is not None and config.network.name == "fcn8" else "A U-Net",
        "figures": _figures(metrics, record, lists),
        "check": _check(check),
        "plan": [str(sentence) for sentence in as_list(record.get("plan"))] + _fitted(record),
        "curves_alt": _curves_in_words(curves, primary),
        "curves_measure": label(primary.measure),
        "curves_words": _curves_caption(primary),
        "scores": score_table(metrics, chose=chose(record), folds=folds),
        "confusions": confusions(metrics),
        "folds": [_fold(one) for one in as_list(record.get("each")) if isinstance(one, dict)],
        "whole": "../report.html" if "fold" in record else "",
        "cases": every_case(run.table("scores/scores.csv"), primary),
        "gallery": gallery(run),
        "pictures": {name: data for name, data in pictures.items() if data},
        "methods": paragraphs,
        "references": references,
        "origin": origin(record),
        "commands": commands(record, name),
        "repeating": repeating(record, name, config, curves),
        "short": str(record.get("length") or ""),
        "facts": facts(record, leave=(*_APART, *KNOWN)),
        "config": run.text("config.yaml").strip(),
        "lists": [(name, plural(len(lines), "line"), lines) for name, lines in lists if lines],
        "faults": run.faults,
        "version": _version(),
    }


def _config(run: RunFiles) -> Config | None:
    """The configuration, where it is there and can be read."""
    text = run.text("config.yaml")
    if not text:
        return None
    try:
        words = yaml.safe_load(text)
        return Config.parse(words if isinstance(words, dict) else {"": words}, where="config.yaml")
    except (yaml.YAMLError, UlnaError) as error:
        run.faults.append(f"config.yaml is no configuration: {str(error).partition(chr(10))[0]}")
        return None


def _groups(run: RunFiles, record: dict[str, Any], check: dict[str, Any]) -> dict[str, str]:
    """The group of each case: of folds as their table has it, of one fold as `check` found it for all."""
    if "folds" in record:
        return {row.get("case", ""): row.get("group", "") for row in run.table("folds.csv")}
    found = check or (RunFiles(run.folder.parent).record("check.json") if "fold" in record else {})
    return {str(name): str(group) for name, group in inner(found, "groups").items()}


def _fitted(record: dict[str, Any]) -> list[str]:
    """The constants that were chosen once the network was trained."""
    found = inner(record, "fitted")
    if not found:
        return []
    if pieces := found.get("task.largest_component"):
        why = "true ones are one piece, and the volumes held out are better for it"
        classes = [str(one) for one in as_list(inner(record, "classes").get("names"))]
        named = listed(pieces_in_words([str(one) for one in as_list(pieces)], classes), 8)
        return [f"Of {named} only the largest component is kept: {why}."]
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
    for name in measures(metrics)[:1]:
        score = inner(metrics, "overall", name)
        words = f"mean {label(name)} of images held out"
        if interval(score):
            few = "mean_of_groups" in score
            words += f", {'of each group' if few else '95 % confidence interval'} {interval(score)}"
        shown.append({"value": number(score.get("mean")), "label": words})
        count, _, noun = counted(metrics.get("cases"), "image").partition(" ")
        words = f"{noun} scored, in {counted(metrics.get('groups'), 'group')}"
        held_out = len(dict(lists)["validation.txt"])
        if isinstance(scored := metrics.get("cases"), int) and held_out > scored:  # the time got short
            count, words = f"{count} of {held_out}", f"images held out were scored, in {words.partition(', in ')[2]}"
        shown.append({"value": count, "label": words})
    training = dict(lists)["train.txt"]
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
            "where": in_words(problem.get("where", ())),
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
        "facts": facts(record, leave=("sentence", "problems", "classes", "leaks", "groups", "cases")),
        "problems": problems,
    }


def _fold(record: dict[str, Any]) -> dict[str, str]:
    """A row of the table of folds."""
    seconds = record.get("seconds")
    return {
        "name": str(record.get("name", "")),
        "measure": str(record.get("measure", "")),
        "score": number(record.get("score")),
        "images": counted(record.get("cases"), "image"),
        "groups": counted(record.get("groups"), "group"),
        "seconds": duration(seconds) if isinstance(seconds, int | float) else "",
    }


def _curves_in_words(rows: list[dict[str, str]], primary: Primary) -> str:
    """What the curves show, for those who cannot see them."""
    name = f"validation {label(primary.measure)}"
    scores = [as_float(row.get(validation_column(primary)) or "") for row in rows]
    known = [value for value in scores if math.isfinite(value)]
    text = f"Curves over {plural(len(rows), 'epoch')}: loss, {name} and learning rate"
    return f"{text}; the best {name} is {max(known, key=primary.rank):.3f}" if known else text


def _curves_caption(primary: Primary) -> str:
    """What the curves are of; where objects are scored, also why the score on the way is not that at the end."""
    name = label(primary.measure)
    text = f"Loss, {name} on the validation images and learning rate over the epochs."
    if primary.counts != "objects":
        return text
    return (
        f"{text} On the way {name} is a mean over these images, or some of them, with usual constants between the "
        "network's outputs and the objects; at the end, below, the constants are fitted and the objects of all images "
        "count together."
    )


def _version() -> str:
    try:
        return version("ulna")
    except PackageNotFoundError:  # run from a folder that was never installed
        return ""
