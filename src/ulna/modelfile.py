"""The trained model as one `.safetensors` file: weights, and as JSON beside them all that prediction needs."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from pickle import UnpicklingError
from statistics import median_low
from typing import Any

import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor, nn

from ulna import folds, networks
from ulna.config import RENAMED, Config
from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.labels.classes import Classes
from ulna.leaks.seen import Seen, seen_in
from ulna.sections import JOINT

FORMAT = 2
"""Version of what the metadata hold; a file with a higher one is refused, one of format 1 is converted."""

NAME = "model.safetensors"
CHECKPOINTS = "checkpoints"
"""The folder of a run that holds `best.ckpt` and `last.ckpt` while it trains, each with the weights as "network"."""


PARTED = "/"
"""Parts the number of a further network from the name of its weight."""


@dataclass(frozen=True)
class Saved:
    """What a model file holds.

    The network with its weights, the resolved configuration, the classes and how their mask values are
    written, the number of output channels, and where it comes from: hash of the training data, versions, and
    scores on what was held out. `seen` holds the fingerprints of the images that it learned from and was validated on
    (`ulna.leaks.seen`, as base64). `note` says what is special about the weights, if anything is. `others` are further
    networks of the same kind, whose answers are averaged with those of the first: the models of folds. `folder` is
    where it was read from, which may hold its quantized model. `short` says so of a training that ended too early.
    """

    network: nn.Module
    config: Config
    classes: Classes
    outputs: int
    data_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)
    note: str = ""
    seen: str = ""
    others: tuple[nn.Module, ...] = ()
    folder: Path | None = field(default=None, compare=False)  # where it was found, not what it is
    short: str = ""

    @property
    def networks(self) -> tuple[nn.Module, ...]:
        """All networks."""
        return (self.network, *self.others)


def save(path: Path, saved: Saved) -> None:
    """Write the one file atomically. Raises UlnaError when the disk is full.

    A model without fingerprints of its training images takes those that lie beside it in the run's folder.
    """
    words = {
        "format": FORMAT,
        "config": saved.config.model_dump(mode="json"),
        "classes": asdict(saved.classes),
        "outputs": saved.outputs,
        "data_hash": saved.data_hash,
        "versions": saved.versions,
        "scores": saved.scores,
        "seen": saved.seen or seen_in(path.parent),
        "short": saved.short,
        "networks": len(saved.networks),
    }
    weights = {
        f"{f'{number}{PARTED}' if number else ''}{name}": tensor.detach().cpu().contiguous()
        for number, network in enumerate(saved.networks)
        for name, tensor in network.state_dict().items()
    }
    data = to_bytes(weights, metadata={"ulna": json.dumps(words)})
    with atomic_write(path) as beside:
        beside.write_bytes(data)


def find(run: str | Path) -> Path:
    """The model file of a run: `run` itself when it is a file, else the one in the folder."""
    path = Path(run).expanduser()
    if path.is_file():
        return path
    if not path.exists():
        raise UlnaError("there is no such run or model file", where=path)
    if (path / NAME).is_file():
        return path / NAME
    hint = f"A run is a folder that holds {NAME}; 'ulna train DATA --out {path}' makes one."
    if (path / "run.json").is_file():
        hint = "Its training has not ended: go on with it by adding --resume to the command that began it."
    raise UlnaError("there is no trained model in this folder", where=path, hint=hint)


def load(run: str | Path) -> Saved:
    """Read a model file or the folder that holds it; of a training that has not ended, its last checkpoint.

    The weights of its best epoch so far are taken, or where none is kept the last, and `Saved.note` says which. Of a
    folder of folds all that are trained are taken. Raises UlnaError for a file that is none, is too new, or whose parts
    contradict each other.
    """
    folder = Path(run).expanduser()
    if folds.holds_folds(folder):
        return _of_folds(folder)
    if folder.is_dir() and not (folder / NAME).is_file() and any((folder / CHECKPOINTS).glob("*.ckpt")):
        return _stopped(folder)
    path = find(run)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise UlnaError(f"this is no model file of ulna ({error})", where=path) from None
    return replace(_saved(_metadata(metadata, path), weights, path), folder=path.parent)


def _saved(words: dict[str, Any], weights: dict[str, Tensor], path: Path) -> Saved:
    """What the metadata say, with the weights; raises UlnaError where the parts contradict each other."""
    with _contradictions(path):
        words = _converted(words) if words.get("format") == 1 else words
        config = Config.parse(words["config"], where=path)
        classes = Classes(**_tuples(words["classes"]))
        outputs = int(words["outputs"])
        _check(config, classes, outputs, weights)
        count = int(words.get("networks", 1))
        several = [networks.build(config.network, config.data.inputs, outputs) for _ in range(count)]
        for number, network in enumerate(several):
            network.load_state_dict(_weights_of(weights, number))
        origin = str(words["data_hash"]), dict(words["versions"]), dict(words["scores"])
    network, *others = (one.eval() for one in several)
    seen, short = str(words.get("seen", "")), str(words.get("short", ""))
    return Saved(network, config, classes, outputs, *origin, seen=seen, others=tuple(others), short=short)


def _weights_of(weights: dict[str, Tensor], number: int) -> dict[str, Tensor]:
    """Those of one network among several."""
    if not number:
        return {name: weight for name, weight in weights.items() if PARTED not in name}
    before = f"{number}{PARTED}"
    return {name.removeprefix(before): weight for name, weight in weights.items() if name.startswith(before)}


def _of_folds(run: Path) -> Saved:
    """The models of all folds that are trained, as one."""
    places = list(folds.fold_folders(run))
    done = [number for number, place in enumerate(places) if (place / NAME).is_file()]
    if not done:
        hint = "Train one by adding --resume to the command that began it."
        raise UlnaError(f"none of these {len(places)} folds is trained", where=run, hint=hint)
    first, *others = models = [load(places[number] / NAME) for number in done]
    numbered = list(zip(done, models, strict=True))
    for number, other in numbered[1:]:
        if (other.config.network, other.classes.names) != (first.config.network, first.classes.names):
            what = f"the models of folds {done[0]} and {number} are of different networks or classes"
            raise UlnaError(what, where=run, hint="Name the folder of one fold.")
    note = ""
    if len(done) < len(places):
        named = ", ".join(map(str, done))
        note = f"Of {run} {len(done)} of {len(places)} folds are trained ({named}): their models are taken alone."
    seen = [Seen.from_bytes(base64.b64decode(one.seen)) for one in models if one.seen]
    return replace(
        first,
        config=first.config.changed(_middle([one.config for one in models])),
        others=tuple(one.network for one in others),
        seen=base64.b64encode(Seen.joined(seen).to_bytes()).decode() if seen else "",
        data_hash="",
        scores={},
        note=note,
        short=next((f"Of fold {number}: {one.short}" for number, one in numbered if one.short), ""),
    )


def _middle(configs: Sequence[Config]) -> dict[str, Any]:
    """The middle of the constants that each fold has fitted on the cases that it held out.

    Classes are kept in one piece where most folds do so. `seed` and `depth` are two ways to part objects, of which a
    fold chose one: they go together.
    """
    kept = [config.task.largest_component or () for config in configs]
    joint = Counter(one[:1] for one in kept if any(JOINT in name for name in one[:1]))
    if joint and 2 * max(joint.values()) <= len(configs):  # what was chosen after a joint counts with it alone
        kept = [one for one in kept if one[:1] not in joint] + [()] * sum(joint.values())
    pieces = Counter(name for one in kept for name in one)
    if joint or pieces:
        return {"task.largest_component": tuple(name for name, count in pieces.items() if 2 * count > len(configs))}
    fitted = [config.task.decoding for config in configs]
    known = [one.known() for one in fitted if one is not None]
    if len(known) < len(fitted):
        return {}
    depth, seed = median_low((one["depth"], one["seed"]) for one in known)
    alone = {key: median_low(one[key] for one in known) for key in ("foreground", "smallest", "holes")}
    return {f"task.decoding.{key}": value for key, value in {**alone, "depth": depth, "seed": seed}.items()}


@contextmanager
def _contradictions(path: Path) -> Iterator[None]:
    """What goes wrong while the parts of a model are put together, as an error that names the file."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise UlnaError(f"the parts of this model contradict each other ({reason})", where=path) from None


