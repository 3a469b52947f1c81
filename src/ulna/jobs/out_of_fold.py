"""The table of all folds: every case as the fold has scored it that had not seen it, and the report of the whole."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ulna import runfolder as runs
from ulna.classfiles import with_classes
from ulna.config import dotted
from ulna.dataset import Case
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison
from ulna.folds import fold_folder, fold_folders
from ulna.jobs.evaluate import write_evaluation
from ulna.jobs.evaluation import Evaluation
from ulna.jobs.examples import comparison, examples
from ulna.jobs.fitting import SCORED
from ulna.jobs.gallery import FOLDER, Gallery
from ulna.jobs.scoring import in_order
from ulna.jobs.sides import predicted_by
from ulna.jobs.trained import Fold, Trained
from ulna.machine import now
from ulna.metrics import Primary, Scored, label, summarize
from ulna.metrics.stored import read_scored
from ulna.model import Model, load
from ulna.report import chose, write_report
from ulna.runfiles import RunFiles, as_list
from ulna.text import listed, plural
from ulna.training.timer import Timer

EXAMPLES = 6
"""So many cases are pictured at most, and predicted for that."""


def summarize_folds(run: Path, cases: Sequence[Case], *, device: str, timer: Timer) -> Trained:
    """Write the scores and the report of a run whose folds have all finished.

    Parameters
    ----------
    run
        Its folder.
    cases
        All cases, with their truth.
    device
        Where the cases that are pictured are predicted.
    timer
        The time that all folds have used; of folds that were trained one by one their sum is taken.

    Returns
    -------
    Trained
        With the model of all folds, and the scores of the cases by the folds that had not seen them.
    """
    places = list(fold_folders(run))
    scored = [read_scored(place / SCORED) for place in places]
    together = in_order([one for part in scored for one in part], cases)
    model = load(run, device=device)
    primary = model.task.primary
    notes = _notes(places, len(together), len(cases))
    result = Evaluation(together, summarize(together, primary), model.classes.names, notes, run / "scores")
    pictured = _pictured(run, cases, scored, primary=primary, device=device)
    galleries = [Gallery.read(place / "scores" / FOLDER) for place in places]
    gallery = Gallery().joined(galleries, primary, of=len(together))
    write_evaluation(result, list(pictured), gallery, overwrite=True)
    folds = tuple(_fold(place, number, scored[number], primary) for number, place in enumerate(places))
    seconds = max(timer.seconds, sum(fold.seconds for fold in folds))
    facts = _facts(places, model)
    runs.note(run, seconds=round(seconds, 1), ended=now(), each=[fold.as_json() for fold in folds], **facts)
    report = write_report(run)
    return Trained(run, model, result, seconds, report, facts.get("length", ""), chose(runs.words(run)), folds)


def _facts(places: Sequence[Path], model: Model) -> dict[str, Any]:
    """What the record of the whole takes from those of the folds: what chose the weights, and the constants."""
    records = [runs.words(place) for place in places]
    facts: dict[str, Any] = {
        key: one[key] for one in reversed(records) for key in ("weights", "fitted_on") if key in one
    }
    if keys := dict.fromkeys(key for one in records for key in one.get("fitted", {})):
        known = dotted(model.config.model_dump())
        facts["fitted"] = {key: known[key] for key in keys if known[key] not in ((), [])}
        if not facts["fitted"]:  # no class is in one piece by most folds
            del facts["fitted"]
    short = [(number, one["length"]) for number, one in enumerate(records) if "length" in one]
    if short:
        facts["length"] = f"{len(short)} of {len(records)} folds say so, fold {short[0][0]} for one. {short[0][1]}"
    return facts


def _notes(places: Sequence[Path], scored: int, count: int) -> tuple[str, ...]:
    """How the scores were obtained, and what the folds say of theirs."""
    notes = [f"Each image was scored by the one of {len(places)} models that had not seen it."]
    if scored < count:
        notes.append(f"{scored} of {plural(count, 'image')} were scored, for the time was over.")
    said: dict[str, list[int]] = {}
    for number, place in enumerate(places):
        for note in as_list(RunFiles(place).record("scores/metrics.json").get("notes")):
            said.setdefault(str(note), []).append(number)
    for note, which in said.items():
        notes.append(note if len(which) == len(places) else f"Fold {listed(which, len(places))}: {note}")
    return tuple(notes)


def _pictured(
    run: Path, cases: Sequence[Case], scored: Sequence[Sequence[Scored]], *, primary: Primary, device: str
) -> Iterator[Comparison | Orthogonal]:
    """The worst, median and best cases of all, predicted again by the folds that had not seen them."""
    by_name = {case.name: case for case in cases}
    fold_of = {one.name: number for number, part in enumerate(scored) for one in part}
    models: dict[int, Model] = {}
    for title, name in examples(in_order([one for part in scored for one in part], cases), primary):
        number = fold_of[name]
        if number not in models:
            models = {number: load(fold_folder(run, number), device=device)}
        model = models[number]
        case = by_name[name]
        if not model.classes.regions:  # whose classes are called otherwise than the files
            (case,) = with_classes([case], model.classes.names)
        mask = predicted_by(model, model.classes)(case).to_array()
        yield comparison(case, title, mask, model.classes)


def _fold(place: Path, number: int, scored: Sequence[Scored], primary: Primary) -> Fold:
    spread = summarize(scored, primary).overall.scores.get(primary.measure)
    return Fold(
        number,
        place,
        len(scored),
        len({one.group for one in scored}),
        label(primary.measure),
        spread.mean.estimate if spread else float("nan"),
        runs.seconds_in_all(place),
    )
