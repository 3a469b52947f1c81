"""`train`: from a folder of images and masks to a trained U-Net, within a time or a number of epochs."""

from __future__ import annotations

import json
import math
import shlex
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from rich.console import Group
from rich.markup import escape

from ulna import modelfile, networks
from ulna import run as runs
from ulna.caselist import Names, select
from ulna.config import Config, DataConfig, dotted
from ulna.console import Printed, clock, say, screen, track
from ulna.dataset import Case, Dataset, Progress, split_by_group
from ulna.errors import UlnaError
from ulna.figures.curves import curves_picture
from ulna.jobs.check import Check, check
from ulna.jobs.evaluate import evaluate
from ulna.jobs.evaluation import Evaluation
from ulna.jobs.inspection import numbered
from ulna.labels.classes import Classes
from ulna.model import Model, device, load
from ulna.modelfile import Saved
from ulna.normalization import common_channels
from ulna.paths import expand_home
from ulna.planning import Fingerprint, plan
from ulna.preset import DEFAULT, load_preset, settings
from ulna.report import write_report
from ulna.store import Store
from ulna.store import build as build_store
from ulna.store import planned as as_planned
from ulna.tasks import build as build_task
from ulna.training.fit import fit
from ulna.training.log import TABLE
from ulna.training.preview import picture_of_augmentation
from ulna.training.timer import Clock, SystemClock, Timer

OPTIONS = {"training.minutes": "--minutes", "training.epochs": "--epochs", "training.seed": "--seed"}
"""Settings that have an option of their own."""

AFTERWARDS = 3.0
"""Seconds that figures and the report take after a training by time."""


@dataclass(frozen=True)
class Trained(Printed):
    """What a training gave: its folder, the model, the scores on the cases held out, and how long it took."""

    run: Path
    model: Model
    scores: Evaluation | None
    seconds: float
    report: Path

    def __repr__(self) -> str:
        return f"<Trained: {self.run}, {clock(self.seconds)}; {self.scores!r}>"

    def __rich__(self) -> Group:
        """The scores, and where to look."""
        lines: list[Any] = [self.scores] if self.scores else ["No case was held out, so there are no scores."]
        lines.append(f"Trained in {clock(self.seconds)}: {escape(str(self.run / modelfile.NAME))}")
        link = self.report.resolve().as_uri()
        lines.append(f"Report: [link={link}]{link}[/link]")
        return Group(*lines)


@expand_home
def train(
    data: str | Path,
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
    resume: bool = False,
    started: float | None = None,
    command: str | None = None,
    clock: Clock | None = None,
) -> Trained:
    """Train a U-Net on a data set of any known layout and write the run into the folder `out`.

    `cases` picks from the data, and `except_` leaves out (names, or a text file with one per line, see
    `ulna.caselist`); the test part of a ready-made split is left out, its validation part held out for validation.
    Settings come from the `preset`, then the YAML file `config`, then `changes` (dotted keys), then the other
    arguments. `minutes` bounds everything from `started` (seconds of `time.time`, by default now) to the finished
    run. With `resume`, a run that was stopped goes on from its last epoch, with the settings and the cases it began
    with. `command` is what the report says how to repeat it; by default the command line that does what this call
    does. `clock` is asked for the time, by default the machine's.

    Raises UlnaError when the data cannot be trained on (everything that is wrong is told at once), when a
    setting is not known, or when `out` holds another run.
    """
    run = Path(out)
    started_for = 0.0 if started is None else time.time() - started
    timer = Timer(clock or SystemClock(), used=started_for, record=lambda seconds: runs.record_used(run, seconds))
    progress = timer.watching(track)
    wanted = settings(preset, config, changes, minutes=minutes, epochs=epochs, seed=seed)
    with runs.prepared(run, resume=resume) as going_on:
        if going_on:
            wanted = runs.going_on_with(run, wanted, load_preset(DEFAULT))
            cases, except_ = [name for side in runs.names(run) for name in side], None
            timer.add(runs.seconds_used(run))
        elif resume:
            say(f"{escape(str(run))} had not got as far as its plan: it begins anew, with what this command says.")
        timer.limit = math.inf if wanted.training.minutes is None else 60 * wanted.training.minutes
        checked = _checked(data, wanted, run, cases=cases, except_=except_)
        parts = _parts(run, checked.dataset, wanted, going_on=going_on)
        stores = _stores(run, parts, _as_asked(run, wanted.data) if going_on else wanted.data, checked.classes)
        if going_on:
            _check_same(run, stores, data)
        else:
            repeat = command or _command(data, run, {"--cases": cases, "--except": except_}, wanted)
            wanted = _begin(run, wanted, parts, stores, checked, command=repeat)
        stores = as_planned(stores[0], wanted.data), as_planned(stores[1], wanted.data) if stores[1] else None
        for sentence in runs.words(run)["plan"]:
            say(escape(sentence))

        timer.beat()
        if runs.words(run)["state"] == runs.TRAINED:  # and was killed before it had its scores
            model = load(run)
        else:
            model = _trained(run, wanted, stores, checked.classes, timer=timer, resume=going_on)
        scores = _scores(run, model, parts[1], checked, progress=progress)
        if scores:
            model = Model(replace(model.saved, scores=scores.summary.as_json()))
            modelfile.save(run / modelfile.NAME, model.saved)
        curves_picture(run / "curves.png", run / TABLE)
        runs.note(run, seconds=round(timer.seconds, 1))
        report = write_report(run)
        _close(stores)
        shutil.rmtree(run / "cache", ignore_errors=True)
        runs.note(run, state=runs.FINISHED)
        (run / runs.USED).unlink(missing_ok=True)
    return Trained(run, model, scores, timer.seconds, report)


