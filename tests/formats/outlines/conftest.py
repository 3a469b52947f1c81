"""Objects of all sorts: whole ones, with holes, in pieces, at the border, touching."""

from __future__ import annotations

import numpy as np
import pytest

CLASSES = {1: "nucleus", 2: "tumor, old", 4: "nucleus", 5: "nucleus", 7: "tumor, old"}


@pytest.fixture
def objects() -> np.ndarray:
    """(40, 50) with numbers 1, 2, 4, 5 and 7."""
    y, x = np.indices((40, 50))
    made = np.zeros((40, 50), np.int32)
    made[(y - 10) ** 2 + (x - 10) ** 2 < 80] = 1
    made[(y - 10) ** 2 + (x - 10) ** 2 < 12] = 0  # a hole
    made[(y - 10) ** 2 + (x - 26) ** 2 < 60] = 2
    made[20:24, 30:40], made[26:30, 30:40] = 4, 4  # two pieces
    made[36:, 45:] = 5  # at the corner
    made[24, 45] = 7  # one pixel
    made[10:13, 18:19] = 1  # touches 2
    return made


@pytest.fixture
def classes() -> dict[int, str]:
    """The class of each object."""
    return dict(CLASSES)
