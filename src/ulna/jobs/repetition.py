"""How a training is repeated: the command that does it, or the call where something was in memory."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ulna.caselist import Names
from ulna.config import Config, dotted
from ulna.dataset import Dataset
from ulna.jobs.in_memory import Pair
from ulna.preset import load_preset
from ulna.text import plural

OPTIONS = {"training.minutes": "--minutes", "training.epochs": "--epochs", "training.seed": "--seed"}
"""Settings that have an option of their own."""

MAX_NAMES = 20
"""A longer list is not written out."""


@dataclass(frozen=True)
class Request:
    """What is asked of a training.

    Data, lists of cases, settings, where to start from, how many or which folds, and the name of a loss of one's own.
    """

    data: str | Path | Dataset | Iterable[Pair]
    config: Config
    cases: Names | None
    except_: Names | None
    start: str | Path | None
    folds: int | None = None
    fold: int | None = None
    loss: str = ""

    @property
    def on_disk(self) -> bool:
        """Whether the data are files."""
        return isinstance(self.data, str | Path)


def repetition(asked: Request, run: Path, count: int) -> str:
    """How to repeat a training.

    Parameters
    ----------
    asked
        What was asked.
    run
        Its folder.
    count
        How many cases there were.

    Returns
    -------
    str
        The command line or, where data, lists of cases or a loss were in memory and so have no name on it, the call.
    """
    named = all(one is None or isinstance(one, str | Path) for one in (asked.cases, asked.except_))
    return _command(asked, run) if asked.on_disk and named and not asked.loss else _call(asked, run, count)


def _command(asked: Request, run: Path) -> str:
    words = ["ulna", "train", str(asked.data), "--out", str(run), "--preset", asked.config.preset]
    for option, path in {"--cases": asked.cases, "--except": asked.except_, "--start-from": asked.start}.items():
        if path is not None:
            words += [option, str(path)]
    for option, number in {"--folds": asked.folds, "--fold": asked.fold}.items():
        words += [] if number is None else [option, str(number)]
    for key, value in _changed(asked.config).items():
        if key not in OPTIONS:
            words += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
        elif value is not None:
            words += [OPTIONS[key], str(value)]
    return shlex.join(words)


def _call(asked: Request, run: Path, count: int) -> str:
    options = {"cases": asked.cases, "except_": asked.except_, "start_from": asked.start}
    made = isinstance(asked.data, Dataset)
    words = [repr(str(asked.data)) if asked.on_disk else "dataset" if made else "pairs", repr(str(run))]
    words += [f"{name}={_named(value)}" for name, value in options.items() if value is not None]
    words += [f"{name}={n}" for name, n in {"folds": asked.folds, "fold": asked.fold}.items() if n is not None]
    words += [f"loss={asked.loss}"] * bool(asked.loss)
    words.append(f"preset={asked.config.preset!r}")
    changes = _changed(asked.config)
    if asked.loss:
        changes.pop("task.loss", None)
    own = {option.strip("-"): changes.pop(key, None) for key, option in OPTIONS.items()}
    words += [f"{name}={value!r}" for name, value in own.items() if value is not None]
    words += [f"changes={changes!r}"] if changes else []
    given = "a Dataset of your own" if made else f"{plural(count, 'pair')} (image, mask) in memory"
    what = "" if asked.on_disk else f", with {given}"
    return f"From Python{what}: ulna.train({', '.join(words)})"


def _named(names: Names) -> str:
    """A path, or the names of a list that is not long."""
    if isinstance(names, str | Path):
        return repr(str(names))
    listed = list(names)
    return repr(listed) if len(listed) <= MAX_NAMES else f"[{plural(len(listed), 'name')}]"


def _changed(config: Config) -> dict[str, Any]:
    """The settings that are not those of the preset, or were given although they are."""
    plain, own = (dotted(one.model_dump(mode="json")) for one in (load_preset(config.preset), config))
    given = config.given().keys() - load_preset(config.preset).given().keys()
    return {key: value for key, value in own.items() if key in given or key not in plain or plain[key] != value}
