"""Images decoded once."""

from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import psutil
import pytest
import tifffile

from ulna import formats
from ulna.config import DataConfig
from ulna.dataset import Case, T, load_image
from ulna.errors import ReadError, UlnaError
from ulna.formats import write
from ulna.image import IGNORE, Grid, Image, Source
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.normalization import NORMALIZATIONS, normalize
from ulna.resampling import resize
from ulna.store import Store, StoredCase, build, builder, planned
from ulna.truth import load_truth

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
        assert store.raw(index).dtype == np.uint8
        np.testing.assert_array_equal(store.raw(index), load_image(one).array)
    for mapped in (store.raw(0), store.truth(0), store.coordinates(0)[1]):
        assert isinstance(mapped, np.memmap)
        with pytest.raises(ValueError, match="read-only"):
            mapped[:] = 0
    assert sorted(path.name for path in tmp_path.glob("cache*")) == ["cache"]


@pytest.fixture
def filled(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Grows by one whenever images are read into a store."""
    filled: list[Path] = []
    real = builder._read_all

    def counted(folder: Path, *words: Any) -> dict[str, Any]:
        filled.append(folder)
        return real(folder, *words)

    monkeypatch.setattr(builder, "_read_all", counted)
    return filled


def test_it_is_used_again_where_nothing_that_matters_changed(
    tmp_path: Path, cases: list[Case], filled: list[Path]
) -> None:
    place = tmp_path / "cache"
    first = build(place, cases, config=CONFIG, classes=CLASSES)
    os.utime(cases[0].images[0].path, ns=(1, 1))
    others = {"validation": 0.3, "normalization": "zscore", "resize": (8, 8)}
    for config in (CONFIG, *(DataConfig.model_validate({key: value}) for key, value in others.items())):
        assert build(place, cases, config=config, classes=CLASSES).digest == first.digest
    said_otherwise = replace(CLASSES, sentence="Masks are masks.")
    assert build(place, cases, config=CONFIG, classes=said_otherwise).digest == first.digest
    assert len(filled) == 1


def _changed_in_place(path: Path) -> None:
    """Other pixels in a file of the same size and time of change."""
    before = path.stat()
    data = bytearray(path.read_bytes())
    image = formats.read(Source(path))
    other = image.array.copy()
    other[0, 0, 0] ^= 255
    formats.write(path, image.with_array(other))
    assert path.read_bytes() != bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.mark.parametrize(
    "change",
    [
        *("image", "mask", "order", "fewer", "name", "group", "truth", "channels", "values", "kind", "page", "version"),
        *("counts", "range"),
    ],
)
def test_each_part_of_the_key_is_part_of_it(
    change: str, tmp_path: Path, cases: list[Case], filled: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, config, classes = tmp_path / "cache", CONFIG, CLASSES
    build(place, cases, config=config, classes=classes)
    if change in ("image", "mask"):
        _changed_in_place((cases[1].images if change == "image" else cases[1].truth)[0].path)
    elif change == "order":
        cases = [*cases[1:], cases[0]]
    elif change == "fewer":
        cases = cases[:3]
    elif change == "truth":
        other = case(tmp_path, "other", (8, 12))
        cases = [replace(cases[0], truth=other.truth), *cases[1:]]
    elif change in ("name", "group"):
        cases = [replace(cases[0], **{change: "other"}), *cases[1:]]
    elif change == "channels":
        config = DataConfig(channels=3)
    elif change == "counts":
        config = DataConfig(counts=False)
    elif change == "range":
        config = DataConfig(normalization="range")
    elif change == "values":
        classes = replace(CLASSES, values=((255,), (0,)))
    elif change == "kind":
        classes = replace(CLASSES, kind="instances")
    elif change == "page":
        cases = [replace(cases[0], images=(replace(cases[0].images[0], page=0),)), *cases[1:]]
    elif change == "version":
        monkeypatch.setattr(builder, "VERSION", builder.VERSION + 1)
    build(place, cases, config=config, classes=classes)
    assert len(filled) == 2


def test_a_folder_of_files_counts_with_all_of_them(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / "series" / name).mkdir(parents=True)
        (tmp_path / "series" / name / "1.dcm").write_bytes(b"1")
    first = builder._content(tmp_path / "series")
    (tmp_path / "series" / "b" / "1.dcm").write_bytes(b"2")
    second = builder._content(tmp_path / "series")
    (tmp_path / "series" / "b" / "1.dcm").rename(tmp_path / "series" / "b" / "2.dcm")
    assert len({first, second, builder._content(tmp_path / "series")}) == 3
    assert builder._content(tmp_path / "absent") == ""


@pytest.mark.parametrize("how", NORMALIZATIONS)
def test_every_normalization_is_a_view_of_the_same_files(
    how: str, tmp_path: Path, cases: list[Case], filled: list[Path]
) -> None:
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES).normalized(how)
    for index, one in enumerate(cases):
        whole = normalize(load_image(one).array, how)
        np.testing.assert_array_equal(store.image(index), whole)
        np.testing.assert_array_equal(store.scale(index, store.raw(index)[:, 2:5, 1:7]), whole[:, 2:5, 1:7])
    assert len(filled) == 1


def test_images_without_a_range_are_stored_unless_it_is_asked_for(tmp_path: Path) -> None:
    image, mask = tmp_path / "image.tif", tmp_path / "mask.png"
    formats.write(image, Image(np.arange(96, dtype=np.int32).reshape(1, 8, 12)))
    formats.write(mask, Image(255 * np.eye(8, 12, dtype=np.uint8)[None]))
    one = [Case("one", (Source(image),), (Source(mask),))]
    assert build(tmp_path / "cache", one, config=CONFIG, classes=CLASSES).image(0).max() == pytest.approx(1, abs=0.02)
    with pytest.raises(UlnaError, match="one: the normalization 'range' needs 8 or 16 bits"):
        build(tmp_path / "other", one, config=DataConfig(normalization="range"), classes=CLASSES)


def test_folds_share_a_store(tmp_path: Path, cases: list[Case], filled: list[Path]) -> None:
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    fold = store.subset([3, 1])
    assert (fold.names, fold.groups, len(fold)) == (("c3", "c1"), ("g1", "g1"), 2)
    np.testing.assert_array_equal(fold.image(0), store.image(3))
    np.testing.assert_array_equal(fold.subset([1]).truth(0), store.truth(1))
    again = pickle.loads(pickle.dumps(fold.normalized("zscore")))
    assert (again.names, again.normalization) == (("c3", "c1"), "zscore")
    assert len({store.digest, fold.digest, fold.subset([0]).digest, store.subset([1, 3]).digest}) == 4
    resized = planned(fold, DataConfig(resize=(4, 4)))
    assert (resized.names, resized.shapes) == (("c3", "c1"), ((1, 4, 4),) * 2)
    assert planned(resized, DataConfig(normalization="range")).shapes == fold.shapes
    assert len(filled) == 1


def test_resized_images_are_normalized_before(tmp_path: Path, cases: list[Case]) -> None:
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    for how in ("range", "percentile"):
        resized = planned(store, DataConfig(resize=(5, 7), normalization=how))
        expected = resize(normalize(load_image(cases[2]).array, how), (5, 7), smooth=True)
        np.testing.assert_array_equal(resized.image(2), expected)
        np.testing.assert_array_equal(resized.truth(2), resize(store.truth(2), (5, 7), smooth=False))
        places = np.flatnonzero(resized.truth(2))
        np.testing.assert_array_equal(resized.coordinates(2)[1], places)
        assert resized.cases[2].counts == {0: 35 - len(places), 1: len(places)}
        assert resized.cases[2].grid == store.cases[2].grid.resampled(shape=(5, 7))
        assert resized.digest == store.digest


def test_numbers_of_objects_lie_beside_the_classes(tmp_path: Path) -> None:
    labels = np.zeros((1, 6, 9), np.uint16)
    labels[0, :2, :3], labels[0, 4:, 4:] = 7, 900
    formats.write(tmp_path / "image.png", Image(np.zeros((1, 6, 9), np.uint8)))
    formats.write(tmp_path / "labels.png", Image(labels))
    numbered = Case("n", (Source(tmp_path / "image.png"),), (Source(tmp_path / "labels.png"),))
    classes = replace(CLASSES, values=((0,), ("other",)), kind="instances")
    store = build(tmp_path / "cache", [numbered], config=CONFIG, classes=classes)
    assert store.truth(0).dtype == np.int32
    np.testing.assert_array_equal(store.truth(0), np.stack([labels[0] > 0, labels[0]]))


def test_records_keep_grid_intensities_and_kind_of_file(tmp_path: Path, cases: list[Case]) -> None:
    pair = replace(cases[0], images=cases[0].images * 2)
    store = build(tmp_path / "cache", [pair], config=CONFIG, classes=CLASSES)
    (record,) = store.cases
    assert (record.suffix, record.files, record.grid) == (".png", 2, Grid((8, 12)))
    assert record.intensities.gray
    assert StoredCase.from_json(json.loads(json.dumps(record.as_json()))) == record


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

    monkeypatch.setattr(builder, "_append", full)
    with pytest.raises(UlnaError, match="the disk is full"):
        build(place, cases[:2], config=CONFIG, classes=CLASSES)
    assert Store.open(place).digest == before.digest
    assert [path.name for path in tmp_path.glob("cache*")] == ["cache"]


def test_a_case_that_does_not_fit_into_the_memory_is_named(
    tmp_path: Path, cases: list[Case], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(builder, "scaling", full)
    with pytest.raises(UlnaError, match=r"^c\d: the memory of this machine does not hold it"):
        build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    assert not (tmp_path / "cache").exists()


def test_an_image_is_not_decoded_to_more_than_the_memory_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Read it does; as 32-bit numbers, four times as large and copied once, it does not."""
    large = case(tmp_path, "large", (4200, 4200))
    free = psutil.virtual_memory()._replace(available=100 << 20)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
    with pytest.raises(UlnaError, match=r"^large: an image of 1 × 4200 × 4200 needs 134\.6 MiB of memory"):
        build(tmp_path / "cache", [large], config=CONFIG, classes=CLASSES)


def test_a_cache_that_a_kill_left_half_is_made_anew(tmp_path: Path, cases: list[Case]) -> None:
    (tmp_path / "cache.part").mkdir()
    (tmp_path / "cache.part" / "images.float32").write_bytes(b"half")
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "index.json").write_text(json.dumps({"key": "another"}))
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    assert len(store) == 4
    assert [path.name for path in tmp_path.glob("cache*")] == ["cache"]


