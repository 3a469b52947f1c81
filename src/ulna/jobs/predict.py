"""`predict`: masks for images of any size, each in a file that suits its image."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.markup import escape

from ulna.caselist import Names, choose
from ulna.console import Printed, track, track_parts
from ulna.dataset import Case, Dataset
from ulna.errors import UlnaError, WriteError
from ulna.formats import as_mask_suffix, mask_suffix, open_reader
from ulna.formats.atomic import cannot_write, remove_partial
from ulna.groups import decide
from ulna.image import Source
from ulna.jobs.assumptions import left_out, masks_of_data
from ulna.jobs.by_region import kept_beside, made_by, made_of
from ulna.jobs.cluster import predicted
from ulna.jobs.extras import Asked, Extras
from ulna.jobs.one_mask import Job, Outcome, make, make_segmentations, segmentations, target_of
from ulna.layouts import Patterns, Place, find
from ulna.layouts.own import MARK, file_of, makers_of, mark
from ulna.model import Model, load
from ulna.objectlist import NAME as OBJECT_LIST
from ulna.paths import expand_home
from ulna.source import as_region
from ulna.text import listed, plural


@dataclass(frozen=True)
class Predicted(Printed):
    """Which masks were written, and which were not; it prints itself.

    Parameters
    ----------
    folder
        Where the masks are.
    masks
        The files.
    failed
        Images that could not be read or predicted: name and reason.
    passed_over
        Files of formats that are not known.
    own
        Files that an earlier prediction wrote and that were therefore left out.
    notes
        What files leave open, and how they were read.
    engine
        What ran the network, in which precision, and why.
    """

    folder: Path
    masks: tuple[Path, ...]
    failed: tuple[tuple[str, str], ...] = ()
    passed_over: tuple[str, ...] = ()
    own: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    engine: str = ""

    @property
    def complete(self) -> bool:
        """Whether every file that may be an image has its mask."""
        return not self.failed and not self.passed_over

    def __repr__(self) -> str:
        return f"<Predicted: {plural(len(self.masks), 'mask')}, {len(self.failed)} failed; {self.folder}>"

    def __rich__(self) -> Group:
        """What was written and what was not."""
        lines = [f"{plural(len(self.masks), 'mask')} written to {escape(str(self.folder))}"]
        lines += [f"[red]not predicted:[/] {escape(name)}: {escape(why)}" for name, why in self.failed]
        if self.passed_over:
            shown = escape(listed(self.passed_over, 8))
            files = plural(len(self.passed_over), "file")
            lines.append(f"[red]passed over:[/] {files} of formats that are not read: {shown}")
        if self.own:
            lines.append(
                f"left out: {plural(len(self.own), 'file')} written by ulna before ({escape(listed(self.own))})"
            )
        lines += [escape(line) for line in (*self.notes, self.engine) if line]
        return Group(*lines)


AS_IF_ALONE = (
    "the regions are normalized, and mirrored at their borders, as if there were no more of their images: their masks "
    "can differ from those parts of the masks of the whole images"
)


@expand_home
def predict(
    run: str | Path | Model,
    images: Place,
    *,
    out: str | Path,
    cases: Names | None = None,
    except_: Names | None = None,
    probabilities: bool = False,
    overlay: bool = False,
    outlines: str | Sequence[str] = (),
    region: str | Sequence[tuple[int, int]] = (),
    level: int = 0,
    format_: str = "",
    overwrite: bool = False,
    resume: bool = False,
    part: str = "",
    cluster: str = "",
    changes: dict[str, Any] | None = None,
    device: str | None = None,
) -> Predicted:
    """Write a mask for each image.

    Masks have the stem and the size of their images and the values that the training masks had, or where the model
    finds objects a number for each, whose class and score stand in `objects.csv`; PNG for images of the small formats,
    TIFF for TIFF and for values that no PNG holds, NIfTI for NIfTI, and NIfTI and a DICOM segmentation for DICOM. An
    image that cannot be read or predicted is reported in the record, and the rest goes on; so are files of formats that
    are not known. The file `ulna.json` beside the masks lists them, so that they are not taken for images later.

    Parameters
    ----------
    run
        A run's folder, a model file or a `Model`.
    images
        A file or several, a folder, a pattern (`scans/*.tif`), an archive or a data set.
    out
        The folder for the masks.
    cases, except_
        Names of the cases of a data set to predict, and of those to leave out, or text files with one per line; see
        `ulna.caselist`.
    probabilities
        Whether float TIFFs with one channel per class are written, too.
    overlay
        Whether pictures of the images with outlines and a legend are written, too.
    outlines
        The programs that outlines of the objects are written for: "imagej" (a zip of regions for the ROI Manager of
        ImageJ and Fiji), "geojson" (QuPath) or "coco" (one file for all images). Of a model of classes those of their
        connected regions.
    region
        The part of each image that is predicted, "0:512,1024:2048": rows before columns (of volumes planes first), the
        first pixel and the last one plus one. The mask says where it lies.
    level
        Of images with a pyramid, at which resolution: 0 is the full one, and pixels of regions are those of the level.
    format_
        The format of the masks, "tif", "zarr", "nii.gz", "nrrd", "mha" or "png", in place of that which suits each
        image.
    overwrite
        Whether masks that are there may be replaced.
    resume
        Whether an earlier prediction that was stopped is gone on with: masks that are there stay, if the same model has
        made them in the same way, and what is kept of a large image counts.
    part
        "3/8": only every eighth image, from the third one on. So several processes, or the jobs of an array, predict
        into one folder.
    cluster
        The address of a Dask cluster, "tcp://node1:8786", whose workers predict: an image each, and the bands of a
        large one. They see the same folders as this process. Or the file that `dask scheduler --scheduler-file` writes.
    changes
        Settings of `inference`, `{"inference.mirror": True}`, in place of those of the training.
    device
        Where a run is loaded, see `ulna.load`.

    Returns
    -------
    Predicted
        The files, and what was not predicted.

    Raises
    ------
    UlnaError
        When there is nothing to predict, when files are in the way and `overwrite` is False, where `out` cannot be
        written, and where the cluster or its workers are gone.

    Examples
    --------
    >>> done = ulna.predict("run", "cells", out="masks")
    >>> done.complete, done.masks[0].name
    (True, 'cells_000.png')
    """
    if device is not None and isinstance(run, Model):
        raise UlnaError("this model is on a device already", where="device", hint="Name it when you load the model.")
    if not isinstance(run, str | Path | Model):
        raise UlnaError(f"{type(run).__name__} is no run", where="run", hint="Give a run's folder, or ulna.load(RUN).")
    model = run if isinstance(run, Model) else load(run, device=device)
    model = model.changed(changes) if changes else model
    engine = model.engine
    folder = Path(out)
    if cluster and (part or isinstance(run, Model)):
        what = "one process asks a cluster, for all images" if part else "workers load the model from its file"
        raise UlnaError(what, where="cluster", hint="Leave the part away." if part else "Give the run's folder.")
    beside = Asked(
        probabilities=probabilities,
        overlay=overlay,
        outlines=(outlines,) if isinstance(outlines, str) else tuple(outlines),
        overwrite=overwrite,
        shared=bool(part or cluster),
        resume=resume,
    )
    extras = Extras(folder, beside, ndim=model.config.network.ndim, slices=model.config.data.slices or 0)
    data = model.config.data
    found = find(images, channels=model.channels, choosing=bool(data.use_channels), patterns=Patterns.of(data))
    box = as_region(region) if isinstance(region, str) else tuple((int(first), int(last)) for first, last in region)
    jobs = _jobs(found.cases, model, cases, except_, as_mask_suffix(format_) if format_ else "")
    if box or level:
        if outlines:
            what = "outlines are of whole images at their full resolution"
            raise UlnaError(what, where="--outlines", hint="Leave it, or --region and --level, away.")
        jobs = [replace(job, frames=tuple(_cut(frame, box, level) for frame in job.frames)) for job in jobs]
    _check_apart(folder, jobs)
    jobs = jobs[_every(part)]
    by = made_by(model, box, level)
    before = _made_before(folder, jobs, by, extras) if resume else []
    stayed = [job for job in jobs if target_of(folder, job) in before]
    jobs = [job for job in jobs if target_of(folder, job) not in before]
    _check_free(folder, jobs, overwrite=overwrite or resume)
    marked = (folder / MARK).exists()
    values = {} if model.task.finds_objects else model.classes.written_values()
    _make(folder, jobs, extras, values, by, resume=resume)
    done: dict[Path, Outcome] = {}
    if cluster and jobs and not isinstance(run, Model):
        place = Path(run)
        outcomes = predicted(
            cluster, place, model, jobs, folder, beside, changes=changes or {}, device=device, extras=extras
        )
    else:
        outcomes = _here(model, jobs, folder, extras)
    try:
        for job, outcome in outcomes:
            done[target_of(folder, job)] = outcome
    finally:  # also where it is stopped: the masks that are there are listed
        counts = [one.objects for one in done.values() if one.objects is not None]
        extras.close(objects=bool(counts))
        made = [job for job in jobs if (one := done.get(target_of(folder, job))) and one.written]
        _made(folder, made, extras, values, by)
    masks = [target_of(folder, job) for job in made]
    ended = [(job.name, done[target_of(folder, job)]) for job in jobs]
    failed = [(name, one.failure) for name, one in ended if one.failure]
    notes = [*masks_of_data(found.cases), *left_out(found.left_out), *filter(None, [model.saved.short])]
    notes += [note for _, one in ended for note in one.notes]
    for job in stayed:  # it was stopped between the two
        if all(path.exists() for path in segmentations(folder, [job])):
            continue
        try:
            notes += make_segmentations(model, job, folder)
        except WriteError:
            raise
        except UlnaError as error:
            failed.append((job.name, str(error)))
    if not masks and not marked and not part:
        (folder / MARK).unlink()
    if before:
        notes.append(f"{plural(len(before), 'mask')} of the prediction that is gone on with stayed as they are")
    if box:
        notes.append(AS_IF_ALONE)
    if counts:
        notes.append(f"{plural(sum(counts), 'object')}: their classes and scores are in {OBJECT_LIST}")
    return Predicted(folder, tuple(masks), tuple(failed), found.passed_over, found.own, tuple(notes), str(engine))


def _here(model: Model, jobs: Sequence[Job], folder: Path, extras: Extras) -> Iterator[tuple[Job, Outcome]]:
    """The masks made by this process, one after the other."""
    if len(jobs) == 1:
        yield jobs[0], make(model, jobs[0], folder, extras=extras, progress=track)
        return
    for job, tiles in track_parts(jobs, "predicting"):
        yield job, make(model, job, folder, extras=extras, progress=tiles)


def _jobs(
    found: Sequence[Case], model: Model, cases: Names | None, except_: Names | None, asked: str = ""
) -> list[Job]:
    """A job for each file, with all frames of a film of planes; or for each of the cases that are named.

    Its suffix is the one that is asked for, or suits its image.
    """
    # values beyond 16 bits, or below 0, are no pixels of a PNG
    wide = model.classes.to_values(np.zeros((1, 1, 1), np.uint8)).dtype.itemsize > 2

    def job(name: str, frames: Sequence[Case]) -> Job:
        suffix = asked or mask_suffix(frames[0].images[0])
        if asked == ".png" and (wide or len(frames) > 1 or _is_volume(frames[0])):
            what = f"no PNG holds the {'values' if wide else 'planes'} of the mask of {name}"
            raise UlnaError(what, where="--format", hint="Name tif, or leave --format away.")
        return Job(name, tuple(frames), ".tif" if wide and suffix == ".png" else suffix)

    if cases is not None or except_ is not None:
        stated = model.config.data.groups
        return [job(case.name, [case]) for case in _chosen(found, stated, cases, except_)]
    films: dict[Source, list[Case]] = {}
    for case in found:
        films.setdefault(replace(case.images[0], page=None), []).append(case)
    return [job(_name(frames), frames) for frames in films.values()]


def _is_volume(case: Case) -> bool:
    """Whether an image has several planes; False of what cannot be read, which predicting it says."""
    try:
        with open_reader(case.images[0]) as reader:
            return reader.grid.ndim > 2
    except UlnaError:
        return False


def _cut(case: Case, region: tuple[tuple[int, int], ...], level: int) -> Case:
    return replace(case, images=tuple(replace(source, region=region, level=level) for source in case.images))


def _chosen(found: Sequence[Case], stated: str, cases: Names | None, except_: Names | None) -> tuple[Case, ...]:
    """The cases that are named, by their own names or by those of groups as in training: stated, or found in names.

    A table of groups that is no longer there is missed where a name is not that of a case.
    """
    try:
        groups = decide(found, stated, complete=False).groups
    except UlnaError as error:
        alone = Dataset(tuple(replace(case, group=case.name) for case in found), "")
        try:
            return choose(alone, cases, except_).cases
        except UlnaError:
            raise error from None
    grouped = tuple(replace(case, group=group) for case, group in zip(found, groups, strict=True))
    return choose(Dataset(grouped, ""), cases, except_).cases


def _name(frames: Sequence[Case]) -> str:
    """The case's name; for a film of planes that without the number of the frame."""
    first, frame = frames[0].name, frames[0].images[0].page
    return first if frame is None else first.removesuffix(f"_{frame:04d}")


