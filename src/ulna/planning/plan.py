"""`plan`: what the configuration leaves open is decided from the data, the time and the machine."""

from __future__ import annotations

import json
from dataclasses import dataclass

import torch
from rich.markup import escape
from rich.table import Table

from ulna.channels import are_names, positions
from ulna.config import Config
from ulna.errors import UlnaError
from ulna.image import Channel
from ulna.inference.engines import torch_precision
from ulna.planning.decisions import Decision, decide
from ulna.planning.fingerprint import Fingerprint
from ulna.planning.modality import intensity_decisions, modality_decisions
from ulna.planning.sizes import SHORT, SHORT_WIDTHS, check_sizes, is_short, sizes
from ulna.planning.summary import sentences
from ulna.planning.variation import ANATOMY, volume_variation
from ulna.text import listed, percent, plural

AS_IT_IS = "as the images have it"

FALLBACK_EPOCHS = 60
"""How many epochs a training has when neither time nor epochs are given."""

BORDER_WEIGHT = 10.0
"""How much more pixels between cells weigh, as in the U-Net paper; measured with three seeds (docs/objects.md)."""


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
        *_channel_names(config, facts),
        *_task(config, facts),
        *_learned(config),
        *(found := modality_decisions(config, facts)),
        *_counts(inferred := config.changed({one.key: one.value for one in found}), facts),
        *intensity_decisions(inferred, facts),
        *volume_variation(inferred, facts),
        *_length(config),
        *_devices(config, device),
    ]
    known = config.changed({one.key: one.value for one in decisions})
    decisions += [*sizes(config, known, facts, device), *_border(config, known)]
    precision = torch_precision(config.training.precision, device)
    decisions.append(decide(config, "training.precision", precision, f"what multiplies fastest on {device.type}"))
    planned = config.changed({one.key: one.value for one in decisions})
    check_sizes(planned, facts)
    return Plan(planned, tuple(decisions), facts)


def _border(config: Config, known: Config) -> list[Decision]:
    """That volumes, and slices of bodies, are predicted without a mirrored border."""
    if known.network.ndim == 2 and (known.data.slices is None or known.data.modality not in ANATOMY):
        return []
    why = "volumes are learned up to their borders; mirrored beyond them masks were worse (docs/volumes.md)"
    return [decide(config, "inference.margin", 0, why)]


def _used(config: Config, facts: Fingerprint) -> list[Decision]:
    """Which of the channels are used, where some were chosen."""
    use = config.data.use_channels
    if not use or not facts.names:
        return []
    found = [facts.names[k] for k in positions([Channel(name) for name in facts.names], use)]
    why = f"set: {listed(found, 8)}, of {len(facts.names)} ({listed(facts.names, 8)})"
    return [Decision("data.use_channels", use, why, overridden=True)]


def _channel_names(config: Config, facts: Fingerprint) -> list[Decision]:
    """What the channels are called, by which those of other images are found; [] is a choice, too."""
    names, key = facts.channel_names, "data.channel_names"
    if config.data.use_channels or not are_names(names):
        return []
    if key not in config.given():
        return [Decision(key, names, "as the files name them: those of images to be predicted are put into this order")]
    stated = config.data.channel_names
    if stated and [one.casefold() for one in stated] != [one.casefold() for one in names]:
        what = f"the channels are called {listed(names, 8)}, in this order"
        raise UlnaError(
            what, where=key, hint="data.use_channels puts them into another one; [] takes them as they lie."
        )
    return [Decision(key, stated, "set; the plan: as the files name them", overridden=True)]


def _task(config: Config, facts: Fingerprint) -> list[Decision]:
    """Regions if there are any, objects if the masks tell them apart; with border weights, how much a class weighs."""
    name, why = "semantic", "the masks say which class a pixel has, not which object"
    if facts.numbered:
        name, why = "instances", "the masks number their objects; the other reading: semantic, classes of pixels alone"
    if facts.regions:
        told = ", ".join(f"{region} {percent(share)}" for region, share in facts.region_shares)
        name, why = "regions", f"regions are stated: {told} of the pixels; the other reading: semantic, their parts"
    decisions = [decide(config, "task.name", name, why)]
    weight = config.task.border_weight
    if decisions[0].value == "instances" and _can_weigh(config):
        why = "fewer cells that touch are merged than with 0 (benchmarks/results/objects.md)"
        decisions.append(decide(config, "task.border_weight", BORDER_WEIGHT, why))
        weight = decisions[-1].value
    _check_weights(config.task.class_weights, facts.classes, used=bool(weight))
    shares = facts.class_shares
    if weight and config.task.class_weights is None and shares and min(shares) > 0:
        weights = tuple(round(1 / (len(shares) * share), 3) for share in shares)
        decisions.append(Decision("task.class_weights", weights, "so that all classes weigh the same together"))
    return decisions


def _check_weights(weights: tuple[float, ...] | None, classes: tuple[str, ...], *, used: bool) -> None:
    """Raise UlnaError for weights of classes that nothing would use, or that do not suit the classes."""
    if weights is None:
        return
    if len(weights) != len(classes):
        what = f"{plural(len(weights), 'weight')} for {plural(len(classes), 'class', 'classes')} ({listed(classes, 8)})"
        raise UlnaError(what, where="task.class_weights", hint="Give one for each, the background first.")
    if not used:
        what = "weights of classes go with border weights, and there are none"
        raise UlnaError(what, where="task.class_weights", hint="Set task.border_weight as well, or leave it away.")


def _learned(config: Config) -> list[Decision]:
    """The loss, and how many patches are centered on foreground: as in nnU-Net."""
    usual = Config()
    why = "Dice does not mind how rare a class is, cross-entropy has a gradient everywhere"
    share = usual.training.foreground
    often = f"at least {share:.0%} of the patches show foreground, however rare it is; those at random show the rest"
    return [
        decide(config, "task.loss", usual.task.loss, why),
        decide(config, "training.foreground", share, often),
    ]


def _can_weigh(config: Config) -> bool:
    """Whether pixels may differ in their weight; of volumes it is not measured what that brings."""
    network = config.network
    return "cross_entropy" in config.task.loss and not network.deep_supervision and network.ndim == 2


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
    if is_short(config) and config.network.ndim == 2:
        why = f"a deeper network learns nothing in less than {SHORT:g} minutes"
        decisions.append(Decision("network.widths", SHORT_WIDTHS, why))
    return decisions


def _devices(config: Config, device: torch.device) -> list[Decision]:
    """One GPU, unless several are asked for: others may be at work on the rest, and batches would be larger."""
    found = torch.cuda.device_count() if device.type == "cuda" else 1
    if found == 1:
        return []
    return [decide(config, "training.devices", 1, f"of {found} GPUs; training.devices={found} takes all of them")]


def _check_classes(facts: Fingerprint) -> None:
    """Raise UlnaError where there is nothing to learn: every mask that shows something is held out."""
    if facts.class_shares and not any(facts.class_shares[1:]):
        raise UlnaError(
            "the images to learn from show nothing but background: every mask that shows more is held out",
            hint="Hold out others with another training.seed, none with data.validation=0, or annotate more images.",
        )
