"""Zarr folders, through zarr: OME-Zarr 0.1 to 0.5 with all levels, and single arrays; OME-Zarr is written."""

from __future__ import annotations

from typing import BinaryIO

from ulna.formats.base import Format, Reader
from ulna.formats.hdf5 import Arrays
from ulna.formats.writer import New, Sink
from ulna.image import Source

SUFFIX = ".zarr"


def open_zarr(_stream: BinaryIO, source: Source) -> Reader:
    """The reader of a folder: see `ulna.formats.ome_zarr.reading`."""
    from ulna.formats.ome_zarr.reading import open_folder

    return open_folder(source)


def arrays_of(source: Source) -> Arrays:
    """Which image and which labels a folder holds, or which arrays: see `ulna.formats.ome_zarr.reading`.

    Parameters
    ----------
    source
        The folder.

    Returns
    -------
    Arrays
        By their paths within the folder; "." is the image of the folder itself.

    Raises
    ------
    ReadError
        For a folder that cannot be read.
    """
    from ulna.formats.ome_zarr.reading import content

    return content(source)


def sink_of(new: New) -> Sink:
    """Where the chunks of a new image go: see `ulna.formats.ome_zarr.writing`."""
    from ulna.formats.ome_zarr.writing import FolderSink

    return FolderSink(new)


def _errors() -> tuple[type[Exception], ...]:
    import zlib

    return (
        ValueError,  # those of zarr, of JSON and of pydantic
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        RuntimeError,  # those of the codecs
        NotImplementedError,
        ArithmeticError,
        OSError,
        zlib.error,
    )


FORMAT = Format(
    name="OME-Zarr",
    suffixes=(SUFFIX,),
    recognizes=lambda _head, _name: False,  # it is no file: `folders`
    open=open_zarr,
    sink=sink_of,
    mask_suffix=SUFFIX,
    folders=True,
    versions=("0.4", "0.5"),
    errors=_errors,
)
