"""A loss that is a function of the user's own, in place of one that `task.loss` names."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from functools import partial
from typing import Any

from torch import Tensor

from ulna.config import Config, TaskConfig
from ulna.errors import UlnaError
from ulna.networks.losses import Loss

OWN = "own"
"""What `task.loss` says then."""


def with_loss(config: Config, loss: Loss | None) -> Config:
    """The settings where the loss is a function, if one is given.

    Parameters
    ----------
    config
        Any settings.
    loss
        The function.

    Returns
    -------
    Config
        With `task.loss: own`.

    Raises
    ------
    UlnaError
        For what is no function, and for settings that need another loss.

    Examples
    --------
    >>> with_loss(Config(), lambda outputs, truth: outputs.mean()).task.loss
    'own'
    """
    if loss is None:
        return config
    given: object = loss  # of a caller who looks at no types
    if not callable(given):
        hint = "Give a function of the network's outputs and the truth, or set task.loss to the name of one."
        raise UlnaError(f"{type(given).__name__} is no loss", where="loss", hint=hint)
    return config.changed({"task.loss": OWN}, where="loss")


def given_loss(config: TaskConfig, loss: Loss | None) -> Loss | None:
    """The function to train with, which says in plain words where its answers are none of a loss.

    Parameters
    ----------
    config
        The section `task`.
    loss
        The function, if there is one. It gets logits (N, K, *spatial) as 32-bit floats and class indices
        (N, 1, *spatial).

    Returns
    -------
    callable or None
        None where a loss is named. It raises UlnaError where its answer is no scalar tensor, or has no gradient.

    Raises
    ------
    UlnaError
        Where `task.loss` is `own` and there is no function.

    Examples
    --------
    >>> import torch
    >>> mean = given_loss(TaskConfig(loss="own"), lambda outputs, truth: outputs.mean())
    >>> mean(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor(1.)
    """
    if loss is None:
        if config.loss == OWN:
            hint = "Train from Python: ulna.train(..., loss=function). Or name one: --set task.loss=dice_cross_entropy"
            raise UlnaError("the loss is a function, which is not given", where=f"task.loss={OWN}", hint=hint)
        return None

    return partial(_checked, loss)


def _checked(loss: Loss, outputs: Tensor, truth: Tensor) -> Tensor:
    """What a loss answers, if it is one."""
    value: object = loss(outputs.float(), truth)
    if not isinstance(value, Tensor) or value.ndim:
        kind = f"a tensor {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        hint = "Take the mean or the sum: a loss is a tensor without axes."
        raise UlnaError(f"this loss returned {kind}, not a scalar tensor", where=name_of(loss), hint=hint)
    if outputs.requires_grad and not value.requires_grad:
        hint = "Compute it from the outputs with PyTorch: a threshold, NumPy and .item() have no gradient."
        raise UlnaError("this loss does not depend on the outputs of the network", where=name_of(loss), hint=hint)
    return value


def check_elsewhere(loss: Loss | None) -> None:
    """Refuse a function that another process does not find.

    Parameters
    ----------
    loss
        The function, if there is one.

    Raises
    ------
    UlnaError
        For one of a script that is run, of a notebook, or within another function.
    """
    try:
        sent = pickle.dumps(loss)
    except (pickle.PicklingError, AttributeError, TypeError):
        sent = b"__main__"
    if b"__main__" in sent:
        hint = "Put it into a file of its own and import it from there, or set training.devices to 1."
        raise UlnaError("the processes of a training on several devices do not find it", where="loss", hint=hint)


def name_of(loss: Loss) -> str:
    """What a function is called in records: its module and its name.

    Parameters
    ----------
    loss
        Any callable.

    Returns
    -------
    str
        Of an object that is called, or a partial function, the name of its class.

    Examples
    --------
    >>> from ulna.networks.losses import dice
    >>> name_of(dice)
    'ulna.networks.losses.dice'
    """
    kind = loss if hasattr(loss, "__qualname__") else type(loss)
    return f"{kind.__module__}.{kind.__qualname__}"


def record(loss: Loss | None) -> dict[str, str]:
    """What the record of a run says of the function.

    Parameters
    ----------
    loss
        The function, if there is one.

    Returns
    -------
    dict of str
        Its name as `loss`; empty where a loss is named.
    """
    return {} if loss is None else {"loss": name_of(loss)}


def check_same(before: Mapping[str, Any], loss: Loss | None) -> None:
    """Refuse another function than that which a run began with.

    Parameters
    ----------
    before
        The record of the run.
    loss
        The function that is given now.

    Raises
    ------
    UlnaError
        With both names.
    """
    if loss is not None and before.get("loss") != name_of(loss):
        what = f"this run began with the loss {before.get('loss', 'that task.loss names')}, not {name_of(loss)}"
        raise UlnaError(what, where="loss", hint="Give the function that the run began with.")
