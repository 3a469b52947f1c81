"""What kind of images these are, on simulated and on real ones, and what follows from it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from golden_values import Golden
from ulna.config import AugmentationConfig, Config, dotted
from ulna.errors import UlnaError
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.planning import Fingerprint, Plan, dimensions, plan
from ulna.planning.modality import STAINS
from ulna.store import build
from ulna.store.intensities import ChannelIntensities, measure
from ulna.truth import load_truth

CPU = torch.device("cpu")
RNG = np.random.default_rng(0)
NOWHERE = np.zeros(0, np.int64)
HEAD = np.hypot(*np.mgrid[-1:1:64j, -1:1:64j]) < 0.7


def mr(channels: int, dtype: str = "uint8") -> np.ndarray:
    """A head on a dark ground, whose tissues every channel shows with another contrast."""
    tissue = HEAD * (60 + 60 * (np.mgrid[:64, :64][0] // 8 % 2))
    gains = np.linspace(0.7, 1.3, channels).reshape(-1, 1, 1)
    return (gains * tissue + RNG.normal(0, 5, (channels, 64, 64)).clip(0) * HEAD).astype(dtype)


def cells(channels: int, dtype: str = "uint8") -> np.ndarray:
    """Different cells in every channel, on a dark ground."""
    return np.where(RNG.random((channels, 64, 64)) < 0.1, 180, 9).astype(dtype)


def tissue() -> np.ndarray:
    """Pink and purple on white."""
    amount = RNG.random((64, 64)) * (RNG.random((64, 64)) < 0.4)
    return (240 * np.exp(-amount * np.array([1.2, 1.5, 0.6]).reshape(3, 1, 1))).astype(np.uint8)


def ct() -> np.ndarray:
    return np.where(HEAD, 40, -1000)[None].astype(np.int16)


def facts(*images: np.ndarray, suffix: str = ".png", unit: str = "pixel", files: int = 1) -> Fingerprint:
    intensities = tuple(measure(image, NOWHERE) for image in images)
    shapes = tuple(image.shape[1:] for image in images)
    known = Fingerprint(len(images[0]), shapes, ("background", "thing"), 20, intensities=intensities)
    return replace(known, suffixes=(suffix,), unit=unit, files=files)


GRAY = cells(1).repeat(3, 0)


KNOWN = [
    (facts(tissue(), tissue()), "stained"),
    (facts(tissue(), tissue(), GRAY, GRAY, GRAY), "stained"),  # as in the Data Science Bowl
    (facts(cells(3), suffix=".jpg"), "stained"),
    (facts(mr(3), suffix=".tif"), "mr"),
    (facts(cells(3)), "fluorescence"),
    (facts(cells(1)), "fluorescence"),
    (facts(GRAY), "fluorescence"),
    (facts(255 - cells(1)), "em"),
    (facts(cells(1), unit="nm"), "em"),
    (facts(mr(1), unit="mm"), "mr"),
    (facts(ct(), unit="mm"), "ct"),
    (facts(ct()), "ct"),
    (facts(mr(1), suffix=".dcm"), "mr"),
    (facts(mr(4), files=4), "mr"),
    (facts(mr(4, "float32"), files=4), "mr"),
    (facts(mr(2, "int16"), suffix=".tif"), "mr"),
    (facts(cells(4, "uint16"), suffix=".tif"), "fluorescence"),
    (facts(cells(2, "float32"), unit="µm"), "fluorescence"),
    (facts(cells(3), files=3), "fluorescence"),
    (replace(facts(ct(), unit="mm"), names=("MR",)), "mr"),  # whose values may be negative, too
    (replace(facts(mr(1), unit="mm"), names=("CT",)), "ct"),
    (replace(facts(mr(2), unit="mm"), names=("T1", "FLAIR")), "mr"),
]


@pytest.mark.parametrize(("known", "expected"), KNOWN)
def test_modality(known: Fingerprint, expected: str) -> None:
    planned = plan(Config(), known, device=CPU)
    assert planned.config.data.modality == expected
    stacked = known.channels > 1 and expected != "stained" and not known.intensities[0].gray
    assert planned.config.data.normalization == ("percentile_by_channel" if stacked else "percentile")
    augmentation = planned.config.augmentation
    assert augmentation
    no_stains = known.channels > 2 and expected != "stained"
    unvaried = {"stain": 0.0, "counterstain": 0.0, "fluorescence_to_brightfield": 0.0} if no_stains else {}
    assert augmentation == AugmentationConfig().model_copy(update=unvaried)
    (sentence,) = (one for one in planned.sentences if one.startswith("The images are taken for"))
    assert "Set data.modality" in sentence
    assert ("Stains are not varied" in sentence) == no_stains


def test_the_words_of_modalities(golden: Golden) -> None:
    """The reasons and other readings of all of them, and of one that was stated."""
    made = [plan(Config(), known, device=CPU) for known, _ in KNOWN]
    made.append(plan(Config().changed({"data.modality": "em", "augmentation.stain": 0}), KNOWN[3][0], device=CPU))
    made.append(plan(Config(), replace(KNOWN[0][0], intensities=()), device=CPU))
    made.append(plan(Config(), replace(KNOWN[5][0], intensities=()), device=CPU))
    lines = []
    for one in made:
        lines += [sentence for sentence in one.sentences if sentence.startswith("The images are taken for")]
        changed = ("data.modality", "data.counts", "data.normalization", *STAINS)
        lines += [f"  {said.key} = {said.value}: {said.reason}" for said in one.decisions if said.key in changed]
    golden.check_text("modalities", "\n".join(lines))


def decisions(planned: Plan) -> dict[str, tuple[object, bool]]:
    return {one.key: (one.value, one.overridden) for one in planned.decisions}


def test_what_a_user_sets_is_kept_and_marked() -> None:
    chosen = Config().changed({"augmentation.stain": 0.4, "data.normalization": "percentile"})  # the defaults
    found = decisions(plan(chosen, facts(mr(3)), device=CPU))
    assert found["augmentation.stain"] == (0.4, True)
    assert found["data.normalization"] == ("percentile", True)
    assert found["augmentation.counterstain"] == (0.0, False)
    assert found["data.modality"] == ("mr", False)
    planned = plan(Config().changed({"data.modality": "stained"}), facts(mr(3)), device=CPU)
    assert decisions(planned)["data.modality"] == ("stained", True)
    assert planned.config.augmentation == AugmentationConfig()
    assert planned.config.data.normalization == "percentile"
    assert "Wrong?" not in " ".join(planned.sentences)
    assert any("set; the plan: mr" in one.reason for one in planned.decisions)
    as_mr = plan(Config().changed({"data.modality": "mr"}), facts(tissue()), device=CPU).config
    assert as_mr.data.normalization == "percentile_by_channel"


@pytest.mark.parametrize(("dtype", "counts"), [("uint8", True), ("uint16", True), ("int16", False), ("float32", False)])
def test_whether_channels_are_counts_is_decided_once(dtype: str, counts: bool) -> None:
    planned = plan(Config(), facts(cells(4, dtype), unit="µm"), device=CPU)
    assert decisions(planned)["data.counts"] == (counts, False)
    assert planned.config.data.counts is counts
    told = plan(Config().changed({"data.counts": not counts}), facts(cells(4, dtype), unit="µm"), device=CPU)
    assert decisions(told)["data.counts"] == (not counts, True)
    mixed = plan(Config(), facts(cells(4, dtype), cells(4, "float32" if counts else "uint8"), unit="µm"), device=CPU)
    assert mixed.config.data.counts is None
    assert plan(Config(), facts(tissue()), device=CPU).config.data.counts is None


ORGANS = ChannelIntensities(-120.00001, 40, 210, 35.5, 60)
HEADS = replace(facts(mr(3).astype("float32"), unit="mm"), shapes=((64, 64, 64),), spacings=((1.0, 1.0, 1.0),))


def test_ct_is_scaled_by_the_foreground_of_all_images() -> None:
    planned = plan(Config(), replace(facts(ct(), unit="mm"), foreground=ORGANS), device=CPU)
    data = planned.config.data
    assert (data.normalization, data.window, data.center, data.scale) == ("ct", (-120, 210), 35.5, 60)
    assert planned.config.augmentation
    assert (planned.config.augmentation.noise, planned.config.augmentation.brightness) == (0.2, 0.4)
    assert "Intensities: ct of all images alike." in planned.sentences
    asked = Config().changed({"data.window": [-200, 300], "augmentation.noise": 0.1})
    stated = plan(asked, replace(facts(ct(), unit="mm"), foreground=ORGANS), device=CPU).config
    assert (stated.data.window, stated.data.center) == ((-200, 300), 35.5)
    assert stated.augmentation
    assert stated.augmentation.noise == 0.1
    other = plan(Config().changed({"data.normalization": "percentile"}), facts(ct(), unit="mm"), device=CPU).config
    assert (other.data.normalization, other.data.window) == ("percentile", None)


def test_ct_without_contrast_in_its_foreground_is_refused_where_it_is_asked_for() -> None:
    flat = replace(ORGANS, deviation=0)
    assert plan(Config(), replace(facts(ct()), foreground=flat), device=CPU).config.data.normalization == "percentile"
    for known in (facts(ct()), replace(facts(ct()), foreground=flat)):
        with pytest.raises(UlnaError, match="has no contrast") as caught:
            plan(Config().changed({"data.normalization": "ct"}), known, device=CPU)
        assert "data.window" in (caught.value.hint or "")


def test_of_mr_volumes_what_lies_outside_does_not_count() -> None:
    config = Config().changed({"network.ndim": 3, "training.minutes": 30})
    planned = plan(config, HEADS, device=CPU).config
    assert planned.data.normalization == "zscore_inside"
    assert planned.augmentation
    assert planned.augmentation.noise == 0.2
    full = replace(HEADS, intensities=tuple(replace(one, outside=0.2) for one in HEADS.intensities))
    assert plan(config, full, device=CPU).config.data.normalization == "percentile_by_channel"
    slices = replace(HEADS, shapes=((64, 64),), spacings=((1.0, 1.0),))
    as_slices = plan(Config().changed({"data.slices": 0}), slices, device=CPU).config
    assert as_slices.data.normalization == "zscore_inside"
    assert plan(Config(), slices, device=CPU).config.data.normalization == "percentile_by_channel"


def test_without_augmentation_nothing_is_said_of_stains() -> None:
    planned = plan(Config().changed({"augmentation": None}), facts(mr(3)), device=CPU)
    assert planned.config.augmentation is None
    assert not set(STAINS) & set(decisions(planned))
    assert planned.config.data.normalization == "percentile_by_channel"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("dsb2018/stage1_train.zip", "stained"),
        ("isbi2012", "em"),
        ("segmentation_wbc.zip", "stained"),
        ("lgg-mri-segmentation.zip", "mr"),
        ("monuseg/monuseg_train_crops.zip", "stained"),
    ],
)
def test_real_sets(name: str, expected: str, data: Path, tmp_path: Path) -> None:
    """The plan is what it was where nothing was wrong: nothing but sizes and the modality differ from the defaults."""
    cases = read_dataset(data / name).cases
    cases = cases[:: max(1, len(cases) // 12)]
    config = Config()
    numbered = any(case.objects for case in cases)
    classes = infer([load_truth(case).array for case in cases], config.data, objects=numbered)
    store = build(tmp_path / "store", cases, config=config.data, classes=classes)
    shapes = [shape[1:] for shape in store.shapes]
    decided_before = dimensions(config, shapes, [case.grid.spacing for case in store.cases])
    facts = Fingerprint.of(store.planes() if decided_before else store, classes.names)
    planned = plan(config, facts, device=CPU, decided=decided_before)
    sizes = ("data.channels", "training.epochs", "training.patch", "training.batch_size", "training.final_patch")
    decided = {one.key: one.value for one in planned.decisions}
    assert decided.pop("data.modality") == expected
    assert decided.pop("task.name") == ("instances" if numbered or "monuseg" in name else "semantic")
    assert decided.pop("task.border_weight", 0) == (10 if planned.config.task.name == "instances" else 0)
    assert ("task.class_weights" in decided) == (planned.config.task.name == "instances")
    decided.pop("task.class_weights", None)
    usual = dotted(Config().model_dump())
    others = {
        key
        for key in decided
        if key not in (*sizes, "network.ndim", "data.slices", "training.steps", "training.precision")
        and decided[key] != usual[key]
    }
    assert others == ({"data.normalization", "data.counts", *STAINS} if expected == "mr" else set())
    if name == "isbi2012":
        assert [decided[key] for key in sizes] == [1, 60, (128, 128), 8, (256, 256)]