def _command(data: str | Path, run: Path, lists: dict[str, Names | None], config: Config) -> str:
    """The command line that does the same as this call of the function."""
    words = ["ulna", "train", str(data), "--out", str(run), "--preset", config.preset]
    for option, names in lists.items():
        if names is not None:  # a list that lies in no file has no name
            words += [option, str(names) if isinstance(names, str | Path) else option.strip("-").upper()]
    plain, own = (dotted(one.model_dump(mode="json")) for one in (load_preset(config.preset), config))
    given = config.given().keys() - load_preset(config.preset).given().keys()  # also where it is the default
    changed = {key: value for key, value in own.items() if key in given or key not in plain or plain[key] != value}
    for key, value in changed.items():
        if key not in OPTIONS:
            words += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
        elif value is not None:
            words += [OPTIONS[key], str(value)]
    return shlex.join(words)


def _checked(data: str | Path, config: Config, run: Path, *, cases: Names | None, except_: Names | None) -> Check:
    """What `check` says of the data; it stops here when something is fatal."""
    checked = check(data, cases=cases, except_=except_, config=config, progress=track)
    if not checked.fatal:
        checked = checked.save(run)
    screen.print(checked)
    if checked.fatal:
        hint = "'ulna check DATA --out FOLDER' writes all names into a file."
        raise UlnaError("the data cannot be trained on, see above", where=data, hint=hint)
    return checked


HASHES = {"train": "data_hash", "validation": "validation_hash"}
"""Where `run.json` holds the hash of the images and masks of each side."""


def _check_same(run: Path, stores: Stores, data: str | Path) -> None:
    """A run that goes on must go on with the images and masks that it began with, on both sides."""
    for store, (side, key) in zip(stores, HASHES.items(), strict=True):
        if store is not None and store.digest != runs.words(run).get(key):
            what = f"the {side} images or masks are not those that {run} began with"
            raise UlnaError(what, where=data, hint="Put them back, or name another --out to train anew.")


Stores = tuple[Store, Store | None]
Parts = tuple[tuple[Case, ...], tuple[Case, ...]]


def _parts(run: Path, dataset: Dataset, config: Config, *, going_on: bool) -> Parts:
    """Cases for training, and those held out for validation: by group, or the last of a single stack."""
    if going_on:
        train, validation = (select(dataset, listed).cases if listed else () for listed in runs.names(run))
        return train, validation
    cases, share = tuple(case for case in dataset.cases if case.part != "test"), config.data.validation
    held_out = tuple(case for case in cases if case.part == "validation")
    if held_out and share:
        return tuple(case for case in cases if case.part != "validation"), held_out
    if share == 0:
        if held_out:
            say("data.validation is 0: the cases of the ready-made validation part are trained on as well.")
        return cases, ()
    if len({case.group for case in cases}) > 1:
        return split_by_group(cases, share, config.training.seed)
    kept = max(1, round(len(cases) * share))
    if kept >= len(cases):
        return cases, ()
    say("All cases are of one group: its last ones are held out, and what they say are optimistically biased.")
    return cases[:-kept], cases[-kept:]


