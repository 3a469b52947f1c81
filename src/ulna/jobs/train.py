"""`train`: from a folder of images and masks to a trained U-Net, within a time or a number of epochs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Group
from rich.markup import escape

from ulna import modelfile, network
from ulna import run as runs
from ulna.cache import Cache
from ulna.cache import build as build_cache
from ulna.classes import Classes
from ulna.config import Config, DataConfig
from ulna.console import clock, say, screen, track
from ulna.dataset import Case, Dataset, select, split_by_group
from ulna.errors import UlnaError
from ulna.intensity import common_channels
from ulna.jobs.check import Check, check
from ulna.jobs.evaluate import Evaluation, evaluate
from ulna.jobs.looking import numbered
from ulna.learning.fit import fit, picture_of_augmentation
from ulna.model import Model, device
from ulna.modelfile import Saved
from ulna.pictures.curves import curves_picture
from ulna.plan import Facts, plan
from ulna.preset import load_preset
from ulna.report import write_report
from ulna.tasks import build as build_task

EXAMPLE = "It should look like this:\n  training:\n    batch_size: 8"
"""What a configuration file looks like."""


@dataclass(frozen=True)
class Trained:
    """What a training gave: its folder, the model, the scores on the cases kept out, and how long it took."""

    run: Path
    model: Model
    scores: Evaluation | None
    seconds: float
    report: Path

    def __rich__(self) -> Group:
        """The scores, and where to look."""
        lines: list[Any] = [self.scores] if self.scores else ["No case was kept out, so there are no scores."]
        lines.append(f"Trained in {clock(self.seconds)}: {escape(str(self.run / modelfile.NAME))}")
        link = self.report.resolve().as_uri()
        lines.append(f"Report: [link={link}]{link}[/link]")
        return Group(*lines)


def train(
    data: str | Path,
    out: str | Path,
    *,
    cases: str | Path | Sequence[str] | None = None,
    preset: str = "default",
    minutes: float | None = None,
    epochs: int | None = None,
    config: str | Path | None = None,
    changes: dict[str, Any] | None = None,
    seed: int | None = None,
    resume: bool = False,
    started: float | None = None,
) -> Trained:
    """Train a U-Net on a data set of any known layout and write the run into the folder `out`.

    `cases` picks from the data (names, or a text file with one a line). Settings come from the `preset`, then
    the YAML file `config`, then `changes` (dotted keys), then the other arguments. `minutes` bounds everything
    from `started` (seconds of `time.time`, by default now) to the finished run. With `resume`, a run that was
    stopped goes on from its last epoch, with the settings it began with.

    Raises UlnaError when the data cannot be trained on (everything that is wrong is told at once), when a
    setting is not known, or when `out` holds another run.
    """
    began = time.time() if started is None else started
    run = Path(out)
    wanted = settings(preset, config, changes or {}, minutes=minutes, epochs=epochs, seed=seed)
    with runs.prepared(run, resume=resume) as going_on:
        if going_on:
            wanted = runs.going_on_with(run, wanted, load_preset("default"))
        checked = _checked(data, wanted, run, cases=cases)
        parts = _parts(run, checked.dataset, wanted, going_on=going_on)
        caches = _caches(run, parts, _as_asked(run, wanted.data) if going_on else wanted.data, checked.classes)
        if going_on:
            _check_same(run, caches[0], data)
        else:
            wanted = _begin(run, wanted, parts, caches[0], checked)
    for sentence in runs.words(run)["plan"]:
        say(escape(sentence))

    used = runs.seconds_used(run)
    saved = _new(wanted, checked.classes, caches[0])
    task = build_task(wanted.task, checked.classes.names)
    if wanted.augmentation and not (run / "augmented.png").exists():
        picture_of_augmentation(run / "augmented.png", wanted, caches[0])
    fit(
        saved.network,
        task,
        wanted,
        caches=caches,
        run=run,
        deadline=_deadline(wanted, began - used),
        resume=going_on,
    )

    modelfile.save(run / modelfile.NAME, saved)
    scores = _scores(run, Model(saved), parts[1], checked)
    if scores:
        saved = replace(saved, scores=scores.summary.as_json())
        modelfile.save(run / modelfile.NAME, saved)
    curves_picture(run / "curves.png", run / runs.TABLE)
    seconds = used + time.time() - began
    runs.note(run, seconds=round(seconds, 1))
    report = write_report(run)
    _close(caches)
    shutil.rmtree(run / "cache", ignore_errors=True)
    runs.note(run, state="finished")
    return Trained(run, Model(saved), scores, seconds, report)


def settings(
    preset: str,
    config: str | Path | None,
    changes: dict[str, Any],
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
) -> Config:
    """The preset, changed by the YAML file `config`, by `changes` and by the other arguments, in this order."""
    chosen = load_preset(preset)
    if config is not None:
        chosen = chosen.changed(_one_budget(runs.dotted(_yaml(Path(config)))), where=config)
    chosen = chosen.changed(_one_budget(changes), where="--set")
    given = {"training.minutes": minutes, "training.epochs": epochs, "training.seed": seed}
    return chosen.changed(_one_budget({key: value for key, value in given.items() if value is not None}))


def _one_budget(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, in which minutes take the place of epochs that were set before, and epochs that of minutes."""
    budgets = ("training.minutes", "training.epochs")
    given = [key for key in budgets if changes.get(key) is not None]
    if len(given) == 2:
        raise UlnaError("minutes and epochs cannot both be given", hint="Leave one of them away.")
    return changes | {key: None for key in budgets if given and key not in given}


