"""What was done to masks that do not lie on their images as their files say, in words."""

from __future__ import annotations

from collections.abc import Iterable

from ulna.alignment import Verdict
from ulna.dataset import Problem
from ulna.text import plural

WORDS = {
    "resampled": (
        "mask has a grid of its own. Fixed: brought onto the image's, each voxel takes the nearest value",
        "masks have grids of their own. Fixed: brought onto the images', each voxel takes the nearest value",
        "warning",
    ),
    "unset": (
        "mask does not say where it lies, and its image does. Fixed: it lies where the image does",
        "masks do not say where they lie, and their images do. Fixed: they lie where the images do",
        "warning",
    ),
    "silent": (
        "image does not say how large its voxels are, and its mask does: data.spacing can say it",
        "images do not say how large their voxels are, and their masks do: data.spacing can say it",
        "warning",
    ),
    "unplaced": (
        "image does not say where its axes point, and its mask does. Both are taken voxel by voxel, in the order of "
        "their files: see in the picture whether they lie on each other",
        "images do not say where their axes point, and their masks do. Both are taken voxel by voxel, in the order of "
        "their files: see in the picture whether they lie on each other",
        "warning",
    ),
    "origin": (
        "pair of image and mask, of which one begins at 0 and the other does not. Harmless: taken for the same place",
        "pairs of image and mask, of which one begins at 0 and the other does not. Harmless: taken for the same place",
        "note",
    ),
    "rounding": (
        "mask lies a fraction of a voxel beside its image. Harmless: rounding",
        "masks lie a fraction of a voxel beside their images. Harmless: rounding",
        "note",
    ),
}
"""By the kind of a verdict: of one, of several, and how severe it is."""


def placements(verdicts: Iterable[tuple[str, Verdict]]) -> list[Problem]:
    """What is to be said of masks and their images.

    Parameters
    ----------
    verdicts
        The name of each case, and how its mask lies on its image.

    Returns
    -------
    list of Problem
        One for each kind that there is.
    """
    known, found = list(verdicts), []
    for kind, (one, several, severity) in WORDS.items():
        where = tuple(f"{name}: {verdict.what}" for name, verdict in known if verdict.kind == kind)
        if where:
            found.append(Problem(plural(len(where), one, several), where, severity))
    return found
