"""The widget that opens the cases which a run held out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, Container, FileEdit, PushButton
from napari.layers import Layer

from ulna.dataset import Progress
from ulna.napari.background import Background
from ulna.napari.held_out import HeldOut, run_data
from ulna.napari.layers import LayerData

if TYPE_CHECKING:
    from napari.viewer import Viewer


class HeldOutWidget(Container):  # type: ignore[misc]
    """Lists the cases that a run held out, with their scores, and opens them one by one.

    Parameters
    ----------
    napari_viewer
        Where layers are added; napari passes itself by this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self._held_out: HeldOut | None = None
        self.run = FileEdit(label="run", mode="d", nullable=True)
        self.case = ComboBox(label="case", choices=self._choices)  # asked anew whenever the viewer's layers change
        self.open = PushButton(text="Open", enabled=False)
        self.background = Background()
        self.extend([self.run, self.case, self.open, *self.background.widgets])
        self.run.changed.connect(self._read)
        self.open.changed.connect(self._open)

    def _read(self) -> None:
        self._held_out, self.open.enabled = None, False
        self.case.reset_choices()
        run = self.run.value
        if run is not None:
            self.background.start(lambda _progress: HeldOut.of(Path(run), run_data(Path(run))), self._show_cases)

    def _show_cases(self, held_out: HeldOut) -> None:
        self._held_out, self.open.enabled = held_out, True
        self.case.reset_choices()

    def _choices(self, _box: ComboBox) -> list[tuple[str, str]]:
        """What is shown of each case, and its name."""
        if self._held_out is None:
            return []
        scores = self._held_out.scores
        return [
            (f"{case.name} ({scores[case.name]:.3f})" if case.name in scores else case.name, case.name)
            for case in self._held_out.cases
        ]

    def _open(self) -> None:
        held_out, name = self._held_out, self.case.value
        if held_out is None:
            return
        case = next(case for case in held_out.cases if case.name == name)

        def work(_progress: Progress) -> list[LayerData]:
            return held_out.layers(case)

        self.background.start(work, self._add)

    def _add(self, layers: list[LayerData]) -> None:
        for layer in self._viewer.layers:
            layer.visible = False
        for data, words, kind in layers:
            self._viewer.add_layer(Layer.create(data, words, kind))
