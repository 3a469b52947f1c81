"""A run: from checked data to a trained model, in the run's folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from ulna import modelfile, networks
from ulna import runfolder as runs
from ulna.alignment import is_unset
from ulna.caselist import select
from ulna.config import Config, DataConfig, TrainingConfig
from ulna.console import say
from ulna.dataset import Case, Dataset, Progress, planes_of, slab, split_by_group
from ulna.errors import UlnaError
from ulna.inference.devices import described
from ulna.labels.classes import Classes
from ulna.model import Model, load
from ulna.modelfile import Saved
from ulna.networks.losses import Loss
from ulna.planning import Decision, Fingerprint, Plan, dimensions, plan, spacings
from ulna.store import Store
from ulna.store import build as build_store
from ulna.store import planned as as_planned
from ulna.tasks import Task
from ulna.tasks import build as build_task
from ulna.text import plural
from ulna.training import own_loss
from ulna.training.budget import TimeBudget
from ulna.training.calibration import calibration_windows, write_windows
from ulna.training.constants import fit_constants
from ulna.training.fit import ending, fit
from ulna.training.length import expected, time_step, too_short
from ulna.training.log import read_rows, validation_column
from ulna.training.preview import picture_of_augmentation
from ulna.training.starting import as_started, at_spacing, check_channels, start_sentence, take_weights
from ulna.training.timer import Timer

FIGURES = 3.5
"""Figures and report take so many times as long as the picture of augmentation, at the same speed of the machine."""

AFTERWARDS = 3.0
"""Seconds that they take where there is no such picture."""

DRAWING = {2: 0.03, 3: 0.6}
"""How long the gallery takes per case, image or volume, in units of the picture of augmentation."""

GALLERY = 0.05
"""Largest share of the time that is kept for the gallery; the rest of the cases is not pictured."""

HASHES = {"train": "data_hash", "validation": "validation_hash"}
"""Where `run.json` holds the hash of the images and masks of each side."""

NO_PATIENCE = " training.patience ends nothing: without a validation there is no improvement to wait for."
"""What is said of patience where no case is held out."""

Sides = tuple[tuple[Case, ...], tuple[Case, ...]]


@dataclass(frozen=True)
class Data:
    """What a run learns from: the data set, what its masks mean, and the cases of each side of the split.

    `place` is what the user calls it.
    """

    dataset: Dataset
    classes: Classes
    sides: Sides
    place: object


@dataclass(frozen=True)
class Fold:
    """The cases to learn from, decoded, and those held out."""

    train: Store
    validation: Store | None

    def planned(self, config: Config) -> Fold:
        """The same cases normalized and resized as the plan says; volumes as planes, where the network sees these."""
        held_out = self.validation
        sides = [as_planned(store, config.data) for store in self.stores]
        if config.network.ndim == 2 and len(sides[0].shapes[0]) > 3:
            sides = [store.planes(config.data.slices or 0) for store in sides]
        return Fold(sides[0], sides[1] if held_out else None)

    @property
    def stores(self) -> tuple[Store, ...]:
        """Those that there are."""
        return (self.train,) if self.validation is None else (self.train, self.validation)


@dataclass(frozen=True)
class Prepared:
    """All that `fit_one` needs: a configuration with nothing left open, the classes, and the folds."""

    config: Config
    classes: Classes
    folds: tuple[Fold, ...]

    def close(self) -> None:
        """Let go of the files of stores: Windows deletes none that is mapped."""
        for fold in self.folds:
            for store in fold.stores:
                store.close()


class Run:
    """A run's folder at work.

    Parameters
    ----------
    folder
        Where the run is; `runfolder.prepared` has made it.
    timer
        The seconds used and their limit.
    device
        Where the network runs.
    progress
        Shows how far the decoding is.
    start
        A trained model to start from.
    shares
        How many such runs share the minutes that the command names.
    loss
        The function that `task.loss: own` stands for.
    """

    def __init__(
        self,
        folder: Path,
        timer: Timer,
        *,
        device: torch.device,
        progress: Progress,
        start: Saved | None = None,
        shares: int = 1,
        loss: Loss | None = None,
    ) -> None:
        self.folder = folder
        self.timer = timer
        self.device = device
        self.start = start
        self.shares = shares
        self.loss = loss
        self.afterwards = AFTERWARDS
        self._progress = progress

    def task(self, prepared: Prepared) -> Task:
        """The question that the network learns. Raises UlnaError where its loss is a function that is not given."""
        config, classes = prepared.config.task, prepared.classes
        return build_task(config, classes.names, classes.regions, own_loss.given_loss(config, self.loss))

    def plan(self, data: Data, wanted: Config, *, shared: bool = False) -> tuple[Fold, Plan]:
        """Decode the cases, and plan what `wanted` leaves open; other processes may have `shared` the folder."""
        asked = wanted if self.start is None else as_started(wanted, self.start)
        fold = self._fold(data, asked.data, shared=shared)
        grids = [case.grid for case in fold.train.cases]
        asked = asked if self.start is None else at_spacing(asked, self.start.config.data, grids)
        measured = 2 * sum(grid.unit != "pixel" and not is_unset(grid) for grid in grids) > len(grids)
        decided = dimensions(asked, [grid.shape for grid in grids], [grid.spacing for grid in grids], measured=measured)
        seen = _decided(asked, decided)
        decided += spacings(seen, grids)
        chosen = _decided(asked, decided).data
        planes = fold.planned(seen.changed({"data.target_spacing": None}))  # resampled once the plan stands
        facts = Fingerprint.of(planes.train, data.classes.names, data.classes.regions)
        if any(case.channels != facts.names for case in (planes.validation.cases if planes.validation else ())):
            facts = replace(facts, channel_names=())  # taken as they lie, which check has said
        facts = facts.at(_of_planes(chosen.target_spacing or (), seen), chosen.unit)
        if self.start is not None:
            check_channels(self.start, facts.channels)
        return fold, plan(asked, facts, device=self.device, decided=decided)

    def prepare(self, data: Data, wanted: Config, *, command: str) -> Prepared:
        """Decode the cases, plan what `wanted` leaves open, and write the plan into the folder."""
        fold, planned = self.plan(data, wanted)
        if self.start is not None:  # until there are weights to go on from, and the end
            modelfile.save(self.folder / runs.START, self.start)
        prepared = Prepared(planned.config, data.classes, (fold.planned(planned.config),))
        asked = wanted.model_dump(mode="json")
        facts = {"asked": asked, "data": runs.placed(data.place, self.folder)}
        self.begin(prepared, data.sides, sentences=planned.sentences, command=command, **facts)
        return prepared

    def begin(self, prepared: Prepared, sides: Sides, *, sentences: Sequence[str], command: str, **facts: Any) -> None:
        """Write the plan into the folder, with `facts` for its record: from here on the run can go on."""
        config, fold = prepared.config, prepared.folds[0]
        chooses = config.training.chooses
        said = [*sentences, _split_sentence(sides, config.training)]
        if self.start is not None:
            said.append(start_sentence(self.start, prepared.classes, self.task(prepared).outputs))
        own = own_loss.record(self.loss)
        said += [f"The loss is the function {name}, which the training was given." for name in own.values()]
        runs.begin(
            self.folder,
            config,
            cases=sides,
            command=command,
            seed=config.training.seed,
            device=described(self.device, config.training.devices),
            split="of the data set" if any(case.part == "validation" for case in sides[1]) else "drawn",
            **hashes(fold),
            weights="of the best epoch" if chooses and fold.validation else "last",
            classes=asdict(prepared.classes),
            outputs=self.task(prepared).outputs,
            plan=[*said, self.expected(prepared)],
            **own,
            **facts,
        )

    def prepare_again(self, data: Data, config: Config) -> Prepared:
        """The same for a run that was stopped: `config` is what it planned. Raises UlnaError for other images."""
        fold = self.decode_again(data, config).planned(config)
        if (self.folder / runs.START).is_file():
            self.start = modelfile.load(self.folder / runs.START)
        runs.resumed(self.folder, device=described(self.device, config.training.devices))
        return Prepared(config, data.classes, (fold,))

    def decode_again(self, data: Data, config: Config, *, shared: bool = False) -> Fold:
        """The cases of a run that was planned. Raises UlnaError for other images."""
        # with the channels that were asked for when the run began, so that its store is found again
        asked = runs.words(self.folder).get("asked", {}).get("data", {})
        counts = config.data.counts if (self.folder / runs.START).is_file() else asked.get("counts")
        wanted = config.data.model_copy(update={"channels": asked.get("channels", 0), "counts": counts})
        fold = self._fold(data, wanted, shared=shared)
        self.check_same(fold, place=data.place)
        return fold

    def check_same(self, fold: Fold, *, place: object) -> None:
        """Raise UlnaError for other images, other masks or another loss than those that the run began with."""
        before, now = runs.words(self.folder), hashes(fold)
        own_loss.check_same(before, self.loss)
        for side, key in HASHES.items():
            if now[key] != before.get(key):
                what = f"the {side} images or masks are not those that {self.folder} began with"
                raise UlnaError(what, where=place, hint="Put them back, or name another --out to train anew.")

    def _fold(self, data: Data, config: DataConfig, *, shared: bool = False) -> Fold:
        """Decode all cases once, into one store with the channels that suit all; the sides are views of it."""
        train, held_out = data.sides
        if not train:
            raise UlnaError("no case is left to train on", where=self.folder)
        folder, cases = self.folder / "cache" / "cases", (*train, *held_out)
        store = build_store(folder, cases, config=config, classes=data.classes, progress=self._progress, shared=shared)
        sides = [store.subset(side) for side in (range(len(train)), range(len(train), len(cases)))]
        return Fold(sides[0], sides[1] if held_out else None)

    def expected(self, prepared: Prepared) -> str:
        """What the network will see in the time or the epochs given."""
        config, fold = prepared.config, prepared.folds[0]
        training = config.training
        if training.epochs is not None:
            return expected(config, fold.train, training.epochs * training.steps)
        network = self._new(prepared).network
        task = self.task(prepared)
        step = time_step(network, task, config, store=fold.train, timer=self.timer)
        afterwards = self.afterwards + self._drawing(fold.validation)
        budget = TimeBudget(self.timer, ending(network, config, fold.validation, afterwards, task=task))
        return expected(config, fold.train, budget.expected_steps(step))

    def fit_one(self, prepared: Prepared, fold: int = 0, *, resume: bool = False) -> Model:
        """Train on one fold and write the model into the folder; a model that is there already is loaded."""
        if runs.words(self.folder)["state"] == runs.TRAINED:  # and was killed before it had its scores
            return load(self.folder, device=str(self.device))
        config, data, task = prepared.config, prepared.folds[fold], self.task(prepared)
        if config.training.devices > 1:
            own_loss.check_elsewhere(self.loss)
        picture = self.folder / "augmented.png"
        if config.augmentation and not picture.exists():
            began = self.timer.seconds
            picture_of_augmentation(picture, config, data.train)
            self.afterwards = FIGURES * (self.timer.seconds - began)
            runs.note(self.folder, afterwards=round(self.afterwards, 2))
        else:
            self.afterwards = runs.words(self.folder).get("afterwards", AFTERWARDS)
        saved = self._new(prepared)
        runs.note(self.folder, parameters=sum(one.numel() for one in saved.network.parameters()))
        state = fit(
            saved.network,
            task,
            config,
            stores=(data.train, data.validation),
            run=self.folder,
            timer=self.timer,
            afterwards=self.afterwards + self._drawing(data.validation),
            resume=resume,
        )
        fitted = fit_constants(saved.network, task, config, stores=(data.train, data.validation))
        if fitted:
            saved = replace(saved, config=config.changed(fitted))
            runs.note(self.folder, fitted=fitted, fitted_on="held out" if data.validation else "trained on")
        modelfile.save(self.folder / modelfile.NAME, saved)
        patch = config.training.patch
        write_windows(self.folder, calibration_windows(data.train, saved.network, patch, seed=config.training.seed))
        primary = task.primary
        cells = [row[validation_column(primary)] for row in read_rows(self.folder)]
        ranks = [primary.rank(float(cell)) for cell in cells if cell]
        short = too_short(_as_typed(config, self.shares), data.train, state.losses, ranks)
        runs.note(self.folder, state=runs.TRAINED, **({"length": short} if short else {}))
        return Model(saved)

    def _drawing(self, held_out: Store | None) -> float:
        """Seconds to keep for the gallery of the cases held out."""
        if held_out is None:
            return 0.0
        volumes = any(case.plane is not None or len(case.grid.shape) > 2 for case in held_out.cases)
        each = DRAWING[3 if volumes else 2] * self.afterwards / FIGURES
        return min(each * len(set(held_out.selection)), GALLERY * self.timer.limit)

    def _new(self, prepared: Prepared) -> Saved:
        """A network with fresh weights, drawn from the seed, or those of the model that it starts from."""
        config, outputs = prepared.config, self.task(prepared).outputs
        with torch.random.fork_rng():
            torch.manual_seed(config.training.seed)
            network = networks.build(config.network, config.data.inputs, outputs)
        if self.start is not None:
            take_weights(network, self.start, prepared.classes, outputs)
        digest = prepared.folds[0].train.digest
        return Saved(network.to(self.device), config, prepared.classes, outputs, digest, runs.versions())


def _decided(config: Config, decisions: Sequence[Decision]) -> Config:
    return config.changed({one.key: one.value for one in decisions})


def _of_planes(target: tuple[float, ...], config: Config) -> tuple[float, ...]:
    """The target spacing of what the network sees: of volumes whose slices it sees that of a slice."""
    axis = config.data.slices
    return target if axis is None or config.network.ndim >= len(target) else (*target[:axis], *target[axis + 1 :])


def hashes(fold: Fold) -> dict[str, str]:
    """The hash of the images and masks of each side, by its name in `run.json`."""
    return {HASHES["train"]: fold.train.digest, HASHES["validation"]: fold.validation.digest if fold.validation else ""}


def _as_typed(config: Config, shares: int) -> Config:
    """With the minutes that the command named for all runs that share them."""
    minutes = config.training.minutes
    return config if minutes is None or shares == 1 else config.changed({"training.minutes": minutes * shares})


def _split_sentence(sides: Sequence[tuple[Case, ...]], training: TrainingConfig) -> str:
    shown = [f"{plural(len(side), 'case')} in {plural(len({case.group for case in side}), 'group')}" for side in sides]
    if not sides[1]:
        said = f"It learns from {shown[0]}; none are held out for validation, and the weights at the end are kept."
        patience = "" if training.patience is None else NO_PATIENCE
        return said + patience
    kept = "those that are best on these" if training.chooses else "those at the end"
    return f"It learns from {shown[0]}; held out for validation: {shown[1]}. Of all weights {kept} are kept."


def in_sides(dataset: Dataset, sides: tuple[Sequence[str], Sequence[str]]) -> Sides:
    """The cases of a data set on the sides that a run began with."""
    train, validation = (select(dataset, names).cases if names else () for names in sides)
    return train, validation


def split(dataset: Dataset, share: float, seed: int) -> Sides:
    """Cases for training, and those held out for validation.

    By the ready-made split if there is one, else by group, or the last cases of a single group, or planes of a single
    volume.
    """
    cases = tuple(case for case in dataset.cases if case.part != "test")
    held_out = tuple(case for case in cases if case.part == "validation")
    if held_out and share:
        return tuple(case for case in cases if case.part != "validation"), held_out
    if share == 0:
        if held_out:
            say("data.validation is 0: the cases of the ready-made validation part are trained on as well.")
        return cases, ()
    if len({case.group for case in cases}) > 1:
        return split_by_group(cases, share, seed)
    if len(cases) == 1 and (count := planes_of(cases[0])) > 1:
        kept = min(max(1, round(count * share)), count - 1)
        say("There is one volume: its last planes are held out, and scores on them are optimistically biased.")
        return (slab(cases[0], 0, count - kept),), (slab(cases[0], count - kept, count),)
    kept = max(1, round(len(cases) * share))
    if kept >= len(cases):
        return cases, ()
    say("All cases are of one group: its last ones are held out, and scores on them are optimistically biased.")
    return cases[:-kept], cases[-kept:]
