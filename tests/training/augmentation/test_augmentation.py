"""Augmentation: invariants, and the same results as scipy.ndimage computes."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import scipy.ndimage
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from ulna.config import AugmentationConfig
from ulna.errors import UlnaError
from ulna.training.augmentation import Draw, apply, context, draw
from ulna.training.augmentation.spatial import coordinates, mirrored, spread

NOTHING: dict[str, object] = {
    "flip": False,
    "rotation": 0,
    "scale": (1, 1),
    "shift": 0,
    "elastic": 0,
    "brightness": 0,
    "contrast": (1, 1),
    "gamma": (1, 1),
    "stain": 0,
    "counterstain": 0,
    "fluorescence_to_brightfield": 0,
    "noise": 0,
    "blur": 0,
    "spatial_probability": 1,
    "intensity_probability": 1,
}
SHAPES = st.sampled_from([(16, 16), (15, 22), (9, 12, 14)])
FEW = settings(deadline=None, max_examples=15)


def only(**words: object) -> AugmentationConfig:
    """A configuration in which only these parts do something."""
    return AugmentationConfig.model_validate(NOTHING | words)


def drawn_for(
    config: AugmentationConfig | None,
    size: tuple[int, ...],
    *,
    batch: int = 4,
    channels: int = 3,
    seed: int = 0,
) -> Draw:
    generator = torch.Generator().manual_seed(seed)
    return draw(config, batch=batch, ndim=len(size), size=size, channels=channels, generator=generator)


def batch_of(window: tuple[int, ...], *, batch: int = 4, channels: int = 3, seed: int = 1) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images = torch.rand(batch, channels, *window, generator=generator)
    truth = torch.randint(0, 4, (batch, 1, *window), generator=generator, dtype=torch.uint8)
    return images, truth


def smooth_pictures(window: tuple[int, ...], seed: int = 0, sigma: float = 4) -> Tensor:
    """Two smooth images (2, 1, *window) with values around 0."""
    noise = np.random.default_rng(seed).normal(size=(2, 1, *window))
    smooth = scipy.ndimage.gaussian_filter(noise, (0, 0, *(sigma,) * len(window)), mode="mirror")
    return torch.from_numpy((smooth / smooth.std()).astype(np.float32))


@FEW
@given(SHAPES, st.integers(0, 9999))
def test_the_same_draw_gives_the_same_batch_and_the_input_stays(size: tuple[int, ...], seed: int) -> None:
    config = AugmentationConfig(shift=0.1, tilt=20)
    window = context(config, size)
    images, truth = batch_of(window)
    before = images.clone(), truth.clone()
    drawn = drawn_for(config, size, seed=seed)
    first = apply(drawn, images, truth, size=size)
    again = apply(drawn_for(config, size, seed=seed), images, truth, size=size)
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert torch.equal(images, before[0])
    assert torch.equal(truth, before[1])
    assert first[0].shape == (4, 3, *size)
    assert first[1].shape == (4, 1, *size)
    assert bool(torch.isfinite(first[0]).all())
    assert set(first[1].unique().tolist()) <= set(truth.unique().tolist())


def test_a_saved_draw_is_the_same_draw() -> None:
    size = (24, 24)
    drawn = drawn_for(AugmentationConfig(), size)
    file = io.BytesIO()
    torch.save(vars(drawn), file)
    file.seek(0)
    again = Draw(**torch.load(file, weights_only=True))
    images, truth = batch_of((40, 40))
    assert torch.equal(apply(drawn, images, truth, size=size)[0], apply(again, images, truth, size=size)[0])


@FEW
@given(SHAPES, st.integers(0, 9999), st.integers(0, 3))
def test_an_image_is_varied_alike_alone_and_in_its_batch(size: tuple[int, ...], seed: int, k: int) -> None:
    config = AugmentationConfig(spatial_probability=0.5)
    drawn = drawn_for(config, size, seed=seed)
    images, truth = batch_of(context(config, size))
    together = apply(drawn, images, truth, size=size)
    alone = apply(drawn.rows(torch.tensor([k])), images[k : k + 1], truth[k : k + 1], size=size)
    torch.testing.assert_close(alone[0], together[0][k : k + 1], atol=1e-5, rtol=1e-5)
    assert (alone[1] != together[1][k : k + 1]).float().mean() < 0.01  # ties between two pixels may turn


@pytest.mark.parametrize(
    "config", [None, only(), AugmentationConfig(spatial_probability=0, intensity_probability=0, counterstain=0)]
)
@pytest.mark.parametrize(
    ("window", "size"),
    [((20, 31), (12, 12)), ((12, 13), (12, 13)), ((9, 10, 11), (4, 5, 6)), ((5, 30), (9, 9))],
)
def test_nothing_drawn_is_the_plain_center(
    config: AugmentationConfig | None, window: tuple[int, ...], size: tuple[int, ...]
) -> None:
    images, truth = batch_of(window)
    patches, labels = apply(drawn_for(config, size), images, truth, size=size)
    rows = [mirrored(torch.arange(s) + (w - s) // 2, w) for w, s in zip(window, size, strict=True)]
    center = np.ix_(range(4), range(3), *(row.numpy() for row in rows))
    assert np.array_equal(patches.numpy(), images.numpy()[center])
    assert np.array_equal(labels.numpy(), truth.numpy()[np.ix_(range(4), range(1), *(row.numpy() for row in rows))])


def test_images_whose_chance_misses_are_untouched_beside_others_that_move() -> None:
    config = AugmentationConfig(spatial_probability=0.5, intensity_probability=0, counterstain=0)
    images, truth = batch_of((40, 40), batch=16)
    drawn = drawn_for(config, (20, 20), batch=16)
    patches, labels = apply(drawn, images, truth, size=(20, 20))
    still = (drawn.matrix == torch.eye(2)).flatten(1).all(1)
    assert 0 < int(still.sum()) < 16
    same = (patches == images[..., 10:30, 10:30]).flatten(1).all(1)
    assert torch.equal(same, still)
    assert torch.equal(labels[still], truth[still][..., 10:30, 10:30])


@pytest.mark.parametrize("size", [(12, 17), (5, 6, 7)])
def test_flips_are_exact(size: tuple[int, ...]) -> None:
    images, truth = batch_of(size, batch=12)
    drawn = drawn_for(only(flip=True), size, batch=12)
    patches, labels = apply(drawn, images, truth, size=size)
    signs = torch.diagonal(drawn.matrix, dim1=1, dim2=2)
    assert set(signs.unique().tolist()) == {-1, 1}
    for k in range(12):
        axes = [1 + axis for axis in range(len(size)) if signs[k, axis] < 0]
        torch.testing.assert_close(patches[k], images[k].flip(axes), atol=1e-5, rtol=0)
        assert torch.equal(labels[k], truth[k].flip(axes))


@pytest.mark.parametrize("turns", [1, 2, 3])
@pytest.mark.parametrize("size", [(16, 16), (15, 15), (4, 15, 15)])
def test_quarter_turns_are_exact_on_squares(turns: int, size: tuple[int, ...]) -> None:
    images, truth = batch_of(size)
    drawn = drawn_for(None, size)
    quarter = torch.eye(len(size))
    quarter[-2:, -2:] = torch.linalg.matrix_power(torch.tensor([[0.0, 1.0], [-1.0, 0.0]]), turns)
    drawn = replace(drawn, matrix=quarter.repeat(4, 1, 1))
    patches, labels = apply(drawn, images, truth, size=size)
    torch.testing.assert_close(patches, torch.rot90(images, turns, (-2, -1)), atol=1e-4, rtol=0)
    assert torch.equal(labels, torch.rot90(truth, turns, (-2, -1)))


@FEW
@given(
    st.integers(0, 9999),
    st.sampled_from([((50, 33), (20, 24)), ((40, 60), (41, 25)), ((18, 20, 30), (9, 14, 12))]),
)
def test_affine_parts_agree_with_scipy(seed: int, shapes: tuple[tuple[int, ...], tuple[int, ...]]) -> None:
    window, size = shapes
    config = only(flip=True, rotation=180, tilt=30, scale=(0.7, 1.4), shift=0.2)
    drawn = drawn_for(config, size, batch=2, channels=1, seed=seed)
    images = smooth_pictures(window)
    truth = (images > 0).to(torch.int32) * 7
    patches, labels = apply(drawn, images, truth, size=size)
    inner = (np.array(size) - 1) / 2
    outer = np.array([(w - s) // 2 for w, s in zip(window, size, strict=True)]) + inner
    for k in range(2):
        matrix = drawn.matrix[k].double().numpy()
        offset = outer + drawn.shift[k].numpy() - matrix @ inner
        words = {"matrix": matrix, "offset": offset, "output_shape": size, "mode": "mirror"}
        expected = scipy.ndimage.affine_transform(images[k, 0].numpy(), order=1, **words)
        np.testing.assert_allclose(patches[k, 0].numpy(), expected, atol=1e-3)
        expected = scipy.ndimage.affine_transform(truth[k, 0].numpy(), order=0, **words)
        assert (labels[k, 0].numpy() != expected).mean() < 0.01  # ties are broken otherwise


@pytest.mark.parametrize(("window", "size"), [((90, 80), (64, 48)), ((24, 40, 44), (16, 30, 32))])
def test_elastic_agrees_with_scipy(window: tuple[int, ...], size: tuple[int, ...]) -> None:
    drawn = drawn_for(only(elastic=10), size, batch=2, channels=1)
    images = smooth_pictures(window)
    truth = (images > 0).to(torch.uint8)
    patches, labels = apply(drawn, images, truth, size=size)
    places = np.stack(np.meshgrid(*(np.arange(s) for s in size), indexing="ij")).astype(float)
    corner = np.array([(w - s) // 2 for w, s in zip(window, size, strict=True)])
    for k in range(2):
        field = places + corner.reshape(-1, *(1,) * len(size)) + spread(drawn.elastic, size)[k].numpy()
        expected = scipy.ndimage.map_coordinates(images[k, 0].numpy(), field, order=1, mode="mirror")
        np.testing.assert_allclose(patches[k, 0].numpy(), expected, atol=1e-3)
        expected = scipy.ndimage.map_coordinates(truth[k, 0].numpy(), field, order=0, mode="mirror")
        assert (labels[k, 0].numpy() != expected).mean() < 0.01


def test_displacements_are_interpolated_bicubically_between_nodes_at_the_corners() -> None:
    vectors = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    field = spread(vectors, (33, 41))
    whole = torch.nn.functional.interpolate(vectors, (33, 41), mode="bicubic", align_corners=True)
    torch.testing.assert_close(field, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(field[..., ::16, ::20], vectors)


def test_displacements_have_the_deviation_asked_for_and_do_not_fold_small_patches() -> None:
    large = drawn_for(only(elastic=10, elastic_grid=5), (256, 256), batch=200).elastic
    assert float(large.std()) == pytest.approx(10, rel=0.04)
    assert float(large.mean()) == pytest.approx(0, abs=0.5)
    flat = drawn_for(only(elastic=10), (9, 256, 256), batch=200).elastic
    assert float(flat[:, 0].std()) == pytest.approx(1, rel=0.04)  # 8 px over two meshes, a quarter of one
    assert float(flat[:, 1].std()) == pytest.approx(10, rel=0.04)


@FEW
@given(st.integers(0, 9999))
def test_image_and_mask_move_together(seed: int) -> None:
    size, config = (64, 64), only(flip=True, rotation=180, scale=(0.7, 1.4), elastic=10, shift=0.1)
    images = smooth_pictures(context(config, size), sigma=6)
    truth = (images > 0).to(torch.uint8)
    patches, labels = apply(drawn_for(config, size, batch=2, channels=1, seed=seed), images, truth, size=size)
    clear = patches.abs() > 0.5  # at the border itself linear and nearest neighbor may differ
    assert torch.equal((patches > 0)[clear], labels.bool()[clear])


def test_of_a_single_plane_there_is_nothing_to_mirror() -> None:
    assert mirrored(torch.arange(-2, 3), 1).tolist() == [0] * 5
    assert mirrored(torch.arange(-3, 6), 3).tolist() == [1, 2, 1, 0, 1, 2, 1, 0, 1]


def test_all_layers_of_the_truth_move_alike() -> None:
    images, classes = batch_of((40, 40))
    numbers = 1000 * classes.int() + 7
    both = torch.cat([classes.int(), numbers], 1)
    config = AugmentationConfig(spatial_probability=0.7)
    _, moved = apply(drawn_for(config, (24, 24)), images, both, size=(24, 24))
    _, alone = apply(drawn_for(config, (24, 24)), images, classes, size=(24, 24))
    assert torch.equal(moved[:, :1], alone.int())
    assert torch.equal(moved[:, 1:], 1000 * alone.int() + 7)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.int32, torch.uint32, torch.int64])
def test_labels_keep_their_dtype_and_large_numbers_stay_exact(dtype: torch.dtype) -> None:
    top = torch.iinfo(dtype).max
    values = torch.tensor([0, top - 1, top, top // 2 + 1])
    images, choice = batch_of((40, 40))
    truth = values[choice.long()].to(dtype)
    _, labels = apply(drawn_for(AugmentationConfig(), (24, 24)), images, truth, size=(24, 24))
    assert labels.dtype == dtype
    assert set(labels.to(torch.int64).unique().tolist()) <= set(values.tolist())


def test_intensities_leave_the_truth_and_keep_the_dtype() -> None:
    config = AugmentationConfig(spatial_probability=0, intensity_probability=1)
    images, truth = batch_of((20, 20))
    for dtype in (torch.float32, torch.float64):
        patches, labels = apply(drawn_for(config, (20, 20)), images.to(dtype), truth, size=(20, 20))
        assert patches.dtype == dtype
        assert torch.equal(labels, truth)
        assert not bool((patches == images).flatten(1).all(1).any())


def test_brightness_and_contrast_are_affine_around_the_mean() -> None:
    size, config = (10, 12), only(brightness=0.3, contrast=(0.5, 2))
    images, truth = batch_of(size)
    drawn = drawn_for(config, size)
    patches, _ = apply(drawn, images, truth, size=size)
    mean = images.mean((2, 3), keepdim=True)
    expected = (images - mean) * drawn.contrast.view(-1, 1, 1, 1) + mean + drawn.offset.view(4, 3, 1, 1)
    torch.testing.assert_close(patches, expected, atol=1e-5, rtol=1e-5)
    assert bool((drawn.offset.abs() <= 0.3).all())
    assert bool(((drawn.contrast >= 0.5) & (drawn.contrast <= 2)).all())


def test_gamma_keeps_each_images_range_and_order_outside_0_and_1() -> None:
    size = (11, 13)
    images, truth = batch_of(size)
    images = images * 5 - 3
    images[1] = 2.5  # a flat image
    drawn = drawn_for(only(gamma=(0.5, 2)), size)
    patches, _ = apply(drawn, images, truth, size=size)
    torch.testing.assert_close(patches.amin((1, 2, 3)), images.amin((1, 2, 3)))
    torch.testing.assert_close(patches.amax((1, 2, 3)), images.amax((1, 2, 3)))
    assert torch.equal(patches[1], images[1])
    low, high = images[0].min(), images[0].max()
    expected = ((images[0] - low) / (high - low)) ** drawn.gamma[0] * (high - low) + low
    torch.testing.assert_close(patches[0], expected)


@pytest.mark.parametrize("size", [(31, 40), (12, 15, 17)])
def test_blur_agrees_with_scipy(size: tuple[int, ...]) -> None:
    images, truth = batch_of(size)
    drawn = drawn_for(only(blur=2.0), size)
    patches, _ = apply(drawn, images, truth, size=size)
    for k in range(4):
        sigma = float(drawn.blur[k])
        radius = int(np.ceil(3 * sigma))
        axes = (0, *(sigma,) * len(size))
        expected = scipy.ndimage.gaussian_filter(images[k].numpy(), axes, mode="mirror", radius=radius)
        np.testing.assert_allclose(patches[k].numpy(), expected, atol=1e-5)


def test_a_counterstain_takes_light_away_unevenly_and_leaves_gray_and_truth_alone() -> None:
    drawn = drawn_for(only(counterstain=1), (32, 40))
    images, truth = batch_of((32, 40))
    images[0] = images[0, :1]  # gray
    varied, same = apply(drawn, images, truth, size=(32, 40))
    assert torch.equal(same, truth)
    assert torch.equal(varied[0], images[0])
    expected = images[1:] * torch.exp(-drawn.stain_map[1:] * drawn.absorbance[1:, :, None, None])  # Beer and Lambert
    torch.testing.assert_close(varied[1:], expected)
    assert (varied <= images + 1e-6).all()
    assert torch.allclose(drawn.stain_map.amin((1, 2, 3)), torch.zeros(4))
    assert torch.allclose(drawn.stain_map.amax((1, 2, 3)), torch.ones(4))


def test_a_counterstain_is_for_color() -> None:
    assert not drawn_for(only(counterstain=1), (16, 16), channels=1).absorbance.any()


def test_fluorescence_is_redrawn_as_tissue_dark_where_it_shone_and_color_is_left_alone() -> None:
    drawn = drawn_for(only(fluorescence_to_brightfield=1), (32, 40))
    images, truth = batch_of((32, 40))
    images[:3] = 0.8 * images[:3, :1]  # gray
    images[2] += 0.4  # and bright
    varied, same = apply(drawn, images, truth, size=(32, 40))
    assert torch.equal(same, truth)
    assert torch.equal(varied[2:], images[2:])
    for k in range(2):
        shining, stain_map = images[k, 0].numpy() ** 0.7, drawn.stain_map[k, 0].numpy()
        nuclei, tissue = (optical_densities[:, None, None] for optical_densities in drawn.optical_densities[k].numpy())
        light = np.exp(-(shining * nuclei + stain_map * (1 - 0.7 * shining) * tissue))  # Beer and Lambert
        low, high = np.percentile(light, (1, 99.8))
        np.testing.assert_allclose(varied[k].numpy(), (light - low) / (high - low), atol=1e-4)
        assert np.corrcoef(varied[k, 0].flatten(), images[k, 0].flatten())[0, 1] < -0.5
        assert not torch.equal(varied[k, 0], varied[k, 2])


def test_an_empty_patch_redrawn_as_tissue_stays_without_contrast() -> None:
    drawn = drawn_for(only(fluorescence_to_brightfield=1), (16, 16))
    dim = 0.002 * torch.rand(4, 1, 16, 16, generator=torch.Generator().manual_seed(0)).expand(4, 3, 16, 16)
    truth = torch.zeros(4, 1, 16, 16, dtype=torch.uint8)
    clear = replace(drawn, optical_densities=drawn.optical_densities * torch.tensor([1.0, 0.0]).view(1, 2, 1))
    varied, _ = apply(clear, dim, truth, size=(16, 16))
    assert float(varied.std()) < 0.5


def test_large_patches_are_redrawn_too() -> None:
    size = (1500, 1500)  # 27 million values: more than torch takes quantiles of
    drawn = drawn_for(only(fluorescence_to_brightfield=1), size)
    images = torch.rand(4, 1, *size, generator=torch.Generator().manual_seed(0)).expand(4, 3, *size) * 0.9
    varied, _ = apply(drawn, images, torch.zeros(4, 1, *size, dtype=torch.uint8), size=size)
    shares = (varied < 0).flatten(1).float().mean(1)
    assert bool((shares - 0.01).abs().max() < 0.005)  # the first percentile became 0


def test_only_three_channels_are_redrawn_and_only_so_often() -> None:
    assert not drawn_for(only(fluorescence_to_brightfield=1), (16, 16), channels=1).optical_densities.any()
    assert not drawn_for(only(fluorescence_to_brightfield=1), (16, 16), channels=4).optical_densities.any()
    often = (
        drawn_for(only(fluorescence_to_brightfield=0.3), (4, 4), batch=500)
        .optical_densities.flatten(1)
        .any(1)
        .float()
        .mean()
    )
    assert 0.2 < float(often) < 0.4


def test_stains_turn_colors_and_leave_gray_gray_but_for_its_channels_own_change() -> None:
    drawn = drawn_for(only(stain=0.2), (4, 4), batch=50)
    rows = drawn.color.sum(dim=2)  # what gray becomes: a factor a channel
    assert bool(((rows >= 0.8 - 1e-6) & (rows <= 1.2 + 1e-6)).all())
    assert float((drawn.color - torch.diag_embed(torch.diagonal(drawn.color, dim1=1, dim2=2))).abs().max()) > 0.05
    one_channel = drawn_for(only(stain=0.2), (4, 4), channels=1)
    assert torch.equal(one_channel.color, torch.ones(4, 1, 1))


def test_a_gray_image_stays_gray_beside_colored_ones() -> None:
    images, truth = batch_of((40, 40))
    images[1] = images[1, :1]
    config = AugmentationConfig(spatial_probability=1, intensity_probability=1, fluorescence_to_brightfield=0)
    patches, _ = apply(drawn_for(config, (24, 24)), images, truth, size=(24, 24))
    alike = (patches == patches[:, :1]).flatten(1).all(1)
    assert alike.tolist() == [False, True, False, False]
    assert float(patches[1].std()) > 0


def test_noise_has_an_even_level_up_to_the_one_asked_for() -> None:
    drawn = drawn_for(only(noise=0.1), (64, 64), batch=200)
    levels = drawn.noise.flatten(1).std(1)
    assert float(levels.max()) <= 0.105
    assert float(levels.mean()) == pytest.approx(0.05, rel=0.15)


def test_probability_is_met_per_image() -> None:
    config = AugmentationConfig(spatial_probability=0.8, intensity_probability=0.3)
    drawn = drawn_for(config, (4, 4), batch=3000, channels=1)
    moved = (drawn.matrix != torch.eye(2)).flatten(1).any(1).float().mean()
    assert float(moved) == pytest.approx(0.8, abs=0.03)
    for changed in (drawn.gamma != 1, drawn.contrast != 1, drawn.blur != 0, drawn.offset[:, 0] != 0):
        assert float(changed.float().mean()) == pytest.approx(0.3, abs=0.03)


def test_the_window_holds_nearly_all_that_is_read() -> None:
    size, config = (64, 80), AugmentationConfig(spatial_probability=1)
    window = context(config, size)
    drawn = drawn_for(config, size, batch=200, channels=1)
    large = tuple(w + 400 for w in window)  # so large that nothing is mirrored
    field = coordinates(drawn.matrix, drawn.shift, drawn.elastic, window=large, size=size) - 200
    outside = torch.stack([(field[:, a] < 0) | (field[:, a] > window[a] - 1) for a in range(2)]).any(0)
    assert float(outside.float().mean()) < 0.01
    assert all((w - s) % 2 == 0 for w, s in zip(window, size, strict=True))
    assert context(None, size) == context(only(), size) == size
    assert context(only(scale=(0.5, 1)), size) == (128, 160)
    assert context(only(shift=0.25), (64, 64)) == (96, 96)


def test_what_makes_no_sense_is_refused_in_words() -> None:
    images, truth = batch_of((8, 8))
    with pytest.raises(UlnaError, match="sizes"):
        draw(None, batch=1, ndim=3, size=(8, 8), channels=1, generator=torch.Generator())
    with pytest.raises(UlnaError, match="made for patches"):
        apply(drawn_for(None, (8, 8)), images, truth, size=(4, 4))
    with pytest.raises(UlnaError, match="does not suit"):
        apply(drawn_for(None, (8, 8)), images, truth[:, :, :4], size=(8, 8))
    with pytest.raises(UlnaError, match="integer"):
        apply(drawn_for(None, (8, 8)), images, truth.float(), size=(8, 8))


@pytest.mark.parametrize("size", [(12, 12), (5, 12, 12)])
def test_quarter_turns_are_those_of_numpy(size: tuple[int, ...]) -> None:
    config = only(quarter_turns=1)
    assert context(config, size) == size
    images, truth = batch_of(size, batch=30)
    drawn = drawn_for(config, size, batch=30)
    turned, labels = apply(drawn, images, truth, size=size)
    seen = set()
    for row in range(30):
        possible = [torch.rot90(truth[row], k, (-2, -1)) for k in range(4)]
        (k,) = [k for k in range(4) if torch.equal(labels[row], possible[k])]
        torch.testing.assert_close(turned[row], torch.rot90(images[row], k, (-2, -1)), atol=1e-4, rtol=0)
        seen.add(k)
    assert seen == {1, 2, 3}


def test_quarter_turns_happen_as_often_as_asked_and_only_on_square_patches() -> None:
    still = torch.eye(2)
    drawn = drawn_for(only(quarter_turns=0.5), (8, 8), batch=400)
    share = float((drawn.matrix != still).flatten(1).any(1).float().mean())
    assert 0.42 < share < 0.58
    assert torch.equal(drawn_for(only(quarter_turns=1), (8, 9)).matrix, still.repeat(4, 1, 1))
