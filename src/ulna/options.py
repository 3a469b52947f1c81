"""The words of commands: what several of them take, and what settings on the command line mean."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

import typer

from ulna.errors import UlnaError

Data = Annotated[Path, typer.Argument(metavar="DATA", help="Folder, archive or file with images and masks.")]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="A run's folder, or a model file.")]
Cases = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE", help="Text file with the cases to use, one per line: names, groups, or volume[0:18] of a stack."
    ),
]
Except = Annotated[
    Path | None, typer.Option("--except", metavar="FILE", help="Text file with cases to leave out, written alike.")
]
Config = Annotated[Path | None, typer.Option(metavar="FILE", help="YAML file with settings that replace the preset's.")]
Preset = Annotated[str, typer.Option(help="default, tutorial, paper, fcn8, intel-2d, intel-3d.")]
Minutes = Annotated[float | None, typer.Option(help="Time for everything, from now to the finished run.")]
Epochs = Annotated[int | None, typer.Option(help="Number of epochs, instead of a time; 60 where neither is given.")]
Drawn = Annotated[int | None, typer.Option("--seed", min=0, help="Seed of everything that is drawn.")]
Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting: training.batch_size=8")]
Meant = Annotated[Path | None, typer.Option("--config", metavar="FILE", help="YAML file that says what masks mean.")]
Means = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="One setting: data.values=[[0],[7]]")
]
Device = Annotated[
    str | None, typer.Option(metavar="cpu|cuda|mps", help="Where the network runs; default: a CUDA GPU, else the CPU.")
]
Seed = Annotated[int, typer.Option(min=0, help="Seed of everything that is drawn.")]


def changes(settings: list[str] | None) -> dict[str, Any]:
    """`--set key=value` as a dictionary; values are YAML."""
    import yaml

    found = {}
    for setting in settings or ():
        key, equals, value = setting.partition("=")
        if not equals:
            raise UlnaError(f"'{setting}' is no setting", where="--set", hint="Write --set training.batch_size=8")
        try:
            # `{case}` begins a pattern, which YAML would take for a mapping
            found[key.strip()] = value if value.startswith(("{case}", "{class}")) else yaml.safe_load(value)
        except yaml.YAMLError:
            raise UlnaError(f"the value of '{setting}' cannot be read", where="--set") from None
    return found


def each_with_option(words: list[str]) -> list[str]:
    """The words of a command in which settings that follow one after --set have the option, too.

    Examples
    --------
    >>> each_with_option(["check", "DATA", "--set", "data.labels=a", "data.ignore=4"])
    ['check', 'DATA', '--set', 'data.labels=a', '--set', 'data.ignore=4']
    """
    found: list[str] = []
    for word in words:
        if found[-2:-1] == ["--set"] and re.match(r"[a-z_0-9]+(\.[a-z_0-9]+)+=", word):
            found.append("--set")
        found.append(word)
    return found
