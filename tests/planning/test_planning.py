from __future__ import annotations

import io
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from rich.console import Console
from skimage import measure

from golden_values import Golden
from ulna import formats
from ulna.config import Config, DataConfig, dotted
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.image import Grid, Image, Source
from ulna.labels.inference import infer
from ulna.labels.touching import Touching
from ulna.layouts import read_dataset
from ulna.networks import UNet
from ulna.planning import FALLBACK_EPOCHS, SHORT_WIDTHS, Fingerprint, dimensions, plan, spacings
from ulna.planning.decisions import decide
from ulna.planning.summary import sentences
from ulna.preset import load_preset
from ulna.store import build
from ulna.synthetic import write_dataset
from ulna.truth import load_truth

CPU = torch.device("cpu")
FACTS = Fingerprint(3, tuple((256, 320) for _ in range(40)), ("background", "cell"), 20)


def test_nothing_is_left_open() -> None:
    planned = plan(Config(), FACTS, device=CPU).config
    training = planned.training
    assert planned.data.channels == 3
    assert training.epochs == FALLBACK_EPOCHS
    assert (training.patch, training.batch_size) == ((128, 128), 8)
    assert training.steps == 25  # 40 images of 5 patches each, 8 at once
    assert training.precision in ("bf16", "float32")


def test_what_was_chosen_stays() -> None:
    chosen = {"training.patch": [64, 96], "training.batch_size": 3, "training.steps": 7, "training.epochs": 2}
    training = plan(Config().changed(chosen), FACTS, device=CPU).config.training
    assert (training.patch, training.batch_size, training.steps, training.epochs) == ((64, 96), 3, 7, 2)
    assert training.minutes is None


def test_a_short_time_takes_a_smaller_network() -> None:
    short = plan(Config().changed({"training.minutes": 1}), FACTS, device=CPU).config
    long = plan(Config().changed({"training.minutes": 30}), FACTS, device=CPU).config
    assert short.network.widths == SHORT_WIDTHS
    assert len(long.network.widths) > len(short.network.widths)
    assert short.training.epochs is None


def test_a_short_time_takes_a_network_for_volumes_of_fewer_levels() -> None:
    facts = Fingerprint(1, ((32, 64, 64),) * 5, ("background", "organ"), 1, spacings=((1.0, 1.0, 1.0),) * 5)
    config = Config().changed({"network.ndim": 3})
    short, long = (plan(config.changed({"training.minutes": m}), facts, device=CPU) for m in (1, 120))
    assert [len(one.config.network.widths) for one in (short, long)] == [4, 5]
    assert [len(one.config.network.kernels) for one in (short, long)] == [4, 5]
    why = {one.key: one.reason for one in short.decisions}
    assert why["network.widths"] == "a deeper network learns nothing in less than 3 minutes"
    assert why["training.patch"].startswith("median image 32 × 64 × 64 voxels")
    assert len([one for one in short.decisions if one.key == "network.widths"]) == 1


@pytest.mark.parametrize(("size", "patch"), [((20, 50), (32, 64)), ((1, 1), (16, 16)), ((500, 100), (128, 112))])
def test_patches_suit_small_images_and_the_pooling(size: tuple[int, int], patch: tuple[int, int]) -> None:
    facts = Fingerprint(1, (size,) * 5, ("background", "cell"), 20)
    assert plan(Config(), facts, device=CPU).config.training.patch == patch


@pytest.mark.parametrize(
    ("size", "changes", "patch"),
    [
        ((520, 696), {}, (256, 256)),
        ((200, 90), {}, (208, 96)),
        ((520, 696), {"training.patch": [320, 64]}, (320, 256)),
        ((520, 696), {"training.final_patch": [64, 64]}, (64, 64)),
        ((520, 696), {"training.final_phase": 0.0}, ()),
    ],
)
def test_it_settles_on_patches_that_show_whole_images(
    size: tuple[int, int], changes: dict[str, object], patch: tuple[int, ...]
) -> None:
    facts = Fingerprint(1, (size,) * 5, ("background", "cell"), 20)
    planned = plan(Config().changed(changes), facts, device=CPU)
    assert planned.config.training.final_patch == patch
    assert ("In the last 30%" in " ".join(planned.sentences)) == bool(patch)