def _as_asked(run: Path, data: DataConfig) -> DataConfig:
    """With the channels that were asked for when the run began, so that its store is found again."""
    asked = runs.words(run).get("asked", {}).get("data", {})
    return data.model_copy(update={"channels": asked.get("channels", 0)})


def _stores(run: Path, parts: Parts, data: DataConfig, classes: Classes) -> Stores:
    """Decode once what is learned from and what is held out; both with the channels that suit all images."""
    if not parts[0]:
        raise UlnaError("no case is left to train on", where=run)

    def cached(data: DataConfig) -> list[Store]:
        folders = (run / "cache" / "train", run / "cache" / "validation")
        pairs = zip(folders, parts, strict=True)
        return [build_store(to, part, config=data, classes=classes, progress=track) for to, part in pairs if part]

    stores = cached(data)
    channels = common_channels(shape[0] for store in stores for shape in store.shapes)
    if any(store.shapes[0][0] != channels for store in stores):
        _close(stores)
        stores = cached(data.model_copy(update={"channels": channels}))
    return stores[0], stores[1] if len(stores) > 1 else None


def _close(stores: Sequence[Store | None]) -> None:
    """Let go of the files of stores: Windows deletes none that is mapped."""
    for store in stores:
        if store:
            store.close()


def _begin(run: Path, config: Config, parts: Parts, stores: Stores, checked: Check, *, command: str) -> Config:
    """Plan, and write the plan into the run."""
    planned = plan(config, Fingerprint.of(stores[0], checked.classes.names), device=device())
    runs.begin(
        run,
        planned.config,
        cases=parts,
        command=command,
        seed=planned.config.training.seed,
        **{key: store.digest if store else "" for key, store in zip(HASHES.values(), stores, strict=True)},
        weights="of the best epoch" if planned.config.training.chooses and parts[1] else "last",
        asked=config.model_dump(mode="json"),
        classes=asdict(checked.classes),
        outputs=build_task(config.task, checked.classes.names).outputs,
        plan=[*planned.sentences, _split_sentence(parts, chooses=planned.config.training.chooses)],
    )
    return planned.config


def _split_sentence(parts: Parts, *, chooses: bool) -> str:
    sides = [
        f"{numbered(len(part), 'case')} in {numbered(len({case.group for case in part}), 'group')}" for part in parts
    ]
    if not parts[1]:
        return f"It learns from {sides[0]}; none are held out for validation, and the weights at the end are kept."
    kept = "those that are best on these" if chooses else "those at the end"
    return f"It learns from {sides[0]}; held out for validation: {sides[1]}. Of all weights {kept} are kept."


def _trained(
    run: Path,
    config: Config,
    stores: Stores,
    classes: Classes,
    *,
    timer: Timer,
    resume: bool,
) -> Model:
    """Train, and write the model into the run."""
    saved = _new(config, classes, stores[0])
    task = build_task(config.task, classes.names)
    if config.augmentation and not (run / "augmented.png").exists():
        picture_of_augmentation(run / "augmented.png", config, stores[0])
    fit(saved.network, task, config, stores=stores, run=run, timer=timer, afterwards=AFTERWARDS, resume=resume)
    modelfile.save(run / modelfile.NAME, saved)
    runs.note(run, state=runs.TRAINED)
    return Model(saved)


def _new(config: Config, classes: Classes, store: Store) -> Saved:
    """A network with fresh weights, drawn from the seed, on the machine's best device."""
    torch.manual_seed(config.training.seed)
    outputs = build_task(config.task, classes.names).outputs
    fresh = networks.build(config.network, config.data.channels, outputs).to(device())
    return Saved(fresh, config, classes, outputs, store.digest, runs.versions())


def _scores(
    run: Path, model: Model, cases: tuple[Case, ...], checked: Check, *, progress: Progress
) -> Evaluation | None:
    if not cases:
        return None
    kept = replace(checked.dataset, cases=cases)
    shutil.rmtree(run / "scores", ignore_errors=True)  # of a run that was killed here
    return evaluate(model, kept, out=run / "scores", progress=progress)
