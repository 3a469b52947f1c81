"""From an image to the network's outputs on the image's own grid: normalize, tile, run, put together."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import prod

import numpy as np
import numpy.typing as npt
import psutil
import torch
from torch import Tensor, nn

from ulna.config import Config
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.image import Array
from ulna.inference.engines import Engine, TorchEngine, torch_precision
from ulna.inference.tiles import Tiling, least_tile, plan_tiles, window
from ulna.networks import frozen_statistics
from ulna.networks.geometry import Geometry, geometry
from ulna.normalization import normalize, resize

SAMPLED = 16
"""From so many windows the statistics of an image are taken that is too large to be normalized whole."""


@dataclass
class Pipeline:
    """A network with `outputs` output channels, ready for images of any size."""

    network: nn.Module
    config: Config
    outputs: int
    engine: Engine = field(default_factory=TorchEngine)

    def __post_init__(self) -> None:
        self._geometry: Geometry = geometry(self.network)
        self._device = next(self.network.parameters()).device

    def raw(self, image: Array, *, progress: Progress = quiet) -> npt.NDArray[np.float32]:
        """An image as read, (C, *spatial) → logits (K, *spatial) on the image's own grid."""
        check_room((image.shape[0] + self.outputs, *image.shape[1:]))
        return self.normalized(normalize(image, self.config.data.normalization), progress=progress)

    def normalized(self, image: npt.NDArray[np.float32], *, progress: Progress = quiet) -> npt.NDArray[np.float32]:
        """A normalized image (C, *spatial) → logits (K, *spatial); what `config.data.resize` asks is done here."""
        own = image.shape[1:]
        size = self.config.data.resize
        if size is not None and tuple(size) != own:
            image = np.asarray(resize(image, tuple(size), smooth=True), np.float32)
        logits = self._tiled(image, progress)
        return logits if logits.shape[1:] == own else np.asarray(resize(logits, own, smooth=True), np.float32)

    def _tiled(self, image: npt.NDArray[np.float32], progress: Progress) -> npt.NDArray[np.float32]:
        settings = self.config.inference
        shape = image.shape[1:]
        most = affordable_pixels(self.config, self._device)
        tile = settings.tile or self._automatic_tile(shape, most)
        tiling = plan_tiles(shape, self._geometry, tile=tile, margin=settings.margin)
        precision = torch_precision(settings.precision, self._device)
        engine = self.engine.compile(self.network, (1, image.shape[0], *tiling.size), precision)
        out = empty_output((self.outputs, *shape))
        with self._statistics(image, tiling, most):
            tiles = tiling.tiles
            for tile_ in progress(tiles, "predicting") if len(tiles) > 1 else tiles:
                logits = engine.run(window(image, tile_.start, tiling.size)[None])[0]
                out[(slice(None), *tile_.target)] = logits[(slice(None), *tile_.source)]
        return out

    def _automatic_tile(self, shape: tuple[int, ...], most: int) -> int:
        """As memory allows, but never less than what the network's receptive field needs."""
        return max(largest_tile(shape, most), least_tile(self._geometry))

    def _statistics(self, image: npt.NDArray[np.float32], tiling: Tiling, most: int) -> AbstractContextManager[None]:
        """Instance norms must take their statistics from the image, not from a tile, or tiles would show.

        From the whole image where memory allows, else from windows drawn from all over it, always the same ones.
        """
        if len(tiling.tiles) == 1:
            return nullcontext()
        shape = image.shape[1:]
        margin = self.config.inference.margin
        whole = plan_tiles(shape, self._geometry, tile=largest_side(shape), margin=margin)
        if prod(whole.size) > most:
            whole = plan_tiles(shape, self._geometry, tile=self._automatic_tile(shape, most), margin=margin)
        drawn = np.random.default_rng(0).permutation(len(whole.tiles))[:SAMPLED]
        windows = (self._tensor(window(image, whole.tiles[k].start, whole.size)) for k in sorted(drawn))
        return frozen_statistics(self.network, windows)

    def _tensor(self, image: npt.NDArray[np.float32]) -> Tensor:
        return torch.from_numpy(image)[None].to(self._device)


def largest_side(shape: tuple[int, ...]) -> int:
    """A side that no window of an image of this shape exceeds, whatever the margins."""
    return 4 * max(shape) + 4096


def affordable_pixels(config: Config, device: torch.device) -> int:
    """How many pixels a window may have so that the network's feature maps take a quarter of the device's free memory.

    At the top level some eight maps of the first width live at once, and those below add as much again.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return int(free / 4 / (4 * 16 * config.network.widths[0]))


def largest_tile(shape: tuple[int, ...], pixels: int) -> int:
    """The side of a window of at most so many pixels, square or cubic, at most 1,024 (2D) or 192 (3D).

    An image somewhat larger than that, but within `pixels`, is done in one piece.
    """
    limit = 1024 if len(shape) == 2 else 192
    if prod(shape) <= min(pixels, 2 * limit ** len(shape)) * 0.8:
        return largest_side(shape)
    return min(int(pixels ** (1 / len(shape))), limit)


def empty_output(shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
    """Room for the logits; raises UlnaError when the memory does not hold them."""
    check_room(shape)
    return np.empty(shape, np.float32)


def check_room(shape: tuple[int, ...]) -> None:
    """Raise UlnaError when the free memory does not hold so many 32-bit numbers."""
    needed, free = 4 * prod(shape), psutil.virtual_memory().available
    if needed > free:
        raise UlnaError(
            f"this image needs {needed / 2**30:.1f} GiB of memory and {free / 2**30:.1f} GiB are free",
            hint="Cut the image into parts, or close other programs.",
        )
