"""Images and a model for the tests of large images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ulna
from ulna import formats
from ulna.image import Grid, Image
from ulna.layouts import find
from ulna.model import Model


@pytest.fixture
def image(cells: Path) -> Image:
    """Four images of the data set beside each other, with a spacing."""
    tiles = [formats.read(found.images[0]).array for found in find(cells).cases[:4]]
    array = np.concatenate([np.concatenate(tiles[:2], -1), np.concatenate(tiles[2:], -1)], -2)
    return Image(array, Grid(array.shape[1:], (0.5, 0.5), "µm"))


@pytest.fixture
def many(image: Image) -> Image:
    """A larger image: the cells eight times."""
    array = np.concatenate([np.concatenate([image.array] * 2, -1)] * 4, -2)
    return Image(array, Grid(array.shape[1:], (0.5, 0.5), "µm"))


@pytest.fixture
def finder(cells: Path) -> Model:
    """A model that has learned a little of objects."""
    small = {"training.steps": 60, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}
    place = cells.parent / "objects_run"
    if not place.exists():
        ulna.train(cells, place, epochs=2, changes=small | {"task.name": "instances", "data.objects": True})
    return ulna.load(place, device="cpu").changed({"inference.engine": "torch"})
