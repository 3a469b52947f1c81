"""`measure`: the objects of masks as a table: sizes, shapes, places, intensities, neighbors."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from rich.console import Group
from rich.markup import escape
from rich.table import Table as Lines

from ulna.alignment import aligned, same_planes
from ulna.console import Printed
from ulna.dataset import Case, Progress, load_image, planes_of, quiet
from ulna.errors import UlnaError
from ulna.figures.common import plane, to_rgb
from ulna.figures.objects import objects_overlay, sizes_picture
from ulna.formats import mask_suffix, open_reader, write
from ulna.formats.outlines.annotation import NAMELESS
from ulna.grid import MAX_APART, Grid, apart
from ulna.image import Array, Image, Labels, Source
from ulna.jobs.large_masks import is_large, opened_mask
from ulna.jobs.numbered import are_of_one_value, planes_apart, read_objects
from ulna.layouts import Place, find
from ulna.layouts.own import classes_of
from ulna.measurement import ROUNDING, Table, as_gray, measure_objects, together
from ulna.metrics.files import atomic_directory, check_free
from ulna.metrics.matching import match
from ulna.objectlist import NAME as OBJECT_LIST
from ulna.objectlist import ObjectLists
from ulna.paths import expand_home
from ulna.text import listed, plural

TABLE, COUNTS, OBJECTS, SIZES, PARQUET = "table.csv", "counts.csv", "objects.png", "sizes.png", "table.parquet"
FILES = (TABLE, COUNTS, OBJECTS, SIZES, PARQUET)


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
        """Counts and medians per class and unit."""
        lines = Lines(title=f"{plural(len(self), 'object')} in {plural(self.images, 'image')}", box=None)
        sizes = _sizes(self.table)
        lines.title_justify = "left"
        lines.add_column("class")
        one = next(iter(sizes)) if len(sizes) == 1 else ""
        for head in ("objects", "per image", escape(f"median {one or 'size'}"), "5 % to 95 %", "at the border"):
            lines.add_column(head, justify="right")
        for size, classes in sizes.items():
            for name, own in classes.items():
                count = int(np.count_nonzero(own))
                low, middle, high = np.percentile(self.table[size.split()[0]][own], (5, 50, 95))
                border = int(np.count_nonzero(self.table["touches_border"][own]))
                spread, median = f"{low:.4g} to {high:.4g}", f"{middle:.4g}" if one else f"{size}: {middle:.4g}"
                lines.add_row(
                    escape(name), f"{count:,}", f"{count / self.images:.1f}", escape(median), spread, f"{border:,}"
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

    Writes `table.csv` (a row per object), `counts.csv` (a row per image and class, with the sum of sizes),
    `objects.png` (outlines and numbers on an example) and `sizes.png`; with the extra `tables` also `table.parquet`.

    Parameters
    ----------
    masks
        A file, folder, pattern or archive of masks whose values number objects, as `ulna predict` writes them. Classes
        come from `objects.csv` beside them, where there is one. Of masks of classes that `ulna predict` wrote the
        connected regions of each class are measured.
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
    found = find(masks, own=True, plain=True)
    cases, notes = planes_apart(found.cases)
    if found.passed_over:
        notes.append(f"passed over: {plural(len(found.passed_over), 'file')} of formats that are not read")
    pictured = _images_of(cases, images, notes)
    notes += _assumed([case.images[0] for case in cases] + [one for case in pictured.values() for one in case.images])
    lists = ObjectLists()
    meant = {case.name: known for case, known in _classes(cases)}
    if meant:
        notes.append("masks of classes: the connected regions of each are taken for objects, touching ones for one")
    binary = not meant and are_of_one_value(cases)
    if binary:
        notes.append("masks of one value: connected regions are taken for objects, touching ones for one")
    tables: dict[str, Table] = {}
    doubts = Counter[str]()
    example: _Example | None = None
    several = len(cases) > 1
    parts = quiet if several else progress  # one bar: over the masks, or over the parts of a single large one
    for case in progress(cases, "measuring") if several else cases:
        if not binary and case.name not in meant and is_large(case, pictured.get(case.name)):
            tables[case.name], shown = _by_region(case, pictured.get(case.name), lists, doubts, parts)
            example = shown if example is None or shown.count > example.count else example
            continue
        image = load_image(pictured[case.name]) if case.name in pictured else None
        try:
            labels = read_objects(case, lists, doubts, connected=binary, meant=meant.get(case.name))
            if image is not None:
                doubts["gray"] += as_gray(image) is not image
                labels = _on(labels, image, doubts, where=case.images[0])
            doubts["planes"] += _is_thickness_open(labels.grid, case.images[0])
            tables[case.name] = measure_objects(labels, image)
        except UlnaError as error:
            raise UlnaError(error.what, where=error.where or case.name, hint=error.hint) from None
        count = len(tables[case.name]["object"])
        if example is None or count > example.count:
            example = _Example(case.name, count, image, labels)
    table = together(tables)
    notes += _in_words(doubts, table)
    with atomic_directory(folder, FILES, overwrite=overwrite) as fresh:
        notes += _write(fresh, table, tables, example)
    return Measured(table, len(cases), tuple(notes), folder)


@dataclass(frozen=True)
class _Example:
    """The mask with most objects, which is drawn; of a large one a part."""

    name: str
    count: int
    image: Image | None
    labels: Labels


def _by_region(
    case: Case, pictured: Case | None, lists: ObjectLists, doubts: Counter[str], progress: Progress
) -> tuple[Table, _Example]:
    """The table of a large mask, and the part of it that is drawn."""
    with open_reader(case.images[0]) as reader:
        grid = reader.grid
    if pictured is not None:
        with open_reader(pictured.images[0]) as reader:
            grid = _shared_grid(grid, reader.grid, doubts)
    doubts["planes"] += _is_thickness_open(grid, case.images[0])
    with opened_mask(case, pictured, lists, doubts, grid) as mask:
        table = mask.table(progress=progress)
        region, labels, image = mask.fullest(table)
    where = ", ".join(f"{part.start} to {part.stop - 1}" for part in region)
    shown = f"{case.name}, {'planes, ' * (len(region) > 2)}rows and columns {where}"
    return table, _Example(shown, len(table["object"]), image, labels)


def _images_of(cases: Sequence[Case], images: Place | None, notes: list[str]) -> dict[str, Case]:
    """The image of each mask, by the mask's name; for masks of planes the planes of a volume, too."""
    if images is None:
        notes.append("no images were given: intensities are not measured")
        return {}
    found: dict[Source, Case] = {}
    for case in find(images).cases:
        found[case.images[0]] = case
        if case.images[0].page is not None:
            whole = tuple(replace(source, page=None) for source in case.images)
            found.setdefault(whole[0], replace(case, images=whole))
        elif (count := planes_of(case)) > 1 and any(mask.images[0].page is not None for mask in cases):
            for place in range(count):
                plane = tuple(replace(source, page=place) for source in case.images)
                found[plane[0]] = replace(case, name=f"{case.name}_{place:04d}", images=plane)
    matched = match(cases, list(found), where=images, words=("mask", "image"))
    used = {replace(source, page=None, time=None) for source in matched.values()}
    left = sorted({source.name for source in found if replace(source, page=None, time=None) not in used})
    if left:
        notes.append(f"without a mask, and not measured: {plural(len(left), 'image')} ({listed(left)})")
    return {name: found[source] for name, source in matched.items()}


