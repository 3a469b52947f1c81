"""Contact sheets: images side by side with common brightness, to judge by eye whether they belong together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import numpy as np

from ulna.errors import UlnaError
from ulna.figures.common import elided, flatness, new_figure, plane, save_figure, show, to_rgb
from ulna.image import Array


@dataclass(frozen=True)
class Joint:
    """Two adjacent images.

    Parameters
    ----------
    title
        Above them.
    first, second
        (C, *spatial); the second one follows the first.
    axis
        The spatial axis of the plane along which it follows.
    """

    title: str
    first: Array
    second: Array
    axis: int


def contact_sheet(path: Path, joints: Sequence[Joint], *, columns: int = 6, depth: int = 96) -> Path:
    """Write a picture of joints, each cut near the seam.

    A root brings out the dark parts, where a wrong joint shows as a step.

    Parameters
    ----------
    path
        Where to.
    joints
        The pairs to show.
    columns
        So many side by side.
    depth
        So many pixels are shown on either side of a seam.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        Where there is nothing to show, borders differ in length, or the file cannot be written.
    """
    if not joints:
        raise UlnaError("there is no joint to show", where=path)
    columns = min(columns, len(joints))
    rows = ceil(len(joints) / columns)
    figure = new_figure(1.5 * columns, 1.75 * rows, dpi=90)
    for index, joint in enumerate(joints):
        axes = figure.add_subplot(rows, columns, index + 1)
        show(axes, to_rgb(_joined(joint, depth)), joint.title, size=6)
    return save_figure(figure, path)


@dataclass(frozen=True)
class Couple:
    """Two images that were joined to one group.

    Parameters
    ----------
    why
        The reason.
    names
        Of the two.
    images
        (C, *spatial), of any sizes.
    """

    why: str
    names: tuple[str, str]
    images: tuple[Array, Array]


def couples_picture(path: Path, couples: Sequence[Couple], *, columns: int = 3) -> Path:
    """Write a picture of couples, the two images of each side by side under their names.

    Parameters
    ----------
    path
        Where to.
    couples
        The pairs to show.
    columns
        So many pairs side by side.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        Where there is nothing to show, or the file cannot be written.
    """
    if not couples:
        raise UlnaError("there is no couple to show", where=path)
    columns = min(columns, len(couples))
    rows = ceil(len(couples) / columns)
    tallest = max(flatness(image.shape) for couple in couples for image in couple.images)
    figure = new_figure(4.6 * columns, (2.2 * tallest + 0.5) * rows)
    for index, couple in enumerate(couples):
        row, column = divmod(index, columns)
        for side in (0, 1):
            axes = figure.add_subplot(rows, 2 * columns, 2 * columns * row + 2 * column + side + 1)
            show(axes, to_rgb(couple.images[side]))
            reason = couple.why if side == 0 else ""  # at the left, so that it has room above both images
            axes.set_title(f"{reason}\n{elided(couple.names[side], 34)}", fontsize=7, loc="left")
    return save_figure(figure, path)


def _joined(joint: Joint, depth: int) -> Array:
    """Both images at the seam (C, Y, X), as float32 roots of what lies above the darkest value."""
    first, second = plane(joint.first), plane(joint.second)
    axis = joint.axis + 1
    if np.delete(first.shape, axis).tolist() != np.delete(second.shape, axis).tolist():
        raise UlnaError(f"borders of {first.shape} and {second.shape} do not fit", where=joint.title)
    near = np.take(first, range(max(first.shape[axis] - depth, 0), first.shape[axis]), axis)
    both = np.concatenate([near, np.take(second, range(min(depth, second.shape[axis])), axis)], axis)
    return np.asarray(np.sqrt(both.astype(np.float32) - float(both.min())))
