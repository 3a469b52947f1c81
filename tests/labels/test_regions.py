from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ulna.classfiles import stated_classes
from ulna.config import Config, DataConfig
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.image import IGNORE
from ulna.labels.classes import Classes
from ulna.labels.inference import infer
from ulna.labels.regions import with_regions, with_stated_values
from ulna.preset import settings

TUMOR = {"whole": [1, 2, 3], "core": [1, 3], "enhancing": [3]}  # as BraTS has them: 1 necrosis, 2 edema


def told(regions: object, **data: object) -> Classes:
    """The classes of masks of 0 to 4, with these regions."""
    config = Config().changed({"data.regions": regions, **{f"data.{key}": value for key, value in data.items()}})
    return infer([np.arange(5, dtype=np.uint8).reshape(1, 1, 5)], config.data)


def test_each_class_is_called_by_its_innermost_region() -> None:
    classes = told(TUMOR, ignore=4)
    assert classes.names == ("background", "core only", "whole only", "enhancing")
    assert classes.regions == (("whole", (1, 2, 3)), ("core", (1, 3)), ("enhancing", (3,)))
    mask = np.array([[[0, 1, 2, 3, 4]]], np.uint8)
    assert classes.to_indices(mask).tolist() == [[[0, 1, 2, 3, IGNORE]]]
    assert classes.to_values(mask[..., :4]).tolist() == [[[0, 1, 2, 3]]]
    assert classes.learned == ("whole", "core", "enhancing")
    assert Classes(("background", "cell"), ((0,), (1,)), "binary", "").learned == ("cell",)


def test_classes_that_no_region_tells_apart_are_one_and_those_in_none_are_background() -> None:
    classes = told({"lesion": [3, 2]}, values=[[0], [1], [2], [3], [4]])
    assert classes.names == ("background", "lesion")
    assert classes.kind == "binary"
    assert classes.to_indices(np.arange(5).reshape(1, 1, 5)).tolist() == [[[0, 0, 1, 1, 0]]]
    assert classes.to_values(np.array([[[0, 1]]])).tolist() == [[[0, 3]]]  # the value that is listed first
    assert "1, 4 is of no region, and taken for background" in classes.sentence


def test_names_that_were_chosen_stay_and_regions_may_use_them() -> None:
    names = ["background", "necrosis", "edema", "enhancing"]
    stated = {"whole": ["edema", "necrosis", "enhancing"], "core": ["necrosis", 3]}
    classes = told(stated, classes=names, values=[[0], [1], [2], [3]], ignore=4)
    assert classes.names == ("background", "core", "edema")
    assert classes.regions == (("whole", (1, 2)), ("core", (1,)))
    assert told(TUMOR, classes=names, values=[[0], [1], [2], [3]], ignore=4).names == tuple(names)


def test_a_range_is_all_the_classes_in_it() -> None:
    classes = told({"whole": ["1..3"], "core": [2]}, values=[[0], [1], [2], [3]], ignore=4)
    assert classes.regions == (("whole", (1, 2)), ("core", (2,)))


@pytest.mark.parametrize(
    ("regions", "data", "said"),
    [
        ({"a": [1, 2], "b": [2, 3]}, {}, r"regions 'a' and 'b' overlap, and neither.* both hold 'class 2 \(2\)'"),
        ({"a": [1, 2], "b": [2, 1]}, {}, "'a' and 'b' are the same"),
        ({"a": [0, 1]}, {}, "'a' holds the background"),
        ({"a": ["edema"]}, {"values": [[0], [1, 2, 3, 4]]}, "'a' is made of 'edema', which is no class"),
        ({"a": [1]}, {"values": [[0], [1, 2], [3, 4]]}, "'a' holds 1, and 2 is of the same class"),
        ({"a": ["1..2"]}, {"values": [[0], ["1..3"], [4]]}, "1..3 is of the same class"),
        ({"a": [1]}, {"values": [[0], ["1..3"], [4]], "objects": True}, "number objects"),
        ({"a": []}, {}, "with a class at least"),
        ([["a", [1]], ["a", [2]]], {}, "name each region once"),
        (5, {}, "must name regions with their classes"),
    ],
)
def test_what_is_refused(regions: object, data: dict[str, object], said: str) -> None:
    with pytest.raises(UlnaError, match=said):
        told(regions, **data)


