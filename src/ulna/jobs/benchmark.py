"""`benchmark`: how fast a network runs on this machine, by engine and precision, and how near to what this can do."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import torch
from rich.console import Group
from rich.markup import escape
from rich.table import Table
from torch.utils.flop_counter import FlopCounterMode

from ulna import networks
from ulna.console import Printed
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.inference.devices import choose_device
from ulna.inference.engines import ENGINES, torch_precision
from ulna.inference.engines.choose import PRECISIONS, pip_line
from ulna.labels.classes import Classes
from ulna.machine import machine
from ulna.model import Model, load
from ulna.modelfile import Saved
from ulna.networks.geometry import geometry
from ulna.normalization import Floats
from ulna.paths import expand_home
from ulna.preset import load_preset
from ulna.text import size as as_size

ROUNDS = 5
"""Each engine runs so often, by turns with the others; medians count."""

SIDE = {2: 512, 3: 96}
"""The sides of the image that is predicted, by the number of axes."""

PRODUCT = 2048
"""Rows and columns of the matrices whose product is what a machine can do."""

CLOSE = 0.02
"""A setting whose probabilities differ by more than this from those of PyTorch in float32 is not recommended."""


@dataclass(frozen=True)
class Speed:
    """How fast a network runs in one setting.

    Parameters
    ----------
    engine, precision
        As settings name them.
    seconds
        For an image.
    difference
        The largest difference of its probabilities from those of PyTorch in float32.
    """

    engine: str
    precision: str
    seconds: float
    difference: float


@dataclass(frozen=True)
class Benchmark(Printed):
    """How fast a network runs on this machine; it prints itself.

    Parameters
    ----------
    machine
        Processor, cores, memory, system.
    device
        Where PyTorch ran.
    network
        What ran.
    size
        (C, *spatial) of the image.
    work
        Billions of operations for an image: multiplications and additions.
    peaks
        Billions of operations a second in a large matrix product, by precision.
    speeds
        One for each engine and precision that there is, the fastest first.
    missing
        Engines that are not installed, and how they are.
    """

    machine: dict[str, str | int]
    device: str
    network: str
    size: tuple[int, ...]
    work: float
    peaks: dict[str, float]
    speeds: tuple[Speed, ...]
    missing: tuple[str, ...] = ()

    @property
    def recommended(self) -> Speed:
        """The fastest setting that says the same."""
        return next((one for one in self.speeds if one.difference <= CLOSE), self.speeds[0])

    def __repr__(self) -> str:
        best = self.recommended
        return f"<Benchmark: {best.engine} in {best.precision}, {1 / best.seconds:.3g} images/s>"

    def __rich__(self) -> Group:
        """A table, what is recommended, and the line for the table of machines."""
        rows = Table(box=None, pad_edge=False)
        for name in ("engine", "precision", "images/s", "GFLOPS", "of the peak", "difference"):
            rows.add_column(name, justify="left" if name in ("engine", "precision") else "right")
        for one in self.speeds:
            rate, share = self._rate(one)
            words = (f"{1 / one.seconds:.3g}", f"{rate:,.0f}", share, f"{one.difference:.1g}")
            rows.add_row(ENGINES[one.engine].title, PRECISIONS[one.precision], *words)
        peaks = ", ".join(f"{rate:,.0f} GFLOPS in {PRECISIONS[name]}" for name, rate in self.peaks.items())
        best = self.recommended
        lines = [
            f"{self._processor}: a large matrix product runs at {peaks}",
            f"{self.network}: {self.work:.1f} billion operations for an image of {as_size(self.size[1:])}",
        ]
        after = [
            *self.missing,
            f"Recommended: --set inference.engine={best.engine} inference.precision={best.precision}",
            f"For the table of machines in docs/speed.md: {self.line}",
        ]
        return Group(*map(escape, lines), rows, *map(escape, after))

    @property
    def line(self) -> str:
        """A line of the table of machines: processor, network, and images a second of each setting."""
        rates = ", ".join(
            f"{ENGINES[one.engine].title} {PRECISIONS[one.precision]} {1 / one.seconds:.3g}" for one in self.speeds
        )
        peak = " / ".join(f"{rate:,.0f}" for rate in self.peaks.values())
        return f"| {self._processor} | {self.network}, {as_size(self.size[1:])} | {peak} | {rates} |"

    @property
    def _processor(self) -> str:
        where = "" if self.device == "cpu" else f", {self.device}"
        return f"{self.machine['processor']}, {self.machine['cores']} cores{where}"

    def _rate(self, one: Speed) -> tuple[float, str]:
        """Billions of operations a second, and their share of the peak of that precision."""
        rate = self.work / one.seconds
        peak = self.peaks.get(one.precision)
        return rate, f"{rate / peak:.0%}" if peak else ""


@expand_home
def benchmark(
    run: str | Path | Model | None = None,
    *,
    size: Sequence[int] = (),
    device: str | None = None,
    progress: Progress = quiet,
    clock: Callable[[], float] = time.perf_counter,
) -> Benchmark:
    """Measure how fast a network runs on this machine, with each engine and in each precision that there is.

    Parameters
    ----------
    run
        A run's folder, a model file or a `Model`; by default an untrained network of the default preset.
    size
        The spatial size of the image; by default 512 × 512, or 96 voxels along each axis.
    device
        Where PyTorch runs, see `ulna.load`.
    progress
        Goes through the rounds and shows how far it is.
    clock
        Says the time, seconds.

    Returns
    -------
    Benchmark
        Medians of rounds by turns; it prints itself.

    Raises
    ------
    UlnaError
        For a run that cannot be loaded, and a size with other axes than the network's.

    Examples
    --------
    >>> found = ulna.benchmark("run", size=(64, 64))
    >>> found.speeds[0].seconds > 0
    True
    """
    model = run if isinstance(run, Model) else load(run, device=device) if run is not None else _untrained(device)
    ndim = model.config.network.ndim
    shape = (model.config.data.inputs, *(size or (SIDE[ndim],) * ndim))
    if len(shape) != ndim + 1:
        what = f"an image of {as_size(shape[1:])} has {len(shape) - 1} axes, the network sees {ndim}"
        raise UlnaError(what, where="--size", hint=f"Name {ndim} numbers: --size {','.join(['256'] * ndim)}")
    image = np.random.default_rng(0).random(shape, np.float32)
    settings, missing = _settings(model)
    models = {one: model.changed({"inference.engine": one[0], "inference.precision": one[1]}) for one in settings}
    said = {one: _said(own, image) for one, own in models.items()}  # also compiles
    reference = said["torch", "float32"]
    seconds: dict[tuple[str, str], list[float]] = {one: [] for one in settings}
    for _ in progress(range(ROUNDS), "measuring"):
        for one, own in models.items():
            began = clock()
            own.large.pipeline.normalized(image)
            seconds[one].append(clock() - began)
    speeds = [
        Speed(*one, max(median(seconds[one]), 1e-9), float(np.abs(said[one] - reference).max())) for one in settings
    ]
    precisions = [name for name in ("float32", "bf16") if any(one.precision == name for one in speeds)]
    return Benchmark(
        machine(),
        _named(model.device),
        _titled(model),
        shape,
        _work(model, shape),
        {name: _peak(name, model.device, clock) for name in precisions},
        tuple(sorted(speeds, key=lambda one: one.seconds)),
        missing,
    )


def _untrained(device: str | None) -> Model:
    """A network of the default preset, of one channel and one class."""
    config = load_preset("default").changed({"data.channels": 1, "task.name": "semantic"})
    classes = Classes(("background", "foreground"), ((0,), (1,)), "classes", "")
    network = networks.build(config.network, 1, 1).eval().to(choose_device(device))
    return Model(Saved(network, config, classes, 1))


def _settings(model: Model) -> tuple[list[tuple[str, str]], tuple[str, ...]]:
    """Engines and precisions that there are here, and what is to be said of those that are not."""
    found, missing = [("torch", "float32")], []
    for name, kind in ENGINES.items():
        if kind.missing:
            missing.append(f"{kind.title} is not installed: {pip_line(kind.extra)}")
            continue
        for precision in kind.precisions:
            try:
                own = model.changed({"inference.engine": name, "inference.precision": precision})
                assert own.engine.name == name
            except UlnaError:
                continue  # no such hardware, no quantized model, or on another device
            slow = (name, precision) == ("torch", "bf16") and torch_precision("auto", model.device) != "bf16"
            if not slow:  # imitated in software
                found.append((name, precision))
    return list(dict.fromkeys(found)), tuple(missing)


def _said(model: Model, image: Floats) -> Floats:
    return model.task.activate(model.large.pipeline.normalized(image))


def _work(model: Model, shape: tuple[int, ...]) -> float:
    """Billions of operations of the network for an image."""
    axes = geometry(model.network).axes
    sides = [axis.next_size(side + 2 * axis.shrink) for side, axis in zip(shape[1:], axes, strict=True)]
    counter = FlopCounterMode(display=False)
    with torch.inference_mode(), counter:  # without content, and so without what only counts on a processor
        copy.deepcopy(model.network).to("meta")(torch.zeros((1, shape[0], *sides), device="meta"))
    return counter.get_total_flops() / 1e9


def _peak(precision: str, device: torch.device, clock: Callable[[], float]) -> float:
    """Billions of operations a second of a large matrix product."""
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    one, other = (torch.ones((PRODUCT, PRODUCT), dtype=dtype, device=device) for _ in range(2))
    seconds = []
    for _ in range(ROUNDS):
        began = clock()
        float((one @ other)[0, 0])  # a GPU has done it only when it is asked for
        seconds.append(clock() - began)
    return 2 * PRODUCT**3 / 1e9 / max(median(seconds[1:]), 1e-9)


def _titled(model: Model) -> str:
    network = model.config.network
    first, last = (f"{width}" for width in (network.widths[0], network.widths[-1]))
    return f"{network.name}, {network.ndim}D, {first} to {last} channels"


def _named(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else device.type
