"""The cases that a run held out, as layers: image, truth and what the model says of it."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from ulna import runfolder as runs
from ulna.caselist import select
from ulna.classfiles import with_classes
from ulna.dataset import Case, load_image
from ulna.errors import UlnaError
from ulna.folds import fold_folders, holds_folds
from ulna.jobs.sides import predicted_by, true_labels
from ulna.layouts import Patterns, read_dataset
from ulna.metrics.rows import MEANS
from ulna.model import Model, load
from ulna.napari.layers import LayerData, image_layers, labels_layer
from ulna.runfiles import RunFiles
from ulna.text import listed

PREDICT = "Open images and predict them: Plugins > ulna > Predict."


@dataclass(frozen=True)
class HeldOut:
    """The cases that a run held out of its training.

    Parameters
    ----------
    model
        That of the run.
    cases
        From the lowest score to the highest; those without one come last.
    scores
        The mean over classes of the measure that the task is about, by the name of the case.
    """

    model: Model
    cases: tuple[Case, ...]
    scores: dict[str, float]

    @classmethod
    def of(cls, run: Path, data: Path) -> HeldOut:
        """Read them.

        Parameters
        ----------
        run
            The run's folder.
        data
            Where the data lie.

        Returns
        -------
        HeldOut
            The model is loaded, no image is read.

        Raises
        ------
        UlnaError
            For a run that held out nothing, and data that are not those that it was trained on.
        """
        names = runs.names(run)[1]
        if not names:
            raise UlnaError(
                "this run held out no case", where=run, hint="Predict images with Plugins > ulna > Predict."
            )
        model = load(run)
        dataset = select(read_dataset(data, Patterns.of(model.config.data)), names)
        classes = model.classes
        cases = dataset.cases if classes.regions else with_classes(dataset.cases, classes.names)
        scores = _scores(run, model.task.primary.measure)
        primary = model.task.primary

        def rank(case: Case) -> float:
            score = scores.get(case.name, math.nan)
            return math.inf if math.isnan(score) else primary.rank(score)

        return cls(model, tuple(sorted(cases, key=rank)), scores)

    def layers(self, case: Case, *, visible: bool = True) -> list[LayerData]:
        """Image, truth and predicted mask of a case.

        Parameters
        ----------
        case
            One of `cases`.
        visible
            Whether they are shown at once.

        Returns
        -------
        list of LayerData
            Predicted anew, as the scores of the run were.

        Raises
        ------
        UlnaError
            For files that cannot be read.
        """
        truth = true_labels(case, self.model.classes)
        found = predicted_by(self.model, self.model.classes)(case)
        return [
            *image_layers(load_image(case), case.name, visible=visible),
            labels_layer(truth, f"{case.name} truth", visible=visible),
            labels_layer(found, f"{case.name} predicted", visible=visible),
        ]


def run_data(run: Path) -> Path:
    """Where the data of a run lie, as its record says.

    Parameters
    ----------
    run
        The run's folder.

    Returns
    -------
    Path
        A folder or an archive.

    Raises
    ------
    UlnaError
        For a folder of folds, for a run of an earlier version or of arrays, and where the data are no longer there.
    """
    if holds_folds(run):
        folders = listed((folder.name for folder in fold_folders(run)), 8)
        raise UlnaError("this folder holds the folds of a run", where=run, hint=f"Open one of them: {folders}.")
    said = str(runs.words(run).get("data", ""))
    if Path(said).is_absolute() and Path(said).exists():
        return Path(said)
    if Path(said).is_absolute():
        raise UlnaError(
            "the data of this run are no longer there", where=said, hint="Put them back, or predict images."
        )
    raise UlnaError(
        "the record of this run names no files that it was trained on: they were arrays in memory, or it is of an "
        "earlier version",
        where=run,
        hint=PREDICT,
    )


def _scores(run: Path, measure: str) -> dict[str, float]:
    """The mean over classes of a measure, by case, as far as the run's table of scores has it or what it is made of."""
    cells: dict[str, list[float]] = defaultdict(list)
    for row in RunFiles(run).table("scores/scores.csv"):
        cells[row["case"]] += [float(row[part]) for part in MEANS.get(measure, (measure,)) if row.get(part)]
    return {name: sum(values) / len(values) for name, values in cells.items() if values}
