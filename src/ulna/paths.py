"""`~` in paths means the user's home, and what is no path is refused, for every function that takes paths."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable
from numbers import Number
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from ulna.errors import UlnaError

P = ParamSpec("P")
R = TypeVar("R")

_ONE_PATH = re.compile(r"\b(Path|Names)\b")
_SEVERAL_PATHS = re.compile(r"\bPlace\b")


def expand_home(function: Callable[P, R]) -> Callable[P, R]:
    """The function, with `~` and `~user` at the beginning of its paths expanded.

    Shells expand ``~/x`` and neither ``--out=~/x`` nor a string in Python. Paths are the arguments that are annotated
    as such (`Path`, `Place`, `Names`); of several places each is expanded, names of cases in a list are not. An
    UlnaError is raised for numbers, bytes and other things that no path is made of.

    Examples
    --------
    >>> @expand_home
    ... def parts(place: str | Path) -> int:
    ...     return len(Path(place).parts)
    >>> parts("~/data") == len(Path.home().parts) + 1
    True
    """
    signature = inspect.signature(function)
    annotated = {name: str(parameter.annotation) for name, parameter in signature.parameters.items()}
    several = {name for name, words in annotated.items() if _SEVERAL_PATHS.search(words)}
    paths = several | {name for name, words in annotated.items() if _ONE_PATH.search(words)}

    @functools.wraps(function)
    def expanded(*args: P.args, **kwargs: P.kwargs) -> R:
        bound = signature.bind(*args, **kwargs)
        for name in paths & bound.arguments.keys():
            _check(bound.arguments[name], name, annotated[name])
            bound.arguments[name] = _at_home(bound.arguments[name], several=name in several)
        return function(*bound.args, **bound.kwargs)

    return expanded


def _check(value: Any, name: str, annotation: str) -> None:
    """Raise UlnaError for an argument that is no path, where it may be nothing else."""
    words = set(annotation.replace(" ", "").split("|"))
    if value is None:
        right = "None" in words
    elif words <= {"str", "Path", "Dataset", "None"}:
        right = isinstance(value, str | os.PathLike) or type(value).__name__ in words
    else:
        right = not isinstance(value, bytes | bytearray | Number)
    if not right:
        what = f"{type(value).__name__} is no path" if value is not None else "a path is needed"
        raise UlnaError(what, where=name, hint="Give the path as a str or a pathlib.Path.")


def _at_home(value: Any, *, several: bool) -> Any:
    if several and isinstance(value, list | tuple):
        return [_at_home(one, several=False) for one in value]
    if isinstance(value, os.PathLike):
        value = Path(value)
    if not isinstance(value, str | Path) or not str(value).startswith("~"):
        return value
    try:
        path = Path(value).expanduser()
    except RuntimeError:
        return value  # `~name` where no user has this name: a file that is called so
    return path if isinstance(value, Path) else str(path)
