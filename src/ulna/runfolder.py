"""A run's folder: what lies in it, and how it is told from others."""

from __future__ import annotations

import errno
import json
import platform
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock, Timeout
from rich.markup import escape

from ulna import folds
from ulna.caselist import write_names
from ulna.config import Config, dotted
from ulna.console import say
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.formats.atomic import atomic_write, cannot_write, is_partial
from ulna.machine import machine, now

CONFIG, WORDS, USED = "config.yaml", "run.json", "used.json"
LISTS = ("train.txt", "validation.txt")
LOCK = ".lock"
PAIRS = "arrays"
"""The folder for training data that came as arrays, until the run has finished."""

WITHOUT_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP}
"""What network drives say that know no locks: then nobody watches that two trainings do not meet."""

START = "start.safetensors"
"""The model that a run, or the folds of one, start from, until it is trained."""

DEVICES = "training.devices"
"""The setting that may be another one when a run goes on."""

TRAINING, TRAINED, FINISHED = "training", "trained", "finished"
"""How far a run has come: it has a plan, a model, all there is."""

LIBRARIES = ("ulna", "torch", "lightning", "numpy", "scipy", "scikit-image", "tifffile")
"""Whose versions are written into a run."""


class AtWork(UlnaError):
    """Another training is at work in a folder."""


@contextmanager
def prepared(run: Path, *, resume: bool) -> Iterator[bool]:
    """Make the folder; give whether a run that had been planned there goes on.

    What is raised before the run is planned (`begin`) leaves the place as it was: the command can be fixed and
    typed again. Raises UlnaError for a folder that holds something else, or in which a training is at work.
    """
    new = not run.exists()
    _check_place(run, resume=resume)
    alone = False
    try:
        with _alone(run):
            alone = True
            planned = (run / WORDS).is_file()
            for left in () if planned else (folds.FILE, START):  # of folds that were killed before their plan
                (run / left).unlink(missing_ok=True)
            yield planned
    except UlnaError:
        if alone and not resume:
            _as_before(run, new=new)
        raise


@contextmanager
def shared(run: Path) -> Iterator[None]:
    """The folder of a run of folds, in which several processes may be at work, but one at a time in here.

    Whoever comes later waits. What is raised before the run is planned leaves the place as it was. Raises UlnaError
    for a folder that holds something else, and on a drive that knows no locks.
    """
    new = not run.exists()
    if not new and not run.is_dir():
        raise UlnaError("this is a file, not a folder", where=run, hint="Name another --out.")
    if not (run / WORDS).is_file() and not all(_before_plan(path) for path in _content(run)):
        raise UlnaError("this folder is not empty", where=run, hint="Name another --out.")
    lock = _lock_in_turn(run)
    try:
        for left in [path for path in _content(run) if is_partial(path)]:  # those of folds are theirs
            _remove(left)
        yield
    except UlnaError:
        _as_before(run, new=new)
        raise
    finally:
        lock.release()  # its file stays, for those who wait at it


def _lock_in_turn(run: Path) -> FileLock:
    """The folder's lock, once nobody else has it."""
    lock, waiting = FileLock(run / LOCK), 0
    while True:
        try:
            run.mkdir(parents=True, exist_ok=True)
            lock.acquire(timeout=-waiting)  # at first at once or not at all, then as long as it takes
            return lock
        except Timeout:
            say(f"Another process is at work in {escape(str(run))}: this one waits for it.")
            waiting = 1
        except FileNotFoundError:
            continue  # the other one has failed, and has removed the folder that it had made
        except OSError as error:
            if error.errno in WITHOUT_LOCKS:
                what = "this drive knows no file locks, which folds need"
                raise UlnaError(what, where=run, hint="Name an --out on another drive.") from None
            raise cannot_write(error, run) from None


def _as_before(run: Path, *, new: bool) -> None:
    """Remove what was written before the plan, if there is none."""
    if (run / WORDS).exists():
        return
    for left in [path for path in _content(run) if _before_plan(path)]:
        _remove(left)
    if new and run.exists() and not _content(run):
        run.rmdir()


def _content(folder: Path) -> list[Path]:
    return list(folder.iterdir()) if folder.is_dir() else []


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _check_place(run: Path, *, resume: bool) -> None:
    planned = (run / WORDS).is_file()
    if not resume:
        if run.exists() and not run.is_dir():
            raise UlnaError("this is a file, not a folder", where=run, hint="Name another --out.")
        if run.exists() and any(run.iterdir()):
            what = "this folder holds another run" if planned else "this folder is not empty"
            stopped = planned or all(_before_plan(path) for path in run.iterdir())
            hint = "Go on with it by adding --resume, or name another --out." if stopped else "Name another --out."
            if planned and words(run).get("state") == FINISHED:
                what, hint = "this folder holds a run that has finished", _longer(run)
            raise UlnaError(what, where=run, hint=hint)
    elif run.exists() and not planned and not all(_before_plan(path) for path in run.iterdir()):
        raise UlnaError("there is no run in this folder to go on with", where=run, hint="Leave --resume away.")
    elif planned and words(run).get("state") == FINISHED:
        raise UlnaError("this run has finished", where=run, hint=_longer(run))


def _longer(run: Path) -> str:
    return f"Name another --out; with --start-from {run} the new run begins with what this one has learned."


