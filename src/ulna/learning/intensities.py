"""Changing intensities: each function takes a batch (N, C, *size) and one value (or row) an image."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from ulna.intensity import HIGH, LOW
from ulna.learning.spatial import mirrored

SHINING = (0.7, 1.3)
"""Fluorescence as the thickness of a stain: to this power, and no more than this."""

DARK = 0.5
"""Mean of an image below which it may be fluorescence, and not a grey picture in transmitted light."""

HIDDEN = 0.7
"""Which share of the second stain the first one hides where it is thick."""

SAMPLE = 100_000
"""Percentiles of a patch are taken from about so many of its values: torch refuses more than 16 million in all."""

LEAST_LIGHT = 0.05
"""A redrawn image with less contrast than this is not stretched to more: an empty patch must stay empty."""


def recoloured(images: Tensor, colour: Tensor, offset: Tensor, contrast: Tensor) -> Tensor:
    """Mix channels by `colour` (N, C, C), stretch by `contrast` (N,) around the mean, add `offset` (N, C).

    All of it is one affine change of the channels: y = c M x + (1 - c) M mean(x) + offset. A grey image gets
    the mean of its channels' changes, and so stays grey.
    """
    pixels = images.flatten(2)
    colour, offset = colour.to(images.dtype), offset.to(images.dtype)
    stretch = contrast.to(images.dtype).view(-1, 1, 1)
    mean = colour @ pixels.mean(dim=2, keepdim=True)
    mixed = torch.baddbmm((1 - stretch) * mean + offset.unsqueeze(2), stretch * colour, pixels)
    grey = _grey(pixels)
    if bool(grey.any()):
        mixed[grey] = mixed[grey].mean(dim=1, keepdim=True).expand_as(mixed[grey])
    return mixed.view_as(images)


def counterstained(images: Tensor, veil: Tensor, absorbed: Tensor) -> Tensor:
    """Lay a second stain over each image: x · exp(-veil · absorbed), the law of Beer and Lambert.

    `veil` (N, 1, *size) says how thick it lies, `absorbed` (N, C) what of each channel it takes. So a network
    that has only seen one stain does not take any other for what it looks for. Grey images are left alone:
    nothing is stained there.
    """
    stained = images * torch.exp(-veil.to(images.dtype) * _rows(absorbed, images))
    grey = _grey(images.flatten(2))
    stained[grey] = images[grey]
    return stained


def transmitted(images: Tensor, densities: Tensor, veil: Tensor) -> Tensor:
    """Redraw grey images, bright on dark, as stained tissue in transmitted light, dark on bright.

    What shines is taken for the thickness of a first stain, clouds around it (`veil`, N, 1, *size) for that
    of a second; `densities` (N, 2, C) are the optical densities of both, and the light that passes, by the law
    of Beer and Lambert, is normalised as images are ("percentile"). Expects intensities of about 0 to 1. Images
    in colour, and bright ones (a mean above one half), are left alone. So fluorescence, where it lies in one
    data set with stained tissue, teaches nuclei of any stain too.
    """
    grey = _grey(images.flatten(2)) & (images.flatten(1).mean(dim=1) < DARK)
    if not bool(grey.any()):
        return images
    power, most = SHINING
    shining = images[grey][:, :1].clamp(0, most) ** power
    around = veil[grey].to(images.dtype) * (1 - HIDDEN * shining.clamp(max=1))
    first, second = (_rows(densities[grey, k], images) for k in (0, 1))
    light = torch.exp(-shining * first - around * second)
    sample = light.flatten(1)[:, :: -(-light[0].numel() // SAMPLE)]
    low, high = sample.quantile(torch.tensor([LOW, HIGH], device=light.device) / 100, dim=1)
    redrawn = images.clone()
    redrawn[grey] = (light - _column(low, images)) / _column(high - low, images).clamp(min=LEAST_LIGHT)
    return redrawn


def gamma_changed(images: Tensor, gamma: Tensor) -> Tensor:
    """Raise each image to the power `gamma` (N,) between its own least and largest value, which stay."""
    low, high = images.flatten(1).aminmax(dim=1)
    low, width = _column(low, images), _column(high - low, images)
    unit = (images - low) / width.clamp(min=torch.finfo(images.dtype).tiny)
    return unit.pow(_column(gamma, images)) * width + low


def blurred(images: Tensor, deviation: Tensor) -> Tensor:
    """Blur each image by a Gaussian of its own standard deviation (N,) in pixels, cut at three of them.

    One axis after the other, borders mirrored. A sum of shifted images: on a CPU several times faster than a
    grouped convolution with a kernel an image.
    """
    radius = math.ceil(3 * float(deviation.max()))
    steps = torch.arange(-radius, radius + 1, device=images.device)
    width = deviation.double().unsqueeze(1)
    kernels = torch.exp(-0.5 * (steps / width) ** 2) * (steps.abs() <= torch.ceil(3 * width))
    kernels = (kernels / kernels.sum(dim=1, keepdim=True)).to(images.dtype)
    for axis in range(2, images.ndim):
        side = images.shape[axis]
        padded = images.index_select(axis, mirrored(torch.arange(-radius, side + radius), side).to(images.device))
        images = torch.zeros_like(images)
        for step in range(2 * radius + 1):
            images.addcmul_(padded.narrow(axis, step, side), _column(kernels[:, step], images))
    return images


def with_noise(images: Tensor, noise: Tensor) -> Tensor:
    """Add `noise` (N, C, *size); a grey image gets one channel's noise in all of its channels."""
    grey = _grey(images)
    if bool(grey.any()):
        noise = noise.clone()
        noise[grey] = noise[grey][:, :1].expand_as(noise[grey])
    return images + noise.to(images.dtype)


def _grey(images: Tensor) -> Tensor:
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
