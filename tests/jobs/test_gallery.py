"""The pictures of all cases: which, in what order, and that they are read back and joined."""

from __future__ import annotations

import io
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.dataset import quiet
from ulna.errors import UlnaError
from ulna.figures.colors import FATES, MISSED
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison
from ulna.jobs import gallery as module
from ulna.jobs.gallery import FEW, LARGE, MOST, SMALL, Gallery, draw_gallery, places
from ulna.layouts.own import own_files
from ulna.metrics import Primary, Row, Scored

CLASSES = ("background", "cell")
DICE = Primary("dice")


def scored(*dice: float) -> list[Scored]:
    return [
        Scored.of([Row("cell", "dice", value, 0 if math.isnan(value) else 1)], name=f"{value}", group="g")
        for value in dice
    ]


def draw(name: str, *, layers: int = 1) -> Comparison:
    truth = np.zeros((layers, 30, 40), np.int32)
    truth[:, 5:15, 5:15] = 1
    return Comparison(name, truth[:1] * 90, truth, truth * 0)


def test_the_worst_comes_first_and_what_has_no_score_last() -> None:
    made = draw_gallery(scored(0.5, math.nan, 0.1, 0.9), DICE, draw, classes=CLASSES, progress=quiet)
    assert [one.case for one in made.pictures] == ["0.1", "0.5", "0.9", "nan"]
    assert made.left_out == ""
    far = Primary("dice", higher_is_better=False)
    assert draw_gallery(scored(0.5, 0.9), far, draw, classes=CLASSES, progress=quiet).pictures[0].case == "0.9"


def test_a_strip_shows_image_truth_prediction_and_difference() -> None:
    (one,) = draw_gallery(scored(0.0), DICE, draw, classes=CLASSES, progress=quiet).pictures
    with Pillow.open(io.BytesIO(one.jpeg)) as picture:
        assert picture.format == "JPEG"
        assert picture.size == (4 * LARGE + 3 * 4, LARGE * 30 // 40)
        missed = np.asarray(picture)[100, 3 * (LARGE + 4) + 100]
    assert abs(missed - 0.85 * np.array(MISSED)).max() < 25


def test_the_legend_is_that_of_what_is_shown() -> None:
    plain = draw_gallery(scored(0.0), DICE, draw, classes=CLASSES, progress=quiet)
    assert [title for title, _ in plain.legend] == ["difference"]
    objects = draw_gallery(scored(0.0), DICE, lambda name: draw(name, layers=2), classes=CLASSES, progress=quiet)
    assert dict(objects.legend)["objects"] == dict(FATES)


def test_of_many_cases_so_many_are_spread_evenly(monkeypatch: pytest.MonkeyPatch) -> None:
    assert places(MOST) == list(range(MOST))
    assert (len(places(1000)), places(1000)[0], places(1000)[-1]) == (MOST, 0, 999)
    monkeypatch.setattr(module, "MOST", 3)
    made = draw_gallery(scored(*np.linspace(0, 1, 5)), DICE, draw, classes=CLASSES, progress=quiet)
    assert [one.case for one in made.pictures] == ["0.0", "0.5", "1.0"]
    assert made.left_out == "3 of 5 cases are pictured: evenly spread from the worst to the best."


def test_more_cases_have_smaller_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    sides: list[int] = []
    plain = module.strip
    monkeypatch.setattr(module, "strip", lambda *args, side: (sides.append(side), plain(*args, side=side))[1])
    for count in (FEW, FEW + 1):
        draw_gallery(
            scored(*np.linspace(0, 1, count)), DICE, draw, classes=CLASSES, progress=quiet, until=lambda: False
        )
    assert sides == [LARGE, SMALL]


def test_where_time_is_over_fewer_are_pictured_and_that_is_said() -> None:
    time = iter([True, False])
    made = draw_gallery(
        scored(0.1, 0.2, 0.3, 0.4), DICE, draw, classes=CLASSES, progress=quiet, until=lambda: next(time)
    )
    assert len(made.pictures) == 2
    assert made.left_out.startswith("2 of 4 cases are pictured, for the time was over:")


def test_what_is_written_is_read_back_and_no_image_of_a_data_set(tmp_path: Path) -> None:
    made = draw_gallery(scored(0.5, math.nan), DICE, draw, classes=CLASSES, progress=quiet)
    made.write(tmp_path / "gallery")
    again = Gallery.read(tmp_path / "gallery")
    assert [(one.case, one.jpeg) for one in again.pictures] == [(one.case, one.jpeg) for one in made.pictures]
    assert math.isnan(again.pictures[1].score)
    names = [path.name for path in (tmp_path / "gallery").iterdir()]
    assert own_files(tmp_path / "gallery", names) == {tmp_path / "gallery" / name for name in ("001.jpg", "002.jpg")}
    (tmp_path / "gallery" / "001.jpg").unlink()
    with pytest.raises(UlnaError, match="this gallery cannot be read"):
        Gallery.read(tmp_path / "gallery")


def test_those_of_folds_are_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = (
        draw_gallery(scored(*dice), DICE, draw, classes=CLASSES, progress=quiet) for dice in ((0.5, 0.1), (0.3, 0.7))
    )
    assert [one.case for one in first.joined([second], DICE, of=4).pictures] == ["0.1", "0.3", "0.5", "0.7"]
    assert first.joined([second], DICE, of=4).left_out == ""
    monkeypatch.setattr(module, "MOST", 2)
    both = first.joined([second], DICE, of=4)
    assert [one.case for one in both.pictures] == ["0.1", "0.7"]
    assert both.left_out.startswith("2 of 4 cases are pictured: ")


def test_a_volume_is_shown_in_planes_with_their_own_legend() -> None:
    truth = np.zeros((1, 6, 20, 30), np.uint8)
    truth[:, 2:4, 4:9, 4:9] = 1
    volume = Comparison("v", truth * 9, truth, truth * 0).reduced(CLASSES)
    assert isinstance(volume, Orthogonal)
    made = draw_gallery(scored(0.0), DICE, lambda name: volume, classes=CLASSES, progress=quiet)
    assert made.legend == ()
    with Pillow.open(io.BytesIO(made.pictures[0].jpeg)) as picture:
        assert picture.width == 1200


def test_names_that_are_no_proper_text_are_written(tmp_path: Path) -> None:
    (case,) = scored(0.5)
    odd = Scored(case.name + "\udcff", case.group, case.rows)
    draw_gallery([odd], DICE, draw, classes=CLASSES, progress=quiet).write(tmp_path / "gallery")
    assert r"0.5\udcff" in (tmp_path / "gallery" / "gallery.json").read_text("utf-8")
