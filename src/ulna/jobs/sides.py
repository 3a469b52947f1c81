"""Both sides of a comparison, predicted and true masks, in one way of writing classes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ulna.config import Config
from ulna.dataset import Case, load_image
from ulna.errors import UlnaError
from ulna.formats import read
from ulna.image import Labels, Source
from ulna.jobs.label_mapping import Arrays, labels_of, own_values
from ulna.jobs.predictors import Mask, Predictor
from ulna.labels.classes import Classes
from ulna.metrics.overlap import check_indices
from ulna.tasks import Task, build
from ulna.truth import load_truth

Maker = Callable[[Case], Labels]


@dataclass(frozen=True)
class Sides:
    """What is compared: how the masks are made, how the ground truth is written, and what is to be said of both.

    `task` is the question by which they are compared.
    """

    predicted: Maker
    truth: Classes
    names: tuple[str, ...]
    notes: tuple[str, ...]
    task: Task


def sides_of(source: Predictor | dict[str, Source], known: Classes, truth: Classes, config: Config) -> Sides:
    """Both sides in the classes `known`; files of masks (by the name of their case) may be written in their own way."""
    notes, names, objects = [known.sentence], tuple(known.names), False
    if truth != known:
        notes.append(f"Of the true masks: {truth.sentence}")
    if isinstance(source, dict):
        masks = Arrays(list(source.values()), lambda mask: read(mask).array)
        written = own_values(masks, known.predicted, config.data.model_copy(update={"ignore": ()})).predicted
        if written != known.predicted:
            notes.append(f"Of the predicted masks: {written.sentence}")
        maker, objects = _filed(source, written), written.numbers_objects and truth.numbers_objects
    else:
        maker = _predicted(source, known)
    task = config.task
    if task.name == "auto" and objects:  # both sides tell objects apart: they are compared
        task = config.changed({"task.name": "instances"}).task
    return Sides(maker, truth, names, tuple(notes), build(task, names))


def _predicted(model: Predictor, classes: Classes) -> Maker:
    """Labels from a model."""

    def make(case: Case) -> Labels:
        return _labels_of(model.predict(load_image(case, channels=model.channels)), classes, where=case.name)

    return make


def _labels_of(mask: Mask, classes: Classes, *, where: str) -> Labels:
    """The labels of a mask: its own, class indices where it names `classes`, or the training masks' values."""
    own = getattr(mask, "labels", None)
    if isinstance(own, Labels):
        return own
    if not mask.classes:
        return labels_of(mask.array, classes.predicted, where=where)
    if len(mask.array) != 1:
        raise UlnaError(f"a mask of class indices has one channel, not {len(mask.array)}", where=where)
    check_indices(mask.array, len(classes.names), "mask")
    return Labels.from_array(mask.array, names=classes.names)


def _filed(masks: dict[str, Source], classes: Classes) -> Maker:
    """Labels from files, by the name of the case; `classes` says how they are written."""

    def make(case: Case) -> Labels:
        return labels_of(read(masks[case.name]).array, classes, where=masks[case.name])

    return make


def true_labels(case: Case, classes: Classes) -> Labels:
    """The ground truth of a case, with its faults named by the case."""
    return labels_of(load_truth(case).array, classes, where=case.name)