@pytest.mark.parametrize("name", ["images.bin", "truths.bin"])
def test_a_cache_that_a_power_failure_cut_off_is_made_anew(tmp_path: Path, cases: list[Case], name: str) -> None:
    whole = [image.copy() for image in _images(build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES))]
    file = tmp_path / "cache" / name
    file.write_bytes(file.read_bytes()[:100])
    again = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    for image, before in zip(_images(again), whole, strict=True):
        np.testing.assert_array_equal(image, before)


def test_constants_of_the_training_set_scale_all_images_alike(tmp_path: Path, cases: list[Case]) -> None:
    asked = DataConfig(normalization="ct")  # before the plan, the constants are open
    store = build(tmp_path / "cache", cases, config=asked, classes=CLASSES)
    config = DataConfig(normalization="ct", window=(20, 150), center=100, scale=40)
    fixed = planned(store, config)
    expected = [(np.clip(store.raw(k).astype(np.float32), 20, 150) - 100) / 40 for k in range(4)]
    for k, image in enumerate(expected):
        np.testing.assert_allclose(fixed.image(k), image, atol=1e-5)
    again = pickle.loads(pickle.dumps(fixed.subset([2, 1])))
    np.testing.assert_array_equal(again.image(0), fixed.image(2))
    for window, low in (((20, 150), -2), ((60, 150), -1)):  # other constants are another second stage
        resized = planned(store, config.model_copy(update={"window": window, "resize": (5, 7)}))
        clipped = np.clip(expected[2], low, None)
        np.testing.assert_allclose(resized.image(2), resize(clipped, (5, 7), smooth=True), atol=1e-5)
    assert planned(resized, DataConfig()).fixed is None


