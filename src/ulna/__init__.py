"""ulna: the U-Net for biomedical images.

    import ulna
    ulna.train("stage1_train.zip", "run", minutes=10)
    model = ulna.load("run")
    mask = model.predict("cells.png")

Names are imported when they are first used: `import ulna` alone loads neither PyTorch nor matplotlib.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ulna.config import Config as Config
    from ulna.errors import UlnaError as UlnaError
    from ulna.image import Image as Image
    from ulna.jobs.benchmark import benchmark as benchmark
    from ulna.jobs.check import check as check
    from ulna.jobs.demo import demo as demo
    from ulna.jobs.evaluate import evaluate as evaluate
    from ulna.jobs.export import export as export
    from ulna.jobs.measure import measure as measure
    from ulna.jobs.plan import plan as plan
    from ulna.jobs.predict import predict as predict
    from ulna.jobs.settings import settings as settings
    from ulna.jobs.split import split as split
    from ulna.jobs.summary import summary as summary
    from ulna.jobs.train import train as train
    from ulna.model import Model as Model
    from ulna.model import load as load
    from ulna.networks import FCN8 as FCN8
    from ulna.networks import UNet as UNet
    from ulna.prediction import Prediction as Prediction

_MODULES = {
    "Config": "config",
    "FCN8": "networks",
    "Image": "image",
    "Model": "model",
    "Prediction": "prediction",
    "UNet": "networks",
    "UlnaError": "errors",
    "benchmark": "jobs.benchmark",
    "check": "jobs.check",
    "demo": "jobs.demo",
    "evaluate": "jobs.evaluate",
    "export": "jobs.export",
    "load": "model",
    "measure": "jobs.measure",
    "plan": "jobs.plan",
    "predict": "jobs.predict",
    "settings": "jobs.settings",
    "split": "jobs.split",
    "summary": "jobs.summary",
    "train": "jobs.train",
}

__all__ = [
    "FCN8",
    "Config",
    "Image",
    "Model",
    "Prediction",
    "UNet",
    "UlnaError",
    "__version__",
    "benchmark",
    "check",
    "demo",
    "evaluate",
    "export",
    "load",
    "measure",
    "plan",
    "predict",
    "settings",
    "split",
    "summary",
    "train",
]


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("ulna")
    if name not in _MODULES:
        raise AttributeError(f"module 'ulna' has no attribute '{name}'")
    value = getattr(import_module(f"ulna.{_MODULES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
