from __future__ import annotations

import base64
import io
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tifffile
from matplotlib import pyplot
from PIL import Image as Pillow

from ulna.errors import UlnaError
from ulna.figures.colors import color
from ulna.image import Grid, Image, Labels, Source
from ulna.labels.classes import Classes
from ulna.prediction import Prediction

CLASSES = Classes(("background", "nucleus", "<b>"), ((0,), (7,), (255,)), "classes", "")
INDICES = np.zeros((30, 40), np.uint8)
INDICES[5:15, 5:20], INDICES[20:25, 10:30] = 1, 2


@pytest.fixture
def prediction() -> Prediction:
    grid = Grid((30, 40), spacing=(0.5, 0.5), unit="µm")
    return Prediction(Labels(INDICES, grid=grid, names=CLASSES.names), CLASSES, Source(Path("a.png")))


@pytest.fixture
def volume() -> Prediction:
    indices = np.zeros((5, 12, 14), np.uint8)
    indices[2, 3:6, 4:9] = 1
    return Prediction(Labels(indices, names=CLASSES.names), CLASSES)


def test_it_is_an_array_of_class_indices(prediction: Prediction, volume: Prediction) -> None:
    np.testing.assert_array_equal(np.asarray(prediction), INDICES)
    assert np.asarray(prediction).dtype == np.uint8
    assert np.asarray(prediction, np.float32).dtype == np.float32
    np.testing.assert_array_equal(np.equal(prediction, 1), INDICES == 1)
    np.testing.assert_array_equal(prediction[5:9, 3], INDICES[5:9, 3])
    assert len(prediction) == 30
    assert np.array(prediction, copy=True) is not prediction.labels.classes
    assert prediction.array.shape == (1, 30, 40)
    assert (prediction.shape, prediction.ndim, prediction.spacing, prediction.unit) == ((30, 40), 2, (0.5, 0.5), "µm")
    assert prediction.classes == CLASSES.names == prediction.labels.names
    assert np.asarray(volume).shape == (5, 12, 14)
    assert volume.array.shape == (1, 5, 12, 14)


def test_more_objects_than_a_png_numbers(tmp_path: Path) -> None:
    numbers = np.arange(66_000, dtype=np.int32).reshape(220, 300)
    found = Prediction(Labels((numbers > 0).astype(np.uint8), numbers, names=CLASSES.names), CLASSES)
    with pytest.raises(UlnaError, match=r"65,999 objects were found, and a PNG numbers at most 65,535"):
        found.save(tmp_path / "a.png")
    assert not list(tmp_path.iterdir())
    written = tifffile.imread(found.save(tmp_path / "a.tif"))
    np.testing.assert_array_equal(written, numbers)
    few = Prediction(Labels(np.ones((1, 2), np.uint8), np.array([[1, 65_535]], np.int32), names=CLASSES.names), CLASSES)
    with Pillow.open(few.save(tmp_path / "b.png")) as picture:
        assert np.asarray(picture).tolist() == [[1, 65_535]]


@pytest.fixture
def objects() -> Prediction:
    """Two nuclei that touch, numbered 4 and 5, and one of another class, numbered 9."""
    numbers = np.zeros((30, 40), np.int32)
    numbers[5:15, 5:10], numbers[5:15, 10:20], numbers[20:25, 10:30] = 4, 5, 9
    return Prediction(Labels(INDICES, numbers, names=CLASSES.names), CLASSES)


def test_where_there_are_objects_it_is_an_array_of_their_numbers(objects: Prediction, prediction: Prediction) -> None:
    shown = np.asarray(objects)
    assert shown.dtype == np.int32
    assert np.unique(shown).tolist() == [0, 4, 5, 9]
    assert objects[6, 12] == 5
    np.testing.assert_array_equal(objects.array[0], INDICES)
    assert objects.object_classes == {4: "nucleus", 5: "nucleus", 9: "<b>"}
    assert repr(objects).endswith("<b> 8.3 %; 3 objects>")
    assert (prediction.objects, prediction.object_classes) == (None, {})


def test_pages_are_measured_one_by_one_and_volumes_whole(objects: Prediction) -> None:
    alone = objects.measure()
    numbers = np.stack([objects.objects, objects.objects + (objects.objects > 0) * np.int32(5), objects.objects * 0])
    grid = Grid(numbers.shape, spacing=(3.0, 0.5, 0.5), unit="µm")
    pages = Prediction(Labels(np.stack([INDICES, INDICES, INDICES * 0]), numbers, grid, CLASSES.names), CLASSES)
    table = pages.measure(numbers)
    assert table["page"].tolist() == [0] * 3 + [1] * 3
    assert table["object"].tolist() == [4, 5, 9, 9, 10, 14]
    assert table["area"].tolist() == [area / 4 for area in alone["area"]] * 2
    assert table["neighbors"].tolist() == alone["neighbors"].tolist() * 2
    assert table["intensity_max"].tolist() == [4, 5, 9, 9, 10, 14]
    assert set(table["unit"]) == {"µm"}
    volume = replace(pages, labels=replace(pages.labels, objects=np.stack([objects.objects] * 2 + [numbers[2]])))
    assert volume.measure()["volume"].tolist() == [2 * 3 / 4 * area for area in alone["area"]]
    with pytest.raises(UlnaError, match="prediction"):
        pages.measure(Image(np.zeros((1, 4, 30, 40), np.uint8)))


