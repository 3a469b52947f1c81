"""Mask values as the configuration writes them, and the errors of those that contradict each other."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.labels.classes import Classes
from ulna.labels.inference import infer
from ulna.labels.values import Value, shown, span

Groups = tuple[tuple[Value, ...], ...]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (((0,), ("1..100",), ("50..255",)), r"'1\.\.100' of class 1 and '50\.\.255' of class 2 overlap"),
        (((0, 1), (1,)), "'1' is given twice, to class 0 and to class 1"),
        (((0,), (1, 1)), "'1' is given twice, to class 1 and to class 1"),
        (((0,), (7, "7")), "'7' is given twice"),
        (((0,), ("255..128",)), r"the range '255\.\.128' runs backwards"),
        ((("0,0,0",), ("300,0,0",)), "the color '300,0,0' has a part above 255"),
        ((("0,0,0",), ("0, 0, 0",)), "overlap"),
        ((("0,0,0",), (255,)), "colors, channels and numbers are mixed: '0,0,0', 255"),
        (((0,), ("channel 1",)), "colors, channels and numbers are mixed"),
        ((("other",), ("other",)), "'other' is a value of class 0 and of class 1"),
        (((0,), ("channel 9x",)), "'channel 9x' is no mask value"),
    ],
)
def test_values_that_contradict_each_other_are_refused(values: Groups, message: str) -> None:
    with pytest.raises(UlnaError, match=message):
        infer((), DataConfig(values=values))


def test_more_than_255_classes_are_refused() -> None:
    most = infer((), DataConfig(values=tuple((k,) for k in range(255))))
    assert most.to_indices(np.array([[[0, 254]]])).tolist() == [[[0, 254]]]
    with pytest.raises(UlnaError, match="there are 256 classes; at most 255"):
        infer((), DataConfig(values=tuple((k,) for k in range(256))))


def test_colored_masks_are_refused_where_classes_are_gray() -> None:
    """The mean of red is the gray value of the tumor."""
    classes = Classes(("background", "tumor", "stroma"), ((0,), (85,), (170,)), "classes", "0, 85 and 170.")
    mask = np.zeros((3, 4, 4), np.uint8)
    mask[0, :2] = 255
    mask[1:, 2:] = 255
    with pytest.raises(
        UlnaError, match=r"holds colors \(0,255,255, 255,0,0\), but the classes are gray values"
    ) as raised:
        classes.to_indices(mask)
    assert "0, 85 and 170." in raised.value.hint
    gray = np.repeat(np.array([[[0, 85, 170]]], np.uint8), 3, axis=0)
    assert classes.to_indices(gray).tolist() == [[[0, 1, 2]]]


def test_colors_may_number_objects_where_numbers_do() -> None:
    numbered = Classes(("background", "cell"), ((0,), ("other",)), "instances", "")
    mask = np.zeros((3, 2, 2), np.uint8)
    mask[:, 0, 1], mask[:, 1, 1] = (9, 0, 200), (200, 9, 0)
    assert numbered.to_indices(mask).tolist() == [[[0, 1], [0, 1]]]


@given(st.integers(1, 15))
def test_channels_are_written_as_they_are_read(code: int) -> None:
    assert span(shown(code, "channels")) == (code, code)
    assert span(shown(code << 12, "colors")) == (code << 12, code << 12)


def test_yaml_is_what_a_configuration_reads() -> None:
    import yaml

    classes = Classes(("background", "Zelle ü"), ((0, "1..9"), (255,)), "binary", "", ignore=(-1, 128))
    config = DataConfig(**yaml.safe_load(classes.yaml())["data"])
    assert (config.classes, config.values, config.ignore) == (classes.names, classes.values, classes.ignore)
    assert "ignore" not in Classes(("a", "b"), ((0,), (1,)), "binary", "").yaml()
    objects = Classes(("background", "a", "b"), ((0,), ("1000..1999",), ("2000..2999",)), "instances", "")
    assert DataConfig(**yaml.safe_load(objects.yaml())["data"]).objects
    assert (
        "objects" not in Classes(("background", "a"), ((0,), ("other",)), "instances", "").yaml()
    )  # goes without saying


def test_numbers_and_colors_of_objects_are_kept() -> None:
    numbers = np.array([[[0, 7, 7, 300, 2]]])
    labels = Classes(("background", "cell"), ((0,), ("other",)), "instances", "").to_labels(numbers)
    assert labels.objects is not None
    assert (labels.objects.tolist(), labels.classes.tolist()) == ([[0, 7, 7, 300, 2]], [[0, 1, 1, 1, 1]])
    assert labels.names == ("background", "cell")
    huge = Classes(("background", "cell"), ((0,), ("other",)), "instances", "").to_labels(numbers << 31)
    assert huge.objects is not None
    assert huge.objects.tolist() == [[0, 2, 2, 3, 1]]
    colors = np.array([[[0, 5, 0]], [[0, 0, 9]], [[0, 0, 0]]], np.uint8)
    labels = Classes(("background", "cell"), (("0,0,0",), ("other",)), "colors", "").to_labels(colors)
    assert labels.objects is not None
    assert labels.objects.tolist() == [[0, 2, 1]]
    semantic = Classes(("background", "cell"), ((0,), (1,)), "binary", "").to_labels(np.array([[[0, 1, 0, 1]]]))
    assert semantic.objects is None  # connected components are no objects
