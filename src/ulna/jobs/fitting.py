"""The steps of a training that one run and each fold of a cross-validation share: check, fit, score, report."""

from __future__ import annotations

import math
import shutil
from dataclasses import replace
from pathlib import Path

from ulna import modelfile
from ulna import runfolder as runs
from ulna.console import screen, track
from ulna.dataset import Dataset
from ulna.errors import UlnaError
from ulna.figures.curves import curves_picture
from ulna.jobs.check import Check, check
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.jobs.in_memory import GROUPS, write_pairs
from ulna.jobs.repetition import Request
from ulna.jobs.trained import Trained
from ulna.leaks.seen import seen_in
from ulna.machine import now
from ulna.metrics import label
from ulna.metrics.stored import write_scored
from ulna.model import Model
from ulna.report import chose, write_report
from ulna.run import Data, Prepared, Run
from ulna.training.budget import ScoringBudget
from ulna.training.log import TABLE

SCORED = "scored.json"
"""The file of a fold with the scores of its cases, from which the table of all folds is made."""


def on_disk(asked: Request, run: Path) -> Request:
    """Pairs of arrays as files in the run, with a table of their groups; a `Dataset` names files already."""
    if isinstance(asked.data, str | Path):
        return replace(asked, data=Path(asked.data))
    if isinstance(asked.data, Dataset):
        return asked
    folder, groups = write_pairs(asked.data, run)
    config = asked.config if groups is None else asked.config.changed({"data.groups": str(groups)})
    return replace(asked, data=folder, config=config)


def checked_data(asked: Request, run: Path | None) -> Check:
    """What `check` says of the data of a request (`on_disk`); it stops here when something is fatal.

    Its record is written into `run`, if one is given.
    """
    if not isinstance(asked.data, str | Path | Dataset):
        raise TypeError("the data of a request are written to the disk first")
    data = asked.data
    checked = check(data, cases=asked.cases, except_=asked.except_, config=asked.config, progress=track)
    if run is not None and not checked.fatal:
        checked = checked.save(run)
    screen.print(checked)
    if checked.fatal:
        hint = "'ulna check DATA --out FOLDER' writes all names into a file."
        raise UlnaError("the data cannot be trained on, see above", where=data, hint=hint)
    return checked


def fit_and_report(work: Run, prepared: Prepared, checked: Check, *, data: Data, resume: bool) -> Trained:
    """From the data, planned, to the model, its scores and the report of a run."""
    run, timer = work.folder, work.timer
    model = work.fit_one(prepared, resume=resume)
    scores = _scores(work, model, checked, data)
    config, record = model.config, runs.words(run)
    home = run.parent if "fold" in record else run
    if config.data.groups == str(home / runs.PAIRS / GROUPS):  # which goes with the pairs
        config = config.changed({"data.groups": ""})
    found = scores.summary.as_json() if scores else {}
    short = str(record.get("length", ""))
    model = Model(replace(model.saved, config=config, scores=found, seen=seen_in(run), short=short))
    modelfile.save(run / modelfile.NAME, model.saved)
    primary = work.task(prepared).primary
    better = primary.higher_is_better
    curves_picture(run / "curves.png", run / TABLE, score=label(primary.measure), higher_is_better=better)
    runs.note(run, seconds=round(timer.seconds, 1), ended=now())
    report = write_report(run)
    prepared.close()
    shutil.rmtree(run / "cache", ignore_errors=True)
    if data.place == run / runs.PAIRS:
        shutil.rmtree(run / runs.PAIRS, ignore_errors=True)
    runs.note(run, state=runs.FINISHED)
    for name in (runs.USED, runs.START):
        (run / name).unlink(missing_ok=True)
    record = runs.words(run)
    return Trained(run, model, scores, timer.seconds, report, record.get("length", ""), chose(record))


def _scores(work: Run, model: Model, checked: Check, data: Data) -> Evaluation | None:
    """The scores on the cases held out; where the time gets short, on fewer."""
    if not data.sides[1]:
        return None
    folder, timer = work.folder / "scores", work.timer
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed here
    held_out = replace(checked.dataset, cases=data.sides[1])
    until = ScoringBudget(timer, work.afterwards) if timer.limit < math.inf else None
    model = Model(replace(model.saved, seen=""))  # that these are its validation images is known
    model = model.changed({"inference.engine": "torch"} | _not_quantized(model))  # as it was validated in training
    began = timer.seconds
    scores = evaluate(model, held_out, out=folder, progress=timer.watching(track), until=until)
    if "fold" in runs.words(work.folder):
        write_scored(work.folder / SCORED, scores.cases)
        runs.note(work.folder, case=round((timer.seconds - began) / len(scores.cases), 2))
    return scores


def _not_quantized(model: Model) -> dict[str, str]:
    """A setting in place of `int8`, which a model can have once it is trained."""
    return {"inference.precision": "float32"} if model.config.inference.precision == "int8" else {}
