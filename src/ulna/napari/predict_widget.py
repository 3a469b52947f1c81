"""The widget that predicts a mask of an image layer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from magicgui.widgets import ComboBox, Container, FileEdit, PushButton, create_widget
from napari.layers import Image as ImageLayer
from napari.layers import Layer
from napari.utils.notifications import show_error

from ulna.dataset import Progress
from ulna.model import load
from ulna.napari.background import Background
from ulna.napari.layers import LayerData, labels_layer, of_image, of_layer

if TYPE_CHECKING:
    from napari.viewer import Viewer

KINDS = {"a run's folder": "d", "a model file": "r"}
"""Where a model can be, and the dialog of files that asks for it."""


class PredictWidget(Container):  # type: ignore[misc]
    """Predicts an image layer with the model of a run, and adds the mask as a layer of labels.

    Parameters
    ----------
    napari_viewer
        Where the mask is added; napari passes itself by this name.
    """

    def __init__(self, napari_viewer: Viewer) -> None:
        super().__init__()
        self._viewer = napari_viewer
        self.kind = ComboBox(label="model in", choices=list(KINDS))
        self.model = FileEdit(label="place", mode="d", nullable=True)
        self.image = create_widget(annotation=ImageLayer, label="image")
        self.predict = PushButton(text="Predict")
        self.background = Background()
        self.extend([self.kind, self.model, self.image, self.predict, *self.background.widgets])
        self.kind.changed.connect(self._choose_kind)
        self.predict.changed.connect(self._start)

    def _choose_kind(self, kind: str) -> None:
        self.model.mode = KINDS[kind]
        self.model.filter = "*.safetensors" if KINDS[kind] == "r" else None

    def _start(self) -> None:
        place, layer = self.model.value, self.image.value
        if place is None or not Path(place).exists():
            show_error(f"Choose {self.kind.value} first: it says which model predicts.")
            return
        if layer is None:
            show_error("Open an image first: there is no image layer.")
            return

        def work(progress: Progress) -> LayerData:
            model = load(place)
            image = of_layer(layer, ndim=model.config.network.ndim, channels=model.channels)
            found = model.predict(image, progress=progress)
            data, words, kind = labels_layer(found.labels, f"{layer.name} predicted")
            return data, words | of_image(layer, found.ndim), kind

        self.background.start(work, self._add)

    def _add(self, mask: LayerData) -> None:
        data, words, kind = mask
        self._viewer.add_layer(Layer.create(data, words, kind))
