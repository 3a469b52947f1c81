"""Optimizers. A new one is a function of the weights and the settings, and a line in `OPTIMIZERS`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from ulna.config import TrainingConfig

NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
"""Coefficients a, b, c of Jordan's polynomial a x + b x³ + c x⁵, which brings singular values near 1 in few steps."""

STEPS = 5
"""How often it is applied."""

ADAM_SIZE = 0.2
"""Root of the mean square of an update: about what Adam's have, so that one learning rate suits both (Liu et al.
2025)."""


class Muon(AdamW):
    """Muon (Jordan et al. 2024) for the kernels of convolutions, AdamW for all other weights.

    A kernel (K, C, *size) is seen as a matrix (K, C · size). Its gradient, averaged with Nesterov's momentum, is
    replaced by the nearest matrix whose singular values are all alike: a direction that few patches speak for is
    learned as fast as those that all speak for. `torch.optim.Muon` takes matrices only, and works in bfloat16, which
    many CPUs are slow at.
    """

    def __init__(self, weights: Iterable[nn.Parameter], lr: float, *, momentum: float, weight_decay: float) -> None:
        every = list(weights)
        kernels = [one for one in every if is_kernel(one)]
        rest = [one for one in every if not is_kernel(one)]
        groups: list[dict[str, Any]] = [{"params": kernels, "momentum": momentum}, {"params": rest}]
        super().__init__(groups, lr, weight_decay=weight_decay)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """One step; what `closure` returns, which computes the gradients."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        kernels, *others = groups = self.param_groups
        for kernel in kernels["params"]:
            if kernel.grad is not None:
                self._orthogonalize_update(kernel, kernels)
        self.param_groups = others  # all that AdamW is to see
        try:
            super().step()
        finally:  # whatever interrupts it: these are saved with a checkpoint
            self.param_groups = groups
        return loss

    def _orthogonalize_update(self, kernel: Tensor, group: dict[str, Any]) -> None:
        gradient, state = cast(Tensor, kernel.grad), self.state[kernel]
        if not state:
            # AdamW expects a step wherever a state is loaded
            state.update(step=torch.tensor(0.0), momentum=torch.zeros_like(kernel))
        state["step"] += 1
        average = state["momentum"].lerp_(gradient, 1 - group["momentum"])
        # channels last, as they lie in memory: columns in any order give the same
        ahead = gradient.lerp(average, group["momentum"]).movedim(1, -1)
        orthogonalized = orthogonalize(ahead.flatten(1))
        size = ADAM_SIZE * max(orthogonalized.shape) ** 0.5
        kernel.mul_(1 - group["lr"] * group["weight_decay"])
        kernel.add_(orthogonalized.view(ahead.shape).movedim(-1, 1), alpha=-group["lr"] * size)


def is_kernel(weights: Tensor) -> bool:
    """Whether these are the kernels of a convolution that sees more than one pixel."""
    return weights.ndim > 2 and weights[0, 0].numel() > 1


def orthogonalize(matrix: Tensor) -> Tensor:
    """U Vᵀ of the singular value decomposition U S Vᵀ, roughly: singular values come to lie between 0.7 and 1.2.

    Those less than about a hundredth of the matrix' norm stay smaller. The polynomial is applied to the Gram matrix,
    which is small, and the product of its factors to the matrix once.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.mT
    wide = wide / wide.norm().clamp(min=torch.finfo(wide.dtype).tiny)
    gram = wide @ wide.mT
    a, b, c = NEWTON_SCHULZ
    product = torch.eye(len(gram), dtype=gram.dtype, device=gram.device)
    for step in range(STEPS):
        factor = torch.addmm(gram, gram, gram, beta=b, alpha=c)
        factor.diagonal().add_(a)
        product = factor @ product
        if step < STEPS - 1:
            gram = factor @ gram @ factor
    made: Tensor = product @ wide
    return made if matrix.shape[0] <= matrix.shape[1] else made.mT


OPTIMIZERS: dict[str, Callable[[Iterable[nn.Parameter], TrainingConfig], Optimizer]] = {
    "muon": lambda weights, t: Muon(weights, t.learning_rate, momentum=t.momentum, weight_decay=t.weight_decay),
    "adamw": lambda weights, t: AdamW(weights, t.learning_rate, weight_decay=t.weight_decay),
    "adam": lambda weights, t: Adam(weights, t.learning_rate, weight_decay=t.weight_decay),
    "sgd": lambda weights, t: SGD(weights, t.learning_rate, momentum=t.momentum, weight_decay=t.weight_decay),
}
