"""Starting from a trained model: what its settings fix in a new run, and its weights in the new network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from ulna import networks
from ulna.config import Config, DataConfig, dotted
from ulna.errors import UlnaError
from ulna.grid import Grid
from ulna.labels.classes import Classes
from ulna.modelfile import Saved
from ulna.text import plural
from ulna.units import comparable, factor

SCALING = ("data.normalization", "data.counts", "data.window", "data.center", "data.scale")
"""What a model that is started from says of intensities."""


def as_started(wanted: Config, start: Saved) -> Config:
    """The settings with the network and the normalization of the model that it starts from."""
    theirs = dotted(start.config.model_dump())
    keys = [key for key in theirs if key.startswith("network.") or key in SCALING]
    for key in keys:
        mine = dotted(wanted.model_dump())[key]
        if key in wanted.given() and mine != theirs[key]:
            what = f"the model to start from has {key} {theirs[key]}, not {mine}"
            raise UlnaError(what, where="start_from", hint="Leave this setting away, or start from another model.")
    return wanted.changed({key: theirs[key] for key in keys})


def at_spacing(asked: Config, theirs: DataConfig, grids: Sequence[Grid]) -> Config:
    """With the target spacing of the model that is started from, where images can be brought to it and none is set."""
    fits = len(theirs.target_spacing or ()) == grids[0].ndim and all(
        comparable(unit, theirs.unit) for unit in {asked.data.unit or theirs.unit, *(grid.unit for grid in grids)}
    )
    if not fits or asked.data.resize is not None or "data.target_spacing" in asked.given():
        return asked
    unit = asked.data.unit or theirs.unit  # it may be that of data.spacing, too
    many = factor(theirs.unit, unit)
    target = tuple(float(f"{side * many:.6g}") for side in theirs.target_spacing or ())
    return asked.changed({"data.target_spacing": target, "data.unit": unit})


def check_channels(start: Saved, channels: int) -> None:
    """Raise UlnaError where images have other channels than the model that is started from takes."""
    theirs = start.config.data.inputs
    if theirs != channels:
        what = f"the model to start from takes images of {plural(theirs, 'channel')}, these have {channels}"
        raise UlnaError(what, where="start_from", hint="Start from another model, or train from fresh weights.")


def _same_classes(start: Saved, classes: Classes) -> bool:
    return (start.classes.names, start.classes.regions) == (classes.names, classes.regions)


def start_sentence(start: Saved, classes: Classes, outputs: int) -> str:
    """What the plan says of the start."""
    if _same_classes(start, classes) and start.outputs == outputs:
        return "It starts from the weights of a trained model of the same classes."
    if _same_classes(start, classes):
        return (
            "It starts from the weights of a trained model of the same classes; its last layer is new (another task)."
        )
    before, now = (", ".join(one.learned) for one in (start.classes, classes))
    return f"It starts from the weights of a trained model; its last layer is new, for {now} instead of {before}."


def take_weights(network: nn.Module, start: Saved, classes: Classes, outputs: int) -> None:
    """Copy the weights; the last layer keeps its fresh ones where the classes or the task differ."""
    weights = dict(start.network.state_dict())
    if not _same_classes(start, classes) or start.outputs != outputs:
        own = network.state_dict()
        weights |= {name: own[name] for name in _heads(start.config)}
    network.load_state_dict(weights)


def _heads(config: Config) -> set[str]:
    """The weights whose shape depends on the number of outputs."""
    with torch.device("meta"):
        one, two = (networks.build(config.network, config.data.inputs, n).state_dict() for n in (1, 2))
    return {name for name in one if one[name].shape != two[name].shape}
