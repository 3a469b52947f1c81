"""Cases scored together: objects of planes, and where masks lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna import formats
from ulna.errors import UlnaError
from ulna.grid import Grid
from ulna.image import Image
from ulna.jobs.evaluate import evaluate
from ulna.metrics.objects import counted

PLANES, CELLS = 4, 24


def volume(*, by_plane: bool) -> np.ndarray:
    """Columns of cells (1, Z, Y, X): with a number each, or with one per plane, as a network of planes has them."""
    array = np.zeros((1, PLANES, 32, 48), np.int32)
    for place in range(PLANES):
        for k in range(CELLS):
            y, x = 8 * (k // 6), 8 * (k % 6)
            array[0, place, y + 1 : y + 7, x + 1 : x + 7] = 1 + k + CELLS * place * by_plane
    return array


def save(path: Path, array: np.ndarray, grid: Grid | None = None) -> None:
    formats.write(path, Image(array, grid or Grid(array.shape[1:], (1.0, 1.0, 1.0), "mm")), labels=True)


def test_a_volume_in_which_nothing_is_found_is_compared_as_the_others_are(tmp_path: Path) -> None:
    for name in "ab":
        save(tmp_path / "truth" / f"{name}.nii.gz", volume(by_plane=False))
    save(tmp_path / "found" / "a.nii.gz", volume(by_plane=True))
    save(tmp_path / "found" / "b.nii.gz", np.zeros_like(volume(by_plane=True)))
    numbered = {"data.values": [[0], ["1..65535"]], "data.objects": True}
    found = evaluate(tmp_path / "found", tmp_path / "truth", out=tmp_path / "scores", changes=numbered)
    counts = counted(found.rows)
    assert counts["true"] == 2 * CELLS * PLANES
    assert counts["found"] == counts["missed"] == CELLS * PLANES
    assert {"hd95", "surface_dice"} <= found.summary.overall.scores.keys()  # the surfaces are those of the volume


def test_volumes_are_compared_where_they_lie(tmp_path: Path) -> None:
    """Also without images: one of the two is stored mirrored."""
    own = Grid((PLANES, 32, 48), (2.0, 1.0, 1.0), "mm", (3.0, 5.0, 7.0))
    mirrored = Grid(own.shape, own.spacing, "mm", (3.0, 5.0, 54.0), ((1, 0, 0), (0, 1, 0), (0, 0, -1)))
    array = 1 * (volume(by_plane=False) == 9)
    save(tmp_path / "truth" / "a.nii.gz", array, own)
    save(tmp_path / "found" / "a.nii.gz", np.ascontiguousarray(array[..., ::-1]), mirrored)
    found = evaluate(tmp_path / "found", tmp_path / "truth", out=tmp_path / "scores")
    assert found.summary.overall.scores["dice"].mean.estimate == 1


def test_masks_of_another_pixel_size_are_not_compared(tmp_path: Path) -> None:
    plane = volume(by_plane=False)[:, 0]
    for folder, side in (("truth", 0.5), ("found", 0.25)):
        save(tmp_path / folder / "a.tif", plane, Grid(plane.shape[1:], (side, side), "µm"))
    with pytest.raises(UlnaError, match="lie in different places"):
        evaluate(tmp_path / "found", tmp_path / "truth", out=tmp_path / "scores")
