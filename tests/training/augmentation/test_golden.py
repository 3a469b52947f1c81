"""What is drawn for a seed, and what it makes of an image, as it was: a resumed run must draw the same."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch

from golden_values import Golden
from ulna.config import AugmentationConfig
from ulna.training.augmentation import apply, context, draw

ALL = AugmentationConfig(shift=0.1, tilt=30, spatial_probability=0.9, intensity_probability=0.8)


@pytest.mark.parametrize(("size", "channels"), [((24, 40), 3), ((24, 40), 1), ((8, 24, 20), 4)])
def test_a_draw(size: tuple[int, ...], channels: int, golden: Golden) -> None:
    generator = torch.Generator().manual_seed(5)
    drawn = draw(ALL, batch=4, ndim=len(size), size=size, channels=channels, generator=generator)
    window = context(ALL, size)
    places = [
        torch.arange(side).view([-1 if k == axis else 1 for k in range(len(size))]) for axis, side in enumerate(window)
    ]
    wave = torch.sin(sum((0.1 + 0.07 * axis) * place for axis, place in enumerate(places, start=1)))  # type: ignore[arg-type]
    images = torch.stack(
        [torch.stack([0.5 + 0.4 * wave * (1 + 0.2 * c * (n % 2)) for c in range(channels)]) for n in range(4)]
    )
    images[2] *= 0.6  # dark and gray: fluorescence
    truth = (images[:, :1] > 0.5).to(torch.uint8)
    varied, labels = apply(drawn, images, truth, size=size)
    found = {field.name: getattr(drawn, field.name).reshape(4, -1) for field in fields(drawn)}
    found = {name: values[:, :: max(1, values.shape[1] // 6)][:, :8] for name, values in found.items()}
    step = varied[0].numel() // 12
    golden.check(
        f"draw-{'x'.join(map(str, size))}-{channels}",
        found
        | {"window": window, "images": varied.flatten(1)[:, 7::step], "truth": labels.flatten(1).sum(1)}
        | {"means": varied.flatten(1).mean(1), "deviations": varied.flatten(1).std(1)},
        near=1e-3,
    )
