"""Images and labels as layers of napari, and a layer of napari as an image."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from ulna.errors import UlnaError
from ulna.figures.colors import COLORS, NOT_ANNOTATED, color
from ulna.figures.objects import neighbor_colors
from ulna.formats.base import BY_SAMPLES, RGB
from ulna.image import IGNORE, Array, Grid, Image, Labels
from ulna.numbering import consecutive
from ulna.text import plural
from ulna.units import CENTIMETERS, spelled

if TYPE_CHECKING:
    from napari.layers import Image as ImageLayer

LayerData = tuple[Any, dict[str, Any], str]
"""What napari makes a layer of: data, keywords, and "image" or "labels"."""

GRID = "ulna grid"
"""The metadata of a layer by which it keeps how its axes lie in the world, of which a layer has no other record."""

MAX_COLORED = 65_535
"""The largest number to which napari gives a color of our choice; larger ones it would refuse to draw."""


def image_layers(image: Image, name: str, *, visible: bool = True) -> list[LayerData]:
    """An image as layers: colors in one, other channels in one each.

    Parameters
    ----------
    image
        (C, *spatial).
    name
        Of the layer; where there are several, the name of the channel follows.
    visible
        Whether it is shown at once.

    Returns
    -------
    list of LayerData
        In the order of the channels.
    """
    words = {"visible": visible, "metadata": {GRID: image.grid}, **place(image.grid)}
    if image.channels == RGB:
        return [(np.moveaxis(image.array, 0, -1), {"name": name, "rgb": True, **words}, "image")]
    one = len(image.array) == 1
    return [
        (
            plane,
            {"name": name if one else f"{name} {channel.name}", "rgb": False, **words}
            | ({} if one else {"blending": "additive"}),
            "image",
        )
        for plane, channel in zip(image.array, image.channels, strict=True)
    ]


def labels_layer(labels: Labels, name: str, *, visible: bool = True) -> LayerData:
    """Labels as a layer: objects in colors in which neighbors differ, or classes in theirs.

    Parameters
    ----------
    labels
        Classes and, where they are known, objects.
    name
        Of the layer.
    visible
        Whether it is shown at once.

    Returns
    -------
    LayerData
        Numbers of objects, else class indices. Its features are the class of each and, if known, the score.
    """
    words = {"name": name, "visible": visible, "metadata": {GRID: labels.grid}, **place(labels.grid)}
    if labels.objects is None:
        named = dict(enumerate(labels.names)) | {IGNORE: "not annotated"}
        present = [int(index) for index in np.unique(labels.classes)]
        features = {"index": present, "class": [named.get(index, str(index)) for index in present]}
        shades = {index: _share(color(index)) for index in present if index not in (0, IGNORE)}
        colormap = _colormap(shades | {IGNORE: _share(NOT_ANNOTATED)})
        return labels.classes, {"features": features, "colormap": colormap, **words}, "labels"
    numbers, places = np.unique(labels.objects, return_index=True)
    indices = labels.classes.ravel()[places]
    classes = {int(n): labels.names[k] for n, k in zip(numbers, indices, strict=True) if n and k < len(labels.names)}
    scores = dict(zip([int(n) for n in numbers if n], labels.scores, strict=False))
    return numbered_layer(labels.objects, words, classes, scores)


def numbered_layer(
    numbers: Array, words: dict[str, Any], classes: Mapping[int, str], scores: Mapping[int, float]
) -> LayerData:
    """Numbers of objects as a layer, in colors in which neighbors differ; beyond `MAX_COLORED` in those of napari.

    Parameters
    ----------
    numbers
        (*spatial), 0 the background.
    words
        Keywords of the layer.
    classes, scores
        The class and the score of each number, as far as they are known.

    Returns
    -------
    LayerData
        The numbers of objects as they are.
    """
    names, drawn = consecutive(numbers)
    present = [int(number) for number in names]
    features: dict[str, list[Any]] = {"index": [0, *present]}
    if classes:
        features["class"] = ["background", *(classes.get(number, "") for number in present)]
    if scores:
        features["score"] = [math.nan, *(scores.get(number, math.nan) for number in present)]
    words = {"features": features, **words}
    if present and present[-1] <= MAX_COLORED:
        shades = neighbor_colors(*(drawn if drawn.ndim == 3 else [drawn]))
        words["colormap"] = _colormap({number: _share(COLORS[shades[k]]) for k, number in enumerate(present, start=1)})
    return numbers, words, "labels"


def values_of(mask: Image) -> Array:
    """The values (*spatial) of a mask from a file, as whole numbers.

    Parameters
    ----------
    mask
        (1, *spatial).

    Returns
    -------
    Array
        Integers.

    Raises
    ------
    UlnaError
        For what is no mask: several channels, numbers that are not whole.
    """
    if len(mask.array) > 1:
        raise UlnaError(f"a mask has one channel, this one has {len(mask.array)}", where=mask.source)
    array: Array = mask.array[0]
    if array.dtype.kind != "f":
        return array
    if not np.array_equal(array, np.rint(array)):
        raise UlnaError("holds numbers that are not whole: it is no mask", where=mask.source)
    whole: Array = array.astype(np.int64)
    return whole


def values_layer(values: Array, words: dict[str, Any], known: Sequence[int]) -> LayerData:
    """The values of classes in a mask from a file as a layer.

    Parameters
    ----------
    values
        (*spatial), 0 the background.
    words
        Keywords of the layer.
    known
        The values of all masks that are shown together, so that a class has one color in all.

    Returns
    -------
    LayerData
        The values as they are.
    """
    shades = {value: _share(color(k)) for k, value in enumerate((v for v in known if v), start=1)}
    return values, {"colormap": _colormap(shades), **words}, "labels"


def place(grid: Grid) -> dict[str, Any]:
    """Where pixels lie, in napari's words.

    Axes that do not run along those of the world are shown as the file has them: the planes that napari shows would
    else be none of the file's.

    Parameters
    ----------
    grid
        The grid.

    Returns
    -------
    dict
        `scale`, `units` and, where it makes sense, `translate`.
    """
    unit = grid.unit if grid.unit in CENTIMETERS else "pixel"
    words: dict[str, Any] = {"scale": grid.spacing, "units": (unit,) * grid.ndim}
    if np.array_equal(grid.matrix, np.eye(grid.ndim)):
        words["translate"] = grid.origin
    return words


def of_layer(layer: ImageLayer, *, ndim: int, channels: int) -> Image:
    """The image of a layer.

    Parameters
    ----------
    layer
        An image layer. Of several levels the finest is taken.
    ndim, channels
        How many spatial axes and channels the model takes. A layer that is no color image has its channels first, as
        napari merges several layers, if there are as many.

    Returns
    -------
    Image
        (C, *spatial), on the grid that the layer's reader has kept, or that its scale and units say.

    Raises
    ------
    UlnaError
        For a layer of four axes or more.
    """
    array = np.asarray(layer.data[0] if layer.multiscale else layer.data)
    array = array.astype(np.uint8) if array.dtype == np.bool_ else array
    named: Any = ()
    if layer.rgb:
        array = np.moveaxis(array, -1, 0)
        if len(array) == 4 and (array[3] == array[3].flat[0]).all():
            array = array[:3]  # transparency that says nothing, as in files
        named = BY_SAMPLES[len(array)]
    elif channels == 1 or array.ndim <= ndim or len(array) != channels:
        array = array[None]
    if array.ndim - 1 not in (2, 3):
        what = f"this layer has {plural(array.ndim - 1, 'axis', 'axes')} beside that of its channels"
        raise UlnaError(
            what, where=layer.name, hint="Give an image or a volume: for a film, a layer of one time point."
        )
    return Image(np.ascontiguousarray(array), _grid(layer, array.shape[1:]), named)


def of_image(layer: ImageLayer, ndim: int) -> dict[str, Any]:
    """Where a layer lies, for a layer of its mask.

    Parameters
    ----------
    layer
        Of the image.
    ndim
        The spatial axes of the mask; the layer may have another one before them, that of its channels.

    Returns
    -------
    dict
        Keywords of the new layer.
    """
    axes = list(range(layer.ndim - ndim, layer.ndim))
    return {
        "scale": layer.scale[axes],
        "translate": layer.translate[axes],
        "units": tuple(layer.units[axis] for axis in axes),
        "axis_labels": tuple(layer.axis_labels[axis] for axis in axes),
        "affine": layer.affine.set_slice(axes),
        "rotate": layer.rotate[np.ix_(axes, axes)],
    }


def _grid(layer: ImageLayer, shape: tuple[int, ...]) -> Grid:
    kept = layer.metadata.get(GRID)
    if isinstance(kept, Grid) and kept.shape == shape:
        return kept
    spacing = tuple(abs(float(side)) for side in layer.scale[-len(shape) :])
    units = {spelled(str(unit)) for unit in layer.units[-len(shape) :]}
    unit = units.pop() if len(units) == 1 else "pixel"
    return Grid(shape, spacing, unit if unit in CENTIMETERS else "pixel")


def _colormap(shades: Mapping[int, tuple[float, ...]]) -> Any:
    from napari.utils.colormaps import DirectLabelColormap

    colors: dict[int | None, npt.NDArray[np.float32]] = {None: np.zeros(4, np.float32), 0: np.zeros(4, np.float32)}
    colors |= {number: np.asarray(shade, np.float32) for number, shade in shades.items()}
    return DirectLabelColormap(color_dict=colors)


def _share(shade: tuple[int, int, int]) -> tuple[float, float, float, float]:
    red, green, blue = shade
    return red / 255, green / 255, blue / 255, 1.0