def test_values_follow_from_regions_where_nothing_else_says_them() -> None:
    assert with_stated_values(DataConfig(regions=(("a", (7, 3)), ("b", (7,))))).values == ((0,), (3,), (7,))
    assert with_stated_values(DataConfig(regions=(("a", ("0,9,0", "9,0,0")),))).values[0] == ("0,0,0",)
    assert with_stated_values(DataConfig(regions=(("a", ("channel 1", "channels 1+2")),))).values[0] == ("no channel",)
    for kept in (DataConfig(), DataConfig(regions=(("a", ("edema", 2)),))):
        assert with_stated_values(kept) is kept
    with pytest.raises(UlnaError, match="holds 4, which belong to no class"):
        told(TUMOR).to_indices(np.array([[[4]]]))


def test_the_configuration_takes_a_mapping_or_pairs_and_keeps_the_order() -> None:
    config = Config().changed({"data.regions": {"b": 3, "a": [1, "2"]}})
    assert config.data.regions == (("b", (3,)), ("a", (1, "2")))
    again = Config.parse(yaml.safe_load(yaml.safe_dump(config.model_dump(mode="json"))))
    assert again == config
    assert config.given()["data.regions"] == config.data.regions
    assert Config().changed({"data.ignore": 4}).data.ignore == (4,)


def test_two_lines_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "my.yaml").write_text("data:\n  regions: {whole: [1, 2, 3], core: [2, 3], enhancing: 3}\n")
    config = settings(config=tmp_path / "my.yaml", changes={"data.validation": 0})
    assert config.data.regions == (("whole", (1, 2, 3)), ("core", (2, 3)), ("enhancing", (3,)))
    with pytest.raises(UlnaError, match=r"no setting 'data\.region'\. Did you mean 'data\.regions'"):
        settings(changes={"data.region": {"a": 1}})


@given(st.lists(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4, unique=True), min_size=1, max_size=3))
def test_what_is_printed_says_the_same(lists: list[list[int]]) -> None:
    try:
        classes = told({f"region {k}": one for k, one in enumerate(lists)}, values=[[0], [1], [2], [3], [4]])
    except UlnaError:
        return
    again = infer([], Config.parse(yaml.safe_load(classes.yaml())).data)
    assert (again.names, again.regions) == (classes.names, classes.regions)
    mask = np.arange(5).reshape(1, 1, 5)
    assert np.array_equal(again.to_indices(mask), classes.to_indices(mask))
    # an oracle: what a region holds, by the values of the mask
    for (_, inside), values in zip(classes.regions, lists, strict=True):
        assert np.array_equal(np.isin(classes.to_indices(mask), inside), np.isin(mask, values))
    # what is written is read as it was
    indices = classes.to_indices(mask)
    assert np.array_equal(classes.predicted.to_indices(classes.to_values(indices)), indices)


def test_regions_of_the_layout() -> None:
    case = Case("a", (), regions=(("whole", (1, 2)), ("core", (2,))), ignored=(3,))
    stated = stated_classes(DataConfig(), [case])
    assert (stated.regions, stated.ignore) == (case.regions, (3,))
    own = DataConfig(regions=(("both", (1, 2)),), ignore=(9,))
    assert stated_classes(own, [case]) == own
    assert infer([], stated).regions == (("whole", (1, 2)), ("core", (2,)))


def test_without_names_of_its_own_a_union_of_regions_has_no_class() -> None:
    masks = Classes(("background", "a", "b"), ((0,), (1,), (2,)), "classes", "")
    found = with_regions(masks, (("both", (1, 2)), ("left", (1,)), ("right", (2,))))
    assert found.names == ("background", "left", "right")
