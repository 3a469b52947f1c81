"""What the metadata of a Zarr folder say: OME-Zarr 0.1 to 0.5, and the arrays of Zarr 2 and 3."""

from __future__ import annotations

from math import prod
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, FiniteFloat, PositiveFloat

CODECS = {"blosc", "zstd", "zlib", "gzip", "lz4", "bz2", "lzma", "bytes", "endian", "transpose", "crc32c", "delta"}
CODECS |= {"shuffle"}
"""What chunks may be packed with. Others are refused: unpacking "pickle" would run code of whoever made the file."""
SHARDS = "sharding_indexed"
OLD_AXES = ("t", "c", "z", "y", "x")
"""Those of versions before 0.3, which do not name them."""
MAX_AXES = 8


def _text(value: object) -> object:
    """A path that was written as a number."""
    return str(value) if type(value) is int else value


Place = Annotated[str, BeforeValidator(_text)]
Side = Annotated[int, Field(ge=0, lt=1 << 48)]


class Words(BaseModel):
    """A part of the metadata; what is not known here is left out."""

    model_config = ConfigDict(extra="ignore", frozen=True, populate_by_name=True)


class Axis(Words):
    """One axis of a multiscale image."""

    name: str
    type: str = ""
    unit: str | None = None


def _named(value: object) -> object:
    """What is its name alone: an axis of version 0.3, a codec that has nothing to be set."""
    return {"name": value} if isinstance(value, str) else value


class Transformation(Words):
    """A step from indices to the world; of another kind than scale and translation it has neither."""

    type: str
    scale: tuple[PositiveFloat, ...] | None = None
    translation: tuple[FiniteFloat, ...] | None = None


class Level(Words):
    """One resolution of a multiscale image."""

    path: Place
    transformations: tuple[Transformation, ...] = Field((), alias="coordinateTransformations")


class Multiscale(Words):
    """An image at several resolutions."""

    version: str | None = None
    name: str | None = None
    axes: tuple[Annotated[Axis, BeforeValidator(_named)], ...] = tuple(Axis(name=name) for name in OLD_AXES)
    datasets: tuple[Level, ...] = Field(min_length=1)
    transformations: tuple[Transformation, ...] = Field((), alias="coordinateTransformations")

    def placed(self, level: Level) -> tuple[tuple[float, ...], tuple[float, ...], bool]:
        """Scale and translation of a level along each axis, and whether any translation was stated.

        Raises ValueError for numbers that are not those of the axes.
        """
        scale, offset, stated = [1.0] * len(self.axes), [0.0] * len(self.axes), False
        for step in (*level.transformations, *self.transformations):
            for numbers in (step.scale, step.translation):
                if numbers is not None and len(numbers) != len(self.axes):
                    raise ValueError(f"{len(numbers)} numbers of a {step.type} are given for {len(self.axes)} axes")
            if step.scale is not None:
                scale = [old * new for old, new in zip(scale, step.scale, strict=True)]
                offset = [old * new for old, new in zip(offset, step.scale, strict=True)]
            if step.translation is not None:
                offset = [old + new for old, new in zip(offset, step.translation, strict=True)]
                stated = True
        return tuple(scale), tuple(offset), stated


class OmeroChannel(Words):
    """How a channel is shown; its name is all that is used."""

    label: str | None = None


class Omero(Words):
    """How an image is shown."""

    channels: tuple[OmeroChannel, ...] = ()


class Named(Words):
    """A well of a plate, or an image of a well."""

    path: Place


class Plate(Words):
    """The wells of a plate."""

    wells: tuple[Named, ...] = ()


class Well(Words):
    """The images of a well."""

    images: tuple[Named, ...] = ()


class Attributes(Words):
    """The attributes of a group, those of OME-Zarr."""

    multiscales: tuple[Multiscale, ...] = ()
    omero: Omero | None = None
    plate: Plate | None = None
    well: Well | None = None
    labels: tuple[str, ...] | None = None
    series: tuple[str, ...] | None = None
    layout: int | None = Field(None, alias="bioformats2raw.layout")


def attributes_of(words: dict[str, Any]) -> Attributes:
    """The attributes of a group, from those of Zarr, where version 0.5 has put them one step deeper."""
    inner = words.get("ome")
    return Attributes.model_validate(inner if isinstance(inner, dict) else words)


class ArrayV2(Words):
    """`.zarray`."""

    zarr_format: Literal[2]
    shape: tuple[Side, ...] = Field(max_length=MAX_AXES)
    chunks: tuple[Annotated[Side, Field(ge=1)], ...] = Field(max_length=MAX_AXES)
    dtype: str
    compressor: dict[str, Any] | None = None
    filters: tuple[dict[str, Any], ...] | None = None
    dimension_separator: str = "."

    @property
    def codecs(self) -> tuple[str, ...]:
        """What its chunks are packed with."""
        compressor = (self.compressor,) if self.compressor else ()
        return tuple(str(one.get("id")) for one in (*(self.filters or ()), *compressor))

    @property
    def packed(self) -> str:
        """What a file of its pixels was packed with at last; "" where a file is several chunks."""
        return self.codecs[-1] if self.codecs else ""

    @property
    def chunk_bytes(self) -> int:
        """Of an unpacked chunk."""
        return prod(self.chunks) * np.dtype(self.dtype).itemsize

    @property
    def names(self) -> tuple[str | None, ...]:
        """Of its axes: there are none in Zarr 2."""
        return ()


class Configured(Words):
    """Anything with a name and a configuration."""

    name: str
    configuration: dict[str, Any] = Field(default_factory=dict)


class ArrayV3(Words):
    """`zarr.json` of an array."""

    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: tuple[Side, ...] = Field(max_length=MAX_AXES)
    data_type: str
    chunk_grid: Configured
    steps: tuple[Annotated[Configured, BeforeValidator(_named)], ...] = Field(alias="codecs")
    dimension_names: tuple[str | None, ...] | None = None
    storage_transformers: tuple[Any, ...] = ()

    @property
    def chunks(self) -> tuple[int, ...]:
        """Of what is unpacked at a time: the chunks within shards, where there are shards."""
        sharding = next((step for step in self.steps if step.name == SHARDS), None)
        words = sharding.configuration if sharding else self.chunk_grid.configuration
        return tuple(int(side) for side in words["chunk_shape"])

    @property
    def codecs(self) -> tuple[str, ...]:
        """What its chunks are packed with, within shards too."""
        names: list[str] = []
        for step in self.steps:
            inner = [*step.configuration.get("codecs", ()), *step.configuration.get("index_codecs", ())]
            if step.name == SHARDS:
                names += [str(one["name"] if isinstance(one, dict) else one) for one in inner]
            else:
                names.append(step.name)
        return tuple(names)

    @property
    def packed(self) -> str:
        """What a file of its pixels was packed with at last; "" where a file is several chunks."""
        names = [name for name in self.codecs if name != "crc32c"]
        return names[-1] if names and all(step.name != SHARDS for step in self.steps) else ""

    @property
    def chunk_bytes(self) -> int:
        """Of an unpacked chunk."""
        return prod(self.chunks) * np.dtype(self.data_type).itemsize

    @property
    def names(self) -> tuple[str | None, ...]:
        """Of its axes."""
        return self.dimension_names or ()
