from __future__ import annotations

from pathlib import Path

from ulna.config import Config
from ulna.store import Store
from ulna.training.preview import picture_of_augmentation


def test_the_picture_of_augmentation_is_written(stores: tuple[Store, Store], tmp_path: Path) -> None:
    config = Config().changed({"data.channels": 1, "training.patch": [32, 32]})
    picture_of_augmentation(tmp_path / "augmented.png", config, stores[0])
    assert (tmp_path / "augmented.png").stat().st_size > 10_000
