"""What is read of many folders, complete: the sentence, every case with its files, and what is said of the rest."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile

from golden_values import Golden
from small_files import lay
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.layouts import Patterns, find, read_dataset

PAIR = ("images/a.png", "masks/a.png")
TREES: dict[str, tuple[str, ...]] = {
    "pairs, and what is left over": (*PAIR, "images/b.png", "masks/c.png", "a.npy", "b.npy", "readme.txt", "x.oib"),
    "no names that agree": ("images/a.png", "masks/c.png", "masks/d.png"),
    "images alone": ("a.png", "b.png", "cells.json", "slide.vsi"),
    "masks alone": ("masks/a.png", "masks/b.png"),
    "nothing": ("notes.txt", "cells.xml"),
    "suffixes": ("a.png", "a_mask.png", "b.png", "b_mask.png", "b_seg.png", "c.png"),
    "parts": tuple(f"{p}/{k}/{p}{n}.png" for p in ("train", "val", "test") for k in ("images", "masks") for n in "ab"),
    "two parts": tuple(f"{p}/{k}/{p}{n}.png" for p in ("train", "test") for k in ("images", "masks") for n in "ab"),
    "one file per object": tuple(
        f"{name}/{file}" for name in ("i1", "i2") for file in (f"images/{name}.png", "masks/1.png", "masks/2.png")
    ),
    "a folder per class": tuple(f"{k}/{n}.png" for k in ("images", "masks/cell", "masks/debris") for n in "abc"),
    "a class with fewer masks": (
        "images/a.png",
        "images/b.png",
        "masks/cell/a.png",
        "masks/cell/b.png",
        "masks/debris/a.png",
    ),
    "a file per class": tuple(f"{n}{end}.png" for n in "ab" for end in ("", "_cell_mask", "_debris_mask")),
    "numbered masks": tuple(f"{k}.png" for n in "ab" for k in (f"images/{n}", *(f"masks/{n}_mask_{i}" for i in "12"))),
    "masks of several numbers": ("images/a.png", "images/b.png", "masks/a_1.png", "masks/a_2.png", "masks/b_1.png"),
    "channels in files": tuple(
        f"{k}.png" for n in "12" for k in (f"imagesTr/a{n}_0000", f"imagesTr/a{n}_0001", f"labelsTr/a{n}")
    ),
    "frames of unequal number": tuple(
        f"{k}.png" for k in ("imagesTr/a_0000", "imagesTr/a_0001", "labelsTr/a", "imagesTr/b_0000", "labelsTr/b")
    ),
    "several that are united": tuple(
        f"{k}.png" for n in "abc" for k in (f"images/{n}", *(f"masks/{n}_cells_{i}" for i in "34"))
    ),
    "many folders": tuple(f"{k}{n}/{n}.png" for n in "1234" for k in ("images", "masks")),
    "observers": tuple(f"{k}.png" for n in "ab" for k in (f"images/{n}", f"masks/{n}_rater1", f"masks/{n}_rater2")),
    "the same by several people": tuple(f"{k}/{n}.png" for n in "ab" for k in ("images", "masks/anna", "masks/ben")),
    "patients": tuple(f"p{p}/{k}/{n}.png" for p in "12" for k in ("images", "masks") for n in "ab"),
    "names twice": ("one/images/a.png", "one/masks/a.png", "two/images/a.png", "two/masks/a.png"),
    "field of view": tuple(
        f"training/{k}" for n in "12" for k in (f"images/{n}.png", f"1st_manual/{n}_manual1.png", f"mask/{n}_mask.png")
    ),
    "several folders of masks": ("images/a.png", "images/b.png", "masks/a.png", "masks/b.png", "gt/a.png", "gt/b.png"),
    "tracking": tuple(
        f"{k}.tif"
        for k in ("01/t000", "01/t001", "01_GT/SEG/man_seg000", "01_GT/TRA/man_track000", "01_GT/TRA/man_track001")
    ),
}


def _told(case: Case, root: Path) -> str:
    files = " + ".join(str(source).removeprefix(f"{root}/") for source in case.images)
    truth = " + ".join(str(source).removeprefix(f"{root}/") for source in case.truth)
    kinds = [name for name in ("objects", "numbered") if getattr(case, name)]
    more = {"group": case.group, "part": case.part, "is": ", ".join(kinds), "classes": ", ".join(case.classes)}
    said = "; ".join(f"{name} {value}" for name, value in more.items() if value)
    return f"  {case.name}: {files} | {truth or '-'} | {said} {', '.join(case.truth_classes)}".rstrip()


def _read(root: Path, patterns: Patterns | None = None) -> list[str]:
    try:
        found = read_dataset(root, *([patterns] if patterns else []))
    except UlnaError as error:
        return [str(error)]
    problems = [f"  {one.severity}: {one.what} ({', '.join(one.where)})" for one in found.problems]
    return [found.sentence, *(_told(case, root) for case in found.cases), *problems]


def _found(root: Path) -> list[str]:
    """What is predicted where the same folder is named."""
    try:
        found = find(root)
    except UlnaError as error:
        return [f"  predicted: {error}"]
    images = [str(source).removeprefix(f"{root}/") for case in found.cases for source in case.images]
    return [f"  predicted: {', '.join(images)}", *(f"  passed over: {path}" for path in found.passed_over)]


def test_what_is_read_of_folders(tmp_path: Path, golden: Golden) -> None:
    lines = []
    for title, names in TREES.items():
        root = tmp_path / title
        lay(root, *(name for name in names if Path(name).suffix == ".png"))
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if "debris" in name or path.stem.endswith("_2"):
                path.write_bytes(imagecodecs.png_encode(np.eye(8, 9, k=5, dtype=np.uint8) * 255))
            elif "cells_" in name:
                numbers = np.kron(np.arange(12).reshape(3, 4), np.eye(4, dtype=int)[:, :3]) * 5
                numbers = np.roll(numbers, int(path.stem[-1]), axis=0)
                path.write_bytes(imagecodecs.png_encode(numbers.astype(np.uint16)))
            elif path.suffix == ".tif":
                tifffile.imwrite(path, np.diag([1, 2, 3, 0]).astype(np.uint16))
            elif path.suffix != ".png":
                path.write_bytes(b"x")
        lines += [f"# {title}", *_read(root), *_found(root)]
    golden.check_text("folders", "\n".join(lines).replace(str(tmp_path), "…"))


@pytest.mark.parametrize(
    "patterns",
    [
        ("scans/{case}.png", "drawn/{case}_roi.png"),
        ("scans/{case}.png", "drawn/{class}/{case}.png"),
        ("scans/{case}.png", "none/{case}.png"),
        ("none/{case}.png", "drawn/{case}_roi.png"),
        ("scans/{cases}.png", "drawn/{case}_roi.png"),
        ("scans/*.png", "drawn/{case}_roi.png"),
    ],
)
def test_what_is_read_by_patterns(patterns: tuple[str, str], tmp_path: Path, golden: Golden) -> None:
    lay(tmp_path, "scans/a.png", "scans/b.png", "scans/c.png", "drawn/a_roi.png", "drawn/b_roi.png", "drawn/d_roi.png")
    lay(tmp_path, "drawn/x_mask/a.png", "drawn/x_mask/b.png", "drawn/y_mask/a.png")
    text = "\n".join(_read(tmp_path, Patterns((patterns[0],), (patterns[1],))))
    name = "".join(letter if letter.isalnum() else "_" for letter in " ".join(patterns))
    golden.check_text(f"patterns-{name}", text.replace(str(tmp_path), "…"))
