"""The trained model as one `.safetensors` file: weights, and as JSON beside them all that prediction needs."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import nn

from ulna import networks
from ulna.config import RENAMED, Config
from ulna.errors import UlnaError
from ulna.formats import atomic_write
from ulna.labels.classes import Classes

FORMAT = 1
"""Version of what the metadata hold; a file with a higher one is refused."""

NAME = "model.safetensors"


@dataclass(frozen=True)
class Saved:
    """What a model file holds.

    The network with its weights, the resolved configuration, the classes and how their mask values are
    written, the number of output channels, and where it comes from: hash of the training data, versions, and
    scores on what was held out.
    """

    network: nn.Module
    config: Config
    classes: Classes
    outputs: int
    data_hash: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    scores: dict[str, Any] = field(default_factory=dict)


def save(path: Path, saved: Saved) -> None:
    """Write the one file atomically. Raises UlnaError when the disk is full."""
    words = {
        "format": FORMAT,
        "config": saved.config.model_dump(mode="json"),
        "classes": asdict(saved.classes),
        "outputs": saved.outputs,
        "data_hash": saved.data_hash,
        "versions": saved.versions,
        "scores": saved.scores,
    }
    weights = {name: tensor.detach().cpu().contiguous() for name, tensor in saved.network.state_dict().items()}
    data = to_bytes(weights, metadata={"ulna": json.dumps(words)})
    with atomic_write(path) as beside:
        beside.write_bytes(data)


def find(run: str | Path) -> Path:
    """The model file of a run: `run` itself when it is a file, else the one in the folder."""
    path = Path(run)
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
    """Read a model file or the folder that holds it. Raises UlnaError for a file that is none, or is too new."""
    path = find(run)
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no dict)
    except (SafetensorError, OSError) as error:
        raise UlnaError(f"this is no model file of ulna ({error})", where=path) from None
    words = _with_present_names(_metadata(metadata, path))
    try:
        config = Config.parse(words["config"], where=path)
        classes = Classes(**_tuples(words["classes"]))
        if not config.data.channels:
            raise ValueError("it does not say how many channels an image has")
        network = networks.build(config.network, config.data.channels, int(words["outputs"]))
        network.load_state_dict(weights)
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(":")
        raise UlnaError(f"the weights here do not suit what the file says of them ({reason})", where=path) from None
    return Saved(
        network.eval(),
        config,
        classes,
        int(words["outputs"]),
        str(words["data_hash"]),
        dict(words["versions"]),
        dict(words["scores"]),
    )


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


def _with_present_names(words: dict[str, Any]) -> dict[str, Any]:
    """Metadata whose settings have their present names: files of format 1 may have been written with earlier ones."""
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
