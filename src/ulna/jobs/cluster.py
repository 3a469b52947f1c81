"""Prediction by the workers of a Dask cluster: an image each, or the bands of one that is large.

All see the same folders, as on a cluster with a shared drive: images, model and masks travel through these, and only
words through Dask. What a worker has written stays when it dies, and another one does the rest.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Lock
from typing import Any

import torch
from rich.markup import escape

from ulna import memory
from ulna.console import say, track
from ulna.dataset import Case, quiet
from ulna.errors import ClusterError, UlnaError, WriteError
from ulna.jobs.by_region import divisible, help_with, made_by
from ulna.jobs.extras import Asked, Extras
from ulna.jobs.one_mask import Job, Outcome, is_kept, make, target_of
from ulna.model import Model, load
from ulna.text import amount, plural

PATIENCE = 60.0
"""Seconds after which a cluster without workers, where nothing ends meanwhile, is given up."""

BANDS = 3
"""A large image is cut into so many bands per worker, so that none has to wait long for the last one."""

START = "Start one with 'dask scheduler', and workers with 'dask worker ADDRESS --nthreads 1 --memory-limit 0'."

_ALONE = Lock()
"""A worker predicts one image at a time, with all the cores that are its own."""


@dataclass(frozen=True)
class Errand:
    """What a worker has to know.

    Parameters
    ----------
    run
        A run's folder or a model file, by its whole path.
    by
        The word of `ulna.jobs.by_region.made_by` for the model, by which a worker sees that it has the same.
    changes
        Settings of the prediction, as JSON.
    device
        Where the model is loaded.
    folder
        That of the masks, by its whole path.
    asked
        What is written beside the masks.
    shared_by
        How many workers each machine has, by its name in the cluster.
    """

    run: str
    by: str
    changes: str
    device: str | None
    folder: Path
    asked: Asked
    shared_by: tuple[tuple[str, int], ...]


def predicted(
    address: str,
    run: Path,
    model: Model,
    jobs: Sequence[Job],
    folder: Path,
    asked: Asked,
    *,
    changes: Mapping[str, Any],
    device: str | None,
    extras: Extras,
) -> Iterator[tuple[Job, Outcome]]:
    """The masks of some images, made by the workers of a cluster; each is given when it is there.

    Large images are computed band by band, one image after the other, and their masks written by this process.

    Parameters
    ----------
    address
        Of the scheduler, "tcp://node1:8786"; or the path of the file that `dask scheduler --scheduler-file` writes.
    run
        The run's folder or the model file that workers load.
    model
        The same model, here.
    jobs
        The masks.
    folder
        For the masks.
    asked
        What is written beside them.
    changes, device
        Of the prediction.
    extras
        Of this process, for large images.

    Yields
    ------
    tuple of Job and Outcome
        In the order in which they end.

    Raises
    ------
    ClusterError
        Where there is no such cluster, where its workers cannot predict, and where all of them are gone.
    """
    with _connected(address) as client:
        shared_by = tuple(_workers(client).items())
        by, words, place = made_by(model, (), 0), json.dumps(dict(changes)), str(run.absolute())
        errand = Errand(place, by, words, device, folder.absolute(), replace(asked, shared=True), shared_by)
        large, futures = list[Job](), {_submitted(client, _make, errand, _placed(job)): job for job in jobs}
        for future in track(_Ending(client, tuple(futures)), "predicting"):
            outcome = _outcome(future)
            if outcome is None:
                large.append(futures[future])
            else:
                yield futures[future], outcome
        for job in large:
            ahead = partial(_in_bands, client, errand, job)
            yield job, make(model, job, folder, extras=extras, ahead=ahead, progress=track)


def _make(errand: Errand, job: Job) -> Outcome | None:
    """What a worker does: the mask of one image; None of one that is large, for all workers together."""
    with _working(errand) as (model, extras):
        try:
            if is_kept(model, job, extras) and divisible(model, job.frames[0]):
                return None
        except UlnaError as error:
            return Outcome(failure=str(error))
        return make(model, job, errand.folder, extras=extras, progress=quiet)


def _help(errand: Errand, job: Job, band: tuple[float, float]) -> Outcome:
    """What a worker does for a large image: a band of it, and where it has put it."""
    with _working(errand) as (model, _):
        try:
            name = help_with(model, job.frames[0], target_of(errand.folder, job), band)
        except WriteError:
            raise
        except UlnaError as error:
            return Outcome(failure=str(error))
        except MemoryError:
            return Outcome(failure="the memory of a worker does not hold it")
        return Outcome(written=True, notes=(name,))


@contextmanager
def _working(errand: Errand) -> Iterator[tuple[Model, Extras]]:
    """What a worker predicts with, alone in its process and with its share of the cores and of the memory.

    Dask gives workers one thread for the work within an operation, whatever the machine has.
    """
    from distributed import get_worker

    with _ALONE:
        host = get_worker().address.rpartition(":")[0]
        sharers = dict(errand.shared_by).get(host, 1)
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        torch.set_num_threads(max(1, cores // sharers))
        memory.share(sharers)
        yield _equipped(errand)


@lru_cache(maxsize=1)
def _equipped(errand: Errand) -> tuple[Model, Extras]:
    """The model of an errand, and what writes beside its masks. Raises ClusterError where it is another model."""
    model = load(errand.run, device=errand.device).changed(json.loads(errand.changes))
    if made_by(model, (), 0) != errand.by:
        what = "the model that a worker sees is another one than where the prediction was begun"
        raise ClusterError(what, where=errand.run, hint="All must see the same folders under the same paths.")
    data, ndim = model.config.data, model.config.network.ndim
    return model, Extras(errand.folder, errand.asked, ndim=ndim, slices=data.slices or 0)


def _in_bands(client: Any, errand: Errand, job: Job) -> list[str]:
    """Have the workers compute a large image, and say where it is; what they leave is computed here afterwards."""
    count = BANDS * sum(_workers(client).values())
    if not count:
        raise _gone("no worker of the cluster is left")
    bands = [(place / count, (place + 1) / count) for place in range(count)]
    futures = tuple(_submitted(client, _help, errand, _placed(job), band) for band in bands)
    ends = track(_Ending(client, futures), f"predicting {job.name}")
    outcomes = [outcome for future in ends if (outcome := _outcome(future))]
    lost = [one.failure for one in outcomes if one.failure]
    if lost:
        say(f"{job.name}: {plural(len(lost), 'band')} of {count} computed here, for: {escape(lost[0])}")
    return [name for one in outcomes for name in one.notes]


def _submitted(client: Any, function: Callable[..., Outcome | None], *words: Any) -> Any:
    return client.submit(function, *words, pure=False)


def _outcome(future: Any) -> Outcome | None:
    """What a worker has done. Raises what is no fault of this one errand."""
    from distributed import KilledWorker

    try:
        outcome: Outcome | None = future.result()
    except KilledWorker:
        return Outcome(failure="each worker that predicted it died: is their memory large enough?")
    except CancelledError:
        raise _gone("the scheduler of the cluster is gone") from None
    return outcome


@dataclass(frozen=True)
class _Ending:
    """Futures in the order in which they end; of a cluster that is gone an error, and no waiting for ever."""

    client: Any
    futures: tuple[Any, ...]

    def __len__(self) -> int:
        return len(self.futures)

    def __iter__(self) -> Iterator[Any]:
        ended: SimpleQueue[Any] = SimpleQueue()
        for future in self.futures:
            future.add_done_callback(ended.put)
        for _ in self.futures:
            while True:
                try:
                    future = ended.get(timeout=PATIENCE)
                    break
                except Empty:
                    if not _workers(self.client):
                        raise _gone("no worker of the cluster is left") from None
            yield future


def _gone(what: str) -> ClusterError:
    return ClusterError(what, where="--cluster", hint="Masks that are there stay: start it anew, and add --resume.")


@contextmanager
def _connected(address: str) -> Iterator[Any]:
    """A client of the cluster, whose workers have the same version of `ulna`."""
    try:
        from distributed import Client
    except ImportError:
        hint = 'pip install "ulna[cluster]", here and where the workers run.'
        raise ClusterError("Dask is not installed", where="--cluster", hint=hint) from None
    named = {"scheduler_file": address} if Path(address).is_file() else {"address": address}
    try:
        client = Client(**named, timeout=PATIENCE / 2, set_as_default=False)
    except (OSError, TimeoutError, ValueError) as error:
        raise ClusterError(f"there is no scheduler at {address} ({error})", where="--cluster", hint=START) from None
    try:
        _check_workers(client)
        yield client
    finally:  # what is not done yet is cancelled with it
        client.close()


def _check_workers(client: Any) -> None:
    """Raise ClusterError where there is no worker, or one that has another version of `ulna`."""

    def facts(dask_worker: Any) -> tuple[str, int]:  # within this function, so that it travels by itself
        from importlib.metadata import PackageNotFoundError, version

        try:
            found = version("ulna")
        except PackageNotFoundError:
            found = "none"
        return found, dask_worker.memory_manager.memory_limit or 0

    from importlib.metadata import version

    try:
        client.wait_for_workers(1, timeout=PATIENCE)
    except TimeoutError:
        raise ClusterError("the cluster has no workers", where="--cluster", hint=START) from None
    own, limits = version("ulna"), list[int]()
    for worker, (found, limit) in client.run(facts).items():
        limits += [limit] * bool(limit)
        if found != own:
            what = f"the version of ulna is {own} here, and {found} on the worker {worker}"
            raise ClusterError(what, where="--cluster", hint="Install the same version in their environments.")
    if limits:
        least = amount(min(limits))
        say(f"Dask ends workers that use nearly {least} of memory; with 'dask worker --memory-limit 0' it does not.")


def _workers(client: Any) -> dict[str, int]:
    """How many workers each machine of the cluster has."""
    try:
        addresses: Iterable[str] = client.nthreads()
    except (OSError, TimeoutError, CancelledError):
        raise _gone("the scheduler of the cluster is gone") from None
    return dict(Counter(address.rpartition(":")[0] for address in addresses))


def _placed(job: Job) -> Job:
    """A job whose files have their whole paths: workers run in other folders."""

    def whole(case: Case) -> Case:
        return replace(case, images=tuple(replace(source, path=source.path.absolute()) for source in case.images))

    return replace(job, frames=tuple(map(whole, job.frames)))
