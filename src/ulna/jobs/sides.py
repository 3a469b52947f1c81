"""Both sides of a comparison, predicted and true masks, in one way of writing classes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from ulna.alignment import Verdict, aligned, rounded
from ulna.config import Config, DataConfig
from ulna.dataset import Case, load_image
from ulna.errors import UlnaError
from ulna.formats import open_reader, read
from ulna.image import Image, Labels, Source
from ulna.jobs.label_mapping import Arrays, fits, labels_of, own_values
from ulna.jobs.placement import placements
from ulna.jobs.predictors import Mask, Passed, Predictor
from ulna.labels.classes import Classes
from ulna.labels.inference import infer
from ulna.masks import read_numbers
from ulna.metrics.overlap import check_indices
from ulna.numbering import planes_of
from ulna.objectlist import COLUMNS, NAME, ObjectLists, class_indices
from ulna.orientation import orientation
from ulna.tasks import Task, build
from ulna.text import listed
from ulna.truth import placed_truth

MAX_INSPECTED = 20

Maker = Callable[[Case], Labels]
Placed = dict[str, list[tuple[str, Verdict]]]


@dataclass(frozen=True)
class Sides:
    """What is compared: how the masks are made, how the ground truth is written, and what is to be said of both.

    `task` is the question by which they are compared; `apart` says of predicted labels along which axis their objects
    are those of single planes, if they are. `placed` is filled while labels are made: for the predicted and the true
    masks, how each lies on its image.
    """

    predicted: Maker
    truth: Classes
    names: tuple[str, ...]
    notes: tuple[str, ...]
    task: Task
    apart: Callable[[Labels], int | None]
    placed: Placed

    def placements(self) -> tuple[str, ...]:
        """What was done to masks that do not lie on their images as their files say."""
        made = []
        for side, verdicts in self.placed.items():
            for problem in placements(verdicts):
                if problem.severity != "note":
                    made.append(f"Of the {side} masks: {problem.what} ({listed(problem.where, 3)}).")
        return tuple(made)


def sides_of(
    source: Predictor | dict[str, Source],
    known: Classes,
    truth: Classes,
    config: Config,
) -> Sides:
    """Both sides in the classes `known`; files of masks (by the name of their case) may be written in their own way.

    Where there are several classes, and `objects.csv` lies beside the files, it says the class of each object.
    """
    notes, names, objects, numbered = [known.sentence], tuple(known.names), False, True
    if truth != known:
        notes.append(f"Of the true masks: {truth.sentence}")
    placed: Placed = {"predicted": [], "true": []}
    listing = _listing(source) if isinstance(source, dict) and len(names) > 2 else {}
    if isinstance(source, dict) and listing:
        notes.append(f"Of the predicted masks: they number objects, and {NAME} says the class of each.")
        maker, objects = _listed(source, listing, names, placed), truth.numbers_objects
    elif isinstance(source, dict):
        masks = Arrays(list(source.values()), lambda mask: rounded(read(mask).array)[0])
        written = own_values(masks, known.predicted, config.data.model_copy(update={"ignore": ()})).predicted
        if written != known.predicted:
            notes.append(f"Of the predicted masks: {written.sentence}")
        _check_classed(masks, written, where=next(iter(source.values())))
        numbered = written.numbers_objects
        maker, objects = _filed(source, written, placed), numbered and truth.numbers_objects
    else:
        maker = predicted_by(source, known)
    task = build(config.task, names, known.regions, objects=objects)  # where both sides tell them apart
    if task.finds_objects and not truth.numbers_objects:
        notes.append("The true masks do not number their objects: connected pieces are taken for objects.")
    if task.finds_objects and isinstance(source, dict) and not numbered:
        notes.append("The predicted masks do not number their objects: connected pieces are taken for objects.")
    elif truth.numbers_objects and isinstance(source, dict) and not numbered:
        notes.append("They do not number their objects: task.name=instances compares connected pieces.")
    seen = getattr(source, "config", None) if not isinstance(source, Passed) else None  # as that of a function is not
    apart = partial(_apart, seen if isinstance(seen, Config) else None)
    return Sides(maker, truth, names, tuple(notes), task, apart, placed)


def _apart(config: Config | None, found: Labels) -> int | None:
    """The axis along which the objects of a volume are those of single planes: as the model sees it, or as they lie."""
    if found.objects is None or found.objects.ndim < 3:
        return None
    if config is None:
        return planes_of(found.objects)
    return None if config.network.ndim == 3 else orientation(found.grid).order[config.data.slices or 0]


def predicted_by(model: Predictor, classes: Classes) -> Maker:
    """Labels from a model."""

    config = getattr(model, "config", None)
    channels = 0 if config is not None and config.data.use_channels else model.channels  # a model chooses its own

    def make(case: Case) -> Labels:
        return _labels_of(model.predict(load_image(case, channels=channels)), classes, where=case.name)

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


def _check_classed(masks: Arrays[Source], classes: Classes, *, where: Source) -> None:
    """Raise UlnaError where masks number objects, there are several classes, and nothing says the class of each."""
    if len(classes.names) == 2 or all(fits(mask, classes) for mask in masks):
        return
    try:
        objects = infer(masks[:MAX_INSPECTED], DataConfig()).numbers_objects
    except UlnaError:  # the masks at fault are named when they are scored
        return
    if objects:
        raise UlnaError(
            f"these masks number objects, and nothing says of which class each is: {', '.join(classes.names[1:])}",
            where=where,
            hint=f"Put {NAME}, which 'ulna predict' writes, beside the masks (columns: {', '.join(COLUMNS)}).",
        )


def _filed(masks: dict[str, Source], classes: Classes, placed: Placed) -> Maker:
    """Labels from files, by the name of the case; `classes` says how they are written."""

    def make(case: Case) -> Labels:
        mask = _on_image(read(masks[case.name]), case, placed, where=masks[case.name])
        array = rounded(mask.array)[0]
        return replace(labels_of(array, classes, where=masks[case.name]), grid=mask.grid)

    return make


def _on_image(mask: Image, case: Case, placed: Placed, *, where: Source) -> Image:
    """A mask of a volume on the grid of the case's image, or of its truth where it has none."""
    if mask.ndim < 3:
        return mask
    with open_reader((*case.images, *case.truth)[0]) as reader:
        if reader.grid.ndim < 3:
            return mask
        mask, verdict = aligned(mask, reader.grid, where=where)
    placed["predicted"].append((case.name, verdict))
    return mask