def test_each_axis_has_a_patch_that_suits_its_pooling() -> None:
    sides = {"network.kernels": [[1, 3, 3], [3, 3, 3]], "network.strides": [[1, 2, 2]], "network.widths": [4, 8]}
    facts = Fingerprint(1, ((5, 31, 200),) * 5, ("background", "cell"), 20)
    config = Config().changed(sides | {"network.ndim": 3})
    assert plan(config, facts, device=CPU).config.training.patch == (5, 32, 200)
    with pytest.raises(UlnaError, match=r"Set it to \d+ or more"):
        plan(config.changed({"inference.tile": 12, "inference.tiling": "exact"}), facts, device=CPU)


@pytest.mark.parametrize(("objects", "patch", "batch"), [(1.0, (256, 256), 2), (4.0, (128, 128), 8)])
def test_of_few_objects_the_whole_image_is_seen(objects: float, patch: tuple[int, int], batch: int) -> None:
    training = plan(Config(), replace(FACTS, objects=objects), device=CPU).config.training
    assert (training.patch, training.batch_size) == (patch, batch)


def test_the_facts_of_images(tmp_path: Path) -> None:
    write_dataset(tmp_path / "cells", 4, size=(48, 64), seed=1)
    cases = read_dataset(tmp_path / "cells").cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    store = build(tmp_path / "cache", cases, config=DataConfig(), classes=classes)
    facts = Fingerprint.of(store, classes.names)
    assert (facts.channels, facts.shapes, facts.classes) == (1, ((48, 64),) * 4, classes.names)
    assert facts.objects == np.median([measure.label(store.truth(k)[0] > 0, connectivity=1).max() for k in range(4)])


def test_the_foreground_of_all_images_is_measured_together(tmp_path: Path) -> None:
    write_dataset(tmp_path / "cells", 4, size=(48, 64), seed=1)
    cases = read_dataset(tmp_path / "cells").cases
    classes = infer([load_truth(case).array for case in cases], DataConfig())
    store = build(tmp_path / "cache", cases, config=DataConfig(), classes=classes)
    found = Fingerprint.of(store, classes.names).foreground
    values = np.concatenate([store.raw(k)[0][store.truth(k)[0] > 0] for k in range(4)]).astype(np.float64)
    assert found is not None
    assert (found.low, found.median, found.high) == pytest.approx(np.percentile(values, (0.5, 50, 99.5)), rel=0.02)
    assert (found.mean, found.deviation) == pytest.approx((values.mean(), values.std()), rel=0.02)


def test_a_short_time_changes_no_network_that_was_chosen() -> None:
    for chosen in ({"network.widths": [8, 16, 32, 64, 128]}, {"network.name": "fcn8"}):
        config = Config().changed(chosen | {"training.minutes": 1})
        assert plan(config, FACTS, device=CPU).config.network == config.network


def test_patches_suit_valid_convolutions() -> None:
    planned = plan(Config().changed({"network.padding": "valid"}), FACTS, device=CPU).config
    network = UNet(3, 1, widths=planned.network.widths, padding="valid").eval()
    assert planned.training.patch == (188, 188)
    assert network(torch.zeros(1, 3, *planned.training.patch)).shape[2:] == (4, 4)


@pytest.mark.parametrize("name", ["training.patch", "training.final_patch"])
def test_patches_that_the_network_does_not_take_are_refused_before_it_trains(name: str) -> None:
    config = Config().changed({"network.padding": "valid", name: [200, 188]})
    with pytest.raises(UlnaError, match=rf"{name}: the network does not take patches of \[200, 188\]") as caught:
        plan(config, FACTS, device=CPU)
    assert caught.value.hint == "Try [204, 188]."


def test_the_tutorial_resizes() -> None:
    planned = plan(load_preset("tutorial"), FACTS, device=CPU)
    assert planned.config.training.patch == (128, 128)
    assert planned.config.training.steps == 5  # 40 images, 8 at once
    assert any("resized to 128×128" in sentence for sentence in planned.sentences)


def test_it_is_said_in_words() -> None:
    told = " ".join(plan(Config().changed({"training.minutes": 10}), FACTS, device=CPU).sentences)
    for words in ("3 channels in", "it learns cell", "128×128", "10 minutes", "one-cycle", "dice + cross-entropy"):
        assert words in told


