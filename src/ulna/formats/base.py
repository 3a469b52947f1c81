"""The contract of a file format (`Format`, `Reader`), and the small steps that all of them share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from ulna.errors import ReadError, UlnaError
from ulna.formats.selection import chosen
from ulna.formats.writer import Allocate, ArraySink, New, Sink, Writer, in_memory
from ulna.image import Array, Channel, Grid, Image, Region, Source
from ulna.memory import free_memory
from ulna.text import amount, size

# Below this many bytes the free memory is not asked for: the question costs more than the answer is worth.
SMALL = 64 << 20

GRAY = (Channel("gray"),)
RGB = (Channel("red"), Channel("green"), Channel("blue"))
ALPHA = Channel("alpha", "alpha")
BY_SAMPLES = {1: GRAY, 2: (*GRAY, ALPHA), 3: RGB, 4: (*RGB, ALPHA)}
"""The channels of formats that know gray and color, with alpha or without, and nothing else."""


@dataclass(frozen=True)
class Reader:
    """An opened image: what is known before its pixels are decoded, and the pixels on demand.

    Parameters
    ----------
    source
        The file and the selection within it.
    grid
        Where the pixels lie.
    dtype
        The type of the samples.
    channels
        All channels of the file, a declared alpha among them.
    decode
        Gives (C, *spatial) of a region at a level; what `read` calls once it has checked both.
    levels
        The grids of the same image at falling resolution; the first one is `grid`.
    planes
        How many planes (Y, X) the file holds, whatever their channels.
    times
        How many time points these are of, as far as the file says so.
    time_points
        How many time points the file holds, one of which `source.time` may have picked.
    scenes
        The names of the images that the file holds, one of which is read; empty for one without a name.
    assumed
        What the file does not say and was assumed, with the other reading and how to say it; or how its values were
        converted. Empty where there was nothing to decide.
    palette
        Whether the colors come from a palette; equal channels are then one gray channel.
    """

    source: Source
    grid: Grid
    dtype: np.dtype
    channels: tuple[Channel, ...]
    decode: Callable[[Region, int], Array]
    levels: tuple[Grid, ...] = ()
    planes: int = 1
    times: int = 1
    time_points: int = 1
    scenes: tuple[str, ...] = ()
    assumed: str = ""
    palette: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "levels", self.levels or (self.grid,))

    @property
    def chosen(self) -> str:
        """What is said of the scene and the time point that were asked for; "" where there are no others."""
        return chosen(self.source, self.scenes, self.time_points)

    @property
    def nbytes(self) -> int:
        """How much memory the decoded image takes."""
        return len(self.channels) * int(np.prod(self.grid.shape, dtype=np.int64)) * self.dtype.itemsize

    def read(self, region: Region | None = None, level: int = 0) -> Array:
        """The pixels of a region at a level.

        Parameters
        ----------
        region
            One slice per spatial axis; by default the whole image.
        level
            Which of the `levels`.

        Returns
        -------
        Array
            (C, *spatial) in the file's own dtype.

        Raises
        ------
        ReadError
            For a region or level that is not there, and for pixels that are not those that the file announces.
        """
        if not 0 <= level < len(self.levels):
            raise ReadError(f"has {len(self.levels)} levels, level {level} is asked for", where=self.source)
        grid = self.levels[level]
        try:
            shape = grid.shape if region is None else grid.crop(region).shape
        except UlnaError as error:
            raise ReadError(error.what, where=self.source) from None
        whole = region or (slice(None),) * grid.ndim
        array = self.decode(tuple(slice(*part.indices(n)) for part, n in zip(whole, grid.shape, strict=True)), level)
        if array.shape != (len(self.channels), *shape):
            raise ReadError("is damaged: its pixels are not those that it announces", where=self.source)
        return array

    def image(self) -> Image:
        """The whole image, without an alpha that is constant.

        Returns
        -------
        Image
            With the grid and the channels that are left. Where the colors of a palette are all gray, it has one gray
            channel.

        Raises
        ------
        ReadError
            As `read` does.
        """
        array, channels = self.read(), self.channels
        visible = [k for k, channel in enumerate(channels) if channel.role != "alpha" or _varies(array[k])]
        if len(visible) < len(channels):
            array, channels = array[visible], tuple(channels[k] for k in visible)
        if self.palette and len(channels) >= 3 and equal_channels(array[:3]):
            array, channels = np.concatenate([array[:1], array[3:]]), (*GRAY, *channels[3:])
        return Image(np.ascontiguousarray(array), self.grid, channels, self.source)


@dataclass(frozen=True)
class Format:
    """One family of image files.

    Parameters
    ----------
    name
        As users know it.
    suffixes
        In lower case with their dots.
    recognizes
        Whether a file is of this family, by its first bytes and its name.
    open
        A reader of an opened file, which stays open as long as the reader is used.
    errors
        Gives what the underlying library raises for files that are damaged; asked only then, so that a library is not
        loaded before a file needs it.
    save
        Writes an image to a path, and raises UlnaError for what the format cannot hold; None if it is not written.
    allocate
        Where an image lies until it is whole: in memory, or in a file.
    sink
        Where the pixels of a new image go, for formats that are not made of one array: it says so itself for each image
        that it does not take, by None.
    mask_suffix
        That of masks of such images.
    folders
        Whether an image is a folder, and not a file.
    versions
        Those that are written, where there are several, the usual one first.
    """

    name: str
    suffixes: tuple[str, ...]
    recognizes: Callable[[bytes, str], bool]
    open: Callable[[BinaryIO, Source], Reader]
    errors: Callable[[], tuple[type[Exception], ...]]
    save: Callable[[Path, Image], None] | None = None
    allocate: Allocate = in_memory
    sink: Callable[[New], Sink | None] = lambda _new: None
    mask_suffix: str = ".png"
    folders: bool = False
    versions: tuple[str, ...] = ()

    @property
    def written(self) -> bool:
        """Whether files of this format are written, and not only read."""
        return self.save is not None or self.folders

    def create(self, new: New) -> Writer:
        """A writer of a new file of this format.

        Parameters
        ----------
        new
            The image.

        Returns
        -------
        Writer
            It writes the file when it is closed.

        Raises
        ------
        UlnaError
            If the format, or this version of it, is not written.
        """
        if new.version and new.version not in self.versions:
            known = " or ".join(self.versions)
            hint = f"Name {known}." if known else "Name none."
            raise UlnaError(f"{self.name} is not written as version '{new.version}'", where=new.path, hint=hint)
        sink = self.sink(new)
        return Writer(new, sink or ArraySink(new, self.saver(new.path), self.allocate))

    def saver(self, path: Path) -> Callable[[Path, Image], None]:
        """`save`, where there is one.

        Parameters
        ----------
        path
            The file that is to be written; the error names its suffix.

        Returns
        -------
        callable
            Writes an image to a path.

        Raises
        ------
        UlnaError
            If the format is not written.
        """
        if self.save is None:
            raise UlnaError(f"{self.name} files are read, not written", where=path, hint="Name it .png or .tif.")
        return self.save


def begins(*magics: bytes) -> Callable[[bytes, str], bool]:
    """The `recognizes` of formats that one of these first bytes gives away.

    Parameters
    ----------
    *magics
        First bytes, any of which is enough.

    Returns
    -------
    callable
        From the first bytes of a file and its name to whether it is of the family.

    Examples
    --------
    >>> begins(b"GIF87a", b"GIF89a")(b"GIF89a...", "a.gif")
    True
    """
    return lambda head, _name: head.startswith(magics)


def guard_memory(nbytes: int, where: object, *, shape: tuple[int, ...]) -> None:
    """Refuse an image that, decoded, does not fit in the free memory together with a copy of it.

    Parameters
    ----------
    nbytes
        Of the decoded image.
    where
        The file, for the error.
    shape
        The shape of the image, for the error.

    Raises
    ------
    ReadError
        With the memory that is needed and the memory that is free.
    """
    if nbytes < SMALL:
        return
    free = free_memory()
    if 2 * nbytes > free:
        raise ReadError(
            f"an image of {size(shape)} needs {amount(2 * nbytes)} of memory, {amount(free)} are free",
            where=where,
            hint="Cut the image into smaller ones, or use a machine with more memory.",
        )


def paper(dtype: np.dtype, channels: int) -> int:
    """What stands where a slide was not scanned: white in color of 8 bits, as the glass beside tissue; else 0.

    Parameters
    ----------
    dtype
        Of the values.
    channels
        How many there are.

    Returns
    -------
    int
        The value of each channel.
    """
    return 255 if dtype == np.uint8 and channels == 3 else 0


def unscanned(fill: int) -> str:
    """That an image has areas without pixels, and what stands there.

    Parameters
    ----------
    fill
        The value.

    Returns
    -------
    str
        Words without a full stop.
    """
    return f"where nothing was scanned it is {'white' if fill else 'black (0)'}"


def equal_channels(array: Array) -> bool:
    """Whether all channels of (C, *spatial) hold the same.

    Parameters
    ----------
    array
        (C, *spatial).

    Returns
    -------
    bool
        True also for a single channel.
    """
    return all(bool(np.array_equal(array[0], other)) for other in array[1:])


def turned_note(orientation: int) -> list[str]:
    """What is said of an image that its header tells to turn: masks may have been drawn on it as it lies.

    Parameters
    ----------
    orientation
        As of `upright`.

    Returns
    -------
    list of str
        None for an image that stands upright.
    """
    if orientation not in range(2, 9):
        return []
    what = f"its header says how it is turned (EXIF orientation {orientation}), and it is read upright"
    return [f"{what}: a mask that was drawn without that does not lie on it"]


def upright(array: Array, orientation: int) -> Array:
    """Turn the first two axes as the EXIF and TIFF tag 274, "Orientation", says.

    The tag says where the stored rows and columns lie on the page: 3 is upside down, 6 needs a quarter turn clockwise,
    8 one counter-clockwise; 2, 4, 5 and 7 are mirrored.

    Parameters
    ----------
    array
        (Y, X, …).
    orientation
        The value of the tag, 1 to 8; 1 changes nothing.

    Returns
    -------
    Array
        A view of the array.

    References
    ----------
    TIFF, Revision 6.0, Adobe 1992, page 36.
    """
    if orientation in (5, 6, 7, 8):
        array = np.swapaxes(array, 0, 1)
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    return array


def _varies(plane: Array) -> bool:
    return bool((plane != plane.flat[0]).any())