def _assumed(sources: Sequence[Source]) -> list[str]:
    """What files do not say and was assumed; that time points are frames is said of masks elsewhere."""
    kinds: dict[str, list[str]] = {}
    for source in dict.fromkeys(replace(source, page=None) for source in sources):
        with open_reader(source) as reader:
            if reader.assumed and reader.times == 1:
                kinds.setdefault(reader.assumed, []).append(source.name)
    return [f"{listed(names)}: {said}" for said, names in kinds.items()]


def _on(labels: Labels, image: Image, doubts: Counter[str], *, where: Source) -> Labels:
    """The labels on the grid of their image: a volume in its order of axes, any with its unit if only it says one."""
    own, its = labels.grid, image.grid
    if own.ndim == its.ndim == 3 and not same_planes(own, its):
        mask, _ = aligned(Image(labels.to_array(), own), its, where=where)
        doubts["aligned"] += 1
        return Labels.from_array(mask.array, its, labels.names)
    if image.shape != own.shape:
        return labels
    return replace(labels, grid=_shared_grid(own, its, doubts))


def _shared_grid(own: Grid, its: Grid, doubts: Counter[str]) -> Grid:
    """The grid of a mask, or that of its image of the same size if only this says how large pixels are."""
    if its.unit == "pixel":
        return own
    if own.unit == "pixel":
        return its
    other = own.unit != its.unit or not np.allclose(own.spacing, its.spacing, rtol=ROUNDING)
    doubts["spacing"] += other
    doubts["place"] += not other and apart(its, own) > MAX_APART
    return own


def _is_thickness_open(grid: Grid, source: Source) -> bool:
    """Whether a TIFF says how large its pixels are, and of its planes nothing, or that they lie just 1 apart."""
    told = grid.ndim == 3 and grid.unit != "pixel" and mask_suffix(source) == ".tif"
    return told and grid.spacing[0] == 1 and grid.spacing[1:] != (1, 1)