@contextmanager
def _alone(run: Path) -> Iterator[None]:
    """The folder, made and cleared of what a kill left partial, in which no other training works meanwhile."""
    lock = FileLock(run / LOCK)
    try:
        run.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout:
        what = "another training is at work in this folder"
        raise AtWork(what, where=run, hint="Wait until it has ended, or stop it first.") from None
    except OSError as error:
        if error.errno not in WITHOUT_LOCKS:
            raise cannot_write(error, run) from None
    try:
        for left in [path for path in run.rglob(".*") if is_partial(path)]:
            _remove(left)
        yield
    finally:
        # First deleted, then released: who takes the lock meanwhile finds its file gone, and makes a new one.
        with suppress(OSError):
            (run / LOCK).unlink()
        lock.release()


_BEFORE_PLAN = {"cache", PAIRS, "check.json", "fingerprints.npz", "joined.png", "samples.png", LOCK, *LISTS, CONFIG}
_BEFORE_PLAN |= {folds.FILE, START}


def _before_plan(path: Path) -> bool:
    """Whether a run may hold it that was stopped before its plan was written; such a run is begun again."""
    return path.name in _BEFORE_PLAN or is_partial(path)


def begin(run: Path, config: Config, *, cases: Sequence[Sequence[Case]], **facts: Any) -> None:
    """Write the resolved configuration, the lists of cases, and `run.json`, which makes the folder a run."""
    for name, listed in zip(LISTS, cases, strict=True):
        write_names(run / name, listed)
    begin_folds(run, config, **facts)


def begin_folds(run: Path, config: Config, **facts: Any) -> None:
    """The same for a run of folds, whose table takes the place of the lists."""
    put(run / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    note(run, state=TRAINING, started=now(), versions=versions(), machine=machine(), **facts)


def placed(data: object, run: Path) -> str:
    """Where the data of a run lie, for its record."""
    return "arrays in memory" if data == run / PAIRS else str(Path(str(data)).absolute())


def resumed(run: Path, **facts: Any) -> None:
    """Add to the record that the run goes on: when, on what machine, with which versions."""
    before = words(run).get("resumed", [])
    note(run, resumed=[*before, {"date": now(), "machine": machine(), "versions": versions(), **facts}])


def config(run: Path) -> Config:
    """The configuration that the run began with."""
    path = run / CONFIG
    try:
        said = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise _unreadable(path, error) from None
    return Config.parse(said, where=path)


def going_on_with(run: Path, wanted: Config, plain: Config | None) -> Config:
    """The configuration that the run began with, unless other settings are `wanted` now: then UlnaError.

    `plain` are the settings of a command that names none; None: it has to name those of the run. The number of devices
    may be another one: it changes nothing of what is learned.
    """
    began = Config.parse(words(run).get("asked", {}), where=run / WORDS)
    alike = {DEVICES: began.training.devices}
    asked, now = (dotted(one.model_dump(mode="json")) for one in (began, wanted.changed(alike)))
    other = [key for key in asked | now if asked.get(key) != now.get(key)]
    if other and (plain is None or wanted.changed(alike) != plain.changed(alike)):
        raise UlnaError(
            f"this run began with {other[0]} {asked.get(other[0])}, not {now.get(other[0])}",
            where=run,
            hint="Type the command that began it with --resume added, or with --resume and no settings.",
        )
    devices = wanted.given().get(DEVICES)
    return config(run) if devices is None else config(run).changed({DEVICES: devices})


def words(run: Path) -> dict[str, Any]:
    """What `run.json` says."""
    path = run / WORDS
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    return dict(said)


def _unreadable(path: Path, error: Exception) -> UlnaError:
    reason = str(error).partition("\n")[0]
    return UlnaError(f"this file of the run cannot be read: {reason}", where=path)


def note(run: Path, **facts: Any) -> None:
    """Add facts to `run.json`."""
    said = words(run) if (run / WORDS).is_file() else {}
    put(run / WORDS, json.dumps(said | facts, indent=2) + "\n")


def put(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_write(path) as beside:
        beside.write_text(text, encoding="utf-8")


def versions() -> dict[str, str]:
    """The versions of what a result depends on."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def seconds_in_all(run: Path) -> float:
    """Seconds of a run that has finished, or those that it has used so far; 0 where there is none."""
    known = words(run) if (run / WORDS).is_file() else {}
    return float(known["seconds"]) if known.get("state") == FINISHED else seconds_used(run)


def has_finished(run: Path) -> bool:
    """Whether there is a run that has all there is."""
    return (run / WORDS).is_file() and words(run).get("state") == FINISHED


def seconds_used(run: Path) -> float:
    """Seconds that the run has used since its first command, as far as its last heartbeat tells; 0 before the first."""
    try:
        return float(json.loads((run / USED).read_text("utf-8"))["seconds"])
    except FileNotFoundError:
        return 0.0
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise _unreadable(run / USED, error) from None


def record_used(run: Path, seconds: float) -> None:
    """Write down the seconds used, for the case that the run is killed; before its plan there is nothing to resume."""
    if (run / WORDS).is_file():
        put(run / USED, json.dumps({"seconds": round(seconds, 2)}) + "\n")


def names(run: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the cases for training and of those held out for validation."""
    listed: list[tuple[str, ...]] = []
    for name in LISTS:
        try:
            text = (run / name).read_text("utf-8", "surrogateescape")
            listed.append(tuple(line for line in text.split("\n") if line))
        except (OSError, ValueError) as error:
            raise _unreadable(run / name, error) from None
    return listed[0], listed[1]
