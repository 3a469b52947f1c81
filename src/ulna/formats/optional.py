"""Libraries that only some users need: imported when a file asks for them, else said how they are installed."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import Any

from ulna.errors import UlnaError


def optional(name: str, *, extra: str, what: str, where: object) -> Any:
    """A library of one of the extras.

    Parameters
    ----------
    name
        As it is imported.
    extra
        The extra that it belongs to.
    what
        What it reads, in the plural.
    where
        The file, for the error.

    Returns
    -------
    module
        The library.

    Raises
    ------
    UlnaError
        Where it is not installed; the hint says how it is.
    """
    if find_spec(name) is None:
        raise UlnaError(
            f"{what} are read through {name}, which is not installed",
            where=where,
            hint=f'pip install "ulna[{extra}]"',
        )
    return import_module(name)
