"""The curves: what is read from the log, and that a log with holes makes a picture all the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from ulna.errors import UlnaError
from ulna.figures.curves import curves_picture, read_curves

HEAD = "epoch,step,seconds,learning_rate,train_loss,val_loss,val_dice\n"


def _log(folder: Path, *lines: str, head: str = HEAD) -> Path:
    path = folder / "metrics.csv"
    path.write_text(head + "".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def test_the_log_is_read_as_columns(tmp_path):
    found = read_curves(_log(tmp_path, "1,10,30,0.001,0.9,0.8,0.5", "2,20,90,0.0005,0.4,,"))
    assert found.minutes.tolist() == [0.5, 1.5]
    assert found.train_loss.tolist() == [0.9, 0.4]
    assert np.isnan(found.score).tolist() == [False, True]


@pytest.mark.parametrize(
    "lines",
    [
        [f"{e},{e},{e * 9},{1e-3 / e},{1 / e**2},{2 / e},{1 - 1 / e}" for e in range(1, 40)],
        ["1,10,30,0.001,0.9,0.8,0.5"],
        ["1,10,30,0.001,0.9,,", "2,20,60,0.001,0.8,,"],
        ["1,10,,,nan,,", "2,20,,,nan,,"],
        ["1,10,30,0.001,0.9,0.8,0", "1,10,30,0.001,0.9,0.8,0"],
    ],
    ids=["long", "one epoch", "no validation", "nothing but NaN", "twice the same"],
)
def test_any_log_makes_a_picture(tmp_path, lines):
    path = curves_picture(tmp_path / "curves.png", _log(tmp_path, *lines), score="Dice")
    with PIL.Image.open(path) as picture:
        assert picture.height > 200
    assert sorted(file.name for file in tmp_path.iterdir()) == ["curves.png", "metrics.csv"]


def test_missing_columns_are_missing_values(tmp_path):
    found = read_curves(_log(tmp_path, "1,0.5", head="epoch,train_loss\n"))
    assert np.isnan(found.minutes).all()
    curves_picture(tmp_path / "curves.png", tmp_path / "metrics.csv", score="Dice")


def test_what_cannot_be_read_is_said(tmp_path):
    with pytest.raises(UlnaError, match="cannot be read"):
        read_curves(tmp_path / "metrics.csv")
    with pytest.raises(UlnaError, match="is empty"):
        read_curves(_log(tmp_path))
    with pytest.raises(UlnaError, match="'x' is no number"):
        read_curves(_log(tmp_path, "1,x,3,x,1,1,1"))
