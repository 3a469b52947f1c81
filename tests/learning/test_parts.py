from __future__ import annotations

from ulna.config import AugmentationConfig, Config
from ulna.learning.augment import context
from ulna.learning.parts import parts

CONFIG = Config().changed({"training.patch": [128, 128], "training.batch_size": 8})


def test_a_batch_has_as_many_pixels_in_both_parts() -> None:
    learning, settling = parts(CONFIG.changed({"training.settling_patch": [256, 256]}))
    assert (learning.patch, learning.batch_size) == ((128, 128), 8)
    assert (settling.patch, settling.batch_size) == ((256, 256), 2)
    assert parts(CONFIG.changed({"training.settling_patch": [512, 512]}))[1].batch_size == 1


def test_both_parts_are_augmented_and_see_what_that_needs() -> None:
    for part in parts(CONFIG.changed({"training.settling_patch": [256, 256]})):
        assert part.augmentation == AugmentationConfig()
        assert part.window == context(AugmentationConfig(), part.patch)


def test_without_augmentation_the_window_is_the_patch() -> None:
    assert all(part.window == part.patch for part in parts(CONFIG.changed({"augmentation": None})))