def _check_apart(folder: Path, jobs: Sequence[Job]) -> None:
    targets = [target_of(folder, job) for job in jobs]
    same: dict[str, list[str]] = {}
    for target, job in zip(targets, jobs, strict=True):
        # Windows and macOS take `A.png` and `a.png` for one file.
        same.setdefault(str(target).casefold(), []).append(str(job.frames[0].images[0]))
    several = next((images for images in same.values() if len(images) > 1), None)
    if several:
        raise UlnaError(
            f"two images would have their masks in one file: {several[0]} and {several[1]}",
            where=folder,
            hint="Rename one of the images, or predict them in two calls with an --out for each.",
        )


def _check_free(folder: Path, jobs: Sequence[Job], *, overwrite: bool) -> None:
    targets = [target_of(folder, job) for job in jobs]
    inputs = {
        os.path.realpath(part.path)  # unlike Path.resolve it says nothing of links in a circle: reading them does
        for job in jobs
        for frame in job.frames
        for source in frame.images
        for part in source.parts
        if not source.inside
    }
    lost = [path for path in (*targets, *segmentations(folder, jobs)) if os.path.realpath(path) in inputs]
    if lost:
        raise UlnaError(
            "the masks would be written over the images themselves", where=lost[0], hint="Name another --out."
        )
    there = [path for path in (*targets, *segmentations(folder, jobs)) if path.exists()]
    if there and not overwrite:
        raise UlnaError(
            f"{len(there)} of the masks are there already, {there[0].name} for one",
            where=folder,
            hint="Name another --out, or add --resume to go on with them, or --overwrite.",
        )