def _check(config: Config, classes: Classes, outputs: int, weights: dict[str, Tensor]) -> None:
    """Raise ValueError for parts that no training puts together."""
    if not config.data.inputs:
        raise ValueError("it does not say how many channels an image has")
    if outputs < 1:
        raise ValueError(f"{outputs} output channels")
    if len(classes.names) < 2 or len(set(classes.names)) < len(classes.names):
        raise ValueError(f"the classes {', '.join(map(str, classes.names))}")
    if len(classes.values) != len(classes.names):
        raise ValueError(f"{len(classes.names)} names of classes, values of {len(classes.values)}")
    if config.data.classes and not classes.regions and tuple(config.data.classes) != classes.names:
        raise ValueError(f"data.classes {', '.join(config.data.classes)}, the classes {', '.join(classes.names)}")
    if any(not 0 < index < len(classes.names) for _, indices in classes.regions for index in indices):
        raise ValueError(f"regions of classes that there are not, beside {', '.join(classes.names)}")
    broken = [name for name, weight in weights.items() if not bool(weight.isfinite().all())]
    if broken:
        raise ValueError(f"{broken[0]} holds NaN or infinite numbers")


def _stopped(run: Path) -> Saved:
    """The best, or else the last, checkpoint of a training that has not ended."""
    facts = _of_run(run / "run.json", json.loads)
    config = Config.parse(_of_run(run / "config.yaml", yaml.safe_load), where=run / "config.yaml")
    best = run / CHECKPOINTS / "best.ckpt"
    chosen = best if best.is_file() else run / CHECKPOINTS / "last.ckpt"
    try:
        weights = torch.load(chosen, map_location="cpu", weights_only=True)["network"]
        words = {"config": config.model_dump(), "data_hash": "", "versions": {}, "scores": {}, **facts}
        words["seen"] = seen_in(run)
        saved = _saved(words, weights, chosen)
    except (OSError, RuntimeError, ValueError, EOFError, KeyError, TypeError, UnpicklingError) as error:
        reason = str(error).partition("\n")[0]
        hint = "Go on with the training by adding --resume to the command that began it."
        raise UlnaError(
            f"this training has not ended, and its checkpoint cannot be used ({reason})", where=chosen, hint=hint
        ) from None
    which = "best" if chosen == best else "last"
    return replace(
        saved, note=f"The training of {run} has not ended: these are the weights of its {which} epoch so far."
    )


