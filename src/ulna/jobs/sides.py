"""Both sides of a comparison, predicted and true masks, in one way of writing classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from ulna.config import DataConfig
from ulna.dataset import Case, load_image
from ulna.formats import read
from ulna.image import Array, Source
from ulna.jobs.label_mapping import Arrays, indices, own_values
from ulna.jobs.predictors import Predictor
from ulna.labels.classes import Classes
from ulna.metrics import Row, measure
from ulna.truth import load_truth

Maker = Callable[[Case], Array]
Measure = Callable[[Array, Array], Sequence[Row]]


@dataclass(frozen=True)
class Sides:
    """What is compared: how the masks are made, how the ground truth is written, and what is to be said of both.

    `measure` takes class indices, predicted and true, both (1, *spatial).
    """

    predicted: Maker
    truth: Classes
    names: tuple[str, ...]
    notes: tuple[str, ...]
    measure: Measure


def sides_of(source: Predictor | dict[str, Source], known: Classes, truth: Classes, config: DataConfig) -> Sides:
    """Both sides in the classes `known`; files of masks (by the name of their case) may be written in their own way."""
    notes, names = [known.sentence], tuple(known.names)
    if truth != known:
        notes.append(f"Of the true masks: {truth.sentence}")
    if isinstance(source, dict):
        masks = Arrays(list(source.values()), lambda mask: read(mask).array)
        written = own_values(masks, known.predicted, config.model_copy(update={"ignore": ()})).predicted
        if written != known.predicted:
            notes.append(f"Of the predicted masks: {written.sentence}")
        maker = _filed(source, written)
    else:
        maker = _predicted(source, known)
    return Sides(maker, truth, names, tuple(notes), partial(measure, classes=names))


def _predicted(model: Predictor, classes: Classes) -> Maker:
    """Class indices from a model: a mask with `classes` holds them, another the training masks' values."""

    def make(case: Case) -> Array:
        mask = model.predict(load_image(case, channels=model.channels))
        return mask.array if mask.classes else classes.predicted.to_indices(mask.array)

    return make


def _filed(masks: dict[str, Source], classes: Classes) -> Maker:
    """Class indices from files, one a case's name; `classes` says how they are written."""

    def make(case: Case) -> Array:
        return indices(read(masks[case.name]).array, classes, where=masks[case.name])

    return make


def true_indices(case: Case, classes: Classes) -> Array:
    """Class indices (1, *spatial) of the ground truth, with its faults named by the case."""
    return indices(load_truth(case).array, classes, where=case.name)
