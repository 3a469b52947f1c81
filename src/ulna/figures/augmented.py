"""The picture of augmented samples: what the network is shown, beside what it is drawn from."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ulna.errors import UlnaError
from ulna.figures.annotated import annotated
from ulna.figures.common import Rgb, new_figure, plane, save_figure, show, to_rgb
from ulna.image import Array

Sample = tuple[Array, Array]  # image (C, *spatial), truth (1, *spatial) class indices


def augmented_picture(path: Path, originals: Sequence[Sample], variations: Sequence[Sequence[Sample]]) -> Path:
    """Draw one row per sample: the original, then its variations, each with the outlines of its classes.

    Images are (C, Y, X), or (C, Z, Y, X) of which the middle plane is shown. The pictures of a row share one stretch of
    their intensities, so that changes of brightness and contrast are seen.

    Parameters
    ----------
    path
        Where to.
    originals
        One (image, truth) per row.
    variations
        As many sequences of these; five variations look well.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        When rows are missing, or the file cannot be written.
    """
    if not originals or len(originals) != len(variations):
        raise UlnaError(f"{len(originals)} originals do not suit variations of {len(variations)} samples", where=path)
    columns = 1 + max(len(row) for row in variations)
    figure = new_figure(1.7 * columns, 1.7 * len(originals) + 0.3)
    grid = figure.subplots(len(originals), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    for row, (original, varied) in enumerate(zip(originals, variations, strict=True)):
        samples = [original, *varied]
        rgbs = _stretched_alike([image for image, _ in samples])
        for column, (rgb, (_, truth)) in enumerate(zip(rgbs, samples, strict=True)):
            title = "" if row else ("original" if column == 0 else f"draw {column}")
            show(grid[row, column], annotated(rgb, plane(truth)[0], opacity=0.0), title)
    return save_figure(figure, path)


def _stretched_alike(images: Sequence[Array]) -> list[Rgb]:
    """Images of any shape for the eye, brought to 0 … 255 by one and the same stretch."""
    planes = [plane(image) for image in images]
    pixels = np.concatenate([shown.reshape(shown.shape[0], 1, -1) for shown in planes], axis=2)
    ends = np.cumsum([shown[0].size for shown in planes])[:-1]
    parts = np.split(to_rgb(pixels), ends, axis=1)
    return [part.reshape(*shown.shape[1:], 3) for part, shown in zip(parts, planes, strict=True)]
