"""Presets: whole configurations under a name, one YAML file each; what a file leaves out is the default.

And from a preset to the settings of a command: what a user's own file, `--set` and the other options change in it.
"""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import yaml

from ulna.config import Config, dotted, nearest
from ulna.errors import UlnaError

DEFAULT = "default"
"""The preset where none is named."""

EXAMPLE = "It should look like this:\n  training:\n    batch_size: 8"
"""What a configuration file looks like."""


def preset_names() -> tuple[str, ...]:
    """The names of the presets, in order of the alphabet."""
    files = _folder().iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def preset_name(name: str) -> str:
    """The name of a preset as its file has it, which may be written with `_` for `-`."""
    return str(name).replace("_", "-")


def load_preset(name: str) -> Config:
    """The configuration of a preset; where there is none of this name, UlnaError names the nearest."""
    name = preset_name(name)
    if name not in preset_names():
        raise UlnaError(f"there is no preset '{name}'.{nearest(str(name), preset_names())}")
    text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return Config.parse({"preset": name, **(yaml.safe_load(text) or {})}, where=f"preset {name}")


def settings(
    preset: str = DEFAULT,
    config: str | Path | Config | None = None,
    changes: dict[str, Any] | None = None,
    *,
    minutes: float | None = None,
    epochs: int | None = None,
    seed: int | None = None,
) -> Config:
    """The preset, changed by `config`, by `changes` and by the other arguments, in this order.

    `config` is a YAML file, which may name a preset itself, or a whole `Config`, which takes the preset's place;
    `changes` are dotted keys with their values. Minutes take the place of epochs that were set before, and epochs
    that of minutes. Raises UlnaError for what is not known, with its place and the nearest that is.
    """
    if isinstance(config, Config):
        chosen = config
    else:
        own = {} if config is None else dotted(_yaml(config))
        chosen = load_preset(_one_preset(preset, own.pop("preset", None), where=config))
        chosen = chosen.changed(_one_budget(own), where=config)
    if changes is not None and not (isinstance(changes, dict) and all(isinstance(key, str) for key in changes)):
        hint = 'Write changes={"training.batch_size": 8}'
        raise UlnaError(f"settings are a dictionary, not {changes!r}", where="changes", hint=hint)
    if changes and "preset" in changes:
        raise UlnaError("a preset is a whole configuration, not a setting", where="--set", hint="Write --preset NAME.")
    chosen = chosen.changed(_one_budget(changes or {}), where="--set")
    given = {"training.minutes": minutes, "training.epochs": epochs, "training.seed": seed}
    return chosen.changed(_one_budget({key: value for key, value in given.items() if value is not None}))


def _one_preset(asked: str, named: Any, *, where: object) -> str:
    """The preset that the command asks for, or that its configuration file names."""
    if named is None or preset_name(named) == preset_name(asked):
        return asked
    if asked != DEFAULT:
        raise UlnaError(f"this file names the preset '{named}', the command '{asked}'", where=where)
    return str(named)


def _one_budget(changes: dict[str, Any]) -> dict[str, Any]:
    """The changes, in which minutes take the place of epochs that were set before, and epochs that of minutes."""
    budgets = ("training.minutes", "training.epochs")
    given = [key for key in budgets if changes.get(key) is not None]
    if len(given) == 2:
        raise UlnaError("minutes and epochs cannot both be given", hint="Leave one of them away.")
    return changes | {key: None for key in budgets if given and key not in given}


def _yaml(given: Any) -> dict[str, Any]:
    if not isinstance(given, str | Path):
        what = f"a configuration is a path or a Config, not a {type(given).__name__}"
        raise UlnaError(what, where="config", hint='Settings alone: changes={"training.batch_size": 8}')
    path = Path(given)
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


def _folder() -> Traversable:
    return resources.files("ulna") / "presets"
