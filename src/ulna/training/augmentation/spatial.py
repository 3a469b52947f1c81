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

from ulna.config import AugmentationConfig


def context(config: AugmentationConfig | None, size: tuple[int, ...]) -> tuple[int, ...]:
    """How large a window (pixels a side) to cut for a patch of `size`, so that variations rarely leave it.

    A turned square needs up to 1.41 times its side, and that only at 45 degrees and in its corners; 1.2 times
    covers most at half the extra memory. So: size / smallest scale, times 1.2 (less where rotations are
    small), plus one standard deviation of the elastic displacement and the largest shift on either side.
    What still falls outside is mirrored. Across thick slices (`config.slices`) nothing is moved. The window is larger
    than the patch by an even number of pixels, so that both have the same center.
    """
    if config is None or config.spatial_probability == 0:
        return size
    turn = min(math.radians(max(config.rotation, config.tilt if len(size) == 3 else 0.0)), math.pi / 4)
    factor = min(1.2, math.cos(turn) + math.sin(turn)) / min(config.scale[0], 1.0)
    margins = [
        0.0
        if axis == config.slices
        else (side * factor - side) / 2 + min(config.elastic, room(side, config)) + config.shift * side
        for axis, side in enumerate(size)
    ]
    return tuple(side + 2 * math.ceil(margin - 1e-6) for side, margin in zip(size, margins, strict=True))


def room(side: int, config: AugmentationConfig) -> float:
    """The largest standard deviation of the elastic vectors that does not fold a side of so many pixels."""
    return (side - 1) / (config.elastic_grid - 1) / 4


def moved_alike(
    images: Tensor, truth: Tensor, drawn: tuple[Tensor, Tensor, Tensor], *, size: tuple[int, ...]
) -> tuple[Tensor, Tensor]:
    """Images (N, C, *window) and truth (N, L, *window) read along one field: (N, C, *size) and (N, L, *size).

    The field is that of a matrix, a shift and displacements (`coordinates`). Where these leave an axis of volumes
    alone or flip it, as that across thick slices, it is a field of the other two axes, the same for all slices: nothing
    is interpolated between slices, and it takes a third of the time.
    """
    matrix, shift, elastic = drawn
    axis = untouched_axis(matrix, shift, elastic)
    if axis is None:
        field = coordinates(matrix, shift, elastic, window=tuple(images.shape[2:]), size=size)
        return smooth(images, field), nearest(truth, field)
    others = [other for other in range(len(size)) if other != axis]
    window, plane = (tuple(sides[other] for other in others) for sides in (images.shape[2:], size))
    matrices = matrix[:, others][:, :, others]
    field = coordinates(matrices, shift[:, others], elastic[:, others].select(2 + axis, 0), window=window, size=plane)
    backwards = matrix[:, axis, axis] < 0
    stacks = (_slices(one, axis, size[axis], backwards) for one in (images, truth))  # slices as channels
    read = (way(stack.flatten(1, 2), field) for way, stack in zip((smooth, nearest), stacks, strict=True))
    volumes = (one.reshape(len(one), -1, size[axis], *plane).movedim(2, 2 + axis) for one in read)
    first, second = (one.contiguous() for one in volumes)
    return first, second


def untouched_axis(matrix: Tensor, shift: Tensor, elastic: Tensor) -> int | None:
    """The axis of volumes along which no image is moved, except flipped, and along which all is moved alike."""
    ndim = shift.shape[1]
    for axis in range(ndim if ndim > 2 else 0):
        unit = torch.eye(ndim, device=matrix.device)[axis]
        rows = (matrix[:, axis].abs() == unit).all() & (matrix[:, :, axis].abs() == unit).all()
        bent = (elastic[:, axis] != 0).any() | (elastic != elastic.narrow(2 + axis, 0, 1)).any()
        if bool(rows & ~bent & (shift[:, axis] == 0).all()):
            return axis
    return None


def _slices(images: Tensor, axis: int, count: int, backwards: Tensor) -> Tensor:
    """The middle `count` slices along an axis, in front of the other spatial axes; reversed for some images."""
    sides = [count if k == axis else side for k, side in enumerate(images.shape[2:])]
    stack = images if images.shape[2 + axis] == count else center_crop(images, tuple(sides))
    stack = stack.movedim(2 + axis, 2)
    if bool(backwards.any()):
        stack = torch.where(backwards.view(-1, *(1,) * (stack.ndim - 1)), stack.flip(2), stack)
    return stack


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
