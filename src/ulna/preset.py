"""Presets: whole configurations under a name, one YAML file each; what a file leaves out is the default."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

import yaml

from ulna.config import Config, nearest
from ulna.errors import UlnaError


def preset_names() -> tuple[str, ...]:
    """The names of the presets, in order of the alphabet."""
    files = _folder().iterdir()
    return tuple(sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml")))


def load_preset(name: str) -> Config:
    """The configuration of a preset; where there is none of this name, UlnaError names the nearest."""
    if name not in preset_names():
        raise UlnaError(f"there is no preset '{name}'.{nearest(name, preset_names())}")
    text = (_folder() / f"{name}.yaml").read_text(encoding="utf-8")
    return Config.parse({"preset": name, **(yaml.safe_load(text) or {})}, where=f"preset {name}")


def _folder() -> Traversable:
    return resources.files("ulna") / "presets"
