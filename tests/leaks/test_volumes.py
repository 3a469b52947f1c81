"""Volumes that a model has seen: stored in another way, cut to slabs, and taken apart to slices."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
from scipy import ndimage

from ulna.image import Grid, Image
from ulna.leaks import fingerprint, fingerprint_of, group
from ulna.leaks.patches import as_volume, shared, sketch
from ulna.leaks.seen import TRAINING, Seen
from ulna.orientation import Orientation

GRID = Grid((24, 40, 44), (3.0, 1.0, 1.0), "mm", (5.0, 6.0, 7.0))


def volume(seed: int) -> np.ndarray:
    """Smooth spots and noise, (1, Z, Y, X)."""
    noise = np.random.default_rng(seed).normal(size=GRID.shape)
    return (1000 + 4000 * ndimage.gaussian_filter(noise, 2) + 50 * noise)[None].astype(np.int16)


@pytest.fixture(scope="module")
def seen() -> Seen:
    """What is kept of six volumes, as a file holds it."""
    return Seen.from_bytes(Seen.of([fingerprint_of(Image(volume(k), GRID)) for k in range(6)], []).to_bytes())


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_volume_in_another_order_and_direction_has_the_same_pixels(seen: Seen, order: tuple[int, ...]) -> None:
    way = Orientation(order, (True, False, True))
    stored = Image(np.ascontiguousarray(way.apply(volume(2))), way.grid(GRID))
    (found,) = seen.recognize([fingerprint_of(stored)])
    assert (found.part, found.kind) == (TRAINING, "equal pixels")


def test_slabs_and_slices_of_a_volume_are_recognized_and_others_are_not(seen: Seen) -> None:
    (slab,) = seen.recognize([fingerprint(volume(3)[:, 5:16, 2:])])
    assert slab.kind == "overlapping tiles"
    slices = [fingerprint(volume(4)[:, z]) for z in range(24)]
    found = seen.recognize(slices)
    assert {one.kind for one in found} == {"slices of a volume"}
    assert len(found) >= 20
    assert not seen.recognize([fingerprint_of(Image(volume(9), GRID)), fingerprint(volume(9)[:, 7])])


def test_a_plane_lies_in_its_volume_at_its_place() -> None:
    whole, plane = sketch(volume(0)), sketch(volume(0)[:, 11])
    assert shared(plane, whole) == shared(whole, plane) > 3
    assert as_volume(plane).shape == (1, 40, 44)
    assert as_volume(whole) is whole
    assert not shared(sketch(volume(1)[:, 11]), whole)


def test_volumes_of_one_patient_join_by_content_alone() -> None:
    later = (volume(0) * 1.3 + 20).astype(np.int16)
    leaks = group([fingerprint(one) for one in (volume(0), volume(1), later, volume(2))], list("abcd"))
    assert leaks.groups == (0, 1, 0, 2)
