"""Classes that files of truth name, and how a model calls them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.classfiles import CLASS_STEP, NOT_ANNOTATED, stated_classes, with_classes
from ulna.config import DataConfig
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.formats import write
from ulna.formats.outlines import imagej
from ulna.formats.outlines.polygons import outlines
from ulna.image import Image, Source
from ulna.truth import load_truth

NUMBERS = np.zeros((16, 16), np.int32)
NUMBERS[2:6, 2:6], NUMBERS[9:14, 9:14] = 1, 2


def outlined(tmp_path: Path, *classes: str) -> Case:
    """A case with two outlines, whose data set has the classes in the order of the alphabet."""
    write(tmp_path / "x.png", Image(np.zeros((1, 16, 16), np.uint8)))
    named = {number: name for number, name in enumerate(classes, start=1) if name}
    (tmp_path / "x.zip").write_bytes(imagej.to_bytes(outlines(NUMBERS), named))
    own = tuple(sorted(set(classes))) if len(set(classes)) > 1 else ()
    return Case("x", (Source(tmp_path / "x.png"),), (Source(tmp_path / "x.zip"),), objects=True, classes=own)


def test_outlines_have_the_class_indices_of_the_model(tmp_path: Path) -> None:
    """A class that a test set lacks does not shift the numbers of the others."""
    case = outlined(tmp_path, "debris", "nucleus")
    assert np.unique(load_truth(case).array).tolist() == [0, CLASS_STEP + 1, 2 * CLASS_STEP + 2]
    (found,) = with_classes([case], ("background", "cell", "debris", "nucleus"))
    assert np.unique(load_truth(found).array).tolist() == [0, 2 * CLASS_STEP + 1, 3 * CLASS_STEP + 2]
    with pytest.raises(UlnaError, match="shows the class 'debris', the classes are background, cell, nucleus"):
        with_classes([case], ("background", "cell", "nucleus"))


def test_outlines_of_one_class_and_a_model_of_several(tmp_path: Path) -> None:
    (found,) = with_classes([outlined(tmp_path, "nucleus", "nucleus")], ("background", "debris", "nucleus"))
    assert np.unique(load_truth(found).array).tolist() == [0, 2 * CLASS_STEP + 1, 2 * CLASS_STEP + 2]


def test_a_model_of_one_class_takes_outlines_of_several_for_objects(tmp_path: Path) -> None:
    (found,) = with_classes([outlined(tmp_path, "debris", "nucleus")], ("background", "cell"))
    assert np.unique(load_truth(found).array).tolist() == [0, 1, 2]


def test_what_the_layout_says_of_values() -> None:
    marked = [Case("x", (), markers=(Source(Path("m.tif")),))]
    assert stated_classes(DataConfig(), marked).ignore == (NOT_ANNOTATED,)
    assert stated_classes(DataConfig(ignore=(7,)), marked).ignore == (7, NOT_ANNOTATED)
    named = [Case("x", (), classes=("a", "b"))]
    assert stated_classes(DataConfig(), named).values == ((0,), (1,), (2,))
    objects = stated_classes(DataConfig(), [Case("x", (), objects=True, classes=("a", "b"))])
    assert objects.values == ((0,), ("1000000..1999999",), ("2000000..2999999",))
    assert objects.objects
    with pytest.raises(UlnaError, match="here files or lists say the class"):
        stated_classes(DataConfig(ignore=(7,)), named)
