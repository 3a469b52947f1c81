from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulna.config import Config
from ulna.image import Array
from ulna.store import Store
from ulna.training import preview
from ulna.training.batches import Batches
from ulna.training.phases import phases
from ulna.training.preview import picture_of_augmentation

CONFIG = Config().changed({"data.channels": 1, "training.patch": [32, 32], "training.batch_size": 2})
Sample = tuple[Array, Array]


def test_the_picture_of_augmentation_is_written(stores: tuple[Store, Store], tmp_path: Path) -> None:
    picture_of_augmentation(tmp_path / "augmented.png", CONFIG, stores[0])
    assert (tmp_path / "augmented.png").stat().st_size > 10_000


def test_four_patches_are_shown_beside_five_draws_of_each(
    stores: tuple[Store, Store], monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[tuple[Path, list[Sample], list[list[Sample]]]] = []
    monkeypatch.setattr(preview, "augmented_picture", lambda *given: shown.append(given))
    picture_of_augmentation(Path("a.png"), CONFIG, stores[0])
    ((path, originals, variations),) = shown
    assert path == Path("a.png")
    assert (len(originals), [len(row) for row in variations]) == (4, [5] * 4)
    config = CONFIG.changed({"training.batch_size": 4, "training.foreground": 1.0})
    batch = Batches(stores[0], config.training, phases=phases(config)).batch(0)
    margin = (batch.images.shape[-1] - 32) // 2
    for place, ((image, truth), row) in enumerate(zip(originals, variations, strict=True)):
        inner = (slice(None), slice(margin, margin + 32), slice(margin, margin + 32))
        np.testing.assert_array_equal(image, batch.images[place].numpy()[inner])
        np.testing.assert_array_equal(truth, batch.truth[place].numpy()[inner])
        assert truth.any()
        assert len({varied.tobytes() for varied, _ in row}) == 5
