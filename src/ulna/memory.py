"""How much memory is free: of the machine, or of the container or job of a cluster if that has less."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import psutil

CGROUPS = Path("/sys/fs/cgroup")
"""Where Linux says how much memory a container, or a job of a cluster, may use."""

MEMBERSHIP = Path("/proc/self/cgroup")
"""Where Linux says in which group this process is."""


_sharers = 1


def share(count: int) -> None:
    """Count this process as one of several on this machine, each of which takes its part of what is free.

    Parameters
    ----------
    count
        How many there are.
    """
    global _sharers
    _sharers = count


def of_machine() -> int:
    """Bytes that the operating system says are free, those of files that it can let go of among them."""
    return int(psutil.virtual_memory().available)


def free_memory(
    *, available: Callable[[], int] = of_machine, groups: Path = CGROUPS, membership: Path = MEMBERSHIP
) -> int:
    """Bytes that are free for this process.

    Parameters
    ----------
    available
        What is free on the machine; by default the operating system is asked.
    groups, membership
        Where the limits of groups of processes are stated, and the group of this one: on Linux only. Elsewhere, and
        where there is no limit, the machine's memory counts.

    Returns
    -------
    int
        Of the machine, or of the group, or of one that it lies in, whichever has the least; the part of one process
        where several `share` it.
    """
    free = available()
    for limit, used in _limits(groups, membership):
        try:
            left = int(limit.read_text()) - int(used.read_text())
        except (OSError, ValueError):  # there is none, or no limit: "max"
            continue
        free = min(free, max(left + _cached(limit.parent), 0))
    return free // _sharers


def _limits(groups: Path, membership: Path) -> Iterator[tuple[Path, Path]]:
    """The files that state the limit and the use of each group that this process is in, from the innermost out.

    A container sees its own group as the outermost.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        lines = []
    inner = {names: path.strip("/") for _, names, path in (line.split(":", 2) for line in lines if line.count(":") > 1)}
    for top, name, limit, used in (
        (groups, "", "memory.max", "memory.current"),
        (groups / "memory", "memory", "memory.limit_in_bytes", "memory.usage_in_bytes"),
    ):
        place = top / inner.get(name, "")
        for folder in (place, *(parent for parent in place.parents if parent.is_relative_to(top))):
            yield folder / limit, folder / used


def _cached(group: Path) -> int:
    """Bytes of files that are held and can be let go of."""
    try:
        words = dict(line.split(maxsplit=1) for line in (group / "memory.stat").read_text().splitlines())
        return int(words.get("total_inactive_file", words.get("inactive_file", 0)))
    except (OSError, ValueError):
        return 0
