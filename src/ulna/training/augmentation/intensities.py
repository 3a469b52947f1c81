"""Changing intensities: each function takes a batch (N, C, *size) and one value (or row) an image."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from ulna.normalization import HIGH, LOW
from ulna.training.augmentation.spatial import mirrored

SHINING = (0.7, 1.3)
"""Fluorescence as the thickness of a stain: to this power, and no more than this."""

DARK = 0.5
"""Mean of an image below which it may be fluorescence, and not a gray picture in fluorescence_to_brightfield light."""

HIDDEN = 0.7
"""Which share of the second stain the first one hides where it is thick."""

SAMPLE = 100_000
"""Percentiles of a patch are taken from about so many of its values: torch refuses more than 16 million in all."""

MIN_CONTRAST = 0.05
"""A redrawn image with less contrast than this is not stretched to more: an empty patch must stay empty."""


def color_jitter(images: Tensor, color: Tensor, offset: Tensor, contrast: Tensor) -> Tensor:
    """Mix channels by `color` (N, C, C), stretch by `contrast` (N,) around the mean, add `offset` (N, C).

    All of it is one affine change of the channels: y = c M x + (1 - c) M mean(x) + offset. A gray image gets
    the mean of its channels' changes, and so stays gray.
    """
    pixels = images.flatten(2)
    color, offset = color.to(images.dtype), offset.to(images.dtype)
    stretch = contrast.to(images.dtype).view(-1, 1, 1)
    mean = color @ pixels.mean(dim=2, keepdim=True)
    mixed = torch.baddbmm((1 - stretch) * mean + offset.unsqueeze(2), stretch * color, pixels)
    gray = _gray(pixels)
    if bool(gray.any()):
        mixed[gray] = mixed[gray].mean(dim=1, keepdim=True).expand_as(mixed[gray])
    return mixed.view_as(images)


def counterstained(images: Tensor, stain_map: Tensor, absorbance: Tensor) -> Tensor:
    """Lay a second stain over each image: x · exp(-stain_map · absorbance), the law of Beer and Lambert.

    `stain_map` (N, 1, *size) says how thick it lies, `absorbance` (N, C) what of each channel it takes. So a network
    that has only seen one stain does not take any other for what it looks for. Gray images are left alone:
    nothing is stained there.
    """
    stained = images * torch.exp(-stain_map.to(images.dtype) * _rows(absorbance, images))
    gray = _gray(images.flatten(2))
    stained[gray] = images[gray]
    return stained


def fluorescence_to_brightfield(images: Tensor, optical_densities: Tensor, stain_map: Tensor) -> Tensor:
    """Redraw gray images, bright on dark, as stained tissue in fluorescence_to_brightfield light, dark on bright.

    What shines is taken for the thickness of a first stain, clouds around it (`stain_map`, N, 1, *size) for that
    of a second; `optical_densities` (N, 2, C) are the optical densities of both, and the light that passes, by the law
    of Beer and Lambert, is normalized as images are ("percentile"). Expects intensities of about 0 to 1. Images
    in color, and bright ones (a mean above one half), are left alone. So fluorescence, where it lies in one
    data set with stained tissue, teaches nuclei of any stain too.
    """
    gray = _gray(images.flatten(2)) & (images.flatten(1).mean(dim=1) < DARK)
    if not bool(gray.any()):
        return images
    power, most = SHINING
    shining = images[gray][:, :1].clamp(0, most) ** power
    around = stain_map[gray].to(images.dtype) * (1 - HIDDEN * shining.clamp(max=1))
    first, second = (_rows(optical_densities[gray, k], images) for k in (0, 1))
    light = torch.exp(-shining * first - around * second)
    sample = light.flatten(1)[:, :: -(-light[0].numel() // SAMPLE)]
    low, high = sample.quantile(torch.tensor([LOW, HIGH], device=light.device) / 100, dim=1)
    redrawn = images.clone()
    redrawn[gray] = (light - _column(low, images)) / _column(high - low, images).clamp(min=MIN_CONTRAST)
    return redrawn


def gamma_changed(images: Tensor, gamma: Tensor) -> Tensor:
    """Raise each image to the power `gamma` (N,) between its own least and largest value, which stay."""
    low, high = images.flatten(1).aminmax(dim=1)
    low, width = _column(low, images), _column(high - low, images)
    unit = (images - low) / width.clamp(min=torch.finfo(images.dtype).tiny)
    return unit.pow(_column(gamma, images)) * width + low


def gaussian_blur(images: Tensor, deviation: Tensor) -> Tensor:
    """Blur each image by a Gaussian of its own standard deviations (N, n) in pixels of each axis, cut at three of them.

    One axis after the other, borders mirrored. A sum of shifted images: on a CPU several times faster than a
    grouped convolution with a kernel an image.
    """
    for axis, width in enumerate(deviation.double().unbind(1), start=2):
        radius = math.ceil(3 * float(width.max()))
        if radius == 0:
            continue
        steps = torch.arange(-radius, radius + 1, device=images.device)
        width = width.clamp(min=torch.finfo(torch.float32).tiny).unsqueeze(1)
        kernels = torch.exp(-0.5 * (steps / width) ** 2) * (steps.abs() <= torch.ceil(3 * width))
        kernels = (kernels / kernels.sum(dim=1, keepdim=True)).to(images.dtype)
        side = images.shape[axis]
        padded = images.index_select(axis, mirrored(torch.arange(-radius, side + radius), side).to(images.device))
        images = torch.zeros_like(images)
        for step in range(2 * radius + 1):
            images.addcmul_(padded.narrow(axis, step, side), _column(kernels[:, step], images))
    return images


def low_resolution(images: Tensor, resolution: Tensor, fineness: Tensor) -> Tensor:
    """Show channels as images of a lower resolution would: means over larger pixels, linear in between.

    `resolution` (N, C) is the share that is left along the finest axis, `fineness` (N, n) the spacing of the finest
    axis divided by that of each: an axis whose pixels are as long as the larger ones already stays as it is, and so
    thick slices (fineness 0) are not mixed (Isensee et al. 2021, online methods; there for one channel in two).
    """
    size = tuple(images.shape[2:])
    mode = {2: "bilinear", 3: "trilinear"}[len(size)]
    lowered = images.clone()
    for image, channel in (resolution < 1).nonzero().tolist():
        left = [
            max(1, round(side * min(1.0, float(resolution[image, channel]) / max(float(fine), 1e-6))))
            for side, fine in zip(size, fineness[image], strict=True)
        ]
        one = images[image, channel][None, None]
        lowered[image, channel] = F.interpolate(F.interpolate(one, left, mode="area"), size, mode=mode)[0, 0]
    return lowered


def with_noise(images: Tensor, noise: Tensor) -> Tensor:
    """Add `noise` (N, C, *size); a gray image gets one channel's noise in all of its channels."""
    gray = _gray(images)
    if bool(gray.any()):
        noise = noise.clone()
        noise[gray] = noise[gray][:, :1].expand_as(noise[gray])
    return images + noise.to(images.dtype)


def _gray(images: Tensor) -> Tensor:
    """(N,) whether an image has several channels and all are alike."""
    if images.shape[1] == 1:
        return torch.zeros(len(images), dtype=torch.bool, device=images.device)
    return (images == images[:, :1]).flatten(1).all(dim=1)


def _rows(values: Tensor, images: Tensor) -> Tensor:
    """(N, C) → (N, C, 1, …) of the images' dtype."""
    return values.to(images.dtype).view(*values.shape, *(1,) * (images.ndim - 2))


def _column(values: Tensor, images: Tensor) -> Tensor:
    """(N,) → (N, 1, 1, …) of the images' dtype."""
    return values.to(images.dtype).view(-1, *(1,) * (images.ndim - 1))
