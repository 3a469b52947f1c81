"""The plan: what the configuration leaves open is decided from the data, the time and the machine."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import torch
from scipy import ndimage

from ulna.config import Config, NetworkConfig, TrainingConfig
from ulna.errors import UlnaError
from ulna.image import IGNORE
from ulna.inference.engines import torch_precision
from ulna.inference.tiles import least_tile
from ulna.networks import build, geometry
from ulna.networks.geometry import Geometry
from ulna.store import Store

BATCH_PIXELS = {2: 8 * 128 * 128, 3: 2 * 64 * 64 * 64}
"""How many pixels a batch has: enough that its Dice is steady, little enough for an ordinary computer."""

PATCH = {2: 128, 3: 64}
WHOLE = {2: 256, 3: 64}
"""Largest side of a patch in pixels, and where the whole image is to be seen: at the end of each training, and all
along where it tells what a thing is."""

MAX_FEW_OBJECTS = 3
"""Up to so many objects an image, where they lie and what is around them tells what they are: organs, tumours.
Cells are told by their looks: for them, more small patches were better than fewer large ones."""

MAX_INSPECTED = 100
"""How many masks are looked at to count objects."""

MAX_STEPS = 250
"""An epoch of a training by epochs has so many steps at most where the plan decides."""

FALLBACK_EPOCHS = 60
"""How many epochs a training has when neither time nor epochs are given."""

SHORT_WIDTHS = (16, 32, 64, 128)
SHORT = 3.0
"""Minutes under which the network has a level less, for it would not learn to use it."""


@dataclass(frozen=True)
class Fingerprint:
    """What the plan must know of the data: channels, the images' spatial shapes, the classes, and how many objects
    (connected regions of the foreground) an image has, the median of those that have any."""

    channels: int
    shapes: tuple[tuple[int, ...], ...]
    classes: tuple[str, ...]
    objects: float

    @classmethod
    def of(cls, store: Store, classes: tuple[str, ...]) -> Fingerprint:
        """The facts of the images to be learned from; objects are counted in at most `MAX_INSPECTED` of them."""
        cases = np.linspace(0, len(store) - 1, min(len(store), MAX_INSPECTED)).round().astype(int)
        truths = (store.truth(int(case))[0] for case in cases)
        counts = [ndimage.label((truth != 0) & (truth != IGNORE))[1] for truth in truths]
        shapes = tuple(shape[1:] for shape in store.shapes)
        return cls(store.shapes[0][0], shapes, classes, float(np.median([n for n in counts if n] or [0])))


@dataclass(frozen=True)
class Plan:
    """A configuration with nothing left open, and what was decided, in sentences."""

    config: Config
    sentences: tuple[str, ...]


def plan(config: Config, facts: Fingerprint, *, device: torch.device) -> Plan:
    """Decide what `config` leaves open (sizes of 0, empty patch, no budget)."""
    training = config.training
    changes: dict[str, object] = {"data.channels": facts.channels}
    if training.minutes is None and training.epochs is None:
        changes["training.epochs"] = FALLBACK_EPOCHS
    network = config.network
    if training.minutes is not None and training.minutes < SHORT and network == NetworkConfig():
        network = network.model_copy(update={"widths": SHORT_WIDTHS})
        changes["network.widths"] = SHORT_WIDTHS
    few = facts.objects <= MAX_FEW_OBJECTS
    patch = training.patch or patch_size(config, network, facts, most=(WHOLE if few else PATCH)[config.network.ndim])
    batch = training.batch_size or max(2, round(BATCH_PIXELS[config.network.ndim] / prod(patch)))
    changes |= {"training.patch": patch, "training.batch_size": batch}
    if training.final_phase and not training.final_patch:
        whole = patch_size(config, network, facts, most=WHOLE[config.network.ndim])
        changes["training.final_patch"] = tuple(max(sides) for sides in zip(patch, whole, strict=True))
    changes["training.steps"] = training.steps or epoch_steps(config, facts.shapes, patch=patch, batch=batch)
    changes["training.precision"] = torch_precision(training.precision, device)
    planned = config.changed(changes)
    _check_sizes(planned, facts)
    return Plan(planned, sentences(planned, facts))


def patch_size(config: Config, network: NetworkConfig, facts: Fingerprint, *, most: int) -> tuple[int, ...]:
    """The patch: the resized image, or the images' median size, with sides of `most` pixels at most.

    With same padding a multiple of what the network pools by, with valid convolutions the next size that it takes.
    """
    if config.data.resize:
        return config.data.resize
    takes = _geometry(network, facts.channels)
    multiple = takes.stride
    median = np.median(np.array(facts.shapes), axis=0)
    sides = (max(multiple, min(most, math.ceil(side / multiple) * multiple)) for side in median)
    return tuple(takes.next_size(side) for side in sides)


def _geometry(network: NetworkConfig, channels: int) -> Geometry:
    with torch.device("meta"):  # no weights are wanted
        return geometry(build(network, channels, 1))


def _check_sizes(config: Config, facts: Fingerprint) -> None:
    """Raise UlnaError where the network does not take patches or tiles of a size that was chosen, before it trains."""
    takes, training = _geometry(config.network, config.data.channels), config.training
    for name, size in (("training.patch", training.patch), ("training.final_patch", training.final_patch)):
        if not all(takes.fits(side) for side in size):
            nearest = [takes.next_size(side) for side in size]
            raise UlnaError(
                f"the network does not take patches of {list(size)} pixels", where=name, hint=f"Try {nearest}."
            )
    tile, least = config.inference.tile, least_tile(takes)
    largest = max(max(shape) for shape in facts.shapes)
    exact = config.inference.tiling == "exact" or (config.inference.tiling == "auto" and config.network.ndim == 2)
    if (
        exact and tile and tile < min(least, largest + 2 * config.inference.margin)
    ):  # one tile that holds the image may be small
        what = f"a tile of {tile} pixels is smaller than what the network looks at around each pixel"
        raise UlnaError(what, where="inference.tile", hint=f"Set it to {least} or more, or to 0: as memory allows.")


def epoch_steps(config: Config, shapes: Sequence[tuple[int, ...]], *, patch: tuple[int, ...], batch: int) -> int:
    """Steps after which every training image has been seen about once, pixel for pixel."""
    if config.data.resize:
        return max(1, math.ceil(len(shapes) / batch))
    pixels = sum(prod(shape) for shape in shapes)
    return min(max(1, math.ceil(pixels / prod(patch) / batch)), MAX_STEPS)


def sentences(config: Config, facts: Fingerprint) -> tuple[str, ...]:
    """What was decided, in words."""
    network, training = config.network, config.training
    size = "×".join(str(side) for side in training.patch)
    minutes, epochs = training.minutes, training.epochs
    length = f"{_count(minutes, 'minute')} in all" if minutes else _count(epochs or 0, "epoch")
    classes = ", ".join(facts.classes[1:])
    drawn = "every group of images" if training.sampling == "groups" else "every image"
    return (
        f"A {network.ndim}D {network.name} with {len(network.widths)} levels of {network.widths[0]} to "
        f"{network.widths[-1]} channels, {network.norm} norm, {network.padding} padding; "
        f"{_count(facts.channels, 'channel')} in; it learns {classes}.",
        f"Intensities: {config.data.normalization} of each image."
        + (f" Images are resized to {size}." if config.data.resize else ""),
        f"Batches of {training.batch_size} patches of {size} pixels, {drawn} drawn alike often"
        + (", varied by augmentation." if config.augmentation else ", not augmented.")
        + (f" {_final_phase(training)}" if training.final_phase else ""),
        f"{training.optimizer} with a {training.schedule.replace('_', '-')} schedule up to a learning rate of "
        f"{training.learning_rate:g}; the loss is {config.task.loss.replace('_', ' + ', 1).replace('_', '-')}; "
        f"{training.precision}; {length}.",
    )


def _final_phase(training: TrainingConfig) -> str:
    size = "×".join(str(side) for side in training.final_patch)
    return f"In the last {training.final_phase:.0%} of the training patches have {size} pixels."


def _count(number: float, noun: str) -> str:
    return f"{number:g} {noun}" + ("" if number == 1 else "s")