def _in_words(doubts: Counter[str], table: Table) -> list[str]:
    """What is to be known about the measurements."""
    made = []
    if doubts["pieces"]:
        many = f"{doubts['pieces']:,} of {doubts['objects']:,}"
        made.append(f"objects in several pieces, each measured as one: {many} (as in masks of classes, and images)")
    if doubts["unlisted"]:
        many = plural(doubts["unlisted"], "object")
        made.append(f"{many} without a line in {OBJECT_LIST}: the class is '{NAMELESS}'")
    if doubts["gray"]:
        many = plural(doubts["gray"], "image")
        made.append(f"{many} in color whose red, green and blue are equal: measured once, as gray")
    if doubts["spacing"]:
        many = plural(doubts["spacing"], "mask")
        made.append(f"{many} of another pixel size than the image: sizes are by that of the mask")
    if doubts["place"]:
        many = plural(doubts["place"], "mask says that it lies", "masks say that they lie")
        made.append(f"{many} elsewhere than the image: intensities are those of the pixels of the same number")
    if doubts["aligned"]:
        made.append(f"brought onto the grid of the image, which is another: {plural(doubts['aligned'], 'mask')}")
    if doubts["planes"]:
        many = plural(doubts["planes"], "mask has", "masks have")
        made.append(f"{many} planes that lie 1 apart in the unit of the pixels, or do not say it: volumes are by 1")
    if len(_sizes(table)) > 1:
        made.append(f"sizes are of several kinds ({', '.join(_sizes(table))}) and cannot be compared")
    if "perimeter" in table and np.isnan(table["perimeter"]).any():
        made.append("perimeters are left empty where pixels are not square, and of volumes")
    return made


def _sizes(table: Table) -> dict[str, dict[str, npt.NDArray[np.bool_]]]:
    """Which objects have which size and class: {"area [µm²]": {"nucleus": (objects,) bool}}."""
    made: dict[str, dict[str, npt.NDArray[np.bool_]]] = {}
    for size, power in (("area", "²"), ("volume", "³")):
        if size not in table:
            continue
        known = ~np.isnan(table[size])
        for unit in np.unique(table["unit"][known]):
            of_unit = known & (table["unit"] == unit)
            names = dict.fromkeys(table["class"][of_unit].tolist())
            made[f"{size} [{unit}{power}]"] = {name: of_unit & (table["class"] == name) for name in names}
    return made


def _classes(cases: Sequence[Case]) -> list[tuple[Case, dict[int, str]]]:
    """The masks of classes among these, each with the classes of its values, as the folder that lists it says."""
    files = {case.name: case.images[0].path for case in cases if not case.images[0].inside}
    known = classes_of(dict.fromkeys(files.values()))
    return [(case, known[files[case.name]]) for case in cases if files.get(case.name) in known]


def _write(folder: Path, table: Table, tables: Mapping[str, Table], example: _Example | None) -> list[str]:
    """The tables and the pictures; says what is pictured."""
    _write_rows(folder / TABLE, list(table), zip(*table.values(), strict=True))
    head, counts = _counts(tables)
    _write_rows(folder / COUNTS, head, counts)
    sizes_picture(
        folder / SIZES,
        {
            size: {name: table[size.split()[0]][own] for name, own in classes.items()}
            for size, classes in _sizes(table).items()
        },
    )
    _parquet(folder / PARQUET, table)
    return [_draw(folder / OBJECTS, example)] if example is not None else []


def _counts(tables: Mapping[str, Table]) -> tuple[list[str], list[list[Any]]]:
    """How many objects of each class there are in each image, 0 among them, and how large they are together."""
    sizes = [size for size in ("area", "volume") if any(size in table for table in tables.values())]
    names = list(dict.fromkeys(name for table in tables.values() for name in table["class"].tolist())) or [NAMELESS]
    rows = []
    for image, table in tables.items():
        for name in names:
            own = table["class"] == name
            unit = next(iter(table["unit"][own].tolist()), "")
            sums = [np.float64(np.nansum(table[size][own])) if size in table else "" for size in sizes]
            rows.append([image, name, int(own.sum()), *sums, unit])
    return ["image", "class", "objects", *sizes, "unit"], rows


def _write_rows(path: Path, head: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file:
        writer = csv.writer(file)
        writer.writerow(head)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _draw(path: Path, example: _Example) -> str:
    """Write the mask on its image or on gray, of a volume the plane with most objects; says which one it is."""
    objects: Array = np.asarray(example.labels.objects)
    at, shown = None, example.name
    if objects.ndim == 3:
        at = int(np.argmax([len(np.unique(one)) for one in objects]))
        objects, shown = objects[at], f"{shown}, plane {at} (counted from 0)"
    image = example.image
    rgb = np.full((*objects.shape, 3), 60, np.uint8) if image is None else to_rgb(plane(image.array, at))
    write(path, Image(np.moveaxis(objects_overlay(rgb, objects, numbers=True), -1, 0)))
    return f"{OBJECTS} shows {shown}"


def _cell(value: Any) -> Any:
    """A number as a table holds it: empty where there is none."""
    if isinstance(value, np.floating):
        return "" if np.isnan(value) else f"{value:.10g}"
    return value


def _parquet(path: Path, table: Table) -> None:
    """The table for programs that read millions of rows, where pyarrow is installed."""
    try:
        pyarrow, parquet = import_module("pyarrow"), import_module("pyarrow.parquet")
    except ImportError:
        return
    parquet.write_table(pyarrow.table({name: np.asarray(column) for name, column in table.items()}), path)
