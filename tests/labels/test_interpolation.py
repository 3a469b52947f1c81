from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from simulated_masks import CLASSES, OBJECTS, discs
from ulna.labels.interpolation import is_interpolated


def _said(codes: np.ndarray) -> bool:
    return is_interpolated(codes, np.unique(codes))


@pytest.mark.parametrize("factor", [0.7, 1.5, 2, 3])
def test_a_smooth_resize_is_seen_and_one_by_nearest_neighbor_is_not(factor: float) -> None:
    masks = [np.kron(mask[0], np.ones((2, 2), np.uint8)) for mask in discs(0, (6, 12), apart=True)]
    smooth = [np.rint(ndimage.zoom(mask.astype(float), factor, order=1)).astype(np.uint8) for mask in masks]
    nearest = [ndimage.zoom(mask, factor, order=0) for mask in masks]
    assert sum(map(_said, smooth)) >= 0.8 * len(masks)
    assert not any(map(_said, nearest))


@pytest.mark.parametrize("name", [*OBJECTS, *CLASSES])
def test_no_sharp_mask_is_taken_for_interpolated(name: str) -> None:
    for seed in range(3):
        assert not any(_said(mask[0]) for mask in (OBJECTS | CLASSES)[name](seed))


def test_borders_that_somebody_drew_are_sharp() -> None:
    """One value around all objects, one pixel wide."""
    (mask,) = discs(0, (8, 12), apart=True)[:1]
    cells = np.where(mask[0] > 0, 2, 0)
    cells[ndimage.binary_dilation(cells > 0) & (cells == 0)] = 1
    assert not _said(cells)


def test_volumes() -> None:
    codes = np.zeros((12, 24, 24), int)
    codes[2:6, 2:10, 2:10], codes[2:6, 2:10, 14:22], codes[7:11, 14:22, 2:10] = 4, 9, 14
    assert not _said(codes)
    assert _said(np.rint(ndimage.zoom(codes.astype(float), 2, order=1)).astype(int))