def test_every_decision_says_why_and_what_was_set_is_marked() -> None:
    planned = plan(Config().changed({"training.batch_size": 3, "training.steps": 0}), FACTS, device=CPU)
    found = {one.key: one for one in planned.decisions}
    assert all(one.reason for one in planned.decisions)
    assert [one.key for one in planned.decisions if one.overridden] == ["training.batch_size"]
    assert (found["training.batch_size"].value, found["training.patch"].value) == (3, (128, 128))
    assert found["training.batch_size"].reason.startswith("set; the plan: 8 (")
    assert "20 objects per image" in found["training.patch"].reason
    for one in planned.decisions:
        assert dotted(planned.config.model_dump())[one.key] == one.value


def test_the_plan_as_yaml_holds_what_was_asked_and_the_rest_as_comments() -> None:
    asked = Config().changed({"training.minutes": 1, "network.dropout": 0.1})
    planned = plan(asked, FACTS, device=CPU)
    text = planned.yaml(asked)
    assert Config.parse(yaml.safe_load(text)) == asked
    # without the marks of comments decisions are settings, and the plan of these is the same
    plain = "\n".join(line.removeprefix("# ") for line in text.splitlines() if not line.startswith("# preset"))
    assert Config.parse(yaml.safe_load(plain)) == planned.config


def test_a_section_that_is_off_as_a_whole_stays_off() -> None:
    asked = Config().changed({"augmentation": None, "training.minutes": 1})
    assert Config.parse(yaml.safe_load(plan(asked, FACTS, device=CPU).yaml(asked))) == asked


def test_the_plan_as_a_table() -> None:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(plan(Config(), FACTS, device=CPU))
    shown = console.export_text()
    assert "training.patch" in shown
    assert "[128, 128]" in shown


def test_the_fingerprint_of_labels(tmp_path: Path) -> None:
    labels = np.zeros((1, 20, 30), np.uint8)
    labels[0, 2:6, 2:7], labels[0, 10:12, 10:12], labels[0, 15:, :] = 1, 2, 9
    formats.write(tmp_path / "image.tif", Image(labels * 3, Grid((20, 30), (0.5, 0.25), "µm")))
    formats.write(tmp_path / "labels.png", Image(labels))
    config = DataConfig(values=((0,), (1,), (2,)), ignore=(9,))
    cases = [Case(name, (Source(tmp_path / "image.tif"),), (Source(tmp_path / "labels.png"),), "g") for name in "ab"]
    store = build(tmp_path / "cache", cases, config=config, classes=infer([labels], config))
    facts = Fingerprint.of(store, ("background", "a", "b"))
    assert (facts.objects, facts.groups, facts.suffixes, facts.files) == (2, 1, (".tif",), 1)
    assert facts.object_sizes == tuple(np.percentile([20, 4, 20, 4], (5, 50, 95)))
    assert facts.touching == Touching(2, 4, 2, 0)
    assert facts.class_shares == (426 / 450, 20 / 450, 4 / 450)
    assert (facts.spacings, facts.unit) == (((0.5, 0.25),) * 2, "µm")
    assert facts.intensities[0].largest == 27
    assert facts.memory > 0
    assert facts.cores >= 1


def test_strokes_are_pieces_of_one_object_that_no_background_parts(tmp_path: Path) -> None:
    labels = np.full((1, 20, 30), 9, np.uint8)
    labels[0, 3, 3:9] = labels[0, 6, 3:9] = labels[0, 16, 20:25] = 1
    labels[0, 11, :] = 0
    config = DataConfig(values=((0,), (1,)), ignore=(9,), regions=(("all", (1,)),))
    formats.write(tmp_path / "labels.png", Image(labels))
    case = Case("a", (Source(tmp_path / "labels.png"),), (Source(tmp_path / "labels.png"),))
    classes = infer([labels], config)
    facts = Fingerprint.of(
        build(tmp_path / "cache", [case], config=config, classes=classes), classes.names, classes.regions
    )
    assert (facts.objects, facts.object_sizes[1]) == (2, np.median([12, 5]))
    assert facts.region_shares == (("all", 17 / 47),)
    task = next(one for one in plan(Config(), facts, device=CPU).decisions if one.key == "task.name")
    assert (task.value, "all 36.2%" in task.reason) == ("regions", True)


