"""`evaluate`: compare masks, from files or from a model, with the truth: scores, table, picture."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from ulna import runfolder as runs
from ulna.caselist import Names, choose
from ulna.config import Config, DataConfig
from ulna.dataset import Case, Dataset, Progress, load_image, load_truth, plain_name, quiet, with_classes
from ulna.errors import UlnaError
from ulna.figures.results import Comparison, results_picture
from ulna.formats import pages, read
from ulna.formats.archive import is_archive
from ulna.image import Array, Image, Source
from ulna.jobs.evaluation import FILES, Evaluation
from ulna.jobs.grouping import fingerprints, joined_by, with_groups
from ulna.jobs.in_time import Until, evenly, in_time
from ulna.jobs.label_mapping import Arrays, indices, infer_truth, of_truth, own_values
from ulna.jobs.seen import notes as seen_notes
from ulna.jobs.seen import read_seen
from ulna.labels.classes import Classes
from ulna.labels.inference import Inference
from ulna.layouts import Patterns, find_images, read_dataset
from ulna.layouts.listing import list_place
from ulna.leaks import Fingerprint, group
from ulna.leaks.seen import Seen, seen_in
from ulna.metrics import Row, Scored, label, locate, measure, summarize
from ulna.metrics.files import atomic_directory, check_free
from ulna.metrics.kept import KeptMasks, kept_masks
from ulna.metrics.matching import match
from ulna.metrics.table import write_table
from ulna.paths import expand_home
from ulna.preset import settings

_OF_A_RUN = ("model.safetensors", "checkpoints", "run.json")
_FAULTS = 20  # reported at once

Predict = Callable[[Image], Image]
Maker = Callable[[Case], Array]
Measure = Callable[[Array, Array], Sequence[Row]]


class Mask(Protocol):
    """A mask (1, *spatial): an `ulna.Prediction`, or an `Image`."""

    @property
    def array(self) -> Array:
        """(1, *spatial): class indices, or the values of the training masks where `classes` is empty."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class indices."""


class Predictor(Protocol):
    """What makes masks: a trained `ulna.Model`, or anything like it."""

    @property
    def channels(self) -> int:
        """How many channels the images must have; 0: they are taken as they are."""

    @property
    def classes(self) -> Classes:
        """What the values of its masks mean."""

    def predict(self, image: Image) -> Mask:
        """The mask (1, *spatial) of an image (C, *spatial)."""


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

    Writes `scores.csv` (a line per image and class), `metrics.json` and `cases.png`, all of them or none. The score of
    a data set is the mean over images of each image's mean over its classes, with a 95 % confidence interval over
    groups where there are five groups or more.

    Parameters
    ----------
    masks_or_run : path or Predictor
        A folder, pattern or archive of predicted masks, which are matched to the cases by name; or a run's folder, a
        model file or a `Model`, which predicts them.
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
        Settings, as for training: `data.values`.
    overwrite : bool
        Whether earlier scores in `out` may be replaced.
    device : str
        Where a run's model is loaded, see `ulna.load`.
    progress : callable
        Goes through the cases and shows how far it is.
    until : callable, optional
        Asked before each case but the first whether there is time for it. Where there is none, the scores are of fewer
        cases, evenly spread, and the record says so.
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
    """
    folder = Path(out)
    check_free(folder, FILES, overwrite=overwrite)
    meant = settings(config=config, changes=changes).data
    model = _predictor(masks_or_run, predict, classes, device=device)
    whole = data if isinstance(data, Dataset) else _read(data, _as_read(meant, model), bare=model is None)
    dataset, prints, notes = _chosen(whole, data, meant, cases=cases, except_=except_, progress=progress)
    seen = _known(masks_or_run, model)
    notes = (
        *notes,
        *(seen_notes(seen, dataset.cases, prints) if seen and prints else _by_name(masks_or_run, dataset.cases)),
    )
    stated = classes or (model.classes if model else None)
    dataset = replace(dataset, cases=with_classes(dataset.cases, stated.names)) if stated else dataset
    inferred = Inference(stated) if stated else infer_truth(whole.cases, meant, chosen=dataset.cases)
    known = inferred.classes
    truth = of_truth(dataset.cases, known, meant) if stated and not isinstance(data, Dataset) else known
    sides = _sides(model or match(dataset.cases, _files(str(masks_or_run)), where=masks_or_run), known, truth, meant)
    notes = (*notes, *sides.notes, *map(str, inferred.doubts))
    with kept_masks() as made:
        if until is None:
            scored = _score(dataset.cases, sides, kept=made, progress=progress)
        else:
            scored = _score(evenly(dataset.cases), sides, kept=made, progress=in_time(progress, until))
        scored, notes = _in_order(scored, dataset.cases), (*notes, *_short_of_time(scored, dataset.cases))
        result = Evaluation(scored, summarize(scored, seed=seed), sides.names, notes, folder)
        by_name = {case.name: case for case in dataset.cases}
        pictured = _examples(scored, result.summary.primary)
        rows = [_comparison(by_name[name], title, made[name], truth) for title, name in pictured]
    _write(result, rows, overwrite=overwrite)
    return result


def _write(result: Evaluation, rows: Sequence[Comparison], *, overwrite: bool) -> None:
    """Write the three files, all of them or none."""
    with atomic_directory(result.folder, FILES, overwrite=overwrite) as fresh:
        write_table(fresh / FILES[0], result.rows)
        text = json.dumps(result.as_json(), indent=2, ensure_ascii=False, allow_nan=False)
        (fresh / FILES[1]).write_text(text + "\n", "utf-8", "backslashreplace")
        results_picture(fresh / FILES[2], rows, classes=result.classes)


@dataclass(frozen=True)
class _Passed:
    """A function that was passed, with what its masks mean, as a `Predictor`."""

    classes: Classes
    function: Predict
    channels: int = 0

    def predict(self, image: Image) -> Image:
        return self.function(image)


def _predictor(
    given: str | Path | Predictor, predict: Predict | None, classes: Classes | None, *, device: str | None = None
) -> Predictor | None:
    """The model that makes masks; None where they lie in files."""
    loaded = isinstance(given, str | Path) and _is_model(Path(given))
    if device is not None and not loaded:
        raise UlnaError("only a run or a model file is loaded onto a device", where="device", hint="Leave it away.")
    if predict is not None and classes is not None:
        return _Passed(classes, predict)
    model = _load(given, device) if loaded else None if isinstance(given, str | Path) else given
    if predict is None:
        return model
    if model is None:
        raise UlnaError("the masks' classes are not known: pass 'classes' with 'predict', or name a run", where=given)
    return _Passed(model.classes, predict)


def _is_model(path: Path) -> bool:
    """Whether this is a run's folder or a model file."""
    return path.suffix == ".safetensors" or any((path / name).exists() for name in _OF_A_RUN)


