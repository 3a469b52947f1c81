"""`train`: from a folder of images and masks to a trained U-Net, within a time or a number of epochs."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Group
from rich.markup import escape

from ulna import modelfile
from ulna import runfolder as runs
from ulna.caselist import Names
from ulna.config import Config
from ulna.console import Printed, say, screen, track
from ulna.errors import UlnaError
from ulna.figures.curves import curves_picture
from ulna.inference.devices import choose_device
from ulna.jobs.check import Check, check
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.jobs.in_memory import GROUPS, Pair, write_pairs
from ulna.jobs.repetition import Request, repetition
from ulna.jobs.seen import write_seen
from ulna.leaks.seen import seen_in
from ulna.metrics import label
from ulna.model import Model
from ulna.modelfile import Saved
from ulna.paths import expand_home
from ulna.preset import DEFAULT, load_preset, settings
from ulna.report import chose, write_report
from ulna.run import Data, Run, in_sides, split
from ulna.text import clock as as_clock
from ulna.training.budget import ScoringBudget
from ulna.training.log import TABLE
from ulna.training.timer import Clock, SystemClock, Timer


@dataclass(frozen=True)
class Trained(Printed):
    """What a training gave; it prints itself.

    Parameters
    ----------
    run
        The run's folder.
    model
        The trained model.
    scores
        Of the cases that were held out; None where none were.
    seconds
        How long it took.
    report
        The HTML page.
    short
        Says whether a longer training is likely to do better; "" if not.
    chose
        Says what the cases that were scored had a say in; "" if in nothing.
    """

    run: Path
    model: Model
    scores: Evaluation | None
    seconds: float
    report: Path
    short: str = ""
    chose: str = ""

    def __repr__(self) -> str:
        return f"<Trained: {self.run}, {as_clock(self.seconds)}; {self.scores!r}>"

    def __rich__(self) -> Group:
        """The scores, and where to look."""
        lines: list[Any] = [self.scores] if self.scores else ["No case was held out, so there are no scores."]
        if self.scores and self.chose:
            lines.append(escape(self.chose))
        if self.short:
            lines.append(f"[yellow]{escape(self.short)}[/]")
        lines.append(f"Trained in {as_clock(self.seconds)}: {escape(str(self.run / modelfile.NAME))}")
        link = self.report.resolve().as_uri()
        lines.append(f"Report: [link={link}]{link}[/link]")
        return Group(*lines)


@expand_home
def train(
    data: str | Path | Iterable[Pair],
    out: str | Path,
    *,
    cases: Names | None = None,
    except_: Names | None = None,
    preset: str = DEFAULT,
    minutes: float | None = None,
    epochs: int | None = None,
    config: str | Path | None = None,
    changes: dict[str, Any] | None = None,
    seed: int | None = None,
    start_from: str | Path | None = None,
    device: str | None = None,
    resume: bool = False,
    started: float | None = None,
    command: str | None = None,
    clock: Clock | None = None,
) -> Trained:
    """Train a U-Net on a data set and write the run into the folder `out`.

    Parameters
    ----------
    data : path or iterable
        A folder, archive or file of any known layout; or pairs (image, mask) or (image, mask, group) of arrays: an
        image (Y, X), (C, Y, X) or (Y, X, C), its mask (Y, X). Pairs are written into the run until it has finished.
    out : path
        Folder for the run; it must be new or empty.
    cases, except_ : path or sequence of str, optional
        Names of the cases to use, and of those to leave out, or text files with one per line; see `ulna.caselist`.
        The test part of a ready-made split is left out, its validation part is held out for validation.
    preset : str, optional
        The preset that the settings begin with.
    minutes : float, optional
        Time for everything from `started` to the finished run. Where it gets short, fewer cases are scored, and the
        record says so.
    epochs : int, optional
        Number of epochs, instead of a time; 60 where neither is given.
    config, changes : path, dict, optional
        Settings come from the preset, then the YAML file `config`, then `changes` (dotted keys), then `minutes`,
        `epochs` and `seed`.
    seed : int, optional
        Seed of everything that is drawn.
    start_from : path, optional
        A run or model file whose weights to start from; its channels must be those of the images. Where the classes
        differ, the last layer is new.
    device : str, optional
        "cpu", "cuda" or "mps"; by default a CUDA GPU if there is one.
    resume : bool
        Continue a run that was stopped from its last epoch, with its own settings and cases; the seconds that it has
        used count.
    started : float, optional
        When the command began, in seconds of `time.time`; by default now.
    command : str, optional
        How to repeat it, for the report; by default the command line that does what this call does.
    clock : Clock, optional
        Asked for the time; by default the machine's.

    Returns
    -------
    Trained
        The run, the model and its scores.

    Raises
    ------
    UlnaError
        When the data cannot be trained on (all that is wrong is said at once), when a setting is unknown, or when
        `out` holds another run.

    Examples
    --------
    >>> ulna.train("stage1_train.zip", "run", minutes=10).scores  # doctest: +SKIP
    <Evaluation: 67 images in 41 groups, Dice 0.9...>
    """
    run = Path(out)
    wanted = settings(preset, config, changes, minutes=minutes, epochs=epochs, seed=seed)
    place = choose_device(device)
    start = _start(start_from, resume=resume)
    before = 0.0 if started is None else max(time.time() - started, 0.0)  # a clock may be set back
    timer = Timer(clock or SystemClock(), used=before, record=lambda seconds: runs.record_used(run, seconds))
    work = Run(run, timer, device=place, progress=timer.watching(track), start=start)
    with runs.prepared(run, resume=resume) as going_on:
        if going_on:
            wanted = runs.going_on_with(run, wanted, load_preset(DEFAULT))
            cases, except_ = [name for side in runs.names(run) for name in side], None
            timer.add(runs.seconds_used(run))
        elif resume:
            say(f"{escape(str(run))} had not got as far as its plan: it begins anew, with what this command says.")
        timer.limit = math.inf if wanted.training.minutes is None else 60 * wanted.training.minutes
        asked = Request(data, wanted, cases, except_, start_from)
        return _run(work, asked, resume=going_on, command=command)


def _start(start_from: str | Path | None, *, resume: bool) -> Saved | None:
    if start_from is None:
        return None
    if resume:
        what = "a run that is resumed has weights of its own"
        raise UlnaError(what, where="--start-from", hint="Leave --resume or --start-from away.")
    return modelfile.load(Path(start_from))


def _run(work: Run, asked: Request, *, resume: bool, command: str | None) -> Trained:
    """The run from its data to its report, in a folder that is its own."""
    run, timer = work.folder, work.timer
    typed, asked = asked, _on_disk(asked, run)
    place = Path(str(asked.data))
    checked = _checked(place, asked, run)
    dataset, wanted = checked.dataset, asked.config
    sides = in_sides(dataset, runs.names(run)) if resume else split(dataset, wanted.data.validation, _seed(wanted))
    data = Data(dataset, checked.classes, sides, place)
    write_seen(run, checked, sides)
    if resume:
        prepared = work.prepare_again(data, wanted)
    else:
        prepared = work.prepare(data, wanted, command=command or repetition(typed, run, len(dataset.cases)))
    timer.beat()
    for sentence in runs.words(run)["plan"]:
        say(escape(sentence))

    model = work.fit_one(prepared, resume=resume)
    scores = _scores(work, model, checked, data)
    config = model.config
    if config.data.groups == str(run / runs.PAIRS / GROUPS):  # which goes with the pairs
        config = config.changed({"data.groups": ""})
    found = scores.summary.as_json() if scores else {}
    model = Model(replace(model.saved, config=config, scores=found, seen=seen_in(run)))
    modelfile.save(run / modelfile.NAME, model.saved)
    primary = prepared.task.primary
    better = primary.higher_is_better
    curves_picture(run / "curves.png", run / TABLE, score=label(primary.measure), higher_is_better=better)
    runs.note(run, seconds=round(timer.seconds, 1))
    report = write_report(run)
    prepared.close()
    shutil.rmtree(run / "cache", ignore_errors=True)
    if place == run / runs.PAIRS:
        shutil.rmtree(place, ignore_errors=True)
    runs.note(run, state=runs.FINISHED)
    (run / runs.USED).unlink(missing_ok=True)
    record = runs.words(run)
    return Trained(run, model, scores, timer.seconds, report, record.get("length", ""), chose(record))


def _seed(config: Config) -> int:
    return config.training.seed


def _on_disk(asked: Request, run: Path) -> Request:
    """Pairs of arrays as files in the run, with a table of their groups."""
    if isinstance(asked.data, str | Path):
        return replace(asked, data=Path(asked.data))
    folder, groups = write_pairs(asked.data, run)
    config = asked.config if groups is None else asked.config.changed({"data.groups": str(groups)})
    return replace(asked, data=folder, config=config)


def _checked(data: Path, asked: Request, run: Path) -> Check:
    """What `check` says of the data; it stops here when something is fatal."""
    checked = check(data, cases=asked.cases, except_=asked.except_, config=asked.config, progress=track)
    if not checked.fatal:
        checked = checked.save(run)
    screen.print(checked)
    if checked.fatal:
        hint = "'ulna check DATA --out FOLDER' writes all names into a file."
        raise UlnaError("the data cannot be trained on, see above", where=data, hint=hint)
    return checked


def _scores(work: Run, model: Model, checked: Check, data: Data) -> Evaluation | None:
    """The scores on the cases held out; where the time gets short, on fewer."""
    if not data.sides[1]:
        return None
    folder, timer = work.folder / "scores", work.timer
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed here
    held_out = replace(checked.dataset, cases=data.sides[1])
    until = ScoringBudget(timer, work.afterwards) if timer.limit < math.inf else None
    model = Model(replace(model.saved, seen=""))  # that these are its validation images is known
    return evaluate(model, held_out, out=folder, progress=timer.watching(track), until=until)
