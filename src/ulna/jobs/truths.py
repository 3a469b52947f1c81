"""The cases that are scored: read, chosen, each with its true mask and its group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from ulna.caselist import Names, choose
from ulna.config import Config, DataConfig, dotted
from ulna.dataset import Case, Dataset, Progress
from ulna.errors import UlnaError
from ulna.formats import is_folder
from ulna.formats.archive import is_archive
from ulna.image import Source
from ulna.jobs.grouping import fingerprints, joined_by, with_groups
from ulna.jobs.predictors import Predictor
from ulna.layouts import Patterns, find_images, read_dataset
from ulna.layouts.build import frames_of
from ulna.layouts.listed import with_listed
from ulna.layouts.listing import list_place
from ulna.layouts.patterns import NO_PATTERNS
from ulna.leaks import Fingerprint, group

AS_TRAINED = (
    "task.name",
    "task.borders",
    "task.tolerance",
    "data.axes",
    "data.spacing",
    "data.unit",
    "data.missing",
    "data.time",
    "data.scene",
    "data.leaks",
    "data.regions",
)
"""Settings that a model's own are taken for, unless others are stated."""


def choose_cases(
    whole: Dataset,
    place: str | Path | Dataset,
    meant: DataConfig,
    *,
    trained: DataConfig,
    cases: Names | None,
    except_: Names | None,
    progress: Progress,
) -> tuple[Dataset, list[Fingerprint], tuple[str, ...]]:
    """The cases to score, each with truth and group, their fingerprints, and what is to be said about them.

    Groups are those that `meant` states, or that a model was `trained` with; a `Dataset` has its own, and of it no
    fingerprints are taken.
    """
    if isinstance(place, Dataset):
        dataset, notes = _with_truth(choose(whole, cases, except_), None)
        return dataset, [], notes
    chosen, how, why_other = _grouped(whole, meant.groups, trained.groups, cases, except_)
    dataset, notes = _with_truth(chosen, place)
    joined = dataset.cases
    prints: list[Fingerprint] = []
    if all(case.images for case in joined):
        names = [case.name for case in joined]
        prints = fingerprints(joined, progress)
        leaks = group(prints, names, only_equal=not meant.leaks)
        joined = joined_by(joined, leaks)
    if len({case.group for case in joined}) < len(joined):
        notes += (f"groups: {how}" + (", and by equal or overlapping content" if joined != dataset.cases else ""),)
    return replace(dataset, cases=joined), prints, (*notes, *why_other)


def _grouped(
    whole: Dataset, stated: str, trained: str, cases: Names | None, except_: Names | None
) -> tuple[Dataset, str, tuple[str, ...]]:
    """The chosen cases in their groups, how these were decided, and why not as in the training."""
    if stated or not trained:
        return *with_groups(whole, stated, cases, except_), ()
    found = with_groups(whole, "", cases, except_)
    try:
        chosen, how = with_groups(whole, trained, cases, except_)
    except UlnaError as error:
        why = f"the model was trained with data.groups='{trained}', which does not suit these data ({error.what})"
        return *found, (f"{why}: groups were found without it. State others with data.groups.",)
    return chosen, f"{how}, as in the training", ()


def _with_truth(dataset: Dataset, place: str | Path | None) -> tuple[Dataset, tuple[str, ...]]:
    """The cases that have truth, and how many have none."""
    known = tuple(case for case in dataset.cases if case.truth)
    if not known:
        raise UlnaError(
            "no image here has a true mask to compare with",
            where=place,
            hint="Evaluation needs masks drawn by people; 'ulna check' shows what was found.",
        )
    without = len(dataset.cases) - len(known)
    notes = (f"{without} images have no true mask and are not scored",) if without else ()
    return replace(dataset, cases=known), notes


def trained_data(model: Predictor | None) -> DataConfig:
    """The settings of the data that a model was trained with; the defaults where these are not known."""
    trained = getattr(model, "config", None)
    return trained.data if isinstance(trained, Config) else DataConfig()


def as_trained(asked: Config, model: Predictor | None) -> Config:
    """The settings, with a trained model's own (`AS_TRAINED`) where none are stated."""
    trained = getattr(model, "config", None)
    if not isinstance(trained, Config):
        return asked
    theirs = dotted(trained.model_dump())
    return asked.changed({key: theirs[key] for key in AS_TRAINED if key not in asked.given()})


def read_data(
    place: str | Path | Dataset, meant: DataConfig, *, trained: DataConfig, bare: bool
) -> tuple[Dataset, tuple[str, ...]]:
    """A data set of any layout, and what is to be said of how it was read; a `Dataset` is taken as it is.

    The patterns of files are those that `meant` states, or that a model was `trained` with. Where no layout is
    recognized, and `bare`, it is a place that holds true masks alone.
    """
    if isinstance(place, Dataset):
        return place, ()
    if not isinstance(place, str | Path):
        raise UlnaError(f"{type(place).__name__} is no data set", where="data", hint="Give the path of a data set.")
    stated = Patterns.of(meant)
    theirs = replace(stated, images=trained.images, masks=trained.masks)
    notes: tuple[str, ...] = ()
    if theirs and not stated:
        try:
            return read_dataset(place, theirs), ()
        except UlnaError as error:
            why = f"data.images and data.masks of the model's training do not suit these data ({error.what})"
            notes = (f"{why}: files were found without them. State others with data.images and data.masks.",)
    try:
        return read_dataset(place, stated), notes
    except UlnaError:
        masks = mask_files(place, stated) if bare and Path(place).exists() else []
        if not masks:
            raise
    unique = len({mask.stem for mask in masks}) == len(masks)
    cases = tuple(
        Case(mask.stem if unique else str(mask), (), (mask,), "" if mask.frame is None else str(mask.path))
        for mask in masks
    )
    return with_listed(Dataset(cases, f"{len(masks)} true masks without images")), notes


def mask_files(place: str | Path, stated: Patterns = NO_PATTERNS) -> list[Source]:
    """All image files of a folder, an archive or a pattern, films as their frames, or that which is stated."""
    path = Path(place)
    if is_folder(Source(path)) or not (path.is_dir() or is_archive(Source(path))):
        return list(find_images(place, own=True))
    found = [entry.source for entry in list_place(stated.place(path), masks=True).images]
    if not found:
        raise UlnaError("there is no mask here", where=place, hint="Name the folder that holds the masks.")
    return [frame for source in found for frame in frames_of(source)]
