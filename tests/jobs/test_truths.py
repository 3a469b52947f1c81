"""Which cases are scored and in which groups: as a model was trained, unless others are stated."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from small_data import put
from ulna.config import Config
from ulna.errors import UlnaError
from ulna.image import Image
from ulna.jobs.evaluate import evaluate
from ulna.jobs.truths import as_trained
from ulna.labels.classes import Classes

NAMES = ("xa", "ya", "xb", "yb", "xc", "yc")


class Fake:
    """A model that was trained with settings, and finds nothing."""

    channels = 0
    classes = Classes(("background", "disc"), ((0,), (255,)), "binary", "Values: 255 is disc.")

    def __init__(self, **data: object) -> None:
        self.config = Config.parse({"data": data})

    def predict(self, image: Image) -> Image:
        return image.with_array(np.zeros((1, *image.shape), np.uint8), self.classes.names)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Six images of noise; the last two are the same."""
    rng = np.random.default_rng(0)
    mask = np.zeros((48, 48), np.uint8)
    mask[10:20, 10:20] = 255
    for name in NAMES:
        image = rng.integers(0, 255, mask.shape, dtype=np.uint8)
        put(tmp_path / "data", name, image, mask)
    put(tmp_path / "data", "yc", image[::-1], mask[::-1])
    put(tmp_path / "data", "xc", image, mask)
    return tmp_path / "data"


def groups(model: Fake, data: Path, **more: object) -> tuple[dict[str, str], tuple[str, ...]]:
    found = evaluate(model, data, out=data.parent / "scores", overwrite=True, **more)  # type: ignore[arg-type]
    return {case.name: case.group for case in found.cases}, found.notes


def test_groups_are_those_of_the_training(data: Path) -> None:
    found, notes = groups(Fake(groups="(.)$", leaks=False), data)
    assert found == {name: name[1] for name in NAMES}
    assert "groups: stated: data.groups='(.)$', captured in the names, as in the training" in notes


def test_surfaces_are_compared_as_in_the_training_unless_stated() -> None:
    model = Fake()
    model.config = Config().changed({"task.tolerance": 2.5})
    assert as_trained(Config(), model).task.tolerance == 2.5
    assert as_trained(Config().changed({"task.tolerance": 0.5}), model).task.tolerance == 0.5


def test_other_groups_may_be_stated(data: Path) -> None:
    found, notes = groups(Fake(groups="(.)$", leaks=False), data, changes={"data.groups": "^(.)"})
    assert found == {name: name[0] for name in NAMES}
    assert not any("as in the training" in note for note in notes)


def test_near_duplicates_are_joined_as_in_the_training(data: Path) -> None:
    assert len(set(groups(Fake(groups="^(..)"), data)[0].values())) == 5
    assert len(set(groups(Fake(groups="^(..)", leaks=False), data)[0].values())) == 6
    assert len(set(groups(Fake(groups="^(..)", leaks=False), data, changes={"data.leaks": True})[0].values())) == 5


def test_files_are_found_as_in_the_training(data: Path) -> None:
    """Second masks lie beside the first, which a model was trained on."""
    (data / "masks").rename(data / "drawn")
    for path in list((data / "drawn").iterdir()):
        path.rename(data / "drawn" / f"{path.stem}_roi.png")
        if path.stem[0] == "x":
            put(data, path.stem, np.zeros((48, 48), np.uint8), np.zeros((48, 48), np.uint8))
    model = Fake(images=["images/{case}.png"], masks=["drawn/{case}_roi.png"], leaks=False)
    found = evaluate(model, data, out=data.parent / "scores")
    assert [case.states["disc"] for case in found.cases] == ["missed"] * 6
    other = evaluate(
        model, data, out=data.parent / "other",
        changes={"data.images": ["images/{case}.png"], "data.masks": ["masks/{case}.png"]},
    )  # fmt: skip
    assert [case.states["disc"] for case in other.cases] == ["empty, predicted empty"] * 3


def test_files_that_a_training_would_not_find_are_found_otherwise_and_it_is_said(data: Path) -> None:
    found, notes = groups(Fake(images=["scans/{case}.png"], masks=["scans/{case}_m.png"]), data)
    assert set(found) == set(NAMES)
    assert "data.images and data.masks of the model's training do not suit these data" in notes[0]


@pytest.mark.parametrize("stated", ["patient(.)", "gone.csv"])
def test_groups_of_a_training_that_do_not_suit_are_left_and_it_is_said(stated: str, data: Path) -> None:
    found, notes = groups(Fake(groups=stated, leaks=False), data)
    assert set(found) == set(NAMES)
    assert any(f"trained with data.groups='{stated}', which does not suit these data" in note for note in notes)
    with pytest.raises(UlnaError):
        groups(Fake(), data, changes={"data.groups": stated})
