"""Every figure looks as its thumbnail in `golden`.

Where a figure is to look different, draw the thumbnails anew, look at them, and commit them:

    python -m pytest -n 0 tests/figures/test_thumbnails.py --new-golden
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Pillow

from ulna.figures.annotated import annotated, legend
from ulna.figures.augmented import augmented_picture
from ulna.figures.colors import color
from ulna.figures.contact import Couple, Joint, contact_sheet, couples_picture
from ulna.figures.curves import curves_picture
from ulna.figures.objects import objects_overlay, sizes_picture
from ulna.figures.results import Comparison, results_picture
from ulna.figures.samples import Sample, samples_picture
from ulna.grid import Grid
from ulna.image import IGNORE, Array

GOLDEN = Path(__file__).parent / "golden"
SMALLER = 3
CLASSES = ("background", "cell", "nucleus")


def disks(shape: tuple[int, int], *places: tuple[int, int, int]) -> Array:
    """Disks numbered from 1 on, (Y, X), each given by its center and radius."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    drawn = np.zeros(shape, np.int32)
    for number, (row, column, radius) in enumerate(places, start=1):
        drawn[(y - row) ** 2 + (x - column) ** 2 <= radius**2] = number
    return drawn


TRUE = disks((60, 80), (15, 15, 10), (18, 40, 9), (40, 30, 12), (40, 60, 11), (15, 68, 8))
SEEN = disks((60, 80), (15, 16, 10), (18, 44, 6), (40, 25, 6), (40, 37, 5), (52, 72, 6))
TRUE_CLASSES = np.choose(TRUE, [0, 1, 2, 1, 2, 1]).astype(np.uint8)
SEEN_CLASSES = np.choose(SEEN, [0, 1, 2, 2, 1, 1]).astype(np.uint8)
IMAGE = (40 + 2 * np.mgrid[:60, :80][1] + 60 * (TRUE > 0)).astype(np.uint8)[None]


def _row(title: str) -> Comparison:
    truth = TRUE_CLASSES.copy()
    truth[50:, :10] = IGNORE
    return Comparison(title, IMAGE, truth[None], SEEN_CLASSES[None])


def _with_objects(title: str) -> Comparison:
    return Comparison(title, IMAGE, np.stack([TRUE_CLASSES, TRUE]), np.stack([SEEN_CLASSES, SEEN]))


def _log(folder: Path, lines: list[str]) -> Path:
    path = folder / "metrics.csv"
    path.write_text("epoch,seconds,learning_rate,train_loss,val_loss,val_dice\n" + "\n".join(lines), encoding="utf-8")
    return path


def _long_log(folder: Path) -> Path:
    return _log(
        folder, [f"{e},{e * 9},{1e-3 / e},{1 / e**2},{2 / e},{0.9 - (e - 20) ** 2 / 1e3}" for e in range(1, 31)]
    )


def _short_log(folder: Path) -> Path:
    return _log(folder, ["1,60,.001,.9,.8,.7", "2,120,.001,.85,,", "3,180,.0007,.8,.7,.2", "4,240,.0002,.6,.5,.4"])


