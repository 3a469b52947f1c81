"""Masks of many cases, kept aside for the few that are shown in the end."""

from __future__ import annotations

import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import numpy as np

from ulna.formats.atomic import cannot_write
from ulna.image import Array

_IN_MEMORY = 64 << 20  # bytes; more goes into a temporary file


class KeptMasks:
    """Compressed masks by name, in one file."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._places: dict[str, tuple[int, int, Array]] = {}

    def keep(self, name: str, mask: Array) -> None:
        """Keep a mask of whole numbers under a name. Raises UlnaError where the disk is full."""
        packed = zlib.compress(np.ascontiguousarray(mask).tobytes(), level=1)
        try:
            start = self._file.seek(0, 2)
            self._file.write(packed)
        except OSError as error:
            raise cannot_write(error, Path(tempfile.gettempdir())) from error
        # an empty view remembers shape and kind
        self._places[name] = (start, len(packed), np.broadcast_to(np.zeros((), mask.dtype), mask.shape))

    def __getitem__(self, name: str) -> Array:
        start, length, like = self._places[name]
        self._file.seek(start)
        return np.frombuffer(zlib.decompress(self._file.read(length)), like.dtype).reshape(like.shape)


@contextmanager
def kept_masks() -> Iterator[KeptMasks]:
    """Keep masks so that a case that is pictured is not predicted twice.

    Which cases are the median ones is known when all are scored. Masks compress a hundredfold, so all are kept: in
    memory, and in a temporary file where they are many.

    Examples
    --------
    >>> with kept_masks() as masks:
    ...     masks.keep("a", np.eye(2, dtype=np.uint8))
    ...     masks["a"].tolist()
    [[1, 0], [0, 1]]
    """
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
        yield KeptMasks(file)
