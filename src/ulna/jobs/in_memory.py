"""Training data that are in memory: arrays, written as files into the run, so that they are checked like files."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from ulna.errors import UlnaError
from ulna.formats import write
from ulna.image import Array, Image
from ulna.inference.inputs import of_tensor
from ulna.runfolder import PAIRS

GROUPS = "groups.csv"

Pair = tuple[Any, Any] | tuple[Any, Any, str]
"""An image, its mask and, if known, its group."""


def write_pairs(pairs: Iterable[Pair], run: Path) -> tuple[Path, Path | None]:
    """Write images and masks into the folder `arrays` of a run.

    Parameters
    ----------
    pairs
        (image, mask) or (image, mask, group), of which an iterable may be read once. An image is (Y, X), (C, Y, X) or
        (Y, X, C), a mask (Y, X) or (1, Y, X): the mask tells which axis of the image is that of the channels.
    run
        The run's folder.

    Returns
    -------
    folder, groups
        The folder with `images` and `masks`, and the table of the groups, None where no group was given.

    Raises
    ------
    UlnaError
        For an item that is no pair of an image and its mask, with its number.
    """
    folder = run / PAIRS
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was stopped
    groups: list[tuple[str, str]] = []
    count = 0
    for count, pair in enumerate(_iterable(pairs), start=1):
        name = f"image_{count:06d}"
        image, mask, group = _parts(pair, count)
        write(folder / "images" / f"{name}.tif", Image(image))
        write(folder / "masks" / f"{name}.tif", Image(mask))
        if group:
            groups.append((name, group))
    if not count:
        raise UlnaError("there is no image to train on", where="data")
    if not groups:
        return folder, None
    if len(groups) < count:
        known = {name for name, _ in groups}
        groups += [(name, name) for k in range(1, count + 1) if (name := f"image_{k:06d}") not in known]
    with (folder / GROUPS).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("name", "group"), *groups])
    return folder, folder / GROUPS


def _iterable(pairs: Any) -> Iterable[Pair]:
    if not isinstance(pairs, Iterable):
        what = f"{type(pairs).__name__} is no data: neither a path nor pairs of an image and its mask"
        raise UlnaError(what, where="data")
    return pairs


def _parts(pair: Pair, number: int) -> tuple[Array, Array, str]:
    where = f"item {number} of the data"
    if not isinstance(pair, tuple | list) or len(pair) not in (2, 3):
        raise UlnaError("this is no (image, mask) or (image, mask, group)", where=where)
    image, mask = (_array(one, where) for one in pair[:2])
    group = str(pair[2]) if len(pair) == 3 and pair[2] is not None else ""
    if mask.ndim == 3 and mask.shape[0] == 1:
        mask = mask[0]
    if mask.ndim != 2:
        raise UlnaError(f"a mask is (Y, X), not {mask.shape}", where=where)
    if image.ndim == 2:
        image = image[None]
    elif image.ndim == 3 and image.shape[1:] != mask.shape and image.shape[:2] == mask.shape:
        image = np.moveaxis(image, -1, 0)
    if image.ndim != 3 or image.shape[1:] != mask.shape:
        raise UlnaError(
            f"the image has the shape {np.shape(pair[0])}, its mask {np.shape(pair[1])}",
            where=where,
            hint="An image is (Y, X), (C, Y, X) or (Y, X, C), its mask (Y, X).",
        )
    return np.ascontiguousarray(image), np.ascontiguousarray(mask)[None], group


def _array(value: Any, where: str) -> Array:
    if isinstance(value, Image):
        return value.array
    if isinstance(value, np.ma.MaskedArray):
        raise UlnaError("this is a masked array", where=where, hint="Fill it first: array.filled(0)")
    try:
        array = of_tensor(value) if hasattr(value, "detach") else np.asarray(value)
    except UlnaError as error:
        raise UlnaError(error.what, where=where, hint=error.hint) from None
    except (TypeError, ValueError) as error:
        raise UlnaError(f"this is no array ({error})", where=where) from None
    if array.dtype.kind not in "buif" or not array.size:
        raise UlnaError(f"this is no image: an array of {array.dtype}, shape {array.shape}", where=where)
    if array.dtype == bool:
        return array.astype(np.uint8)
    if array.dtype == np.float16:
        return array.astype(np.float32)
    if array.dtype in (np.int64, np.uint64):
        return _narrowed(array, where)
    return array


def _narrowed(array: Array, where: str) -> Array:
    """64-bit integers, which Python makes and no image file holds, in 32 bits."""
    kind = np.int32 if array.dtype == np.int64 else np.uint32
    narrow = array.astype(kind)
    if not np.array_equal(narrow, array):
        raise UlnaError("its integers do not fit into 32 bits", where=where)
    return narrow