def test_numbers_of_objects_are_written_in_16_bits_where_these_do(objects: Prediction) -> None:
    assert objects.to_image().array.dtype == np.uint16
    assert objects.to_image(wide=True).array.dtype == np.int32
    many = replace(objects, labels=objects.labels.numbered_after(70_000))
    np.testing.assert_array_equal(np.unique(many.to_image().array), [0, 70_004, 70_005, 70_009])


def test_matplotlib_shows_it(prediction: Prediction) -> None:
    pyplot.switch_backend("agg")
    shown = pyplot.imshow(prediction)
    np.testing.assert_array_equal(shown.get_array(), INDICES)
    pyplot.close("all")


def test_files_have_the_values_of_the_training_masks(
    prediction: Prediction, volume: Prediction, tmp_path: Path
) -> None:
    assert prediction.save(tmp_path / "a.png") == tmp_path / "a.png"
    with Pillow.open(tmp_path / "a.png") as written:
        np.testing.assert_array_equal(np.asarray(written), np.array([0, 7, 255])[INDICES])
    prediction.save(str(tmp_path / "a.tif"))
    with tifffile.TiffFile(tmp_path / "a.tif") as written:
        np.testing.assert_array_equal(written.asarray(), np.array([0, 7, 255])[INDICES])
        assert 'PhysicalSizeX="0.5"' in (written.ome_metadata or "")
    volume.save(tmp_path / "v.tif")
    assert tifffile.imread(tmp_path / "v.tif").shape == (5, 12, 14)
    with pytest.raises(UlnaError, match=r"\.png or \.tif"):
        prediction.save(tmp_path / "a.jpg")
    with pytest.raises(UlnaError):
        volume.save(tmp_path / "v.png")


def test_home_is_home(prediction: Prediction, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert prediction.save("~/a.png") == tmp_path / "a.png"
    assert (tmp_path / "a.png").is_file()


def test_an_overlay_has_outlines_a_tint_and_a_legend(prediction: Prediction) -> None:
    image = np.full((30, 40), 100, np.uint8)
    image[0, 0] = 0
    plain = prediction.overlay(image, legend=False)
    assert plain.shape == (30, 40, 3)
    assert tuple(plain[5, 5]) == color(1)
    assert tuple(plain[20, 10]) == color(2)
    assert np.abs(plain[10, 10].astype(int) - plain[2, 30]).max() > 0
    whole = prediction.overlay(image)
    assert whole.shape[0] > 30
    np.testing.assert_array_equal(whole[:30, :40], plain)
    strip = whole[30:].reshape(-1, 3)
    for index in (1, 2):
        assert (strip == color(index)).all(axis=1).sum() >= 100
    assert not (strip == color(3)).all(axis=1).any()


def test_the_image_may_have_its_channels_first_or_last(prediction: Prediction, volume: Prediction) -> None:
    image = np.random.default_rng(0).integers(0, 255, (3, 30, 40), np.uint8)
    first = prediction.overlay(image)
    np.testing.assert_array_equal(prediction.overlay(np.moveaxis(image, 0, -1)), first)
    deep = np.random.default_rng(0).integers(0, 255, (3, 5, 12, 14), np.uint8)
    np.testing.assert_array_equal(volume.overlay(np.moveaxis(deep, 0, -1)), volume.overlay(deep))
    with pytest.raises(UlnaError, match="the prediction 5 × 12 × 14"):
        volume.overlay(np.zeros((5, 14, 12)))
    with pytest.raises(UlnaError, match="30 × 41"):
        prediction.overlay(np.zeros((30, 41)))
    with pytest.raises(UlnaError, match="the prediction 30 × 40"):
        prediction.overlay(np.zeros((40, 30, 3)))


def test_of_a_volume_planes_are_drawn(volume: Prediction) -> None:
    whole, bare = (volume.overlay(np.zeros((5, 12, 14)), legend=legend) for legend in (True, False))
    assert (bare.reshape(-1, 3) == color(1)).all(axis=1).any()
    assert whole.shape[1] == bare.shape[1]
    assert whole.shape[0] > bare.shape[0]  # the legend


def test_a_plot_names_the_classes(prediction: Prediction, volume: Prediction) -> None:
    for figure in (prediction.plot(), prediction.plot(np.zeros((30, 40))), volume.plot()):
        assert [text.get_text() for text in figure.legends[0].get_texts()] == ["nucleus", "<b>"]
        figure.savefig(io.BytesIO())
    assert len(volume.plot().axes) == len(volume.plot(np.zeros((5, 12, 14))).axes) == 3  # planes
    filled = np.asarray(volume.plot().axes[0].get_images()[0].get_array())
    assert [tuple(filled[4, 5]), tuple(filled[0, 0])] == [tuple(int(0.6 * part) for part in color(1)), (40, 40, 40)]
    (axes,) = prediction.plot().axes
    shown = np.asarray(axes.get_images()[0].get_array())
    assert tuple(shown[6, 6]) == color(1)
    assert tuple(shown[0, 0]) == (0, 0, 0)


def test_it_shows_itself_in_a_line_and_in_a_notebook(prediction: Prediction) -> None:
    assert repr(prediction) == "<Prediction 30 × 40: background 79.2 %, nucleus 12.5 %, <b> 8.3 %>"
    html = prediction._repr_html_()
    assert "nucleus" in html
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "12.5%" in html
    data = base64.b64decode(re.search(r"base64,([^']+)'", html)[1])  # type: ignore[index]
    with Pillow.open(io.BytesIO(data)) as picture:
        assert picture.size == (40, 30)
        assert picture.convert("RGB").getpixel((6, 6)) == color(1)
