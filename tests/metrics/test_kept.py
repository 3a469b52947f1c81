"""Masks that are kept come back as they were, from memory and from a file."""

from __future__ import annotations

import numpy as np
import pytest

from ulna.errors import UlnaError
from ulna.metrics import kept
from ulna.metrics.kept import KeptMasks, kept_masks


@pytest.mark.parametrize("limit", [1, 1 << 20])
def test_masks_come_back(limit, monkeypatch):
    monkeypatch.setattr(kept, "_IN_MEMORY", limit)
    rng = np.random.default_rng(0)
    masks = {
        "flat": np.zeros((1, 50, 60), np.uint8),
        "volume": rng.integers(9, size=(1, 4, 5, 6)).astype(np.int32),
        "turned": rng.integers(2, size=(30, 20, 1)).astype(bool).transpose(2, 0, 1),
        "empty": np.zeros((1, 0, 3), np.uint8),
    }
    with kept_masks() as found:
        for name, mask in masks.items():
            found.keep(name, mask)
        for name, mask in reversed(masks.items()):
            assert found[name].dtype == mask.dtype
            np.testing.assert_array_equal(found[name], mask)
        found.keep("again", masks["flat"] + 1)
        assert found["again"].min() == 1


def test_a_full_disk_is_said():
    class Full:
        def seek(self, *_: int) -> int:
            return 0

        def write(self, _: bytes) -> int:
            raise OSError(28, "No space left on device")

    with pytest.raises(UlnaError, match="the disk is full"):
        KeptMasks(Full()).keep("a", np.zeros((1, 2, 2), np.uint8))
