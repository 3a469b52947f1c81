"""What a network takes of an image, read or opened: the channels that it learned, and none that it does not know."""

from __future__ import annotations

from ulna.channels import pick, used
from ulna.config import Config, DataConfig
from ulna.errors import UlnaError
from ulna.formats import Reader, check_finite
from ulna.image import Array, Image, Region
from ulna.inference.inputs import repeated
from ulna.inference.views import View
from ulna.normalization import COLORS, to_channels
from ulna.orientation import Orientation, orientation
from ulna.resampling import placing_note, resampling_note


def channels_of(image: Image, data: DataConfig) -> tuple[Array, tuple[str, ...]]:
    """The image (C, *spatial) with the channels of the network, and what is to be said of them.

    Parameters
    ----------
    image
        As it was read.
    data
        Of the model.

    Returns
    -------
    ndarray, tuple of str
        Sentences without a full stop.

    Raises
    ------
    UlnaError
        For an image with other channels than the network takes.
    """
    chosen, taken = pick(image, data)
    notes = (
        taken,
        repeated(len(chosen.array), data),
        resampling_note(orientation(image.grid).grid(image.grid), data),
        placing_note(image.grid, data),
    )
    try:
        return to_channels(chosen.array, data.inputs, chosen.channels), tuple(filter(None, notes))
    except UlnaError as error:
        raise UlnaError(error.what, where=image.source, hint=error.hint) from None


def as_it_lies(reader: Reader, config: Config) -> bool:
    """Whether a network takes an image as it lies in its file, so that it can be read region by region.

    Parameters
    ----------
    reader
        The image, opened.
    config
        Of the model.

    Returns
    -------
    bool
        Where its channels fit, or one stands for three, and it need not be resized.
    """
    try:
        channels = len(used(reader.channels, config.data)[0])
    except UlnaError:
        return False  # said when it is predicted
    plain = not reader.palette and all(channel.role == "signal" for channel in reader.channels)
    inputs = config.data.inputs
    fits = channels == inputs or (channels == 1 and inputs == COLORS)
    return plain and fits and config.data.resize is None and reader.grid.ndim >= config.network.ndim


def view_of(reader: Reader, data: DataConfig, turn: Orientation) -> View:
    """An image for which `as_it_lies` holds, with the channels of the network, read region by region.

    Parameters
    ----------
    reader
        The image, opened.
    data
        Of the model.
    turn
        How its axes are brought into the order of the world.

    Returns
    -------
    View
        (C, *spatial), turned.
    """
    shape, (places, _) = turn.grid(reader.grid).shape, used(reader.channels, data)
    in_order = places == tuple(range(len(reader.channels)))

    def read(region: Region) -> Array:
        array = reader.read(turn.before(region, shape))
        check_finite(array, reader.source)
        taken = array if in_order else array[list(places)]
        return turn.apply(to_channels(taken, data.inputs, [reader.channels[k] for k in places]))

    return View((data.inputs, *shape), reader.dtype, read)
