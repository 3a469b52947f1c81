"""What mask values mean where masks are compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ulna.config import DataConfig
from ulna.dataset import Case
from ulna.formats import write
from ulna.image import IGNORE, Image, Source
from ulna.jobs.label_mapping import of_truth, own_values
from ulna.labels.classes import Classes
from ulna.truth import load_truth

NUMBERED = Classes(("background", "cell"), ((0,), ("other",)), "instances", "Numbers.")


def saved(path: Path, *numbers: int) -> Source:
    array = np.zeros((1, 12, 12), np.uint16)
    for k, number in enumerate(numbers):
        array[0, 4 * k : 4 * k + 3, 2:6] = number
    write(path, Image(array))
    return Source(path)


def test_what_is_not_annotated_is_no_object_of_a_model_s_class(tmp_path: Path) -> None:
    """A model for which every value but 0 is an object, and true masks with markers of cells that are not segmented."""
    mask, markers = saved(tmp_path / "m.tif", 3), saved(tmp_path / "t.tif", 3, 0, 5)
    case = Case("x", (), (mask,), objects=True, numbered=True, markers=(markers,))
    classes = of_truth([case], NUMBERED, DataConfig())
    labels = classes.to_labels(load_truth(case).array)
    assert labels.classes[9, 3] == IGNORE
    assert set(np.unique(labels.objects)) == {0, 3}
    assert classes.sentence.endswith("-1 is not annotated.")


def test_values_that_are_stated_to_be_ignored_are(tmp_path: Path) -> None:
    case = Case("x", (), (saved(tmp_path / "m.tif", 3, 255),))
    classes = of_truth([case], NUMBERED, DataConfig(ignore=(255,)))
    assert classes.to_indices(load_truth(case).array)[0, 5, 3] == IGNORE
    assert of_truth([case], NUMBERED, DataConfig()) == NUMBERED


def test_files_of_classes_against_a_model_that_learned_from_other_masks(tmp_path: Path) -> None:
    """Objects of files are written in their own way, and so are the classes of a model."""
    truth = (saved(tmp_path / "a.tif", 1, 2), saved(tmp_path / "b.tif", 0, 0, 1))
    case = Case("x", (), truth, objects=True, truth_classes=("a", "b"), classes=("a", "b"), numbered=True)
    model = Classes(("background", "a", "b"), ((0,), (128,), (255,)), "classes", "Gray values.")
    labels = of_truth([case], model, DataConfig()).to_labels(load_truth(case).array)
    assert np.unique(labels.classes).tolist() == [0, 1, 2]
    assert len(np.unique(labels.objects)) == 4


def test_classes_of_numbered_objects_come_back_as_the_numbers_of_the_classes() -> None:
    ranges = ((0,), ("1000000..1999999",), ("2000000..2999999",))
    classes = Classes(("background", "a", "b"), ranges, "instances", "Ranges.")
    written = classes.to_values(np.array([[[0, 1, 2]]]))
    assert (written.dtype, written.tolist()) == (np.uint8, [[[0, 1, 2]]])
    own = own_values([written, written[..., :1]], classes, DataConfig())
    assert own.to_indices(written).tolist() == [[[0, 1, 2]]]
    assert not own.numbers_objects
    assert own.sentence == "Masks hold the numbers of the classes: 1 is 'a', 2 is 'b'."
    assert own_values([written, np.array([[[0, 1_000_007]]])], classes, DataConfig()) == classes


def cells(*numbers: int) -> np.ndarray:
    mask = np.zeros((1, 8, 6 * max(8, len(numbers))), np.int32)
    for place, number in enumerate(numbers):
        mask[0, 2:6, 6 * place : 6 * place + 4] = number
    return mask


def test_masks_of_one_value_against_numbered_ones_are_of_a_class() -> None:
    """As the masks of a model of classes are: their connected pieces are the objects, and not all of them together."""
    own = own_values([cells(255, 255, 255), cells(), cells(255)], NUMBERED, DataConfig())
    assert not own.numbers_objects
    assert own.to_indices(cells(255))[0, 3, 1] == 1
    for masks in ([cells(1, 2), cells(1)], [cells(1), cells(2)], [cells(7)]):  # the last one may be either
        assert own_values(masks, NUMBERED, DataConfig()) == NUMBERED
    assert own_values([cells(1, 1)], NUMBERED, DataConfig(), numbered=True) == NUMBERED  # one object in two pieces


def test_numbered_masks_against_ranges_of_gray_are_numbered() -> None:
    """As the truth is read where it was scaled or saved as JPEG."""
    ranges = Classes(("background", "foreground"), (("0..127",), ("128..255",)), "binary", "Gray.")
    for many in (30, 200):  # all of the first are below 128, and some of the others
        masks = [cells(*range(1, count)) for count in (many, many - 3, many - 7)]
        own = own_values(masks, ranges, DataConfig())
        assert own.numbers_objects
        labels = own.to_labels(masks[0])
        assert labels.objects is not None
        assert labels.objects.max() == many - 1
    gray = cells(255, 250, 3)
    assert own_values([gray, cells(0)], ranges, DataConfig()) == ranges
    stated = Classes(("background", "cell"), ((0, 1), ("2..65535",)), "instances", "Stated.")
    numbered = [cells(*range(1, count)) for count in (30, 27)]
    assert own_values(numbered, stated, DataConfig()) == stated
    folded = Classes(("background", "cell"), ((2, 0), (255,)), "binary", "A stray 2 is background.")
    assert own_values([cells(2, 2, 2), cells(0)], folded, DataConfig()) == folded


def test_a_mask_without_numbers_is_left_to_be_named() -> None:
    strange = np.where(cells(1) > 0, np.nan, 0.0)
    assert own_values([strange], NUMBERED, DataConfig()) == NUMBERED
