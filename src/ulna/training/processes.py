"""Starting the processes of a training on several devices, and watching over them.

Fabric's own launchers are not used: they run the user's script again in each process, refuse notebooks, and wait for
ever where only the process that was typed is stopped.
"""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import Thread
from types import TracebackType

import torch
import torch.distributed as dist

from ulna.errors import UlnaError
from ulna.training.ranks import Rank

BACKENDS = {"cpu": "gloo", "cuda": "cpu:gloo,cuda:nccl"}
"""What carries tensors from process to process, by where they are."""

PATIENCE = timedelta(days=30)
"""How long a process waits for the others: the first one validates meanwhile. One that has died is not waited for."""

GRACE = 10.0
"""Seconds that the others have to end by themselves once one has failed: what they say then may tell why."""

GLANCE = 0.2
"""Seconds between two looks at whether all processes are alive."""

PROGRAM = "from ulna.training.processes import process; process()"
"""What the processes run."""

WORK, MEETING, ERROR = "work", "meeting", ".error"
"""Files of the folder that the processes share: what they do, where they find each other, what went wrong in each."""


def in_processes(work: Callable[[Rank], object], count: int, kind: str) -> None:
    """Do `work` in several new processes at once, which can reach each other, and wait until all have ended.

    None of them outlives this process.

    Parameters
    ----------
    work
        Something that can be pickled, and of which the script that was started knows nothing.
    count
        How many processes.
    kind
        The kind of device of which each has one: "cpu" or "cuda".

    Raises
    ------
    UlnaError
        Where one of the processes raised it, or was ended from outside.
    RuntimeError
        With what went wrong in a process otherwise.
    """
    with tempfile.TemporaryDirectory(prefix="ulna-", ignore_cleanup_errors=True) as name:
        folder = Path(name)
        (folder / WORK).write_bytes(pickle.dumps((work, count, kind)))
        processes: list[subprocess.Popen[bytes]] = []
        try:
            for number in range(count):
                processes.append(_started(folder, number))
            _wait(processes)
            if any(process.returncode for process in processes):
                raise _cause([process.poll() for process in processes], folder)
        finally:  # also where this process is stopped
            for process in processes:
                process.kill()
                process.communicate()


def _started(folder: Path, number: int) -> subprocess.Popen[bytes]:
    """A process that finds modules as this one does, and is not reached by Ctrl-C: this one ends it then."""
    path = os.pathsep.join(place or str(Path.cwd()) for place in sys.path)
    # Fabric asks for the ranks, and those that the shell of a cluster may name are of other processes
    variables = {"PYTHONPATH": path, "LOCAL_RANK": str(number), "NODE_RANK": "0"}
    words = [sys.executable, "-P", "-c", PROGRAM, str(folder), str(number)]
    return subprocess.Popen(words, stdin=subprocess.PIPE, env=os.environ | variables, start_new_session=True)


def _wait(processes: Sequence[subprocess.Popen[bytes]]) -> None:
    """Until all have ended, or one has failed and the others had time to end."""
    until = float("inf")
    while any(process.poll() is None for process in processes) and time.monotonic() < until:
        if until == float("inf") and any(process.returncode for process in processes):
            until = time.monotonic() + GRACE
        first = next((process for process in processes if process.returncode is None), processes[0])
        with suppress(subprocess.TimeoutExpired):
            first.wait(GLANCE)


def process() -> None:
    """What each process does, by the words of its command: the folder that they share, and its number."""
    folder, number = Path(sys.argv[1]), int(sys.argv[2])
    sys.excepthook = partial(_keep, folder / f"{number}{ERROR}")
    if hasattr(signal, "SIGUSR1"):
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # a cluster sends it to all: the one that waits decides
    Thread(target=_end_with_parent, daemon=True).start()
    work, count, kind = pickle.loads((folder / WORK).read_bytes())
    if kind == "cuda":
        torch.cuda.set_device(number)
    meeting = (folder / MEETING).as_uri()
    dist.init_process_group(BACKENDS[kind], meeting, PATIENCE, world_size=count, rank=number)
    work(Rank(number, count, kind))
    dist.destroy_process_group()


def _end_with_parent() -> None:
    """The other end of standard input is held by the process that waits, and by no other."""
    os.read(0, 1)
    os._exit(1)


def _keep(path: Path, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Leave what ends this process to the one that waits, instead of printing it beside what the others print."""
    kept = error if isinstance(error, UlnaError) else RuntimeError("".join(traceback.format_exception(error)))
    path.write_bytes(pickle.dumps(kept))


def _cause(codes: Sequence[int | None], folder: Path) -> Exception:
    """Why processes ended: what one says that can be fixed, else that one was ended, else what one says first."""
    files = sorted(folder.glob(f"*{ERROR}"), key=lambda path: path.stat().st_mtime_ns)
    errors: list[Exception] = [pickle.loads(path.read_bytes()) for path in files]
    for error in errors:
        if isinstance(error, UlnaError):
            return error
    said = {path.name for path in files}
    for number, code in enumerate(codes):
        if code and f"{number}{ERROR}" not in said:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            what = f"process {number} of the {len(codes)} of this training was ended ({how})"
            hint = "A memory that is full ends processes so. Go on by adding --resume."
            return UlnaError(what, where="training.devices", hint=hint)
    return errors[0]
