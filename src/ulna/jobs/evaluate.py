"""`evaluate`: compare masks, from files or from a model, with the truth: scores, table, picture."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ulna.caselist import Names
from ulna.classfiles import with_classes
from ulna.config import Config
from ulna.dataset import Dataset, Progress, quiet
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison, results_picture
from ulna.image import Source
from ulna.jobs.evaluation import FILES, Evaluation
from ulna.jobs.examples import comparison, examples
from ulna.jobs.gallery import Gallery, draw_gallery
from ulna.jobs.in_time import Until, evenly, in_time
from ulna.jobs.label_mapping import infer_truth, of_truth
from ulna.jobs.predictors import Predict, Predictor, predicting_as, predictor_of
from ulna.jobs.scoring import in_order, score_cases, short_of_time
from ulna.jobs.seen import seen_notes
from ulna.jobs.sides import sides_of
from ulna.jobs.truths import as_trained, choose_cases, mask_files, read_data, trained_data
from ulna.labels.classes import Classes
from ulna.labels.inference import Inference
from ulna.metrics import summarize
from ulna.metrics.files import atomic_directory, check_free
from ulna.metrics.kept import kept_masks
from ulna.metrics.matching import match
from ulna.metrics.table import write_table
from ulna.paths import expand_home
from ulna.preset import settings
from ulna.text import listed


@expand_home
def evaluate(
    masks_or_run: str | Path | Predictor,
    data: str | Path | Dataset,
    *,
    out: str | Path,
    cases: Names | None = None,
    except_: Names | None = None,
    predict: Predict | None = None,
    classes: Classes | None = None,
    config: str | Path | Config | None = None,
    changes: dict[str, Any] | None = None,
    overwrite: bool = False,
    device: str | None = None,
    progress: Progress = quiet,
    until: Until | None = None,
    seed: int = 0,
) -> Evaluation:
    """Score masks against the ground truth at each image's own resolution.

    Writes `scores.csv` (a line per image and class), `metrics.json`, `cases.png` and a folder `gallery` with a picture
    of every case (of more than 240 of so many), all of them or none. The score of a data set is the mean over images of
    each image's mean over its classes, with a 95 % confidence interval over groups where there are five groups or more.

    Parameters
    ----------
    masks_or_run : path or Predictor
        A folder, pattern or archive of predicted masks, which are matched to the cases by name; or a run's folder, a
        model file or a `Model`, which predicts them. Where there are several classes, `objects.csv` beside masks that
        number objects says the class of each.
    data : path or Dataset
        A data set of any layout, a bare folder of true masks, or a `Dataset`, whose groups are taken as they are.
    out : path
        The folder for the scores.
    cases, except_ : path or sequence of str, optional
        Names of the cases to score, and of those to leave out, or text files with one per line; see `ulna.caselist`.
    predict : callable, optional
        Image to mask; takes the place of the model's own.
    classes : Classes, optional
        What mask values mean. By default the model says it, or all true masks together, whatever `cases` picks.
    config, changes : path or Config, dict, optional
        Settings, as for training: `data.values`. By default those of the model say what is measured (`task.name`),
        how files are read (`data.axes`, `data.time`, `data.scene`, `data.images`, `data.masks`) and what belongs
        together (`data.groups`, `data.leaks`), and how it predicts (`inference.mirror`).
    overwrite : bool
        Whether earlier scores in `out` may be replaced.
    device : str
        Where a run's model is loaded, see `ulna.load`.
    progress : callable
        Goes through the cases and shows how far it is.
    until : callable, optional
        Asked before each case but the first whether there is time for it. Where there is none, the scores are of fewer
        cases, evenly spread, and the record says so; the same holds for the pictures of the gallery.
    seed : int
        Seed of the bootstrap.

    Returns
    -------
    Evaluation
        It prints itself, and is a table with `.columns()` and `.to_pandas()`.

    Raises
    ------
    UlnaError
        When masks are missing (all are named), have another size or values that fit no class, when there is no ground
        truth, when `out` holds earlier scores and `overwrite` is False, or when it holds something else.

    Examples
    --------
    >>> ulna.evaluate("run", "cells", out="scores").summary.cases
    8
    """
    folder = Path(out)
    check_free(folder, FILES, overwrite=overwrite)
    wanted = settings(config=config, changes=changes)
    model = predicting_as(predictor_of(masks_or_run, predict, classes, device=device), changes)
    asked = as_trained(wanted, model)
    meant = asked.data
    trained = trained_data(model)
    whole, read = read_data(data, meant, trained=trained, bare=model is None)
    dataset, prints, notes = choose_cases(
        whole, data, meant, trained=trained, cases=cases, except_=except_, progress=progress
    )
    notes = (*read, *notes, *seen_notes(masks_or_run, model, dataset.cases, prints, progress=progress))
    stated = classes or (model.classes if model else None)
    dataset = (
        replace(dataset, cases=with_classes(dataset.cases, stated.names)) if stated and not stated.regions else dataset
    )
    inferred = Inference(stated) if stated else infer_truth(whole.cases, meant, chosen=dataset.cases)
    known = inferred.classes
    truth = of_truth(dataset.cases, known, meant) if stated and not isinstance(data, Dataset) else known
    files = [] if model else mask_files(str(masks_or_run))
    matched = model or match(dataset.cases, files, where=masks_or_run)
    sides = sides_of(matched, known, truth, asked)
    notes = (*notes, *sides.notes, *map(str, inferred.doubts))
    if isinstance(matched, dict) and cases is None and except_ is None:
        notes = (*notes, *_of_no_case(files, matched))
    with kept_masks() as made:
        if until is None:
            scored = score_cases(dataset.cases, sides, kept=made, progress=progress)
        else:
            scored = score_cases(evenly(dataset.cases), sides, kept=made, progress=in_time(progress, until))
        scored = in_order(scored, dataset.cases)
        notes = (*notes, *sides.placements(), *short_of_time(scored, dataset.cases))
        result = Evaluation(scored, summarize(scored, sides.task.primary, seed=seed), sides.names, notes, folder)
        by_name = {case.name: case for case in dataset.cases}
        pictured = examples(scored, sides.task.primary)
        rows = [comparison(by_name[name], title, made[name], truth) for title, name in pictured]
        gallery = draw_gallery(
            scored,
            sides.task.primary,
            lambda name: comparison(by_name[name], name, made[name], truth),
            classes=sides.names,
            progress=progress,
            until=until,
        )
    write_evaluation(result, rows, gallery, overwrite=overwrite)
    return result


def _of_no_case(files: Sequence[Source], matched: dict[str, Source]) -> tuple[str, ...]:
    """That there are masks which are scored with no case."""
    used = set(matched.values())
    left = [file.name for file in files if file not in used]
    if not left:
        return ()
    return (f"{len(left)} of {len(files)} masks belong to no case with a true mask and are not scored: {listed(left)}",)


def write_evaluation(
    result: Evaluation, rows: Sequence[Comparison | Orthogonal], gallery: Gallery, *, overwrite: bool
) -> None:
    """Write all files, or none."""
    with atomic_directory(result.folder, FILES, overwrite=overwrite) as fresh:
        write_table(fresh / FILES[0], result.rows)
        text = json.dumps(result.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
        (fresh / FILES[1]).write_text(text + "\n", "utf-8", "backslashreplace")
        results_picture(fresh / FILES[2], rows, classes=result.classes)
        gallery.write(fresh / FILES[3])
