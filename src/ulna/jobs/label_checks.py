"""What `check` says about the values of masks: doubts, values that fit no class, shares of the classes, and how to
set them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from ulna.dataset import Problem
from ulna.errors import UlnaError
from ulna.image import IGNORE
from ulna.jobs.inspection import Inspection
from ulna.labels.classes import Classes
from ulna.labels.inference import Inference
from ulna.text import percent, plural

LOSSY = (".jpg", ".jpeg", ".jpe", ".jfif")
TO_SET = "To name the classes or to say what their values are, put this into a file and add --config FILE:"


def doubts(inference: Inference | None) -> list[Problem]:
    """What is not certain in the reading of the masks, each as a warning with the YAML that decides it."""
    return [Problem(str(doubt)) for doubt in inference.doubts] if inference else []


def class_pixels(inspections: Sequence[Inspection], classes: Classes) -> tuple[npt.NDArray[np.float64], list[Problem]]:
    """Pixels per case and class, (cases, classes + 1), the last column those not annotated.

    Also the problems that this shows: masks with values that belong to no class, empty masks, masks without any
    annotated pixel, and classes that no mask shows.
    """
    pixels = np.zeros((len(inspections), len(classes.names) + 1))
    strange: list[tuple[str, UlnaError]] = []
    for row, case in zip(pixels, inspections, strict=True):
        try:
            indices = classes.to_indices(case.values).ravel()
        except UlnaError as error:
            strange.append((case.case.name, error))
            continue
        row += np.bincount(np.where(indices == IGNORE, len(row) - 1, indices), case.counts, len(row))
    problems = []
    if strange:
        unknown = "dataset.json does not know" if any(one.case.values for one in inspections) else "fit no class"
        what = f"values that {unknown} are in {plural(len(strange), 'mask')}. {strange[0][1].hint}"
        problems.append(Problem(what, tuple(f"{name}: {error.what}" for name, error in strange), "fatal"))
    failed = {name for name, _ in strange}
    names = [case.case.name for case in inspections]
    known = [(name, row) for name, row in zip(names, pixels, strict=True) if name not in failed]
    blank = tuple(name for name, row in known if not row[:-1].any())
    if blank:
        problems.append(Problem(f"nothing is annotated in {plural(len(blank), 'mask')}", blank))
    full = tuple(name for name, row in known if row[1:-1].any() and not row[0])
    if full and 2 * len(full) < len(known):
        problems.append(Problem(f"{plural(len(full), 'mask shows', 'masks show')} no background at all", full, "note"))
    empty = tuple(name for name, row in known if row[0] and not row[1:-1].any())
    if empty:
        what = f"{len(empty)} of {len(inspections)} masks are empty: nothing but background"
        problems.append(Problem(what, empty, "warning" if 2 * len(empty) > len(inspections) else "note"))
    missing = [name for name, count in zip(classes.names, pixels.sum(axis=0), strict=False) if not count]
    if known and missing and len(empty) < len(known):
        problems.append(Problem(f"no mask shows {', '.join(map(repr, missing))}"))
    return pixels, problems


def lossy_files(inspections: Sequence[Inspection], inference: Inference | None) -> list[Problem]:
    """The problem that masks are JPEG files, where nothing else says so yet."""
    names = tuple(look.case.name for look in inspections if any(one.suffix in LOSSY for one in look.case.truth))
    if not names or inference is None or inference.classes.kind == "binary":
        return []
    if any("JPEG" in doubt.what for doubt in inference.doubts):
        return []
    what = (
        f"{plural(len(names), 'mask is', 'masks are')} JPEG, which changes values, most of all along edges: numbers of "
    )
    return [Problem(f"{what}classes or objects are not to be trusted. Save masks without loss (PNG, TIFF)", names)]


def missing_in_training(
    inspections: Sequence[Inspection], classes: Classes, pixels: npt.NDArray[np.float64]
) -> list[Problem]:
    """The problem that masks of the validation or test part show classes that none of the training part does."""
    parts = np.array([case.case.part for case in inspections])
    if "train" not in parts:
        return []
    shown = pixels[:, :-1] > 0
    learned = shown[parts == "train"].any(axis=0)
    found = []
    for index, name in enumerate(classes.names):
        where = tuple(case.case.name for case, has in zip(inspections, shown[:, index], strict=True) if has)
        if index and where and not learned[index]:
            what = (
                f"no mask of the training part shows '{name}', which is in {plural(len(where), 'mask')} of the others"
            )
            found.append(Problem(f"{what}: it cannot be learned, and its scores will be 0", where))
    return found


def shares(classes: Classes, pixels: npt.NDArray[np.float64]) -> dict[str, str]:
    """Rows of the table of facts: each class's and region's share of the annotated pixels, what is not annotated."""
    total = pixels.sum(axis=0)
    annotated = max(total[:-1].sum(), 1)
    parts = [f"{name} {percent(count / annotated)}" for name, count in zip(classes.names, total, strict=False)]
    rows = {"share of pixels": ", ".join(parts)}
    if classes.regions:
        made = [(name, sum(total[index] for index in indices)) for name, indices in classes.regions]
        rows["share of regions"] = ", ".join(f"{name} {percent(count / annotated)}" for name, count in made)
    if total[-1]:
        rows["not annotated"] = f"{percent(total[-1] / total.sum())} of the pixels"
    return rows