def _images(store: Store) -> list[np.ndarray]:
    return [store.image(k) for k in range(len(store))]


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


def test_planes_of_two_volumes_that_are_alike_are_known_as_the_volumes(tmp_path: Path) -> None:
    volume = np.random.default_rng(0).integers(0, 255, (3, 16, 16), dtype=np.uint8)
    cases = []
    for name in ("a", "b"):
        for folder, array in (("images", volume), ("masks", np.uint8(255 * (volume > 99)))):
            (tmp_path / folder).mkdir(exist_ok=True)
            tifffile.imwrite(tmp_path / folder / f"{name}.tif", array, photometric="minisblack")
        cases.append(Case(name, (Source(tmp_path / f"images/{name}.tif"),), (Source(tmp_path / f"masks/{name}.tif"),)))
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    assert store.planes().digest == store.digest
    assert store.subset([0]).planes().digest == store.subset([0]).digest != store.digest


def test_a_real_volume_and_its_planes(tmp_path: Path, data: Path) -> None:
    found = read_dataset(data / "isbi2012").cases
    store = build(tmp_path / "cache", found, config=CONFIG, classes=CLASSES)
    assert (store.shapes, store.groups) == (((1, 24, 512, 512),), ("train-volume",))
    planes = store.planes()
    assert planes.shapes == ((1, 512, 512),) * 24
    assert (planes.names[3], set(planes.groups)) == ("train-volume[3]", {"train-volume"})
    assert planes.digest == store.digest


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_planes_are_views_of_their_volumes(tmp_path: Path, axis: int) -> None:
    """Images, truth, counts, places and coordinates of a plane are those of the volume there."""
    draw = np.random.default_rng(0)
    cases = []
    for name in "ab":
        image, mask = draw.integers(0, 255, (3, 4, 5), np.uint8), (draw.random((3, 4, 5)) < 0.4).astype(np.uint8) * 255
        for array, file in ((image, f"{name}.tif"), (mask, f"{name}_mask.tif")):
            tifffile.imwrite(tmp_path / file, array, photometric="minisblack")
        cases.append(Case(name, (Source(tmp_path / f"{name}.tif"),), (Source(tmp_path / f"{name}_mask.tif"),), name))
    store = build(tmp_path / "cache", cases, config=CONFIG, classes=CLASSES)
    planes = store.planes(axis)
    count = store.shapes[0][1 + axis]
    assert len(planes) == 2 * count
    for index in range(len(planes)):
        volume, place = divmod(index, count)
        np.testing.assert_array_equal(planes.raw(index), np.take(store.raw(volume), place, 1 + axis))
        np.testing.assert_array_equal(planes.image(index), np.take(store.image(volume), place, 1 + axis))
        truth = np.take(store.truth(volume), place, 1 + axis)
        np.testing.assert_array_equal(planes.truth(index), truth)
        case = planes.cases[index]
        assert (case.name, case.group, case.grid) == (
            f"{'ab'[volume]}[{place}]",
            "ab"[volume],
            store.cases[volume].grid.slices(axis)[place],
        )
        assert case.counts == {label: int((truth == label).sum()) for label in (0, 1) if (truth == label).any()}
        places = planes.coordinates(index).get(1, np.zeros(0, int))
        assert places.tolist() == np.flatnonzero(truth == 1).tolist()
    some = planes.subset([1, count])
    again = pickle.loads(pickle.dumps(some))
    assert (again.names, again.cases) == (some.names, some.cases)
    np.testing.assert_array_equal(again.raw(1), some.raw(1))


