"""How large patches and batches are, and of volumes how the network pools: by the images, the time and the memory."""

from __future__ import annotations

import math
from collections.abc import Sequence
from math import prod

import numpy as np
import torch

from ulna.config import Config, NetworkConfig
from ulna.errors import UlnaError
from ulna.inference.axes import least_tile
from ulna.inference.devices import free_on
from ulna.inference.engines import torch_precision
from ulna.networks import build, geometry
from ulna.networks.geometry import Geometry
from ulna.planning.decisions import Decision, decide
from ulna.planning.fingerprint import Fingerprint
from ulna.planning.memory import step_memory
from ulna.planning.summary import SMALLER
from ulna.planning.topology import SMALLEST, topology
from ulna.tasks import build as build_task
from ulna.text import amount, plural, size

BATCH_PIXELS = {2: 8 * 128 * 128, 3: 2 * 45 * 45 * 45}
"""How many pixels a batch has: enough that its Dice is steady, little enough for an ordinary computer. In 3D many steps
bring more than large batches: on hippocampus, Dice .81 instead of .60 after the same 5 minutes on a busy machine."""

PATCH = {2: 128, 3: 64}
WHOLE = {2: 256, 3: 64}
"""Largest side of a patch in pixels, and where the whole image is to be seen: at the end of each training, and all
along where it tells what a thing is."""

HOUR_VOXELS, MANY_VOXELS = 64**3, 48**3
"""Voxels of a patch at most: after an hour, up to the fourfold with time, and where cells are to be recognized by their
texture."""

FIRST_WIDTH, MOST_WIDTH = 16, 256
"""Channels of a 3D network at its top, doubled from level to level, and at most."""

MAX_FEW_OBJECTS = 3
"""Up to so many objects per image, where they lie and what is around them shows what they are: organs, tumors.
Cells are recognized by texture: for them, more small patches were better than fewer large ones."""

MAX_STEPS = 250
"""An epoch of a training by epochs has so many steps at most where the plan decides."""

SHORT_WIDTHS = (16, 32, 64, 128)
SHORT = 3.0
"""Minutes under which the network has one level less: it would not be trained enough to use it."""


def is_short(config: Config) -> bool:
    """Whether there is little time, and the network is left to the plan."""
    minutes, given = config.training.minutes, "network.widths" in config.given()
    plain = config.network == NetworkConfig(ndim=config.network.ndim)
    return minutes is not None and minutes < SHORT and plain and not given


