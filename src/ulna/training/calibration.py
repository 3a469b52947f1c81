"""Windows of training images, kept with a run so that its network can be quantized when the images are gone."""

from __future__ import annotations

from math import prod
from pathlib import Path

import numpy as np
from torch import nn

from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.inference.windows import window
from ulna.networks import geometry
from ulna.normalization import Floats
from ulna.store import Store
from ulna.training.constants import spread

NAME = "calibration.npz"
"""The file of a run that holds them."""

COUNT, FEWEST = 32, 8
"""So many windows are kept, or fewer where they are large."""

VALUES = 2**21
"""Numbers of all windows together: 4 MB before they are compressed."""

LARGE = 2048.0
"""Beyond this, numbers of 16 bits have no fractions."""


def calibration_windows(store: Store, network: nn.Module, patch: tuple[int, ...], *, seed: int = 0) -> Floats:
    """Windows of training images, normalized as the network sees them, the same ones for the same seed.

    Parameters
    ----------
    store
        The cases learned from.
    network
        It says which sizes suit it.
    patch
        The spatial size of a window, about.
    seed
        Of the generator that draws places.

    Returns
    -------
    Floats
        (N, C, *spatial): half of them around pixels of the foreground, half anywhere, of cases spread evenly.
    """
    size = _size(store.shapes[0][0], network, patch)
    count = max(1, min(COUNT, VALUES // (store.shapes[0][0] * prod(size))))
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        case = spread(len(store), count)[number % min(len(store), count)]
        shape = store.shapes[case][1:]
        places = [one for label, one in store.coordinates(case).items() if label and len(one)]
        if places and number % 2:
            flat = int(generator.choice(places[int(generator.integers(len(places)))]))
            center = [int(place) for place in np.unravel_index(flat, shape)]
        else:
            center = [int(generator.integers(side)) for side in shape]
        start = tuple(
            min(max(place - length // 2, 0), max(side - length, 0))
            for place, length, side in zip(center, size, shape, strict=True)
        )
        found.append(store.scale(case, window(store.raw(case), start, size)))
    return np.stack(found)


def _size(channels: int, network: nn.Module, patch: tuple[int, ...]) -> tuple[int, ...]:
    """The next size that suits the network; where too few such windows can be kept, the longest sides are halved."""
    fit = geometry(network)
    sides = list(patch)
    while True:
        smallest = [max(side, 2 * axis.stride, axis.smallest) for side, axis in zip(sides, fit.axes, strict=True)]
        size = tuple(
            axis.next_size(-(-side // axis.stride) * axis.stride if not axis.shrink else side)
            for side, axis in zip(smallest, fit.axes, strict=True)
        )
        if FEWEST * channels * prod(size) <= VALUES or max(sides) == 1:
            return size
        longest = sides.index(max(sides))
        sides[longest] = max(1, sides[longest] // 2)


def write_windows(run: Path, windows: Floats) -> None:
    """Keep windows with a run, in 16 bits where their range allows."""
    small = float(np.abs(windows).max(initial=0)) < LARGE
    with atomic_write(run / NAME) as beside:
        np.savez_compressed(beside, windows=windows.astype(np.float16) if small else windows)


def read_windows(run: Path) -> Floats:
    """The windows that a run keeps. Raises UlnaError where it keeps none."""
    path = run / NAME
    if not path.is_file():
        raise UlnaError(
            "this run keeps no windows of its training images, on which a network is quantized",
            where=path,
            hint="Runs keep them since ulna 0.1: train anew, or give the run's folder and not its model file alone.",
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            return np.asarray(file["windows"], np.float32)
    except (OSError, ValueError, KeyError) as error:
        raise UlnaError(f"the windows of this run cannot be read ({error})", where=path) from None
