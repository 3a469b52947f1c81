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


def test_at_the_end_nothing_is_moved_but_intensities_vary() -> None:
    learning, settling = parts(CONFIG)
    assert learning.augmentation == AugmentationConfig()
    assert learning.window == context(AugmentationConfig(), (128, 128))
    assert settling.augmentation == AugmentationConfig(spatial_probability=0.0)
    assert settling.window == settling.patch == (128, 128)


def test_without_augmentation_there_is_none_at_the_end() -> None:
    assert all(part.augmentation is None for part in parts(CONFIG.changed({"augmentation": None})))
