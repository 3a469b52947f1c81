"""What every picture needs: images for the eye, masks in colors that all can tell apart, figures on disk.

Figures are made with matplotlib's objects alone (`Figure`, `FigureCanvasAgg`), never with pyplot: nothing
global is touched, and no window is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from scipy import ndimage

from ulna.errors import UlnaError
from ulna.figures.colors import DARK, LIGHT, color
from ulna.formats.atomic import atomic_write
from ulna.image import IGNORE, Array

Rgb = npt.NDArray[np.uint8]

UNANNOTATED = 0.6
"""How bright that is which nobody annotated."""

GLEAM = 0.6
"""How much of the light line within outlines is white; the rest is what lies below."""


def plane(array: Array, at: int | None = None) -> Array:
    """One plane of an image.

    Parameters
    ----------
    array
        (C, Y, X) or (C, Z, Y, X).
    at
        Which plane of a volume; by default the middle one.

    Returns
    -------
    Array
        (C, Y, X).

    Raises
    ------
    UlnaError
        For other numbers of axes.
    """
    if array.ndim == 3:
        return array
    if array.ndim != 4:
        raise UlnaError(f"an image has 2 or 3 spatial axes after its channels, this has the shape {array.shape}")
    return array[:, array.shape[1] // 2 if at is None else at]


def to_rgb(array: Array, *, low: float = 0.5, high: float = 99.8) -> Rgb:
    """An image of any dtype for the eye.

    One or two channels become gray (the first one), of more than three the first three are shown. RGB in uint8 is shown
    as it is; all else is stretched between two percentiles over all shown channels together, so that colors keep their
    balance. What is not finite is shown black.

    Parameters
    ----------
    array
        (C, Y, X) or (C, Z, Y, X), of which the middle plane is shown.
    low, high
        The percentiles that become black and white.

    Returns
    -------
    Rgb
        (Y, X, 3) uint8.
    """
    shown = plane(array)
    shown = shown[:3] if shown.shape[0] >= 3 else shown[:1]
    if shown.shape[0] == 3 and shown.dtype == np.uint8 and _uses_its_range(shown):
        return np.ascontiguousarray(np.moveaxis(shown, 0, -1))
    values = shown.astype(np.float32)
    finite = np.isfinite(values)
    bottom, top = np.percentile(values[finite], (low, high)) if finite.any() else (0.0, 1.0)
    if top <= bottom:  # a few bright specks on a flat ground, or a flat image
        top = float(values[finite].max()) if finite.any() else bottom
    stretched = np.where(finite, (values - bottom) / max(top - bottom, 1e-12), 0.0).clip(0, 1)
    gray_or_color = np.broadcast_to(np.moveaxis(stretched, 0, -1), (*stretched.shape[1:], 3))
    return (gray_or_color * 255).round().astype(np.uint8)


def _uses_its_range(rgb: Array) -> bool:
    """Whether an 8-bit color image is colorful and bright enough to be looked at as it is."""
    colorful = bool((rgb[0] != rgb[1]).any() or (rgb[1] != rgb[2]).any())
    return colorful and int(np.percentile(rgb, 99.5)) > 128


def overlay(rgb: Rgb, mask: Array, *, opacity: float = 0.4) -> Rgb:
    """The image with its classes as a tint; what is not annotated (`IGNORE`) is darkened.

    Parameters
    ----------
    rgb
        (Y, X, 3).
    mask
        (Y, X) class indices, 0 the background.
    opacity
        Of the tint.

    Returns
    -------
    Rgb
        (Y, X, 3).
    """
    result = rgb.astype(np.float32)
    result[mask == IGNORE] *= 1 - opacity
    for index in _indices(mask):
        inside = mask == index
        result[inside] = (1 - opacity) * result[inside] + opacity * np.asarray(color(index), np.float32)
    return result.round().astype(np.uint8)


def darkened(rgb: Rgb, where: npt.NDArray[np.bool_]) -> Rgb:
    """The image, darker in some places: what nobody annotated.

    Parameters
    ----------
    rgb
        (Y, X, 3).
    where
        (Y, X).

    Returns
    -------
    Rgb
        (Y, X, 3).
    """
    return np.where(where[..., None], (UNANNOTATED * rgb).astype(np.uint8), rgb)


def outlined(rgb: Rgb, numbers: Array, shades: Array, *, opacity: float = 0.2, width: int = 0) -> Rgb:
    """An image with objects or classes tinted and outlined, each in its own color.

    A line lies on the pixels of what it surrounds. It has a light line inside and a dark one outside, so that it is
    seen on dark nuclei in pale tissue as on bright cells on a black ground.

    Parameters
    ----------
    rgb
        The image for the eye, (Y, X, 3).
    numbers
        (Y, X) numbers of objects or classes, 0 the background.
    shades
        (numbers, 3) red, green and blue of each number from 0 on.
    opacity
        Of the tint.
    width
        Of the line, pixels; 0: as the image is large.

    Returns
    -------
    Rgb
        (Y, X, 3).
    """
    width = width or max(1, round(min(numbers.shape) / 400))
    halo = max(1, width // 2)
    inside = numbers > 0
    own = np.asarray(shades, np.float32)[numbers]
    drawn = np.where(inside[..., None], (1 - opacity) * rgb + opacity * own, rgb)
    drawn[ndimage.binary_dilation(inside, iterations=halo) & ~inside] = DARK
    line = edges(numbers, width=width)
    within = edges(numbers, width=width + halo) & ~line
    drawn[within] = (1 - GLEAM) * drawn[within] + GLEAM * np.asarray(LIGHT, np.float32)
    drawn[line] = own[line]
    return drawn.round().astype(np.uint8)


def edges(labels: Array, *, width: int = 1) -> npt.NDArray[np.bool_]:
    """Where labels are not 0 and close to another value; image borders are no edges.

    Parameters
    ----------
    labels
        (Y, X).
    width
        So many steps are close.

    Returns
    -------
    ndarray of bool
        (Y, X).
    """
    found = np.zeros(labels.shape, bool)
    inner = labels
    for _ in range(width):
        padded = np.pad(inner, 1, mode="edge")
        middle = padded[1:-1, 1:-1]
        neighbors = (padded[:-2, 1:-1], padded[2:, 1:-1], padded[1:-1, :-2], padded[1:-1, 2:])
        step = np.logical_or.reduce([middle != other for other in neighbors]) & (middle != 0)
        found |= step
        inner = np.where(step, 0, inner)
    return found


def _indices(mask: Array) -> list[int]:
    return [int(value) for value in np.unique(mask) if value not in (0, IGNORE)]


def new_figure(width: float, height: float, *, dpi: int = 120) -> Figure:
    """An empty white figure with a canvas of its own, in constrained layout.

    Parameters
    ----------
    width, height
        Inches.
    dpi
        Pixels per inch.

    Returns
    -------
    Figure
        It belongs to no window.
    """
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def show(axes: Axes, rgb: Rgb, title: str = "", *, size: float = 8) -> None:
    """Put an image on axes, without ticks or frame.

    Parameters
    ----------
    axes
        Where to.
    rgb
        (Y, X, 3).
    title
        Above it; "" for none.
    size
        Of the title, points.
    """
    axes.imshow(rgb, interpolation="nearest" if max(rgb.shape[:2]) < 128 else "antialiased")
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=size)


def elided(name: str, length: int = 22) -> str:
    """A name that fits above a small image: of a long one the beginning and the end.

    Parameters
    ----------
    name
        Of a case.
    length
        So many characters fit.

    Returns
    -------
    str
        Fit for titles, as `words` makes it.

    Examples
    --------
    >>> elided("patient_04_slide_region_12", 16)
    'patient_…gion_12'
    """
    half = (length - 1) // 2
    return words(name if len(name) <= length else f"{name[: length - 1 - half]}…{name[-half:]}")


def flatness(shape: Sequence[int]) -> float:
    """The height of a plane over its width, within what a grid of pictures can show.

    Parameters
    ----------
    shape
        (…, Y, X).

    Returns
    -------
    float
        From 0.3 to 1.6.
    """
    return min(max(shape[-2] / max(shape[-1], 1), 0.3), 1.6)


def words(text: str, *, math: bool = True) -> str:
    """A name from a file system as pictures can show it: one line, not too long, nothing that is taken for a formula.

    Parameters
    ----------
    text
        A name.
    math
        Whether a dollar sign would begin a formula, as in matplotlib, and is escaped therefore.

    Returns
    -------
    str
        For titles and legends.
    """
    line = "".join(letter if letter.isprintable() else "?" for letter in text).replace("$", r"\$" if math else "$")
    shown = line if len(line) <= 110 else f"{line[:60]} … {line[-45:]}"
    return f" {shown}" if shown.startswith("_") else shown  # legends drop labels that begin with "_"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write a figure atomically.

    Parameters
    ----------
    figure
        Any matplotlib figure.
    path
        Where to, in the format of its suffix.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        Where the file cannot be written.
    """
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    with atomic_write(path) as beside:
        figure.savefig(beside, format=path.suffix.lstrip(".") or "png")
    return path
