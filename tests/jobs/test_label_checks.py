"""What `check` says of masks beyond their meaning."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from simulated_masks import organs
from small_data import cells
from ulna.jobs.check import check


def put(folder: Path, masks: list[np.ndarray], suffix: str = "png") -> Path:
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    for number, mask in enumerate(masks):
        Pillow.fromarray(cells(mask.shape, number)[0]).save(folder / "images" / f"c{number}.png")
        Pillow.fromarray(mask).save(folder / "masks" / f"c{number}.{suffix}")
    return folder


@pytest.mark.parametrize(("suffix", "factor", "said"), [("jpg", 1, True), ("png", 1, False), ("jpg", 80, True)])
def test_classes_in_jpeg_are_not_to_be_trusted(tmp_path: Path, suffix: str, factor: int, *, said: bool) -> None:
    found = check(put(tmp_path, [mask[0] * factor for mask in organs(0, 3)], suffix))
    assert sum("JPEG" in problem.what for problem in found.problems) == said
    if factor == 1 and said:
        (problem,) = [one for one in found.problems if "JPEG" in one.what]
        assert problem.severity == "warning"
        assert "numbers of classes or objects are not to be trusted" in problem.what
        assert len(problem.where) == len(organs(0, 3))


def test_masks_without_background_are_named(tmp_path: Path) -> None:
    masks = [cells((64, 64), number)[1] for number in range(8)]
    masks[3] = np.full_like(masks[3], 255)
    (problem,) = [one for one in check(put(tmp_path, masks)).problems if "background" in one.what]
    assert (problem.severity, problem.where) == ("note", ("c3",))
    assert problem.what == "1 mask shows no background at all"


def test_files_of_objects_that_show_none_are_named(tmp_path: Path) -> None:
    """An empty one, and one that another covers; the others are counted."""
    for number in range(4):
        image, mask = cells((64, 64), number)
        folder = tmp_path / f"c{number}"
        for part in ("images", "masks"):
            (folder / part).mkdir(parents=True)
        Pillow.fromarray(image).save(folder / "images" / f"c{number}.png")
        whole, half = mask, np.where(np.arange(64) < 32, mask, 0).astype(np.uint8)
        files = [whole, half, mask * 0] if number == 2 else [half, mask - half]
        for index, one in enumerate(files):
            Pillow.fromarray(one).save(folder / "masks" / f"{index}f3{index}.png")
    found = check(tmp_path)
    (problem,) = [one for one in found.problems if "show" in one.what]
    assert problem.where == ("c2: 2 files",)
    assert problem.what == "2 files of one object show nothing: empty, or covered by other objects"
    assert found.facts["objects"].startswith("7 in all, 1 to 2 ")
