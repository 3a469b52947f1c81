"""How training images were varied, as a paper says it."""

from __future__ import annotations

from collections.abc import Callable

from ulna.config import AugmentationConfig, Config
from ulna.text import enumerated

Cite = Callable[..., str]

COLORS = 3
"""Channels of an image in color."""


def augmentation(config: Config, cite: Cite) -> str:
    """The variation of training images in sentences.

    Parameters
    ----------
    config
        The configuration of the run.
    cite
        Gives the number of a reference by its key.

    Returns
    -------
    str
        What was varied and how far; or that nothing was.
    """
    varied = config.augmentation
    if varied is None:
        return "Training images were not varied."
    moved, changed = _moved(varied, config.network.ndim), _changed(varied, config)
    told = []
    if moved:
        share = f"all with a probability of {varied.spatial_probability:g}"
        told.append(f"Training patches were varied by {enumerated(moved)} ({share}).")
    if varied.elastic:
        text = f"Elastic deformation{cite('ronneberger2015unet')} had displacements of up to {varied.elastic:g} pixels"
        told.append(f"{text} (their standard deviation, on a grid of {varied.elastic_grid} points per axis).")
    if varied.slices is not None and config.network.ndim == 3:
        told.append("Thick slices were moved within their plane only.")
    if changed:
        share = f"each with a probability of {varied.intensity_probability:g}"
        told.append(f"Intensities were varied, {share}: {enumerated(changed)}.")
    told += _stained(varied, config.data.inputs)
    if varied.low_resolution:
        told.append(
            f"With a probability of {varied.low_resolution:g} per channel, patches were shown at down to half their "
            f"resolution{cite('isensee2021nnunet')}."
        )
    return " ".join(told) or "Training images were not varied."


def _moved(varied: AugmentationConfig, ndim: int) -> list[str]:
    """What moves pixels."""
    low, high = varied.scale
    flips = "flips along all axes"
    if not isinstance(varied.flip, bool):
        flips = f"flips along {enumerated(['ZYX'[-ndim:][axis] for axis in sorted(varied.flip)])}"
    parts = {
        flips: bool(varied.flip),
        f"quarter turns with a probability of {varied.quarter_turns:g}": bool(varied.quarter_turns),
        f"rotations by up to {varied.rotation:g} degrees": bool(varied.rotation),
        f"tilts by up to {varied.tilt:g} degrees": bool(varied.tilt and ndim == 3),
        f"scaling by {low:g} to {high:g}": (low, high) != (1.0, 1.0),
        f"shifts by up to {varied.shift:.0%} of the patch": bool(varied.shift),
        "elastic deformation": bool(varied.elastic),
    }
    return [name for name, used in parts.items() if used]


def _changed(varied: AugmentationConfig, config: Config) -> list[str]:
    """What changes intensities; stains are those of color images."""
    parts = {
        f"brightness (± {varied.brightness:g})": bool(varied.brightness),
        f"contrast ({varied.contrast[0]:g} to {varied.contrast[1]:g})": varied.contrast != (1.0, 1.0),
        f"gamma ({varied.gamma[0]:g} to {varied.gamma[1]:g})": varied.gamma != (1.0, 1.0),
        f"colors (by up to {varied.stain:g})": bool(config.data.inputs >= COLORS and varied.stain),
        f"Gaussian noise (up to {varied.noise:g})": bool(varied.noise),
        f"Gaussian blur (up to {varied.blur:g} pixels)": bool(varied.blur),
    }
    return [name for name, used in parts.items() if used]


def _stained(varied: AugmentationConfig, channels: int) -> list[str]:
    """What is done to color images alone."""
    told = []
    if channels >= COLORS and varied.counterstain:
        told.append(
            f"With a probability of {varied.counterstain:g} a second, unevenly spread stain was laid over the patch."
        )
    if channels == COLORS and varied.fluorescence_to_brightfield:
        share = f"{varied.fluorescence_to_brightfield:g}"
        told.append(f"With a probability of {share} gray patches were redrawn as stained tissue, dark on bright.")
    return told
