"""What a process of a training on several devices computes of each batch, and what it gets from the others.

The first process decides, and tells the others which step comes next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

DROPOUTS = (F.dropout, F.dropout2d, F.dropout3d)

STOPPED = -1.0
"""The step that is announced when there is none any more."""


@dataclass(frozen=True)
class Rank:
    """One of the processes of a training, counted from 0.

    All compute as many patches of a batch: where their number does not divide it, the last patch is computed more than
    once, and counts once.

    Parameters
    ----------
    number, count
        Which of how many.
    kind
        The kind of device of which each has one: "cpu" or "cuda".

    Examples
    --------
    >>> [Rank(number, 2).rows(5) for number in range(2)]
    [[0, 1, 2], [3, 4, 4]]
    """

    number: int = 0
    count: int = 1
    kind: str = "cpu"

    def rows(self, batch: int) -> list[int]:
        """Which patches of a batch this process computes."""
        each = -(-batch // self.count)
        return [min(row, batch - 1) for row in range(self.number * each, (self.number + 1) * each)]

    def joined(self, own: Tensor, batch: int) -> Tensor:
        """What all processes have, (batch, …), from what each has of its rows; the gradient goes to the own ones."""
        if self == ALONE:
            return own
        mine = own.detach().contiguous()
        parts = [torch.empty_like(mine) for _ in range(self.count)]
        # as bytes: NCCL and Gloo know no wide unsigned integers, which labels may be
        dist.all_gather([part.view(torch.uint8) for part in parts], mine.view(torch.uint8))
        parts[self.number] = own
        return torch.cat(parts)[:batch]

    def announce(self, step: int | None, progress: float = 0.0) -> None:
        """Tell the others which step comes now, and how far the training is; None: there is none any more."""
        if self != ALONE:
            dist.broadcast(torch.tensor([STOPPED if step is None else step, progress], dtype=torch.float64), src=0)

    def announced(self) -> tuple[int, float] | None:
        """What the first process announces next."""
        said = torch.zeros(2, dtype=torch.float64)
        dist.broadcast(said, src=0)
        step, progress = said.tolist()
        return None if step == STOPPED else (int(step), progress)


ALONE = Rank()
"""The only process of a training on one device."""


class JointDropout(TorchFunctionMode):
    """Dropout of some rows of a batch, drawn as it would be for the whole batch."""

    def __init__(self, rows: Sequence[int], batch: int) -> None:
        super().__init__()
        self._rows = list(rows)
        self._batch = batch

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func not in DROPOUTS:
            return func(*args, **(kwargs or {}))
        (x,) = args
        strides = (x[0].numel(), *x.stride()[1:])  # numbers are drawn in the order in which values lie
        whole = torch.empty_strided((self._batch, *x.shape[1:]), strides, dtype=x.dtype, device=x.device).fill_(1)
        return x * func(whole, **(kwargs or {}))[self._rows]
