from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulna.planning.topology import SMALLEST, topology


def test_hippocampus_as_nnunet_plans_it() -> None:
    """Patch, pooling and kernels of nnU-Net's own plan for Task04 of the Decathlon."""
    found = topology((36, 50, 35), (1, 1, 1), most=96**3)
    assert found.patch == (40, 56, 40)
    assert found.strides == ((2, 2, 2),) * 3
    assert found.kernels == ((3, 3, 3),) * 4


def test_thick_slices_are_pooled_last() -> None:
    found = topology((10, 220, 220), (8, 1.4, 1.4), most=10**6)
    assert found.patch == (10, 224, 224)
    assert found.strides == ((1, 2, 2), (1, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2))
    assert found.kernels == ((1, 3, 3), (1, 3, 3), *((3, 3, 3),) * 4)


@given(
    st.tuples(*[st.integers(1, 400)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
    st.integers(16**3, 10**6),
    st.sampled_from([None, 2, 5]),
)
def test_invariants(shape: tuple[int, ...], spacing: tuple[float, ...], most: int, levels: int | None) -> None:
    found = topology(shape, spacing, most=most, levels=levels)
    assert len(found.kernels) == len(found.strides) + 1
    if levels:
        assert len(found.kernels) == levels
    multiples = np.prod(found.strides, axis=0, dtype=int) if found.strides else np.ones(3, int)
    assert all(side % multiple == 0 for side, multiple in zip(found.patch, multiples, strict=True))
    if levels is None:
        assert all(
            side // multiple >= SMALLEST for side, multiple in zip(found.patch, multiples, strict=True) if multiple > 1
        )
    for before, after in zip(found.kernels, found.kernels[1:], strict=False):
        assert all(one <= other for one, other in zip(before, after, strict=True))  # an axis that is reached stays so


@pytest.mark.parametrize("most", [20**3, 96**3])
def test_large_images_are_cut(most: int) -> None:
    patch = topology((155, 240, 240), (1, 1, 1), most=most).patch
    assert np.prod(patch) <= 1.8 * most  # rounded up to what pooling divides
