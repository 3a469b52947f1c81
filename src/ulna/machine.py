"""What machine this is, and what time: facts for the record of a run. No name of a machine or a user is among them."""

from __future__ import annotations

import os
import platform
from datetime import datetime
from pathlib import Path

import psutil

from ulna.text import amount

PROCESSORS = Path("/proc/cpuinfo")
"""Where Linux says what processor it runs on."""


def now() -> str:
    """The date and the time of the day with its distance from UTC, to the second.

    Returns
    -------
    str
        As ISO 8601 has it: "2026-11-26T14:30:00+01:00".
    """
    return datetime.now().astimezone().isoformat(timespec="seconds")


def machine() -> dict[str, str | int]:
    """The machine that this process runs on.

    Returns
    -------
    dict
        Its system, processor, cores and memory.
    """
    return {
        "system": f"{platform.system()} {platform.release()}, {platform.machine()}",
        "processor": processor(PROCESSORS),
        "cores": os.cpu_count() or 1,
        "memory": amount(psutil.virtual_memory().total),
    }


def processor(listing: Path) -> str:
    """What the processor is called, as far as the system says it.

    Parameters
    ----------
    listing
        The file in which Linux lists processors.

    Returns
    -------
    str
        The model, or at least the architecture.
    """
    try:
        lines = listing.read_text("utf-8", "replace").splitlines()
    except OSError:  # another system
        lines = []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next((name for name in named if name), "") or platform.processor() or platform.machine()
