"""Augmentation of volumes: thick slices, proportions of space, lower resolution."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ulna.config import AugmentationConfig, Config
from ulna.errors import UlnaError
from ulna.training.augmentation import Draw, apply, context, draw
from ulna.training.augmentation.intensities import gaussian_blur, low_resolution
from ulna.training.augmentation.spatial import coordinates, moved_alike, nearest, smooth, untouched_axis

SIZE = (6, 8, 8)
FEW = settings(deadline=None, max_examples=10)
SEEDS = st.integers(0, 9999)
AXES = st.sampled_from([0, 1, 2])
STILL = {"brightness": 0, "contrast": [1, 1], "gamma": [1, 1], "noise": 0, "intensity_probability": 1}
MOVING = {"scale": [0.7, 1.4], "elastic": 2, "shift": 0.1, "spatial_probability": 1}


def drawn_for(
    words: dict[str, object], *, size: tuple[int, ...] = SIZE, seed: int = 0, channels: int = 1, **more: object
) -> tuple[AugmentationConfig, Draw]:
    config = AugmentationConfig.model_validate(words)
    generator = torch.Generator().manual_seed(seed)
    drawn = draw(config, batch=3, ndim=len(size), size=size, channels=channels, generator=generator, **more)  # type: ignore[arg-type]
    return config, drawn


def waves(window: tuple[int, ...]) -> Tensor:
    """Three different smooth volumes (3, 1, *window) around 0."""
    places = torch.meshgrid(*(torch.arange(float(side)) for side in window), indexing="ij")
    return torch.stack(
        [sum((torch.sin(0.25 * place + k * axis + k) for axis, place in enumerate(places)), torch.zeros(window))[None]
         for k in range(3)]
    )  # fmt: skip


@FEW
@given(SEEDS, AXES)
def test_thick_slices_are_neither_mixed_nor_bent_nor_blurred_into_each_other(seed: int, axis: int) -> None:
    words = STILL | MOVING | {"slices": axis, "blur": 2, "low_resolution": 1, "quarter_turns": 0.5}
    config, drawn = drawn_for(words, seed=seed, spacings=[(1.0, 1.0, 1.0)] * 3)
    window = context(config, SIZE)
    assert window[axis] == SIZE[axis]
    numbers = torch.arange(float(SIZE[axis])).view([-1 if k == axis else 1 for k in range(3)])
    images = numbers.expand(3, 1, *window).contiguous()
    varied, truth = apply(drawn, images, images.to(torch.uint8), size=SIZE)
    for k in range(3):
        order = torch.arange(SIZE[axis])
        order = order.flip(0) if drawn.matrix[k, axis, axis] < 0 else order
        expected = order.view([-1 if a == axis else 1 for a in range(3)]).expand(SIZE)
        assert torch.equal(truth[k, 0].long(), expected)
        torch.testing.assert_close(varied[k, 0], expected.float(), atol=1e-4, rtol=1e-5)


@FEW
@given(SEEDS, AXES)
def test_slices_read_by_one_field_of_two_axes_are_as_if_read_in_three(seed: int, axis: int) -> None:
    config, drawn = drawn_for(MOVING | {"slices": axis}, seed=seed)
    images = waves(context(config, SIZE))
    truth = (images > 0).to(torch.uint8)
    assert untouched_axis(drawn.matrix, drawn.shift, drawn.elastic) == axis
    field = coordinates(drawn.matrix, drawn.shift, drawn.elastic, window=tuple(images.shape[2:]), size=SIZE)
    varied, labels = moved_alike(images, truth, (drawn.matrix, drawn.shift, drawn.elastic), size=SIZE)
    torch.testing.assert_close(varied, smooth(images, field), atol=1e-4, rtol=1e-4)
    assert (labels != nearest(truth, field)).float().mean() < 0.01  # ties between two pixels may turn


def test_what_leads_out_of_the_plane_is_read_in_three_axes() -> None:
    _, drawn = drawn_for(MOVING | {"slices": 0})
    matrix, shift, elastic = drawn.matrix, drawn.shift, drawn.elastic
    assert untouched_axis(matrix, shift, elastic) == 0
    moved, bent, skewed = shift.clone(), elastic.clone(), matrix.clone()
    moved[1, 0], skewed[2, 0, 1] = 0.5, 0.1
    assert untouched_axis(matrix, moved, elastic) is None
    assert untouched_axis(skewed, shift, elastic) is None
    bent[0, 0] = 1
    assert untouched_axis(matrix, shift, bent) is None
    bent = elastic.clone()
    bent[0, 1, 0] += 1  # the first slices bend otherwise than the last
    assert untouched_axis(matrix, shift, bent) is None
    assert untouched_axis(torch.eye(2)[None], torch.zeros(1, 2), torch.zeros(1, 2, 3, 3)) is None


@FEW
@given(SEEDS, st.tuples(*(st.sampled_from([0.5, 1.0, 2.4]),) * 3))
def test_rotation_keeps_the_proportions_of_space(seed: int, spacing: tuple[float, ...]) -> None:
    words = {"tilt": 30, "rotation": 30, "scale": [0.7, 1.4], "spatial_probability": 1}
    _, drawn = drawn_for(words, seed=seed, spacings=[spacing] * 3)
    steps = torch.tensor(spacing)
    space = drawn.matrix * steps[:, None] / steps  # from millimeters to millimeters
    gram = space.mT @ space
    scale = gram.diagonal(dim1=1, dim2=2).mean(1)
    torch.testing.assert_close(gram, scale[:, None, None] * torch.eye(3).expand(3, 3, 3), atol=1e-4, rtol=1e-4)
    assert bool(((scale >= 1.4**-2 - 1e-4) & (scale <= 0.7**-2 + 1e-4)).all())


@pytest.mark.parametrize("size", [(12, 10), SIZE])
def test_equal_spacings_change_nothing_bit_for_bit(size: tuple[int, ...]) -> None:
    words = {"low_resolution": 0.5, "spatial_probability": 1, "tilt": 20}
    plain = drawn_for(words, size=size, channels=3)[1]
    spaced = drawn_for(words, size=size, channels=3, spacings=[(0.37,) * len(size)] * 3)[1]
    assert all(torch.equal(value, vars(spaced)[name]) for name, value in vars(plain).items())


@FEW
@given(SEEDS, st.sampled_from([{"slices": 0}, {"slices": 2, "flip": [2]}, {"tilt": 30}, {"elastic": 3}]))
def test_an_image_made_from_labels_moves_as_they_do(seed: int, words: dict[str, object]) -> None:
    size = (8, 14, 12)
    config, drawn = drawn_for(MOVING | words, size=size, seed=seed, spacings=[(2.0, 1.0, 1.0)] * 3)
    images = waves(context(config, size))
    truth = (images > 0).to(torch.uint8)
    before = images.clone()
    varied, labels = apply(drawn, images, truth, size=size)
    plain = replace(drawn, **{name: vars(drawn_for(STILL | {"blur": 0}, size=size)[1])[name] for name in
                              ("color", "offset", "contrast", "gamma", "blur", "noise", "resolution")})  # fmt: skip
    moved, same = apply(plain, images, truth, size=size)
    clear = moved.abs() > 0.7  # at the border itself linear and nearest neighbor may differ
    assert torch.equal((moved > 0)[clear], labels.bool()[clear])
    assert torch.equal(labels, same)
    assert torch.equal(images, before)
    assert varied.dtype == torch.float32
    assert torch.equal(varied, apply(drawn, images, truth, size=size)[0])


def test_flips_may_be_for_some_axes_alone() -> None:
    words = {"flip": [0, 2], "rotation": 0, "scale": [1, 1], "elastic": 0, "spatial_probability": 1}
    signs = torch.cat([drawn_for(words, seed=k)[1].matrix.diagonal(dim1=1, dim2=2) for k in range(10)])
    assert [set(column.tolist()) for column in signs.unbind(1)] == [{-1, 1}, {1}, {-1, 1}]


def test_a_lower_resolution_shows_means_over_larger_voxels() -> None:
    images = torch.rand(2, 2, 6, 8, 10, generator=torch.Generator().manual_seed(0))
    resolution = torch.tensor([[0.5, 1.0], [1.0, 1.0]])
    lowered = low_resolution(images, resolution, torch.tensor([[1.0, 1.0, 0.5], [1.0, 1.0, 1.0]]))
    assert torch.equal(lowered[1], images[1])
    assert torch.equal(lowered[0, 1], images[0, 1])
    means = images[0, 0].numpy().reshape(3, 2, 4, 2, 10).mean((1, 3))  # the third axis is as coarse already
    expected = scipy.ndimage.zoom(means, (2, 2, 1), order=1, mode="nearest", grid_mode=True)
    np.testing.assert_allclose(lowered[0, 0].numpy(), expected, atol=1e-5)


def test_a_lower_resolution_is_drawn_per_channel_within_its_range() -> None:
    values = torch.cat([drawn_for({"low_resolution": 0.25}, channels=4, seed=k)[1].resolution for k in range(200)])
    lowered = values[values < 1]
    assert lowered.numel() / values.numel() == pytest.approx(0.25, abs=0.04)
    assert 0.5 <= float(lowered.min()) < 0.55 < 0.95 < float(lowered.max())
    assert float((values < 1).all(1).float().mean()) < 0.05


def test_blur_has_the_proportions_of_space() -> None:
    images = torch.rand(2, 1, 12, 15, 17, generator=torch.Generator().manual_seed(0))
    deviation = torch.tensor([[0.5, 1.5, 0.0], [1.0, 1.0, 0.2]])
    blurred = gaussian_blur(images, deviation)
    for k, sigmas in enumerate(deviation.tolist()):
        radii = [int(np.ceil(3 * sigma)) for sigma in sigmas]
        expected = scipy.ndimage.gaussian_filter(images[k, 0].numpy(), sigmas, mode="mirror", radius=radii)
        np.testing.assert_allclose(blurred[k, 0].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"augmentation.slices": 0, "augmentation.tilt": 10, "network.ndim": 3}, "are not tilted"),
        ({"augmentation.slices": 0}, "network.ndim 3"),
        ({"augmentation.flip": [2], "network.ndim": 2}, "axes below 2"),
    ],
)
def test_variations_that_cannot_be_are_refused(changes: dict[str, object], words: str) -> None:
    with pytest.raises(UlnaError, match=words):
        Config().changed(changes)
