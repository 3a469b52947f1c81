"""The plan in sentences."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from ulna.channels import positions
from ulna.config import Config, TrainingConfig
from ulna.image import Channel
from ulna.normalization import fixed_scaling
from ulna.planning.decisions import Decision
from ulna.planning.fingerprint import Fingerprint
from ulna.planning.modality import STAINS, TITLES
from ulna.planning.spacing import AXES
from ulna.tasks import Task
from ulna.tasks import build as build_task
from ulna.text import listed, plural, size
from ulna.training.validated import validated

SMALLER = "smaller"
"""The first word of the reason for a batch that the memory has made smaller."""

NETWORKS = {"unet": "U-Net", "fcn8": "FCN-8s"}
"""What networks are called."""

LOSSES = {
    "dice_cross_entropy": "dice + cross-entropy",
    "cross_entropy": "cross-entropy",
    "dice": "dice",
    "log_dice": "the negative logarithm of dice",
    "own": "a function that the training was given",
}
"""What losses are called."""


def sentences(config: Config, facts: Fingerprint, decisions: Sequence[Decision]) -> tuple[str, ...]:
    """What was decided, in sentences."""
    network, training = config.network, config.training
    patch = size(training.patch, "×")
    minutes, epochs = training.minutes, training.epochs
    length = f"{plural(minutes, 'minute')} in all" if minutes else plural(epochs or 0, "epoch")
    task = build_task(config.task, facts.classes, facts.regions)
    classes = ", ".join(name for name in task.probable if name != facts.classes[0])
    fixed = fixed_scaling(config.data)
    drawn = "every group of images" if training.sampling == "groups" else "every image"
    return (
        f"A {network.ndim}D {NETWORKS[network.name]} with {len(network.widths)} levels of {network.widths[0]} to "
        f"{network.widths[-1]} channels, {network.norm} norm, {network.padding} padding; "
        f"{plural(facts.channels, 'channel')} in; it learns {classes}.",
        *_used(config, facts),
        *_missing(facts),
        *(f"The task is {one.value}: {one.reason}." for one in decisions if one.key == "task.name"),
        *_connected(task, facts),
        *_modality(decisions),
        *_volumes(config, decisions),
        f"Intensities: {config.data.normalization} of {'all images alike' if fixed else 'each image'}."
        + (f" Images are resized to {size(config.data.resize, '×')}." if config.data.resize else ""),
        f"Batches of {training.batch_size} patches of {patch} pixels, {drawn} drawn equally often"
        + (", varied by augmentation." if config.augmentation else ", not augmented.")
        + (f" {_final_phase(training)}" if training.final_phase and training.final_patch != training.patch else ""),
        *(f"Batches are {one.reason}." for one in decisions if one.reason.startswith(SMALLER)),
        *_validated(facts, task.outputs),
        *_devices(training, decisions),
        f"{training.optimizer} with a {training.schedule.replace('_', '-')} schedule up to a learning rate of "
        f"{training.learning_rate:g}; the loss is {LOSSES[config.task.loss]}; "
        f"{training.precision}; {length}.",
    )


def _used(config: Config, facts: Fingerprint) -> list[str]:
    """Which of several channels are used."""
    names = [Channel(name) for name in facts.names]
    if not config.data.use_channels or len(names) < 2:
        return []
    used = listed([names[k].name for k in positions(names, config.data.use_channels)], 8)
    return [f"Of its {len(names)} channels ({listed(facts.names, 8)}) it uses {used} (data.use_channels)."]


def _missing(facts: Fingerprint) -> list[str]:
    """Which classes no training image shows."""
    shares = zip(facts.classes, facts.class_shares, strict=False)
    missing = [name for name, share in list(shares)[1:] if not share]
    return [f"No image to learn from shows {listed(missing, quoted=True)}: that cannot be learned."] if missing else []


def _connected(task: Task, facts: Fingerprint) -> list[str]:
    """What is taken for an object where masks do not number them."""
    if not task.finds_objects or facts.touching is None:
        return []
    sentence = f"Masks do not number their objects: each connected piece is learned as one. There are {facts.touching}."
    return [f"{sentence} To learn objects apart that touch, number them in the masks."]


def _modality(decisions: Sequence[Decision]) -> list[str]:
    """What the images are taken for, and what that changes."""
    found = [one for one in decisions if one.key == "data.modality"]
    if not found:
        return []
    (modality,) = found
    sentence = f"The images are taken for {TITLES[modality.value]}: {modality.reason}."
    off = [one.key for one in decisions if one.key in STAINS and one.value == 0]
    sentence += " Stains are not varied." if off else ""
    return [sentence if modality.overridden else f"{sentence} Wrong? Set data.modality."]


def _volumes(config: Config, decisions: Sequence[Decision]) -> list[str]:
    """Whether volumes are learned slice by slice, and at which spacing images are seen."""
    found, said = {one.key: one for one in decisions}, []
    if "network.ndim" in found:
        axis = config.data.slices
        whole = axis is None or config.network.ndim == 3
        how = "as a whole" if whole else f"slice by slice, along the axis {AXES[axis or 0]}"
        said += [f"Volumes are learned {how}: {found['network.ndim'].reason}.", _lie(config.data.unit)]
    target = config.data.target_spacing or ()
    if any(target) and "data.target_spacing" in found:
        sides = {axis: f"{side:g}" for axis, side in zip(AXES[-len(target) :], target, strict=True) if side}
        apart = f"{' × '.join(sides.values())} {config.data.unit}"
        why = found["data.target_spacing"].reason
        along = "" if len(sides) == len(target) else f" along {' and '.join(sides)}"
        said.append(f"Images are seen at a spacing of {apart}{along}: {why}.")
    return said


def _validated(facts: Fingerprint, outputs: int) -> list[str]:
    """That validation on the way looks at parts of images, where some are huge."""
    huge = [shape for shape in facts.shapes if validated(shape, outputs) != shape]
    if not huge:
        return []
    sides = size(validated(max(huge, key=prod), outputs), "×")
    return [
        f"On the way validation looks at the part of a huge image around its foreground, {sides} pixels for example; "
        "the scores at the end are of whole images."
    ]


def _lie(unit: str) -> str:
    """How volumes are turned, so that those of one anatomy lie alike; `unit` tells medical ones."""
    along = "Z runs to the head, Y to the back, X to the left" if unit == "mm" else "Z, Y and X run along the world's"
    return f"Volumes are turned as their files state, so that {along}; masks are written as each image lies."


def _devices(training: TrainingConfig, decisions: Sequence[Decision]) -> list[str]:
    """How many devices share a batch, and of how many."""
    count = training.devices
    if count > 1:
        each = plural(-(-training.batch_size // count), "patch", "patches")
        return [f"Each batch is computed by {count} devices together, {each} on each."]
    return [
        f"It uses one GPU {one.reason}." for one in decisions if one.key == "training.devices" and not one.overridden
    ]


def _final_phase(training: TrainingConfig) -> str:
    return (
        f"In the last {training.final_phase:.0%} of the training patches have {size(training.final_patch, '×')} pixels."
    )
