"""How training volumes are varied: within the plane of thick slices, or in all directions of space."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from ulna.config import Config
from ulna.planning.decisions import Decision, decide
from ulna.planning.dimensions import FLAT
from ulna.planning.fingerprint import Fingerprint
from ulna.resampling import THICK

TILT = 30.0
"""Degrees to either side by which nnU-Net rotates volumes about each axis."""

LOW_RESOLUTION = 0.25
"""How often nnU-Net shows an image as one of lower resolution."""

ACROSS = 2
"""The axis from side to side of volumes that lie upright (X)."""

SIDES = {"left": "left", "l": "left", "lh": "left", "right": "right", "r": "right", "rh": "right"}
"""Words in names of classes that say on which side of the body they lie."""

ANATOMY = ("mr", "ct")
"""Kinds of images of bodies, which lie in a scanner in much the same way; cells lie anyhow."""


def volume_variation(config: Config, facts: Fingerprint) -> list[Decision]:
    """What is decided of augmentation for networks of volumes, and for others where classes have a side.

    Parameters
    ----------
    config
        The settings, with the modality.
    facts
        What is known of the data.

    Returns
    -------
    list of Decision
        In order.

    References
    ----------
    Isensee et al.: nnU-Net: a self-configuring method for deep learning-based biomedical image segmentation. Nature
    Methods 18, 2021, supplementary note 4.
    """
    augmentation = config.augmentation
    if augmentation is None:
        return []
    bodies = config.data.modality in ANATOMY
    pair = sides(facts.classes) if bodies else ()
    sided = _sided(config, pair) if pair else []
    if config.network.ndim != 3:
        return sided
    axis, why = _slices(facts)
    if augmentation.tilt:
        axis, why = None, "volumes are to be tilted (augmentation.tilt)"
    slices = decide(config, "augmentation.slices", axis, why)
    decisions = [slices, *sided]
    if bodies and not pair and facts.unit != "pixel":
        why = "left and right of a body look alike, head and foot, front and back do not (docs/volumes.md)"
        decisions.append(decide(config, "augmentation.flip", (ACROSS,), why))
    if slices.value is None and facts.unit != "pixel":
        lie = f"up to {TILT:g} degrees about each axis, as nnU-Net"
        if bodies and not pair:
            why = f"{lie}: bodies lie in a scanner in much the same way"
            decisions.append(decide(config, "augmentation.rotation", TILT, why))
        decisions.append(decide(config, "augmentation.tilt", TILT, f"{lie}: voxels are about as thick as wide"))
    why = "rotation and scale are enough, as for nnU-Net; a bent field would need larger windows"
    decisions.append(decide(config, "augmentation.elastic", 0.0, why))
    why = "scanners and settings differ in resolution; as often as in nnU-Net"
    return [*decisions, decide(config, "augmentation.low_resolution", LOW_RESOLUTION, why)]


def _sided(config: Config, pair: Sequence[str]) -> list[Decision]:
    """Two classes that differ in their side alone stay apart: nothing is flipped, and nothing turned upside down."""
    why = f"otherwise '{pair[0]}' would look like '{pair[1]}'"
    return [
        decide(config, "augmentation.flip", False, why),
        decide(config, "augmentation.rotation", TILT, why),
    ]


def sides(names: Sequence[str]) -> tuple[str, ...]:
    """Two classes that differ in their side alone, such as the left and the right kidney; none if there are none.

    Parameters
    ----------
    names
        Of the classes.

    Returns
    -------
    tuple of str
        Two names, the left one first, or none.

    Examples
    --------
    >>> sides(("background", "kidney_right", "kidney_left"))
    ('kidney_left', 'kidney_right')
    """
    found: dict[tuple[str, ...], dict[str, str]] = {}
    for name in names:
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])|\d+", name)]
        rest = tuple(word for word in words if word not in SIDES)
        for word in words:
            if word in SIDES:
                found.setdefault(rest, {})[SIDES[word]] = name
    both = next((one for one in found.values() if len(one) == 2), None)
    return (both["left"], both["right"]) if both else ()


def _slices(facts: Fingerprint) -> tuple[int | None, str]:
    """The axis on which thick slices follow, if they do."""
    sides = np.median(np.array(facts.shapes), axis=0)
    spacing = np.median(np.array(facts.spacings or [(1.0,) * len(sides)]), axis=0)
    axis = int(np.argmax(spacing))
    thick = float(spacing[axis] / np.median(spacing))
    if thick > THICK:
        return axis, f"slices lie {thick:.1f} times as far apart as their pixels: they are varied within their plane"
    thin = int(np.argmin(sides))
    if facts.unit == "pixel" and sides.max() > FLAT * sides[thin]:
        return thin, f"{sides[thin]:g} slices of up to {sides.max():g} pixels, at no stated distance"
    if facts.unit == "pixel":
        return None, "no distance of voxels is stated, and no side is much shorter than the others"
    return None, f"voxels are at most {thick:.1f} times as thick as wide: varied in all directions"
