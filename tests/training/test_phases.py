from __future__ import annotations

from ulna.config import AugmentationConfig, Config
from ulna.training.augmentation import context
from ulna.training.phases import phases

CONFIG = Config().changed({"training.patch": [128, 128], "training.batch_size": 8})


def test_a_batch_has_as_many_pixels_in_both_parts() -> None:
    learning, final = phases(CONFIG.changed({"training.final_patch": [256, 256]}))
    assert (learning.patch, learning.batch_size) == ((128, 128), 8)
    assert (final.patch, final.batch_size) == ((256, 256), 2)
    assert phases(CONFIG.changed({"training.final_patch": [512, 512]}))[1].batch_size == 1


def test_both_parts_are_augmented_and_see_what_that_needs() -> None:
    for phase in phases(CONFIG.changed({"training.final_patch": [256, 256]})):
        assert phase.augmentation == AugmentationConfig()
        assert phase.window == context(AugmentationConfig(), phase.patch)


def test_without_augmentation_the_window_is_the_patch() -> None:
    assert all(phase.window == phase.patch for phase in phases(CONFIG.changed({"augmentation": None})))
