"""`Image` and `Source`: what every room hands to the next."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError

Array = npt.NDArray[Any]


@dataclass(frozen=True, order=True)
class Source:
    """Where an image lies: a file, maybe inside an archive, maybe one page of a stack.

    `inside` is the way through archives: `("stage1_train.zip", "a/images/a.png")` is a member of a zip that is
    itself a member of the zip at `path`; `()` is the file at `path` itself. `page` counts from 0 and is None
    where the whole file is one image.
    """

    path: Path
    inside: tuple[str, ...] = ()
    page: int | None = None

    @property
    def name(self) -> str:
        """The file's own name with its suffix, without folders."""
        # Some zips from Windows have backslashes between folders, which part nothing on other systems.
        return PurePosixPath(self.inside[-1].replace("\\", "/")).name if self.inside else self.path.name

    @property
    def stem(self) -> str:
        """The file's own name without folders and suffix, with the page where there is one."""
        stem = Path(self.name).stem
        return stem if self.page is None else f"{stem}_{self.page:04d}"

    @property
    def suffix(self) -> str:
        """The suffix in lower case, with its dot: `.png`."""
        return Path(self.name).suffix.lower()

    def __str__(self) -> str:
        text = "!".join((str(self.path), *self.inside))
        return text if self.page is None else f"{text}, page {self.page}"


@dataclass(frozen=True)
class Image:
    """An image or a mask with what is needed to measure it and to write it back.

    `array` has its channels first and its spatial axes last: (C, Y, X) or (C, Z, Y, X); the dtype is the
    file's own. `spacing` (in `unit`s) and `origin` have one number a spatial axis, `direction` is the matrix
    of the axes' directions (rows and columns as the spatial axes); where the file says nothing they are ones,
    zeros, identity and "pixel". A mask is an `Image` with one integer channel; `classes` then names its
    values, the index being the value, the first one the background.
    """

    array: Array
    spacing: tuple[float, ...] = ()
    unit: str = "pixel"
    origin: tuple[float, ...] = ()
    direction: Array = field(default_factory=lambda: np.empty((0, 0)))
    source: Source | None = None
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.ndim not in (3, 4):
            raise UlnaError(
                f"an image needs 2 or 3 spatial axes after its channels, this has the shape {self.array.shape}",
                where=self.source,
            )
        n = self.array.ndim - 1
        if not self.spacing:
            object.__setattr__(self, "spacing", (1.0,) * n)
        if not self.origin:
            object.__setattr__(self, "origin", (0.0,) * n)
        if not self.direction.size:
            object.__setattr__(self, "direction", np.eye(n))
        if len(self.spacing) != n or len(self.origin) != n or self.direction.shape != (n, n):
            raise UlnaError(f"spacing, origin and direction must suit {n} spatial axes", where=self.source)

    @property
    def ndim(self) -> int:
        """How many spatial axes: 2 or 3."""
        return self.array.ndim - 1

    @property
    def channels(self) -> int:
        """How many channels."""
        return int(self.array.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        """The spatial shape: (Y, X) or (Z, Y, X)."""
        return tuple(int(n) for n in self.array.shape[1:])

    def with_array(self, array: Array, classes: tuple[str, ...] = ()) -> Image:
        """The same place in space and on disk, with another array of the same spatial shape."""
        if tuple(array.shape[1:]) != self.shape:
            raise UlnaError(f"the array's shape {array.shape[1:]} is not the image's {self.shape}", where=self.source)
        return replace(self, array=array, classes=classes)
