"""INT8 for the network of a run: quantized on its own windows, measured on its validation cases, kept or refused."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from torch import nn

from ulna import runfolder as runs
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.formats.atomic import cannot_write
from ulna.inference.engines import Choice, Engine, Runner, Windows
from ulna.inference.engines.compiled import weights_hash
from ulna.inference.engines.openvino_engine import FIGURES, QUANTIZED
from ulna.inference.engines.quantization import quantize
from ulna.jobs.evaluate import evaluate
from ulna.metrics import label
from ulna.model import Model
from ulna.networks import Statistics
from ulna.networks.graph import norm_channels
from ulna.text import plural
from ulna.training.calibration import read_windows

LARGEST_DROP = 0.005
"""By so much Dice, and of objects AP, may fall on the validation cases, and no more."""

MEASURES = ("dice", "ap")
"""What is compared, as far as a model is evaluated by it."""


@dataclass(frozen=True)
class Quantized:
    """What quantizing changed.

    Parameters
    ----------
    folder
        Where the quantized graphs are.
    cases
        On how many validation cases scores were compared.
    scores
        By measure, the mean over these cases in float32 and in INT8: the lower one of whole images and of tiles.
    """

    folder: Path
    cases: int
    scores: dict[str, tuple[float, float]]

    @property
    def drops(self) -> dict[str, float]:
        """By measure, how much lower it is in INT8."""
        return {name: before - after for name, (before, after) in self.scores.items()}

    def as_json(self) -> dict[str, Any]:
        """The figures, as they are kept beside the quantized graphs."""
        scores = {name: {"float32": before, "int8": after} for name, (before, after) in self.scores.items()}
        return {"cases": self.cases, "scores": scores}

    def __str__(self) -> str:
        parts = [
            f"{label(name)} {after:.4f} in INT8, {before:.4f} in float32"
            for name, (before, after) in self.scores.items()
        ]
        return f"{'; '.join(parts)} ({plural(self.cases, 'validation case')})"


def quantized_model(model: Model, run: Path, *, progress: Progress = quiet) -> Quantized:
    """Quantize the network of a run, and keep that in the run if its scores hold.

    Parameters
    ----------
    model
        Of the run, on the CPU.
    run
        Its folder.
    progress
        Goes through the cases and shows how far it is.

    Returns
    -------
    Quantized
        The figures, which are also kept beside the quantized graphs.

    Raises
    ------
    UlnaError
        Where OpenVINO or NNCF is not installed, the run keeps no windows, has no validation cases or these are gone,
        and where a score falls by more than `LARGEST_DROP`: with the figures.
    """
    if model.saved.others:
        what = f"this run has {len(model.saved.networks)} models, and one is quantized at a time"
        raise UlnaError(what, where=run, hint="Name the folder of one fold.")
    windows = read_windows(run)
    names, data = _validation(run)
    with TemporaryDirectory(prefix="ulna-") as beside:
        folder = Path(beside) / QUANTIZED
        folder.mkdir()
        quantize(model.network, windows, folder)
        words: dict[str, Any] = {"weights": weights_hash(model.network), "windows": len(windows)}
        _write(folder, words)
        trial = Model(replace(model.saved, folder=Path(beside)))

        def scores(precision: str, kind: type[Model] = Model) -> dict[str, float]:
            changed = trial.changed({"inference.engine": "openvino", "inference.precision": precision})
            return _scores(kind(changed.saved), names, data, Path(beside) / f"scores-{precision}", progress)

        # norms in tiles are given their statistics: another quantized graph
        several = [scores("int8"), *[scores("int8", _AsInTiles)] * bool(norm_channels(model.network))]
        before = scores("float32")
        both = {name: (before[name], min(one[name] for one in several)) for name in MEASURES if name in before}
        result = Quantized(run / QUANTIZED, len(names), both)
        _check(result, run)
        _write(folder, words | result.as_json() | {"versions": _versions()})
        _put(folder, result.folder)
    return result


def _check(result: Quantized, run: Path) -> None:
    """Raise UlnaError for a score that falls too far, or that does not exist."""
    if any(math.isnan(value) for pair in result.scores.values() for value in pair) or not result.scores:
        raise UlnaError("what INT8 changes cannot be measured: its validation cases have no score", where=run)
    worst = max(result.drops, key=lambda name: result.drops[name])
    if result.drops[worst] > LARGEST_DROP:
        what = (
            f"INT8 is refused: {label(worst)} falls by {result.drops[worst]:.4f}, more than {LARGEST_DROP:g}: {result}"
        )
        raise UlnaError(what, where=run, hint="Export it in float32, which OpenVINO runs as well.")


def _validation(run: Path) -> tuple[tuple[str, ...], str]:
    """The names of the validation cases of a run, and where its data lie."""
    if not (run / runs.WORDS).is_file():
        what = "INT8 is measured on the validation cases of a run, and this is a model file alone"
        raise UlnaError(what, where=run, hint="Name the run's folder.")
    names, data = runs.names(run)[1], str(runs.words(run).get("data", ""))
    if not names:
        what = "INT8 is measured on validation cases, and this run has held out none"
        raise UlnaError(what, where=run, hint="Train with data.validation above 0.")
    if not Path(data).exists():
        what = f"INT8 is measured on the validation cases of this run, and its data are not there any more ({data})"
        raise UlnaError(what, where=run, hint="Put them back where they were.")
    return names, data


class _AsInTiles(Model):
    """A model that predicts whole images as it does tiles."""

    @cached_property
    def engine(self) -> Choice:
        """What runs the network, with statistics that are measured before."""
        choice = super().engine
        return replace(choice, engine=_Measuring(choice.engine))


@dataclass(frozen=True)
class _Measuring:
    """An engine whose networks are always given the statistics of their instance norms."""

    engine: Engine

    def compile(self, network: nn.Module, statistics: Statistics, shape: tuple[int, ...], precision: str) -> Runner:
        """Make a network ready that measures each input first, where its statistics are not known."""
        if statistics:
            return self.engine.compile(network, statistics, shape, precision)

        def run(images: Windows) -> Windows:
            each = [(image[None], self.measure(network, [image[None]])) for image in images]
            return np.concatenate([self.engine.compile(network, own, shape, precision)(image) for image, own in each])

        return run

    def measure(self, network: nn.Module, windows: Iterable[Windows]) -> Statistics:
        """As the engine does."""
        return self.engine.measure(network, windows)


def _scores(model: Model, names: tuple[str, ...], data: str, out: Path, progress: Progress) -> dict[str, float]:
    """The mean scores of the validation cases, by measure."""
    summary = evaluate(model, data, cases=names, out=out, overwrite=True, progress=progress).summary
    return {name: spread.mean.estimate for name, spread in summary.overall.scores.items()}


def _write(folder: Path, words: dict[str, Any]) -> None:
    runs.put(folder / FIGURES, json.dumps(words, indent=2) + "\n")


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("ulna", "torch", "openvino", "nncf")}


def _put(folder: Path, target: Path) -> None:
    """Copy a folder so that it is there whole or not at all, in place of one that is there."""
    fresh = target.with_name(f".{target.name}.part-fresh")
    try:
        shutil.rmtree(fresh, ignore_errors=True)
        shutil.copytree(folder, fresh)
        shutil.rmtree(target, ignore_errors=True)
        fresh.replace(target)
    except OSError as error:
        shutil.rmtree(fresh, ignore_errors=True)
        raise cannot_write(error, target) from None
