from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from ulna.errors import UlnaError
from ulna.training.monitors import PATIENCE, ProgressBar, check_loss, count_empty, warn_at_end


def test_masks_that_stay_empty_are_warned_of_once(capsys: pytest.CaptureFixture[str]) -> None:
    empty = 0
    counts = [empty := count_empty(empty, found) for found in (0.0, 0.1, None, 0.0, None, 0.0, 0.0, 0.0)]
    assert counts == [1, 0, 0, 1, 1, 2, 3, 4]
    warn_at_end(empty)
    shown = capsys.readouterr().err
    assert shown.count("in the last 3 validations running, everything was called background") == 1
    assert shown.count("everything was called background") == 1


@pytest.mark.parametrize(("empty", "warned"), [(0, 0), (1, 1), (PATIENCE - 1, 1), (PATIENCE, 0)])
def test_a_short_training_is_warned_of_at_its_end(empty: int, warned: int, capsys: pytest.CaptureFixture[str]) -> None:
    warn_at_end(empty)
    assert capsys.readouterr().err.count("Warning") == warned


@pytest.mark.parametrize(("empty", "count"), [(1, "validation"), (2, "2 validations running")])
def test_the_warning_says_what_to_do(empty: int, count: str, capsys: pytest.CaptureFixture[str]) -> None:
    warn_at_end(empty)
    assert " ".join(capsys.readouterr().err.split()) == (
        f"Warning: in the last {count}, everything was called background. Look at samples.png (are the masks right?), "
        "train for longer, or try the Dice loss: --set task.loss=dice"
    )


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_ends_the_training(loss: float) -> None:
    with pytest.raises(UlnaError, match="the loss of step 7 is not a number") as caught:
        check_loss(loss, step=7, learning_rate=0.1)
    assert str(caught.value) == (
        "the training has collapsed: the loss of step 7 is not a number\nTrain anew, into another --out, with a lower "
        "learning rate: --set training.learning_rate=0.025"
    )
    check_loss(1e30, step=7, learning_rate=0.1)


def test_without_a_terminal_there_is_a_line_per_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    with ProgressBar("Dice") as bar:
        bar.step(1.0, epoch=1, progress=0.1, left=90.0)
        bar.step(2.0, epoch=1, progress=0.2, left=80.0)
        bar.epoch(None, epoch=1, left=75.0)
        bar.epoch(0.5, epoch=2, left=math.inf)
    assert capsys.readouterr().err.splitlines() == [
        "epoch 1  loss 1.050  left 1:15",
        "epoch 2  loss 1.050  validation Dice 0.500  left –",
    ]


def test_on_a_terminal_there_is_a_bar(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = io.StringIO()
    monkeypatch.setattr("ulna.training.monitors.screen", Console(file=shown, force_terminal=True, width=100))
    with ProgressBar("Dice", 60) as bar:
        bar.epoch(0.5, epoch=1, left=10.0)
        bar.step(1.0, epoch=2, progress=0.25, left=42.0)
    for words in ("training", "25%", "epoch 2 of 60  loss 1.000  validation Dice 0.500", "left 0:42"):
        assert words in shown.getvalue()
