"""Whatever people call an image, as an `Image` with its channels first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image as Pillow

from ulna.config import DataConfig
from ulna.errors import UlnaError
from ulna.formats import check_finite, is_folder, read, without_nan
from ulna.formats.base import BY_SAMPLES, equal_channels
from ulna.image import Array, Image, Source, checked
from ulna.layouts import find
from ulna.normalization import COLORS
from ulna.text import plural

PLAIN_MODES = {"L", "RGB", "I;16", "I;16L", "I;16B", "I;16N", "I", "F"}
"""Of Pillow: their arrays are what they show. All others are converted as image files are."""

WITH_ALPHA = {"LA", "PA", "RGBA", "La", "RGBa"}

TAKEN = "a path, an Image, a NumPy array, a PIL image or a PyTorch tensor"


def is_several(given: object) -> bool:
    """Whether this is a list, a generator or another iterable of images, and no image itself.

    Parameters
    ----------
    given
        Anything.

    Returns
    -------
    bool
        False for paths, arrays, images and for what is no iterable.

    Examples
    --------
    >>> is_several(["a.png", "b.png"]), is_several("a.png"), is_several(np.zeros((2, 2)))
    (True, False, False)
    """
    single = str | Path | Source | Image | np.ndarray | torch.Tensor | Pillow.Image | Mapping | bytes  # type: ignore[type-arg]
    return isinstance(given, Iterable) and not isinstance(given, single) and not hasattr(given, "__array__")


def source_of(place: Source) -> Source:
    """The image at a place: a file, or the only one of a folder, as the files of a DICOM series are one.

    Parameters
    ----------
    place
        A file or folder, with what was stated of it.

    Returns
    -------
    Source
        The file or files; that they can be read is found later.

    Raises
    ------
    UlnaError
        For a folder with more than one image, or none.
    """
    if place.inside or not place.path.is_dir() or is_folder(place):
        return place
    found = [source for case in find(place.path, plain=True).cases for source in case.images]
    if len(found) > 1:
        what = f"this folder holds {plural(len(found), 'image')}"
        raise UlnaError(what, where=place, hint="Name one of them, or predict all with ulna.predict.")
    return found[0].like(place)


def as_image(given: Any, *, ndim: int, channels: int, missing: float | None = None) -> Image:
    """An image as the network takes it, with its channels first.

    Parameters
    ----------
    given
        A path (of a file, or of the folder of one DICOM series), a `Source`, an `Image`, a PIL image, a tensor, a NumPy
        array or what has the method `__array__`.
    ndim
        The number of spatial axes that the network takes.
    channels
        The number of channels that the network takes, by which the axis of channels is found.
    missing
        What NaN in what is no file becomes; None: it is refused. (Of a file, its `Source` says it.)

    Returns
    -------
    Image
        (C, *spatial), its values as they were given.

    Raises
    ------
    UlnaError
        For anything else; for arrays that are empty, complex, of objects, masked, of another number of axes, whose axes
        can be read in two ways, or that hold NaN.
    """
    if isinstance(given, str | Path):
        given = source_of(Source(Path(given).expanduser()))
    if isinstance(given, Source):
        return read(given)
    if isinstance(given, Image):
        image = given
    elif isinstance(given, Pillow.Image):
        image = _of_pillow(given)
    else:
        image = Image(_channels_first(_array(given), ndim=ndim, channels=channels))
    array = without_nan(image.array, missing)
    check_finite(array, image.source or "the image")
    return image if array is image.array else replace(image, array=array)


def repeated(channels: int, data: DataConfig) -> str:
    """What must be said of an image of so many channels whose one channel stands for three; empty for all others.

    Gray beside color is nothing to wonder at; gray where the training images had three stains or sequences is.

    Parameters
    ----------
    channels
        Of the image.
    data
        The section `data` of the model's configuration.

    Returns
    -------
    str
        A sentence, or "".
    """
    if channels != 1 or data.inputs != COLORS or data.normalization != "percentile_by_channel":
        return ""
    return "its one channel is taken for each of the model's three, which are no colors; the mask may mean nothing"


def _of_pillow(picture: Pillow.Image) -> Image:
    """A PIL image with the pixels that Pillow shows; rotations that EXIF data ask for are not applied."""
    frames = int(getattr(picture, "n_frames", 1))
    if frames > 1:
        raise UlnaError(
            f"this PIL image holds {frames} pictures",
            hint="Give the path of the file to predict all, or one of them: image.copy().",
        )
    if not all(picture.size):
        raise UlnaError(f"the PIL image is empty: its size is {picture.size}")
    palette = picture.mode in ("P", "PA")
    has_alpha = picture.mode in WITH_ALPHA or "transparency" in picture.info
    try:
        array = np.asarray(picture := _plain(picture, has_alpha=has_alpha))
    except (OSError, ValueError, SyntaxError) as error:  # Pillow decodes a file when its pixels are asked for
        raise UlnaError(f"this PIL image cannot be read ({error})", hint="Copy or download its file again.") from None
    array = array[None] if array.ndim == 2 else np.moveaxis(array, -1, 0)
    if picture.mode in ("LA", "RGBA") and (array[-1] == array[-1].flat[0]).all():
        array = array[:-1]  # transparency that says nothing, as in files
    if palette and len(array) == 3 and equal_channels(array):
        array = array[:1]  # a palette of grays
    return Image(array, channels=BY_SAMPLES.get(len(array), ()))


def _plain(picture: Pillow.Image, *, has_alpha: bool) -> Pillow.Image:
    """The picture in a mode whose array is what it shows; a color that is declared transparent becomes an alpha."""
    declared = has_alpha and picture.mode in ("L", "RGB")
    if picture.mode in PLAIN_MODES and not declared:
        return picture
    gray = picture.mode in ("1", "L", "LA", "La")
    return picture.convert(("LA" if has_alpha else "L") if gray else "RGBA" if has_alpha else "RGB")


def of_tensor(given: torch.Tensor) -> Array:
    """A tensor as an array.

    Parameters
    ----------
    given
        Dense, on any device; floats of 8 and 16 bits that NumPy lacks become float32.

    Returns
    -------
    Array
        Of the same shape.

    Raises
    ------
    UlnaError
        For what NumPy cannot hold.
    """
    try:
        tensor = given.detach().cpu().resolve_conj().resolve_neg()
        short = tensor.is_floating_point() and tensor.dtype not in (torch.float16, torch.float32, torch.float64)
        array: Array = (tensor.float() if short else tensor).numpy()
    except (TypeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0]
        raise UlnaError(f"this tensor cannot be read ({reason})", hint="Give a dense tensor of numbers.") from None
    return array


def _array(given: Any) -> Array:
    if isinstance(given, torch.Tensor):
        given = of_tensor(given)
    if not hasattr(given, "__array__"):
        raise UlnaError(f"a {type(given).__name__} is no image", hint=f"Give {TAKEN}, or a list of these.")
    if isinstance(given, np.ma.MaskedArray):
        return given
    array = np.asarray(given)
    return array.astype(np.uint8) if array.dtype == bool else array


def _channels_first(array: Array, *, ndim: int, channels: int) -> Array:
    """(*spatial), (C, *spatial) or (*spatial, C) → (C, *spatial)."""
    if not array.size:
        raise UlnaError(f"the image is empty: its shape is {array.shape}")
    if array.ndim == ndim:
        return checked(array[None])
    if array.ndim == ndim + 1:
        first, last = array.shape[0] in (channels, 1), array.shape[-1] in (channels, 1, 3, 4)
        if first and last and max(array.shape) > 1:
            raise UlnaError(
                f"the channels of an array of shape {array.shape} can be its first or its last axis",
                hint="Give ulna.Image(array), with its channels first.",
            )
        if first or last:
            return checked(array if first else np.moveaxis(array, -1, 0))
    many = array.ndim == ndim + 2
    raise UlnaError(
        f"an array of shape {array.shape} is no image for this model",
        hint=f"It takes {ndim} spatial axes, with {channels} channels before or after them."
        + (" Give the images of a batch one by one: model.predict(list(batch))." if many else "")
        + (" Of a volume give ulna.Image(volume[None]), its planes first." if (ndim, array.ndim) == (2, 3) else ""),
    )
