"""What `check` says of objects whose numbers cannot be taken as they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Pillow
from scipy import ndimage

from ulna.errors import UlnaError
from ulna.jobs.check import Check, check
from ulna.jobs.train import train
from ulna.synthetic import cells

CELLS = [(image[0], labels[0]) for image, labels in cells(12, (128, 128))]
NUMBERED = [labels.astype(np.uint16) for _, labels in CELLS]
BINARY = [np.where(labels > 0, 255, 0).astype(np.uint8) for _, labels in CELLS]


def put(folder: Path, masks: list[np.ndarray]) -> Path:
    """Images of cells, with these masks."""
    for part in ("images", "masks"):
        (folder / part).mkdir()
    for number, mask in enumerate(masks):
        image = np.resize(CELLS[number][0], mask.shape)
        tifffile.imwrite(folder / "images" / f"c{number:02d}.tif", image)
        tifffile.imwrite(folder / "masks" / f"c{number:02d}.tif", mask)
    return folder


def said(found: Check, words: str) -> tuple[str, str, tuple[str, ...]]:
    """The only problem that says this."""
    (problem,) = [one for one in found.problems if words in one.what]
    return problem.severity, problem.what, problem.where


def test_numbered_objects_are_counted_and_nothing_is_wrong(tmp_path: Path) -> None:
    found = check(put(tmp_path, NUMBERED))
    assert found.problems == ()
    counts = [int(mask.max()) for mask in NUMBERED]
    assert found.facts["objects"] == f"{sum(counts)} in all, {min(counts)} to {max(counts)} per image"


def test_binary_masks_in_which_objects_touch(tmp_path: Path) -> None:
    found = check(put(tmp_path, BINARY))
    pieces = sum(ndimage.label(mask)[1] for mask in BINARY)
    words = f"not numbered: {pieces} connected pieces in 12 masks, 11 of which look like several objects"
    assert found.facts["objects"].startswith(words)
    assert not found.problems


def test_pieces_that_are_round_are_no_fact(tmp_path: Path) -> None:
    y, x = np.mgrid[:128, :128]
    disks = [np.uint8(255) * ((y - 40) ** 2 + (x - 30 - n) ** 2 < 200) for n in range(11)]
    assert "objects" not in check(put(tmp_path, disks)).facts


@pytest.mark.parametrize("value", [1, 255])
@pytest.mark.parametrize("binary", [(0,), range(0, 12, 2), range(2, 12)])
def test_masks_of_two_kinds_stop_the_training(tmp_path: Path, value: int, binary: tuple[int, ...]) -> None:
    """Numbered ones, and those that show all objects with one value, whichever there are more of."""
    kinds = {n: np.minimum(NUMBERED[n], 1) * np.uint16(value) for n in binary}
    if 0 in binary:  # more objects than three, by which binary masks are told
        kinds[0] = np.minimum(NUMBERED[1], 1) * np.uint16(value)
    data = put(tmp_path, [kinds.get(n, mask) for n, mask in enumerate(NUMBERED)])
    severity, what, where = said(check(data), "two kinds")
    assert where[0] == f"binary: {', '.join(f'c{n:02d}' for n in binary)}"
    assert where[1].startswith("numbered: c")
    assert "Number the objects in all masks" in what
    if len(binary) > 8:
        return  # may be classes all the same
    assert severity == "fatal"
    with pytest.raises(UlnaError, match="cannot be trained on"):
        train(data, tmp_path / "run", epochs=1)
    assert not (tmp_path / "run").exists()
    settled = check(data, changes={"data.values": [[0], ["other"]]})  # as the message says
    assert not settled.fatal
    assert said(settled, "several connected pieces")[0] == "warning"


def test_one_object_beside_many_is_of_the_same_kind(tmp_path: Path) -> None:
    """One in two pieces, one in crumbs, none at all, and what is not annotated."""
    masks = [mask.copy() for mask in NUMBERED]
    masks[0] = np.where(masks[0] == 1, 1, 0).astype(np.uint16)
    masks[0][100:104, 100:120] = 1
    masks[1] = np.where(masks[1] == 1, 1, 0).astype(np.uint16)
    masks[1][::40, ::40] = 1
    masks[2] = np.zeros_like(masks[2])
    for mask in masks[3:6]:
        mask[60:] = 255
    masks[3][:60] = 0
    masks[3][::3] = 0
    found = check(put(tmp_path, masks))
    assert not [one for one in found.problems if "two kinds" in one.what]
    assert not found.fatal


def test_a_number_in_pieces_is_said_and_a_warning_where_it_is_used_twice(tmp_path: Path) -> None:
    cut = [mask.copy() for mask in NUMBERED]
    place = np.argwhere(cut[1] == 2).mean(axis=0).astype(int)
    cut[1][place[0]][cut[1][place[0]] == 2] = 0
    near = check(put(tmp_path, cut))
    severity, what, where = said(near, "several connected pieces")
    assert severity == "note"
    assert where == ("c01: 2",)
    assert what.startswith(
        "1 of 98 objects lies in several connected pieces, in 1 mask. A number is scored as one object"
    )
    twice = [mask.copy() for mask in NUMBERED]
    twice[1][:6, :6], twice[1][-6:, -6:] = 40, 40
    (tmp_path / "twice").mkdir()
    severity, what, where = said(check(put(tmp_path / "twice", twice)), "several connected pieces")
    assert severity == "warning"
    assert where == ("c01: 40",)
    assert "the pieces of 1 are far apart" in what
    assert "give each a number of its own" in what
    assert "32 bits" not in what


def test_numbers_that_began_again_are_warned_of(tmp_path: Path) -> None:
    """70,000 objects in 16 bits."""
    number = np.arange(1, 1 + 265 * 265).reshape(265, 265)
    wrapped = np.kron(number, np.pad(np.ones((2, 2), int), ((0, 1), (0, 1)))).astype(np.uint16)
    found = check(put(tmp_path, [wrapped, wrapped[::-1]]), changes={"data.values": [[0], ["other"]]})
    severity, what, where = said(found, "several connected pieces")
    assert severity == "warning"
    assert len(where) == 2
    assert "Numbers reach 65,535, the largest that these files can hold" in what
    assert "TIFF of 32 bits" in what


def test_eight_bits_that_are_full_are_refused_with_the_reason(tmp_path: Path) -> None:
    number = np.arange(1, 1 + 30 * 30).reshape(30, 30)
    wrapped = np.kron(number, np.pad(np.ones((4, 4), int), ((0, 2), (0, 2)))).astype(np.uint8)
    found = check(put(tmp_path, [np.roll(wrapped, 60 * n, 0) for n in range(4)]))
    problem = found.problems[0]
    assert problem.severity == "fatal"
    assert "numbers beyond 255 began again: save them with 32 bits" in problem.where[0]


def test_a_smooth_resize_of_numbers_is_warned_of(tmp_path: Path) -> None:
    smooth = [np.rint(ndimage.zoom(mask[::2, ::2].astype(float), 2, order=1)).astype(np.uint16) for mask in NUMBERED]
    severity, what, where = said(check(put(tmp_path, smooth)), "thin rims")
    assert severity == "warning"
    assert "nearest neighbor" in what
    assert len(where) >= 8


def test_colors_and_files_of_one_object_in_pieces(tmp_path: Path) -> None:
    colors = np.random.default_rng(0).integers(0, 256, (40, 3)).astype(np.uint8)
    colors[0] = 0
    numbers = [mask.copy() for mask in NUMBERED]
    numbers[4][:6, :6], numbers[4][-6:, -6:] = 30, 30
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for n, mask in enumerate(numbers):
        Pillow.fromarray(CELLS[n][0]).save(tmp_path / "images" / f"c{n}.png")
        shown = np.dstack([colors[mask], np.full_like(mask, 255)]).astype(np.uint8)
        Pillow.fromarray(shown).save(tmp_path / "masks" / f"c{n}.png")
    found = check(tmp_path)
    assert found.classes.kind == "colors"
    severity, _, where = said(found, "several connected pieces")
    assert severity == "warning"
    assert where == (f"c4: {','.join(map(str, colors[30]))}",)


@pytest.mark.parametrize("kind", ["one object", "all at the border", "some without"])
def test_few_objects_are_learned(tmp_path: Path, kind: str) -> None:
    masks = [np.zeros((128, 128), np.uint16) for _ in range(6)]
    if kind == "one object":
        masks[0] = np.where(NUMBERED[0] == 1, 1, 0).astype(np.uint16)
    for n, mask in enumerate(masks):
        if kind == "all at the border":
            mask[:20, :30], mask[50:70, :15], mask[-9:, 40:60], mask[30:60, -20:] = 1, 2, 3, 4
            mask[:8, 90 + n :] = 5 + n
        elif kind == "some without" and n % 2:
            mask[:] = NUMBERED[n]
    small = {"training.steps": 2, "network.widths": [4, 8], "training.patch": [32, 32], "training.batch_size": 2}
    changes = small | {"task.name": "instances", "training.seed": 1}
    done = train(put(tmp_path, masks), tmp_path / "run", epochs=1, changes=changes)
    assert done.scores is not None
    assert "nan" not in str(done.scores)