def _yaml(path: Path) -> dict[str, Any]:
    try:
        words = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise UlnaError(f"this configuration cannot be read: {error.strerror}", where=path) from None
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f"{path}, line {mark.line + 1}" if mark else path
        raise UlnaError("this is no YAML file", where=where, hint=EXAMPLE) from None
    if not isinstance(words, dict):
        raise UlnaError("a configuration is a YAML file with sections", where=path, hint=EXAMPLE)
    return words


def _checked(data: str | Path, config: Config, run: Path, *, cases: str | Path | Sequence[str] | None) -> Check:
    """What `check` says of the data; it stops here when something is fatal."""
    checked = check(data, config=config, cases=cases, out=run, progress=track)
    screen.print(checked)
    if checked.fatal:
        hint = "'ulna check DATA --out FOLDER' writes all names into a file."
        raise UlnaError("the data cannot be trained on, see above", where=data, hint=hint)
    return checked


def _check_same(run: Path, cache: Cache, data: str | Path) -> None:
    """A run that goes on must go on with the images that it began with."""
    if cache.digest != runs.words(run).get("data_hash"):
        raise UlnaError(f"these are not the images that {run} began with", where=data, hint="Name another --out.")


Parts = tuple[tuple[Case, ...], tuple[Case, ...]]


def _parts(run: Path, dataset: Dataset, config: Config, *, going_on: bool) -> Parts:
    """Cases for training, and those kept out for validation: by group, or the last of a single stack."""
    if going_on:
        train, validation = (select(dataset, listed).cases if listed else () for listed in runs.names(run))
        return train, validation
    cases, share = dataset.cases, config.data.validation
    if share == 0:
        return cases, ()
    if len({case.group for case in cases}) > 1:
        return split_by_group(cases, share, config.training.seed)
    kept = max(1, round(len(cases) * share))
    if kept >= len(cases):
        return cases, ()
    say("All cases are of one group: its last ones are kept out, and what they say flatters.")
    return cases[:-kept], cases[-kept:]


def _as_asked(run: Path, data: DataConfig) -> DataConfig:
    """With the channels that were asked for when the run began, so that its cache is found again."""
    asked = runs.words(run).get("asked", {}).get("data", {})
    return data.model_copy(update={"channels": asked.get("channels", 0)})


def _caches(run: Path, parts: Parts, data: DataConfig, classes: Classes) -> tuple[Cache, Cache | None]:
    """Decode once what is learned from and what is kept out; both with the channels that suit all images."""
    if not parts[0]:
        raise UlnaError("no case is left to train on", where=run)

    def cached(data: DataConfig) -> list[Cache]:
        folders = (run / "cache" / "train", run / "cache" / "validation")
        pairs = zip(folders, parts, strict=True)
        return [build_cache(to, part, config=data, classes=classes, progress=track) for to, part in pairs if part]

    caches = cached(data)
    channels = common_channels(shape[0] for cache in caches for shape in cache.shapes)
    if any(cache.shapes[0][0] != channels for cache in caches):
        _close(caches)
        caches = cached(data.model_copy(update={"channels": channels}))
    return caches[0], caches[1] if len(caches) > 1 else None


def _close(caches: Sequence[Cache | None]) -> None:
    """Let go of the files of caches: Windows deletes none that is mapped."""
    for cache in caches:
        if cache:
            cache.close()


def _begin(run: Path, config: Config, parts: Parts, cache: Cache, checked: Check) -> Config:
    """Plan, and write the plan into the run."""
    planned = plan(config, Facts.of(cache, checked.classes.names), device=device())
    runs.begin(
        run,
        planned.config,
        cases=parts,
        command=runs.command(),
        seed=planned.config.training.seed,
        data_hash=cache.digest,
        weights="of the best epoch" if planned.config.training.chooses and parts[1] else "last",
        asked=config.model_dump(mode="json"),
        plan=[*planned.sentences, _split_sentence(parts, chooses=planned.config.training.chooses)],
    )
    return planned.config


def _split_sentence(parts: Parts, *, chooses: bool) -> str:
    sides = [
        f"{numbered(len(part), 'case')} in {numbered(len({case.group for case in part}), 'group')}" for part in parts
    ]
    if not parts[1]:
        return f"It learns from {sides[0]}; none are kept out for validation, and the weights at the end are kept."
    kept = "those that are best on these" if chooses else "those at the end"
    return f"It learns from {sides[0]}; kept out for validation: {sides[1]}. Of all weights {kept} are kept."


def _new(config: Config, classes: Classes, cache: Cache) -> Saved:
    """A network with fresh weights, drawn from the seed, on the machine's best device."""
    torch.manual_seed(config.training.seed)
    outputs = build_task(config.task, classes.names).outputs
    fresh = network.build(config.network, config.data.channels, outputs).to(device())
    return Saved(fresh, config, classes, outputs, cache.digest, runs.versions())


def _deadline(config: Config, began: float) -> float | None:
    """When all must be done, in seconds of `time.monotonic`."""
    if config.training.minutes is None:
        return None
    return time.monotonic() - (time.time() - began) + 60 * config.training.minutes


def _scores(run: Path, model: Model, cases: tuple[Case, ...], checked: Check) -> Evaluation | None:
    if not cases:
        return None
    kept = replace(checked.dataset, cases=cases)
    shutil.rmtree(run / "scores", ignore_errors=True)  # of a run that was killed here
    return evaluate(model, kept, out=run / "scores", progress=track)
