"""Images decoded once."""

from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
import pytest

from ulna import formats
from ulna import store as store_module
from ulna.config import DataConfig
from ulna.dataset import Case, T, load_image, load_truth
from ulna.errors import ReadError, UlnaError
from ulna.image import Image, Source
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.normalization import normalize
from ulna.store import Store, build

RNG = np.random.default_rng(4)
CONFIG = DataConfig()


@pytest.fixture
def cases(tmp_path: Path) -> list[Case]:
    """Four cases of different sizes, in two groups."""
    return [case(tmp_path, f"c{k}", (8 + k, 12), group=f"g{k % 2}") for k in range(4)]


def case(folder: Path, name: str, size: tuple[int, int], *, group: str = "", channels: int = 1) -> Case:
    image = RNG.integers(0, 200, (channels, *size)).astype(np.uint8)
    formats.write(folder / f"{name}.png", Image(image))
    formats.write(folder / f"{name}_mask.png", Image((image[:1] > 99).astype(np.uint8) * 255))
    return Case(name, (Source(folder / f"{name}.png"),), (Source(folder / f"{name}_mask.png"),), group)


CLASSES = infer([np.array([[[0, 255]]])], CONFIG)


def test_a_case_that_lacks_a_modality_costs_the_others_none(tmp_path: Path, cases: list[Case]) -> None:
    two = Case("two", (*cases[0].images, *cases[0].truth), cases[0].truth)
    with pytest.raises(UlnaError, match="have 1 and 2 channels, which do not go together"):
        build(tmp_path / "cache", [two, *cases], config=CONFIG, classes=CLASSES)