def test_an_epoch_has_at_most_250_steps() -> None:
    many = replace(FACTS, shapes=tuple((512, 512) for _ in range(400)))
    planned = plan(Config(), many, device=CPU)
    assert planned.config.training.steps == 250
    (why,) = [one.reason for one in planned.decisions if one.key == "training.steps"]
    assert why == "about one pass over all pixels, at most 250"


def test_the_plan_in_sentences() -> None:
    planned = plan(Config().changed({"training.epochs": 1}), FACTS, device=CPU)
    said = sentences(planned.config, FACTS, ())
    assert said[0] == (
        "A 2D U-Net with 5 levels of 16 to 256 channels, instance norm, same padding; 3 channels in; it learns cell."
    )
    assert said[1] == "Intensities: percentile of each image."
    assert "Batches of 8 patches of 128×128 pixels" in said[2]
    assert ", varied by augmentation." in said[2]
    assert ", not augmented." in sentences(planned.config.model_copy(update={"augmentation": None}), FACTS, ())[2]
    assert "In the last 30% of the training patches have 256×256 pixels." in said[2]
    assert said[3].endswith("1 epoch.")
    assert len(said) == 4
    resized = planned.config.changed({"data.resize": [64, 96], "training.minutes": 2, "training.final_phase": 0})
    said = sentences(resized, FACTS, ())
    assert said[1].endswith("Images are resized to 64×96.")
    assert "In the last" not in said[2]
    assert said[3].endswith("2 minutes in all.")


def test_masks_that_number_objects_are_learned_as_objects() -> None:
    numbered = replace(FACTS, numbered=True, class_shares=(0.8, 0.2))
    assert plan(Config(), FACTS, device=CPU).config.task.name == "semantic"
    assert plan(Config(), numbered, device=CPU).config.task.name == "instances"
    stated = Config().changed({"task.name": "semantic"})
    found = plan(stated, numbered, device=CPU)
    assert found.config.task.name == "semantic"
    assert next(one for one in found.decisions if one.key == "task.name").overridden


def test_objects_of_masks_that_number_none_are_connected_pieces_and_that_is_said() -> None:
    connected = replace(FACTS, touching=Touching(40, 800, 390, 30))
    asked = Config().changed({"task.name": "instances"})
    said = plan(asked, connected, device=CPU).sentences[2]
    assert said.startswith("Masks do not number their objects: each connected piece is learned as one. There are 800 ")
    assert "30 of which look like several objects that touch" in said
    for config, facts in ((Config(), connected), (asked, replace(connected, numbered=True, touching=None))):
        assert not any("connected piece" in one for one in plan(config, facts, device=CPU).sentences)


def test_classes_that_only_images_held_out_show() -> None:
    two = replace(FACTS, classes=("background", "a", "b"), class_shares=(0.9, 0.1, 0))
    assert "No image to learn from shows 'b': that cannot be learned." in plan(Config(), two, device=CPU).sentences
    with pytest.raises(UlnaError, match="nothing but background: every mask that shows more is held out"):
        plan(Config(), replace(two, class_shares=(1, 0, 0)), device=CPU)


def test_with_border_weights_classes_weigh_the_same_together() -> None:
    facts = replace(FACTS, class_shares=(0.8, 0.2))
    config = plan(Config().changed({"task.border_weight": 10}), facts, device=CPU).config
    assert config.task.class_weights == (0.625, 2.5)
    assert plan(Config(), facts, device=CPU).config.task.class_weights is None
    stated = Config().changed({"task.border_weight": 10, "task.class_weights": [1, 3]})
    assert plan(stated, facts, device=CPU).config.task.class_weights == (1, 3)


PLANS: tuple[tuple[dict[str, object], dict[str, object]], ...] = (
    ({}, {}),
    ({"training.minutes": 1}, {"objects": 2, "numbered": True, "class_shares": (0.9, 0.1)}),
    ({"training.minutes": 1.5, "network.dropout": 0.1, "task.border_weight": 5}, {"class_shares": (0.75, 0.25)}),
    ({"training.epochs": 3, "training.batch_size": 5, "training.patch": [64, 96]}, {"channels": 1}),
    ({"network.ndim": 3, "training.sampling": "images"}, {"shapes": ((20, 90, 70), (40, 60, 80)), "objects": 3.5}),
    ({"data.resize": [64, 96], "training.final_phase": 0}, {"classes": ("background", "a", "b"), "objects": 3}),
    ({"augmentation": None, "data.modality": "ct", "network.padding": "valid"}, {"channels": 2}),
)