def _every(part: str) -> slice:
    """Which jobs are those of a part, "3/8"; "" is all."""
    if not part:
        return slice(None)
    number, _, count = part.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        what = f"'{part}' is no part"
        raise UlnaError(what, where="--part", hint="3/8 is the third of eight parts, and 8/8 the last one.")
    return slice(int(number) - 1, None, int(count))


def _made_before(folder: Path, jobs: Sequence[Job], by: str, extras: Extras) -> list[Path]:
    """The masks of these jobs that are there already, with all that was asked for beside them."""
    there = [job for job in jobs if target_of(folder, job).exists()]
    known = makers_of(folder)
    other = [job.name for job in there if known.get(_mask(folder, job)) != made_of(by, job.frames)]
    if other:
        what = (
            "masks that are there were not made by this model in this way, or not of these images as they are now, as "
            f"far as is known: {listed(other)}"
        )
        raise UlnaError(what, where=folder, hint="Name another --out, or add --overwrite in place of --resume.")
    done = [job for job in there if extras.complete(job.frames)]
    for job in done:
        shutil.rmtree(kept_beside(target_of(folder, job)), ignore_errors=True)  # it was killed when the mask was there
    return [target_of(folder, job) for job in done]


def _make(folder: Path, jobs: Sequence[Job], extras: Extras, classes: dict[int, str], by: str, *, resume: bool) -> None:
    """Make the folder, with the mark by which its files are later known to be no images."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_write(error, folder) from None
    masks = {_mask(folder, job): file_of(job.frames[0].images) for job in jobs}
    makers = {_mask(folder, job): made_of(by, job.frames) for job in jobs}
    beside = [path.relative_to(folder).as_posix() for path in segmentations(folder, jobs)]
    pictures = [*extras.files(frame for job in jobs for frame in job.frames), *beside]
    before = makers_of(folder)
    there = {mask for mask in masks if (folder / mask).exists() and before.get(mask) != makers[mask]}
    if resume:
        remove_partial([folder / name for name in (*masks, *pictures)])
    with extras.alone:
        # those that are there are unmarked until they are replaced, see `_made`
        mark(folder, masks, pictures, classes=classes, by={mask: makers[mask] for mask in masks if mask not in there})


def _made(folder: Path, jobs: Sequence[Job], extras: Extras, classes: dict[int, str], by: str) -> None:
    """Note what has made these masks, which may have replaced others."""
    masks = {_mask(folder, job): file_of(job.frames[0].images) for job in jobs}
    makers = {_mask(folder, job): made_of(by, job.frames) for job in jobs}
    if not makers.items() <= makers_of(folder).items():
        with extras.alone:
            mark(folder, masks, (), classes=classes, by=makers)


def _mask(folder: Path, job: Job) -> str:
    """How the folder's mark names a mask."""
    return target_of(folder, job).relative_to(folder).as_posix()