def test_volumes_of_several_spacings_become_alike(tmp_path: Path) -> None:
    """The second stage holds each volume at the target spacing; one that has it already is as it was."""
    draw = np.random.default_rng(0)
    cases = []
    for name, shape, side in (("a", (6, 20, 24), 1.0), ("b", (6, 10, 12), 2.0)):
        image = draw.integers(0, 255, (1, *shape)).astype(np.int16)
        for suffix, array in (("", image), ("_mask", (image > 200).astype(np.uint8) * 255)):
            write(tmp_path / f"{name}{suffix}.nii.gz", Image(array, Grid(shape, (8.0, side, side), "mm", (0.0,) * 3)))
        sources = [(Source(tmp_path / f"{name}{suffix}.nii.gz"),) for suffix in ("", "_mask")]
        cases.append(Case(name, *sources, name))
    config = DataConfig(channels=1, target_spacing=(0, 1, 1), unit="mm", normalization="zscore")
    own = build(tmp_path / "cache", cases, config=config.model_copy(update={"target_spacing": None}), classes=CLASSES)
    seen = build(tmp_path / "cache", cases, config=config, classes=CLASSES)
    assert seen.shapes == ((1, 6, 20, 24),) * 2
    assert [case.grid.spacing for case in seen.cases] == [(8, 1, 1)] * 2
    np.testing.assert_allclose(seen.image(0), own.image(0), atol=1e-6)
    np.testing.assert_allclose(seen.image(1), resize(own.image(1), (6, 20, 24), smooth=True), atol=1e-5)
    np.testing.assert_array_equal(seen.truth(1), own.truth(1).repeat(2, 2).repeat(2, 3))
    assert seen.cases[1].counts == {label: 4 * count for label, count in own.cases[1].counts.items()}
    assert seen.digest == own.digest
    again = planned(seen, config.model_copy(update={"target_spacing": None}))  # and back, from either
    np.testing.assert_array_equal(again.raw(1), own.raw(1))
    assert planned(seen.subset([1]), config).shapes == ((1, 6, 20, 24),)


