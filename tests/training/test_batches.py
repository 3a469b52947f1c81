from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ulna import formats
from ulna.config import AugmentationConfig, DataConfig, TrainingConfig
from ulna.dataset import Case
from ulna.image import Image, Source
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.store import Store, build
from ulna.training.augmentation import context
from ulna.training.batches import Batches, sampling_probabilities
from ulna.training.phases import Phase
from ulna.truth import load_truth


@pytest.fixture(scope="module")
def store(cells: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    cases = read_dataset(cells).cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    return build(tmp_path_factory.mktemp("cache") / "all", cases, config=DataConfig(), classes=classes)


def drawn_from(store: Store, phase: Phase, *, final: Phase | None = None, **training: Any) -> Batches:
    """Batches of one phase, or from step 100 on of another."""
    parts = (phase, final or phase)
    return Batches(store, TrainingConfig(**training), phases=parts, final=lambda step: step >= 100)


def test_every_group_is_drawn_alike() -> None:
    groups = ("a", "a", "a", "b")
    assert sampling_probabilities(groups, "groups").tolist() == pytest.approx([1 / 6, 1 / 6, 1 / 6, 1 / 2])
    assert sampling_probabilities(groups, "images").tolist() == [0.25] * 4


def test_a_step_is_the_same_whenever_it_is_asked_for(store: Store) -> None:
    part = Phase((40, 48), 4, None)
    batches = Batches(store, TrainingConfig(seed=3), phases=(part, part))
    drawn = [batches.batch(step) for step in (5, 6, 7)]
    assert [batch.step for batch in drawn] == [5, 6, 7]
    again = batches.batch(6)
    assert torch.equal(again.images, drawn[1].images)
    assert torch.equal(again.truth, drawn[1].truth)
    assert (again.images.shape, again.images.dtype) == ((4, 1, 40, 48), torch.float32)
    assert (again.truth.shape, again.truth.dtype) == ((4, 1, 40, 48), torch.uint8)
    assert not torch.equal(drawn[0].images, drawn[1].images)
    assert not torch.equal(drawn_from(store, part, seed=4).batch(6).images, again.images)


def test_the_window_is_what_augmentation_needs_and_at_the_end_patches_are_of_another_size(store: Store) -> None:
    varied = Phase((32, 32), 4, AugmentationConfig())
    batches = drawn_from(store, varied, final=Phase((64, 64), 1, None))
    early, late = batches.batch(99), batches.batch(100)
    assert not early.final
    assert early.images.shape == (4, 1, *context(AugmentationConfig(), (32, 32)))
    assert late.final
    assert late.images.shape == (1, 1, 64, 64)


PLAIN = DataConfig()


def labeled(folder: Path, truth: np.ndarray, config: DataConfig = PLAIN, *, objects: bool = False) -> Store:
    """A store of one case whose labels are these."""
    formats.write(folder / "image.png", Image(np.arange(truth.size).reshape(truth.shape).astype(np.uint8)))
    formats.write(folder / "truth.png", Image(truth))
    case = Case("a", (Source(folder / "image.png"),), (Source(folder / "truth.png"),))
    return build(folder / "cache", [case], config=config, classes=infer([truth], config, objects=objects))


def test_a_rare_class_is_drawn_as_often_as_a_frequent_one(tmp_path: Path) -> None:
    """A thousandth of the foreground: drawn by pixel, hardly any patch would be centered on it."""
    truth = np.zeros((1, 512, 512), np.uint8)
    truth[0, 100:400, 100:400] = 1
    truth[0, 250:260, 250:260] = 2
    truth[0, :40, :40] = 3
    store = labeled(tmp_path, truth, DataConfig(values=((0,), (1,), (2,), (3,))))
    drawn = drawn_from(store, Phase((1, 1), 3000, None), foreground=1.0).batch(0).truth.numpy()
    shares = [float((drawn == label).mean()) for label in (0, 1, 2, 3)]
    assert shares == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.03)
    assert len(np.unique(drawn_from(store, Phase((1, 1), 3000, None), foreground=1.0).batch(0).images)) > 200


