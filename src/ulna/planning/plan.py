"""`plan`: what the configuration leaves open is decided from the data, the time and the machine."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from rich.markup import escape
from rich.table import Table

from ulna.channels import positions
from ulna.config import Config, NetworkConfig
from ulna.errors import UlnaError
from ulna.image import Channel
from ulna.inference.engines import torch_precision
from ulna.inference.tiles import least_tile
from ulna.networks import build, geometry
from ulna.networks.geometry import Geometry
from ulna.planning.decisions import Decision, decide
from ulna.planning.fingerprint import Fingerprint
from ulna.planning.memory import free_memory, step_memory
from ulna.planning.modality import intensity_decisions, modality_decisions
from ulna.planning.summary import SMALLER, sentences
from ulna.planning.topology import SMALLEST, topology
from ulna.planning.variation import volume_variation
from ulna.tasks import build as build_task
from ulna.text import amount, listed, percent, plural, size

BATCH_PIXELS = {2: 8 * 128 * 128, 3: 2 * 45 * 45 * 45}
"""How many pixels a batch has: enough that its Dice is steady, little enough for an ordinary computer. In 3D many steps
bring more than large batches: on hippocampus, Dice .82 instead of .60 after the same 5 minutes on a busy machine."""

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

AS_IT_IS = "as the images have it"

FALLBACK_EPOCHS = 60
"""How many epochs a training has when neither time nor epochs are given."""

SHORT_WIDTHS = (16, 32, 64, 128)
SHORT = 3.0
"""Minutes under which the network has one level less: it would not be trained enough to use it."""


@dataclass(frozen=True)
class Plan:
    """A configuration with nothing left open, and the decisions that filled it; sentences, YAML and table are views.

    Parameters
    ----------
    config
        The configuration of the training.
    decisions
        What was decided, in order.
    facts
        What it was decided from.
    """

    config: Config
    decisions: tuple[Decision, ...]
    facts: Fingerprint

    @property
    def sentences(self) -> tuple[str, ...]:
        """The plan as people read it."""
        return sentences(self.config, self.facts, self.decisions)

    def yaml(self, asked: Config) -> str:
        """A configuration file of what was asked, with the decisions and their reasons as comments.

        A training with this file plans again what is a comment; without the `#` a decision becomes a setting.

        Parameters
        ----------
        asked
            The settings before the plan.

        Returns
        -------
        str
            YAML.
        """
        given = asked.given()
        lines = [f"# preset: {asked.preset}"] if "preset" not in given else [f"preset: {asked.preset}"]
        decided = [one for one in self.decisions if one.key not in given]
        for section in type(asked).model_fields:
            if section in given and section != "preset":  # as a whole: `augmentation: null`
                lines.append(f"{section}: {json.dumps(given[section])}")
                continue
            stated = {key: value for key, value in given.items() if key.partition(".")[0] == section and "." in key}
            planned = [one for one in decided if one.key.partition(".")[0] == section]
            if not stated and not planned:
                continue
            lines.append(f"{section}:" if stated else f"# {section}:")
            lines += [f"  {key.partition('.')[2]}: {json.dumps(value)}" for key, value in stated.items()]
            lines += [f"#   {one.key.partition('.')[2]}: {json.dumps(one.value)}  # {one.reason}" for one in planned]
        return "\n".join(lines) + "\n"

    def __rich__(self) -> Table:
        """The decisions as a table."""
        table = Table("setting", "value", "why", box=None, padding=(0, 1, 0, 0), pad_edge=False)
        for one in self.decisions:
            table.add_row(escape(one.key), escape(json.dumps(one.value)), escape(one.reason))
        return table


def plan(config: Config, facts: Fingerprint, *, device: torch.device, decided: tuple[Decision, ...] = ()) -> Plan:
    """Decide what a configuration leaves open; what was set is kept, and marked as overridden.

    Parameters
    ----------
    config
        The settings: sizes of 0, empty patches, "auto" and a training without a length are open.
    decided
        What was decided before, from volumes of whose slices `facts` may be.
    facts
        What is known of the data and the machine.
    device
        Where it will be trained.

    Raises
    ------
    UlnaError
        For training images that show nothing but background, and for sizes that the network does not take.
    """
    _check_classes(facts)
    config = config.changed({one.key: one.value for one in decided if one.key not in config.given()})
    decisions = [
        *decided,
        Decision("data.channels", len(facts.names) if config.data.use_channels else facts.channels, AS_IT_IS),
        *_used(config, facts),
        *_task(config, facts),
        *(found := modality_decisions(config, facts)),
        *_counts(inferred := config.changed({one.key: one.value for one in found}), facts),
        *intensity_decisions(inferred, facts),
        *volume_variation(inferred, facts),
        *_length(config),
    ]
    known = config.changed({one.key: one.value for one in decisions})
    decisions += _within_memory(config, known, facts, device)
    precision = torch_precision(config.training.precision, device)
    decisions.append(decide(config, "training.precision", precision, f"what multiplies fastest on {device.type}"))
    planned = config.changed({one.key: one.value for one in decisions})
    _check_sizes(planned, facts)
    return Plan(planned, tuple(decisions), facts)


def _used(config: Config, facts: Fingerprint) -> list[Decision]:
    """Which of the channels are used, where some were chosen."""
    use = config.data.use_channels
    if not use or not facts.names:
        return []
    found = [facts.names[k] for k in positions([Channel(name) for name in facts.names], use)]
    why = f"set: {listed(found, 8)}, of {plural(len(facts.names), 'channel')} {listed(facts.names, 8)}"
    return [Decision("data.use_channels", use, why, overridden=True)]


def _task(config: Config, facts: Fingerprint) -> list[Decision]:
    """Regions if there are any, objects if the masks tell them apart; with border weights, how much a class weighs."""
    name, why = "semantic", "the masks say which class a pixel has, not which object"
    if facts.numbered:
        name, why = "instances", "the masks number their objects; the other reading: semantic, classes of pixels alone"
    if facts.regions:
        told = ", ".join(f"{region} {percent(share)}" for region, share in facts.region_shares)
        name, why = "regions", f"regions are stated: {told} of the pixels; the other reading: semantic, their parts"
    decisions = [decide(config, "task.name", name, why)]
    shares = facts.class_shares
    if config.task.border_weight and config.task.class_weights is None and shares and min(shares) > 0:
        weights = tuple(round(1 / (len(shares) * share), 3) for share in shares)
        decisions.append(Decision("task.class_weights", weights, "so that all classes weigh the same together"))
    return decisions


def _counts(config: Config, facts: Fingerprint) -> list[Decision]:
    """Whether channels count in one unit: once for all images, whatever type one is given as later.

    Left open where the types of the training images are mixed.
    """
    unsigned = {one.dtype.startswith("uint") for one in facts.intensities}
    if config.data.normalization != "percentile_by_channel" or len(unsigned) != 1:
        return []
    types = ", ".join(sorted({one.dtype for one in facts.intensities}))
    return [decide(config, "data.counts", unsigned.pop(), f"the training images hold {types}")]


def _length(config: Config) -> list[Decision]:
    """The epochs where no length is given, and a smaller network where there is little time."""
    training, decisions = config.training, []
    if training.minutes is None and training.epochs is None:
        decisions.append(Decision("training.epochs", FALLBACK_EPOCHS, "neither minutes nor epochs are given"))
    if _short(config) and config.network.ndim == 2:
        why = f"a deeper network learns nothing in less than {SHORT:g} minutes"
        decisions.append(Decision("network.widths", SHORT_WIDTHS, why))
    return decisions


def _short(config: Config) -> bool:
    """Whether there is little time, and the network is left to the plan."""
    minutes, given = config.training.minutes, "network.widths" in config.given()
    plain = config.network == NetworkConfig(ndim=config.network.ndim)
    return minutes is not None and minutes < SHORT and plain and not given


def _within_memory(config: Config, known: Config, facts: Fingerprint, device: torch.device) -> list[Decision]:
    """As `_sizes`, with fewer patches per batch where the memory does not hold as many as are wanted.

    `known` is the configuration with what was decided before.
    """
    decisions = _sizes(config, facts)
    free = free_memory(device) if device.type == "cuda" else facts.memory
    if not free:
        return decisions
    sized = known.changed({one.key: one.value for one in decisions})
    training = sized.training
    outputs = build_task(sized.task, facts.classes, facts.regions).outputs
    taken = [step_memory(sized, outputs, patch) for patch in (training.patch, training.final_patch) if patch]
    smallest = max(one.total(1) for one in taken)
    if not all(one.most(free) for one in taken):
        raise UlnaError(
            f"a step on one patch of {size(training.final_patch or training.patch, '×')} takes about "
            f"{amount(smallest)} of memory, {amount(free)} are free",
            where="training.patch",
            hint="Set smaller patches (training.patch, training.final_patch) or fewer channels (network.widths), or "
            "close other programs.",
        )
    wanted, most = training.batch_size, taken[0].most(free)
    if wanted <= most:
        return decisions
    fewer = _sizes(config.changed({"training.batch_size": most}), facts)
    why = (
        f"{SMALLER} than the {wanted} wanted: a step on these takes about {amount(taken[0].total(wanted))} of memory, "
        f"{amount(free)} are free"
    )
    return [Decision(one.key, most, why) if one.key == "training.batch_size" else one for one in fewer]


def _sizes(config: Config, facts: Fingerprint) -> list[Decision]:
    """Patch, batch, patch of the final phase, and steps of an epoch; of volumes also how the network pools."""
    training, ndim = config.training, config.network.ndim
    if ndim == 3 and config.network.name == "unet" and config.network.padding == "same":
        return _volume_sizes(config, facts)
    network = config.network.model_copy(update={"widths": SHORT_WIDTHS}) if _short(config) else config.network
    few = facts.objects <= MAX_FEW_OBJECTS
    most = (WHOLE if few else PATCH)[ndim]
    seen = "where an object lies shows what it is" if few else "objects are recognized by their texture"
    why = f"{facts.objects:g} objects per image: {seen}; at most {most} pixels per side"
    patch = decide(config, "training.patch", patch_size(config, network, facts, most=most), why)
    batch = max(2, round(BATCH_PIXELS[ndim] / prod(patch.value)))
    why = f"about {BATCH_PIXELS[ndim]:,} pixels per batch"
    decisions = [patch, decide(config, "training.batch_size", batch, why)]
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
    found = topology(median, spacing, most=most, levels=len(config.network.widths) if stated else None)
    deep = f"as often as {SMALLEST} voxels are left after a pooling; channels double, at most {MOST_WIDTH}"
    if _short(config) and len(found.kernels) > len(SHORT_WIDTHS):
        found = topology(median, spacing, most=most, levels=len(SHORT_WIDTHS))
        deep = f"a deeper network learns nothing in less than {SHORT:g} minutes"
    if 0 < len(config.network.encoder_blocks) < len(found.kernels):
        found = topology(median, spacing, most=most, levels=len(config.network.encoder_blocks))
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
    patch = tuple(_geometry(planned.network, facts.channels).next_size(found.patch))
    decisions.append(decide(config, "training.patch", patch, f"{why}; {room}"))
    chosen = decisions[-1].value
    batch = max(2, round(BATCH_PIXELS[3] / prod(chosen)))
    decisions.append(decide(config, "training.batch_size", batch, f"about {BATCH_PIXELS[3]:,} voxels per batch"))
    if config.training.final_phase:
        decisions.append(decide(config, "training.final_patch", chosen, "as the patch"))
    steps = epoch_steps(config, facts.shapes, patch=chosen, batch=decisions[4].value)
    return [*decisions, decide(config, "training.steps", steps, f"about one pass over all voxels, at most {MAX_STEPS}")]


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


def _check_classes(facts: Fingerprint) -> None:
    """Raise UlnaError where there is nothing to learn: every mask that shows something is held out."""
    if facts.class_shares and not any(facts.class_shares[1:]):
        raise UlnaError(
            "the images to learn from show nothing but background: every mask that shows more is held out",
            hint="Hold out others with another training.seed, none with data.validation=0, or annotate more images.",
        )


def _check_sizes(config: Config, facts: Fingerprint) -> None:
    """Raise UlnaError where the network does not take patches or tiles of a size that was chosen, before it trains."""
    takes, training = _geometry(config.network, config.data.inputs), config.training
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
