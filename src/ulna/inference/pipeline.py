"""From an image to the network's outputs on the image's own grid: normalize, resample, tile, run, put together."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from math import prod

import numpy as np
import torch
from torch import nn

from ulna.config import Config
from ulna.dataset import Progress, quiet
from ulna.image import Grid, Region
from ulna.inference.assembly import Answer, as_slabs, blended, in_volume
from ulna.inference.background import Ground
from ulna.inference.devices import check_process, device_of, free_on, own_memory
from ulna.inference.engines import Average, Engine, Runner, TorchEngine, averaged, mean_logits, torch_precision
from ulna.inference.mirroring import flips, mirror, mirrored
from ulna.inference.room import (
    affordable_pixels,
    bytes_of_maps,
    check_room,
    empty_output,
    is_large,
    largest_side,
    largest_tile,
    too_large,
)
from ulna.inference.sides import Room
from ulna.inference.tiles import Tile, Tiling, plan_tiles
from ulna.inference.views import View
from ulna.networks import Statistics
from ulna.networks.geometry import geometry
from ulna.normalization import Floats
from ulna.parallel import in_parallel
from ulna.resampling import across, planned_shape, resampled_slabs

SAMPLED = 16
"""From so many windows the statistics of an image are taken that is too large to be normalized whole."""


def none(region: Region) -> bool:
    """No region is skipped.

    Parameters
    ----------
    region
        Any.

    Returns
    -------
    bool
        False.
    """
    del region
    return False


SAMPLE = {2: 512, 3: 96}
"""About the sides of these windows, where the image is large."""


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
    precision
        In what precision; "": as PyTorch does what `config.inference.precision` says.
    others
        Further networks of the same architecture: what all of them say is averaged. So are mirrored images, where
        `config.inference.mirror` says so.
    average
        How; by default the logits, and as `Task.average` does it the probabilities.
    blank
        The logits of background, where tiles that hold nothing else are to be passed over.
    free
        Says how many bytes are free on a device.
    """

    network: nn.Module
    config: Config
    outputs: int
    engine: Engine = field(default_factory=TorchEngine)
    precision: str = ""
    others: tuple[nn.Module, ...] = ()
    average: Average = mean_logits
    blank: tuple[float, ...] = ()
    free: Callable[[torch.device], int] = free_on

    def normalized(self, image: Floats, *, progress: Progress = quiet) -> Floats:
        """Logits of an image as the network sees it: it is normalized and resampled already.

        Parameters
        ----------
        image
            (C, *spatial).
        progress
            Goes through the tiles and shows how far it is.

        Returns
        -------
        Floats
            Logits (K, *spatial).

        Raises
        ------
        UlnaError
            Where the memory does not hold the logits, and for a tile that is set too small for the network.
        """
        return self._whole(View.of(image), progress)

    def parts(self, image: Floats) -> Iterator[Answer]:
        """The same region by region, so that the logits are not in memory as a whole.

        Parameters
        ----------
        image
            As of `normalized`.

        Yields
        ------
        tuple of Region and Floats
            All regions together are the image, each pixel once.
        """
        yield from self._regions(View.of(image), quiet)

    def answers(self, image: View, grid: Grid, *, progress: Progress = quiet) -> Iterator[tuple[Grid, Floats]]:
        """Logits of what the network sees at a time, on the grid on which it sees it.

        Parameters
        ----------
        image
            As it was read, with the channels of the network.
        grid
            Where its pixels lie; a volume's axes in the order of the world.
        progress
            Goes through the tiles or planes and shows how far it is.

        Yields
        ------
        tuple of Grid and Floats
            One of an image with as many axes as the network has; else one for each plane of the volume, in their order.

        Raises
        ------
        UlnaError
            As `normalized` does.
        """
        if grid.ndim == self.config.network.ndim:
            seen, own = self._seen(image, grid)
            yield own, self._whole(seen, progress)
        elif self.config.data.slices is None:
            for place in progress(range(grid.shape[0]), "predicting"):
                seen, own = self._seen(image.plane(0, place), grid.slices()[place])
                yield own, self._whole(seen, quiet)
        else:
            seen, own = self._seen(image, grid)
            axis = self.config.data.slices
            planes = own.slices(axis)
            for place in progress(range(own.shape[axis]), "predicting"):
                yield planes[place], self._whole(seen.plane(axis, place), quiet)

    def regions(
        self, image: View, grid: Grid, *, skip: Callable[[Region], bool] = none, progress: Progress = quiet
    ) -> Iterator[Answer]:
        """Logits of an image on its own grid, region by region; neither it nor its logits are held as a whole.

        Only images that are resampled are held, as the network sees them, and tiles that overlap as far as they do.

        Parameters
        ----------
        image
            As it was read, with the channels of the network.
        grid
            Where its pixels lie; a volume's axes in the order of the world.
        skip
            Says of a region that its logits are known already. It is asked of tiles that do not overlap, and of the
            pages and slices of a volume that are seen one by one, where nothing is resampled.
        progress
            Goes through the tiles or planes and shows how far it is.

        Yields
        ------
        tuple of Region and Floats
            A region, and logits (K, *region); all regions together are the image, each pixel once, but for those that
            were skipped.

        Raises
        ------
        UlnaError
            As `normalized` does, and where the memory does not hold what `memory` says.
        """
        needed, free = self.memory(image.shape[0], grid), self.free(torch.device("cpu"))
        if needed > free:
            raise too_large(needed, free)
        axis = self.config.data.slices
        if grid.ndim == self.config.network.ndim:
            yield from self._back(image, grid, progress, skip)
        elif axis is None:  # pages, each an image of its own
            for place in progress(range(grid.shape[0]), "predicting"):
                if not skip(_page(grid.shape, 0, place)):
                    yield from in_volume(self._back(image.plane(0, place), grid.slices()[place], quiet), 0, place)
        else:
            seen, own = self._seen(image, grid)
            places = progress(range(own.shape[axis]), "predicting")
            if own.shape == grid.shape:
                for place in places:
                    if not skip(_page(grid.shape, axis, place)):
                        yield from in_volume(self._regions(seen.plane(axis, place), quiet), axis, place)
            else:
                slabs = (np.expand_dims(self._whole(seen.plane(axis, place), quiet), 1 + axis) for place in places)
                yield from resampled_slabs(slabs, own.shape, grid.shape, axis)

    def memory(self, channels: int, grid: Grid) -> int:
        """About how many bytes `regions` takes beside the image and what is made of its outputs.

        Parameters
        ----------
        channels
            Of the image.
        grid
            Where its pixels lie; a volume's axes in the order of the world.

        Returns
        -------
        int
            Of the feature maps of a window, unless a GPU with a memory of its own holds them, the image as the network
            sees it where that is another size, and the slabs that overlapping tiles are put together in.
        """
        seen = planned_shape(grid, self.config.data)
        at_once = seen
        if grid.ndim > self.config.network.ndim:
            axis = self.config.data.slices or 0
            at_once = (*seen[:axis], *seen[axis + 1 :])
        tiling = self._tiling(at_once, self.config.inference.tile, self._affordable())
        total = 0 if own_memory(device_of(self.network)) else prod(tiling.size) * bytes_of_maps(self.config)
        if seen != grid.shape:
            total += 4 * channels * prod(seen)
        if any(tile.weights for tile in tiling.tiles) or seen != grid.shape:
            depth = max(tile.target[0].stop - tile.target[0].start for tile in tiling.tiles)
            total += 3 * 4 * self.outputs * depth * prod(at_once[1:])
        return total

    def work(self, shape: tuple[int, ...]) -> int:
        """How many pixels the network computes for an image as it sees it.

        Parameters
        ----------
        shape
            (*spatial).

        Returns
        -------
        int
            With those of borders and overlaps, and of the windows that the statistics of norms are taken from.
        """
        affordable = self._affordable()
        tilings = [self._tiling(shape, self.config.inference.tile, affordable)]
        counts = [len(tilings[0].tiles)]
        if counts[0] > 1 and self.config.network.norm == "instance":
            tilings.append(self._measured(shape, affordable))
            counts.append(min(SAMPLED, len(tilings[1].tiles)))
        return sum(count * prod(tiling.size) for count, tiling in zip(counts, tilings, strict=True))

    def divisible(self, grid: Grid) -> bool:
        """Whether regions of an image can be computed without the others: `regions` asks which to skip.

        Parameters
        ----------
        grid
            Where its pixels lie; a volume's axes in the order of the world.

        Returns
        -------
        bool
            False for images that are resampled, and for tiles that overlap.
        """
        if planned_shape(grid, self.config.data) != grid.shape:
            return False
        if grid.ndim > self.config.network.ndim:  # plane by plane
            return True
        tiling = self._tiling(grid.shape, self.config.inference.tile, self._affordable())
        return not any(tile.weights for tile in tiling.tiles)

    def _affordable(self) -> int:
        return affordable_pixels(self.config, self.free(device_of(self.network)))

    def _seen(self, image: View, grid: Grid) -> tuple[View, Grid]:
        """The image as the network sees it, and on what grid."""
        data = self.config.data
        normalized, shape = image.normalized(data), planned_shape(grid, data)
        if shape == grid.shape:
            return normalized, grid
        check_room((image.shape[0], *shape))
        return normalized.resampled(shape, across(grid)), grid.resampled(shape=shape)

    def _back(
        self, image: View, grid: Grid, progress: Progress, skip: Callable[[Region], bool] = none
    ) -> Iterator[Answer]:
        """`regions` of an image with as many axes as the network has."""
        seen, own = self._seen(image, grid)
        if own.shape == grid.shape:
            yield from self._regions(seen, progress, skip)
        else:
            yield from resampled_slabs(as_slabs(self._regions(seen, progress)), own.shape, grid.shape)

    def _whole(self, seen: View, progress: Progress) -> Floats:
        """Logits (K, *spatial) of an image as the network sees it."""
        shape = seen.shape[1:]
        check_room((self.outputs, *shape))
        out: Floats | None = None
        for region, logits in self._regions(seen, progress):
            if logits.shape[1:] == shape:
                return logits
            out = empty_output((self.outputs, *shape)) if out is None else out
            out[(slice(None), *region)] = logits
        assert out is not None  # an image has at least one tile
        return out

    def _regions(self, seen: View, progress: Progress, skip: Callable[[Region], bool] = none) -> Iterator[Answer]:
        """The logits of an image as the network sees it region by region, each pixel once, in the order of rows."""
        check_process(device_of(self.network))
        channels, *sides = seen.shape
        shape = tuple(sides)
        affordable = self._affordable()
        tiling = self._tiling(shape, self.config.inference.tile, affordable)
        overlap = any(tile.weights for tile in tiling.tiles)
        todo = [tile for tile in tiling.tiles if overlap or not skip(tile.target)]
        if not todo:
            return
        runners = []
        for network, axes in itertools.product((self.network, *self.others), flips(self.config)):
            statistics = self._statistics(network, seen, affordable, axes) if len(tiling.tiles) > 1 else {}
            precision = self.precision or torch_precision(self.config.inference.precision, device_of(network))
            runner = self.engine.compile(network, statistics, (1, channels, *tiling.size), precision)
            runners.append(mirrored(runner, axes))
        run = averaged(runners, self.average)
        tiles = progress(todo, "predicting") if len(tiling.tiles) > 1 else todo
        if self.blank and len(tiling.tiles) > 1:
            run = self._passing_over(run, seen, tiling)

        def read(tile: Tile) -> tuple[Tile, Floats]:
            return tile, seen.window(tile.start, tiling.size)[None]

        # the next windows are read, decoded and normalized in a thread while the network computes
        windows = in_parallel(read, tiles, threads=1) if len(todo) > 1 else map(read, tiles)
        outputs = ((tile, run(window)[0]) for tile, window in windows)
        if overlap:
            yield from blended(outputs, tiling.tiles, (self.outputs, *shape))
        else:
            yield from ((tile.target, logits[(slice(None), *tile.source)]) for tile, logits in outputs)

    def _passing_over(self, run: Runner, seen: View, tiling: Tiling) -> Runner:
        """A runner that says of tiles without anything in them what background is."""
        ground = Ground.of([seen.window(tiling.tiles[place].start, tiling.size) for place in _drawn(tiling)])
        shape = (1, self.outputs, *(1,) * len(tiling.size))
        logits = np.array(self.blank, np.float32).reshape(shape)

        def passing(windows: Floats) -> Floats:
            if ground.holds(windows[0]):
                return np.broadcast_to(logits, (1, self.outputs, *windows.shape[2:]))
            return run(windows)

        return passing

    def _tiling(self, shape: tuple[int, ...], tile: int, affordable: int) -> Tiling:
        """Tiles of the side that is set, or as memory allows, but not smaller than the receptive field needs.

        In a volume, tiles that overlap are no smaller than the patches that the network was trained on.
        """
        settings, training = self.config.inference, self.config.training
        free = None if tile or len(shape) == 2 else Room(affordable, training.final_patch or training.patch)
        return plan_tiles(
            shape,
            geometry(self.network),
            tile=tile or largest_tile(shape, affordable, measured=self.config.network.norm == "instance"),
            margin=settings.margin,
            strategy=settings.tiling,
            overlap=settings.overlap,
            enlarge=not tile,
            room=free,
        )

    def _measured(self, shape: tuple[int, ...], affordable: int) -> Tiling:
        """The windows of which some give the statistics of an image."""
        tiling = self._tiling(shape, largest_side(shape), affordable)
        sample = SAMPLE[len(shape)] ** len(shape)
        if is_large(shape):
            return self._tiling(shape, 0, sample)
        most = affordable if len(shape) == 2 else min(sample, affordable)
        return tiling if prod(tiling.size) <= affordable else self._tiling(shape, 0, most)

    def _statistics(self, network: nn.Module, seen: View, affordable: int, axes: tuple[int, ...] = ()) -> Statistics:
        """Instance norms must take their statistics from the image, not from a tile, or tiles would show.

        From the whole image where memory allows, else from windows drawn from all over it, always the same ones: of a
        large image whatever memory there is, so that a process that goes on with it takes the same. They are mirrored
        along `axes`, as the tiles will be.
        """
        tiling = self._measured(seen.shape[1:], affordable)
        cut = (seen.window(tiling.tiles[place].start, tiling.size) for place in _drawn(tiling))
        return self.engine.measure(network, (np.ascontiguousarray(mirror(window, axes))[None] for window in cut))


def _page(shape: tuple[int, ...], axis: int, place: int) -> Region:
    """The region of a page or slice of a volume."""
    return tuple(slice(place, place + 1) if one == axis else slice(0, side) for one, side in enumerate(shape))


def _drawn(tiling: Tiling) -> list[int]:
    """Tiles from all over an image, always the same ones."""
    return sorted(np.random.default_rng(0).permutation(len(tiling.tiles))[:SAMPLED].tolist())
