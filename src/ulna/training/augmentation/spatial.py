"""Moving pixels: from matrices, shifts and displacements to one field of coordinates, and reading along it.

Coordinates are pixels of the window (the image that a patch is cut from), 0 at the center of its first pixel,
in the order of the spatial axes. Nothing here knows how many axes there are.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor


def coordinates(
    matrix: Tensor, shift: Tensor, elastic: Tensor, *, window: tuple[int, ...], size: tuple[int, ...]
) -> Tensor:
    """Where in the window each pixel of the patch is read: (N, n, *size), mirrored into the window.

    A pixel at offset x from the patch's center is read at c + A (x + e(x)) + t: c the center of the patch
    that a plain crop would cut, A the `matrix` (N, n, n), t the `shift` (N, n), and e the displacement,
    interpolated bicubically from the vectors `elastic` (N, n, grid, …) on a coarse grid that spans the patch
    (Ronneberger et al. 2015, section 3.1). Displaced first, so that the picture bends as much at every scale.
    """
    ndim = len(size)
    axes = [torch.arange(side, device=matrix.device, dtype=torch.float32) - (side - 1) / 2 for side in size]
    offsets = torch.stack(torch.meshgrid(*axes, indexing="ij")).unsqueeze(0)
    if bool((elastic != 0).any()):
        offsets = offsets + spread(elastic, size)
    offsets = offsets.expand(len(matrix), *offsets.shape[1:]).flatten(2)
    center = [(w - s) // 2 + (s - 1) / 2 for w, s in zip(window, size, strict=True)]
    place = torch.tensor(center, device=matrix.device) + shift
    field = torch.baddbmm(place.unsqueeze(2), matrix, offsets).view(-1, ndim, *size)
    return torch.stack([mirrored(field[:, axis], window[axis]) for axis in range(ndim)], dim=1)


def spread(elastic: Tensor, size: tuple[int, ...]) -> Tensor:
    """Displacement of every pixel, (N, n, *size), from vectors (N, n, grid, …) whose corners are the patch's.

    Cubic convolution (Keys 1981, a = -0.75 as in torch) along each axis in turn, which is bicubic in 2D.
    """
    field = elastic
    for axis, side in enumerate(size):
        weights = _cubic_weights(elastic.shape[2 + axis], side).to(elastic)
        field = torch.tensordot(field, weights, dims=([2], [0]))  # the new axis is last: after n turns all in place
    return field


@lru_cache(maxsize=64)
def _cubic_weights(grid: int, side: int) -> Tensor:
    """(grid, side): how much each node counts for each pixel."""
    nodes = torch.eye(grid).view(1, grid, grid, 1)
    return F.interpolate(nodes, size=(side, 1), mode="bicubic", align_corners=True)[0, :, :, 0]


def smooth(images: Tensor, field: Tensor) -> Tensor:
    """Read images (N, C, *window) along a field (N, n, *size), (bi- or tri-)linearly: (N, C, *size)."""
    window = torch.tensor(images.shape[2:], device=field.device, dtype=field.dtype)
    # grid_sample counts from -1 to 1 between the centers of the outer pixels, and its last axis first.
    unit = 2 / (window - 1).clamp(min=1)
    grid = field.movedim(1, -1) * unit - 1
    grid = grid.flip(-1).to(images.dtype).contiguous()
    return F.grid_sample(images, grid, padding_mode="border", align_corners=True)


def nearest(truth: Tensor, field: Tensor) -> Tensor:
    """Read labels (N, L, *window) along a field (N, n, *size): the nearest pixel's, exact in any dtype."""
    window = truth.shape[2:]
    steps = [math.prod(window[axis + 1 :]) for axis in range(len(window))]
    index = sum(
        (field[:, axis].round().long() * step for axis, step in enumerate(steps)),
        torch.zeros((), dtype=torch.long),
    )
    layers = truth.shape[1]
    places = index.flatten(1).unsqueeze(1).expand(-1, layers, -1)
    return truth.flatten(2).gather(2, places).view(len(truth), layers, *field.shape[2:])


def center_crop(images: Tensor, size: tuple[int, ...]) -> Tensor:
    """The middle of images (N, C, *window) as a copy (N, C, *size); mirrored where the window is smaller."""
    for axis, side in enumerate(size, start=2):
        window = images.shape[axis]
        places = torch.arange(side, device=images.device) + (window - side) // 2
        images = images.index_select(axis, mirrored(places, window))
    return images


def mirrored(places: Tensor, side: int) -> Tensor:
    """Coordinates brought into 0 … side - 1 by mirroring at the centers of the outer pixels."""
    if side == 1:
        return torch.zeros_like(places)
    last = side - 1
    return last - (places.remainder(2 * last) - last).abs()