def test_what_goes_in_comes_out(tmp_path: Path, cases: list[Case]) -> None:
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    assert len(store) == 4
    assert store.names == ("c0", "c1", "c2", "c3")
    assert store.groups == ("g0", "g1", "g0", "g1")
    for index, one in enumerate(cases):
        expected = normalize(load_image(one).array, "percentile")
        np.testing.assert_array_equal(store.image(index), expected)
        np.testing.assert_array_equal(store.truth(index), load_truth(one).array // 255)
        assert (store.image(index).dtype, store.truth(index).dtype) == (np.float32, np.uint8)
    assert isinstance(store.image(0), np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        store.image(0)[:] = 0
    assert sorted(path.name for path in tmp_path.glob("cache*")) == ["cache"]


def test_it_is_used_again_and_made_anew_when_something_changes(
    tmp_path: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    filled: list[int] = []
    real = store_module._fill

    def counted(*words: object) -> dict[str, object]:
        filled.append(1)
        return real(*words)

    monkeypatch.setattr(store_module, "_fill", counted)
    place = tmp_path / "cache"
    first = build(place, cases, config=CONFIG, classes=CLASSES)
    assert build(place, cases, config=CONFIG, classes=CLASSES).digest == first.digest
    assert build(place, cases, config=DataConfig(validation=0.3), classes=CLASSES).digest == first.digest
    assert len(filled) == 1
    build(place, cases, config=DataConfig(normalization="zscore"), classes=CLASSES)
    build(place, cases[:3], config=CONFIG, classes=CLASSES)
    assert len(filled) == 3
    path = cases[0].images[0].path
    os.utime(path, ns=(1, 1))
    build(place, cases[:3], config=CONFIG, classes=CLASSES)
    assert len(filled) == 4


def test_the_digest_knows_the_data_and_not_their_place(tmp_path: Path, cases: list[Case]) -> None:
    first = build(tmp_path / "a", cases, config=CONFIG, classes=CLASSES)
    scaled = build(tmp_path / "b", cases, config=DataConfig(normalization="range"), classes=CLASSES)
    assert scaled.digest == first.digest
    moved = []
    for one in cases:
        image = tmp_path / "elsewhere" / f"{one.name}.tif"
        formats.write(image, load_image(one))
        moved.append(Case(one.name, (Source(image),), one.truth, one.group))
    assert build(tmp_path / "c", moved, config=CONFIG, classes=CLASSES).digest == first.digest
    other = build(tmp_path / "d", [*cases[1:], cases[0]], config=CONFIG, classes=CLASSES)
    assert other.digest != first.digest


def test_resize_and_channels(tmp_path: Path) -> None:
    mixed = [case(tmp_path, "gray", (8, 9)), case(tmp_path, "color", (20, 16), channels=3)]
    store = build(tmp_path / "cache", mixed, config=DataConfig(resize=(16, 16)), classes=CLASSES)
    assert store.shapes == ((3, 16, 16), (3, 16, 16))
    np.testing.assert_array_equal(store.image(0)[0], store.image(0)[2])
    assert set(np.unique(store.truth(0))) <= {0, 1}
    with pytest.raises(UlnaError, match="color: the image has 3 channels, the network takes 1"):
        build(tmp_path / "gray", mixed, config=DataConfig(channels=1), classes=CLASSES)


def test_faults_are_named_and_leave_nothing_behind(tmp_path: Path, cases: list[Case]) -> None:
    place = tmp_path / "cache"
    small = case(tmp_path, "small", (3, 3))
    unlike = Case("unlike", cases[0].images, small.truth)
    absent = Case("absent", (Source(tmp_path / "absent.png"),), small.truth)
    strange = Case("strange", small.images, (formats_strange(tmp_path),))
    for bad, message in (
        (unlike, "unlike: image and mask differ in size: 8×12 and 3×3"),
        (absent, "no such file"),
        (strange, "strange: the mask holds 7"),
    ):
        with pytest.raises((UlnaError, ReadError), match=message):
            build(place, [*cases, bad], config=CONFIG, classes=CLASSES)
        assert not list(tmp_path.glob("cache*"))
    with pytest.raises(UlnaError, match="no cases"):
        build(place, [], config=CONFIG, classes=CLASSES)
    with pytest.raises(UlnaError, match="holds no store"):
        Store.open(place)


def formats_strange(folder: Path) -> Source:
    formats.write(folder / "strange.png", Image(np.full((1, 3, 3), 7, np.uint8)))
    return Source(folder / "strange.png")


def test_a_full_disk(tmp_path: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "cache"
    before = build(place, cases, config=CONFIG, classes=CLASSES)

    def full(_stream: BinaryIO, _array: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(store_module, "_append", full)
    with pytest.raises(UlnaError, match="the disk is full"):
        build(place, cases[:2], config=CONFIG, classes=CLASSES)
    assert Store.open(place).digest == before.digest
    assert [path.name for path in tmp_path.glob("cache*")] == ["cache"]


def test_a_case_that_does_not_fit_into_the_memory_is_named(
    tmp_path: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(store_module, "normalize", full)
    with pytest.raises(UlnaError, match=r"^c\d: the memory of this machine does not hold it"):
        build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    assert not (tmp_path / "cache").exists()


def test_an_image_is_not_decoded_to_more_than_the_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read it does; as 32-bit numbers, four times as large and copied once, it does not."""
    large = case(tmp_path, "large", (4200, 4200))
    free = psutil.virtual_memory()._replace(available=100 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UlnaError, match=r"^large: an image of 1 × 4200 × 4200 needs 0\.1 GiB of memory"):
        build(tmp_path / "cache", [large], config=CONFIG, classes=CLASSES)


def test_a_cache_that_a_kill_left_half_is_made_anew(tmp_path: Path, cases: list[Case]) -> None:
    (tmp_path / "cache.part").mkdir()
    (tmp_path / "cache.part" / "images.float32").write_bytes(b"half")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index.json").write_text(json.dumps({"key": "another"}))
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    assert len(store) == 4
    assert [path.name for path in tmp_path.glob("cache*")] == ["cache"]


def test_a_worker_gets_the_place_and_not_a_copy(tmp_path: Path, cases: list[Case]) -> None:
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    data = pickle.dumps(store)
    assert len(data) < 1000
    again = pickle.loads(data)
    np.testing.assert_array_equal(again.image(2), store.image(2))


def test_progress_sees_every_case(tmp_path: Path, cases: list[Case]) -> None:
    seen: list[object] = []

    def progress(items: Sequence[T], what: str, /) -> Iterable[T]:
        seen.append(what)
        for item in items:
            seen.append(item)
            yield item

    build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES, progress=progress)
    assert seen == ["reading images", *cases]


def test_a_real_stack(tmp_path: Path, data: Path) -> None:
    found = read_dataset(data / "isbi2012").cases[:3]
    store = build(tmp_path / "cache", found, config=CONFIG, classes=CLASSES)
    assert store.shapes == ((1, 512, 512),) * 3
    assert set(store.groups) == {"train-volume"}
