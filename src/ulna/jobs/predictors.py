"""What makes masks: a trained model, or a function that was passed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ulna.config import Config
from ulna.errors import UlnaError
from ulna.image import Array, Image
from ulna.labels.classes import Classes

_OF_A_RUN = ("model.safetensors", "checkpoints", "run.json")

Predict = Callable[[Image], Image]


class Mask(Protocol):
    """A mask (1, *spatial): an `ulna.Prediction`, whose `labels` are taken, or an `Image`."""

    @property
    def array(self) -> Array:
        """(1, *spatial): class indices, or the values of the training masks where `classes` is empty."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the class indices."""


class Predictor(Protocol):
    """What makes masks: a trained `ulna.Model`, or anything like it."""

    @property
    def channels(self) -> int:
        """How many channels the images must have; 0: they are taken as they are."""

    @property
    def classes(self) -> Classes:
        """What the values of its masks mean."""

    def predict(self, image: Image) -> Mask:
        """The mask (1, *spatial) of an image (C, *spatial)."""


@dataclass(frozen=True)
class Passed:
    """A function that was passed, with what its masks mean, as a `Predictor`.

    `config` is that of the model whose place it takes.
    """

    classes: Classes
    function: Predict
    config: Config | None = None
    channels: int = 0

    def predict(self, image: Image) -> Image:
        """What the function makes of an image."""
        return self.function(image)


def predictor_of(
    given: str | Path | Predictor, predict: Predict | None, classes: Classes | None, *, device: str | None = None
) -> Predictor | None:
    """The model that makes masks; None where they lie in files."""
    loaded = isinstance(given, str | Path) and _is_model(Path(given))
    if device is not None and not loaded:
        raise UlnaError("only a run or a model file is loaded onto a device", where="device", hint="Leave it away.")
    if predict is not None and classes is not None:
        return Passed(classes, predict)
    model = _load(given, device) if loaded else None if isinstance(given, str | Path) else given
    if model is not None and predict is None and not hasattr(model, "predict"):
        what = f"{type(given).__name__} holds no masks and predicts none"
        raise UlnaError(what, where="masks_or_run", hint="Give a folder of masks, a run's folder or a model.")
    if predict is None:
        return model
    if model is None:
        raise UlnaError("the masks' classes are not known: pass 'classes' with 'predict', or name a run", where=given)
    return Passed(model.classes, predict, getattr(model, "config", None))


def predicting_as(model: Predictor | None, changes: dict[str, Any] | None) -> Predictor | None:
    """The model with the settings of how it predicts that are among some changes.

    Raises UlnaError where there are such settings, and nothing that they could change.
    """
    own = ("inference.", "data.channel_names")
    wanted = {key: value for key, value in (changes or {}).items() if key.startswith(own)}
    if not wanted:
        return model
    if model is None or not hasattr(model, "changed"):
        what = f"{next(iter(wanted))} says how a model predicts, and these masks are not made by one"
        raise UlnaError(what, where="changes", hint="Leave this setting away, or name a run.")
    changed: Predictor = model.changed(wanted)
    return changed


def _is_model(path: Path) -> bool:
    """Whether this is a run's folder or a model file."""
    return path.suffix == ".safetensors" or any((path / name).exists() for name in _OF_A_RUN)


def _load(run: Any, device: str | None) -> Predictor:
    from ulna.model import load  # masks in files need no torch

    return load(run, device=device)
