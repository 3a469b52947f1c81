"""From an image to the network's outputs on the image's own grid: normalize, tile, run, put together."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod
from typing import Any

import numpy as np
import psutil
import torch
from torch import Tensor, nn

from ulna.config import Config
from ulna.dataset import Progress, quiet
from ulna.errors import UlnaError
from ulna.formats import Reader, check_finite
from ulna.image import Array, Region
from ulna.inference.devices import check_process, device_of, dtype_of
from ulna.inference.engines import Engine, TorchEngine, averaged, torch_precision
from ulna.inference.tiles import Tiling, plan_tiles
from ulna.inference.windows import bands, read_window, window
from ulna.networks import Statistics, measure_statistics
from ulna.networks.geometry import geometry
from ulna.normalization import Floats, Scaling, resize, scaling, scaling_of_parts, to_channels
from ulna.text import amount

Read = Callable[[tuple[int, ...], tuple[int, ...]], Floats]
"""From the start and the size of a window, which may lead out of the image, to (C, *size) normalized."""

BAND = 1 << 24
"""So many values of an image are looked at together where it is read region by region."""

SAMPLED = 16
"""From so many windows the statistics of an image are taken that is too large to be normalized whole."""


@dataclass(frozen=True)
class Pipeline:
    """A network with `outputs` output channels, ready for images of any size, in any number of threads.

    Parameters
    ----------
    network
        The network; it is left as it is.
    config
        The configuration that it was trained with.
    outputs
        The number of its output channels, K.
    engine
        What runs it.
    others
        Further networks of the same architecture: the logits are then the mean over all of them.
    """

    network: nn.Module
    config: Config
    outputs: int
    engine: Engine = field(default_factory=TorchEngine)
    others: tuple[nn.Module, ...] = ()

    def raw(self, image: Array, *, progress: Progress = quiet) -> Floats:
        """Logits of an image as it was read.

        Tiles are normalized one by one, so the image is in memory in its own type only.

        Parameters
        ----------
        image
            (C, *spatial).
        progress
            Goes through the tiles and shows how far it is.

        Returns
        -------
        Floats
            Logits (K, *spatial) on the image's own grid.

        Raises
        ------
        UlnaError
            Where the memory does not hold the logits, and for a tile that is set too small for the network.
        """
        check_room((self.outputs, *image.shape[1:]))
        scale = scaling(image, self.config.data.normalization, self.config.data.counts)
        if self.config.data.resize is not None:
            return self.normalized(scale.apply(image), progress=progress)
        return self._tiled(lambda start, size: scale.apply(window(image, start, size)), image.shape, progress)

    def normalized(self, image: Floats, *, progress: Progress = quiet) -> Floats:
        """Logits of an image that is normalized; what `config.data.resize` asks is done here.

        Parameters
        ----------
        image
            (C, *spatial).
        progress
            Goes through the tiles and shows how far it is.

        Returns
        -------
        Floats
            Logits (K, *spatial) on the image's own grid.

        Raises
        ------
        UlnaError
            As `raw` does.
        """
        own = image.shape[1:]
        size = self.config.data.resize
        if size is not None and tuple(size) != own:
            image = np.asarray(resize(image, tuple(size), smooth=True), np.float32)
        logits = self._tiled(lambda start, size: window(image, start, size), image.shape, progress)
        return logits if logits.shape[1:] == own else np.asarray(resize(logits, own, smooth=True), np.float32)

    def planes(self, image: Array, *, progress: Progress = quiet) -> Iterator[Floats]:
        """Logits of the planes of a volume, one after the other, of a network that sees one at a time.

        Parameters
        ----------
        image
            (C, Z, Y, X), as it was read; normalized as a whole where slices of volumes were learned, else by plane.
        progress
            Goes through the planes and shows how far it is.

        Yields
        ------
        Floats
            Logits (K, *plane) of each plane along the axis `data.slices`, by default the first.

        Raises
        ------
        UlnaError
            As `raw` does.
        """
        data = self.config.data
        whole = None if data.slices is None else scaling(image, data.normalization, data.counts)
        planes: list[Array] = list(np.moveaxis(image, 1 + (data.slices or 0), 0))  # views
        for plane in progress(planes, "predicting"):
            yield self.raw(plane) if whole is None else self.normalized(whole.apply(plane))

    def run(
        self,
        reader: Reader,
        write: Callable[[Region, Array], None],
        decode: Callable[[Floats], Array],
        *,
        progress: Progress = quiet,
    ) -> None:
        """Predict an image that is read and written region by region; neither it nor its logits are held as a whole.

        Only tiles that are blended are put together first, for they overlap.

        Parameters
        ----------
        reader
            Of an image whose channels are those of the network, or one gray channel for three of color.
        write
            Takes a region and what `decode` gave for it; all regions together are the image, each pixel once.
        decode
            From the logits (K, *region) of a region to an array (…, *region). It must not matter where it was cut.
        progress
            Goes through the tiles and shows how far it is.

        Raises
        ------
        UlnaError
            For other channels, values that are no numbers, and as `raw` does.
        """
        channels, shape = self.config.data.channels, reader.grid.shape

        def part(region: Region) -> Array:
            array = reader.read(region)
            check_finite(array, reader.source)
            return to_channels(array, channels, reader.channels)

        data = self.config.data

        def scale_of(box: Region) -> Scaling:
            """How a part of the image is normalized that counts as an image of its own."""
            size = tuple(one.stop - one.start for one in box)

            def parts() -> Iterator[Array]:
                for band in bands(size, BAND // channels):
                    shifted = (slice(a.start + b.start, a.stop + b.start) for a, b in zip(band, box, strict=True))
                    yield part(tuple(shifted))

            return scaling_of_parts(parts, channels * prod(size), reader.dtype, data.normalization, data.counts)

        everything = tuple(slice(0, side) for side in shape)
        scale = scale_of(everything) if len(shape) == self.config.network.ndim or data.slices is not None else None

        def read(start: tuple[int, ...], size: tuple[int, ...], scale: Scaling | None = scale) -> Floats:
            assert scale is not None  # of the image, or of the plane that it is called for
            return scale.apply(read_window(part, shape, start, size))

        if len(shape) == self.config.network.ndim:
            for region, logits in self._regions(read, (channels, *shape), progress):
                write(region, decode(logits))
            return
        axis = data.slices or 0
        sides = tuple(side for k, side in enumerate(shape) if k != axis)

        def spread(places: tuple[Any, ...], own: Any) -> tuple[Any, ...]:
            """What holds along the axes of a plane, as what holds along those of the volume."""
            return (*places[:axis], own, *places[axis:])

        for place in progress(range(shape[axis]), "predicting"):
            plane = slice(place, place + 1)
            own = scale or scale_of(spread(tuple(slice(0, side) for side in sides), plane))

            def read_plane(
                start: tuple[int, ...], size: tuple[int, ...], place: int = place, own: Scaling = own
            ) -> Floats:
                return np.squeeze(read(spread(start, place), spread(size, 1), own), 1 + axis)

            for region, logits in self._regions(read_plane, (channels, *sides), quiet):
                write(spread(region, plane), np.expand_dims(decode(logits), 1 + axis))

    def _tiled(self, read: Read, image_shape: tuple[int, ...], progress: Progress) -> Floats:
        """Logits (K, *spatial) of an image (C, *spatial) that is read window by window."""
        out: Floats | None = None
        for region, logits in self._regions(read, image_shape, progress):
            if logits.shape[1:] == image_shape[1:]:
                return logits
            out = empty_output((self.outputs, *image_shape[1:])) if out is None else out
            out[(slice(None), *region)] = logits
        assert out is not None  # an image has at least one tile
        return out

    def _regions(self, read: Read, image_shape: tuple[int, ...], progress: Progress) -> Iterator[tuple[Region, Floats]]:
        """The logits of an image region by region, each pixel once; those of blended tiles all together."""
        device = device_of(self.network)
        check_process(device)
        channels, *shape = image_shape
        affordable = affordable_pixels(self.config, device)
        tiling = self._tiling(tuple(shape), self.config.inference.tile, affordable)
        runners = []
        for network in (self.network, *self.others):
            statistics = self._statistics(network, read, tuple(shape), affordable) if len(tiling.tiles) > 1 else {}
            precision = torch_precision(self.config.inference.precision, device_of(network))
            runners.append(self.engine.compile(network, statistics, (1, channels, *tiling.size), precision))
        run = averaged(runners)
        blended = any(tile.weights for tile in tiling.tiles)
        out = empty_output((self.outputs, *shape)) if blended else None
        for tile in progress(tiling.tiles, "predicting") if len(tiling.tiles) > 1 else tiling.tiles:
            logits: Floats = run(read(tile.start, tiling.size)[None])[0]
            if out is None:
                yield tile.target, logits[(slice(None), *tile.source)]
            else:
                tile.add(logits, out)
        if out is not None:
            yield tuple(slice(0, n) for n in shape), out

    def _tiling(self, shape: tuple[int, ...], tile: int, affordable: int) -> Tiling:
        """Tiles of the side that is set, or as memory allows, but not smaller than the receptive field needs."""
        settings = self.config.inference
        return plan_tiles(
            shape,
            geometry(self.network),
            tile=tile or largest_tile(shape, affordable),
            margin=settings.margin,
            strategy=settings.tiling,
            enlarge=not tile,
        )

    def _statistics(self, network: nn.Module, read: Read, shape: tuple[int, ...], affordable: int) -> Statistics:
        """Instance norms must take their statistics from the image, not from a tile, or tiles would show.

        From the whole image where memory allows, else from windows drawn from all over it, always the same ones.
        """
        tiling = self._tiling(shape, largest_side(shape), affordable)
        if prod(tiling.size) > affordable:
            tiling = self._tiling(shape, 0, affordable)
        drawn = np.random.default_rng(0).permutation(len(tiling.tiles))[:SAMPLED]
        windows = (_tensor(read(tiling.tiles[k].start, tiling.size), network) for k in sorted(drawn))
        with torch.autocast(device_of(network).type, enabled=False):  # the caller may be within one
            return measure_statistics(network, windows)


def _tensor(image: Floats, network: nn.Module) -> Tensor:
    return torch.from_numpy(image)[None].to(device_of(network), dtype_of(network))


def largest_side(shape: tuple[int, ...]) -> int:
    """A side that no window of an image exceeds, whatever the margins.

    Parameters
    ----------
    shape
        The spatial shape of the image.

    Returns
    -------
    int
        Pixels.
    """
    return 4 * max(shape) + 4096


def affordable_pixels(config: Config, device: torch.device) -> int:
    """How many pixels a window may have so that the network's feature maps take a quarter of the device's free memory.

    At the top level some eight maps of the first width live at once, and those below add as much again.

    Parameters
    ----------
    config
        Its network's first width counts.
    device
        Where the network runs.

    Returns
    -------
    int
        Pixels, in 3D voxels.
    """
    free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else psutil.virtual_memory().available
    return int(free / 4 / (4 * 16 * config.network.widths[0]))


def largest_tile(shape: tuple[int, ...], pixels: int) -> int:
    """The side of the largest window that memory allows, square or cubic, at most 1,024 (2D) or 192 (3D).

    An image somewhat larger than that, but within `pixels`, is done in one piece.

    Parameters
    ----------
    shape
        The spatial shape of the image.
    pixels
        So many the window may have.

    Returns
    -------
    int
        Pixels.
    """
    limit = 1024 if len(shape) == 2 else 192
    if prod(shape) <= min(pixels, 2 * limit ** len(shape)) * 0.8:
        return largest_side(shape)
    return min(int(pixels ** (1 / len(shape))), limit)


def empty_output(shape: tuple[int, ...]) -> Floats:
    """Zeros to put the logits in.

    Parameters
    ----------
    shape
        (K, *spatial).

    Returns
    -------
    Floats
        Of this shape.

    Raises
    ------
    UlnaError
        When the memory does not hold them.
    """
    check_room(shape)
    return np.zeros(shape, np.float32)


def check_room(shape: tuple[int, ...]) -> None:
    """Refuse an image whose logits the free memory does not hold.

    Parameters
    ----------
    shape
        (K, *spatial), 32-bit numbers.

    Raises
    ------
    UlnaError
        With the memory that is needed and the memory that is free.
    """
    needed, free = 4 * prod(shape), psutil.virtual_memory().available
    if needed > free:
        raise UlnaError(
            f"this image needs {amount(needed)} of memory, {amount(free)} are free",
            hint="Cut the image into parts, or close other programs.",
        )
