"""The widgets in a window without a screen: layers are predicted, cases opened, errors said, and work is stopped."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari.layers", reason="napari is not installed: pip install -e '.[napari]'")
pytest.importorskip("qtpy.QtWidgets", reason="none of Qt's bindings can be loaded here")

import npe2
from napari.components import ViewerModel
from napari.layers import Image, Labels
from napari.qt import get_qapp
from qtpy.QtCore import QEventLoop

from ulna import formats
from ulna.errors import UlnaError
from ulna.image import Source
from ulna.model import load
from ulna.napari import background, predict_widget
from ulna.napari.background import Background
from ulna.napari.held_out_widget import HeldOutWidget
from ulna.napari.predict_widget import PredictWidget

Widget = tuple[Any, Any]


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the widgets notify of."""
    found: list[str] = []
    for module in (background, predict_widget):
        for name in ("show_error", "show_info"):
            if hasattr(module, name):
                monkeypatch.setattr(module, name, found.append)
    return found


@pytest.fixture
def opened() -> Callable[[str], Widget]:
    """A viewer without its canvas, which needs a graphics card, and one of the widgets that the manifest names."""
    get_qapp()

    def make(name: str) -> Widget:
        viewer = ViewerModel()
        manifest = npe2.PluginManager.instance().get_manifest("ulna")
        command = next(one.command for one in manifest.contributions.widgets or () if one.display_name == name)
        path = next(one.python_name for one in manifest.contributions.commands or () if one.id == command)
        module, _, attribute = str(path).partition(":")
        widget = getattr(import_module(module), attribute)(napari_viewer=viewer)
        if isinstance(widget, PredictWidget):
            widget.image.choices = lambda _: [one for one in viewer.layers if isinstance(one, Image)]  # as a dock gives
        return viewer, widget

    return make


def ended(work: Background) -> None:
    """Let Qt pass messages on until the work is done."""
    while work.busy:
        get_qapp().processEvents(QEventLoop.ProcessEventsFlag.WaitForMoreEvents)


def test_a_layer_is_predicted(opened: Callable[[str], Widget], run: Path, cells: Path, said: list[str]) -> None:
    viewer, widget = opened("Predict")
    assert isinstance(widget, PredictWidget)
    path = next((cells / "images").iterdir())
    image = formats.read(Source(path))
    viewer.add_image(image.array[0], name="cells", scale=(0.5, 0.25), translate=(3, 4), units=("um", "um"))
    widget.reset_choices()
    widget.model.value = run
    widget.predict.changed.emit(True)
    assert widget.background.busy
    ended(widget.background)
    mask = viewer.layers["cells predicted"]
    assert isinstance(mask, Labels)
    np.testing.assert_array_equal(mask.data, np.asarray(load(run).predict(path)))
    np.testing.assert_array_equal(mask.scale, (0.5, 0.25))
    np.testing.assert_array_equal(mask.translate, (3, 4))
    assert {str(unit) for unit in mask.units} == {"micrometer"}
    assert mask.features["class"].tolist()[0] == "background"
    assert said == []


def test_a_model_file_predicts_too(opened: Callable[[str], Widget], run: Path, tmp_path: Path, said: list[str]) -> None:
    viewer, widget = opened("Predict")
    viewer.add_image(np.zeros((3, 40, 40), np.uint8), name="stack")
    widget.reset_choices()
    widget.kind.value = "a model file"
    assert widget.model.mode.value == "r"
    widget.model.value = shutil.copy(run / "model.safetensors", tmp_path / "cells.safetensors")
    widget.predict.changed.emit(True)
    ended(widget.background)
    assert viewer.layers["stack predicted"].data.shape == (3, 40, 40)
    assert said == []