def sizes(config: Config, known: Config, facts: Fingerprint, device: torch.device) -> list[Decision]:
    """Patch, batch, patch of the final phase, and steps of an epoch; of volumes also how the network pools.

    A batch has fewer patches than are wanted where the memory does not hold them.

    Parameters
    ----------
    config
        What is set.
    known
        The same with what was decided before.
    facts
        What is known of the data and the machine.
    device
        Where it will be trained.

    Returns
    -------
    list of Decision
        In order.

    Raises
    ------
    UlnaError
        Where the memory does not hold a single patch.
    """
    decisions, devices = _sizes(config, facts), config.training.devices
    free = free_on(device) if device.type == "cuda" else facts.memory // devices  # several processes share the CPU's
    if not free:
        return decisions
    precision = torch_precision(config.training.precision, device)
    sized = known.changed({one.key: one.value for one in decisions} | {"training.precision": precision})
    training = sized.training
    outputs = build_task(sized.task, facts.classes, facts.regions).outputs
    taken = [step_memory(sized, outputs, patch, device) for patch in (training.patch, training.final_patch) if patch]
    smallest = max(one.total(1) for one in taken)
    if not all(one.most(free) for one in taken):
        raise UlnaError(
            f"a step on one patch of {size(training.final_patch or training.patch, '×')} takes about "
            f"{amount(smallest)} of memory, {amount(free)} are free",
            where="training.patch",
            hint="Set smaller patches (training.patch, training.final_patch) or fewer channels (network.widths), or "
            "close other programs.",
        )
    wanted, most = training.batch_size, devices * taken[0].most(free)
    if wanted <= most:
        return decisions
    fewer = _sizes(config.changed({"training.batch_size": most}), facts)
    step = taken[0].total(-(-wanted // devices))
    each = f" for each of {devices} devices" if devices > 1 else ""
    why = (
        f"{SMALLER} than the {wanted} wanted: a step on these takes about {amount(step)} of memory, "
        f"{amount(free)} are free{each}"
    )
    return [Decision(one.key, most, why) if one.key == "training.batch_size" else one for one in fewer]


def _sizes(config: Config, facts: Fingerprint) -> list[Decision]:
    """As `sizes`, whatever the memory holds."""
    training, ndim = config.training, config.network.ndim
    if ndim == 3 and config.network.name == "unet" and config.network.padding == "same":
        return _volume_sizes(config, facts)
    network = config.network.model_copy(update={"widths": SHORT_WIDTHS}) if is_short(config) else config.network
    few = facts.objects <= MAX_FEW_OBJECTS
    most = (WHOLE if few else PATCH)[ndim]
    seen = "where an object lies shows what it is" if few else "objects are recognized by their texture"
    why = f"{facts.objects:g} objects per image: {seen}; at most {most} pixels per side"
    patch = decide(config, "training.patch", patch_size(config, network, facts, most=most), why)
    decisions = [patch, _batch(config, BATCH_PIXELS[ndim] / prod(patch.value), f"{BATCH_PIXELS[ndim]:,} pixels")]
    if training.final_phase:
        whole = patch_size(config, network, facts, most=WHOLE[ndim])
        final = tuple(max(sides) for sides in zip(patch.value, whole, strict=True))
        why = f"whole images, at most {WHOLE[ndim]} pixels per side"
        decisions.append(decide(config, "training.final_patch", final, why))
    steps = epoch_steps(config, facts.shapes, patch=patch.value, batch=decisions[1].value)
    why = f"about one pass over all pixels, at most {MAX_STEPS}"
    return [*decisions, decide(config, "training.steps", steps, why)]


def _volume_sizes(config: Config, facts: Fingerprint) -> list[Decision]:
    """As `_sizes`, by nnU-Net's rules, and how the network is to pool and to convolve."""
    median = np.median(np.array(facts.shapes), axis=0)
    spacing = np.median(np.array(facts.spacings or [(1.0,) * len(median)]), axis=0)
    stated = {f"network.{name}" for name in ("widths", "kernels", "strides")} & set(config.given())
    most, room = _most_voxels(config, facts)
    asked = config.training.patch  # what is set is kept: the network pools as suits it
    sides, voxels = asked or median, max(most, prod(max(side, SMALLEST) for side in asked)) if asked else most
    found = topology(sides, spacing, most=voxels, levels=len(config.network.widths) if stated else None)
    deep = f"as often as {SMALLEST} voxels are left after a pooling; channels double, at most {MOST_WIDTH}"
    if is_short(config) and len(found.kernels) > len(SHORT_WIDTHS):
        found = topology(sides, spacing, most=voxels, levels=len(SHORT_WIDTHS))
        deep = f"a deeper network learns nothing in less than {SHORT:g} minutes"
    if 0 < len(config.network.encoder_blocks) < len(found.kernels):
        found = topology(sides, spacing, most=voxels, levels=len(config.network.encoder_blocks))
        deep = "as many levels as network.encoder_blocks has numbers for"
    levels = len(found.kernels)
    apart = " × ".join(f"{side:.3g}" for side in spacing)
    why = f"median image {' × '.join(f'{side:g}' for side in median)} voxels of {apart} {facts.unit}"
    decisions = [
        decide(config, "network.widths", tuple(min(FIRST_WIDTH * 2**k, MOST_WIDTH) for k in range(levels)), deep),
        decide(config, "network.kernels", found.kernels, "1 across slices as long as their voxels are thick"),
        decide(config, "network.strides", found.strides, f"down to {SMALLEST} voxels, thick axes last"),
    ]
    planned = config.changed({one.key: one.value for one in decisions})
    own = topology(median, spacing, most=most, levels=levels) if asked else found
    patch = tuple(_geometry(planned.network, facts.channels).next_size(own.patch))
    decisions.append(decide(config, "training.patch", patch, f"{why}; {room}"))
    chosen = decisions[-1].value
    decisions.append(_batch(config, BATCH_PIXELS[3] / prod(chosen), f"{BATCH_PIXELS[3]:,} voxels"))
    if config.training.final_phase:
        decisions.append(decide(config, "training.final_patch", chosen, "as the patch"))
    steps = epoch_steps(config, facts.shapes, patch=chosen, batch=decisions[4].value)
    return [*decisions, decide(config, "training.steps", steps, f"about one pass over all voxels, at most {MAX_STEPS}")]


def _batch(config: Config, patches: float, pixels: str) -> Decision:
    """How many patches a batch has, so many on each device."""
    devices = config.training.devices
    why = f"about {pixels} per batch" + (f" and device, of which there are {devices}" if devices > 1 else "")
    return decide(config, "training.batch_size", devices * max(2, round(patches)), why)


def _most_voxels(config: Config, facts: Fingerprint) -> tuple[int, str]:
    """How many voxels a patch of a volume may have, and why."""
    if facts.objects > MAX_FEW_OBJECTS:
        return MANY_VOXELS, f"{facts.objects:g} objects per volume, recognized by their texture: {MANY_VOXELS:,} voxels"
    minutes = config.training.minutes
    most = int(HOUR_VOXELS * min(max((minutes or 60) / 60, 0.5), 4))
    return most, f"at most {most:,} voxels" + (f" in {minutes:g} minutes" if minutes else "")


def patch_size(config: Config, network: NetworkConfig, facts: Fingerprint, *, most: int) -> tuple[int, ...]:
    """The patch: the resized image, or the images' median size, with sides of `most` pixels at most.

    With same padding a multiple of what the network pools by, with valid convolutions the next size that it takes.
    """
    if config.data.resize:
        return config.data.resize
    takes = _geometry(network, facts.channels)
    median = np.median(np.array(facts.shapes), axis=0)
    return takes.next_size(
        [
            max(multiple, min(most, math.ceil(side / multiple) * multiple))
            for side, multiple in zip(median, takes.strides, strict=True)
        ]
    )


def _geometry(network: NetworkConfig, channels: int) -> Geometry:
    with torch.device("meta"):  # no weights are wanted
        return geometry(build(network, channels, 1))


def check_sizes(config: Config, facts: Fingerprint) -> None:
    """Raise UlnaError where patches, tiles or batches of a size that was chosen cannot be, before it trains."""
    takes, training = _geometry(config.network, config.data.inputs), config.training
    if training.batch_size < training.devices:
        patches = plural(training.batch_size, "patch", "patches")
        what = f"a batch of {patches} leaves some of {training.devices} devices idle"
        hint = f"Set training.batch_size to a multiple of {training.devices}, or to 0, or take fewer devices."
        raise UlnaError(what, where="training.devices", hint=hint)
    for name, sides in (("training.patch", training.patch), ("training.final_patch", training.final_patch)):
        if sides and not takes.fits(sides):
            raise UlnaError(
                f"the network does not take patches of {list(sides)} pixels",
                where=name,
                hint=f"Try {list(takes.next_size(sides))}.",
            )
    tile, margin, tiling = config.inference.tile, config.inference.margin, config.inference.tiling
    exact = tiling == "exact" or (tiling == "auto" and config.network.ndim == 2)
    largest = np.array(facts.shapes).max(axis=0)
    least = max(  # along an axis, one tile that holds the image may be small
        min(least_tile(axis), int(side) + 2 * margin) for axis, side in zip(takes.axes, largest, strict=True)
    )
    if exact and 0 < tile < least:
        what = f"a tile of {tile} pixels is smaller than what the network looks at around each pixel"
        least = max(map(least_tile, takes.axes))
        raise UlnaError(what, where="inference.tile", hint=f"Set it to {least} or more, or to 0: as memory allows.")


def epoch_steps(config: Config, shapes: Sequence[tuple[int, ...]], *, patch: tuple[int, ...], batch: int) -> int:
    """Steps after which every training image has been seen about once, pixel for pixel."""
    if config.data.resize:
        return max(1, math.ceil(len(shapes) / batch))
    pixels = sum(prod(shape) for shape in shapes)
    return min(max(1, math.ceil(pixels / prod(patch) / batch)), MAX_STEPS)
