"""The gallery of an evaluation: a picture of every case, or of so many as a page can hold, in a folder of their own."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ulna.dataset import Progress
from ulna.errors import UlnaError
from ulna.figures.gallery import jpeg, strip
from ulna.figures.orthogonal import Orthogonal
from ulna.figures.results import Comparison, has_objects, keys
from ulna.jobs.in_time import Until, evenly, in_time
from ulna.layouts.own import GALLERY
from ulna.metrics import Primary, Scored

FOLDER = "gallery"
"""The folder beside the scores."""

MOST = 240
"""Cases are pictured; of more, so many that lie evenly between the worst and the best."""

LARGE, SMALL, FEW = 320, 200, 60
"""The longer side of each picture, pixels: for so few cases, and for more."""

Draw = Callable[[str], Comparison | Orthogonal]
"""What is drawn of a case, by its name."""


@dataclass(frozen=True)
class Picture:
    """A case as it is pictured.

    Parameters
    ----------
    case, group
        Its name and its group.
    score
        By which cases are ranked; NaN where it has none.
    odd
        What is to be said of it: classes that were missed, or are false positives.
    jpeg
        The file.
    """

    case: str
    group: str
    score: float
    odd: str
    jpeg: bytes


@dataclass(frozen=True)
class Gallery:
    """Pictures of cases, the worst first.

    Parameters
    ----------
    pictures
        One per case.
    legend
        What colors mean, as `ulna.figures.results.keys` gives it; empty where each picture says it.
    left_out
        Says how many cases are not pictured, and why; "" if all are.
    """

    pictures: tuple[Picture, ...] = ()
    legend: tuple[tuple[str, dict[str, tuple[int, int, int]]], ...] = ()
    left_out: str = ""

    def write(self, folder: Path) -> None:
        """Write the pictures and what is known of them.

        Parameters
        ----------
        folder
            A new folder for them.
        """
        folder.mkdir()
        cases = []
        for number, one in enumerate(self.pictures, start=1):
            name = f"{number:03d}.jpg"
            (folder / name).write_bytes(one.jpeg)
            score = None if math.isnan(one.score) else one.score
            cases.append({"file": name, "case": one.case, "group": one.group, "score": score, "odd": one.odd})
        words: dict[str, Any] = {"legend": dict(self.legend), "left_out": self.left_out, "cases": cases}
        text = json.dumps(words, indent=1, ensure_ascii=False)
        (folder / GALLERY).write_text(text + "\n", "utf-8", "backslashreplace")

    @classmethod
    def read(cls, folder: Path) -> Gallery:
        """The gallery of a folder.

        Parameters
        ----------
        folder
            As `write` made it.

        Returns
        -------
        Gallery
            What was written; empty where nothing was.

        Raises
        ------
        UlnaError
            Where it cannot be read.
        """
        if not folder.exists():
            return cls()
        try:
            words = json.loads((folder / GALLERY).read_text("utf-8"))
            pictures = [
                Picture(
                    one["case"],
                    one["group"],
                    math.nan if one["score"] is None else one["score"],
                    one["odd"],
                    (folder / Path(one["file"]).name).read_bytes(),
                )
                for one in words["cases"]
            ]
            return cls(tuple(pictures), tuple(words["legend"].items()), words["left_out"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            reason = str(error).partition("\n")[0]
            raise UlnaError(f"this gallery cannot be read: {reason}", where=folder) from None

    def joined(self, others: Sequence[Gallery], primary: Primary, *, of: int) -> Gallery:
        """This and other galleries as one.

        Parameters
        ----------
        others
            Those of other folds.
        primary
            By what cases are ranked.
        of
            How many cases there are in all.

        Returns
        -------
        Gallery
            Of as many as one may hold.
        """
        every = [one for gallery in (self, *others) for one in gallery.pictures]
        every.sort(key=lambda one: _rank(one.score, primary))
        kept = [every[place] for place in places(len(every))]
        legend: dict[str, dict[str, tuple[int, int, int]]] = {}
        for gallery in (self, *others):
            for title, colors in gallery.legend:
                legend[title] = legend.get(title, {}) | colors
        short = any("time" in gallery.left_out for gallery in (self, *others))
        left_out = _left_out(len(kept), of, short_of_time=short)
        return Gallery(tuple(kept), tuple(legend.items()), left_out)


def draw_gallery(
    scored: Sequence[Scored],
    primary: Primary,
    draw: Draw,
    *,
    classes: Sequence[str],
    progress: Progress,
    until: Until | None = None,
) -> Gallery:
    """Picture cases, evenly spread from the worst to the best.

    Parameters
    ----------
    scored
        All cases.
    primary
        By what they are ranked.
    draw
        What is drawn of a case.
    classes
        Names of the class indices, the background first.
    progress
        Goes through the cases.
    until
        Asked before each case but the first whether there is time for it.

    Returns
    -------
    Gallery
        The worst first, cases without a score last.
    """
    ranked = sorted(scored, key=lambda one: _rank(one.score(primary.measure), primary))
    chosen = [ranked[place] for place in places(len(ranked))]
    side = LARGE if len(chosen) <= FEW else SMALL
    in_turn = progress if until is None else in_time(progress, until)
    made: dict[str, Picture] = {}
    met: set[str] = set()
    legend: dict[str, dict[str, tuple[int, int, int]]] = {}
    for one in in_turn(evenly(chosen), "drawing"):
        row = draw(one.name)
        odd = [f"{name}: {state}" for name, state in one.states.items() if state in ("false positive", "missed")]
        picture, rare = strip(row, classes, side=side)
        made[one.name] = Picture(one.name, one.group, one.score(primary.measure), ", ".join(odd), jpeg(picture))
        met |= rare
        if isinstance(row, Comparison):
            legend |= keys(classes, met, objects=has_objects(row))
    pictures = tuple(made[one.name] for one in chosen if one.name in made)
    short = len(pictures) < len(chosen)
    return Gallery(pictures, tuple(legend.items()), _left_out(len(pictures), len(scored), short_of_time=short))


def places(count: int) -> list[int]:
    """Which of so many cases are pictured.

    Examples
    --------
    >>> places(3), len(places(1000)), places(1000)[-1]
    ([0, 1, 2], 240, 999)
    """
    return sorted(set(np.linspace(0, count - 1, min(count, MOST)).round().astype(int).tolist()))


def _rank(score: float, primary: Primary) -> tuple[bool, float]:
    """To sort cases by, the worst first and those without a score last."""
    return math.isnan(score), primary.rank(score)


def _left_out(shown: int, of: int, *, short_of_time: bool) -> str:
    if shown == of:
        return ""
    why = ", for the time was over" if short_of_time else ""
    return f"{shown} of {of:,} cases are pictured{why}: evenly spread from the worst to the best."
