"""What `predict` writes beside the masks: probabilities, pictures, outlines, and the list of objects."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from filelock import FileLock
from skimage.measure import label

from ulna.channels import pick
from ulna.dataset import Case, Progress, load_image
from ulna.errors import UlnaError
from ulna.formats import mask_suffix, open_reader, write
from ulna.formats.outlines import COCO_FILE, OutlineWriter
from ulna.grid import Grid
from ulna.image import Image
from ulna.model import Model
from ulna.objectlist import NAME as OBJECT_LIST
from ulna.objectlist import Journal, Listed, check_list
from ulna.orientation import orientation
from ulna.prediction import Prediction

OVERLAYS, PROBABILITIES, OUTLINES = "overlays", "probabilities", "outlines"
"""The folders beside the masks for pictures of them on the images, for the probabilities of the classes, and for the
outlines of objects."""


LOCK = ".ulna.lock"
"""The file by which processes that write into one folder wait for each other."""


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Wait for the other processes of a folder."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        lock.acquire()
    except (OSError, NotImplementedError) as error:
        what = f"this drive has no locks, by which processes wait for each other ({error})"
        raise UlnaError(what, where=path.parent, hint="Give each process an --out of its own.") from error
    try:
        yield
    finally:
        lock.release()


@dataclass(frozen=True)
class Asked:
    """What is asked for beside the masks, and how.

    Parameters
    ----------
    probabilities, overlay
        Whether these are written.
    outlines
        The programs that outlines are written for.
    overwrite
        Whether outlines of other images may be replaced.
    shared
        Whether other processes write into this folder at the same time.
    resume
        Whether an earlier prediction is gone on with.
    """

    probabilities: bool = False
    overlay: bool = False
    outlines: tuple[str, ...] = ()
    overwrite: bool = False
    shared: bool = False
    resume: bool = False


class Extras:
    """Writes what was asked for beside the masks.

    Parameters
    ----------
    folder : Path
        That of the masks.
    asked : Asked
        What is written.
    ndim : int
        The spatial axes that the network sees.
    slices : int
        Of volumes, the axis that their planes follow on.

    Raises
    ------
    UlnaError
        For a program that is not known, outlines of volumes, files in the way, and a list of objects that is none.
    """

    def __init__(self, folder: Path, asked: Asked, *, ndim: int, slices: int = 0) -> None:
        self._folder = folder
        self._slices = slices
        self._asked = asked
        self._outlines = OutlineWriter(folder / OUTLINES, asked.outlines)
        self._shared = asked.shared or (folder / LOCK).exists()
        self._journal = Journal(folder / OBJECT_LIST)
        self._predicted = False
        if folder.is_dir():
            with self.alone:
                self._journal.close(create=False)  # that of a process that was killed
        if (folder / OBJECT_LIST).exists():
            check_list(folder / OBJECT_LIST)  # what is none is said before anything is predicted
        if asked.outlines and ndim > 2:
            raise UlnaError("outlines are of planes, and this model finds volumes", hint="Leave --outlines away.")
        if "coco" in asked.outlines and (asked.shared or asked.resume):
            what = "outlines for COCO are one file for all images, and this is a part of them"
            hint = "Write GeoJSON or ImageJ's, or predict all images at once."
            raise UlnaError(what, where="--outlines", hint=hint)
        coco = folder / OUTLINES / COCO_FILE
        if "coco" in asked.outlines and coco.exists() and not asked.overwrite:
            what = "earlier outlines are here already, and one file holds those of all images"
            raise UlnaError(what, where=coco, hint="Name another --out, or add --overwrite.")

    @property
    def alone(self) -> AbstractContextManager[None]:
        """Within it no other process writes what all have in common."""
        return _locked(self._folder / LOCK) if self._shared else nullcontext()

    @property
    def pixelwise(self) -> bool:
        """Whether nothing is asked for that needs an image as a whole."""
        return not (self._asked.probabilities or self._asked.overlay or self._outlines.programs)

    def files(self, cases: Iterable[Case]) -> list[str]:
        """What may be written for these cases, as paths within the folder."""
        made = []
        for case in cases:
            made.append(f"{PROBABILITIES}/{case.name}{_whole_suffix(case)}")
            made.append(f"{OVERLAYS}/{case.name}.png")
            if self._asked.outlines:  # how many planes it has only the image says
                for name in _plane_names(case, _planes_along(case, self._slices)):
                    made += [f"{OUTLINES}/{file}" for file in self._outlines.files(name)]
        return made

    def complete(self, frames: Sequence[Case]) -> bool:
        """Whether what was asked for is there of an image, or of all frames of a film."""
        wanted = {
            PROBABILITIES: self._asked.probabilities,
            OVERLAYS: self._asked.overlay,
            OUTLINES: bool(self._outlines.programs),
        }
        files = [name for name in self.files(frames) if wanted[name.partition("/")[0]]]
        return all((self._folder / name).exists() for name in files)

    def predict(self, model: Model, case: Case, target: Path, *, after: int, progress: Progress) -> Prediction:
        """The mask of an image, a volume or a frame; what else was asked for is written at once.

        Parameters
        ----------
        model
            Ready to predict.
        case
            The image, volume or frame.
        target
            The file of the mask, which is written later.
        after
            So many objects lie on the frames before.
        progress
            Shows how far it is.

        Returns
        -------
        Prediction
            Its objects numbered after those before.

        Raises
        ------
        UlnaError
            For more objects than the file of the mask can number; then nothing is written.
        """
        use = model.config.data.use_channels
        image = load_image(case, channels=0 if use else model.channels)
        if self._asked.probabilities:
            found, per_class = model.mask_and_probabilities(image, progress=progress)
            found.check_fits(target)
            write(self._folder / PROBABILITIES / f"{case.name}{_whole_suffix(case)}", per_class)
        else:
            found = model.predict(image, progress=progress)
            found.check_fits(target)
        found = replace(found, labels=found.labels.numbered_after(after))
        if self._asked.overlay:
            picture = found.overlay(pick(image, model.config.data)[0])
            write(self._folder / OVERLAYS / f"{case.name}.png", Image(np.moveaxis(picture, -1, 0)))
        if self._outlines.programs:
            for name, plane in self._planes(case, found):
                numbers, classes = _outlined(plane)
                self._outlines.add(name, numbers, classes, image=_image_name(case, name))
        return found

    def _planes(self, case: Case, found: Prediction) -> Iterator[tuple[str, Prediction]]:
        """Name and mask of each plane of a volume; of an image it itself."""
        if found.ndim == 2:
            yield case.name, found
            return
        axis = _slices(found.grid, self._slices)
        for place, name in enumerate(_plane_names(case, found.shape[axis])):
            yield name, replace(found, labels=found.labels.plane(place, axis))

    def predicted(self, name: str, objects: Sequence[Listed] | None) -> None:
        """Take down the objects of a mask, before it appears: none has objects that are lost with this process.

        Of a model that finds no objects they are None.
        """
        self._predicted = True
        with self.alone:
            self._journal.add(name, objects or ())

    def close(self, *, objects: bool) -> None:
        """Write what is one file for all images: of the list of objects what it said of other masks stays.

        Parameters
        ----------
        objects
            Whether the list is wanted, though there may be none.
        """
        if self._predicted:
            self._outlines.close()
        with self.alone:
            self._journal.close(create=objects)


def listed_objects(name: str, found: Prediction) -> list[Listed] | None:
    """The lines of the list of objects for a mask of this name; None where the model finds none."""
    if found.objects is None:
        return None
    scores = found.object_scores
    return [Listed(name, number, of, scores.get(number, math.nan)) for number, of in found.object_classes.items()]


def _image_name(case: Case, name: str) -> str:
    """The file of an image with the folders that its name has, of a frame or plane its name: no two share it."""
    source = case.images[0]
    if source.frame is not None or name != case.name:
        return f"{name}{source.suffix}"
    return (PurePosixPath(case.name).parent / source.name).as_posix()


def _plane_names(case: Case, count: int) -> list[str]:
    """What the planes of a case are called; an image has its own name."""
    return [f"{case.name}_{place:04d}" for place in range(count)] if count > 1 else [case.name]


def _planes_along(case: Case, axis: int) -> int:
    """How many planes a volume has along an axis; 1 for an image, and for what cannot be opened: that is said later."""
    try:
        with open_reader(case.images[0]) as reader:
            return reader.grid.shape[_slices(reader.grid, axis)] if reader.grid.ndim == 3 else 1
    except UlnaError:
        return 1


def _slices(grid: Grid, axis: int) -> int:
    """The axis that planes follow on, of a volume as its file has it."""
    return orientation(grid).order[axis]


def _whole_suffix(case: Case) -> str:
    """The suffix of files with numbers that no PNG holds, on the grid of the image."""
    suffix = mask_suffix(case.images[0])
    return ".tif" if suffix == ".png" else suffix


def _outlined(mask: Prediction) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """What is outlined: the objects, or the connected regions of each class; and the class of each."""
    if mask.objects is not None:
        return mask.objects.astype(np.int64), mask.object_classes
    numbers = np.asarray(label(mask.labels.classes, connectivity=1), np.int64)  # type: ignore[no-untyped-call]
    present, places = np.unique(numbers, return_index=True)
    names = mask.labels.classes.ravel()[places]
    return numbers, {int(n): mask.classes[k] for n, k in zip(present, names, strict=True) if n}