def _load(run: Any, device: str | None) -> Predictor:
    from ulna.model import load  # masks in files need no torch

    return load(run, device=device)


def _known(run: str | Path | Predictor, model: Predictor | None) -> Seen | None:
    """The fingerprints of the images that a run or a model has seen; None where none are kept."""
    saved = getattr(model, "saved", None)
    text = "" if saved is None else str(getattr(saved, "seen", ""))
    if not text and isinstance(run, str | Path):
        text = seen_in(Path(run).expanduser())
    return read_seen(text)


def _by_name(run: str | Path | Predictor, cases: Sequence[Case]) -> tuple[str, ...]:
    """What is to be said where names alone can tell that a run has learned from cases: it holds no fingerprints."""
    if not isinstance(run, str | Path) or not all((Path(run) / name).is_file() for name in (runs.WORDS, *runs.LISTS)):
        return ()
    learned = {plain_name(name) for name in runs.names(Path(run))[0]}
    known = sum(plain_name(case.name) in learned for case in cases)
    if not known:
        return ()
    return (
        f"{known} of these {len(cases)} images have names of images that the run learned from: if they are the "
        "same, the scores are optimistically biased. Name others with --cases.",
    )


def _chosen(
    whole: Dataset,
    place: str | Path | Dataset,
    meant: DataConfig,
    *,
    cases: Names | None,
    except_: Names | None,
    progress: Progress,
) -> tuple[Dataset, list[Fingerprint], tuple[str, ...]]:
    """The cases to score, each with truth and group, their fingerprints, and what is to be said about them."""
    if isinstance(place, Dataset):
        dataset, notes = _with_truth(choose(whole, cases, except_), None)
        return dataset, [], notes
    chosen, how = with_groups(whole, meant.groups, cases, except_)
    dataset, notes = _with_truth(chosen, place)
    joined = dataset.cases
    prints: list[Fingerprint] = []
    if all(case.images for case in joined):
        names = [case.name for case in joined]
        prints = fingerprints(joined, progress)
        leaks = group(prints, names, only_equal=not meant.leaks)
        joined = joined_by(joined, leaks)
    told: tuple[str, ...] = ()
    if len({case.group for case in joined}) < len(joined):
        told = (f"groups: {how}" + (", and by equal or overlapping content" if joined != dataset.cases else ""),)
    return replace(dataset, cases=joined), prints, (*notes, *told)


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


def _as_read(meant: DataConfig, model: Predictor | None) -> DataConfig:
    """The settings, with the axes of the files that a trained model learned from where none are stated."""
    trained = getattr(model, "config", None)
    axes = meant.axes or (trained.data.axes if isinstance(trained, Config) else "")
    return meant.model_copy(update={"axes": axes})


def _read(place: str | Path, meant: DataConfig, *, bare: bool) -> Dataset:
    """A data set of any layout; where none is recognized, and `bare`, a place that holds true masks alone."""
    try:
        return read_dataset(place, Patterns(meant.images, meant.masks, meant.axes))
    except UlnaError:
        masks = _files(place) if bare and Path(place).exists() else []
        if not masks:
            raise
    unique = len({mask.stem for mask in masks}) == len(masks)
    cases = tuple(
        Case(mask.stem if unique else str(mask), (), (mask,), "" if mask.page is None else str(mask.path))
        for mask in masks
    )
    return Dataset(cases, f"{len(masks)} true masks without images")


