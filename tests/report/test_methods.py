"""The methods of runs, as a paper says them: whole texts, and that what is said follows from what was done."""

from __future__ import annotations

import re
from typing import Any

import pytest

from golden_values import Golden
from ulna.config import Config
from ulna.preset import load_preset
from ulna.report.known import Facts
from ulna.report.methods import methods
from ulna.report.references import REFERENCES

SIZES = {"training.patch": [128, 128], "training.batch_size": 8, "data.channels": 1, "training.precision": "float32"}
VOLUME = {
    "network.ndim": 3,
    "network.widths": [32, 64, 128],
    "network.kernels": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
    "network.strides": [[1, 2, 2], [2, 2, 2]],
    "training.patch": [16, 64, 64],
    "training.final_patch": [32, 128, 128],
    "training.batch_size": 2,
    "data.channels": 4,
    "training.precision": "bf16",
}
MACHINE = {"processor": "Some CPU", "cores": 8, "memory": "32.0 GiB", "system": "Linux"}
REGIONS = {"names": ["background", "edema", "core"], "regions": [["whole", [1, 2]], ["core", [2]]]}  # as run.json
ROWS = [{"epoch": "1", "step": "20"}, {"epoch": "2", "step": "40"}]
GROUPS = {"a": "one", "b": "one", "c": "two"}


def facts(**record: Any) -> Facts:
    known = {
        "classes": {"names": ["background", "cell"]},
        "asked": {"training": {"patch": []}, "network": {"kernels": 3}},
        "versions": {"ulna": "1.2.3", "python": "3.11.2", "torch": "2.13.0"},
        "machine": MACHINE,
        "device": "cpu",
        "seconds": 615,
        "weights": "last",
        "parameters": 1234567,
        "split": "drawn",
    }
    interval = {"mean": 0.9, "mean_interval": [0.8, 0.95]}
    metrics = {"overall": {"dice": interval, "iou": interval}, "groups": 7, "cases": 9, "interval": {"draws": 2000}}
    return Facts(known | record, metrics, ROWS, GROUPS, ["a", "b"], ["c"])


def text(config: Config, known: Facts) -> str:
    return " ".join(methods(config, known)[0])


def scored(known: Facts, *measures: str) -> Facts:
    overall = {name: {"mean": 0.5, "mean_of_groups": {"x": 0.4, "y": 0.6}} for name in measures}
    return Facts(known.record, {"overall": overall, "groups": 2}, *list(vars(known).values())[2:])


CONFIGS: dict[str, tuple[Config, Facts]] = {
    "the default on fluorescence": (
        load_preset("default").changed(SIZES | {"data.modality": "fluorescence", "task.name": "semantic"}),
        facts(),
    ),
    "an organ in one piece": (
        load_preset("default").changed(SIZES | {"data.modality": "ct", "task.name": "semantic"}),
        facts(fitted={"task.largest_component": ["liver"]}, fitted_on="held out"),
    ),
    "objects of two classes on tissue": (
        load_preset("default").changed(
            SIZES | {"data.channels": 3, "data.modality": "stained", "task.name": "instances", "training.minutes": 10}
        ),
        scored(
            facts(
                classes={"names": ["background", "nucleus", "other"]},
                fitted={"task.decoding.foreground": 0.4, "task.decoding.seed": 0.5},
                fitted_on="held out",
                device="Some GPU, 80.0 GiB, CUDA 12.8",
            ),
            "ap_50",
            "pq",
            "dice",
        ),
    ),
    "regions in volumes by nnU-Net's rules": (
        load_preset("default").changed(
            VOLUME
            | {
                "data.modality": "mr",
                "data.normalization": "zscore_inside",
                "data.target_spacing": [0, 1.5, 1.5],
                "data.unit": "mm",
                "data.regions": {"whole": [1, 2], "core": [2]},
                "task.name": "regions",
                "inference.mirror": True,
                "augmentation.slices": 0,
                "augmentation.elastic": 0.0,
                "augmentation.low_resolution": 0.25,
                "network.deep_supervision": False,
            }
        ),
        scored(facts(folds=5, classes=REGIONS), "dice", "hd95", "surface_dice"),
    ),
    "the paper": (load_preset("paper").changed({"data.channels": 1}), facts(weights="of the best epoch")),
    "FCN-8s": (load_preset("fcn8").changed(SIZES | {"data.channels": 3}), facts(split="of the data set")),
    "the tutorial": (load_preset("tutorial"), facts()),
    "brain tumors slice by slice": (load_preset("intel-2d").changed({"data.channels": 1}), facts()),
}


