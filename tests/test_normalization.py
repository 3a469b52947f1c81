"""Channels, intensities and sizes."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ulna import normalization
from ulna.config import Config, DataConfig
from ulna.errors import UlnaError
from ulna.image import Channel
from ulna.normalization import (
    NORMALIZATIONS,
    background,
    common_channels,
    fixed_scaling,
    has_range,
    normalize,
    scaling,
    scaling_of_parts,
    to_channels,
)

RNG = np.random.default_rng(2)
IMAGES = hnp.arrays(
    st.sampled_from([np.uint8, np.uint16, np.int16, np.float32]),
    st.tuples(st.integers(1, 3), st.integers(1, 12), st.integers(1, 12)),
    elements=st.integers(0, 127),
)
HOWS = list(NORMALIZATIONS)


@settings(max_examples=60, deadline=None)
@given(array=IMAGES, how=st.sampled_from(HOWS))
def test_every_image_gives_finite_float32_of_its_shape(array: np.ndarray, how: str) -> None:
    assume(how != "range" or has_range(array))
    before = array.copy()
    result = normalize(array, how)
    assert result.dtype == np.float32
    assert result.shape == array.shape
    assert np.isfinite(result).all()
    np.testing.assert_array_equal(array, before)


@settings(max_examples=40, deadline=None)
@given(array=IMAGES, gain=st.integers(2, 200), offset=st.integers(0, 5000))
def test_percentiles_do_not_know_the_cameras_gain_and_offset(array: np.ndarray, gain: int, offset: int) -> None:
    wide = array.astype(np.int64)
    np.testing.assert_allclose(normalize(wide * gain + offset, "percentile"), normalize(wide, "percentile"), atol=1e-4)


def test_percentiles_by_channel_do_not_know_the_stain() -> None:
    image = RNG.integers(0, 1000, (3, 50, 60)).astype(np.uint16)
    other = image * np.array([3, 2, 1], np.uint16).reshape(3, 1, 1) + 7  # each channel's own gain
    np.testing.assert_allclose(
        normalize(other, "percentile_by_channel"), normalize(image, "percentile_by_channel"), atol=1e-5
    )


def test_an_empty_channel_is_not_stretched_to_an_image() -> None:
    image = RNG.integers(0, 1000, (2, 50, 60)).astype(np.uint16)
    image[1] //= 500  # noise of one or two counts
    result = normalize(image, "percentile_by_channel")
    assert result[0].std() > 0.25
    assert result[1].std() < 0.02


def test_modalities_with_gray_scales_of_their_own_are_stretched_alike() -> None:
    t1, adc = RNG.normal(3000, 500, (60, 60)), RNG.normal(1e-3, 2e-4, (60, 60))
    stacked = np.stack([t1, adc]).astype(np.float32)
    normalized = normalize(stacked, "percentile_by_channel")
    assert normalized[1].std() == pytest.approx(normalized[0].std(), rel=0.1)
    signed = np.stack([t1, t1 / 100]).astype(np.int16)
    normalized = normalize(signed, "percentile_by_channel")
    assert normalized[1].std() == pytest.approx(normalized[0].std(), rel=0.1)


def test_of_a_sparse_channel_the_extremes_are_its_range() -> None:
    image = np.zeros((2, 200, 200), np.uint16)
    image[0] = RNG.integers(0, 500, (200, 200))
    image[1, 20:24, 30:34] = 400
    assert normalize(image, "percentile_by_channel")[1].max() == 1


@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_a_part_is_scaled_as_the_whole(how: str) -> None:
    image = RNG.integers(0, 4000, (3, 40, 50)).astype(np.uint16)
    whole = scaling(image, how)
    np.testing.assert_array_equal(whole.apply(image[:, 3:9, 20:30]), normalize(image, how)[:, 3:9, 20:30])


def test_percentile_keeps_colors_in_proportion() -> None:
    image = RNG.integers(0, 1000, (3, 50, 60)).astype(np.uint16)
    image[1] //= 2
    low, high = np.percentile(image, (1, 99.8))
    expected = np.clip((image - low) / (high - low), -1, 3)
    np.testing.assert_allclose(normalize(image, "percentile"), expected, atol=1e-6)


def test_one_hot_pixel_neither_darkens_the_image_nor_leaves_the_range() -> None:
    image = RNG.integers(0, 100, (1, 100, 100)).astype(np.uint16)
    image[0, 5, 5] = 65535
    result = normalize(image, "percentile")
    assert result.max() == 3
    assert np.median(result) == pytest.approx(0.5, abs=0.05)


def test_large_images_are_sampled_and_nearly_the_same() -> None:
    image = RNG.integers(0, 4000, (1, 1500, 1400)).astype(np.uint16)
    low, high = np.percentile(image, (1, 99.8))
    expected = np.clip((image - low) / (high - low), -1, 3)
    np.testing.assert_allclose(normalize(image, "percentile"), expected, atol=0.01)


def test_zscore_is_by_channel() -> None:
    result = normalize((RNG.random((3, 40, 40)) * [[[9]], [[99]], [[999]]]).astype(np.float32), "zscore")
    np.testing.assert_allclose(result.mean(axis=(1, 2)), 0, atol=1e-5)
    np.testing.assert_allclose(result.std(axis=(1, 2)), 1, atol=1e-5)


def test_range_divides_by_the_largest_number_of_the_type() -> None:
    assert normalize(np.full((1, 2, 2), 255, np.uint8), "range").max() == 1
    assert normalize(np.full((1, 2, 2), 65535, np.uint16), "range").max() == 1
    assert normalize(np.full((1, 2, 2), 0.3, np.float32), "range").max() == np.float32(0.3)
    assert normalize(np.full((1, 2, 2), 65535, ">u2"), "range").max() == 1


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "u4", "i8", "u8", "f4", "f8"])
def test_range_is_refused_where_the_type_does_not_say_what_white_is(dtype: str) -> None:
    image = np.array([[[0, 100]]], dtype)  # an image of 8 bits as NumPy or PyTorch made it another type
    with pytest.raises(UlnaError, match=f"'range' needs 8 or 16 bits .* {image.dtype} from 0 to 100"):
        normalize(image, "range")
    np.testing.assert_array_equal(normalize(np.full((1, 2, 2), 7, np.uint8), "none"), 7)


@pytest.mark.parametrize("how", ["percentile", "zscore"])
def test_an_image_without_contrast_is_zero(how: str) -> None:
    assert not normalize(np.full((2, 5, 5), 9, np.uint8), how).any()


def test_large_offsets_are_not_lost_to_float32() -> None:
    image = (2**30 + RNG.integers(0, 50, (1, 30, 30))).astype(np.int32)
    expected = normalize(image - 2**30, "percentile")
    np.testing.assert_allclose(normalize(image, "percentile"), expected, atol=1e-6)


def test_an_unknown_normalization() -> None:
    with pytest.raises(UlnaError, match="Known: percentile"):
        normalize(np.zeros((1, 2, 2)), "histogram")


def test_channels_are_made_to_suit() -> None:
    gray = RNG.integers(0, 255, (1, 3, 4)).astype(np.uint8)
    color = RNG.integers(0, 255, (3, 3, 4)).astype(np.uint8)
    np.testing.assert_array_equal(to_channels(gray, 3), np.repeat(gray, 3, 0))
    for equal in (2, 3, 4):
        np.testing.assert_array_equal(to_channels(np.repeat(gray, equal, 0), 1), gray)
    assert to_channels(color, 3) is color
    for array, channels in ((color, 1), (color, 2), (np.zeros((5, 3, 4)), 3)):
        with pytest.raises(UlnaError, match=rf"has {len(array)} channels, the network takes {channels}"):
            to_channels(array, channels)


def test_a_channel_is_neither_invented_nor_lost() -> None:
    gray = RNG.integers(0, 255, (1, 3, 4)).astype(np.uint8)
    for channels in (2, 4, 5):
        with pytest.raises(UlnaError, match=rf"has 1 channel, the network takes {channels}\n.*case_0000\.png"):
            to_channels(gray, channels)
    stains = np.concatenate([gray, gray + 1, gray + 2, np.full_like(gray, 7)])
    for have, channels in ((2, 1), (4, 3), (4, 1), (2, 3), (3, 4)):
        with pytest.raises(UlnaError, match=rf"has {have} channels, the network takes {channels}"):
            to_channels(stains[:have], channels)


@pytest.mark.parametrize("channels", [1, 2, 3])
def test_an_alpha_that_varies_is_no_channel(channels: int) -> None:
    array = RNG.integers(0, 255, (2, 3, 4)).astype(np.uint8)
    declared = (Channel("gray"), Channel("alpha", "alpha"))
    with pytest.raises(UlnaError, match=r"alpha channel .* not the same everywhere\nFlatten"):
        to_channels(array, channels, declared)
    assert to_channels(array, 2, (Channel("DAPI"), Channel("GFP"))) is array


def test_channels_of_a_mixed_data_set() -> None:
    assert [common_channels(c) for c in ([1, 1], [1, 3], [5], [4], [2, 2])] == [1, 3, 5, 4, 2]
    for mixture in ([1, 5], [], [2, 7], [3, 4], [1, 2], [1, 2, 3], [1, 3, 4]):
        with pytest.raises(UlnaError, match="do not go together"):
            common_channels(mixture)


@pytest.mark.parametrize("how", ["percentile", "percentile_by_channel"])
def test_a_small_object_on_a_flat_ground_is_seen(how: str) -> None:
    """A thousandth of the pixels: both percentiles are those of the ground."""
    image = np.zeros((1, 200, 200), np.uint16)
    image[0, 20:26, 30:36] = 700
    normalized = normalize(image, how)
    assert normalized[0, 22, 32] > 0.9
    assert normalized[0, 0, 0] == 0


@pytest.mark.parametrize("counts", [True, False])
@pytest.mark.parametrize("dtype", [np.uint16, np.int16, np.int64, np.float16, np.float32, np.float64])
def test_an_image_of_another_type_is_normalized_as_the_model_says(dtype: type, counts: bool) -> None:
    image = RNG.integers(0, 200, (2, 50, 60)).astype(np.uint8)
    image[1] //= 80  # noise
    expected = normalize(image, "percentile_by_channel", counts)
    assert (expected[1].std() < 0.2) == counts
    np.testing.assert_allclose(normalize(image.astype(dtype), "percentile_by_channel", counts), expected, atol=1e-5)
    np.testing.assert_allclose(normalize(image / 255, "percentile_by_channel", counts), expected, atol=1e-5)


@settings(max_examples=60, deadline=None)
@given(
    array=hnp.arrays(st.sampled_from([np.uint8, np.int16, np.float32]), (2, 7, 5), elements=st.integers(0, 100)),
    step=st.integers(1, 7),
    how=st.sampled_from(NORMALIZATIONS),
)
def test_parts_are_normalized_as_the_whole(array: np.ndarray, step: int, how: str) -> None:
    assume(how != "range" or has_range(array))
    parts = [array[:, k : k + step] for k in range(0, 7, step)]
    found = scaling_of_parts(lambda: iter(parts), array.size, array.dtype, how)
    whole = scaling(array, how)
    if how.startswith("zscore"):
        np.testing.assert_allclose(found.scales, whole.scales, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(found.offsets, whole.offsets, rtol=1e-12)
        assert found.clip == whole.clip
    else:
        assert found == whole


def test_a_sample_of_parts_keeps_none_of_them() -> None:
    """An image that is larger than the memory is read band by band."""
    tracemalloc.start()
    parts = (np.full((1, 1 << 10, 1 << 11), k, np.uint8) for k in range(24))  # of 2 MiB each
    found = normalization._sample(parts, 24 << 21)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert set(found[0].tolist()) == set(range(24))
    assert peak < 12 << 20


def test_parts_of_a_large_image_give_the_same_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(normalization, "SAMPLE", 40)
    array = np.random.default_rng(0).integers(0, 999, (3, 37, 11))
    for step in (1, 4, 10):
        parts = [array[:, k : k + step] for k in range(0, 37, step)]
        found = scaling_of_parts(lambda parts=parts: iter(parts), array.size, array.dtype, "percentile_by_channel")
        assert found == scaling(array, "percentile_by_channel")


def with_outside(value: float, shape: tuple[int, ...] = (2, 6, 9, 8)) -> tuple[np.ndarray, np.ndarray]:
    """An image with noise in the middle and one value around it, and where the middle is."""
    inside = np.zeros(shape[1:], bool)
    inside[tuple(slice(1, -2) for _ in shape[1:])] = True
    image = np.where(inside, np.random.default_rng(0).normal(500, 80, shape), value).astype(np.float32)
    return image, inside


@pytest.mark.parametrize("value", [0, -1024, 7.5, 1e5])
@pytest.mark.parametrize("shape", [(2, 6, 9, 8), (1, 12, 15)])
def test_what_lies_outside_does_not_count(
    value: float, shape: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(normalization, "AT_ONCE", 100)
    image, inside = with_outside(value, shape)
    result = normalize(image, "zscore_inside")
    for channel, own in zip(result, image, strict=True):
        middle = own[inside].astype(np.float64)
        expected = np.clip((own - middle.mean()) / middle.std(), -5, 10)
        np.testing.assert_allclose(channel, expected, atol=1e-4)
    wider = np.pad(image, [(0, 0), *[(3, 4)] * (len(shape) - 1)], constant_values=value)  # more air around it
    cut = wider[(slice(None), *(slice(3, -4) for _ in shape[1:]))]
    np.testing.assert_array_equal(cut, image)
    padded = normalize(wider, "zscore_inside")[(slice(None), *(slice(3, -4) for _ in shape[1:]))]
    np.testing.assert_allclose(padded, result, atol=1e-4)


def test_a_value_is_that_of_the_outside_where_most_corners_of_both_ends_have_it() -> None:
    image, _ = with_outside(3)
    assert background(iter((image,))).tolist() == [3, 3]  # type: ignore[union-attr]
    image[:, 0, 0, 0], image[:, -1, -1, -1] = 9, 8  # two corners show something
    assert background(iter(np.split(image, 3, axis=1))).tolist() == [3, 3]  # type: ignore[union-attr]
    image[:, 0, 0, -1] = 10  # half of those of the first plane
    assert background(iter((image,))).tolist() == [3, 3]  # type: ignore[union-attr]
    image[:, 0, -1, 0] = 11
    assert background(iter((image,))) is None
    full = RNG.normal(0, 1, (1, 5, 6, 7))
    assert background(iter((full,))) is None
    np.testing.assert_array_equal(normalize(full, "zscore_inside"), np.clip(normalize(full, "zscore"), -5, 10))


def test_channels_lie_outside_together() -> None:
    image, inside = with_outside(0)
    image[1, 3] = 0  # a channel may have the value of the outside inside, as fluid has
    result = normalize(image, "zscore_inside")
    own = image[1][inside].astype(np.float64)
    np.testing.assert_allclose(result[1][inside], (own - own.mean()) / own.std(), atol=1e-4)


@pytest.mark.parametrize("how", ["percentile", "percentile_by_channel", "zscore", "zscore_inside"])
def test_an_image_of_zeros_stays_one(how: str) -> None:
    with np.errstate(all="raise"):
        assert not normalize(np.zeros((2, 4, 5, 6), np.int16), how).any()


def test_a_flat_object_is_seen_against_the_outside() -> None:
    image = np.zeros((2, 6, 7, 8), np.uint8)
    image[0, 2:4, 2:5, 2:6] = 1  # the other channel is missing
    result = normalize(image, "zscore_inside")
    assert result[0].max() > 1
    assert not result[1].any()


@settings(max_examples=30, deadline=None)
@given(
    gain=st.floats(0.25, 8),
    offset=st.sampled_from([0, 91, 1730, -1024]),
    how=st.sampled_from(["percentile", "percentile_by_channel", "zscore", "zscore_inside"]),
    framed=st.booleans(),
)
def test_nothing_depends_on_absolute_intensities(gain: float, offset: float, how: str, framed: bool) -> None:
    image = with_outside(20)[0].astype(np.float64) if framed else RNG.gamma(2, 50, (2, 5, 8, 7))
    np.testing.assert_allclose(normalize(gain * image + offset, how), normalize(image, how), atol=1e-3)


def test_ct_is_the_same_for_each_image() -> None:
    data = DataConfig.model_validate({"normalization": "ct", "window": [-100, 300], "center": 50, "scale": 25})
    scale = fixed_scaling(data)
    assert scale is not None
    for image in (np.array([[[-1024, -100, 50, 75, 300, 3000]]], np.int16), np.zeros((1, 2, 3), np.int16)):
        expected = (np.clip(image.astype(np.float64), -100, 300) - 50) / 25
        np.testing.assert_allclose(scale.apply(image), expected, atol=1e-5)
        assert scale.apply(image).dtype == np.float32
    assert fixed_scaling(DataConfig()) is None
    assert fixed_scaling(data.model_copy(update={"normalization": "zscore"})) is None
    open_ = DataConfig.model_validate({"normalization": "ct", "window": [-100, 300]})
    assert fixed_scaling(open_) is None
    with pytest.raises(UlnaError, match="constants of the training set"):
        scaling(np.zeros((1, 2, 2)), "ct")


@pytest.mark.parametrize("words", [{"window": [3, 3]}, {"window": [3, 1]}, {"scale": 0}])
def test_constants_that_cannot_be(words: dict[str, object]) -> None:
    with pytest.raises(UlnaError):
        Config.parse({"data": words})
