"""At which spacing a network sees volumes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ulna.config import Config, DataConfig
from ulna.errors import UlnaError
from ulna.grid import Grid
from ulna.planning.decisions import Decision, decide
from ulna.resampling import THICK
from ulna.text import listed
from ulna.units import comparable, factor

AXES = "ZYX"


def spacings(config: Config, grids: Sequence[Grid]) -> tuple[Decision, ...]:
    """The target spacing of volumes and its unit: the median along each axis; slices that lie far apart stay.

    Of images of two dimensions nothing is decided: they are learned at their own pixels unless it is set.

    Parameters
    ----------
    config
        What is set and was decided of the number of dimensions.
    grids
        Of the images to be learned from.

    Returns
    -------
    tuple of Decision
        Of `data.target_spacing` and `data.unit`.

    Raises
    ------
    UlnaError
        For a target spacing that is set and does not suit the axes, or that images cannot be brought to.

    Examples
    --------
    >>> grids = [Grid((10, 90, 90), (8, side, side), "mm") for side in (1.0, 1.5, 2.0)]
    >>> [(one.key, one.value) for one in spacings(Config(), grids)]
    [('data.target_spacing', (0.0, 1.5, 1.5)), ('data.unit', 'mm')]
    """
    data, axes, units = config.data, grids[0].ndim, sorted({grid.unit for grid in grids})
    silent = units == ["pixel"] and all(set(grid.spacing) == {1.0} for grid in grids) and not data.spacing
    if data.target_spacing:
        _check(data, axes, units, silent=silent)
    elif axes == 2:
        return ()
    unit = data.unit or units[0]
    known = all(comparable(unit, other) for other in units)
    if data.resize is not None:
        value, why = None, "all images are resized to one size (data.resize)"
    elif not known:
        value, why = None, f"files count in {listed(sorted({*units, unit}))}: their pixels cannot be compared"
    elif silent:
        value, why = None, "files do not say how far apart voxels lie; say it with data.spacing"
    else:
        value, why = _median(config, grids, unit)
    decisions = [decide(config, "data.target_spacing", value, why)]
    if decisions[0].value:
        decisions.append(decide(config, "data.unit", units[0], "the unit of the files"))
    return tuple(decisions)


def _check(data: DataConfig, axes: int, units: Sequence[str], *, silent: bool) -> None:
    """Raise UlnaError for a target spacing that images with these axes and units cannot be brought to."""
    where, given = "data.target_spacing", data.target_spacing or ()
    if len(given) != axes:
        what = f"needs a number for each of {axes} axes, not {len(given)}"
        raise UlnaError(what, where=where, hint="0 leaves an axis as it is.")
    if data.resize is not None:
        what = "images are brought to one size (data.resize) or to one spacing, not to both"
        raise UlnaError(what, where=where, hint="Leave one of the two away.")
    if silent and any(given):
        what = "the files do not say how far apart their pixels lie"
        raise UlnaError(what, where=where, hint="Say it with data.spacing and data.unit.")
    unit = data.unit or units[0]
    strange = [other for other in units if not comparable(unit, other)]
    if strange and any(given):
        what = f"files count in {listed(strange)}, the target spacing in {unit}: they cannot be compared"
        raise UlnaError(what, where=where, hint="Say with data.unit in what it counts, and leave the others away.")


def _median(config: Config, grids: Sequence[Grid], unit: str) -> tuple[tuple[float, ...], str]:
    sides = np.array([np.array(grid.spacing) * factor(grid.unit, unit) for grid in grids])
    median = np.median(sides, axis=0)
    thick = median > THICK * median.min()
    if config.network.ndim == 2 and config.data.slices is not None:
        thick[config.data.slices] = True  # no slice is made of two
    value = tuple(0.0 if own else float(f"{side:.4g}") for own, side in zip(thick, median, strict=True))
    low, high = sides.min(axis=0), sides.max(axis=0)
    parts = [f"{a:.3g}" if np.isclose(a, b, rtol=0.01) else f"{a:.3g}–{b:.3g}" for a, b in zip(low, high, strict=True)]
    why = f"the median of {' × '.join(parts)} {unit}"
    if thick.any():
        names = listed([axis for axis, own in zip(AXES, thick, strict=True) if own])
        why += f"; between slices (axis {names}) nothing is interpolated"
    return value, why
