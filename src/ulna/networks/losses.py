"""Losses. A loss is a function of the network's outputs and the truth; a new one is a function and a line below.

Shapes everywhere: `outputs` are logits (N, K, *spatial); `truth` holds class indices (N, 1, *spatial), 0 the
background. K = 1 means one foreground class, predicted by a sigmoid; K > 1 means one channel per class including the
background, predicted by a softmax. Pixels whose truth is `IGNORE` (not annotated) are in no sum and no mean; where
all are ignored, the loss is that of an empty batch and its gradient zero.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from ulna.image import IGNORE

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(outputs: Tensor, truth: Tensor, weights: Tensor | None = None) -> Tensor:
    """Mean cross-entropy over the annotated pixels: -log p(true class); binary cross-entropy when K = 1.

    Parameters
    ----------
    outputs
        Logits (N, K, *spatial).
    truth
        Class indices (N, 1, *spatial).
    weights
        What each pixel's term is multiplied by, (N, 1, *spatial); by default 1. The mean is over pixels, not weights.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> logits, truth = torch.zeros(1, 2, 2, 2), torch.ones(1, 1, 2, 2, dtype=torch.uint8)
    >>> round(float(cross_entropy(logits, truth)), 4)  # two classes, equally probable: log 2
    0.6931
    """
    outputs = outputs.float()
    annotated = truth != IGNORE
    if outputs.shape[1] == 1:
        target = (truth * annotated).to(outputs.dtype)
        weight = annotated.to(outputs.dtype) if weights is None else annotated * weights
        total = F.binary_cross_entropy_with_logits(outputs, target, weight, reduction="sum")
    elif weights is None:
        total = F.cross_entropy(outputs, truth[:, 0].long(), ignore_index=IGNORE, reduction="sum")
    else:
        each = F.cross_entropy(outputs, truth[:, 0].long(), ignore_index=IGNORE, reduction="none")
        total = (each * weights[:, 0]).sum()
    return total / annotated.sum().clamp(min=1)


def dice(outputs: Tensor, truth: Tensor, smooth: float = 1.0) -> Tensor:
    """Soft Dice loss, 1 - (2 Σ p t + s) / (Σ p + Σ t + s), mean over the foreground classes.

    The sums run over all annotated pixels of the batch, so that an image without foreground does not swing the loss.

    Parameters
    ----------
    outputs
        Logits (N, K, *spatial).
    truth
        Class indices (N, 1, *spatial).
    smooth
        The s of the formula: what makes the loss 0 where a class is neither there nor predicted.

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Milletari, Navab, Ahmadi 2016, V-Net, 3DV. The denominator is linear as in Drozdzal et al. 2016, The importance of
    skip connections in biomedical image segmentation, DLMIA.

    Examples
    --------
    >>> truth = torch.tensor([0, 1, 1, 0]).view(1, 1, 2, 2)
    >>> float(dice(1000.0 * (2 * truth - 1), truth))  # a mask that is right, and sure
    0.0
    """
    both, total = _overlap(outputs, truth)
    return (1 - (2 * both + smooth) / (total + smooth)).mean()


def log_dice(outputs: Tensor, truth: Tensor, smooth: float = 1e-4) -> Tensor:
    """The negative logarithm of soft Dice, log(Σ p + Σ t + s) - log(2 Σ p t + s), mean over the foreground classes.

    The sums are those of `dice`. It falls more steeply where a class is hardly found.

    Parameters
    ----------
    outputs
        Logits (N, K, *spatial).
    truth
        Class indices (N, 1, *spatial).
    smooth
        The s of the formula.

    Returns
    -------
    Tensor
        A scalar.

    Examples
    --------
    >>> truth = torch.tensor([0, 1, 1, 0]).view(1, 1, 2, 2)
    >>> round(float(log_dice(0.0 * truth, truth)), 4)  # all pixels at one half: Dice is 1/2
    0.6931
    """
    both, total = _overlap(outputs, truth)
    return ((total + smooth).log() - (2 * both + smooth).log()).mean()


def _overlap(outputs: Tensor, truth: Tensor) -> tuple[Tensor, Tensor]:
    """Σ p t and Σ p + Σ t for each foreground class, over all annotated pixels of the batch."""
    outputs = outputs.float()
    annotated = truth != IGNORE
    if outputs.shape[1] == 1:
        probability, target = outputs.sigmoid() * annotated, (truth * annotated).to(outputs.dtype)
    else:
        classes = torch.arange(1, outputs.shape[1], device=outputs.device)
        classes = classes.view(1, -1, *[1] * (outputs.ndim - 2))
        probability = outputs.softmax(1)[:, 1:] * annotated
        target = (truth == classes).to(outputs.dtype)
    over = [0, *range(2, outputs.ndim)]
    return (probability * target).sum(over), probability.sum(over) + target.sum(over)


def dice_cross_entropy(outputs: Tensor, truth: Tensor, weights: Tensor | None = None) -> Tensor:
    """The sum of soft Dice and cross-entropy.

    Parameters
    ----------
    outputs
        Logits (N, K, *spatial).
    truth
        Class indices (N, 1, *spatial).
    weights
        Of the pixels in the cross-entropy, (N, 1, *spatial).

    Returns
    -------
    Tensor
        A scalar.

    References
    ----------
    Isensee et al. 2021, nnU-Net, Nature Methods 18:203.
    """
    return dice(outputs, truth) + cross_entropy(outputs, truth, weights)


LOSSES: dict[str, Loss] = {
    "cross_entropy": cross_entropy,
    "dice": dice,
    "dice_cross_entropy": dice_cross_entropy,
    "log_dice": log_dice,
}

WEIGHTED: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "cross_entropy": cross_entropy,
    "dice_cross_entropy": dice_cross_entropy,
}
"""Those that take weights of pixels."""
