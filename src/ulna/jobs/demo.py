"""`demo`: the whole of ulna on simulated cells, in about two minutes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.markup import escape

from ulna.console import Printed, say
from ulna.errors import UlnaError
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.jobs.measure import Measured, measure
from ulna.jobs.predict import predict
from ulna.jobs.train import train
from ulna.jobs.trained import Trained
from ulna.paths import expand_home
from ulna.preset import settings
from ulna.synthetic import write_dataset

TRAINING, UNSEEN = 60, 12
"""How many images are simulated to learn from, and to be evaluated on."""


@dataclass(frozen=True)
class Demo(Printed):
    """What the demonstration made.

    Parameters
    ----------
    folder
        Where everything is.
    trained
        The run.
    scores
        The scores of images that the run has not seen.
    measured
        The cells found on these: counted and measured.
    """

    folder: Path
    trained: Trained
    scores: Evaluation
    measured: Measured

    def __repr__(self) -> str:
        return f"<Demo: {self.folder}; {self.scores!r}>"

    def __rich__(self) -> Group:
        """The scores, where to look, and what to type next."""
        folder = escape(str(self.folder))
        return Group(
            "[bold]Scores on images that were held out of the training:[/]",
            self.scores,
            "",
            self.measured,
            "",
            "[bold]Where to look[/]",
            f"  pictures   {folder}/scores/cases.png: which cells were found, merged, split and missed",
            f"  masks      {folder}/masks/, with outlines for Fiji and QuPath",
            f"  table      {folder}/measured/table.csv: every cell's size, shape and brightness",
            f"  report     {self.trained.report.resolve().as_uri()}",
            "",
            "[bold]With your own images[/] (a folder with images/ and masks/, or any other layout):",
            "  ulna check YOUR_FOLDER",
            "  ulna train YOUR_FOLDER --out my_run --minutes 10",
            "  ulna predict my_run NEW_IMAGES --out my_masks --overlay",
            "  ulna measure my_masks --images NEW_IMAGES --out measured",
        )


@expand_home
def demo(out: str | Path = "demo", *, minutes: float = 1.0, seed: int = 0) -> Demo:
    """Simulate fluorescence cells, train on some, find, score and measure the cells of others.

    Parameters
    ----------
    out
        The folder for all of it; it must be new or empty.
    minutes
        The time for training.
    seed
        Of the simulation and of the training.

    Returns
    -------
    Demo
        The run, and the scores on cells that it has not seen.

    Raises
    ------
    UlnaError
        When `out` exists and is not empty.

    Examples
    --------
    >>> ulna.demo("my_demo").scores  # doctest: +SKIP
    <Evaluation: 12 images in 12 groups, AP ...>
    """
    settings(minutes=minutes, seed=seed)  # what is wrong is said before anything is written
    folder = Path(out)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UlnaError("this folder is not empty", where=folder, hint="Name another --out, or delete it.")
    say(f"[bold]1/5[/] Simulating {TRAINING + UNSEEN} images of cells: touching, out of focus, noisy.")
    write_dataset(folder / "cells", TRAINING, seed=seed, objects=True)
    write_dataset(folder / "unseen", UNSEEN, seed=seed + 1, objects=True)
    shown = escape(str(folder))
    say(f"[bold]2/5[/] ulna train {shown}/cells --out {shown}/run --minutes {minutes:g}")
    trained = train(folder / "cells", folder / "run", minutes=minutes, seed=seed)
    extras = "--overlay --outlines imagej,geojson"
    say(f"[bold]3/5[/] ulna predict {shown}/run {shown}/unseen/images --out {shown}/masks {extras}")
    images = folder / "unseen" / "images"
    predict(trained.model, images, out=folder / "masks", overlay=True, outlines=("imagej", "geojson"))
    say(f"[bold]4/5[/] ulna evaluate {shown}/masks {shown}/unseen --out {shown}/scores")
    scores = evaluate(folder / "masks", folder / "unseen", out=folder / "scores")
    say(f"[bold]5/5[/] ulna measure {shown}/masks --images {shown}/unseen/images --out {shown}/measured")
    measured = measure(folder / "masks", images, out=folder / "measured")
    return Demo(folder, trained, scores, measured)
