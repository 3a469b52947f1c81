from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import ulna
from ulna.errors import UlnaError
from ulna.formats import read
from ulna.image import Image, Source
from ulna.model import Model


@pytest.fixture(scope="module")
def model(run: Path) -> Model:
    return ulna.load(run)


def test_every_way_to_give_an_image_gives_the_same_mask(model: Model, cells: Path) -> None:
    path = cells / "images" / "cells_000.png"
    image = read(Source(path))
    mask = model.predict(path)
    assert (mask.array.shape, mask.array.dtype) == ((1, 64, 64), np.uint8)
    assert mask.classes == model.classes.names == ("background", "foreground")
    assert set(np.unique(model.classes.to_values(mask.array))) <= {0, 255}
    for given in (str(path), Source(path), image, image.array, image.array[0], np.moveaxis(image.array, 0, -1)):
        assert np.array_equal(model.predict(given).array, mask.array)


def test_probabilities_agree_with_the_mask(model: Model, cells: Path) -> None:
    image = read(Source(cells / "images" / "cells_001.png"))
    probabilities = model.probabilities(image).array
    np.testing.assert_allclose(probabilities.sum(axis=0), 1, atol=1e-6)
    both = model.mask_and_probabilities(image)
    assert np.array_equal(both[0].array, model.predict(image).array)
    assert np.array_equal(both[1].array, probabilities)
    assert np.array_equal(both[0].array[0] == 1, probabilities[1] > 0.5)


def test_a_stack_gives_a_stack(model: Model, tmp_path: Path) -> None:
    pages = np.random.default_rng(0).integers(0, 255, (3, 20, 30), dtype=np.uint8)
    tifffile.imwrite(tmp_path / "stack.tif", pages, photometric="minisblack")
    mask = model.predict(tmp_path / "stack.tif")
    assert mask.array.shape == (1, 3, 20, 30)
    assert np.array_equal(mask.array[0, 1], model.predict(pages[1]).array[0])
    probabilities = model.probabilities(tmp_path / "stack.tif").array
    assert np.array_equal(probabilities[:, 2], model.probabilities(pages[2]).array)


def test_what_is_no_image_for_it_is_refused(model: Model, tmp_path: Path) -> None:
    with pytest.raises(UlnaError, match="3 channels, the network takes 1"):
        model.predict(Image(np.arange(1200.0).reshape(3, 20, 20)))
    with pytest.raises(UlnaError, match="is no image for this model"):
        model.predict(np.zeros((20, 20, 20)))
    with pytest.raises(UlnaError, match="3 spatial axes, this model takes 2"):
        model.predict(Image(np.zeros((1, 20, 20, 20))))
    with pytest.raises(UlnaError, match="no such file"):
        model.predict(tmp_path / "none.png")
