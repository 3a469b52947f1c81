"""Images and labels as napari shows them, and layers as images: place, unit, colors and names come through."""

from __future__ import annotations

import numpy as np
import pytest

layers_of = pytest.importorskip("napari.layers", reason="napari is not installed: pip install -e '.[napari]'")

from ulna.errors import UlnaError  # noqa: E402
from ulna.formats.base import RGB  # noqa: E402
from ulna.image import IGNORE, Channel, Grid, Image, Labels  # noqa: E402
from ulna.napari.layers import image_layers, labels_layer, of_image, of_layer, values_layer, values_of  # noqa: E402

GRID = Grid((4, 6, 8), (1.5, 0.4, 0.2), "µm", (3.0, 0.0, 1.0))
RNG = np.random.default_rng(0)


def layer(image: Image):
    (only,) = image_layers(image, "a")
    return layers_of.Layer.create(*only)


def shown(labels_data) -> layers_of.Labels:
    made = layers_of.Layer.create(*labels_data)
    assert isinstance(made, layers_of.Labels)
    return made


def color(labels, number: int) -> tuple[float, ...]:
    """Of a number; nothing for what is transparent."""
    shade = labels.get_color(number)
    return () if shade is None else tuple(np.asarray(shade).tolist())


def test_an_image_lies_where_its_grid_says() -> None:
    made = layer(Image(np.zeros((1, *GRID.shape), np.uint16), GRID))
    np.testing.assert_array_equal(made.scale, GRID.spacing)
    np.testing.assert_array_equal(made.translate, GRID.origin)
    assert {str(unit) for unit in made.units} == {"micrometer"}
    assert layer(Image(np.zeros((1, 5, 5), np.uint8))).units[0] == "pixel"


def test_an_image_comes_back_out_of_its_layer() -> None:
    for image in (
        Image(RNG.integers(0, 9, (1, *GRID.shape)).astype(np.uint16), GRID),
        Image(RNG.integers(0, 9, (3, 6, 8)).astype(np.uint8), Grid((6, 8), (0.4, 0.2), "mm"), RGB),
    ):
        back = of_layer(layer(image), ndim=image.ndim, channels=len(image.array))
        np.testing.assert_array_equal(back.array, image.array)
        assert (back.grid, back.channels == RGB) == (image.grid, image.channels == RGB)


def test_a_layer_of_other_readers_says_how_far_apart_its_pixels_lie() -> None:
    made = layers_of.Image(np.zeros((4, 6, 8)), scale=(2.0, 0.5, 0.5), units=("um", "um", "um"))
    assert of_layer(made, ndim=3, channels=1).grid == Grid((4, 6, 8), (2.0, 0.5, 0.5), "µm")
    assert of_layer(layers_of.Image(np.zeros((6, 8))), ndim=2, channels=1).grid == Grid((6, 8))


def test_channels_are_layers_of_their_own_and_can_be_merged() -> None:
    image = Image(RNG.random((2, 6, 8)), channels=(Channel("actin"), Channel("nuclei")))
    one, two = (layers_of.Layer.create(*each) for each in image_layers(image, "a"))
    assert [one.name, two.name] == ["a actin", "a nuclei"]
    merged = layers_of.Image(np.stack([one.data, two.data]), name="merged")
    np.testing.assert_array_equal(of_layer(merged, ndim=2, channels=2).array, image.array)
    assert of_layer(merged, ndim=2, channels=1).array.shape == (1, 2, 6, 8)  # to a model of one channel it is a stack


def test_transparency_that_says_nothing_is_left_away_and_the_finest_level_is_taken() -> None:
    color = np.dstack([RNG.integers(0, 9, (8, 8, 3)), np.full((8, 8), 255)]).astype(np.uint8)
    made = layers_of.Image([color, color[::2, ::2]], rgb=True, multiscale=True)
    image = of_layer(made, ndim=2, channels=3)
    np.testing.assert_array_equal(image.array, np.moveaxis(color[..., :3], -1, 0))
    assert image.channels == RGB


def test_a_film_of_volumes_is_refused_with_what_to_do() -> None:
    with pytest.raises(UlnaError, match=r"film: this layer has 4 axes .*\n.*one time point"):
        of_layer(layers_of.Image(np.zeros((2, 3, 4, 5)), name="film"), ndim=3, channels=1)


@pytest.mark.parametrize("shape", [(12, 12), (3, 12, 12)])
def test_touching_objects_differ_in_color_and_know_their_class(shape: tuple[int, ...]) -> None:
    objects = np.zeros(shape, np.int32)
    objects[..., 2:10, 1:4], objects[..., 2:10, 4:7], objects[..., 2:10, 7:11] = 3, 700, 9
    classes = np.where(objects == 9, 2, objects > 0).astype(np.uint8)
    made = shown(
        labels_layer(Labels(classes, objects, names=("background", "cell", "nucleus"), scores=(0.5, 0.75, 1)), "a")
    )
    assert color(made, 3) != color(made, 700) != color(made, 9)
    assert color(made, 0) == ()
    features = made.features.set_index("index")
    assert features["class"].to_dict() == {0: "background", 3: "cell", 9: "nucleus", 700: "cell"}
    assert features["score"].to_dict() == {3: 0.5, 9: 0.75, 700: 1.0, 0: pytest.approx(np.nan, nan_ok=True)}
    np.testing.assert_array_equal(made.data, objects)


def test_numbers_beyond_16_bits_are_drawn_in_colors_of_napari() -> None:
    objects = np.array([[0, 1, 70_000]], np.int32)
    made = shown(labels_layer(Labels((objects > 0).astype(np.uint8), objects), "a"))
    assert len({color(made, number) for number in (0, 1, 70_000)}) == 3


def test_classes_have_their_names_and_one_color_in_every_case() -> None:
    names = ("background", "cell", "nucleus")
    both = shown(labels_layer(Labels(np.array([[0, 1], [2, IGNORE]], np.uint8), names=names), "a"))
    one = shown(labels_layer(Labels(np.array([[0, 2]], np.uint8), names=names), "b"))
    assert both.features["class"].tolist() == [*names, "not annotated"]
    assert color(both, 2) == color(one, 2)
    assert len({color(both, index) for index in (0, 1, 2, IGNORE)}) == 4


def test_masks_of_files_keep_their_values() -> None:
    values = values_of(Image(np.array([[[0.0, 7.0], [2.0, 7.0]]])))
    made = shown(values_layer(values, {"name": "a"}, [0, 2, 5, 7]))
    assert made.data.tolist() == [[0, 7], [2, 7]]
    assert len({color(made, value) for value in (0, 2, 5, 7)}) == 4
    with pytest.raises(UlnaError, match="not whole"):
        values_of(Image(np.array([[[0.5]]])))
    with pytest.raises(UlnaError, match="one channel, this one has 2"):
        values_of(Image(np.zeros((2, 3, 3))))


def test_a_mask_lies_where_its_image_lies_however_that_was_moved() -> None:
    made = layers_of.Image(np.zeros((2, 6, 8)), scale=(1, 0.5, 0.25), translate=(0, 3, 4), rotate=0, name="merged")
    made.affine = np.array([[1, 0, 0, 0], [0, 0, 1, 5], [0, 1, 0, 6], [0, 0, 0, 1.0]])
    mask = layers_of.Labels(np.ones((6, 8), int), **of_image(made, 2))
    for corner in ((0, 0), (5, 7), (2, 3)):
        np.testing.assert_allclose(mask.data_to_world(corner), made.data_to_world((0, *corner))[1:])
