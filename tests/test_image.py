from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from ulna.errors import ReadError, UlnaError, WriteError
from ulna.image import IGNORE, Channel, Grid, Image, Labels, Source

GRIDS = st.integers(2, 3).flatmap(
    lambda n: st.builds(
        lambda shape, spacing, origin, turn: (
            Grid(shape, spacing, "µm", origin, [row[:n] for row in Rotation.from_rotvec(turn).as_matrix()[:n].tolist()])
            if n == 3
            else Grid(shape, spacing, "µm", origin)
        ),
        st.tuples(*[st.integers(1, 9)] * n),
        st.tuples(*[st.floats(0.1, 9)] * n),
        st.tuples(*[st.floats(-50, 50)] * n),
        st.tuples(*[st.floats(-3, 3)] * 3),
    )
)


def test_an_image_knows_its_axes() -> None:
    image = Image(np.zeros((3, 4, 5), np.uint16), source=Source(Path("a.tif")))
    assert (image.ndim, len(image.channels), image.shape, image.spacing) == (2, 3, (4, 5), (1.0, 1.0))
    assert {channel.role for channel in image.channels} == {"signal"}
    assert np.array_equal(image.direction, np.eye(2))
    volume = Image(np.zeros((1, 2, 4, 5)), Grid((2, 4, 5), spacing=(5, 1, 1), unit="µm"))
    assert (volume.ndim, volume.origin, volume.spacing, volume.unit) == (3, (0, 0, 0), (5, 1, 1), "µm")


def test_a_mask_stays_where_its_image_is() -> None:
    image = Image(np.zeros((3, 4, 5)), Grid((4, 5), (0.5, 0.25)), source=Source(Path("a.tif")))
    mask = image.with_array(np.ones((1, 4, 5), np.uint8), ("background", "cell"))
    assert (mask.grid, mask.source, mask.classes) == (image.grid, image.source, ("background", "cell"))
    assert len(mask.channels) == 1
    with pytest.raises(UlnaError, match=r"\(5, 4\) is not the image's \(4, 5\)"):
        image.with_array(np.ones((1, 5, 4), np.uint8))


@pytest.mark.parametrize(
    ("array", "message"),
    [
        (np.zeros((4, 5)), "2 or 3 spatial axes"),
        (np.zeros((1, 1, 1, 4, 5)), "2 or 3 spatial axes"),
        (np.zeros((1, 0, 5)), "is empty"),
        (np.zeros((1, 4, 5), complex), "complex128 numbers"),
        (np.full((1, 4, 5), None), "object numbers"),
        (np.ma.masked_less(np.arange(20).reshape(1, 4, 5), 3), r"hides 3 of 20 values.*\n.*filled"),
    ],
)
def test_arrays_that_are_no_image_are_refused(array: np.ndarray, message: str) -> None:
    with pytest.raises(UlnaError, match=message):
        Image(array)


def test_a_masked_array_that_hides_nothing_is_its_data() -> None:
    image = Image(np.ma.masked_less(np.ones((1, 4, 5)), 0))
    assert type(image.array) is np.ndarray


def test_what_describes_an_array_must_suit_it() -> None:
    with pytest.raises(UlnaError, match="must suit 2 spatial axes"):
        Grid((4, 5), (1, 1, 1))
    with pytest.raises(UlnaError, match="must suit 3 spatial axes"):
        Grid((3, 4, 5), origin=(0, 0))
    for spacing in ((0.0, 1.0), (-1.0, 1.0), (np.nan, 1.0)):
        with pytest.raises(UlnaError, match="no place in space"):
            Grid((4, 5), spacing)
    with pytest.raises(UlnaError, match="is not that of an array"):
        Image(np.zeros((1, 4, 5)), Grid((5, 4)))
    with pytest.raises(UlnaError, match="2 channels are named, the array has 1"):
        Image(np.zeros((1, 4, 5)), channels=(Channel("DAPI"), Channel("GFP")))


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS, seed=st.integers(0, 99))
def test_index_and_world_are_inverse_and_a_crop_keeps_its_place(grid: Grid, seed: int) -> None:
    draw = np.random.default_rng(seed)
    index = draw.uniform(-5, 9, (7, grid.ndim))
    np.testing.assert_allclose(grid.to_index(grid.to_world(index)), index, atol=1e-9)
    start = [int(draw.integers(0, n)) for n in grid.shape]
    stop = [int(draw.integers(s + 1, n + 1)) for s, n in zip(start, grid.shape, strict=True)]
    part = grid.crop(tuple(slice(a, b) for a, b in zip(start, stop, strict=True)))
    assert part.shape == tuple(b - a for a, b in zip(start, stop, strict=True))
    np.testing.assert_allclose(part.to_world(index), grid.to_world(index + start), atol=1e-9)


@settings(max_examples=60, deadline=None)
@given(grid=GRIDS, data=st.data())
def test_resampling_keeps_the_extent(grid: Grid, data: st.DataObject) -> None:
    shape = data.draw(st.tuples(*[st.integers(1, 20)] * grid.ndim))
    other = grid.resampled(shape=shape)
    assert other.shape == shape
    for edge in (lambda g: [-0.5] * g.ndim, lambda g: [n - 0.5 for n in g.shape]):
        np.testing.assert_allclose(other.to_world(edge(other)), grid.to_world(edge(grid)), atol=1e-9)
    back = other.resampled(shape=grid.shape)
    np.testing.assert_allclose(back.origin, grid.origin, atol=1e-9)
    np.testing.assert_allclose(back.spacing, grid.spacing)
    assert grid.resampled(spacing=grid.spacing).shape == grid.shape


