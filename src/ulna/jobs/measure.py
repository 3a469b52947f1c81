"""`measure`: the objects of masks as a table: sizes, shapes, places, intensities, neighbors."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Group
from rich.markup import escape
from rich.table import Table as Lines
from scipy import ndimage
from skimage.measure import label

from ulna.console import Printed
from ulna.dataset import Case, Progress, load_image, quiet
from ulna.errors import ReadError, UlnaError
from ulna.figures.common import plane, to_rgb
from ulna.figures.objects import objects_overlay, sizes_picture
from ulna.formats import read, write
from ulna.image import Array, Image, Labels
from ulna.layouts import Place, find
from ulna.measurement import Table, measure_objects, together
from ulna.metrics.files import atomic_directory, check_free
from ulna.metrics.matching import match
from ulna.objectlist import ObjectList
from ulna.paths import expand_home
from ulna.text import plural

TABLE, OBJECTS, SIZES, PARQUET = "table.csv", "objects.png", "sizes.png", "table.parquet"
FILES = (TABLE, OBJECTS, SIZES, PARQUET)


@dataclass(frozen=True, repr=False)
class Measured(Printed):
    """The measurements of all objects; it prints itself.

    Parameters
    ----------
    table
        Columns of one length by their names, a value per object: what `pandas.DataFrame` takes.
    images
        How many masks were measured.
    notes
        What is to be known about them.
    folder
        Where `table.csv` and the pictures are.
    """

    table: Table
    images: int
    notes: tuple[str, ...]
    folder: Path

    def __len__(self) -> int:
        return len(self.table["object"])

    def columns(self) -> Table:
        """The table.

        Returns
        -------
        dict
            Columns of one length by their names.
        """
        return dict(self.table)

    def to_pandas(self) -> Any:
        """The table as a `pandas.DataFrame`.

        Returns
        -------
        DataFrame
            A row per object.

        Raises
        ------
        UlnaError
            Where pandas is not installed.
        """
        try:
            pandas = import_module("pandas")
        except ImportError as error:
            raise UlnaError("pandas is not installed", hint="pip install pandas, or use .columns()") from error
        return pandas.DataFrame(self.columns())

    def __repr__(self) -> str:
        return f"<Measured: {plural(len(self), 'object')} in {plural(self.images, 'image')}; {self.folder}>"

    def __rich__(self) -> Group:
        """Counts and medians per class."""
        lines = Lines(title=f"{plural(len(self), 'object')} in {plural(self.images, 'image')}", box=None)
        size = "volume" if "volume" in self.table else "area"
        unit = _unit(self.table, size)
        lines.title_justify = "left"
        lines.add_column("class")
        for head in ("objects", "per image", escape(f"median {size} [{unit}]"), "5 % to 95 %", "at the border"):
            lines.add_column(head, justify="right")
        for name, count in Counter(self.table["class"].tolist()).items():
            own = self.table["class"] == name
            low, middle, high = np.percentile(self.table[size][own], (5, 50, 95))
            border = int(np.count_nonzero(self.table["touches_border"][own]))
            spread = f"{low:.4g} to {high:.4g}"
            lines.add_row(
                escape(name), f"{count:,}", f"{count / self.images:.1f}", f"{middle:.4g}", spread, f"{border:,}"
            )
        written = f"written to {self.folder}: {', '.join(name for name in FILES if (self.folder / name).exists())}"
        return Group(lines, *(escape(note) for note in self.notes), escape(written))


@expand_home
def measure(
    masks: Place,
    images: Place | None = None,
    *,
    out: str | Path,
    overwrite: bool = False,
    progress: Progress = quiet,
) -> Measured:
    """Measure the objects of masks, with the intensities of their images where these are given.

    Writes `table.csv` (a row per object), `objects.png` (outlines and numbers on an example) and `sizes.png`; with the
    extra `tables` also `table.parquet`.

    Parameters
    ----------
    masks
        A file, folder, pattern or archive of masks whose values number objects, as `ulna predict` writes them. Classes
        come from `objects.csv` beside them, where there is one.
    images
        The images of the masks, matched by name; without them sizes and shapes alone are measured.
    out
        The folder for the table and the pictures.
    overwrite
        Whether an earlier table in `out` may be replaced.
    progress
        Goes through the masks and shows how far it is.

    Returns
    -------
    Measured
        The table as columns; it prints itself.

    Raises
    ------
    UlnaError
        For masks that cannot be read or hold no whole numbers, images that are missing or of another size, and a
        folder with other things.

    Examples
    --------
    >>> done = ulna.measure("cells/masks", "cells/images", out="measured")
    >>> sorted(done.columns())[:3]
    ['area', 'bbox_x_end', 'bbox_x_start']
    """
    folder = Path(out)
    check_free(folder, FILES, overwrite=overwrite)
    cases = find(masks, own=True, plain=True).cases
    pictured = _images_of(cases, images)
    known = ObjectList.beside(masks)
    binary = _binary(cases)
    tables: dict[str, Table] = {}
    example: tuple[int, Image | None, Labels] | None = None
    for case in progress(cases, "measuring"):
        labels = _labels(case, known, connected=binary)
        image = load_image(pictured[case.name]) if case.name in pictured else None
        try:
            tables[case.name] = measure_objects(labels if image is None else _on(labels, image), image)
        except UlnaError as error:
            raise UlnaError(error.what, where=case.name, hint=error.hint) from None
        count = len(tables[case.name]["object"])
        if example is None or count > example[0]:
            example = count, image, labels
    table = together(tables)
    notes = ["masks of one value: connected regions are taken for objects, touching ones for one"] if binary else []
    if images is None:
        notes.append("no images were given: intensities are not measured")
    with atomic_directory(folder, FILES, overwrite=overwrite) as fresh:
        _write(fresh, table, example)
    return Measured(table, len(cases), tuple(notes), folder)


def _images_of(cases: Sequence[Case], images: Place | None) -> dict[str, Case]:
    """The image of each mask, by the mask's name."""
    if images is None:
        return {}
    found = {case.images[0]: case for case in find(images).cases}
    matched = match(cases, list(found), where=images, words=("mask", "image"))
    return {name: found[source] for name, source in matched.items()}


