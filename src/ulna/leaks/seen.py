"""What a model has seen: small fingerprints of the images it learned from and was validated on, kept with it.

Of each image its digest, its thumbnail at half the resolution in 16 steps and its 64 first patches (of a volume 6 per
plane, if these are more) are kept: about two kilobytes, from which no image can be seen again.
"""

from __future__ import annotations

import base64
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.image import Array
from ulna.leaks.duplicates import correlations
from ulna.leaks.fingerprints import Fingerprint
from ulna.leaks.patches import Sketch, shared

TRAINING, VALIDATION = "training", "validation"
PARTS = (TRAINING, VALIDATION)

FILE = "fingerprints.npz"
"""The file of a run that holds the fingerprints of its training and validation images."""

#: Patches that are kept of an image, and per plane of a volume of many: with 6, 15 of 16 planes have 3 or more.
PATCHES, PER_PLANE = 64, 6
#: Steps of a thumbnail's values to either side of 0.
STEPS = 7


def seen_in(run: Path) -> str:
    """The fingerprints that a run's folder holds, as base64; empty where it holds none."""
    path = run / FILE
    return base64.b64encode(path.read_bytes()).decode() if path.is_file() else ""


@dataclass(frozen=True)
class Recognized:
    """An image that a model has seen: its index among those compared, in which part, and how it was recognized."""

    index: int
    part: str
    kind: str


@dataclass(frozen=True)
class Seen:
    """The fingerprints of the images that a model has seen, reduced, and the part of each."""

    prints: tuple[Fingerprint, ...] = ()
    parts: tuple[str, ...] = ()

    @classmethod
    def of(cls, training: Sequence[Fingerprint], validation: Sequence[Fingerprint]) -> Seen:
        """The reduced fingerprints of images for training and of those held out for validation."""
        parts = (*[TRAINING] * len(training), *[VALIDATION] * len(validation))
        return cls(tuple(_reduced(one) for one in (*training, *validation)), parts)

    @classmethod
    def joined(cls, several: Sequence[Seen]) -> Seen:
        """What any of several models has seen, each image once per part."""
        found = {
            (one.digest or id(one), part): (one, part)
            for seen in several
            for one, part in zip(seen.prints, seen.parts, strict=True)
        }
        return cls(tuple(one for one, _ in found.values()), tuple(part for _, part in found.values()))

    def recognize(self, prints: Sequence[Fingerprint]) -> list[Recognized]:
        """Which images, whose fingerprints are given, the model has seen; training counts before validation."""
        found: dict[int, Recognized] = {}
        for part in PARTS:
            known = [one for one, of in zip(self.prints, self.parts, strict=True) if of == part]
            for kind, indices in _matches(known, [_reduced(one, quantized=False) for one in prints]):
                for index in indices:
                    found.setdefault(index, Recognized(index, part, kind))
        return [found[index] for index in sorted(found)]

    def to_bytes(self) -> bytes:
        """All of it as an NPZ file, without pickle."""
        sketches = [one.sketch for one in self.prints]
        arrays: dict[str, Array] = {
            "parts": np.array([PARTS.index(part) for part in self.parts], np.uint8),
            "digests": np.array([list(one.digest.ljust(32, b"\0")) for one in self.prints], np.uint8).reshape(-1, 32),
            "counts": np.array([len(sketch.hashes) for sketch in sketches], np.int32),
            "hashes": np.concatenate([np.zeros(0, np.uint64), *(sketch.hashes for sketch in sketches)]),
            "complete": np.array([sketch.complete for sketch in sketches], bool),
        }
        for number, one in enumerate(self.prints):
            arrays[f"places{number}"] = one.sketch.places
            arrays[f"shape{number}"] = np.array(one.sketch.shape, np.int64)
            arrays[f"thumbnail{number}"] = np.rint(_scaled(one.thumbnail)).astype(np.int8)
        written = io.BytesIO()
        np.savez_compressed(written, **arrays)  # type: ignore[arg-type]
        return written.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> Seen:
        """What `to_bytes` wrote. Raises UlnaError for anything else."""
        try:
            with np.load(io.BytesIO(data), allow_pickle=False) as file:
                arrays = dict(file)
            starts = np.concatenate([[0], arrays["counts"].cumsum()])
            prints = []
            for number, digest in enumerate(arrays["digests"]):
                hashes = arrays["hashes"][starts[number] : starts[number + 1]]
                shape = tuple(int(n) for n in arrays[f"shape{number}"])
                sketch = Sketch(hashes, arrays[f"places{number}"], shape, bool(arrays["complete"][number]))
                name = bytes(digest) if digest.any() else b""
                prints.append(Fingerprint(name, _normal(arrays[f"thumbnail{number}"]), (), sketch))
            return cls(tuple(prints), tuple(PARTS[part] for part in arrays["parts"]))
        except (KeyError, ValueError, IndexError, OSError, EOFError, zipfile.BadZipFile) as error:
            raise UlnaError(f"the fingerprints of the training images cannot be read ({error})") from None


def _matches(known: Sequence[Fingerprint], new: Sequence[Fingerprint]) -> list[tuple[str, list[int]]]:
    """The indices of the new images that equal a known one, are near-duplicates of one, or overlap one."""
    digests = {one.digest for one in known if one.digest}
    equal = [index for index, one in enumerate(new) if one.digest in digests]
    near = sorted({a for a, _, _ in correlations([one.thumbnail for one in new], [one.thumbnail for one in known])})
    holders: dict[int, list[int]] = {}
    for number, one in enumerate(known):
        for value in one.sketch.hashes.tolist():
            holders.setdefault(value, []).append(number)
    tiles, slices = [], []
    for index, one in enumerate(new):
        near_by = {number for value in one.sketch.hashes.tolist() for number in holders.get(value, ())}
        found = [known[number].sketch for number in near_by if shared(one.sketch, known[number].sketch)]
        if any(len(sketch.shape) == len(one.sketch.shape) for sketch in found):
            tiles.append(index)
        elif found:
            slices.append(index)
    return [
        ("equal pixels", equal),
        ("near-duplicates", near),
        ("overlapping tiles", tiles),
        ("slices of a volume", slices),
    ]


def _reduced(one: Fingerprint, *, quantized: bool = True) -> Fingerprint:
    """A fingerprint without borders, its thumbnail at half the resolution; `quantized`, and with few patches."""
    small: Array = one.thumbnail
    for axis in range(small.ndim):
        small = (
            np.take(small, range(0, small.shape[axis], 2), axis) + np.take(small, range(1, small.shape[axis], 2), axis)
        ) / 2
    sketch = one.sketch
    if quantized:
        small = np.rint(_scaled(small))
        most = max(PATCHES, PER_PLANE * sketch.shape[0]) if len(sketch.shape) > 2 else PATCHES
        short = len(sketch.hashes) > most
        kept = sketch.hashes[:most], sketch.places[:most]
        sketch = Sketch(*kept, sketch.shape, complete=sketch.complete and not short)
    return replace(one, thumbnail=_normal(small), edges=(), sketch=sketch)


def _scaled(thumbnail: Array) -> Array:
    """A thumbnail in steps of its values, from -`STEPS` to `STEPS`."""
    top = float(np.abs(thumbnail).max()) if thumbnail.size else 0.0
    return thumbnail * (STEPS / top) if top else thumbnail


def _normal(thumbnail: Array) -> npt.NDArray[np.float32]:
    """A thumbnail with mean 0 and norm 1."""
    values = thumbnail.astype(np.float32)
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-12)
