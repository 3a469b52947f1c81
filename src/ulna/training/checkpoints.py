"""What a run needs to go on: weights, optimizer and counts, in one file that is replaced atomically."""

from __future__ import annotations

import io
from dataclasses import asdict, dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from torch import Tensor

from ulna.errors import UlnaError
from ulna.formats import atomic_write

LAST, BEST = Path("checkpoints", "last.ckpt"), Path("checkpoints", "best.ckpt")
"""Where they lie in a run: the end of the last epoch with all it needs to go on, and the weights of the best."""

HINT = "Delete the folder 'checkpoints' and add --resume: the training begins anew with the same plan."


@dataclass
class State:
    """How far a training is: counts, and what the loop remembers of earlier epochs.

    `epoch` and `step` count those that are done, `progress` is the share of the schedule that is done, `validated` the
    number of cases of a validation (None before the first), `empty` counts validations running in which nothing was
    found, `losses` holds the loss of each step.
    """

    epoch: int = 0
    step: int = 0
    progress: float = 0.0
    validated: int | None = None
    empty: int = 0
    losses: list[float] = field(default_factory=list)


@dataclass(frozen=True)
class Best:
    """The best epoch so far, counted from 1 as in `metrics.csv`, and its value."""

    epoch: int
    value: float


def save_last(run: Path, state: State, network: dict[str, Any], optimizer: dict[str, Any]) -> None:
    """Write the checkpoint to go on from. Raises UlnaError when the disk is full."""
    counts = asdict(state) | {"losses": torch.tensor(state.losses, dtype=torch.float64)}
    _save(run / LAST, {"state": counts, "network": network, "optimizer": optimizer})


def load_last(run: Path) -> tuple[State, dict[str, Tensor], dict[str, Any]] | None:
    """The state, the network's weights and the optimizer's; None where no epoch was finished."""
    if not (run / LAST).is_file():
        return None
    words = _load(run / LAST)
    try:
        counts = dict(words["state"])
        return State(**(counts | {"losses": counts["losses"].tolist()})), words["network"], words["optimizer"]
    except (KeyError, TypeError, AttributeError) as error:
        raise UlnaError(f"this checkpoint is of another kind ({error})", where=run / LAST, hint=HINT) from None


def save_best(run: Path, best: Best, network: dict[str, Any]) -> None:
    """Write the weights of the best epoch."""
    _save(run / BEST, {"best": asdict(best), "network": network})


def load_best(run: Path) -> tuple[Best, dict[str, Tensor]] | None:
    """The best epoch and its weights; None where there is none yet."""
    if not (run / BEST).is_file():
        return None
    words = _load(run / BEST)
    try:
        return Best(**words["best"]), words["network"]
    except (KeyError, TypeError) as error:
        raise UlnaError(f"this checkpoint is of another kind ({error})", where=run / BEST, hint=HINT) from None


def _save(path: Path, words: dict[str, Any]) -> None:
    data = io.BytesIO()
    torch.save(words, data)
    with atomic_write(path) as beside:
        beside.write_bytes(data.getbuffer())


def _load(path: Path) -> dict[str, Any]:
    try:
        return dict(torch.load(path, map_location="cpu", weights_only=True))
    except (OSError, RuntimeError, ValueError, EOFError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        raise UlnaError(f"this checkpoint cannot be read: {reason}", where=path, hint=HINT) from None