def _dim(title: str) -> Comparison:
    return Comparison(title, 60 + IMAGE // 2, TRUE_CLASSES[None], SEEN_CLASSES[None])


def _volume(*, objects: bool = False) -> Comparison:
    """Columns that get narrower towards the head, in slices four times as thick as a pixel."""
    depth = 8
    inside = np.stack([np.roll(TRUE, place, axis=1) * (depth - place >= TRUE) for place in range(depth)])
    true, seen = inside.astype(np.int32), np.roll(np.where(inside == 2, 3, inside), 2, axis=2).astype(np.int32)
    classes = [np.choose(one, [0, 1, 2, 1, 2, 1]).astype(np.uint8) for one in (true, seen)]
    classes[0][-1, :, :10] = 0 if objects else IGNORE
    image = (40 + 2 * np.mgrid[:depth, :60, :80][2] + 60 * (true > 0)).astype(np.uint8)[None]
    grid = Grid(true.shape, (4, 1, 1), "mm", (5, 0, 0))
    if objects:
        pairs = [np.stack(pair) for pair in zip(classes, (true, seen), strict=True)]
        return Comparison("best: v", image, *pairs, replace(grid, unit="µm"))
    return Comparison("best: v", image, classes[0][None], classes[1][None], grid)


def _annotated(path: Path) -> Path:
    rgb = np.repeat(IMAGE[0, :, :, None], 3, axis=2)
    Pillow.fromarray(annotated(rgb, _row("").truth[0], CLASSES)).resize((1020, 570), Pillow.Resampling.NEAREST).save(
        path
    )
    return path


def _legend(path: Path) -> Path:
    names = enumerate(("one", "_two", "a third one", "$four$", "5"), 1)
    Pillow.fromarray(legend([(color(index), name) for index, name in names], 900)).save(path)
    return path


def _numbers(path: Path) -> Path:
    rgb = np.repeat(IMAGE[0, :, :, None], 3, axis=2)
    Pillow.fromarray(objects_overlay(rgb, TRUE * 30, numbers=True)).save(path)
    return path


def _samples(path: Path, classes: int) -> Path:
    one = Sample("a", IMAGE, np.minimum(TRUE_CLASSES, classes - 1)[None], TRUE[None])
    wide = Sample("patient_04_slide_region_12", np.repeat(IMAGE, 3, axis=0)[:, :30], one.mask[:, :30])
    dim = _dim("deep")
    deep = Sample("deep", dim.image, np.minimum(dim.truth, classes - 1))
    return samples_picture(path, [one, wide, deep, one, wide][: 2 * classes - 1], CLASSES[:classes])


def _samples_of_volumes(path: Path) -> Path:
    one, other = _volume(), _volume(objects=True)
    first = Sample("one", one.image, one.truth, grid=one.grid)
    second = Sample("other", np.repeat(other.image, 3, axis=0), other.truth[:1], other.truth[1:], other.grid)
    return samples_picture(path, [first, second, first], CLASSES)


def _augmented(path: Path) -> Path:
    sample = (IMAGE, TRUE_CLASSES[None])
    flipped = (IMAGE[:, ::-1] // 2, TRUE_CLASSES[None, ::-1])
    return augmented_picture(path, [sample, flipped], [[flipped, sample], [sample]])


def _contact(path: Path) -> Path:
    return contact_sheet(
        path,
        [
            Joint("one", IMAGE[:, :, :40], IMAGE[:, :, 40:], 1),
            Joint("two", IMAGE[:, :30], IMAGE[:, 30:], 0),
            Joint("three", IMAGE[:, :, :40], IMAGE[:, :, :40], 1),
        ],
        columns=2,
        depth=24,
    )


def _couples(path: Path) -> Path:
    couple = Couple(
        "nearly the same pixels",
        ("a", "a rather long name of an image, of which a part is left out"),
        (IMAGE, IMAGE[:, :30]),
    )
    return couples_picture(path, [couple, couple, couple, replace(couple, images=(IMAGE, IMAGE))], columns=3)


def _sizes(path: Path) -> Path:
    near = np.linspace(20, 60, 50) ** 2
    return sizes_picture(
        path, {"area [µm²]": {"cell": near, "nucleus": near[::2] / 90}, "area [pixel²]": {"cell": near, "none": []}}
    )


PICTURES: dict[str, Callable[[Path], Path]] = {
    "annotated": _annotated,
    "augmented": _augmented,
    "contact": _contact,
    "couples": _couples,
    "curves-of-a-few": lambda path: curves_picture(
        path, _short_log(path.parent), score="error", higher_is_better=False
    ),
    "curves-of-many": lambda path: curves_picture(path, _long_log(path.parent), score="Dice"),
    "curves-of-one": lambda path: curves_picture(path, _log(path.parent, ["3,60,.001,.9,.8,"]), score="Dice"),
    "legend": _legend,
    "numbers": _numbers,
    "results-of-classes": lambda path: results_picture(path, [_row("best: a"), _dim("a volume")], classes=CLASSES),
    "results-of-objects": lambda path: results_picture(path, [_with_objects("best: a")], classes=CLASSES),
    "results-of-one-class": lambda path: results_picture(
        path, [Comparison("bare", None, (TRUE[None] > 0) * 1, (SEEN[None] > 0) * 1)], classes=CLASSES[:2]
    ),
    "results-of-volumes": lambda path: results_picture(path, [_volume(), _row("flat: a")], classes=CLASSES),
    "results-of-volumes-of-objects": lambda path: results_picture(path, [_volume(objects=True)], classes=CLASSES),
    "samples-of-one-class": lambda path: _samples(path, 2),
    "samples-of-two-classes": lambda path: _samples(path, 3),
    "samples-of-volumes": _samples_of_volumes,
    "sizes": _sizes,
}  # fmt: skip


@pytest.mark.parametrize("name", PICTURES)
def test_figures_look_as_before(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    golden = GOLDEN / f"{name}.png"
    with Pillow.open(PICTURES[name](tmp_path / "picture.png")) as picture:
        drawn = picture.convert("RGB").reduce(SMALLER)
    if request.config.getoption("--new-golden"):
        drawn.save(golden, optimize=True)
    with Pillow.open(golden) as picture:
        before = np.asarray(picture.convert("RGB"), np.int16)
    now = np.asarray(drawn, np.int16)
    assert now.shape == before.shape
    differ = int((abs(now - before).max(axis=2) > 40).sum())
    assert differ <= now.shape[0] * now.shape[1] / 2000, f"{differ:,} pixels of the thumbnail differ"
