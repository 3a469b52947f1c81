"""`train`: from a folder of images and masks to a trained U-Net, within a time or a number of epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from typing import Any

from rich.markup import escape

from ulna import modelfile
from ulna import runfolder as runs
from ulna.caselist import Names
from ulna.config import Config
from ulna.console import say, track
from ulna.dataset import Dataset
from ulna.errors import UlnaError
from ulna.folds import holds_folds
from ulna.inference.devices import check_count, choose_device
from ulna.jobs.cross_validation import cross_validate, spent
from ulna.jobs.fitting import checked_data, fit_and_report, on_disk
from ulna.jobs.in_memory import Pair
from ulna.jobs.repetition import Request, repetition
from ulna.jobs.seen import write_seen
from ulna.jobs.trained import Trained
from ulna.modelfile import Saved
from ulna.networks.losses import Loss
from ulna.paths import expand_home
from ulna.preset import DEFAULT, load_preset, settings
from ulna.run import Data, Run, in_sides, split
from ulna.training.own_loss import check_elsewhere, given_loss, name_of, with_loss
from ulna.training.timer import Clock, SystemClock, Timer


@expand_home
def train(
    data: str | Path | Dataset | Iterable[Pair],
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
    loss: Loss | None = None,
    folds: int | None = None,
    fold: int | None = None,
    device: str | None = None,
    resume: bool = False,
    started: float | None = None,
    command: str | None = None,
    clock: Clock | None = None,
) -> Trained:
    """Train a U-Net on a data set and write the run into the folder `out`.

    Parameters
    ----------
    data : path, Dataset or iterable
        A folder, archive or file of any known layout; a `Dataset` that your own code has made of files; or pairs
        (image, mask) or (image, mask, group) of arrays: an image (Y, X), (C, Y, X) or (Y, X, C), its mask (Y, X).
        Pairs are written into the run until it has finished.
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
    loss : callable, optional
        A function of your own in place of `task.loss`: from logits (N, K, *spatial) and class indices
        (N, 1, *spatial), 255 where nothing is annotated, to a scalar tensor; see `ulna.networks.losses`. The run
        records its name, and `resume` needs it again.
    folds : int, optional
        Cross-validation by group: so many trainings, each of which holds out other groups, in folders of their own
        within `out`. `minutes` is for all together. The scores are those of each case by the training that had not
        seen it, and the folder predicts with the mean of all its models.
    fold : int, optional
        Train this fold alone, counted from 0; `minutes` is then for it. Several processes may share the folder. Whoever
        finishes the last fold writes the table and the report of all.
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
    wanted = with_loss(settings(preset, config, changes, minutes=minutes, epochs=epochs, seed=seed), loss)
    loss_name = "" if loss is None else name_of(loss)
    place = choose_device(device)
    check_count(place, wanted.training.devices)
    if wanted.training.devices > 1:
        check_elsewhere(loss)
    planned = (run / runs.WORDS).is_file()
    start = _start(start_from, resume=resume and planned)
    before = 0.0 if started is None else max(time.time() - started, 0.0)  # a clock may be set back
    crossed = folds is not None or fold is not None or (planned and holds_folds(run))

    # a fold has its own record
    timer = Timer(clock or SystemClock(), used=before, record=partial(_record, run) if fold is None else None)
    work = Run(run, timer, device=place, progress=timer.watching(track), start=start, loss=loss)
    if crossed:
        asked = Request(data, wanted, cases, except_, start_from, folds, fold, loss_name)
        return cross_validate(work, asked, resume=resume, command=command)
    with runs.prepared(run, resume=resume) as going_on:
        if going_on:
            wanted = runs.going_on_with(run, wanted, with_loss(load_preset(DEFAULT), loss))
            cases, except_ = [name for side in runs.names(run) for name in side], None
            timer.add(runs.seconds_used(run))
        elif resume:
            say(f"{escape(str(run))} had not got as far as its plan: it begins anew, with what this command says.")
        given_loss(wanted.task, loss)  # before the data are read
        timer.limit = math.inf if wanted.training.minutes is None else 60 * wanted.training.minutes
        asked = Request(data, wanted, cases, except_, start_from, loss=loss_name)
        return _run(work, asked, resume=going_on, command=command)


def _record(run: Path, seconds: float) -> None:
    """Write down what the run has used beside its folds."""
    runs.record_used(run, seconds - spent(run))


def _start(start_from: str | Path | None, *, resume: bool) -> Saved | None:
    if start_from is None:
        return None
    if resume:
        what = "a run that is resumed has weights of its own"
        raise UlnaError(what, where="--start-from", hint="Leave --resume or --start-from away.")
    start = modelfile.load(Path(start_from))
    if start.others:
        what = f"this run has {len(start.networks)} models, and a training starts from one"
        raise UlnaError(what, where="--start-from", hint="Name the folder of one fold, or its model file.")
    return start


def _run(work: Run, asked: Request, *, resume: bool, command: str | None) -> Trained:
    """The run from its data to its report, in a folder that is its own."""
    run, timer = work.folder, work.timer
    typed, asked = asked, on_disk(asked, run)
    checked = checked_data(asked, run)
    dataset, wanted = checked.dataset, asked.config
    sides = in_sides(dataset, runs.names(run)) if resume else split(dataset, wanted.data.validation, _seed(wanted))
    data = Data(dataset, checked.classes, sides, asked.data)
    write_seen(run, checked, sides)
    if resume:
        prepared = work.prepare_again(data, wanted)
    else:
        prepared = work.prepare(data, wanted, command=command or repetition(typed, run, len(dataset.cases)))
    timer.beat()
    for sentence in runs.words(run)["plan"]:
        say(escape(sentence))

    return fit_and_report(work, prepared, checked, data=data, resume=resume)


def _seed(config: Config) -> int:
    return config.training.seed
