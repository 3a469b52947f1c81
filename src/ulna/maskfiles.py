"""Masks of several images, each in a file that suits its image."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ulna.errors import UlnaError
from ulna.formats import mask_suffix
from ulna.image import Source
from ulna.layouts.own import file_of, mark
from ulna.prediction import Prediction


def write_masks(
    predictions: Iterable[tuple[int, Prediction]], folder: Path, *, inputs: set[str], wide: bool, overwrite: bool
) -> list[Path]:
    """Write masks one by one, and list them as written by ulna, so that no later call takes them for images.

    Parameters
    ----------
    predictions
        Each with its number, by which it is named where its image came from no file.
    folder
        Where the files appear.
    inputs
        The real paths of the images, over which nothing is written.
    wide
        Whether masks hold values beyond 16 bits, or below 0: they are no pixels of a PNG.
    overwrite
        Whether masks that are there may be replaced.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    UlnaError
        For two masks of one name, and for files in the way.
    """
    written: dict[Path, Source | None] = {}
    try:
        for number, prediction in predictions:
            source = prediction.source
            suffix = mask_suffix(source) if source else ".png"
            suffix = ".tif" if suffix == ".png" and (wide or prediction.ndim > 2) else suffix
            path = folder / f"{source.stem if source else f'{number:04d}'}{suffix}"
            if path in written:
                raise UlnaError(f"two images would have their masks in {path.name}", where=folder)
            if os.path.realpath(path) in inputs | real_paths([source]):
                raise UlnaError("the mask would be written over an image", where=path, hint="Name another out.")
            if path.exists() and not overwrite:
                raise UlnaError("this mask is there already", where=path, hint="Name another out, or set overwrite.")
            written[prediction.save(path)] = source
    finally:
        if written:
            mark(folder, {path.name: file_of([source] if source else []) for path, source in written.items()}, [])
    return list(written)


def real_paths(images: Sequence[Any]) -> set[str]:
    """The real paths of those images that are files."""
    paths = [one.path if isinstance(one, Source) and not one.inside else one for one in images]
    return {os.path.realpath(Path(path).expanduser()) for path in paths if isinstance(path, str | Path)}
