"""The figure of the training curves: losses, validation score and learning rate over the epochs."""

from __future__ import annotations

import csv
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ulna.errors import UlnaError
from ulna.figures.colors import COLORS, Color, shade
from ulna.figures.common import new_figure, save_figure

TRAINING, VALIDATION = COLORS[1], COLORS[5]
_COLUMNS = ("epoch", "seconds", "learning_rate", "train_loss", "val_loss")
Column = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """What was logged, a number per epoch, NaN where nothing was measured.

    Parameters
    ----------
    epoch
        Its number.
    minutes
        Since the start.
    learning_rate, train_loss, val_loss
        As the columns of `metrics.csv`.
    score
        The column of the task's primary measure, the one of the validation beside the loss: `val_dice`.
    """

    epoch: Column
    minutes: Column
    learning_rate: Column
    train_loss: Column
    val_loss: Column
    score: Column


def read_curves(metrics: Path) -> Curves:
    """Read a run's `metrics.csv`.

    Parameters
    ----------
    metrics
        The file.

    Returns
    -------
    Curves
        Columns that are missing and cells that are empty are NaN.

    Raises
    ------
    UlnaError
        Where the file cannot be read, is empty, or a cell is no number.
    """
    try:
        with metrics.open(newline="", encoding="utf-8") as lines:
            reader = csv.DictReader(lines)
            rows, names = list(reader), reader.fieldnames or ()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UlnaError(f"the log of the training cannot be read: {error}", where=metrics) from error
    if not rows:
        raise UlnaError("the log of the training is empty", where=metrics)
    score = next((name for name in names if name.startswith("val_") and name != "val_loss"), "val_score")
    columns = {name: np.array([_number(row.get(name), metrics) for row in rows]) for name in (*_COLUMNS, score)}
    return Curves(
        epoch=columns["epoch"],
        minutes=columns["seconds"] / 60,
        learning_rate=columns["learning_rate"],
        train_loss=columns["train_loss"],
        val_loss=columns["val_loss"],
        score=columns[score],
    )


def curves_picture(path: Path, metrics: Path, *, score: str, higher_is_better: bool = True) -> Path:
    """Draw loss, validation score and learning rate against the epochs.

    The minutes since the start are on a second axis. What was never measured is left out; the best epoch is marked.

    Parameters
    ----------
    path
        Where to.
    metrics
        A run's `metrics.csv`.
    score
        What the title calls the score.
    higher_is_better
        Which epoch is marked as the best.

    Returns
    -------
    Path
        The same path.

    Raises
    ------
    UlnaError
        As `read_curves` does, and where the picture cannot be written.
    """
    curves = read_curves(metrics)
    validated = not np.isnan(curves.score).all()
    figure = new_figure(10.5 if validated else 7.2, 3.0)
    cells = list(figure.subplots(1, 3 if validated else 2, squeeze=False)[0])
    _losses(cells[0], curves)
    if validated:
        _score(cells[1], curves, score, higher_is_better=higher_is_better)
    _line(cells[-1], curves.epoch, curves.learning_rate, tint=COLORS[3], name="learning rate")
    cells[-1].set_title("learning rate", fontsize=9)
    for axes in cells:
        _dress(axes, curves)
    return save_figure(figure, path)


def _losses(axes: Axes, curves: Curves) -> None:
    _line(axes, curves.epoch, curves.train_loss, tint=TRAINING, name="training")
    _line(axes, curves.epoch, curves.val_loss, tint=VALIDATION, name="validation", dashed=True)
    known = np.concatenate([curves.train_loss, curves.val_loss])
    known = known[np.isfinite(known)]
    if known.size and known.min() > 0 and known.max() / known.min() > 20:
        axes.set_yscale("log")
    axes.set_title("loss", fontsize=9)
    if axes.lines:
        axes.legend(fontsize=8, frameon=False)


def _score(axes: Axes, curves: Curves, name: str, *, higher_is_better: bool) -> None:
    _line(axes, curves.epoch, curves.score, tint=VALIDATION, name="validation", dashed=True)
    best = int(np.nanargmax(curves.score if higher_is_better else -curves.score))
    x, y = float(curves.epoch[best]), float(curves.score[best])
    axes.plot([x], [y], marker="o", markersize=5, color="black", linestyle="none")
    axes.set_title(f"validation {name}, best {y:.3f} in epoch {x:.0f}", fontsize=9)


def _line(axes: Axes, x: Column, y: Column, *, tint: Color, name: str, dashed: bool = False) -> None:
    """A line through what was measured, points where there are few; what was validated is dashed."""
    known = np.isfinite(y) & np.isfinite(x)
    if known.any():
        marker = "." if known.sum() < 20 else ""
        style = (0, (4, 1.5)) if dashed else "solid"
        axes.plot(x[known], y[known], color=shade(tint), linewidth=1.5, linestyle=style, marker=marker, label=name)


def _dress(axes: Axes, curves: Curves) -> None:
    axes.set_xlabel("epoch", fontsize=8)
    axes.tick_params(labelsize=8)
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    if len(curves.epoch) == 1:  # whole numbers beside it, where no range is to be seen
        axes.set_xlim(curves.epoch[0] - 1, curves.epoch[0] + 1)
    known = np.isfinite(curves.minutes) & np.isfinite(curves.epoch)
    epochs, minutes = curves.epoch[known], curves.minutes[known]
    if epochs.size < 2 or not (np.diff(epochs) > 0).all() or not (np.diff(minutes) > 0).all():
        return
    upper = axes.secondary_xaxis("top", functions=(_between(epochs, minutes), _between(minutes, epochs)))
    upper.tick_params(labelsize=7, colors="0.4")
    upper.set_xlabel("minutes", fontsize=7, color="0.4")
    upper.spines["top"].set_visible(False)


def _between(here: Column, there: Column) -> Callable[[npt.ArrayLike], npt.ArrayLike]:
    """From one rising scale to another, straight between the points and beyond the ends."""

    def convert(given: npt.ArrayLike) -> npt.ArrayLike:
        values = np.asarray(given, dtype=np.float64)
        inner = np.interp(values, here, there)
        low = (there[1] - there[0]) / (here[1] - here[0])
        high = (there[-1] - there[-2]) / (here[-1] - here[-2])
        beyond = np.minimum(values - here[0], 0) * low + np.maximum(values - here[-1], 0) * high
        return np.asarray(inner + beyond, dtype=np.float64)

    return convert


def _number(cell: str | None, metrics: Path) -> float:
    if cell is None or not cell.strip():
        return float("nan")
    try:
        return float(cell)
    except ValueError:
        raise UlnaError(f"'{cell}' is no number", where=metrics) from None
