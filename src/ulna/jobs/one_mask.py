"""`Job` and `make`: one file of masks out of one image or film, whoever makes it: this process or a worker."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ulna.dataset import Case, Progress
from ulna.errors import ClusterError, UlnaError, WriteError
from ulna.formats import create, write
from ulna.formats.dicom import is_slide
from ulna.jobs.assumptions import assumed
from ulna.jobs.by_region import film_grid, is_large, stream, streams, write_large
from ulna.jobs.extras import Extras, listed_objects
from ulna.jobs.segmentation import is_dicom, segmentation_beside
from ulna.model import Model
from ulna.objectlist import Listed


@dataclass(frozen=True)
class Job:
    """One mask to make: its name and suffix, and its cases: one, or one per frame of a film."""

    name: str
    frames: tuple[Case, ...]
    suffix: str


@dataclass(frozen=True)
class Outcome:
    """What became of a job.

    Parameters
    ----------
    written
        Whether its mask is there.
    objects
        How many objects it has; None where the model finds none.
    notes
        What is to be said of it.
    failure
        What could not be done, and why.
    """

    written: bool = False
    objects: int | None = None
    notes: tuple[str, ...] = ()
    failure: str = ""


def target_of(folder: Path, job: Job) -> Path:
    """The file of a mask."""
    return folder / f"{job.name}{job.suffix}"


def segmentations(folder: Path, jobs: Sequence[Job]) -> list[Path]:
    """The DICOM segmentations beside the masks of whole DICOM images; films and slides have none."""
    sources = {job.name: job.frames[0].images[0] for job in jobs if len(job.frames) == 1}
    return [
        folder / f"{name}.dcm"
        for name, source in sources.items()
        if is_dicom(source) and not (source.region or source.level or is_slide(source))
    ]


def make_segmentations(model: Model, job: Job, folder: Path) -> list[str]:
    """Write the DICOM segmentations beside a mask that is there; returns why one was not written."""
    mask, source, objects = target_of(folder, job), job.frames[0].images[0], model.task.finds_objects
    made = [
        segmentation_beside(mask, beside, source, model.classes, objects=objects)
        for beside in segmentations(folder, [job])
    ]
    return [note for notes in made for note in notes]


def is_kept(model: Model, job: Job, extras: Extras) -> bool:
    """Whether what is computed of an image is kept on the disk until its mask is whole."""
    return extras.pixelwise and is_large(model, job.frames, job.suffix)


def make(
    model: Model,
    job: Job,
    folder: Path,
    *,
    extras: Extras,
    ahead: Callable[[], Iterable[str]] = tuple,
    progress: Progress,
) -> Outcome:
    """Write the mask of a job, and what was asked for beside it.

    Parameters
    ----------
    model
        Ready to predict.
    job
        The image or film.
    folder
        That of the masks.
    extras
        Writes what was asked for, and takes down the objects before the mask appears.
    ahead
        Of a large image, has others compute a part of it: see `ulna.jobs.by_region.write_large`.
    progress
        Shows how far it is.

    Returns
    -------
    Outcome
        Of an image that cannot be predicted its reason.

    Raises
    ------
    WriteError, ClusterError
        Where masks cannot be written, or nobody computes any more: the next one could not be either.
    """
    counts, notes, failure, written = list[int](), list[str](), "", False

    def listing(objects: list[Listed] | None) -> None:
        extras.predicted(job.name, objects)
        if objects is not None:
            counts.append(len(objects))

    path = target_of(folder, job)
    try:
        notes += _write(model, job, path, listing, extras=extras, ahead=ahead, progress=progress)
        written = True
        notes += make_segmentations(model, job, folder)
        notes += assumed(job.frames[0], job.name, model.config.data)
    except (WriteError, ClusterError):
        raise
    except UlnaError as error:
        failure = str(error)
    except MemoryError:
        failure = "the memory of this machine does not hold it"
    return Outcome(written, sum(counts) if counts else None, tuple(notes), failure)


def _write(
    model: Model,
    job: Job,
    target: Path,
    listing: Callable[[list[Listed] | None], None],
    *,
    extras: Extras,
    ahead: Callable[[], Iterable[str]],
    progress: Progress,
) -> list[str]:
    """Predict a file, by region where that gives the same, else by frame; returns what is to be said of its mask.

    Its objects are listed before it appears.
    """
    first, *others = job.frames
    if is_kept(model, job, extras):
        return write_large(model, first, target, found=listing, ahead=ahead, progress=progress)
    if extras.pixelwise and streams(model, job.frames):
        listing(None)
        stream(model, job.frames, target, progress=progress)
        return []
    found = extras.predict(model, first, target, after=0, progress=progress)
    if not others:
        listing(listed_objects(job.name, found))
        write(target, found.to_image(), labels=True)
        return []
    mask = found.to_image(wide=True)  # how many objects the film has is known at its end
    grid = film_grid(first, len(job.frames), mask.shape)
    objects, several = 0, listed_objects(job.name, found)
    with create(target, grid, dtype=mask.array.dtype, channels=mask.channels, labels=True) as writer:
        for number, frame in enumerate(job.frames):
            if number:
                found = extras.predict(model, frame, target, after=objects, progress=progress)
                if several is not None:
                    several += listed_objects(job.name, found) or ()
            if found.shape != grid.shape[1:]:
                raise UlnaError("its frames differ in size, and one file holds frames of one size", where=frame.name)
            objects = max(objects, int(found.objects.max(initial=0)) if found.objects is not None else 0)
            part = (slice(number, number + 1), *(slice(0, n) for n in found.shape))
            writer.write(part, found.to_image(wide=True).array[:, None])
        listing(several)
    return []
