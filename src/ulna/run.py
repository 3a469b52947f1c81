"""A run's folder: what lies in it, and how it is told from others."""

from __future__ import annotations

import json
import platform
import shlex
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml

from ulna.config import Config
from ulna.dataset import Case
from ulna.errors import UlnaError

CONFIG, WORDS, TABLE = "config.yaml", "run.json", "metrics.csv"
LISTS = ("train.txt", "validation.txt")
LAST, BEST = "checkpoints/last.ckpt", "checkpoints/best.ckpt"

LIBRARIES = ("ulna", "torch", "lightning", "numpy", "scipy", "tifffile")
"""Whose versions are written into a run."""


def prepare(run: Path, *, resume: bool) -> bool:
    """Make the folder; whether a run that had been planned there goes on. Raises UlnaError for a foreign one."""
    planned = (run / WORDS).is_file()
    if not resume:
        if run.exists() and (not run.is_dir() or any(run.iterdir())):
            what = "this folder holds another run" if planned else "this folder is not empty"
            hint = "Go on with it by adding --resume, or name another --out." if planned else "Name another --out."
            raise UlnaError(what, where=run, hint=hint)
    elif run.exists() and not planned and any(path.name not in _BEFORE_PLAN for path in run.iterdir()):
        raise UlnaError("there is no run in this folder to go on with", where=run, hint="Leave --resume away.")
    elif planned and words(run).get("state") == "finished":
        raise UlnaError("this run has finished", where=run, hint="Name another --out to train anew.")
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UlnaError(f"the folder cannot be made: {error.strerror}", where=run) from None
    return planned


_BEFORE_PLAN = {"cache", "check.json", "samples.png", *LISTS, CONFIG}
"""What a run holds that was stopped before its plan was written; it is begun again."""


def begin(run: Path, config: Config, *, cases: Sequence[Sequence[Case]], **facts: Any) -> None:
    """Write the resolved configuration, the lists of cases, and `run.json`, which makes the folder a run."""
    put(run / CONFIG, yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False))
    for name, listed in zip(LISTS, cases, strict=True):
        put(run / name, "".join(f"{case.name}\n" for case in listed))
    note(
        run,
        state="training",
        versions=versions(),
        machine=f"{platform.system()} {platform.machine()}",
        **facts,
    )


def config(run: Path) -> Config:
    """The configuration that the run began with."""
    return Config.parse(yaml.safe_load((run / CONFIG).read_text("utf-8")), where=run / CONFIG)


def words(run: Path) -> dict[str, Any]:
    """What `run.json` says."""
    path = run / WORDS
    try:
        said = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise UlnaError(f"this file of the run cannot be read: {error}", where=path) from None
    return dict(said)


def note(run: Path, **facts: Any) -> None:
    """Add facts to `run.json`."""
    said = words(run) if (run / WORDS).is_file() else {}
    put(run / WORDS, json.dumps(said | facts, indent=2) + "\n")


def put(path: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    beside = path.with_name(f".{path.name}.part")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UlnaError(f"the file cannot be written: {error.strerror}", where=path, hint="Is the disk full?") from None


def versions() -> dict[str, str]:
    """The versions of what a result depends on."""
    return {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()}


def names(run: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The names of the cases for training and of those kept out for validation."""
    train, validation = (tuple((run / name).read_text("utf-8").splitlines()) for name in LISTS)
    return train, validation


def command() -> str:
    """The command that this process was started with, as a user would type it."""
    return shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]])
