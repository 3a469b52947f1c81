from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from skimage import measure

from ulna.config import Config, DataConfig
from ulna.dataset import load_truth
from ulna.errors import UlnaError
from ulna.labels.inference import infer
from ulna.layouts import read_dataset
from ulna.networks import UNet
from ulna.planning import FALLBACK_EPOCHS, SHORT_WIDTHS, Fingerprint, plan
from ulna.preset import load_preset
from ulna.store import build
from ulna.synthetic import write_dataset

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
