"""Writing OME-Zarr 0.4 and 0.5 chunk by chunk, with a pyramid."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from ulna.errors import UlnaError
from ulna.formats.atomic import hidden, writing
from ulna.formats.pyramid import Assembler, Index, doubled, halved, level_shapes, tile_region
from ulna.formats.writer import New
from ulna.image import Array, Region
from ulna.units import PIXEL

USUAL = "0.4"
CHUNKS = {2: (1024, 1024), 3: (16, 256, 256)}
"""Chunks along the axes in space; every channel has its own."""
UNITS = {"nm": "nanometer", "µm": "micrometer", "mm": "millimeter", "cm": "centimeter", "m": "meter"}
EFFORT = 5
METADATA = (".zgroup", ".zattrs", ".zarray", "zarr.json")
"""By one of these a folder is known as Zarr."""


class FolderSink:
    """An OME-Zarr that grows in a hidden folder beside its place, and takes its name when it is whole.

    A chunk is written when all its pixels are known, at once and atomically: a chunk that is there is whole.

    Parameters
    ----------
    new
        The image.

    Raises
    ------
    UlnaError
        For an alpha, and for axes that OME-Zarr has no words for.
    WriteError
        Where the folder cannot be written.
    """

    def __init__(self, new: New) -> None:
        self._new, self._version = new, new.version or USUAL
        self._shapes = level_shapes(new.grid.shape, CHUNKS[new.grid.ndim][-1])
        _check(new)
        self._folder = hidden(new.path)
        self._axis = not new.labels or len(new.channels) > 1  # labels have no axis of channels
        with writing(new.path):
            shutil.rmtree(self._folder, ignore_errors=True)
            self._begin()
        self._arrays = [self._open(level) for level in range(len(self._shapes))]
        self._tiles = Assembler(
            new.path,
            new.shape,
            self._chunk,
            new.dtype,
            emit=lambda index, pixels: self._store(0, index, pixels),
        )

    @property
    def _chunk(self) -> tuple[int, ...]:
        return CHUNKS[self._new.grid.ndim]

    def put(self, region: Region, array: Array) -> None:
        """Write the chunks that are whole with these pixels."""
        with writing(self._new.path):
            self._tiles.put(region, array)

    def finish(self) -> None:
        """Make the levels that are missing, and let the folder take its name."""
        with writing(self._new.path):
            for level in range(1, len(self._shapes)):
                for index in self._indices(level):
                    region = tile_region(index, self._chunk, self._shapes[level])
                    above = self._load(level - 1, doubled(region, self._shapes[level - 1]))
                    self._store(level, index, halved(above, labels=self._new.labels))
            _swap(self._folder, self._new.path)

    def discard(self) -> None:
        """Remove the hidden folder."""
        shutil.rmtree(self._folder, ignore_errors=True)

    def _begin(self) -> None:
        self._folder.mkdir(parents=True)
        words = self._words()
        if self._version == "0.4":
            _write_json(self._folder / ".zgroup", {"zarr_format": 2})
            _write_json(self._folder / ".zattrs", words)
        else:
            group = {"zarr_format": 3, "node_type": "group", "attributes": {"ome": {"version": "0.5", **words}}}
            _write_json(self._folder / "zarr.json", group)
        for level in range(len(self._shapes)):
            self._create(level)

    def _create(self, level: int) -> None:
        import zarr.codecs

        channels = (len(self._new.channels),) if self._axis else ()
        options: dict[str, Any] = {"zarr_format": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}}
        if self._version == "0.4":
            options["compressors"] = {"id": "blosc", "cname": "zstd", "clevel": EFFORT, "shuffle": 1, "blocksize": 0}
        else:
            names = ["c"] * self._axis + list("zyx"[-self._new.grid.ndim :])
            codec = zarr.codecs.BloscCodec(cname="zstd", clevel=EFFORT, shuffle="shuffle")
            options = {"zarr_format": 3, "compressors": codec, "dimension_names": names}
        zarr.create_array(
            str(self._folder),
            name=str(level),
            shape=(*channels, *self._shapes[level]),
            chunks=(*(1 for _ in channels), *self._chunk),
            dtype=self._new.dtype,
            fill_value=0,
            **options,
        )

    def _open(self, level: int) -> Any:
        import zarr

        array = zarr.open_array(str(self._folder), path=str(level), mode="r+")
        return array.with_config({"write_empty_chunks": True})  # a chunk that is not there is not written yet

    def _indices(self, level: int) -> Iterator[Index]:
        return product(*(range(-(-side // n)) for side, n in zip(self._shapes[level], self._chunk, strict=True)))

    def _store(self, level: int, index: Index, pixels: Array) -> None:
        region = tile_region(index, self._chunk, self._shapes[level])
        if self._axis:
            self._arrays[level][(slice(None), *region)] = pixels
        else:
            self._arrays[level][region] = pixels[0]

    def _load(self, level: int, region: Region) -> Array:
        if self._axis:
            return np.asarray(self._arrays[level][(slice(None), *region)])
        return np.asarray(self._arrays[level][region])[None]

    def _words(self) -> dict[str, Any]:
        """What OME-Zarr says of the image, as both versions have it."""
        grid, ndim = self._new.grid, self._new.grid.ndim
        unit = {} if grid.unit == PIXEL else {"unit": UNITS.get(grid.unit, grid.unit)}
        axes = [{"name": "c", "type": "channel"}] * self._axis
        axes += [{"name": name, "type": "space", **unit} for name in "zyx"[-ndim:]]
        outer = [1.0] * self._axis
        datasets = []
        for level in range(len(self._shapes)):
            factors = [1] * (ndim - 2) + [1 << level] * 2
            scale = [side * by for side, by in zip(grid.spacing, factors, strict=True)]
            start = [o + s * (by - 1) / 2 for o, s, by in zip(grid.origin, grid.spacing, factors, strict=True)]
            steps: list[dict[str, Any]] = [{"type": "scale", "scale": [*outer, *scale]}]
            if any(start):
                steps.append({"type": "translation", "translation": [*(0.0 for _ in outer), *start]})
            datasets.append({"path": str(level), "coordinateTransformations": steps})
        method = "mode of 2 x 2" if self._new.labels else "mean of 2 x 2"
        scales: dict[str, Any] = {"axes": axes, "datasets": datasets, "name": self._new.path.stem, "type": method}
        version = {"version": "0.4"} if self._version == "0.4" else {}
        words: dict[str, Any] = {"multiscales": [version | scales]}
        if self._new.labels:
            return words | {"image-label": version}
        window = _window(self._new.dtype)
        channels = [
            {"label": channel.name, "color": "FFFFFF", "active": True, "window": window}
            for channel in self._new.channels
        ]
        return words | {"omero": {"channels": channels}}


def _check(new: New) -> None:
    """Raise UlnaError for what OME-Zarr has no words for."""
    if any(channel.role == "alpha" for channel in new.channels):
        raise UlnaError("OME-Zarr has no alpha", where=new.path, hint="Write it as .tif, or leave the alpha out.")
    if len(new.grid.origin) != new.grid.ndim or not np.array_equal(new.grid.matrix, np.eye(new.grid.ndim)):
        raise UlnaError(
            "OME-Zarr cannot hold axes that do not run along those of the world",
            where=new.path,
            hint="Write it as .nii.gz or .nrrd, or give it a grid without a direction.",
        )
    if new.dtype.kind not in "uif":
        raise UlnaError(f"numbers of the type {new.dtype} are not written", where=new.path, hint="Convert them first.")


def _window(dtype: np.dtype) -> dict[str, float]:
    """Which values viewers show from black to white: all that the type has, of floats those from 0 to 1."""
    low, high = (0.0, 1.0) if dtype.kind == "f" else (float(np.iinfo(dtype).min), float(np.iinfo(dtype).max))
    return {"min": low, "max": high, "start": low, "end": high}


def _write_json(path: Path, words: dict[str, Any]) -> None:
    path.write_text(json.dumps(words, indent=1, ensure_ascii=False), "utf-8")


def _swap(fresh: Path, place: Path) -> None:
    """Give a folder its name; an earlier Zarr of that name goes. Raises UlnaError for anything else that is there."""
    if place.is_symlink() or (place.exists() and not any((place / name).is_file() for name in METADATA)):
        raise UlnaError("something else than a Zarr folder is here", where=place, hint="Choose another name.")
    old = fresh.with_name(f"{fresh.name}.old")
    if place.exists():
        place.rename(old)
    try:
        fresh.rename(place)
    except OSError:
        if old.exists():
            old.rename(place)
        raise
    shutil.rmtree(old, ignore_errors=True)
