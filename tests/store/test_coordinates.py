"""Places of the foreground, against numpy over the whole array."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna.image import IGNORE
from ulna.store import coordinates as module
from ulna.store.coordinates import foreground_coordinates


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from([(7, 11), (3, 4, 9), (1, 1)]))
def test_places_and_counts(seed: int, most: int, shape: tuple[int, ...]) -> None:
    labels = np.random.default_rng(seed).choice(np.array([0, 0, 1, 2, 9, IGNORE], np.uint8), shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "AT_ONCE", 5)
        counts, places = foreground_coordinates(labels, most=most)
        again = foreground_coordinates(labels, most=most)
    present = set(np.unique(labels).tolist()) - {IGNORE}
    assert counts == {label: int((labels == label).sum()) for label in sorted(present)}
    assert set(places) == (present if (labels == IGNORE).any() else present - {0})
    for label, found in places.items():
        whole = np.flatnonzero(labels == label)
        assert len(found) == len(np.unique(found)) == min(most, len(whole))
        assert set(found) <= set(whole)
        assert (np.diff(found) > 0).all()
        np.testing.assert_array_equal(found, again[1][label])


def test_those_of_a_large_class_lie_all_over_it() -> None:
    _, places = foreground_coordinates(np.ones((400, 400), np.uint8), most=1000)
    histogram = np.histogram(places[1], 8, (0, 160_000))[0]
    assert histogram.min() > 80