def _of_run(path: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        return dict(parse(path.read_text("utf-8")))
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        reason = str(error).partition("\n")[0]
        raise UlnaError(f"this file of the run cannot be read: {reason}", where=path) from None


def _metadata(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    try:
        words = json.loads(metadata["ulna"])
        version = int(words["format"])
    except (KeyError, ValueError, TypeError):
        raise UlnaError("this safetensors file was not written by ulna", where=path) from None
    if version > FORMAT:
        raise UlnaError(
            f"this model was written by a newer ulna ({words.get('versions', {}).get('ulna', 'unknown')})",
            where=path,
            hint="Upgrade with: pip install --upgrade ulna",
        )
    missing = {"config", "classes", "outputs", "data_hash", "versions", "scores"} - set(words)
    if missing:
        raise UlnaError(f"this model file lacks {', '.join(sorted(missing))}", where=path)
    return dict(words)


def _converted(words: dict[str, Any]) -> dict[str, Any]:
    """Metadata of format 1 as they are written now: settings and kinds of masks by their present names."""
    config = {key: dict(value) if isinstance(value, dict) else value for key, value in words["config"].items()}
    for before, now in RENAMED.items():
        section, name = before.split(".")
        if isinstance(config.get(section), dict) and name in config[section]:
            config[section][now.partition(".")[2]] = config[section].pop(name)
    classes = dict(words["classes"])
    if classes.get("kind") == "colours":
        classes["kind"] = "colors"
    return words | {"config": config, "classes": classes}


def _tuples(value: Any) -> Any:
    """JSON knows no tuples: lists inside the classes become tuples again."""
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value
