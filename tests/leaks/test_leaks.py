"""The groups of images, on made and on real data."""

from __future__ import annotations

import csv
import io
import time
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from scipy.sparse.csgraph import connected_components

from small_images import cells, names, tiles
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.leaks import DUPLICATE, Leaks, find_groups, unite


def test_duplicates_do_not_hide_their_neighbors() -> None:
    images = tiles(cells((128, 256), 2), 1, 2)
    found = find_groups([images[0], images[0].copy(), images[1]], names([*images, images[0]]))
    assert found.groups == (0, 0, 0)
    assert found.pairs[0].kind == DUPLICATE
    assert found.joined == ((0, 1, 2),)


def test_every_image_is_read_once_and_in_order() -> None:
    read: list[str] = []

    def progress(images: Sequence[Array], what: str) -> Iterator[Array]:
        for index, image in enumerate(images):
            read.append(f"{what} {index}")
            yield image

    images = [cells((64, 64), index) for index in range(3)]
    assert find_groups(images, names(images), progress=progress).groups == (0, 1, 2)
    assert read == [f"Looking for leaks {index}" for index in range(3)]


def test_names_must_suit() -> None:
    with pytest.raises(UlnaError, match="1 images cannot have 2 names"):
        find_groups([cells((32, 32), 0)], ["a", "b"])


@given(known=st.lists(st.integers(0, 7), min_size=1, max_size=12), seed=st.integers(0, 1000))
@settings(max_examples=40, deadline=None)
def test_united_groups_are_the_connected_parts(known: list[int], seed: int) -> None:
    leaking = np.random.default_rng(seed).integers(0, 8, len(known)).tolist()
    groups = [f"patient {one}" for one in known]
    found = unite(groups, Leaks(tuple(groups), tuple(leaking), ()))
    touching = np.equal.outer(known, known) | np.equal.outer(leaking, leaking)
    _, parts = connected_components(touching)
    assert (np.equal.outer(parts, parts) == np.array([[a == b for b in found] for a in found])).all()
    assert all(name == groups[found.index(name)] for name in found)


def test_groups_to_unite_must_suit() -> None:
    with pytest.raises(UlnaError, match="2 images cannot have 1 groups"):
        unite(["a"], Leaks(("x", "y"), (0, 1), ()))


def test_groups_of_the_data_science_bowl(data: Path) -> None:
    """Measured with benchmarks/leaks.py: see benchmarks/results/leaks.md for what is behind the numbers."""
    with (data / "dsb2018" / "kinds.csv").open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    with zipfile.ZipFile(data / "dsb2018" / "stage1_train.zip") as archive:
        places = {Path(name).stem: name for name in archive.namelist() if "/images/" in name}
        images = [
            np.moveaxis(np.asarray(Pillow.open(io.BytesIO(archive.read(places[row["id"]])))), -1, 0)[:3] for row in rows
        ]
    start = time.perf_counter()
    found = np.array(find_groups(images, [row["id"] for row in rows]).groups)
    assert time.perf_counter() - start < 60
    truth = np.array([row["group"] for row in rows])
    pairs = np.triu_indices(len(rows), 1)
    same = (truth[:, None] == truth)[pairs]
    joined = (found[:, None] == found)[pairs]
    assert joined[same].mean() >= 0.83
    assert joined[~same].mean() <= 0.0002


@pytest.mark.parametrize("parts", [1, 2])
def test_patients_are_not_joined(data: Path, parts: int) -> None:
    """Neither whole slices nor their quarters, of which two dark borders may differ by little but a step."""
    with zipfile.ZipFile(data / "lgg-mri-segmentation.zip") as archive:
        places = [name for name in archive.namelist() if name.endswith(".tif") and "_mask" not in name]
        slices = [np.moveaxis(tifffile.imread(io.BytesIO(archive.read(name))), -1, 0) for name in places]
    images = [tile for picture in slices for tile in tiles(picture, parts, parts)]
    patients = [Path(name).parent.name for name in places for _ in range(parts**2)]
    found = find_groups(images, names(images))
    assert all(len({patients[index] for index in group}) == 1 for group in found.joined)
