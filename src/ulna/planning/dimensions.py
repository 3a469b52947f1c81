"""Whether volumes are learned as a whole or slice by slice, and along which axis slices follow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ulna.config import Config
from ulna.planning.decisions import Decision, decide
from ulna.resampling import THICK
from ulna.text import plural

FLAT = 4.0
"""A volume whose longest side has more than so many times the voxels of its shortest is taken for a stack of slices."""


MIN_PLANES = 8
"""A volume of fewer planes is no depth that a network could learn from: two poolings leave one of them."""


def dimensions(
    config: Config,
    shapes: Sequence[tuple[int, ...]],
    spacings: Sequence[tuple[float, ...]],
    *,
    measured: bool = False,
) -> tuple[Decision, ...]:
    """How many dimensions the network has, and of a 2D network the axis of the slices.

    Parameters
    ----------
    config
        What is set.
    shapes, spacings
        Of the images to be learned from, without channels.
    measured
        Whether the files say how far apart voxels lie: where all distances are equal, these alone do not tell.

    Returns
    -------
    tuple of Decision
        None for images of two dimensions.
    """
    if len(shapes[0]) == 2:
        return ()
    sides, steps = np.median(np.array(shapes), axis=0), np.median(np.array(spacings), axis=0)
    differ = bool((steps != steps[0]).any())
    stated = measured or differ
    few = stated and bool(sides.min() < MIN_PLANES)  # where no distance is stated, FLAT says it
    axis = int(np.argmax(steps)) if differ and not few else int(np.argmin(sides))
    thick, flat = float(steps.max() / steps.min()), float(sides.max() / sides[axis])
    if config.data.slices is not None and "data.slices" in config.given():
        ndim, why = 2, "slices are asked for (data.slices)"
    elif few:
        ndim, why = 2, f"volumes of {plural(int(sides[axis]), 'plane')} (median), too few to learn from their depth"
    elif thick > THICK:
        ndim, why = 2, f"slices lie {thick:.1f} times as far apart as their pixels"
    elif not stated and flat > FLAT:
        ndim, why = 2, f"slices of up to {sides.max():g} pixels, {sides[axis]:g} of them: no distance is stated"
    else:
        ndim, why = 3, f"volumes of {' × '.join(f'{side:g}' for side in sides)} voxels (median)"
    other = {2: "3, whole volumes", 3: "2, slice by slice"}[ndim]
    decisions = [decide(config, "network.ndim", ndim, f"{why}; the other reading: {other}")]
    if decisions[0].value == 2:
        along = "where they lie furthest apart" if differ and not few else "the shortest side"
        decisions.append(decide(config, "data.slices", axis, f"slices follow along the axis {'ZYX'[axis]}, {along}"))
    return tuple(decisions)
