"""`objects.csv` beside masks that number objects: the class of each object, and how sure the model is of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ulna.errors import ReadError
from ulna.formats.atomic import atomic_write

NAME = "objects.csv"
COLUMNS = ("image", "object", "class", "score")


@dataclass(frozen=True)
class Listed:
    """One object: the name of its mask without suffix, its number and class, and the model's score or NaN."""

    image: str
    number: int
    name: str
    score: float


@dataclass(frozen=True)
class ObjectList:
    """The classes of objects, by image and number; empty where no list is known."""

    classes: Mapping[str, Mapping[int, str]] = field(default_factory=dict)

    @classmethod
    def beside(cls, masks: object) -> ObjectList:
        """The list in a folder of masks, or beside a mask; empty where there is none.

        Parameters
        ----------
        masks
            As `find` takes places.

        Returns
        -------
        ObjectList

        Raises
        ------
        ReadError
            For a file of this name that is no such list.
        """
        first = masks[0] if isinstance(masks, list | tuple) and masks else masks
        if not isinstance(first, str | Path):
            return cls()
        place = Path(first)
        path = place / NAME if place.is_dir() else place.parent / NAME
        return cls.read(path) if path.is_file() else cls()

    @classmethod
    def read(cls, path: Path) -> ObjectList:
        """Read a list.

        Parameters
        ----------
        path
            The file.

        Returns
        -------
        ObjectList

        Raises
        ------
        ReadError
            Where columns are missing, a number is none, or one object is listed twice.
        """
        found: dict[str, dict[int, str]] = {}
        try:
            rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8-sig"))))
            for row in rows:
                own = found.setdefault(row["image"], {})
                number = int(row["object"])
                if number in own:
                    raise ReadError(f"lists the object {number} of {row['image']} twice", where=path)
                own[number] = row["class"]
        except (KeyError, ValueError, TypeError, OSError, csv.Error) as error:
            what = f"is no list of objects with the columns {', '.join(COLUMNS)} ({type(error).__name__}: {error})"
            raise ReadError(what, where=path) from error
        return cls(found)

    def classes_of(self, image: str, objects: npt.NDArray[np.int32]) -> tuple[npt.NDArray[np.uint8], tuple[str, ...]]:
        """Class indices of the pixels of objects, and their names, the background first.

        Parameters
        ----------
        image
            The name of the mask.
        objects
            (*spatial) numbers.

        Returns
        -------
        ndarray of uint8, tuple of str
            (*spatial), and the names. Objects that are not listed are of the class "object".

        Raises
        ------
        ReadError
            For more than 254 classes.
        """
        own = self.classes.get(image, {})
        present = [int(number) for number in np.unique(objects[objects > 0])]
        names = list(dict.fromkeys(own.get(number, "object") for number in present))
        if len(names) > 254:
            raise ReadError(f"{len(names)} classes of objects are too many", where=image)
        table = np.zeros(max(present, default=0) + 1, np.uint8)
        for number in present:
            table[number] = 1 + names.index(own.get(number, "object"))
        return table[objects], ("background", *(names or ["object"]))


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
        beside.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for one in objects:
            score = "" if np.isnan(one.score) else f"{one.score:.4f}"
            writer.writerow((one.image, one.number, one.name, score))