def test_windows_of_numbered_objects_have_both_layers(tmp_path: Path) -> None:
    truth = np.zeros((1, 40, 40), np.uint16)
    for number in range(1, 17):
        row, column = divmod(number - 1, 4)
        truth[0, 10 * row : 10 * row + 8, 10 * column : 10 * column + 8] = number * 100
    store = labeled(tmp_path, truth, objects=True)
    batch = drawn_from(store, Phase((8, 8), 20, None), foreground=1.0).batch(0)
    assert (batch.truth.shape, batch.truth.dtype) == ((20, 2, 8, 8), torch.int32)
    classes, numbers = batch.truth.unbind(1)
    assert torch.equal(classes, (numbers > 0).int())
    assert set(numbers.unique().tolist()) <= {0, *range(100, 1700, 100)}


@settings(max_examples=15, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 1000))
def test_image_and_truth_are_cut_alike_and_the_patch_lies_inside(store: Store, y: int, x: int, step: int) -> None:
    batch = drawn_from(store, Phase((y, x), 2, None), foreground=0.5).batch(step)
    for image, truth in zip(batch.images.numpy(), batch.truth.numpy(), strict=True):
        if y <= 64 and x <= 64:
            assert any(_holds(store, i, image, truth) for i in range(len(store)))
        assert image.shape == truth.shape == (1, y, x)


def _holds(store: Store, case: int, image: np.ndarray, truth: np.ndarray) -> bool:
    whole = store.image(case)[0]
    for row, column in np.argwhere(whole == image[0, 0, 0]):
        place = np.s_[row : row + image.shape[1], column : column + image.shape[2]]
        if np.array_equal(whole[place], image[0]) and np.array_equal(store.truth(case)[0][place], truth[0]):
            return True
    return False


def test_patches_are_centerd_on_the_foreground_as_often_as_asked(store: Store) -> None:
    part = Phase((1, 1), 64, None)
    assert (drawn_from(store, part, foreground=1.0).batch(0).truth > 0).all()
    assert (drawn_from(store, part, foreground=0.0).batch(0).truth > 0).float().mean() < 0.5


@pytest.mark.parametrize("foreground", [0.0, 1.0])
def test_patches_are_not_centered_on_ignored_pixels(tmp_path: Path, foreground: float) -> None:
    """All but one tenth of the image is not annotated."""
    truth = np.full((1, 64, 64), 9, np.uint8)
    kept = np.random.default_rng(0).random((64, 64))[3:-3, 3:-3] < 0.1  # no patch is moved off the border
    truth[0, 3:-3, 3:-3][kept] = np.random.default_rng(1).choice([0, 1], int(kept.sum()), p=[0.75, 0.25])
    store = labeled(tmp_path, truth, DataConfig(values=((0,), (1,)), ignore=(9,)))
    batches = drawn_from(store, Phase((5, 5), 40, None), foreground=foreground)
    centers = np.concatenate([batches.batch(step).truth[:, 0, 2, 2].numpy() for step in range(20)])
    assert set(centers.tolist()) == ({1} if foreground else {0, 1})
    assert foreground or centers.mean() == pytest.approx(0.25, abs=0.06)  # as often as it is there


def volume(folder: Path, truth: np.ndarray, *, name: str = "a", group: str = "") -> Case:
    """A case of a volume whose labels these are, (Z, Y, X)."""
    formats.write(folder / f"{name}.nii", Image(np.arange(truth.size, dtype=np.uint16).reshape(1, *truth.shape)))
    formats.write(folder / f"{name}_truth.nii", Image(truth[None]))
    return Case(name, (Source(folder / f"{name}.nii"),), (Source(folder / f"{name}_truth.nii"),), group)