def test_the_methods_of_several_runs(golden: Golden) -> None:
    parts = []
    for name, (config, known) in CONFIGS.items():
        paragraphs, references = methods(config, known)
        parts += [f"# {name}", *paragraphs, *(f"{n}. {one}" for n, one in enumerate(references, start=1)), ""]
    golden.check_text("methods", "\n".join(parts))


@pytest.mark.parametrize("name", CONFIGS)
def test_numbers_in_brackets_are_those_of_the_list_in_their_order(name: str) -> None:
    paragraphs, references = methods(*CONFIGS[name])
    numbers = [int(n) for found in re.findall(r"\[([\d, ]+)\]", " ".join(paragraphs)) for n in found.split(", ")]
    assert list(dict.fromkeys(numbers)) == list(range(1, len(references) + 1))


def test_every_reference_is_cited_somewhere() -> None:
    cited = {one.key for config, known in CONFIGS.values() for one in methods(config, known)[1]}
    more = {
        "network.encoder_blocks": [1, 3, 4, 6, 6],
        "network.deep_supervision": True,
        "task.name": "instances",
        "task.target": "neighbors",
    }
    config = load_preset("default").changed(SIZES | more)
    cited |= {one.key for one in methods(config, scored(facts(), "rand"))[1]}
    assert set(REFERENCES) == cited


def test_a_paper_is_cited_only_where_it_applies() -> None:
    plain = CONFIGS["the default on fluorescence"]
    cited = {one.key for one in methods(*plain)[1]}
    for key, change in {
        "cicek2016unet3d": "3D",
        "isensee2021nnunet": "nnU-Net",
        "long2015fcn": "FCN",
        "naylor2019distance": "distance",
        "kingma2015adam": "Adam ",
        "kirillov2019panoptic": "panoptic",
    }.items():
        assert key not in cited
        assert change not in text(*plain)
    assert {"ronneberger2015unet", "jordan2024muon", "loshchilov2019adamw", "dice1945measures"} <= cited


def test_a_group_on_both_sides_is_said() -> None:
    known = facts()
    shared = Facts(known.record, known.metrics, ROWS, GROUPS, ["a"], ["b", "c"])
    config = CONFIGS["the default on fluorescence"][0]
    assert "no group is on both sides" in text(config, known)
    assert "no group is on both sides" not in text(config, shared)
    assert "Images of one group lie on both sides, so scores are optimistically biased." in text(config, shared)
    unknown = Facts(known.record, known.metrics, ROWS, {}, ["a"], ["b"])
    assert "group" not in methods(config, unknown)[0][0].replace("as one group", "")
    slab = Facts(known.record, known.metrics, ROWS, {"v": "v"}, ["v[0:9]"], ["v[9:12]"])
    assert "optimistically biased" in text(config, slab)


def test_no_interval_is_claimed_where_there_is_none() -> None:
    config = CONFIGS["the default on fluorescence"][0]
    assert "studentized bootstrap" in text(config, facts())
    alone = text(config, scored(facts(), "dice"))
    assert "studentized bootstrap" not in alone
    assert "With 2 groups no confidence interval is given." in alone


def test_what_is_switched_off_is_not_claimed() -> None:
    config = CONFIGS["the default on fluorescence"][0]
    bare = config.changed({"augmentation": None, "training.clip": None, "data.leaks": False})
    told = text(bare, facts(versions={}, machine={}, parameters=None))
    assert "Training images were not varied." in told
    for words in ("clipped", "near-duplicates", "stain", "parameters", "PyTorch", "Some CPU"):
        assert words not in told
    assert "stain" not in text(config, facts())  # of gray images
    assert "second, unevenly spread stain" in text(*CONFIGS["objects of two classes on tissue"])


def test_how_long_it_took_is_counted_as_in_the_table() -> None:
    assert "It took 40 steps in 2 epochs (10 min 15 s in all)." in text(*CONFIGS["the default on fluorescence"])
    assert "All folds together took 10 min 15 s." in text(*CONFIGS["regions in volumes by nnU-Net's rules"])
