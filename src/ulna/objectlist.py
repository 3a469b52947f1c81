"""`objects.csv` beside masks that number objects: the class of each object, and how sure the model is of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from ulna.errors import ReadError, UlnaError
from ulna.formats.archive import members, opened
from ulna.formats.atomic import atomic_write, writing
from ulna.formats.outlines.annotation import NAMELESS
from ulna.image import MAX_CLASSES, Source
from ulna.numbering import consecutive
from ulna.text import listed, plural

NAME = "objects.csv"
COLUMNS = ("image", "object", "class", "score")


@dataclass(frozen=True)
class Listed:
    """One object: the name of its mask without suffix, its number and class, and the model's score or NaN."""

    image: str
    number: int
    name: str
    score: float


def read_list(source: Source) -> tuple[Listed, ...]:
    """Read a list.

    Parameters
    ----------
    source
        The file, maybe within an archive.

    Returns
    -------
    tuple of Listed
        In the order of its lines.

    Raises
    ------
    ReadError
        Where columns are missing, a number is none, or one object is listed twice.
    """
    found: dict[tuple[str, int], Listed] = {}
    try:
        with opened(source) as stream:
            text = stream.read().decode("utf-8-sig")
        for row in csv.DictReader(io.StringIO(text, newline="")):
            one = Listed(row["image"], int(row["object"]), row["class"] or NAMELESS, float(row.get("score") or "nan"))
            if (one.image, one.number) in found:
                raise ReadError(f"lists the object {one.number} of {one.image} twice", where=source)
            found[one.image, one.number] = one
    except (KeyError, ValueError, TypeError, csv.Error) as error:
        what = f"is no list of objects with the columns {', '.join(COLUMNS)} ({type(error).__name__}: {error})"
        raise ReadError(what, where=source, hint="Rename it if it is something else.") from error
    return tuple(found.values())