@dataclass(frozen=True)
class _Sides:
    """What is compared: how the masks are made, how the ground truth is written, and what is to be said of both.

    `measure` takes class indices, predicted and true, both (1, *spatial).
    """

    predicted: Maker
    truth: Classes
    names: tuple[str, ...]
    notes: tuple[str, ...]
    measure: Measure


def _sides(source: Predictor | dict[str, Source], known: Classes, truth: Classes, config: DataConfig) -> _Sides:
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
    return _Sides(maker, truth, names, tuple(notes), partial(measure, classes=names))


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


def _files(place: str | Path) -> list[Source]:
    """All image files of a folder, an archive or a pattern, stacks as their pages."""
    path = Path(place)
    if not (path.is_dir() or is_archive(Source(path))):
        return list(find_images(place, own=True))
    found = [entry.source for entry in list_place(Source(path), masks=True).images]
    if not found:
        raise UlnaError("there is no mask here", where=place, hint="Name the folder that holds the masks.")
    counts = [pages(source) for source in found]
    return [
        source if count == 1 else replace(source, page=page)
        for source, count in zip(found, counts, strict=True)
        for page in range(count)
    ]


def _truth(case: Case, classes: Classes) -> Array:
    return indices(load_truth(case).array, classes, where=case.name)


def _score(cases: Sequence[Case], sides: _Sides, *, kept: KeptMasks, progress: Progress) -> tuple[Scored, ...]:
    """Score every case and keep its mask; what is wrong with several is said at once."""
    scored: list[Scored] = []
    faults: list[UlnaError] = []
    for case in progress(cases, "scoring"):
        try:
            truth = _truth(case, sides.truth)
            mask = sides.predicted(case)
            _check_shape(case, mask, truth)
            rows = sides.measure(mask, truth)
        except UlnaError as fault:
            faults.append(fault)
            if len(faults) == _FAULTS:
                break
            continue
        group = case.group or case.name
        scored.append(Scored.of(rows, name=case.name, group=group, errors=locate(mask, truth)))
        kept.keep(case.name, mask)
    if len(faults) == 1:
        raise faults[0]
    if faults:
        raise UlnaError(f"{len(faults)} masks cannot be scored:\n" + "\n".join(str(fault) for fault in faults))
    return tuple(scored)


def _in_order(scored: Sequence[Scored], cases: Sequence[Case]) -> tuple[Scored, ...]:
    places = {case.name: place for place, case in enumerate(cases)}
    return tuple(sorted(scored, key=lambda one: places[one.name]))


def _short_of_time(scored: Sequence[Scored], cases: Sequence[Case]) -> tuple[str, ...]:
    if len(scored) == len(cases):
        return ()
    return (
        f"Only {len(scored)} of {len(cases)} cases, evenly spread, were scored, for the time was over: "
        "'ulna evaluate' scores all.",
    )


def _check_shape(case: Case, mask: Array, truth: Array) -> None:
    if mask.shape != truth.shape:
        sizes = [" × ".join(str(n) for n in array.shape[1:]) for array in (mask, truth)]
        raise UlnaError(
            f"the mask is {sizes[0]} pixels, the truth {sizes[1]}",
            where=case.name,
            hint="Scores are taken at the image's own resolution: scale the masks back to its size.",
        )


def _examples(scored: Sequence[Scored], measure: str) -> list[tuple[str, str]]:
    """Titles and names of the worst, median and best cases by a measure; two of each where there are many."""
    values = {one.name: one.score(measure) for one in scored}
    ranked = sorted((one for one in scored if values[one.name] == values[one.name]), key=lambda one: values[one.name])
    if not ranked:
        return [(f"{one.name}: empty, predicted empty", one.name) for one in scored[:1]]
    last, middle = len(ranked) - 1, (len(ranked) - 1) // 2
    places = {0: "worst", last: "best", middle: "median"} if last > 1 else {0: "worst", last: "best"}
    if last == 0:
        places = {0: "the only case with a score"} if len(scored) > 1 else {0: "the only case"}
    if last >= 11:
        places |= {1: "second worst", middle + 1: "next to the median", last - 1: "second best"}
    chosen = [(place, ranked[place]) for place in sorted(places)]
    return [(f"{places[place]}: {_title(one, measure, values[one.name])}", one.name) for place, one in chosen]


def _title(case: Scored, measure: str, value: float) -> str:
    """Name and score of a case, and which of its classes are false positives or missed."""
    odd = [f"{name}: {state}" for name, state in case.states.items() if state in ("false positive", "missed")]
    return f"{case.name} — {label(measure)} {value:.3f}" + (f" ({', '.join(odd)})" if odd else "")


def _comparison(case: Case, title: str, mask: Array, classes: Classes) -> Comparison:
    image = load_image(case).array if case.images else None
    return Comparison(title, image, _truth(case, classes), mask)
