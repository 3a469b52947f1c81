"""`summary`: the layer table of a network, as Keras prints it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from ulna import modelfile
from ulna.errors import UlnaError
from ulna.labels.inference import infer
from ulna.networks import build
from ulna.networks.summary import NetworkSummary, summarize_network
from ulna.paths import expand_home
from ulna.preset import load_preset, preset_name, preset_names
from ulna.tasks import build as build_task


@expand_home
def summary(what: str | Path | nn.Module, *, size: Sequence[int] | None = None) -> NetworkSummary:
    """The layer table of a run, a model file, a preset or a network.

    A preset's channels and classes are those of RGB images and one class where it names none. Nothing is computed: the
    network runs on tensors without content.

    Parameters
    ----------
    what
        A run's folder, a model file, the name of a preset, or a `torch.nn.Module`.
    size
        The spatial size of the input; by default that of the training.

    Returns
    -------
    NetworkSummary
        It prints itself.

    Raises
    ------
    UlnaError
        For a name that is neither a run nor a preset, and for a size that does not suit the network.

    Examples
    --------
    >>> ulna.summary("paper").parameters
    31031745
    """
    title, network, default = _find(what)
    return summarize_network(network, title, size=size, default=default)


def _find(what: str | Path | nn.Module) -> tuple[str, nn.Module, tuple[int, ...]]:
    """A title, the network, and the size that its configuration names, if any."""
    if isinstance(what, nn.Module):
        return "", what, ()
    if Path(what).exists():
        saved = modelfile.load(what)
        return (
            f"{what}",
            saved.network,
            saved.config.data.resize or saved.config.training.patch,
        )
    if preset_name(str(what)) not in preset_names():
        known = ", ".join(preset_names())
        raise UlnaError("this is neither a run nor a preset", where=what, hint=f"The presets are {known}.")
    config = load_preset(str(what))
    stated = infer((), config.data) if config.data.values or config.data.regions else None
    names = stated.names if stated else config.data.classes or ("background", "foreground")
    outputs = build_task(config.task, names, stated.regions if stated else ()).outputs
    with torch.device("meta"):
        network = build(config.network, config.data.inputs or 3, outputs)
    return f"preset {what}", network, config.data.resize or config.training.patch
