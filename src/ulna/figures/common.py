"""What every picture needs: images for the eye, masks in colors that all can tell apart, figures on disk.

Figures are made with matplotlib's objects alone (`Figure`, `FigureCanvasAgg`), never with pyplot: nothing
global is touched, and no window is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib import get_data_path
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from ulna.errors import UlnaError
from ulna.formats.atomic import atomic_write
from ulna.image import IGNORE, Array

Rgb = npt.NDArray[np.uint8]

#: Okabe and Ito's colors, which people with any color blindness can tell apart
#: (M. Okabe, K. Ito: Color Universal Design, 2008). The order here: bright ones first, as they lie on images.
COLORS: tuple[tuple[int, int, int], ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (204, 121, 167),  # reddish purple
    (213, 94, 0),  # vermillion
    (0, 114, 178),  # blue
)

DARK = (24, 24, 24)
"""What surrounds outlines, and lies below a legend."""


def color(index: int) -> tuple[int, int, int]:
    """The color of class `index` (1 is the first class that is not background); they repeat after seven."""
    return COLORS[(index - 1) % len(COLORS)]


def plane(array: Array, at: int | None = None) -> Array:
    """One plane (C, Y, X) of an image (C, Y, X) or (C, Z, Y, X): the plane `at`, else the middle one."""
    if array.ndim == 3:
        return array
    if array.ndim != 4:
        raise UlnaError(f"an image has 2 or 3 spatial axes after its channels, this has the shape {array.shape}")
    return array[:, array.shape[1] // 2 if at is None else at]


def to_rgb(array: Array, *, low: float = 0.5, high: float = 99.8) -> Rgb:
    """An image (C, Y, X) or (C, Z, Y, X) (its middle plane) of any dtype for the eye: (Y, X, 3) uint8.

    One or two channels become gray (the first one), of more than three the first three are shown. RGB in
    uint8 is shown as it is; all else is stretched between the percentiles `low` and `high` over all shown
    channels together, so that colors keep their balance. What is not finite is shown black.
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
    """The image (Y, X, 3) with the classes of `mask` (Y, X), integers with 0 as background, as a tint.

    What is not annotated (`IGNORE`) is darkened.
    """
    result = rgb.astype(np.float32)
    result[mask == IGNORE] *= 1 - opacity
    for index in _indices(mask):
        inside = mask == index
        result[inside] = (1 - opacity) * result[inside] + opacity * np.asarray(color(index), np.float32)
    return result.round().astype(np.uint8)


def outline(rgb: Rgb, mask: Array, *, width: int = 1) -> Rgb:
    """The image (Y, X, 3) with every class of `mask` (Y, X) outlined in its color, `width` pixels inwards.

    The line lies on the class's own pixels, where they touch another value.
    """
    result = rgb.copy()
    inner = edges(mask, width=width)
    for index in _indices(mask):
        result[inner & (mask == index)] = color(index)
    return result


def annotated(rgb: Rgb, mask: Array, names: Sequence[str] = (), *, opacity: float = 0.2) -> Rgb:
    """An image with its classes tinted and outlined, and a legend below.

    The lines lie on the classes' own pixels and have a dark border outside, so that they are seen on bright tissue as
    on dark fluorescence; they are as wide as the image is large.

    Parameters
    ----------
    rgb
        The image for the eye, (Y, X, 3).
    mask
        Class indices, (Y, X), 0 the background.
    names
        Names of the class indices, the background first; without names there is no legend.
    opacity
        Of the tint.

    Returns
    -------
    Rgb
        (Y, X, 3); with a legend it is higher, and at least as wide as that.
    """
    width = max(1, round(min(mask.shape) / 400))
    drawn = overlay(rgb, mask, opacity=opacity)
    inside = mask != 0
    drawn[ndimage.binary_dilation(inside, iterations=max(1, width // 2)) & ~inside] = DARK
    drawn = outline(drawn, mask, width=width)
    return np.vstack(_as_wide(drawn, legend(names, drawn.shape[1]))) if names[1:] else drawn


def legend(names: Sequence[str], width: int) -> Rgb:
    """A strip with a square in the color of each class and its name, the background left out.

    It is `width` pixels wide, or wider where a name needs it, in as many rows as that takes.
    """
    size = min(max(12, round(width / 45)), 40)
    font = ImageFont.truetype(str(Path(get_data_path(), "fonts", "ttf", "DejaVuSans.ttf")), size)
    gap = size // 2
    labels = [(color(index), words(name).strip()) for index, name in enumerate(names) if index]
    widths = [gap + size + gap + round(font.getlength(name)) + gap for _, name in labels]
    places, x, row = [], 0, 0
    for needed in widths:
        if x and x + needed > width:
            x, row = 0, row + 1
        places.append((x + gap, row * 2 * size + gap))
        x += needed
    strip = Pillow.new("RGB", (max(width, *widths), (row + 1) * 2 * size), DARK)
    pen = ImageDraw.Draw(strip)
    for (shade, name), (left, top) in zip(labels, places, strict=True):
        pen.rectangle((left, top, left + size - 1, top + size - 1), fill=shade)
        pen.text((left + size + gap, top + size / 2), name, fill="white", font=font, anchor="lm")
    return np.array(strip)


def _as_wide(*pictures: Rgb) -> list[Rgb]:
    """Pictures filled up at their right sides to the width of the widest."""
    width = max(picture.shape[1] for picture in pictures)
    return [
        np.pad(picture, ((0, 0), (0, width - picture.shape[1]), (0, 0)), constant_values=DARK[0])
        for picture in pictures
    ]


def edges(labels: Array, *, width: int = 1) -> npt.NDArray[np.bool_]:
    """Where `labels` (Y, X) is not 0 and within `width` steps of another value (image borders are none)."""
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
    """An empty figure of `width` × `height` inches with a canvas of its own, white, in constrained layout."""
    figure = Figure(figsize=(width, height), dpi=dpi, layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def show(axes: Axes, rgb: Rgb, title: str = "", *, size: float = 8) -> None:
    """Put an image (Y, X, 3) on `axes` without ticks or frame, with a title in `size` points."""
    axes.imshow(rgb, interpolation="nearest" if max(rgb.shape[:2]) < 128 else "antialiased")
    axes.set_axis_off()
    if title:
        axes.set_title(title, fontsize=size)


def words(text: str) -> str:
    """Names come from file systems: one line, not too long, nothing that matplotlib takes for a formula."""
    line = "".join(letter if letter.isprintable() else "?" for letter in text).replace("$", r"\$")
    shown = line if len(line) <= 110 else f"{line[:60]} … {line[-45:]}"
    return f" {shown}" if shown.startswith("_") else shown  # legends drop labels that begin with "_"


def save_figure(figure: Figure, path: Path) -> Path:
    """Write `figure` to `path` in the format of its suffix atomically; returns the path.

    Raises UlnaError where the file cannot be written (disk full, no permission).
    """
    if not isinstance(figure.canvas, FigureCanvasAgg):
        FigureCanvasAgg(figure)
    with atomic_write(path) as beside:
        figure.savefig(beside, format=path.suffix.lstrip(".") or "png")
    return path
