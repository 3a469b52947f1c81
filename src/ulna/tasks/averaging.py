"""The mean of what several networks, or one network on mirrored images, say of an image."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from scipy.special import log_expit, log_softmax

Maps = npt.NDArray[np.float32]


def average(several: Iterable[Maps], exclusive: int) -> Maps:
    """Logits whose probabilities are the means of the probabilities of several.

    Probabilities are averaged and not logits: a network that is sure has no more than one vote. The result is logits
    again, so that what comes after is the same for one network and for many.

    Parameters
    ----------
    several
        Logits (K, *spatial), one after the other, at least one.
    exclusive
        The first so many channels are a softmax over them; each of the others is a sigmoid.

    Returns
    -------
    Maps
        Logits (K, *spatial).

    Examples
    --------
    >>> logits = [np.log(np.array([[4.0], [1.0]])), np.log(np.array([[2.0], [3.0]]))]
    >>> np.exp(average(logits, exclusive=2)).round(3).tolist()  # the means of 0.8 and 0.4, 0.2 and 0.6
    [[0.6], [0.4]]
    """
    true: Maps | None = None
    false: Maps | None = None
    count = 0
    for logits in several:
        alone = logits[exclusive:]
        yes = (
            np.concatenate([log_softmax(logits[:exclusive], axis=0), log_expit(alone)])
            if exclusive
            else log_expit(alone)
        )
        no = log_expit(-alone)
        true = yes if true is None else np.logaddexp(true, yes)
        false = no if false is None else np.logaddexp(false, no)
        count += 1
    assert true is not None
    assert false is not None
    true[:exclusive] -= np.log(count)
    true[exclusive:] -= false
    return true
