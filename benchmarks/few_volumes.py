"""Learning from a single volume: one slab of it is learned and the other judged, or another patient's volume is.

    python benchmarks/few_volumes.py spleen    CT, 5 mm slices: the slab below the middle of the spleen, and that above
    python benchmarks/few_volumes.py cord      gray matter of a spinal cord, MR, oblique, 7.5 mm slices: likewise
    python benchmarks/few_volumes.py phantom   NRRD, four structures of a prostate phantom: likewise
    python benchmarks/few_volumes.py brats --preset intel-2d|intel-3d|default
                                               whole tumor in FLAIR: one patient is learned, another judged

Each adds a row to `results/few_volumes.json` and writes all rows to `results/few_volumes.md`: what one volume can teach
is little, and the figures are reported as they are. `--keep FOLDER` keeps the run and the scores there.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace as changed
from pathlib import Path
from typing import Any

import numpy as np

from trials import DATA, Trial, folder_of, recorded, trained
from ulna.dataset import Case, load_image, slab
from ulna.formats import mask_suffix, write
from ulna.image import Image
from ulna.jobs.evaluate import evaluate
from ulna.layouts import Patterns, read_dataset
from ulna.truth import load_truth


@dataclass(frozen=True)
class Volume:
    """An image and its mask in the shared data, and how the rows of the table call them."""

    name: str
    image: str
    mask: str


SLABS = {
    "spleen": Volume("spleen (CT)", "spleen/sub-spleen2_ct.nii.gz", "spleen/sub-spleen2_ct_seg-manual.nii.gz"),
    "cord": Volume(
        "gray matter of the spinal cord (MR)",
        "sct_t2s/t2s_uncropped.nii.gz",
        "sct_t2s/t2s_uncropped_gmseg_manual.nii.gz",
    ),
    "phantom": Volume(
        "prostate phantom (NRRD)",
        "nrrd/prostate_phantom_subvolume.nrrd",
        "nrrd/prostate_phantom_subvolume-label.nrrd",
    ),
}

LEARNED = Volume("", "brats/BraTS-GLI-00001-000/*-t2f.nii.gz", "brats/BraTS-GLI-00001-000/seg-BraTS23_1.nii.gz")
JUDGED = Volume("", "brats/brats_2013_pat0006_1/Flair_*.nii.gz", "brats/brats_2013_pat0006_1/OTMultiClass.nii.gz")
WHOLE_TUMOR = {
    "data.classes": ["background", "whole tumor"],
    "data.values": [[0], [1, 2, 3, 4]],
}
"""The values of both namings: 4 is the enhancing tumor in the older one, 3 in today's."""


def main() -> None:
    """Cut, train, judge, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=[*SLABS, "brats"])
    parser.add_argument("--minutes", type=float, default=None)
    parser.add_argument("--preset", default="default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], help="passed on to ulna train")
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--keep", type=Path, default=None, help="keep the run and its scores in this folder")
    given = parser.parse_args()
    minutes = given.minutes or (20 if given.what == "brats" else 5)
    with folder_of(given.keep) as place:
        trial = patients(given.data, place) if given.what == "brats" else halves(SLABS[given.what], given.data, place)
        settings = [*(f"{name}={value}" for name, value in trial.changes.items()), *given.set]
        taken, most = trained(
            trial, place, minutes=minutes, seed=given.seed, settings=settings, preset=given.preset
        )  # fmt: skip
        result = evaluate(place / "run", trial.test, out=place / "scores")
    overall = {name: [one.mean.estimate] for name, one in result.summary.overall.scores.items()}
    classes = {one.name: one.scores["dice"].mean.estimate for one in result.summary.classes}
    row = {
        "data": trial.name,
        "recipe": " ".join([given.preset, *given.set]),
        "seed": given.seed,
        "asked": minutes,
        "taken": round(taken / 60, 2),
        "peak": round(most / 2**30, 2),
        "overall": overall,
        "classes": classes,
    }
    recorded("few_volumes", row, table)


def halves(volume: Volume, data: Path, place: Path) -> Trial:
    """A volume cut where half of its foreground lies on either side, each part written as a file of the same format."""
    case = _case(volume, data)
    truth = np.rint(load_truth(case).array[0])
    before = np.cumsum((truth > 0).sum(axis=(1, 2)))
    middle = int(np.searchsorted(before, before[-1] / 2)) + 1
    learned, judged = slab(case, 0, middle), slab(case, middle, len(truth))
    for name, part in (("learned", learned), ("judged", judged)):
        _written(part, place / "data", name)
    dataset = read_dataset(place / "data")
    train, test = (tuple(one for one in dataset.cases if one.name == name) for name in ("learned", "judged"))
    name = f"{volume.name}, planes 0–{middle - 1} learned, {middle}–{len(truth) - 1} judged"
    return Trial(name, place / "data", train, changed(dataset, cases=test), 5)


def patients(data: Path, place: Path) -> Trial:
    """The FLAIR volumes of two patients of BraTS, one in today's naming and one in the older."""
    learned, judged = _case(LEARNED, data), _case(JUDGED, data)
    for name, case in (("learned", learned), ("judged", judged)):
        _written(case, place / "data", name)
    dataset = read_dataset(place / "data")
    train, test = (tuple(one for one in dataset.cases if one.name == name) for name in ("learned", "judged"))
    return Trial("whole tumor (BraTS), one patient learned, another judged", place / "data", train,
                 changed(dataset, cases=test), 20, changes=WHOLE_TUMOR)  # fmt: skip


def _case(volume: Volume, data: Path) -> Case:
    """The one case that an image and a mask make."""
    (case,) = read_dataset(data, Patterns(images=(volume.image,), masks=(volume.mask,))).cases
    return case


def _written(case: Case, folder: Path, name: str) -> None:
    """Write a case's image and mask as files of the format that they came in."""
    image, truth = load_image(case), load_truth(case)
    suffix = mask_suffix(case.images[0])
    write(folder / "images" / f"{name}{suffix}", image)
    labels = Image(np.rint(truth.array).astype(np.uint8), image.grid)
    write(folder / "masks" / f"{name}{suffix}", labels)


def table(rows: Sequence[dict[str, Any]]) -> str:
    """All rows as `results/few_volumes.md`."""
    lines = [
        "# Learned from a single volume",
        "",
        f"`python benchmarks/few_volumes.py {'|'.join(SLABS)}|brats`. One volume is learned, or one slab of it, and "
        "one is judged; no interval can be given. Minutes are asked / taken, for the whole of `ulna train`; memory is "
        "the most that was resident while training.",
        "",
        "| data | preset | commit | minutes | memory | Dice | HD95, surface Dice |",
        "|---|---|---|---|---|---|---|",
    ]
    for one in rows:
        dice = ", ".join(f"{name} {value:.3f}" for name, value in one["classes"].items())
        surfaces = [one["overall"][name][0] for name in ("hd95", "surface_dice") if name in one["overall"]]
        others = ", ".join(f"{value:.3f}" for value in surfaces)
        lines.append(
            f"| {one['data']} | {one['recipe']} | {one['commit']} | {one['asked']:g} / {one['taken']:.1f} | "
            f"{one['peak']:.2f} GiB | {dice} | {others} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