def stored(folder: Path, cases: list[Case], **data: Any) -> Store:
    config = DataConfig.model_validate(data)
    return build(folder / "cache", cases, config=config, classes=infer([], config))


FOUR = ((0,), (1,), (2,), (3,))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_in_planes_too_a_rare_class_is_drawn_as_often_as_a_frequent_one(tmp_path: Path, axis: int) -> None:
    """A class of a thousandth, in two of forty planes, most of which hold nothing at all."""
    truth = np.zeros((40, 40, 40), np.uint8)
    truth[2:30, 3:30, 4:30], truth[3:5, 5:9, 5:9], truth[20:24, 21:27, 22:28] = 1, 2, 3
    store = stored(tmp_path, [volume(tmp_path, truth)], values=FOUR).planes(axis)
    drawn = drawn_from(store, Phase((1, 1), 3000, None), foreground=1.0).batch(0).truth.numpy()
    assert [float((drawn == label).mean()) for label in range(4)] == pytest.approx([0, 1 / 3, 1 / 3, 1 / 3], abs=0.03)


def test_of_planes_the_groups_are_drawn_alike_and_each_pixel_of_a_class_alike(tmp_path: Path) -> None:
    cases = []
    for number, (count, group) in enumerate((("3", "a"), ("9", "b"), ("6", "b"))):
        truth = np.zeros((int(count), 8, 8), np.uint8)
        truth[0, 2:6, 2:6] = truth[-1, 3, 3:5] = 1
        cases.append(volume(tmp_path, truth, name=str(number), group=group))
    store = stored(tmp_path, cases, values=FOUR).planes()
    batches = drawn_from(store, Phase((1, 1), 4000, None), foreground=1.0)
    drawn = [
        batches._place(one, np.random.default_rng(k), foreground=True) for k in range(200) for one in batches._volumes
    ]
    planes = [store.names[case] for case, _ in drawn]
    assert set(planes) == {"0[0]", "0[2]", "1[0]", "1[8]", "2[0]", "2[5]"}
    assert np.mean([name.endswith("[0]") for name in planes]) == pytest.approx(16 / 18, abs=0.04)
    assert batches._probabilities.tolist() == pytest.approx([1 / 2, 1 / 4, 1 / 4])
    anywhere = [batches._place(batches._volumes[1], np.random.default_rng(k), foreground=False) for k in range(900)]
    assert {center for _, center in anywhere} == {None}
    counts = np.bincount([case for case, _ in anywhere], minlength=len(store))
    assert counts[3:12].min() > 60  # every plane of the volume, about a hundred times each
    assert counts.sum() == counts[3:12].sum()


@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("foreground", [0.0, 0.5, 1.0])
def test_every_patch_shows_something_annotated(tmp_path: Path, foreground: float, planes: bool) -> None:
    """A few slices annotated and the rest not; in another volume one stroke of one class; and one without any."""
    slices = np.full((30, 20, 20), 4, np.uint8)
    slices[[3, 12, 21]] = 0
    slices[12, 5:9, 5:9] = 1
    stroke, none = np.full((2, 30, 20, 20), 4, np.uint8)
    stroke[17, 2, 3:9] = 2
    cases = [volume(tmp_path, one, name=name) for name, one in (("slices", slices), ("stroke", stroke), ("none", none))]
    store = stored(tmp_path, cases, values=FOUR[:3], ignore=4)
    part = Phase((6, 6), 60, None) if planes else Phase((4, 6, 6), 60, None)
    batches = drawn_from(store.planes() if planes else store, part, foreground=foreground)
    truth = np.concatenate([batches.batch(step).truth.numpy() for step in range(5)])
    annotated = (truth != 255).reshape(len(truth), -1).any(axis=1)
    assert annotated.all()
    assert np.mean([(one == 2).any() for one in truth]) == pytest.approx(0.5, abs=0.1)  # both are drawn alike
