"""`train --folds`: cross-validation by group. Each fold is a run in a folder of its own, within the run of all.

Several processes may train folds of one run at once. What they share is made once, by whoever comes first, under a
file lock: what `check` found, the split (`folds.csv`), the decoded images and the plan. Each fold has a lock of its own
while it trains. Whoever finishes last writes the table of all folds and the report.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from rich.markup import escape

from ulna import folds as parts
from ulna import modelfile
from ulna import runfolder as runs
from ulna.config import Config
from ulna.console import say, track
from ulna.dataset import Case
from ulna.errors import UlnaError
from ulna.folds import Folds, fold_folder
from ulna.inference.devices import described
from ulna.jobs.check import Check
from ulna.jobs.fitting import checked_data, fit_and_report, on_disk
from ulna.jobs.out_of_fold import EXAMPLES, summarize_folds
from ulna.jobs.repetition import Request, repetition
from ulna.jobs.seen import recognized, write_seen
from ulna.jobs.trained import Trained
from ulna.modelfile import Saved
from ulna.preset import DEFAULT, load_preset
from ulna.run import AFTERWARDS, Data, Fold, Prepared, Run, hashes
from ulna.store import Store
from ulna.store import planned as as_planned
from ulna.text import listed, plural
from ulna.training import own_loss
from ulna.training.timer import Timer


@dataclass(frozen=True)
class Shared:
    """What all folds have in common.

    Parameters
    ----------
    checked, data
        What `check` found; the data set with all its cases on one side.
    folds
        Which fold holds out which case.
    config
        The plan, with nothing left open.
    sentences
        The plan in words.
    store
        The folder of all images, decoded.
    start
        A trained model that each fold starts from.
    """

    checked: Check
    data: Data
    folds: Folds
    config: Config
    sentences: tuple[str, ...]
    store: Path
    start: Saved | None

    @property
    def cases(self) -> tuple[Case, ...]:
        """All cases, in the order of the folds."""
        return self.data.sides[0]

    def fold(self, number: int) -> Prepared:
        """What `Run.fit_one` needs for a fold."""
        learned, held_out = self.folds.places(number)
        whole = Store.open(self.store, self.config.data.normalization)
        fold = Fold(whole.subset(learned), whole.subset(held_out)).planned(self.config)
        return Prepared(self.config, self.data.classes, (fold,))

    def data_of(self, number: int) -> Data:
        """The data with the sides of a fold."""
        learned, held_out = (tuple(self.cases[place] for place in side) for side in self.folds.places(number))
        return replace(self.data, sides=(learned, held_out))


def per_fold(wanted: Config, count: int) -> Config:
    """The settings of one of so many folds that share the minutes of a command."""
    minutes = wanted.training.minutes
    return wanted if minutes is None else wanted.changed({"training.minutes": minutes / count})


def _of_all(typed: Request) -> Request:
    """The request for one fold as that for all of them."""
    minutes = typed.config.training.minutes
    if typed.fold is None or minutes is None:
        return replace(typed, fold=None)
    config = typed.config.changed({"training.minutes": minutes * (typed.folds or 1)})
    return replace(typed, fold=None, config=config)


def cross_validate(work: Run, typed: Request, *, resume: bool, command: str | None) -> Trained:
    """Train all folds of a run, or the one that is asked for, in the folder of `work`.

    Raises UlnaError as `train` does, for more folds than groups, and for a fold that there is not.
    """
    run, fold = work.folder, typed.fold
    count = _check_request(run, typed, resume=resume)
    asked = replace(typed, folds=count)
    if fold is None:
        asked = replace(asked, config=per_fold(asked.config, count))
    with runs.shared(run):
        if (run / runs.WORDS).is_file():
            shared = _prepare_again(work, asked, resume=resume)
        else:
            shared = _prepare(work, asked, typed=replace(typed, folds=count), command=command)
    minutes = shared.config.training.minutes or math.inf
    work.timer.limit = 60 * minutes * (count if fold is None else 1)
    if fold is not None:
        timer = _timer(work.timer, run, fold, sharing=0)
        trained = _train(work, shared, fold, timer=timer, command=command or repetition(typed, run, 0))
        return replace(trained, whole=_finish(work, shared))
    left = [number for number in range(count) if not runs.has_finished(fold_folder(run, number))]
    for place, number in enumerate(left):
        if runs.has_finished(fold_folder(run, number)):  # by another process, meanwhile
            continue
        timer = _timer(work.timer, run, number, sharing=len(left) - place)
        try:
            _train(work, shared, number, timer=timer, shares=count)
        except runs.AtWork:
            say(f"Another process is at work on fold {number}: it is left to that one.")
    whole = _finish(work, shared)
    if whole is None:
        done = runs.has_finished(run)
        what = "another process has finished this run" if done else "other processes are at work on folds of this run"
        hint = "" if done else "Whoever finishes the last fold writes the table and the report."
        raise UlnaError(what, where=run, hint=hint)
    return whole


def _check_request(run: Path, asked: Request, *, resume: bool) -> int:
    """How many folds there are; raises UlnaError for a request that makes no sense."""
    planned, fold = (run / runs.WORDS).is_file(), asked.fold
    known = parts.read_folds(run).count if planned and parts.holds_folds(run) else None
    if planned and known is None:
        what = "the run in this folder has no folds"
        raise UlnaError(what, where=run, hint="Name another --out, or leave --folds away.")
    if known is not None and asked.folds not in (None, known):
        what = f"this run has {known} folds, not {asked.folds}"
        raise UlnaError(what, where=run, hint=f"Write --folds {known}, or name another --out.")
    count = asked.folds or known
    if count is None:
        raise UlnaError("how many folds there are is not said", where="--fold", hint="Add --folds, as in --folds 5.")
    if fold is not None and not 0 <= fold < count:
        raise UlnaError(f"there is no fold {fold}: {count} folds are counted from 0 to {count - 1}", where="--fold")
    if fold is not None and not asked.on_disk:
        what = "one fold alone is trained on files, which other processes can read, too"
        raise UlnaError(what, where="fold", hint="Write the arrays into files, or leave fold away.")
    if "data.validation" in _stated(asked.config):
        what = "each fold holds out its own cases, and data.validation says how many one training holds out"
        raise UlnaError(what, where="--folds", hint="Leave data.validation or --folds away.")
    _check_state(run, fold, planned=planned, resume=resume)
    return count


def _stated(config: Config) -> set[str]:
    """The settings that the preset does not say."""
    return config.given().keys() - load_preset(config.preset).given().keys()


def _check_state(run: Path, fold: int | None, *, planned: bool, resume: bool) -> None:
    """Raise UlnaError where a run, or a fold of it, is there already and is not to go on, or has finished."""
    if runs.has_finished(run) if fold is None else runs.has_finished(fold_folder(run, fold)):
        if fold is None or runs.has_finished(run):
            raise UlnaError("this run has finished", where=run, hint="Name another --out to train anew.")
        what = f"fold {fold} of this run has finished"
        raise UlnaError(what, where=run, hint="Train another fold, or go on with all by --resume without --fold.")
    if resume:
        return
    if fold is not None and (fold_folder(run, fold) / runs.WORDS).is_file():
        raise UlnaError(f"fold {fold} of this run was begun", where=run, hint="Go on with it by adding --resume.")
    if fold is None and planned:
        hint = "Go on with it by adding --resume, or name another --out."
        raise UlnaError("this folder holds another run", where=run, hint=hint)


def _prepare(work: Run, asked: Request, *, typed: Request, command: str | None) -> Shared:
    """What all folds share, as the first process makes it; `typed` is how it was asked for."""
    run, asked = work.folder, on_disk(asked, work.folder)
    checked = checked_data(asked, run)
    cases = tuple(case for case in checked.dataset.cases if case.part != "test")
    folds = parts.split_into_folds(cases, asked.folds or 0, asked.config.training.seed)
    if any(case.part for case in cases):
        say("The parts of the ready-made split for training and validation are split into folds together.")
    data = Data(checked.dataset, checked.classes, (cases, ()), asked.data)
    whole, planned = work.plan(data, asked.config, shared=True)
    store = as_planned(whole.train, planned.config.data)
    sentences = (*planned.sentences, _fold_sentence(folds), *_start_sentence(work.start, checked, cases))
    if work.start is None:
        (run / runs.START).unlink(missing_ok=True)  # of a command that was killed here
    else:
        modelfile.save(run / runs.START, work.start)
    parts.write_folds(run, folds)
    runs.begin_folds(
        run,
        planned.config,
        command=(command if typed.fold is None else "") or repetition(_of_all(typed), run, len(cases)),
        seed=planned.config.training.seed,
        device=described(work.device, planned.config.training.devices),
        data=runs.placed(asked.data, run),
        folds=folds.count,
        **hashes(whole),
        asked=asked.config.model_dump(mode="json"),
        classes=asdict(checked.classes),
        plan=list(sentences),
        **own_loss.record(work.loss),
    )
    for sentence in sentences:
        say(escape(sentence))
    work.timer.beat()
    store.close()
    return Shared(checked, data, folds, planned.config, sentences, whole.train.folder, work.start)


def _prepare_again(work: Run, asked: Request, *, resume: bool) -> Shared:
    """The same from what the first process has written; a run that goes on does so with its own cases."""
    run, folds = work.folder, parts.read_folds(work.folder)
    plain = own_loss.with_loss(load_preset(DEFAULT), work.loss) if resume else None
    config = runs.going_on_with(run, asked.config, plain)
    if asked.fold is None:
        work.timer.add(runs.seconds_used(run) + spent(run))
    if (work.start is not None) != (run / runs.START).is_file() and not resume:
        what = "this run began with another --start-from"
        raise UlnaError(what, where=run, hint="Type the command that began it, with another --fold.")
    if resume:
        asked = replace(asked, config=config, cases=list(folds.names), except_=None)
    asked = on_disk(asked, run)
    checked = checked_data(asked, None)
    by_name = {case.name: case for case in checked.dataset.cases if case.part != "test" or resume}
    folds.check_same(tuple(by_name.values()), where=asked.data)
    cases = tuple(by_name[name] for name in folds.names)
    data = Data(checked.dataset, checked.classes, (cases, ()), asked.data)
    whole = work.decode_again(data, config, shared=True).train
    as_planned(whole, config.data).close()
    start = modelfile.load(run / runs.START) if (run / runs.START).is_file() else None
    work.timer.beat()
    return Shared(checked, data, folds, config, tuple(runs.words(run)["plan"]), whole.folder, start)


def spent(run: Path) -> float:
    """Seconds that all folds of a run have used."""
    return sum(runs.seconds_in_all(place) for place in parts.fold_folders(run)) if parts.holds_folds(run) else 0.0


def _timer(whole: Timer, run: Path, number: int, *, sharing: int) -> Timer:
    """The time of a fold: an equal part of what is left for `sharing` folds, or all of it for one alone (0).

    Room is left for the table of all folds, as far as the folds that have finished tell what that takes.
    """
    place = fold_folder(run, number)
    known = [runs.words(one) for one in parts.fold_folders(run) if runs.has_finished(one)]
    ending = max((one.get("afterwards", 0.0) + EXAMPLES * one.get("case", 0.0) for one in known), default=AFTERWARDS)
    used = runs.seconds_used(place)
    if sharing:
        limit = used + max(whole.left - ending, 0.0) / sharing
    else:
        limit, used = whole.limit - ending, used + whole.seconds
    return Timer(whole.clock, used=used, limit=limit, record=partial(runs.record_used, place))


def _train(
    work: Run, shared: Shared, number: int, *, timer: Timer, shares: int = 1, command: str | None = None
) -> Trained:
    """One fold, which is a run of its own; `shares` folds share the minutes of the command."""
    run, place = work.folder, fold_folder(work.folder, number)
    count, data = shared.folds.count, shared.data_of(number)
    say(f"Fold {number} of {count}: {escape(str(place))}")
    with runs.prepared(place, resume=True) as going_on:
        prepared, start = shared.fold(number), shared.start
        progress = timer.watching(track)
        one = Run(place, timer, device=work.device, progress=progress, start=start, shares=shares, loss=work.loss)
        write_seen(place, shared.checked, data.sides)
        if going_on:
            one.check_same(prepared.folds[0], place=data.place)
            runs.resumed(place, device=described(work.device, shared.config.training.devices))
        else:
            whole = runs.words(run)
            facts = {"asked": whole["asked"], "data": whole["data"], "fold": number}
            sentences = (f"This is fold {number} of {count}, counted from 0.", *shared.sentences)
            one.begin(prepared, data.sides, sentences=sentences, command=command or whole["command"], **facts)
        timer.beat()
        return fit_and_report(one, prepared, shared.checked, data=data, resume=going_on)


def _finish(work: Run, shared: Shared) -> Trained | None:
    """The table and the report of all folds, by whoever finds that all have finished; None where some have not."""
    run = work.folder
    with runs.shared(run):
        waiting = [number for number, one in enumerate(parts.fold_folders(run)) if not runs.has_finished(one)]
        if waiting:
            say(f"{plural(len(waiting), 'fold')} of {shared.folds.count} not finished yet: {listed(waiting, 8)}.")
            return None
        if runs.has_finished(run):
            return None
        whole = summarize_folds(run, shared.cases, device=str(work.device), timer=work.timer)
        for left in (run / "cache", run / runs.PAIRS):
            shutil.rmtree(left, ignore_errors=True)
        runs.note(run, state=runs.FINISHED)
        for name in (runs.USED, runs.START, runs.LOCK):
            (run / name).unlink(missing_ok=True)
        return whole


def _fold_sentence(folds: Folds) -> str:
    sizes = [folds.numbers.count(number) for number in range(folds.count)]
    span = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
    return (
        f"{plural(len(folds.names), 'case')} in {plural(len(set(folds.groups)), 'group')} are split by group into "
        f"{folds.count} folds; each holds out {span} and learns from the others. The plan is the same for all, made "
        "from all cases; its time is that of one fold."
    )


def _start_sentence(start: Saved | None, checked: Check, cases: Sequence[Case]) -> tuple[str, ...]:
    """That the model to start from has seen some of the cases, as far as its fingerprints tell."""
    if start is None or not start.seen:
        return ()
    names = {case.name for case in cases}
    known = [one for one in recognized(start.seen, checked.prints) if checked.dataset.cases[one].name in names]
    if not known:
        return ()
    return (
        f"The model that all folds start from was trained on {len(known)} of the {len(cases)} images: scores of the "
        "folds that hold these out are optimistically biased.",
    )