def test_plans_in_words(golden: Golden) -> None:
    """Sentences, YAML and table of plans, complete."""
    text = ""
    for changes, facts in PLANS:
        asked = Config().changed({"training.precision": "float32"} | changes)
        made = plan(asked, replace(FACTS, **facts), device=CPU)
        console = Console(width=200, record=True, file=io.StringIO())
        console.print(made)
        table = "\n".join(line.rstrip() for line in console.export_text().splitlines())
        text += "\n".join([f"# {changes} {facts}", *made.sentences, made.yaml(asked), table, ""])
    golden.check_text("plans", text)


@pytest.mark.parametrize("patch", [(24, 24, 24), (12, 40, 20), (2, 64, 64)])
def test_the_network_pools_as_suits_the_patch_that_is_set(patch: tuple[int, ...]) -> None:
    facts = Fingerprint(1, ((64, 64, 64),) * 4, ("background", "organ"), 1, spacings=((1, 1, 1),) * 4, unit="mm")
    config = Config().changed({"network.ndim": 3, "training.patch": patch, "training.minutes": 60})
    planned = plan(config, facts, device=CPU)
    assert planned.config.training.patch == patch
    own = plan(Config().changed({"network.ndim": 3, "training.minutes": 60}), facts, device=CPU)
    (decision,) = (one for one in planned.decisions if one.key == "training.patch")
    assert decision.reason.startswith(f"set; the plan: {'×'.join(map(str, own.config.training.patch))} ")


def test_how_volumes_are_seen_is_said() -> None:
    grids = [Grid((20, 64, 64), (5, 0.8, 0.8), "mm")] * 4
    facts = Fingerprint(1, ((64, 64),) * 80, ("background", "organ"), 1, spacings=((0.8, 0.8),) * 80, unit="mm")
    decided = dimensions(Config(), [grid.shape for grid in grids], [grid.spacing for grid in grids])
    decided += spacings(Config().changed({one.key: one.value for one in decided}), grids)
    said = " ".join(plan(Config(), facts, device=CPU, decided=decided).sentences)
    assert "Volumes are learned slice by slice, along the axis Z: slices lie 6.2 times as far apart" in said
    assert "Images are seen at a spacing of 0.8 × 0.8 mm along Y and X: the median of 5 × 0.8 × 0.8 mm" in said


def test_patches_of_volumes_grow_with_time_and_are_smaller_for_cells() -> None:
    organs = Fingerprint(1, ((150, 200, 200),) * 5, ("background", "organ"), 1, spacings=((1.0, 1.0, 1.0),) * 5)
    config = Config().changed({"network.ndim": 3})

    def voxels(facts: Fingerprint, minutes: float) -> int:
        return prod(plan(config.changed({"training.minutes": minutes}), facts, device=CPU).config.training.patch)

    sizes = [voxels(organs, minutes) for minutes in (10, 60, 300)]
    assert sizes == sorted(sizes)
    assert sizes[2] > 3 * sizes[0]
    assert voxels(replace(organs, objects=40), 300) < sizes[1]


def test_a_share_of_nothing_is_a_choice_and_a_size_of_nothing_is_none() -> None:
    config = Config().changed({"augmentation.low_resolution": 0.0, "training.batch_size": 0})
    assert decide(config, "augmentation.low_resolution", 0.25, "why").value == 0.0
    assert decide(config, "training.batch_size", 8, "why").value == 8


def test_a_residual_encoder_has_as_many_levels_as_it_has_numbers_at_most() -> None:
    organs = Fingerprint(1, ((10, 220, 220),) * 5, ("background", "organ"), 1, spacings=((8.0, 1.4, 1.4),) * 5)
    config = Config().changed({"network.ndim": 3, "training.minutes": 300})
    for blocks, levels in (([], 6), ([1, 3, 4, 6, 6], 5), ([1, 3, 4, 6, 6, 6, 6], 6)):
        planned = plan(config.changed({"network.encoder_blocks": blocks}), organs, device=CPU).config
        assert len(planned.network.widths) == levels
