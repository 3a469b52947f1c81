"""What an exported network expects and gives, as JSON for programs and as a page for people."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from ulna.config import DataConfig
from ulna.inference.engines.compiled import weights_hash
from ulna.model import Model
from ulna.networks import geometry
from ulna.normalization import CLIP, CLIP_INSIDE, HIGH, LOW, MIN_SHARE
from ulna.tasks.components import pieces_in_words
from ulna.tasks.decoding import Decoding
from ulna.text import listed

SPATIAL = {2: ("y", "x"), 3: ("z", "y", "x")}
"""The names of spatial axes, by their number."""

OUTPUT = "probabilities"
"""The name of what an exported network gives."""

NORMALIZED = {
    "percentile": f"Per image, over all channels together: (value - p{LOW:g}) / (p{HIGH:g} - p{LOW:g}), where p{LOW:g} "
    f"and p{HIGH:g} are percentiles of its values; then clipped to {CLIP[0]:g} … {CLIP[1]:g}.",
    "percentile_by_channel": f"Per image and channel: (value - p{LOW:g}) / (p{HIGH:g} - p{LOW:g}), where p{LOW:g} and "
    f"p{HIGH:g} are percentiles of the channel's values; then clipped to {CLIP[0]:g} … {CLIP[1]:g}. Of a channel of "
    f"counts with less than {MIN_SHARE:g} of the range of the whole image that share is the divisor.",
    "zscore": "Per image and channel: less the mean, divided by the standard deviation.",
    "zscore_inside": "Per image and channel: less the mean, divided by the standard deviation, both of the pixels that "
    "differ from the one value that most corners of the first and the last plane have; then clipped to "
    f"{CLIP_INSIDE[0]:g} … {CLIP_INSIDE[1]:g}.",
    "range": "Divided by the largest number of the type, 255 or 65535; floats from 0 to 1 stay as they are.",
    "none": "The image as it is, as float32.",
}
"""What is done to an image before it goes into a network, by the name of the normalization."""


def described(model: Model) -> dict[str, Any]:
    """Everything that another program needs to know in order to run an exported network.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    dict
        Plain strings, numbers, lists and dictionaries.
    """
    config, task = model.config, model.task
    fit = geometry(model.network)
    axes = SPATIAL[config.network.ndim]
    data = config.data
    named = list(data.use_channels) or [f"channel {number}" for number in range(data.inputs)]
    return {
        "made_by": f"ulna {version('ulna')}",
        "weights_sha256": [weights_hash(network) for network in model.saved.networks],
        "input": {
            "name": "image",
            "axes": ["batch", "channel", *axes],
            "type": "float32",
            "channels": [str(name) for name in named],
            "normalization": data.normalization,
            "normalization_in_words": normalization_in_words(data, sliced=sliced(model)),
            "volumes": turned_in_words(model),
            "spacing": list(data.target_spacing or ()),
            "spacing_unit": data.unit,
            "resize": list(data.resize or ()),
            "missing": data.missing,
            "mirrored_border": config.inference.margin,
            "averaged_over_mirror_images": config.inference.mirror,
            "size": {
                axis: {"smallest": side.smallest if side.shrink else side.stride, "step": side.stride}
                for axis, side in zip(axes, fit.axes, strict=True)
            },
            "halo": {axis: side.halo for axis, side in zip(axes, fit.axes, strict=True)},
            "border": {axis: side.shrink for axis, side in zip(axes, fit.axes, strict=True)},
        },
        "output": {
            "name": OUTPUT,
            "axes": ["batch", "channel", *axes],
            "channels": output_channels(model),
            "smaller_by": {axis: 2 * side.shrink for axis, side in zip(axes, fit.axes, strict=True)},
        },
        "task": config.task.name,
        "classes": list(model.classes.names),
        "masks_in_words": masks_in_words(model),
        "decoding": decoding_of(model),
        "threshold": config.task.threshold,
        "largest_component": [[model.classes.names[index] for index in piece] for piece in task.one_piece],
    }


def sliced(model: Model) -> bool:
    """Whether the network takes slices of volumes.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    bool
        False for images, and for volumes that it takes as a whole.
    """
    return model.config.network.ndim == 2 and model.config.data.slices is not None


def normalization_in_words(data: DataConfig, *, sliced: bool = False) -> str:
    """What is done to an image before it goes into the network.

    Parameters
    ----------
    data
        The section of the configuration.

    Returns
    -------
    str
        Sentences.
    """
    if data.normalization == "ct" and data.window is not None:
        low, high = data.window
        return f"Clipped to {low:g} … {high:g}, less {data.center:g}, divided by {data.scale:g}."
    words = NORMALIZED.get(data.normalization, data.normalization)
    return words.replace("Per image", "Per volume, before it is cut into slices") if sliced else words


def turned_in_words(model: Model) -> str:
    """How volumes are turned before they go into the network, and cut into slices.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    str
        Sentences; "" for a network of images.
    """
    if model.config.network.ndim == 2 and not sliced(model):
        return ""
    words = (
        "Volumes are turned first, as their files say where they lie: of a body z runs to the head, y to the back and "
        "x to the left, of others they run along the axes of the world; masks are turned back. All sizes and distances "
        "here are of turned volumes."
    )
    axis = "zyx"[model.config.data.slices or 0]
    return words + (f" The network takes their slices along {axis}." if sliced(model) else "")


def output_channels(model: Model) -> list[str]:
    """What each output channel of an exported network is.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    list of str
        The names of classes or regions, and of further maps.
    """
    task = model.task
    known = list(task.probable)
    if not task.exclusive and not model.classes.regions and len(known) == 2:
        known = known[1:]  # one class alone has one channel: the background is what is left
    return known + ["distance", "neighbors"][: task.outputs - len(known)]


def masks_in_words(model: Model) -> str:
    """How a mask is made of what the network gives.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    str
        Sentences.
    """
    task, threshold = model.task, model.config.task.threshold
    if task.finds_objects:
        words = (
            f"Pixels with a foreground of more than {_decoding(model, 'foreground'):g} belong to objects (of several "
            "classes the foreground is 1 less the background). "
        )
        channels = output_channels(model)
        depth = "`distance`, 0 at the border of an object and 1 in its middle"
        if "neighbors" in channels:
            depth = "`distance` · (1 - `neighbors`): the first is 0 at the border of an object and 1 in its middle"
        elif "distance" not in channels:
            depth = "the foreground itself"
        words += (
            f"How deep a pixel lies in an object is {depth}. The local maxima of that are seeds of a watershed on it "
            "within these pixels; neighboring basins are merged where the depth between their seeds does not fall to "
            f"{_decoding(model, 'seed'):g}, or the lower seed does not reach that (or, where `depth` is not 0, where "
            f"it falls by less than that). Objects of fewer than {_decoding(model, 'smallest'):g} pixels are dropped. "
        )
        words += "Holes in objects are filled. " * bool(_decoding(model, "holes"))
        return words + "The class of an object is the most probable one on its pixels."
    if model.classes.regions:
        return (
            f"A pixel lies in a region where its probability is more than {threshold:g}. Classes are painted from the "
            "outer region to the inner one."
        )
    names = model.classes.names
    words = "A pixel is of the class whose probability is the largest."
    if not task.exclusive:
        words = f"A pixel is {names[1]} where its probability is more than {threshold:g}, else background."
    if pieces := pieces_in_words(model.config.task.largest_component or (), names) if task.one_piece else []:
        words += f" Of {listed(pieces, 8)} only the largest connected component of an image or volume is kept."
    return words


def decoding_of(model: Model) -> dict[str, Any]:
    """The constants by which objects are made of what the network says.

    Parameters
    ----------
    model
        The trained model.

    Returns
    -------
    dict
        Of a training that has not ended, those that nothing has fitted yet; empty where objects are not told apart.
    """
    if not model.task.finds_objects:
        return {}
    found = model.config.task.decoding
    return dict(vars(Decoding(**(found.known() if found else {}))))


def _decoding(model: Model, name: str) -> float:
    return float(decoding_of(model).get(name, 0))


def page(model: Model, files: list[str], notes: list[str]) -> str:
    """A page in Markdown that says how to run an exported network.

    Parameters
    ----------
    model
        The trained model.
    files
        The names of the files beside the page.
    notes
        Further sentences.

    Returns
    -------
    str
        Markdown.
    """
    said = described(model)
    given, gives = said["input"], said["output"]
    sizes = ", ".join(f"{axis}: {one['smallest']} + n · {one['step']}" for axis, one in given["size"].items())
    spacing = " × ".join(f"{one:g}" if one else "its own" for one in given["spacing"])
    lines = [
        f"# {' and '.join(files)}",
        "",
        f"Exported by {said['made_by']}; the file runs without it.",
        "",
        "## What goes in",
        "",
        f"- `image`: float32, axes {', '.join(given['axes'])}; channels: {', '.join(given['channels'])}.",
        f"- Normalization ({given['normalization']}): {given['normalization_in_words']}",
        f"- Sizes in pixels that suit the network: {sizes}. Mirror an image at its borders up to such a size, and cut "
        "the result.",
    ]
    if given["volumes"]:
        lines.append(f"- {given['volumes']}")
    if any(given["spacing"]):
        unit = given["spacing_unit"]
        lines.append(f"- Resample images to a spacing of {f'{spacing} {unit}'.strip()}, and the result back.")
    if given["resize"]:
        lines.append(f"- Resize images to {given['resize']} pixels, and the result back.")
    halo = max(given["halo"].values())
    lines += [
        f"- A pixel of the output depends on up to {halo} pixels around it: tiles need so much overlap on each side."
        + (
            " Instance norms take mean and variance of what they are given, so give whole images where memory allows."
            if model.config.network.norm == "instance"
            else ""
        ),
        "",
        "## What comes out",
        "",
        f"- `{gives['name']}`: float32 from 0 to 1, axes {', '.join(gives['axes'])}; channels: "
        f"{', '.join(gives['channels'])}.",
    ]
    smaller = max(gives["smaller_by"].values())
    if smaller:
        lines.append(f"- It is {smaller} pixels smaller than the image, half of that on each side.")
    lines += ["", "## From there to a mask", "", said["masks_in_words"], ""]
    lines += [note for note in notes for note in (note, "")]
    return "\n".join(lines)
