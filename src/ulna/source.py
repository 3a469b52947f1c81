"""`Source`: a file, and what is selected within it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from ulna.errors import UlnaError
from ulna.grid import Grid

DOUBLE = (".nii.gz", ".tar.gz", ".tar.bz2", ".tar.xz")
"""Suffixes of two words."""
SERIES = ".dcm"
"""The suffix of an image in several files."""


@dataclass(frozen=True, order=True)
class Source:
    """A file, and what is selected within it.

    Parameters
    ----------
    path
        The file, or the archive that holds it.
    inside
        The way through archives: `("stage1_train.zip", "a/images/a.png")` is a member of a zip that is itself a
        member of the zip at `path`; `()` is the file at `path` itself.
    page
        One plane (Y, X) of a stack, counted from 0 over all axes that are neither channels nor Y and X (of one time
        point, where `time` is given); None for the whole file.
    scene
        Which of the images that the file holds: its number from 0, or its name; None: the first.
    time, channel
        One time point, one channel; None: all.
    at
        The time point that was stated of all files, those that have no time points among them; `time`, where it is
        given, counts in its place.
    axes
        What the axes of the file mean, where the file does not say it: "CYX", "YXC", "ZYX", …
    slab
        The planes of a volume from the first number on, up to and without the second; None for all.
    array
        Which array of a file that holds several (HDF5), by its path within the file; "" where there is nothing to
        choose.
    files
        Of an image in several files, the slices of a DICOM series, all of them: names relative to the folder of
        `path`, or the members of the archive. `path` and `inside` are then those of the first. Empty for one file.
    title
        What such an image is called, for no file has its name; "" for one file.
    spacing, unit
        The distance of pixels along each axis, and its unit, where the file does not say them; see `Source.placed`.
    missing
        What NaN is read as; None: it is not, and images that hold it are refused.
    level
        Of a pyramid, which of its images: 0 is the full resolution.
    region
        The part of it, first and last plus one along each axis, in pixels of the level; empty for all.
    """

    path: Path
    inside: tuple[str, ...] = ()
    page: int | None = None
    scene: int | str | None = None
    time: int | None = None
    channel: int | None = None
    at: int | None = None
    axes: str = ""
    slab: tuple[int, int] | None = None
    array: str = ""
    files: tuple[str, ...] = ()
    title: str = ""
    spacing: tuple[float, ...] = ()
    unit: str = ""
    missing: float | None = None
    level: int = 0
    region: tuple[tuple[int, int], ...] = ()

    @property
    def parts(self) -> tuple[Source, ...]:
        """The files of an image in several files, one by one; itself for one file."""
        if not self.files:
            return (self,)
        one = replace(self, files=(), title="")
        if self.inside:
            return tuple(replace(one, inside=(*self.inside[:-1], name)) for name in self.files)
        return tuple(replace(one, path=self.path.parent / name) for name in self.files)

    def like(self, place: Source) -> Source:
        """The same with what was stated of the place that it lies in.

        Parameters
        ----------
        place
            The folder or archive.

        Returns
        -------
        Source
            With its axes, spacing, unit, what NaN is read as, and which scene and time point are asked for.
        """
        return replace(
            self,
            axes=place.axes,
            spacing=place.spacing,
            unit=place.unit,
            missing=place.missing,
            scene=place.scene,
            at=place.at,
        )

    @property
    def file(self) -> Source:
        """The file, or the first of several, without what is stated of it or selected within it."""
        first = self.parts[0]
        return Source(first.path, first.inside)

    def placed(self, grid: Grid) -> tuple[Grid, str]:
        """A grid as the file says it, or as was stated where the file is silent: where its spacings are 1.

        TIFF files often say how large pixels are, and nothing of their planes: then the planes lie as was stated.

        Parameters
        ----------
        grid
            As it was read, with as many axes as spacings were stated; any other stays as it is.

        Returns
        -------
        tuple of Grid and str
            And what is to be said of it: that the file says another spacing, which then holds, or how far apart planes
            were taken to lie of which it says 1, or nothing.
        """
        spacing = self.spacing if self.page is None else self.spacing[-grid.ndim :]  # of a volume, its planes'
        if len(spacing) != grid.ndim:
            return grid, ""
        if set(grid.spacing) == {1.0}:
            return replace(grid, spacing=spacing, unit=self.unit or grid.unit), ""
        own, stated = (" × ".join(f"{side:g}" for side in sides) for sides in (grid.spacing, spacing))
        pairs = list(zip(grid.spacing, spacing, strict=True))
        differ = [side for side, wanted in pairs if abs(side / wanted - 1) >= 0.01]
        if self.unit in ("", grid.unit):
            if not differ:
                return grid, ""
            if set(differ) == {1.0}:
                taken = tuple(wanted if side == 1 else side for side, wanted in pairs)
                says = f"says that its pixels lie {own} {grid.unit} apart, of which 1 may be no word"
                return replace(grid, spacing=taken), f"{says}; data.spacing holds there ({stated})"
        return grid, f"says that its pixels lie {own} {grid.unit} apart; that holds, and not data.spacing ({stated})"

    @property
    def name(self) -> str:
        """The file's own name with its suffix, without folders; of an image in several files its title."""
        if self.title:
            return self.title + self.suffix
        # Some zips from Windows have backslashes between folders, which part nothing on other systems.
        return self.inside[-1].replace("\\", "/").rstrip("/").rpartition("/")[2] if self.inside else self.path.name

    @property
    def stem(self) -> str:
        """The file's own name without folders and suffix, with the frame where there is one."""
        stem = self.name[: len(self.name) - len(self.suffix)]
        return stem if self.frame is None else f"{stem}_{self.frame:04d}"

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot: `.png`, `.nii.gz`."""
        if self.title:
            return SERIES
        name = self.name.lower()
        double = next((double for double in DOUBLE if name.endswith(double) and name != double), "")
        dot = name.rfind(".")  # no `Path`: archives hold a hundred thousand names
        return double or (name[dot:] if 0 < dot < len(name) - 1 else "")

    @property
    def frame(self) -> int | None:
        """Of a film, which of its frames is selected: a plane, or the volume at a time."""
        return self.time if self.page is None else self.page

    def __str__(self) -> str:
        text = "!".join((str(self.path), *self.inside))
        if len(self.files) > 1:
            text += f" and {len(self.files) - 1} more files"
        if self.array:
            text += f", array {self.array}"
        selected = [
            f"{name} {number}"
            for name in ("scene", "time", "channel", "page")
            if (number := getattr(self, name)) is not None
        ]
        if self.slab is not None:
            selected.append(f"planes {self.slab[0]} to {self.slab[1] - 1}")
        if self.level:
            selected.append(f"level {self.level}")
        if self.region:
            selected.append(f"region {as_text(self.region)}")
        return ", ".join((text, *selected))


def as_text(region: tuple[tuple[int, int], ...]) -> str:
    """A region as it is typed: `0:512,1024:2048`."""
    return ",".join(f"{first}:{last}" for first, last in region)


def as_region(text: str) -> tuple[tuple[int, int], ...]:
    """The region that `as_text` wrote.

    Parameters
    ----------
    text
        For each axis the first pixel and the last one plus one; "" is the whole image.

    Returns
    -------
    tuple of pairs
        First and last plus one along each axis.

    Raises
    ------
    UlnaError
        For other text.

    Examples
    --------
    >>> as_region("0:512, 1024:2048")
    ((0, 512), (1024, 2048))
    """
    pairs = [part.split(":") for part in text.split(",")] if text else []
    try:
        return tuple((int(first), int(last)) for first, last in pairs)
    except ValueError:
        what = f"'{text}' is no region"
        hint = "Rows come first, then columns, each with its first pixel and its last one plus one: 0:512,1024:2048"
        raise UlnaError(what, where="region", hint=hint) from None
