from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna import formats
from ulna.dataset import Case
from ulna.grid import Grid
from ulna.image import Image, Source
from ulna.jobs.numbered import planes_apart


def case(path: Path, array: np.ndarray) -> Case:
    formats.write(path, Image(array[None], Grid(array.shape, (1.0, 1.0, 1.0), "mm")), labels=True)
    return Case(path.name.partition(".")[0], (Source(path),))


@pytest.mark.parametrize("apart", [False, True])
def test_volumes_without_objects_are_what_the_others_are(tmp_path: Path, apart: bool) -> None:
    array = np.zeros((3, 8, 8), np.int32)
    for place in range(3):
        array[place, 2:5, 2:5] = 1 + place * apart
    empty = case(tmp_path / "empty.nii.gz", np.zeros_like(array))
    made, _ = planes_apart([case(tmp_path / "full.nii.gz", array), empty])
    assert len(made) == (6 if apart else 2)
    assert len(planes_apart([empty])[0]) == 1
