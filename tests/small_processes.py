"""What processes do in tests; they import it from here."""

from __future__ import annotations

import os
import signal

from ulna.errors import UlnaError
from ulna.training.ranks import Rank


def dying(rank: Rank) -> None:
    """The second process is killed while the first one waits for it."""
    if rank.number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    rank.announce(0)
    rank.announced()


def refusing(rank: Rank) -> None:
    """The second process finds something that can be fixed."""
    if rank.number == 1:
        raise UlnaError("too little memory", where="here", hint="Buy more.")
    rank.announced()
