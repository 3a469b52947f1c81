"""Parts of arrays that lie uncompressed in a file, also within NIfTI and NRRD."""

from __future__ import annotations

import io
import tracemalloc
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna import formats
from ulna.errors import ReadError
from ulna.formats import base
from ulna.formats.flat import read_flat
from ulna.image import Source

RNG = np.random.default_rng(1)
SOURCE = Source(Path("a.raw"))


class Counting(io.BytesIO):
    """Counts what is read of it."""

    count = 0

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        self.count += len(buffer)
        return super().readinto(buffer)


@settings(max_examples=100, deadline=None)
@given(seed=st.integers(0, 9999), hole=st.sampled_from([0, 20, 1 << 16]))
def test_any_part_is_that_part(seed: int, hole: int) -> None:
    draw = np.random.default_rng(seed)
    array = draw.integers(0, 999, draw.integers(1, 7, int(draw.integers(1, 5)))).astype(">u2")
    region = tuple(slice(s := int(draw.integers(0, n)), int(draw.integers(s + 1, n + 1))) for n in array.shape)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ulna.formats.flat.HOLE", hole)
        stream = io.BytesIO(b"header" + array.tobytes())
        found = read_flat(stream, 6, array.shape, array.dtype, region=region, source=Source(Path("a")))
    np.testing.assert_array_equal(found, array[region])


def test_no_more_is_read_than_needed() -> None:
    array = np.zeros((100, 100, 1000), np.uint8)
    stream = Counting(array.tobytes())
    region = (slice(3, 5), slice(10, 20), slice(0, 1000))
    read_flat(stream, 0, array.shape, array.dtype, region=region, source=SOURCE)
    assert stream.count == 20_000
    with pytest.raises(ReadError, match="cut off: 1,000 of its bytes"):
        read_flat(
            stream, 1000, array.shape, array.dtype, region=(slice(99, 100), slice(0, 100), region[2]), source=SOURCE
        )


@pytest.mark.parametrize("name", ["a.nii", "a.nrrd", "a.nhdr"])
def test_volumes_that_are_not_packed_are_read_by_region(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    volume = RNG.integers(0, 999, (100, 200, 300)).astype(np.uint16)  # Z, Y, X
    if name == "a.nii":
        nibabel.Nifti1Image(volume.T, np.eye(4)).to_filename(tmp_path / name)
    else:
        nrrd.write(str(tmp_path / name), volume, {"encoding": "raw"}, index_order="C")
    monkeypatch.setattr(base, "SMALL", 0)
    monkeypatch.setattr(base, "free_memory", lambda: 8 << 20)
    with formats.open_reader(Source(tmp_path / name)) as reader:
        tracemalloc.start()
        for z in range(0, 100, 25):
            for y in range(0, 200, 50):
                region = (slice(z, z + 25), slice(y, y + 50), slice(100, 200))
                np.testing.assert_array_equal(reader.read(region)[0], volume[region])
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        with pytest.raises(ReadError, match="100 × 200 × 300 needs"):
            reader.read()
    assert most < 2_000_000  # of 12 million bytes