def test_what_is_missing_or_wrong_is_said_in_plain_words(
    opened: Callable[[str], Widget], run: Path, tmp_path: Path, said: list[str]
) -> None:
    viewer, widget = opened("Predict")
    widget.predict.changed.emit(True)
    widget.model.value = tmp_path
    widget.predict.changed.emit(True)
    viewer.add_image(np.zeros((2, 3, 40, 40), np.uint8), name="film")
    widget.reset_choices()
    widget.predict.changed.emit(True)  # the folder holds no run
    ended(widget.background)
    widget.model.value = run
    widget.predict.changed.emit(True)
    ended(widget.background)
    assert said[0].startswith("Choose a run's folder first")
    assert said[1].startswith("Open an image first")
    assert str(tmp_path) in said[2]
    assert "film: this layer has 4 axes" in said[3]
    assert len(said) == 4
    assert [layer.name for layer in viewer.layers] == ["film"]
    assert not widget.background.bar.visible


def test_held_out_cases_are_listed_and_opened(opened: Callable[[str], Widget], finished: Path, said: list[str]) -> None:
    viewer, widget = opened("Held-out cases")
    assert isinstance(widget, HeldOutWidget)
    assert not widget.open.enabled
    widget.run.value = finished
    ended(widget.background)
    names = [line for line in (finished / "validation.txt").read_text().splitlines() if line]
    widget.reset_choices()  # as napari does when a layer is added
    assert sorted(widget.case.choices) == sorted(names)
    widget.case.value = names[-1]
    widget.open.changed.emit(True)
    ended(widget.background)
    assert [layer.name for layer in viewer.layers] == [names[-1], f"{names[-1]} truth", f"{names[-1]} predicted"]
    assert isinstance(viewer.layers[0], Image)
    widget.open.changed.emit(True)
    ended(widget.background)
    assert [layer.visible for layer in viewer.layers] == [False] * 3 + [True] * 3
    assert said == []


def test_a_run_without_data_is_said_and_opens_nothing(
    opened: Callable[[str], Widget], run: Path, tmp_path: Path, said: list[str]
) -> None:
    _viewer, widget = opened("Held-out cases")
    widget.run.value = tmp_path
    ended(widget.background)
    assert len(said) == 1
    assert str(tmp_path) in said[0]
    assert not widget.open.enabled


def test_work_is_stopped_between_two_steps_and_one_thing_is_done_at_a_time(said: list[str]) -> None:
    get_qapp()
    work, began, go_on = Background(), Event(), Event()
    made: list[int] = []

    def steps(progress: Any) -> None:
        for number in progress(range(5), "counting"):
            made.append(number)
            began.set()
            go_on.wait(60)

    work.start(steps, lambda _: made.append(-1))
    assert began.wait(60)
    work.start(steps, lambda _: made.append(-1))
    work.stop.changed.emit(True)
    go_on.set()
    ended(work)
    assert made == [0]
    assert said[0].startswith("Something is being done here")
    assert said[1:] == ["Stopped."]


def test_notes_and_progress_of_the_work_reach_the_user(said: list[str]) -> None:
    from ulna.console import say

    get_qapp()
    work = Background()
    shown: list[tuple[int, int]] = []
    work._steps.moved.connect(lambda number, count: shown.append((number, count)))

    def noisy(progress: Any) -> int:
        say("its one channel is taken for three")
        return sum(progress([1, 2, 3], "adding"))

    found: list[int] = []
    work.start(noisy, found.append)
    ended(work)
    assert found == [6]
    assert said == ["its one channel is taken for three"]
    assert shown == [(0, 3), (1, 3), (2, 3)]
    assert work.bar.max == 3


@pytest.mark.parametrize("error", [UlnaError("is damaged", where="a.tif", hint="Copy it again."), MemoryError()])
def test_errors_of_the_work_are_sentences(said: list[str], error: Exception) -> None:
    get_qapp()
    work = Background()

    def fails(_progress: Any) -> None:
        raise error

    work.start(fails, lambda _: None)
    ended(work)
    assert said == [str(error) or "the memory of this machine does not hold it"]
