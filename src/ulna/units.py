"""Units of length: how they are spelled, and how many of one are one of another."""

from __future__ import annotations

CENTIMETERS = {"nm": 1e-7, "µm": 1e-4, "mm": 0.1, "cm": 1.0, "m": 100.0}
"""How many centimeters one unit is."""

PIXEL = "pixel"
"""The unit where nothing is known."""

_PREFIXES = {"nano": "nm", "micro": "µm", "milli": "mm", "centi": "cm", "": "m"}
_SPELLINGS = {
    **{
        f"{prefix}{ending}": unit
        for prefix, unit in _PREFIXES.items()
        for ending in ("meter", "meters", "metre", "metres")
    },
    **dict.fromkeys(("um", "micron", "microns", "\\u00b5m", "μm"), "µm"),
    **dict.fromkeys(("pixels", "px", ""), PIXEL),
    **{unit.lower(): unit for unit in (*CENTIMETERS, PIXEL)},
}


def spelled(unit: str) -> str:
    """A unit as it is written here, however a file or a user spells it.

    Parameters
    ----------
    unit
        In small or capital letters, in short or as a word.

    Returns
    -------
    str
        "pixel" where nothing is said; what is not known is as it was.

    Examples
    --------
    >>> spelled("um"), spelled("Microns"), spelled("MM"), spelled("furlong")
    ('µm', 'µm', 'mm', 'furlong')
    """
    return _SPELLINGS.get(unit.strip().lower(), unit.strip())


def comparable(unit: str, other: str) -> bool:
    """Whether lengths in two units can be compared.

    Examples
    --------
    >>> comparable("mm", "µm"), comparable("mm", "pixel")
    (True, False)
    """
    return unit == other or {unit, other} <= set(CENTIMETERS)


def factor(unit: str, other: str) -> float:
    """How many of another unit one of a unit is, where they are comparable.

    Examples
    --------
    >>> factor("mm", "µm"), factor("pixel", "pixel")
    (1000.0, 1.0)
    """
    return 1.0 if unit == other else CENTIMETERS[unit] / CENTIMETERS[other]