def check_list(path: Path) -> None:
    """Raise ReadError for a file that is no list, by its first line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            names = next(csv.reader(file), [])
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ReadError(f"cannot be read as a list of objects ({error})", where=path) from error
    if missing := [name for name in COLUMNS[:3] if name not in names]:
        what = f"is no list of objects: the columns {listed(missing)} are missing"
        raise ReadError(what, where=path, hint="Rename it if it is something else.")


@dataclass(frozen=True)
class ObjectLists:
    """The lists of masks: each is looked for beside its mask, and in the folders above.

    A list in the mask's own folder must be one; what has this name further up may be something else. Lists name masks
    by their paths from the list on, without suffix, as `ulna predict` writes them.
    """

    _known: dict[Source, dict[str, dict[int, str]] | ReadError] = field(default_factory=dict)

    def classes(self, mask: Source) -> Mapping[int, str] | None:
        """The classes of the objects of a mask.

        Parameters
        ----------
        mask
            Its file, or a page of it.

        Returns
        -------
        mapping of int to str, or None
            The class of each object that is listed; None where there is no list at all.

        Raises
        ------
        ReadError
            For a file beside the mask that is no list.
        """
        there = False
        for depth, (place, name) in enumerate(_places(mask)):
            own = self._listed(place, strict=depth == 0)
            if name in own:
                return own[name]
            there = there or bool(own)
        return {} if there else None

    def _listed(self, place: Source, *, strict: bool) -> dict[str, dict[int, str]]:
        """What a file lists, by masks; nothing where there is none."""
        if place not in self._known:
            self._known[place] = _by_mask(place)
        found = self._known[place]
        if not isinstance(found, ReadError):
            return found
        if strict:
            raise found
        return {}


def class_maps(
    objects: npt.NDArray[np.integer], classes: Mapping[int, str]
) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
    """Class indices of the pixels of objects, and their names, the background first.

    Parameters
    ----------
    objects
        (*spatial) numbers.
    classes
        The class of each number; others are of the class "object".

    Returns
    -------
    ndarray of uint8, tuple of str
        (*spatial), and the names.

    Raises
    ------
    UlnaError
        For more than 254 classes.

    Examples
    --------
    >>> class_maps(np.array([[0, 1, 9]]), {9: "nucleus"})
    (array([[0, 1, 2]], dtype=uint8), ('background', 'object', 'nucleus'))
    """
    numbers, places = consecutive(objects)
    own = [classes.get(int(number), NAMELESS) for number in numbers]
    names = list(dict.fromkeys(own)) or [NAMELESS]
    if len(names) > MAX_CLASSES - 1:
        raise UlnaError(f"its objects are of {len(names)} classes, and {MAX_CLASSES - 1} can be told apart")
    indices = {name: index for index, name in enumerate(names, start=1)}
    return np.array([0, *(indices[name] for name in own)], np.uint8)[places], ("background", *names)


def class_indices(
    objects: npt.NDArray[np.integer], classes: Mapping[int, str], names: Sequence[str]
) -> npt.NDArray[np.uint8]:
    """Class indices of the pixels of objects, in the order of the classes of a data set.

    Parameters
    ----------
    objects
        (*spatial) numbers.
    classes
        The class of each number.
    names
        The classes of the data set, the background first.

    Returns
    -------
    ndarray of uint8
        (*spatial).

    Raises
    ------
    UlnaError
        For objects that are not listed, or of a class that is not among the names.

    Examples
    --------
    >>> class_indices(np.array([[0, 1, 9]]), {1: "cell", 9: "nucleus"}, ("background", "nucleus", "cell"))
    array([[0, 2, 1]], dtype=uint8)
    """
    numbers, places = consecutive(objects)
    missing = [int(number) for number in numbers if int(number) not in classes]
    if missing:
        raise UlnaError(f"{NAME} does not list {plural(len(missing), 'object')} of this mask: {listed(missing)}")
    own = [classes[int(number)] for number in numbers]
    strange = [name for name in own if name not in names[1:]]
    if strange:
        what = f"{NAME} says that objects are of the class '{strange[0]}', the classes are {', '.join(names)}"
        raise UlnaError(what, hint="Correct the list, or name the classes as it does with data.classes.")
    return np.array([0, *(names.index(name) for name in own)], np.uint8)[places]


def _places(mask: Source) -> Iterator[tuple[Source, str]]:
    """Where the list of a mask may be, and how it names the mask; the nearest place first."""
    path = PurePosixPath(mask.inside[-1].replace("\\", "/")) if mask.inside else mask.path.absolute()
    for folder in path.parents:
        name = path.relative_to(folder).as_posix()
        name = name[: len(name) - len(mask.suffix)]  # `.nii.gz` is one
        if mask.inside:
            yield Source(mask.path, (*mask.inside[:-1], (folder / NAME).as_posix())), name
        else:
            yield Source(Path(folder / NAME)), name


def _by_mask(place: Source) -> dict[str, dict[int, str]] | ReadError:
    found: dict[str, dict[int, str]] = {}
    try:
        for one in read_list(place) if _exists(place) else ():
            found.setdefault(one.image, {})[one.number] = one.name
    except ReadError as error:
        return error
    return found


def _exists(place: Source) -> bool:
    if not place.inside:
        return place.path.is_file()
    return place.inside[-1] in members(Source(place.path, place.inside[:-1]))


def write_list(path: Path, objects: Iterable[Listed]) -> None:
    """Write a list atomically.

    Parameters
    ----------
    path
        The file.
    objects
        In the order of their lines.

    Raises
    ------
    WriteError
        Where it cannot be written.
    """
    with (
        atomic_write(path) as beside,
        beside.open("w", encoding="utf-8", newline="", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows(map(_line, objects))


@dataclass
class Journal:
    """What is added to a list while its masks are made: safe at once, and part of the list at the end.

    A process that was killed leaves it, and whoever closes the journal next takes its lines into the list. Processes
    that write into one list at a time share it, and must wait for each other.

    Parameters
    ----------
    path
        The list.
    """

    path: Path

    @property
    def place(self) -> Path:
        """The file of the journal."""
        return self.path.with_name(f".{self.path.name}.part-new")

    def add(self, image: str, objects: Sequence[Listed]) -> None:
        """Take down the objects of a mask, in place of those that the list may name for it.

        Parameters
        ----------
        image
            The name of the mask without suffix.
        objects
            All of them; none where none was found.

        Raises
        ------
        WriteError
            Where the file cannot be written.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow((image, 0, "", ""))  # so that an image without objects is there, too
        writer.writerows(map(_line, objects))
        with (
            writing(self.path),
            self.place.open("a", encoding="utf-8", newline="", errors="backslashreplace") as file,
        ):
            file.write(text.getvalue())

    def close(self, *, create: bool = True) -> None:
        """Take all lines into the list, and remove the journal. Lines are copied one by one, for there may be millions.

        Parameters
        ----------
        create
            Whether a list is written where there is none and no object was found.

        Raises
        ------
        WriteError
            Where the list cannot be written.
        """
        if not self.place.exists():
            return
        first: dict[str, int] = {}  # where the last lines of each image begin: these count
        for number, row in enumerate(self._rows()):
            if row[1] == "0":
                first[row[0]] = number
        some = any(number > first.get(row[0], number) for number, row in enumerate(self._rows()))
        if some or self.path.exists() or create:
            with (
                atomic_write(self.path) as beside,
                beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
            ):
                writer = csv.writer(file)
                writer.writerow(COLUMNS)
                writer.writerows(row for row in _rows_of(self.path) if row[0] not in first)
                writer.writerows(row for number, row in enumerate(self._rows()) if number > first.get(row[0], number))
        self.place.unlink()

    def _rows(self) -> Iterator[list[str]]:
        """The whole lines: the last one may have been cut off, even within a letter."""
        with self.place.open("rb") as file:
            lines = (line.decode("utf-8") for line in file if line.endswith(b"\n"))
            yield from (row for row in csv.reader(lines) if len(row) == len(COLUMNS))


def _rows_of(path: Path) -> Iterator[list[str]]:
    """The lines of a list, in the order of `COLUMNS`."""
    if not path.exists():
        return
    with path.open(encoding="utf-8-sig", newline="") as file:
        for row in csv.DictReader(file):
            yield [row.get(name) or "" for name in COLUMNS]


def _line(one: Listed) -> tuple[str, int, str, str]:
    """A line of a list."""
    return one.image, one.number, one.name, "" if np.isnan(one.score) else f"{one.score:.4f}"