def test_of_sparse_labels_none_is_lost_at_the_target_spacing(tmp_path: Path) -> None:
    """Slices 4 and 10 of 12 are annotated; seen a third as fine, both are."""
    image = np.random.default_rng(0).integers(0, 255, (1, 12, 8, 8)).astype(np.int16)
    mask = np.full((1, 12, 8, 8), 9, np.uint8)
    mask[:, 3], mask[:, 9] = 0, 0
    mask[:, 3, 2:6, 2:6] = mask[:, 9, 4:, 4:] = 1
    for name, array in (("a", image), ("a_mask", mask)):
        write(tmp_path / f"{name}.nii.gz", Image(array, Grid((12, 8, 8), (1.0,) * 3, "mm", (0.0,) * 3)))
    one = Case("a", (Source(tmp_path / "a.nii.gz"),), (Source(tmp_path / "a_mask.nii.gz"),), "a")
    classes = infer([mask], DataConfig(ignore=(9,)))
    config = DataConfig(channels=1, target_spacing=(3.0, 1.0, 1.0), unit="mm", ignore=(9,))
    seen = build(tmp_path / "cache", [one], config=config, classes=classes)
    truth = seen.truth(0)[0]
    assert truth.shape == (4, 8, 8)
    assert [bool((plane != IGNORE).all()) for plane in truth] == [False, True, False, True]
    assert seen.cases[0].counts[1] == 2 * 16