def _binary(cases: Sequence[Case]) -> bool:
    """Whether no mask holds more than one value beside 0, and one of them shows several pieces: masks of a class."""
    pieces = False
    for case in cases:
        mask = read(case.images[0]).array
        values = np.unique(mask)
        if len(mask) > 1 or len(values[values != 0]) > 1:
            return False
        pieces = pieces or ndimage.label(mask[0])[1] > 1
    return pieces


def _labels(case: Case, known: ObjectList, *, connected: bool) -> Labels:
    """The objects of a mask, with their classes."""
    mask = read(case.images[0])
    if len(mask.array) > 1:
        what = f"a mask of objects has one channel, this one has {len(mask.array)}"
        raise ReadError(what, where=case.images[0], hint="Give label images: one number per object.")
    numbers = mask.array[0]
    if numbers.dtype.kind == "f" and not np.array_equal(numbers, np.rint(numbers)):
        raise ReadError("holds numbers that are not whole: it is no mask", where=case.images[0])
    if numbers.size and (numbers.min() < 0 or numbers.max() > np.iinfo(np.int32).max):
        raise ReadError("holds numbers that are negative or too large for those of objects", where=case.images[0])
    objects = label(numbers, connectivity=1) if connected else numbers  # type: ignore[no-untyped-call]
    objects = np.asarray(objects, np.int32)
    indices, names = known.classes_of(case.name, objects)
    return Labels(indices, objects, mask.grid, names)


def _on(labels: Labels, image: Image) -> Labels:
    """The labels with the unit of their image, where only the image says one."""
    if labels.grid.unit == "pixel" and image.grid.unit != "pixel" and image.shape == labels.grid.shape:
        return replace(labels, grid=image.grid)
    return labels


def _write(folder: Path, table: Table, example: tuple[int, Image | None, Labels] | None) -> None:
    """The table and the pictures."""
    with (folder / TABLE).open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows([_cell(value) for value in line] for line in zip(*table.values(), strict=True))
    if example is not None:
        _, image, labels = example
        _draw(folder / OBJECTS, image, labels)
    size = "volume" if "volume" in table else "area"
    sizes = {str(name): table[size][table["class"] == name] for name in np.unique(table["class"])}
    sizes_picture(folder / SIZES, sizes, unit=_unit(table, size), what=size)
    _parquet(folder / PARQUET, table)


def _draw(path: Path, image: Image | None, labels: Labels) -> None:
    """The mask with most objects, on its image or on gray; of a volume the plane with most objects."""
    objects: Array = np.asarray(labels.objects)
    at = None
    if objects.ndim == 3:
        at = int(np.argmax([len(np.unique(one)) for one in objects]))
        objects = objects[at]
    rgb = np.full((*objects.shape, 3), 60, np.uint8) if image is None else to_rgb(plane(image.array, at))
    write(path, Image(np.moveaxis(objects_overlay(rgb, objects, numbers=True), -1, 0)))


def _unit(table: Mapping[str, Any], size: str) -> str:
    """The unit of sizes: "µm²"; where images have several, "unit²"."""
    units = np.unique(table["unit"])
    return f"{units[0] if len(units) == 1 else 'unit'}{'³' if size == 'volume' else '²'}"


def _cell(value: Any) -> Any:
    """A number as a table holds it: empty where there is none."""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else f"{value:.6g}"
    return value


def _parquet(path: Path, table: Table) -> None:
    """The table for programs that read millions of rows, where pyarrow is installed."""
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        return
    parquet.write_table(pyarrow.table({name: np.asarray(column) for name, column in table.items()}), path)