def _listing(masks: dict[str, Source]) -> dict[str, Mapping[int, str]]:
    """The classes of the objects of each mask, by the name of the case; nothing where none are listed."""
    lists = ObjectLists()
    found = {name: lists.classes(mask) for name, mask in masks.items()}
    return {name: classes or {} for name, classes in found.items()} if any(found.values()) else {}


def _listed(
    masks: dict[str, Source], listing: dict[str, Mapping[int, str]], names: Sequence[str], placed: Placed
) -> Maker:
    """Labels from files that number objects, by the name of the case; `listing` says the class of each."""

    def make(case: Case) -> Labels:
        mask = masks[case.name]
        with open_reader(mask) as reader:
            grid = reader.grid
        own = _on_image(Image(read_numbers(mask)[None], grid), case, placed, where=mask)
        objects = own.array[0]
        try:
            return Labels(class_indices(objects, listing[case.name], names), objects, own.grid, tuple(names))
        except UlnaError as error:
            raise UlnaError(error.what, where=mask, hint=error.hint) from None

    return make


def true_labels(case: Case, classes: Classes, placed: Placed | None = None) -> Labels:
    """The ground truth of a case on the grid of its image, with its faults named by the case."""
    found = placed_truth(case)
    truth = found.image
    if placed is not None:
        placed["true"].append((case.name, found.verdict))
    grid = truth.grid
    if grid.ndim == 2 and grid.unit == "pixel" and case.images:
        with open_reader(case.images[0]) as reader:  # it may say how large the pixels are
            grid = reader.grid if reader.grid.shape == grid.shape else grid
    return replace(labels_of(truth.array, classes, where=case.name), grid=grid)