@settings(max_examples=40, deadline=None)
@given(grid=GRIDS.filter(lambda grid: grid.ndim == 3), axis=st.integers(0, 2))
def test_slices_keep_their_place(grid: Grid, axis: int) -> None:
    planes = grid.slices(axis)
    assert len(planes) == grid.shape[axis]
    for k, plane in enumerate(planes):
        index = np.array([1.0, 2.0])
        np.testing.assert_allclose(plane.to_world(index), grid.to_world(np.insert(index, axis, k)), atol=1e-9)
        np.testing.assert_allclose(plane.to_index(plane.to_world(index)), index, atol=1e-9)
        assert plane.shape == tuple(np.delete(grid.shape, axis))


@pytest.mark.parametrize("region", [(slice(0, 4),), (slice(0, 5), slice(0, 5)), (slice(2, 2), slice(0, 5))])
def test_a_region_outside_is_refused(region: tuple[slice, ...]) -> None:
    with pytest.raises(UlnaError, match="region"):
        Grid((4, 5)).crop(region)


def test_spacing_is_met_as_closely_as_whole_pixels_allow() -> None:
    grid = Grid((10, 31), (1.0, 0.5)).resampled(spacing=1.0)
    assert grid.shape == (10, 16)
    assert grid.spacing == (1.0, 31 * 0.5 / 16)


def test_labels_are_stored_with_and_without_objects() -> None:
    classes = np.array([[0, 1, 2], [IGNORE, 1, 0]], np.uint8)
    objects = np.array([[0, 300, 7], [0, 300, 0]], np.int32)
    names = ("background", "cell", "nucleus")
    grid = Grid((2, 3), (0.5, 0.5), "µm")
    for given_objects, length in ((None, 1), (objects, 2)):
        labels = Labels(classes, given_objects, grid, names)
        assert labels.annotated.tolist() == [[True] * 3, [False, True, True]]
        stored = labels.to_array()
        assert stored.shape == (length, 2, 3)
        back = Labels.from_array(stored, grid, names)
        np.testing.assert_array_equal(back.classes, classes)
        assert (back.grid, back.names) == (grid, names)
        assert (back.objects is None) == (given_objects is None)
        if back.objects is not None:
            np.testing.assert_array_equal(back.objects, objects)


def test_labels_that_contradict_themselves_are_refused() -> None:
    classes = np.array([[0, 2]], np.uint8)
    with pytest.raises(UlnaError, match="class index 2 has no name among 2"):
        Labels(classes, names=("background", "cell"))
    with pytest.raises(UlnaError, match="256 classes; at most 255"):
        Labels(classes, names=tuple(map(str, range(256))))
    assert len(Labels(classes, names=tuple(map(str, range(255)))).names) == 255
    with pytest.raises(UlnaError, match="differ in shape"):
        Labels(classes, np.zeros((2, 1), np.int32))
    with pytest.raises(UlnaError, match="differ in shape"):
        Labels(classes, grid=Grid((2, 2)))
    with pytest.raises(UlnaError, match="uint8"):
        Labels(classes.astype(np.int64))  # type: ignore[arg-type]


def test_a_source_says_where_it_lies() -> None:
    source = Source(Path("data.zip"), ("inner.zip", "a/IMG.TIF"), page=3)
    assert (source.name, source.stem, source.suffix) == ("IMG.TIF", "IMG_0003", ".tif")
    assert str(source) == "data.zip!inner.zip!a/IMG.TIF, page 3"
    chosen = Source(Path("a.tif"), scene=1, time=2, channel=0)
    assert str(chosen) == "a.tif, scene 1, time 2, channel 0"
    assert sorted([Source(Path("b")), Source(Path("a"))])[0].path == Path("a")


def test_a_member_that_windows_packed_has_a_name_without_folders() -> None:
    source = Source(Path("data.zip"), ("images\\a.b.PNG",))
    assert (source.name, source.stem, source.suffix) == ("a.b.PNG", "a.b", ".png")
    assert Source(Path("data.zip"), ("a.zip", "masks\\a.png"), page=1).stem == "a_0001"


@pytest.mark.parametrize("kind", [UlnaError, ReadError, WriteError])
def test_an_error_says_what_where_and_what_to_do(kind: type[UlnaError]) -> None:
    error = kind("is broken", where=Path("a.png"), hint="Mend it.")
    assert str(error) == "a.png: is broken\nMend it."
    assert (error.what, error.where, error.hint) == ("is broken", "a.png", "Mend it.")
    assert str(kind("is broken")) == "is broken"
    assert isinstance(error, UlnaError)


def test_a_grid_is_of_plain_numbers_whatever_it_is_made_from() -> None:
    grid = Grid(tuple(np.array([4, 5])), tuple(np.float32([0.5, 2])), origin=tuple(np.array([1, 2])))
    assert [type(number) for number in (*grid.shape, *grid.spacing, *grid.origin)] == [int] * 2 + [float] * 4
    assert grid == Grid((4, 5), (0.5, 2.0), origin=(1.0, 2.0))
