"""What a network learns of objects: distances within them, distances to their neighbors, weights of their borders.

All are functions of the numbers of the objects, 0 the background, in 2D and 3D. `spacing` is the size of a pixel
along each axis, and distances are in its unit. An object cut by the border of the array goes on outside, nobody knows
how far: the border of the array is no border of an object.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from scipy import ndimage

Numbers = npt.NDArray[np.integer]
Floats = npt.NDArray[np.float32]
Box = tuple[slice, ...]

UNKNOWN = -1.0
"""The distance of a pixel whose nearest border may lie where nothing is annotated: nothing is learned of it."""

NEGLIGIBLE = 1e-6
"""The share of `w0` below which a border weight is 0."""


def distances(
    objects: Numbers, spacing: Sequence[float] | None = None, unknown: npt.NDArray[np.bool_] | None = None
) -> Floats:
    """The distance of each pixel from the border of its own object, as a share of the object's largest one.

    Parameters
    ----------
    objects : ndarray of int
        Numbers of objects, of any number of axes; 0 is the background.
    spacing : sequence of float, optional
        The size of a pixel along each axis; by default 1.
    unknown : ndarray of bool, optional
        Where nothing is annotated; no object lies there.

    Returns
    -------
    ndarray of float32
        1 at the deepest pixel of each object, falling towards its border, 0 outside. An object may go on where nothing
        is annotated: pixels that lie nearer to that than to a border that is known are `UNKNOWN`. Of an object that is
        mostly so, as in single slices of a volume, the border to it is none, like that of the array.

    References
    ----------
    Naylor, Laé, Reyal, Walter: Segmentation of nuclei in histopathology images by deep regression of the distance map.
    IEEE TMI 38(2), 2019.
    """
    found = np.zeros(objects.shape, np.float32)
    for number, box in _boxes(objects, 1):
        inside = objects[box] == number
        depth = np.ones(inside.shape) if inside.all() else ndimage.distance_transform_edt(inside, sampling=spacing)
        doubt = np.zeros_like(inside)
        hidden = unknown[box] if unknown is not None else doubt
        if hidden.any() and not (inside | hidden).all():
            most = ndimage.distance_transform_edt(inside | hidden, sampling=spacing)  # if it goes on there
            doubt = inside & (most > depth)
            if 2 * np.count_nonzero(doubt) > np.count_nonzero(inside):
                depth, doubt = most, np.zeros_like(inside)
        found[box][inside] = (depth / depth[inside].max())[inside]
        found[box][doubt] = UNKNOWN
    return found


def neighbor_distances(objects: Numbers, spacing: Sequence[float] | None = None) -> Floats:
    """How near each pixel of an object is to another object: 1 where they touch, 0 at a distance of `reach` and beyond.

    Parameters
    ----------
    objects, spacing
        As of `distances`.

    Returns
    -------
    ndarray of float32
        (1 − d / reach)³ within objects, with d the distance to the nearest pixel of another object beyond touching,
        and reach the diameter of a disk (ball in 3D) of the object's own size; 0 outside.

    References
    ----------
    After Scherr, Löffler, Böhland, Mikut: Cell segmentation and tracking using CNN-based distance predictions and a
    graph-based matching strategy. PLoS ONE 15(12), 2020. There, each object's distances are divided by their largest.
    """
    found = np.zeros(objects.shape, np.float32)
    pixel = np.asarray(spacing or [1.0] * objects.ndim)
    areas = np.bincount(objects.ravel())
    for number, own in _boxes(objects, 0):
        volume = float(areas[number]) * float(pixel.prod())
        reach = 2 * (volume / math.pi) ** 0.5 if objects.ndim == 2 else 2 * (0.75 * volume / math.pi) ** (1 / 3)
        box = _wider(own, [math.ceil(reach / side) for side in pixel], objects.shape)
        inside, part = objects[box] == number, objects[box]
        others = (part != number) & (part > 0)
        if not others.any():
            continue
        away = ndimage.distance_transform_edt(~others, sampling=spacing)[inside] - pixel.min()
        found[box][inside] = (1 - np.clip(away / reach, 0, 1)) ** 3
    return found


def apart(objects: Numbers) -> npt.NDArray[np.bool_]:
    """The objects with a line of background, one pixel wide, between those that touch.

    Parameters
    ----------
    objects
        As of `distances`.

    Returns
    -------
    ndarray of bool
        Which pixels are kept: connected regions of these, by faces, are of one object each.
    """
    kept = np.asarray(objects > 0)
    for axis in range(objects.ndim):
        before, after = ((slice(None),) * axis + (part,) for part in (slice(None, -1), slice(1, None)))
        one, other = objects[before], objects[after]
        kept[before] &= (one == other) | (other == 0)
    return kept


def border_weights(
    objects: Numbers, *, w0: float = 10, sigma: float = 5, spacing: Sequence[float] | None = None
) -> Floats:
    """The weight of the background between objects that lie close together: w0 · exp(−(d1 + d2)² / 2σ²).

    Parameters
    ----------
    objects, spacing
        As of `distances`.
    w0 : float
        The weight of a border without width.
    sigma : float
        In pixels, or in the unit of `spacing`: borders much wider than this weigh nothing.

    Returns
    -------
    ndarray of float32
        0 within objects. d1 and d2 are the exact distances to the nearest and the second nearest object; where the
        weight is below `NEGLIGIBLE` of `w0` it is 0.

    References
    ----------
    Ronneberger, Fischer, Brox: U-Net: Convolutional networks for biomedical image segmentation. MICCAI 2015.
    """
    reach = sigma * math.sqrt(-2 * math.log(NEGLIGIBLE))
    pixel = spacing or [1.0] * objects.ndim
    first = np.full(objects.shape, np.inf, np.float32)
    second = first.copy()
    for number, own in _boxes(objects, 0):
        box = _wider(own, [math.ceil(reach / side) for side in pixel], objects.shape)
        away = ndimage.distance_transform_edt(objects[box] != number, sampling=spacing).astype(np.float32)
        np.minimum(second[box], np.maximum(first[box], away), out=second[box])
        np.minimum(first[box], away, out=first[box])
    total = first + second
    near = (objects == 0) & (total < reach)
    weights = np.zeros(objects.shape, np.float32)
    weights[near] = w0 * np.exp(-(total[near] ** 2) / (2 * sigma**2))
    return weights


def _boxes(objects: Numbers, margin: int) -> Iterator[tuple[int, Box]]:
    """The number of each object and the box that holds it, wider by `margin` pixels on all sides."""
    for number, box in enumerate(ndimage.find_objects(objects), start=1):
        if box is not None:
            yield number, _wider(box, [margin] * objects.ndim, objects.shape)


def _wider(box: Box, margins: Sequence[int], shape: Sequence[int]) -> Box:
    """The box with a margin on both sides of each axis, within the array."""
    return tuple(
        slice(max(part.start - margin, 0), min(part.stop + margin, side))
        for part, margin, side in zip(box, margins, shape, strict=True)
    )
