"""The colors of all pictures: those of classes and objects, and others for what is right and wrong."""

from __future__ import annotations

from collections.abc import Mapping

Color = tuple[int, int, int]
"""Red, green and blue, 0 to 255."""

COLORS: tuple[Color, ...] = (
    (230, 159, 0),  # orange
    (0, 114, 178),  # blue
    (240, 228, 66),  # yellow
    (0, 158, 115),  # bluish green
    (86, 180, 233),  # sky blue
    (213, 94, 0),  # vermillion
    (204, 121, 167),  # reddish purple
)
"""Okabe and Ito's colors, which people with any color blindness can tell apart (M. Okabe, K. Ito: Color Universal
Design, 2008). Neighbors in this order differ in lightness, too, so that the first classes are apart in gray."""

# What is right and wrong has colors that no class has, chosen by search: as far as can be from those above, and from
# each other also as people see them who lack one kind of cone; each of another lightness.
CORRECT: Color = (240, 240, 240)
MISSED: Color = (255, 80, 70)  # red
FALSE_POSITIVE: Color = (160, 60, 210)  # violet
WRONG_CLASS: Color = (70, 20, 255)  # ultramarine
SPLIT: Color = (255, 110, 210)  # pink
MERGED: Color = (160, 255, 160)  # mint
NOT_ANNOTATED: Color = (110, 110, 110)

FATES: Mapping[str, Color] = {
    "found": CORRECT,
    "split": SPLIT,
    "merged": MERGED,
    "missed": MISSED,
    "false positive": FALSE_POSITIVE,
}
"""The color of what became of an object."""

DARK: Color = (24, 24, 24)
"""What surrounds outlines, and lies below a legend."""

LIGHT: Color = (255, 255, 255)
"""What lines are bordered with inside, where what they surround is dark."""


def color(index: int) -> Color:
    """The color of a class.

    Parameters
    ----------
    index
        1 is the first class that is not background; colors repeat after seven.

    Returns
    -------
    Color
        Red, green and blue, 0 to 255.
    """
    return COLORS[(index - 1) % len(COLORS)]


def shade(tint: Color) -> str:
    """A color as matplotlib and web pages take it.

    Parameters
    ----------
    tint
        Red, green and blue, 0 to 255.

    Returns
    -------
    str
        As in "#e69f00".

    Examples
    --------
    >>> shade((230, 159, 0))
    '#e69f00'
    """
    return "#{:02x}{:02x}{:02x}".format(*tint)
