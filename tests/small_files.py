"""Small image files laid out as data sets have them, for the tests of layouts."""

from __future__ import annotations

import zipfile
from pathlib import Path

import imagecodecs
import numpy as np

from ulna import formats
from ulna.dataset import Dataset
from ulna.image import Source

RNG = np.random.default_rng(5)
IMAGE = imagecodecs.png_encode(RNG.integers(0, 256, (8, 9, 3)).astype(np.uint8))
MASK = imagecodecs.png_encode(np.eye(8, 9, dtype=np.uint8) * 255)


def lay(root: Path, *names: str) -> Path:
    """Files with these paths; what is named like a mask holds one."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MASK if any(word in name.lower() for word in ("mask", "label", "gt", "seg")) else IMAGE)
    return root


def pack(root: Path, place: Path) -> Path:
    with zipfile.ZipFile(place, "w") as archive:
        for path in sorted(root.rglob("*")):
            archive.write(path, path.relative_to(root).as_posix())
    return place


def told(dataset: Dataset) -> dict[str, list[str]]:
    """Case name → the files of image and truth."""
    return {case.name: [source.name for source in (*case.images, *case.truth)] for case in dataset.cases}


def planes(source: Source) -> int:
    """How many planes a file holds."""
    with formats.open_reader(source) as reader:
        return reader.planes
