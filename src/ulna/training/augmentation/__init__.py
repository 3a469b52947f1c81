"""Augmentation: draw how a batch is varied (plain tensors), then apply it. One path for 2D and 3D.

To add a variation: a field of `Draw` whose neutral value changes nothing, a line in `draw`, and a function
that is called in `apply`. The spatial parts are composed into one field of coordinates
(`training/augmentation/spatial.py`), so that an image is resampled once; the others work on intensities alone
(`training/augmentation/intensities.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from itertools import combinations

import torch
from torch import Tensor
from torch.nn import functional as F

from ulna.config import AugmentationConfig
from ulna.errors import UlnaError
from ulna.training.augmentation.intensities import (
    color_jitter,
    counterstained,
    fluorescence_to_brightfield,
    gamma_changed,
    gaussian_blur,
    low_resolution,
    with_noise,
)
from ulna.training.augmentation.spatial import center_crop, context, moved_alike, room

_SIGNED = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}

__all__ = ["Draw", "apply", "context", "draw"]

LOWEST_RESOLUTION = 0.5
"""The least share of the resolution that is left where it is lowered (nnU-Net's range)."""

MAX_DENSITY = 1.2
"""Largest optical density (natural logarithm) of a counterstain: less than a third of the light passes."""

STAINS = (((0.5, 1.5), (0.5, 1.6), (0.1, 0.9)), ((0.0, 0.3), (0.1, 0.9), (0.0, 0.6)))
"""Optical densities in red, green and blue from which stains are drawn where fluorescence is redrawn as tissue:
of nuclei (blue, as haematoxylin, to purple and brown) and of what lies around them (pink, as eosin, to clear)."""


@dataclass(frozen=True)
class Draw:
    """What was drawn for a batch of N images with C channels and n spatial axes; one row per image.

    A row of neutral values (identity, zeros, ones) leaves its image as it is, bit for bit. `vars(draw)` is a
    dictionary of tensors for `torch.save`, and `Draw(**saved)` is the draw again.
    """

    matrix: Tensor  # (N, n, n) from a pixel's offset from the patch's center to its offset from the window's
    shift: Tensor  # (N, n) pixels of the window
    elastic: Tensor  # (N, n, grid, …) displacement vectors on the coarse grid, pixels of the patch
    color: Tensor  # (N, C, C) mixing of the channels
    offset: Tensor  # (N, C) added to each channel
    optical_densities: (
        Tensor  # (N, 2, C) optical densities of the stains in which a gray image is redrawn; zeros: it is not
    )
    contrast: Tensor  # (N,) factor around each channel's mean
    gamma: Tensor  # (N,) exponent
    blur: Tensor  # (N,) standard deviation of the Gaussian, pixels of the finest axis
    resolution: Tensor  # (N, C) share of the resolution of the finest axis that each channel keeps
    fineness: Tensor  # (N, n) spacing of the finest axis divided by that of each; 0 across thick slices
    stain_map: Tensor  # (N, 1, *size) where a second stain lies, 0 to 1
    absorbance: Tensor  # (N, C) optical density of the counterstain at its thickest
    noise: Tensor  # (N, C, *size) added last

    def rows(self, which: Tensor) -> Draw:
        """The draw of some images only; `which` are indices (or a mask) along the batch."""
        return Draw(**{field.name: getattr(self, field.name)[which] for field in fields(self)})

    def to(self, device: torch.device | str) -> Draw:
        """The same draw on another device."""
        return Draw(**{field.name: getattr(self, field.name).to(device) for field in fields(self)})


def draw(
    config: AugmentationConfig | None,
    *,
    batch: int,
    ndim: int,
    size: tuple[int, ...],
    channels: int,
    generator: torch.Generator,
    spacings: Sequence[Sequence[float]] | None = None,
) -> Draw:
    """Draw how each image of a batch is varied.

    `size` is the patch in pixels, `spacings` holds the distance of pixels along each axis of each image (None: equal
    along all axes), so that a rotated image keeps its proportions. `spatial_probability` decides per image on all
    spatial parts together; `intensity_probability` per image on each part of the intensities by itself. With `config`
    None all rows are neutral. The same generator state gives the same draw.
    """
    if len(size) != ndim:
        raise UlnaError(f"a patch of {ndim} spatial axes needs {ndim} sizes, not {size}")
    drawn = _neutral(batch, size, channels)
    if config is None:
        return drawn
    if spacings is not None:
        spacing = torch.tensor(spacings, dtype=torch.float64)
        fineness = (spacing.amin(dim=1, keepdim=True) / spacing).float()
        drawn = replace(drawn, fineness=fineness)
    drawn = _draw_spatial(config, drawn, size, generator)
    return _draw_intensities(config, drawn, generator)


def apply(drawn: Draw, images: Tensor, truth: Tensor, *, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Vary a batch as drawn: the same draw gives the same batch.

    `images` (N, C, *window) are floating point, `truth` (N, L, *window) integer (its dtype and labels are
    kept); the window is as large as the patch or larger (see `context`), and the patch lies around its
    center: what falls outside the window is mirrored. Returns (N, C, *size) and (N, L, *size). The truth is
    moved by the same field as the images and is left alone by what changes intensities. An image that is gray
    (all its channels alike, as where a gray picture is stored as RGB) stays gray, unless it is redrawn as tissue.
    """
    _check_batch(drawn, images, truth, size)
    drawn = drawn.to(images.device)
    # torch cannot index wide unsigned integers: their bits are moved as signed ones.
    signed = _SIGNED.get(truth.dtype, truth.dtype)
    images, labels = _move(drawn, images, truth.view(signed), size)  # new tensors: changed in place from here
    images = _on(
        _differs(drawn.optical_densities, 0),
        lambda x, d: fluorescence_to_brightfield(x, d.optical_densities, d.stain_map),
        images,
        drawn,
    )
    images = _on(
        _differs(drawn.color, _eye(drawn.color)) | _differs(drawn.offset, 0) | _differs(drawn.contrast, 1),
        lambda x, d: color_jitter(x, d.color, d.offset, d.contrast),
        images,
        drawn,
    )
    images = _on(
        _differs(drawn.absorbance, 0), lambda x, d: counterstained(x, d.stain_map, d.absorbance), images, drawn
    )
    images = _on(_differs(drawn.gamma, 1), lambda x, d: gamma_changed(x, d.gamma), images, drawn)
    images = _on(_differs(drawn.blur, 0), lambda x, d: gaussian_blur(x, d.blur[:, None] * d.fineness), images, drawn)
    images = _on(_differs(drawn.resolution, 1), lambda x, d: low_resolution(x, d.resolution, d.fineness), images, drawn)
    return with_noise(images, drawn.noise), labels.view(truth.dtype)


def _neutral(batch: int, size: tuple[int, ...], channels: int) -> Draw:
    ndim = len(size)
    return Draw(
        matrix=torch.eye(ndim).repeat(batch, 1, 1),
        shift=torch.zeros(batch, ndim),
        elastic=torch.zeros(batch, ndim, *(2,) * ndim),
        color=torch.eye(channels).repeat(batch, 1, 1),
        offset=torch.zeros(batch, channels),
        optical_densities=torch.zeros(batch, 2, channels),
        contrast=torch.ones(batch),
        gamma=torch.ones(batch),
        blur=torch.zeros(batch),
        resolution=torch.ones(batch, channels),
        fineness=torch.ones(batch, ndim),
        stain_map=torch.zeros(()).expand(batch, 1, *size),  # takes no memory
        absorbance=torch.zeros(batch, channels),
        noise=torch.zeros(()).expand(batch, channels, *size),
    )


def _draw_spatial(config: AugmentationConfig, drawn: Draw, size: tuple[int, ...], generator: torch.Generator) -> Draw:
    batch, ndim = drawn.shift.shape
    moved = _chance(config.spatial_probability, batch, generator)
    matrix = _rotations(config, batch, ndim, generator)
    first, second = _planes(config, ndim)[0]
    if config.quarter_turns and size[first] == size[second]:
        matrix = matrix @ _quarter_turns(config, batch, ndim, generator)
    # In proportions of space, not of pixels: a rotated cube stays one where pixels are no cubes.
    matrix = matrix * (drawn.fineness[:, :, None] / drawn.fineness[:, None])
    if config.flip:
        signs = 1 - 2 * torch.randint(0, 2, (batch, 1, ndim), generator=generator)
        flips = range(ndim) if isinstance(config.flip, bool) else config.flip
        matrix = matrix * torch.where(torch.tensor([axis in flips for axis in range(ndim)]), signs, 1)
    flipped = matrix
    matrix = matrix / _evenly(config.scale, (batch, 1, 1), generator)
    sides = torch.tensor(size, dtype=torch.float32)
    shift = _evenly((-config.shift, config.shift), (batch, ndim), generator) * sides
    # On small patches 10 px would fold the picture over itself: at most a quarter of the grid's spacing.
    deviation = torch.tensor([min(config.elastic, room(side, config)) for side in size])
    grid = (config.elastic_grid,) * ndim
    elastic = torch.randn(batch, ndim, *grid, generator=generator) * deviation.view(ndim, *(1,) * ndim)
    elastic = elastic * drawn.fineness.view(batch, ndim, *(1,) * ndim)
    if config.slices is not None:
        across = config.slices
        matrix[:, across] = flipped[:, across]
        shift[:, across], elastic[:, across] = 0, 0
        elastic = elastic.narrow(2 + across, 0, 1).expand_as(elastic)  # all slices bend alike
        drawn.fineness[:, across] = 0
    return replace(
        drawn,
        matrix=torch.where(moved.view(-1, 1, 1), matrix, drawn.matrix),
        shift=shift * moved.view(-1, 1),
        elastic=elastic * moved.view(-1, *(1,) * (ndim + 1)),
    )


def _draw_intensities(config: AugmentationConfig, drawn: Draw, generator: torch.Generator) -> Draw:
    batch, channels = drawn.offset.shape

    def sometimes(span: tuple[float, float], neutral: float) -> Tensor:
        values = _evenly(span, (batch,), generator)
        return torch.where(_chance(config.intensity_probability, batch, generator), values, neutral)

    brightness = sometimes((-config.brightness, config.brightness), 0.0)
    contrast = sometimes(config.contrast, 1.0)
    gamma = sometimes(config.gamma, 1.0)
    color, offset = drawn.color, brightness[:, None].repeat(1, channels)
    if channels >= 3 and config.stain > 0:
        stained = _chance(config.intensity_probability, batch, generator)
        mixing, added = _stains(config.stain, batch, channels, generator)
        color = torch.where(stained.view(-1, 1, 1), mixing, color)
        offset = offset + added * stained.view(-1, 1)
    stain_map, absorbance, optical_densities = drawn.stain_map, drawn.absorbance, drawn.optical_densities
    if channels >= 3 and (config.counterstain > 0 or config.fluorescence_to_brightfield > 0):
        stain_map = _stain_maps(batch, tuple(drawn.noise.shape[2:]), generator)
        stained = _chance(config.counterstain, batch, generator)
        absorbance = _evenly((0.0, MAX_DENSITY), (batch, channels), generator) * stained.view(-1, 1)
    if channels == 3 and config.fluorescence_to_brightfield > 0:
        redrawn = _chance(config.fluorescence_to_brightfield, batch, generator)
        low, high = torch.tensor(STAINS).unbind(-1)
        optical_densities = (low + (high - low) * torch.rand(batch, *low.shape, generator=generator)) * redrawn.view(
            -1, 1, 1
        )
    blur = sometimes((0.0, config.blur), 0.0)
    resolution = drawn.resolution
    if config.low_resolution > 0:
        left = _evenly((LOWEST_RESOLUTION, 1.0), (batch, channels), generator)
        lowered = torch.rand(batch, channels, generator=generator) < config.low_resolution
        resolution = torch.where(lowered, left, resolution)
    level = sometimes((0.0, config.noise), 0.0)
    noise, noisy = drawn.noise, level > 0
    if bool(noisy.any()):
        rows = torch.randn(int(noisy.sum()), *noise.shape[1:], generator=generator)
        noise = torch.zeros(noise.shape)
        noise[noisy] = rows * level[noisy].view(-1, *(1,) * (noise.ndim - 1))
    drawn = replace(drawn, color=color, offset=offset, contrast=contrast, gamma=gamma, blur=blur, noise=noise)
    drawn = replace(drawn, resolution=resolution)
    return replace(drawn, stain_map=stain_map, absorbance=absorbance, optical_densities=optical_densities)


def _stain_maps(batch: int, size: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """Clouds (N, 1, *size) between 0 and 1: noise on grids from coarse to fine, each weighted at random."""
    ndim = len(size)
    mode = {2: "bilinear", 3: "trilinear"}[ndim]
    stain_map = torch.zeros(batch, 1, *size)
    for points in (3, 6, 12, 24, 48):
        grid = torch.randn(batch, 1, *(min(points, max(side // 2, 2)) for side in size), generator=generator)
        weight = torch.rand(batch, 1, *(1,) * ndim, generator=generator)
        stain_map += weight * F.interpolate(grid, size, mode=mode, align_corners=True)
    low, high = stain_map.flatten(1).aminmax(dim=1)
    return (stain_map - low.view(-1, 1, *(1,) * ndim)) / (high - low).clamp(min=1e-6).view(-1, 1, *(1,) * ndim)


def _stains(strength: float, batch: int, channels: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Colors as another stain, scanner or camera would give them: a mixing matrix and an offset an image.

    Each channel is multiplied by 1 ± strength and moved by ± strength / 2, as Tellez et al. 2018 (IEEE TMI
    37:2126) do to stain channels; beside that, channels are mixed a little (± strength / 2 between any two,
    rows summing to nothing), which turns hues and leaves gray as it is.
    """
    mixing = _evenly((-strength / 2, strength / 2), (batch, channels, channels), generator)
    mixing = mixing - torch.diag_embed(mixing.sum(dim=2))  # rows now sum to zero
    factors = _evenly((1 - strength, 1 + strength), (batch, channels), generator)
    added = _evenly((-strength / 2, strength / 2), (batch, channels), generator)
    return mixing + torch.diag_embed(factors), added


def _rotations(config: AugmentationConfig, batch: int, ndim: int, generator: torch.Generator) -> Tensor:
    """Rotation matrices (N, n, n): in the plane of the last two axes, and in 3D by `tilt` out of it.

    In the plane of thick slices alone where there are such.
    """
    matrix = torch.eye(ndim).repeat(batch, 1, 1)
    for (a, b), limit in zip(_planes(config, ndim), (config.rotation, config.tilt, config.tilt), strict=False):
        angle = torch.deg2rad(_evenly((-limit, limit), (batch,), generator))
        turn = torch.eye(ndim).repeat(batch, 1, 1)
        turn[:, a, a] = turn[:, b, b] = torch.cos(angle)
        turn[:, a, b] = torch.sin(angle)
        turn[:, b, a] = -turn[:, a, b]
        matrix = matrix @ turn
    return matrix


def _quarter_turns(config: AugmentationConfig, batch: int, ndim: int, generator: torch.Generator) -> Tensor:
    """Turns (N, n, n) by 90, 180 or 270 degrees in the plane of the last two axes, or of thick slices."""
    quarters = torch.randint(1, 4, (batch,), generator=generator) * _chance(config.quarter_turns, batch, generator)
    a, b = _planes(config, ndim)[0]
    matrix = torch.eye(ndim).repeat(batch, 1, 1)
    matrix[:, a, a] = matrix[:, b, b] = torch.tensor([1.0, 0.0, -1.0, 0.0])[quarters]
    matrix[:, a, b] = torch.tensor([0.0, 1.0, 0.0, -1.0])[quarters]
    matrix[:, b, a] = -matrix[:, a, b]
    return matrix


def _planes(config: AugmentationConfig, ndim: int) -> list[tuple[int, int]]:
    """The axes of the planes in which images are rotated: of the last two first, or of thick slices alone."""
    planes = list(reversed(list(combinations(range(ndim), 2))))
    return planes if config.slices is None else [plane for plane in planes if config.slices not in plane]


def _move(drawn: Draw, images: Tensor, truth: Tensor, size: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """All spatial parts in one resampling; images with a neutral draw are cut from their window untouched."""
    moved = _differs(drawn.matrix, _eye(drawn.matrix)) | _differs(drawn.shift, 0) | _differs(drawn.elastic, 0)
    still = not bool(moved.all())
    if still:
        patches, labels = center_crop(images, size), center_crop(truth, size)
    if bool(moved.any()):
        some = drawn.rows(moved)
        both = (images[moved], truth[moved]) if still else (images, truth)
        moved_images, moved_truth = moved_alike(*both, (some.matrix, some.shift, some.elastic), size=size)
        if not still:
            return moved_images, moved_truth
        patches[moved], labels[moved] = moved_images, moved_truth
    return patches, labels


def _on(rows: Tensor, change: Callable[[Tensor, Draw], Tensor], images: Tensor, drawn: Draw) -> Tensor:
    """Change some images of the batch in place; the others stay as they are, bit for bit."""
    if not bool(rows.any()):
        return images
    images[rows] = change(images[rows], drawn.rows(rows))
    return images


def _differs(values: Tensor, neutral: Tensor | float) -> Tensor:
    """(N,) whether an image's values are not all neutral."""
    return (values != neutral).flatten(1).any(dim=1) if values.ndim > 1 else values != neutral


def _eye(like: Tensor) -> Tensor:
    return torch.eye(like.shape[-1], device=like.device)


def _evenly(span: tuple[float, float], shape: tuple[int, ...], generator: torch.Generator) -> Tensor:
    low, high = span
    return low + (high - low) * torch.rand(shape, generator=generator)


def _chance(probability: float, batch: int, generator: torch.Generator) -> Tensor:
    return torch.rand(batch, generator=generator) < probability


def _check_batch(drawn: Draw, images: Tensor, truth: Tensor, size: tuple[int, ...]) -> None:
    expected = (images.shape[0], images.shape[1], *size)
    if tuple(drawn.noise.shape) != expected:
        raise UlnaError(f"the draw was made for patches of shape {tuple(drawn.noise.shape)}, not {expected}")
    if (truth.shape[0], *truth.shape[2:]) != (images.shape[0], *images.shape[2:]):
        raise UlnaError(f"truth of shape {tuple(truth.shape)} does not suit images of shape {tuple(images.shape)}")
    if not images.is_floating_point() or truth.is_floating_point():
        raise UlnaError(f"images must be floating point and truth integer, not {images.dtype} and {truth.dtype}")
